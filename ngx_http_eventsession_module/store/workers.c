
/*
 * The registry of workers: see workers.h.
 *
 * A record is in one of three places:
 *
 *     none     Redis has it as it is
 *     dirty    it is to be written
 *     sent     it is being written; again: it has changed since
 *
 * Those of workers at work are in workers->living, too.  A record lives until
 * its worker is finished and Redis has that.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <sys/random.h>

#include "store/keyspace.h"
#include "store/worker_record.h"
#include "store/workers.h"
#include "store/workers_watch.h"


#define EVS_WORKERS_TOKEN_BYTES  (EVS_WORKER_TOKEN_LEN / 2)

/* ms until what Redis has refused is tried again */
#define EVS_WORKERS_REFUSED      60000


typedef enum {
    EVS_WORKERS_NONE = 0,
    EVS_WORKERS_DIRTY,
    EVS_WORKERS_SENT
} evs_workers_place_e;


struct evs_workers_record_s {
    ngx_queue_t            living;
    ngx_queue_t            queue;     /* workers->dirty or ->sent */
    evs_worker_record_t    record;    /* finished == 0: in workers->living */
    evs_workers_place_e    place;
    unsigned               again:1;
};


struct evs_workers_s {
    evs_keyspace_t         keyspace;
    evs_workers_watch_t    watch;
    uint64_t               sequence;

    ngx_queue_t            living;
    ngx_queue_t            dirty;
    ngx_queue_t            sent;
    ngx_uint_t             ndirty;
    ngx_uint_t             nfinished; /* that are dirty or sent */

    ngx_queue_t            waiting;   /* for what is dirty */
    ngx_queue_t            told;      /* for what is sent */
    evs_redis_cmd_t       *cmd;
    ngx_event_t            turn;
    ngx_msec_t             retry_at;

    unsigned               failed:1;  /* not before retry_at */
    unsigned               logged:1;
    unsigned               ended:1;
};


static evs_workers_t *evs_workers_create(const evs_store_conf_t *conf,
    evs_redis_node_t *node);
static ngx_int_t evs_workers_token(u_char *token);
static uint64_t evs_workers_now(void);
static ngx_int_t evs_workers_draw(evs_workers_t *workers, uint64_t *id);
static void evs_workers_dirty(evs_workers_t *workers,
    evs_workers_record_t *record);
static void evs_workers_clean(evs_workers_t *workers,
    evs_workers_record_t *record);
static void evs_workers_drop(evs_workers_t *workers);
static void evs_workers_post(evs_workers_t *workers);
static void evs_workers_turn(ngx_event_t *ev);
static ngx_uint_t evs_workers_may_send(const evs_workers_t *workers);
static ngx_int_t evs_workers_send(evs_workers_t *workers,
    const evs_redis_handlers_t *handlers);
static u_char *evs_workers_write(u_char *p, const evs_workers_t *workers);
static void evs_workers_done(void *data, const evs_redis_reply_t *reply);
static void evs_workers_written(evs_workers_t *workers);
static void evs_workers_again(evs_workers_t *workers);
static void evs_workers_failed(evs_workers_t *workers, ngx_msec_t retry);
static void evs_workers_move(ngx_queue_t *to, ngx_queue_t *from);
static void evs_workers_tell(ngx_queue_t *queue);
static void evs_workers_lost(void *data);
static void evs_workers_tick(void *data);
static void evs_workers_end(evs_workers_t *workers);
static void evs_workers_last_done(void *data, const evs_redis_reply_t *reply);
static void evs_workers_destroy(evs_workers_t *workers);


static const evs_redis_handlers_t  evs_workers_handlers = {
    NULL,
    evs_workers_done
};

static const evs_redis_handlers_t  evs_workers_last_handlers = {
    NULL,
    evs_workers_last_done
};


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
    ngx_queue_init(&workers->dirty);
    ngx_queue_init(&workers->sent);
    ngx_queue_init(&workers->waiting);
    ngx_queue_init(&workers->told);

    workers->turn.handler = evs_workers_turn;
    workers->turn.data = workers;
    workers->turn.log = ngx_cycle->log;

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


static uint64_t
evs_workers_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
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

    evs_workers_dirty(workers, record);

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

    if (w->record != NULL && !workers->ended) {
        w->record->record.events = w->events;
        evs_workers_dirty(workers, w->record);
    }
}


void
evs_workers_finish(evs_workers_t *workers, evs_worker_t *w)
{
    evs_workers_record_t  *record;

    record = w->record;
    w->record = NULL;

    if (record == NULL || workers->ended) {
        return;
    }

    evs_workers_drop(workers);

    record->record.finished = evs_workers_now();
    workers->nfinished++;

    ngx_queue_remove(&record->living);

    evs_workers_dirty(workers, record);
}


static void
evs_workers_dirty(evs_workers_t *workers, evs_workers_record_t *record)
{
    switch (record->place) {

    case EVS_WORKERS_NONE:
        record->place = EVS_WORKERS_DIRTY;
        ngx_queue_insert_tail(&workers->dirty, &record->queue);
        workers->ndirty++;
        break;

    case EVS_WORKERS_SENT:
        record->again = 1;
        break;

    default: /* EVS_WORKERS_DIRTY */
        break;
    }

    evs_workers_post(workers);
}


