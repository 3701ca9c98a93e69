
/*
 * The bytes and the structs of commands: blocks that are counted by the
 * commands in them, and structs that are used again.
 */


#ifndef _EVS_REDIS_COMMAND_H_INCLUDED_
#define _EVS_REDIS_COMMAND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/node.h"


/*
 * The bytes from the last reserve to last become a command, in no queue yet.
 * NULL: no memory.
 */
evs_redis_cmd_t *evs_redis_cmd_create(evs_redis_node_t *node, u_char *last,
    ngx_uint_t nreplies);

/* It is in no queue any more. */
void evs_redis_cmd_free(evs_redis_cmd_t *cmd);

/* Its bytes are not needed any more.  Idempotent. */
void evs_redis_cmd_release(evs_redis_cmd_t *cmd);

/* Nobody waits for it any more.  Idempotent. */
void evs_redis_cmd_settle(evs_redis_cmd_t *cmd);

/* What has come of its replies is forgotten, by its user too. */
void evs_redis_cmd_restart(evs_redis_cmd_t *cmd);

/* Whether it is the one of which only a part has been sent: 1 or 0. */
ngx_uint_t evs_redis_cmd_partial(const evs_redis_cmd_t *cmd);

/* Frees what is kept for reuse. */
void evs_redis_cmd_destroy_all(evs_redis_node_t *node);


#endif /* _EVS_REDIS_COMMAND_H_INCLUDED_ */
