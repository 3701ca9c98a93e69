
/*
 * A schema made ready at the start: each schema in it becomes a node, and each
 * keyword that checks something a rule of that node.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_make.h"
#include "event/schema_node.h"


typedef struct {
    const char           *name;
    const char           *hint;
} evs_schema_hint_t;


static void evs_schema_cleanup(void *data);
static evs_schema_node_t *evs_schema_node(evs_schema_build_t *b,
    json_t *json);
static ngx_int_t evs_schema_keywords(evs_schema_build_t *b,
    evs_schema_node_t *node, json_t *json);
static ngx_int_t evs_schema_keyword(evs_schema_build_t *b,
    evs_schema_node_t *node, const evs_schema_keyword_t *keyword,
    json_t *value);
static ngx_int_t evs_schema_unknown(evs_schema_build_t *b, const char *name);


/* faults come in this order */

static const evs_schema_keyword_t  evs_schema_table[] = {

    { "$schema", EVS_SCHEMA_STRING, evs_schema_make_dialect, NULL, 0, 0 },

    { "$id", EVS_SCHEMA_STRING, evs_schema_make_id, NULL, 0, 0 },

    { "$defs", EVS_SCHEMA_OBJECT, evs_schema_make_map, NULL, 0, 0 },

    { "type", EVS_SCHEMA_STRING|EVS_SCHEMA_ARRAY, evs_schema_make_type,
      evs_schema_check_type, 0, 0 },

    { "enum", EVS_SCHEMA_ARRAY, evs_schema_make_value, evs_schema_check_enum,
      EVS_SCHEMA_ANY, 0 },

    { "const", EVS_SCHEMA_ANY, evs_schema_make_value, evs_schema_check_const,
      EVS_SCHEMA_ANY, 0 },

    { "multipleOf", EVS_SCHEMA_NUMBER, evs_schema_make_multiple,
      evs_schema_check_multiple, EVS_SCHEMA_NUMBER, 0 },

    { "maximum", EVS_SCHEMA_NUMBER, evs_schema_make_value,
      evs_schema_check_maximum, EVS_SCHEMA_NUMBER, 0 },

    { "exclusiveMaximum", EVS_SCHEMA_NUMBER, evs_schema_make_value,
      evs_schema_check_below, EVS_SCHEMA_NUMBER, 0 },

    { "minimum", EVS_SCHEMA_NUMBER, evs_schema_make_value,
      evs_schema_check_minimum, EVS_SCHEMA_NUMBER, 0 },

    { "exclusiveMinimum", EVS_SCHEMA_NUMBER, evs_schema_make_value,
      evs_schema_check_above, EVS_SCHEMA_NUMBER, 0 },

    { "maxLength", EVS_SCHEMA_INTEGER, evs_schema_make_count,
      evs_schema_check_max_size, EVS_SCHEMA_STRING, 0 },

    { "minLength", EVS_SCHEMA_INTEGER, evs_schema_make_count,
      evs_schema_check_min_size, EVS_SCHEMA_STRING, 0 },

    { "pattern", EVS_SCHEMA_STRING, evs_schema_make_pattern,
      evs_schema_check_pattern, EVS_SCHEMA_STRING, 0 },

    { "maxItems", EVS_SCHEMA_INTEGER, evs_schema_make_count,
      evs_schema_check_max_size, EVS_SCHEMA_ARRAY, 0 },

    { "minItems", EVS_SCHEMA_INTEGER, evs_schema_make_count,
      evs_schema_check_min_size, EVS_SCHEMA_ARRAY, 0 },

    { "uniqueItems", EVS_SCHEMA_BOOLEAN, evs_schema_make_unique,
      evs_schema_check_unique, EVS_SCHEMA_ARRAY, 0 },

    { "maxContains", EVS_SCHEMA_INTEGER, evs_schema_make_count, NULL, 0, 0 },

    { "minContains", EVS_SCHEMA_INTEGER, evs_schema_make_count, NULL, 0, 0 },

    { "maxProperties", EVS_SCHEMA_INTEGER, evs_schema_make_count,
      evs_schema_check_max_size, EVS_SCHEMA_OBJECT, 0 },

    { "minProperties", EVS_SCHEMA_INTEGER, evs_schema_make_count,
      evs_schema_check_min_size, EVS_SCHEMA_OBJECT, 0 },

    { "required", EVS_SCHEMA_ARRAY, evs_schema_make_required,
      evs_schema_check_required, EVS_SCHEMA_OBJECT, 0 },

    { "dependentRequired", EVS_SCHEMA_OBJECT, evs_schema_make_dependent,
      evs_schema_check_dependent, EVS_SCHEMA_OBJECT, 0 },

    { "properties", EVS_SCHEMA_OBJECT, evs_schema_make_map,
      evs_schema_apply_properties, EVS_SCHEMA_OBJECT, 0 },

    /* in front of additionalProperties, which adds itself to this */
    { "patternProperties", EVS_SCHEMA_OBJECT, evs_schema_make_members,
      evs_schema_apply_members, EVS_SCHEMA_OBJECT, 0 },

    { "additionalProperties", EVS_SCHEMA_SCHEMA, evs_schema_make_others,
      evs_schema_apply_members, EVS_SCHEMA_OBJECT, 0 },

    { "propertyNames", EVS_SCHEMA_SCHEMA, evs_schema_make_one,
      evs_schema_apply_names, EVS_SCHEMA_OBJECT, 0 },

    { "prefixItems", EVS_SCHEMA_ARRAY, evs_schema_make_list,
      evs_schema_apply_prefix, EVS_SCHEMA_ARRAY, 0 },

    { "items", EVS_SCHEMA_SCHEMA|EVS_SCHEMA_ARRAY, evs_schema_make_items,
      evs_schema_apply_items, EVS_SCHEMA_ARRAY, 0 },

    { "contains", EVS_SCHEMA_SCHEMA, evs_schema_make_contains,
      evs_schema_apply_contains, EVS_SCHEMA_ARRAY, 0 },

    { "$ref", EVS_SCHEMA_STRING, evs_schema_make_ref, evs_schema_apply_all,
      EVS_SCHEMA_ANY, 1 },

    { "allOf", EVS_SCHEMA_ARRAY, evs_schema_make_list, evs_schema_apply_all,
      EVS_SCHEMA_ANY, 1 },

    { "anyOf", EVS_SCHEMA_ARRAY, evs_schema_make_list, evs_schema_apply_any,
      EVS_SCHEMA_ANY, 1 },

    { "oneOf", EVS_SCHEMA_ARRAY, evs_schema_make_list, evs_schema_apply_one,
      EVS_SCHEMA_ANY, 1 },

    { "not", EVS_SCHEMA_SCHEMA, evs_schema_make_one, evs_schema_apply_not,
      EVS_SCHEMA_ANY, 1 },

    { "if", EVS_SCHEMA_SCHEMA, evs_schema_make_if, evs_schema_apply_if,
      EVS_SCHEMA_ANY, 1 },

    { "then", EVS_SCHEMA_SCHEMA, evs_schema_make_branch, NULL, 0, 0 },
    { "else", EVS_SCHEMA_SCHEMA, evs_schema_make_branch, NULL, 0, 0 },

    { "dependentSchemas", EVS_SCHEMA_OBJECT, evs_schema_make_map,
      evs_schema_apply_dependent, EVS_SCHEMA_OBJECT, 1 },

    /* annotations */
    { "$comment", EVS_SCHEMA_STRING, NULL, NULL, 0, 0 },
    { "title", EVS_SCHEMA_STRING, NULL, NULL, 0, 0 },
    { "description", EVS_SCHEMA_STRING, NULL, NULL, 0, 0 },
    { "default", EVS_SCHEMA_ANY, NULL, NULL, 0, 0 },
    { "examples", EVS_SCHEMA_ARRAY, NULL, NULL, 0, 0 },
    { "deprecated", EVS_SCHEMA_BOOLEAN, NULL, NULL, 0, 0 },
    { "readOnly", EVS_SCHEMA_BOOLEAN, NULL, NULL, 0, 0 },
    { "writeOnly", EVS_SCHEMA_BOOLEAN, NULL, NULL, 0, 0 },
    { "format", EVS_SCHEMA_STRING, NULL, NULL, 0, 0 },
    { "contentEncoding", EVS_SCHEMA_STRING, NULL, NULL, 0, 0 },
    { "contentMediaType", EVS_SCHEMA_STRING, NULL, NULL, 0, 0 },
    { "contentSchema", EVS_SCHEMA_SCHEMA, evs_schema_make_one, NULL, 0, 0 },

    { NULL, 0, NULL, NULL, 0, 0 }
};


