
/*
 * Which application sends a request, by what it shows of itself.  Whether that
 * one is trusted is store/apps.h's to say.
 */


#ifndef _NGX_HTTP_EVENTSESSION_APPLICATION_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_APPLICATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/sid.h"


/* its header and argument */
#define NGX_HTTP_EVENTSESSION_APPLICATION  "application"


/*
 * The application's UUID, canonical, from the header; with arg, also from the
 * argument, if there is no header.  NGX_OK, or NGX_DECLINED: none, more than
 * one header, or no UUID.  It is a credential: see http/hide.h.
 */
ngx_int_t ngx_http_eventsession_application(ngx_http_request_t *r,
    ngx_uint_t arg, evs_sid_t *uuid);


#endif /* _NGX_HTTP_EVENTSESSION_APPLICATION_H_INCLUDED_ */
