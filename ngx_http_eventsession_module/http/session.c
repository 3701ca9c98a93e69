
/*
 * A session as a tree.  Members come in from the store a page at a time and
 * are written as JSON straight into response buffers.  The first page is held
 * until the session's start and end are known, which the tree begins with; if
 * it is the only one the reply has a Content-Length, otherwise it is streamed:
 * the next page is asked for when the client has taken the one before.
 *
 * With limit= the reply is held whole, as its Link header says where the next
 * one begins; a page that grows over HELD_MAX ends early, and the link goes
 * on from there.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "event/time.h"
#include "http/header.h"
#include "http/reply.h"
#include "http/session.h"
#include "ngx_http_eventsession_module.h"
#include "store/read.h"


#define NGX_HTTP_EVENTSESSION_BUFFER    ((size_t) 32768)
#define NGX_HTTP_EVENTSESSION_HELD_MAX  (8 * 1024 * 1024)

#define NGX_HTTP_EVENTSESSION_LIMIT_MAX  1000000

#define NGX_HTTP_EVENTSESSION_DATE_LEN  (sizeof("2021-06-23") - 1)

#define NGX_HTTP_EVENTSESSION_CLOSING   "]}"


typedef struct {
    ngx_http_request_t  *request;
    evs_read_t           read;

    ngx_uint_t           limit;       /* events; 0: all */
    ngx_uint_t           events;      /* written so far */
    size_t               held;        /* bytes written and not yet given out */

    ngx_chain_t         *out;         /* written, not given to the filters */
    ngx_chain_t         *tail;        /* its last link */
    ngx_chain_t         *busy;
    ngx_chain_t         *free;

    struct {                          /* at the page's begin, to go back to */
        ngx_chain_t     *tail;
        u_char          *last;
        ngx_uint_t       events;
        size_t           held;
    } page;

    unsigned             header_sent:1;
    unsigned             more:1;      /* limit was reached, and one more seen */
    unsigned             done:1;      /* the last page is written */
    unsigned             failed:1;    /* no memory while a page came in */
} ngx_http_eventsession_session_t;


static ngx_int_t ngx_http_eventsession_session_arguments(
    ngx_http_request_t *r, ngx_http_eventsession_session_t *ctx);
static ngx_int_t ngx_http_eventsession_session_argument(
    ngx_http_request_t *r, const char *name, ngx_str_t *value);
static ngx_int_t ngx_http_eventsession_session_time(ngx_http_request_t *r,
    const char *name, int64_t *us);
static ngx_int_t ngx_http_eventsession_session_limit(ngx_http_request_t *r,
    ngx_http_eventsession_session_t *ctx);
static void ngx_http_eventsession_session_cleanup(void *data);
static ngx_int_t ngx_http_eventsession_session_event(void *data,
    const evs_member_t *member);
static u_char *ngx_http_eventsession_session_room(
    ngx_http_eventsession_session_t *ctx, size_t size);
static void ngx_http_eventsession_session_wrote(
    ngx_http_eventsession_session_t *ctx, u_char *last);
static ngx_chain_t *ngx_http_eventsession_session_buffer(
    ngx_http_eventsession_session_t *ctx, size_t size);
static void ngx_http_eventsession_session_mark(
    ngx_http_eventsession_session_t *ctx);
