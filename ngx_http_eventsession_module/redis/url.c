
/*
 * The URL of a Redis: see url.h.  Messages name what is wrong, and never a
 * password.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/conf.h"
#include "redis/url.h"


#define EVS_REDIS_PORT       6379
#define EVS_REDIS_DB_MAX     2147483647


static ngx_uint_t evs_redis_url_scheme(const ngx_str_t *url,
    const char *scheme, ngx_str_t *rest);
static ngx_int_t evs_redis_url_tcp(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *rest);
static u_char *evs_redis_url_authority(u_char *start, u_char *last,
    u_char **at);
static ngx_int_t evs_redis_url_userinfo(ngx_conf_t *cf,
    evs_redis_conf_t *conf, u_char *start, u_char *last);
static ngx_int_t evs_redis_url_host(ngx_conf_t *cf, evs_redis_conf_t *conf,
    u_char *start, u_char *last);
static ngx_int_t evs_redis_url_resolve(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *host);
static ngx_int_t evs_redis_url_unix(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *rest);
static ngx_int_t evs_redis_url_query(ngx_conf_t *cf, evs_redis_conf_t *conf,
    u_char *start, u_char *last);
static ngx_int_t evs_redis_url_set_db(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value);
static ngx_int_t evs_redis_url_set_user(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_url_set_password(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_url_decode(ngx_conf_t *cf, const char *what,
    u_char *start, u_char *last, ngx_str_t *decoded);
static ngx_int_t evs_redis_url_name(ngx_conf_t *cf, evs_redis_conf_t *conf,
    const char *scheme, ngx_str_t *host);


/* what a unix socket's URL may have behind its "?" */
static const evs_redis_option_t  evs_redis_url_options[] = {
    { ngx_string("db="),       evs_redis_url_set_db },
    { ngx_string("user="),     evs_redis_url_set_user },
    { ngx_string("password="), evs_redis_url_set_password },
    { ngx_null_string,         NULL }
};


ngx_int_t
evs_redis_url_parse(ngx_conf_t *cf, evs_redis_conf_t *conf)
{
    ngx_str_t  rest;

    if (evs_redis_url_scheme(&conf->url, "redis://", &rest)) {
        return evs_redis_url_tcp(cf, conf, &rest);
    }

    if (evs_redis_url_scheme(&conf->url, "unix:", &rest)) {
        return evs_redis_url_unix(cf, conf, &rest);
    }

    if (evs_redis_url_scheme(&conf->url, "rediss://", &rest)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "TLS to Redis (\"rediss://\") is not supported, "
                           "use \"redis://\" or \"unix:\"");
        return NGX_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "a Redis URL begins with \"redis://\" or \"unix:\", "
                       "as in \"redis://127.0.0.1:6379/0\" or "
                       "\"unix:/run/redis/redis.sock\"");

    return NGX_ERROR;
}


ngx_int_t
evs_redis_option_set(ngx_conf_t *cf, evs_redis_conf_t *conf,
    const evs_redis_option_t *options, ngx_str_t *arg)
{
    ngx_str_t                  value;
    const evs_redis_option_t  *option;

    for (option = options; option->set; option++) {

        if (arg->len < option->name.len
            || ngx_strncmp(arg->data, option->name.data, option->name.len)
               != 0)
        {
            continue;
        }

        value.len = arg->len - option->name.len;
        value.data = arg->data + option->name.len;

        return option->set(cf, conf, &value);
    }

    return NGX_DECLINED;
}


static ngx_uint_t
evs_redis_url_scheme(const ngx_str_t *url, const char *scheme, ngx_str_t *rest)
{
    size_t  len;

    len = ngx_strlen(scheme);

    if (url->len < len
        || ngx_strncasecmp(url->data, (u_char *) scheme, len) != 0)
    {
        return 0;
    }

    rest->len = url->len - len;
    rest->data = url->data + len;

    return 1;
}


