
/*
 * The commands of a node: see pipeline.h.
 *
 * A command is in one of three queues:
 *
 *     pending    committed, not a byte sent; live (someone waits for it)
 *     sent       sent, or begun to be, in the order of the replies to come;
 *                not live: its reply is read and thrown away
 *     delayed    Redis refused it for now; live
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/redis.h"


#define EVS_REDIS_BLOCK        16384      /* payload of a block */
#define EVS_REDIS_FREE_BLOCKS  16         /* kept for reuse */
#define EVS_REDIS_FREE_CMDS    1024

#define EVS_REDIS_TIMEOUT_MAX  86400000   /* ms */
#define EVS_REDIS_SWEEP_MIN    50         /* ms between two sweeps */
#define EVS_REDIS_GATHER_MAX   262144     /* bytes to gather for a write */
#define EVS_REDIS_REFUSED_FOR  5000       /* ms without a refusal: it's over */


struct evs_redis_block_s {
    evs_redis_block_t  *next;             /* in node->free_blocks */
    u_char             *last;
    u_char             *end;
    ngx_uint_t          refs;             /* commands that lie in it */
    /* payload */
};

#define evs_redis_block_start(block)  ((u_char *) (block) + sizeof(*(block)))
#define evs_redis_block_size(block)                                           \
    ((size_t) ((block)->end - evs_redis_block_start(block)))


static evs_redis_block_t *evs_redis_block_get(evs_redis_node_t *node,
    size_t size);
static void evs_redis_block_unref(evs_redis_node_t *node,
    evs_redis_block_t *block);
static void evs_redis_block_put(evs_redis_node_t *node,
    evs_redis_block_t *block);
static evs_redis_cmd_t *evs_redis_cmd_create(evs_redis_node_t *node,
    u_char *last, ngx_uint_t nreplies);
static void evs_redis_cmd_release(evs_redis_cmd_t *cmd);
static void evs_redis_cmd_free(evs_redis_cmd_t *cmd);
static void evs_redis_cmd_settle(evs_redis_cmd_t *cmd);
static void evs_redis_cmd_restart(evs_redis_cmd_t *cmd);
static ngx_uint_t evs_redis_cmd_partial(const evs_redis_cmd_t *cmd);
static void evs_redis_flush_handler(ngx_event_t *ev);
static void evs_redis_retry_handler(ngx_event_t *ev);
static void evs_redis_sweep_handler(ngx_event_t *ev);
static void evs_redis_sweep_arm(evs_redis_node_t *node, ngx_msec_t left);
static ngx_msec_t evs_redis_sweep_queue(evs_redis_node_t *node,
    ngx_queue_t *queue, ngx_msec_t left);
static void evs_redis_give_up(evs_redis_node_t *node,
    evs_redis_reply_type_e type);
static void evs_redis_queue_move(ngx_queue_t *to, ngx_queue_t *from);


void
evs_redis_pipeline_init(evs_redis_node_t *node)
{
    ngx_queue_init(&node->pending);
    ngx_queue_init(&node->sent);
    ngx_queue_init(&node->delayed);
    ngx_queue_init(&node->expired);
    ngx_queue_init(&node->free_cmds);

    node->retry_delay = EVS_REDIS_RETRY_MIN;

    node->flush.handler = evs_redis_flush_handler;
    node->flush.data = node;
    node->flush.log = &node->log;

    node->retry.handler = evs_redis_retry_handler;
    node->retry.data = node;
    node->retry.log = &node->log;

    /*
     * Not cancelable: a worker that quits stays until its commands are done
     * or their deadlines have passed.
     */
    node->sweep.handler = evs_redis_sweep_handler;
    node->sweep.data = node;
    node->sweep.log = &node->log;
}


void
evs_redis_pipeline_free(evs_redis_node_t *node)
{
    ngx_queue_t        *q;
    evs_redis_block_t  *block;

    while (!ngx_queue_empty(&node->free_cmds)) {
        q = ngx_queue_head(&node->free_cmds);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, evs_redis_cmd_t, queue));
    }

    while (node->free_blocks) {
        block = node->free_blocks;
        node->free_blocks = block->next;
        ngx_free(block);
    }

    if (node->tail) {
        ngx_free(node->tail);
        node->tail = NULL;
    }
}


