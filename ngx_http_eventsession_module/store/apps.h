
/*
 * Trusted applications (contract, section 4): who may send, by the UUID that
 * he shows.  They are named in the configuration, and at run time in a hash of
 * Redis,
 *
 *     <prefix>apps    field: the UUID, canonical; value: the name
 *
 * of which a value goes before the configuration's, and an empty one revokes.
 * What Redis said is kept in each process for a bounded time.
 *
 * The UUID is a credential: only names are for logs and events.
 */


#ifndef _EVS_APPS_H_INCLUDED_
#define _EVS_APPS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "event/sid.h"
#include "store/store.h"


#define EVS_APP_UUID_LEN   36


/* one of the configuration */
typedef struct {
    u_char                   uuid[EVS_APP_UUID_LEN];   /* canonical */
    ngx_str_t                name;
} evs_app_t;


/* read-only after the start */
typedef struct {
    const evs_store_conf_t  *store;
    ngx_array_t             *known;      /* of evs_app_t, by uuid; or NULL */
    ngx_msec_t               cache;      /* how old an answer may be */
    ngx_msec_t               grace;      /* the same, when Redis has none */
} evs_apps_conf_t;


typedef struct evs_apps_waiter_s  evs_apps_waiter_t;

/* who asks; its memory is its owner's */
struct evs_apps_waiter_s {
    /* set by the caller */
    void                    *data;
    /* once, if evs_apps_check() said NGX_AGAIN, with what else it may say;
       may call into this room */
    void                   (*done)(evs_apps_waiter_t *waiter, ngx_int_t rc);

    /* with NGX_OK; it lies in the waiter */
    ngx_str_t                name;
    ngx_msec_t               until;      /* it holds, by ngx_current_msec */

    /* of the room */
    const evs_apps_conf_t   *conf;
    const evs_sid_t         *uuid;
    ngx_queue_t              queue;
    u_char                   text[EVS_APPLICATION_MAX];
    unsigned                 waiting:1;
};


/* Whether it can be an application's name: 1 or 0; and what that is. */
ngx_uint_t evs_app_name_valid(const u_char *name, size_t len);

#define EVS_APP_NAME_RIGHT                                                    \
    "1 to 64 printable ASCII characters without \" and \\, with no blank "    \
    "at an end"

/*
 * Adds one to an array of evs_app_t at its place; uuid is canonical.  NGX_OK,
 * NGX_DECLINED: that UUID is there, or NGX_ERROR: no memory.
 */
ngx_int_t evs_apps_add(ngx_array_t *known, const evs_sid_t *uuid,
    const ngx_str_t *name);

/*
 * Whether an application is trusted.  uuid is canonical, and must live as long
 * as the waiter waits.
 *
 *     NGX_OK        it is, and waiter->name is its name
 *     NGX_DECLINED  it isn't: unknown, or revoked
 *     NGX_BUSY      that can't be told: Redis doesn't answer, and what is
 *                   known is too old, or nothing; or there is no memory
 *     NGX_AGAIN     Redis was asked; waiter->done will be called
 */
ngx_int_t evs_apps_check(const evs_apps_conf_t *conf, evs_redis_node_t *node,
    const evs_sid_t *uuid, evs_apps_waiter_t *waiter);

/* It isn't called any more.  Idempotent. */
void evs_apps_cancel(evs_apps_waiter_t *waiter);

/* Frees what the process keeps; after evs_redis_exit(). */
void evs_apps_exit(void);


#endif /* _EVS_APPS_H_INCLUDED_ */
