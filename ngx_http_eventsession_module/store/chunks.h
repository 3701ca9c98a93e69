
/*
 * Where the events of batches lie: each shard has sorted sets, its chunks,
 * that are filled one after the other,
 *
 *     <prefix>{s03}:batch:0, <prefix>{s03}:batch:1, ...
 *
 * and <prefix>{batch}:chunks, a sorted set, has for each shard the number of
 * its last one.  A chunk may hold any time.  One set a shard would do, but
 * Redis spends 2.7 s of CPU on a million events in sets of 800,000, 0.8 in
 * sets of 16,384, and 0.55 in sets of 4,096, which its caches hold.  Smaller
 * ones save nothing more, and each is asked by every read.
 */


#ifndef _EVS_CHUNKS_H_INCLUDED_
#define _EVS_CHUNKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


#define EVS_CHUNKS_SHARDS    1000      /* shards are numbered below it */

/* events: a chunk with as many is full, but one more body may go there */
#define EVS_CHUNKS_EVENTS    4096


/* what this process knows of the chunks of a store */
typedef struct evs_chunks_s  evs_chunks_t;

typedef struct {
    ngx_queue_t     queue;
    void          (*done)(void *data, const char *failure);
    void           *data;
    unsigned        waiting:1;
} evs_chunks_waiter_t;


/* The chunks that conf names.  NULL: no memory. */
evs_chunks_t *evs_chunks(const evs_store_conf_t *conf,
    evs_redis_node_t *node);

/*
 * NGX_OK: the numbers are known.  NGX_AGAIN: Redis was asked, and waiter->done
 * says later whether they are, failure as of evs_store_failure(); it may be
 * cancelled, and idempotently.  NGX_ERROR: no memory.
 */
ngx_int_t evs_chunks_ask(evs_chunks_t *chunks, evs_chunks_waiter_t *waiter);
void evs_chunks_cancel(evs_chunks_waiter_t *waiter);

/* The chunk that the events of a shard go to now. */
uint64_t evs_chunks_current(const evs_chunks_t *chunks, ngx_uint_t shard);

/* So many events are on their way to a chunk. */
void evs_chunks_takes(evs_chunks_t *chunks, ngx_uint_t shard, uint64_t chunk,
    ngx_uint_t events);

/* A chunk has so many events, or more. */
void evs_chunks_holds(evs_chunks_t *chunks, ngx_uint_t shard, uint64_t chunk,
    uint64_t events);

/* Some did not arrive: goes back to the last chunk that has room in Redis. */
void evs_chunks_missed(evs_chunks_t *chunks, ngx_uint_t shard);

/* The keys: at most EVS_STORE_KEY_MAX bytes. */
u_char *evs_chunks_key(u_char *p, const evs_store_conf_t *conf,
    ngx_uint_t shard, uint64_t chunk);
u_char *evs_chunks_index_key(u_char *p, const evs_store_conf_t *conf);

/* At the end of a process, after evs_redis_exit(). */
void evs_chunks_exit(void);


#endif /* _EVS_CHUNKS_H_INCLUDED_ */
