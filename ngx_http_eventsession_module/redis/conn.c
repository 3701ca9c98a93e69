
/*
 * The connection of a node, as a table of states:
 *
 *     away         nothing is open; the timer begins the next attempt
 *     resolving    the name is asked for (resolve.c)
 *     connecting   the socket is on its way; the timer ends the attempt
 *     greeting     AUTH, SELECT, INFO (greet.c); the timer ends the attempt
 *     ready        commands flow; the timer watches for silence
 *
 * Every way down goes through evs_redis_conn_lose(), every way up through
 * evs_redis_conn_ready().
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/greet.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/resolve.h"


#define EVS_REDIS_WRITE_IOVS   64
#define EVS_REDIS_WRITE_TURN   2097152    /* bytes written in one go */
#define EVS_REDIS_READ_TURN    1048576    /* bytes read in one go */


struct evs_redis_state_s {
    char   *action;                       /* for the log: "while ..." */
    void  (*read)(evs_redis_node_t *node);
    void  (*write)(evs_redis_node_t *node);
    void  (*timeout)(evs_redis_node_t *node);
};


static void evs_redis_conn_enter(evs_redis_node_t *node,
    const evs_redis_state_t *state, ngx_msec_t timeout);
static void evs_redis_conn_begin(evs_redis_node_t *node);
static void evs_redis_conn_open(evs_redis_node_t *node);
static ngx_int_t evs_redis_conn_socket(evs_redis_node_t *node,
    evs_redis_addr_t *addr, ngx_str_t *why);
static void evs_redis_conn_options(evs_redis_node_t *node, ngx_socket_t s,
    int family);
static ngx_int_t evs_redis_conn_events(ngx_connection_t *c, ngx_int_t rc);
static void evs_redis_conn_opened(evs_redis_node_t *node);
static void evs_redis_conn_open_timeout(evs_redis_node_t *node);
static void evs_redis_conn_greet_timeout(evs_redis_node_t *node);
static void evs_redis_conn_silence(evs_redis_node_t *node);
static void evs_redis_conn_ignore(evs_redis_node_t *node);
static void evs_redis_conn_read(evs_redis_node_t *node);
static void evs_redis_conn_flush(evs_redis_node_t *node);
static void evs_redis_conn_eof(evs_redis_node_t *node, ngx_err_t err);
static void evs_redis_conn_drop(evs_redis_node_t *node);
static ngx_msec_t evs_redis_conn_backoff(evs_redis_node_t *node);
static void evs_redis_conn_read_handler(ngx_event_t *rev);
static void evs_redis_conn_write_handler(ngx_event_t *wev);
static void evs_redis_conn_timer_handler(ngx_event_t *ev);


static const evs_redis_state_t  evs_redis_away = {
    "waiting to connect",
    evs_redis_conn_ignore,
    evs_redis_conn_ignore,
    evs_redis_conn_begin
};


static const evs_redis_state_t  evs_redis_resolving = {
    "resolving",
    evs_redis_conn_ignore,
    evs_redis_conn_ignore,
    evs_redis_conn_ignore
};


static const evs_redis_state_t  evs_redis_connecting = {
    "connecting",
    evs_redis_conn_opened,
    evs_redis_conn_opened,
    evs_redis_conn_open_timeout
};


static const evs_redis_state_t  evs_redis_greeting = {
    "greeting",
    evs_redis_conn_read,
    evs_redis_conn_flush,
    evs_redis_conn_greet_timeout
};


static const evs_redis_state_t  evs_redis_ready = {
    "talking",
    evs_redis_conn_read,
    evs_redis_conn_flush,
    evs_redis_conn_silence
};


ngx_int_t
evs_redis_conn_init(evs_redis_node_t *node)
{
    /*
     * Cancelable, in every state: what has to hold a worker that quits is a
     * command, and those have a timer of their own.
     */
    node->timer.handler = evs_redis_conn_timer_handler;
    node->timer.data = node;
    node->timer.log = &node->log;
    node->timer.cancelable = 1;

    node->state = &evs_redis_away;

    if (evs_redis_resolve_start_up(node) != NGX_OK) {
        return NGX_ERROR;
    }

    evs_redis_conn_begin(node);

    return NGX_OK;
}