static ngx_int_t
evs_redis_url_tcp(ngx_conf_t *cf, evs_redis_conf_t *conf, ngx_str_t *rest)
{
    u_char     *at, *host, *last, *end;
    ngx_str_t   db;

    host = rest->data;
    last = rest->data + rest->len;
    end = evs_redis_url_authority(host, last, &at);

    if (at && at > end) {

        /* nothing of it is named here: it may be of a password */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"/\", \"?\" and \"#\" in the user or password of "
                           "a Redis URL are written \"%%2F\", \"%%3F\" and "
                           "\"%%23\"");
        return NGX_ERROR;
    }

    if (at) {
        if (evs_redis_url_userinfo(cf, conf, host, at) != NGX_OK) {
            return NGX_ERROR;
        }

        host = at + 1;
    }

    if (end < last && *end != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unexpected \"%c\" in a Redis URL, options are "
                           "parameters of their own", *end);
        return NGX_ERROR;
    }

    if (last - end > 1) {
        db.len = (size_t) (last - end - 1);
        db.data = end + 1;

        if (evs_redis_url_set_db(cf, conf, &db) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return evs_redis_url_host(cf, conf, host, end);
}


/* Returns the end of [userinfo@]host:port; *at is the last "@" of the URL. */

static u_char *
evs_redis_url_authority(u_char *start, u_char *last, u_char **at)
{
    u_char  *p, *end;

    *at = NULL;
    end = NULL;

    for (p = start; p < last; p++) {

        if (*p == '@') {
            *at = p;
        }

        if (end == NULL && (*p == '/' || *p == '?' || *p == '#')) {
            end = p;
        }
    }

    return end ? end : last;
}


static ngx_int_t
evs_redis_url_userinfo(ngx_conf_t *cf, evs_redis_conf_t *conf,
    u_char *start, u_char *last)
{
    u_char  *colon;

    colon = ngx_strlchr(start, last, ':');

    if (colon == NULL) {
        return evs_redis_url_decode(cf, "user", start, last, &conf->user);
    }

    if (evs_redis_url_decode(cf, "user", start, colon, &conf->user)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return evs_redis_url_decode(cf, "password", colon + 1, last,
                                 &conf->password);
}


static ngx_int_t
evs_redis_url_host(ngx_conf_t *cf, evs_redis_conf_t *conf, u_char *start,
    u_char *last)
{
    u_char     *colon, *from;
    ngx_int_t   port;
    ngx_str_t   host;

    from = start;

    if (start < last && *start == '[') {
        from = ngx_strlchr(start, last, ']');

        if (from == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no \"]\" behind the IPv6 address \"%*s\" of "
                               "a Redis URL", (size_t) (last - start), start);
            return NGX_ERROR;
        }
    }

    colon = ngx_strlchr(from, last, ':');
    port = EVS_REDIS_PORT;

    if (colon) {
        port = ngx_atoi(colon + 1, (size_t) (last - colon - 1));

        if (port < 1 || port > 65535) {

            /* not named: it is a password if "@host" was forgotten */

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid port in a Redis URL, "
                               "\"redis://host:port/db\" with a port from 1 "
                               "to 65535 is right");
            return NGX_ERROR;
        }

        last = colon;
    }

    host.len = (size_t) (last - start);
    host.data = start;
    conf->port = (in_port_t) port;

    if (host.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no host in a Redis URL, \"redis://host:port/db\" "
                           "is right");
        return NGX_ERROR;
    }

    return evs_redis_url_resolve(cf, conf, &host);
}


static ngx_int_t
evs_redis_url_resolve(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *host)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *host;
    u.default_port = conf->port;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {

        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in the Redis host \"%V\", a name that "
                               "resolves, an IPv4 address or an [IPv6 "
                               "address] is right", u.err, host);
        }

        return NGX_ERROR;
    }

    conf->addrs = u.addrs;
    conf->naddrs = u.naddrs;

    if (host->data[0] != '['
        && ngx_inet_addr(host->data, host->len) == INADDR_NONE)
    {
        conf->host = *host;
    }

    return evs_redis_url_name(cf, conf, "", host);
}


