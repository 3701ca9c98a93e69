
/*
 * The greeting: what is said and asked on each new connection before the
 * first command.
 */


#ifndef _EVS_REDIS_GREET_H_INCLUDED_
#define _EVS_REDIS_GREET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/node.h"


/* NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t evs_redis_greet(evs_redis_node_t *node);

/* A bulk string of the greeting's replies, while it is read. */
void evs_redis_greet_text(evs_redis_node_t *node, const u_char *text,
    size_t len);

/*
 * A whole reply of the greeting is in node->incoming.  NGX_OK, or NGX_ERROR:
 * the connection was given up.
 */
ngx_int_t evs_redis_greet_reply(evs_redis_node_t *node, evs_redis_cmd_t *cmd);


#endif /* _EVS_REDIS_GREET_H_INCLUDED_ */
