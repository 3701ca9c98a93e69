
/*
 * The processes behind the registry: see workers_watch.h.
 *
 * A sign of life is two commands, the look and the sign:
 *
 *     ZRANGE <alive> 0 -1 WITHSCORES, ZADD <alive> <now> <token>
 *
 * and before them, when somebody is about to be found dead or the history is
 * to be bounded, HGETALL <records>: so a record that was read has the sign of
 * its process in the look behind it.  What comes of it is written by
 *
 *     HSET <records> ..., HDEL <records> ..., ZREM <alive> <token> ...
 *
 * Others may do the same at the same time; they write the same.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/workers_watch.h"


/* ms until the next sign when Redis has refused one */
#define EVS_WORKERS_BEAT_REFUSED  60000

/* the first look at the history comes within so many ms */
#define EVS_WORKERS_SWEEP_FIRST   60000


/* a process, as it was when last looked at */
struct evs_workers_look_s {
    u_char                 token[EVS_WORKER_TOKEN_LEN];
    uint64_t               beat;
    ngx_uint_t             missed;    /* looks that found the same beat */
};

/* what is to be written */
typedef struct {
    ngx_array_t            finished;  /* of evs_worker_record_t * */
    ngx_array_t            old;       /* the same */
    ngx_array_t            dead;      /* of evs_workers_look_t * */
} evs_workers_sweep_t;


static void evs_workers_watch_timer(ngx_event_t *ev);
static void evs_workers_watch_arm(evs_workers_watch_t *watch,
    ngx_msec_t delay);
static ngx_msec_t evs_workers_watch_jitter(ngx_msec_t time);
static ngx_uint_t evs_workers_watch_due(const evs_workers_watch_t *watch);
static void evs_workers_watch_read(evs_workers_watch_t *watch);
static void evs_workers_watch_has_read(void *data, const char *failure);
static void evs_workers_watch_forget(evs_workers_watch_t *watch);
static void evs_workers_watch_beat(evs_workers_watch_t *watch);
static u_char *evs_workers_watch_write(u_char *p,
    const evs_workers_watch_t *watch);
static ngx_array_t *evs_workers_watch_array(void);
static void evs_workers_watch_free(ngx_array_t **looks);
static void evs_workers_watch_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_workers_watch_done(void *data,
    const evs_redis_reply_t *reply);
static void evs_workers_watch_failed(evs_workers_watch_t *watch,
    const evs_redis_reply_t *reply);
static void evs_workers_watch_looked(evs_workers_watch_t *watch);
static evs_workers_look_t *evs_workers_watch_find(const ngx_array_t *looks,
    const u_char *token);
static void evs_workers_watch_sweep(evs_workers_watch_t *watch);
static ngx_int_t evs_workers_watch_judge(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep);
static ngx_int_t evs_workers_watch_left(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep, evs_worker_record_t *record);
static ngx_int_t evs_workers_watch_old(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep, uint64_t now);
static int ngx_libc_cdecl evs_workers_watch_compare(const void *one,
    const void *two);
static void evs_workers_watch_clean(evs_workers_watch_t *watch,
    const evs_workers_sweep_t *sweep);
static u_char *evs_workers_watch_hset(u_char *p,
    const evs_workers_watch_t *watch, const ngx_array_t *records);
static u_char *evs_workers_watch_hdel(u_char *p,
    const evs_workers_watch_t *watch, const ngx_array_t *records);
static u_char *evs_workers_watch_zrem(u_char *p,
    const evs_workers_watch_t *watch, const ngx_array_t *dead);
static void evs_workers_watch_cleaned(void *data,
    const evs_redis_reply_t *reply);
static uint64_t evs_workers_watch_now(void);


static const evs_redis_handlers_t  evs_workers_watch_handlers = {
    evs_workers_watch_element,
    evs_workers_watch_done
};

static const evs_redis_handlers_t  evs_workers_watch_clean_handlers = {
    NULL,
    evs_workers_watch_cleaned
};


void
evs_workers_watch_begin(evs_workers_watch_t *watch)
{
    /* cancelable: a process that quits does not wait for the next sign */

    watch->timer.handler = evs_workers_watch_timer;
    watch->timer.data = watch;
    watch->timer.log = ngx_cycle->log;
    watch->timer.cancelable = 1;

    watch->sweep_at = ngx_current_msec
                      + (ngx_msec_t) ngx_random() % EVS_WORKERS_SWEEP_FIRST;

    evs_workers_watch_beat(watch);
    evs_workers_watch_arm(watch, EVS_WORKERS_BEAT);
}


