
/*
 * POST /api/v1/events/ (contract, section 4): each event of what is posted is
 * looked at, the application is asked for, and all is stored as one message.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/track.h"
#include "http/account.h"
#include "http/fields.h"
#include "http/posted.h"
#include "http/reply.h"
#include "http/schema.h"
#include "http/track.h"
#include "ngx_http_eventsession_module.h"
#include "store/append.h"


typedef struct {
    ngx_http_eventsession_posted_t   posted;
    evs_track_t                      track;      /* the request's */
    evs_append_t                     append;
} ngx_http_eventsession_track_t;


static ngx_int_t ngx_http_eventsession_track_begin(
    ngx_http_eventsession_posted_t *posted);
static ngx_int_t ngx_http_eventsession_track_parse(
    ngx_http_eventsession_track_t *ctx, ngx_str_t *body);
static void ngx_http_eventsession_track_session(
    ngx_http_eventsession_track_t *ctx);
static ngx_int_t ngx_http_eventsession_track_schemas(
    ngx_http_eventsession_track_t *ctx);
static ngx_int_t ngx_http_eventsession_track_trusted(
    ngx_http_eventsession_posted_t *posted);
static ngx_int_t ngx_http_eventsession_track_refuse(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_track_append(
    ngx_http_eventsession_track_t *ctx);
static void ngx_http_eventsession_track_stored(void *data,
    const char *failure);
static ngx_int_t ngx_http_eventsession_track_events(
    ngx_http_eventsession_track_t *ctx);


static const char *const  ngx_http_eventsession_track_types[] = {
    "application/json", NULL
};

static const ngx_http_eventsession_posted_handlers_t
    ngx_http_eventsession_track_handlers =
{
    ngx_http_eventsession_track_types,
    sizeof(ngx_http_eventsession_track_t),
    ngx_http_eventsession_track_begin,
    ngx_http_eventsession_track_trusted,
    ngx_http_eventsession_track_refuse,
    NULL,
    NULL
};


ngx_int_t
ngx_http_eventsession_track_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_POST);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_eventsession_posted_read(r,
                                       &ngx_http_eventsession_track_handlers);
}


static ngx_int_t
ngx_http_eventsession_track_begin(ngx_http_eventsession_posted_t *posted)
{
    ngx_int_t                       rc;
    ngx_http_eventsession_track_t  *ctx;

    ctx = (ngx_http_eventsession_track_t *) posted;

    rc = ngx_http_eventsession_track_parse(ctx, &posted->body);

    return (rc == NGX_DECLINED) ? ngx_http_eventsession_posted_trust(posted)
                                : rc;
}


/* NGX_DECLINED: there are no faults; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_track_parse(ngx_http_eventsession_track_t *ctx,
    ngx_str_t *body)
{
    ngx_int_t                          rc;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->posted.request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ctx->track.fields.pool = r->pool;

    rc = evs_track_parse(&ctx->track, body->data, body->len,
                         ctx->posted.names, &elcf->limits, elcf->sid_kind);

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
        ngx_http_eventsession_account_session(ctx->posted.request,
                                              &items[0].sid);
    }
}


static ngx_int_t
ngx_http_eventsession_track_schemas(ngx_http_eventsession_track_t *ctx)
{
    ngx_int_t                          rc;
    ngx_uint_t                         i, steps;
    evs_track_item_t                  *item;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(ctx->posted.request,
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


static ngx_int_t
ngx_http_eventsession_track_trusted(ngx_http_eventsession_posted_t *posted)
{
    ngx_int_t                       rc;
    ngx_http_eventsession_track_t  *ctx;

    ctx = (ngx_http_eventsession_track_t *) posted;

    if (ctx->track.nitems == 0) {
        return ngx_http_eventsession_track_events(ctx);
    }

    rc = ngx_http_eventsession_posted_room(posted);

    return (rc == NGX_DECLINED) ? ngx_http_eventsession_track_append(ctx) : rc;
}


static ngx_int_t
ngx_http_eventsession_track_refuse(ngx_http_request_t *r)
{
    static u_char  unknown[] = "{\"detail\":\"Application not found.\"}";

    ngx_http_eventsession_account_error(r,
                                (const u_char *) "Application not found.", 22);

    return ngx_http_eventsession_body(r, NGX_HTTP_BAD_REQUEST,
                                      "application/json", unknown,
                                      sizeof(unknown) - 1);
}


static ngx_int_t
ngx_http_eventsession_track_append(ngx_http_eventsession_track_t *ctx)
{
    ngx_uint_t                         i, n;
    ngx_http_request_t                *r;
    evs_append_event_t                *events;
    const evs_append_event_t         **pointers;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->posted.request;
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
    ctx->append.application = ctx->posted.application;

    /* before anything can be done with it */

    ctx->posted.storing = 1;

    if (evs_append_events(&elcf->store, ctx->posted.node, pointers, n,
                          &ctx->append)
        != NGX_OK)
    {
        ctx->posted.storing = 0;
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

    ngx_http_eventsession_account_stored(ctx->posted.request, EVS_STATS_TRACK,
                                         ctx->append.entries, failure);

    r = ngx_http_eventsession_posted_stored(&ctx->posted);

    if (r == NULL) {
        return;
    }

    if (failure != NULL) {
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "not stored: %s, try again later",
                                           failure);
    } else {
        rc = ngx_http_eventsession_track_events(ctx);
    }

    ngx_http_eventsession_posted_go_on(r, rc);
}


static ngx_int_t
ngx_http_eventsession_track_events(ngx_http_eventsession_track_t *ctx)
{
    ngx_str_t  json;

    if (evs_track_events_json(&ctx->track, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_body(ctx->posted.request, NGX_HTTP_CREATED,
                                      "application/json", json.data,
                                      json.len);
}
