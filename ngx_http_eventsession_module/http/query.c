
/*
 * Arguments and links of replies in pages: see query.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "event/time.h"
#include "http/header.h"
#include "http/query.h"
#include "http/reply.h"


#define NGX_HTTP_EVENTSESSION_LIMIT_MAX  1000000

#define NGX_HTTP_EVENTSESSION_DATE_LEN   (sizeof("2021-06-23") - 1)


static ngx_int_t ngx_http_eventsession_query_time(ngx_http_request_t *r,
    const char *name, int64_t *us);
static ngx_int_t ngx_http_eventsession_query_limit(ngx_http_request_t *r,
    evs_range_t *range);
static ngx_str_t ngx_http_eventsession_query_link_path(ngx_http_request_t *r);
static u_char *ngx_http_eventsession_query_link_argument(ngx_http_request_t *r,
    u_char *p, const char *name);


ngx_int_t
ngx_http_eventsession_query_range(ngx_http_request_t *r, evs_range_t *range)
{
    ngx_int_t  rc;

    static const char  *time_detail =
        "%s must be a number of seconds, milliseconds, microseconds or "
        "nanoseconds since the epoch, or an RFC 3339 date-time";

    rc = ngx_http_eventsession_query_time(r, "from", &range->from);
    if (rc == NGX_ERROR) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             time_detail, "from");
    }

    range->has_from = (rc == NGX_OK);

    rc = ngx_http_eventsession_query_time(r, "to", &range->to);
    if (rc == NGX_ERROR) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                             time_detail, "to");
    }

    range->has_to = (rc == NGX_OK);

    return ngx_http_eventsession_query_page(r, range);
}


ngx_int_t
ngx_http_eventsession_query_page(ngx_http_request_t *r, evs_range_t *range)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_eventsession_query_argument(r, "after", &value);

    if (rc == NGX_ERROR
        || (rc == NGX_OK
            && evs_cursor_parse(&range->after, &value) != NGX_OK))
    {
        return ngx_http_eventsession_query_bad_after(r);
    }

    range->has_after = (rc == NGX_OK);

    return ngx_http_eventsession_query_limit(r, range);
}


ngx_int_t
ngx_http_eventsession_query_bad_after(ngx_http_request_t *r)
{
    return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                    "after must be taken from the Link header of a reply");
}


static ngx_int_t
ngx_http_eventsession_query_limit(ngx_http_request_t *r, evs_range_t *range)
{
    ngx_int_t  rc, n;
    ngx_str_t  value;

    rc = ngx_http_eventsession_query_argument(r, "limit", &value);

    if (rc == NGX_DECLINED) {
        range->want = 0;
        return NGX_DECLINED;
    }

    n = (rc == NGX_OK) ? ngx_atoi(value.data, value.len) : NGX_ERROR;

    if (n < 1 || n > NGX_HTTP_EVENTSESSION_LIMIT_MAX) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                 "limit must be an integer from 1 to %d",
                                 NGX_HTTP_EVENTSESSION_LIMIT_MAX);
    }

    range->want = (ngx_uint_t) n;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_eventsession_query_argument(ngx_http_request_t *r,
    const char *name, ngx_str_t *value)
{
    u_char     *src, *dst;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    dst = ngx_pnalloc(r->pool, raw.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;
    src = raw.data;

    ngx_unescape_uri(&dst, &src, raw.len, 0);

    value->len = (size_t) (dst - value->data);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_query_form(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char     *p, *last, *dst;
    ngx_int_t   byte;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    dst = ngx_pnalloc(r->pool, raw.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;
    last = raw.data + raw.len;

    for (p = raw.data; p < last; p++) {

        if (*p == '%' && last - p > 2) {
            byte = ngx_hextoi(p + 1, 2);

            if (byte != NGX_ERROR) {
                *dst++ = (u_char) byte;
                p += 2;
                continue;
            }
        }

        *dst++ = (*p == '+') ? ' ' : *p;
    }

    value->len = (size_t) (dst - value->data);

    return NGX_OK;
}


/* NGX_OK; NGX_DECLINED: not there; NGX_ERROR: not a timestamp. */

static ngx_int_t
ngx_http_eventsession_query_time(ngx_http_request_t *r, const char *name,
    int64_t *us)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    evs_json_t         json;
    evs_json_value_t   value;

    rc = ngx_http_eventsession_query_argument(r, name, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the space behind a date, as forms write it; others are of an offset */

    if (text.len > NGX_HTTP_EVENTSESSION_DATE_LEN
        && text.data[NGX_HTTP_EVENTSESSION_DATE_LEN] == '+')
    {
        text.data[NGX_HTTP_EVENTSESSION_DATE_LEN] = ' ';
    }

    if (evs_time_string(text.data, text.len, us) == NGX_OK) {
        return NGX_OK;
    }

    /* a number, and nothing but a number, as JSON writes it */

    if (text.len == 0 || text.data[0] < '0' || text.data[0] > '9') {
        return NGX_ERROR;
    }

    evs_json_init(&json, text.data, text.len, NULL);

    if (evs_json_value(&json, &value) != NGX_OK
        || value.type != EVS_JSON_NUMBER
        || value.last != text.data + text.len
        || evs_time_number(text.data, text.len, us) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_query_link(ngx_http_request_t *r,
    const char *const *names, const evs_cursor_t *cursor)
{
    u_char     *p;
    ngx_str_t   path, value;

    path = ngx_http_eventsession_query_link_path(r);

    /* an argument is at most three times as long, with its & */

    p = ngx_pnalloc(r->pool, sizeof("<?&>; rel=\"next\"") + path.len
                    + 3 * r->args.len + EVS_CURSOR_MAX + sizeof("after="));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    *p++ = '<';
    p = ngx_cpymem(p, path.data, path.len);
    *p++ = '?';

    for ( /* void */ ; *names != NULL; names++) {
        p = ngx_http_eventsession_query_link_argument(r, p, *names);
    }

    p = ngx_cpymem(p, "after=", 6);
    p = evs_cursor_write(p, cursor);
    p = ngx_cpymem(p, ">; rel=\"next\"", 13);

    value.len = (size_t) (p - value.data);

    return ngx_http_eventsession_header_out(r, "Link", &value);
}


/*
 * The path that the client asked for, which rewrites may have changed since.
 * Where it can't stand in a Link, it is left out: relative to the same path.
 */

static ngx_str_t
ngx_http_eventsession_query_link_path(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t   path;

    path = r->unparsed_uri;
    last = path.data + path.len;

    for (p = path.data; p < last && *p != '?' && *p != '#'; p++) {

        if (*p == '<' || *p == '>' || *p == '"'
            || (*p == '/' && p == path.data + 1))
        {
            ngx_str_null(&path);
            return path;
        }
    }

    path.len = (size_t) (p - path.data);

    return path;
}


/*
 * "<name>=<value>&", if the request has it: as it came, but for what is no
 * character of a URI.
 */

static u_char *
ngx_http_eventsession_query_link_argument(ngx_http_request_t *r, u_char *p,
    const char *name)
{
    size_t      i;
    u_char      c;
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value)
        != NGX_OK)
    {
        return p;
    }

    p = ngx_sprintf(p, "%s=", name);

    for (i = 0; i < value.len; i++) {
        c = value.data[i];

        if (c > ' ' && c < 0x7f && ngx_strchr("<>\"\\^`{|}", c) == NULL) {
            *p++ = c;

        } else {
            p = ngx_sprintf(p, "%%%02XD", (uint32_t) c);
        }
    }

    *p++ = '&';

    return p;
}
