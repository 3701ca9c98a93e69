
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
static ngx_int_t ngx_http_eventsession_cors_origin(ngx_http_request_t *r,
    ngx_uint_t *allowed);
static ngx_uint_t ngx_http_eventsession_cors_done(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_allow(ngx_http_request_t *r,
    const char *name, ngx_uint_t methods, ngx_uint_t options);
static ngx_int_t ngx_http_eventsession_problem_text(ngx_http_request_t *r,
    ngx_uint_t status, const u_char *detail, size_t len, ngx_str_t *body);
static ngx_int_t ngx_http_eventsession_send(ngx_http_request_t *r,
    const char *type, const ngx_str_t *body,
    ngx_http_output_header_filter_pt header);


typedef struct {
    ngx_uint_t         status;
    const char        *title;     /* the status' own phrase: about:blank */
} ngx_http_eventsession_title_t;


static const ngx_http_eventsession_title_t  ngx_http_eventsession_titles[] = {
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 426, "Upgrade Required" },
    { 429, "Too Many Requests" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 507, "Insufficient Storage" },
    { 0, "Error" }
};


static const ngx_str_t  ngx_http_eventsession_vary = ngx_string("Origin");

static const char  ngx_http_eventsession_problem_type[] =
    "application/problem+json";


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
    static const ngx_str_t  headers = ngx_string("Content-Type, "
             "Content-Encoding, Idempotency-Key, Last-Event-ID, application");
    static const ngx_str_t  age = ngx_string("600");

    if (ngx_http_eventsession_cors_origin(r, allowed) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!*allowed || r->method != NGX_HTTP_OPTIONS) {
        return NGX_OK;
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


/* What every reply has, whatever its method. */

static ngx_int_t
ngx_http_eventsession_cors_origin(ngx_http_request_t *r, ngx_uint_t *allowed)
{
    ngx_str_t                         *origin, value;
    ngx_http_eventsession_loc_conf_t  *elcf;

    static const ngx_str_t  expose = ngx_string("Link, Retry-After");

    *allowed = 0;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (elcf->cors == NULL || elcf->cors->nelts == 0) {
        return NGX_OK;
    }

    /* a cache must know that the reply depends on who asks, also when not */

    if (ngx_http_eventsession_header_out(r, "Vary",
                                         &ngx_http_eventsession_vary)
        != NGX_OK)
    {
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

    if (r->method == NGX_HTTP_OPTIONS) {
        return NGX_OK;
    }

    return ngx_http_eventsession_header_out(r,
                                   "Access-Control-Expose-Headers", &expose);
}


/* Whether the response has these headers already: 1 or 0. */

static ngx_uint_t
ngx_http_eventsession_cors_done(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &r->headers_out.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (header[i].value.data == ngx_http_eventsession_vary.data) {
                return 1;
            }
        }
    }

    return 0;
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
    u_char     *last, buf[NGX_HTTP_EVENTSESSION_DETAIL_MAX];
    va_list     args;
    ngx_str_t   body;

    static const ngx_str_t  retry_after = ngx_string("1");

    va_start(args, detail);
    last = ngx_vslprintf(buf, buf + sizeof(buf), detail, args);
    va_end(args);

    if (ngx_http_eventsession_problem_text(r, status, buf,
                                           (size_t) (last - buf), &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_eventsession_header_out(r, "Retry-After", &retry_after)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_body(r, status,
                                      ngx_http_eventsession_problem_type,
                                      body.data, body.len);
}


ngx_int_t
ngx_http_eventsession_problem_instead(ngx_http_request_t *r,
    ngx_http_output_header_filter_pt next, const char *detail, ...)
{
    u_char      *last, buf[NGX_HTTP_EVENTSESSION_DETAIL_MAX];
    va_list      args;
    ngx_int_t    rc;
    ngx_str_t    body;
    ngx_uint_t   status, allowed;

    va_start(args, detail);
    last = ngx_vslprintf(buf, buf + sizeof(buf), detail, args);
    va_end(args);

    if (ngx_http_eventsession_problem_text(r, r->headers_out.status, buf,
                                           (size_t) (last - buf), &body)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a page may read what it was told, whoever told it */

    if (!ngx_http_eventsession_cors_done(r)
        && ngx_http_eventsession_cors_origin(r, &allowed) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * A limit of the operator's is no failure of ours.  Where a filter has put
     * the page in place of a reply, that reply is counted.
     */

    if (!r->filter_finalize) {
        status = r->headers_out.status;

        ngx_http_eventsession_account_answer(r,
                   (status == NGX_HTTP_SERVICE_UNAVAILABLE)
                   ? NGX_HTTP_TOO_MANY_REQUESTS : status);
    }

    rc = ngx_http_eventsession_send(r, ngx_http_eventsession_problem_type,
                                    &body, next);

    r->header_only = 1;

    return rc;
}


/* The body of a problem, in memory of the request's: NGX_OK or NGX_ERROR. */

static ngx_int_t
ngx_http_eventsession_problem_text(ngx_http_request_t *r, ngx_uint_t status,
    const u_char *detail, size_t len, ngx_str_t *body)
{
    u_char      *p;
    size_t       size;
    const char  *title;
    ngx_uint_t   i;

    ngx_http_eventsession_account_error(r, detail, len);

    for (i = 0; ngx_http_eventsession_titles[i].status != status; i++) {
        if (ngx_http_eventsession_titles[i].status == 0) {
            break;
        }
    }

    title = ngx_http_eventsession_titles[i].title;

    size = evs_json_escape(NULL, detail, len)
           + sizeof("{\"type\":\"about:blank\",\"title\":\"\","
                    "\"status\":,\"detail\":\"\"}")
           + ngx_strlen(title) + NGX_INT_T_LEN;

    body->data = ngx_pnalloc(r->pool, size);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(body->data, "{\"type\":\"about:blank\","
                    "\"title\":\"%s\",\"status\":%ui,\"detail\":\"",
                    title, status);
    p += evs_json_escape(p, detail, len);
    p = ngx_cpymem(p, "\"}", 2);

    body->len = (size_t) (p - body->data);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_body(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *body, size_t len)
{
    ngx_str_t  text;

    text.data = body;
    text.len = len;

    ngx_http_eventsession_account_answer(r, status);

    r->headers_out.status = status;

    /* nginx looks at preconditions now: too late for what has been stored */

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        r->disable_not_modified = 1;
    }

    return ngx_http_eventsession_send(r, type, &text, ngx_http_send_header);
}


/* Sends the header by the function given, and the body behind it. */

static ngx_int_t
ngx_http_eventsession_send(ngx_http_request_t *r, const char *type,
    const ngx_str_t *body, ngx_http_output_header_filter_pt header)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    r->headers_out.content_length_n = (off_t) body->len;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = (body->len != 0);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
