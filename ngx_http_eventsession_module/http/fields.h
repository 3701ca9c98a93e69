
/*
 * Replies to bodies of objects with fields (event/fields.h) that are not what
 * they should be.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FIELDS_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FIELDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/fields.h"


/*
 * 400: the map of faults; or, to what isn't JSON, {"detail":"JSON parse error
 * - ..."}.  Both return what a handler returns.
 */
ngx_int_t ngx_http_eventsession_fields_faults(ngx_http_request_t *r,
    const evs_fields_t *fields);
ngx_int_t ngx_http_eventsession_fields_syntax(ngx_http_request_t *r,
    const evs_fields_t *fields);


#endif /* _NGX_HTTP_EVENTSESSION_FIELDS_H_INCLUDED_ */
