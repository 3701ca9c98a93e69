
/*
 * A body of events on its way into its shards (contract, section 3), all or
 * nothing of it:
 *
 *     evs_batch_plan()    where its events go: known now, or Redis is asked
 *     evs_batch_read()    its entries, from the scanner
 *     evs_batch_store()   to the pool's workers and the sessions that are
 *                         named, then to the feed
 *
 * With an Idempotency-Key the plan is kept in Redis (store/once.h): a body
 * that comes again has the same ids, times and chunks, so that its members are
 * the same bytes in the same sets, and nothing is stored twice.
 */


#ifndef _EVS_BATCH_H_INCLUDED_
#define _EVS_BATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/scan.h"
#include "event/time.h"
#include "store/append.h"
#include "store/batch_plan.h"
#include "store/chunks.h"
#include "store/feed.h"
#include "store/once.h"
#include "store/pool.h"
#include "store/store.h"


typedef struct {
    /*
     * Once after NGX_AGAIN of evs_batch_plan(), with what else it may say;
     * failure with NGX_ERROR.
     */
    void  (*planned)(void *data, ngx_int_t rc, const char *failure);

    /*
     * Once after NGX_OK of evs_batch_store(): NGX_OK, all is stored;
     * NGX_DECLINED: the same key has come elsewhere at the same time;
     * NGX_ERROR: failure says why it isn't known to be stored.  The batch is
     * to be freed by its owner.
     */
    void  (*done)(void *data, ngx_int_t rc, const char *failure);
} evs_batch_handlers_t;


/* an event that belongs to a session, too */
typedef struct {
    evs_append_event_t   event;
    evs_id_t             id;
    uint32_t             index;      /* among all */
} evs_batch_filed_t;


typedef struct evs_batch_s  evs_batch_t;

/* events on their way to the feed */
typedef struct {
    evs_feed_message_t   message;
    evs_batch_t         *batch;
} evs_batch_message_t;


/* a body; its owner's memory, all zero at first */
struct evs_batch_s {
    /* set by the caller */
    const evs_store_conf_t      *store;
    evs_redis_node_t            *node;
    evs_pool_t                  *pool;
    ngx_pool_t                  *memory;       /* of its request: gone when it
                                                  is, before it is stored */
    ngx_log_t                   *log;
    const evs_batch_handlers_t  *handlers;
    void                        *data;
    ngx_str_t                    application;  /* of all events, or NULL */
    ngx_uint_t                   single;       /* 1: all to one shard */
    ngx_uint_t                   keyed;        /* 1: has an Idempotency-Key */
    u_char                       body[EVS_ONCE_DIGEST_LEN];  /* its digest */

    /* with a key: the caller sets its digest */
    evs_once_t                   once;
    ngx_str_t                    record;

    /* what was read */
    ngx_uint_t                   entries;

    /* the rest is not the caller's */
    size_t                       held;         /* bytes, of its node */
    evs_batch_plan_t             plan;
    evs_timestamp_t              now;          /* plan.now, as a string of */
    u_char                       text[EVS_TIME_STRING_LEN + 2];
    evs_chunks_waiter_t          chunks;
    u_char                      *texts;
    size_t                       len;
    size_t                       size;
    uint32_t                     longest;      /* text of an event */
    evs_pool_event_t            *events;
    ngx_uint_t                   nevents;      /* there is room for */
    evs_pool_lot_t              *lots;         /* of each shard */
    uint32_t                    *last;         /* event of each shard */
    evs_batch_filed_t           *filed;
    ngx_uint_t                   nfiled;
    ngx_uint_t                   nroom;
    ngx_uint_t                   pending;
    const char                  *failure;
    evs_append_t                 append;
    evs_batch_message_t         *messages;     /* what the feed gets */
    evs_workers_waiter_t         settled;
    unsigned                     planned:1;    /* the plan is a record's */
    unsigned                     storing:1;    /* it outlives its request */
    unsigned                     stored:1;     /* but not all know it yet */
};


/* So many bytes more are kept for it, and count as the node's load. */
void evs_batch_hold(evs_batch_t *batch, size_t size);

/*
 * evs_batch_plan():
 *
 *     NGX_OK        evs_batch_read() may follow
 *     NGX_DONE      with a key: it is stored already, batch->entries of it
 *     NGX_DECLINED  with a key: that of another body
 *     NGX_AGAIN     handlers->planned() will be called
 *     NGX_ERROR     no memory
 */
ngx_int_t evs_batch_plan(evs_batch_t *batch);

/* The time of entries that have none: see evs_scan_init_batch(). */
const evs_timestamp_t *evs_batch_now(evs_batch_t *batch);

/* As evs_scan_next() at the end of a body: NGX_DONE when all is read. */
ngx_int_t evs_batch_read(evs_batch_t *batch, evs_scan_t *scan);

/*
 * NGX_OK: handlers->done() will be called, also when nobody waits for it any
 * more; NGX_ERROR: no memory.  Of one entry at least.
 */
ngx_int_t evs_batch_store(evs_batch_t *batch);

/* Nobody waits for a batch that is not being stored: it is forgotten. */
void evs_batch_cancel(evs_batch_t *batch);

/* Frees what it has, and holds nothing any more; not the struct. */
void evs_batch_free(evs_batch_t *batch);


#endif /* _EVS_BATCH_H_INCLUDED_ */