void
evs_redis_conn_write(evs_redis_node_t *node)
{
    size_t             total;
    ssize_t            n;
    ngx_iovec_t        vec;
    ngx_event_t       *wev;
    struct iovec       iovs[EVS_REDIS_WRITE_IOVS];
    ngx_connection_t  *c;

    c = node->connection;

    if (c == NULL || node->broken || node->state == &evs_redis_connecting) {
        return;
    }

    wev = c->write;
    total = 0;

    vec.iovs = iovs;
    vec.nalloc = EVS_REDIS_WRITE_IOVS;

    while (wev->ready) {

        evs_redis_pipeline_gather(node, &vec);

        if (vec.count == 0) {
            return;
        }

        if (total >= EVS_REDIS_WRITE_TURN) {

            /* the others' turn; no event would come of itself */

            ngx_post_event(wev, &ngx_posted_next_events);
            return;
        }

        n = ngx_writev(c, &vec);

        if (n == NGX_ERROR) {
            node->err = ngx_socket_errno;
            goto broken;
        }

        if (n == NGX_AGAIN) {
            wev->ready = 0;
            break;
        }

        if ((size_t) n < vec.size) {
            wev->ready = 0;
        }

        total += (size_t) n;

        evs_redis_pipeline_wrote(node, (size_t) n);

        if (node->state == &evs_redis_ready && !node->timer.timer_set) {
            ngx_add_timer(&node->timer, node->conf->command_timeout);
        }
    }

    if (ngx_handle_write_event(wev, 0) == NGX_OK) {
        return;
    }

    node->err = 0;

broken:

    node->broken = 1;

    if (!node->flush.posted) {
        ngx_post_event(&node->flush, &ngx_posted_events);
    }
}


void
evs_redis_conn_broken(evs_redis_node_t *node)
{
    static ngx_str_t  why = ngx_string("the connection broke");

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, node->err, &why);
}


void
evs_redis_conn_ready(evs_redis_node_t *node)
{
    node->greeted_at = ngx_current_msec;
    node->forbidden = 0;

    evs_redis_node_up(node);

    evs_redis_conn_enter(node, &evs_redis_ready, node->conf->command_timeout);

    evs_redis_conn_flush(node);
}


void
evs_redis_conn_lose(evs_redis_node_t *node, evs_redis_reason_e reason,
    ngx_err_t err, const ngx_str_t *text)
{
    ngx_msec_t         delay;
    evs_redis_conf_t  *conf;

    conf = node->conf;

    evs_redis_node_down(node, reason, err, text);

    if (node->state == &evs_redis_ready) {

        /*
         * Only a connection that was of use ends a row of failures: a server
         * may greet us and then send every command elsewhere.
         */

        if (node->useful
            || ngx_current_msec - node->greeted_at > conf->reconnect_max)
        {
            node->attempts = 0;
        }

        node->tries = 0;

        if (reason != EVS_REDIS_SILENT && node->naddrs) {
            node->addr = (node->addr + 1) % node->naddrs;
        }

    } else if (node->state != &evs_redis_resolving && node->tries) {
        node->addr = (node->addr + 1) % node->naddrs;
        node->tries--;
    }

    evs_redis_conn_drop(node);

    delay = node->tries ? 1 : evs_redis_conn_backoff(node);

    evs_redis_conn_enter(node, &evs_redis_away, delay);
}


ngx_int_t
evs_redis_conn_reset(evs_redis_node_t *node)
{
    node->attempts = 0;
    node->tries = 0;

    return evs_redis_resolve_start_up(node);
}


void
evs_redis_conn_close(evs_redis_node_t *node)
{
    evs_redis_conn_drop(node);

    if (node->timer.timer_set) {
        ngx_del_timer(&node->timer);
    }

    node->state = &evs_redis_away;
    node->log.action = NULL;
}


static void
evs_redis_conn_enter(evs_redis_node_t *node, const evs_redis_state_t *state,
    ngx_msec_t timeout)
{
    ngx_log_debug2(NGX_LOG_DEBUG_CORE, &node->log, 0,
                   "eventsession: redis %s, %M", state->action, timeout);

    node->state = state;
    node->log.action = state->action;

    if (node->timer.timer_set) {
        ngx_del_timer(&node->timer);
    }

    if (timeout) {
        ngx_add_timer(&node->timer, timeout);
    }
}


/* An attempt: each begins a round of addresses, or goes on with one. */

static void
evs_redis_conn_begin(evs_redis_node_t *node)
{
    if (node->tries) {
        evs_redis_conn_open(node);
        return;
    }

    if (node->conf->resolver && node->conf->host.len) {

        /* the resolver has its own timeout; it may answer at once */

        evs_redis_conn_enter(node, &evs_redis_resolving, 0);
        evs_redis_resolve(node);
        return;
    }

    evs_redis_conn_resolved(node);
}


void
evs_redis_conn_resolved(evs_redis_node_t *node)
{
    node->tries = node->naddrs;

    evs_redis_conn_open(node);
}