static const evs_schema_hint_t  evs_schema_hints[] = {
    { "unevaluatedProperties", "is not supported: \"additionalProperties\" "
      "checks what \"properties\" and \"patternProperties\" beside it do not" },
    { "unevaluatedItems", "is not supported: \"items\" checks what "
      "\"prefixItems\" beside it does not" },
    { "$anchor", "is not supported: use \"$defs\", and \"$ref\" by its JSON "
      "pointer" },
    { "$dynamicRef", "is not supported: use \"$ref\"" },
    { "$dynamicAnchor", "is not supported: use \"$defs\"" },
    { "$vocabulary", "is not supported: it is for meta-schemas" },
    { "$recursiveRef", "is of draft 2019-09: use \"$ref\"" },
    { "$recursiveAnchor", "is of draft 2019-09: use \"$defs\"" },
    { "definitions", "was renamed by draft 2019-09: use \"$defs\"" },
    { "dependencies", "was split by draft 2019-09: use \"dependentRequired\" "
      "or \"dependentSchemas\"" },
    { "additionalItems", "was renamed by draft 2020-12: use \"items\", beside "
      "\"prefixItems\"" },
    { "id", "was renamed by draft 6: use \"$id\"" },
    { NULL, NULL }
};


evs_schema_t *
evs_schema_compile(ngx_pool_t *pool, json_t *schema, evs_schema_error_t *err)
{
    evs_schema_at_t      root;
    ngx_pool_cleanup_t  *cln;
    evs_schema_build_t   b;

    ngx_memzero(err, sizeof(evs_schema_error_t));
    ngx_memzero(&root, sizeof(evs_schema_at_t));
    ngx_memzero(&b, sizeof(evs_schema_build_t));

    b.pool = pool;
    b.err = err;
    b.at = &root;
    b.last_node = &b.nodes;
    b.last_ref = &b.refs;

    b.schema = ngx_pcalloc(pool, sizeof(evs_schema_t));
    if (b.schema == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    b.schema->json = json_incref(schema);

    cln->handler = evs_schema_cleanup;
    cln->data = b.schema;

    b.schema->root = evs_schema_node(&b, schema);

    if (b.schema->root == NULL || evs_schema_resolve(&b) != NGX_OK) {
        return NULL;
    }

    return b.schema;
}


static void
evs_schema_cleanup(void *data)
{
    evs_schema_t          *schema;
    evs_schema_pattern_t  *pattern;

    schema = data;

    for (pattern = schema->patterns;
         pattern != NULL;
         pattern = pattern->next)
    {
        pcre2_code_free(pattern->code);
    }

    json_decref(schema->json);
}


static evs_schema_node_t *
evs_schema_node(evs_schema_build_t *b, json_t *json)
{
    evs_schema_node_t  *node;

    if (evs_schema_form(b, json, EVS_SCHEMA_SCHEMA) != NGX_OK) {
        return NULL;
    }

    if (b->depth == EVS_SCHEMA_MAX_NESTED) {
        (void) evs_schema_error(b, "schemas are nested deeper than %d",
                                EVS_SCHEMA_MAX_NESTED);
        return NULL;
    }

    node = ngx_pcalloc(b->pool, sizeof(evs_schema_node_t));
    if (node == NULL) {
        return NULL;
    }

    node->json = json;
    node->last = &node->rules;
    node->never = json_is_false(json);

    if (evs_schema_pointer(b->pool, b->at, NGX_MAX_SIZE_T_VALUE,
                           &node->pointer)
        != NGX_OK)
    {
        return NULL;
    }

    *b->last_node = node;
    b->last_node = &node->next;

    b->depth++;

    if (evs_schema_keywords(b, node, json) != NGX_OK) {
        return NULL;
    }

    b->depth--;

    return node;
}


static ngx_int_t
evs_schema_keywords(evs_schema_build_t *b, evs_schema_node_t *node,
    json_t *json)
{
    void                        *iter;
    json_t                      *value;
    const char                  *name;
    const evs_schema_keyword_t  *keyword;

    for (iter = json_object_iter(json);
         iter != NULL;
         iter = json_object_iter_next(json, iter))
    {
        name = json_object_iter_key(iter);
        keyword = evs_schema_table;

        while (keyword->name != NULL && ngx_strcmp(keyword->name, name) != 0) {
            keyword++;
        }

        if (keyword->name == NULL) {
            return evs_schema_unknown(b, name);
        }
    }

    for (keyword = evs_schema_table; keyword->name != NULL; keyword++) {
        value = json_object_get(json, keyword->name);

        if (value != NULL
            && evs_schema_keyword(b, node, keyword, value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_schema_keyword(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    ngx_int_t        rc;
    evs_schema_at_t  there;

    there.up = b->at;
    there.name = keyword->name;

    b->at = &there;

    rc = evs_schema_form(b, value, keyword->form);

    if (rc == NGX_OK && keyword->make != NULL) {
        rc = keyword->make(b, node, keyword, value);
    }

    b->at = there.up;

    return rc;
}


static ngx_int_t
evs_schema_unknown(evs_schema_build_t *b, const char *name)
{
    const char               *text;
    evs_schema_at_t           there;
    evs_schema_text_t         quoted;
    const evs_schema_hint_t  *hint;

    there.up = b->at;
    there.name = name;

    b->at = &there;

    text = "is no keyword of JSON Schema 2020-12, and would check nothing";

    for (hint = evs_schema_hints; hint->name != NULL; hint++) {
        if (ngx_strcmp(hint->name, name) == 0) {
            text = hint->hint;
        }
    }

    quoted.len = 0;
    evs_schema_add_name(&quoted, name);

    (void) evs_schema_error(b, "%.*s %s", (int) quoted.len, quoted.data, text);

    b->at = there.up;

    return NGX_ERROR;
}


ngx_int_t
evs_schema_form(evs_schema_build_t *b, const json_t *value, ngx_uint_t form)
{
    evs_schema_text_t  text;

    if (evs_schema_type(value) & form) {
        return NGX_OK;
    }

    text.len = 0;

    evs_schema_add(&text, "must be ");
    evs_schema_add_types(&text, form);
    evs_schema_add(&text, ", not ");
    evs_schema_add_types(&text, evs_schema_type(value));

    return evs_schema_error(b, "%.*s", (int) text.len, text.data);
}


evs_schema_rule_t *
evs_schema_rule(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, const json_t *value, ngx_uint_t n)
{
    evs_schema_rule_t  *rule;

    rule = ngx_pcalloc(b->pool, sizeof(evs_schema_rule_t));
    if (rule == NULL) {
        return NULL;
    }

    rule->check = keyword->check;
    rule->keyword = keyword->name;
    rule->types = keyword->types;
    rule->value = value;
    rule->max = EVS_SCHEMA_NO_MAX;
    rule->in_place = keyword->in_place != 0;
    rule->n = n;

    if (n != 0) {
        rule->nodes = ngx_pcalloc(b->pool, n * sizeof(evs_schema_node_t *));
        if (rule->nodes == NULL) {
            return NULL;
        }
    }

    *node->last = rule;
    node->last = &rule->next;

    return rule;
}


evs_schema_node_t *
evs_schema_below(evs_schema_build_t *b, const char *name, size_t index,
    json_t *json)
{
    evs_schema_at_t     there;
    evs_schema_node_t  *below;

    there.up = b->at;
    there.name = name;
    there.index = index;

    b->at = &there;
    below = evs_schema_node(b, json);
    b->at = there.up;

    return below;
}
