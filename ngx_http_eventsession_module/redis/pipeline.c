
/*
 * The commands of a node: see pipeline.h.
 *
 * A command is in one of three queues:
 *
 *     pending    committed, not a byte sent; someone waits for it
 *     sent       sent, or begun to be, in the order of the replies to come;
 *                if nobody waits for it, its reply is read and thrown away
 *     delayed    Redis refused it for now; someone waits for it
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/command.h"
#include "redis/conn.h"
#include "redis/deadline.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/redis.h"


#define EVS_REDIS_GATHER_MAX   262144     /* bytes to gather for a write */

#define EVS_REDIS_RETRY_MIN    50         /* ms between two tries of what */
#define EVS_REDIS_RETRY_MAX    1000       /*    Redis can't take now */
#define EVS_REDIS_REFUSED_FOR  5000       /* ms without a refusal: it's over */


static void evs_redis_pipeline_count(evs_redis_node_t *node,
    const evs_redis_cmd_t *cmd);
static void evs_redis_pipeline_lost(evs_redis_node_t *node);
static void evs_redis_lose_queue(evs_redis_node_t *node, ngx_queue_t *queue);
static void evs_redis_flush_handler(ngx_event_t *ev);
static void evs_redis_retry_handler(ngx_event_t *ev);
static void evs_redis_refused(evs_redis_node_t *node);
static void evs_redis_accepted(evs_redis_node_t *node);
static void evs_redis_queue_move(ngx_queue_t *to, ngx_queue_t *from);


void
evs_redis_pipeline_init(evs_redis_node_t *node)
{
    ngx_queue_init(&node->pending);
    ngx_queue_init(&node->sent);
    ngx_queue_init(&node->delayed);
    ngx_queue_init(&node->free_cmds);

    node->retry_delay = EVS_REDIS_RETRY_MIN;

    node->flush.handler = evs_redis_flush_handler;
    node->flush.data = node;
    node->flush.log = &node->log;

    node->retry.handler = evs_redis_retry_handler;
    node->retry.data = node;
    node->retry.log = &node->log;

    evs_redis_deadline_init(node);
}


evs_redis_cmd_t *
evs_redis_commit(evs_redis_node_t *node, u_char *last, ngx_uint_t nreplies,
    ngx_msec_t timeout, const evs_redis_handlers_t *handlers, void *data)
{
    evs_redis_cmd_t  *cmd;

    if (node->ended) {
        return NULL;
    }

    cmd = evs_redis_cmd_create(node, last, nreplies);
    if (cmd == NULL) {
        return NULL;
    }

    cmd->handlers = handlers;
    cmd->data = data;
    timeout = ngx_min(timeout, EVS_REDIS_TIMEOUT_MAX);
    cmd->deadline = ngx_current_msec + timeout;

    ngx_queue_insert_tail(&node->pending, &cmd->queue);

    node->live++;

    evs_redis_deadline_arm(node, timeout);

    if (node->reason != EVS_REDIS_UP) {
        return cmd;
    }

    if (!node->flush.posted) {
        ngx_post_event(&node->flush, &ngx_posted_events);
    }

    if (node->unsent >= EVS_REDIS_FLUSH) {
        evs_redis_conn_write(node);
    }

    return cmd;
}


evs_redis_cmd_t *
evs_redis_commit_once(evs_redis_node_t *node, u_char *last,
    ngx_uint_t nreplies, ngx_msec_t timeout,
    const evs_redis_handlers_t *handlers, void *data)
{
    evs_redis_cmd_t  *cmd;

    cmd = evs_redis_commit(node, last, nreplies, timeout, handlers, data);

    if (cmd != NULL) {
        cmd->once = 1;
    }

    return cmd;
}


ngx_int_t
evs_redis_pipeline_greet(evs_redis_node_t *node, u_char *last,
    ngx_uint_t nreplies)
{
    evs_redis_cmd_t  *cmd;

    cmd = evs_redis_cmd_create(node, last, nreplies);
    if (cmd == NULL) {
        return NGX_ERROR;
    }

    cmd->greeting = 1;

    /* it is nobody's load */

    evs_redis_node_shrink(node, cmd->len);

    ngx_queue_insert_head(&node->pending, &cmd->queue);

    return NGX_OK;
}


void
evs_redis_flush(evs_redis_node_t *node)
{
    if (node->reason == EVS_REDIS_UP) {
        evs_redis_conn_write(node);
    }
}


void
evs_redis_cancel(evs_redis_cmd_t *cmd)
{
    if (cmd->expired) {
        ngx_queue_remove(&cmd->expiry);
        cmd->expired = 0;
    }

    if (cmd->place != EVS_REDIS_SENT) {

        if (cmd->place == EVS_REDIS_PENDING) {
            cmd->node->unsent -= cmd->len;
        }

        ngx_queue_remove(&cmd->queue);
        evs_redis_cmd_settle(cmd);
        evs_redis_cmd_free(cmd);

        return;
    }

    /* its reply will come, and has to be told from the next command's */

    evs_redis_cmd_settle(cmd);

    if (!evs_redis_cmd_partial(cmd)) {
        evs_redis_cmd_release(cmd);
    }
}


