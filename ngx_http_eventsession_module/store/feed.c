
/*
 * The write side of the feed: see feed.h.
 *
 * A batch is the value of one entry, and the messages that wait for it:
 *
 *     open     is written to, until the turn ends or it is full
 *     sent     its XADD is under way
 *     lost     the connection broke: nobody knows whether it is on the stream
 *     held     full, and waits behind those that are lost
 *
 * XADD is not idempotent, so what is lost is looked for, by writer and number,
 * in what has come onto the stream since the last entry that we know of.  It
 * is sent again only when it isn't there.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <sys/random.h>

#include "store/feed.h"
#include "store/feed_entry.h"
#include "store/keyspace.h"


#define EVS_FEED_BATCH         EVS_REDIS_FLUSH     /* bytes: it is full */
#define EVS_FEED_FREE_BATCHES  16                  /* kept for reuse */

#define EVS_FEED_LOOKUP        "100"               /* entries a page */

/* places in the stream that are remembered: see evs_feed_trim() */
#define EVS_FEED_MARKS         16

/* "<ms>-<seq>" */
#define EVS_FEED_ID_MAX        (2 * NGX_INT64_LEN + 1)


typedef struct {
    size_t                 len;
    u_char                 data[EVS_FEED_ID_MAX];
} evs_feed_id_t;

typedef struct {
    evs_feed_id_t          id;
    uint64_t               events;
} evs_feed_mark_t;


typedef struct {
    ngx_queue_t            queue;
    ngx_queue_t            messages;
    evs_feed_t            *feed;
    evs_redis_cmd_t       *cmd;
    uint64_t               number;
    ngx_uint_t             events;
    size_t                 load;      /* bytes that count as inflight */
    ngx_msec_t             deadline;
    evs_feed_id_t          id;        /* on the stream */
    u_char                *last;
    u_char                *end;
    unsigned               found:1;
    u_char                 start[];
} evs_feed_batch_t;


struct evs_feed_s {
    evs_keyspace_t         keyspace;  /* no node: the process ends; the conf
                                         is whose that wrote last */
    size_t                 key_len;
    u_char                 key[EVS_STORE_KEY_MAX];
    u_char                 writer[EVS_FEED_WRITER_LEN];
    uint64_t               number;    /* of the last batch */

    evs_feed_batch_t      *open;
    ngx_queue_t            sent;
    ngx_queue_t            lost;
    ngx_queue_t            held;
    ngx_queue_t            free;
    ngx_uint_t             nfree;
    ngx_event_t            turn;

    evs_redis_cmd_t       *lookup;
    ngx_uint_t             elements;  /* of the page that comes in */
    evs_feed_id_t          at;        /* the last entry in it */

    evs_feed_id_t          top;       /* the last one of ours */
    uint64_t               events;    /* of ours, up to there */
    evs_feed_mark_t        marks[EVS_FEED_MARKS];
    ngx_uint_t             nmarks;
    evs_feed_id_t          cut;
    ngx_uint_t             trim;      /* what is before cut may go */
};


static evs_feed_t *evs_feed_create(const evs_store_conf_t *conf,
    evs_redis_node_t *node);
