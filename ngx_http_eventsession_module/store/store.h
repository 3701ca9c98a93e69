
/*
 * What we keep and how it is asked for: the settings that every operation of
 * the store takes.  Knows Redis, not HTTP.
 */


#ifndef _EVS_STORE_H_INCLUDED_
#define _EVS_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"
#include "redis/redis.h"


/* of a key, so that keys fit on the stack */
#define EVS_STORE_PREFIX_MAX   64


typedef struct {
    evs_redis_conf_t      *redis;         /* NULL: not set */
    ngx_str_t              prefix;        /* of all keys */
    ngx_msec_t             timeout;       /* how long a client waits */
    size_t                 max_inflight;  /* bytes, a node and process */
    ngx_uint_t             feed;          /* what is stored goes there, too */
    ngx_uint_t             feed_history;  /* events to keep there, at least */
    time_t                 log_ttl;       /* s, of records; 0: for ever */
} evs_store_conf_t;


/* Whether two stores of one node have the same keys: 1 or 0. */
ngx_uint_t evs_store_same_prefix(const evs_store_conf_t *one,
    const evs_store_conf_t *two);

/* Whether more may be sent to the node of this store now: 1 or 0. */
ngx_uint_t evs_store_has_room(const evs_store_conf_t *conf,
    evs_redis_node_t *node);

/* Whether a key is not of the type that the command is for: 1 or 0. */
ngx_uint_t evs_store_wrong_type(const evs_redis_reply_t *reply);

/* Why a command wasn't carried out, for a client: no key, no address in it. */
const char *evs_store_failure(const evs_redis_reply_t *reply);

/*
 * The key of a session, <prefix>{<sid>}: sids hold no brace, so the hash tag
 * is the sid.  Writes at most EVS_STORE_KEY_MAX bytes, returns the end.
 */
#define EVS_STORE_KEY_MAX   (EVS_STORE_PREFIX_MAX + EVS_SID_MAX + 2)

u_char *evs_store_key(u_char *p, const evs_store_conf_t *conf,
    const evs_sid_t *sid);

/*
 * The stream of the feed, <prefix>{feed}:stream, and the sorted set of the
 * sessions that were deleted while their events are in it,
 * <prefix>{feed}:deleted.  Writes at most EVS_STORE_KEY_MAX bytes.
 */
u_char *evs_store_feed_key(u_char *p, const evs_store_conf_t *conf);
u_char *evs_store_deleted_key(u_char *p, const evs_store_conf_t *conf);

/*
 * The hash of the workers' records, <prefix>{workers}:records, and the sorted
 * set of the processes that they are of, <prefix>{workers}:alive.  Writes at
 * most EVS_STORE_KEY_MAX bytes.
 */
u_char *evs_store_workers_key(u_char *p, const evs_store_conf_t *conf);
u_char *evs_store_alive_key(u_char *p, const evs_store_conf_t *conf);


#endif /* _EVS_STORE_H_INCLUDED_ */
