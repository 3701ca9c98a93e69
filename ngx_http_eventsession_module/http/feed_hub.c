
/*
 * Fan-out: see feed_hub.h.
 *
 * nginx tells a worker that it is to quit through the read handlers of its
 * idle connections, and nothing else.  Streams aren't idle (over HTTP/2 they
 * aren't even connections), so there is one connection of our own, which leads
 * nowhere, as long as there are subscribers.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "http/feed.h"
#include "http/feed_hub.h"
#include "http/feed_subscriber.h"
#include "stats/stats.h"


/* bytes: what comes is handed out when there is as much */
#define NGX_HTTP_EVENTSESSION_HUB_TEXT    262144

/* a buffer up to this size is kept between two turns */
#define NGX_HTTP_EVENTSESSION_HUB_KEEP    65536
#define NGX_HTTP_EVENTSESSION_HUB_EVENTS  64


static ngx_http_eventsession_hub_t *ngx_http_eventsession_hub_create(
    const evs_store_conf_t *conf);
static void ngx_http_eventsession_hub_destroy(
    ngx_http_eventsession_hub_t *hub);
static void ngx_http_eventsession_hub_stop(ngx_http_eventsession_hub_t *hub);
static void ngx_http_eventsession_hub_idle(ngx_event_t *ev);
static ngx_int_t ngx_http_eventsession_hub_entry(void *data,
    const evs_stream_id_t *id, const ngx_str_t *value);
static ngx_int_t ngx_http_eventsession_hub_event(
    ngx_http_eventsession_hub_t *hub, const evs_stream_id_t *id,
    const evs_feed_event_t *event);
static ngx_int_t ngx_http_eventsession_hub_names(
    ngx_http_eventsession_hub_t *hub, const evs_feed_event_t *event,
    ngx_http_eventsession_hub_event_t *seen);
static ngx_http_eventsession_hub_event_t *ngx_http_eventsession_hub_push(
    ngx_http_eventsession_hub_t *hub);
static void ngx_http_eventsession_hub_gap(void *data,
    const evs_place_t *place);
static void ngx_http_eventsession_hub_again(void *data);
static void ngx_http_eventsession_hub_turn(void *data);
static void ngx_http_eventsession_hub_trim(ngx_http_eventsession_hub_t *hub);
static ngx_http_eventsession_chunk_t *ngx_http_eventsession_hub_hand_out(
    ngx_http_eventsession_hub_t *hub);
static void ngx_http_eventsession_hub_rewind(
    ngx_http_eventsession_hub_t *hub);
static ngx_int_t ngx_http_eventsession_hub_watch(void);
static void ngx_http_eventsession_hub_unwatch(void);
static void ngx_http_eventsession_hub_quit(ngx_event_t *ev);


static const evs_follow_handlers_t  ngx_http_eventsession_hub_handlers = {
    ngx_http_eventsession_hub_entry,
    ngx_http_eventsession_hub_gap,
    ngx_http_eventsession_hub_again,
    ngx_http_eventsession_hub_turn
};


/* of this process */
static struct {
    ngx_queue_t         hubs;
    ngx_connection_t   *watch;      /* NULL: there is no hub */
} ngx_http_eventsession_hubs;


ngx_http_eventsession_hub_t *
ngx_http_eventsession_hub(const evs_store_conf_t *conf)
{
    ngx_queue_t                  *q, *hubs;
    ngx_http_eventsession_hub_t  *hub;

    hubs = &ngx_http_eventsession_hubs.hubs;

    if (hubs->next == NULL) {
        ngx_queue_init(hubs);
    }

    for (q = ngx_queue_head(hubs);
         q != ngx_queue_sentinel(hubs);
         q = ngx_queue_next(q))
    {
        hub = ngx_queue_data(q, ngx_http_eventsession_hub_t, queue);

        if (hub->conf->redis == conf->redis
            && evs_store_same_prefix(hub->conf, conf))
        {
            return hub;
        }
    }

    if (ngx_http_eventsession_hub_watch() != NGX_OK) {
        return NULL;
    }

    hub = ngx_http_eventsession_hub_create(conf);

    if (hub == NULL && ngx_queue_empty(hubs)) {
        ngx_http_eventsession_hub_unwatch();
    }

    return hub;
}


