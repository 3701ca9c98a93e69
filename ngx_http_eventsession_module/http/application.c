
/*
 * The application of a request: see application.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/application.h"
#include "http/header.h"


#define NGX_HTTP_EVENTSESSION_APPLICATION  "application"

/* of an argument, each byte of a UUID written as %xx */
#define NGX_HTTP_EVENTSESSION_APPLICATION_MAX  (3 * 36)


static ngx_int_t ngx_http_eventsession_application_arg(ngx_http_request_t *r,
    evs_sid_t *uuid);
static void ngx_http_eventsession_application_hide(ngx_str_t *text);


ngx_int_t
ngx_http_eventsession_application(ngx_http_request_t *r, ngx_uint_t arg,
    evs_sid_t *uuid)
{
    ngx_int_t   rc;
    ngx_str_t  *value;

    value = ngx_http_eventsession_header_in(r,
                                           NGX_HTTP_EVENTSESSION_APPLICATION);

    if (value == NULL) {
        rc = arg ? ngx_http_eventsession_application_arg(r, uuid)
                 : NGX_DECLINED;

    } else if (ngx_http_eventsession_header_count(r,
                                           NGX_HTTP_EVENTSESSION_APPLICATION)
               != 1)
    {
        rc = NGX_DECLINED;

    } else {
        rc = evs_sid_parse(uuid, EVS_SID_UUID, value->data, value->len);
    }

    if (arg) {

        /* in HTTP/1 the same bytes, in HTTP/2 texts of their own */

        ngx_http_eventsession_application_hide(&r->request_line);
        ngx_http_eventsession_application_hide(&r->unparsed_uri);
        ngx_http_eventsession_application_hide(&r->args);
    }

    return rc;
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


/* The value of each argument of that name, in args or in what holds them. */

static void
ngx_http_eventsession_application_hide(ngx_str_t *text)
{
    size_t   len;
    u_char  *p, *last;

    static u_char  name[] = NGX_HTTP_EVENTSESSION_APPLICATION "=";

    len = sizeof(name) - 1;
    p = text->data;
    last = p + text->len;

    while ((size_t) (last - p) > len) {

        if ((p != text->data && p[-1] != '?' && p[-1] != '&')
            || ngx_strncasecmp(p, name, len) != 0)
        {
            p++;
            continue;
        }

        for (p += len; p < last && *p != '&' && *p != ' '; p++) {
            *p = '*';
        }
    }
}