static void
evs_redis_conn_open(evs_redis_node_t *node)
{
    ngx_int_t  rc;
    ngx_str_t  why;
    ngx_err_t  err;

    evs_redis_conn_enter(node, &evs_redis_connecting,
                         node->conf->connect_timeout);

    node->broken = 0;
    node->useful = 0;

    ngx_set_errno(0);

    rc = evs_redis_conn_socket(node, &node->addrs[node->addr], &why);

    if (rc == NGX_ERROR) {
        err = ngx_errno;
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, err, &why);
        return;
    }

    if (rc == NGX_OK) {
        evs_redis_conn_opened(node);
    }
}


/*
 * As ngx_event_connect_peer(), but a failure is only reported: that one logs
 * every attempt.  NGX_OK: connected; NGX_AGAIN: on its way; NGX_ERROR, why
 * and errno tell.
 */

static ngx_int_t
evs_redis_conn_socket(evs_redis_node_t *node, evs_redis_addr_t *addr,
    ngx_str_t *why)
{
    int                rc;
    ngx_socket_t       s;
    ngx_connection_t  *c;

    s = ngx_socket(addr->sockaddr.sockaddr.sa_family, SOCK_STREAM, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_str_set(why, "socket() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(s, &node->log);

    if (c == NULL) {
        (void) ngx_close_socket(s);

        ngx_set_errno(0);
        ngx_str_set(why, "worker_connections are used up");
        return NGX_ERROR;
    }

    node->connection = c;

    c->type = SOCK_STREAM;
    c->data = node;
    c->log = &node->log;
    c->log_error = NGX_ERROR_INFO;

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = evs_redis_conn_read_handler;
    c->write->handler = evs_redis_conn_write_handler;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;
    node->log.connection = c->number;

    if (ngx_nonblocking(s) == -1) {
        ngx_str_set(why, ngx_nonblocking_n " failed");
        return NGX_ERROR;
    }

    evs_redis_conn_options(node, s, addr->sockaddr.sockaddr.sa_family);

    if (ngx_add_conn && ngx_add_conn(c) == NGX_ERROR) {
        ngx_str_set(why, "adding the connection's events failed");
        return NGX_ERROR;
    }

    rc = connect(s, &addr->sockaddr.sockaddr, addr->socklen);

    /* a unix socket whose queue is full says EAGAIN: that's a failure too */

    if (rc == -1 && ngx_socket_errno != NGX_EINPROGRESS) {
        ngx_str_set(why, "connect() failed");
        return NGX_ERROR;
    }

    if (evs_redis_conn_events(c, rc == -1 ? NGX_AGAIN : NGX_OK) != NGX_OK) {
        ngx_str_set(why, "adding the connection's events failed");
        return NGX_ERROR;
    }

    return rc == -1 ? NGX_AGAIN : NGX_OK;
}


static void
evs_redis_conn_options(evs_redis_node_t *node, ngx_socket_t s, int family)
{
    int  on;

    on = 1;

    if (family == AF_UNIX) {
        return;
    }

    if (setsockopt(s, IPPROTO_TCP, TCP_NODELAY,
                   (const void *) &on, sizeof(int))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, &node->log, ngx_socket_errno,
                      "setsockopt(TCP_NODELAY) failed, ignored");
    }

    if (setsockopt(s, SOL_SOCKET, SO_KEEPALIVE,
                   (const void *) &on, sizeof(int))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, &node->log, ngx_socket_errno,
                      "setsockopt(SO_KEEPALIVE) failed, ignored");
    }
}


static ngx_int_t
evs_redis_conn_events(ngx_connection_t *c, ngx_int_t rc)
{
    ngx_int_t  event;

    if (rc == NGX_OK) {
        c->write->ready = 1;
    }

    if (ngx_add_conn) {
        return NGX_OK;
    }

    event = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT
                                                    : NGX_LEVEL_EVENT;

    if (ngx_add_event(c->read, NGX_READ_EVENT, event) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN) {
        return ngx_add_event(c->write, NGX_WRITE_EVENT, event);
    }

    return NGX_OK;
}


static void
evs_redis_conn_opened(evs_redis_node_t *node)
{
    static ngx_str_t  failed = ngx_string("connect() failed");
    static ngx_str_t  memory = ngx_string("no memory");

    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = node->connection;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, err, &failed);
        return;
    }

    if (!c->write->ready) {
        return;
    }

    node->reader = evs_redis_reader_create(node);

    if (node->reader == NULL || evs_redis_greet(node) != NGX_OK) {
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, NGX_ENOMEM, &memory);
        return;
    }

    evs_redis_conn_enter(node, &evs_redis_greeting,
                         node->conf->command_timeout);

    evs_redis_conn_flush(node);
}


