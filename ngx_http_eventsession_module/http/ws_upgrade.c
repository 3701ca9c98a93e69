
/*
 * The opening handshake (RFC 6455, section 4.2), and the hand-over: the
 * connection leaves nginx's HTTP, and the request with its pools is freed, so
 * that an idle WebSocket costs no more than its connection.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/header.h"
#include "http/origin.h"
#include "http/reply.h"
#include "http/ws.h"
#include "http/ws_conn.h"
#include "proto/ws_handshake.h"


static ngx_int_t ngx_http_eventsession_ws_not_upgrade(ngx_http_request_t *r,
    const char *detail);
static ngx_int_t ngx_http_eventsession_ws_header(ngx_http_request_t *r,
    const ngx_str_t *key, const ngx_str_t *protocol);
static ngx_int_t ngx_http_eventsession_ws_stash_body(
    ngx_http_eventsession_ws_t *ws, ngx_http_request_t *r);
static void ngx_http_eventsession_ws_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc);


ngx_int_t
ngx_http_eventsession_ws_handshake(ngx_http_request_t *r,
    const ngx_array_t *origins, ngx_str_t *key)
{
    ngx_str_t  *value, *origin;

    if (r->method != NGX_HTTP_GET) {
        static const ngx_str_t  allow = ngx_string("GET");

        if (ngx_http_discard_request_body(r) != NGX_OK
            || ngx_http_eventsession_header_out(r, "Allow", &allow) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_ALLOWED,
                        "a WebSocket is opened with GET, not with %V",
                        &r->method_name);
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_http_eventsession_header_has(r, "upgrade", "websocket")
        || r->http_version < NGX_HTTP_VERSION_11
        || r->http_version >= NGX_HTTP_VERSION_20
        || r != r->main)
    {
        return ngx_http_eventsession_ws_not_upgrade(r,
                  "this endpoint speaks WebSocket: HTTP/1.1 with "
                  "\"Upgrade: websocket\"");
    }

    if (!ngx_http_eventsession_header_has(r, "connection", "upgrade")) {
        return ngx_http_eventsession_ws_not_upgrade(r,
                  "the header \"Connection: Upgrade\" is missing");
    }

    value = ngx_http_eventsession_header_in(r, "sec-websocket-version");

    if (value == NULL || value->len != 2
        || ngx_strncmp(value->data, "13", 2) != 0)
    {
        return ngx_http_eventsession_ws_not_upgrade(r,
                  "Sec-WebSocket-Version must be 13");
    }

    value = ngx_http_eventsession_header_in(r, "sec-websocket-key");

    if (value == NULL || evs_ws_key_check(value) != NGX_OK
        || ngx_http_eventsession_header_count(r, "sec-websocket-key") != 1)
    {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                  "there must be one Sec-WebSocket-Key, of 16 bytes in "
                  "base64");
    }

    *key = *value;

    origin = ngx_http_eventsession_origin(r);

    if (origin != NULL
        && (ngx_http_eventsession_header_count(r, "origin") > 1
            || (!ngx_http_eventsession_origin_same(r, origin)
                && !ngx_http_eventsession_origin_match(r, origins, origin))))
    {
        return ngx_http_eventsession_problem(r, NGX_HTTP_FORBIDDEN,
                  "WebSockets are not allowed from this origin");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_eventsession_ws_not_upgrade(ngx_http_request_t *r,
    const char *detail)
{
    static const ngx_str_t  upgrade = ngx_string("websocket");
    static const ngx_str_t  version = ngx_string("13");

    /* HTTP/2 has no headers of connections: a reply with one is malformed */

    if ((r->http_version < NGX_HTTP_VERSION_20
         && ngx_http_eventsession_header_out(r, "Upgrade", &upgrade)
            != NGX_OK)
        || ngx_http_eventsession_header_out(r, "Sec-WebSocket-Version",
                                            &version)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx has no phrase for it */

    ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");

    return ngx_http_eventsession_problem(r, 426, "%s", detail);
}


