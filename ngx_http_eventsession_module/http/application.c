
/*
 * The application of a request: see application.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/application.h"
#include "http/header.h"


/* of an argument, each byte of a UUID written as %xx */
#define NGX_HTTP_EVENTSESSION_APPLICATION_MAX  (3 * 36)


static ngx_int_t ngx_http_eventsession_application_arg(ngx_http_request_t *r,
    evs_sid_t *uuid);


ngx_int_t
ngx_http_eventsession_application(ngx_http_request_t *r, ngx_uint_t arg,
    evs_sid_t *uuid)
{
    ngx_str_t  *value;

    value = ngx_http_eventsession_header_in(r,
                                           NGX_HTTP_EVENTSESSION_APPLICATION);

    if (value == NULL) {
        return arg ? ngx_http_eventsession_application_arg(r, uuid)
                   : NGX_DECLINED;
    }

    if (ngx_http_eventsession_header_count(r,
                                           NGX_HTTP_EVENTSESSION_APPLICATION)
        != 1)
    {
        return NGX_DECLINED;
    }

    return evs_sid_parse(uuid, EVS_SID_UUID, value->data, value->len);
}


static ngx_int_t
ngx_http_eventsession_application_arg(ngx_http_request_t *r, evs_sid_t *uuid)
{
    u_char     *src, *dst, buf[NGX_HTTP_EVENTSESSION_APPLICATION_MAX];
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) NGX_HTTP_EVENTSESSION_APPLICATION,
                     sizeof(NGX_HTTP_EVENTSESSION_APPLICATION) - 1, &value)
        != NGX_OK
        || value.len > sizeof(buf))
    {
        return NGX_DECLINED;
    }

    src = value.data;
    dst = buf;

    ngx_unescape_uri(&dst, &src, value.len, 0);

    return evs_sid_parse(uuid, EVS_SID_UUID, buf, (size_t) (dst - buf));
}
