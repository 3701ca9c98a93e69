
/*
 * A client of the feed, from its first byte to its last: see
 * feed_subscriber.h.  It goes through
 *
 *     top        it came without an id: where the stream ends is asked for,
 *                and the header waits for that, so that what is stored after
 *                the client has seen it is delivered, and nothing from before
 *     history    pages of what lies behind its place: the next one is asked
 *                for when the client has taken the one before
 *     live       the hub hands it what comes
 *
 * and gets from one to the next in ngx_http_eventsession_subscriber_run(),
 * where everything that happens to it ends, but for what the hub hands out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_chunk.h"
#include "http/feed_hub.h"
#include "http/feed_subscriber.h"
#include "http/header.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


/* buffers that are passed to the filters at once, and that there are */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_BUFS   16

/* bytes of text: a page of history ends when there is as much */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_TEXT   131072

/* bytes: a chunk of what a filter lets through has at least as much room */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_CHUNK  1024

/* ms before Redis is asked again: when the hub is ahead, though nothing is
   there; when it has refused */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_SOON   50
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_LATER  1000

/* ms: for what is asked while a client has its header already */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_LONG   86400000


/* a buffer of the response, and the chunk that it shows; NULL: none now */
typedef struct {
    ngx_buf_t                       buf;
    ngx_http_eventsession_chunk_t  *chunk;
} ngx_http_eventsession_subscriber_buf_t;


