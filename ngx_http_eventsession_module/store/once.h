
/*
 * What was sent with an Idempotency-Key: a record in Redis for each key,
 *
 *     <prefix>{batch}:once:<SHA-1 of the key>
 *
 * so that whatever comes with the key again, to whichever process, is known
 * for a day.  What the record says is its user's.
 */


#ifndef _EVS_ONCE_H_INCLUDED_
#define _EVS_ONCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


#define EVS_ONCE_SECONDS     86400
#define EVS_ONCE_DIGEST_LEN  40       /* of a SHA-1, in hex */


typedef struct {
    /* set by the caller; the record lives as long as evs_once_t waits */
    const evs_store_conf_t  *store;
    evs_redis_node_t        *node;
    ngx_pool_t              *pool;
    void                    *data;
    /*
     * Once for each of the calls below.  NGX_OK: *record is what Redis has, of
     * the pool, or its data is NULL; NGX_ERROR: failure is as of
     * evs_store_failure().
     */
    void                   (*done)(void *data, ngx_int_t rc,
                                   const ngx_str_t *record,
                                   const char *failure);

    u_char                   digest[EVS_ONCE_DIGEST_LEN];   /* of the key */

    ngx_str_t                record;
    evs_redis_cmd_t         *cmd;
} evs_once_t;


/* The digest of two texts with a NUL between them, in lower case. */
void evs_once_digest(u_char *digest, const ngx_str_t *one,
    const ngx_str_t *two);

/* Asks for the key's record.  NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t evs_once_get(evs_once_t *once);

/*
 * Makes the record, unless there is one, and asks for it: whose it is, the
 * caller sees by what it is.  As evs_once_get().
 */
ngx_int_t evs_once_begin(evs_once_t *once, const ngx_str_t *record);

/* Replaces the record; nobody is told whether it was done. */
void evs_once_end(const evs_store_conf_t *store, evs_redis_node_t *node,
    const u_char *digest, const ngx_str_t *record);

/* Idempotent. */
void evs_once_cancel(evs_once_t *once);


#endif /* _EVS_ONCE_H_INCLUDED_ */