static void ngx_http_eventsession_session_again(void *data);
static void ngx_http_eventsession_session_page(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_session_step(
    ngx_http_eventsession_session_t *ctx, ngx_int_t rc, const char *failure);
static ngx_int_t ngx_http_eventsession_session_next(
    ngx_http_eventsession_session_t *ctx);
static ngx_int_t ngx_http_eventsession_session_begin(
    ngx_http_eventsession_session_t *ctx);
static ngx_int_t ngx_http_eventsession_session_root(
    ngx_http_eventsession_session_t *ctx);
static ngx_int_t ngx_http_eventsession_session_link(
    ngx_http_eventsession_session_t *ctx);
static ngx_str_t ngx_http_eventsession_session_link_path(
    ngx_http_request_t *r);
static u_char *ngx_http_eventsession_session_link_argument(
    ngx_http_request_t *r, u_char *p, const char *name);
static ngx_int_t ngx_http_eventsession_session_send(
    ngx_http_eventsession_session_t *ctx);
static ngx_int_t ngx_http_eventsession_session_wait(
    ngx_http_eventsession_session_t *ctx);
static void ngx_http_eventsession_session_writer(ngx_http_request_t *r);


static const evs_read_handlers_t  ngx_http_eventsession_session_handlers = {
    ngx_http_eventsession_session_event,
    ngx_http_eventsession_session_again,
    ngx_http_eventsession_session_page
};


ngx_int_t
ngx_http_eventsession_session_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_cleanup_t                *cln;
    ngx_http_eventsession_session_t   *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_methods(r, elcf->deletes
                                          ? NGX_HTTP_GET|NGX_HTTP_DELETE
                                          : NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method == NGX_HTTP_DELETE) {
        return ngx_http_eventsession_session_delete(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_session_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;

    rc = ngx_http_eventsession_session_arguments(r, ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx->read.conf = &elcf->store;
    ctx->read.handlers = &ngx_http_eventsession_session_handlers;
    ctx->read.data = ctx;
    ctx->read.pool = r->pool;
    ctx->read.log = r->connection->log;
    ctx->read.want = ctx->limit;
    ctx->read.node = evs_redis_node((ngx_cycle_t *) ngx_cycle,
                                    elcf->store.redis);

    if (ctx->read.node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!evs_store_has_room(&elcf->store, ctx->read.node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_eventsession_session_cleanup;
    cln->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_eventsession_module);

    if (evs_read_begin(&ctx->read) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_eventsession_session_cleanup(void *data)
{
    ngx_http_eventsession_session_t  *ctx = data;

    evs_read_cancel(&ctx->read);
}


/* NGX_DECLINED: all are right; otherwise a reply has been made. */

static ngx_int_t
ngx_http_eventsession_session_arguments(ngx_http_request_t *r,
    ngx_http_eventsession_session_t *ctx)
{
    ngx_int_t    rc;
    ngx_str_t    value;
    evs_read_t  *read;

    static const char  *time_detail =
        "%s must be a number of seconds, milliseconds, microseconds or "
        "nanoseconds since the epoch, or an RFC 3339 date-time";

    read = &ctx->read;

    rc = ngx_http_eventsession_session_sid(r, &read->sid);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_session_time(r, "from", &read->from);
    if (rc == NGX_ERROR) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             time_detail, "from");
    }

    read->has_from = (rc == NGX_OK);

    rc = ngx_http_eventsession_session_time(r, "to", &read->to);
    if (rc == NGX_ERROR) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             time_detail, "to");
    }

    read->has_to = (rc == NGX_OK);

    rc = ngx_http_eventsession_session_argument(r, "after", &value);

    if (rc == NGX_ERROR
        || (rc == NGX_OK
            && evs_read_cursor_parse(&read->after, &value) != NGX_OK))
    {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                    "after must be taken from the Link header of a reply");
    }

    read->has_after = (rc == NGX_OK);

    return ngx_http_eventsession_session_limit(r, ctx);
}


static ngx_int_t
ngx_http_eventsession_session_limit(ngx_http_request_t *r,
    ngx_http_eventsession_session_t *ctx)
{
    ngx_int_t  rc, n;
    ngx_str_t  value;

    rc = ngx_http_eventsession_session_argument(r, "limit", &value);

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    n = (rc == NGX_OK) ? ngx_atoi(value.data, value.len) : NGX_ERROR;

    if (n < 1 || n > NGX_HTTP_EVENTSESSION_LIMIT_MAX) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                 "limit must be an integer from 1 to %d",
                                 NGX_HTTP_EVENTSESSION_LIMIT_MAX);
    }

    ctx->limit = (ngx_uint_t) n;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_eventsession_session_sid(ngx_http_request_t *r, evs_sid_t *sid)
{
    u_char                            *p, *last;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    last = r->uri.data + r->uri.len;
    p = r->uri.data;

    if (elcf->location.len != 0 && elcf->location.len <= r->uri.len) {
        p += elcf->location.len;

    } else {
        p = last;

        while (p > r->uri.data && p[-1] != '/') {
            p--;
        }
    }

    if (p < last && *p == '/') {
        p++;
    }

    if (evs_sid_parse(sid, elcf->sid_kind, p, (size_t) (last - p)) != NGX_OK) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
               (elcf->sid_kind == EVS_SID_UUID)
               ? "the session id must be a UUID"
               : "the session id must be 1 to 128 of the characters "
                 "A-Z a-z 0-9 . _ ~ -");
    }

    return NGX_DECLINED;
}


/* NGX_OK; NGX_DECLINED: not there; NGX_ERROR: no memory. */

