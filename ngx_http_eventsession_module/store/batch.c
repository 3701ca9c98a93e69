
/*
 * A body of events into its shards, see batch.h.
 *
 * Each entry is written once, as Redis takes it, into a text that is the
 * body's own; its pool's workers copy it into their commands.  Nothing leaves
 * before the last entry has been looked at.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/number.h"
#include "stats/stats.h"
#include "store/batch.h"
#include "store/copies.h"
#include "store/feed_entry.h"
#include "store/zadd.h"


/* of the feed's entries: larger ones are slow to read from the middle */
#define EVS_BATCH_FEED_PART    8192
#define EVS_BATCH_FEED_EVENTS  256

#define EVS_BATCH_EVENTS       1024
#define EVS_BATCH_FILED        16


static ngx_int_t evs_batch_ask(evs_batch_t *batch);
static void evs_batch_asked(void *data, const char *failure);
static ngx_int_t evs_batch_fresh(evs_batch_t *batch);
static void evs_batch_recorded(void *data, ngx_int_t rc,
    const ngx_str_t *record, const char *failure);
static ngx_int_t evs_batch_load(evs_batch_t *batch, const ngx_str_t *record);
static ngx_int_t evs_batch_record(evs_batch_t *batch, ngx_str_t *record);
static ngx_int_t evs_batch_begin(evs_batch_t *batch);
static void evs_batch_begun(void *data, ngx_int_t rc, const ngx_str_t *record,
    const char *failure);
static ngx_int_t evs_batch_read_begin(evs_batch_t *batch);
static ngx_int_t evs_batch_add(evs_batch_t *batch, evs_scan_t *scan,
    evs_entry_t *entry);
static void evs_batch_put(evs_batch_t *batch, uint32_t n, ngx_uint_t shard);
static ngx_int_t evs_batch_room(evs_batch_t *batch, ngx_uint_t n,
    size_t size);
static ngx_int_t evs_batch_file(evs_batch_t *batch, const evs_sid_t *sid,
    const evs_entry_t *entry, ngx_uint_t n);
static ngx_int_t evs_batch_go(evs_batch_t *batch);
static ngx_int_t evs_batch_index(evs_batch_t *batch);
static u_char *evs_batch_index_write(u_char *p, const evs_batch_t *batch,
    ngx_uint_t n);
static void evs_batch_indexed(void *data, const evs_redis_reply_t *reply);
static void evs_batch_lots(evs_batch_t *batch);
static ngx_int_t evs_batch_sessions(evs_batch_t *batch);
static ngx_int_t evs_batch_copies(evs_batch_t *batch,
    const evs_append_event_t **events);
static ngx_int_t evs_batch_feed(evs_batch_t *batch);
static ngx_uint_t evs_batch_feed_part(evs_batch_t *batch, evs_feed_t *feed,
    evs_batch_message_t *message, ngx_uint_t *event, ngx_uint_t *filed);
static void evs_batch_fed(evs_feed_message_t *message, const char *failure);
static void evs_batch_part(void *data, const char *failure);
static void evs_batch_stored(evs_batch_t *batch);
static void evs_batch_settled(void *data);
static void evs_batch_end(evs_batch_t *batch);


static const evs_redis_handlers_t  evs_batch_index_handlers = {
    NULL,
    evs_batch_indexed
};


void
evs_batch_hold(evs_batch_t *batch, size_t size)
{
    batch->held += size;
    evs_redis_load(batch->node, size);
}


ngx_int_t
evs_batch_plan(evs_batch_t *batch)
{
    if (!batch->keyed) {
        return evs_batch_ask(batch);
    }

    batch->once.store = batch->store;
    batch->once.node = batch->node;
    batch->once.pool = batch->memory;
    batch->once.data = batch;
    batch->once.done = evs_batch_recorded;

    return (evs_once_get(&batch->once) == NGX_OK) ? NGX_AGAIN : NGX_ERROR;
}


/* The chunks that are written to now. */

static ngx_int_t
evs_batch_ask(evs_batch_t *batch)
{
    ngx_int_t      rc;
    evs_chunks_t  *chunks;

    chunks = evs_pool_chunks(batch->pool);

    batch->chunks.data = batch;
    batch->chunks.done = evs_batch_asked;

    rc = evs_chunks_ask(chunks, &batch->chunks);

    return (rc == NGX_OK) ? evs_batch_fresh(batch) : rc;
}


