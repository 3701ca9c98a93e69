
/*
 * The Redis room as its users see it: a node is one server, reached from this
 * process through one pipelined connection.  Knows nothing of events.
 *
 * A command is RESP text that the caller writes straight into the node's
 * output buffer, between evs_redis_reserve() and evs_redis_commit():
 *
 *     p = evs_redis_reserve(node, size);
 *     last = write at most size bytes of whole commands at p;
 *     cmd = evs_redis_commit(node, last, nreplies, deadline, &handlers, data);
 *
 * Commands leave together at the end of the event-loop turn, and at once when
 * EVS_REDIS_FLUSH bytes wait.  A command whose reply is outstanding when the
 * connection breaks is sent again on the next one, byte for byte: commands
 * must be idempotent.  Every committed command ends in exactly one call of
 * its done handler, or in evs_redis_cancel().
 */


#ifndef _EVS_REDIS_H_INCLUDED_
#define _EVS_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conf.h"


#define EVS_REDIS_FLUSH   16384


typedef struct evs_redis_node_s  evs_redis_node_t;
typedef struct evs_redis_cmd_s   evs_redis_cmd_t;


typedef enum {
    EVS_REDIS_INTEGER = 0,
    EVS_REDIS_STATUS,
    EVS_REDIS_STRING,
    EVS_REDIS_NIL,
    EVS_REDIS_ARRAY,
    EVS_REDIS_ERROR,         /* Redis refused the command for good; str */
    EVS_REDIS_TIMEOUT,       /* the deadline passed: not known to be done */
    EVS_REDIS_LOST,          /* of evs_redis_commit_once(): its connection
                                broke: not known to be done */
    EVS_REDIS_SHUTDOWN       /* the process ends: not known to be done */
} evs_redis_reply_type_e;

typedef struct {
    evs_redis_reply_type_e   type;
    int64_t                  integer;   /* INTEGER; ARRAY: elements */
    ngx_str_t                str;       /* STATUS, ERROR: cut to 255 bytes,
                                           valid during the call */
} evs_redis_reply_t;

typedef struct {
    /*
     * Each element of an array reply, and a string reply itself, as it comes
     * in from the socket; it is valid during the call.  Arrays in arrays are
     * flat, an integer is its text, nil is an empty string.  data == NULL
     * starts the reply again: forget what came before.  Must not call into
     * the redis room.  NULL: elements are not wanted.
     */
    void  (*element)(void *data, ngx_uint_t nreply, const ngx_str_t *element);

    /*
     * Once, when all nreplies are in (reply is the last one, or the first
     * error among them), or when the command is given up (ERROR, TIMEOUT,
     * SHUTDOWN).  May commit and cancel other commands; its own is gone.
     */
    void  (*done)(void *data, const evs_redis_reply_t *reply);
} evs_redis_handlers_t;


/*
 * The node of a conf in this process; made, and its connection begun, at the
 * first call.  NULL: no memory, or the process ends.
 */
evs_redis_node_t *evs_redis_node(ngx_cycle_t *cycle, evs_redis_conf_t *conf);

/*
 * A node with a connection of its own, for commands that block: they would
 * hold up everybody else's.  NULL: no memory, or the process ends.  It is
 * closed by who opened it, before evs_redis_exit(), and not from a handler of
 * one of its commands; those that are left end without a call.
 */
evs_redis_node_t *evs_redis_open(ngx_cycle_t *cycle, evs_redis_conf_t *conf);
void evs_redis_close(evs_redis_node_t *node);

/*
 * At the end of a process: gives each command left its SHUTDOWN, closes every
 * connection, frees every node.
 */
void evs_redis_exit(ngx_cycle_t *cycle);

/*
 * Inflight are the bytes of commands that are committed and not yet done, and
 * what users of the node keep until something is done: size bytes more, and
 * the same bytes less.
 */
void evs_redis_load(evs_redis_node_t *node, size_t size);
void evs_redis_unload(evs_redis_node_t *node, size_t size);

/*
 * How much is to be inflight at most, for the metrics; of several the lowest
 * counts.
 */
void evs_redis_bound(evs_redis_node_t *node, size_t bound);

/* Whether less than bound is inflight: 1 or 0; if not, the log has it once. */
ngx_uint_t evs_redis_has_room(evs_redis_node_t *node, size_t bound);

/*
 * Asks to be told once when inflight is at most low bytes: wait->event is
 * posted, maybe at once.  The caller owns wait and its event (and deletes it
 * if it is posted); evs_redis_wait_cancel() is idempotent.
 */
typedef struct {
    ngx_queue_t              queue;
    ngx_event_t             *event;     /* is posted */
    size_t                   low;
    unsigned                 waiting:1;
} evs_redis_wait_t;

void evs_redis_wait(evs_redis_node_t *node, evs_redis_wait_t *wait);
void evs_redis_wait_cancel(evs_redis_wait_t *wait);

/* Whether somebody waits who would be told no later than low: 1 or 0. */
ngx_uint_t evs_redis_waited(const evs_redis_node_t *node, size_t low);

/* NULL when connected and greeted; else why not, as a sentence without names
   or addresses, for a client to read. */
const char *evs_redis_down(const evs_redis_node_t *node);

/*
 * Room for size bytes; nothing is changed until commit.  NULL: no memory, or
 * the process ends.
 */
u_char *evs_redis_reserve(evs_redis_node_t *node, size_t size);

/*
 * The bytes from the last reserve to last are commands with nreplies replies
 * in all.  They are given up timeout ms (at most a day) from now.  handlers
 * must outlive the command.  NULL: no memory, or the process ends; nothing was
 * committed.
 */
evs_redis_cmd_t *evs_redis_commit(evs_redis_node_t *node, u_char *last,
    ngx_uint_t nreplies, ngx_msec_t timeout,
    const evs_redis_handlers_t *handlers, void *data);

/*
 * As evs_redis_commit(), for a command that must not be carried out twice.
 * When the connection breaks before it is done, it is not sent again but
 * ends with EVS_REDIS_LOST; so do those behind it that were not sent yet, so
 * that their order can be kept.  A LOST command that was not carried out by
 * then never will be: the next connection begins with the end of the old one.
 * Its done handler must not call into the redis room when it is told so.
 */
evs_redis_cmd_t *evs_redis_commit_once(evs_redis_node_t *node, u_char *last,
    ngx_uint_t nreplies, ngx_msec_t timeout,
    const evs_redis_handlers_t *handlers, void *data);

/*
 * Writes now, as far as the socket takes it, what would leave at the end of
 * the turn: for the last words of a process, of which no turn ends any more.
 */
void evs_redis_flush(evs_redis_node_t *node);

/*
 * Its handlers won't be called any more.  The command itself may or may not
 * be carried out.  Not to be called after done.
 */
void evs_redis_cancel(evs_redis_cmd_t *cmd);


/* RESP writers: each returns the end of what it wrote. */

/* "*<argc>\r\n" */
u_char *evs_resp_argc(u_char *p, ngx_uint_t argc);

/* "$<len>\r\n<arg>\r\n": len + EVS_RESP_ARG_MAX bytes at most */
#define EVS_RESP_ARG_MAX   (sizeof("$\r\n\r\n") - 1 + NGX_SIZE_T_LEN)

u_char *evs_resp_arg(u_char *p, const u_char *arg, size_t len);


#endif /* _EVS_REDIS_H_INCLUDED_ */