u_char *
evs_redis_reserve(evs_redis_node_t *node, size_t size)
{
    evs_redis_block_t  *tail, *block;

    if (node->ended) {
        return NULL;
    }

    tail = node->tail;

    if (tail && tail->refs == 0) {

        if (evs_redis_block_size(tail) > EVS_REDIS_BLOCK) {

            /* a large one that was reserved and forgotten */

            evs_redis_block_put(node, tail);
            tail = NULL;
            node->tail = NULL;

        } else {
            tail->last = evs_redis_block_start(tail);
        }
    }

    if (tail == NULL || (size_t) (tail->end - tail->last) < size) {

        block = evs_redis_block_get(node, size);
        if (block == NULL) {
            return NULL;
        }

        if (tail && tail->refs == 0) {
            evs_redis_block_put(node, tail);
        }

        tail = block;
        node->tail = tail;
    }

    node->reserved = tail->last;

    return node->reserved;
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

    evs_redis_sweep_arm(node, timeout);

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

    ngx_queue_insert_head(&node->pending, &cmd->queue);

    return NGX_OK;
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

    if (cmd->retried && reply->type != EVS_REDIS_ERROR) {
        node->retry_delay = EVS_REDIS_RETRY_MIN;

        if (node->refused) {
            node->refused = 0;
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "eventsession: redis %V takes commands again",
                          &node->conf->name);
        }
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

    if (!node->retry.timer_set
        && ngx_current_msec - node->refused_at > EVS_REDIS_REFUSED_FOR)
    {
        node->retry_delay = EVS_REDIS_RETRY_MIN;
        node->refused = 0;
    }

    node->refused_at = ngx_current_msec;

    if (!node->refused) {
        node->refused = 1;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "eventsession: redis %V refuses commands for now, "
                      "they are tried again: %*s", &node->conf->name,
                      node->incoming.error.len, node->incoming.error.data);
    }

    evs_redis_cmd_restart(cmd);

    cmd->retried = 1;
    cmd->place = EVS_REDIS_DELAYED;

    ngx_queue_insert_tail(&node->delayed, &cmd->queue);

    if (!node->retry.timer_set) {
        ngx_add_timer(&node->retry, node->retry_delay);
    }
}


void
evs_redis_pipeline_rewind(evs_redis_node_t *node)
{
    ngx_queue_t      *q, again;
    evs_redis_cmd_t  *cmd;

    node->unsent -= node->partial;
    node->partial = 0;

    ngx_queue_init(&again);

    while (!ngx_queue_empty(&node->sent)) {
        q = ngx_queue_head(&node->sent);
        ngx_queue_remove(q);

        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (cmd->handlers == NULL) {
            evs_redis_cmd_free(cmd);
            continue;
        }

        evs_redis_cmd_restart(cmd);

        cmd->place = EVS_REDIS_PENDING;
        node->unsent += cmd->len;

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
}


void
evs_redis_pipeline_end(evs_redis_node_t *node)
{
    /* the connection is gone, and with it node->sent */

    (void) evs_redis_sweep_queue(node, &node->pending, 0);
    (void) evs_redis_sweep_queue(node, &node->delayed, 0);

    evs_redis_give_up(node, EVS_REDIS_SHUTDOWN);

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
evs_redis_sweep_handler(ngx_event_t *ev)
{
    ngx_msec_t         left;
    evs_redis_node_t  *node;

    node = ev->data;

    left = EVS_REDIS_TIMEOUT_MAX;

    left = evs_redis_sweep_queue(node, &node->sent, left);
    left = evs_redis_sweep_queue(node, &node->delayed, left);
    left = evs_redis_sweep_queue(node, &node->pending, left);

    evs_redis_give_up(node, EVS_REDIS_TIMEOUT);

    if (node->live) {
        evs_redis_sweep_arm(node, ngx_max(left, EVS_REDIS_SWEEP_MIN));
    }
}


/*
 * Collects what has expired, or everything if left is 0, without calling
 * anybody: a handler may take any command out of any queue.  Returns the time
 * to the next deadline, if it is less than left.
 */

static ngx_msec_t
evs_redis_sweep_queue(evs_redis_node_t *node, ngx_queue_t *queue,
    ngx_msec_t left)
{
    ngx_queue_t      *q;
    ngx_msec_int_t    ms;
    evs_redis_cmd_t  *cmd;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

        if (cmd->handlers == NULL || cmd->expired) {
            continue;
        }

        ms = (ngx_msec_int_t) (cmd->deadline - ngx_current_msec);

        if (ms > 0 && left > 0) {
            left = ngx_min(left, (ngx_msec_t) ms);
            continue;
        }

        cmd->expired = 1;
        ngx_queue_insert_tail(&node->expired, &cmd->expiry);
    }

    return left;
}


static void
evs_redis_give_up(evs_redis_node_t *node, evs_redis_reply_type_e type)
{
    void                        *data;
    ngx_queue_t                 *q;
    evs_redis_cmd_t             *cmd;
    evs_redis_reply_t            reply;
    const evs_redis_handlers_t  *handlers;

    while (!ngx_queue_empty(&node->expired)) {

        q = ngx_queue_head(&node->expired);
        cmd = ngx_queue_data(q, evs_redis_cmd_t, expiry);

        handlers = cmd->handlers;
        data = cmd->data;

        evs_redis_cancel(cmd);

        ngx_memzero(&reply, sizeof(evs_redis_reply_t));
        reply.type = type;

        handlers->done(data, &reply);
    }
}


static void
evs_redis_sweep_arm(evs_redis_node_t *node, ngx_msec_t left)
{
    ngx_msec_t  key;

    key = ngx_current_msec + left;

    if (node->sweep.timer_set) {

        if ((ngx_msec_int_t) (key - node->sweep.timer.key) >= 0) {
            return;
        }

        /* ngx_add_timer() alone takes up to 300 ms for the same time */

        ngx_del_timer(&node->sweep);
    }

    ngx_add_timer(&node->sweep, left);
}


/* The bytes from node->reserved to last become a command, in no queue yet. */

static evs_redis_cmd_t *
evs_redis_cmd_create(evs_redis_node_t *node, u_char *last, ngx_uint_t nreplies)
{
    ngx_queue_t        *q;
    evs_redis_cmd_t    *cmd;
    evs_redis_block_t  *block;

    block = node->tail;

    if (block == NULL || node->reserved == NULL || last <= node->reserved) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "eventsession: redis command without a text");
        return NULL;
    }

    if (!ngx_queue_empty(&node->free_cmds)) {
        q = ngx_queue_head(&node->free_cmds);
        ngx_queue_remove(q);
        node->nfree_cmds--;

        cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

    } else {
        cmd = ngx_alloc(sizeof(evs_redis_cmd_t), ngx_cycle->log);
        if (cmd == NULL) {
            return NULL;
        }
    }

    ngx_memzero(cmd, sizeof(evs_redis_cmd_t));

    cmd->node = node;
    cmd->block = block;
    cmd->start = node->reserved;
    cmd->len = (size_t) (last - node->reserved);
    cmd->nreplies = nreplies;
    cmd->place = EVS_REDIS_PENDING;

    block->refs++;
    block->last = last;

    if (evs_redis_block_size(block) > EVS_REDIS_BLOCK) {

        /* nothing else goes there: a small command would hold all of it */

        node->tail = NULL;
    }

    node->reserved = NULL;
    node->inflight += cmd->len;
    node->unsent += cmd->len;

    return cmd;
}