void
evs_workers_watch_end(evs_workers_watch_t *watch)
{
    if (watch->timer.timer_set) {
        ngx_del_timer(&watch->timer);
    }

    if (watch->beat != NULL) {
        evs_redis_cancel(watch->beat);
        watch->beat = NULL;
    }

    if (watch->clean != NULL) {
        evs_redis_cancel(watch->clean);
        watch->clean = NULL;
    }

    evs_workers_watch_forget(watch);
    evs_workers_watch_free(&watch->looks);
    evs_workers_watch_free(&watch->look);
}


static void
evs_workers_watch_timer(ngx_event_t *ev)
{
    evs_workers_watch_t  *watch;

    watch = ev->data;

    evs_workers_watch_arm(watch, EVS_WORKERS_BEAT);

    /* while Redis is away, a process that quits does not wait for it */

    if (watch->beat == NULL
        && (!ngx_exiting || evs_redis_down(watch->node) == NULL))
    {
        evs_workers_watch_forget(watch);

        if (evs_workers_watch_due(watch)) {
            evs_workers_watch_read(watch);
        }

        evs_workers_watch_beat(watch);
    }

    watch->tick(watch->data);
}


static void
evs_workers_watch_arm(evs_workers_watch_t *watch, ngx_msec_t delay)
{
    if (watch->timer.timer_set) {
        ngx_del_timer(&watch->timer);
    }

    ngx_add_timer(&watch->timer, evs_workers_watch_jitter(delay));
}


/* Up to a tenth less, so that those who began together don't stay so. */

static ngx_msec_t
evs_workers_watch_jitter(ngx_msec_t time)
{
    return time - (ngx_msec_t) ngx_random() % (time / 10);
}


static ngx_uint_t
evs_workers_watch_due(const evs_workers_watch_t *watch)
{
    if (ngx_exiting || watch->clean != NULL) {
        return 0;
    }

    return watch->suspect || watch->added >= EVS_WORKERS_SWEEP_NEW
           || (ngx_msec_int_t) (watch->sweep_at - ngx_current_msec) <= 0;
}


static void
evs_workers_watch_read(evs_workers_watch_t *watch)
{
    watch->pool = ngx_create_pool(4096, ngx_cycle->log);
    if (watch->pool == NULL) {
        return;
    }

    watch->read.conf = watch->conf;
    watch->read.node = watch->node;
    watch->read.pool = watch->pool;
    watch->read.id = 0;
    watch->read.done = evs_workers_watch_has_read;
    watch->read.data = watch;

    if (evs_workers_read_begin(&watch->read) != NGX_OK) {
        evs_workers_watch_forget(watch);
    }
}


static void
evs_workers_watch_has_read(void *data, const char *failure)
{
    evs_workers_watch_t  *watch = data;

    if (failure == NULL) {
        watch->has_read = 1;
    }
}


static void
evs_workers_watch_forget(evs_workers_watch_t *watch)
{
    evs_workers_read_cancel(&watch->read);

    watch->has_read = 0;

    if (watch->pool != NULL) {
        ngx_destroy_pool(watch->pool);
        watch->pool = NULL;
    }
}


static void
evs_workers_watch_beat(evs_workers_watch_t *watch)
{
    u_char  *p;

    watch->failed = 0;
    watch->elements = 0;
    watch->seen = NULL;
    watch->look = evs_workers_watch_array();

    if (watch->look == NULL) {
        return;
    }

    /* two commands of six arguments and less */

    p = evs_redis_reserve(watch->node, 2 * (EVS_STORE_KEY_MAX
                                            + 7 * EVS_RESP_ARG_MAX)
                                       + sizeof("ZRANGE0-1WITHSCORESZADD")
                                       + NGX_INT64_LEN
                                       + EVS_WORKER_TOKEN_LEN);
    if (p != NULL) {
        watch->beat_at = evs_workers_watch_now();
        p = evs_workers_watch_write(p, watch);

        watch->beat = evs_redis_commit(watch->node, p, 2, EVS_WORKERS_BEAT,
                                       &evs_workers_watch_handlers, watch);
    }

    if (watch->beat == NULL) {
        evs_workers_watch_free(&watch->look);
    }
}


