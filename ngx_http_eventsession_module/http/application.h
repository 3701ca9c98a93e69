
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


/*
 * The application's UUID, canonical, from the header "application"; with arg,
 * also from the argument of that name, if there is no header.  NGX_OK, or
 * NGX_DECLINED: none, more than one header, or no UUID.
 *
 * With arg, the argument's value is made unreadable in the request, whatever
 * is returned: it is a credential, and nginx logs what is requested.
 */
ngx_int_t ngx_http_eventsession_application(ngx_http_request_t *r,
    ngx_uint_t arg, evs_sid_t *uuid);


#endif /* _NGX_HTTP_EVENTSESSION_APPLICATION_H_INCLUDED_ */