/* It is in no queue but living any more; a finished one goes. */

static void
evs_workers_clean(evs_workers_t *workers, evs_workers_record_t *record)
{
    if (record->place == EVS_WORKERS_DIRTY) {
        workers->ndirty--;
    }

    ngx_queue_remove(&record->queue);

    record->place = EVS_WORKERS_NONE;
    record->again = 0;

    if (record->record.finished) {
        workers->nfinished--;
        ngx_free(record);
    }
}


/*
 * While Redis is away for days, finished workers pile up: of those that would
 * not be kept in Redis either, the oldest goes.
 */

static void
evs_workers_drop(evs_workers_t *workers)
{
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    if (workers->nfinished < EVS_WORKERS_HISTORY) {
        return;
    }

    for (q = ngx_queue_head(&workers->dirty);
         q != ngx_queue_sentinel(&workers->dirty);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, queue);

        if (record->record.finished) {
            evs_workers_clean(workers, record);
            return;
        }
    }
}


void
evs_workers_settle(evs_workers_t *workers, evs_workers_waiter_t *w)
{
    if (workers->ended) {
        w->done(w->data);
        return;
    }

    ngx_queue_insert_tail(&workers->waiting, &w->queue);
    w->waiting = 1;

    evs_workers_post(workers);
}


void
evs_workers_cancel(evs_workers_waiter_t *w)
{
    if (w->waiting) {
        ngx_queue_remove(&w->queue);
        w->waiting = 0;
    }
}


static void
evs_workers_post(evs_workers_t *workers)
{
    if (!workers->turn.posted && !workers->ended) {
        ngx_post_event(&workers->turn, &ngx_posted_events);
    }
}


/* The end of a turn: what has changed in it is sent. */

static void
evs_workers_turn(ngx_event_t *ev)
{
    evs_workers_t  *workers;

    workers = ev->data;

    if (workers->cmd != NULL) {
        return;
    }

    if (!ngx_queue_empty(&workers->dirty) && evs_workers_may_send(workers)) {

        if (evs_workers_send(workers, &evs_workers_handlers) == NGX_OK) {
            evs_workers_move(&workers->told, &workers->waiting);
            return;
        }

        evs_workers_failed(workers, 0);
    }

    /* there is nothing to wait for */

    evs_workers_tell(&workers->waiting);
}


/*
 * What could not be written waits for Redis to be back, and doesn't hold those
 * who wait for it.  Nor is a process that quits held by command after command
 * while Redis is away.
 */

static ngx_uint_t
evs_workers_may_send(const evs_workers_t *workers)
{
    if (!workers->failed && !ngx_exiting) {
        return 1;
    }

    return evs_redis_down(workers->keyspace.node) == NULL
           && (!workers->failed
               || (ngx_msec_int_t) (workers->retry_at - ngx_current_msec) <= 0);
}


/* All that is dirty is sent, unless NGX_ERROR: no memory. */

static ngx_int_t
evs_workers_send(evs_workers_t *workers,
    const evs_redis_handlers_t *handlers)
{
    u_char                *p;
    size_t                 size;
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    size = EVS_STORE_KEY_MAX + sizeof("HSET") + 3 * EVS_RESP_ARG_MAX
           + workers->ndirty * (2 * EVS_RESP_ARG_MAX + NGX_INT64_LEN
                                + EVS_WORKER_RECORD_MAX);

    p = evs_redis_reserve(workers->keyspace.node, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_workers_write(p, workers);

    workers->cmd = evs_redis_commit(workers->keyspace.node, p, 1,
                                    workers->keyspace.conf->timeout,
                                    handlers, workers);
    if (workers->cmd == NULL) {
        return NGX_ERROR;
    }

    for (q = ngx_queue_head(&workers->dirty);
         q != ngx_queue_sentinel(&workers->dirty);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, queue);
        record->place = EVS_WORKERS_SENT;
    }

    evs_workers_move(&workers->sent, &workers->dirty);
    workers->ndirty = 0;

    return NGX_OK;
}


/* "HSET <key> <id> <record> ..." */

static u_char *
evs_workers_write(u_char *p, const evs_workers_t *workers)
{
    u_char                *last, key[EVS_STORE_KEY_MAX], id[NGX_INT64_LEN];
    u_char                 value[EVS_WORKER_RECORD_MAX];
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    last = evs_store_workers_key(key, workers->keyspace.conf);

    p = evs_resp_argc(p, 2 + 2 * workers->ndirty);
    p = evs_resp_arg(p, (u_char *) "HSET", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    for (q = ngx_queue_head(&workers->dirty);
         q != ngx_queue_sentinel(&workers->dirty);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, queue);

        last = ngx_sprintf(id, "%uL", record->record.id);
        p = evs_resp_arg(p, id, (size_t) (last - id));

        last = evs_worker_record_write(value, &record->record);
        p = evs_resp_arg(p, value, (size_t) (last - value));
    }

    return p;
}