static ngx_int_t
ngx_http_eventsession_session_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value)
{
    u_char     *src, *dst;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    dst = ngx_pnalloc(r->pool, raw.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;
    src = raw.data;

    ngx_unescape_uri(&dst, &src, raw.len, 0);

    value->len = (size_t) (dst - value->data);

    return NGX_OK;
}


/* NGX_OK; NGX_DECLINED: not there; NGX_ERROR: not a timestamp. */

static ngx_int_t
ngx_http_eventsession_session_time(ngx_http_request_t *r, const char *name,
    int64_t *us)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    evs_json_t         json;
    evs_json_value_t   value;

    rc = ngx_http_eventsession_session_argument(r, name, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the space behind a date, as forms write it; others are of an offset */

    if (text.len > NGX_HTTP_EVENTSESSION_DATE_LEN
        && text.data[NGX_HTTP_EVENTSESSION_DATE_LEN] == '+')
    {
        text.data[NGX_HTTP_EVENTSESSION_DATE_LEN] = ' ';
    }

    if (evs_time_string(text.data, text.len, us) == NGX_OK) {
        return NGX_OK;
    }

    /* a number, and nothing but a number, as JSON writes it */

    if (text.len == 0 || text.data[0] < '0' || text.data[0] > '9') {
        return NGX_ERROR;
    }

    evs_json_init(&json, text.data, text.len, NULL);

    if (evs_json_value(&json, &value) != NGX_OK
        || value.type != EVS_JSON_NUMBER
        || value.last != text.data + text.len
        || evs_time_number(text.data, text.len, us) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_session_event(void *data, const evs_member_t *member)
{
    u_char                           *p;
    ngx_http_eventsession_session_t  *ctx = data;

    if (ctx->limit != 0
        && (ctx->events == ctx->limit
            || ctx->held > NGX_HTTP_EVENTSESSION_HELD_MAX))
    {
        ctx->more = 1;
        return NGX_DECLINED;
    }

    p = ngx_http_eventsession_session_room(ctx,
                                           evs_member_child_max(member) + 1);
    if (p == NULL) {
        ctx->failed = 1;
        return NGX_DECLINED;
    }

    if (ctx->events++ != 0) {
        *p++ = ',';
    }

    p = evs_member_child(p, member);

    ngx_http_eventsession_session_wrote(ctx, p);

    return NGX_OK;
}


/* Room for size bytes at the tail of what is written; NULL: no memory. */

static u_char *
ngx_http_eventsession_session_room(ngx_http_eventsession_session_t *ctx,
    size_t size)
{
    ngx_chain_t  *cl;

    if (ctx->tail == NULL
        || (size_t) (ctx->tail->buf->end - ctx->tail->buf->last) < size)
    {
        cl = ngx_http_eventsession_session_buffer(ctx, size);
        if (cl == NULL) {
            return NULL;
        }

        cl->next = NULL;

        if (ctx->tail == NULL) {
            ctx->out = cl;

        } else {
            ctx->tail->next = cl;
        }

        ctx->tail = cl;
    }

    return ctx->tail->buf->last;
}


static void
ngx_http_eventsession_session_wrote(ngx_http_eventsession_session_t *ctx,
    u_char *last)
{
    ngx_buf_t  *b;

    b = ctx->tail->buf;

    ctx->held += (size_t) (last - b->last);
    b->last = last;
}


/*
 * An empty buffer of at least size bytes: a used one, or a new one.  There are
 * few sizes of them, so that a used one fits also when events grow.
 */

static ngx_chain_t *
ngx_http_eventsession_session_buffer(ngx_http_eventsession_session_t *ctx,
    size_t size)
{
    ngx_buf_t     *b;
    ngx_pool_t    *pool;
    ngx_chain_t   *cl, **ll;

    for (ll = &ctx->free; *ll; ll = &(*ll)->next) {
        cl = *ll;
        b = cl->buf;

        if ((size_t) (b->end - b->start) >= size) {
            *ll = cl->next;
            b->pos = b->start;
            b->last = b->start;
            b->flush = 0;
            b->last_buf = 0;
            b->last_in_chain = 0;
            return cl;
        }
    }

    pool = ctx->request->pool;

    cl = ngx_alloc_chain_link(pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = ngx_create_temp_buf(pool,
                               ngx_align(size, NGX_HTTP_EVENTSESSION_BUFFER));
    if (cl->buf == NULL) {
        return NULL;
    }

    cl->buf->tag = (ngx_buf_tag_t) &ngx_http_eventsession_module;
    cl->buf->recycled = 1;

    return cl;
}


static void
ngx_http_eventsession_session_mark(ngx_http_eventsession_session_t *ctx)
{
    ctx->page.tail = ctx->tail;
    ctx->page.last = ctx->tail ? ctx->tail->buf->last : NULL;
    ctx->page.events = ctx->events;
    ctx->page.held = ctx->held;
}


/* The page comes again: back to the mark. */

static void
ngx_http_eventsession_session_again(void *data)
{
    ngx_chain_t                      *cl, *next;
    ngx_http_eventsession_session_t  *ctx = data;

    cl = ctx->page.tail ? ctx->page.tail->next : ctx->out;

    for ( /* void */ ; cl; cl = next) {
        next = cl->next;
        cl->next = ctx->free;
        ctx->free = cl;
    }

    if (ctx->page.tail != NULL) {
        ctx->page.tail->next = NULL;
        ctx->page.tail->buf->last = ctx->page.last;

    } else {
        ctx->out = NULL;
    }

    ctx->tail = ctx->page.tail;
    ctx->events = ctx->page.events;
    ctx->held = ctx->page.held;
    ctx->more = 0;
}


static void
ngx_http_eventsession_session_page(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_connection_t                 *c;
    ngx_http_request_t               *r;
    ngx_http_eventsession_session_t  *ctx = data;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_eventsession_session_step(ctx, rc, failure);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


/*
 * NGX_DONE: it goes on later; else what to finalize the request with, which
 * may be NGX_AGAIN: then HTTP itself sends the rest.
 */

static ngx_int_t
ngx_http_eventsession_session_step(ngx_http_eventsession_session_t *ctx,
    ngx_int_t rc, const char *failure)
{
    ngx_uint_t           level;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->header_sent
        && (rc == NGX_ERROR || rc == NGX_DECLINED || ctx->failed))
    {
        /* the client sees that the reply was cut */

        level = (rc == NGX_DECLINED) ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, r->connection->log, 0,
                      "eventsession: session read was cut short: %s",
                      failure ? failure : "no memory");
        return NGX_ERROR;
    }

    if (rc == NGX_ERROR || ctx->failed) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                   "the session can't be read: %s, try again later",
                   failure ? failure : "no memory");
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_FOUND,
                                             "there is no such session");
    }

    ctx->done = (rc == NGX_DONE || ctx->more);

    if (ctx->limit != 0 && !ctx->done) {
        return ngx_http_eventsession_session_next(ctx);
    }

    if (!ctx->header_sent) {
        rc = ngx_http_eventsession_session_begin(ctx);

        if (rc != NGX_DONE) {
            return rc;
        }
    }

    return ngx_http_eventsession_session_send(ctx);
}


