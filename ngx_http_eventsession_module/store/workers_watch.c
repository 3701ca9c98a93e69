
/*
 * The processes behind the registry: see workers_watch.h.
 *
 * A sign of life is two commands, the look and the sign:
 *
 *     ZRANGE <alive> 0 -1 WITHSCORES, ZADD <alive> <now> <token>
 *
 * and before them, when somebody is about to be found dead or the history is
 * to be bounded, HGETALL <records>: so a record that was read has the sign of
 * its process in the look behind it.  What comes of it is workers_sweep.h's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/workers_sweep.h"
#include "store/workers_watch.h"


/* ms until the next sign when Redis has refused one */
#define EVS_WORKERS_BEAT_REFUSED  60000

/* the first look at the history comes within so many ms */
#define EVS_WORKERS_SWEEP_FIRST   60000


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


static const evs_redis_handlers_t  evs_workers_watch_handlers = {
    evs_workers_watch_element,
    evs_workers_watch_done
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
        watch->beat_at = evs_workers_now();
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
        watch->added = 0;
        watch->sweep_at = ngx_current_msec
                          + evs_workers_watch_jitter(EVS_WORKERS_SWEEP);

        evs_workers_sweep(watch);
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


evs_workers_look_t *
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


uint64_t
evs_workers_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}
