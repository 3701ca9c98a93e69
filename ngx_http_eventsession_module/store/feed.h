
/*
 * The write side of the feed: what is stored in one turn of the event loop
 * becomes one entry of the stream, behind the commands that store it in the
 * same pipeline.  Each message is on the stream exactly once when its done
 * handler is told so.
 */


#ifndef _EVS_FEED_H_INCLUDED_
#define _EVS_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"
#include "store/store.h"


typedef struct evs_feed_s  evs_feed_t;

/* of a message under way; its memory is its owner's, until done */
typedef struct evs_feed_message_s  evs_feed_message_t;

struct evs_feed_message_s {
    ngx_queue_t     queue;

    /* once; failure as of evs_store_failure(), NULL: it is on the stream */
    void          (*done)(evs_feed_message_t *message, const char *failure);
};


/* The feed that conf names, in this process.  NULL: no memory. */
evs_feed_t *evs_feed(const evs_store_conf_t *conf, evs_redis_node_t *node);

/*
 * Room for a message of a session: where its members are to be written by
 * evs_feed_entry_member(), size bytes at most.  Before the commands that store
 * it are reserved, as it may send what is full.  NULL: no memory.
 */
u_char *evs_feed_reserve(evs_feed_t *feed, const evs_store_conf_t *conf,
    const evs_sid_t *sid, size_t size);

/* The message reserved last is written, up to last: it is under way. */
void evs_feed_commit(evs_feed_t *feed, u_char *last, ngx_uint_t events,
    evs_feed_message_t *message);

/* At the end of a process, after evs_redis_exit(): frees every feed. */
void evs_feed_exit(void);


#endif /* _EVS_FEED_H_INCLUDED_ */
