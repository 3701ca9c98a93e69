
/*
 * A WebSocket connection after its upgrade.
 *
 * Everything that happens to it (readable, writable, a timer, an answer from
 * the app) ends in ngx_http_eventsession_ws_run(), which is the last thing
 * its caller does, as it may free the connection.
 *
 * Input is read into one buffer of the process; what can't be parsed yet is
 * kept in a stash as long as it takes.  An idle connection has neither.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ws.h"
#include "http/ws_conn.h"
#include "stats/stats.h"


#define NGX_HTTP_EVENTSESSION_WS_BUFFER   65536

/* output that waits for the client before its messages wait, too */
#define NGX_HTTP_EVENTSESSION_WS_BACKLOG  65536

/* an output buffer up to this size is kept between messages */
#define NGX_HTTP_EVENTSESSION_WS_KEEP     256

/* for the client's part of the closing handshake, in ms */
#define NGX_HTTP_EVENTSESSION_WS_LINGER   5000


static void ngx_http_eventsession_ws_turn(ngx_event_t *ev);
static void ngx_http_eventsession_ws_read_handler(ngx_event_t *rev);
static void ngx_http_eventsession_ws_write_handler(ngx_event_t *wev);
static ngx_int_t ngx_http_eventsession_ws_timer(
    ngx_http_eventsession_ws_t *ws);
