
/*
 * Replies to bodies that are at fault, see fields.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/fields.h"
#include "http/reply.h"


static void ngx_http_eventsession_fields_account(ngx_http_request_t *r,
    const evs_fields_t *fields);


ngx_int_t
ngx_http_eventsession_fields_faults(ngx_http_request_t *r,
    const evs_fields_t *fields)
{
    ngx_str_t  json;

    ngx_http_eventsession_fields_account(r, fields);

    if (evs_fields_faults_json(fields, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_eventsession_body(r, NGX_HTTP_BAD_REQUEST,
                                      "application/json", json.data,
                                      json.len);
}


/* The first fault of all stands for the others. */

static void
ngx_http_eventsession_fields_account(ngx_http_request_t *r,
    const evs_fields_t *fields)
{
    u_char                    *p, *last, text[256];
    ngx_uint_t                 i;
    const evs_fields_item_t   *item;
    const evs_fields_fault_t  *fault;

    fault = fields->whole.first;

    for (i = 0; fault == NULL && i < fields->nitems; i++) {
        item = (evs_fields_item_t *) (void *)
               (fields->items + i * fields->table->size);
        fault = item->first;
    }

    if (fault == NULL) {
        return;
    }

    p = text;
    last = text + sizeof(text);

    if (fields->array && i != 0) {
        p = ngx_slprintf(p, last, "item %ui: ", i - 1);
    }

    p = ngx_slprintf(p, last, "%V: %V",
                     &fields->table->fields[fault->field].name,
                     &fault->sentence);

    ngx_http_eventsession_account_error(r, text, (size_t) (p - text));
}


ngx_int_t
ngx_http_eventsession_fields_syntax(ngx_http_request_t *r,
    const evs_fields_t *fields)
{
    size_t            len;
    u_char           *json, *p;
    const ngx_str_t  *syntax;

    syntax = &fields->syntax;

    ngx_http_eventsession_account_syntax(r);
    ngx_http_eventsession_account_error(r, syntax->data, syntax->len);

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
