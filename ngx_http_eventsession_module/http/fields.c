
/*
 * Replies to bodies that are at fault, see fields.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/fields.h"
#include "http/reply.h"


ngx_int_t
ngx_http_eventsession_fields_faults(ngx_http_request_t *r,
    const evs_fields_t *fields)
{
    ngx_str_t  json;

    if (evs_fields_faults_json(fields, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_body(r, NGX_HTTP_BAD_REQUEST,
                                      "application/json", json.data,
                                      json.len);
}


ngx_int_t
ngx_http_eventsession_fields_syntax(ngx_http_request_t *r,
    const evs_fields_t *fields)
{
    size_t            len;
    u_char           *json, *p;
    const ngx_str_t  *syntax;

    syntax = &fields->syntax;
    len = evs_json_escape(NULL, syntax->data, syntax->len);

    json = ngx_pnalloc(r->pool,
                       len + sizeof("{\"detail\":\"JSON parse error - \"}"));
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(json, "{\"detail\":\"JSON parse error - ",
                   sizeof("{\"detail\":\"JSON parse error - ") - 1);
    p += evs_json_escape(p, syntax->data, syntax->len);
    p = ngx_cpymem(p, "\"}", 2);

    return ngx_http_eventsession_body(r, NGX_HTTP_BAD_REQUEST,
                                      "application/json", json,
                                      (size_t) (p - json));
}
