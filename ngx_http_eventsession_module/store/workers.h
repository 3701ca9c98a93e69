
/*
 * The registry of workers (contract, section 3): what the writers of this
 * process did, for all to read.  Its keys are
 *
 *     <prefix>{workers}:records   hash: worker id -> its record
 *                                 (store/worker_record.h), which the process
 *                                 that it is of writes
 *     <prefix>{workers}:alive     zset: token of a process -> ms of its last
 *                                 sign of life (store/workers_watch.h)
 *
 * It is told of changes and writes them together, one command at a time.
 * While Redis is away it goes on; what it could not write yet is written when
 * Redis is back, also if Redis has lost everything.
 */


#ifndef _EVS_WORKERS_H_INCLUDED_
#define _EVS_WORKERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


typedef struct evs_workers_s         evs_workers_t;
typedef struct evs_workers_record_s  evs_workers_record_t;

/* a worker; its memory is its owner's */
typedef struct {
    uint64_t                 id;         /* random, 1 .. 2^53 - 1 */
    ngx_uint_t               shard;
    uint64_t                 events;     /* that are stored */
    uint64_t                 created;    /* ms since the epoch */

    evs_workers_record_t    *record;     /* the registry's; NULL: finished, or
                                            never added */
} evs_worker_t;


/* who waits for what is counted to be in Redis; its memory is its owner's */
typedef struct {
    ngx_queue_t              queue;
    void                   (*done)(void *data);
    void                    *data;
    unsigned                 waiting:1;
} evs_workers_waiter_t;


/*
 * The registry that conf names, of this process; made at the first call, and
 * its process is alive in Redis from then on.  NULL: no memory.
 */
evs_workers_t *evs_workers(const evs_store_conf_t *conf,
    evs_redis_node_t *node);

/* A new worker begins; w is written.  NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t evs_workers_add(evs_workers_t *workers, evs_worker_t *w,
    ngx_uint_t shard);

/* n more events of it are stored. */
void evs_workers_count(evs_workers_t *workers, evs_worker_t *w, ngx_uint_t n);

/* It is finished now, and w is its owner's again.  Idempotent. */
void evs_workers_finish(evs_workers_t *workers, evs_worker_t *w);

/*
 * done is called once, when all that was told up to now is in Redis, or when
 * it is not known to be: then the log has been told, and it is tried again by
 * itself.  It is called from here only at the end of the process, and may call
 * into this room.
 */
void evs_workers_settle(evs_workers_t *workers, evs_workers_waiter_t *w);

/* It isn't called any more.  Idempotent. */
void evs_workers_cancel(evs_workers_waiter_t *w);

/*
 * At the end of a process, before evs_redis_exit(): all workers of every
 * registry are finished, which leaves by a last write if the socket takes it.
 * If not, another process finds it out.  Calls on a registry do nothing from
 * then on, but are allowed until evs_workers_free(), after evs_redis_exit().
 */
void evs_workers_exit(ngx_cycle_t *cycle);
void evs_workers_free(void);


#endif /* _EVS_WORKERS_H_INCLUDED_ */
