
/*
 * The way of records to Redis: see workers_write.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/workers_watch.h"
#include "store/workers_write.h"


/* ms until what Redis has refused is tried again */
#define EVS_WORKERS_REFUSED  60000


static void evs_workers_write_post(evs_workers_write_t *write);
static void evs_workers_write_clean(evs_workers_write_t *write,
    evs_workers_record_t *record);
static void evs_workers_write_drop(evs_workers_write_t *write);
static void evs_workers_write_turn(ngx_event_t *ev);
static ngx_uint_t evs_workers_write_may_send(
    const evs_workers_write_t *write);
static ngx_int_t evs_workers_write_send(evs_workers_write_t *write,
    const evs_redis_handlers_t *handlers);
static u_char *evs_workers_write_text(u_char *p,
    const evs_workers_write_t *write);
static void evs_workers_write_done(void *data,
    const evs_redis_reply_t *reply);
static void evs_workers_write_written(evs_workers_write_t *write);
static void evs_workers_write_again(evs_workers_write_t *write);
static void evs_workers_write_failed(evs_workers_write_t *write,
    ngx_msec_t retry);
static void evs_workers_write_move(ngx_queue_t *to, ngx_queue_t *from);
static void evs_workers_write_tell(ngx_queue_t *queue);
static void evs_workers_write_last_done(void *data,
    const evs_redis_reply_t *reply);


static const evs_redis_handlers_t  evs_workers_write_handlers = {
    NULL,
    evs_workers_write_done
};

static const evs_redis_handlers_t  evs_workers_write_last_handlers = {
    NULL,
    evs_workers_write_last_done
};


void
evs_workers_write_init(evs_workers_write_t *write,
    const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    write->conf = conf;
    write->node = node;

    ngx_queue_init(&write->dirty);
    ngx_queue_init(&write->sent);
    ngx_queue_init(&write->waiting);
    ngx_queue_init(&write->told);

    write->turn.handler = evs_workers_write_turn;
    write->turn.data = write;
    write->turn.log = ngx_cycle->log;
}


void
evs_workers_write_record(evs_workers_write_t *write,
    evs_workers_record_t *record)
{
    switch (record->place) {

    case EVS_WORKERS_NONE:
        record->place = EVS_WORKERS_DIRTY;
        ngx_queue_insert_tail(&write->dirty, &record->queue);
        write->ndirty++;
        break;

    case EVS_WORKERS_SENT:
        record->again = 1;
        break;

    default: /* EVS_WORKERS_DIRTY */
        break;
    }

    evs_workers_write_post(write);
}


void
evs_workers_write_finished(evs_workers_write_t *write,
    evs_workers_record_t *record)
{
    evs_workers_write_drop(write);

    write->nfinished++;

    evs_workers_write_record(write, record);
}


/* It is in no queue but living any more; a finished one goes. */

static void
evs_workers_write_clean(evs_workers_write_t *write,
    evs_workers_record_t *record)
{
    if (record->place == EVS_WORKERS_DIRTY) {
        write->ndirty--;
    }

    ngx_queue_remove(&record->queue);

    record->place = EVS_WORKERS_NONE;
    record->again = 0;

    if (record->record.finished) {
        write->nfinished--;
        ngx_free(record);
    }
}


/*
 * While Redis is away for days, finished workers pile up: of those that would
 * not be kept in Redis either, the oldest goes.
 */

static void
evs_workers_write_drop(evs_workers_write_t *write)
{
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    if (write->nfinished < EVS_WORKERS_HISTORY) {
        return;
    }

    for (q = ngx_queue_head(&write->dirty);
         q != ngx_queue_sentinel(&write->dirty);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, queue);

        if (record->record.finished) {
            evs_workers_write_clean(write, record);
            return;
        }
    }
}


void
evs_workers_write_settle(evs_workers_write_t *write, evs_workers_waiter_t *w)
{
    ngx_queue_insert_tail(&write->waiting, &w->queue);
    w->waiting = 1;

    evs_workers_write_post(write);
}


