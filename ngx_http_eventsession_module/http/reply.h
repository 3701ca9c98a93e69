
/*
 * Replies that every endpoint gives in the same way: methods, CORS, problems,
 * and short bodies.  All of them are for a handler that has not sent its
 * header yet, and return what the handler returns.
 */


#ifndef _NGX_HTTP_EVENTSESSION_REPLY_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Lets a request through (NGX_DECLINED) if its method is one of methods (bits
 * NGX_HTTP_GET ...; with GET goes HEAD), after adding the CORS headers that
 * its Origin is due.  Otherwise the reply has been made: 405 with Allow, or
 * 204 to a preflight that eventsession_cors allows (Fetch standard).
 */
ngx_int_t ngx_http_eventsession_methods(ngx_http_request_t *r,
    ngx_uint_t methods);

/*
 * An application/problem+json reply (RFC 9457); detail is a format of
 * ngx_sprintf's, made safe for JSON here.  503 gets Retry-After.
 */
ngx_int_t ngx_http_eventsession_problem(ngx_http_request_t *r,
    ngx_uint_t status, const char *detail, ...);

/*
 * The same in a header filter, in place of the page that nginx has made of the
 * status in headers_out: of its headers the type and the length change, and
 * those of CORS come in.  next is the filter behind.  The body is sent here,
 * and header_only is set: who sends the page has no more to send, as with
 * HEAD.  What a header filter returns.
 */
ngx_int_t ngx_http_eventsession_problem_instead(ngx_http_request_t *r,
    ngx_http_output_header_filter_pt next, const char *detail, ...);

/* A whole body that lives as long as the request. */
ngx_int_t ngx_http_eventsession_body(ngx_http_request_t *r,
    ngx_uint_t status, const char *type, u_char *body, size_t len);


#endif /* _NGX_HTTP_EVENTSESSION_REPLY_H_INCLUDED_ */
