
/*
 * The bytes and the structs of commands: see command.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/command.h"
#include "redis/node.h"
#include "redis/redis.h"


#define EVS_REDIS_BLOCK        16384      /* payload of a block */
#define EVS_REDIS_FREE_BLOCKS  16         /* kept for reuse */
#define EVS_REDIS_FREE_CMDS    1024


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
    node->unsent += cmd->len;

    evs_redis_node_grow(node, cmd->len);

    return cmd;
}


void
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


void
evs_redis_cmd_release(evs_redis_cmd_t *cmd)
{
    if (cmd->block == NULL) {
        return;
    }

    evs_redis_block_unref(cmd->node, cmd->block);
    cmd->block = NULL;

    if (!cmd->greeting) {
        evs_redis_node_shrink(cmd->node, cmd->len);
    }
}


void
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


void
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


ngx_uint_t
evs_redis_cmd_partial(const evs_redis_cmd_t *cmd)
{
    return cmd->node->partial
           && ngx_queue_last(&cmd->node->sent) == &cmd->queue;
}


void
evs_redis_cmd_destroy_all(evs_redis_node_t *node)
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
