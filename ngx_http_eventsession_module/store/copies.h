
/*
 * The copies of a session's events: what a batch stored for a session lies in
 * the chunks of its shards, too (store/chunks.h).  A set for each session that
 * has such events,
 *
 *     <prefix>{<sid>}:batch
 *
 * knows which chunks these are, as "<shard>:<chunk>", so that they can be
 * taken out again.
 */


#ifndef _EVS_COPIES_H_INCLUDED_
#define _EVS_COPIES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"
#include "store/store.h"


#define EVS_COPIES_KEY_MAX  (EVS_STORE_KEY_MAX + sizeof(":batch") - 1)

u_char *evs_copies_key(u_char *p, const evs_store_conf_t *conf,
    const evs_sid_t *sid);

/* "SADD <key> <shard>:<chunk>": at most EVS_COPIES_ADD_MAX bytes */
#define EVS_COPIES_ADD_MAX                                                    \
    (3 * EVS_RESP_ARG_MAX + EVS_COPIES_KEY_MAX + 64)

u_char *evs_copies_add(u_char *p, const evs_store_conf_t *conf,
    const evs_sid_t *sid, ngx_uint_t shard, uint64_t chunk);


/* the copies of a session, as they are taken out */
typedef struct {
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;
    evs_sid_t                sid;
    ngx_pool_t              *pool;

    /* once; failure as of evs_store_failure(), NULL: there are none any more */
    void                   (*done)(void *data, const char *failure);
    void                    *data;

    /* the state */
    evs_redis_cmd_t         *cmd;
    ngx_array_t              chunks;     /* ngx_str_t: keys */
    ngx_array_t              members;    /* ngx_str_t: of this page */
    size_t                   bytes;      /* of the members */
    uint64_t                 rank;
    ngx_uint_t               came;       /* members, in this page */
    ngx_pool_t              *page;
    unsigned                 failed:1;   /* no memory */
} evs_copies_t;

/*
 * Takes them out, going by what the session's set has; that, and the list of
 * chunks, are left for the caller.  NGX_OK: done will be called, or NGX_ERROR:
 * no memory.
 */
ngx_int_t evs_copies_remove(evs_copies_t *copies);

/* Idempotent. */
void evs_copies_cancel(evs_copies_t *copies);


#endif /* _EVS_COPIES_H_INCLUDED_ */
