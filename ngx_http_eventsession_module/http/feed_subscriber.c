
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
#include "http/feed_output.h"
#include "http/feed_subscriber.h"
#include "http/header.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


/*
 * bytes of text: when there is as much a page of history ends, with the entry;
 * within it, when it is long
 */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_TEXT   131072
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_MOST   1048576

/* ms before Redis is asked again: when the hub is ahead, though nothing is
   there; when it has refused */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_SOON   50
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_LATER  1000

/* ms that a header waits for the top, when Redis is away */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_AWAY   500

/* ms: for what is asked while a client has its header already */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_LONG   86400000


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

static ngx_int_t ngx_http_eventsession_subscriber_pause(
    ngx_http_eventsession_subscriber_t *sub, ngx_msec_t ms);
static void ngx_http_eventsession_subscriber_pause_handler(ngx_event_t *ev);
static void ngx_http_eventsession_subscriber_ping_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_eventsession_subscriber_ping(
    ngx_http_eventsession_subscriber_t *sub);

static ngx_int_t ngx_http_eventsession_subscriber_event(void *data,
    const evs_stream_id_t *entry, const evs_feed_event_t *event);
static void ngx_http_eventsession_subscriber_gap(void *data);
static void ngx_http_eventsession_subscriber_again(void *data);
static void ngx_http_eventsession_subscriber_page(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_subscriber_paged(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_subscriber_topped(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc,
    const char *failure);


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
    ngx_http_eventsession_subscriber_t  *sub = data;

    ngx_http_eventsession_chunk_free(sub->text);
    ngx_http_eventsession_output_free(sub);
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
    ngx_int_t   rc;
    ngx_msec_t  timeout;

    if (!sub->placed) {
        timeout = sub->replay.conf->timeout;

        /* it is away, or a new worker has not had the time to greet it */

        if (evs_redis_down(sub->replay.node) != NULL) {
            timeout = ngx_min(timeout, NGX_HTTP_EVENTSESSION_SUBSCRIBER_AWAY);
        }

        sub->generation = sub->hub->generation;

        return (evs_replay_top(&sub->replay, timeout) == NGX_OK)
               ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sub->replay.cursor.place = sub->place;
    sub->told = 1;
    sub->more = 1;

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

    ngx_http_eventsession_output_queue(sub, chunk);

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

        if (ngx_http_eventsession_output_pass(sub) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_send_special(sub->request, NGX_HTTP_LAST);
}


ngx_int_t
ngx_http_eventsession_subscriber_run(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_output_flush(sub);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN || sub->live || sub->pause.timer_set
        || sub->replay.cmd != NULL)
    {
        return NGX_DONE;
    }

    if (!sub->placed) {
        sub->generation = sub->hub->generation;

        rc = evs_replay_top(&sub->replay,
                            NGX_HTTP_EVENTSESSION_SUBSCRIBER_LONG);
        return (rc == NGX_OK) ? NGX_DONE : NGX_ERROR;
    }

    /* what was known of a stream's end is nothing worth for another one's */

    if (!sub->more && sub->generation == sub->hub->generation) {
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

    sub->generation = sub->hub->generation;

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

    if (sub->chunk != NULL || ngx_http_eventsession_output_blocked(sub)) {
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

    ngx_http_eventsession_output_queue(sub, chunk);

    return (ngx_http_eventsession_output_flush(sub) == NGX_ERROR)
           ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_subscriber_event(void *data,
    const evs_stream_id_t *entry, const evs_feed_event_t *event)
{
    size_t                               len;
    ngx_http_eventsession_subscriber_t  *sub = data;

    if (sub->failed) {
        return NGX_DECLINED;
    }

    if (sub->filtered
        && !ngx_http_eventsession_filter_wants(&sub->filter,
                                               event->member.type, &event->sid,
                                               &event->member.name))
    {
        return NGX_OK;
    }

    len = sub->text ? ngx_http_eventsession_chunk_len(sub->text) : 0;

    /* an entry that doesn't fit is read again, and again, if it is long */

    if (len > NGX_HTTP_EVENTSESSION_SUBSCRIBER_MOST
        || (len > NGX_HTTP_EVENTSESSION_SUBSCRIBER_TEXT && event->index == 0))
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


ngx_uint_t
ngx_http_eventsession_filter_wants(
    const ngx_http_eventsession_filter_t *filter, evs_entry_type_e type,
    const ngx_str_t *sid, const ngx_str_t *name)
{
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
        ngx_http_eventsession_output_queue(sub, text);
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

    ngx_http_eventsession_output_queue(sub, chunk);

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
        || ngx_http_eventsession_output_offer(sub, chunk) == NGX_ERROR)
    {
        ngx_http_finalize_request(r, NGX_ERROR);
    }

    ngx_http_run_posted_requests(c);
}