static void
evs_workers_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_queue_t     told;
    evs_workers_t  *workers = data;

    workers->cmd = NULL;

    ngx_queue_init(&told);
    evs_workers_move(&told, &workers->told);

    if (reply->type == EVS_REDIS_INTEGER) {
        evs_workers_written(workers);

    } else {
        evs_workers_again(workers);
        evs_workers_failed(workers, (reply->type == EVS_REDIS_ERROR)
                                    ? EVS_WORKERS_REFUSED : 0);
    }

    if (!ngx_queue_empty(&workers->dirty)
        || !ngx_queue_empty(&workers->waiting))
    {
        evs_workers_post(workers);
    }

    evs_workers_tell(&told);
}


/* Redis has what was sent, though not what came since. */

static void
evs_workers_written(evs_workers_t *workers)
{
    ngx_uint_t             again;
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    while (!ngx_queue_empty(&workers->sent)) {
        q = ngx_queue_head(&workers->sent);
        record = ngx_queue_data(q, evs_workers_record_t, queue);

        again = record->again;

        if (!again) {
            evs_workers_clean(workers, record);
            continue;
        }

        ngx_queue_remove(q);
        record->place = EVS_WORKERS_NONE;
        record->again = 0;

        evs_workers_dirty(workers, record);
    }

    workers->failed = 0;

    if (workers->logged) {
        workers->logged = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: the registry of workers is written "
                      "again");
    }
}


/* Nobody knows whether Redis has what was sent: it goes before the others. */

static void
evs_workers_again(evs_workers_t *workers)
{
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    while (!ngx_queue_empty(&workers->sent)) {
        q = ngx_queue_last(&workers->sent);
        ngx_queue_remove(q);
        ngx_queue_insert_head(&workers->dirty, q);
        workers->ndirty++;

        record = ngx_queue_data(q, evs_workers_record_t, queue);
        record->place = EVS_WORKERS_DIRTY;
        record->again = 0;
    }
}


static void
evs_workers_failed(evs_workers_t *workers, ngx_msec_t retry)
{
    const char  *down;

    workers->failed = 1;
    workers->retry_at = ngx_current_msec + retry;

    if (workers->logged) {
        return;
    }

    workers->logged = 1;
    down = evs_redis_down(workers->keyspace.node);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "eventsession: the registry of workers can't be written%s%s",
                  down ? ": " : "", down ? down : "");
}


static void
evs_workers_move(ngx_queue_t *to, ngx_queue_t *from)
{
    if (!ngx_queue_empty(from)) {
        ngx_queue_add(to, from);
        ngx_queue_init(from);
    }
}


static void
evs_workers_tell(ngx_queue_t *queue)
{
    ngx_queue_t            told, *q;
    evs_workers_waiter_t  *w;

    /* who is told may wait again, which is another time */

    ngx_queue_init(&told);
    evs_workers_move(&told, queue);

    while (!ngx_queue_empty(&told)) {
        q = ngx_queue_head(&told);
        w = ngx_queue_data(q, evs_workers_waiter_t, queue);

        evs_workers_cancel(w);
        w->done(w->data);
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
        evs_workers_dirty(workers,
                          ngx_queue_data(q, evs_workers_record_t, living));
    }
}


static void
evs_workers_tick(void *data)
{
    evs_workers_t  *workers = data;

    if (!ngx_queue_empty(&workers->dirty)) {
        evs_workers_post(workers);
    }
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
                       workers->nfinished);

        evs_workers_end(workers);
    }
}


static void
evs_workers_end(evs_workers_t *workers)
{
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    if (workers->ended) {
        return;
    }

    workers->ended = 1;

    evs_workers_watch_end(&workers->watch);

    if (workers->turn.posted) {
        ngx_delete_posted_event(&workers->turn);
    }

    if (workers->cmd != NULL) {
        evs_redis_cancel(workers->cmd);
        workers->cmd = NULL;
    }

    evs_workers_again(workers);

    while (!ngx_queue_empty(&workers->living)) {
        q = ngx_queue_head(&workers->living);
        ngx_queue_remove(q);

        record = ngx_queue_data(q, evs_workers_record_t, living);
        record->record.finished = evs_workers_now();
        workers->nfinished++;

        evs_workers_dirty(workers, record);
    }

    if (!ngx_queue_empty(&workers->dirty)
        && evs_redis_down(workers->keyspace.node) == NULL
        && evs_workers_send(workers, &evs_workers_last_handlers) == NGX_OK)
    {
        evs_redis_flush(workers->keyspace.node);
    }

    evs_workers_tell(&workers->told);
    evs_workers_tell(&workers->waiting);
}


static void
evs_workers_last_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "eventsession: last words of the workers: %d",
                   (int) reply->type);
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
    ngx_queue_t  *q;

    evs_workers_again(workers);

    while (!ngx_queue_empty(&workers->dirty)) {
        q = ngx_queue_head(&workers->dirty);
        evs_workers_clean(workers,
                          ngx_queue_data(q, evs_workers_record_t, queue));
    }

    if (workers->turn.posted) {
        ngx_delete_posted_event(&workers->turn);
    }

    ngx_free(workers);
}