static ngx_int_t
ngx_http_eventsession_session_next(ngx_http_eventsession_session_t *ctx)
{
    ngx_http_eventsession_session_mark(ctx);

    if (evs_read_next(&ctx->read) == NGX_OK) {
        return NGX_DONE;
    }

    return ctx->header_sent ? NGX_ERROR : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * The header, with what the first page told.  NGX_DONE: now the body; else
 * what to finalize the request with.
 */

static ngx_int_t
ngx_http_eventsession_session_begin(ngx_http_eventsession_session_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ngx_http_eventsession_session_root(ctx) != NGX_OK
        || (ctx->more && ngx_http_eventsession_session_link(ctx) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (ctx->done) {
        r->headers_out.content_length_n = (off_t) ctx->held
                          + (off_t) sizeof(NGX_HTTP_EVENTSESSION_CLOSING) - 1;
    }

    ctx->header_sent = 1;
    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return NGX_DONE;
}


/* The beginning of the tree, in front of the children that are written. */

static ngx_int_t
ngx_http_eventsession_session_root(ngx_http_eventsession_session_t *ctx)
{
    u_char       *p;
    ngx_str_t     start, end;
    ngx_chain_t  *cl;

    static const ngx_str_t  null = ngx_string("null");

    start = ctx->read.start.len ? ctx->read.start : null;
    end = ctx->read.end.len ? ctx->read.end : null;

    cl = ngx_http_eventsession_session_buffer(ctx, start.len + end.len
            + sizeof("{\"type\":\"SESSION\",\"start\":,\"end\":,"
                     "\"children\":["));
    if (cl == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(cl->buf->last, "{\"type\":\"SESSION\",\"start\":%V,"
                    "\"end\":%V,\"children\":[", &start, &end);

    ctx->held += (size_t) (p - cl->buf->last);
    cl->buf->last = p;

    cl->next = ctx->out;
    ctx->out = cl;

    if (ctx->tail == NULL) {
        ctx->tail = cl;
    }

    return NGX_OK;
}


/* Link (RFC 8288) to what follows the last event written. */

static ngx_int_t
ngx_http_eventsession_session_link(ngx_http_eventsession_session_t *ctx)
{
    u_char              *p;
    ngx_str_t            path, value;
    ngx_http_request_t  *r;

    r = ctx->request;

    path = ngx_http_eventsession_session_link_path(r);

    p = ngx_pnalloc(r->pool, sizeof("<?&&&>; rel=\"next\"") + path.len
                    + r->args.len + EVS_READ_CURSOR_MAX + sizeof("after="));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    *p++ = '<';
    p = ngx_cpymem(p, path.data, path.len);
    *p++ = '?';
    p = ngx_http_eventsession_session_link_argument(r, p, "from");
    p = ngx_http_eventsession_session_link_argument(r, p, "to");
    p = ngx_http_eventsession_session_link_argument(r, p, "limit");
    p = ngx_cpymem(p, "after=", 6);
    p = evs_read_cursor_write(p, &ctx->read.cursor);
    p = ngx_cpymem(p, ">; rel=\"next\"", 13);

    value.len = (size_t) (p - value.data);

    return ngx_http_eventsession_header_out(r, "Link", &value);
}


/*
 * The path that the client asked for, which rewrites may have changed since.
 * Where it can't stand in a Link, it is left out: relative to the same path.
 */

static ngx_str_t
ngx_http_eventsession_session_link_path(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t   path;

    path = r->unparsed_uri;
    last = path.data + path.len;

    for (p = path.data; p < last && *p != '?' && *p != '#'; p++) {

        if (*p == '<' || *p == '>' || *p == '"'
            || (*p == '/' && p == path.data + 1))
        {
            ngx_str_null(&path);
            return path;
        }
    }

    path.len = (size_t) (p - path.data);

    return path;
}


/* "<name>=<value>&", if the request has it: its value has been checked. */

static u_char *
ngx_http_eventsession_session_link_argument(ngx_http_request_t *r, u_char *p,
    const char *name)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value)
        != NGX_OK)
    {
        return p;
    }

    return ngx_sprintf(p, "%s=%V&", name, &value);
}


