
/*
 * The event log over HTTP (contract, section 5): POST /event.
 */


#ifndef _NGX_HTTP_EVENTSESSION_LOG_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_LOG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* Content handler of the endpoint */
ngx_int_t ngx_http_eventsession_log_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_EVENTSESSION_LOG_H_INCLUDED_ */
