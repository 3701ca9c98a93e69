
/*
 * The trust in the application behind a WebSocket, where one is required: it
 * is looked at when the connection opens, and again before a message when the
 * last answer has become too old, so that a revoked application is not heard
 * over a connection that it still has.
 */


#ifndef _NGX_HTTP_EVENTSESSION_WS_TRUST_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_WS_TRUST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ws.h"
#include "store/apps.h"


typedef struct {
    evs_apps_waiter_t             waiter;     /* with the name */
    evs_sid_t                     uuid;       /* canonical */

    const evs_apps_conf_t        *conf;
    evs_redis_node_t             *node;
    ngx_http_eventsession_ws_t   *ws;         /* set when it is open */

    /*
     * The answer, after NGX_AGAIN: NGX_OK, NGX_DECLINED or NGX_BUSY, and the
     * message that waited for it; NULL: none.
     */
    void                        (*told)(ngx_http_eventsession_ws_t *ws,
                                      ngx_int_t rc, ngx_str_t *message);

    ngx_str_t                     held;       /* a message, while it waits */
    unsigned                      holds:1;
    unsigned                      none:1;     /* the request named none */
} ngx_http_eventsession_ws_trust_t;


/* A zeroed struct; uuid NULL: the request names no application. */
void ngx_http_eventsession_ws_trust_init(
    ngx_http_eventsession_ws_trust_t *trust, const evs_apps_conf_t *conf,
    evs_redis_node_t *node, const evs_sid_t *uuid);

/*
 * Whether the application is trusted, for a message, or for none when the
 * connection opens:
 *
 *     NGX_OK        it is; waiter.name is its name
 *     NGX_DECLINED  it isn't
 *     NGX_BUSY      that can't be told now
 *     NGX_AGAIN     told() will say so; the message is kept, and no other one
 *                   may come meanwhile
 *     NGX_ERROR     no memory
 */
ngx_int_t ngx_http_eventsession_ws_trust_check(
    ngx_http_eventsession_ws_trust_t *trust, const ngx_str_t *message);

/* told() isn't called any more, and a message that waited is forgotten. */
void ngx_http_eventsession_ws_trust_end(
    ngx_http_eventsession_ws_trust_t *trust);


#endif /* _NGX_HTTP_EVENTSESSION_WS_TRUST_H_INCLUDED_ */
