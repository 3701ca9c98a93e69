
/*
 * POST /api/v1/events/ (contract, section 4): the body is read, each of its
 * events is looked at, the application is asked for, and all is stored as one
 * message.
 *
 * What is under way at the store outlives its request, if the client leaves:
 * it isn't the request pool's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/track.h"
#include "http/account.h"
#include "http/application.h"
#include "http/body.h"
#include "http/fields.h"
#include "http/reply.h"
#include "http/schema.h"
#include "http/track.h"
#include "ngx_http_eventsession_module.h"
#include "store/append.h"
#include "store/apps.h"


typedef struct {
    ngx_http_request_t   *request;    /* NULL: gone */
    evs_track_t           track;      /* the request's */
    evs_sid_t             uuid;       /* of the application */
    evs_apps_waiter_t     waiter;
    evs_append_t          append;
    unsigned              storing:1;
} ngx_http_eventsession_track_t;


static void ngx_http_eventsession_track_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_http_eventsession_track_t *ngx_http_eventsession_track_create(
    ngx_http_request_t *r);
static void ngx_http_eventsession_track_cleanup(void *data);
static ngx_int_t ngx_http_eventsession_track_parse(
    ngx_http_eventsession_track_t *ctx, ngx_str_t *body);
static void ngx_http_eventsession_track_session(
    ngx_http_eventsession_track_t *ctx);
static ngx_int_t ngx_http_eventsession_track_schemas(
    ngx_http_eventsession_track_t *ctx);
static ngx_int_t ngx_http_eventsession_track_application(
    ngx_http_eventsession_track_t *ctx);
