
/*
 * The module: its directives, their inheritance, and the life of a worker.
 * What the endpoints do is in http/.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/batch.h"
#include "http/batch_conf.h"
#include "http/feed.h"
#include "http/health.h"
#include "http/hide.h"
#include "http/log.h"
#include "http/metrics.h"
#include "http/posted.h"
#include "http/schema.h"
#include "http/session.h"
#include "http/special.h"
#include "http/track.h"
#include "http/workers.h"
#include "http/ws.h"
#include "ngx_http_eventsession_module.h"
#include "stats/stats.h"
#include "store/feed.h"
#include "store/log_drop.h"
#include "store/workers.h"


/* one of nginx's setters, and what it takes in words */
typedef struct {
    char            *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
    ngx_conf_post_t    post;
    const char        *right;
} ngx_http_eventsession_slot_t;


static void *ngx_http_eventsession_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_eventsession_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_eventsession_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_eventsession_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static void ngx_http_eventsession_merge_noname(ngx_conf_t *cf,
    ngx_http_eventsession_loc_conf_t *prev,
    ngx_http_eventsession_loc_conf_t *conf);
static char *ngx_http_eventsession_merge_endpoint(ngx_conf_t *cf,
    ngx_http_eventsession_loc_conf_t *conf);
static ngx_int_t ngx_http_eventsession_postconfiguration(ngx_conf_t *cf);
static ngx_uint_t ngx_http_eventsession_has_feed(
    const ngx_http_eventsession_main_conf_t *emcf,
    const evs_store_conf_t *store);
