
/*
 * The live feed as an endpoint: what a client asks for.  Its arguments are
 *
 *     lastEventId    where to go on, unless the header Last-Event-ID says so
 *     sessionId, type, name    what to show, if not everything
 *
 * The rest is its subscriber's, see feed_subscriber.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "http/feed.h"
#include "http/feed_subscriber.h"
#include "http/header.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "proto/utf8.h"


static ngx_int_t ngx_http_eventsession_feed_place(ngx_http_request_t *r,
    ngx_http_eventsession_subscriber_t *sub);
static ngx_int_t ngx_http_eventsession_feed_sid(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);
static ngx_int_t ngx_http_eventsession_feed_type(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);
static ngx_int_t ngx_http_eventsession_feed_name(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);
static ngx_int_t ngx_http_eventsession_feed_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);


ngx_int_t
ngx_http_eventsession_feed_handler(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    ngx_http_eventsession_filter_t      *filter;
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
    filter = &sub->filter;

    rc = ngx_http_eventsession_feed_place(r, sub);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_feed_sid(r, filter);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_feed_type(r, filter);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_feed_name(r, filter);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    sub->filtered = filter->by_sid || filter->by_type || filter->by_name;

    return (r->method == NGX_HTTP_HEAD)
           ? ngx_http_eventsession_subscriber_header(r)
           : ngx_http_eventsession_subscriber_begin(sub);
}


/*
 * NGX_DECLINED: it is right, or there is none; otherwise a reply has been
 * made.  The same of the following ones.
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
        rc = ngx_http_eventsession_feed_argument(r, "lastEventId", &value);

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


static ngx_int_t
ngx_http_eventsession_feed_sid(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter)
{
    ngx_int_t                          rc;
    ngx_str_t                          value;
    ngx_http_eventsession_loc_conf_t  *elcf;

    rc = ngx_http_eventsession_feed_argument(r, "sessionId", &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (evs_sid_parse(&filter->sid, elcf->sid_kind, value.data, value.len)
        != NGX_OK)
    {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
               (elcf->sid_kind == EVS_SID_UUID)
               ? "sessionId must be a UUID"
               : "sessionId must be 1 to 128 of the characters "
                 "A-Z a-z 0-9 . _ ~ -");
    }

    filter->by_sid = 1;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_eventsession_feed_type(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter)
{
    ngx_int_t   rc;
    ngx_str_t   value;
    ngx_uint_t  i;

    static const struct {
        ngx_str_t         name;
        evs_entry_type_e  type;
    } types[] = {
        { ngx_string("EVENT"), EVS_ENTRY_EVENT },
        { ngx_string("SESSION_START"), EVS_ENTRY_START },
        { ngx_string("SESSION_END"), EVS_ENTRY_END },
        { ngx_null_string, EVS_ENTRY_EVENT }
    };

    rc = ngx_http_eventsession_feed_argument(r, "type", &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; types[i].name.len; i++) {

        if (value.len == types[i].name.len
            && ngx_memcmp(value.data, types[i].name.data, value.len) == 0)
        {
            filter->by_type = 1;
            filter->type = types[i].type;

            return NGX_DECLINED;
        }
    }

    return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                          "type must be EVENT, SESSION_START or SESSION_END");
}


/* Names are stored as JSON writes them: the one that is looked for, too. */

static ngx_int_t
ngx_http_eventsession_feed_name(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter)
{
    u_char      *name;
    ngx_int_t    rc;
    ngx_str_t    value;
    evs_utf8_t   state;

    rc = ngx_http_eventsession_feed_argument(r, "name", &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    state = 0;

    if (evs_utf8_check(&state, value.data, value.data + value.len) != NGX_OK
        || state != 0)
    {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             "name must be UTF-8");
    }

    filter->name.len = evs_json_escape(NULL, value.data, value.len);

    name = ngx_pnalloc(r->pool, filter->name.len + 1);
    if (name == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) evs_json_escape(name, value.data, value.len);

    filter->name.data = name;
    filter->by_name = 1;

    return NGX_DECLINED;
}


/*
 * NGX_OK; NGX_DECLINED: not there; NGX_ERROR: no memory.  A plus is a space,
 * as forms and URLSearchParams write it.
 */

static ngx_int_t
ngx_http_eventsession_feed_argument(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char     *p, *src, *dst;
    size_t      i;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, 2 * raw.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < raw.len; i++) {
        p[i] = (raw.data[i] == '+') ? ' ' : raw.data[i];
    }

    src = p;
    dst = p + raw.len;
    value->data = dst;

    ngx_unescape_uri(&dst, &src, raw.len, 0);

    value->len = (size_t) (dst - value->data);

    return NGX_OK;
}