static evs_feed_batch_t *evs_feed_batch_get(evs_feed_t *feed, size_t size);
static evs_feed_batch_t *evs_feed_batch_fit(evs_feed_batch_t *batch);
static void evs_feed_batch_put(evs_feed_batch_t *batch);
static void evs_feed_turn(ngx_event_t *ev);
static void evs_feed_close(evs_feed_t *feed);
static void evs_feed_send(evs_feed_batch_t *batch);
static u_char *evs_feed_write(u_char *p, evs_feed_batch_t *batch);
static void evs_feed_id(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_feed_done(void *data, const evs_redis_reply_t *reply);
static void evs_feed_finish(evs_feed_batch_t *batch, const char *failure);
static void evs_feed_lookup(evs_feed_t *feed);
static void evs_feed_lookup_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_feed_lookup_value(evs_feed_t *feed, const ngx_str_t *value);
static void evs_feed_lookup_done(void *data, const evs_redis_reply_t *reply);
static void evs_feed_resolve(evs_feed_t *feed);
static void evs_feed_expire(ngx_queue_t *queue, const char *failure);
static void evs_feed_trim(evs_feed_t *feed, const evs_feed_batch_t *batch);
static void evs_feed_give_up(ngx_queue_t *queue, const char *failure);


static const evs_redis_handlers_t  evs_feed_handlers = {
    evs_feed_id,
    evs_feed_done
};

static const evs_redis_handlers_t  evs_feed_lookup_handlers = {
    evs_feed_lookup_element,
    evs_feed_lookup_done
};


/* of this process */
static evs_keyspace_t  *evs_feeds;


evs_feed_t *
evs_feed(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    evs_keyspace_t  *keyspace;

    keyspace = evs_keyspace_find(evs_feeds, conf, node);

    if (keyspace != NULL) {
        return evs_keyspace_data(keyspace, evs_feed_t, keyspace);
    }

    return evs_feed_create(conf, node);
}


static evs_feed_t *
evs_feed_create(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    evs_feed_t  *feed;

    feed = ngx_calloc(sizeof(evs_feed_t), ngx_cycle->log);
    if (feed == NULL) {
        return NULL;
    }

    if (getrandom(feed->writer, EVS_FEED_WRITER_LEN, 0)
        != EVS_FEED_WRITER_LEN)
    {
        ngx_free(feed);
        return NULL;
    }

    feed->key_len = (size_t) (evs_store_feed_key(feed->key, conf) - feed->key);

    ngx_queue_init(&feed->sent);
    ngx_queue_init(&feed->lost);
    ngx_queue_init(&feed->held);
    ngx_queue_init(&feed->free);

    feed->turn.handler = evs_feed_turn;
    feed->turn.data = feed;
    feed->turn.log = ngx_cycle->log;

    evs_keyspace_add(&evs_feeds, &feed->keyspace, conf, node);

    return feed;
}


u_char *
evs_feed_reserve(evs_feed_t *feed, const evs_store_conf_t *conf,
    const evs_sid_t *sid, size_t size)
{
    evs_feed_batch_t  *batch;

    size += EVS_FEED_MESSAGE_MAX;
    batch = feed->open;

    if (batch && (size_t) (batch->end - batch->last) < size) {

        if (ngx_queue_empty(&batch->messages)) {
            evs_feed_batch_put(batch);
            feed->open = NULL;

        } else {
            evs_feed_close(feed);
        }
    }

    feed->keyspace.conf = conf;

    if (feed->open == NULL) {
        feed->open = evs_feed_batch_get(feed, size);

        if (feed->open == NULL) {
            return NULL;
        }
    }

    /* before the event that sends the commands: the entry goes with them */

    if (!feed->turn.posted) {
        ngx_post_event(&feed->turn, &ngx_posted_events);
    }

    return evs_feed_entry_message(feed->open->last, sid);
}


void
evs_feed_commit(evs_feed_t *feed, u_char *last, ngx_uint_t events,
    evs_feed_message_t *message)
{
    evs_feed_batch_t  *batch;

    batch = feed->open;

    batch->last = evs_feed_entry_message_end(last);
    batch->events += events;

    ngx_queue_insert_tail(&batch->messages, &message->queue);

    if (batch->last - batch->start >= EVS_FEED_BATCH) {
        evs_feed_close(feed);
    }
}


static evs_feed_batch_t *
evs_feed_batch_get(evs_feed_t *feed, size_t size)
{
    ngx_queue_t       *q;
    evs_feed_batch_t  *batch;

    size += EVS_FEED_HEAD_MAX;

    if (size <= 2 * EVS_FEED_BATCH) {
        size = 2 * EVS_FEED_BATCH;
    }

    if (size == 2 * EVS_FEED_BATCH && feed->nfree) {
        q = ngx_queue_head(&feed->free);
        ngx_queue_remove(q);
        feed->nfree--;

        batch = ngx_queue_data(q, evs_feed_batch_t, queue);

    } else {
        batch = ngx_alloc(sizeof(evs_feed_batch_t) + size, ngx_cycle->log);
        if (batch == NULL) {
            return NULL;
        }

        batch->end = batch->start + size;
    }

    ngx_queue_init(&batch->messages);

    batch->feed = feed;
    batch->cmd = NULL;
    batch->number = feed->number + 1;
    batch->events = 0;
    batch->load = 0;
    batch->id.len = 0;
    batch->found = 0;
    batch->last = evs_feed_entry_head(batch->start, feed->writer,
                                      batch->number);
    return batch;
}


/*
 * While Redis is slow or away there may be many, of a message each: they take
 * no more memory than what is in them.
 */

static evs_feed_batch_t *
evs_feed_batch_fit(evs_feed_batch_t *batch)
{
    size_t             size;
    evs_feed_batch_t  *fit;

    size = (size_t) (batch->last - batch->start);

    if (size > (size_t) (batch->end - batch->start) / 2) {
        return batch;
    }

    fit = ngx_alloc(sizeof(evs_feed_batch_t) + size, ngx_cycle->log);
    if (fit == NULL) {
        return batch;
    }

    ngx_memcpy(fit, batch, sizeof(evs_feed_batch_t) + size);

    fit->last = fit->start + size;
    fit->end = fit->last;

    ngx_queue_init(&fit->messages);
    ngx_queue_add(&fit->messages, &batch->messages);

    evs_feed_batch_put(batch);

    return fit;
}


static void
evs_feed_batch_put(evs_feed_batch_t *batch)
{
    evs_feed_t  *feed;

    feed = batch->feed;

    if (batch->end - batch->start != 2 * EVS_FEED_BATCH
        || feed->nfree == EVS_FEED_FREE_BATCHES)
    {
        ngx_free(batch);
        return;
    }

    ngx_queue_insert_head(&feed->free, &batch->queue);
    feed->nfree++;
}


/* The end of a turn: what was stored in it is sent, what was lost is sought. */

static void
evs_feed_turn(ngx_event_t *ev)
{
    evs_feed_t  *feed;

    feed = ev->data;

    if (feed->open && !ngx_queue_empty(&feed->open->messages)) {
        evs_feed_close(feed);
    }

    if (!ngx_queue_empty(&feed->lost) && feed->lookup == NULL) {
        feed->at = feed->top;
        evs_feed_lookup(feed);
    }
}


static void
evs_feed_close(evs_feed_t *feed)
{
    evs_feed_batch_t  *batch;

    batch = evs_feed_batch_fit(feed->open);

    feed->open = NULL;
    feed->number = batch->number;

    batch->deadline = ngx_current_msec + feed->keyspace.conf->timeout;
    batch->load = sizeof(evs_feed_batch_t)
                  + (size_t) (batch->end - batch->start);

    evs_redis_load(feed->keyspace.node, batch->load);

    if (!ngx_queue_empty(&feed->lost)) {
        ngx_queue_insert_tail(&feed->held, &batch->queue);
        return;
    }

    evs_feed_send(batch);
}


static void
evs_feed_send(evs_feed_batch_t *batch)
{
    size_t           size;
    u_char          *p;
    evs_feed_t      *feed;
    ngx_msec_int_t   left;

    feed = batch->feed;
    left = (ngx_msec_int_t) (batch->deadline - ngx_current_msec);

    ngx_queue_insert_tail(&feed->sent, &batch->queue);

    /* 8 arguments */

    size = (size_t) (batch->last - batch->start) + feed->key_len
           + EVS_FEED_ID_MAX + sizeof("*8\r\n" "XADD" "MAXLEN" "~" "*" "m")
           + 8 * EVS_RESP_ARG_MAX;

    p = evs_redis_reserve(feed->keyspace.node, size);

    if (p != NULL) {
        p = evs_feed_write(p, batch);

        batch->cmd = evs_redis_commit_once(feed->keyspace.node, p, 1,
                                           (ngx_msec_t) ngx_max(left, 1),
                                           &evs_feed_handlers, batch);
    }

    if (batch->cmd == NULL) {
        evs_feed_finish(batch, "the server has no memory left");
    }
}


static u_char *
evs_feed_write(u_char *p, evs_feed_batch_t *batch)
{
    u_char      *last, count[NGX_INT_T_LEN];
    evs_feed_t  *feed;

    feed = batch->feed;

    p = evs_resp_argc(p, 8);
    p = evs_resp_arg(p, (u_char *) "XADD", sizeof("XADD") - 1);
    p = evs_resp_arg(p, feed->key, feed->key_len);

    if (feed->trim) {
        feed->trim = 0;
        p = evs_resp_arg(p, (u_char *) "MINID", sizeof("MINID") - 1);
        p = evs_resp_arg(p, (u_char *) "~", 1);
        p = evs_resp_arg(p, feed->cut.data, feed->cut.len);

    } else {
        last = ngx_sprintf(count, "%ui", feed->keyspace.conf->feed_history);
        p = evs_resp_arg(p, (u_char *) "MAXLEN", sizeof("MAXLEN") - 1);
        p = evs_resp_arg(p, (u_char *) "~", 1);
        p = evs_resp_arg(p, count, (size_t) (last - count));
    }

    p = evs_resp_arg(p, (u_char *) "*", 1);
    p = evs_resp_arg(p, (u_char *) "m", 1);

    return evs_resp_arg(p, batch->start,
                        (size_t) (batch->last - batch->start));
}


/* The reply to XADD: the id that the entry has been given. */

static void
evs_feed_id(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_feed_batch_t  *batch = data;

    batch->id.len = ngx_min(element->len, EVS_FEED_ID_MAX);
    ngx_memcpy(batch->id.data, element->data, batch->id.len);
}


static void
evs_feed_done(void *data, const evs_redis_reply_t *reply)
{
    evs_feed_t        *feed;
    evs_feed_batch_t  *batch = data;

    feed = batch->feed;
    batch->cmd = NULL;

    if (reply->type == EVS_REDIS_LOST) {
        ngx_queue_remove(&batch->queue);
        ngx_queue_insert_tail(&feed->lost, &batch->queue);

        if (!feed->turn.posted) {
            ngx_post_event(&feed->turn, &ngx_posted_events);
        }

        return;
    }

    evs_feed_finish(batch, (reply->type == EVS_REDIS_STRING)
                           ? NULL : evs_store_failure(reply));
}


static void
evs_feed_finish(evs_feed_batch_t *batch, const char *failure)
{
    evs_feed_t          *feed;
    ngx_queue_t         *q;
    evs_feed_message_t  *message;

    feed = batch->feed;

    ngx_queue_remove(&batch->queue);

    if (feed->keyspace.node) {
        evs_redis_unload(feed->keyspace.node, batch->load);
    }

    if (failure == NULL) {
        evs_feed_trim(feed, batch);
    }

    while (!ngx_queue_empty(&batch->messages)) {
        q = ngx_queue_head(&batch->messages);
        ngx_queue_remove(q);

        message = ngx_queue_data(q, evs_feed_message_t, queue);
        message->done(message, failure);
    }

    evs_feed_batch_put(batch);
}


/*
 * Asks for a page of what is behind feed->at: all of the stream, if nothing
 * of ours is known to be on it.
 */

static void
evs_feed_lookup(evs_feed_t *feed)
{
    size_t             size;
    u_char            *p, from[1 + EVS_FEED_ID_MAX];
    ngx_queue_t       *q;
    ngx_msec_int_t     left;
    evs_feed_batch_t  *first;

    feed->elements = 0;

    q = ngx_queue_head(&feed->lost);
    first = ngx_queue_data(q, evs_feed_batch_t, queue);
    left = (ngx_msec_int_t) (first->deadline - ngx_current_msec);

    size = feed->key_len + sizeof(from) + 6 * EVS_RESP_ARG_MAX
           + sizeof("*6\r\n" "XRANGE" "+" "COUNT" EVS_FEED_LOOKUP);

    p = evs_redis_reserve(feed->keyspace.node, size);

    if (p != NULL) {
        from[0] = '(';
        ngx_memcpy(from + 1, feed->at.data, feed->at.len);

        p = evs_resp_argc(p, 6);
        p = evs_resp_arg(p, (u_char *) "XRANGE", sizeof("XRANGE") - 1);
        p = evs_resp_arg(p, feed->key, feed->key_len);
        p = feed->at.len ? evs_resp_arg(p, from, 1 + feed->at.len)
                         : evs_resp_arg(p, (u_char *) "-", 1);
        p = evs_resp_arg(p, (u_char *) "+", 1);
        p = evs_resp_arg(p, (u_char *) "COUNT", sizeof("COUNT") - 1);
        p = evs_resp_arg(p, (u_char *) EVS_FEED_LOOKUP,
                         sizeof(EVS_FEED_LOOKUP) - 1);

        feed->lookup = evs_redis_commit(feed->keyspace.node, p, 1,
                                        (ngx_msec_t) ngx_max(left, 1),
                                        &evs_feed_lookup_handlers, feed);
    }

    if (feed->lookup == NULL) {
        evs_feed_give_up(&feed->lost, "the server has no memory left");
        evs_feed_resolve(feed);
    }
}


/* An entry is three elements: its id, the field, the value. */

static void
evs_feed_lookup_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_feed_t  *feed = data;

    if (element->data == NULL) {
        feed->elements = 0;
        return;
    }

    switch (feed->elements++ % 3) {

    case 0:
        feed->at.len = ngx_min(element->len, EVS_FEED_ID_MAX);
        ngx_memcpy(feed->at.data, element->data, feed->at.len);
        break;

    case 2:
        evs_feed_lookup_value(feed, element);
        break;
    }
}


