
/*
 * The keywords that look at a value itself.  A rule sees values of its types
 * only.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_node.h"


static ngx_int_t evs_schema_limit(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at, const char *what);
static size_t evs_schema_size(const json_t *value, const char **unit);
static ngx_int_t evs_schema_missing(evs_schema_run_t *run,
    const json_t *names, const json_t *value, const evs_schema_at_t *at,
    const char *since);


/* types it looks at are those that are wrong, max has those that are right */

ngx_int_t
evs_schema_check_type(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    evs_schema_text_t  text;

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;

    evs_schema_add_types(&text, rule->max);
    evs_schema_add(&text, ", not ");
    evs_schema_add_types(&text, evs_schema_type(value));

    return evs_schema_fault(run, at, "be %.*s.", (int) text.len, text.data);
}


ngx_int_t
evs_schema_check_enum(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    size_t             i, n;
    evs_schema_text_t  text;

    n = json_array_size(rule->value);

    for (i = 0; i < n; i++) {
        if (evs_schema_equal(json_array_get(rule->value, i), value,
                             &run->steps))
        {
            return NGX_OK;
        }
    }

    if (run->steps == 0) {
        return evs_schema_spent(run, at);
    }

    if (n == 0) {
        return evs_schema_fault(run, at, "not be here: no value is allowed.");
    }

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;

    for (i = 0; i < n; i++) {
        evs_schema_add(&text, "%s", (i == 0) ? ""
                                    : (i == n - 1) ? " or " : ", ");
        evs_schema_add_json(&text, json_array_get(rule->value, i));
    }

    return evs_schema_fault(run, at, "be %s%.*s.",
                            (n == 1) ? "" : "one of ", (int) text.len,
                            text.data);
}


ngx_int_t
evs_schema_check_const(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    evs_schema_text_t  text;

    if (evs_schema_equal(rule->value, value, &run->steps)) {
        return NGX_OK;
    }

    if (run->steps == 0) {
        return evs_schema_spent(run, at);
    }

    text.len = 0;
    evs_schema_add_json(&text, rule->value);

    return evs_schema_fault(run, at, "be %.*s.", (int) text.len, text.data);
}


ngx_int_t
evs_schema_check_multiple(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    return evs_schema_multiple(value, rule->value)
           ? NGX_OK : evs_schema_limit(run, rule, value, at, "a multiple of");
}


ngx_int_t
evs_schema_check_maximum(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    return (evs_schema_compare(value, rule->value) <= 0)
           ? NGX_OK : evs_schema_limit(run, rule, value, at, "at most");
}


ngx_int_t
evs_schema_check_below(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    return (evs_schema_compare(value, rule->value) < 0)
           ? NGX_OK : evs_schema_limit(run, rule, value, at, "less than");
}


ngx_int_t
evs_schema_check_minimum(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    return (evs_schema_compare(value, rule->value) >= 0)
           ? NGX_OK : evs_schema_limit(run, rule, value, at, "at least");
}


ngx_int_t
evs_schema_check_above(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    return (evs_schema_compare(value, rule->value) > 0)
           ? NGX_OK : evs_schema_limit(run, rule, value, at, "more than");
}


/* "Must be at least 3, not 2." */

static ngx_int_t
evs_schema_limit(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at, const char *what)
{
    evs_schema_text_t  text;

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;

    evs_schema_add_json(&text, rule->value);
    evs_schema_add(&text, ", not ");
    evs_schema_add_json(&text, value);

    return evs_schema_fault(run, at, "be %s %.*s.", what, (int) text.len,
                            text.data);
}


ngx_int_t
evs_schema_check_max_size(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    size_t       size;
    const char  *unit;

    size = evs_schema_size(value, &unit);

    if (size <= rule->max) {
        return NGX_OK;
    }

    return evs_schema_fault(run, at, "have no more than %lu %s%s, not %lu.",
                            (unsigned long) rule->max, unit,
                            (rule->max == 1) ? "" : "s",
                            (unsigned long) size);
}


ngx_int_t
evs_schema_check_min_size(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    size_t       size;
    const char  *unit;

    size = evs_schema_size(value, &unit);

    if (size >= rule->min) {
        return NGX_OK;
    }

    return evs_schema_fault(run, at, "have at least %lu %s%s, not %lu.",
                            (unsigned long) rule->min, unit,
                            (rule->min == 1) ? "" : "s",
                            (unsigned long) size);
}


static size_t
evs_schema_size(const json_t *value, const char **unit)
{
    switch (json_typeof(value)) {

    case JSON_STRING:
        *unit = "character";
        return evs_schema_length(json_string_value(value),
                                 json_string_length(value));

    case JSON_ARRAY:
        *unit = "item";
        return json_array_size(value);

    default: /* JSON_OBJECT */
        *unit = "member";
        return json_object_size(value);
    }
}


ngx_int_t
evs_schema_check_pattern(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t          rc;
    evs_schema_text_t  text;

    rc = evs_schema_match(run, rule->patterns[0], json_string_value(value),
                          json_string_length(value), at);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    text.len = 0;
    evs_schema_add_json(&text, rule->value);

    return evs_schema_fault(run, at, "match the pattern %.*s.",
                            (int) text.len, text.data);
}


ngx_int_t
evs_schema_check_unique(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    size_t           one;
    ngx_int_t        rc;
    evs_schema_at_t  item;

    item.up = at;
    item.name = NULL;

    rc = evs_schema_unique(value, &one, &item.index, &run->steps);

    if (rc == NGX_ABORT) {
        return (run->steps == 0) ? evs_schema_spent(run, at) : NGX_ABORT;
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    return evs_schema_fault(run, &item, "differ from item %lu: all items must "
                            "be unique.", (unsigned long) one);
}


ngx_int_t
evs_schema_check_required(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    return evs_schema_missing(run, rule->value, value, at, NULL);
}


ngx_int_t
evs_schema_check_dependent(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at)
{
    void        *iter;
    json_t      *map;
    ngx_int_t    rc, all;
    const char  *name;

    all = NGX_OK;
    map = (json_t *) rule->value;

    for (iter = json_object_iter(map);
         iter != NULL;
         iter = json_object_iter_next(map, iter))
    {
        name = json_object_iter_key(iter);

        if (json_object_get(value, name) == NULL) {
            continue;
        }

        rc = evs_schema_missing(run, json_object_iter_value(iter), value, at,
                                name);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


/* What is missing is told where it should be. */

static ngx_int_t
evs_schema_missing(evs_schema_run_t *run, const json_t *names,
    const json_t *value, const evs_schema_at_t *at, const char *since)
{
    size_t             i;
    json_t            *name;
    ngx_int_t          rc, all;
    evs_schema_at_t    member;
    evs_schema_text_t  text;

    all = NGX_OK;
    member.up = at;

    for (i = 0; i < json_array_size(names); i++) {
        name = json_array_get(names, i);
        member.name = json_string_value(name);

        if (json_object_get(value, member.name) != NULL) {
            continue;
        }

        if (since == NULL) {
            rc = evs_schema_say(run, &member, "This field is required.");

        } else {
            text.len = 0;
            evs_schema_add_name(&text, since);

            rc = evs_schema_say(run, &member,
                                "This field is required beside %.*s.",
                                (int) text.len, text.data);
        }

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}
