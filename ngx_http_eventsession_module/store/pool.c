
/*
 * Pools of workers, see pool.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/keyspace.h"
#include "store/pool.h"
#include "store/zadd.h"


/* "*2\r\n$5\r\nZCARD\r\n" and the key */
#define EVS_POOL_CARD_MAX   (64 + EVS_STORE_KEY_MAX)

#define EVS_POOL_BUSY       1000       /* ms: idle, but for Redis' reply */

#define EVS_POOL_FREE_WRITES  1024        /* kept for reuse */


typedef struct {
    evs_worker_t        worker;
    ngx_msec_t          used;       /* when it sent, or stored, the last time */
    ngx_uint_t          writes;     /* under way */
} evs_pool_worker_t;


typedef struct {
    evs_pool_t         *pool;
    ngx_queue_t         lots;       /* that are not done, as they came */
    ngx_queue_t        *next;       /* the first that has events to send, or
                                       the sentinel */
    ngx_uint_t          waiting;    /* events */
    ngx_uint_t          turn;       /* of the workers: who is next */
    evs_pool_worker_t  *workers;
    ngx_event_t         linger;
} evs_pool_shard_t;


/*
 * A batch on its way to Redis, of one chunk: events of lots that follow each
 * other.  None of them leaves the queue before.
 */
typedef struct {
    ngx_queue_t         queue;      /* of those that are free */
    evs_pool_shard_t   *shard;
    evs_pool_worker_t  *worker;
    evs_pool_lot_t     *first;
    ngx_uint_t          nlots;
    ngx_uint_t          events;
    uint32_t            rest;       /* of the last lot: its next event */
    ngx_uint_t          left;       /* of the last lot, from there */
    unsigned            counted:1;  /* the last reply is that of ZCARD */
} evs_pool_write_t;


struct evs_pool_s {
    evs_keyspace_t      keyspace;   /* others may have the same */
    evs_pool_conf_t     conf;
    evs_chunks_t       *chunks;
    evs_workers_t      *registry;
    ngx_queue_t         free;
    ngx_uint_t          nfree;
    ngx_event_t         idle;
    evs_pool_worker_t  *workers;
    evs_pool_shard_t    shards[];
};


static evs_pool_t *evs_pool_create(const evs_pool_conf_t *conf,
    const evs_store_conf_t *store, evs_redis_node_t *node);
static ngx_int_t evs_pool_begin(evs_pool_t *pool);
static void evs_pool_linger(ngx_event_t *ev);
static void evs_pool_flush(evs_pool_shard_t *shard, ngx_uint_t least);
static ngx_int_t evs_pool_send(evs_pool_shard_t *shard);
static size_t evs_pool_gather(evs_pool_write_t *write);
static size_t evs_pool_gather_lot(evs_pool_write_t *write,
    const evs_pool_lot_t *lot);
static u_char *evs_pool_text(u_char *p, evs_pool_write_t *write);
static void evs_pool_sent(evs_pool_write_t *write);
static void evs_pool_written(void *data, const evs_redis_reply_t *reply);
static void evs_pool_tell(ngx_queue_t *q, ngx_uint_t nlots,
    const char *failure);
static void evs_pool_settle(evs_pool_lot_t *lot);
static void evs_pool_fail(evs_pool_shard_t *shard, const char *failure);
static evs_pool_write_t *evs_pool_write_get(evs_pool_t *pool);
static void evs_pool_write_put(evs_pool_write_t *write);
static void evs_pool_idle(ngx_event_t *ev);
static void evs_pool_free(evs_pool_t *pool);


static const evs_redis_handlers_t  evs_pool_handlers = {
    NULL,
    evs_pool_written
};


/* of this process */
static evs_keyspace_t  *evs_pools;


evs_pool_t *
evs_pool(const evs_pool_conf_t *conf, const evs_store_conf_t *store,
    evs_redis_node_t *node)
{
    evs_pool_t      *pool;
    evs_keyspace_t  *keyspace;

    for (keyspace = evs_keyspace_find(evs_pools, store, node);
         keyspace != NULL;
         keyspace = evs_keyspace_find(keyspace->next, store, node))
    {
        pool = evs_keyspace_data(keyspace, evs_pool_t, keyspace);

        if (keyspace->conf->timeout == store->timeout
            && ngx_memcmp(&pool->conf, conf, sizeof(evs_pool_conf_t)) == 0)
        {
            return pool;
        }
    }

    return evs_pool_create(conf, store, node);
}


