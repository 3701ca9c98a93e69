
/*
 * $id, $anchor and $ref: names of schemas in their document.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_make.h"
#include "event/schema_node.h"


static ngx_int_t evs_schema_base(evs_schema_build_t *b,
    evs_schema_node_t *node, const json_t *id);
static ngx_int_t evs_schema_anchor(evs_schema_build_t *b,
    evs_schema_node_t *node, const json_t *anchor);
static evs_schema_base_t *evs_schema_base_find(const evs_schema_build_t *b,
    const ngx_str_t *uri);
static ngx_int_t evs_schema_resolve_ref(evs_schema_build_t *b,
    const evs_schema_ref_t *ref);
static evs_schema_node_t *evs_schema_target(const evs_schema_build_t *b,
    const evs_schema_base_t *base, const ngx_str_t *fragment);
static ngx_int_t evs_schema_measure(evs_schema_build_t *b,
    evs_schema_node_t *node, ngx_uint_t depth);
static ngx_uint_t evs_schema_str_equal(const ngx_str_t *one,
    const ngx_str_t *two);


ngx_int_t
evs_schema_identify(evs_schema_build_t *b, evs_schema_node_t *node)
{
    json_t  *id, *anchor;

    id = json_object_get(node->json, "$id");
    anchor = json_object_get(node->json, "$anchor");

    /* what is no string is told with the other keywords */

    if ((json_is_string(id) || node->base == NULL)
        && evs_schema_base(b, node, id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json_is_string(anchor)
        && evs_schema_anchor(b, node, anchor) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The root has one, with an $id or without. */

static ngx_int_t
evs_schema_base(evs_schema_build_t *b, evs_schema_node_t *node,
    const json_t *id)
{
    ngx_str_t           uri, fragment, up;
    evs_schema_base_t  *base;

    base = ngx_pcalloc(b->pool, sizeof(evs_schema_base_t));
    if (base == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&base->uri, "");

    if (json_is_string(id)) {
        uri.data = (u_char *) json_string_value(id);
        uri.len = json_string_length(id);

        ngx_str_set(&up, "");

        if (node->base != NULL) {
            up = node->base->uri;
        }

        if (evs_schema_uri(b->pool, &up, &uri, &base->uri, &fragment)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (fragment.len != 0) {
            return evs_schema_error(b, "\"$id\" must have no fragment: use "
                                    "\"$anchor\"");
        }

        if (evs_schema_base_find(b, &base->uri) != NULL) {
            return evs_schema_error(b, "\"$id\" must be another one: there is "
                                    "a schema of the same URI before it");
        }
    }

    base->pointer = node->pointer;
    base->next = b->bases;

    b->bases = base;
    node->base = base;

    return NGX_OK;
}


/* [A-Za-z_][-A-Za-z0-9._]* */

static ngx_int_t
evs_schema_anchor(evs_schema_build_t *b, evs_schema_node_t *node,
    const json_t *anchor)
{
    size_t              i;
    u_char              c;
    evs_schema_node_t  *other;

    node->anchor.data = (u_char *) json_string_value(anchor);
    node->anchor.len = json_string_length(anchor);

    for (i = 0; i < node->anchor.len; i++) {
        c = node->anchor.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') {
            continue;
        }

        if (i == 0 || ((c < '0' || c > '9') && c != '-' && c != '.')) {
            break;
        }
    }

    if (i == 0 || i < node->anchor.len) {
        return evs_schema_error(b, "\"$anchor\" must be a letter or _, and "
                                "letters, digits, -, _ or . behind it");
    }

    for (other = b->nodes; other != NULL; other = other->next) {
        if (other->base == node->base
            && evs_schema_str_equal(&other->anchor, &node->anchor))
        {
            return evs_schema_error(b, "\"$anchor\" must be another one: "
                                    "there is the same before it");
        }
    }

    return NGX_OK;
}


static evs_schema_base_t *
evs_schema_base_find(const evs_schema_build_t *b, const ngx_str_t *uri)
{
    evs_schema_base_t  *base;

    for (base = b->bases; base != NULL; base = base->next) {
        if (evs_schema_str_equal(&base->uri, uri)) {
            return base;
        }
    }

    return NULL;
}


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
    ngx_str_t           text, uri, fragment;
    evs_schema_base_t  *base;
    evs_schema_text_t   quoted;

    text.data = (u_char *) json_string_value(ref->rule->value);
    text.len = json_string_length(ref->rule->value);

    if (evs_schema_uri(b->pool, &ref->node->base->uri, &text, &uri, &fragment)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    quoted.len = 0;
    evs_schema_add_json(&quoted, ref->rule->value);

    base = evs_schema_base_find(b, &uri);

    if (base == NULL) {
        return evs_schema_error_at(b, &ref->pointer, "%.*s leaves this "
                                   "document, and no other is read: all that "
                                   "is referred to must be in \"$defs\" here",
                                   (int) quoted.len, quoted.data);
    }

    if (evs_schema_uri_decode(&fragment) == NGX_OK) {
        ref->rule->nodes[0] = evs_schema_target(b, base, &fragment);
    }

    if (ref->rule->nodes[0] == NULL) {
        return evs_schema_error_at(b, &ref->pointer, "there is no schema at "
                                   "%.*s", (int) quoted.len, quoted.data);
    }

    return NGX_OK;
}


/* A fragment is empty, a JSON pointer, or an anchor. */

static evs_schema_node_t *
evs_schema_target(const evs_schema_build_t *b, const evs_schema_base_t *base,
    const ngx_str_t *fragment)
{
    size_t              len;
    evs_schema_node_t  *node;

    len = base->pointer.len;

    for (node = b->nodes; node != NULL; node = node->next) {

        if (fragment->len != 0 && fragment->data[0] != '/') {

            if (node->base == base
                && evs_schema_str_equal(&node->anchor, fragment))
            {
                return node;
            }

            continue;
        }

        if (node->pointer.len == len + fragment->len
            && ngx_memcmp(node->pointer.data, base->pointer.data, len) == 0
            && ngx_memcmp(node->pointer.data + len, fragment->data,
                          fragment->len)
               == 0)
        {
            return node;
        }
    }

    return NULL;
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


static ngx_uint_t
evs_schema_str_equal(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && (one->len == 0
               || ngx_memcmp(one->data, two->data, one->len) == 0);
}