static u_char *
evs_workers_watch_write(u_char *p, const evs_workers_watch_t *watch)
{
    u_char     *last, key[EVS_STORE_KEY_MAX], score[NGX_INT64_LEN];
    ngx_str_t   alive;

    alive.data = key;
    alive.len = (size_t) (evs_store_alive_key(key, watch->conf) - key);

    p = evs_resp_argc(p, 5);
    p = evs_resp_arg(p, (u_char *) "ZRANGE", 6);
    p = evs_resp_arg(p, alive.data, alive.len);
    p = evs_resp_arg(p, (u_char *) "0", 1);
    p = evs_resp_arg(p, (u_char *) "-1", 2);
    p = evs_resp_arg(p, (u_char *) "WITHSCORES", 10);

    last = ngx_sprintf(score, "%uL", watch->beat_at);

    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "ZADD", 4);
    p = evs_resp_arg(p, alive.data, alive.len);
    p = evs_resp_arg(p, score, (size_t) (last - score));

    return evs_resp_arg(p, watch->token, EVS_WORKER_TOKEN_LEN);
}


/* In a pool of its own; NULL: no memory. */

static ngx_array_t *
evs_workers_watch_array(void)
{
    ngx_pool_t   *pool;
    ngx_array_t  *looks;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    looks = ngx_array_create(pool, 8, sizeof(evs_workers_look_t));

    if (looks == NULL) {
        ngx_destroy_pool(pool);
    }

    return looks;
}


static void
evs_workers_watch_free(ngx_array_t **looks)
{
    if (*looks != NULL) {
        ngx_destroy_pool((*looks)->pool);
        *looks = NULL;
    }
}


/* Member and score by turns.  What is no sign of a process is passed over. */

static void
evs_workers_watch_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_workers_look_t   *look;
    evs_workers_watch_t  *watch = data;

    if (element->data == NULL) {
        watch->look->nelts = 0;
        watch->elements = 0;
        return;
    }

    if (watch->elements++ % 2) {
        if (watch->seen != NULL) {
            (void) evs_worker_id(element->data, element->len,
                                 &watch->seen->beat);
        }

        return;
    }

    watch->seen = NULL;

    if (evs_worker_token(element->data, element->len) != NGX_OK) {
        return;
    }

    look = ngx_array_push(watch->look);
    if (look == NULL) {
        watch->failed = 1;
        return;
    }

    ngx_memcpy(look->token, element->data, EVS_WORKER_TOKEN_LEN);
    look->beat = 0;
    look->missed = 0;

    watch->seen = look;
}


static void
evs_workers_watch_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_uint_t            lost;
    evs_workers_look_t   *own;
    evs_workers_watch_t  *watch = data;

    watch->beat = NULL;

    if (reply->type != EVS_REDIS_INTEGER || watch->failed) {
        evs_workers_watch_failed(watch, reply);
        return;
    }

    watch->refused = 0;

    own = evs_workers_watch_find(watch->look, watch->token);

    lost = (watch->beaten != 0
            && (own == NULL || own->beat != watch->beaten));

    watch->beaten = watch->beat_at;

    evs_workers_watch_looked(watch);

    if (watch->has_read) {
        evs_workers_watch_sweep(watch);
    }

    evs_workers_watch_forget(watch);

    if (lost) {
        watch->lost(watch->data);
    }
}


static void
evs_workers_watch_failed(evs_workers_watch_t *watch,
    const evs_redis_reply_t *reply)
{
    evs_workers_watch_forget(watch);
    evs_workers_watch_free(&watch->look);

    if (reply->type != EVS_REDIS_ERROR) {
        return;
    }

    evs_workers_watch_arm(watch, EVS_WORKERS_BEAT_REFUSED);

    if (!watch->refused) {
        watch->refused = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "eventsession: signs of life of the workers are "
                      "refused: others may take them for finished");
    }
}


/* This look and the one before it tell who has missed one more. */

static void
evs_workers_watch_looked(evs_workers_watch_t *watch)
{
    ngx_uint_t           i;
    evs_workers_look_t  *look, *before;

    watch->suspect = 0;
    look = watch->look->elts;

    for (i = 0; i < watch->look->nelts; i++) {

        before = evs_workers_watch_find(watch->looks, look[i].token);

        if (before != NULL && before->beat == look[i].beat
            && ngx_memcmp(look[i].token, watch->token, EVS_WORKER_TOKEN_LEN)
               != 0)
        {
            look[i].missed = before->missed + 1;
        }

        if (look[i].missed >= EVS_WORKERS_MISSED - 1) {
            watch->suspect = 1;
        }
    }

    evs_workers_watch_free(&watch->looks);

    watch->looks = watch->look;
    watch->look = NULL;
}


