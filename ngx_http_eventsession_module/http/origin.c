
/*
 * Origins: patterns from the configuration, and the comparison with Host.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/header.h"
#include "http/origin.h"


typedef struct {
    ngx_str_t          before;    /* the "*", or all of it */
    ngx_str_t          behind;
    unsigned           any:1;     /* "*" alone */
    unsigned           wildcard:1;
#if (NGX_PCRE)
    ngx_regex_t       *regex;
#endif
} ngx_http_eventsession_origin_t;


static ngx_int_t ngx_http_eventsession_origin_pattern(ngx_conf_t *cf,
    ngx_http_eventsession_origin_t *pattern, ngx_str_t *value);
static ngx_uint_t ngx_http_eventsession_origin_valid(const ngx_str_t *value);
static ngx_int_t ngx_http_eventsession_origin_regex(ngx_conf_t *cf,
    ngx_http_eventsession_origin_t *pattern, ngx_str_t *value);
static ngx_uint_t ngx_http_eventsession_origin_wildcard(
    const ngx_http_eventsession_origin_t *pattern, const ngx_str_t *origin);
static ngx_str_t ngx_http_eventsession_origin_port(ngx_str_t *host);


ngx_array_t *
ngx_http_eventsession_origins(ngx_conf_t *cf, ngx_str_t *args,
    ngx_uint_t nargs)
{
    ngx_uint_t                       i;
    ngx_array_t                     *patterns;
    ngx_http_eventsession_origin_t  *pattern;

    patterns = ngx_array_create(cf->pool, nargs,
                                sizeof(ngx_http_eventsession_origin_t));
    if (patterns == NULL) {
        return NULL;
    }

    if (nargs == 1 && args[0].len == 3
        && ngx_strncmp(args[0].data, "off", 3) == 0)
    {
        return patterns;
    }

    for (i = 0; i < nargs; i++) {

        pattern = ngx_array_push(patterns);
        if (pattern == NULL) {
            return NULL;
        }

        if (ngx_http_eventsession_origin_pattern(cf, pattern, &args[i])
            != NGX_OK)
        {
            return NULL;
        }
    }

    return patterns;
}


static ngx_int_t
ngx_http_eventsession_origin_pattern(ngx_conf_t *cf,
    ngx_http_eventsession_origin_t *pattern, ngx_str_t *value)
{
    u_char  *star, *last;

    ngx_memzero(pattern, sizeof(ngx_http_eventsession_origin_t));

    if (value->len != 0 && value->data[0] == '~') {
        return ngx_http_eventsession_origin_regex(cf, pattern, value);
    }

    if (value->len == 1 && value->data[0] == '*') {
        pattern->any = 1;
        return NGX_OK;
    }

    if (!ngx_http_eventsession_origin_valid(value)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid origin \"%V\": must be \"*\", "
                           "\"off\", <scheme>://<host>[:<port>] with at most "
                           "one \"*\" in its host, or \"~\" and a regular "
                           "expression", value);
        return NGX_ERROR;
    }

    last = value->data + value->len;
    star = ngx_strlchr(value->data, last, '*');

    if (star == NULL) {
        pattern->before = *value;
        return NGX_OK;
    }

    if (ngx_strlchr(star + 1, last, '*') != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid origin \"%V\": it has more than one \"*\"",
                           value);
        return NGX_ERROR;
    }

    pattern->wildcard = 1;
    pattern->before.data = value->data;
    pattern->before.len = (size_t) (star - value->data);
    pattern->behind.data = star + 1;
    pattern->behind.len = (size_t) (last - star - 1);

    return NGX_OK;
}


/* What can be an origin (RFC 6454): a scheme and a host, and no path. */

static ngx_uint_t
ngx_http_eventsession_origin_valid(const ngx_str_t *value)
{
    u_char  c, *p, *last;

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {
        c = *p | 0x20;

        if (!(c >= 'a' && c <= 'z') && !(*p >= '0' && *p <= '9')
            && *p != '+' && *p != '-' && *p != '.')
        {
            break;
        }
    }

    if (p == value->data || last - p < 4 || ngx_strncmp(p, "://", 3) != 0) {
        return 0;
    }

    for (p += 3; p < last; p++) {

        if (*p <= ' ' || *p >= 0x7f || *p == '/' || *p == '?' || *p == '#'
            || *p == '@')
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_eventsession_origin_regex(ngx_conf_t *cf,
    ngx_http_eventsession_origin_t *pattern, ngx_str_t *value)
{
#if (NGX_PCRE)
    u_char               errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t  rc;

    if (value->len == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid origin \"%V\": it has no regular "
                           "expression, use \"*\" to allow all", value);
        return NGX_ERROR;
    }

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern.data = value->data + 1;
    rc.pattern.len = value->len - 1;
    rc.pool = cf->pool;
    rc.options = NGX_REGEX_CASELESS;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid origin \"%V\": %V", value, &rc.err);
        return NGX_ERROR;
    }

    pattern->regex = rc.regex;

    return NGX_OK;
