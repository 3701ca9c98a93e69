
/*
 * nginx's special responses, which are pages of HTML: in the location of an
 * endpoint they become problems, as all other errors are there.
 */


#ifndef _NGX_HTTP_EVENTSESSION_SPECIAL_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_SPECIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* At postconfiguration, where some location is an endpoint. */
void ngx_http_eventsession_special_init(void);


#endif /* _NGX_HTTP_EVENTSESSION_SPECIAL_H_INCLUDED_ */