static evs_workers_look_t *
evs_workers_watch_find(const ngx_array_t *looks, const u_char *token)
{
    ngx_uint_t           i;
    evs_workers_look_t  *look;

    if (looks == NULL) {
        return NULL;
    }

    look = looks->elts;

    for (i = 0; i < looks->nelts; i++) {
        if (ngx_memcmp(look[i].token, token, EVS_WORKER_TOKEN_LEN) == 0) {
            return &look[i];
        }
    }

    return NULL;
}


/* The records are read, and behind them the signs of all who live. */

static void
evs_workers_watch_sweep(evs_workers_watch_t *watch)
{
    evs_workers_sweep_t  sweep;

    watch->added = 0;
    watch->sweep_at = ngx_current_msec
                      + evs_workers_watch_jitter(EVS_WORKERS_SWEEP);

    if (evs_workers_watch_judge(watch, &sweep) == NGX_OK
        && sweep.finished.nelts + sweep.old.nelts + sweep.dead.nelts != 0)
    {
        evs_workers_watch_clean(watch, &sweep);
    }
}


static ngx_int_t
evs_workers_watch_judge(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep)
{
    size_t                 size;
    ngx_uint_t             i;
    evs_workers_look_t    *look, **dead;
    evs_worker_record_t   *record;

    size = sizeof(void *);

    if (ngx_array_init(&sweep->finished, watch->pool, 16, size) != NGX_OK
        || ngx_array_init(&sweep->old, watch->pool, 16, size) != NGX_OK
        || ngx_array_init(&sweep->dead, watch->pool, 4, size) != NGX_OK)
    {
        return NGX_ERROR;
    }

    record = watch->read.records.elts;

    for (i = 0; i < watch->read.records.nelts; i++) {

        if (record[i].finished == 0
            && evs_workers_watch_left(watch, sweep, &record[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    look = watch->looks->elts;

    for (i = 0; i < watch->looks->nelts; i++) {

        if (look[i].missed < EVS_WORKERS_MISSED) {
            continue;
        }

        dead = ngx_array_push(&sweep->dead);
        if (dead == NULL) {
            return NGX_ERROR;
        }

        *dead = &look[i];
    }

    return evs_workers_watch_old(watch, sweep, evs_workers_watch_now());
}


/* A worker at work: unless its process is dead, or has left no sign at all. */

static ngx_int_t
evs_workers_watch_left(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep, evs_worker_record_t *record)
{
    evs_workers_look_t    *look;
    evs_worker_record_t  **finished;

    if (ngx_memcmp(record->token, watch->token, EVS_WORKER_TOKEN_LEN) == 0) {
        return NGX_OK;
    }

    look = evs_workers_watch_find(watch->looks, record->token);

    if (look != NULL && look->missed < EVS_WORKERS_MISSED) {
        return NGX_OK;
    }

    record->finished = look ? ngx_max(look->beat, record->created)
                            : evs_workers_watch_now();

    finished = ngx_array_push(&sweep->finished);
    if (finished == NULL) {
        return NGX_ERROR;
    }

    *finished = record;

    return NGX_OK;
}


/* Those that are finished for too long, or are too many. */

static ngx_int_t
evs_workers_watch_old(evs_workers_watch_t *watch, evs_workers_sweep_t *sweep,
    uint64_t now)
{
    ngx_uint_t             i, n, many;
    evs_worker_record_t   *record, **done, **old;

    record = watch->read.records.elts;
    n = watch->read.records.nelts;

    done = ngx_palloc(watch->pool, (n + 1) * sizeof(evs_worker_record_t *));
    if (done == NULL) {
        return NGX_ERROR;
    }

    for (many = 0, i = 0; i < n; i++) {
        if (record[i].finished) {
            done[many++] = &record[i];
        }
    }

    ngx_qsort(done, many, sizeof(evs_worker_record_t *),
              evs_workers_watch_compare);

    for (i = 0; i < many; i++) {

        if (many - i <= EVS_WORKERS_HISTORY
            && done[i]->finished + EVS_WORKERS_KEPT >= now)
        {
            break;
        }

        old = ngx_array_push(&sweep->old);
        if (old == NULL) {
            return NGX_ERROR;
        }

        *old = done[i];
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
evs_workers_watch_compare(const void *one, const void *two)
{
    const evs_worker_record_t  *a, *b;

    a = *(evs_worker_record_t *const *) one;
    b = *(evs_worker_record_t *const *) two;

    if (a->finished != b->finished) {
        return (a->finished < b->finished) ? -1 : 1;
    }

    return (a->id < b->id) ? -1 : (a->id > b->id);
}


static void
evs_workers_watch_clean(evs_workers_watch_t *watch,
    const evs_workers_sweep_t *sweep)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   n;

    size = 3 * (EVS_STORE_KEY_MAX + 3 * EVS_RESP_ARG_MAX + sizeof("HSET"))
           + sweep->finished.nelts * (2 * EVS_RESP_ARG_MAX + NGX_INT64_LEN
                                      + EVS_WORKER_RECORD_MAX)
           + sweep->old.nelts * (EVS_RESP_ARG_MAX + NGX_INT64_LEN)
           + sweep->dead.nelts * (EVS_RESP_ARG_MAX + EVS_WORKER_TOKEN_LEN);

    p = evs_redis_reserve(watch->node, size);
    if (p == NULL) {
        return;
    }

    n = 0;

    if (sweep->finished.nelts) {
        n++;
        p = evs_workers_watch_hset(p, watch, &sweep->finished);
    }

    if (sweep->old.nelts) {
        n++;
        p = evs_workers_watch_hdel(p, watch, &sweep->old);
    }

    if (sweep->dead.nelts) {
        n++;
        p = evs_workers_watch_zrem(p, watch, &sweep->dead);
    }

    watch->clean = evs_redis_commit(watch->node, p, n, watch->conf->timeout,
                                    &evs_workers_watch_clean_handlers, watch);

    if (sweep->finished.nelts) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: %ui workers of processes that are gone "
                      "are finished", sweep->finished.nelts);
    }
}


static u_char *
evs_workers_watch_hset(u_char *p, const evs_workers_watch_t *watch,
    const ngx_array_t *records)
{
    u_char                *last, key[EVS_STORE_KEY_MAX], id[NGX_INT64_LEN];
    u_char                 value[EVS_WORKER_RECORD_MAX];
    ngx_uint_t             i;
    evs_worker_record_t  **record;

    last = evs_store_workers_key(key, watch->conf);

    p = evs_resp_argc(p, 2 + 2 * records->nelts);
    p = evs_resp_arg(p, (u_char *) "HSET", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    record = records->elts;

    for (i = 0; i < records->nelts; i++) {
        last = ngx_sprintf(id, "%uL", record[i]->id);
        p = evs_resp_arg(p, id, (size_t) (last - id));

        last = evs_worker_record_write(value, record[i]);
        p = evs_resp_arg(p, value, (size_t) (last - value));
    }

    return p;
}


static u_char *
evs_workers_watch_hdel(u_char *p, const evs_workers_watch_t *watch,
    const ngx_array_t *records)
{
    u_char                *last, key[EVS_STORE_KEY_MAX], id[NGX_INT64_LEN];
    ngx_uint_t             i;
    evs_worker_record_t  **record;

    last = evs_store_workers_key(key, watch->conf);

    p = evs_resp_argc(p, 2 + records->nelts);
    p = evs_resp_arg(p, (u_char *) "HDEL", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    record = records->elts;

    for (i = 0; i < records->nelts; i++) {
        last = ngx_sprintf(id, "%uL", record[i]->id);
        p = evs_resp_arg(p, id, (size_t) (last - id));
    }

    return p;
}


static u_char *
evs_workers_watch_zrem(u_char *p, const evs_workers_watch_t *watch,
    const ngx_array_t *dead)
{
    u_char               *last, key[EVS_STORE_KEY_MAX];
    ngx_uint_t            i;
    evs_workers_look_t  **look;

    last = evs_store_alive_key(key, watch->conf);

    p = evs_resp_argc(p, 2 + dead->nelts);
    p = evs_resp_arg(p, (u_char *) "ZREM", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    look = dead->elts;

    for (i = 0; i < dead->nelts; i++) {
        p = evs_resp_arg(p, look[i]->token, EVS_WORKER_TOKEN_LEN);
    }

    return p;
}


/* If it failed, the next sweep finds the same. */

static void
evs_workers_watch_cleaned(void *data, const evs_redis_reply_t *reply)
{
    evs_workers_watch_t  *watch = data;

    watch->clean = NULL;
}


static uint64_t
evs_workers_watch_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}
