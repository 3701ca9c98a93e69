
/*
 * The way through the history of the feed: see replay.h.  A page is
 *
 *     ZRANGEBYSCORE deleted <score of the cursor> +inf WITHSCORES LIMIT 0 <m>
 *     XRANGE key <cursor> + COUNT <n>
 *
 * There may be a hundred times more deleted sessions than events in a page.
 * So only some are told with it; where there are more, the page tells which
 * sessions matter, and is read again, as entries do not change:
 *
 *     ZMSCORE deleted <each session in the page>
 *     XRANGE key <cursor> <last> COUNT <n>
 *
 * A page begins with the cursor's own entry: as streams are cut at their
 * begin, nothing behind it is missing as long as that is there.  When the whole
 * page is empty, the stream may be another one, whose ids are lower: then its
 * top is where to go on.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/replay.h"


#define EVS_REPLAY_DEADLINE  86400000      /* ms: Redis may be away */

#define EVS_REPLAY_BYTES     32768         /* of entries a page aims at */
#define EVS_REPLAY_FIRST     16            /* entries, before it can aim */

/* deleted sessions that are told with a page: about as long as the page */
#define EVS_REPLAY_GONE      256


static ngx_int_t evs_replay_commit(evs_replay_t *replay, u_char *last,
    ngx_uint_t nreplies, ngx_msec_t timeout);
static ngx_int_t evs_replay_ask_top(evs_replay_t *replay, ngx_msec_t timeout);
static ngx_int_t evs_replay_judge(evs_replay_t *replay);
static void evs_replay_reset(evs_replay_t *replay);
static void evs_replay_deleted(evs_replay_t *replay, const ngx_str_t *element);
static void evs_replay_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_replay_value(evs_replay_t *replay, const ngx_str_t *value);
static void evs_replay_sessions(evs_replay_t *replay, const ngx_str_t *value);
static void evs_replay_begin(evs_replay_t *replay);
static void evs_replay_events(evs_replay_t *replay, const ngx_str_t *value,
    ngx_uint_t known);
static void evs_replay_done(void *data, const evs_redis_reply_t *reply);
static void evs_replay_paged(evs_replay_t *replay);
static void evs_replay_topped(evs_replay_t *replay);


static const evs_redis_handlers_t  evs_replay_handlers = {
    evs_replay_element,
    evs_replay_done
};

static const evs_stream_id_t  evs_replay_start;


ngx_int_t
evs_replay_top(evs_replay_t *replay, ngx_msec_t timeout)
{
    /* wherever it is, it is a new begin */

    ngx_memzero(&replay->cursor, sizeof(evs_replay_cursor_t));

    return evs_replay_ask_top(replay, timeout);
}