static void
evs_feed_lookup_value(evs_feed_t *feed, const ngx_str_t *value)
{
    ngx_queue_t       *q;
    evs_feed_entry_t   entry;
    evs_feed_batch_t  *batch;

    if (evs_feed_entry_read(&entry, value) != NGX_OK
        || ngx_memcmp(entry.writer, feed->writer, EVS_FEED_WRITER_LEN) != 0)
    {
        return;
    }

    for (q = ngx_queue_head(&feed->lost);
         q != ngx_queue_sentinel(&feed->lost);
         q = ngx_queue_next(q))
    {
        batch = ngx_queue_data(q, evs_feed_batch_t, queue);

        if (batch->number == entry.number) {
            batch->found = 1;
            batch->id = feed->at;
            return;
        }
    }
}


static void
evs_feed_lookup_done(void *data, const evs_redis_reply_t *reply)
{
    const char  *failure;
    evs_feed_t  *feed = data;

    feed->lookup = NULL;

    if (reply->type == EVS_REDIS_ARRAY) {

        if (reply->integer == ngx_atoi((u_char *) EVS_FEED_LOOKUP,
                                       sizeof(EVS_FEED_LOOKUP) - 1))
        {
            evs_feed_lookup(feed);
            return;
        }

        evs_feed_resolve(feed);
        return;
    }

    failure = evs_store_failure(reply);

    if (reply->type != EVS_REDIS_TIMEOUT) {
        evs_feed_give_up(&feed->lost, failure);
        evs_feed_resolve(feed);
        return;
    }

    /* the time of the first ones is over, not yet that of the others */

    evs_feed_expire(&feed->lost, failure);
    evs_feed_expire(&feed->held, failure);

    if (ngx_queue_empty(&feed->lost)) {
        evs_feed_resolve(feed);
        return;
    }

    feed->at = feed->top;
    evs_feed_lookup(feed);
}


