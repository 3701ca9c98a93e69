
/*
 * POST /event (contract, section 5): the body is read and looked at, and the
 * reply is made when its record is stored.
 *
 * What is under way at the store outlives its request, if the client leaves:
 * it isn't the request pool's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/log_entry.h"
#include "http/account.h"
#include "http/body.h"
#include "http/fields.h"
#include "http/log.h"
#include "http/log_read.h"
#include "http/reply.h"
#include "http/require.h"
#include "ngx_http_eventsession_module.h"
#include "store/log.h"
#include "store/record.h"


typedef struct {
    ngx_http_request_t               *request;   /* NULL: gone */
    ngx_str_t                         body;      /* the request's */
    ngx_http_eventsession_require_t   require;
    evs_log_entry_t                   entry;
    evs_log_write_t                   write;
    unsigned                          storing:1;
} ngx_http_eventsession_log_t;


static ngx_int_t ngx_http_eventsession_log_post(ngx_http_request_t *r);
static void ngx_http_eventsession_log_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_http_eventsession_log_t *ngx_http_eventsession_log_create(
    ngx_http_request_t *r);
static void ngx_http_eventsession_log_cleanup(void *data);
static ngx_int_t ngx_http_eventsession_log_begin(
    ngx_http_eventsession_log_t *ctx);
static void ngx_http_eventsession_log_known(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_log_store(
    ngx_http_eventsession_log_t *ctx, evs_redis_node_t *node);
static ngx_int_t ngx_http_eventsession_log_parse(
    ngx_http_eventsession_log_t *ctx);
static void ngx_http_eventsession_log_stored(void *data, const char *failure);
static ngx_int_t ngx_http_eventsession_log_created(
    ngx_http_eventsession_log_t *ctx);
static void ngx_http_eventsession_log_end(ngx_http_request_t *r,
    ngx_int_t rc);


static const ngx_http_eventsession_body_type_t
    ngx_http_eventsession_log_types[] =
{
    { "application/json", ngx_http_eventsession_log_body },
    { NULL, NULL }
};


/* of this process: the names of an object that is read */
static evs_json_names_t  *ngx_http_eventsession_log_names;


ngx_int_t
ngx_http_eventsession_log_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET|NGX_HTTP_POST);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return (r->method == NGX_HTTP_POST)
           ? ngx_http_eventsession_log_post(r)
           : ngx_http_eventsession_log_read_handler(r);
}


