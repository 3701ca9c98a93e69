
/*
 * The live reader: see follow.h.  It goes round with one pair of commands:
 *
 *     XRANGE key <cursor> <cursor> COUNT 1
 *     XREAD COUNT <n> BLOCK <ms> STREAMS key <cursor>
 *
 * As streams are cut at their begin, the cursor's own entry, when it is still
 * there, proves that nothing behind it is missing.  When it is not, and
 * nothing lies behind it either, the stream may be another one, whose ids are
 * lower: the top of it is asked for, and is where to go on.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/feed_entry.h"
#include "store/follow.h"


#define EVS_FOLLOW_BLOCK      5000          /* ms, at most */
#define EVS_FOLLOW_DEADLINE   86400000      /* ms: Redis may be away */
#define EVS_FOLLOW_RETRY      1000          /* ms */

#define EVS_FOLLOW_BYTES      65536         /* of entries a reply aims at */
#define EVS_FOLLOW_FIRST      16            /* entries, before it can aim */


static void evs_follow_send(evs_follow_t *follow);
static void evs_follow_send_top(evs_follow_t *follow);
static u_char *evs_follow_reserve(evs_follow_t *follow);
static void evs_follow_commit(evs_follow_t *follow, u_char *last,
    ngx_uint_t nreplies);
static void evs_follow_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_follow_entry(evs_follow_t *follow, const ngx_str_t *value);
static ngx_uint_t evs_follow_missing(const evs_follow_t *follow);
static void evs_follow_tell(evs_follow_t *follow, const evs_place_t *place);
static void evs_follow_done(void *data, const evs_redis_reply_t *reply);
static void evs_follow_came(evs_follow_t *follow);
static void evs_follow_topped(evs_follow_t *follow);
static void evs_follow_retry(evs_follow_t *follow);
static void evs_follow_timer(ngx_event_t *ev);


static const evs_redis_handlers_t  evs_follow_handlers = {
    evs_follow_element,
    evs_follow_done
};

static const evs_stream_id_t  evs_follow_begin;


ngx_int_t
evs_follow_open(evs_follow_t *follow, const evs_store_conf_t *conf,
    const ngx_str_t *key, const evs_stream_id_t *cursor,
    const evs_follow_handlers_t *handlers, void *data)
{
    ngx_msec_t  block;

    ngx_memzero(follow, sizeof(evs_follow_t));

    follow->node = evs_redis_open((ngx_cycle_t *) ngx_cycle, conf->redis);
    if (follow->node == NULL) {
        return NGX_ERROR;
    }

    follow->handlers = handlers;
    follow->data = data;
    follow->key = *key;
    follow->cursor = *cursor;
    follow->fit = EVS_FOLLOW_FIRST;

    /* well before the silence is taken for a dead connection; 0 is forever */

    block = ngx_min(conf->redis->command_timeout / 2, EVS_FOLLOW_BLOCK);
    follow->block = ngx_max(block, 1);

    follow->timer.handler = evs_follow_timer;
    follow->timer.data = follow;
    follow->timer.log = ngx_cycle->log;
    follow->timer.cancelable = 1;

    evs_follow_send(follow);

    return NGX_OK;
}


void
evs_follow_close(evs_follow_t *follow)
{
    if (follow->node == NULL) {
        return;
    }

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }

    evs_redis_close(follow->node);

    follow->node = NULL;
    follow->cmd = NULL;
}


static void
evs_follow_send(evs_follow_t *follow)
{
    u_char      *p;
    ngx_uint_t   n;

    n = 0;
    follow->topping = 0;

    p = evs_follow_reserve(follow);
    if (p == NULL) {
        return;
    }

    if (evs_stream_id_cmp(&follow->cursor, &evs_follow_begin) != 0) {
        p = evs_stream_range(p, &follow->key, &follow->cursor,
                             &follow->cursor, 1);
        n++;
    }

    p = evs_stream_read(p, &follow->key, &follow->cursor, follow->fit,
                        follow->block);

    follow->read_reply = n;

    evs_follow_commit(follow, p, n + 1);
}


static void
evs_follow_send_top(evs_follow_t *follow)
{
    u_char  *p;

    follow->topping = 1;

    p = evs_follow_reserve(follow);
    if (p == NULL) {
        return;
    }

    ngx_memzero(&follow->top, sizeof(evs_place_t));

    evs_follow_commit(follow, evs_stream_top(p, &follow->key), 1);
}


static u_char *
evs_follow_reserve(evs_follow_t *follow)
{
    u_char  *p;

    evs_stream_begin(&follow->check, 0);
    evs_stream_begin(&follow->entries, !follow->topping);

    follow->taken = follow->cursor;
    follow->full = 0;
    follow->told = 0;
    follow->rewound = 0;

    p = evs_redis_reserve(follow->node, 2 * EVS_STREAM_COMMAND_MAX);

    if (p == NULL) {
        evs_follow_retry(follow);
    }

    return p;
}


