
/*
 * The addresses of a node: those of the start-up, or nginx's resolver's.
 */


#ifndef _EVS_REDIS_RESOLVE_H_INCLUDED_
#define _EVS_REDIS_RESOLVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/node.h"


/* Takes the addresses that the conf found.  NGX_OK, NGX_ERROR: no memory. */
ngx_int_t evs_redis_resolve_start_up(evs_redis_node_t *node);

/*
 * Asks the resolver for the conf's host, and calls evs_redis_conn_resolved(),
 * maybe at once.  If the resolver has no answer, the addresses stay as they
 * were: a resolver that is out of order shall not take Redis with it.
 * node->resolve is the question, while there is no answer.
 */
void evs_redis_resolve(evs_redis_node_t *node);

/* Idempotent. */
void evs_redis_resolve_cancel(evs_redis_node_t *node);


#endif /* _EVS_REDIS_RESOLVE_H_INCLUDED_ */
