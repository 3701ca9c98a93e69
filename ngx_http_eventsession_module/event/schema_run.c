
/*
 * A value goes through a schema.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_node.h"


static ngx_int_t evs_schema_rules(evs_schema_run_t *run,
    const evs_schema_node_t *node, const json_t *value,
    const evs_schema_at_t *at);


ngx_int_t
evs_schema_validate(const evs_schema_t *schema, const json_t *value,
    ngx_pool_t *pool, ngx_uint_t *steps, evs_schema_faults_t *faults)
{
    ngx_int_t         rc;
    evs_schema_at_t   root;
    evs_schema_run_t  run;

    ngx_memzero(&run, sizeof(evs_schema_run_t));
    ngx_memzero(&root, sizeof(evs_schema_at_t));

    run.pool = pool;
    run.faults = faults->fault;
    run.max = EVS_SCHEMA_MAX_FAULTS;
    run.steps = ngx_min(*steps, EVS_SCHEMA_MAX_STEPS);

    *steps -= run.steps;

    rc = evs_schema_fits(&run, schema->root, value, &root);

    *steps += run.steps;

    faults->n = run.n;

    pcre2_match_data_free(run.match);
    pcre2_match_context_free(run.context);

    if (rc != NGX_ABORT) {
        return rc;
    }

    if (run.end.text.len == 0) {
        return NGX_ERROR;
    }

    /* why it ended is told, though it be instead of another fault */

    faults->n = ngx_min(run.n, EVS_SCHEMA_MAX_FAULTS - 1);
    faults->fault[faults->n++] = run.end;

    return NGX_DECLINED;
}


ngx_int_t
evs_schema_fits(evs_schema_run_t *run, const evs_schema_node_t *node,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t  rc;

    if (node->never) {
        return evs_schema_fault(run, at, "not be here.");
    }

    if (run->depth == EVS_SCHEMA_MAX_DEPTH) {
        return evs_schema_end(run, at, "Must be simpler: it is too deep to be "
                              "checked by the schema.");
    }

    run->depth++;
    rc = evs_schema_rules(run, node, value, at);
    run->depth--;

    return rc;
}


static ngx_int_t
evs_schema_rules(evs_schema_run_t *run, const evs_schema_node_t *node,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t                 rc, all;
    ngx_uint_t                type;
    const evs_schema_rule_t  *rule;

    all = NGX_OK;
    type = evs_schema_type(value);

    for (rule = node->rules; rule != NULL; rule = rule->next) {

        if (run->steps == 0) {
            return evs_schema_spent(run, at);
        }

        run->steps--;

        if (!(rule->types & type)) {
            continue;
        }

        rc = rule->check(run, rule, value, at);

        if (evs_schema_stop(run, rc, &all)) {
            break;
        }
    }

    return all;
}


ngx_int_t
evs_schema_quietly(evs_schema_run_t *run, const evs_schema_node_t *node,
    const json_t *value, const evs_schema_at_t *at)
{
    ngx_int_t   rc;
    ngx_uint_t  max;

    max = run->max;

    run->max = 0;
    rc = evs_schema_fits(run, node, value, at);
    run->max = max;

    return rc;
}