static ngx_int_t ngx_http_eventsession_subscriber_init(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_subscriber_cleanup(void *data);
static void ngx_http_eventsession_subscriber_pool_cleanup(void *data);
static ngx_int_t ngx_http_eventsession_subscriber_attach(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_subscriber_leave(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_start(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_open(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_greet(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_finish(
    ngx_http_eventsession_subscriber_t *sub);

static ngx_int_t ngx_http_eventsession_subscriber_run(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_pause(
    ngx_http_eventsession_subscriber_t *sub, ngx_msec_t ms);
static void ngx_http_eventsession_subscriber_pause_handler(ngx_event_t *ev);
static void ngx_http_eventsession_subscriber_ping_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_eventsession_subscriber_ping(
    ngx_http_eventsession_subscriber_t *sub);

static ngx_int_t ngx_http_eventsession_subscriber_event(void *data,
    const evs_stream_id_t *entry, const evs_feed_event_t *event);
static ngx_uint_t ngx_http_eventsession_subscriber_wants(
    const ngx_http_eventsession_subscriber_t *sub, evs_entry_type_e type,
    const ngx_str_t *sid, const ngx_str_t *name);
static void ngx_http_eventsession_subscriber_gap(void *data);
static void ngx_http_eventsession_subscriber_again(void *data);
static void ngx_http_eventsession_subscriber_page(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_subscriber_paged(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_subscriber_topped(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc,
    const char *failure);

static ngx_int_t ngx_http_eventsession_subscriber_offer(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk);
static ngx_uint_t ngx_http_eventsession_subscriber_first(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_some(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first);
static size_t ngx_http_eventsession_subscriber_pick(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first, u_char *p);
static ngx_int_t ngx_http_eventsession_subscriber_room(
    ngx_http_eventsession_subscriber_t *sub, size_t size);
static ngx_uint_t ngx_http_eventsession_subscriber_slow(
    ngx_http_eventsession_subscriber_t *sub);

static void ngx_http_eventsession_subscriber_queue(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk);
static ngx_uint_t ngx_http_eventsession_subscriber_blocked(
    const ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_flush(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_pass(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_chain_t *ngx_http_eventsession_subscriber_buf(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_subscriber_update(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_wait(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_subscriber_writer(ngx_http_request_t *r);


static const evs_replay_handlers_t
    ngx_http_eventsession_subscriber_handlers =
{
    ngx_http_eventsession_subscriber_event,
    ngx_http_eventsession_subscriber_gap,
    ngx_http_eventsession_subscriber_again,
    ngx_http_eventsession_subscriber_page
};


ngx_int_t
ngx_http_eventsession_subscriber_begin(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t            rc;
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = sub->request;
    rev = r->connection->read;

    if (ngx_http_eventsession_subscriber_init(sub) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_exiting || ngx_terminate) {

        /* a client that is told an error doesn't come back */

        return ngx_http_eventsession_subscriber_finish(sub);
    }

    rc = ngx_http_eventsession_subscriber_attach(sub);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_eventsession_subscriber_start(sub);
    if (rc != NGX_DONE) {
        return rc;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;

    /* what came with the request may have been its end, too */

    if (rev->ready && !rev->posted) {
        ngx_post_event(rev, &ngx_posted_events);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_eventsession_subscriber_init(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_http_request_t  *r;
    ngx_pool_cleanup_t  *pool_cln;
    ngx_http_cleanup_t  *cln;

    r = sub->request;

    /*
     * what is shown to the filters stays until the pool goes: over HTTP/2
     * half a frame of it may be under way when the request ends
     */

    pool_cln = ngx_pool_cleanup_add(r->pool, 0);
    if (pool_cln == NULL) {
        return NGX_ERROR;
    }

    pool_cln->handler = ngx_http_eventsession_subscriber_pool_cleanup;
    pool_cln->data = sub;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_eventsession_subscriber_cleanup;
    cln->data = sub;

    sub->ping.handler = ngx_http_eventsession_subscriber_ping_handler;
    sub->ping.data = sub;
    sub->ping.log = r->connection->log;
    sub->ping.cancelable = 1;

    sub->pause.handler = ngx_http_eventsession_subscriber_pause_handler;
    sub->pause.data = sub;
    sub->pause.log = r->connection->log;
    sub->pause.cancelable = 1;

    ngx_http_set_ctx(r, sub, ngx_http_eventsession_module);

    return NGX_OK;
}


static void
ngx_http_eventsession_subscriber_cleanup(void *data)
{
    ngx_http_eventsession_subscriber_leave(data);
}


static void
ngx_http_eventsession_subscriber_pool_cleanup(void *data)
{
    ngx_chain_t                             *cl;
    ngx_http_eventsession_subscriber_t      *sub = data;
    ngx_http_eventsession_subscriber_buf_t  *b;

    ngx_http_eventsession_chunk_free(sub->text);
    ngx_http_eventsession_chunk_free(sub->chunk);

    for (cl = sub->busy; cl != NULL; cl = cl->next) {
        b = (ngx_http_eventsession_subscriber_buf_t *) (void *) cl->buf;
        ngx_http_eventsession_chunk_free(b->chunk);
    }
}


static ngx_int_t
ngx_http_eventsession_subscriber_attach(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_http_request_t                *r;
    ngx_http_eventsession_hub_t       *hub;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = sub->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    sub->replay.node = evs_redis_node((ngx_cycle_t *) ngx_cycle,
                                      elcf->store.redis);
    if (sub->replay.node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hub = ngx_http_eventsession_hub(&elcf->store);
    if (hub == NULL) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "the server is busy, try again later");
    }

    ngx_http_eventsession_hub_add(hub, sub);

    sub->replay.conf = &elcf->store;
    sub->replay.handlers = &ngx_http_eventsession_subscriber_handlers;
    sub->replay.data = sub;
    sub->replay.log = r->connection->log;
    sub->replay.key = hub->key;

    return NGX_OK;
}


/* It is no part of anything any more, but for what is on its way out. */

static void
ngx_http_eventsession_subscriber_leave(
    ngx_http_eventsession_subscriber_t *sub)
{
    evs_replay_cancel(&sub->replay);

    if (sub->ping.timer_set) {
        ngx_del_timer(&sub->ping);
    }

    if (sub->pause.timer_set) {
        ngx_del_timer(&sub->pause);
    }

    if (sub->hub != NULL) {
        ngx_http_eventsession_hub_remove(sub->hub, sub);
    }
}


/* NGX_DONE, or what the content handler returns. */

static ngx_int_t
ngx_http_eventsession_subscriber_start(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t  rc;

    if (sub->placed) {
        sub->replay.cursor.place = sub->place;
        sub->told = 1;
        sub->more = 1;

    } else if (evs_redis_down(sub->replay.node) == NULL) {
        return (evs_replay_top(&sub->replay, sub->replay.conf->timeout)
                == NGX_OK)
               ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_eventsession_subscriber_open(sub);

    return (rc == NGX_DONE) ? ngx_http_eventsession_subscriber_run(sub) : rc;
}


/* The header, and what the stream begins with.  NGX_DONE, or a failure. */

static ngx_int_t
ngx_http_eventsession_subscriber_open(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t                          rc;
    ngx_http_request_t                *r;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = sub->request;

    rc = ngx_http_eventsession_subscriber_greet(sub);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* else an event waits for the client to have confirmed the one before */

    if (clcf->tcp_nodelay && r->http_version < NGX_HTTP_VERSION_20
        && ngx_tcp_nodelay(r->connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ngx_add_timer(&sub->ping, elcf->feed_ping);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_eventsession_subscriber_greet(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t                       rc;
    uint32_t                        seed;
    evs_place_t                    *place;
    ngx_http_eventsession_chunk_t  *chunk;

    sub->header_sent = 1;

    rc = ngx_http_eventsession_subscriber_header(sub->request);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    chunk = NULL;
    place = NULL;
    seed = 0;

    if (sub->placed && !sub->told) {
        place = &sub->place;
        seed = sub->hub->seed;
        sub->told = 1;
    }

    if (ngx_http_eventsession_chunk_retry(&chunk, seed, place) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_eventsession_subscriber_queue(sub, chunk);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_subscriber_header(ngx_http_request_t *r)
{
    static const ngx_str_t  no_cache = ngx_string("no-cache");
    static const ngx_str_t  no = ngx_string("no");

    if (ngx_http_eventsession_header_out(r, "Cache-Control", &no_cache)
        != NGX_OK
        || ngx_http_eventsession_header_out(r, "X-Accel-Buffering", &no)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    return ngx_http_send_header(r);
}


void
ngx_http_eventsession_subscriber_end(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_eventsession_subscriber_leave(sub);

    rc = ngx_http_eventsession_subscriber_finish(sub);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/*
 * What the filters have not seen yet is left out: it can be had again.  What
 * to finalize the request with.
 */

static ngx_int_t
ngx_http_eventsession_subscriber_finish(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t  rc;

    ngx_http_eventsession_chunk_free(sub->chunk);

    sub->chunk = NULL;
    sub->tail = NULL;
    sub->pending = 0;

    if (!sub->header_sent) {
        sub->placed = 0;

        rc = ngx_http_eventsession_subscriber_greet(sub);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return rc;
        }

        if (ngx_http_eventsession_subscriber_pass(sub) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_send_special(sub->request, NGX_HTTP_LAST);
}


/*
 * Goes on as far as can be.  NGX_DONE: the rest comes later; else what to
 * finalize the request with.
 */

static ngx_int_t
ngx_http_eventsession_subscriber_run(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_subscriber_flush(sub);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN || sub->live || sub->pause.timer_set
        || sub->replay.cmd != NULL)
    {
        return NGX_DONE;
    }

    if (!sub->placed) {
        rc = evs_replay_top(&sub->replay,
                            NGX_HTTP_EVENTSESSION_SUBSCRIBER_LONG);
        return (rc == NGX_OK) ? NGX_DONE : NGX_ERROR;
    }

    if (!sub->more) {
        rc = ngx_http_eventsession_hub_join(sub->hub, sub);

        if (rc == NGX_OK) {
            sub->live = 1;
            return NGX_DONE;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (!sub->replay.moved) {
            return ngx_http_eventsession_subscriber_pause(sub,
                                       NGX_HTTP_EVENTSESSION_SUBSCRIBER_SOON);
        }
    }

    rc = evs_replay_next(&sub->replay);

    return (rc == NGX_OK) ? NGX_DONE : NGX_ERROR;
}


static ngx_int_t
ngx_http_eventsession_subscriber_pause(
    ngx_http_eventsession_subscriber_t *sub, ngx_msec_t ms)
{
    sub->more = 1;

    ngx_add_timer(&sub->pause, ms);

    return NGX_DONE;
}


static void
ngx_http_eventsession_subscriber_pause_handler(ngx_event_t *ev)
{
    ngx_int_t                            rc;
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_eventsession_subscriber_t  *sub;

    sub = ev->data;
    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_eventsession_subscriber_run(sub);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_eventsession_subscriber_ping_handler(ngx_event_t *ev)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_eventsession_subscriber_t  *sub;

    sub = ev->data;
    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_http_eventsession_subscriber_ping(sub) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }

    ngx_http_run_posted_requests(c);
}


/*
 * Something for the client at least as often as feed_ping says; one that
 * doesn't take it is send_timeout's.
 */

static ngx_int_t
ngx_http_eventsession_subscriber_ping(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_msec_t                         idle;
    evs_place_t                       *place;
    ngx_http_eventsession_chunk_t     *chunk;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(sub->request,
                                        ngx_http_eventsession_module);

    idle = ngx_current_msec - sub->sent_at;

    if (idle < elcf->feed_ping) {
        ngx_add_timer(&sub->ping, elcf->feed_ping - idle);
        return NGX_OK;
    }

    ngx_add_timer(&sub->ping, elcf->feed_ping);

    if (sub->chunk != NULL || ngx_http_eventsession_subscriber_blocked(sub)) {
        return NGX_OK;
    }

    /* where to go on from, though its filter has left out all till there */

    chunk = NULL;
    place = NULL;

    if (sub->placed && !sub->told) {
        place = &sub->place;
        sub->told = 1;
    }

    if (ngx_http_eventsession_chunk_comment(&chunk, sub->hub->seed, place)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_eventsession_subscriber_queue(sub, chunk);

    return (ngx_http_eventsession_subscriber_flush(sub) == NGX_ERROR)
           ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_subscriber_event(void *data,
    const evs_stream_id_t *entry, const evs_feed_event_t *event)
{
    ngx_http_eventsession_subscriber_t  *sub = data;

    if (sub->failed) {
        return NGX_DECLINED;
    }

    if (sub->filtered
        && !ngx_http_eventsession_subscriber_wants(sub, event->member.type,
                                          &event->sid, &event->member.name))
    {
        return NGX_OK;
    }

    if (sub->text != NULL
        && ngx_http_eventsession_chunk_len(sub->text)
           > NGX_HTTP_EVENTSESSION_SUBSCRIBER_TEXT)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_eventsession_chunk_event(&sub->text, sub->hub->seed, entry,
                                          event)
        != NGX_OK)
    {
        sub->failed = 1;
        return NGX_DECLINED;
    }

    sub->written.entry = *entry;
    sub->written.index = event->index;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_eventsession_subscriber_wants(
    const ngx_http_eventsession_subscriber_t *sub, evs_entry_type_e type,
    const ngx_str_t *sid, const ngx_str_t *name)
{
    const ngx_http_eventsession_filter_t  *filter;

    filter = &sub->filter;

    if (filter->by_type && type != filter->type) {
        return 0;
    }

    if (filter->by_sid
        && (sid->len != filter->sid.len
            || ngx_memcmp(sid->data, filter->sid.data, sid->len) != 0))
    {
        return 0;
    }

    /* sessions' starts and ends have no name, not even an empty one */

    if (filter->by_name
        && (type != EVS_ENTRY_EVENT
            || name->len != filter->name.len
            || ngx_memcmp(name->data, filter->name.data, name->len) != 0))
    {
        return 0;
    }

    return 1;
}


static void
ngx_http_eventsession_subscriber_gap(void *data)
{
    ngx_http_eventsession_subscriber_t  *sub = data;

    if (ngx_http_eventsession_chunk_gap(&sub->text, sub->hub->seed, NULL)
        != NGX_OK)
    {
        sub->failed = 1;
    }
}


static void
ngx_http_eventsession_subscriber_again(void *data)
{
    ngx_http_eventsession_subscriber_t  *sub = data;

    ngx_http_eventsession_chunk_free(sub->text);

    sub->text = NULL;
    sub->failed = 0;
}


static void
ngx_http_eventsession_subscriber_page(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_eventsession_subscriber_t  *sub = data;

    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = sub->placed
         ? ngx_http_eventsession_subscriber_paged(sub, rc)
         : ngx_http_eventsession_subscriber_topped(sub, rc, failure);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_subscriber_paged(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc)
{
    evs_place_t                    *place;
    ngx_http_eventsession_chunk_t  *text;

    if (sub->failed) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN || rc == NGX_ERROR) {

        /* Redis will answer some day, and its room has told the log */

        ngx_http_eventsession_subscriber_again(sub);

        return ngx_http_eventsession_subscriber_pause(sub,
                                      NGX_HTTP_EVENTSESSION_SUBSCRIBER_LATER);
    }

    sub->more = (rc == NGX_OK);

    text = sub->text;
    sub->text = NULL;

    if (sub->replay.moved) {
        place = &sub->replay.cursor.place;

        sub->place = *place;
        sub->told = (text != NULL
                     && sub->written.index == place->index
                     && evs_stream_id_cmp(&sub->written.entry, &place->entry)
                        == 0);
    }

    if (text != NULL) {
        ngx_http_eventsession_subscriber_queue(sub, text);
    }

    return ngx_http_eventsession_subscriber_run(sub);
}


/* The end of the stream is known: the client begins there. */

static ngx_int_t
ngx_http_eventsession_subscriber_topped(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc,
    const char *failure)
{
    ngx_http_eventsession_chunk_t  *chunk;

    if (rc == NGX_ERROR && !sub->header_sent) {
        ngx_http_eventsession_subscriber_leave(sub);

        return ngx_http_eventsession_problem(sub->request,
                   NGX_HTTP_SERVICE_UNAVAILABLE,
                   "the feed can't be read: %s, try again later", failure);
    }

    if (rc == NGX_OK || rc == NGX_DONE) {
        sub->placed = 1;
        sub->place = sub->replay.cursor.place;
    }

    if (!sub->header_sent) {
        rc = ngx_http_eventsession_subscriber_open(sub);

        return (rc == NGX_DONE) ? ngx_http_eventsession_subscriber_run(sub)
                                : rc;
    }

    if (!sub->placed) {
        return ngx_http_eventsession_subscriber_pause(sub,
                                      NGX_HTTP_EVENTSESSION_SUBSCRIBER_LATER);
    }

    chunk = NULL;
    sub->told = 1;
    sub->more = 0;

    if (ngx_http_eventsession_chunk_place(&chunk, sub->hub->seed, &sub->place)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_eventsession_subscriber_queue(sub, chunk);

    return ngx_http_eventsession_subscriber_run(sub);
}


void
ngx_http_eventsession_subscriber_take(ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (chunk == NULL
        || ngx_http_eventsession_subscriber_offer(sub, chunk) == NGX_ERROR)
    {
        ngx_http_finalize_request(r, NGX_ERROR);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_subscriber_offer(
    ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk)
{
    size_t                        skip;
    ngx_uint_t                    first;
    ngx_http_eventsession_hub_t  *hub;

    hub = sub->hub;
    first = ngx_http_eventsession_subscriber_first(sub);

    if (first == hub->nevents) {
        return NGX_OK;
    }

    if (sub->filtered) {
        return ngx_http_eventsession_subscriber_some(sub, chunk, first);
    }

    if (ngx_http_eventsession_subscriber_slow(sub)) {
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

    return ngx_http_eventsession_subscriber_blocked(sub)
           ? NGX_OK : ngx_http_eventsession_subscriber_flush(sub);
}


/* The first event of the hub's that lies behind the subscriber's cursor. */

static ngx_uint_t
ngx_http_eventsession_subscriber_first(
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
ngx_http_eventsession_subscriber_some(ngx_http_eventsession_subscriber_t *sub,
    ngx_http_eventsession_chunk_t *chunk, ngx_uint_t first)
{
    size_t                              size;
    ngx_http_eventsession_hub_t        *hub;
    ngx_http_eventsession_hub_event_t  *last;

    hub = sub->hub;
    last = &hub->events[hub->nevents - 1];

    size = ngx_http_eventsession_subscriber_pick(sub, chunk, first, NULL);

    if (size != 0) {

        if (ngx_http_eventsession_subscriber_slow(sub)
            || ngx_http_eventsession_subscriber_room(sub, size) != NGX_OK)
        {
            return NGX_ERROR;
        }

        (void) ngx_http_eventsession_subscriber_pick(sub, chunk, first,
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

    return (size == 0 || ngx_http_eventsession_subscriber_blocked(sub))
           ? NGX_OK : ngx_http_eventsession_subscriber_flush(sub);
}


/* The text of what it wants: its size, and, unless p is NULL, a copy there. */

static size_t
ngx_http_eventsession_subscriber_pick(ngx_http_eventsession_subscriber_t *sub,
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

            if (!ngx_http_eventsession_subscriber_wants(sub, event->type,
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
        }
    }

    return size;
}


/* Room for size bytes at the end of what waits, in a chunk of its own. */

static ngx_int_t
ngx_http_eventsession_subscriber_room(ngx_http_eventsession_subscriber_t *sub,
    size_t size)
{
    ngx_http_eventsession_chunk_t  *chunk;

    if (sub->chunk != NULL
        && (size_t) (sub->tail->end - sub->tail->last) >= size)
    {
        return NGX_OK;
    }

    size = ngx_max(size, NGX_HTTP_EVENTSESSION_SUBSCRIBER_CHUNK);

    chunk = ngx_http_eventsession_chunk_create(size);
    if (chunk == NULL) {
        return NGX_ERROR;
    }

    ngx_http_eventsession_subscriber_queue(sub, chunk);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_eventsession_subscriber_slow(ngx_http_eventsession_subscriber_t *sub)
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
    return 1;
}


/* Text of its own behind what waits, which is its own, too. */

static void
ngx_http_eventsession_subscriber_queue(
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

static ngx_uint_t
ngx_http_eventsession_subscriber_blocked(
    const ngx_http_eventsession_subscriber_t *sub)
{
    return sub->busy != NULL || sub->request->connection->buffered;
}


/* NGX_OK: the client has taken everything; NGX_AGAIN: it will; NGX_ERROR. */

static ngx_int_t
ngx_http_eventsession_subscriber_flush(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = sub->request;
    wev = r->connection->write;

    while (!ngx_http_eventsession_subscriber_blocked(sub)) {

        if (sub->chunk == NULL) {

            /* the timer of limit_rate stays: it alone ends the delay */

            if (wev->timer_set && !wev->delayed) {
                ngx_del_timer(wev);
            }

            r->write_event_handler = ngx_http_request_empty_handler;

            return NGX_OK;
        }

        if (ngx_http_eventsession_subscriber_pass(sub) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_eventsession_subscriber_wait(sub);
}


/* Gives the first of what waits, which there is, to the filters. */

static ngx_int_t
ngx_http_eventsession_subscriber_pass(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t                       rc;
    ngx_buf_t                      *b;
    ngx_uint_t                      n;
    ngx_chain_t                    *cl, **ll;
    ngx_http_eventsession_chunk_t  *chunk;

    n = 0;
    ll = &sub->busy;

    do {
        cl = ngx_http_eventsession_subscriber_buf(sub);
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

        ((ngx_http_eventsession_subscriber_buf_t *) (void *) b)->chunk = chunk;

        sub->pending -= (size_t) (b->last - b->pos);
        sub->chunk = chunk->next;
        sub->offset = 0;

        if (sub->chunk != NULL) {
            sub->chunk->refs++;
        }

        *ll = cl;
        ll = &cl->next;
        n++;

    } while (sub->chunk != NULL && n < NGX_HTTP_EVENTSESSION_SUBSCRIBER_BUFS);

    b->flush = 1;

    rc = ngx_http_output_filter(sub->request, sub->busy);

    ngx_http_eventsession_subscriber_update(sub);

    sub->sent_at = ngx_current_msec;

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static ngx_chain_t *
ngx_http_eventsession_subscriber_buf(ngx_http_eventsession_subscriber_t *sub)
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
                             sizeof(ngx_http_eventsession_subscriber_buf_t));
        if (cl->buf == NULL) {
            return NULL;
        }
    }

    ngx_memzero(cl->buf, sizeof(ngx_http_eventsession_subscriber_buf_t));

    cl->buf->tag = (ngx_buf_tag_t) &ngx_http_eventsession_module;
    cl->next = NULL;

    return cl;
}


/* Lets go of what has been sent. */

static void
ngx_http_eventsession_subscriber_update(
    ngx_http_eventsession_subscriber_t *sub)
{
    ngx_chain_t                             *cl;
    ngx_http_eventsession_subscriber_buf_t  *b;

    while (sub->busy != NULL && ngx_buf_size(sub->busy->buf) == 0) {
        cl = sub->busy;
        sub->busy = cl->next;

        b = (ngx_http_eventsession_subscriber_buf_t *) (void *) cl->buf;
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
ngx_http_eventsession_subscriber_wait(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = sub->request;
    wev = r->connection->write;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = ngx_http_eventsession_subscriber_writer;

    if (!wev->delayed && !wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static void
ngx_http_eventsession_subscriber_writer(ngx_http_request_t *r)
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

    ngx_http_eventsession_subscriber_update(sub);

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
