
/*
 * What a client of the feed is told that is no event: the header, with what
 * the stream begins with, and pings while there is nothing else.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_GREET_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_GREET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_subscriber.h"


/* The header alone; what ngx_http_send_header() returns. */
ngx_int_t ngx_http_eventsession_greet_header(ngx_http_request_t *r);

/*
 * The header, and behind it the retry, with the place that the client has, if
 * it doesn't know it.  NGX_OK, else what to finalize the request with:
 * NGX_AGAIN, as a filter's page is there instead, and HTTP itself ends that.
 */
ngx_int_t ngx_http_eventsession_greet(ngx_http_eventsession_subscriber_t *sub);

/* The same, for a stream that goes on, which is NGX_DONE. */
ngx_int_t ngx_http_eventsession_greet_open(
    ngx_http_eventsession_subscriber_t *sub);

/* Of sub->ping: something at least as often as feed_ping says. */
void ngx_http_eventsession_greet_ping_handler(ngx_event_t *ev);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_GREET_H_INCLUDED_ */