static evs_pool_t *
evs_pool_create(const evs_pool_conf_t *conf, const evs_store_conf_t *store,
    evs_redis_node_t *node)
{
    evs_pool_t  *pool;

    pool = ngx_calloc(sizeof(evs_pool_t)
                      + conf->shards * sizeof(evs_pool_shard_t),
                      ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    pool->conf = *conf;

    ngx_queue_init(&pool->free);

    pool->chunks = evs_chunks(store, node);
    pool->registry = evs_workers(store, node);
    pool->workers = ngx_calloc(conf->shards * conf->workers
                               * sizeof(evs_pool_worker_t), ngx_cycle->log);

    if (pool->chunks == NULL || pool->registry == NULL
        || pool->workers == NULL || evs_pool_begin(pool) != NGX_OK)
    {
        evs_pool_free(pool);
        return NULL;
    }

    evs_keyspace_add(&evs_pools, &pool->keyspace, store, node);

    return pool;
}


static ngx_int_t
evs_pool_begin(evs_pool_t *pool)
{
    ngx_uint_t         i, k;
    evs_pool_shard_t  *shard;

    for (i = 0; i < pool->conf.shards; i++) {
        shard = &pool->shards[i];

        shard->pool = pool;
        shard->workers = pool->workers + i * pool->conf.workers;
        shard->linger.handler = evs_pool_linger;
        shard->linger.data = shard;
        shard->linger.log = ngx_cycle->log;

        ngx_queue_init(&shard->lots);
        shard->next = ngx_queue_sentinel(&shard->lots);

        for (k = 0; k < pool->conf.workers; k++) {
            shard->workers[k].used = ngx_current_msec;

            if (evs_workers_add(pool->registry, &shard->workers[k].worker, i)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    pool->idle.handler = evs_pool_idle;
    pool->idle.data = pool;
    pool->idle.log = ngx_cycle->log;
    pool->idle.cancelable = 1;

    ngx_add_timer(&pool->idle, pool->conf.idle);

    return NGX_OK;
}


const evs_pool_conf_t *
evs_pool_conf(const evs_pool_t *pool)
{
    return &pool->conf;
}


evs_chunks_t *
evs_pool_chunks(const evs_pool_t *pool)
{
    return pool->chunks;
}


evs_workers_t *
evs_pool_registry(const evs_pool_t *pool)
{
    return pool->registry;
}


void
evs_pool_put(evs_pool_t *pool, evs_pool_lot_t *lot)
{
    evs_pool_shard_t  *shard;

    /* a body that comes again may know of more shards than there are now */

    shard = &pool->shards[lot->shard % pool->conf.shards];

    lot->waiting = lot->n;
    lot->writes = 0;
    lot->failure = NULL;

    ngx_queue_insert_tail(&shard->lots, &lot->queue);
    shard->waiting += lot->n;

    if (shard->next == ngx_queue_sentinel(&shard->lots)) {
        shard->next = &lot->queue;
    }

    evs_pool_flush(shard, pool->conf.linger ? pool->conf.batch : 1);

    /* not cancelable: what waits here holds a process that is to end */

    if (shard->waiting != 0 && !shard->linger.timer_set) {
        ngx_add_timer(&shard->linger, pool->conf.linger);
    }
}


static void
evs_pool_linger(ngx_event_t *ev)
{
    evs_pool_flush(ev->data, 1);
}


/* Sends what waits, a batch at a time, while it is least events or more. */

static void
evs_pool_flush(evs_pool_shard_t *shard, ngx_uint_t least)
{
    while (shard->waiting >= least) {

        if (evs_pool_send(shard) != NGX_OK) {
            evs_pool_fail(shard, "the server has no memory left");
            break;
        }
    }

    if (shard->waiting == 0 && shard->linger.timer_set) {
        ngx_del_timer(&shard->linger);
    }
}


/* One batch, by the worker whose turn it is. */

static ngx_int_t
evs_pool_send(evs_pool_shard_t *shard)
{
    u_char            *p;
    evs_pool_t        *pool;
    evs_pool_write_t  *write;

    pool = shard->pool;

    write = evs_pool_write_get(pool);
    if (write == NULL) {
        return NGX_ERROR;
    }

    write->shard = shard;
    write->worker = &shard->workers[shard->turn];

    p = evs_redis_reserve(pool->keyspace.node, evs_pool_gather(write));

    if (p == NULL
        || evs_redis_commit(pool->keyspace.node, evs_pool_text(p, write),
                            1 + write->counted, pool->keyspace.conf->timeout,
                            &evs_pool_handlers, write)
           == NULL)
    {
        evs_pool_write_put(write);
        return NGX_ERROR;
    }

    evs_pool_sent(write);

    return NGX_OK;
}


/* Which events; the size of the command, at most. */

static size_t
evs_pool_gather(evs_pool_write_t *write)
{
    size_t             size;
    ngx_queue_t       *q;
    evs_pool_lot_t    *lot;
    evs_pool_shard_t  *shard;

    shard = write->shard;
    size = EVS_ZADD_HEAD_MAX + EVS_POOL_CARD_MAX;

    write->first = ngx_queue_data(shard->next, evs_pool_lot_t, queue);
    write->nlots = 0;
    write->events = 0;

    for (q = shard->next;
         q != ngx_queue_sentinel(&shard->lots)
         && write->events < shard->pool->conf.batch;
         q = ngx_queue_next(q))
    {
        lot = ngx_queue_data(q, evs_pool_lot_t, queue);

        if (lot->shard != write->first->shard
            || lot->chunk != write->first->chunk)
        {
            break;
        }

        size += evs_pool_gather_lot(write, lot);
    }

    /* once a lot is enough to know how full the chunk is */

    write->counted = (write->left == 0);

    return size;
}


/* As many as there is room for. */

static size_t
evs_pool_gather_lot(evs_pool_write_t *write, const evs_pool_lot_t *lot)
{
    size_t      size;
    uint32_t    i;
    ngx_uint_t  n;

    n = ngx_min(lot->waiting, write->shard->pool->conf.batch - write->events);
    i = lot->first;
    size = 0;

    write->nlots++;
    write->events += n;
    write->left = lot->waiting - n;

    for ( /* void */ ; n != 0; n--) {
        size += lot->events[i].len;
        i = lot->events[i].next;
    }

    write->rest = i;

    return size;
}


static u_char *
evs_pool_text(u_char *p, evs_pool_write_t *write)
{
    u_char                  *last, key[EVS_STORE_KEY_MAX];
    uint32_t                 i;
    ngx_uint_t               n, left;
    ngx_queue_t             *q;
    evs_pool_lot_t          *lot;
    const evs_pool_event_t  *event;

    lot = write->first;
    last = evs_chunks_key(key, write->shard->pool->keyspace.conf, lot->shard,
                          lot->chunk);

    p = evs_zadd_head(p, key, (size_t) (last - key), write->events);

    q = &lot->queue;

    for (left = write->events; left != 0; left -= n) {
        lot = ngx_queue_data(q, evs_pool_lot_t, queue);
        q = ngx_queue_next(q);

        i = lot->first;

        for (n = 0; n < lot->waiting && n < left; n++) {
            event = &lot->events[i];
            p = ngx_cpymem(p, lot->texts + event->offset, event->len);
            i = event->next;
        }
    }

    if (write->counted) {
        p = evs_resp_argc(p, 2);
        p = evs_resp_arg(p, (u_char *) "ZCARD", 5);
        p = evs_resp_arg(p, key, (size_t) (last - key));
    }

    return p;
}


/* Its events don't wait any more. */

static void
evs_pool_sent(evs_pool_write_t *write)
{
    ngx_uint_t         i;
    evs_pool_lot_t    *lot;
    evs_pool_shard_t  *shard;

    shard = write->shard;

    for (i = 1; i <= write->nlots; i++) {
        lot = ngx_queue_data(shard->next, evs_pool_lot_t, queue);

        lot->writes++;

        if (i == write->nlots && write->left != 0) {
            lot->first = write->rest;
            lot->waiting = write->left;
            break;
        }

        lot->waiting = 0;
        shard->next = ngx_queue_next(shard->next);
    }

    shard->waiting -= write->events;
    shard->turn = (shard->turn + 1) % shard->pool->conf.workers;

    write->worker->writes++;
    write->worker->used = ngx_current_msec;
}


static void
evs_pool_written(void *data, const evs_redis_reply_t *reply)
{
    const char        *failure;
    ngx_uint_t         nlots;
    ngx_queue_t       *q;
    evs_pool_t        *pool;
    evs_pool_write_t  *write = data;

    pool = write->shard->pool;
    failure = NULL;

    write->worker->writes--;

    if (reply->type == EVS_REDIS_INTEGER) {
        evs_workers_count(pool->registry, &write->worker->worker,
                          write->events);

        /* without its count, there is one at least */

        evs_chunks_holds(pool->chunks, write->first->shard,
                         write->first->chunk,
                         write->counted ? (uint64_t) reply->integer : 1);

    } else {
        failure = evs_store_failure(reply);
        evs_chunks_missed(pool->chunks, write->first->shard);
    }

    q = &write->first->queue;
    nlots = write->nlots;

    evs_pool_write_put(write);
    evs_pool_tell(q, nlots, failure);
}


/* A write of these lots is done.  Who is told may free his. */

static void
evs_pool_tell(ngx_queue_t *q, ngx_uint_t nlots, const char *failure)
{
    evs_pool_lot_t  *lot;

    while (nlots-- != 0) {
        lot = ngx_queue_data(q, evs_pool_lot_t, queue);
        q = ngx_queue_next(q);

        lot->writes--;

        if (failure != NULL) {
            lot->failure = failure;
        }

        evs_pool_settle(lot);
    }
}


static void
evs_pool_settle(evs_pool_lot_t *lot)
{
    if (lot->waiting == 0 && lot->writes == 0) {
        ngx_queue_remove(&lot->queue);
        lot->done(lot->data, lot->failure);
    }
}


/* What waits won't be sent. */

static void
evs_pool_fail(evs_pool_shard_t *shard, const char *failure)
{
    evs_pool_lot_t  *lot;

    while (shard->next != ngx_queue_sentinel(&shard->lots)) {
        lot = ngx_queue_data(shard->next, evs_pool_lot_t, queue);
        shard->next = ngx_queue_next(shard->next);

        shard->waiting -= lot->waiting;

        lot->waiting = 0;
        lot->failure = failure;

        evs_pool_settle(lot);
    }
}


static evs_pool_write_t *
evs_pool_write_get(evs_pool_t *pool)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&pool->free)) {
        return ngx_alloc(sizeof(evs_pool_write_t), ngx_cycle->log);
    }

    q = ngx_queue_head(&pool->free);
    ngx_queue_remove(q);
    pool->nfree--;

    return ngx_queue_data(q, evs_pool_write_t, queue);
}


static void
evs_pool_write_put(evs_pool_write_t *write)
{
    evs_pool_t  *pool;

    pool = write->shard->pool;

    if (pool->nfree == EVS_POOL_FREE_WRITES) {
        ngx_free(write);
        return;
    }

    ngx_queue_insert_head(&pool->free, &write->queue);
    pool->nfree++;
}


/* Workers that had nothing to do are finished; new ones take their places. */

static void
evs_pool_idle(ngx_event_t *ev)
{
    ngx_msec_t          quiet, next;
    ngx_uint_t          i, n;
    evs_pool_t         *pool;
    evs_pool_worker_t  *worker;

    pool = ev->data;
    next = pool->conf.idle;
    n = pool->conf.shards * pool->conf.workers;

    for (i = 0; i < n; i++) {
        worker = &pool->workers[i];
        quiet = ngx_current_msec - worker->used;

        if (quiet < pool->conf.idle) {
            next = ngx_min(next, pool->conf.idle - quiet);
            continue;
        }

        if (worker->writes != 0) {
            next = ngx_min(next, EVS_POOL_BUSY);
            continue;
        }

        evs_workers_finish(pool->registry, &worker->worker);

        if (evs_workers_add(pool->registry, &worker->worker,
                            i / pool->conf.workers)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                          "eventsession: no randomness for a worker's id");
        }

        worker->used = ngx_current_msec;
    }

    if (!ngx_exiting) {
        ngx_add_timer(ev, ngx_max(next, 1));
    }
}


