
/*
 * Replies that every endpoint gives in the same way.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "http/account.h"
#include "http/header.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


#define NGX_HTTP_EVENTSESSION_DETAIL_MAX  1024


static ngx_int_t ngx_http_eventsession_cors(ngx_http_request_t *r,
    ngx_uint_t methods, ngx_uint_t *allowed);
static ngx_int_t ngx_http_eventsession_allow(ngx_http_request_t *r,
    const char *name, ngx_uint_t methods, ngx_uint_t options);


typedef struct {
    ngx_uint_t         status;
    const char        *title;     /* the status' own phrase: about:blank */
} ngx_http_eventsession_title_t;


static const ngx_http_eventsession_title_t  ngx_http_eventsession_titles[] = {
    { 400, "Bad Request" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 409, "Conflict" },
    { 413, "Content Too Large" },
    { 415, "Unsupported Media Type" },
    { 422, "Unprocessable Content" },
    { 426, "Upgrade Required" },
    { 500, "Internal Server Error" },
    { 503, "Service Unavailable" },
    { 0, "Error" }
};


ngx_int_t
ngx_http_eventsession_methods(ngx_http_request_t *r, ngx_uint_t methods)
{
    ngx_int_t   rc;
    ngx_uint_t  allowed;

    if (methods & NGX_HTTP_GET) {
        methods |= NGX_HTTP_HEAD;
    }

    if (ngx_http_eventsession_cors(r, methods, &allowed) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method & methods) {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method == NGX_HTTP_OPTIONS && allowed) {
        r->headers_out.status = NGX_HTTP_NO_CONTENT;
        r->header_only = 1;

        return ngx_http_send_header(r);
    }

    if (ngx_http_eventsession_allow(r, "Allow", methods, allowed) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_ALLOWED,
                                         "this endpoint does not answer %V",
                                         &r->method_name);
}


static ngx_int_t
ngx_http_eventsession_cors(ngx_http_request_t *r, ngx_uint_t methods,
    ngx_uint_t *allowed)
{
    ngx_str_t                         *origin, value;
    ngx_http_eventsession_loc_conf_t  *elcf;

    static const ngx_str_t  vary = ngx_string("Origin");
    static const ngx_str_t  expose = ngx_string("Link, Retry-After");
    static const ngx_str_t  headers = ngx_string("Content-Type, "
             "Content-Encoding, Idempotency-Key, Last-Event-ID, application");
    static const ngx_str_t  age = ngx_string("600");

    *allowed = 0;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (elcf->cors == NULL || elcf->cors->nelts == 0) {
        return NGX_OK;
    }

    /* a cache must know that the reply depends on who asks, also when not */

    if (ngx_http_eventsession_header_out(r, "Vary", &vary) != NGX_OK) {
        return NGX_ERROR;
    }

    origin = ngx_http_eventsession_origin(r);

    if (origin == NULL
        || !ngx_http_eventsession_origin_match(r, elcf->cors, origin))
    {
        return NGX_OK;
    }

    *allowed = 1;
    value = *origin;

    if (ngx_http_eventsession_header_out(r, "Access-Control-Allow-Origin",
                                         &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->method != NGX_HTTP_OPTIONS) {
        return ngx_http_eventsession_header_out(r,
                                   "Access-Control-Expose-Headers", &expose);
    }

    if (ngx_http_eventsession_allow(r, "Access-Control-Allow-Methods",
                                    methods, 0)
        != NGX_OK
        || ngx_http_eventsession_header_out(r, "Access-Control-Allow-Headers",
                                            &headers)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_eventsession_header_out(r, "Access-Control-Max-Age",
                                            &age);
}


static ngx_int_t
ngx_http_eventsession_allow(ngx_http_request_t *r, const char *name,
    ngx_uint_t methods, ngx_uint_t options)
{
    u_char      *p;
    ngx_str_t    value;
    ngx_uint_t   i;

    static const struct {
        ngx_uint_t   method;
        const char  *name;
    } names[] = {
        { NGX_HTTP_GET, "GET, " },
        { NGX_HTTP_HEAD, "HEAD, " },
        { NGX_HTTP_POST, "POST, " },
        { NGX_HTTP_DELETE, "DELETE, " },
        { 0, NULL }
    };

    p = ngx_pnalloc(r->pool, sizeof("GET, HEAD, POST, DELETE, OPTIONS, "));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    for (i = 0; names[i].method; i++) {
        if (methods & names[i].method) {
            p = ngx_cpymem(p, names[i].name, ngx_strlen(names[i].name));
        }
    }

    if (options) {
        p = ngx_cpymem(p, "OPTIONS, ", 9);
    }

    value.len = (size_t) (p - value.data) - 2;

    return ngx_http_eventsession_header_out(r, name, &value);
}


ngx_int_t
ngx_http_eventsession_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *detail, ...)
{
    size_t       len;
    u_char      *body, *p, *last, buf[NGX_HTTP_EVENTSESSION_DETAIL_MAX];
    va_list      args;
    const char  *title;
    ngx_uint_t   i;

    static const ngx_str_t  retry_after = ngx_string("1");

    va_start(args, detail);
    last = ngx_vslprintf(buf, buf + sizeof(buf), detail, args);
    va_end(args);

    ngx_http_eventsession_account_error(r, buf, (size_t) (last - buf));

    for (i = 0; ngx_http_eventsession_titles[i].status != status; i++) {
        if (ngx_http_eventsession_titles[i].status == 0) {
            break;
        }
    }

    title = ngx_http_eventsession_titles[i].title;

    len = evs_json_escape(NULL, buf, (size_t) (last - buf));

    body = ngx_pnalloc(r->pool, len + sizeof("{\"type\":\"about:blank\","
                       "\"title\":\"\",\"status\":,\"detail\":\"\"}")
                       + ngx_strlen(title) + NGX_INT_T_LEN);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(body, "{\"type\":\"about:blank\",\"title\":\"%s\","
                    "\"status\":%ui,\"detail\":\"", title, status);
    p += evs_json_escape(p, buf, (size_t) (last - buf));
    p = ngx_cpymem(p, "\"}", 2);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_eventsession_header_out(r, "Retry-After", &retry_after)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_body(r, status, "application/problem+json",
                                      body, (size_t) (p - body));
}


ngx_int_t
ngx_http_eventsession_body(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *body, size_t len)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    ngx_http_eventsession_account_answer(r, status);

    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t) len;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body;
    b->last = body + len;
    b->memory = (len != 0);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
