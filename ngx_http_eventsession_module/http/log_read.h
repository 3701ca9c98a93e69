
/*
 * GET and HEAD of /event (contract, section 5).
 */


#ifndef _NGX_HTTP_EVENTSESSION_LOG_READ_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_LOG_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* A content handler, for a request whose method has been looked at. */
ngx_int_t ngx_http_eventsession_log_read_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_EVENTSESSION_LOG_READ_H_INCLUDED_ */
