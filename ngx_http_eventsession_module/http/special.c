
/*
 * nginx's special responses: see special.h.
 *
 * What nginx refuses before an endpoint has the request, or while its body is
 * read, ends in ngx_http_special_response_handler(), which takes the client to
 * an error_page or sends a page of its own.  What is to become of the
 * connection is settled by then, and here that page is told by its header.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/reply.h"
#include "http/special.h"
#include "ngx_http_eventsession_module.h"


typedef struct {
    ngx_uint_t         status;
    const char        *detail;
} ngx_http_eventsession_special_t;


static ngx_int_t ngx_http_eventsession_special_header(ngx_http_request_t *r);
static ngx_uint_t ngx_http_eventsession_special_is(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_special_send(ngx_http_request_t *r);
static const char *ngx_http_eventsession_special_detail(
    ngx_http_request_t *r);


/* also true of an operator's "return", which nginx answers in the same way */
static const ngx_http_eventsession_special_t
    ngx_http_eventsession_specials[] =
{
    { 401, "valid credentials are required" },
    { 404, "the server's configuration has nothing here" },
    { 412, "nothing here has an entity tag or a time of modification that a "
           "precondition could hold for" },
    { 429, "too many requests: try again later" },
    { 503, "the server does not take this request for now: try again later" },
    { 0, NULL }
};


/* of this process, as all filters have it */
static ngx_http_output_header_filter_pt  ngx_http_eventsession_special_next;


void
ngx_http_eventsession_special_init(void)
{
    ngx_http_eventsession_special_next = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_eventsession_special_header;
}


static ngx_int_t
ngx_http_eventsession_special_header(ngx_http_request_t *r)
{
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (elcf->endpoint == NULL
        || r->headers_out.status < NGX_HTTP_BAD_REQUEST
        || !ngx_http_eventsession_special_is(r))
    {
        return ngx_http_eventsession_special_next(r);
    }

    return ngx_http_eventsession_special_send(r);
}


/*
 * Whether that is the header of a page that nginx has made itself: 1 or 0.
 * Some statuses have an empty one.  An endpoint answers in HTML never; what an
 * operator has put into "return" has no err_status, or, after an error_page
 * has led here, the type of the location.
 */

static ngx_uint_t
ngx_http_eventsession_special_is(ngx_http_request_t *r)
{
    ngx_str_t                         *type;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_eventsession_loc_conf_t  *elcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (r->err_status == 0 || r->content_handler != elcf->endpoint->handler) {
        return 0;
    }

    type = &r->headers_out.content_type;

    if (type->len == 0) {
        return r->headers_out.content_length_n == 0;
    }

    return type->len == sizeof("text/html") - 1
           && ngx_strncmp(type->data, "text/html", type->len) == 0
           && type->data != clcf->default_type.data;
}


static ngx_int_t
ngx_http_eventsession_special_send(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->headers_out.status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
        && clcf->client_max_body_size)
    {
        return ngx_http_eventsession_problem_instead(r,
                   ngx_http_eventsession_special_next,
                   "the body must not be longer than client_max_body_size, "
                   "which is %O bytes here", clcf->client_max_body_size);
    }

    return ngx_http_eventsession_problem_instead(r,
               ngx_http_eventsession_special_next, "%s",
               ngx_http_eventsession_special_detail(r));
}


static const char *
ngx_http_eventsession_special_detail(ngx_http_request_t *r)
{
    ngx_uint_t  i, status;

    status = r->headers_out.status;

    if (status == NGX_HTTP_BAD_REQUEST && r->request_body != NULL) {
        return "the body is not what its Transfer-Encoding or Content-Length "
               "says";
    }

    for (i = 0; ngx_http_eventsession_specials[i].status; i++) {
        if (ngx_http_eventsession_specials[i].status == status) {
            return ngx_http_eventsession_specials[i].detail;
        }
    }

    return (status < NGX_HTTP_INTERNAL_SERVER_ERROR)
           ? "the server's configuration does not allow this request"
           : "the server could not answer, and its error log says why";
}
