
/*
 * /healthcheck says that nginx serves; /ready, that Redis answers, too: it
 * asks Redis each time, as a connection that is open may be of no use.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/health.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


/* how long Redis may take, unless eventsession_timeout is shorter, in ms */
#define NGX_HTTP_EVENTSESSION_READY_TIMEOUT  1000


typedef struct {
    ngx_http_request_t  *request;
    evs_redis_node_t    *node;
    evs_redis_cmd_t     *cmd;
} ngx_http_eventsession_ready_t;


static ngx_int_t ngx_http_eventsession_ok(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_not_ready(ngx_http_request_t *r,
    const char *why);
static ngx_int_t ngx_http_eventsession_ping(
    ngx_http_eventsession_ready_t *ctx, ngx_msec_t timeout);
static void ngx_http_eventsession_ping_done(void *data,
    const evs_redis_reply_t *reply);
static void ngx_http_eventsession_ready_cleanup(void *data);


static const evs_redis_handlers_t  ngx_http_eventsession_ping_handlers = {
    NULL,
    ngx_http_eventsession_ping_done
};


ngx_int_t
ngx_http_eventsession_healthcheck_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_eventsession_ok(r);
}


ngx_int_t
ngx_http_eventsession_ready_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    const char                        *down;
    ngx_http_cleanup_t                *cln;
    ngx_http_eventsession_ready_t     *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_ready_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (ctx == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;
    ctx->node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);

    if (ctx->node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    down = evs_redis_down(ctx->node);

    if (down != NULL) {
        return ngx_http_eventsession_not_ready(r, down);
    }

    if (ngx_http_eventsession_ping(ctx,
                                   ngx_min(elcf->store.timeout,
                                       NGX_HTTP_EVENTSESSION_READY_TIMEOUT))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_eventsession_ready_cleanup;
    cln->data = ctx;

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_eventsession_ok(ngx_http_request_t *r)
{
    return ngx_http_eventsession_body(r, NGX_HTTP_OK, "text/plain",
                                      (u_char *) "OK", 2);
}


static ngx_int_t
ngx_http_eventsession_not_ready(ngx_http_request_t *r, const char *why)
{
    return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "%s", why);
}


static ngx_int_t
ngx_http_eventsession_ping(ngx_http_eventsession_ready_t *ctx,
    ngx_msec_t timeout)
{
    u_char  *p;

    p = evs_redis_reserve(ctx->node, 2 * EVS_RESP_ARG_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_resp_argc(p, 1);
    p = evs_resp_arg(p, (u_char *) "PING", 4);

    ctx->cmd = evs_redis_commit(ctx->node, p, 1, timeout,
                                &ngx_http_eventsession_ping_handlers, ctx);

    return (ctx->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_eventsession_ping_done(void *data, const evs_redis_reply_t *reply)
{
    const char                     *down;
    ngx_int_t                       rc;
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_eventsession_ready_t  *ctx = data;

    ctx->cmd = NULL;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (reply->type == EVS_REDIS_STATUS) {
        rc = ngx_http_eventsession_ok(r);

    } else {
        down = evs_redis_down(ctx->node);
        rc = ngx_http_eventsession_not_ready(r, down ? down
                                                  : "Redis does not answer");
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_eventsession_ready_cleanup(void *data)
{
    ngx_http_eventsession_ready_t  *ctx = data;

    if (ctx->cmd != NULL) {
        evs_redis_cancel(ctx->cmd);
        ctx->cmd = NULL;
    }
}