static ngx_uint_t ngx_http_eventsession_ws_taking(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_ws_run(ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ws_progress(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ws_read(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ws_discard(
    ngx_http_eventsession_ws_t *ws);
static ngx_uint_t ngx_http_eventsession_ws_stopped(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ws_parse(
    ngx_http_eventsession_ws_t *ws, u_char **pos, u_char *last);
static ngx_int_t ngx_http_eventsession_ws_event(
    ngx_http_eventsession_ws_t *ws, evs_ws_event_t *event);
static ngx_int_t ngx_http_eventsession_ws_keep(
    ngx_http_eventsession_ws_t *ws, u_char *pos, u_char *last);
static void ngx_http_eventsession_ws_fault(ngx_http_eventsession_ws_t *ws,
    evs_ws_event_t *event);
static ngx_int_t ngx_http_eventsession_ws_send_close(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_ws_shut(ngx_http_eventsession_ws_t *ws);
static u_char *ngx_http_eventsession_ws_room(ngx_http_eventsession_ws_t *ws,
    size_t size);
static ngx_int_t ngx_http_eventsession_ws_flush(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_ws_destroy(ngx_http_eventsession_ws_t *ws);


/* of this process; it holds nothing between two events */
static u_char  *ngx_http_eventsession_ws_buffer;


ngx_http_eventsession_ws_t *
ngx_http_eventsession_ws_create(ngx_connection_t *c,
    const ngx_http_eventsession_ws_conf_t *conf,
    const ngx_http_eventsession_ws_app_t *app, void *data)
{
    ngx_http_eventsession_ws_t  *ws;

    if (ngx_http_eventsession_ws_buffer == NULL) {
        ngx_http_eventsession_ws_buffer =
                          ngx_alloc(2 * NGX_HTTP_EVENTSESSION_WS_BUFFER,
                                    c->log);
    }

    ws = ngx_calloc(sizeof(ngx_http_eventsession_ws_t), c->log);

    if (ws == NULL || ngx_http_eventsession_ws_buffer == NULL) {
        ngx_free(ws);
        return NULL;
    }

    ws->connection = c;
    ws->conf = conf;
    ws->app = app;
    ws->data = data;
    ws->received = ngx_current_msec;

    ws->turn.handler = ngx_http_eventsession_ws_turn;
    ws->turn.data = ws;
    ws->turn.log = c->log;

    evs_ws_parser_init(&ws->parser, conf->max_message);

    return ws;
}


void
ngx_http_eventsession_ws_free(ngx_http_eventsession_ws_t *ws)
{
    ws->app->closed(ws);

    if (ws->state != NGX_HTTP_EVENTSESSION_WS_UPGRADING) {
        evs_stats_sub(EVS_STATS_WS_OPEN, 1);
        evs_stats_add(evs_stats_ws_code(
                          (ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING)
                          ? ws->code : 0), 1);
    }

    if (ws->turn.posted) {
        ngx_delete_posted_event(&ws->turn);
    }

    evs_ws_parser_free(&ws->parser);
    ngx_free(ws->stash);
    ngx_free(ws->out);
    ngx_free(ws);
}


void
ngx_http_eventsession_ws_exit(void)
{
    ngx_free(ngx_http_eventsession_ws_buffer);
    ngx_http_eventsession_ws_buffer = NULL;
}


void
ngx_http_eventsession_ws_run_later(ngx_http_eventsession_ws_t *ws)
{
    ngx_post_event(&ws->turn, &ngx_posted_events);
}


static void
ngx_http_eventsession_ws_turn(ngx_event_t *ev)
{
    ngx_connection_t            *c;
    ngx_http_eventsession_ws_t  *ws;

    ws = ev->data;
    c = ws->connection;

    if (ws->state == NGX_HTTP_EVENTSESSION_WS_UPGRADING) {

        ngx_http_eventsession_ws_take_over(ws);

        c->read->handler = ngx_http_eventsession_ws_read_handler;
        c->write->handler = ngx_http_eventsession_ws_write_handler;

        ws->state = NGX_HTTP_EVENTSESSION_WS_OPEN;

        evs_stats_add(EVS_STATS_WS_OPENED, 1);
        evs_stats_add(EVS_STATS_WS_OPEN, 1);

        if (ws->conf->ping) {
            c->read->cancelable = 1;
            ngx_add_timer(c->read, ws->conf->ping);
        }

        if (ws->app->open(ws) != NGX_OK) {
            ngx_http_eventsession_ws_destroy(ws);
            return;
        }

        if (ngx_exiting) {
            ngx_http_eventsession_ws_close(ws, EVS_WS_GOING_AWAY,
                                           "server is going away");
        }
    }

    ngx_http_eventsession_ws_run(ws);
}


static void
ngx_http_eventsession_ws_read_handler(ngx_event_t *rev)
{
    ngx_connection_t            *c;
    ngx_http_eventsession_ws_t  *ws;

    c = rev->data;
    ws = c->data;

    if (c->close) {

        /* the worker quits, or (with an error) has waited long enough */

        c->close = 0;

        if (c->error) {
            ngx_http_eventsession_ws_destroy(ws);
            return;
        }

        ngx_http_eventsession_ws_close(ws, EVS_WS_GOING_AWAY,
                                       "server is going away");
    }

    if (rev->timedout) {
        rev->timedout = 0;

        if (ngx_http_eventsession_ws_timer(ws) != NGX_OK) {
            ngx_http_eventsession_ws_destroy(ws);
            return;
        }
    }

    ngx_http_eventsession_ws_run(ws);
}


static void
ngx_http_eventsession_ws_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_http_eventsession_ws_run(c->data);
}


/* NGX_ERROR: the client is gone, as far as can be told. */

static ngx_int_t
ngx_http_eventsession_ws_timer(ngx_http_eventsession_ws_t *ws)
{
    ngx_msec_t         idle;
    ngx_uint_t         taking;
    ngx_connection_t  *c;

    c = ws->connection;
    taking = ngx_http_eventsession_ws_taking(ws);

    if (ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING) {

        if (taking) {
            ngx_add_timer(c->read, NGX_HTTP_EVENTSESSION_WS_LINGER);
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "client did not finish the closing handshake");
        return NGX_ERROR;
    }

    idle = ngx_current_msec - ws->received;

    if (idle < ws->conf->ping) {
        ngx_add_timer(c->read, ws->conf->ping - idle);
        return NGX_OK;
    }

    ngx_add_timer(c->read, ws->conf->ping);

    if (ws->state != NGX_HTTP_EVENTSESSION_WS_OPEN || ws->app->blocked(ws)) {

        /* it isn't read from now: its silence tells nothing */

        return NGX_OK;
    }

    if (ws->pinged) {

        if (taking) {

            /* the ping is still on its way */

            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_INFO, c->log, 0, "client did not answer a ping");
        return NGX_ERROR;
    }

    ws->pinged = 1;

    return ngx_http_eventsession_ws_send(ws, EVS_WS_PING, NULL, 0);
}


/*
 * Whether the client has taken some of the output since the last call, and has
 * not come to its end yet: it is slow, but alive.  What its system has
 * confirmed is what we sent without what still waits in our socket.
 */

static ngx_uint_t
ngx_http_eventsession_ws_taking(ngx_http_eventsession_ws_t *ws)
{
    int                n;
    off_t              taken;
    ngx_uint_t         taking;
    ngx_connection_t  *c;

    n = 0;
    c = ws->connection;

#if (NGX_LINUX)
    if (ioctl(c->fd, TIOCOUTQ, &n) == -1) {
        n = 0;
    }
#endif

    taken = c->sent - n;
    taking = (taken > ws->taken && (n != 0 || ws->out_pos < ws->out_len));

    ws->taken = taken;

    return taking;
}


static void
ngx_http_eventsession_ws_run(ngx_http_eventsession_ws_t *ws)
{
    if (ngx_http_eventsession_ws_progress(ws) != NGX_OK) {
        ngx_http_eventsession_ws_destroy(ws);
    }
}


/* NGX_OK, or NGX_DONE or NGX_ERROR: the connection has come to its end. */

static ngx_int_t
ngx_http_eventsession_ws_progress(ngx_http_eventsession_ws_t *ws)
{
    ngx_int_t  rc;

    if (ws->dropped) {
        return NGX_ERROR;
    }

    rc = ws->fault ? ngx_http_eventsession_ws_discard(ws)
                   : ngx_http_eventsession_ws_read(ws);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ws->state == NGX_HTTP_EVENTSESSION_WS_OPEN
        && ws->stash == NULL && ws->parser.opcode == 0
        && !ws->connection->read->ready && !ws->app->pending(ws))
    {
        ws->app->drained(ws);
    }

    if (ws->state == NGX_HTTP_EVENTSESSION_WS_FINISHING
        && !ws->app->pending(ws)
        && ngx_http_eventsession_ws_send_close(ws) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_eventsession_ws_flush(ws) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING
        && ws->out_pos == ws->out_len)
    {
        if (ws->peer_closed) {
            return NGX_DONE;
        }

        /*
         * its frames can't be told any more: it is to see our Close and the
         * end of the stream, and is given time to, for closing over unread
         * input would reset the connection and take the Close with it
         */

        if (ws->fault && !ws->shut) {
            ngx_http_eventsession_ws_shut(ws);
        }
    }

    return ngx_handle_read_event(ws->connection->read, 0);
}


/* Whether messages stay unread for now: 1 or 0. */

static ngx_uint_t
ngx_http_eventsession_ws_stopped(ngx_http_eventsession_ws_t *ws)
{
    switch (ws->state) {

    case NGX_HTTP_EVENTSESSION_WS_OPEN:
        return ws->out_len - ws->out_pos > NGX_HTTP_EVENTSESSION_WS_BACKLOG
               || ws->app->blocked(ws);

    case NGX_HTTP_EVENTSESSION_WS_CLOSING:
        return ws->peer_closed;

    default:
        return 1;
    }
}


static ngx_int_t
ngx_http_eventsession_ws_read(ngx_http_eventsession_ws_t *ws)
{
    u_char            *pos, *last, *start, *stash;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = ws->connection;
    start = ngx_http_eventsession_ws_buffer;

    if (ngx_http_eventsession_ws_stopped(ws)) {
        return NGX_OK;
    }

    pos = start;
    last = start;

    if (ws->stash != NULL) {
        evs_stats_tick();

        stash = ws->stash;
        ws->stash = NULL;

        pos = stash;
        last = stash + ws->stash_len;

        rc = ngx_http_eventsession_ws_parse(ws, &pos, last);

        if (rc == NGX_AGAIN) {
            last = ngx_cpymem(start, pos, (size_t) (last - pos));
            pos = start;
        }

        ngx_free(stash);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    while (c->read->ready) {

        /* what is left is shorter than a control frame */

        last = ngx_movemem(start, pos, (size_t) (last - pos));
        pos = start;

        n = c->recv(c, last, NGX_HTTP_EVENTSESSION_WS_BUFFER);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "client closed the WebSocket%s",
                          ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING
                          ? "" : " without a closing handshake");
            return NGX_DONE;
        }

        evs_stats_tick();

        ws->received = ngx_current_msec;
        ws->pinged = 0;
        last += n;

        rc = ngx_http_eventsession_ws_parse(ws, &pos, last);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    return ngx_http_eventsession_ws_keep(ws, pos, last);
}


/* After a fault of the protocol: only the end of the stream matters. */

static ngx_int_t
ngx_http_eventsession_ws_discard(ngx_http_eventsession_ws_t *ws)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = ws->connection;

    while (c->read->ready) {
        n = c->recv(c, ngx_http_eventsession_ws_buffer,
                    NGX_HTTP_EVENTSESSION_WS_BUFFER);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


/*
 * NGX_AGAIN: more input is wanted; NGX_OK: no more is wanted now, and the rest
 * is kept; NGX_ERROR.
 */

static ngx_int_t
ngx_http_eventsession_ws_parse(ngx_http_eventsession_ws_t *ws, u_char **pos,
    u_char *last)
{
    ngx_int_t       rc;
    evs_ws_event_t  event;

    for ( ;; ) {

        if (ngx_http_eventsession_ws_stopped(ws)) {
            return ngx_http_eventsession_ws_keep(ws, *pos, last);
        }

        rc = evs_ws_parse(&ws->parser, pos, last, &event);

        switch (rc) {

        case NGX_OK:
            if (ngx_http_eventsession_ws_event(ws, &event) != NGX_OK) {
                return NGX_ERROR;
            }

            break;

        case NGX_AGAIN:
            return NGX_AGAIN;

        case NGX_ERROR:
            ngx_http_eventsession_ws_fault(ws, &event);
            return NGX_OK;

        default: /* NGX_ABORT */
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_eventsession_ws_event(ngx_http_eventsession_ws_t *ws,
    evs_ws_event_t *event)
{
    switch (event->opcode) {

    case EVS_WS_TEXT:
    case EVS_WS_BINARY:

        if (ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING && !ws->late) {
            return NGX_OK;
        }

        return ws->app->message(ws, event->opcode, &event->payload);

    case EVS_WS_PING:
        return ngx_http_eventsession_ws_send(ws, EVS_WS_PONG,
                                             event->payload.data,
                                             event->payload.len);

    case EVS_WS_CLOSE:
        ws->peer_closed = 1;
        ngx_http_eventsession_ws_close(ws, event->code, "");
        return NGX_OK;

    default: /* EVS_WS_PONG */
        return NGX_OK;
    }
}


static void
ngx_http_eventsession_ws_fault(ngx_http_eventsession_ws_t *ws,
    evs_ws_event_t *event)
{
    ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                  "client broke the WebSocket protocol: %s", event->reason);

    ws->fault = 1;
    ngx_http_eventsession_ws_close(ws, event->code, event->reason);
}


static ngx_int_t
ngx_http_eventsession_ws_keep(ngx_http_eventsession_ws_t *ws, u_char *pos,
    u_char *last)
{
    size_t  len;

    len = (size_t) (last - pos);

    if (len == 0) {
        return NGX_OK;
    }

    ws->stash = ngx_alloc(len, ws->connection->log);
    if (ws->stash == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ws->stash, pos, len);
    ws->stash_len = len;

    return NGX_OK;
}


void
ngx_http_eventsession_ws_close(ngx_http_eventsession_ws_t *ws,
    ngx_uint_t code, const char *reason)
{
    if (ws->state != NGX_HTTP_EVENTSESSION_WS_OPEN) {
        return;
    }

    ws->state = NGX_HTTP_EVENTSESSION_WS_FINISHING;
    ws->code = code;
    ws->reason = reason;
}


void
ngx_http_eventsession_ws_drop(ngx_http_eventsession_ws_t *ws)
{
    ws->dropped = 1;
}


static ngx_int_t
ngx_http_eventsession_ws_send_close(ngx_http_eventsession_ws_t *ws)
{
    u_char            *p, *last;
    ngx_connection_t  *c;

    c = ws->connection;

    p = ngx_http_eventsession_ws_room(ws, 2 + EVS_WS_CONTROL_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = evs_ws_close(p, ws->code, ws->reason);
    ws->out_len += (size_t) (last - p);

    ws->state = NGX_HTTP_EVENTSESSION_WS_CLOSING;

    /* a quitting worker waits for it */

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    c->read->cancelable = 0;
    ngx_add_timer(c->read, NGX_HTTP_EVENTSESSION_WS_LINGER);

    /* the client's Close may be here already */

    if (c->read->ready || ws->stash != NULL) {
        ngx_http_eventsession_ws_run_later(ws);
    }

    return NGX_OK;
}


/* Ends the stream to the client; what it still sends can be read. */

static void
ngx_http_eventsession_ws_shut(ngx_http_eventsession_ws_t *ws)
{
    ngx_connection_t  *c;

    c = ws->connection;
    ws->shut = 1;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        (void) SSL_shutdown(c->ssl->connection);
        ERR_clear_error();

        c->ssl->no_send_shutdown = 1;
        c->ssl->no_wait_shutdown = 1;
    }
#endif

    (void) ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN);
}


ngx_int_t
ngx_http_eventsession_ws_send(ngx_http_eventsession_ws_t *ws,
    ngx_uint_t opcode, const u_char *data, size_t len)
{
    u_char  *p, *last;

    if (ws->state == NGX_HTTP_EVENTSESSION_WS_CLOSING) {
        return NGX_OK;
    }

    p = ngx_http_eventsession_ws_room(ws, EVS_WS_HEAD_MAX + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = evs_ws_head(p, opcode, len);

    if (len != 0) {
        last = ngx_cpymem(last, data, len);
    }

    ws->out_len += (size_t) (last - p);

    return NGX_OK;
}


/* Room for size bytes behind the output that waits. */

static u_char *
ngx_http_eventsession_ws_room(ngx_http_eventsession_ws_t *ws, size_t size)
{
    size_t   waits, new_size;
    u_char  *out;

    if (ws->out_size - ws->out_len >= size) {
        return ws->out + ws->out_len;
    }

    waits = ws->out_len - ws->out_pos;

    new_size = ngx_max(2 * waits + size, NGX_HTTP_EVENTSESSION_WS_KEEP);

    out = ngx_alloc(new_size, ws->connection->log);
    if (out == NULL) {
        return NULL;
    }

    if (waits != 0) {
        ngx_memcpy(out, ws->out + ws->out_pos, waits);
    }

    ngx_free(ws->out);

    ws->out = out;
    ws->out_pos = 0;
    ws->out_len = waits;
    ws->out_size = new_size;

    return out + waits;
}


static ngx_int_t
ngx_http_eventsession_ws_flush(ngx_http_eventsession_ws_t *ws)
{
    ssize_t            n;
    ngx_uint_t         stopped;
    ngx_connection_t  *c;

    c = ws->connection;
    stopped = ws->out_len - ws->out_pos > NGX_HTTP_EVENTSESSION_WS_BACKLOG;

    while (ws->out_pos < ws->out_len) {

        if (!c->write->ready) {
            return ngx_handle_write_event(c->write, 0);
        }

        n = c->send(c, ws->out + ws->out_pos, ws->out_len - ws->out_pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            return ngx_handle_write_event(c->write, 0);
        }

        ws->out_pos += (size_t) n;
    }

    ws->out_pos = 0;
    ws->out_len = 0;

    if (ws->out_size > NGX_HTTP_EVENTSESSION_WS_KEEP) {
        ngx_free(ws->out);
        ws->out = NULL;
        ws->out_size = 0;
    }

    if (stopped) {

        /* it had kept messages unread */

        ngx_http_eventsession_ws_run_later(ws);
    }

    return NGX_OK;
}


static void
ngx_http_eventsession_ws_destroy(ngx_http_eventsession_ws_t *ws)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ws->connection;
    r = ws->request;

    ngx_http_eventsession_ws_free(ws);

    if (r != NULL) {
        c->data = r;
        ngx_http_free_request(r, 0);
    }

    ngx_http_close_connection(c);
}