void
evs_redis_pipeline_gather(evs_redis_node_t *node, ngx_iovec_t *vec)
{
    size_t            len;
    u_char           *start;
    ngx_queue_t      *q;
    struct iovec     *iov;
    evs_redis_cmd_t  *cmd;

    iov = NULL;
    vec->count = 0;
    vec->size = 0;

    q = ngx_queue_head(&node->pending);

    if (node->partial) {
        q = ngx_queue_last(&node->sent);
    }

    while (q != ngx_queue_sentinel(&node->pending)
           && vec->size < EVS_REDIS_GATHER_MAX)
    {
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (node->reason != EVS_REDIS_UP && !cmd->greeting) {
            break;
        }

        start = cmd->start;
        len = cmd->len;

        if (cmd->place == EVS_REDIS_SENT) {
            start += len - node->partial;
            len = node->partial;
            q = ngx_queue_head(&node->pending);

        } else {
            q = ngx_queue_next(q);
        }

        if (iov && (u_char *) iov->iov_base + iov->iov_len == start) {
            iov->iov_len += len;

        } else if (vec->count < vec->nalloc) {
            iov = &vec->iovs[vec->count++];
            iov->iov_base = start;
            iov->iov_len = len;

        } else {
            break;
        }

        vec->size += len;
    }
}


void
evs_redis_pipeline_wrote(evs_redis_node_t *node, size_t n)
{
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    evs_stats_tick();

    node->unsent -= n;

    if (n && ngx_queue_empty(&node->sent)) {
        node->heard_at = ngx_current_msec;
    }

    if (node->partial) {

        if (n < node->partial) {
            node->partial -= n;
            return;
        }

        n -= node->partial;
        node->partial = 0;

        q = ngx_queue_last(&node->sent);
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (cmd->handlers == NULL) {
            evs_redis_cmd_release(cmd);
        }
    }

    while (n) {
        q = ngx_queue_head(&node->pending);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&node->sent, q);

        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);
        cmd->place = EVS_REDIS_SENT;
        cmd->sent_at = evs_stats.now;

        if (n < cmd->len) {
            node->partial = cmd->len - n;
            return;
        }

        n -= cmd->len;
    }
}


void
evs_redis_pipeline_done(evs_redis_node_t *node,
    const evs_redis_reply_t *reply)
{
    void                        *data;
    ngx_queue_t                 *q;
    evs_redis_cmd_t             *cmd;
    const evs_redis_handlers_t  *handlers;

    q = ngx_queue_head(&node->sent);
    cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

    if (evs_redis_cmd_partial(cmd)) {

        /* an answer to half a question: only a fault is told like that */

        node->unsent -= node->partial;
        node->partial = 0;
        node->broken = 1;
    }

    if (node->refused && reply->type != EVS_REDIS_ERROR
        && (cmd->retried
            || ngx_current_msec - node->refused_at > EVS_REDIS_REFUSED_FOR))
    {
        evs_redis_accepted(node);
    }

    if (!cmd->greeting) {
        evs_redis_pipeline_count(node, cmd);
    }

    handlers = cmd->handlers;
    data = cmd->data;

    if (cmd->expired) {
        ngx_queue_remove(&cmd->expiry);
    }

    ngx_queue_remove(&cmd->queue);
    evs_redis_cmd_settle(cmd);
    evs_redis_cmd_free(cmd);

    if (handlers) {
        handlers->done(data, reply);
    }
}


/* What blocks in Redis is no measure of it, and is another node's. */

static void
evs_redis_pipeline_count(evs_redis_node_t *node, const evs_redis_cmd_t *cmd)
{
    *evs_stats_server_cell(node->server, EVS_STATS_COMMANDS) += cmd->nreplies;

    if (!node->quiet) {
        evs_stats_observe(evs_stats_server_cell(node->server,
                                                EVS_STATS_ROUND_TRIP),
                          cmd->sent_at);
    }
}


void
evs_redis_pipeline_delay(evs_redis_node_t *node)
{
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    q = ngx_queue_head(&node->sent);
    cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

    if (evs_redis_cmd_partial(cmd)) {

        /* losing the connection will have it sent again */

        node->broken = 1;
        return;
    }

    ngx_queue_remove(&cmd->queue);

    if (cmd->handlers == NULL) {
        evs_redis_cmd_free(cmd);
        return;
    }

    evs_redis_refused(node);

    evs_redis_cmd_restart(cmd);

    cmd->retried = 1;
    cmd->place = EVS_REDIS_DELAYED;

    *evs_stats_server_cell(node->server, EVS_STATS_RESENT) += cmd->nreplies;

    ngx_queue_insert_tail(&node->delayed, &cmd->queue);

    if (!node->retry.timer_set) {
        ngx_add_timer(&node->retry, node->retry_delay);
    }
}


