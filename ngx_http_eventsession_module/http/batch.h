
/*
 * POST and GET /events (contract, section 3): the endpoint of batches.
 */


#ifndef _NGX_HTTP_EVENTSESSION_BATCH_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_BATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "store/pool.h"


ngx_int_t ngx_http_eventsession_batch_handler(ngx_http_request_t *r);

/* The workers of a location begin. */
ngx_int_t ngx_http_eventsession_batch_init(ngx_cycle_t *cycle,
    const evs_store_conf_t *store, const evs_pool_conf_t *workers);


#endif /* _NGX_HTTP_EVENTSESSION_BATCH_H_INCLUDED_ */
