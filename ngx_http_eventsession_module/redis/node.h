
/*
 * A node from the inside, for the files of redis/ only: what they share, and
 * who owns which part of it.  The commands' part belongs to pipeline.c,
 * command.c and deadline.c, the connection's to conn.c, socket.c, resolve.c
 * and greet.c, the reply's to reply.c.
 */


#ifndef _EVS_REDIS_NODE_H_INCLUDED_
#define _EVS_REDIS_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conf.h"
#include "redis/redis.h"
#include "redis/reply.h"
#include "redis/resp_read.h"
#include "stats/stats.h"


#define EVS_REDIS_GREETING_MAX  7      /* AUTH, SELECT, 4 INFO, CLIENT ID */

#define EVS_REDIS_RUN_ID_LEN    40


/* why a node is down; indexes evs_redis_reasons[] of node.c */
typedef enum {
    EVS_REDIS_UP = 0,
    EVS_REDIS_NEW,
    EVS_REDIS_SILENT,
    EVS_REDIS_LOADING,
    EVS_REDIS_BUSY,
    EVS_REDIS_CREDENTIALS,
    EVS_REDIS_DATABASE,
    EVS_REDIS_REPLICA,
    EVS_REDIS_MOVED,
    EVS_REDIS_ENDED
} evs_redis_reason_e;


typedef struct evs_redis_block_s  evs_redis_block_t;
typedef struct evs_redis_state_s  evs_redis_state_t;


typedef enum {
    EVS_REDIS_PENDING = 0,             /* in node->pending: not a byte sent */
    EVS_REDIS_SENT,                    /* in node->sent: sent, maybe in part */
    EVS_REDIS_DELAYED                  /* in node->delayed: refused for now */
} evs_redis_place_e;


struct evs_redis_cmd_s {
    ngx_queue_t                   queue;
    ngx_queue_t                   expiry;    /* node->expired */
    evs_redis_node_t             *node;
    evs_redis_block_t            *block;     /* NULL: its bytes are released */
    u_char                       *start;
    size_t                        len;
    ngx_msec_t                    deadline;
    uint64_t                      sent_at;   /* tick */
    const evs_redis_handlers_t   *handlers;  /* NULL: nobody waits for it */
    void                         *data;
    ngx_uint_t                    nreplies;
    ngx_uint_t                    replies;   /* that have come in whole */
    ngx_uint_t                    touched;   /* that element() knows of */
    evs_redis_place_e             place;
    unsigned                      greeting:1;
    unsigned                      expired:1; /* in node->expired too */
    unsigned                      retried:1;
    unsigned                      once:1;    /* is not sent again */
};


typedef struct {
    ngx_sockaddr_t                sockaddr;
    socklen_t                     socklen;
} evs_redis_addr_t;


/* a client of a Redis process; run: which process, as INFO names it */
typedef struct {
    int64_t                       id;        /* 0: not known */
    u_char                        run[EVS_REDIS_RUN_ID_LEN];
} evs_redis_client_t;


/* what INFO says of the server; see greet.c */
typedef struct {
    ngx_int_t                     maxmemory; /* 1: there is a limit */
    unsigned                      evicts:1;
    unsigned                      loading:1;
    unsigned                      no_aof:1;
    unsigned                      replica:1;
} evs_redis_info_t;


struct evs_redis_node_s {
    evs_redis_conf_t             *conf;
    ngx_connection_t             *connection;
    u_char                       *buffer;    /* of what comes in, NULL without
                                                a connection */

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                     ident;

    ngx_uint_t                    server;    /* in the counters */

    ngx_log_t                     log;       /* of the connection */
    const evs_redis_state_t      *state;

    /* addresses: the next one to try, and how many of a round are left */
    evs_redis_addr_t             *addrs;
    ngx_uint_t                    naddrs;
    ngx_uint_t                    addr;
    ngx_uint_t                    tries;
    ngx_resolver_ctx_t           *resolve;

    ngx_event_t                   timer;     /* of the state */
    ngx_event_t                   flush;     /* posted: write this turn's */
    ngx_event_t                   sweep;     /* deadlines */
    ngx_event_t                   retry;     /* delayed commands */

    ngx_err_t                     err;       /* of what broke it */
    ngx_uint_t                    attempts;  /* that failed in a row */
    ngx_msec_t                    greeted_at;
    ngx_msec_t                    heard_at;  /* the last byte, or since when
                                                a reply is awaited */

    evs_redis_reason_e            reason;    /* UP: connected and greeted */
    evs_redis_reason_e            logged;    /* the last one in the log */

    ngx_uint_t                    ngreeting;
    u_char                        greeting[EVS_REDIS_GREETING_MAX];
    evs_redis_info_t              info;
    evs_redis_client_t            client;    /* this connection, there */
    evs_redis_client_t            lost;      /* the one to be ended before
                                                a command is sent */

    /* commands */
    ngx_queue_t                   pending;
    ngx_queue_t                   sent;
    ngx_queue_t                   delayed;
    ngx_queue_t                   expired;
    size_t                        partial;   /* bytes left of the last sent */
    size_t                        unsent;    /* with these */
    size_t                        inflight;
    ngx_uint_t                    live;      /* commands someone waits for */

    evs_redis_block_t            *tail;      /* where to write next */
    u_char                       *reserved;
    evs_redis_block_t            *free_blocks;
    ngx_uint_t                    nfree_blocks;
    ngx_queue_t                   free_cmds;
    ngx_uint_t                    nfree_cmds;

    ngx_msec_t                    retry_delay;
    ngx_msec_t                    refused_at;
    time_t                        faulted_at;

    ngx_msec_t                    doubted_at;

    size_t                        bound;     /* of inflight, the lowest of its
                                                users'; 0: none */
    size_t                        half;      /* of the bound that was reached,
                                                until it is; 0: it wasn't */
    ngx_msec_t                    full_at;

    ngx_queue_t                   waits;
    ngx_queue_t                   all;       /* nodes of the process */

    size_t                        buffer_size;
    evs_resp_reader_t             reader;    /* of the buffer */
    evs_redis_incoming_t          incoming;

    unsigned                      answered:1;    /* once at least */
    unsigned                      useful:1;      /* this connection was */
    unsigned                      doubted:1;     /* it greets, and refuses */
    unsigned                      broken:1;      /* to be given up */
    unsigned                      ended:1;
    unsigned                      refused:1;     /* log state of RETRY */
    unsigned                      forbidden:1;   /* log state of NOPERM */
    unsigned                      quiet:1;       /* another one logs */
    unsigned                      full:1;        /* log state of its bound */
    unsigned                      warned_evicts:1;
    unsigned                      warned_aof:1;
};


/* A new reason: tells the log if it is one. */
void evs_redis_node_down(evs_redis_node_t *node, evs_redis_reason_e reason,
    ngx_err_t err, const ngx_str_t *text);
void evs_redis_node_up(evs_redis_node_t *node);

/* It has taken a command: tells the log if it was away there, and isn't. */
void evs_redis_node_useful(evs_redis_node_t *node);

/* So much more, or less, is under way; less tells those who wait for it. */
void evs_redis_node_grow(evs_redis_node_t *node, size_t size);
void evs_redis_node_shrink(evs_redis_node_t *node, size_t size);

/* The process ends: no connection, SHUTDOWN to every command.  Idempotent. */
void evs_redis_node_end(evs_redis_node_t *node);


#endif /* _EVS_REDIS_NODE_H_INCLUDED_ */
