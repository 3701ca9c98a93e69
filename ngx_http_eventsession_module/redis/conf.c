
/*
 * The eventsession_redis directive:
 *
 *     redis://[[user]:password@]host[:port][/db] [option=value ...]
 *     unix:/path[?db=n&user=...&password=...]    [option=value ...]
 *
 * Messages name the value, and never a password.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/conf.h"


#define EVS_REDIS_PORT       6379
#define EVS_REDIS_DB_MAX     2147483647
#define EVS_REDIS_TIME_MAX   86400000      /* ms, a day */


typedef struct {
    ngx_str_t     name;                    /* with its "=" */
    ngx_int_t   (*set)(ngx_conf_t *cf, evs_redis_conf_t *conf,
                       ngx_str_t *value);
} evs_redis_option_t;


static ngx_int_t evs_redis_conf_tcp(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *rest);
static ngx_int_t evs_redis_conf_userinfo(ngx_conf_t *cf,
    evs_redis_conf_t *conf, u_char *start, u_char *last);
static ngx_int_t evs_redis_conf_host(ngx_conf_t *cf, evs_redis_conf_t *conf,
    u_char *start, u_char *last);
static ngx_int_t evs_redis_conf_resolve(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *host);
static ngx_int_t evs_redis_conf_unix(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *rest);
static ngx_int_t evs_redis_conf_query(ngx_conf_t *cf, evs_redis_conf_t *conf,
    u_char *start, u_char *last);
static ngx_int_t evs_redis_conf_options(ngx_conf_t *cf,
    evs_redis_conf_t *conf, const evs_redis_option_t *options,
    ngx_str_t *arg);