static ngx_http_eventsession_hub_t *
ngx_http_eventsession_hub_create(const evs_store_conf_t *conf)
{
    ngx_http_eventsession_hub_t  *hub;

    hub = ngx_calloc(sizeof(ngx_http_eventsession_hub_t), ngx_cycle->log);
    if (hub == NULL) {
        return NULL;
    }

    hub->conf = conf;
    hub->key.data = hub->key_buf;
    hub->key.len = (size_t) (evs_store_feed_key(hub->key_buf, conf)
                             - hub->key_buf);
    hub->seed = evs_place_seed(&hub->key);

    ngx_queue_init(&hub->waiting);
    ngx_queue_init(&hub->live);

    hub->idle.handler = ngx_http_eventsession_hub_idle;
    hub->idle.data = hub;
    hub->idle.log = ngx_cycle->log;

    ngx_queue_insert_tail(&ngx_http_eventsession_hubs.hubs, &hub->queue);

    /* should nobody be added */

    ngx_post_event(&hub->idle, &ngx_posted_events);

    return hub;
}


static void
ngx_http_eventsession_hub_destroy(ngx_http_eventsession_hub_t *hub)
{
    ngx_http_eventsession_hub_stop(hub);

    if (hub->idle.posted) {
        ngx_delete_posted_event(&hub->idle);
    }

    ngx_queue_remove(&hub->queue);
    ngx_free(hub);
}


/* Nobody is live: no follower, and nothing of what it brought. */

static void
ngx_http_eventsession_hub_stop(ngx_http_eventsession_hub_t *hub)
{
    evs_follow_close(&hub->follow);

    ngx_http_eventsession_chunk_free(hub->text);
    ngx_http_eventsession_chunk_free(hub->names);
    ngx_http_eventsession_chunk_free(hub->chunk);
    ngx_free(hub->events);

    hub->text = NULL;
    hub->names = NULL;
    hub->chunk = NULL;
    hub->events = NULL;
    hub->nevents = 0;
    hub->ngaps = 0;
    hub->size = 0;
    hub->failed = 0;
}


void
ngx_http_eventsession_hub_add(ngx_http_eventsession_hub_t *hub,
    ngx_http_eventsession_subscriber_t *subscriber)
{
    subscriber->hub = hub;

    evs_stats_add(EVS_STATS_SUBSCRIBERS, 1);
    ngx_queue_insert_tail(&hub->waiting, &subscriber->queue);
}


