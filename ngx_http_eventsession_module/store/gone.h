
/*
 * The sessions that were deleted, as a reply tells them: each with the score
 * of the feed's top when it was (see stream_id.h), up to which its events are
 * not to be shown any more.
 */


#ifndef _EVS_GONE_H_INCLUDED_
#define _EVS_GONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"


typedef struct {
    evs_sid_t             sid;
    double                score;
} evs_gone_session_t;


/* all zeros: none */
typedef struct {
    evs_gone_session_t   *sessions;
    ngx_uint_t            n;
    ngx_uint_t            size;
    unsigned              half:1;     /* the last one waits for its score */
    unsigned              sorted:1;
} evs_gone_t;


/*
 * The next element of ZRANGEBYSCORE ... WITHSCORES, a session or its score.
 * NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t evs_gone_element(evs_gone_t *gone, const ngx_str_t *element,
    ngx_log_t *log);

/* Whether what an entry of that score says of a session is gone: 1 or 0. */
ngx_uint_t evs_gone_has(evs_gone_t *gone, const ngx_str_t *sid,
    uint64_t score);

/* Back to none. */
void evs_gone_free(evs_gone_t *gone);


#endif /* _EVS_GONE_H_INCLUDED_ */
