
/*
 * What the logs have of a request: the value of the argument "application" is
 * a credential, and they don't have it.
 */


#ifndef _NGX_HTTP_EVENTSESSION_HIDE_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_HIDE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Of every request to a server that hides it (see its conf), whatever becomes
 * of the request.  At postconfiguration.
 */
ngx_int_t ngx_http_eventsession_hide_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_EVENTSESSION_HIDE_H_INCLUDED_ */
