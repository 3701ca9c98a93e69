
/*
 * Rules of the keywords that look at a value itself.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_make.h"
#include "event/schema_node.h"


#define EVS_SCHEMA_DIALECT  "https://json-schema.org/draft/2020-12/schema"


static ngx_int_t evs_schema_type_bits(evs_schema_build_t *b,
    const json_t *name, ngx_uint_t *types);
static ngx_int_t evs_schema_names(evs_schema_build_t *b, const json_t *names);
static ngx_int_t evs_schema_distinct(evs_schema_build_t *b,
    const json_t *array);


ngx_int_t
evs_schema_make_dialect(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    const char  *uri;

    uri = json_string_value(value);

    if (ngx_strcmp(uri, EVS_SCHEMA_DIALECT) == 0
        || ngx_strcmp(uri, EVS_SCHEMA_DIALECT "#") == 0)
    {
        return NGX_OK;
    }

    return evs_schema_error(b, "must be \"" EVS_SCHEMA_DIALECT "\", no other "
                            "dialect is supported");
}


/*
 * The name of the document; no reference is resolved by it.  Further inside it
 * would change what references mean.
 */

ngx_int_t
evs_schema_make_id(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    if (node->pointer.len == 0) {
        return NGX_OK;
    }

    return evs_schema_error(b, "is not supported but at the root");
}


/* The rule is for values of the other types. */

ngx_int_t
evs_schema_make_type(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    size_t              i;
    ngx_uint_t          types;
    evs_schema_rule_t  *rule;

    types = 0;

    if (json_is_string(value)) {
        if (evs_schema_type_bits(b, value, &types) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < json_array_size(value); i++) {
        if (evs_schema_type_bits(b, json_array_get(value, i), &types)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (types == 0) {
        return evs_schema_error(b, "must name at least one type");
    }

    if (evs_schema_distinct(b, value) != NGX_OK) {
        return NGX_ERROR;
    }

    rule = evs_schema_rule(b, node, keyword, value, 0);
    if (rule == NULL) {
        return NGX_ERROR;
    }

    rule->types = EVS_SCHEMA_ANY & ~types;
    rule->max = types;

    return NGX_OK;
}


static ngx_int_t
evs_schema_type_bits(evs_schema_build_t *b, const json_t *name,
    ngx_uint_t *types)
{
    ngx_uint_t  i;

    static const struct {
        const char  *name;
        ngx_uint_t   bits;
    } all[] = {
        { "null", EVS_SCHEMA_NULL },
        { "boolean", EVS_SCHEMA_BOOLEAN },
        { "integer", EVS_SCHEMA_INTEGER },
        { "number", EVS_SCHEMA_NUMBER },
        { "string", EVS_SCHEMA_STRING },
        { "array", EVS_SCHEMA_ARRAY },
        { "object", EVS_SCHEMA_OBJECT }
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (json_is_string(name)
            && ngx_strcmp(all[i].name, json_string_value(name)) == 0)
        {
            *types |= all[i].bits;
            return NGX_OK;
        }
    }

    return evs_schema_error(b, "a type is \"null\", \"boolean\", \"integer\", "
                            "\"number\", \"string\", \"array\" or \"object\"");
}


ngx_int_t
evs_schema_make_value(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    return (evs_schema_rule(b, node, keyword, value, 0) == NULL)
           ? NGX_ERROR : NGX_OK;
}


ngx_int_t
evs_schema_make_multiple(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    if (!(json_number_value(value) > 0)) {
        return evs_schema_error(b, "must be more than 0");
    }

    return evs_schema_make_value(b, node, keyword, value);
}


/* Both limits, since the check looks at one of them. */

ngx_int_t
evs_schema_make_count(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    ngx_uint_t          n;
    evs_schema_rule_t  *rule;

    if (evs_schema_count(value, &n) != NGX_OK) {
        return evs_schema_error(b, "must be at least 0");
    }

    if (keyword->check == NULL) {
        return NGX_OK;
    }

    rule = evs_schema_rule(b, node, keyword, value, 0);
    if (rule == NULL) {
        return NGX_ERROR;
    }

    rule->min = n;
    rule->max = n;

    return NGX_OK;
}


ngx_int_t
evs_schema_make_pattern(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    evs_schema_rule_t  *rule;

    rule = evs_schema_rule(b, node, keyword, value, 0);
    if (rule == NULL) {
        return NGX_ERROR;
    }

    rule->patterns = ngx_palloc(b->pool, sizeof(evs_schema_pattern_t *));
    if (rule->patterns == NULL) {
        return NGX_ERROR;
    }

    rule->patterns[0] = evs_schema_make_regex(b, json_string_value(value),
                                              json_string_length(value));

    return (rule->patterns[0] == NULL) ? NGX_ERROR : NGX_OK;
}


evs_schema_pattern_t *
evs_schema_make_regex(evs_schema_build_t *b, const char *text, size_t len)
{
    char                   buf[256];
    const char            *error;
    evs_schema_pattern_t  *pattern;

    pattern = evs_schema_pattern(b->pool, b->schema, text, len, buf,
                                 sizeof(buf), &error);

    if (pattern == NULL && error != NULL) {
        (void) evs_schema_error(b, "is not a regular expression: %s", error);
    }

    return pattern;
}


ngx_int_t
evs_schema_make_unique(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    if (json_is_false(value)) {
        return NGX_OK;
    }

    return evs_schema_make_value(b, node, keyword, value);
}


ngx_int_t
evs_schema_make_required(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    if (evs_schema_names(b, value) != NGX_OK) {
        return NGX_ERROR;
    }

    return evs_schema_make_value(b, node, keyword, value);
}


ngx_int_t
evs_schema_make_dependent(evs_schema_build_t *b, evs_schema_node_t *node,
    const evs_schema_keyword_t *keyword, json_t *value)
{
    void             *iter;
    json_t           *names;
    evs_schema_at_t   there;

    for (iter = json_object_iter(value);
         iter != NULL;
         iter = json_object_iter_next(value, iter))
    {
        names = json_object_iter_value(iter);

        there.up = b->at;
        there.name = json_object_iter_key(iter);

        b->at = &there;

        if (evs_schema_form(b, names, EVS_SCHEMA_ARRAY) != NGX_OK
            || evs_schema_names(b, names) != NGX_OK)
        {
            b->at = there.up;
            return NGX_ERROR;
        }

        b->at = there.up;
    }

    return evs_schema_make_value(b, node, keyword, value);
}


/* An array of strings, each of which is there once. */

static ngx_int_t
evs_schema_names(evs_schema_build_t *b, const json_t *names)
{
    size_t   i;
    json_t  *name;

    for (i = 0; i < json_array_size(names); i++) {
        name = json_array_get(names, i);

        if (!json_is_string(name)
            || ngx_strlen(json_string_value(name))
               != json_string_length(name))
        {
            return evs_schema_error(b, "must be an array of names");
        }
    }

    return evs_schema_distinct(b, names);
}


static ngx_int_t
evs_schema_distinct(evs_schema_build_t *b, const json_t *array)
{
    size_t      one, two;
    ngx_int_t   rc;
    ngx_uint_t  steps;

    if (!json_is_array(array)) {
        return NGX_OK;
    }

    steps = NGX_MAX_INT_T_VALUE;

    rc = evs_schema_unique(array, &one, &two, &steps);

    if (rc == NGX_DECLINED) {
        return evs_schema_error(b, "has item %lu again as item %lu",
                                (unsigned long) one, (unsigned long) two);
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}
