
/*
 * The registry of workers: see workers.h.  It owns the records of workers that
 * are at work.  How records get to Redis is workers_write.h's, and which other
 * processes are alive workers_watch.h's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <sys/random.h>

#include "stats/stats.h"
#include "store/keyspace.h"
#include "store/worker_record.h"
#include "store/workers.h"
#include "store/workers_watch.h"
#include "store/workers_write.h"


#define EVS_WORKERS_TOKEN_BYTES  (EVS_WORKER_TOKEN_LEN / 2)


struct evs_workers_s {
    evs_keyspace_t         keyspace;
    evs_workers_watch_t    watch;
    evs_workers_write_t    write;
    ngx_queue_t            living;
    uint64_t               sequence;
};


static evs_workers_t *evs_workers_create(const evs_store_conf_t *conf,
    evs_redis_node_t *node);
static ngx_int_t evs_workers_token(u_char *token);
static ngx_int_t evs_workers_draw(evs_workers_t *workers, uint64_t *id);
static void evs_workers_lost(void *data);
static void evs_workers_tick(void *data);
static void evs_workers_end(evs_workers_t *workers);
static void evs_workers_destroy(evs_workers_t *workers);


/* of this process */
static evs_keyspace_t  *evs_workers_all;


evs_workers_t *
evs_workers(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    evs_keyspace_t  *keyspace;

    keyspace = evs_keyspace_find(evs_workers_all, conf, node);

    if (keyspace != NULL) {
        return evs_keyspace_data(keyspace, evs_workers_t, keyspace);
    }

    return evs_workers_create(conf, node);
}


static evs_workers_t *
evs_workers_create(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    evs_workers_t        *workers;
    evs_workers_watch_t  *watch;

    workers = ngx_calloc(sizeof(evs_workers_t), ngx_cycle->log);
    if (workers == NULL) {
        return NULL;
    }

    watch = &workers->watch;

    if (evs_workers_token(watch->token) != NGX_OK) {
        ngx_free(workers);
        return NULL;
    }

    ngx_queue_init(&workers->living);

    evs_workers_write_init(&workers->write, conf, node);

    watch->conf = conf;
    watch->node = node;
    watch->lost = evs_workers_lost;
    watch->tick = evs_workers_tick;
    watch->data = workers;

    evs_keyspace_add(&evs_workers_all, &workers->keyspace, conf, node);

    evs_workers_watch_begin(watch);

    return workers;
}


