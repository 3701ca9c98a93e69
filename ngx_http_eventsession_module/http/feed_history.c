
/*
 * The history of a client of the feed: see feed_history.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_chunk.h"
#include "http/feed_greet.h"
#include "http/feed_history.h"
#include "http/feed_output.h"
#include "http/reply.h"
#include "stats/stats.h"


/*
 * bytes of text: when there is as much a page of history ends, with the entry;
 * within it, when it is long
 */
#define NGX_HTTP_EVENTSESSION_HISTORY_TEXT   131072
#define NGX_HTTP_EVENTSESSION_HISTORY_MOST   1048576

/* ms before Redis is asked again, when it has refused */
#define NGX_HTTP_EVENTSESSION_HISTORY_LATER  1000


static ngx_int_t ngx_http_eventsession_history_event(void *data,
    const evs_stream_id_t *entry, const evs_feed_event_t *event);
static void ngx_http_eventsession_history_gap(void *data);
static void ngx_http_eventsession_history_again(void *data);
static void ngx_http_eventsession_history_page(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_history_paged(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_history_topped(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc,
    const char *failure);


const evs_replay_handlers_t  ngx_http_eventsession_history_handlers = {
    ngx_http_eventsession_history_event,
    ngx_http_eventsession_history_gap,
    ngx_http_eventsession_history_again,
    ngx_http_eventsession_history_page
};


static ngx_int_t
ngx_http_eventsession_history_event(void *data,
    const evs_stream_id_t *entry, const evs_feed_event_t *event)
{
    size_t                               len;
    ngx_http_eventsession_subscriber_t  *sub = data;

    if (sub->failed) {
        return NGX_DECLINED;
    }

    if (ngx_http_eventsession_filter_is_set(&sub->filter)
        && !ngx_http_eventsession_filter_wants(&sub->filter,
                                               event->member.type, &event->sid,
                                               &event->member.name))
    {
        return NGX_OK;
    }

    len = sub->text ? ngx_http_eventsession_chunk_len(sub->text) : 0;

    /* an entry that doesn't fit is read again, and again, if it is long */

    if (len > NGX_HTTP_EVENTSESSION_HISTORY_MOST
        || (len > NGX_HTTP_EVENTSESSION_HISTORY_TEXT && event->index == 0))
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

    sub->nevents++;
    sub->written.entry = *entry;
    sub->written.index = event->index;

    return NGX_OK;
}


static void
ngx_http_eventsession_history_gap(void *data)
{
    ngx_http_eventsession_subscriber_t  *sub = data;

    if (ngx_http_eventsession_chunk_gap(&sub->text, sub->hub->seed, NULL)
        != NGX_OK)
    {
        sub->failed = 1;
    }

    sub->ngaps++;
}


static void
ngx_http_eventsession_history_again(void *data)
{
    ngx_http_eventsession_subscriber_t  *sub = data;

    ngx_http_eventsession_chunk_free(sub->text);

    sub->text = NULL;
    sub->nevents = 0;
    sub->ngaps = 0;
    sub->failed = 0;
}


static void
ngx_http_eventsession_history_page(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_eventsession_subscriber_t  *sub = data;

    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = sub->placed
         ? ngx_http_eventsession_history_paged(sub, rc)
         : ngx_http_eventsession_history_topped(sub, rc, failure);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_history_paged(
    ngx_http_eventsession_subscriber_t *sub, ngx_int_t rc)
{
    evs_place_t                    *place;
    ngx_http_eventsession_chunk_t  *text;

    if (sub->failed) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN || rc == NGX_ERROR) {

        /* Redis will answer some day, and its room has told the log */

        ngx_http_eventsession_history_again(sub);

        return ngx_http_eventsession_subscriber_pause(sub,
                                      NGX_HTTP_EVENTSESSION_HISTORY_LATER);
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

    evs_stats_add(EVS_STATS_FEED_EVENTS, sub->nevents);
    evs_stats_add(EVS_STATS_FEED_GAPS, sub->ngaps);

    sub->nevents = 0;
    sub->ngaps = 0;

    return ngx_http_eventsession_subscriber_run(sub);
}


/* The end of the stream is known: the client begins there. */

static ngx_int_t
ngx_http_eventsession_history_topped(
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
        rc = ngx_http_eventsession_greet_open(sub);

        return (rc == NGX_DONE) ? ngx_http_eventsession_subscriber_run(sub)
                                : rc;
    }

    if (!sub->placed) {
        return ngx_http_eventsession_subscriber_pause(sub,
                                      NGX_HTTP_EVENTSESSION_HISTORY_LATER);
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