static ngx_int_t evs_redis_conf_set_db(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_user(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_password(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_connect(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_command(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_reconnect(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_time(ngx_conf_t *cf, const char *option,
    ngx_str_t *value, ngx_msec_t *time);
static ngx_int_t evs_redis_conf_decode(ngx_conf_t *cf, const char *what,
    u_char *start, u_char *last, ngx_str_t *decoded);
static ngx_int_t evs_redis_conf_name(ngx_conf_t *cf, evs_redis_conf_t *conf,
    const char *scheme, ngx_str_t *host);
static ngx_uint_t evs_redis_str_same(const ngx_str_t *a, const ngx_str_t *b);


static const evs_redis_option_t  evs_redis_options[] = {
    { ngx_string("connect_timeout="), evs_redis_conf_set_connect },
    { ngx_string("command_timeout="), evs_redis_conf_set_command },
    { ngx_string("reconnect="),       evs_redis_conf_set_reconnect },
    { ngx_null_string,                NULL }
};


/* what a unix socket's URL may have behind its "?" */
static const evs_redis_option_t  evs_redis_query[] = {
    { ngx_string("db="),              evs_redis_conf_set_db },
    { ngx_string("user="),            evs_redis_conf_set_user },
    { ngx_string("password="),        evs_redis_conf_set_password },
    { ngx_null_string,                NULL }
};


static ngx_str_t  evs_redis_scheme_tcp = ngx_string("redis://");
static ngx_str_t  evs_redis_scheme_tls = ngx_string("rediss://");
static ngx_str_t  evs_redis_scheme_unix = ngx_string("unix:");


static ngx_uint_t
evs_redis_conf_scheme(ngx_str_t *url, ngx_str_t *scheme, ngx_str_t *rest)
{
    if (url->len < scheme->len
        || ngx_strncasecmp(url->data, scheme->data, scheme->len) != 0)
    {
        return 0;
    }

    rest->len = url->len - scheme->len;
    rest->data = url->data + scheme->len;

    return 1;
}


evs_redis_conf_t *
evs_redis_conf_parse(ngx_conf_t *cf, ngx_str_t *args, ngx_uint_t nargs)
{
    ngx_int_t          rc;
    ngx_str_t          rest;
    ngx_uint_t         i;
    evs_redis_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(evs_redis_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->url = args[0];
    conf->connect_timeout = 1000;
    conf->command_timeout = 3000;
    conf->reconnect_min = 50;
    conf->reconnect_max = 2000;

    if (evs_redis_conf_scheme(&args[0], &evs_redis_scheme_tcp, &rest)) {
        rc = evs_redis_conf_tcp(cf, conf, &rest);

    } else if (evs_redis_conf_scheme(&args[0], &evs_redis_scheme_unix,
                                     &rest))
    {
        rc = evs_redis_conf_unix(cf, conf, &rest);

    } else if (evs_redis_conf_scheme(&args[0], &evs_redis_scheme_tls,
                                     &rest))
    {
        rc = NGX_ERROR;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "TLS to Redis (\"rediss://\") is not supported, "
                           "use \"redis://\" or \"unix:\"");

    } else {
        rc = NGX_ERROR;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a Redis URL begins with \"redis://\" or "
                           "\"unix:\", as in \"redis://127.0.0.1:6379/0\" "
                           "or \"unix:/run/redis/redis.sock\"");
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    for (i = 1; i < nargs; i++) {
        rc = evs_redis_conf_options(cf, conf, evs_redis_options, &args[i]);

        if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown option \"%V\" of a Redis, known are "
                               "connect_timeout=, command_timeout= and "
                               "reconnect=", &args[i]);
        }

        if (rc != NGX_OK) {
            return NULL;
        }
    }

    return conf;
}


ngx_uint_t
evs_redis_conf_same(const evs_redis_conf_t *a, const evs_redis_conf_t *b)
{
    /* name: host or path, port and db */

    return evs_redis_str_same(&a->name, &b->name)
           && evs_redis_str_same(&a->user, &b->user)
           && evs_redis_str_same(&a->password, &b->password)
           && a->connect_timeout == b->connect_timeout
           && a->command_timeout == b->command_timeout
           && a->reconnect_min == b->reconnect_min
           && a->reconnect_max == b->reconnect_max
           && a->resolver == b->resolver
           && a->resolver_timeout == b->resolver_timeout;
}


static ngx_int_t
evs_redis_conf_tcp(ngx_conf_t *cf, evs_redis_conf_t *conf, ngx_str_t *rest)
{
    u_char     *p, *at, *host, *last, *end;
    ngx_str_t   db;

    host = rest->data;
    last = rest->data + rest->len;

    for (end = host; end < last; end++) {
        if (*end == '/' || *end == '?' || *end == '#') {
            break;
        }
    }

    at = NULL;

    for (p = host; p < last; p++) {
        if (*p == '@') {
            at = p;
        }
    }

    if (at && at > end) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"/\", \"?\" and \"#\" in the user or password of "
                           "a Redis URL are written \"%%2F\", \"%%3F\" and "
                           "\"%%23\"");
        return NGX_ERROR;
    }

    if (at) {
        if (evs_redis_conf_userinfo(cf, conf, host, at) != NGX_OK) {
            return NGX_ERROR;
        }

        host = at + 1;
    }

    if (end < last && *end != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unexpected \"%*s\" in a Redis URL, options are "
                           "parameters of their own", last - end, end);
        return NGX_ERROR;
    }

    if (last - end > 1) {
        if (evs_redis_conf_decode(cf, "database", end + 1, last, &db)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (evs_redis_conf_set_db(cf, conf, &db) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return evs_redis_conf_host(cf, conf, host, end);
}


static ngx_int_t
evs_redis_conf_userinfo(ngx_conf_t *cf, evs_redis_conf_t *conf,
    u_char *start, u_char *last)
{
    u_char  *colon;

    colon = ngx_strlchr(start, last, ':');

    if (colon == NULL) {
        return evs_redis_conf_decode(cf, "user", start, last, &conf->user);
    }

    if (evs_redis_conf_decode(cf, "user", start, colon, &conf->user)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return evs_redis_conf_decode(cf, "password", colon + 1, last,
                                 &conf->password);
}


static ngx_int_t
evs_redis_conf_host(ngx_conf_t *cf, evs_redis_conf_t *conf, u_char *start,
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
                               "a Redis URL", last - start, start);
            return NGX_ERROR;
        }
    }

    colon = ngx_strlchr(from, last, ':');
    port = EVS_REDIS_PORT;

    if (colon) {
        port = ngx_atoi(colon + 1, (size_t) (last - colon - 1));

        if (port < 1 || port > 65535) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid port \"%*s\" in a Redis URL, "
                               "1 to 65535 is right",
                               last - colon - 1, colon + 1);
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

    return evs_redis_conf_resolve(cf, conf, &host);
}


static ngx_int_t
evs_redis_conf_resolve(ngx_conf_t *cf, evs_redis_conf_t *conf,
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

    return evs_redis_conf_name(cf, conf, "", host);
}


static ngx_int_t
evs_redis_conf_unix(ngx_conf_t *cf, evs_redis_conf_t *conf, ngx_str_t *rest)
{
    u_char     *query, *last;
    ngx_str_t   path;
    ngx_url_t   u;

    last = rest->data + rest->len;
    query = ngx_strlchr(rest->data, last, '?');

    if (query) {
        if (evs_redis_conf_query(cf, conf, query + 1, last) != NGX_OK) {
            return NGX_ERROR;
        }

        last = query;
    }

    if (evs_redis_conf_decode(cf, "path", rest->data, last, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    if (path.len < 2 || path.data[0] != '/'
        || ngx_strlchr(path.data, path.data + path.len, '\0'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no absolute path in \"unix:%*s\", "
                           "\"unix:/path/to/redis.sock\" is right",
                           last - rest->data, rest->data);
        return NGX_ERROR;
    }

    if (evs_redis_conf_name(cf, conf, "unix:", &path) != NGX_OK) {
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
evs_redis_conf_query(ngx_conf_t *cf, evs_redis_conf_t *conf, u_char *start,
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

        rc = evs_redis_conf_options(cf, conf, evs_redis_query, &arg);

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


/* NGX_DECLINED: there is no such option. */

static ngx_int_t
evs_redis_conf_options(ngx_conf_t *cf, evs_redis_conf_t *conf,
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


static ngx_int_t
evs_redis_conf_set_db(ngx_conf_t *cf, evs_redis_conf_t *conf,
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
evs_redis_conf_set_user(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    return evs_redis_conf_decode(cf, "user", value->data,
                                 value->data + value->len, &conf->user);
}


static ngx_int_t
evs_redis_conf_set_password(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    return evs_redis_conf_decode(cf, "password", value->data,
                                 value->data + value->len, &conf->password);
}


static ngx_int_t
evs_redis_conf_set_connect(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    return evs_redis_conf_time(cf, "connect_timeout", value,
                               &conf->connect_timeout);
}


static ngx_int_t
evs_redis_conf_set_command(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    return evs_redis_conf_time(cf, "command_timeout", value,
                               &conf->command_timeout);
}


/* min[:max] */

static ngx_int_t
evs_redis_conf_set_reconnect(ngx_conf_t *cf, evs_redis_conf_t *conf,
    ngx_str_t *value)
{
    u_char     *colon, *last;
    ngx_str_t   part;

    last = value->data + value->len;
    colon = ngx_strlchr(value->data, last, ':');

    part = *value;

    if (colon) {
        part.len = (size_t) (colon - value->data);
    }

    if (evs_redis_conf_time(cf, "reconnect", &part, &conf->reconnect_min)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (colon == NULL) {

        /* a lone minimum may lie over the default maximum */

        conf->reconnect_max = ngx_max(conf->reconnect_min,
                                      conf->reconnect_max);
        return NGX_OK;
    }

    part.len = (size_t) (last - colon - 1);
    part.data = colon + 1;

    if (evs_redis_conf_time(cf, "reconnect", &part, &conf->reconnect_max)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->reconnect_min > conf->reconnect_max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "reconnect=%V of a Redis has its minimum over its "
                           "maximum, \"reconnect=50ms:2s\" is right", value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
evs_redis_conf_time(ngx_conf_t *cf, const char *option, ngx_str_t *value,
    ngx_msec_t *time)
{
    ngx_int_t  ms;

    ms = ngx_parse_time(value, 0);

    if (ms == NGX_ERROR || ms == 0 || ms > EVS_REDIS_TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in %s= of a Redis, from 1ms "
                           "to 1d is right", value, option);
        return NGX_ERROR;
    }

    *time = (ngx_msec_t) ms;

    return NGX_OK;
}


/* Decodes %xx; the text itself is not for the log, it may be a password. */

static ngx_int_t
evs_redis_conf_decode(ngx_conf_t *cf, const char *what, u_char *start,
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
evs_redis_conf_name(ngx_conf_t *cf, evs_redis_conf_t *conf,
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


static ngx_uint_t
evs_redis_str_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}
