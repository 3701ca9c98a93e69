
/*
 * The way out to a client of the feed: what waits for it, what it takes, and
 * when it is too slow.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_OUTPUT_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_OUTPUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_chunk.h"
#include "http/feed_subscriber.h"


/*
 * What the hub hands out, as far as the client wants it.  NGX_OK; NGX_AGAIN:
 * it waits; NGX_ERROR: the client is too slow, or gone, or no memory.
 */
ngx_int_t ngx_http_eventsession_output_offer(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk);

/* Text of its own, behind what waits, which is its own, too.  Takes chunk. */
void ngx_http_eventsession_output_queue(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk);

/* Whether the client has still to take what it was given: 1 or 0. */
ngx_uint_t ngx_http_eventsession_output_blocked(
    const ngx_http_eventsession_subscriber_t *sub);

/*
 * NGX_OK: the client has taken everything; NGX_AGAIN: it has not, and when it
 * has, ngx_http_eventsession_subscriber_run() is called; NGX_ERROR.
 */
ngx_int_t ngx_http_eventsession_output_flush(
    ngx_http_eventsession_subscriber_t *sub);

/* The first of what waits, which there is, to the filters: NGX_OK, NGX_ERROR */
ngx_int_t ngx_http_eventsession_output_pass(
    ngx_http_eventsession_subscriber_t *sub);

/* When the request's pool goes, and with it every buffer. */
void ngx_http_eventsession_output_free(
    ngx_http_eventsession_subscriber_t *sub);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_OUTPUT_H_INCLUDED_ */