/* Gives what is written to the filters, and goes on when it can. */

static ngx_int_t
ngx_http_eventsession_session_send(ngx_http_eventsession_session_t *ctx)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->done) {
        p = ngx_http_eventsession_session_room(ctx,
                                       sizeof(NGX_HTTP_EVENTSESSION_CLOSING));
        if (p == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(p, NGX_HTTP_EVENTSESSION_CLOSING,
                       sizeof(NGX_HTTP_EVENTSESSION_CLOSING) - 1);
        ngx_http_eventsession_session_wrote(ctx, p);

        ctx->tail->buf->last_buf = (r == r->main);
        ctx->tail->buf->last_in_chain = 1;

    } else if (ctx->tail != NULL) {
        ctx->tail->buf->flush = 1;
    }

    rc = ngx_http_output_filter(r, ctx->out);

    ngx_chain_update_chains(r->pool, &ctx->free, &ctx->busy, &ctx->out,
                            (ngx_buf_tag_t) &ngx_http_eventsession_module);

    ctx->tail = NULL;
    ctx->held = 0;

    if (rc == NGX_ERROR || ctx->done) {
        return rc;
    }

    if (r->buffered || r->connection->buffered) {
        return ngx_http_eventsession_session_wait(ctx);
    }

    return ngx_http_eventsession_session_next(ctx);
}


/* The client takes its time: the next page is asked for when it has read. */

static ngx_int_t
ngx_http_eventsession_session_wait(ngx_http_eventsession_session_t *ctx)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ctx->request;
    wev = r->connection->write;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = ngx_http_eventsession_session_writer;

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_eventsession_session_writer(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_event_t                      *wev;
    ngx_http_eventsession_session_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_eventsession_module);
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_output_filter(r, NULL);

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_chain_update_chains(r->pool, &ctx->free, &ctx->busy, &ctx->out,
                            (ngx_buf_tag_t) &ngx_http_eventsession_module);

    if (r->buffered || r->connection->buffered) {
        rc = ngx_http_eventsession_session_wait(ctx);

    } else {
        /* the timer of limit_rate stays: it alone ends the delay */

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        r->write_event_handler = ngx_http_request_empty_handler;
        rc = ngx_http_eventsession_session_next(ctx);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}
