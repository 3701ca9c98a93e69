
/*
 * POST /event (contract, section 5): what is posted is looked at, and the
 * reply is made when its record is stored.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/log_entry.h"
#include "http/account.h"
#include "http/fields.h"
#include "http/log.h"
#include "http/log_read.h"
#include "http/posted.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "store/log.h"
#include "store/record.h"


typedef struct {
    ngx_http_eventsession_posted_t   posted;
    evs_log_entry_t                  entry;
    evs_log_write_t                  write;
} ngx_http_eventsession_log_t;


static ngx_int_t ngx_http_eventsession_log_trusted(
    ngx_http_eventsession_posted_t *posted);
static ngx_int_t ngx_http_eventsession_log_parse(
    ngx_http_eventsession_log_t *ctx);
static void ngx_http_eventsession_log_stored(void *data, const char *failure);
static ngx_int_t ngx_http_eventsession_log_created(
    ngx_http_eventsession_log_t *ctx);


static const char *const  ngx_http_eventsession_log_types[] = {
    "application/json", NULL
};

static const ngx_http_eventsession_posted_handlers_t
    ngx_http_eventsession_log_handlers =
{
    ngx_http_eventsession_log_types,
    sizeof(ngx_http_eventsession_log_t),
    ngx_http_eventsession_posted_trust,
    ngx_http_eventsession_log_trusted,
    NULL,
    NULL,
    NULL
};


ngx_int_t
ngx_http_eventsession_log_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET|NGX_HTTP_POST);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return (r->method == NGX_HTTP_POST)
           ? ngx_http_eventsession_posted_read(r,
                                          &ngx_http_eventsession_log_handlers)
           : ngx_http_eventsession_log_read_handler(r);
}


static ngx_int_t
ngx_http_eventsession_log_trusted(ngx_http_eventsession_posted_t *posted)
{
    ngx_int_t                          rc;
    ngx_http_eventsession_log_t       *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    ctx = (ngx_http_eventsession_log_t *) posted;
    elcf = ngx_http_get_module_loc_conf(posted->request,
                                        ngx_http_eventsession_module);

    rc = ngx_http_eventsession_log_parse(ctx);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_posted_room(posted);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx->write.data = ctx;
    ctx->write.done = ngx_http_eventsession_log_stored;
    ctx->write.application = posted->application;

    /* before anything can be done with it */

    posted->storing = 1;

    if (evs_log_write(&elcf->store, posted->node, &ctx->entry.record,
                      &ctx->write)
        != NGX_OK)
    {
        posted->storing = 0;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


/* NGX_DECLINED: there are no faults; else what to finalize with. */

static ngx_int_t
ngx_http_eventsession_log_parse(ngx_http_eventsession_log_t *ctx)
{
    ngx_str_t                         *body;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = ctx->posted.request;
    body = &ctx->posted.body;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ctx->entry.fields.pool = r->pool;

    switch (evs_log_entry_parse(&ctx->entry, body->data, body->len,
                                ctx->posted.names, elcf->limits.data))
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

    ngx_http_eventsession_account_stored(ctx->posted.request, EVS_STATS_LOG, 1,
                                         failure);

    r = ngx_http_eventsession_posted_stored(&ctx->posted);

    if (r == NULL) {
        return;
    }

    if (failure != NULL) {
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "not known to be stored: %s, try again later",
                           failure);
    } else {
        rc = ngx_http_eventsession_log_created(ctx);
    }

    ngx_http_eventsession_posted_go_on(r, rc);
}


static ngx_int_t
ngx_http_eventsession_log_created(ngx_http_eventsession_log_t *ctx)
{
    u_char              *json, *last;
    ngx_http_request_t  *r;

    r = ctx->posted.request;

    json = ngx_pnalloc(r->pool, evs_record_json_max(&ctx->entry.record));
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = evs_record_json(json, &ctx->entry.record);

    return ngx_http_eventsession_body(r, NGX_HTTP_CREATED, "application/json",
                                      json, (size_t) (last - json));
}
