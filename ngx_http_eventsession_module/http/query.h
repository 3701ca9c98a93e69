
/*
 * The arguments of a reply in pages: from, to, limit and after, and the Link
 * to the next page, which has them again.
 */


#ifndef _NGX_HTTP_EVENTSESSION_QUERY_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "store/range.h"


/* One of them, unescaped.  NGX_OK; NGX_DECLINED: not there; NGX_ERROR. */
ngx_int_t ngx_http_eventsession_query_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/*
 * The same, decoded as a form's: + is a blank; a % that no two hexadecimal
 * digits follow is a %.
 */
ngx_int_t ngx_http_eventsession_query_form(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/*
 * The range that they ask for; want is the limit.  NGX_DECLINED: all are
 * right; otherwise a reply has been made.
 */
ngx_int_t ngx_http_eventsession_query_range(ngx_http_request_t *r,
    evs_range_t *range);

/* The same without from and to. */
ngx_int_t ngx_http_eventsession_query_page(ngx_http_request_t *r,
    evs_range_t *range);

/* The reply to an after that is none of ours. */
ngx_int_t ngx_http_eventsession_query_bad_after(ngx_http_request_t *r);

/*
 * Adds a Link (RFC 8288) to what follows the cursor, with those of the
 * request's arguments that are named, NULL being the last name.  NGX_OK or
 * NGX_ERROR.
 */
ngx_int_t ngx_http_eventsession_query_link(ngx_http_request_t *r,
    const char *const *names, const evs_cursor_t *cursor);


#endif /* _NGX_HTTP_EVENTSESSION_QUERY_H_INCLUDED_ */
