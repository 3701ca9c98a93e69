
/*
 * The live feed as an endpoint: what a client asks for.  Its arguments are
 *
 *     lastEventId    where to go on, unless the header Last-Event-ID says so
 *     sessionId, type, name    what to show, if not everything: see
 *                    feed_filter.h
 *
 * The rest is its subscriber's, see feed_subscriber.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed.h"
#include "http/feed_filter.h"
#include "http/feed_greet.h"
#include "http/feed_subscriber.h"
#include "http/header.h"
#include "http/query.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


static ngx_int_t ngx_http_eventsession_feed_place(ngx_http_request_t *r,
    ngx_http_eventsession_subscriber_t *sub);


ngx_int_t
ngx_http_eventsession_feed_handler(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    ngx_http_eventsession_subscriber_t  *sub;

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "eventsession: a subrequest can't have the feed, which "
                      "doesn't end");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    sub = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_subscriber_t));
    if (sub == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sub->request = r;

    rc = ngx_http_eventsession_feed_place(r, sub);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_filter_arguments(r, &sub->filter);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return (r->method == NGX_HTTP_HEAD)
           ? ngx_http_eventsession_greet_header(r)
           : ngx_http_eventsession_subscriber_begin(sub);
}


/*
 * NGX_DECLINED: it is right, or there is none; otherwise a reply has been
 * made.
 *
 * A browser that connects again does so with the URL that it was given first,
 * and says in the header how far it is now.
 */

static ngx_int_t
ngx_http_eventsession_feed_place(ngx_http_request_t *r,
    ngx_http_eventsession_subscriber_t *sub)
{
    u_char                             buf[EVS_STORE_KEY_MAX];
    ngx_int_t                          rc;
    ngx_str_t                         *header, value, key;
    ngx_http_eventsession_loc_conf_t  *elcf;

    header = ngx_http_eventsession_header_in(r, "last-event-id");

    if (header != NULL && header->len != 0) {
        value = *header;

    } else {
        rc = ngx_http_eventsession_query_argument(r, "lastEventId", &value);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc == NGX_DECLINED || value.len == 0) {
            return NGX_DECLINED;
        }
    }

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    key.data = buf;
    key.len = (size_t) (evs_store_feed_key(buf, &elcf->store) - buf);

    if (evs_place_parse(&sub->place, evs_place_seed(&key), &value) != NGX_OK) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                      "the last event id must be the id of an event of this "
                      "feed, as it was given: %V", &value);
    }

    sub->placed = 1;

    return NGX_DECLINED;
}
