
/*
 * The way out to a client of the feed: see feed_output.h.
 *
 * What waits is a chain of chunks, of which the first is held.  Those of a
 * client that wants everything are the hub's, so that being behind costs it
 * nothing; others copy what they want.  Few of them at a time become buffers
 * of the response, which are used again and again: a request that lasts for
 * weeks has no more memory than it had at its begin.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_chunk.h"
#include "http/feed_hub.h"
#include "http/feed_output.h"
#include "http/feed_subscriber.h"
#include "ngx_http_eventsession_module.h"
#include "stats/stats.h"


/* buffers that are passed to the filters at once, and that there are */
#define NGX_HTTP_EVENTSESSION_OUTPUT_BUFS   16

/* bytes: a chunk of what a filter lets through has at least as much room */
#define NGX_HTTP_EVENTSESSION_OUTPUT_CHUNK  1024


/* a buffer of the response, and the chunk that it shows; NULL: none now */
typedef struct {
    ngx_buf_t                       buf;
    ngx_http_eventsession_chunk_t  *chunk;
} ngx_http_eventsession_output_buf_t;


static void ngx_http_eventsession_output_count(
    const ngx_http_eventsession_hub_t *hub, ngx_uint_t first);
static ngx_uint_t ngx_http_eventsession_output_first(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_output_some(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first);
static size_t ngx_http_eventsession_output_pick(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first, u_char *p);
static ngx_int_t ngx_http_eventsession_output_room(
    ngx_http_eventsession_subscriber_t *sub, size_t size);
static ngx_uint_t ngx_http_eventsession_output_slow(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_chain_t *ngx_http_eventsession_output_buf(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_output_update(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_output_wait(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_output_writer(ngx_http_request_t *r);


ngx_int_t
ngx_http_eventsession_output_offer(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk)
{
    size_t                        skip;
    ngx_uint_t                    first;
    ngx_http_eventsession_hub_t  *hub;

    hub = sub->hub;
    first = ngx_http_eventsession_output_first(sub);

    if (first == hub->nevents) {
        return NGX_OK;
    }

    if (ngx_http_eventsession_filter_is_set(&sub->filter)) {
        return ngx_http_eventsession_output_some(sub, chunk, first);
    }

    if (ngx_http_eventsession_output_slow(sub)) {
        return NGX_ERROR;
    }

    skip = (first != 0) ? hub->events[first - 1].end : 0;

    if (sub->chunk == NULL) {
        chunk->refs++;
        sub->chunk = chunk;
        sub->offset = skip;
    }

    /* else it follows what waits, as the hub has linked it */

    sub->pending += ngx_http_eventsession_chunk_len(chunk) - skip;
    sub->told = 1;

    ngx_http_eventsession_output_count(hub, first);

    return ngx_http_eventsession_output_blocked(sub)
           ? NGX_OK : ngx_http_eventsession_output_flush(sub);
}


/* From the first one on; there is hardly ever a gap. */

static void
ngx_http_eventsession_output_count(const ngx_http_eventsession_hub_t *hub,
    ngx_uint_t first)
{
    ngx_uint_t  i, ngaps;

    ngaps = hub->ngaps;

    for (i = 0; ngaps != 0 && i < first; i++) {
        ngaps -= hub->events[i].gap;
    }

    evs_stats_add(EVS_STATS_FEED_EVENTS, hub->nevents - first - ngaps);
    evs_stats_add(EVS_STATS_FEED_GAPS, ngaps);
}


/* The first event of the hub's that lies behind the subscriber's cursor. */

static ngx_uint_t
ngx_http_eventsession_output_first(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_uint_t                          i;
    evs_stream_id_t                    *cursor;
    ngx_http_eventsession_hub_t        *hub;
    ngx_http_eventsession_hub_event_t  *events;

    if (sub->synced) {
        return 0;
    }

    hub = sub->hub;
    events = hub->events;
    cursor = &sub->replay.cursor.place.entry;

    for (i = 0; i < hub->nevents; i++) {

        if (events[i].gap
            || evs_stream_id_cmp(&events[i].place.entry, cursor) > 0)
        {
            sub->synced = 1;
            break;
        }
    }

    return i;
}


static ngx_int_t
ngx_http_eventsession_output_some(ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first)
{
    size_t                              size;
    ngx_http_eventsession_hub_t        *hub;
    ngx_http_eventsession_hub_event_t  *last;

    hub = sub->hub;
    last = &hub->events[hub->nevents - 1];

    size = ngx_http_eventsession_output_pick(sub, chunk, first, NULL);

    if (size != 0) {

        if (ngx_http_eventsession_output_slow(sub)
            || ngx_http_eventsession_output_room(sub, size) != NGX_OK)
        {
            return NGX_ERROR;
        }

        (void) ngx_http_eventsession_output_pick(sub, chunk, first,
                                                     sub->tail->last);
        sub->tail->last += size;
        sub->pending += size;
    }

    if (!last->gap) {
        sub->place = last->place;
        sub->told = (sub->written.index == last->place.index
                     && evs_stream_id_cmp(&sub->written.entry,
                                          &last->place.entry)
                        == 0);
    }

    return (size == 0 || ngx_http_eventsession_output_blocked(sub))
           ? NGX_OK : ngx_http_eventsession_output_flush(sub);
}


/* The text of what it wants: its size, and, unless p is NULL, a copy there. */

static size_t
ngx_http_eventsession_output_pick(ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first, u_char *p)
{
    size_t                              size, start;
    ngx_str_t                           sid, name;
    ngx_uint_t                          i;
    ngx_http_eventsession_hub_t        *hub;
    ngx_http_eventsession_hub_event_t  *event;

    hub = sub->hub;
    size = 0;

    for (i = first; i < hub->nevents; i++) {
        event = &hub->events[i];

        if (!event->gap) {
            sid.data = hub->names->text + event->sid;
            sid.len = event->sid_len;
            name.data = hub->names->text + event->name;
            name.len = event->name_len;

            if (!ngx_http_eventsession_filter_wants(&sub->filter, event->type,
                                                    &sid, &name))
            {
                continue;
            }

            sub->written = event->place;
        }

        start = (i != 0) ? event[-1].end : 0;
        size += event->end - start;

        if (p != NULL) {
            p = ngx_cpymem(p, chunk->text + start, event->end - start);

            evs_stats_add(event->gap ? EVS_STATS_FEED_GAPS
                                     : EVS_STATS_FEED_EVENTS, 1);
        }
    }

    return size;
}


/* Room for size bytes at the end of what waits, in a chunk of its own. */

static ngx_int_t
ngx_http_eventsession_output_room(ngx_http_eventsession_subscriber_t *sub,
    size_t size)
{
    ngx_http_eventsession_chunk_t  *chunk;

    if (sub->chunk != NULL
        && (size_t) (sub->tail->end - sub->tail->last) >= size)
    {
        return NGX_OK;
    }

    size = ngx_max(size, NGX_HTTP_EVENTSESSION_OUTPUT_CHUNK);

    chunk = ngx_http_eventsession_chunk_create(size);
    if (chunk == NULL) {
        return NGX_ERROR;
    }

    ngx_http_eventsession_output_queue(sub, chunk);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_eventsession_output_slow(ngx_http_eventsession_subscriber_t *sub)
{
    size_t                             unsent;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(sub->request,
                                        ngx_http_eventsession_module);

    unsent = sub->pending + sub->unsent;

    if (unsent <= elcf->feed_buffer) {
        return 0;
    }

    ngx_log_error(NGX_LOG_INFO, sub->request->connection->log, 0,
                  "client is too slow for the feed: %uz bytes behind",
                  unsent);

    evs_stats_add(EVS_STATS_FEED_SLOW, 1);

    return 1;
}


/* Text of its own behind what waits, which is its own, too. */

void
ngx_http_eventsession_output_queue(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk)
{
    if (sub->chunk == NULL) {
        sub->chunk = chunk;
        sub->offset = 0;

    } else {
        sub->tail->next = chunk;
    }

    sub->tail = chunk;
    sub->pending += ngx_http_eventsession_chunk_len(chunk);
}


/* Whether the client has still to take what was given to the filters. */

ngx_uint_t
ngx_http_eventsession_output_blocked(
    const ngx_http_eventsession_subscriber_t *sub)
{
    return sub->busy != NULL || sub->request->connection->buffered;
}


/* NGX_OK: the client has taken everything; NGX_AGAIN: it will; NGX_ERROR. */

ngx_int_t
ngx_http_eventsession_output_flush(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = sub->request;
    wev = r->connection->write;

    while (!ngx_http_eventsession_output_blocked(sub)) {

        if (sub->chunk == NULL) {

            /* the timer of limit_rate stays: it alone ends the delay */

            if (wev->timer_set && !wev->delayed) {
                ngx_del_timer(wev);
            }

            r->write_event_handler = ngx_http_request_empty_handler;

            return NGX_OK;
        }

        if (ngx_http_eventsession_output_pass(sub) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_eventsession_output_wait(sub);
}


/* Gives the first of what waits, which there is, to the filters. */

ngx_int_t
ngx_http_eventsession_output_pass(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t                       rc;
    ngx_buf_t                      *b;
    ngx_uint_t                      n;
    ngx_chain_t                    *cl, **ll;
    ngx_http_eventsession_chunk_t  *chunk;

    n = 0;
    ll = &sub->busy;

    do {
        cl = ngx_http_eventsession_output_buf(sub);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        /* the buffer holds the chunk from now on, and we the next one */

        chunk = sub->chunk;
        b = cl->buf;

        b->start = chunk->text + sub->offset;
        b->pos = b->start;
        b->last = chunk->last;
        b->end = chunk->last;
        b->memory = 1;

        ((ngx_http_eventsession_output_buf_t *) (void *) b)->chunk = chunk;

        sub->pending -= (size_t) (b->last - b->pos);
        sub->chunk = chunk->next;
        sub->offset = 0;

        if (sub->chunk != NULL) {
            sub->chunk->refs++;
        }

        *ll = cl;
        ll = &cl->next;
        n++;

    } while (sub->chunk != NULL && n < NGX_HTTP_EVENTSESSION_OUTPUT_BUFS);

    b->flush = 1;

    rc = ngx_http_output_filter(sub->request, sub->busy);

    ngx_http_eventsession_output_update(sub);

    sub->sent_at = ngx_current_msec;

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static ngx_chain_t *
ngx_http_eventsession_output_buf(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_pool_t   *pool;
    ngx_chain_t  *cl;

    cl = sub->free;

    if (cl != NULL) {
        sub->free = cl->next;

    } else {
        pool = sub->request->pool;

        cl = ngx_alloc_chain_link(pool);
        if (cl == NULL) {
            return NULL;
        }

        cl->buf = ngx_palloc(pool,
                             sizeof(ngx_http_eventsession_output_buf_t));
        if (cl->buf == NULL) {
            return NULL;
        }
    }

    ngx_memzero(cl->buf, sizeof(ngx_http_eventsession_output_buf_t));

    cl->buf->tag = (ngx_buf_tag_t) &ngx_http_eventsession_module;
    cl->next = NULL;

    return cl;
}


/* Lets go of what has been sent. */

static void
ngx_http_eventsession_output_update(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_chain_t                             *cl;
    ngx_http_eventsession_output_buf_t  *b;

    while (sub->busy != NULL && ngx_buf_size(sub->busy->buf) == 0) {
        cl = sub->busy;
        sub->busy = cl->next;

        b = (ngx_http_eventsession_output_buf_t *) (void *) cl->buf;
        ngx_http_eventsession_chunk_free(b->chunk);

        cl->next = sub->free;
        sub->free = cl;
    }

    sub->unsent = 0;

    for (cl = sub->busy; cl != NULL; cl = cl->next) {
        sub->unsent += (size_t) ngx_buf_size(cl->buf);
    }
}


static ngx_int_t
ngx_http_eventsession_output_wait(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = sub->request;
    wev = r->connection->write;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = ngx_http_eventsession_output_writer;

    if (!wev->delayed && !wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static void
ngx_http_eventsession_output_writer(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    ngx_event_t                         *wev;
    ngx_connection_t                    *c;
    ngx_http_eventsession_subscriber_t  *sub;

    c = r->connection;
    wev = c->write;
    sub = ngx_http_get_module_ctx(r, ngx_http_eventsession_module);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_http_eventsession_output_update(sub);

    /* whoever takes some of it has as long for the rest */

    if (c->sent != sub->sent) {
        sub->sent = c->sent;

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }
    }

    rc = ngx_http_eventsession_subscriber_run(sub);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


void
ngx_http_eventsession_output_free(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_chain_t                         *cl;
    ngx_http_eventsession_output_buf_t  *b;

    ngx_http_eventsession_chunk_free(sub->chunk);

    for (cl = sub->busy; cl != NULL; cl = cl->next) {
        b = (ngx_http_eventsession_output_buf_t *) (void *) cl->buf;
        ngx_http_eventsession_chunk_free(b->chunk);
    }
}