static ngx_int_t
evs_workers_token(u_char *token)
{
    u_char  bytes[EVS_WORKERS_TOKEN_BYTES];

    if (getrandom(bytes, EVS_WORKERS_TOKEN_BYTES, 0)
        != EVS_WORKERS_TOKEN_BYTES)
    {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(token, bytes, EVS_WORKERS_TOKEN_BYTES);

    return NGX_OK;
}


ngx_int_t
evs_workers_add(evs_workers_t *workers, evs_worker_t *w, ngx_uint_t shard)
{
    evs_worker_record_t   *r;
    evs_workers_record_t  *record;

    record = ngx_calloc(sizeof(evs_workers_record_t), ngx_cycle->log);
    if (record == NULL) {
        return NGX_ERROR;
    }

    r = &record->record;

    if (evs_workers_draw(workers, &r->id) != NGX_OK) {
        ngx_free(record);
        return NGX_ERROR;
    }

    ngx_memcpy(r->token, workers->watch.token, EVS_WORKER_TOKEN_LEN);

    r->shard = shard;
    r->created = evs_workers_now();
    r->sequence = workers->sequence++;

    w->id = r->id;
    w->shard = shard;
    w->events = 0;
    w->created = r->created;
    w->record = record;

    ngx_queue_insert_tail(&workers->living, &record->living);
    workers->watch.added++;

    evs_stats_add(EVS_STATS_BATCH_WORKERS, 1);

    evs_workers_write_record(&workers->write, record);

    return NGX_OK;
}


/* Ids of other processes may be the same, once in years. */

static ngx_int_t
evs_workers_draw(evs_workers_t *workers, uint64_t *id)
{
    uint64_t               drawn;
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

again:

    if (getrandom(&drawn, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
        return NGX_ERROR;
    }

    drawn &= EVS_WORKER_NUMBER_MAX;

    if (drawn == 0) {
        goto again;
    }

    for (q = ngx_queue_head(&workers->living);
         q != ngx_queue_sentinel(&workers->living);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, living);

        if (record->record.id == drawn) {
            goto again;
        }
    }

    *id = drawn;

    return NGX_OK;
}


void
evs_workers_count(evs_workers_t *workers, evs_worker_t *w, ngx_uint_t n)
{
    w->events += n;

    if (w->record != NULL && !workers->write.ended) {
        w->record->record.events = w->events;
        evs_workers_write_record(&workers->write, w->record);
    }
}


void
evs_workers_finish(evs_workers_t *workers, evs_worker_t *w)
{
    evs_workers_record_t  *record;

    record = w->record;
    w->record = NULL;

    if (record == NULL || workers->write.ended) {
        return;
    }

    record->record.finished = evs_workers_now();

    ngx_queue_remove(&record->living);

    evs_stats_sub(EVS_STATS_BATCH_WORKERS, 1);

    evs_workers_write_finished(&workers->write, record);
}


void
evs_workers_settle(evs_workers_t *workers, evs_workers_waiter_t *w)
{
    if (workers->write.ended) {
        w->done(w->data);
        return;
    }

    evs_workers_write_settle(&workers->write, w);
}


void
evs_workers_cancel(evs_workers_waiter_t *w)
{
    if (w->waiting) {
        ngx_queue_remove(&w->queue);
        w->waiting = 0;
    }
}


/* Redis does not have our records, or not as they are. */

static void
evs_workers_lost(void *data)
{
    ngx_queue_t    *q;
    evs_workers_t  *workers = data;

    for (q = ngx_queue_head(&workers->living);
         q != ngx_queue_sentinel(&workers->living);
         q = ngx_queue_next(q))
    {
        evs_workers_write_record(&workers->write,
                            ngx_queue_data(q, evs_workers_record_t, living));
    }
}


static void
evs_workers_tick(void *data)
{
    evs_workers_t  *workers = data;

    evs_workers_write_tick(&workers->write);
}


void
evs_workers_exit(ngx_cycle_t *cycle)
{
    evs_workers_t   *workers;
    evs_keyspace_t  *keyspace;

    for (keyspace = evs_workers_all; keyspace; keyspace = keyspace->next) {
        workers = evs_keyspace_data(keyspace, evs_workers_t, keyspace);

        ngx_log_debug1(NGX_LOG_DEBUG_CORE, cycle->log, 0,
                       "eventsession: registry of workers ends, %ui finished",
                       workers->write.nfinished);

        evs_workers_end(workers);
    }
}


static void
evs_workers_end(evs_workers_t *workers)
{
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    if (workers->write.ended) {
        return;
    }

    evs_workers_watch_end(&workers->watch);
    evs_workers_write_stop(&workers->write);

    while (!ngx_queue_empty(&workers->living)) {
        q = ngx_queue_head(&workers->living);
        ngx_queue_remove(q);

        record = ngx_queue_data(q, evs_workers_record_t, living);
        record->record.finished = evs_workers_now();

        evs_stats_sub(EVS_STATS_BATCH_WORKERS, 1);

        evs_workers_write_finished(&workers->write, record);
    }

    evs_workers_write_last(&workers->write);
}


void
evs_workers_free(void)
{
    evs_keyspace_t  *keyspace;

    while ((keyspace = evs_keyspace_take(&evs_workers_all)) != NULL) {
        evs_workers_destroy(evs_keyspace_data(keyspace, evs_workers_t,
                                              keyspace));
    }
}


static void
evs_workers_destroy(evs_workers_t *workers)
{
    evs_workers_write_free(&workers->write);

    ngx_free(workers);
}
