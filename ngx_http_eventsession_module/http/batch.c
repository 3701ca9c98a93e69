
/*
 * POST /events (contract, section 3): the events of what is posted go to the
 * workers of their shards, and the reply is made when all are stored.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/batch.h"
#include "http/batch_read.h"
#include "http/header.h"
#include "http/posted.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "store/batch.h"


#define NGX_HTTP_EVENTSESSION_KEY_MAX      255

/* of the media types below */
#define NGX_HTTP_EVENTSESSION_BATCH_LINES  1


typedef struct {
    ngx_http_eventsession_posted_t   posted;
    ngx_str_t                       *key;    /* Idempotency-Key; NULL: none */
    evs_batch_t                      batch;
} ngx_http_eventsession_batch_t;


static ngx_int_t ngx_http_eventsession_batch_post(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_batch_key(ngx_http_request_t *r,
    ngx_str_t **key);
static ngx_int_t ngx_http_eventsession_batch_begin(
    ngx_http_eventsession_posted_t *posted);
static void ngx_http_eventsession_batch_leave(
    ngx_http_eventsession_posted_t *posted);
static void ngx_http_eventsession_batch_free(
    ngx_http_eventsession_posted_t *posted);
static ngx_int_t ngx_http_eventsession_batch_trusted(
    ngx_http_eventsession_posted_t *posted);
static ngx_int_t ngx_http_eventsession_batch_single(ngx_http_request_t *r,
    ngx_uint_t *single);
static void ngx_http_eventsession_batch_digests(
    ngx_http_eventsession_batch_t *ctx);
static void ngx_http_eventsession_batch_planned(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_batch_follow(
    ngx_http_eventsession_batch_t *ctx, ngx_int_t rc, const char *failure);
static ngx_int_t ngx_http_eventsession_batch_store(
    ngx_http_eventsession_batch_t *ctx);
static ngx_int_t ngx_http_eventsession_batch_read(
    ngx_http_eventsession_batch_t *ctx);
static void ngx_http_eventsession_batch_done(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_batch_accepted(
    ngx_http_eventsession_batch_t *ctx);


static const char *const  ngx_http_eventsession_batch_types[] = {
    "application/json", "application/x-ndjson", NULL
};

static const ngx_http_eventsession_posted_handlers_t
    ngx_http_eventsession_batch_posted =
{
    ngx_http_eventsession_batch_types,
    sizeof(ngx_http_eventsession_batch_t),
    ngx_http_eventsession_batch_begin,
    ngx_http_eventsession_batch_trusted,
    NULL,
    ngx_http_eventsession_batch_leave,
    ngx_http_eventsession_batch_free
};

static const evs_batch_handlers_t  ngx_http_eventsession_batch_handlers = {
    ngx_http_eventsession_batch_planned,
    ngx_http_eventsession_batch_done
};


ngx_int_t
ngx_http_eventsession_batch_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET|NGX_HTTP_POST);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return (r->method == NGX_HTTP_POST)
           ? ngx_http_eventsession_batch_post(r)
           : ngx_http_eventsession_batch_read_handler(r);
}


static ngx_int_t
ngx_http_eventsession_batch_post(ngx_http_request_t *r)
{
    ngx_int_t   rc;
    ngx_str_t  *key;

    if (ngx_http_eventsession_batch_key(r, &key) != NGX_OK) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                            "the Idempotency-Key must be one, of 1 to %d "
                            "printable ASCII characters",
                            NGX_HTTP_EVENTSESSION_KEY_MAX);
    }

    return ngx_http_eventsession_posted_read(r,
                                         &ngx_http_eventsession_batch_posted);
}


/* NGX_DECLINED: there is one, but it is none. */