static void ngx_http_eventsession_track_known(evs_apps_waiter_t *waiter,
    ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_track_trusted(
    ngx_http_eventsession_track_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_track_store(
    ngx_http_eventsession_track_t *ctx);
static ngx_int_t ngx_http_eventsession_track_append(
    ngx_http_eventsession_track_t *ctx, evs_redis_node_t *node);
static void ngx_http_eventsession_track_stored(void *data,
    const char *failure);
static void ngx_http_eventsession_track_end(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_track_events(
    ngx_http_eventsession_track_t *ctx);


static const ngx_http_eventsession_body_type_t
    ngx_http_eventsession_track_types[] =
{
    { "application/json", ngx_http_eventsession_track_body },
    { NULL, NULL }
};


/* of this process: the names of an object that is read */
static evs_json_names_t  *ngx_http_eventsession_track_names;


ngx_int_t
ngx_http_eventsession_track_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_POST);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_http_eventsession_track_names == NULL) {
        ngx_http_eventsession_track_names = evs_json_names_create();
        if (ngx_http_eventsession_track_names == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_eventsession_read_body(r,
                                           ngx_http_eventsession_track_types);
}


void
ngx_http_eventsession_track_exit(void)
{
    if (ngx_http_eventsession_track_names != NULL) {
        evs_json_names_destroy(ngx_http_eventsession_track_names);
        ngx_http_eventsession_track_names = NULL;
    }
}


static void
ngx_http_eventsession_track_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t                       rc;
    ngx_http_eventsession_track_t  *ctx;

    ctx = ngx_http_eventsession_track_create(r);

    if (ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_eventsession_track_parse(ctx, body);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_track_application(ctx);
    }

    if (rc == NGX_DONE) {

        /* it goes on when Redis has answered, unless the client leaves */

        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_http_eventsession_track_t *
ngx_http_eventsession_track_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t             *cln;
    ngx_http_eventsession_track_t  *ctx;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_calloc(sizeof(ngx_http_eventsession_track_t),
                     r->connection->log);
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;

    cln->handler = ngx_http_eventsession_track_cleanup;
    cln->data = ctx;

    return ctx;
}


static void
ngx_http_eventsession_track_cleanup(void *data)
{
    ngx_http_eventsession_track_t  *ctx = data;

    ctx->request = NULL;

    evs_apps_cancel(&ctx->waiter);

    if (!ctx->storing) {
        ngx_free(ctx);
    }
}


/* NGX_DECLINED: there are no faults; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_track_parse(ngx_http_eventsession_track_t *ctx,
    ngx_str_t *body)
{
    ngx_int_t                          rc;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ctx->track.fields.pool = r->pool;

    rc = evs_track_parse(&ctx->track, body->data, body->len,
                         ngx_http_eventsession_track_names, &elcf->limits,
                         elcf->sid_kind);

    if (rc == NGX_DECLINED) {
        return ngx_http_eventsession_fields_syntax(r, &ctx->track.fields);
    }

    if (rc != NGX_OK || ngx_http_eventsession_track_schemas(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_eventsession_track_session(ctx);

    return ctx->track.fields.nfaulty
           ? ngx_http_eventsession_fields_faults(r, &ctx->track.fields)
           : NGX_DECLINED;
}


/* The session of all of them, if they have one. */

static void
ngx_http_eventsession_track_session(ngx_http_eventsession_track_t *ctx)
{
    ngx_uint_t         i;
    evs_track_item_t  *items;

    items = ctx->track.items;

    for (i = 1; i < ctx->track.nitems; i++) {

        if (items[i].sid.len != items[0].sid.len
            || ngx_memcmp(items[i].sid.data, items[0].sid.data,
                          items[0].sid.len)
               != 0)
        {
            return;
        }
    }

    if (i == ctx->track.nitems) {
        ngx_http_eventsession_account_session(ctx->request, &items[0].sid);
    }
}


static ngx_int_t
ngx_http_eventsession_track_schemas(ngx_http_eventsession_track_t *ctx)
{
    ngx_int_t                          rc;
    ngx_uint_t                         i, steps;
    evs_track_item_t                  *item;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(ctx->request,
                                        ngx_http_eventsession_module);

    if (elcf->schemas == NULL) {
        return NGX_OK;
    }

    steps = NGX_HTTP_EVENTSESSION_SCHEMA_STEPS;

    for (i = 0; i < ctx->track.nitems; i++) {
        item = &ctx->track.items[i];

        /* what has faults has no certain kind, or no data */

        if (item->faults.first != NULL) {
            continue;
        }

        rc = ngx_http_eventsession_schema_check(elcf->schemas, &ctx->track,
                                                item, &steps);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* NGX_DONE: Redis was asked; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_track_application(ngx_http_eventsession_track_t *ctx)
{
    ngx_int_t                          rc;
    evs_redis_node_t                  *node;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_application(r, 0, &ctx->uuid);

    if (rc == NGX_OK) {
        node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);
        if (node == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->waiter.data = ctx;
        ctx->waiter.done = ngx_http_eventsession_track_known;

        rc = evs_apps_check(&elcf->apps, node, &ctx->uuid, &ctx->waiter);
    }

    return (rc == NGX_AGAIN) ? NGX_DONE
                             : ngx_http_eventsession_track_trusted(ctx, rc);
}


static void
ngx_http_eventsession_track_known(evs_apps_waiter_t *waiter, ngx_int_t rc)
{
    ngx_http_request_t             *r;
    ngx_http_eventsession_track_t  *ctx;

    ctx = waiter->data;
    r = ctx->request;

    rc = ngx_http_eventsession_track_trusted(ctx, rc);

    if (rc != NGX_DONE) {
        ngx_http_eventsession_track_end(r, rc);
    }
}


static ngx_int_t
ngx_http_eventsession_track_trusted(ngx_http_eventsession_track_t *ctx,
    ngx_int_t rc)
{
    ngx_http_request_t  *r;

    static u_char  unknown[] = "{\"detail\":\"Application not found.\"}";

    r = ctx->request;

    switch (rc) {

    case NGX_OK:
        return ngx_http_eventsession_track_store(ctx);

    case NGX_BUSY:
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "the application can't be looked up, try again "
                           "later");

    default:
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client is of no trusted application");

        ngx_http_eventsession_account_error(r,
                                (const u_char *) "Application not found.", 22);

        return ngx_http_eventsession_body(r, NGX_HTTP_BAD_REQUEST,
                                          "application/json", unknown,
                                          sizeof(unknown) - 1);
    }
}


static ngx_int_t
ngx_http_eventsession_track_store(ngx_http_eventsession_track_t *ctx)
{
    evs_redis_node_t                  *node;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;

    if (ctx->track.nitems == 0) {
        return ngx_http_eventsession_track_events(ctx);
    }

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);
    if (node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!evs_store_has_room(&elcf->store, node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    return ngx_http_eventsession_track_append(ctx, node);
}


static ngx_int_t
ngx_http_eventsession_track_append(ngx_http_eventsession_track_t *ctx,
    evs_redis_node_t *node)
{
    ngx_uint_t                         i, n;
    ngx_http_request_t                *r;
    evs_append_event_t                *events;
    const evs_append_event_t         **pointers;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->request;
    n = ctx->track.nitems;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    events = ngx_palloc(r->pool, n * sizeof(evs_append_event_t));
    pointers = ngx_palloc(r->pool, n * sizeof(evs_append_event_t *));

    if (events == NULL || pointers == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        events[i].sid = ctx->track.items[i].sid;
        events[i].entry = ctx->track.items[i].entry;
        events[i].id = NULL;
        pointers[i] = &events[i];
    }

    ctx->append.data = ctx;
    ctx->append.done = ngx_http_eventsession_track_stored;
    ctx->append.application = ctx->waiter.name;

    /* before anything can be done with it */

    ctx->storing = 1;

    if (evs_append_events(&elcf->store, node, pointers, n, &ctx->append)
        != NGX_OK)
    {
        ctx->storing = 0;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_eventsession_track_stored(void *data, const char *failure)
{
    ngx_int_t                       rc;
    ngx_http_request_t             *r;
    ngx_http_eventsession_track_t  *ctx = data;

    r = ctx->request;
    ctx->storing = 0;

    ngx_http_eventsession_account_stored(r, EVS_STATS_TRACK,
                                         ctx->append.entries, failure);

    if (r == NULL) {
        ngx_free(ctx);
        return;
    }

    if (failure != NULL) {
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "not stored: %s, try again later",
                                           failure);
    } else {
        rc = ngx_http_eventsession_track_events(ctx);
    }

    ngx_http_eventsession_track_end(r, rc);
}


/* From an event that is not the request's own. */

static void
ngx_http_eventsession_track_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_track_events(ngx_http_eventsession_track_t *ctx)
{
    ngx_str_t  json;

    if (evs_track_events_json(&ctx->track, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_body(ctx->request, NGX_HTTP_CREATED,
                                      "application/json", json.data,
                                      json.len);
}
