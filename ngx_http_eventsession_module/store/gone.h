
/*
 * The sessions that were deleted, as replies tell them: each with the score of
 * the feed's top when it was (see stream_id.h), up to which its events are not
 * to be shown any more.
 *
 * Either a reply names them, with their scores; or they are named first, those
 * that matter, and a reply has a score for each in their order.
 */


#ifndef _EVS_GONE_H_INCLUDED_
#define _EVS_GONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"
#include "redis/redis.h"


typedef struct {
    evs_sid_t             sid;
    double                score;      /* below 0: it wasn't */
} evs_gone_session_t;


/* all zeros: none */
typedef struct {
    evs_gone_session_t   *sessions;
    ngx_uint_t            n;
    ngx_uint_t            size;
    ngx_uint_t            scored;     /* of those that were named first */
    unsigned              half:1;     /* the last one waits for its score */
    unsigned              sorted:1;
} evs_gone_t;


/*
 * The next element of ZRANGEBYSCORE ... WITHSCORES, a session or its score.
 * NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t evs_gone_element(evs_gone_t *gone, const ngx_str_t *element,
    ngx_log_t *log);

/* Names one, any number of times.  NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t evs_gone_name(evs_gone_t *gone, const ngx_str_t *sid,
    ngx_log_t *log);

/* All are named: how many they are. */
ngx_uint_t evs_gone_named(evs_gone_t *gone);

/* They, as arguments: at most EVS_GONE_ARG_MAX bytes each, returns the end. */
#define EVS_GONE_ARG_MAX  (EVS_SID_MAX + EVS_RESP_ARG_MAX)

u_char *evs_gone_args(u_char *p, const evs_gone_t *gone);

/* The next element of ZMSCORE; and before the first, or when it comes again. */
void evs_gone_scored(evs_gone_t *gone, const ngx_str_t *element);
void evs_gone_rescore(evs_gone_t *gone);

/* Whether what an entry of that score says of a session is gone: 1 or 0. */
ngx_uint_t evs_gone_has(evs_gone_t *gone, const ngx_str_t *sid,
    uint64_t score);

/* Back to none. */
void evs_gone_free(evs_gone_t *gone);


#endif /* _EVS_GONE_H_INCLUDED_ */
