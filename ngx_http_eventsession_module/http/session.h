
/*
 * GET, HEAD and DELETE of /session/<id> (contract, section 2).
 */


#ifndef _NGX_HTTP_EVENTSESSION_SESSION_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/sid.h"


ngx_int_t ngx_http_eventsession_session_handler(ngx_http_request_t *r);

/* Its DELETE, which the location allows; as a content handler. */
ngx_int_t ngx_http_eventsession_session_delete(ngx_http_request_t *r);

/*
 * The id that the URL names: what follows the name of a prefix location, or,
 * in a regex location, the last segment of the path.  NGX_DECLINED: it is
 * right; otherwise a reply has been made.
 */
ngx_int_t ngx_http_eventsession_session_sid(ngx_http_request_t *r,
    evs_sid_t *sid);


#endif /* _NGX_HTTP_EVENTSESSION_SESSION_H_INCLUDED_ */