static ngx_int_t
ngx_http_eventsession_log_post(ngx_http_request_t *r)
{
    if (ngx_http_eventsession_log_names == NULL) {
        ngx_http_eventsession_log_names = evs_json_names_create();
        if (ngx_http_eventsession_log_names == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_eventsession_read_body(r, ngx_http_eventsession_log_types);
}


void
ngx_http_eventsession_log_exit(void)
{
    if (ngx_http_eventsession_log_names != NULL) {
        evs_json_names_destroy(ngx_http_eventsession_log_names);
        ngx_http_eventsession_log_names = NULL;
    }
}


static void
ngx_http_eventsession_log_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t                     rc;
    ngx_http_eventsession_log_t  *ctx;

    ctx = ngx_http_eventsession_log_create(r);

    if (ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->body = *body;

    rc = ngx_http_eventsession_log_begin(ctx);

    if (rc == NGX_DONE) {

        /* it goes on when Redis has answered, unless the client leaves */

        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_http_eventsession_log_t *
ngx_http_eventsession_log_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t           *cln;
    ngx_http_eventsession_log_t  *ctx;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_calloc(sizeof(ngx_http_eventsession_log_t), r->connection->log);
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;

    cln->handler = ngx_http_eventsession_log_cleanup;
    cln->data = ctx;

    return ctx;
}


static void
ngx_http_eventsession_log_cleanup(void *data)
{
    ngx_http_eventsession_log_t  *ctx = data;

    ctx->request = NULL;

    ngx_http_eventsession_require_cancel(&ctx->require);

    if (!ctx->storing) {
        ngx_free(ctx);
    }
}


/* NGX_DONE: Redis was asked; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_log_begin(ngx_http_eventsession_log_t *ctx)
{
    ngx_int_t                          rc;
    evs_redis_node_t                  *node;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(ctx->request,
                                        ngx_http_eventsession_module);

    node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);
    if (node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->require.request = ctx->request;
    ctx->require.data = ctx;
    ctx->require.done = ngx_http_eventsession_log_known;

    rc = ngx_http_eventsession_require(&ctx->require, node);

    return (rc == NGX_DECLINED) ? ngx_http_eventsession_log_store(ctx, node)
                                : rc;
}


static void
ngx_http_eventsession_log_known(void *data, ngx_int_t rc)
{
    evs_redis_node_t                  *node;
    ngx_http_request_t                *r;
    ngx_http_eventsession_log_t       *ctx = data;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;

    if (rc == NGX_DECLINED) {
        elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

        node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);

        rc = (node == NULL) ? NGX_HTTP_INTERNAL_SERVER_ERROR
                            : ngx_http_eventsession_log_store(ctx, node);
    }

    if (rc != NGX_DONE) {
        ngx_http_eventsession_log_end(r, rc);
    }
}


static ngx_int_t
ngx_http_eventsession_log_store(ngx_http_eventsession_log_t *ctx,
    evs_redis_node_t *node)
{
    ngx_int_t                          rc;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_log_parse(ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!evs_store_has_room(&elcf->store, node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    ctx->write.data = ctx;
    ctx->write.done = ngx_http_eventsession_log_stored;
    ctx->write.application = ctx->require.application;

    /* before anything can be done with it */

    ctx->storing = 1;

    if (evs_log_write(&elcf->store, node, &ctx->entry.record, &ctx->write)
        != NGX_OK)
    {
        ctx->storing = 0;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


/* NGX_DECLINED: there are no faults; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_log_parse(ngx_http_eventsession_log_t *ctx)
{
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ctx->entry.fields.pool = r->pool;

    switch (evs_log_entry_parse(&ctx->entry, ctx->body.data, ctx->body.len,
                                ngx_http_eventsession_log_names,
                                elcf->limits.data))
    {

    case NGX_OK:
        return ctx->entry.fields.nfaulty
               ? ngx_http_eventsession_fields_faults(r, &ctx->entry.fields)
               : NGX_DECLINED;

    case NGX_DECLINED:
        return ngx_http_eventsession_fields_syntax(r, &ctx->entry.fields);

    default: /* NGX_ABORT */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_eventsession_log_stored(void *data, const char *failure)
{
    ngx_int_t                     rc;
    ngx_http_request_t           *r;
    ngx_http_eventsession_log_t  *ctx = data;

    r = ctx->request;
    ctx->storing = 0;

    ngx_http_eventsession_account_stored(r, EVS_STATS_LOG, 1, failure);

    if (r == NULL) {
        ngx_free(ctx);
        return;
    }

    if (failure != NULL) {
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "not known to be stored: %s, try again later",
                           failure);
    } else {
        rc = ngx_http_eventsession_log_created(ctx);
    }

    ngx_http_eventsession_log_end(r, rc);
}


static ngx_int_t
ngx_http_eventsession_log_created(ngx_http_eventsession_log_t *ctx)
{
    u_char              *json, *last;
    ngx_http_request_t  *r;

    r = ctx->request;

    json = ngx_pnalloc(r->pool, evs_record_json_max(&ctx->entry.record));
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = evs_record_json(json, &ctx->entry.record);

    return ngx_http_eventsession_body(r, NGX_HTTP_CREATED, "application/json",
                                      json, (size_t) (last - json));
}


/* From an event that is not the request's own. */

static void
ngx_http_eventsession_log_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