ngx_int_t
ngx_http_eventsession_hub_join(ngx_http_eventsession_hub_t *hub,
    ngx_http_eventsession_subscriber_t *subscriber)
{
    evs_stream_id_t  *cursor;

    cursor = &subscriber->replay.cursor.place.entry;

    if (hub->follow.node == NULL) {

        if (evs_follow_open(&hub->follow, hub->conf, &hub->key, cursor,
                            &ngx_http_eventsession_hub_handlers, hub)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (evs_stream_id_cmp(cursor, &hub->follow.cursor) < 0) {
        return NGX_DECLINED;
    }

    ngx_queue_remove(&subscriber->queue);
    ngx_queue_insert_tail(&hub->live, &subscriber->queue);

    return NGX_OK;
}


void
ngx_http_eventsession_hub_remove(ngx_http_eventsession_hub_t *hub,
    ngx_http_eventsession_subscriber_t *subscriber)
{
    ngx_queue_remove(&subscriber->queue);
    subscriber->hub = NULL;

    evs_stats_sub(EVS_STATS_SUBSCRIBERS, 1);

    /* it may leave while the follower is at work */

    if (ngx_queue_empty(&hub->live) && !hub->idle.posted) {
        ngx_post_event(&hub->idle, &ngx_posted_events);
    }
}


static void
ngx_http_eventsession_hub_idle(ngx_event_t *ev)
{
    ngx_http_eventsession_hub_t  *hub;

    hub = ev->data;

    if (!ngx_queue_empty(&hub->live)) {
        return;
    }

    if (!ngx_queue_empty(&hub->waiting)) {
        ngx_http_eventsession_hub_stop(hub);
        return;
    }

    ngx_http_eventsession_hub_destroy(hub);

    if (ngx_queue_empty(&ngx_http_eventsession_hubs.hubs)) {
        ngx_http_eventsession_hub_unwatch();
    }
}


static ngx_int_t
ngx_http_eventsession_hub_entry(void *data, const evs_stream_id_t *id,
    const ngx_str_t *value)
{
    size_t                        len;
    ngx_int_t                     rc;
    ngx_uint_t                    nevents;
    evs_feed_entry_t              entry;
    evs_feed_event_t              event;
    ngx_http_eventsession_hub_t  *hub = data;

    nevents = hub->nevents;
    len = hub->text ? ngx_http_eventsession_chunk_len(hub->text) : 0;

    if (nevents != 0 && len > NGX_HTTP_EVENTSESSION_HUB_TEXT) {
        return NGX_DECLINED;
    }

    rc = evs_feed_entry_read(&entry, value);

    while (rc == NGX_OK) {
        rc = evs_feed_entry_next(&entry, &event);

        if (rc == NGX_OK
            && ngx_http_eventsession_hub_event(hub, id, &event) != NGX_OK)
        {
            /* all of it will come again */

            hub->nevents = nevents;

            if (hub->text != NULL) {
                hub->text->last = hub->text->text + len;
            }

            return NGX_DECLINED;
        }
    }

    if (rc == NGX_DECLINED && !hub->foreign) {
        hub->foreign = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "eventsession: an entry of the feed is not ours, "
                      "passed over");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_hub_event(ngx_http_eventsession_hub_t *hub,
    const evs_stream_id_t *id, const evs_feed_event_t *event)
{
    ngx_http_eventsession_hub_event_t  *seen;

    seen = ngx_http_eventsession_hub_push(hub);

    if (seen == NULL
        || ngx_http_eventsession_hub_names(hub, event, seen) != NGX_OK
        || ngx_http_eventsession_chunk_event(&hub->text, hub->seed, id, event)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    seen->place.entry = *id;
    seen->place.index = event->index;
    seen->type = event->member.type;
    seen->gap = 0;
    seen->end = ngx_http_eventsession_chunk_len(hub->text);

    hub->nevents++;

    return NGX_OK;
}


/* What filters look at; the events of a message share its session. */

static ngx_int_t
ngx_http_eventsession_hub_names(ngx_http_eventsession_hub_t *hub,
    const evs_feed_event_t *event, ngx_http_eventsession_hub_event_t *seen)
{
    u_char                             *p, *text;
    const ngx_str_t                    *name;
    ngx_http_eventsession_hub_event_t  *before;

    name = &event->member.name;

    if (event->member.type != EVS_ENTRY_EVENT) {
        static const ngx_str_t  none = ngx_null_string;

        name = &none;
    }

    p = ngx_http_eventsession_chunk_room(&hub->names,
                                         event->sid.len + name->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text = hub->names->text;
    before = (hub->nevents != 0) ? seen - 1 : NULL;

    if (before != NULL && before->sid_len == event->sid.len
        && ngx_memcmp(text + before->sid, event->sid.data, event->sid.len)
           == 0)
    {
        seen->sid = before->sid;

    } else {
        seen->sid = (size_t) (p - text);
        p = ngx_cpymem(p, event->sid.data, event->sid.len);
    }

    seen->sid_len = event->sid.len;
    seen->name = (size_t) (p - text);
    seen->name_len = name->len;

    if (name->len != 0) {
        p = ngx_cpymem(p, name->data, name->len);
    }

    hub->names->last = p;

    return NGX_OK;
}


/* Room for one more; it isn't counted yet. */

static ngx_http_eventsession_hub_event_t *
ngx_http_eventsession_hub_push(ngx_http_eventsession_hub_t *hub)
{
    ngx_uint_t                          size;
    ngx_http_eventsession_hub_event_t  *events;

    if (hub->nevents < hub->size) {
        return &hub->events[hub->nevents];
    }

    size = ngx_max(2 * hub->size, NGX_HTTP_EVENTSESSION_HUB_EVENTS);

    events = ngx_alloc(size * sizeof(ngx_http_eventsession_hub_event_t),
                       ngx_cycle->log);
    if (events == NULL) {
        return NULL;
    }

    if (hub->nevents != 0) {
        ngx_memcpy(events, hub->events, hub->nevents
                   * sizeof(ngx_http_eventsession_hub_event_t));
    }

    ngx_free(hub->events);

    hub->events = events;
    hub->size = size;

    return &events[hub->nevents];
}


static void
ngx_http_eventsession_hub_gap(void *data, const evs_place_t *place)
{
    ngx_http_eventsession_hub_t        *hub = data;
    ngx_http_eventsession_hub_event_t  *seen;

    seen = ngx_http_eventsession_hub_push(hub);

    if (seen == NULL
        || ngx_http_eventsession_chunk_gap(&hub->text, hub->seed, place)
           != NGX_OK)
    {
        hub->failed = 1;
        return;
    }

    ngx_memzero(seen, sizeof(ngx_http_eventsession_hub_event_t));

    seen->gap = 1;
    hub->ngaps++;
    seen->end = ngx_http_eventsession_chunk_len(hub->text);

    hub->nevents++;
}


static void
ngx_http_eventsession_hub_again(void *data)
{
    ngx_http_eventsession_hub_t  *hub = data;

    hub->nevents = 0;
    hub->ngaps = 0;
    hub->failed = 0;

    if (hub->text != NULL) {
        hub->text->last = hub->text->text;
    }

    if (hub->names != NULL) {
        hub->names->last = hub->names->text;
    }
}


/*
 * Whoever is given something may be gone afterwards, and others with him: each
 * is taken from the queue of those to do, and is in the queue of those done,
 * before it is its turn.
 */

static void
ngx_http_eventsession_hub_turn(void *data)
{
    ngx_queue_t                         *q, todo;
    ngx_http_eventsession_hub_t         *hub = data;
    ngx_http_eventsession_chunk_t       *chunk;
    ngx_http_eventsession_subscriber_t  *subscriber;

    if (hub->follow.rewound) {
        ngx_http_eventsession_hub_rewind(hub);
    }

    if ((hub->nevents == 0 && !hub->failed) || ngx_queue_empty(&hub->live)) {
        ngx_http_eventsession_hub_again(hub);
        return;
    }

    chunk = ngx_http_eventsession_hub_hand_out(hub);

    ngx_queue_init(&todo);
    ngx_queue_add(&todo, &hub->live);
    ngx_queue_init(&hub->live);

    while (!ngx_queue_empty(&todo)) {
        q = ngx_queue_head(&todo);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&hub->live, q);

        subscriber = ngx_queue_data(q, ngx_http_eventsession_subscriber_t,
                                    queue);

        ngx_http_eventsession_subscriber_take(subscriber, chunk);
    }

    ngx_http_eventsession_hub_again(hub);
    ngx_http_eventsession_hub_trim(hub);
}


/* What one large turn needed is not kept for the small ones. */

static void
ngx_http_eventsession_hub_trim(ngx_http_eventsession_hub_t *hub)
{
    if (hub->text == NULL
        || hub->text->end - hub->text->text < NGX_HTTP_EVENTSESSION_HUB_KEEP)
    {
        return;
    }

    ngx_http_eventsession_chunk_free(hub->text);
    ngx_http_eventsession_chunk_free(hub->names);
    ngx_free(hub->events);

    hub->text = NULL;
    hub->names = NULL;
    hub->events = NULL;
    hub->size = 0;
}


/*
 * The text as a chunk of just its size, at the end of the chain.  NULL: no
 * memory, and as it doesn't come again, it is lost.
 */

static ngx_http_eventsession_chunk_t *
ngx_http_eventsession_hub_hand_out(ngx_http_eventsession_hub_t *hub)
{
    size_t                          len;
    ngx_http_eventsession_chunk_t  *chunk;

    if (hub->failed) {
        return NULL;
    }

    len = ngx_http_eventsession_chunk_len(hub->text);

    chunk = ngx_http_eventsession_chunk_create(len);
    if (chunk == NULL) {
        return NULL;
    }

    chunk->last = ngx_cpymem(chunk->text, hub->text->text, len);

    if (hub->chunk != NULL) {
        hub->chunk->next = chunk;
        chunk->refs++;

        ngx_http_eventsession_chunk_free(hub->chunk);
    }

    hub->chunk = chunk;

    return chunk;
}


/* The ids of the stream are lower now: nobody is ahead of it any more. */

static void
ngx_http_eventsession_hub_rewind(ngx_http_eventsession_hub_t *hub)
{
    ngx_queue_t                         *q;
    ngx_http_eventsession_subscriber_t  *subscriber;

    hub->generation++;

    for (q = ngx_queue_head(&hub->live);
         q != ngx_queue_sentinel(&hub->live);
         q = ngx_queue_next(q))
    {
        subscriber = ngx_queue_data(q, ngx_http_eventsession_subscriber_t,
                                    queue);
        subscriber->synced = 1;
    }
}


static ngx_int_t
ngx_http_eventsession_hub_watch(void)
{
    ngx_socket_t       s;
    ngx_connection_t  *c;

    if (ngx_http_eventsession_hubs.watch != NULL) {
        return NGX_OK;
    }

    s = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_socket_errno,
                      ngx_socket_n " failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(s, ngx_cycle->log);

    if (c == NULL) {
        (void) ngx_close_socket(s);
        return NGX_ERROR;
    }

    c->idle = 1;
    c->read->handler = ngx_http_eventsession_hub_quit;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;

    ngx_http_eventsession_hubs.watch = c;

    return NGX_OK;
}


static void
ngx_http_eventsession_hub_unwatch(void)
{
    if (ngx_http_eventsession_hubs.watch != NULL) {
        ngx_close_connection(ngx_http_eventsession_hubs.watch);
        ngx_http_eventsession_hubs.watch = NULL;
    }
}


/* Called by nginx with c->close: the worker quits, and all streams end. */

static void
ngx_http_eventsession_hub_quit(ngx_event_t *ev)
{
    ngx_queue_t                         *q, *hubs;
    ngx_http_eventsession_hub_t         *hub;
    ngx_http_eventsession_subscriber_t  *subscriber;

    hubs = &ngx_http_eventsession_hubs.hubs;

    for (q = ngx_queue_head(hubs);
         q != ngx_queue_sentinel(hubs);
         q = ngx_queue_next(q))
    {
        /* a hub itself goes later, by its posted event */

        hub = ngx_queue_data(q, ngx_http_eventsession_hub_t, queue);

        while (!ngx_queue_empty(&hub->live)) {
            subscriber = ngx_queue_data(ngx_queue_head(&hub->live),
                                        ngx_http_eventsession_subscriber_t,
                                        queue);
            ngx_http_eventsession_subscriber_end(subscriber);
        }

        while (!ngx_queue_empty(&hub->waiting)) {
            subscriber = ngx_queue_data(ngx_queue_head(&hub->waiting),
                                        ngx_http_eventsession_subscriber_t,
                                        queue);
            ngx_http_eventsession_subscriber_end(subscriber);
        }
    }

    ngx_http_eventsession_hub_unwatch();
}


void
ngx_http_eventsession_feed_exit(void)
{
    ngx_queue_t                         *q, *hubs;
    ngx_http_eventsession_hub_t         *hub;
    ngx_http_eventsession_subscriber_t  *subscriber;

    hubs = &ngx_http_eventsession_hubs.hubs;

    while (hubs->next != NULL && !ngx_queue_empty(hubs)) {
        hub = ngx_queue_data(ngx_queue_head(hubs),
                             ngx_http_eventsession_hub_t, queue);

        if (!ngx_queue_empty(&hub->waiting)) {
            ngx_queue_add(&hub->live, &hub->waiting);
        }

        while (!ngx_queue_empty(&hub->live)) {
            q = ngx_queue_head(&hub->live);
            subscriber = ngx_queue_data(q, ngx_http_eventsession_subscriber_t,
                                        queue);

            ngx_queue_remove(q);
            subscriber->hub = NULL;
        }

        ngx_http_eventsession_hub_destroy(hub);
    }

    ngx_http_eventsession_hub_unwatch();
}
