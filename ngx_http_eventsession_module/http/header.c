
/*
 * Header fields, in and out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/header.h"
#include "proto/ws_handshake.h"


typedef ngx_uint_t (*ngx_http_eventsession_header_has_pt)(
    const ngx_str_t *value, const char *token);


static ngx_table_elt_t *ngx_http_eventsession_header_next(
    ngx_list_part_t **part, ngx_uint_t *i, const char *name);
static ngx_uint_t ngx_http_eventsession_header_list(ngx_http_request_t *r,
    const char *name, const char *token,
    ngx_http_eventsession_header_has_pt has);


/* The next header of that name; the walk begins at *part, 0. */

static ngx_table_elt_t *
ngx_http_eventsession_header_next(ngx_list_part_t **part, ngx_uint_t *i,
    const char *name)
{
    size_t            len;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for ( /* void */ ; *part; *part = (*part)->next, *i = 0) {
        h = (*part)->elts;

        while (*i < (*part)->nelts) {
            (*i)++;

            if (h[*i - 1].hash != 0 && h[*i - 1].key.len == len
                && ngx_strncasecmp(h[*i - 1].key.data, (u_char *) name, len)
                   == 0)
            {
                return &h[*i - 1];
            }
        }
    }

    return NULL;
}


ngx_str_t *
ngx_http_eventsession_header_in(ngx_http_request_t *r, const char *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    i = 0;
    part = &r->headers_in.headers.part;

    h = ngx_http_eventsession_header_next(&part, &i, name);

    return (h == NULL) ? NULL : &h->value;
}


ngx_uint_t
ngx_http_eventsession_header_count(ngx_http_request_t *r, const char *name)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;

    i = 0;
    part = &r->headers_in.headers.part;

    for (n = 0;
         ngx_http_eventsession_header_next(&part, &i, name) != NULL;
         n++)
    {
        /* void */
    }

    return n;
}


ngx_uint_t
ngx_http_eventsession_header_has(ngx_http_request_t *r, const char *name,
    const char *token)
{
    return ngx_http_eventsession_header_list(r, name, token,
                                             evs_ws_has_token);
}


ngx_uint_t
ngx_http_eventsession_header_has_protocol(ngx_http_request_t *r,
    const char *name, const char *protocol)
{
    return ngx_http_eventsession_header_list(r, name, protocol,
                                             evs_ws_has_protocol);
}


static ngx_uint_t
ngx_http_eventsession_header_list(ngx_http_request_t *r, const char *name,
    const char *token, ngx_http_eventsession_header_has_pt has)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    i = 0;
    part = &r->headers_in.headers.part;

    for ( ;; ) {
        h = ngx_http_eventsession_header_next(&part, &i, name);

        if (h == NULL) {
            return 0;
        }

        if (has(&h->value, token)) {
            return 1;
        }
    }
}


ngx_int_t
ngx_http_eventsession_header_out(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}
