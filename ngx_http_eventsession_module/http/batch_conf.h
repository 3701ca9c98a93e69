
/*
 * The directive eventsession_workers: how many workers the shards of batches
 * have, and how they work.
 */


#ifndef _NGX_HTTP_EVENTSESSION_BATCH_CONF_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_BATCH_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "store/pool.h"


/* The setter of eventsession_workers; its slot is an evs_pool_conf_t. */
char *ngx_http_eventsession_batch_workers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* What was said of the workers nowhere; what their settings are by default. */
void ngx_http_eventsession_batch_unset(evs_pool_conf_t *conf);
void ngx_http_eventsession_batch_merge(evs_pool_conf_t *conf,
    const evs_pool_conf_t *prev);


#endif /* _NGX_HTTP_EVENTSESSION_BATCH_CONF_H_INCLUDED_ */