ngx_uint_t
ngx_http_eventsession_ws_offers(ngx_http_request_t *r, const char *protocol)
{
    return ngx_http_eventsession_header_has_protocol(r,
                                         "sec-websocket-protocol", protocol);
}


ngx_int_t
ngx_http_eventsession_ws_upgrade(ngx_http_request_t *r,
    const ngx_http_eventsession_ws_conf_t *conf,
    const ngx_http_eventsession_ws_app_t *app, void *data,
    const ngx_str_t *key, const ngx_str_t *protocol)
{
    ngx_int_t                    rc;
    ngx_http_eventsession_ws_t  *ws;

    ws = ngx_http_eventsession_ws_create(r->connection, conf, app, data);
    if (ws == NULL) {
        ngx_free(data);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ws->request = r;

    rc = ngx_http_eventsession_ws_header(r, key, protocol);

    if (rc == NGX_OK) {
        rc = ngx_http_eventsession_ws_stash_body(ws, r);
    }

    if (rc != NGX_OK) {
        ngx_http_eventsession_ws_free(ws);
        return rc;
    }

    /*
     * HTTP is still at work on this request, up the stack: it is taken over
     * when the event loop has come out of there
     */

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    ngx_http_eventsession_ws_run_later(ws);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_eventsession_ws_header(ngx_http_request_t *r, const ngx_str_t *key,
    const ngx_str_t *protocol)
{
    ngx_int_t   rc;
    ngx_str_t   accept;

    static const ngx_str_t  upgrade = ngx_string("websocket");

    accept.len = EVS_WS_ACCEPT_LEN;
    accept.data = ngx_pnalloc(r->pool, accept.len);

    if (accept.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    evs_ws_accept(accept.data, key);

    if (ngx_http_eventsession_header_out(r, "Upgrade", &upgrade) != NGX_OK
        || ngx_http_eventsession_header_out(r, "Sec-WebSocket-Accept",
                                            &accept)
           != NGX_OK
        || (protocol != NULL
            && ngx_http_eventsession_header_out(r, "Sec-WebSocket-Protocol",
                                                protocol)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx itself adds "Connection: upgrade", but has no phrase for it */

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->keepalive = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR
        || r->connection->buffered)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Frames may have come right behind the request's header. */

static ngx_int_t
ngx_http_eventsession_ws_stash_body(ngx_http_eventsession_ws_t *ws,
    ngx_http_request_t *r)
{
    size_t  len;

    len = (size_t) (r->header_in->last - r->header_in->pos);

    if (len == 0) {
        return NGX_OK;
    }

    ws->stash = ngx_alloc(len, r->connection->log);
    if (ws->stash == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ws->stash, r->header_in->pos, len);
    ws->stash_len = len;
    r->header_in->pos = r->header_in->last;

    return NGX_OK;
}


/*
 * The request goes now, and with it its memory and its line in the access
 * log; unless another module hangs on it, as limit_conn does to count it as
 * long as it lasts: then it goes with the connection.
 */

void
ngx_http_eventsession_ws_take_over(ngx_http_eventsession_ws_t *ws)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    c = ws->connection;
    r = ws->request;
    hc = r->http_connection;

    if (r->cleanup == NULL && r->pool->cleanup == NULL) {
        ws->request = NULL;
        ngx_http_free_request(r, 0);
        c->destroyed = 0;

        ngx_http_eventsession_ws_free_buffers(c, hc);
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->log->action = "speaking WebSocket";
    c->data = ws;
    c->idle = 1;

    (void) ngx_tcp_nodelay(c);
}


/* As nginx does for an idle keep-alive connection. */

static void
ngx_http_eventsession_ws_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl, *next;

    if (c->buffer != NULL
        && ngx_pfree(c->pool, c->buffer->start) == NGX_OK)
    {
        ngx_memzero(c->buffer, sizeof(ngx_buf_t));
    }

    for (cl = hc->free; cl; cl = next) {
        next = cl->next;
        ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }

    for (cl = hc->busy; cl; cl = next) {
        next = cl->next;
        ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}
