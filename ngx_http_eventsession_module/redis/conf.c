
/*
 * The eventsession_redis directive:
 *
 *     <url> [connect_timeout=1s] [command_timeout=3s] [reconnect=50ms:2s]
 *
 * with the URL as in url.h.  A bare number in a time means seconds, as
 * everywhere in nginx.conf.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/conf.h"
#include "redis/url.h"


#define EVS_REDIS_TIME_MAX   86400000      /* ms, a day */


static ngx_int_t evs_redis_conf_set_connect(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_command(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_set_reconnect(ngx_conf_t *cf,
    evs_redis_conf_t *conf, ngx_str_t *value);
static ngx_int_t evs_redis_conf_time(ngx_conf_t *cf, const char *option,
    ngx_str_t *value, ngx_msec_t *time);
static ngx_uint_t evs_redis_str_same(const ngx_str_t *a, const ngx_str_t *b);


static const evs_redis_option_t  evs_redis_options[] = {
    { ngx_string("connect_timeout="), evs_redis_conf_set_connect },
    { ngx_string("command_timeout="), evs_redis_conf_set_command },
    { ngx_string("reconnect="),       evs_redis_conf_set_reconnect },
    { ngx_null_string,                NULL }
};


evs_redis_conf_t *
evs_redis_conf_parse(ngx_conf_t *cf, ngx_str_t *args, ngx_uint_t nargs)
{
    u_char            *p;
    ngx_int_t          rc;
    ngx_str_t          name;
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

    if (evs_redis_url_parse(cf, conf) != NGX_OK) {
        return NULL;
    }

    for (i = 1; i < nargs; i++) {
        rc = evs_redis_option_set(cf, conf, evs_redis_options, &args[i]);

        if (rc == NGX_DECLINED) {

            /* its name alone: the value may be a password */

            name = args[i];
            p = ngx_strlchr(name.data, name.data + name.len, '=');

            if (p) {
                name.len = (size_t) (p - name.data);
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown option \"%V\" of a Redis, known are "
                               "connect_timeout=, command_timeout= and "
                               "reconnect=", &name);
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


static ngx_uint_t
evs_redis_str_same(const ngx_str_t *a, const ngx_str_t *b)
{
    if (a->len != b->len) {
        return 0;
    }

    return a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0;
}