void
evs_workers_write_tick(evs_workers_write_t *write)
{
    if (!ngx_queue_empty(&write->dirty)) {
        evs_workers_write_post(write);
    }
}


static void
evs_workers_write_post(evs_workers_write_t *write)
{
    if (!write->turn.posted && !write->ended) {
        ngx_post_event(&write->turn, &ngx_posted_events);
    }
}


/* The end of a turn: what has changed in it is sent. */

static void
evs_workers_write_turn(ngx_event_t *ev)
{
    evs_workers_write_t  *write;

    write = ev->data;

    if (write->cmd != NULL) {
        return;
    }

    if (!ngx_queue_empty(&write->dirty) && evs_workers_write_may_send(write)) {

        if (evs_workers_write_send(write, &evs_workers_write_handlers)
            == NGX_OK)
        {
            evs_workers_write_move(&write->told, &write->waiting);
            return;
        }

        evs_workers_write_failed(write, 0);
    }

    /* there is nothing to wait for */

    evs_workers_write_tell(&write->waiting);
}


/*
 * What could not be written waits for Redis to be back, and doesn't hold those
 * who wait for it.  Nor is a process that quits held by command after command
 * while Redis is away.
 */

static ngx_uint_t
evs_workers_write_may_send(const evs_workers_write_t *write)
{
    if (!write->failed && !ngx_exiting) {
        return 1;
    }

    return evs_redis_down(write->node) == NULL
           && (!write->failed
               || (ngx_msec_int_t) (write->retry_at - ngx_current_msec) <= 0);
}


/* All that is dirty is sent, unless NGX_ERROR: no memory. */

static ngx_int_t
evs_workers_write_send(evs_workers_write_t *write,
    const evs_redis_handlers_t *handlers)
{
    u_char                *p;
    size_t                 size;
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    size = EVS_STORE_KEY_MAX + sizeof("HSET") + 3 * EVS_RESP_ARG_MAX
           + write->ndirty * EVS_WORKERS_WRITE_ARGS_MAX;

    p = evs_redis_reserve(write->node, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_workers_write_text(p, write);

    write->cmd = evs_redis_commit(write->node, p, 1, write->conf->timeout,
                                  handlers, write);
    if (write->cmd == NULL) {
        return NGX_ERROR;
    }

    for (q = ngx_queue_head(&write->dirty);
         q != ngx_queue_sentinel(&write->dirty);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, queue);
        record->place = EVS_WORKERS_SENT;
    }

    evs_workers_write_move(&write->sent, &write->dirty);
    write->ndirty = 0;

    return NGX_OK;
}


/* "HSET <key> <id> <record> ..." */

static u_char *
evs_workers_write_text(u_char *p, const evs_workers_write_t *write)
{
    u_char                *last, key[EVS_STORE_KEY_MAX];
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    last = evs_store_workers_key(key, write->conf);

    p = evs_resp_argc(p, 2 + 2 * write->ndirty);
    p = evs_resp_arg(p, (u_char *) "HSET", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    for (q = ngx_queue_head(&write->dirty);
         q != ngx_queue_sentinel(&write->dirty);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, evs_workers_record_t, queue);
        p = evs_workers_write_args(p, &record->record);
    }

    return p;
}


u_char *
evs_workers_write_args(u_char *p, const evs_worker_record_t *record)
{
    u_char  *last, id[NGX_INT64_LEN], value[EVS_WORKER_RECORD_MAX];

    last = ngx_sprintf(id, "%uL", record->id);
    p = evs_resp_arg(p, id, (size_t) (last - id));

    last = evs_worker_record_write(value, record);

    return evs_resp_arg(p, value, (size_t) (last - value));
}


static void
evs_workers_write_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_queue_t           told;
    evs_workers_write_t  *write = data;

    write->cmd = NULL;

    ngx_queue_init(&told);
    evs_workers_write_move(&told, &write->told);

    if (reply->type == EVS_REDIS_INTEGER) {
        evs_workers_write_written(write);

    } else {
        evs_workers_write_again(write);
        evs_workers_write_failed(write, (reply->type == EVS_REDIS_ERROR)
                                    ? EVS_WORKERS_REFUSED : 0);
    }

    if (!ngx_queue_empty(&write->dirty)
        || !ngx_queue_empty(&write->waiting))
    {
        evs_workers_write_post(write);
    }

    evs_workers_write_tell(&told);
}


