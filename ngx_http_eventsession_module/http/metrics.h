
/*
 * /metrics (contract, section 7).
 */


#ifndef _NGX_HTTP_EVENTSESSION_METRICS_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


ngx_int_t ngx_http_eventsession_metrics_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_EVENTSESSION_METRICS_H_INCLUDED_ */