static void
evs_batch_asked(void *data, const char *failure)
{
    evs_batch_t  *batch = data;

    if (failure != NULL) {
        batch->handlers->planned(batch->data, NGX_ERROR, failure);
        return;
    }

    batch->handlers->planned(batch->data, evs_batch_fresh(batch),
                             "no memory");
}


/* A plan of this body's own. */

static ngx_int_t
evs_batch_fresh(evs_batch_t *batch)
{
    ngx_uint_t         i;
    evs_chunks_t      *chunks;
    struct timeval     tv;
    evs_batch_plan_t  *plan;

    plan = &batch->plan;
    chunks = evs_pool_chunks(batch->pool);

    ngx_gettimeofday(&tv);

    plan->now = (int64_t) tv.tv_sec * 1000000 + (int64_t) tv.tv_usec;
    plan->shards = evs_pool_conf(batch->pool)->shards;
    plan->single = batch->single ? (ngx_uint_t) ngx_random() % plan->shards
                                 : plan->shards;

    plan->chunks = ngx_palloc(batch->memory,
                              plan->shards * sizeof(uint64_t));
    if (plan->chunks == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < plan->shards; i++) {
        plan->chunks[i] = evs_chunks_current(chunks, i);
    }

    return NGX_OK;
}


static void
evs_batch_recorded(void *data, ngx_int_t rc, const ngx_str_t *record,
    const char *failure)
{
    evs_batch_t  *batch = data;

    if (rc == NGX_OK) {
        failure = "no memory";

        if (record->data == NULL) {
            rc = evs_batch_ask(batch);

            if (rc == NGX_AGAIN) {
                return;
            }

        } else {
            rc = evs_batch_load(batch, record);

            if (rc == NGX_ABORT) {
                rc = NGX_ERROR;
                failure = "what is known of the Idempotency-Key is damaged";
            }
        }
    }

    batch->handlers->planned(batch->data, rc, failure);
}


/*
 * The record of a key is
 *
 *     <digest of the body> <plan>
 *
 * and when all is stored
 *
 *     <digest of the body> done <entries>
 *
 * As evs_batch_plan(); NGX_ABORT: it is neither.
 */

static ngx_int_t
evs_batch_load(evs_batch_t *batch, const ngx_str_t *record)
{
    u_char     *p, *last;
    ngx_int_t   rc, n;

    p = record->data + EVS_ONCE_DIGEST_LEN;
    last = record->data + record->len;

    if (record->len < EVS_ONCE_DIGEST_LEN || (p != last && *p != ' ')) {
        return NGX_ABORT;
    }

    if (ngx_memcmp(record->data, batch->body, EVS_ONCE_DIGEST_LEN) != 0) {
        return NGX_DECLINED;
    }

    p += (p != last);

    if ((size_t) (last - p) < sizeof("done ") - 1
        || ngx_memcmp(p, "done ", sizeof("done ") - 1) != 0)
    {
        rc = evs_batch_plan_read(&batch->plan, batch->memory, p, last);

        batch->planned = (rc == NGX_OK);

        return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
    }

    p += sizeof("done ") - 1;
    n = ngx_atoi(p, (size_t) (last - p));

    if (n == NGX_ERROR) {
        return NGX_ABORT;
    }

    batch->entries = (ngx_uint_t) n;

    return NGX_DONE;
}


static ngx_int_t
evs_batch_record(evs_batch_t *batch, ngx_str_t *record)
{
    u_char  *p;

    p = ngx_pnalloc(batch->memory, EVS_ONCE_DIGEST_LEN + 1
                                   + EVS_BATCH_PLAN_MAX(batch->plan.shards));
    if (p == NULL) {
        return NGX_ERROR;
    }

    record->data = p;

    p = ngx_cpymem(p, batch->body, EVS_ONCE_DIGEST_LEN);
    *p++ = ' ';
    p = evs_batch_plan_write(p, &batch->plan, batch->entries);

    record->len = (size_t) (p - record->data);

    return NGX_OK;
}


const evs_timestamp_t *
evs_batch_now(evs_batch_t *batch)
{
    u_char  *p;

    p = batch->text;
    *p++ = '"';
    p = evs_time_format(p, batch->plan.now, 6);
    *p++ = '"';

    batch->now.us = batch->plan.now;
    batch->now.text.data = batch->text;
    batch->now.text.len = (size_t) (p - batch->text);

    return &batch->now;
}


