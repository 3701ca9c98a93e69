
/*
 * eventsession_require_application, for endpoints that take a body: whether
 * who sends it may.
 */


#ifndef _NGX_HTTP_EVENTSESSION_REQUIRE_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_REQUIRE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "store/apps.h"


/* its memory is its owner's, and all zero at first */
typedef struct {
    /* set by the caller */
    ngx_http_request_t   *request;
    void                 *data;
    /* once after NGX_DONE, with what else ngx_http_eventsession_require() may
       return, when the log of the request's connection is set */
    void                (*done)(void *data, ngx_int_t rc);

    ngx_str_t             application;  /* its name; NULL: nobody asked */

    /* the rest is not the caller's */
    evs_sid_t             uuid;
    evs_apps_waiter_t     waiter;
} ngx_http_eventsession_require_t;


/*
 *     NGX_DECLINED  there is nothing against it: the request goes on
 *     NGX_DONE      Redis was asked; require->done() will be called
 *     any other     a reply has been made, 403 or 503: what to finalize with
 */
ngx_int_t ngx_http_eventsession_require(
    ngx_http_eventsession_require_t *require, evs_redis_node_t *node);

/* Nobody waits for it any more.  Idempotent. */
void ngx_http_eventsession_require_cancel(
    ngx_http_eventsession_require_t *require);


#endif /* _NGX_HTTP_EVENTSESSION_REQUIRE_H_INCLUDED_ */
