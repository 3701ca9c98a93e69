
/*
 * The socket of a node: see socket.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/reply.h"
#include "redis/resp_room.h"
#include "redis/socket.h"


#define EVS_REDIS_WRITE_IOVS   64
#define EVS_REDIS_WRITE_TURN   2097152    /* bytes written in one go */
#define EVS_REDIS_READ_TURN    1048576    /* bytes read in one go */


static ngx_connection_t *evs_redis_socket_connection(evs_redis_node_t *node,
    ngx_socket_t s);
static void evs_redis_socket_options(evs_redis_node_t *node, ngx_socket_t s,
    int family);
static ngx_int_t evs_redis_socket_events(ngx_connection_t *c, int rc);


ngx_int_t
evs_redis_socket_open(evs_redis_node_t *node, evs_redis_addr_t *addr,
    ngx_event_handler_pt read, ngx_event_handler_pt write, ngx_str_t *why)
{
    int                rc;
    ngx_socket_t       s;
    ngx_connection_t  *c;

    s = ngx_socket(addr->sockaddr.sockaddr.sa_family, SOCK_STREAM, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_str_set(why, "socket() failed");
        return NGX_ERROR;
    }

    c = evs_redis_socket_connection(node, s);

    if (c == NULL) {
        (void) ngx_close_socket(s);

        ngx_set_errno(0);
        ngx_str_set(why, "worker_connections are used up");
        return NGX_ERROR;
    }

    c->read->handler = read;
    c->write->handler = write;

    if (ngx_nonblocking(s) == -1) {
        ngx_str_set(why, ngx_nonblocking_n " failed");
        return NGX_ERROR;
    }

    evs_redis_socket_options(node, s, addr->sockaddr.sockaddr.sa_family);

    rc = connect(s, &addr->sockaddr.sockaddr, addr->socklen);

    /* a unix socket whose queue is full says EAGAIN: that's a failure too */

    if (rc == -1 && ngx_socket_errno != NGX_EINPROGRESS) {
        ngx_str_set(why, "connect() failed");
        return NGX_ERROR;
    }

    if (evs_redis_socket_events(c, rc) != NGX_OK) {
        ngx_str_set(why, "adding the connection's events failed");
        return NGX_ERROR;
    }

    return (rc == -1) ? NGX_AGAIN : NGX_OK;
}


ngx_err_t
evs_redis_socket_error(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err;
}


ngx_int_t
evs_redis_socket_write(evs_redis_node_t *node)
{
    size_t             total;
    ssize_t            n;
    ngx_iovec_t        vec;
    ngx_event_t       *wev;
    struct iovec       iovs[EVS_REDIS_WRITE_IOVS];
    ngx_connection_t  *c;

    c = node->connection;
    wev = c->write;

    vec.iovs = iovs;
    vec.nalloc = EVS_REDIS_WRITE_IOVS;

    for (total = 0; wev->ready; total += (size_t) n) {

        evs_redis_pipeline_gather(node, &vec);

        if (vec.count == 0) {
            break;
        }

        if (total >= EVS_REDIS_WRITE_TURN) {

            /* the others' turn; no event would come of itself */

            ngx_post_event(wev, &ngx_posted_next_events);
            return NGX_OK;
        }

        n = ngx_writev(c, &vec);

        if (n == NGX_ERROR) {
            node->err = ngx_socket_errno;
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            wev->ready = 0;
            break;
        }

        if ((size_t) n < vec.size) {
            wev->ready = 0;
        }

        evs_redis_pipeline_wrote(node, (size_t) n);
    }

    node->err = 0;

    if (wev->ready && wev->active) {
        return ngx_del_event(wev, NGX_WRITE_EVENT, NGX_CLEAR_EVENT);
    }

    return ngx_handle_write_event(wev, 0);
}


ngx_int_t
evs_redis_socket_read(evs_redis_node_t *node)
{
    size_t              size, total;
    ssize_t             n;
    ngx_event_t        *rev;
    ngx_connection_t   *c;
    evs_resp_reader_t  *reader;

    c = node->connection;
    rev = c->read;
    reader = &node->reader;

    for (total = 0; total < EVS_REDIS_READ_TURN; total += (size_t) n) {

        size = evs_resp_room(reader, &node->buffer, &node->buffer_size,
                             &node->log);

        if (size == 0) {
            node->err = NGX_ENOMEM;
            return NGX_ERROR;
        }

        n = c->recv(c, reader->last, size);

        if (n == NGX_AGAIN) {
            node->err = 0;
            return ngx_handle_read_event(rev, 0);
        }

        if (n == NGX_ERROR || n == 0) {
            node->err = n ? ngx_socket_errno : 0;
            return NGX_ERROR;
        }

        reader->last += n;
        node->heard_at = ngx_current_msec;

        evs_stats_tick();

        if (evs_redis_reply_read(node) != NGX_OK) {
            return NGX_DONE;
        }
    }

    /* more may lie in the socket, for which no event would come */

    ngx_post_event(rev, &ngx_posted_next_events);

    return NGX_OK;
}


static ngx_connection_t *
evs_redis_socket_connection(evs_redis_node_t *node, ngx_socket_t s)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(s, &node->log);
    if (c == NULL) {
        return NULL;
    }

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

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    node->connection = c;
    node->log.connection = c->number;

    return c;
}


static void
evs_redis_socket_options(evs_redis_node_t *node, ngx_socket_t s, int family)
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


/*
 * rc is connect()'s.  Only who waits for room asks to be told of it: on a unix
 * socket there is more with all that Redis reads, and each time would be an
 * event for nothing.  That is why it isn't ngx_add_conn().
 */

static ngx_int_t
evs_redis_socket_events(ngx_connection_t *c, int rc)
{
    ngx_uint_t  event;

    if (rc == 0) {
        c->write->ready = 1;
    }

    event = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT
                                                    : NGX_LEVEL_EVENT;

    if (ngx_add_event(c->read, NGX_READ_EVENT, event) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc == 0) {
        return NGX_OK;
    }

    return ngx_add_event(c->write, NGX_WRITE_EVENT, event);
}
