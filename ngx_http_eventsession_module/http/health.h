
/*
 * /healthcheck and /ready (contract, section 7).
 */


#ifndef _NGX_HTTP_EVENTSESSION_HEALTH_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_HEALTH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


ngx_int_t ngx_http_eventsession_healthcheck_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_eventsession_ready_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_EVENTSESSION_HEALTH_H_INCLUDED_ */
