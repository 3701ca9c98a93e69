
/*
 * The end of commands that are not done in time: one timer a node, set to the
 * next deadline while someone waits for a command.
 */


#ifndef _EVS_REDIS_DEADLINE_H_INCLUDED_
#define _EVS_REDIS_DEADLINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/node.h"


#define EVS_REDIS_TIMEOUT_MAX  86400000   /* ms */


void evs_redis_deadline_init(evs_redis_node_t *node);

/* There is a deadline left ms from now. */
void evs_redis_deadline_arm(evs_redis_node_t *node, ngx_msec_t left);

/* Each command of node->expired ends with a reply of this type. */
void evs_redis_give_up(evs_redis_node_t *node, evs_redis_reply_type_e type);

/* SHUTDOWN for every command; node->sent must be empty. */
void evs_redis_deadline_end(evs_redis_node_t *node);


#endif /* _EVS_REDIS_DEADLINE_H_INCLUDED_ */