static char *ngx_http_eventsession_endpoint(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_eventsession_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_eventsession_patterns(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_eventsession_session_id(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_eventsession_trust(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_eventsession_slot(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_eventsession_check_prefix(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_eventsession_check_msec(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_eventsession_check_size(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_eventsession_check_ttl(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_eventsession_check_number(ngx_conf_t *cf, void *post,
    void *data);
static ngx_int_t ngx_http_eventsession_init_process(ngx_cycle_t *cycle);
static void ngx_http_eventsession_exit_process(ngx_cycle_t *cycle);


static const ngx_http_eventsession_endpoint_t
    ngx_http_eventsession_endpoints[] =
{
    { ngx_string("ws"), ngx_http_eventsession_ingest_handler, 1,
      EVS_STATS_WS },
    { ngx_string("session"), ngx_http_eventsession_session_handler, 1,
      EVS_STATS_SESSION },
    { ngx_string("batch"), ngx_http_eventsession_batch_handler, 1,
      EVS_STATS_BATCH },
    { ngx_string("track"), ngx_http_eventsession_track_handler, 1,
      EVS_STATS_TRACK },
    { ngx_string("log"), ngx_http_eventsession_log_handler, 1,
      EVS_STATS_LOG },
    { ngx_string("feed"), ngx_http_eventsession_feed_handler, 1,
      EVS_STATS_FEED },
    { ngx_string("workers"), ngx_http_eventsession_workers_handler, 1,
      EVS_STATS_WORKERS },
    { ngx_string("healthcheck"), ngx_http_eventsession_healthcheck_handler, 0,
      EVS_STATS_HEALTHCHECK },
    { ngx_string("ready"), ngx_http_eventsession_ready_handler, 1,
      EVS_STATS_READY },
    { ngx_string("metrics"), ngx_http_eventsession_metrics_handler, 0,
      EVS_STATS_METRICS },
#if (EVENTSESSION_ECHO)
    { ngx_string("echo"), ngx_http_eventsession_echo_handler, 0,
      EVS_STATS_ENDPOINTS },
#endif
    { ngx_null_string, NULL, 0, 0 }
};


static ngx_conf_enum_t  ngx_http_eventsession_sid_kinds[] = {
    { ngx_string("uuid"), EVS_SID_UUID },
    { ngx_string("any"), EVS_SID_ANY },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_eventsession_prefix_post = {
    ngx_http_eventsession_check_prefix
};

static ngx_http_eventsession_slot_t  ngx_http_eventsession_time = {
    ngx_conf_set_msec_slot,
    { NULL },
    "a time as 30s, or 0"
};

static ngx_http_eventsession_slot_t  ngx_http_eventsession_time_above_0 = {
    ngx_conf_set_msec_slot,
    { ngx_http_eventsession_check_msec },
    "a time above 0, as 10s or 500ms"
};

static ngx_http_eventsession_slot_t  ngx_http_eventsession_ttl = {
    ngx_conf_set_sec_slot,
    { ngx_http_eventsession_check_ttl },
    "a time up to 100y, as 30d, or 0"
};

static ngx_http_eventsession_slot_t  ngx_http_eventsession_size = {
    ngx_conf_set_size_slot,
    { ngx_http_eventsession_check_size },
    "a size above 0, as 500, 64k or 1m"
};

static ngx_http_eventsession_slot_t  ngx_http_eventsession_number = {
    ngx_conf_set_num_slot,
    { ngx_http_eventsession_check_number },
    "a number above 0"
};


static ngx_command_t  ngx_http_eventsession_commands[] = {

    { ngx_string("eventsession"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("eventsession_redis"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_eventsession_redis,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("eventsession_prefix"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, store.prefix),
      &ngx_http_eventsession_prefix_post },

    { ngx_string("eventsession_session_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_session_id,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("eventsession_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_eventsession_patterns,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, origins),
      NULL },

    { ngx_string("eventsession_cors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_eventsession_patterns,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, cors),
      NULL },

    { ngx_string("eventsession_ping"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, ws.ping),
      &ngx_http_eventsession_time },

    { ngx_string("eventsession_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, store.timeout),
      &ngx_http_eventsession_time_above_0 },

    { ngx_string("eventsession_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, ws.max_message),
      &ngx_http_eventsession_size },

    { ngx_string("eventsession_max_entries"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, limits.entries),
      &ngx_http_eventsession_number },

    { ngx_string("eventsession_max_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, limits.name),
      &ngx_http_eventsession_size },

    { ngx_string("eventsession_max_category"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, limits.category),
      &ngx_http_eventsession_size },

    { ngx_string("eventsession_max_data"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, limits.data),
      &ngx_http_eventsession_size },

    { ngx_string("eventsession_max_inflight"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, store.max_inflight),
      &ngx_http_eventsession_size },

    { ngx_string("eventsession_feed"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, feed),
      NULL },

    { ngx_string("eventsession_feed_history"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, store.feed_history),
      &ngx_http_eventsession_number },

    { ngx_string("eventsession_feed_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, feed_buffer),
      &ngx_http_eventsession_size },

    { ngx_string("eventsession_feed_ping"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, feed_ping),
      &ngx_http_eventsession_time_above_0 },

    { ngx_string("eventsession_delete"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, deletes),
      NULL },

    { ngx_string("eventsession_application"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_eventsession_trust,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("eventsession_application_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, apps.cache),
      &ngx_http_eventsession_time },

    { ngx_string("eventsession_application_grace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, apps.grace),
      &ngx_http_eventsession_time },

    { ngx_string("eventsession_workers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_eventsession_batch_workers,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, workers),
      NULL },

    { ngx_string("eventsession_log_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_eventsession_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, store.log_ttl),
      &ngx_http_eventsession_ttl },

    { ngx_string("eventsession_schema"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE3,
      ngx_http_eventsession_schema,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, schemas),
      NULL },

    { ngx_string("eventsession_require_application"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_eventsession_loc_conf_t, require_application),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_eventsession_module_ctx = {
    ngx_http_eventsession_account_variables,   /* preconfiguration */
    ngx_http_eventsession_postconfiguration,   /* postconfiguration */

    ngx_http_eventsession_create_main_conf,    /* create main configuration */
    NULL,                                      /* init main configuration */

    ngx_http_eventsession_create_srv_conf,     /* create server configuration */
    NULL,                                      /* merge server configuration */

    ngx_http_eventsession_create_loc_conf,     /* create location conf */
    ngx_http_eventsession_merge_loc_conf       /* merge location conf */
};


ngx_module_t  ngx_http_eventsession_module = {
    NGX_MODULE_V1,
    &ngx_http_eventsession_module_ctx,         /* module context */
    ngx_http_eventsession_commands,            /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    ngx_http_eventsession_init_process,        /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    ngx_http_eventsession_exit_process,        /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_eventsession_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_eventsession_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_eventsession_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&conf->nodes, cf->pool, 1, sizeof(evs_redis_conf_t *))
        != NGX_OK
        || ngx_array_init(&conf->used, cf->pool, 1,
                          sizeof(evs_redis_conf_t *))
           != NGX_OK
        || ngx_array_init(&conf->locations, cf->pool, 4,
                          sizeof(ngx_http_eventsession_loc_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


static void *
ngx_http_eventsession_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_eventsession_srv_conf_t));
}


static void *
ngx_http_eventsession_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_eventsession_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_eventsession_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->endpoint = NULL;
     *     conf->store.prefix = { 0, NULL };
     *     conf->location = { 0, NULL };
     */

    conf->store.redis = NGX_CONF_UNSET_PTR;
    conf->store.timeout = NGX_CONF_UNSET_MSEC;
    conf->store.max_inflight = NGX_CONF_UNSET_SIZE;
    conf->store.feed_history = NGX_CONF_UNSET_UINT;
    conf->limits.entries = NGX_CONF_UNSET_SIZE;
    conf->limits.name = NGX_CONF_UNSET_SIZE;
    conf->limits.category = NGX_CONF_UNSET_SIZE;
    conf->limits.data = NGX_CONF_UNSET_SIZE;
    conf->store.log_ttl = NGX_CONF_UNSET;
    conf->sid_kind = NGX_CONF_UNSET_UINT;
    conf->ws.ping = NGX_CONF_UNSET_MSEC;
    conf->ws.max_message = NGX_CONF_UNSET_SIZE;
    conf->origins = NGX_CONF_UNSET_PTR;
    conf->cors = NGX_CONF_UNSET_PTR;
    conf->feed = NGX_CONF_UNSET;
    conf->feed_buffer = NGX_CONF_UNSET_SIZE;
    conf->feed_ping = NGX_CONF_UNSET_MSEC;
    conf->deletes = NGX_CONF_UNSET;
    conf->apps.known = NGX_CONF_UNSET_PTR;
    conf->schemas = NGX_CONF_UNSET_PTR;
    conf->apps.cache = NGX_CONF_UNSET_MSEC;
    conf->apps.grace = NGX_CONF_UNSET_MSEC;
    conf->require_application = NGX_CONF_UNSET;

    ngx_http_eventsession_batch_unset(&conf->workers);

    return conf;
}


static char *
ngx_http_eventsession_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_eventsession_loc_conf_t  *prev = parent;
    ngx_http_eventsession_loc_conf_t  *conf = child;

    ngx_conf_merge_ptr_value(conf->store.redis, prev->store.redis, NULL);
    ngx_conf_merge_str_value(conf->store.prefix, prev->store.prefix, "es:");
    ngx_conf_merge_msec_value(conf->store.timeout, prev->store.timeout,
                              10000);
    ngx_conf_merge_size_value(conf->store.max_inflight,
                              prev->store.max_inflight, 64 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->limits.entries, prev->limits.entries,
                              20000);
    ngx_conf_merge_size_value(conf->limits.name, prev->limits.name, 255);
    ngx_conf_merge_size_value(conf->limits.category, prev->limits.category,
                              200);
    ngx_conf_merge_size_value(conf->limits.data, prev->limits.data, 65536);
    ngx_conf_merge_uint_value(conf->sid_kind, prev->sid_kind, EVS_SID_UUID);
    ngx_conf_merge_msec_value(conf->ws.ping, prev->ws.ping, 30000);
    ngx_conf_merge_size_value(conf->ws.max_message, prev->ws.max_message,
                              1024 * 1024);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);
    ngx_conf_merge_uint_value(conf->store.feed_history,
                              prev->store.feed_history, 100000);
    ngx_conf_merge_sec_value(conf->store.log_ttl, prev->store.log_ttl, 0);
    ngx_conf_merge_size_value(conf->feed_buffer, prev->feed_buffer,
                              1024 * 1024);
    ngx_conf_merge_msec_value(conf->feed_ping, prev->feed_ping, 15000);
    ngx_conf_merge_value(conf->deletes, prev->deletes, 0);
    ngx_conf_merge_ptr_value(conf->apps.known, prev->apps.known, NULL);
    ngx_conf_merge_ptr_value(conf->schemas, prev->schemas, NULL);
    ngx_conf_merge_msec_value(conf->apps.cache, prev->apps.cache, 5000);
    ngx_conf_merge_msec_value(conf->apps.grace, prev->apps.grace, 60000);
    ngx_conf_merge_value(conf->require_application,
                         prev->require_application, 0);

    ngx_http_eventsession_batch_merge(&conf->workers, &prev->workers);

    conf->apps.store = &conf->store;

    /* not said: postconfiguration knows */

    if (conf->feed == NGX_CONF_UNSET) {
        conf->feed = prev->feed;
    }

    ngx_http_eventsession_merge_noname(cf, prev, conf);

    if (conf->endpoint == NULL) {
        return NGX_CONF_OK;
    }

    return ngx_http_eventsession_merge_endpoint(cf, conf);
}


/*
 * The blocks "if" and "limit_except" in a location are the same endpoint; the
 * former keeps the handler by itself.
 */

static void
ngx_http_eventsession_merge_noname(ngx_conf_t *cf,
    ngx_http_eventsession_loc_conf_t *prev,
    ngx_http_eventsession_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!clcf->noname || clcf->handler != NULL || prev->endpoint == NULL) {
        return;
    }

    conf->endpoint = prev->endpoint;
    conf->location = prev->location;

    if (clcf->lmt_excpt) {
        clcf->handler = conf->endpoint->handler;
    }
}


/* The location has an endpoint: what it needs must be there. */

static char *
ngx_http_eventsession_merge_endpoint(ngx_conf_t *cf,
    ngx_http_eventsession_loc_conf_t *conf)
{
    ngx_uint_t                           i;
    evs_redis_conf_t                   **used;
    ngx_http_core_loc_conf_t            *clcf;
    ngx_http_eventsession_srv_conf_t    *escf;
    ngx_http_eventsession_loc_conf_t   **location;
    ngx_http_eventsession_main_conf_t   *emcf;

    emcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_eventsession_module);
    emcf->endpoints = 1;

    if (!conf->endpoint->redis) {
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->store.redis == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"eventsession %V\" in location \"%V\" needs "
                           "\"eventsession_redis\" in this or an outer block",
                           &conf->endpoint->name, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (clcf->resolver != NULL && clcf->resolver->connections.nelts) {
        conf->store.redis->resolver = clcf->resolver;
        conf->store.redis->resolver_timeout = clcf->resolver_timeout;
    }

    location = ngx_array_push(&emcf->locations);
    if (location == NULL) {
        return NGX_CONF_ERROR;
    }

    *location = conf;

    if (conf->require_application) {
        escf = ngx_http_conf_get_module_srv_conf(cf,
                                               ngx_http_eventsession_module);
        escf->hides = 1;
        emcf->hides = 1;
    }

    used = emcf->used.elts;

    for (i = 0; i < emcf->used.nelts; i++) {
        if (used[i] == conf->store.redis) {
            return NGX_CONF_OK;
        }
    }

    used = ngx_array_push(&emcf->used);
    if (used == NULL) {
        return NGX_CONF_ERROR;
    }

    *used = conf->store.redis;

    return NGX_CONF_OK;
}


/*
 * Where eventsession_feed is not said, a location writes to the feed if some
 * location of this configuration serves it from there.  A module that is
 * merely loaded counts nothing, hides nothing, filters nothing and has no
 * shared memory.
 */

static ngx_int_t
ngx_http_eventsession_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                           i;
    ngx_http_eventsession_loc_conf_t   **location;
    ngx_http_eventsession_main_conf_t   *emcf;

    emcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_eventsession_module);
    location = emcf->locations.elts;

    for (i = 0; i < emcf->locations.nelts; i++) {
        location[i]->store.feed = (location[i]->feed == NGX_CONF_UNSET)
                                  ? ngx_http_eventsession_has_feed(emcf,
                                                      &location[i]->store)
                                  : (ngx_uint_t) location[i]->feed;
    }

    if (!emcf->endpoints) {
        return NGX_OK;
    }

    ngx_http_eventsession_special_init();

    if (emcf->hides && ngx_http_eventsession_hide_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_eventsession_account_init(cf, &emcf->accounts) != NGX_OK) {
        return NGX_ERROR;
    }

    return evs_stats_zone(cf, &ngx_http_eventsession_module, &emcf->zone);
}


static ngx_uint_t
ngx_http_eventsession_has_feed(const ngx_http_eventsession_main_conf_t *emcf,
    const evs_store_conf_t *store)
{
    ngx_uint_t                          i;
    evs_store_conf_t                   *other;
    ngx_http_eventsession_loc_conf_t  **location;

    location = emcf->locations.elts;

    for (i = 0; i < emcf->locations.nelts; i++) {
        other = &location[i]->store;

        if (location[i]->endpoint->handler
            == ngx_http_eventsession_feed_handler
            && other->redis == store->redis
            && other->prefix.len == store->prefix.len
            && ngx_memcmp(other->prefix.data, store->prefix.data,
                          store->prefix.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_http_eventsession_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                               *value;
    ngx_http_core_loc_conf_t                *clcf;
    ngx_http_eventsession_loc_conf_t        *elcf = conf;
    const ngx_http_eventsession_endpoint_t  *endpoint;

    if (elcf->endpoint != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (endpoint = ngx_http_eventsession_endpoints;
         endpoint->handler != NULL;
         endpoint++)
    {
        if (value[1].len == endpoint->name.len
            && ngx_strncmp(value[1].data, endpoint->name.data, value[1].len)
               == 0)
        {
            break;
        }
    }

    if (endpoint->handler == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown endpoint \"%V\" in \"eventsession\": must "
                           "be ws, session, track, batch, log, feed, "
                           "workers, healthcheck, ready or metrics",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = endpoint->handler;

    elcf->endpoint = endpoint;

    /* a prefix location's name, as later code needs it */

    if (!clcf->named && !clcf->exact_match
#if (NGX_PCRE)
        && clcf->regex == NULL
#endif
       )
    {
        elcf->location = clcf->name;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_eventsession_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                           *value;
    ngx_uint_t                           i;
    evs_redis_conf_t                    *redis, **nodes;
    ngx_http_eventsession_loc_conf_t    *elcf = conf;
    ngx_http_eventsession_main_conf_t   *emcf;

    if (elcf->store.redis != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    redis = evs_redis_conf_parse(cf, &value[1], cf->args->nelts - 1);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the same server, in the same way, is one node */

    emcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_eventsession_module);
    nodes = emcf->nodes.elts;

    for (i = 0; i < emcf->nodes.nelts; i++) {
        if (evs_redis_conf_same(nodes[i], redis)) {
            elcf->store.redis = nodes[i];
            return NGX_CONF_OK;
        }
    }

    redis->index = emcf->nodes.nelts;

    nodes = ngx_array_push(&emcf->nodes);
    if (nodes == NULL) {
        return NGX_CONF_ERROR;
    }

    *nodes = redis;
    elcf->store.redis = redis;

    return NGX_CONF_OK;
}


static char *
ngx_http_eventsession_patterns(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t     *value;
    ngx_array_t  **patterns;

    patterns = (ngx_array_t **) (void *) (p + cmd->offset);

    if (*patterns != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *patterns = ngx_http_eventsession_origins(cf, &value[1],
                                              cf->args->nelts - 1);

    return (*patterns == NULL) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static char *
ngx_http_eventsession_session_id(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                         *value;
    ngx_conf_enum_t                   *kind;
    ngx_http_eventsession_loc_conf_t  *elcf = conf;

    if (elcf->sid_kind != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (kind = ngx_http_eventsession_sid_kinds; kind->name.len; kind++) {

        if (value[1].len == kind->name.len
            && ngx_strncmp(value[1].data, kind->name.data, value[1].len) == 0)
        {
            elcf->sid_kind = kind->value;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\": must be uuid or any",
                       &value[1], &cmd->name);

    return NGX_CONF_ERROR;
}


/*
 * An application.  Its UUID is a credential, so that the name has to do for
 * who reads what nginx -t says.
 */

static char *
ngx_http_eventsession_trust(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                          rc;
    evs_sid_t                          uuid, other;
    ngx_str_t                         *value, *name;
    ngx_http_eventsession_loc_conf_t  *elcf = conf;

    value = cf->args->elts;
    name = &value[2];

    if (evs_sid_parse(&other, EVS_SID_UUID, name->data, name->len) == NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name of an application in \"%V\" is a UUID: "
                           "the UUID stands first, and the name is shown",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (!evs_app_name_valid(name->data, name->len)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"%V\": must be of "
                           EVS_APP_NAME_RIGHT, name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (evs_sid_parse(&uuid, EVS_SID_UUID, value[1].data, value[1].len)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid UUID of \"%V\" in \"%V\": must have 32 "
                           "hexadecimal digits, with 4 dashes or without",
                           name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (elcf->apps.known == NGX_CONF_UNSET_PTR) {
        elcf->apps.known = ngx_array_create(cf->pool, 4, sizeof(evs_app_t));
        if (elcf->apps.known == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rc = evs_apps_add(elcf->apps.known, &uuid, name);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate UUID of \"%V\" in \"%V\": each "
                           "application must have one of its own", name,
                           &cmd->name);
    }

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* As the slot's own setter, but its errors name the value. */

static char *
ngx_http_eventsession_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                          *rc;
    ngx_str_t                     *value;
    ngx_command_t                  plain;
    ngx_http_eventsession_slot_t  *slot;

    slot = cmd->post;

    plain = *cmd;
    plain.post = slot->post.post_handler ? &slot->post : NULL;

    rc = slot->set(cf, &plain, conf);

    if (rc == NGX_CONF_OK
        || (rc != NGX_CONF_ERROR && ngx_strcmp(rc, "is duplicate") == 0))
    {
        return rc;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\": must be %s",
                       &value[1], &cmd->name, slot->right);

    return NGX_CONF_ERROR;
}


/* A brace would move the hash tag of a key (Redis Cluster). */

static char *
ngx_http_eventsession_check_prefix(ngx_conf_t *cf, void *post, void *data)
{
    u_char      c;
    ngx_str_t  *prefix = data;
    ngx_uint_t  i;

    if (prefix->len == 0 || prefix->len > EVS_STORE_PREFIX_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid eventsession_prefix \"%V\": must have "
                           "1 to %d characters", prefix, EVS_STORE_PREFIX_MAX);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < prefix->len; i++) {
        c = prefix->data[i];

        if (c <= ' ' || c >= 0x7f || c == '{' || c == '}') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid eventsession_prefix \"%V\": must be "
                               "of printable ASCII without blanks and braces",
                               prefix);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_eventsession_check_msec(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *value = data;

    return (*value == 0) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static char *
ngx_http_eventsession_check_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *value = data;

    return (*value == 0) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static char *
ngx_http_eventsession_check_number(ngx_conf_t *cf, void *post, void *data)
{
    ngx_int_t  *value = data;

    return (*value < 1) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* More would be a slip, and far from what a time in µs can hold. */

static char *
ngx_http_eventsession_check_ttl(ngx_conf_t *cf, void *post, void *data)
{
    time_t  *value = data;

    return (*value > (time_t) 100 * 365 * 86400) ? NGX_CONF_ERROR
                                                 : NGX_CONF_OK;
}


/*
 * Connects to each Redis that a location uses, so that the first client
 * doesn't wait for it and /ready knows; and begins the workers of batches.
 */

static ngx_int_t
ngx_http_eventsession_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                           i;
    evs_redis_conf_t                   **used;
    evs_redis_node_t                    *node;
    ngx_http_eventsession_loc_conf_t   **location;
    ngx_http_eventsession_main_conf_t   *emcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    emcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_eventsession_module);

    if (emcf == NULL) {
        return NGX_OK;
    }

    evs_stats_attach(emcf->zone, cycle->log);

    used = emcf->used.elts;

    for (i = 0; i < emcf->used.nelts; i++) {
        if (evs_redis_node(cycle, used[i]) == NULL) {
            return NGX_ERROR;
        }
    }

    location = emcf->locations.elts;

    for (i = 0; i < emcf->locations.nelts; i++) {

        node = evs_redis_node(cycle, location[i]->store.redis);

        evs_redis_bound(node, location[i]->store.max_inflight);

        if (location[i]->endpoint->handler
            == ngx_http_eventsession_batch_handler
            && ngx_http_eventsession_batch_init(cycle, &location[i]->store,
                                                &location[i]->workers)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_eventsession_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_eventsession_feed_exit();

    evs_workers_exit(cycle);
    evs_redis_exit(cycle);
    evs_pool_exit();
    evs_chunks_exit();
    evs_workers_free();
    evs_log_drop_exit();
    evs_feed_exit();
    evs_apps_exit();
    ngx_http_eventsession_posted_exit();

    ngx_http_eventsession_ingest_exit();
    ngx_http_eventsession_ws_exit();

    evs_stats_detach();
}
