
/*
 * A client of the feed: what it wants, how far it is, and what waits for it.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_SUBSCRIBER_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_SUBSCRIBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_chunk.h"
#include "http/feed_filter.h"
#include "http/feed_hub.h"
#include "store/replay.h"


struct ngx_http_eventsession_subscriber_s {
    ngx_queue_t                     queue;    /* of the hub */
    ngx_http_request_t             *request;
    ngx_http_eventsession_hub_t    *hub;      /* NULL: it has left */
    ngx_http_eventsession_filter_t  filter;
    evs_replay_t                    replay;

    /* the way out: what waits, then what the filters have not passed on yet */
    ngx_http_eventsession_chunk_t  *chunk;    /* the first that waits */
    ngx_http_eventsession_chunk_t  *tail;     /* the last, of its own only */
    size_t                          offset;   /* in the first */
    size_t                          pending;  /* bytes that wait */
    size_t                          unsent;   /* bytes in busy */
    off_t                           sent;     /* by the connection */
    ngx_chain_t                    *busy;
    ngx_chain_t                    *free;

    ngx_http_eventsession_chunk_t  *text;     /* the page that comes in */
    ngx_uint_t                      nevents;  /* in it */
    ngx_uint_t                      ngaps;    /* the same */

    ngx_uint_t                      generation;  /* of the hub, when the last
                                                 page was asked for */
    evs_place_t                     place;    /* all up to there was seen */
    evs_place_t                     written;  /* of the last event in text */
    ngx_event_t                     ping;
    ngx_event_t                     pause;    /* before Redis is asked again */
    ngx_msec_t                      sent_at;

    unsigned                        header_sent:1;
    unsigned                        placed:1; /* it has a place to go on from */
    unsigned                        told:1;   /* and the client knows it */
    unsigned                        more:1;   /* history goes on */
    unsigned                        live:1;
    unsigned                        synced:1; /* it gets all that comes */
    unsigned                        failed:1; /* no memory for a page */
};


/*
 * Begins for a request that has its filter, and a place if it has one.  What
 * the content handler returns.
 */
ngx_int_t ngx_http_eventsession_subscriber_begin(
    ngx_http_eventsession_subscriber_t *subscriber);

/*
 * Goes on as far as can be, when something has come or gone.  NGX_DONE: the
 * rest comes later; else what to finalize the request with.
 */
ngx_int_t ngx_http_eventsession_subscriber_run(
    ngx_http_eventsession_subscriber_t *subscriber);

/* The same, but not before ms have passed, with history: NGX_DONE. */
ngx_int_t ngx_http_eventsession_subscriber_pause(
    ngx_http_eventsession_subscriber_t *subscriber, ngx_msec_t ms);

/*
 * From the hub: its text, which came as a chunk; with NULL, it is lost.  The
 * subscriber may be gone afterwards.
 */
void ngx_http_eventsession_subscriber_take(
    ngx_http_eventsession_subscriber_t *subscriber,
    ngx_http_eventsession_chunk_t *chunk);

/* It is no part of anything any more, but for what is on its way out. */
void ngx_http_eventsession_subscriber_leave(
    ngx_http_eventsession_subscriber_t *subscriber);

/* The process quits: the stream ends.  It has left the hub afterwards. */
void ngx_http_eventsession_subscriber_end(
    ngx_http_eventsession_subscriber_t *subscriber);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_SUBSCRIBER_H_INCLUDED_ */
