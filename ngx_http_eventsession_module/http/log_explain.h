
/*
 * ?explain=1: how the records of a filter are found, as JSON.
 */


#ifndef _NGX_HTTP_EVENTSESSION_LOG_EXPLAIN_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_LOG_EXPLAIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "store/log_read.h"


/* The reply, once the plan is made: returns what a handler returns. */
ngx_int_t ngx_http_eventsession_log_explain(ngx_http_request_t *r,
    const evs_log_read_t *read);


#endif /* _NGX_HTTP_EVENTSESSION_LOG_EXPLAIN_H_INCLUDED_ */
