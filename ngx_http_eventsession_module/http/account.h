
/*
 * The account that is given of a request: in the metrics, and in the variables
 * of the access log,
 *
 *     $eventsession_id          its session
 *     $eventsession_events      how many events it stored
 *     $eventsession_store_time  how long that took, in seconds
 *     $eventsession_error       what it was told that was wrong
 *
 * Only where the configuration names one of these are they noted; all calls
 * here are cheap otherwise.
 */


#ifndef _NGX_HTTP_EVENTSESSION_ACCOUNT_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_ACCOUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/sid.h"
#include "stats/stats.h"


/* While the configuration is read: the variables.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_eventsession_account_variables(ngx_conf_t *cf);

/*
 * When all of it has been read and some location is an endpoint: sets wanted
 * to 1 if a variable is named, and has requests counted.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_eventsession_account_init(ngx_conf_t *cf,
    ngx_uint_t *wanted);

/*
 * A posted body was stored, with so many events, or wasn't; r NULL: nobody is
 * there to be told.
 */
void ngx_http_eventsession_account_stored(ngx_http_request_t *r,
    ngx_uint_t ingest, ngx_uint_t events, const char *failure);

/* The same of a message for the variables; begin: the tick when it was whole */
void ngx_http_eventsession_account_events(ngx_http_request_t *r,
    ngx_uint_t events, uint64_t begin);

/* The session that the request is about. */
void ngx_http_eventsession_account_session(ngx_http_request_t *r,
    const evs_sid_t *sid);

/* What the client is told to be wrong; the text is copied, and cut. */
void ngx_http_eventsession_account_error(ngx_http_request_t *r,
    const u_char *text, size_t len);

/* The answer was cut off behind its header. */
void ngx_http_eventsession_account_broken(ngx_http_request_t *r,
    const char *failure);

/* A posted body of that length, inflated, is there. */
void ngx_http_eventsession_account_body(ngx_http_request_t *r, size_t len);

/* The posted body is not JSON. */
void ngx_http_eventsession_account_syntax(ngx_http_request_t *r);

/* The answer to a posted body of an endpoint that stores. */
void ngx_http_eventsession_account_answer(ngx_http_request_t *r,
    ngx_uint_t status);


#endif /* _NGX_HTTP_EVENTSESSION_ACCOUNT_H_INCLUDED_ */
