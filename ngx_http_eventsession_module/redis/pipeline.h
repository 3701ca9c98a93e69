
/*
 * The commands of a node, from their commit to their end.
 *
 * The order on the wire is the order of node->pending, not that of the blocks
 * in which the bytes lie.  So nothing is ever moved: not after a partial
 * write, nor when a command in the middle is cancelled, tried again, or sent
 * again on the next connection.
 */


#ifndef _EVS_REDIS_PIPELINE_H_INCLUDED_
#define _EVS_REDIS_PIPELINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/node.h"


void evs_redis_pipeline_init(evs_redis_node_t *node);

/*
 * As evs_redis_commit(), but goes before everything pending, is forgotten
 * with its connection and has no deadline.  NGX_OK or NGX_ERROR.
 */
ngx_int_t evs_redis_pipeline_greet(evs_redis_node_t *node, u_char *last,
    ngx_uint_t nreplies);

/* Fills vec with what is to be written next; vec->count may be 0. */
void evs_redis_pipeline_gather(evs_redis_node_t *node, ngx_iovec_t *vec);

/* So many of the gathered bytes have been written. */
void evs_redis_pipeline_wrote(evs_redis_node_t *node, size_t n);

/* The first command of node->sent has got its replies. */
void evs_redis_pipeline_done(evs_redis_node_t *node,
    const evs_redis_reply_t *reply);

/* Redis refused it for now: it is sent again after a delay. */
void evs_redis_pipeline_delay(evs_redis_node_t *node);

/*
 * The connection is gone: what was sent is to be sent again, but for what
 * must not be carried out twice; that ends with EVS_REDIS_LOST.
 */
void evs_redis_pipeline_rewind(evs_redis_node_t *node);

/* Every command is given up. */
void evs_redis_pipeline_end(evs_redis_node_t *node);

/* Nobody waits for any command any more. */
void evs_redis_pipeline_forget(evs_redis_node_t *node);


#endif /* _EVS_REDIS_PIPELINE_H_INCLUDED_ */
