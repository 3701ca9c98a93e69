
/*
 * Header fields, in and out.
 */


#ifndef _NGX_HTTP_EVENTSESSION_HEADER_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_HEADER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The value of a request header that nginx has no slot for, by its name in
 * lower case; NULL: not there.  The first one of several.
 */
ngx_str_t *ngx_http_eventsession_header_in(ngx_http_request_t *r,
    const char *name);

/* How many request headers have that name. */
ngx_uint_t ngx_http_eventsession_header_count(ngx_http_request_t *r,
    const char *name);

/*
 * Whether one of the request's headers of that name has the token in its
 * comma-separated list, in any case; or the subprotocol, in its own: 1 or 0.
 */
ngx_uint_t ngx_http_eventsession_header_has(ngx_http_request_t *r,
    const char *name, const char *token);
ngx_uint_t ngx_http_eventsession_header_has_protocol(ngx_http_request_t *r,
    const char *name, const char *protocol);

/*
 * Adds a header to the response; the value must live as long as the request.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_eventsession_header_out(ngx_http_request_t *r,
    const char *name, const ngx_str_t *value);


#endif /* _NGX_HTTP_EVENTSESSION_HEADER_H_INCLUDED_ */