void
evs_pool_exit(void)
{
    ngx_uint_t       i;
    evs_pool_t      *pool;
    evs_keyspace_t  *keyspace;

    while ((keyspace = evs_keyspace_take(&evs_pools)) != NULL) {
        pool = evs_keyspace_data(keyspace, evs_pool_t, keyspace);

        /* Redis is gone: nothing is under way, but something may linger */

        for (i = 0; i < pool->conf.shards; i++) {
            evs_pool_fail(&pool->shards[i], "the server is shutting down");
        }

        evs_pool_free(pool);
    }
}


/* Also one of which the registry has some of the workers only. */

static void
evs_pool_free(evs_pool_t *pool)
{
    ngx_uint_t    i, n;
    ngx_queue_t  *q;

    n = pool->workers ? pool->conf.shards * pool->conf.workers : 0;

    for (i = 0; i < n; i++) {
        evs_workers_finish(pool->registry, &pool->workers[i].worker);
    }

    for (i = 0; i < pool->conf.shards; i++) {
        if (pool->shards[i].linger.timer_set) {
            ngx_del_timer(&pool->shards[i].linger);
        }
    }

    if (pool->idle.timer_set) {
        ngx_del_timer(&pool->idle);
    }

    while (!ngx_queue_empty(&pool->free)) {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, evs_pool_write_t, queue));
    }

    ngx_free(pool->workers);
    ngx_free(pool);
}
