
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
#include "http/feed_greet.h"
#include "http/feed_history.h"
#include "http/feed_hub.h"
#include "http/feed_output.h"
#include "http/feed_subscriber.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


/* ms before Redis is asked again, when the hub is ahead, though nothing is
   there */
#define NGX_HTTP_EVENTSESSION_SUBSCRIBER_SOON   50

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
static ngx_int_t ngx_http_eventsession_subscriber_start(
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_subscriber_finish(
    ngx_http_eventsession_subscriber_t *sub);
static void ngx_http_eventsession_subscriber_pause_handler(ngx_event_t *ev);


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

    sub->ping.handler = ngx_http_eventsession_greet_ping_handler;
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
    sub->replay.handlers = &ngx_http_eventsession_history_handlers;
    sub->replay.data = sub;
    sub->replay.log = r->connection->log;
    sub->replay.key = hub->key;

    return NGX_OK;
}


void
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

    rc = ngx_http_eventsession_greet_open(sub);

    return (rc == NGX_DONE) ? ngx_http_eventsession_subscriber_run(sub) : rc;
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

        rc = ngx_http_eventsession_greet(sub);

        if (rc != NGX_OK) {
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


ngx_int_t
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
