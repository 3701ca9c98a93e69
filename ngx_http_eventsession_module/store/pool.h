
/*
 * Pools of workers (contract, section 3).  Each shard has a queue of events
 * and some workers; a worker takes a batch of events from the queue and sends
 * it to Redis as one command, without waiting for those sent before.  What is
 * less than a batch leaves after the linger.  A worker that had nothing to do
 * for the idle time is finished, and a new one takes its place.
 *
 * Workers are objects of a process' event loop: their ids, and how much each
 * of them has stored, are in the registry (store/workers.h).
 */


#ifndef _EVS_POOL_H_INCLUDED_
#define _EVS_POOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/chunks.h"
#include "store/store.h"
#include "store/workers.h"


typedef struct {
    ngx_uint_t          shards;
    ngx_uint_t          workers;    /* of a shard */
    ngx_uint_t          batch;      /* events */
    ngx_msec_t          linger;
    ngx_msec_t          idle;
} evs_pool_conf_t;

typedef struct evs_pool_s  evs_pool_t;


/* an event as it goes to Redis: see evs_zadd_entry() */
typedef struct {
    size_t              offset;     /* of its text */
    uint32_t            len;
    uint32_t            member;     /* bytes of its member, which ends it */
    uint32_t            next;       /* of the same lot */
} evs_pool_event_t;


/* the events of one body that go to one shard; its owner's, until done */
typedef struct {
    /* set by the owner */
    ngx_uint_t          shard;
    uint64_t            chunk;
    const u_char       *texts;
    evs_pool_event_t   *events;
    uint32_t            first;      /* of this lot */
    ngx_uint_t          n;          /* how many there are */
    void               *data;
    /* once, when all are stored (failure NULL), or are not known to be */
    void              (*done)(void *data, const char *failure);

    /* the pool's */
    ngx_queue_t         queue;
    ngx_uint_t          waiting;    /* events that are not sent yet */
    ngx_uint_t          writes;     /* under way */
    const char         *failure;
} evs_pool_lot_t;


/*
 * The pool of these settings, and of the store's keys and timeout, in this
 * process; made, with its workers, at the first call.  NULL: no memory.
 */
evs_pool_t *evs_pool(const evs_pool_conf_t *conf,
    const evs_store_conf_t *store, evs_redis_node_t *node);

/*
 * Takes a lot of one event at least.  lot->done() is called from here only
 * when there is no memory.
 */
void evs_pool_put(evs_pool_t *pool, evs_pool_lot_t *lot);

const evs_pool_conf_t *evs_pool_conf(const evs_pool_t *pool);

/* Those of its store. */
evs_chunks_t *evs_pool_chunks(const evs_pool_t *pool);
evs_workers_t *evs_pool_registry(const evs_pool_t *pool);

/*
 * At the end of a process, after evs_redis_exit(): lots that wait are done,
 * with a failure.
 */
void evs_pool_exit(void);


#endif /* _EVS_POOL_H_INCLUDED_ */