static void
evs_redis_conn_open_timeout(evs_redis_node_t *node)
{
    static ngx_str_t  why = ngx_string("connecting took too long");

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);
}


static void
evs_redis_conn_greet_timeout(evs_redis_node_t *node)
{
    static ngx_str_t  why = ngx_string("connected, but no answer came");

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);
}


/*
 * The timer is not moved with every byte that comes (nginx wouldn't move it
 * by less than 300 ms either): when it fires, it's seen how long ago that was.
 */

static void
evs_redis_conn_silence(evs_redis_node_t *node)
{
    static ngx_str_t  why = ngx_string("no reply for the command_timeout");

    ngx_msec_t  silent, timeout;

    if (ngx_queue_empty(&node->sent)) {
        return;
    }

    silent = ngx_current_msec - node->heard_at;
    timeout = node->conf->command_timeout;

    if (silent < timeout) {
        ngx_add_timer(&node->timer, timeout - silent);
        return;
    }

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);
}


static void
evs_redis_conn_ignore(evs_redis_node_t *node)
{
    ngx_log_debug0(NGX_LOG_DEBUG_CORE, &node->log, 0,
                   "eventsession: redis event ignored");
}


static void
evs_redis_conn_read(evs_redis_node_t *node)
{
    size_t             total;
    ssize_t            n;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = node->connection;
    rev = c->read;

    for (total = 0; total < EVS_REDIS_READ_TURN; total += (size_t) n) {

        n = c->recv(c, node->buffer, EVS_REDIS_READ_BUFFER);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                evs_redis_conn_eof(node, 0);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            evs_redis_conn_eof(node, n ? ngx_socket_errno : 0);
            return;
        }

        node->heard_at = ngx_current_msec;

        if (evs_redis_reply_feed(node, node->buffer, (size_t) n) != NGX_OK) {
            return;
        }
    }

    /* more may lie in the socket, for which no event would come */

    ngx_post_event(rev, &ngx_posted_next_events);
}


static void
evs_redis_conn_flush(evs_redis_node_t *node)
{
    evs_redis_conn_write(node);

    if (node->broken) {
        evs_redis_conn_broken(node);
    }
}


static void
evs_redis_conn_eof(evs_redis_node_t *node, ngx_err_t err)
{
    static ngx_str_t  why = ngx_string("the connection was closed");

    if (err == 0 && node->state == &evs_redis_ready && node->live == 0) {

        /*
         * Redis closes idle connections, and that's nothing to warn of: if it
         * is gone indeed, then the next attempt will say so.
         */

        node->logged = EVS_REDIS_SILENT;
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);
        node->logged = EVS_REDIS_UP;

        return;
    }

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, err, &why);
}


static void
evs_redis_conn_drop(evs_redis_node_t *node)
{
    evs_redis_resolve_cancel(node);

    if (node->connection) {
        ngx_close_connection(node->connection);
        node->connection = NULL;
    }

    if (node->reader) {
        redisReaderFree(node->reader);
        node->reader = NULL;
    }

    node->broken = 0;

    evs_redis_pipeline_rewind(node);
    evs_redis_reply_reset(node);
}


static ngx_msec_t
evs_redis_conn_backoff(evs_redis_node_t *node)
{
    ngx_uint_t         i;
    ngx_msec_t         delay;
    evs_redis_conf_t  *conf;

    conf = node->conf;
    delay = conf->reconnect_min;

    for (i = 0; i < node->attempts && delay < conf->reconnect_max; i++) {
        delay *= 2;
    }

    node->attempts++;

    delay = ngx_min(delay, conf->reconnect_max);

    /* so that the workers of all hosts don't come at once */

    return delay + (ngx_msec_t) ngx_random() % (delay / 4 + 1);
}


static void
evs_redis_conn_read_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;
    evs_redis_node_t  *node;

    c = rev->data;
    node = c->data;

    if (c->close) {

        /* worker_shutdown_timeout: it wants us out */

        evs_redis_node_end(node);
        return;
    }

    if (ngx_terminate) {
        return;
    }

    node->state->read(node);
}


static void
evs_redis_conn_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    evs_redis_node_t  *node;

    c = wev->data;
    node = c->data;

    if (c->close || ngx_terminate) {
        return;
    }

    node->state->write(node);
}


static void
evs_redis_conn_timer_handler(ngx_event_t *ev)
{
    evs_redis_node_t  *node;

    node = ev->data;

    if (ngx_terminate) {
        return;
    }

    node->state->timeout(node);
}
