
/*
 * A session is taken out of Redis: its key, its events from the history of
 * the feed, and what batches keep of them.  Each step needs what the one
 * before tells:
 *
 *     XREVRANGE <stream> + - COUNT 1, XRANGE <stream> - + COUNT 1,
 *     EXISTS <key>
 *
 *     the copies in the chunks of batches (store/copies.h)
 *
 *     ZADD <deleted> GT <top> <sid>, ZREMRANGEBYSCORE <deleted> -inf (<first>,
 *     UNLINK <key> <copies>
 *
 * The entries of the stream stay: they have other sessions' events in them.
 * What is replayed leaves out the events of a session that are no younger
 * than its score in <deleted>, which is that of the stream's last entry at
 * that time (store/stream_id.h).  Members below the first entry have nothing
 * to hide any more, and go.
 *
 * An event is in its session's set before it is on the stream.  So what is up
 * to top was in the set, and is deleted with it; a session that begins anew
 * is behind top, and is replayed.  Of what others store between the steps,
 * the history and the chunks may still have what the set has lost.
 */


#ifndef _EVS_DELETE_H_INCLUDED_
#define _EVS_DELETE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"
#include "store/copies.h"
#include "store/store.h"
#include "store/stream_id.h"


typedef struct {
    const evs_store_conf_t      *conf;
    evs_redis_node_t            *node;
    evs_sid_t                    sid;
    ngx_pool_t                  *pool;

    /*
     * Once.  NGX_OK: it is gone; NGX_DECLINED: no such session; NGX_ERROR:
     * not known to be gone, with failure saying why.
     */
    void                       (*done)(void *data, ngx_int_t rc,
                                       const char *failure);
    void                        *data;

    /* the state of the deletion */
    evs_redis_cmd_t             *cmd;
    evs_copies_t                 copies;
    evs_stream_id_t              top;
    evs_stream_id_t              first;
    unsigned                     has_top:1;
    unsigned                     has_first:1;
    unsigned                     top_seen:1;    /* ours or not */
    unsigned                     first_seen:1;
} evs_delete_t;


/* NGX_OK: done will be called; NGX_ERROR: no memory. */
ngx_int_t evs_delete_begin(evs_delete_t *del);

/*
 * Ends it: done is not called any more.  The session may or may not be gone.
 * Idempotent.
 */
void evs_delete_cancel(evs_delete_t *del);


#endif /* _EVS_DELETE_H_INCLUDED_ */