ngx_int_t
evs_batch_read(evs_batch_t *batch, evs_scan_t *scan)
{
    ngx_int_t    rc;
    evs_entry_t  entry;

    if (evs_batch_read_begin(batch) != NGX_OK) {
        return NGX_ABORT;
    }

    for ( ;; ) {
        rc = evs_scan_next(scan, &entry);

        if (rc != NGX_OK) {
            break;
        }

        if (evs_batch_add(batch, scan, &entry) != NGX_OK) {
            return NGX_ABORT;
        }
    }

    batch->entries = scan->count;

    if (rc == NGX_DONE && !batch->planned) {
        evs_id_end(&batch->plan.id);
    }

    return rc;
}


static ngx_int_t
evs_batch_read_begin(evs_batch_t *batch)
{
    ngx_uint_t  shards;

    shards = batch->plan.shards;

    batch->lots = ngx_calloc(shards * sizeof(evs_pool_lot_t), batch->log);
    batch->last = ngx_palloc(batch->memory, shards * sizeof(uint32_t));

    if (batch->lots == NULL || batch->last == NULL) {
        return NGX_ERROR;
    }

    return batch->planned ? NGX_OK : evs_id_begin(&batch->plan.id);
}


static ngx_int_t
evs_batch_add(evs_batch_t *batch, evs_scan_t *scan, evs_entry_t *entry)
{
    size_t             size;
    u_char            *start, *p;
    ngx_str_t          member;
    ngx_uint_t         n;
    evs_pool_event_t  *event;

    n = scan->count - 1;
    entry->application = batch->application;

    size = evs_zadd_entry_max(entry);

    if ((n == batch->nevents || size > batch->size - batch->len)
        && evs_batch_room(batch, n, size) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (scan->session.len != 0
        && evs_batch_file(batch, &scan->session, entry, n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    start = batch->texts + batch->len;
    p = evs_zadd_entry(start, entry, &batch->plan.id, &member);

    event = &batch->events[n];
    event->offset = batch->len;
    event->len = (uint32_t) (p - start);
    event->member = (uint32_t) member.len;

    batch->len += event->len;
    batch->longest = ngx_max(batch->longest, event->len);

    evs_batch_put(batch, (uint32_t) n,
                  evs_batch_plan_shard(&batch->plan, entry->timestamp.us));

    return NGX_OK;
}


/* Event n is the last one of its shard. */

static void
evs_batch_put(evs_batch_t *batch, uint32_t n, ngx_uint_t shard)
{
    evs_pool_lot_t  *lot;

    lot = &batch->lots[shard];

    if (lot->n == 0) {
        lot->first = n;

    } else {
        batch->events[batch->last[shard]].next = n;
    }

    batch->last[shard] = n;
    lot->n++;
}


/* Room for event n and its text. */

static ngx_int_t
evs_batch_room(evs_batch_t *batch, ngx_uint_t n, size_t size)
{
    void        *p;
    size_t       want;
    ngx_uint_t   events;

    if (n == batch->nevents) {
        events = n ? 2 * n : EVS_BATCH_EVENTS;

        p = realloc(batch->events, events * sizeof(evs_pool_event_t));
        if (p == NULL) {
            return NGX_ERROR;
        }

        batch->events = p;
        batch->nevents = events;
    }

    if (size > batch->size - batch->len) {
        want = 2 * batch->size + size + EVS_BATCH_EVENTS * EVS_MEMBER_MAX;

        p = realloc(batch->texts, want);
        if (p == NULL) {
            return NGX_ERROR;
        }

        batch->texts = p;
        batch->size = want;
    }

    return NGX_OK;
}


/* The event is its session's, too, with the same id. */

static ngx_int_t
evs_batch_file(evs_batch_t *batch, const evs_sid_t *sid,
    const evs_entry_t *entry, ngx_uint_t n)
{
    void               *p;
    ngx_uint_t          room;
    evs_batch_filed_t  *filed;

    if (batch->nfiled == batch->nroom) {
        room = batch->nroom ? 2 * batch->nroom : EVS_BATCH_FILED;

        p = realloc(batch->filed, room * sizeof(evs_batch_filed_t));
        if (p == NULL) {
            return NGX_ERROR;
        }

        batch->filed = p;
        batch->nroom = room;
    }

    filed = &batch->filed[batch->nfiled++];

    filed->event.sid = *sid;
    filed->event.entry = *entry;
    filed->id = batch->plan.id;
    filed->index = (uint32_t) n;

    ngx_str_null(&filed->event.entry.session);

    return NGX_OK;
}


ngx_int_t
evs_batch_store(evs_batch_t *batch)
{
    /* what is allocated beyond that was never written to */

    evs_batch_hold(batch, batch->len
                          + batch->entries * sizeof(evs_pool_event_t)
                          + batch->nfiled * sizeof(evs_batch_filed_t)
                          + batch->plan.shards * sizeof(evs_pool_lot_t));

    return (batch->keyed && !batch->planned) ? evs_batch_begin(batch)
                                             : evs_batch_go(batch);
}


/* The plan must be known to whoever gets the key, before it is carried out. */

static ngx_int_t
evs_batch_begin(evs_batch_t *batch)
{
    ngx_str_t  record;

    if (evs_batch_record(batch, &record) != NGX_OK) {
        return NGX_ERROR;
    }

    batch->once.done = evs_batch_begun;
    batch->record = record;

    return evs_once_begin(&batch->once, &record);
}


static void
evs_batch_begun(void *data, ngx_int_t rc, const ngx_str_t *record,
    const char *failure)
{
    evs_batch_t  *batch = data;

    if (rc == NGX_OK
        && (record->len != batch->record.len
            || ngx_memcmp(record->data, batch->record.data, record->len) != 0))
    {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        rc = evs_batch_go(batch);
        failure = "no memory";
    }

    if (rc != NGX_OK) {
        batch->handlers->done(batch->data, rc, failure);
    }
}


/* NGX_ERROR: there is no memory for any of it. */

static ngx_int_t
evs_batch_go(evs_batch_t *batch)
{
    batch->storing = 1;

    if (evs_batch_index(batch) != NGX_OK) {
        batch->storing = 0;
        return NGX_ERROR;
    }

    /* those of sessions are counted by who appends them */

    evs_stats_add(EVS_STATS_INFLIGHT_EVENTS, batch->entries - batch->nfiled);

    evs_batch_lots(batch);

    if (batch->nfiled != 0 && evs_batch_sessions(batch) != NGX_OK) {
        batch->failure = "no memory";
    }

    /* the index is under way at least: it ends what is not stored, too */

    return NGX_OK;
}


/* Which chunks there are, with what is written to them. */

static ngx_int_t
evs_batch_index(evs_batch_t *batch)
{
    u_char      *p;
    ngx_uint_t   i, n;

    n = 0;

    for (i = 0; i < batch->plan.shards; i++) {
        n += (batch->lots[i].n != 0);
    }

    p = evs_redis_reserve(batch->node, EVS_STORE_KEY_MAX + 64
                          + n * 2 * (EVS_RESP_ARG_MAX + NGX_INT64_LEN));
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_batch_index_write(p, batch, n);

    if (evs_redis_commit(batch->node, p, 1, batch->store->timeout,
                         &evs_batch_index_handlers, batch)
        == NULL)
    {
        return NGX_ERROR;
    }

    batch->pending++;

    return NGX_OK;
}


/* "ZADD <key> GT <chunk> <shard> ...", of n shards */

static u_char *
evs_batch_index_write(u_char *p, const evs_batch_t *batch, ngx_uint_t n)
{
    u_char      *last, buf[EVS_STORE_KEY_MAX];
    ngx_uint_t   i;

    last = evs_chunks_index_key(buf, batch->store);

    p = evs_resp_argc(p, 3 + 2 * n);
    p = evs_resp_arg(p, (u_char *) "ZADD", 4);
    p = evs_resp_arg(p, buf, (size_t) (last - buf));
    p = evs_resp_arg(p, (u_char *) "GT", 2);

    for (i = 0; i < batch->plan.shards; i++) {

        if (batch->lots[i].n != 0) {
            last = evs_number_write(buf, batch->plan.chunks[i]);
            p = evs_resp_arg(p, buf, (size_t) (last - buf));
            last = evs_number_write(buf, i);
            p = evs_resp_arg(p, buf, (size_t) (last - buf));
        }
    }

    return p;
}


static void
evs_batch_indexed(void *data, const evs_redis_reply_t *reply)
{
    evs_batch_part(data, (reply->type == EVS_REDIS_INTEGER)
                         ? NULL : evs_store_failure(reply));
}


static void
evs_batch_lots(evs_batch_t *batch)
{
    ngx_uint_t       i;
    evs_pool_lot_t  *lot;

    for (i = 0; i < batch->plan.shards; i++) {
        lot = &batch->lots[i];

        if (lot->n == 0) {
            continue;
        }

        lot->shard = i;
        lot->chunk = batch->plan.chunks[i];
        lot->texts = batch->texts;
        lot->events = batch->events;
        lot->data = batch;
        lot->done = evs_batch_part;

        batch->pending++;

        evs_chunks_takes(evs_pool_chunks(batch->pool), i, lot->chunk, lot->n);
        evs_pool_put(batch->pool, lot);
    }
}


static ngx_int_t
evs_batch_sessions(evs_batch_t *batch)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    const evs_append_event_t  **events;

    events = ngx_alloc(batch->nfiled * sizeof(evs_append_event_t *),
                       batch->log);
    if (events == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < batch->nfiled; i++) {
        batch->filed[i].event.id = &batch->filed[i].id;
        events[i] = &batch->filed[i].event;
    }

    batch->append.data = batch;
    batch->append.done = evs_batch_part;
    batch->append.application = batch->application;

    rc = evs_append_events(batch->store, batch->node, events, batch->nfiled,
                           &batch->append);

    if (rc == NGX_OK) {
        batch->pending++;
        rc = evs_batch_copies(batch, events);
    }

    ngx_free(events);

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}


/* Where a session's events have copies, for who deletes it: once a chunk. */

static ngx_int_t
evs_batch_copies(evs_batch_t *batch, const evs_append_event_t **events)
{
    u_char           *p;
    uint32_t          first;
    ngx_uint_t        i, n, shard;
    const evs_sid_t  *sid;

    p = evs_redis_reserve(batch->node, batch->nfiled * EVS_COPIES_ADD_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    first = 0;

    /* who was last in his shard is of no use any more */

    ngx_memset(batch->last, 0xff, batch->plan.shards * sizeof(uint32_t));

    for (i = 0; i < batch->nfiled; i++) {
        sid = &events[i]->sid;
        shard = evs_batch_plan_shard(&batch->plan,
                                     events[i]->entry.timestamp.us);

        if (sid->len != events[first]->sid.len
            || ngx_memcmp(sid->data, events[first]->sid.data, sid->len) != 0)
        {
            first = (uint32_t) i;
        }

        if (batch->last[shard] == first) {
            continue;
        }

        batch->last[shard] = first;

        p = evs_copies_add(p, batch->store, sid, shard,
                           batch->plan.chunks[shard]);
        n++;
    }

    if (evs_redis_commit(batch->node, p, n, batch->store->timeout,
                         &evs_batch_index_handlers, batch)
        == NULL)
    {
        return NGX_ERROR;
    }

    batch->pending++;

    return NGX_OK;
}


/*
 * Events of no session; the others are there by their sessions, behind the
 * commands that store them.  These are stored by commands that may wait for
 * the linger, and so the feed has to wait for their replies.
 */

static ngx_int_t
evs_batch_feed(evs_batch_t *batch)
{
    ngx_uint_t   n, parts, part, event, filed;
    evs_feed_t  *feed;

    n = batch->entries - batch->nfiled;

    if (n == 0) {
        return NGX_OK;
    }

    feed = evs_feed(batch->store, batch->node);
    if (feed == NULL) {
        return NGX_ERROR;
    }

    /*
     * A part ends with EVS_BATCH_FEED_EVENTS, or where it and the first event
     * of the next one have more than EVS_BATCH_FEED_PART bytes: an event may
     * count twice.
     */

    parts = n / EVS_BATCH_FEED_EVENTS + 2 * batch->len / EVS_BATCH_FEED_PART
            + 1;

    batch->messages = ngx_alloc(parts * sizeof(evs_batch_message_t),
                                batch->log);
    if (batch->messages == NULL) {
        return NGX_ERROR;
    }

    event = 0;
    filed = 0;

    for (parts = 0; n != 0; parts++) {
        batch->messages[parts].message.done = evs_batch_fed;
        batch->messages[parts].batch = batch;

        part = evs_batch_feed_part(batch, feed, &batch->messages[parts],
                                   &event, &filed);
        if (part == 0) {
            return NGX_ERROR;
        }

        batch->pending++;
        n -= part;
    }

    return NGX_OK;
}


/*
 * The next events, as one message, from event and filed on; filed is the next
 * of those that are in a session.  How many there are; 0: no memory.
 */

static ngx_uint_t
evs_batch_feed_part(evs_batch_t *batch, evs_feed_t *feed,
    evs_batch_message_t *message, ngx_uint_t *event, ngx_uint_t *filed)
{
    size_t             size;
    u_char            *p;
    evs_sid_t          none;
    ngx_uint_t         n;
    evs_pool_event_t  *e;

    none.len = 0;

    /* an event takes less there than in its ZADD */

    p = evs_feed_reserve(feed, batch->store, &none,
                         EVS_BATCH_FEED_PART + batch->longest);
    if (p == NULL) {
        return 0;
    }

    size = 0;
    n = 0;

    for ( /* void */ ; *event < batch->entries; (*event)++) {

        if (*filed < batch->nfiled && batch->filed[*filed].index == *event) {
            (*filed)++;
            continue;
        }

        e = &batch->events[*event];

        if (n != 0 && (size + e->len > EVS_BATCH_FEED_PART
                       || n == EVS_BATCH_FEED_EVENTS))
        {
            break;
        }

        p = evs_feed_entry_member(p, batch->texts + e->offset + e->len
                                     - e->member - 2, e->member);
        size += e->len;
        n++;
    }

    evs_feed_commit(feed, p, n, &message->message);

    return n;
}


static void
evs_batch_fed(evs_feed_message_t *message, const char *failure)
{
    evs_batch_message_t  *part;

    part = ngx_queue_data(message, evs_batch_message_t, message);

    evs_batch_part(part->batch, failure);
}


/* One of what the body has become is done. */

static void
evs_batch_part(void *data, const char *failure)
{
    evs_batch_t  *batch = data;

    if (failure != NULL) {
        batch->failure = failure;
    }

    if (--batch->pending != 0) {
        return;
    }

    if (batch->failure != NULL || batch->stored) {
        evs_batch_end(batch);
        return;
    }

    evs_batch_stored(batch);
}


/* What is stored goes to the feed, and into the workers' records. */

static void
evs_batch_stored(evs_batch_t *batch)
{
    batch->stored = 1;
    batch->pending = 2;

    if (batch->store->feed && evs_batch_feed(batch) != NGX_OK) {
        batch->failure = "no memory";
    }

    batch->settled.data = batch;
    batch->settled.done = evs_batch_settled;

    evs_workers_settle(evs_pool_registry(batch->pool), &batch->settled);

    /* not before: settled may be told at once */

    evs_batch_part(batch, NULL);
}


static void
evs_batch_settled(void *data)
{
    evs_batch_part(data, NULL);
}


static void
evs_batch_end(evs_batch_t *batch)
{
    u_char     text[EVS_ONCE_DIGEST_LEN + sizeof(" done ") + NGX_INT_T_LEN];
    ngx_str_t  record;

    batch->storing = 0;

    evs_stats_sub(EVS_STATS_INFLIGHT_EVENTS, batch->entries - batch->nfiled);

    if (batch->failure != NULL) {
        batch->handlers->done(batch->data, NGX_ERROR, batch->failure);
        return;
    }

    if (batch->keyed) {
        record.data = text;
        record.len = (size_t) (ngx_sprintf(text, "%*s done %ui",
                                           (size_t) EVS_ONCE_DIGEST_LEN,
                                           batch->body, batch->entries)
                               - text);

        evs_once_end(batch->store, batch->node, batch->once.digest, &record);
    }

    batch->handlers->done(batch->data, NGX_OK, NULL);
}


void
evs_batch_cancel(evs_batch_t *batch)
{
    evs_chunks_cancel(&batch->chunks);
    evs_once_cancel(&batch->once);
}


void
evs_batch_free(evs_batch_t *batch)
{
    evs_redis_node_t  *node;

    if (batch->held != 0) {
        node = evs_redis_node((ngx_cycle_t *) ngx_cycle, batch->store->redis);

        /* at the end of the process it may be gone before */

        if (node == batch->node) {
            evs_redis_unload(node, batch->held);
        }
    }

    ngx_free(batch->texts);
    ngx_free(batch->events);
    ngx_free(batch->lots);
    ngx_free(batch->filed);
    ngx_free(batch->messages);
}
