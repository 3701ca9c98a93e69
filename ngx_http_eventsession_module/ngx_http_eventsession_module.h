
/*
 * What the HTTP rooms share with the module file: the settings of a location
 * and the table of endpoints.
 */


#ifndef _NGX_HTTP_EVENTSESSION_MODULE_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/scan.h"
#include "http/origin.h"
#include "http/ws.h"
#include "store/apps.h"
#include "store/pool.h"
#include "store/store.h"


#define NGX_HTTP_EVENTSESSION_VERSION  "0.1.0"


typedef struct {
    ngx_str_t                          name;      /* eventsession <name>; */
    ngx_http_handler_pt                handler;
    ngx_uint_t                         redis;     /* needs eventsession_redis */
    ngx_uint_t                         stats;     /* evs_stats_endpoint_e */
} ngx_http_eventsession_endpoint_t;


/* every Redis that is configured, whether an endpoint uses it or not */
typedef struct {
    ngx_array_t                        nodes;     /* of evs_redis_conf_t * */
    ngx_array_t                        used;      /* the same, those to connect
                                                     to at start */
    ngx_array_t                        locations; /* those that need a Redis:
                                       of ngx_http_eventsession_loc_conf_t * */
    ngx_uint_t                         endpoints; /* there are some */
    ngx_uint_t                         accounts;  /* the variables are used */
    ngx_uint_t                         hides;     /* some server does */
    ngx_shm_zone_t                    *zone;      /* of the metrics; or NULL */
} ngx_http_eventsession_main_conf_t;


typedef struct {
    const ngx_http_eventsession_endpoint_t
                                      *endpoint;

    evs_store_conf_t                   store;
    evs_limits_t                       limits;
    ngx_uint_t                         sid_kind;

    ngx_http_eventsession_ws_conf_t    ws;
    ngx_array_t                       *origins;   /* of WebSockets */
    ngx_array_t                       *cors;

    ngx_flag_t                         feed;      /* on, off or not said */
    size_t                             feed_buffer;  /* of a subscriber */
    ngx_msec_t                         feed_ping;
    ngx_flag_t                         deletes;   /* DELETE is allowed */

    evs_apps_conf_t                    apps;      /* who is trusted */
    ngx_array_t                       *schemas;   /* of data; or NULL */
    evs_pool_conf_t                    workers;   /* of batches */
    ngx_flag_t                         require_application;

    ngx_str_t                          location;  /* its name, if a prefix */
} ngx_http_eventsession_loc_conf_t;


typedef struct {
    ngx_uint_t                         hides;     /* what http/hide.h says */
} ngx_http_eventsession_srv_conf_t;


extern ngx_module_t  ngx_http_eventsession_module;


#endif /* _NGX_HTTP_EVENTSESSION_MODULE_H_INCLUDED_ */
