
/*
 * What a look at the records finds: see workers_sweep.h.  It is written by
 *
 *     HSET <records> ..., HDEL <records> ..., ZREM <alive> <token> ...
 *
 * Others may do the same at the same time; they write the same.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/workers_sweep.h"
#include "store/workers_write.h"


/* what is to be written */
typedef struct {
    ngx_array_t            finished;  /* of evs_worker_record_t * */
    ngx_array_t            old;       /* the same */
    ngx_array_t            dead;      /* of evs_workers_look_t * */
} evs_workers_sweep_t;


static ngx_int_t evs_workers_sweep_judge(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep);
static ngx_int_t evs_workers_sweep_left(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep, evs_worker_record_t *record);
static ngx_int_t evs_workers_sweep_dead(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep);
static ngx_int_t evs_workers_sweep_old(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep, uint64_t now);
static int ngx_libc_cdecl evs_workers_sweep_compare(const void *one,
    const void *two);
static void evs_workers_sweep_clean(evs_workers_watch_t *watch,
    const evs_workers_sweep_t *sweep);
static u_char *evs_workers_sweep_hset(u_char *p,
    const evs_workers_watch_t *watch, const ngx_array_t *records);
static u_char *evs_workers_sweep_hdel(u_char *p,
    const evs_workers_watch_t *watch, const ngx_array_t *records);
static u_char *evs_workers_sweep_zrem(u_char *p,
    const evs_workers_watch_t *watch, const ngx_array_t *dead);
static void evs_workers_sweep_cleaned(void *data,
    const evs_redis_reply_t *reply);


static const evs_redis_handlers_t  evs_workers_sweep_handlers = {
    NULL,
    evs_workers_sweep_cleaned
};


void
evs_workers_sweep(evs_workers_watch_t *watch)
{
    evs_workers_sweep_t  sweep;

    if (evs_workers_sweep_judge(watch, &sweep) == NGX_OK
        && sweep.finished.nelts + sweep.old.nelts + sweep.dead.nelts != 0)
    {
        evs_workers_sweep_clean(watch, &sweep);
    }
}


static ngx_int_t
evs_workers_sweep_judge(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep)
{
    size_t                size;
    ngx_uint_t            i;
    evs_worker_record_t  *record;

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
            && evs_workers_sweep_left(watch, sweep, &record[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (evs_workers_sweep_dead(watch, sweep) != NGX_OK) {
        return NGX_ERROR;
    }

    return evs_workers_sweep_old(watch, sweep, evs_workers_now());
}


/* A worker at work: unless its process is dead, or has left no sign at all. */

static ngx_int_t
evs_workers_sweep_left(evs_workers_watch_t *watch,
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
                            : evs_workers_now();

    finished = ngx_array_push(&sweep->finished);
    if (finished == NULL) {
        return NGX_ERROR;
    }

    *finished = record;

    return NGX_OK;
}


static ngx_int_t
evs_workers_sweep_dead(evs_workers_watch_t *watch,
    evs_workers_sweep_t *sweep)
{
    ngx_uint_t            i;
    evs_workers_look_t   *look, **dead;

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

    return NGX_OK;
}


/* Those that are finished for too long, or are too many. */

static ngx_int_t
evs_workers_sweep_old(evs_workers_watch_t *watch, evs_workers_sweep_t *sweep,
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
              evs_workers_sweep_compare);

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
evs_workers_sweep_compare(const void *one, const void *two)
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
evs_workers_sweep_clean(evs_workers_watch_t *watch,
    const evs_workers_sweep_t *sweep)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   n;

    size = 3 * (EVS_STORE_KEY_MAX + 3 * EVS_RESP_ARG_MAX + sizeof("HSET"))
           + sweep->finished.nelts * EVS_WORKERS_WRITE_ARGS_MAX
           + sweep->old.nelts * (EVS_RESP_ARG_MAX + NGX_INT64_LEN)
           + sweep->dead.nelts * (EVS_RESP_ARG_MAX + EVS_WORKER_TOKEN_LEN);

    p = evs_redis_reserve(watch->node, size);
    if (p == NULL) {
        return;
    }

    n = 0;

    if (sweep->finished.nelts) {
        n++;
        p = evs_workers_sweep_hset(p, watch, &sweep->finished);
    }

    if (sweep->old.nelts) {
        n++;
        p = evs_workers_sweep_hdel(p, watch, &sweep->old);
    }

    if (sweep->dead.nelts) {
        n++;
        p = evs_workers_sweep_zrem(p, watch, &sweep->dead);
    }

    watch->clean = evs_redis_commit(watch->node, p, n, watch->conf->timeout,
                                    &evs_workers_sweep_handlers, watch);

    if (sweep->finished.nelts) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: %ui workers of processes that are gone "
                      "are finished", sweep->finished.nelts);
    }
}


static u_char *
evs_workers_sweep_hset(u_char *p, const evs_workers_watch_t *watch,
    const ngx_array_t *records)
{
    u_char                *last, key[EVS_STORE_KEY_MAX];
    ngx_uint_t             i;
    evs_worker_record_t  **record;

    last = evs_store_workers_key(key, watch->conf);

    p = evs_resp_argc(p, 2 + 2 * records->nelts);
    p = evs_resp_arg(p, (u_char *) "HSET", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    record = records->elts;

    for (i = 0; i < records->nelts; i++) {
        p = evs_workers_write_args(p, record[i]);
    }

    return p;
}


static u_char *
evs_workers_sweep_hdel(u_char *p, const evs_workers_watch_t *watch,
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
evs_workers_sweep_zrem(u_char *p, const evs_workers_watch_t *watch,
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
evs_workers_sweep_cleaned(void *data, const evs_redis_reply_t *reply)
{
    evs_workers_watch_t  *watch = data;

    watch->clean = NULL;
}
