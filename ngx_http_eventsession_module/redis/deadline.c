
/*
 * The end of commands that are not done in time: see deadline.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/deadline.h"
#include "redis/node.h"
#include "redis/redis.h"


#define EVS_REDIS_SWEEP_MIN    50         /* ms between two sweeps */


static void evs_redis_sweep_handler(ngx_event_t *ev);
static ngx_msec_t evs_redis_sweep_queue(evs_redis_node_t *node,
    ngx_queue_t *queue, ngx_msec_t left);
static void evs_redis_give_up_count(const evs_redis_cmd_t *cmd,
    evs_redis_reply_type_e type);


void
evs_redis_deadline_init(evs_redis_node_t *node)
{
    ngx_queue_init(&node->expired);

    /*
     * Not cancelable: a worker that quits stays until its commands are done
     * or their deadlines have passed.
     */
    node->sweep.handler = evs_redis_sweep_handler;
    node->sweep.data = node;
    node->sweep.log = &node->log;
}


void
evs_redis_deadline_arm(evs_redis_node_t *node, ngx_msec_t left)
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


void
evs_redis_deadline_end(evs_redis_node_t *node)
{
    /* the connection is gone, and with it node->sent */

    (void) evs_redis_sweep_queue(node, &node->pending, 0);
    (void) evs_redis_sweep_queue(node, &node->delayed, 0);

    evs_redis_give_up(node, EVS_REDIS_SHUTDOWN);
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
        evs_redis_deadline_arm(node, ngx_max(left, EVS_REDIS_SWEEP_MIN));
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
evs_redis_give_up_count(const evs_redis_cmd_t *cmd,
    evs_redis_reply_type_e type)
{
    ngx_uint_t  error;

    if (type == EVS_REDIS_SHUTDOWN) {
        return;
    }

    error = (type == EVS_REDIS_LOST) ? EVS_STATS_LOST : EVS_STATS_TIMEOUT;

    *evs_stats_server_cell(cmd->node->server, EVS_STATS_COMMAND_ERRORS + error)
                                                          += cmd->nreplies;
}


void
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

        evs_redis_give_up_count(cmd, type);
        evs_redis_cancel(cmd);

        ngx_memzero(&reply, sizeof(evs_redis_reply_t));
        reply.type = type;

        handlers->done(data, &reply);
    }
}
