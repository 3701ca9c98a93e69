
/*
 * Rules of the keywords that have schemas in them.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_make.h"
#include "event/schema_node.h"


static ngx_int_t evs_schema_branch(evs_schema_build_t *b,
    evs_schema_node_t *node, const char *name, evs_schema_node_t **branch);


ngx_int_t
evs_schema_make_ref(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_ref_t  *ref;

    ref = ngx_pcalloc(b->pool, sizeof(evs_schema_ref_t));
    if (ref == NULL) {
        return NGX_ERROR;
    }

    ref->rule = evs_schema_rule(b, node, keyword, value, 1);

    if (ref->rule == NULL
        || evs_schema_pointer(b->pool, b->at, EVS_SCHEMA_POINTER,
                              &ref->pointer)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *b->last_ref = ref;
    b->last_ref = &ref->next;

    return NGX_OK;
}


/* b->at is the schema's own place already. */

ngx_int_t
evs_schema_make_one(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_node_t  *one;
    evs_schema_rule_t  *rule;

    if (evs_schema_branch(b, node, keyword->name, &one) != NGX_OK) {
        return NGX_ERROR;
    }

    if (keyword->check == NULL) {
        return NGX_OK;
    }

    rule = evs_schema_rule(b, node, keyword, value, 1);
    if (rule == NULL) {
        return NGX_ERROR;
    }

    rule->nodes[0] = one;

    return NGX_OK;
}


ngx_int_t
evs_schema_make_list(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    size_t              i, n;
    evs_schema_rule_t  *rule;

    n = json_array_size(value);

    if (n == 0) {
        return evs_schema_error(b, "must have at least one schema");
    }

    rule = evs_schema_rule(b, node, keyword, value, n);
    if (rule == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        rule->nodes[i] = evs_schema_below(b, NULL, i,
                                          json_array_get(value, i));

        if (rule->nodes[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
evs_schema_make_map(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    void               *iter;
    size_t              i, n;
    const char        **names;
    evs_schema_node_t  *below;
    evs_schema_rule_t  *rule;

    n = json_object_size(value);
    rule = NULL;

    names = ngx_palloc(b->pool, (n + 1) * sizeof(const char *));
    if (names == NULL) {
        return NGX_ERROR;
    }

    if (keyword->check != NULL) {
        rule = evs_schema_rule(b, node, keyword, value, n);
        if (rule == NULL) {
            return NGX_ERROR;
        }

        rule->names = names;
    }

    i = 0;

    for (iter = json_object_iter(value);
         iter != NULL;
         iter = json_object_iter_next(value, iter))
    {
        names[i] = json_object_iter_key(iter);

        below = evs_schema_below(b, names[i], 0,
                                 json_object_iter_value(iter));
        if (below == NULL) {
            return NGX_ERROR;
        }

        if (rule != NULL) {
            rule->nodes[i] = below;
        }

        i++;
    }

    return NGX_OK;
}


/* patternProperties: a map, whose names are patterns */

ngx_int_t
evs_schema_make_members(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    ngx_uint_t           i;
    evs_schema_at_t      there;
    evs_schema_rule_t   *rule, **last;

    last = node->last;

    if (evs_schema_make_map(b, node, keyword, value) != NGX_OK) {
        return NGX_ERROR;
    }

    rule = *last;

    rule->patterns = ngx_pcalloc(b->pool, (rule->n + 1)
                                          * sizeof(evs_schema_pattern_t *));
    if (rule->patterns == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rule->n; i++) {
        there.up = b->at;
        there.name = rule->names[i];

        b->at = &there;

        rule->patterns[i] = evs_schema_make_regex(b, there.name,
                                                  ngx_strlen(there.name));
        b->at = there.up;

        if (rule->patterns[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* additionalProperties: with the patterns, or without any */

ngx_int_t
evs_schema_make_others(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_node_t  *rest;
    evs_schema_rule_t  *rule;

    if (evs_schema_branch(b, node, keyword->name, &rest) != NGX_OK) {
        return NGX_ERROR;
    }

    rule = node->rules;

    while (rule != NULL && rule->check != keyword->check) {
        rule = rule->next;
    }

    if (rule == NULL) {
        rule = evs_schema_rule(b, node, keyword, value, 0);
        if (rule == NULL) {
            return NGX_ERROR;
        }
    }

    rule->rest = rest;
    rule->known = json_object_get(node->json, "properties");

    return NGX_OK;
}


ngx_int_t
evs_schema_make_items(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_rule_t  **last;

    if (json_is_array(value)) {
        return evs_schema_error(b, "an array of schemas was renamed by draft "
                                "2020-12: use \"prefixItems\"");
    }

    last = node->last;

    if (evs_schema_make_one(b, node, keyword, value) != NGX_OK) {
        return NGX_ERROR;
    }

    (*last)->min = json_array_size(json_object_get(node->json, "prefixItems"));

    return NGX_OK;
}


/* Both counts have been checked in front of this. */

ngx_int_t
evs_schema_make_contains(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    json_t              *min, *max;
    evs_schema_rule_t  **last;

    last = node->last;

    if (evs_schema_make_one(b, node, keyword, value) != NGX_OK) {
        return NGX_ERROR;
    }

    min = json_object_get(node->json, "minContains");
    max = json_object_get(node->json, "maxContains");

    (*last)->min = 1;

    if (min != NULL) {
        (void) evs_schema_count(min, &(*last)->min);
    }

    if (max != NULL) {
        (void) evs_schema_count(max, &(*last)->max);
    }

    return NGX_OK;
}


ngx_int_t
evs_schema_make_if(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_rule_t  *rule;

    rule = evs_schema_rule(b, node, keyword, value, 3);

    if (rule == NULL
        || evs_schema_branch(b, node, "if", &rule->nodes[0]) != NGX_OK
        || evs_schema_branch(b, node, "then", &rule->nodes[1]) != NGX_OK
        || evs_schema_branch(b, node, "else", &rule->nodes[2]) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* "then" and "else", which are those of an "if", or else are never applied */

ngx_int_t
evs_schema_make_branch(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_node_t  *branch;

    if (json_object_get(node->json, "if") != NULL) {
        return NGX_OK;
    }

    return evs_schema_branch(b, node, keyword->name, &branch);
}


/* The schema of a keyword of this node; *branch is NULL without it. */

static ngx_int_t
evs_schema_branch(evs_schema_build_t *b, evs_schema_node_t *node,
    const char *name, evs_schema_node_t **branch)
{
    json_t                 *json;
    const evs_schema_at_t  *at;

    *branch = NULL;
    json = json_object_get(node->json, name);

    if (json == NULL) {
        return NGX_OK;
    }

    at = b->at;

    b->at = at->up;
    *branch = evs_schema_below(b, name, 0, json);
    b->at = at;

    return (*branch == NULL) ? NGX_ERROR : NGX_OK;
}
