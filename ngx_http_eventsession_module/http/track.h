
/*
 * Events of trusted applications over HTTP (contract, section 4).
 */


#ifndef _NGX_HTTP_EVENTSESSION_TRACK_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_TRACK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* Content handler of the endpoint */
ngx_int_t ngx_http_eventsession_track_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_EVENTSESSION_TRACK_H_INCLUDED_ */