static ngx_int_t
ngx_http_eventsession_batch_key(ngx_http_request_t *r, ngx_str_t **key)
{
    size_t  i;

    *key = ngx_http_eventsession_header_in(r, "idempotency-key");

    if (*key == NULL) {
        return NGX_OK;
    }

    if ((*key)->len == 0 || (*key)->len > NGX_HTTP_EVENTSESSION_KEY_MAX
        || ngx_http_eventsession_header_count(r, "idempotency-key") != 1)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < (*key)->len; i++) {
        if ((*key)->data[i] < ' ' || (*key)->data[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * Whatever a body waits for from now on, it takes part of the room that there
 * is.  NGX_DONE: it goes on later; else what to finalize with.  So all below.
 */

static ngx_int_t
ngx_http_eventsession_batch_begin(ngx_http_eventsession_posted_t *posted)
{
    ngx_int_t                          rc;
    evs_batch_t                       *batch;
    ngx_http_eventsession_batch_t     *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    ctx = (ngx_http_eventsession_batch_t *) posted;
    batch = &ctx->batch;

    rc = ngx_http_eventsession_posted_room(posted);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    (void) ngx_http_eventsession_batch_key(posted->request, &ctx->key);

    elcf = ngx_http_get_module_loc_conf(posted->request,
                                        ngx_http_eventsession_module);

    batch->pool = evs_pool(&elcf->workers, &elcf->store, posted->node);
    if (batch->pool == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    batch->store = &elcf->store;
    batch->node = posted->node;
    batch->memory = posted->request->pool;
    batch->log = ngx_cycle->log;
    batch->handlers = &ngx_http_eventsession_batch_handlers;
    batch->data = ctx;

    evs_batch_hold(batch, posted->body.len);

    return ngx_http_eventsession_posted_trust(posted);
}


static void
ngx_http_eventsession_batch_leave(ngx_http_eventsession_posted_t *posted)
{
    ngx_http_eventsession_batch_t  *ctx;

    ctx = (ngx_http_eventsession_batch_t *) posted;

    evs_batch_cancel(&ctx->batch);

    posted->storing = ctx->batch.storing;
}


static void
ngx_http_eventsession_batch_free(ngx_http_eventsession_posted_t *posted)
{
    ngx_http_eventsession_batch_t  *ctx;

    ctx = (ngx_http_eventsession_batch_t *) posted;

    evs_batch_free(&ctx->batch);
}


static ngx_int_t
ngx_http_eventsession_batch_trusted(ngx_http_eventsession_posted_t *posted)
{
    ngx_int_t                       rc;
    ngx_http_eventsession_batch_t  *ctx;

    ctx = (ngx_http_eventsession_batch_t *) posted;
    ctx->batch.application = posted->application;

    if (ngx_http_eventsession_batch_single(posted->request,
                                           &ctx->batch.single)
        != NGX_OK)
    {
        return ngx_http_eventsession_problem(posted->request,
                                      NGX_HTTP_BAD_REQUEST,
                                      "single_shard must be true or false");
    }

    if (ctx->key != NULL) {
        ngx_http_eventsession_batch_digests(ctx);
    }

    rc = evs_batch_plan(&ctx->batch);

    return (rc == NGX_AGAIN)
           ? NGX_DONE
           : ngx_http_eventsession_batch_follow(ctx, rc, "no memory");
}


static ngx_int_t
ngx_http_eventsession_batch_single(ngx_http_request_t *r, ngx_uint_t *single)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "single_shard",
                     sizeof("single_shard") - 1, &value)
        != NGX_OK)
    {
        return NGX_OK;
    }

    if (value.len == 4 && ngx_strncmp(value.data, "true", 4) == 0) {
        *single = 1;
        return NGX_OK;
    }

    return (value.len == 5 && ngx_strncmp(value.data, "false", 5) == 0)
           ? NGX_OK : NGX_DECLINED;
}


/* An application's keys are its own. */

static void
ngx_http_eventsession_batch_digests(ngx_http_eventsession_batch_t *ctx)
{
    evs_batch_t       *batch;
    static ngx_str_t   none = ngx_string("");

    batch = &ctx->batch;
    batch->keyed = 1;

    evs_once_digest(batch->once.digest, ctx->key, &batch->application);
    evs_once_digest(batch->body, &ctx->posted.body, &none);
}


static void
ngx_http_eventsession_batch_planned(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_http_request_t             *r;
    ngx_http_eventsession_batch_t  *ctx = data;

    r = ctx->posted.request;
    rc = ngx_http_eventsession_batch_follow(ctx, rc, failure);

    ngx_http_eventsession_posted_go_on(r, rc);
}


static ngx_int_t
ngx_http_eventsession_batch_follow(ngx_http_eventsession_batch_t *ctx,
    ngx_int_t rc, const char *failure)
{
    switch (rc) {

    case NGX_OK:
        return ngx_http_eventsession_batch_store(ctx);

    case NGX_DONE:
        return ngx_http_eventsession_batch_accepted(ctx);

    case NGX_DECLINED:
        return ngx_http_eventsession_problem(ctx->posted.request, 422,
                           "the Idempotency-Key was sent with another body: "
                           "a new body needs a new key");

    default:
        return ngx_http_eventsession_problem(ctx->posted.request,
                           NGX_HTTP_SERVICE_UNAVAILABLE,
                           "not stored: %s, try again later", failure);
    }
}


static ngx_int_t
ngx_http_eventsession_batch_store(ngx_http_eventsession_batch_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_batch_read(ctx);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ctx->batch.entries == 0) {
        return ngx_http_eventsession_batch_accepted(ctx);
    }

    return (evs_batch_store(&ctx->batch) == NGX_OK)
           ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* NGX_DECLINED: there is no fault; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_batch_read(ngx_http_eventsession_batch_t *ctx)
{
    evs_scan_t                         scan;
    ngx_http_request_t                *r;
    ngx_http_eventsession_posted_t    *posted;
    ngx_http_eventsession_loc_conf_t  *elcf;

    posted = &ctx->posted;
    r = posted->request;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    evs_scan_init_batch(&scan, posted->body.data, posted->body.len,
                        elcf->sid_kind, &elcf->limits, posted->names,
                        evs_batch_now(&ctx->batch),
                        posted->type == NGX_HTTP_EVENTSESSION_BATCH_LINES);

    switch (evs_batch_read(&ctx->batch, &scan)) {

    case NGX_DONE:
        return NGX_DECLINED;

    case NGX_ERROR:
        if (scan.fault.kind == EVS_FAULT_SYNTAX) {
            ngx_http_eventsession_account_syntax(r);
        }

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent a bad body: %*s", scan.fault.len,
                      scan.fault.text);

        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST, "%*s",
                                             scan.fault.len, scan.fault.text);

    default: /* NGX_ABORT */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_eventsession_batch_done(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_http_request_t             *r;
    ngx_http_eventsession_batch_t  *ctx = data;

    if (rc != NGX_DECLINED) {
        ngx_http_eventsession_account_stored(ctx->posted.request,
                                             EVS_STATS_BATCH,
                                             ctx->batch.entries, failure);
    }

    r = ngx_http_eventsession_posted_stored(&ctx->posted);

    if (r == NULL) {
        return;
    }

    switch (rc) {

    case NGX_OK:
        rc = ngx_http_eventsession_batch_accepted(ctx);
        break;

    case NGX_DECLINED:
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_CONFLICT,
                           "a body with this Idempotency-Key is under way: "
                           "send it again when that one is answered");
        break;

    default:
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "not known to be stored: %s, try again later",
                           failure);
        break;
    }

    ngx_http_eventsession_posted_go_on(r, rc);
}


static ngx_int_t
ngx_http_eventsession_batch_accepted(ngx_http_eventsession_batch_t *ctx)
{
    u_char              *json, *last;
    ngx_http_request_t  *r;

    r = ctx->posted.request;

    json = ngx_pnalloc(r->pool, sizeof("{\"accepted\":}") + NGX_INT_T_LEN);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_sprintf(json, "{\"accepted\":%ui}", ctx->batch.entries);

    return ngx_http_eventsession_body(r, NGX_HTTP_OK, "application/json",
                                      json, (size_t) (last - json));
}


ngx_int_t
ngx_http_eventsession_batch_init(ngx_cycle_t *cycle,
    const evs_store_conf_t *store, const evs_pool_conf_t *workers)
{
    evs_redis_node_t  *node;

    node = evs_redis_node(cycle, store->redis);

    return (node == NULL || evs_pool(workers, store, node) == NULL)
           ? NGX_ERROR : NGX_OK;
}