static ngx_int_t
evs_redis_url_unix(ngx_conf_t *cf, evs_redis_conf_t *conf, ngx_str_t *rest)
{
    u_char     *query, *last;
    ngx_str_t   path;
    ngx_url_t   u;

    last = rest->data + rest->len;
    query = ngx_strlchr(rest->data, last, '?');

    if (query) {
        if (evs_redis_url_query(cf, conf, query + 1, last) != NGX_OK) {
            return NGX_ERROR;
        }

        last = query;
    }

    if (evs_redis_url_decode(cf, "path", rest->data, last, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    if (path.len < 2 || path.data[0] != '/'
        || ngx_strlchr(path.data, path.data + path.len, '\0'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no absolute path in \"unix:%*s\", "
                           "\"unix:/path/to/redis.sock\" is right",
                           (size_t) (last - rest->data), rest->data);
        return NGX_ERROR;
    }

    if (evs_redis_url_name(cf, conf, "unix:", &path) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.len = sizeof("unix:") - 1 + path.len;
    u.url.data = conf->name.data;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {

        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s \"%V\" of Redis",
                               u.err, &path);
        }

        return NGX_ERROR;
    }

    conf->addrs = u.addrs;
    conf->naddrs = u.naddrs;

    return NGX_OK;
}


static ngx_int_t
evs_redis_url_query(ngx_conf_t *cf, evs_redis_conf_t *conf, u_char *start,
    u_char *last)
{
    u_char     *end;
    ngx_int_t   rc;
    ngx_str_t   arg;

    for ( ; start < last; start = end + 1) {

        end = ngx_strlchr(start, last, '&');

        if (end == NULL) {
            end = last;
        }

        arg.len = (size_t) (end - start);
        arg.data = start;

        rc = evs_redis_option_set(cf, conf, evs_redis_url_options, &arg);

        if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a Redis \"unix:\" URL may have \"db=\", "
                               "\"user=\" and \"password=\" behind its "
                               "\"?\", joined by \"&\", and nothing else");
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_redis_url_set_db(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    conf->db = ngx_atoi(value->data, value->len);

    if (conf->db < 0 || conf->db > EVS_REDIS_DB_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid Redis database \"%V\", a number from 0 "
                           "is right", value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
evs_redis_url_set_user(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    return evs_redis_url_decode(cf, "user", value->data,
                                 value->data + value->len, &conf->user);
}


static ngx_int_t
evs_redis_url_set_password(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    return evs_redis_url_decode(cf, "password", value->data,
                                 value->data + value->len, &conf->password);
}


/* Decodes %xx; the text itself is not for the log, it may be a password. */

static ngx_int_t
evs_redis_url_decode(ngx_conf_t *cf, const char *what, u_char *start,
    u_char *last, ngx_str_t *decoded)
{
    u_char     *p;
    ngx_int_t   byte;

    p = ngx_pnalloc(cf->pool, (size_t) (last - start) + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    decoded->data = p;

    while (start < last) {

        if (*start != '%') {
            *p++ = *start++;
            continue;
        }

        byte = (last - start > 2) ? ngx_hextoi(start + 1, 2) : NGX_ERROR;

        if (byte == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%%\" in the %s of a Redis URL, a "
                               "\"%%\" of its own is written \"%%25\"", what);
            return NGX_ERROR;
        }

        *p++ = (u_char) byte;
        start += 3;
    }

    decoded->len = (size_t) (p - decoded->data);

    return NGX_OK;
}


static ngx_int_t
evs_redis_url_name(ngx_conf_t *cf, evs_redis_conf_t *conf,
    const char *scheme, ngx_str_t *host)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, sizeof("unix::65535/") + host->len
                              + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->name.data = p;

    p = ngx_sprintf(p, "%s%V", scheme, host);

    if (conf->port) {
        p = ngx_sprintf(p, ":%ui/%i", (ngx_uint_t) conf->port, conf->db);

    } else if (conf->db) {
        p = ngx_sprintf(p, "?db=%i", conf->db);
    }

    conf->name.len = (size_t) (p - conf->name.data);

    return NGX_OK;
}
