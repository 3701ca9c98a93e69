
/*
 * The keywords that apply other schemas, to the same value or to what is in
 * it.  A rule sees values of its types only.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_node.h"


static ngx_int_t evs_schema_none(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at, const char *how);
static ngx_int_t evs_schema_why(evs_schema_run_t *run,
    evs_schema_text_t *text, const evs_schema_node_t *node,
    const json_t *value, const evs_schema_at_t *at);
static ngx_int_t evs_schema_stranger(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at);


/* alternatives that are explained when none of them fits */
#define EVS_SCHEMA_EXPLAINED  3


/* $ref, too */

ngx_int_t
evs_schema_apply_all(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t   rc, all;
    ngx_uint_t  i;

    all = NGX_OK;

    for (i = 0; i < rule->n; i++) {
        rc = evs_schema_fits(run, rule->nodes[i], value, at);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


ngx_int_t
evs_schema_apply_any(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < rule->n; i++) {
        rc = evs_schema_quietly(run, rule->nodes[i], value, at);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return evs_schema_none(run, rule, value, at, "at least one");
}


ngx_int_t
evs_schema_apply_one(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t   rc;
    ngx_uint_t  i, found;

    found = rule->n;

    for (i = 0; i < rule->n; i++) {
        rc = evs_schema_quietly(run, rule->nodes[i], value, at);

        if (rc == NGX_ABORT) {
            return NGX_ABORT;
        }

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (found != rule->n) {
            return evs_schema_fault(run, at, "fit exactly one schema of "
                                    "\"oneOf\", not both number %lu and "
                                    "number %lu.", (unsigned long) found + 1,
                                    (unsigned long) i + 1);
        }

        found = i;
    }

    if (found != rule->n) {
        return NGX_OK;
    }

    return evs_schema_none(run, rule, value, at, "exactly one");
}


/*
 * "Must fit at least one schema of "anyOf".  Number 1: ...  Number 2: ..."
 * The explanations explain no more, or nested ones would take exponential
 * time.
 */

static ngx_int_t
evs_schema_none(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at, const char *how)
{
    ngx_uint_t         i;
    evs_schema_text_t  text;

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;
    evs_schema_add(&text, "fit %s schema of \"%s\".", how, rule->keyword);

    for (i = 0; i < rule->n && i < EVS_SCHEMA_EXPLAINED && !run->brief; i++) {
        evs_schema_add(&text, " Number %lu: ", (unsigned long) i + 1);

        if (evs_schema_why(run, &text, rule->nodes[i], value, at)
            != NGX_DECLINED)
        {
            return NGX_ABORT;
        }
    }

    return evs_schema_fault(run, at, "%.*s", (int) text.len, text.data);
}


/* The first reason why it doesn't fit. */

static ngx_int_t
evs_schema_why(evs_schema_run_t *run, evs_schema_text_t *text,
    const evs_schema_node_t *node, const json_t *value,
    const evs_schema_at_t *at)
{
    ngx_int_t            rc;
    ngx_str_t            here;
    ngx_uint_t           n, max;
    evs_schema_fault_t   fault, *faults;

    n = run->n;
    max = run->max;
    faults = run->faults;

    run->n = 0;
    run->max = 1;
    run->faults = &fault;
    run->brief = 1;

    rc = evs_schema_fits(run, node, value, at);

    run->n = n;
    run->max = max;
    run->faults = faults;
    run->brief = 0;

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (evs_schema_pointer(run->pool, at, EVS_SCHEMA_POINTER, &here)
        != NGX_OK)
    {
        return NGX_ABORT;
    }

    if (here.len != fault.pointer.len) {
        evs_schema_add(text, "%.*s: ", (int) fault.pointer.len,
                       fault.pointer.data);
    }

    evs_schema_add(text, "%.*s", (int) fault.text.len, fault.text.data);

    return NGX_DECLINED;
}


ngx_int_t
evs_schema_apply_not(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t          rc;
    evs_schema_text_t  text;

    rc = evs_schema_quietly(run, rule->nodes[0], value, at);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;
    evs_schema_add_json(&text, rule->nodes[0]->json);

    return evs_schema_fault(run, at, "not fit %.*s.", (int) text.len,
                            text.data);
}


ngx_int_t
evs_schema_apply_if(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t           rc;
    evs_schema_node_t  *node;

    rc = evs_schema_quietly(run, rule->nodes[0], value, at);

    if (rc == NGX_ABORT) {
        return NGX_ABORT;
    }

    node = rule->nodes[(rc == NGX_OK) ? 1 : 2];

    return (node == NULL) ? NGX_OK : evs_schema_fits(run, node, value, at);
}


ngx_int_t
evs_schema_apply_dependent(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at)
{
    ngx_int_t   rc, all;
    ngx_uint_t  i;

    all = NGX_OK;

    for (i = 0; i < rule->n; i++) {

        if (json_object_get(value, rule->names[i]) == NULL) {
            continue;
        }

        rc = evs_schema_fits(run, rule->nodes[i], value, at);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


ngx_int_t
evs_schema_apply_properties(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at)
{
    json_t           *member;
    ngx_int_t         rc, all;
    ngx_uint_t        i;
    evs_schema_at_t   there;

    all = NGX_OK;
    there.up = at;

    for (i = 0; i < rule->n; i++) {
        member = json_object_get(value, rule->names[i]);

        if (member == NULL) {
            continue;
        }

        there.name = rule->names[i];
        rc = evs_schema_fits(run, rule->nodes[i], member, &there);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


/*
 * patternProperties, and additionalProperties for those that are neither
 * there nor in properties.
 */

ngx_int_t
evs_schema_apply_members(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    void             *iter;
    json_t           *object;
    ngx_int_t         rc, all;
    evs_schema_at_t   there;

    all = NGX_OK;
    there.up = at;
    object = (json_t *) value;

    for (iter = json_object_iter(object);
         iter != NULL;
         iter = json_object_iter_next(object, iter))
    {
        there.name = json_object_iter_key(iter);

        if (run->steps == 0) {
            return evs_schema_spent(run, at);
        }

        run->steps--;

        rc = evs_schema_stranger(run, rule, json_object_iter_value(iter),
                                 &there);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


static ngx_int_t
evs_schema_stranger(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t          rc, all;
    ngx_uint_t         i, known;
    evs_schema_text_t  text;

    all = NGX_OK;
    known = rule->rest == NULL || json_object_get(rule->known, at->name);

    for (i = 0; i < rule->n; i++) {
        rc = evs_schema_match(run, rule->patterns[i], at->name,
                              ngx_strlen(at->name), at);

        if (rc == NGX_OK) {
            known = 1;
            rc = evs_schema_fits(run, rule->nodes[i], value, at);

        } else if (rc == NGX_DECLINED) {
            continue;
        }

        if (evs_schema_stop(run, rc, &all)) {
            return all;
        }
    }

    if (known) {
        return all;
    }

    if (!rule->rest->never || !evs_schema_more(run)) {
        return evs_schema_fits(run, rule->rest, value, at);
    }

    text.len = 0;
    evs_schema_add_names(&text, rule->known);

    return evs_schema_fault(run, at, "not be here%.*s.", (int) text.len,
                            text.data);
}


ngx_int_t
evs_schema_apply_names(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    void             *iter;
    json_t           *object, *name;
    ngx_int_t         rc, all;
    evs_schema_at_t   there;

    all = NGX_OK;
    there.up = at;
    object = (json_t *) value;

    for (iter = json_object_iter(object);
         iter != NULL;
         iter = json_object_iter_next(object, iter))
    {
        there.name = json_object_iter_key(iter);

        name = json_string_nocheck(there.name);
        if (name == NULL) {
            return NGX_ABORT;
        }

        run->naming = 1;
        rc = evs_schema_fits(run, rule->nodes[0], name, &there);
        run->naming = 0;

        json_decref(name);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


ngx_int_t
evs_schema_apply_prefix(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t        rc, all;
    evs_schema_at_t  there;

    all = NGX_OK;
    there.up = at;
    there.name = NULL;

    for (there.index = 0;
         there.index < rule->n && there.index < json_array_size(value);
         there.index++)
    {
        rc = evs_schema_fits(run, rule->nodes[there.index],
                             json_array_get(value, there.index), &there);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


/* Those behind the min ones of prefixItems. */

ngx_int_t
evs_schema_apply_items(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    size_t           n;
    ngx_int_t        rc, all;
    evs_schema_at_t  there;

    n = json_array_size(value);

    if (n > rule->min && rule->nodes[0]->never) {
        return evs_schema_fault(run, at, "have no more than %lu item%s, not "
                                "%lu.", (unsigned long) rule->min,
                                (rule->min == 1) ? "" : "s",
                                (unsigned long) n);
    }

    all = NGX_OK;
    there.up = at;
    there.name = NULL;

    for (there.index = rule->min; there.index < n; there.index++) {
        rc = evs_schema_fits(run, rule->nodes[0],
                             json_array_get(value, there.index), &there);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


ngx_int_t
evs_schema_apply_contains(evs_schema_run_t *run, const evs_schema_rule_t *rule,
    const json_t *value, const evs_schema_at_t *at)
{
    size_t             n;
    ngx_int_t          rc;
    ngx_uint_t         limit;
    evs_schema_at_t    there;
    evs_schema_text_t  text;

    n = 0;
    there.up = at;
    there.name = NULL;

    for (there.index = 0; there.index < json_array_size(value); there.index++)
    {
        rc = evs_schema_quietly(run, rule->nodes[0],
                                json_array_get(value, there.index), &there);

        if (rc == NGX_ABORT) {
            return NGX_ABORT;
        }

        n += (rc == NGX_OK);

        if (n > rule->max || (n == rule->min && rule->max == EVS_SCHEMA_NO_MAX))
        {
            break;
        }
    }

    if (n >= rule->min && n <= rule->max) {
        return NGX_OK;
    }

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    limit = (n < rule->min) ? rule->min : rule->max;

    text.len = 0;
    evs_schema_add_json(&text, rule->nodes[0]->json);

    return evs_schema_fault(run, at, "have %s %lu %s %.*s.",
                            (n < rule->min) ? "at least" : "no more than",
                            (unsigned long) limit,
                            (limit == 1) ? "item that fits"
                                         : "items that fit",
                            (int) text.len, text.data);
}
