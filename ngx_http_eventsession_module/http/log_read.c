
/*
 * The records of the event log as one array, in pages (http/pages.h); or how
 * they are found (http/log_explain.h).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/log_explain.h"
#include "http/log_read.h"
#include "http/pages.h"
#include "http/query.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "store/log_read.h"
#include "store/record.h"


typedef struct {
    ngx_http_eventsession_pages_t  pages;
    evs_log_read_t                 read;
} ngx_http_eventsession_log_read_t;


static ngx_int_t ngx_http_eventsession_log_read_arguments(
    ngx_http_eventsession_log_read_t *ctx);
static ngx_int_t ngx_http_eventsession_log_read_filter(ngx_http_request_t *r,
    const evs_filter_t **filter);
static ngx_int_t ngx_http_eventsession_log_read_choice(ngx_http_request_t *r,
    evs_log_choice_e *choice);
static ngx_int_t ngx_http_eventsession_log_read_explaining(
    ngx_http_request_t *r, ngx_uint_t *explaining);
static ngx_int_t ngx_http_eventsession_log_read_plan(
    ngx_http_eventsession_log_read_t *ctx);
static void ngx_http_eventsession_log_read_cleanup(void *data);
static void ngx_http_eventsession_log_read_planned(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_log_read_record(void *data,
    const evs_record_t *record);


static const char *const  ngx_http_eventsession_log_read_names[] = {
    "q", "plan", "limit", NULL
};


static const ngx_http_eventsession_pages_kind_t
    ngx_http_eventsession_log_read_pages =
{
    &evs_log_reader,
    "log",
    NULL,
    NULL,
    ngx_string("]"),
    ngx_http_eventsession_log_read_names
};


static const evs_log_read_handlers_t
    ngx_http_eventsession_log_read_handlers =
{
    ngx_http_eventsession_log_read_record,
    ngx_http_eventsession_pages_page
};


static const evs_log_read_handlers_t
    ngx_http_eventsession_log_read_plan_handlers =
{
    NULL,
    ngx_http_eventsession_log_read_planned
};


ngx_int_t
ngx_http_eventsession_log_read_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    evs_log_read_t                    *read;
    ngx_http_eventsession_loc_conf_t  *elcf;
    ngx_http_eventsession_log_read_t  *ctx;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_log_read_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->pages.request = r;

    rc = ngx_http_eventsession_log_read_arguments(ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    read = &ctx->read;

    rc = ngx_http_eventsession_pages_node(r, &elcf->store, &read->node);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    read->conf = &elcf->store;
    read->pool = r->pool;
    read->log = r->connection->log;

    if (read->explaining) {
        return ngx_http_eventsession_log_read_plan(ctx);
    }

    read->handlers = &ngx_http_eventsession_log_read_handlers;
    read->data = &ctx->pages;

    ctx->pages.kind = &ngx_http_eventsession_log_read_pages;
    ctx->pages.read = read;
    ctx->pages.cursor = &read->cursor;
    ctx->pages.limit = read->want;

    return ngx_http_eventsession_pages_start(&ctx->pages);
}


/* NGX_DECLINED: all are right; otherwise a reply has been made.  So below. */

static ngx_int_t
ngx_http_eventsession_log_read_arguments(ngx_http_eventsession_log_read_t *ctx)
{
    ngx_int_t            rc;
    ngx_uint_t           explaining;
    evs_range_t          range;
    evs_log_read_t      *read;
    ngx_http_request_t  *r;

    r = ctx->pages.request;
    read = &ctx->read;

    rc = ngx_http_eventsession_query_page(r, &range);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    read->want = range.want;

    if (range.has_after) {

        if (range.after.len != EVS_LOG_READ_ID || range.after.rest != 0) {
            return ngx_http_eventsession_query_bad_after(r);
        }

        read->cursor = range.after;
        read->cursor.rank = 0;
    }

    rc = ngx_http_eventsession_log_read_choice(r, &read->choice);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_log_read_explaining(r, &explaining);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    read->explaining = (explaining != 0);

    return ngx_http_eventsession_log_read_filter(r, &read->filter);
}


static ngx_int_t
ngx_http_eventsession_log_read_filter(ngx_http_request_t *r,
    const evs_filter_t **filter)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    evs_filter_t        *tree;
    evs_filter_fault_t   fault;

    rc = ngx_http_eventsession_query_form(r, "q", &text);

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        rc = evs_filter_parse(&tree, r->pool, &text, &fault);
    }

    switch (rc) {

    case NGX_OK:
        *filter = tree;
        return NGX_DECLINED;

    case NGX_DECLINED:
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             "q is no filter: %V",
                                             &fault.text);

    default: /* NGX_ERROR */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_eventsession_log_read_choice(ngx_http_request_t *r,
    evs_log_choice_e *choice)
{
    ngx_int_t   rc;
    ngx_str_t   value;
    ngx_uint_t  i;

    static const ngx_str_t  names[] = {
        ngx_string("best"),             /* EVS_LOG_BEST */
        ngx_string("scan"),
        ngx_string("range"),
        ngx_string("index")
    };

    rc = ngx_http_eventsession_query_argument(r, "plan", &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (value.len == names[i].len
            && ngx_memcmp(value.data, names[i].data, value.len) == 0)
        {
            *choice = (evs_log_choice_e) i;
            return NGX_DECLINED;
        }
    }

    return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                "plan must be best, scan, range or index");
}


static ngx_int_t
ngx_http_eventsession_log_read_explaining(ngx_http_request_t *r,
    ngx_uint_t *explaining)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_eventsession_query_argument(r, "explain", &value);

    *explaining = 0;

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (value.len != 1 || (value.data[0] != '0' && value.data[0] != '1')) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             "explain must be 0 or 1");
    }

    *explaining = (value.data[0] == '1');

    return NGX_DECLINED;
}


/* The plan alone: a reply that needs no pages. */

static ngx_int_t
ngx_http_eventsession_log_read_plan(ngx_http_eventsession_log_read_t *ctx)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = ctx->pages.request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_eventsession_log_read_cleanup;
    cln->data = &ctx->read;

    ctx->read.handlers = &ngx_http_eventsession_log_read_plan_handlers;
    ctx->read.data = ctx;

    if (evs_log_reader.begin(&ctx->read) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what reads a body that came along reads on */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_eventsession_log_read_cleanup(void *data)
{
    evs_log_reader.cancel(data);
}


static void
ngx_http_eventsession_log_read_planned(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_connection_t                  *c;
    ngx_http_request_t                *r;
    ngx_http_eventsession_log_read_t  *ctx = data;

    r = ctx->pages.request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (rc == NGX_DONE) {
        rc = ngx_http_eventsession_log_explain(r, &ctx->read);

    } else {
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "the log can't be read: %s, try again later", failure);
    }

    ngx_http_finalize_request(r, rc);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_log_read_record(void *data, const evs_record_t *record)
{
    u_char  *p;

    p = ngx_http_eventsession_pages_event(data, evs_record_json_max(record));

    return ngx_http_eventsession_pages_wrote(data,
                                       p ? evs_record_json(p, record) : NULL);
}