/* Nothing is unknown any more: on with those that are not on the stream. */

static void
evs_feed_resolve(evs_feed_t *feed)
{
    ngx_queue_t        again, *q;
    evs_feed_batch_t  *batch;

    ngx_queue_init(&again);

    while (!ngx_queue_empty(&feed->lost)) {
        q = ngx_queue_head(&feed->lost);
        batch = ngx_queue_data(q, evs_feed_batch_t, queue);

        if (batch->found) {
            evs_feed_finish(batch, NULL);
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&again, q);
    }

    while (!ngx_queue_empty(&feed->held)) {
        q = ngx_queue_head(&feed->held);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&again, q);
    }

    while (!ngx_queue_empty(&again)) {
        q = ngx_queue_head(&again);
        ngx_queue_remove(q);

        evs_feed_send(ngx_queue_data(q, evs_feed_batch_t, queue));
    }
}


static void
evs_feed_expire(ngx_queue_t *queue, const char *failure)
{
    ngx_queue_t       *q, *next;
    evs_feed_batch_t  *batch;

    for (q = ngx_queue_head(queue); q != ngx_queue_sentinel(queue); q = next) {
        next = ngx_queue_next(q);
        batch = ngx_queue_data(q, evs_feed_batch_t, queue);

        if ((ngx_msec_int_t) (batch->deadline - ngx_current_msec) <= 0) {
            evs_feed_finish(batch, failure);
        }
    }
}


