
/*
 * Origins (RFC 6454): which pages may open WebSockets (eventsession_origin)
 * and read replies (eventsession_cors).
 */


#ifndef _NGX_HTTP_EVENTSESSION_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_ORIGIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The arguments of either directive, each a pattern: "*" for any origin, an
 * origin, an origin with one "*" in its host, or "~" and a regular expression.
 * "off" alone is the empty list.  NULL after a message to the log.
 */
ngx_array_t *ngx_http_eventsession_origins(ngx_conf_t *cf, ngx_str_t *args,
    ngx_uint_t nargs);

/* Whether one of the patterns (NULL: none) matches: 1 or 0. */
ngx_uint_t ngx_http_eventsession_origin_match(ngx_http_request_t *r,
    const ngx_array_t *patterns, ngx_str_t *origin);

/* The value of the Origin header; NULL: there is none. */
ngx_str_t *ngx_http_eventsession_origin(ngx_http_request_t *r);

/* Whether an origin is of the host and port that the request names: 1 or 0. */
ngx_uint_t ngx_http_eventsession_origin_same(ngx_http_request_t *r,
    const ngx_str_t *origin);


#endif /* _NGX_HTTP_EVENTSESSION_ORIGIN_H_INCLUDED_ */
