
/*
 * $ref: where it leads to in its document, and that it comes to an end.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_make.h"
#include "event/schema_node.h"


static ngx_int_t evs_schema_resolve_ref(evs_schema_build_t *b,
    const evs_schema_ref_t *ref);
static ngx_int_t evs_schema_decode(ngx_pool_t *pool, const json_t *ref,
    ngx_str_t *pointer);
static ngx_int_t evs_schema_measure(evs_schema_build_t *b,
    evs_schema_node_t *node, ngx_uint_t depth);


ngx_int_t
evs_schema_resolve(evs_schema_build_t *b)
{
    evs_schema_ref_t   *ref;
    evs_schema_node_t  *node;

    for (ref = b->refs; ref != NULL; ref = ref->next) {
        if (evs_schema_resolve_ref(b, ref) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (node = b->nodes; node != NULL; node = node->next) {
        if (evs_schema_measure(b, node, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_schema_resolve_ref(evs_schema_build_t *b, const evs_schema_ref_t *ref)
{
    ngx_int_t           rc;
    ngx_str_t           pointer;
    evs_schema_node_t  *node;
    evs_schema_text_t   quoted;

    quoted.len = 0;
    evs_schema_add_json(&quoted, ref->rule->value);

    if (json_string_value(ref->rule->value)[0] != '#') {
        return evs_schema_error_at(b, &ref->pointer, "%.*s must begin with #: "
                                   "no other document is read, all that is "
                                   "referred to must be in \"$defs\" here",
                                   (int) quoted.len, quoted.data);
    }

    rc = evs_schema_decode(b->pool, ref->rule->value, &pointer);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    for (node = b->nodes; rc == NGX_OK && node != NULL; node = node->next) {

        if (node->pointer.len == pointer.len
            && ngx_memcmp(node->pointer.data, pointer.data, pointer.len) == 0)
        {
            ref->rule->nodes[0] = node;
            return NGX_OK;
        }
    }

    return evs_schema_error_at(b, &ref->pointer, "there is no schema at %.*s",
                               (int) quoted.len, quoted.data);
}


/* What is behind the #, without %xx.  NGX_DECLINED: it is malformed. */

static ngx_int_t
evs_schema_decode(ngx_pool_t *pool, const json_t *ref, ngx_str_t *pointer)
{
    u_char     *p, *last;
    ngx_int_t   n;

    p = (u_char *) json_string_value(ref) + 1;
    last = p + json_string_length(ref) - 1;

    pointer->len = 0;
    pointer->data = ngx_pnalloc(pool, json_string_length(ref));

    if (pointer->data == NULL) {
        return NGX_ERROR;
    }

    while (p < last) {
        n = *p++;

        if (n == '%') {
            n = (last - p < 2) ? NGX_ERROR : ngx_hextoi(p, 2);

            if (n == NGX_ERROR) {
                return NGX_DECLINED;
            }

            p += 2;
        }

        pointer->data[pointer->len++] = (u_char) n;
    }

    return NGX_OK;
}


/*
 * How many schemas may be applied to one value, one for another.  Without an
 * end there is a loop.
 */

static ngx_int_t
evs_schema_measure(evs_schema_build_t *b, evs_schema_node_t *node,
    ngx_uint_t depth)
{
    ngx_uint_t                i, height;
    const evs_schema_rule_t  *rule;

    if (node->open) {
        return evs_schema_error_at(b, &node->pointer, "this schema leads back "
                                   "to itself for the same value, without an "
                                   "end");
    }

    if (node->height != 0) {
        return NGX_OK;
    }

    height = 0;
    node->open = 1;

    for (rule = node->rules; rule != NULL; rule = rule->next) {

        if (!rule->in_place) {
            continue;
        }

        for (i = 0; i < rule->n && depth < EVS_SCHEMA_MAX_NESTED; i++) {

            if (rule->nodes[i] == NULL) {
                continue;
            }

            if (evs_schema_measure(b, rule->nodes[i], depth + 1) != NGX_OK) {
                return NGX_ERROR;
            }

            height = ngx_max(height, rule->nodes[i]->height);
        }
    }

    node->open = 0;
    node->height = height + 1;

    if (depth == EVS_SCHEMA_MAX_NESTED
        || node->height > EVS_SCHEMA_MAX_NESTED)
    {
        return evs_schema_error_at(b, &node->pointer, "more than %d schemas "
                                   "lead to each other for the same value",
                                   EVS_SCHEMA_MAX_NESTED);
    }

    return NGX_OK;
}
