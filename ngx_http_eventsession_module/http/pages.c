
/*
 * Replies in pages: see pages.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/pages.h"
#include "http/query.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


#define NGX_HTTP_EVENTSESSION_BUFFER    ((size_t) 32768)
#define NGX_HTTP_EVENTSESSION_HELD_MAX  (8 * 1024 * 1024)

/* kept free in front of the first event, for what nearly always stands there */
#define NGX_HTTP_EVENTSESSION_FRONT     128


static void ngx_http_eventsession_pages_cleanup(void *data);
static ngx_inline u_char *ngx_http_eventsession_pages_room(
    ngx_http_eventsession_pages_t *pages, size_t size);
static u_char *ngx_http_eventsession_pages_grow(
    ngx_http_eventsession_pages_t *pages, size_t size);
static void ngx_http_eventsession_pages_end(
    ngx_http_eventsession_pages_t *pages, ngx_buf_t *b, u_char *last);
static ngx_chain_t *ngx_http_eventsession_pages_buffer(
    ngx_http_eventsession_pages_t *pages, size_t size);
static void ngx_http_eventsession_pages_mark(
    ngx_http_eventsession_pages_t *pages);
static ngx_int_t ngx_http_eventsession_pages_step(
    ngx_http_eventsession_pages_t *pages, ngx_int_t rc, const char *failure);
static ngx_int_t ngx_http_eventsession_pages_next(
    ngx_http_eventsession_pages_t *pages);
static ngx_int_t ngx_http_eventsession_pages_begin(
    ngx_http_eventsession_pages_t *pages);
static ngx_int_t ngx_http_eventsession_pages_array(
    ngx_http_eventsession_pages_t *pages);
static ngx_int_t ngx_http_eventsession_pages_send(
    ngx_http_eventsession_pages_t *pages);
static ngx_int_t ngx_http_eventsession_pages_wait(
    ngx_http_eventsession_pages_t *pages);
static void ngx_http_eventsession_pages_writer(ngx_http_request_t *r);


