
/*
 * The connection of a node, as a table of states:
 *
 *     away         nothing is open; the timer begins the next attempt
 *     resolving    the name is asked for (resolve.c); the timer ends the
 *                  waiting, not the question
 *     connecting   the socket is on its way; the timer ends the attempt
 *     greeting     AUTH, SELECT, INFO (greet.c); the timer ends the attempt
 *     ready        commands flow; the timer watches for silence
 *
 * Every way down goes through evs_redis_conn_lose(), every way up through
 * evs_redis_conn_ready().
 *
 * A resolver that is silent must not keep anybody from Redis: soon the last
 * addresses are tried, which are those of the start-up at first.  When it
 * answers after all, that counts: a connection to an address that the name
 * has no more is given up for one that it has.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/greet.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/resolve.h"
#include "redis/socket.h"


/* ms that a resolver has before the last addresses are tried */
#define EVS_REDIS_RESOLVE_WAIT  100


struct evs_redis_state_s {
    char   *action;                       /* for the log: "while ..." */
    void  (*read)(evs_redis_node_t *node);
    void  (*write)(evs_redis_node_t *node);
    void  (*timeout)(evs_redis_node_t *node);
};


static void evs_redis_conn_enter(evs_redis_node_t *node,
    const evs_redis_state_t *state, ngx_msec_t timeout);
static void evs_redis_conn_begin(evs_redis_node_t *node);
static void evs_redis_conn_round(evs_redis_node_t *node);
static void evs_redis_conn_move(evs_redis_node_t *node);
static void evs_redis_conn_open(evs_redis_node_t *node);
static void evs_redis_conn_opened(evs_redis_node_t *node);
static void evs_redis_conn_open_timeout(evs_redis_node_t *node);
static void evs_redis_conn_greet_timeout(evs_redis_node_t *node);
static void evs_redis_conn_silence(evs_redis_node_t *node);
static void evs_redis_conn_ignore(evs_redis_node_t *node);
static void evs_redis_conn_read(evs_redis_node_t *node);
static void evs_redis_conn_flush(evs_redis_node_t *node);
static void evs_redis_conn_eof(evs_redis_node_t *node);
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
    evs_redis_conn_round
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
    if (node->connection == NULL || node->broken) {
        return;
    }

    if (evs_redis_socket_write(node) != NGX_OK) {
        node->broken = 1;

        ngx_post_event(&node->flush, &ngx_posted_events);
        return;
    }

    if (node->state == &evs_redis_ready
        && !node->timer.timer_set && !ngx_queue_empty(&node->sent))
    {
        ngx_add_timer(&node->timer, node->conf->command_timeout);
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
         * may greet us and then send commands elsewhere.
         */

        if ((node->useful && reason == EVS_REDIS_SILENT)
            || ngx_current_msec - node->greeted_at > conf->reconnect_max)
        {
            node->attempts = 0;
        }

        node->tries = 0;

        if (reason != EVS_REDIS_SILENT) {
            node->doubted = 1;
            node->doubted_at = ngx_current_msec;
        }

        if (reason != EVS_REDIS_SILENT && node->naddrs) {
            node->addr = (node->addr + 1) % node->naddrs;
        }

    } else if (node->tries) {
        node->addr = (node->addr + 1) % node->naddrs;
        node->tries--;
    }

    evs_redis_conn_drop(node);

    delay = node->tries ? 1 : evs_redis_conn_backoff(node);

    evs_redis_conn_enter(node, &evs_redis_away, delay);
}


void
evs_redis_conn_close(evs_redis_node_t *node)
{
    evs_redis_conn_drop(node);
    evs_redis_resolve_cancel(node);

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

    if (node->conf->resolver && node->conf->host.len
        && node->resolve == NULL)
    {
        /* it may answer at once */

        evs_redis_conn_enter(node, &evs_redis_resolving,
                             EVS_REDIS_RESOLVE_WAIT);
        evs_redis_resolve(node);
        return;
    }

    evs_redis_conn_round(node);
}


static void
evs_redis_conn_round(evs_redis_node_t *node)
{
    node->tries = node->naddrs;

    evs_redis_conn_open(node);
}


void
evs_redis_conn_resolved(evs_redis_node_t *node, ngx_int_t place)
{
    if (node->state == &evs_redis_resolving) {
        evs_redis_conn_round(node);
        return;
    }

    if (place == NGX_ERROR) {
        return;
    }

    /* it took its time: the next round needn't ask again */

    node->tries = node->naddrs;

    if (node->state == &evs_redis_away) {
        return;
    }

    if (place != NGX_DECLINED) {
        node->addr = (ngx_uint_t) place;
        return;
    }

    evs_redis_conn_move(node);
}


/* From an address that the name has no more to those that it has. */

static void
evs_redis_conn_move(evs_redis_node_t *node)
{
    static ngx_str_t  why = ngx_string("the name has other addresses");

    evs_redis_reason_e  logged;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "eventsession: redis %V has other addresses now: "
                  "its connection moves there", &node->conf->name);

    /* which is nothing to warn of */

    logged = node->logged;
    node->logged = EVS_REDIS_SILENT;
    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);
    node->logged = logged;

    node->addr = 0;
    node->tries = node->naddrs;

    evs_redis_conn_enter(node, &evs_redis_away, 1);
}


static void
evs_redis_conn_open(evs_redis_node_t *node)
{
    ngx_int_t          rc;
    ngx_str_t          why;
    ngx_err_t          err;
    evs_redis_addr_t  *addr;

    evs_redis_conn_enter(node, &evs_redis_connecting,
                         node->conf->connect_timeout);

    node->broken = 0;
    node->useful = 0;

    addr = &node->addrs[node->addr];

    ngx_set_errno(0);

    rc = evs_redis_socket_open(node, addr, evs_redis_conn_read_handler,
                               evs_redis_conn_write_handler, &why);

    if (rc == NGX_ERROR) {
        err = ngx_socket_errno;
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, err, &why);
        return;
    }

    if (rc == NGX_OK) {
        evs_redis_conn_opened(node);
    }
}


static void
evs_redis_conn_opened(evs_redis_node_t *node)
{
    static ngx_str_t  failed = ngx_string("connect() failed");
    static ngx_str_t  memory = ngx_string("no memory");

    ngx_err_t  err;

    err = evs_redis_socket_error(node->connection);

    if (err) {
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, err, &failed);
        return;
    }

    if (!node->connection->write->ready) {
        return;
    }

    if (evs_redis_greet(node) != NGX_OK) {
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
    if (evs_redis_socket_read(node) == NGX_ERROR) {
        evs_redis_conn_eof(node);
    }
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
evs_redis_conn_eof(evs_redis_node_t *node)
{
    static ngx_str_t  why = ngx_string("the connection was closed");

    if (node->err || node->state != &evs_redis_ready || node->live) {
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, node->err, &why);
        return;
    }

    /*
     * Redis closes idle connections, and that's nothing to warn of: if it is
     * gone indeed, then the next attempt will say so.
     */

    node->logged = EVS_REDIS_SILENT;
    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);
    node->logged = EVS_REDIS_UP;
}


static void
evs_redis_conn_drop(evs_redis_node_t *node)
{
    if (node->connection) {
        ngx_close_connection(node->connection);
        node->connection = NULL;
    }

    if (node->buffer) {
        ngx_free(node->buffer);
        node->buffer = NULL;
    }

    ngx_memzero(&node->reader, sizeof(evs_resp_reader_t));

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
