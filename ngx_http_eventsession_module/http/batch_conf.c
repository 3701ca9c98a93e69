
/*
 * The directive eventsession_workers, see batch_conf.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/batch_conf.h"


typedef struct {
    ngx_str_t    name;
    size_t       offset;
    ngx_uint_t   min;
    ngx_uint_t   max;      /* 0: a time */
    const char  *right;
} ngx_http_eventsession_batch_setting_t;


static ngx_int_t ngx_http_eventsession_batch_set(ngx_conf_t *cf,
    evs_pool_conf_t *workers, const ngx_str_t *value);
static const ngx_http_eventsession_batch_setting_t *
    ngx_http_eventsession_batch_setting(const ngx_str_t *value);
static ngx_int_t ngx_http_eventsession_batch_value(
    const ngx_http_eventsession_batch_setting_t *setting,
    const ngx_str_t *value);


static const ngx_http_eventsession_batch_setting_t
    ngx_http_eventsession_batch_settings[] =
{
    { ngx_string("shards="), offsetof(evs_pool_conf_t, shards), 1, 256,
      "a number from 1 to 256" },
    { ngx_string("workers="), offsetof(evs_pool_conf_t, workers), 1, 64,
      "a number from 1 to 64" },
    { ngx_string("batch="), offsetof(evs_pool_conf_t, batch), 1, 10000,
      "a number from 1 to 10000" },
    { ngx_string("linger="), offsetof(evs_pool_conf_t, linger), 0, 0,
      "a time as 2ms, or 0" },
    { ngx_string("idle="), offsetof(evs_pool_conf_t, idle), 1, 0,
      "a time above 0, as 2m" },
    { ngx_null_string, 0, 0, 0, NULL }
};


void
ngx_http_eventsession_batch_unset(evs_pool_conf_t *conf)
{
    conf->shards = NGX_CONF_UNSET_UINT;
    conf->workers = NGX_CONF_UNSET_UINT;
    conf->batch = NGX_CONF_UNSET_UINT;
    conf->linger = NGX_CONF_UNSET_MSEC;
    conf->idle = NGX_CONF_UNSET_MSEC;
}


void
ngx_http_eventsession_batch_merge(evs_pool_conf_t *conf,
    const evs_pool_conf_t *prev)
{
    ngx_conf_merge_uint_value(conf->shards, prev->shards, 5);
    ngx_conf_merge_uint_value(conf->workers, prev->workers, 3);
    ngx_conf_merge_uint_value(conf->batch, prev->batch, 5);
    ngx_conf_merge_msec_value(conf->linger, prev->linger, 2);
    ngx_conf_merge_msec_value(conf->idle, prev->idle, 120000);
}


char *
ngx_http_eventsession_batch_workers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    ngx_str_t        *value;
    ngx_uint_t        i;
    evs_pool_conf_t  *workers;

    workers = (evs_pool_conf_t *) (void *) (p + cmd->offset);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_eventsession_batch_set(cf, workers, &value[i]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* "<name>=<value>", once in a block. */

static ngx_int_t
ngx_http_eventsession_batch_set(ngx_conf_t *cf, evs_pool_conf_t *workers,
    const ngx_str_t *value)
{
    ngx_int_t                                     n;
    ngx_uint_t                                   *slot;
    const ngx_http_eventsession_batch_setting_t  *setting;

    setting = ngx_http_eventsession_batch_setting(value);

    if (setting == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown setting \"%V\" in "
                           "\"eventsession_workers\": must be shards=, "
                           "workers=, batch=, linger= or idle=", value);
        return NGX_ERROR;
    }

    slot = (ngx_uint_t *) (void *) ((u_char *) workers + setting->offset);

    if (*slot != NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"%V\" in \"eventsession_workers\"",
                           &setting->name);
        return NGX_ERROR;
    }

    n = ngx_http_eventsession_batch_value(setting, value);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in "
                           "\"eventsession_workers\": must be %s", value,
                           setting->right);
        return NGX_ERROR;
    }

    *slot = (ngx_uint_t) n;

    return NGX_OK;
}


/* NULL: there is none of that name. */

static const ngx_http_eventsession_batch_setting_t *
ngx_http_eventsession_batch_setting(const ngx_str_t *value)
{
    const ngx_http_eventsession_batch_setting_t  *setting;

    for (setting = ngx_http_eventsession_batch_settings;
         setting->name.len;
         setting++)
    {
        if (value->len >= setting->name.len
            && ngx_strncmp(value->data, setting->name.data, setting->name.len)
               == 0)
        {
            return setting;
        }
    }

    return NULL;
}


/* A number, or a time in ms; NGX_ERROR: it is none, or out of bounds. */

static ngx_int_t
ngx_http_eventsession_batch_value(
    const ngx_http_eventsession_batch_setting_t *setting,
    const ngx_str_t *value)
{
    ngx_int_t  n;
    ngx_str_t  text;

    text.data = value->data + setting->name.len;
    text.len = value->len - setting->name.len;

    n = setting->max ? ngx_atoi(text.data, text.len)
                     : ngx_parse_time(&text, 0);

    if (n == NGX_ERROR || (ngx_uint_t) n < setting->min
        || (setting->max && (ngx_uint_t) n > setting->max))
    {
        return NGX_ERROR;
    }

    return n;
}
