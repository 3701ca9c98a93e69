
/*
 * From parts of replies to the commands that were sent for them; and the
 * classes of Redis' errors.
 */


#ifndef _EVS_REDIS_REPLY_H_INCLUDED_
#define _EVS_REDIS_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"


/* in order of weight: of several errors of a command the heaviest counts */
typedef enum {
    EVS_REDIS_FINE = 0,
    EVS_REDIS_POISON,        /* fails its command only */
    EVS_REDIS_FORBIDDEN,     /* that too; the operator should know */
    EVS_REDIS_RETRY,         /* not now: the same again here */
    EVS_REDIS_AUTH,          /* our credentials are no good any more */
    EVS_REDIS_RECONNECT      /* not here: connect again */
} evs_redis_class_e;


#define EVS_REDIS_TEXT_MAX   255

typedef struct {
    size_t                   len;
    u_char                   data[EVS_REDIS_TEXT_MAX];
} evs_redis_text_t;


/* the reply that comes in, of the first command of node->sent */
typedef struct {
    evs_redis_reply_type_e   type;
    int64_t                  integer;
    evs_redis_text_t         status;

    evs_redis_class_e        class;     /* of the whole command's replies */
    evs_redis_text_t         error;
} evs_redis_incoming_t;


/*
 * What node->reader has before it, but for a part at its end that is cut off.
 * NGX_OK, or NGX_ERROR: the connection is lost, or isn't the same any more.
 */
ngx_int_t evs_redis_reply_read(evs_redis_node_t *node);

/* Forgets what has come of the current command's replies. */
void evs_redis_reply_reset(evs_redis_node_t *node);

/* Counts the current command's error, if it has one. */
void evs_redis_reply_count(evs_redis_node_t *node);

evs_redis_class_e evs_redis_reply_class(const u_char *text, size_t len);


#endif /* _EVS_REDIS_REPLY_H_INCLUDED_ */
