
/*
 * What a node does with its socket: open it, write what is pending, read what
 * has come.  What that means is decided in conn.c.
 */


#ifndef _EVS_REDIS_SOCKET_H_INCLUDED_
#define _EVS_REDIS_SOCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/node.h"


/*
 * As ngx_event_connect_peer(), but a failure is only reported: that one logs
 * every attempt.  The connection is node->connection as soon as there is one.
 * NGX_OK: connected; NGX_AGAIN: on its way; NGX_ERROR: why and errno tell.
 */
ngx_int_t evs_redis_socket_open(evs_redis_node_t *node,
    evs_redis_addr_t *addr, ngx_event_handler_pt read,
    ngx_event_handler_pt write, ngx_str_t *why);

/* What became of a connection that was on its way: 0, or an errno. */
ngx_err_t evs_redis_socket_error(ngx_connection_t *c);

/*
 * Writes what is pending as far as the socket takes it now.  NGX_OK, or
 * NGX_ERROR: node->err tells.
 */
ngx_int_t evs_redis_socket_write(evs_redis_node_t *node);

/*
 * Reads and deals with what has come.  NGX_OK; NGX_ERROR: it was closed,
 * node->err tells; NGX_DONE: a reply has led to the end of the connection.
 */
ngx_int_t evs_redis_socket_read(evs_redis_node_t *node);


#endif /* _EVS_REDIS_SOCKET_H_INCLUDED_ */