static void
evs_follow_commit(evs_follow_t *follow, u_char *last, ngx_uint_t nreplies)
{
    follow->cmd = evs_redis_commit(follow->node, last, nreplies,
                                   EVS_FOLLOW_DEADLINE, &evs_follow_handlers,
                                   follow);

    if (follow->cmd == NULL) {
        evs_follow_retry(follow);
    }
}


static void
evs_follow_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_follow_t  *follow = data;

    if (element->data == NULL) {

        evs_stream_begin(&follow->check, 0);
        evs_stream_begin(&follow->entries, !follow->topping);
        ngx_memzero(&follow->top, sizeof(evs_place_t));

        follow->taken = follow->cursor;
        follow->full = 0;
        follow->told = 0;

        follow->handlers->again(follow->data);
        return;
    }

    if (!follow->topping && nreply != follow->read_reply) {
        (void) evs_stream_element(&follow->check, element);
        return;
    }

    if (evs_stream_element(&follow->entries, element) == NGX_OK) {
        evs_follow_entry(follow, element);
    }
}


static void
evs_follow_entry(evs_follow_t *follow, const ngx_str_t *value)
{
    ngx_int_t  rc;

    if (follow->topping) {
        follow->top.index = evs_feed_entry_last(value);
        return;
    }

    if (follow->full) {
        return;
    }

    if (evs_follow_missing(follow)) {
        evs_follow_tell(follow, NULL);
    }

    rc = follow->handlers->entry(follow->data, &follow->entries.last, value);

    if (rc != NGX_OK) {
        follow->full = 1;
        return;
    }

    follow->taken = follow->entries.last;
}


/* Whether the cursor's own entry was asked for, and is not there: 1 or 0. */

static ngx_uint_t
evs_follow_missing(const evs_follow_t *follow)
{
    return follow->read_reply != 0 && follow->check.count == 0;
}


/* Once, as long as nothing comes. */

static void
evs_follow_tell(evs_follow_t *follow, const evs_place_t *place)
{
    if (follow->told || follow->gapped) {
        return;
    }

    follow->told = 1;
    follow->handlers->gap(follow->data, place);
}


static void
evs_follow_done(void *data, const evs_redis_reply_t *reply)
{
    evs_follow_t  *follow = data;

    follow->cmd = NULL;

    switch (reply->type) {

    case EVS_REDIS_ARRAY:
    case EVS_REDIS_NIL:
        break;

    case EVS_REDIS_SHUTDOWN:
        return;

    case EVS_REDIS_TIMEOUT:
        evs_follow_send(follow);
        return;

    default:
        /* what came in before the error will come again */

        follow->handlers->again(follow->data);
        evs_follow_retry(follow);
        return;
    }

    if (follow->topping) {
        evs_follow_topped(follow);
        return;
    }

    evs_follow_came(follow);
}


static void
evs_follow_came(evs_follow_t *follow)
{
    if (follow->entries.count == 0) {

        if (evs_follow_missing(follow)) {
            evs_follow_send_top(follow);

        } else {
            evs_follow_send(follow);
        }

        return;
    }

    if (evs_follow_missing(follow)) {
        evs_follow_tell(follow, NULL);
    }

    if (!follow->full) {

        /* the last one may be somebody else's */

        follow->taken = follow->entries.last;
    }

    if (evs_stream_id_cmp(&follow->taken, &follow->cursor) == 0) {

        /* not even one was taken: no memory */

        follow->handlers->again(follow->data);
        evs_follow_retry(follow);
        return;
    }

    follow->fit = evs_stream_fit(&follow->entries, EVS_FOLLOW_BYTES,
                                 EVS_FOLLOW_FIRST);
    follow->cursor = follow->taken;
    follow->gapped = 0;

    follow->handlers->turn(follow->data);

    evs_follow_send(follow);
}


static void
evs_follow_topped(evs_follow_t *follow)
{
    /* 0-0, when the stream is empty: what comes is behind it */

    follow->top.entry = follow->entries.last;

    if (evs_stream_id_cmp(&follow->top.entry, &follow->cursor) < 0) {
        follow->cursor = follow->top.entry;
        follow->rewound = 1;

        evs_follow_tell(follow, &follow->top);

    } else {
        evs_follow_tell(follow, NULL);
    }

    follow->gapped = 1;
    follow->handlers->turn(follow->data);

    evs_follow_send(follow);
}


static void
evs_follow_retry(evs_follow_t *follow)
{
    if (!follow->timer.timer_set) {
        ngx_add_timer(&follow->timer, EVS_FOLLOW_RETRY);
    }
}


static void
evs_follow_timer(ngx_event_t *ev)
{
    evs_follow_t  *follow;

    follow = ev->data;

    if (follow->cmd == NULL) {
        evs_follow_send(follow);
    }
}
