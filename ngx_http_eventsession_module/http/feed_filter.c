
/*
 * The filter of a client of the feed: see feed_filter.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "http/account.h"
#include "http/feed_filter.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "proto/utf8.h"


static ngx_int_t ngx_http_eventsession_filter_sid(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);
static ngx_int_t ngx_http_eventsession_filter_type(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);
static ngx_int_t ngx_http_eventsession_filter_name(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);
static ngx_int_t ngx_http_eventsession_filter_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);


ngx_int_t
ngx_http_eventsession_filter_arguments(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_filter_sid(r, filter);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_filter_type(r, filter);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_eventsession_filter_name(r, filter);
    }

    return rc;
}


static ngx_int_t
ngx_http_eventsession_filter_sid(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter)
{
    ngx_int_t                          rc;
    ngx_str_t                          value;
    ngx_http_eventsession_loc_conf_t  *elcf;

    rc = ngx_http_eventsession_filter_argument(r, "sessionId", &value);

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

    ngx_http_eventsession_account_session(r, &filter->sid);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_eventsession_filter_type(ngx_http_request_t *r,
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

    rc = ngx_http_eventsession_filter_argument(r, "type", &value);

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
ngx_http_eventsession_filter_name(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter)
{
    u_char      *name;
    ngx_int_t    rc;
    ngx_str_t    value;
    evs_utf8_t   state;

    rc = ngx_http_eventsession_filter_argument(r, "name", &value);

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
ngx_http_eventsession_filter_argument(ngx_http_request_t *r, const char *name,
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
