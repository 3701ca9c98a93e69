
/*
 * The connection of a node: resolve, connect, greet, read and write, give up,
 * come back.
 */


#ifndef _EVS_REDIS_CONN_H_INCLUDED_
#define _EVS_REDIS_CONN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/node.h"


/* Begins to connect; the node has no connection yet.  NGX_OK or NGX_ERROR. */
ngx_int_t evs_redis_conn_init(evs_redis_node_t *node);

/*
 * The resolver has answered.  node->addrs are new, and place is where the one
 * that was in use is among them, NGX_DECLINED being nowhere; NGX_ERROR: it has
 * no answer, and they are as they were.
 */
void evs_redis_conn_resolved(evs_redis_node_t *node, ngx_int_t place);

/*
 * Writes what is pending as far as the socket takes it now.  Calls nobody: a
 * connection that fails is only marked, and given up by ..._broken(), which
 * is for event handlers to call.
 */
void evs_redis_conn_write(evs_redis_node_t *node);
void evs_redis_conn_broken(evs_redis_node_t *node);

/* The greeting is over: commands may flow. */
void evs_redis_conn_ready(evs_redis_node_t *node);

/*
 * Gives the connection (or the attempt) up and comes back later.  err and
 * text, either may be 0 and NULL, are for the log.
 */
void evs_redis_conn_lose(evs_redis_node_t *node, evs_redis_reason_e reason,
    ngx_err_t err, const ngx_str_t *text);

/* Gives it up for good.  Idempotent. */
void evs_redis_conn_close(evs_redis_node_t *node);


#endif /* _EVS_REDIS_CONN_H_INCLUDED_ */