static void
evs_feed_give_up(ngx_queue_t *queue, const char *failure)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        evs_feed_finish(ngx_queue_data(q, evs_feed_batch_t, queue), failure);
    }
}


/*
 * The history is bounded in two ways.  MAXLEN has as many entries as events
 * are to be kept, as each has one at least; but entries may be large.  So
 * every fifteenth of the history is marked by the id of an entry, and once
 * there are events enough behind a mark, MINID cuts what is before it.  Others
 * may write to the stream, too: then there are more of them.
 */

static void
evs_feed_trim(evs_feed_t *feed, const evs_feed_batch_t *batch)
{
    ngx_uint_t        i, n, history;
    evs_feed_mark_t  *mark;

    history = feed->keyspace.conf->feed_history;

    feed->top = batch->id;
    feed->events += batch->events;

    n = feed->nmarks;

    if (n && feed->events - feed->marks[n - 1].events
             <= history / (EVS_FEED_MARKS - 1))
    {
        return;
    }

    for (i = 0; i < n && feed->events - feed->marks[i].events >= history; i++) {
        feed->cut = feed->marks[i].id;
        feed->trim = 1;
    }

    /* the marks of a shorter history, before this one, are too close */

    i = (n - i == EVS_FEED_MARKS) ? i + 1 : i;
    n -= i;

    ngx_memmove(feed->marks, feed->marks + i, n * sizeof(evs_feed_mark_t));

    mark = &feed->marks[n];
    mark->id = batch->id;
    mark->events = feed->events;

    feed->nmarks = n + 1;
}


void
evs_feed_exit(void)
{
    ngx_queue_t     *q;
    evs_feed_t      *feed;
    evs_keyspace_t  *keyspace;

    static const char  *failure = "the server is shutting down";

    while ((keyspace = evs_keyspace_take(&evs_feeds)) != NULL) {
        feed = evs_keyspace_data(keyspace, evs_feed_t, keyspace);

        feed->keyspace.node = NULL;

        if (feed->open) {
            ngx_queue_insert_tail(&feed->held, &feed->open->queue);
        }

        evs_feed_give_up(&feed->lost, failure);
        evs_feed_give_up(&feed->held, failure);

        while (!ngx_queue_empty(&feed->free)) {
            q = ngx_queue_head(&feed->free);
            ngx_queue_remove(q);
            ngx_free(ngx_queue_data(q, evs_feed_batch_t, queue));
        }

        if (feed->turn.posted) {
            ngx_delete_posted_event(&feed->turn);
        }

        ngx_free(feed);
    }
}