/* Redis has what was sent, though not what came since. */

static void
evs_workers_write_written(evs_workers_write_t *write)
{
    ngx_uint_t             again;
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    while (!ngx_queue_empty(&write->sent)) {
        q = ngx_queue_head(&write->sent);
        record = ngx_queue_data(q, evs_workers_record_t, queue);

        again = record->again;

        if (!again) {
            evs_workers_write_clean(write, record);
            continue;
        }

        ngx_queue_remove(q);
        record->place = EVS_WORKERS_NONE;
        record->again = 0;

        evs_workers_write_record(write, record);
    }

    write->failed = 0;

    if (write->logged) {
        write->logged = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: the registry of workers is written "
                      "again");
    }
}


/* Nobody knows whether Redis has what was sent: it goes before the others. */

static void
evs_workers_write_again(evs_workers_write_t *write)
{
    ngx_queue_t           *q;
    evs_workers_record_t  *record;

    while (!ngx_queue_empty(&write->sent)) {
        q = ngx_queue_last(&write->sent);
        ngx_queue_remove(q);
        ngx_queue_insert_head(&write->dirty, q);
        write->ndirty++;

        record = ngx_queue_data(q, evs_workers_record_t, queue);
        record->place = EVS_WORKERS_DIRTY;
        record->again = 0;
    }
}


static void
evs_workers_write_failed(evs_workers_write_t *write, ngx_msec_t retry)
{
    const char  *down;

    write->failed = 1;
    write->retry_at = ngx_current_msec + retry;

    if (write->logged) {
        return;
    }

    write->logged = 1;
    down = evs_redis_down(write->node);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "eventsession: the registry of workers can't be written%s%s",
                  down ? ": " : "", down ? down : "");
}


static void
evs_workers_write_move(ngx_queue_t *to, ngx_queue_t *from)
{
    if (!ngx_queue_empty(from)) {
        ngx_queue_add(to, from);
        ngx_queue_init(from);
    }
}


static void
evs_workers_write_tell(ngx_queue_t *queue)
{
    ngx_queue_t            told, *q;
    evs_workers_waiter_t  *w;

    /* who is told may wait again, which is another time */

    ngx_queue_init(&told);
    evs_workers_write_move(&told, queue);

    while (!ngx_queue_empty(&told)) {
        q = ngx_queue_head(&told);
        w = ngx_queue_data(q, evs_workers_waiter_t, queue);

        evs_workers_cancel(w);
        w->done(w->data);
    }
}


void
evs_workers_write_stop(evs_workers_write_t *write)
{
    write->ended = 1;

    if (write->turn.posted) {
        ngx_delete_posted_event(&write->turn);
    }

    if (write->cmd != NULL) {
        evs_redis_cancel(write->cmd);
        write->cmd = NULL;
    }

    evs_workers_write_again(write);
}


void
evs_workers_write_last(evs_workers_write_t *write)
{
    if (!ngx_queue_empty(&write->dirty)
        && evs_redis_down(write->node) == NULL
        && evs_workers_write_send(write, &evs_workers_write_last_handlers)
           == NGX_OK)
    {
        evs_redis_flush(write->node);
    }

    evs_workers_write_tell(&write->told);
    evs_workers_write_tell(&write->waiting);
}


static void
evs_workers_write_last_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "eventsession: last words of the workers: %d",
                   (int) reply->type);
}


void
evs_workers_write_free(evs_workers_write_t *write)
{
    ngx_queue_t  *q;

    evs_workers_write_again(write);

    while (!ngx_queue_empty(&write->dirty)) {
        q = ngx_queue_head(&write->dirty);
        evs_workers_write_clean(write, ngx_queue_data(q, evs_workers_record_t,
                                                      queue));
    }
}
