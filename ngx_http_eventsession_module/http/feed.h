
/*
 * The live feed (contract, section 6): every stored event as Server-Sent
 * Events.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* Content handler of the endpoint */
ngx_int_t ngx_http_eventsession_feed_handler(ngx_http_request_t *r);

/* At the end of a process, before evs_redis_exit() */
void ngx_http_eventsession_feed_exit(void);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_H_INCLUDED_ */