#else
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "origin \"%V\" needs nginx to be built with PCRE",
                       value);
    return NGX_ERROR;
#endif
}


ngx_uint_t
ngx_http_eventsession_origin_match(ngx_http_request_t *r,
    const ngx_array_t *patterns, ngx_str_t *origin)
{
    ngx_uint_t                             i;
    const ngx_http_eventsession_origin_t  *pattern;

    if (patterns == NULL) {
        return 0;
    }

    pattern = patterns->elts;

    for (i = 0; i < patterns->nelts; i++) {

        if (pattern[i].any) {
            return 1;
        }

#if (NGX_PCRE)
        if (pattern[i].regex != NULL) {
            if (ngx_regex_exec(pattern[i].regex, origin, NULL, 0) >= 0) {
                return 1;
            }

            continue;
        }
#endif

        if (ngx_http_eventsession_origin_wildcard(&pattern[i], origin)) {
            return 1;
        }
    }

    return 0;
}


/* The "*" stands for one or more characters of a host name. */

static ngx_uint_t
ngx_http_eventsession_origin_wildcard(
    const ngx_http_eventsession_origin_t *pattern, const ngx_str_t *origin)
{
    size_t   len;
    u_char  *p, *last;

    len = pattern->before.len + pattern->behind.len;

    if (!pattern->wildcard) {
        return origin->len == len
               && ngx_strncasecmp(origin->data, pattern->before.data, len)
                  == 0;
    }

    if (origin->len <= len
        || ngx_strncasecmp(origin->data, pattern->before.data,
                           pattern->before.len)
           != 0)
    {
        return 0;
    }

    p = origin->data + pattern->before.len;
    last = origin->data + origin->len - pattern->behind.len;

    if (ngx_strncasecmp(last, pattern->behind.data, pattern->behind.len)
        != 0)
    {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p == '/' || *p == ':' || *p == '@') {
            return 0;
        }
    }

    return 1;
}


ngx_str_t *
ngx_http_eventsession_origin(ngx_http_request_t *r)
{
    return ngx_http_eventsession_header_in(r, "origin");
}


/*
 * The scheme is left alone: behind a proxy that ends TLS it says nothing.  It
 * does give the port that an origin or a Host without one means.
 */

ngx_uint_t
ngx_http_eventsession_origin_same(ngx_http_request_t *r,
    const ngx_str_t *origin)
{
    u_char     *p, *last;
    ngx_str_t   host, own, port, own_port, implied;

    if (r->headers_in.host == NULL) {
        return 0;
    }

    last = origin->data + origin->len;
    p = ngx_strlcasestrn(origin->data, last, (u_char *) "://", 3 - 1);

    if (p == NULL) {
        return 0;
    }

    host.data = p + 3;
    host.len = (size_t) (last - host.data);

    if (p - origin->data == 5
        && ngx_strncasecmp(origin->data, (u_char *) "https", 5) == 0)
    {
        ngx_str_set(&implied, "443");

    } else {
        ngx_str_set(&implied, "80");
    }

    own = r->headers_in.host->value;

    port = ngx_http_eventsession_origin_port(&host);
    own_port = ngx_http_eventsession_origin_port(&own);

    if (port.len == 0) {
        port = implied;
    }

    if (own_port.len == 0) {
        own_port = implied;
    }

    return host.len == own.len && port.len == own_port.len
           && ngx_strncasecmp(host.data, own.data, own.len) == 0
           && ngx_strncmp(port.data, own_port.data, port.len) == 0;
}


/* Cuts the port off; an IPv6 address stands in brackets. */

static ngx_str_t
ngx_http_eventsession_origin_port(ngx_str_t *host)
{
    u_char     *p;
    ngx_str_t   port;

    ngx_str_null(&port);

    for (p = host->data + host->len; p > host->data; p--) {

        if (p[-1] == ']') {
            break;
        }

        if (p[-1] == ':') {
            port.data = p;
            port.len = (size_t) (host->data + host->len - p);
            host->len = (size_t) (p - 1 - host->data);
            break;
        }
    }

    return port;
}
