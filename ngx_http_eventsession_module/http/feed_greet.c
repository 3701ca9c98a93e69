
/*
 * The words around the events of a feed: see feed_greet.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_greet.h"
#include "http/feed_output.h"
#include "http/header.h"
#include "ngx_http_eventsession_module.h"


static ngx_int_t ngx_http_eventsession_greet_ping(
    ngx_http_eventsession_subscriber_t *sub);


ngx_int_t
ngx_http_eventsession_greet_open(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t                          rc;
    ngx_http_request_t                *r;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = sub->request;

    rc = ngx_http_eventsession_greet(sub);

    if (rc != NGX_OK) {
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


ngx_int_t
ngx_http_eventsession_greet(ngx_http_eventsession_subscriber_t *sub)
{
    ngx_int_t                       rc;
    uint32_t                        seed;
    evs_place_t                    *place;
    ngx_http_request_t             *r;
    ngx_http_eventsession_chunk_t  *chunk;

    r = sub->request;

    sub->header_sent = 1;

    rc = ngx_http_eventsession_greet_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (r->filter_finalize) {

        /* a precondition: the client has not taken all of its page yet */

        ngx_http_eventsession_subscriber_leave(sub);

        return NGX_AGAIN;
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
ngx_http_eventsession_greet_header(ngx_http_request_t *r)
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
ngx_http_eventsession_greet_ping_handler(ngx_event_t *ev)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_eventsession_subscriber_t  *sub;

    sub = ev->data;
    r = sub->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_http_eventsession_greet_ping(sub) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }

    ngx_http_run_posted_requests(c);
}


/*
 * Something for the client at least as often as feed_ping says; one that
 * doesn't take it is send_timeout's.
 */

static ngx_int_t
ngx_http_eventsession_greet_ping(ngx_http_eventsession_subscriber_t *sub)
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