static ngx_int_t
evs_replay_ask_top(evs_replay_t *replay, ngx_msec_t timeout)
{
    u_char  *p;

    p = evs_redis_reserve(replay->node, EVS_STREAM_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    replay->topping = 1;
    replay->judging = 0;

    return evs_replay_commit(replay, evs_stream_top(p, &replay->key), 1,
                             timeout);
}


ngx_int_t
evs_replay_next(evs_replay_t *replay)
{
    u_char           *p, *last, key[EVS_STORE_KEY_MAX], number[NGX_INT64_LEN];
    evs_stream_id_t  *from;

    p = evs_redis_reserve(replay->node, 2 * EVS_STREAM_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    replay->topping = 0;
    replay->judging = 0;
    replay->asked = replay->fit ? replay->fit : EVS_REPLAY_FIRST;

    from = &replay->cursor.place.entry;

    p = evs_resp_argc(p, 8);
    p = evs_resp_arg(p, (u_char *) "ZRANGEBYSCORE", 13);
    last = evs_store_deleted_key(key, replay->conf);
    p = evs_resp_arg(p, key, (size_t) (last - key));
    last = evs_number_write(number, evs_stream_id_score(from));
    p = evs_resp_arg(p, number, (size_t) (last - number));
    p = evs_resp_arg(p, (u_char *) "+inf", 4);
    p = evs_resp_arg(p, (u_char *) "WITHSCORES", 10);
    p = evs_resp_arg(p, (u_char *) "LIMIT", 5);
    p = evs_resp_arg(p, (u_char *) "0", 1);
    last = evs_number_write(number, EVS_REPLAY_GONE + 1);
    p = evs_resp_arg(p, number, (size_t) (last - number));

    p = evs_stream_range(p, &replay->key, from, NULL, replay->asked);

    return evs_replay_commit(replay, p, 2, EVS_REPLAY_DEADLINE);
}


/* The page has come, but not who of it is gone. */

static ngx_int_t
evs_replay_judge(evs_replay_t *replay)
{
    u_char           *p, *last, key[EVS_STORE_KEY_MAX];
    ngx_uint_t        n;
    evs_stream_id_t   to;

    n = replay->gone.n;

    p = evs_redis_reserve(replay->node, 2 * EVS_STREAM_COMMAND_MAX
                                        + n * EVS_GONE_ARG_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    replay->judging = 1;
    replay->came = replay->entries.count;

    p = evs_resp_argc(p, 2 + n);
    p = evs_resp_arg(p, (u_char *) "ZMSCORE", 7);
    last = evs_store_deleted_key(key, replay->conf);
    p = evs_resp_arg(p, key, (size_t) (last - key));
    p = evs_gone_args(p, &replay->gone);

    to = replay->entries.last;

    p = evs_stream_range(p, &replay->key, &replay->cursor.place.entry, &to,
                         replay->asked);

    return evs_replay_commit(replay, p, 2, EVS_REPLAY_DEADLINE);
}


static ngx_int_t
evs_replay_commit(evs_replay_t *replay, u_char *last, ngx_uint_t nreplies,
    ngx_msec_t timeout)
{
    evs_replay_reset(replay);

    replay->cmd = evs_redis_commit(replay->node, last, nreplies, timeout,
                                   &evs_replay_handlers, replay);

    return (replay->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static void
evs_replay_reset(evs_replay_t *replay)
{
    evs_stream_begin(&replay->entries, 0);

    if (replay->judging) {
        evs_gone_rescore(&replay->gone);

    } else {
        evs_gone_free(&replay->gone);
    }

    replay->many = 0;
    replay->at = replay->cursor;
    replay->begun = 0;
    replay->full = 0;
    replay->moved = 0;
    replay->failed = 0;
}


void
evs_replay_cancel(evs_replay_t *replay)
{
    if (replay->cmd != NULL) {
        evs_redis_cancel(replay->cmd);
        replay->cmd = NULL;
    }

    evs_gone_free(&replay->gone);
}


static void
evs_replay_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_replay_t  *replay = data;

    if (element->data == NULL) {
        evs_replay_reset(replay);

        if (!replay->topping) {
            replay->handlers->again(replay->data);
        }

        return;
    }

    if (!replay->topping && nreply == 0) {
        evs_replay_deleted(replay, element);
        return;
    }

    if (evs_stream_element(&replay->entries, element) != NGX_OK) {
        return;
    }

    if (replay->many) {
        evs_replay_sessions(replay, element);

    } else {
        evs_replay_value(replay, element);
    }
}


static void
evs_replay_deleted(evs_replay_t *replay, const ngx_str_t *element)
{
    evs_gone_t  *gone;

    gone = &replay->gone;

    if (replay->judging) {
        evs_gone_scored(gone, element);
        return;
    }

    if (replay->many) {
        return;
    }

    if (evs_gone_element(gone, element, replay->log) != NGX_OK) {
        replay->failed = 1;
        return;
    }

    if (gone->n > EVS_REPLAY_GONE) {
        replay->many = 1;
        evs_gone_free(gone);
    }
}


static void
evs_replay_value(evs_replay_t *replay, const ngx_str_t *value)
{
    ngx_uint_t  known;

    if (replay->topping) {
        replay->at.place.index = evs_feed_entry_last(value);
        return;
    }

    if (replay->full || replay->failed) {
        return;
    }

    evs_replay_begin(replay);

    known = (evs_stream_id_cmp(&replay->entries.last, &replay->at.place.entry)
             == 0);

    if (known && replay->at.whole) {
        return;
    }

    evs_replay_events(replay, value, known);
}


/* The sessions of an entry. */

static void
evs_replay_sessions(evs_replay_t *replay, const ngx_str_t *value)
{
    ngx_int_t         rc;
    evs_feed_entry_t  entry;
    evs_feed_event_t  event;

    rc = evs_feed_entry_read(&entry, value);

    while (rc == NGX_OK) {
        rc = evs_feed_entry_next(&entry, &event);

        if (rc == NGX_OK
            && evs_gone_name(&replay->gone, &event.sid, replay->log) != NGX_OK)
        {
            replay->failed = 1;
            return;
        }
    }
}


/* Before the first entry, whosever it is: is it the cursor's own? */

static void
evs_replay_begin(evs_replay_t *replay)
{
    evs_stream_id_t  *entry;

    if (replay->begun) {
        return;
    }

    replay->begun = 1;
    entry = &replay->cursor.place.entry;

    if (!replay->lost
        && evs_stream_id_cmp(entry, &evs_replay_start) != 0
        && evs_stream_id_cmp(entry, &replay->entries.first) != 0)
    {
        replay->handlers->gap(replay->data);
    }
}


/* The events of an entry; when it is known, those behind the cursor's. */

static void
evs_replay_events(evs_replay_t *replay, const ngx_str_t *value,
    ngx_uint_t known)
{
    ngx_int_t         rc;
    evs_place_t       place;
    evs_feed_entry_t  entry;
    evs_feed_event_t  event;

    place.entry = replay->entries.last;
    place.index = 0;

    rc = evs_feed_entry_read(&entry, value);

    while (rc == NGX_OK) {
        rc = evs_feed_entry_next(&entry, &event);

        if (rc != NGX_OK) {
            break;
        }

        if (!(known && event.index <= replay->cursor.place.index)
            && !evs_gone_has(&replay->gone, &event.sid,
                             evs_stream_id_score(&place.entry))
            && replay->handlers->event(replay->data, &place.entry, &event)
               != NGX_OK)
        {
            replay->full = 1;

            if (event.index == 0) {

                /* the entry before is where it goes on */

                return;
            }

            break;
        }

        place.index = event.index;
    }

    if (rc == NGX_DECLINED && !replay->foreign) {
        replay->foreign = 1;
        ngx_log_error(NGX_LOG_ERR, replay->log, 0,
                      "eventsession: an entry of the feed is not ours, "
                      "passed over");
    }

    replay->at.place = place;
    replay->at.whole = !replay->full;
}


static void
evs_replay_done(void *data, const evs_redis_reply_t *reply)
{
    evs_replay_t  *replay = data;

    replay->cmd = NULL;

    if (reply->type == EVS_REDIS_SHUTDOWN) {
        return;
    }

    if (reply->type == EVS_REDIS_TIMEOUT) {
        replay->handlers->page(replay->data, NGX_AGAIN, NULL);
        return;
    }

    if (reply->type != EVS_REDIS_ARRAY || replay->failed) {
        replay->handlers->page(replay->data, NGX_ERROR,
                               replay->failed ? "no memory"
                                              : evs_store_failure(reply));
        return;
    }

    if (replay->topping) {
        evs_replay_topped(replay);
        return;
    }

    if (replay->many && evs_gone_named(&replay->gone) != 0) {

        if (evs_replay_judge(replay) != NGX_OK) {
            replay->handlers->page(replay->data, NGX_ERROR, "no memory");
        }

        return;
    }

    evs_replay_paged(replay);
}


static void
evs_replay_paged(evs_replay_t *replay)
{
    ngx_int_t         rc;
    ngx_uint_t        came;
    evs_stream_t     *entries;
    evs_stream_id_t  *cursor;

    entries = &replay->entries;
    cursor = &replay->cursor.place.entry;
    came = replay->judging ? replay->came : entries->count;

    if (entries->count == 0) {

        if (evs_stream_id_cmp(cursor, &evs_replay_start) == 0) {
            replay->handlers->page(replay->data, NGX_DONE, NULL);
            return;
        }

        if (!replay->lost) {
            replay->lost = 1;
            replay->handlers->gap(replay->data);
        }

        if (evs_replay_ask_top(replay, EVS_REPLAY_DEADLINE) != NGX_OK) {
            replay->handlers->page(replay->data, NGX_ERROR, "no memory");
        }

        return;
    }

    /* there may have been nothing but what is somebody else's */

    evs_replay_begin(replay);

    if (!replay->full
        && evs_stream_id_cmp(&entries->last, &replay->at.place.entry) != 0)
    {
        replay->at.place.entry = entries->last;
        replay->at.place.index = 0;
        replay->at.whole = 1;
    }

    replay->moved = (evs_stream_id_cmp(cursor, &replay->at.place.entry) != 0
                     || replay->at.place.index != replay->cursor.place.index);
    replay->lost = 0;
    replay->cursor = replay->at;
    replay->fit = evs_stream_fit(entries, EVS_REPLAY_BYTES, EVS_REPLAY_FIRST);

    rc = (replay->full || came == replay->asked) ? NGX_OK : NGX_DONE;

    evs_gone_free(&replay->gone);

    replay->handlers->page(replay->data, rc, NULL);
}


static void
evs_replay_topped(evs_replay_t *replay)
{
    ngx_int_t         rc;
    evs_stream_id_t  *top;

    rc = NGX_DONE;
    top = &replay->entries.last;

    if (replay->lost
        && evs_stream_id_cmp(top, &replay->cursor.place.entry) > 0)
    {
        /* what has come meanwhile can be had from where we were */

        rc = NGX_OK;

    } else {

        /* 0-0, when the stream is empty */

        replay->cursor.place.entry = *top;
        replay->cursor.place.index = replay->at.place.index;
        replay->cursor.whole = 1;
        replay->lost = 0;

        if (replay->entries.count == 0) {
            replay->cursor.place.index = 0;
        }
    }

    replay->moved = 1;
    replay->handlers->page(replay->data, rc, NULL);
}