void
evs_redis_pipeline_rewind(evs_redis_node_t *node)
{
    ngx_uint_t        lost;
    ngx_queue_t      *q, again;
    evs_redis_cmd_t  *cmd;

    node->unsent -= node->partial;
    node->partial = 0;

    lost = 0;
    ngx_queue_init(&again);

    while (!ngx_queue_empty(&node->sent)) {
        q = ngx_queue_head(&node->sent);
        ngx_queue_remove(q);

        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        lost |= cmd->once;

        if (cmd->handlers == NULL) {
            evs_redis_cmd_free(cmd);
            continue;
        }

        evs_redis_cmd_restart(cmd);

        cmd->place = EVS_REDIS_PENDING;
        node->unsent += cmd->len;

        if (!cmd->once) {
            *evs_stats_server_cell(node->server, EVS_STATS_RESENT)
                                                          += cmd->nreplies;
        }

        ngx_queue_insert_tail(&again, q);
    }

    /* a greeting of which nothing was sent */

    if (!ngx_queue_empty(&node->pending)) {
        q = ngx_queue_head(&node->pending);
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (cmd->greeting) {
            ngx_queue_remove(q);
            node->unsent -= cmd->len;
            evs_redis_cmd_free(cmd);
        }
    }

    evs_redis_queue_move(&again, &node->pending);
    evs_redis_queue_move(&node->pending, &again);

    if (lost) {
        evs_redis_pipeline_lost(node);
    }
}


/* Some that must not be carried out twice were sent: they all end here. */

static void
evs_redis_pipeline_lost(evs_redis_node_t *node)
{
    /* what Redis has of them, and has not read yet, must be dead first */

    node->lost = node->client;

    evs_redis_lose_queue(node, &node->pending);
    evs_redis_lose_queue(node, &node->delayed);

    evs_redis_give_up(node, EVS_REDIS_LOST);
}


static void
evs_redis_lose_queue(evs_redis_node_t *node, ngx_queue_t *queue)
{
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (cmd->once && !cmd->expired) {
            cmd->expired = 1;
            ngx_queue_insert_tail(&node->expired, &cmd->expiry);
        }
    }
}


void
evs_redis_pipeline_forget(evs_redis_node_t *node)
{
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    while (!ngx_queue_empty(&node->pending)) {
        q = ngx_queue_head(&node->pending);
        evs_redis_cancel(ngx_queue_data(q, evs_redis_cmd_t, queue));
    }

    while (!ngx_queue_empty(&node->delayed)) {
        q = ngx_queue_head(&node->delayed);
        evs_redis_cancel(ngx_queue_data(q, evs_redis_cmd_t, queue));
    }

    for (q = ngx_queue_head(&node->sent);
         q != ngx_queue_sentinel(&node->sent);
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (cmd->handlers) {
            evs_redis_cancel(cmd);
        }
    }
}


void
evs_redis_pipeline_end(evs_redis_node_t *node)
{
    evs_redis_deadline_end(node);

    if (node->retry.timer_set) {
        ngx_del_timer(&node->retry);
    }

    if (node->flush.posted) {
        ngx_delete_posted_event(&node->flush);
    }
}


static void
evs_redis_flush_handler(ngx_event_t *ev)
{
    evs_redis_node_t  *node;

    node = ev->data;

    if (node->broken) {
        evs_redis_conn_broken(node);
        return;
    }

    evs_redis_conn_write(node);

    if (node->broken) {
        evs_redis_conn_broken(node);
    }
}


static void
evs_redis_retry_handler(ngx_event_t *ev)
{
    ngx_queue_t       *q;
    evs_redis_cmd_t   *cmd;
    evs_redis_node_t  *node;

    node = ev->data;

    for (q = ngx_queue_head(&node->delayed);
         q != ngx_queue_sentinel(&node->delayed);
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        cmd->place = EVS_REDIS_PENDING;
        node->unsent += cmd->len;
    }

    evs_redis_queue_move(&node->pending, &node->delayed);

    node->retry_delay = ngx_min(node->retry_delay * 2, EVS_REDIS_RETRY_MAX);

    if (node->reason == EVS_REDIS_UP && !node->flush.posted) {
        ngx_post_event(&node->flush, &ngx_posted_events);
    }
}


static void
evs_redis_refused(evs_redis_node_t *node)
{
    if (!node->retry.timer_set
        && ngx_current_msec - node->refused_at > EVS_REDIS_REFUSED_FOR)
    {
        node->retry_delay = EVS_REDIS_RETRY_MIN;
    }

    node->refused_at = ngx_current_msec;

    if (node->refused) {
        return;
    }

    node->refused = 1;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "eventsession: redis %V refuses commands for now, they are "
                  "tried again: %*s", &node->conf->name,
                  node->incoming.error.len, node->incoming.error.data);
}


/* A command that was refused before has been taken, or none was for long. */

static void
evs_redis_accepted(evs_redis_node_t *node)
{
    node->retry_delay = EVS_REDIS_RETRY_MIN;

    if (node->refused) {
        node->refused = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: redis %V takes commands again",
                      &node->conf->name);
    }
}


static void
evs_redis_queue_move(ngx_queue_t *to, ngx_queue_t *from)
{
    if (ngx_queue_empty(from)) {
        return;
    }

    ngx_queue_add(to, from);
    ngx_queue_init(from);
}