ngx_int_t
ngx_http_eventsession_pages_node(ngx_http_request_t *r,
    const evs_store_conf_t *conf, evs_redis_node_t **node)
{
    *node = evs_redis_node((ngx_cycle_t *) ngx_cycle, conf->redis);

    if (*node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!evs_store_has_room(conf, *node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_eventsession_pages_start(ngx_http_eventsession_pages_t *pages)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = pages->request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_eventsession_pages_cleanup;
    cln->data = pages;

    ngx_http_set_ctx(r, pages, ngx_http_eventsession_module);

    if (pages->kind->reader->begin(pages->read) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_eventsession_pages_cleanup(void *data)
{
    ngx_http_eventsession_pages_t  *pages = data;

    pages->kind->reader->cancel(pages->read);
}


u_char *
ngx_http_eventsession_pages_event(ngx_http_eventsession_pages_t *pages,
    size_t size)
{
    u_char  *p;

    if (pages->limit != 0
        && (pages->events == pages->limit
            || pages->held > NGX_HTTP_EVENTSESSION_HELD_MAX))
    {
        pages->more = 1;
        return NULL;
    }

    p = ngx_http_eventsession_pages_room(pages, size + 1);
    if (p == NULL) {
        pages->failed = 1;
        return NULL;
    }

    if (pages->events++ != 0) {
        *p++ = ',';
    }

    return p;
}


u_char *
ngx_http_eventsession_pages_front(ngx_http_eventsession_pages_t *pages,
    size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    pages->held += size;

    if (pages->out != NULL) {
        b = pages->out->buf;

        if ((size_t) (b->pos - b->start) >= size) {
            b->pos -= size;
            return b->pos;
        }
    }

    cl = ngx_http_eventsession_pages_buffer(pages, size);
    if (cl == NULL) {
        return NULL;
    }

    cl->next = pages->out;
    pages->out = cl;

    if (pages->tail == NULL) {
        pages->tail = cl;
    }

    cl->buf->last += size;

    return cl->buf->pos;
}


/* Room for size bytes at the tail of what is written; NULL: no memory. */

static ngx_inline u_char *
ngx_http_eventsession_pages_room(ngx_http_eventsession_pages_t *pages,
    size_t size)
{
    ngx_buf_t  *b;

    if (pages->tail != NULL) {
        b = pages->tail->buf;

        if ((size_t) (b->end - b->last) >= size) {
            return b->last;
        }
    }

    return ngx_http_eventsession_pages_grow(pages, size);
}


/* The same, in one more buffer. */

static u_char *
ngx_http_eventsession_pages_grow(ngx_http_eventsession_pages_t *pages,
    size_t size)
{
    size_t        front;
    ngx_chain_t  *cl;

    front = (pages->out == NULL && !pages->header_sent)
            ? NGX_HTTP_EVENTSESSION_FRONT : 0;

    cl = ngx_http_eventsession_pages_buffer(pages, front + size);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf->pos += front;
    cl->buf->last += front;

    cl->next = NULL;

    if (pages->tail == NULL) {
        pages->out = cl;

    } else {
        pages->tail->next = cl;
    }

    pages->tail = cl;

    return cl->buf->last;
}


ngx_int_t
ngx_http_eventsession_pages_wrote(ngx_http_eventsession_pages_t *pages,
    u_char *last)
{
    if (last == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_eventsession_pages_end(pages, pages->tail->buf, last);

    return NGX_OK;
}


static void
ngx_http_eventsession_pages_end(ngx_http_eventsession_pages_t *pages,
    ngx_buf_t *b, u_char *last)
{
    pages->held += (size_t) (last - b->last);
    b->last = last;
}


/*
 * An empty buffer of at least size bytes: a used one, or a new one.  There are
 * few sizes of them, so that a used one fits also when events grow.
 */

static ngx_chain_t *
ngx_http_eventsession_pages_buffer(ngx_http_eventsession_pages_t *pages,
    size_t size)
{
    ngx_buf_t     *b;
    ngx_pool_t    *pool;
    ngx_chain_t   *cl, **ll;

    for (ll = &pages->free; *ll; ll = &(*ll)->next) {
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

    pool = pages->request->pool;

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
ngx_http_eventsession_pages_mark(ngx_http_eventsession_pages_t *pages)
{
    pages->page.tail = pages->tail;
    pages->page.last = pages->tail ? pages->tail->buf->last : NULL;
    pages->page.events = pages->events;
    pages->page.held = pages->held;
}


void
ngx_http_eventsession_pages_again(void *data)
{
    ngx_chain_t                    *cl, *next;
    ngx_http_eventsession_pages_t  *pages = data;

    cl = pages->page.tail ? pages->page.tail->next : pages->out;

    for ( /* void */ ; cl; cl = next) {
        next = cl->next;
        cl->next = pages->free;
        pages->free = cl;
    }

    if (pages->page.tail != NULL) {
        pages->page.tail->next = NULL;
        pages->page.tail->buf->last = pages->page.last;

    } else {
        pages->out = NULL;
    }

    pages->tail = pages->page.tail;
    pages->events = pages->page.events;
    pages->held = pages->page.held;
    pages->more = 0;
}


void
ngx_http_eventsession_pages_page(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_eventsession_pages_t  *pages = data;

    r = pages->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_eventsession_pages_step(pages, rc, failure);

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
ngx_http_eventsession_pages_step(ngx_http_eventsession_pages_t *pages,
    ngx_int_t rc, const char *failure)
{
    ngx_uint_t           level;
    ngx_http_request_t  *r;

    r = pages->request;

    if (pages->header_sent
        && (rc == NGX_ERROR || rc == NGX_DECLINED || pages->failed))
    {
        /* the client sees that the reply was cut */

        level = (rc == NGX_DECLINED) ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, r->connection->log, 0,
                      "eventsession: %s read was cut short: %s",
                      pages->kind->what,
                      failure ? failure : "no memory");

        ngx_http_eventsession_account_broken(r, failure ? failure
                                                        : "no memory");
        return NGX_ERROR;
    }

    if (rc == NGX_ERROR || pages->failed) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                   "the %s can't be read: %s, try again later",
                   pages->kind->what, failure ? failure : "no memory");
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_FOUND, "%s",
                                             pages->kind->absent);
    }

    pages->done = (rc == NGX_DONE || pages->more);

    if (pages->limit != 0 && !pages->done) {
        return ngx_http_eventsession_pages_next(pages);
    }

    if (!pages->header_sent) {
        rc = ngx_http_eventsession_pages_begin(pages);

        if (rc != NGX_DONE) {
            return rc;
        }
    }

    return ngx_http_eventsession_pages_send(pages);
}


static ngx_int_t
ngx_http_eventsession_pages_next(ngx_http_eventsession_pages_t *pages)
{
    ngx_http_eventsession_pages_mark(pages);

    if (pages->kind->reader->next(pages->read) == NGX_OK) {
        return NGX_DONE;
    }

    return pages->header_sent ? NGX_ERROR : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * The header, with what the first page told.  NGX_DONE: now the body; else
 * what to finalize the request with.
 */

static ngx_int_t
ngx_http_eventsession_pages_begin(ngx_http_eventsession_pages_t *pages)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = pages->request;

    rc = pages->kind->front ? pages->kind->front(pages)
                            : ngx_http_eventsession_pages_array(pages);

    if (rc != NGX_OK
        || (pages->more
            && ngx_http_eventsession_query_link(r, pages->kind->arguments,
                                                pages->cursor)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (pages->done) {
        r->headers_out.content_length_n = (off_t) (pages->held
                                               + pages->kind->closing.len);
    }

    pages->header_sent = 1;
    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_eventsession_pages_array(ngx_http_eventsession_pages_t *pages)
{
    u_char  *p;

    p = ngx_http_eventsession_pages_front(pages, 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = '[';

    return NGX_OK;
}


/* Gives what is written to the filters, and goes on when it can. */

static ngx_int_t
ngx_http_eventsession_pages_send(ngx_http_eventsession_pages_t *pages)
{
    u_char              *p;
    ngx_int_t            rc;
    const ngx_str_t     *closing;
    ngx_http_request_t  *r;

    r = pages->request;
    closing = &pages->kind->closing;

    if (pages->done) {
        p = ngx_http_eventsession_pages_room(pages, closing->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(p, closing->data, closing->len);
        ngx_http_eventsession_pages_end(pages, pages->tail->buf, p);

        pages->tail->buf->last_buf = (r == r->main);
        pages->tail->buf->last_in_chain = 1;

    } else if (pages->tail != NULL) {
        pages->tail->buf->flush = 1;
    }

    rc = ngx_http_output_filter(r, pages->out);

    ngx_chain_update_chains(r->pool, &pages->free, &pages->busy, &pages->out,
                            (ngx_buf_tag_t) &ngx_http_eventsession_module);

    pages->tail = NULL;
    pages->held = 0;

    if (rc == NGX_ERROR || pages->done) {
        return rc;
    }

    if (r->buffered || r->connection->buffered) {
        return ngx_http_eventsession_pages_wait(pages);
    }

    return ngx_http_eventsession_pages_next(pages);
}


/* The client takes its time: the next page is asked for when it has read. */

static ngx_int_t
ngx_http_eventsession_pages_wait(ngx_http_eventsession_pages_t *pages)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = pages->request;
    wev = r->connection->write;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = ngx_http_eventsession_pages_writer;

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_eventsession_pages_writer(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_event_t                    *wev;
    ngx_http_eventsession_pages_t  *pages;

    pages = ngx_http_get_module_ctx(r, ngx_http_eventsession_module);
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

    ngx_chain_update_chains(r->pool, &pages->free, &pages->busy, &pages->out,
                            (ngx_buf_tag_t) &ngx_http_eventsession_module);

    if (r->buffered || r->connection->buffered) {
        rc = ngx_http_eventsession_pages_wait(pages);

    } else {
        /* the timer of limit_rate stays: it alone ends the delay */

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        r->write_event_handler = ngx_http_request_empty_handler;
        rc = ngx_http_eventsession_pages_next(pages);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}