/* Nobody waits for the command any more. */

static void
evs_redis_cmd_settle(evs_redis_cmd_t *cmd)
{
    evs_redis_node_t  *node;

    if (cmd->handlers == NULL) {
        return;
    }

    cmd->handlers = NULL;
    cmd->data = NULL;

    node = cmd->node;
    node->live--;

    if (node->live == 0 && node->sweep.timer_set) {
        ngx_del_timer(&node->sweep);
    }
}


/* Its bytes are not needed any more. */

static void
evs_redis_cmd_release(evs_redis_cmd_t *cmd)
{
    evs_redis_node_t  *node;

    if (cmd->block == NULL) {
        return;
    }

    node = cmd->node;

    evs_redis_block_unref(node, cmd->block);
    cmd->block = NULL;

    node->inflight -= cmd->len;

    evs_redis_node_wake(node);
}


static void
evs_redis_cmd_free(evs_redis_cmd_t *cmd)
{
    evs_redis_node_t  *node;

    node = cmd->node;

    evs_redis_cmd_release(cmd);

    if (node->nfree_cmds == EVS_REDIS_FREE_CMDS) {
        ngx_free(cmd);
        return;
    }

    node->nfree_cmds++;
    ngx_queue_insert_head(&node->free_cmds, &cmd->queue);
}


/* What has come of its replies is forgotten, by its user too. */

static void
evs_redis_cmd_restart(evs_redis_cmd_t *cmd)
{
    ngx_str_t   nothing;
    ngx_uint_t  i;

    ngx_str_null(&nothing);

    for (i = 0; i < cmd->touched; i++) {
        cmd->handlers->element(cmd->data, i, &nothing);
    }

    cmd->touched = 0;
    cmd->replies = 0;
}


static ngx_uint_t
evs_redis_cmd_partial(const evs_redis_cmd_t *cmd)
{
    return cmd->node->partial
           && ngx_queue_last(&cmd->node->sent) == &cmd->queue;
}


static evs_redis_block_t *
evs_redis_block_get(evs_redis_node_t *node, size_t size)
{
    evs_redis_block_t  *block;

    block = node->free_blocks;

    if (size <= EVS_REDIS_BLOCK) {

        if (block) {
            node->free_blocks = block->next;
            node->nfree_blocks--;
            return block;
        }

        size = EVS_REDIS_BLOCK;
    }

    block = ngx_alloc(sizeof(evs_redis_block_t) + size, ngx_cycle->log);
    if (block == NULL) {
        return NULL;
    }

    block->next = NULL;
    block->last = evs_redis_block_start(block);
    block->end = block->last + size;
    block->refs = 0;

    return block;
}


static void
evs_redis_block_unref(evs_redis_node_t *node, evs_redis_block_t *block)
{
    block->refs--;

    /* the tail may be reserved right now: it is reused by the next reserve */

    if (block->refs == 0 && block != node->tail) {
        evs_redis_block_put(node, block);
    }
}


static void
evs_redis_block_put(evs_redis_node_t *node, evs_redis_block_t *block)
{
    if (evs_redis_block_size(block) > EVS_REDIS_BLOCK
        || node->nfree_blocks == EVS_REDIS_FREE_BLOCKS)
    {
        ngx_free(block);
        return;
    }

    block->last = evs_redis_block_start(block);
    block->next = node->free_blocks;
    node->free_blocks = block;
    node->nfree_blocks++;
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
