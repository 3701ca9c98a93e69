
/*
 * POST /events (contract, section 3): the body is read, its events go to the
 * workers of their shards, and the reply is made when all are stored.
 *
 * What is being stored outlives its request, if the client leaves.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/batch.h"
#include "http/batch_read.h"
#include "http/body.h"
#include "http/header.h"
#include "http/reply.h"
#include "http/require.h"
#include "ngx_http_eventsession_module.h"
#include "store/batch.h"


#define NGX_HTTP_EVENTSESSION_KEY_MAX  255


typedef struct {
    ngx_http_request_t   *request;    /* NULL: gone */
    ngx_str_t             body;       /* the request's, and the rest */
    ngx_str_t            *key;        /* Idempotency-Key; NULL: none */
    evs_batch_t           batch;
    unsigned              lines:1;    /* NDJSON */

    ngx_http_eventsession_require_t  require;
} ngx_http_eventsession_batch_t;


static ngx_int_t ngx_http_eventsession_batch_post(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_batch_key(ngx_http_request_t *r,
    ngx_str_t **key);
static void ngx_http_eventsession_batch_json(ngx_http_request_t *r,
    ngx_str_t *body);
static void ngx_http_eventsession_batch_lines(ngx_http_request_t *r,
    ngx_str_t *body);
static void ngx_http_eventsession_batch_body(ngx_http_request_t *r,
    ngx_str_t *body, ngx_uint_t lines);
static ngx_http_eventsession_batch_t *ngx_http_eventsession_batch_create(
    ngx_http_request_t *r);
static void ngx_http_eventsession_batch_cleanup(void *data);
static void ngx_http_eventsession_batch_free(
    ngx_http_eventsession_batch_t *ctx);
static ngx_int_t ngx_http_eventsession_batch_begin(
    ngx_http_eventsession_batch_t *ctx);
static ngx_int_t ngx_http_eventsession_batch_trust(
    ngx_http_eventsession_batch_t *ctx);
static void ngx_http_eventsession_batch_known(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_batch_trusted(
    ngx_http_eventsession_batch_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_batch_plan(
    ngx_http_eventsession_batch_t *ctx);
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
static void ngx_http_eventsession_batch_end(ngx_http_request_t *r,
    ngx_int_t rc);


static const ngx_http_eventsession_body_type_t
    ngx_http_eventsession_batch_types[] =
{
    { "application/json", ngx_http_eventsession_batch_json },
    { "application/x-ndjson", ngx_http_eventsession_batch_lines },
    { NULL, NULL }
};

static const evs_batch_handlers_t  ngx_http_eventsession_batch_handlers = {
    ngx_http_eventsession_batch_planned,
    ngx_http_eventsession_batch_done
};


/* of this process: the names of an object that is read */
static evs_json_names_t  *ngx_http_eventsession_batch_names;


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

    if (ngx_http_eventsession_batch_names == NULL) {
        ngx_http_eventsession_batch_names = evs_json_names_create();
        if (ngx_http_eventsession_batch_names == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

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

    return ngx_http_eventsession_read_body(r,
                                           ngx_http_eventsession_batch_types);
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


static void
ngx_http_eventsession_batch_json(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_http_eventsession_batch_body(r, body, 0);
}


static void
ngx_http_eventsession_batch_lines(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_http_eventsession_batch_body(r, body, 1);
}


static void
ngx_http_eventsession_batch_body(ngx_http_request_t *r, ngx_str_t *body,
    ngx_uint_t lines)
{
    ngx_int_t                       rc;
    ngx_http_eventsession_batch_t  *ctx;

    ctx = ngx_http_eventsession_batch_create(r);

    if (ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->body = *body;
    ctx->lines = (lines != 0);
    (void) ngx_http_eventsession_batch_key(r, &ctx->key);

    rc = ngx_http_eventsession_batch_begin(ctx);

    if (rc == NGX_DONE) {

        /* it goes on when Redis has answered, unless the client leaves */

        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_http_eventsession_batch_t *
ngx_http_eventsession_batch_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t             *cln;
    ngx_http_eventsession_batch_t  *ctx;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_calloc(sizeof(ngx_http_eventsession_batch_t),
                     r->connection->log);
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;

    cln->handler = ngx_http_eventsession_batch_cleanup;
    cln->data = ctx;

    return ctx;
}


static void
ngx_http_eventsession_batch_cleanup(void *data)
{
    ngx_http_eventsession_batch_t  *ctx = data;

    ctx->request = NULL;

    ngx_http_eventsession_require_cancel(&ctx->require);
    evs_batch_cancel(&ctx->batch);

    if (!ctx->batch.storing) {
        ngx_http_eventsession_batch_free(ctx);
    }
}


static void
ngx_http_eventsession_batch_free(ngx_http_eventsession_batch_t *ctx)
{
    evs_batch_free(&ctx->batch);
    ngx_free(ctx);
}


/*
 * Whatever a body waits for from now on, it takes part of the room that there
 * is.  NGX_DONE: it goes on later; else what to finalize with.  So all below.
 */

static ngx_int_t
ngx_http_eventsession_batch_begin(ngx_http_eventsession_batch_t *ctx)
{
    evs_batch_t                       *batch;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    batch = &ctx->batch;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    batch->node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);
    if (batch->node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!evs_store_has_room(&elcf->store, batch->node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    batch->pool = evs_pool(&elcf->workers, &elcf->store, batch->node);
    if (batch->pool == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    batch->store = &elcf->store;
    batch->memory = r->pool;
    batch->log = ngx_cycle->log;
    batch->handlers = &ngx_http_eventsession_batch_handlers;
    batch->data = ctx;

    evs_batch_hold(batch, ctx->body.len);

    return ngx_http_eventsession_batch_trust(ctx);
}


static ngx_int_t
ngx_http_eventsession_batch_trust(ngx_http_eventsession_batch_t *ctx)
{
    ngx_http_eventsession_require_t  *require;

    require = &ctx->require;

    require->request = ctx->request;
    require->data = ctx;
    require->done = ngx_http_eventsession_batch_known;

    return ngx_http_eventsession_batch_trusted(ctx,
                  ngx_http_eventsession_require(require, ctx->batch.node));
}


static void
ngx_http_eventsession_batch_known(void *data, ngx_int_t rc)
{
    ngx_http_request_t             *r;
    ngx_http_eventsession_batch_t  *ctx = data;

    r = ctx->request;
    rc = ngx_http_eventsession_batch_trusted(ctx, rc);

    if (rc != NGX_DONE) {
        ngx_http_eventsession_batch_end(r, rc);
    }
}


/* What eventsession_require_application says of the request. */

static ngx_int_t
ngx_http_eventsession_batch_trusted(ngx_http_eventsession_batch_t *ctx,
    ngx_int_t rc)
{
    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx->batch.application = ctx->require.application;

    return ngx_http_eventsession_batch_plan(ctx);
}


static ngx_int_t
ngx_http_eventsession_batch_plan(ngx_http_eventsession_batch_t *ctx)
{
    ngx_int_t  rc;

    if (ngx_http_eventsession_batch_single(ctx->request, &ctx->batch.single)
        != NGX_OK)
    {
        return ngx_http_eventsession_problem(ctx->request,
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
    evs_once_digest(batch->body, &ctx->body, &none);
}


static void
ngx_http_eventsession_batch_planned(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_http_request_t             *r;
    ngx_http_eventsession_batch_t  *ctx = data;

    r = ctx->request;
    rc = ngx_http_eventsession_batch_follow(ctx, rc, failure);

    if (rc != NGX_DONE) {
        ngx_http_eventsession_batch_end(r, rc);
    }
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
        return ngx_http_eventsession_problem(ctx->request, 422,
                           "the Idempotency-Key was sent with another body: "
                           "a new body needs a new key");

    default:
        return ngx_http_eventsession_problem(ctx->request,
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
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    evs_scan_init_batch(&scan, ctx->body.data, ctx->body.len, elcf->sid_kind,
                        &elcf->limits, ngx_http_eventsession_batch_names,
                        evs_batch_now(&ctx->batch), ctx->lines);

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

    r = ctx->request;

    if (rc != NGX_DECLINED) {
        ngx_http_eventsession_account_stored(r, EVS_STATS_BATCH,
                                             ctx->batch.entries, failure);
    }

    if (r == NULL) {
        ngx_http_eventsession_batch_free(ctx);
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

    ngx_http_eventsession_batch_end(r, rc);
}


static ngx_int_t
ngx_http_eventsession_batch_accepted(ngx_http_eventsession_batch_t *ctx)
{
    u_char              *json, *last;
    ngx_http_request_t  *r;

    r = ctx->request;

    json = ngx_pnalloc(r->pool, sizeof("{\"accepted\":}") + NGX_INT_T_LEN);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_sprintf(json, "{\"accepted\":%ui}", ctx->batch.entries);

    return ngx_http_eventsession_body(r, NGX_HTTP_OK, "application/json",
                                      json, (size_t) (last - json));
}


/* From an event that is not the request's own. */

static void
ngx_http_eventsession_batch_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
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


void
ngx_http_eventsession_batch_exit(void)
{
    if (ngx_http_eventsession_batch_names != NULL) {
        evs_json_names_destroy(ngx_http_eventsession_batch_names);
        ngx_http_eventsession_batch_names = NULL;
    }
}
