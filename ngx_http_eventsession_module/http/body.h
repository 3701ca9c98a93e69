
/*
 * Request bodies: read, put together and inflated, for endpoints that look at
 * a body as a whole.
 */


#ifndef _NGX_HTTP_EVENTSESSION_BODY_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_BODY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The body is in memory of the request's pool, and may be changed; type is the
 * index of its media type.  Has to end the request, now or later, by
 * ngx_http_finalize_request().
 */
typedef void (*ngx_http_eventsession_body_pt)(ngx_http_request_t *r,
    ngx_str_t *body, ngx_uint_t type, const void *data);

/*
 * Reads the body of a request whose Content-Type is one of the media types
 * given, whatever its parameters (one or two, and NULL), and calls handler
 * with data; a body in gzip or deflate (RFC 9110, 8.4.1) is inflated, to
 * client_max_body_size at most.  Otherwise a reply is made: 415 to another
 * type or coding, 400 to a broken body, 413 to one that is too large.  What a
 * content handler returns.
 */
ngx_int_t ngx_http_eventsession_read_body(ngx_http_request_t *r,
    const char *const *types, ngx_http_eventsession_body_pt handler,
    const void *data);

/* The tick (stats/stats.h) when the body that the handler got was whole. */
uint64_t ngx_http_eventsession_body_tick(ngx_http_request_t *r);


#endif /* _NGX_HTTP_EVENTSESSION_BODY_H_INCLUDED_ */
