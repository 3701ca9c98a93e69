
/*
 * Between the halves of the WebSocket room: the upgrade and the connection.
 */


#ifndef _NGX_HTTP_EVENTSESSION_WS_CONN_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_WS_CONN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ws.h"


/* NULL: no memory; data is still the caller's */
ngx_http_eventsession_ws_t *ngx_http_eventsession_ws_create(
    ngx_connection_t *c, const ngx_http_eventsession_ws_conf_t *conf,
    const ngx_http_eventsession_ws_app_t *app, void *data);

/* Calls app->closed and frees all but the connection. */
void ngx_http_eventsession_ws_free(ngx_http_eventsession_ws_t *ws);

/* Takes the connection over from nginx's HTTP. */
void ngx_http_eventsession_ws_take_over(ngx_http_eventsession_ws_t *ws);


#endif /* _NGX_HTTP_EVENTSESSION_WS_CONN_H_INCLUDED_ */
