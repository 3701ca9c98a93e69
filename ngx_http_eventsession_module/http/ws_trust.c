
/*
 * The trust in the application behind a WebSocket: see ws_trust.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ws_trust.h"


static ngx_int_t ngx_http_eventsession_ws_trust_hold(
    ngx_http_eventsession_ws_trust_t *trust, const ngx_str_t *message);
static void ngx_http_eventsession_ws_trust_done(evs_apps_waiter_t *waiter,
    ngx_int_t rc);


void
ngx_http_eventsession_ws_trust_init(ngx_http_eventsession_ws_trust_t *trust,
    const evs_apps_conf_t *conf, evs_redis_node_t *node,
    const evs_sid_t *uuid)
{
    trust->conf = conf;
    trust->node = node;

    trust->waiter.data = trust;
    trust->waiter.done = ngx_http_eventsession_ws_trust_done;

    if (uuid != NULL) {
        trust->uuid = *uuid;

    } else {
        trust->none = 1;
    }
}


ngx_int_t
ngx_http_eventsession_ws_trust_check(ngx_http_eventsession_ws_trust_t *trust,
    const ngx_str_t *message)
{
    ngx_int_t  rc;

    if (trust->none) {
        return NGX_DECLINED;
    }

    if (trust->waiter.waiting) {
        return ngx_http_eventsession_ws_trust_hold(trust, message);
    }

    if (trust->ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING) {

        /* what was under way behind the END: it is read without a pause, soon
           over, and as trusted as the END */

        return (trust->waiter.name.len != 0) ? NGX_OK : NGX_BUSY;
    }

    if (trust->waiter.name.len != 0
        && (ngx_msec_int_t) (trust->waiter.until - ngx_current_msec) > 0)
    {
        return NGX_OK;
    }

    trust->waiter.name.len = 0;

    rc = evs_apps_check(trust->conf, trust->node, &trust->uuid,
                        &trust->waiter);

    if (rc == NGX_AGAIN) {
        return ngx_http_eventsession_ws_trust_hold(trust, message);
    }

    return rc;
}


static ngx_int_t
ngx_http_eventsession_ws_trust_hold(ngx_http_eventsession_ws_trust_t *trust,
    const ngx_str_t *message)
{
    if (message == NULL) {
        return NGX_AGAIN;
    }

    trust->held.data = ngx_alloc(message->len + 1,
                                 trust->ws->connection->log);
    if (trust->held.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(trust->held.data, message->data, message->len);
    trust->held.len = message->len;
    trust->holds = 1;

    return NGX_AGAIN;
}


static void
ngx_http_eventsession_ws_trust_done(evs_apps_waiter_t *waiter, ngx_int_t rc)
{
    ngx_str_t                          held;
    ngx_http_eventsession_ws_trust_t  *trust;

    trust = waiter->data;
    held = trust->held;

    ngx_str_null(&trust->held);

    if (trust->holds) {
        trust->holds = 0;
        trust->told(trust->ws, rc, &held);

    } else {
        trust->told(trust->ws, rc, NULL);
    }

    ngx_free(held.data);
}


void
ngx_http_eventsession_ws_trust_end(ngx_http_eventsession_ws_trust_t *trust)
{
    evs_apps_cancel(&trust->waiter);

    ngx_free(trust->held.data);
    ngx_str_null(&trust->held);
    trust->holds = 0;
}
