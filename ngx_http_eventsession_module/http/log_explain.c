
/*
 * A plan as JSON: see log_explain.h.  README says what its members mean.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/time.h"
#include "http/log_explain.h"
#include "http/reply.h"


/* of a branch, and of all the rest */
#define NGX_HTTP_EVENTSESSION_EXPLAIN_MAX   512


static u_char *ngx_http_eventsession_explain_branch(u_char *p,
    const evs_log_read_t *read, const evs_log_branch_t *branch);
static u_char *ngx_http_eventsession_explain_fields(u_char *p,
    const evs_log_branch_t *branch, ngx_uint_t all);
static u_char *ngx_http_eventsession_explain_time(u_char *p,
    const evs_log_read_t *read, const evs_log_time_t *time);
static u_char *ngx_http_eventsession_explain_number(u_char *p,
    const char *name, double n);


ngx_int_t
ngx_http_eventsession_log_explain(ngx_http_request_t *r,
    const evs_log_read_t *read)
{
    u_char                  *p, *body;
    evs_log_access_e         other;
    const evs_log_plan_t    *plan;
    const evs_log_branch_t  *branch;

    plan = &read->plan;

    body = ngx_pnalloc(r->pool, (plan->nbranches + 1)
                                * NGX_HTTP_EVENTSESSION_EXPLAIN_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(body, "{\"access\":\"%V\",\"fields\":",
                    &evs_log_access_names[plan->access]);
    p = ngx_http_eventsession_explain_fields(p, plan->branches, 1);
    p = ngx_http_eventsession_explain_time(p, read, &plan->time);
    p = ngx_sprintf(p, ",\"days\":%ui", evs_log_walk_days(plan, &read->survey));
    p = ngx_http_eventsession_explain_number(p, "records", plan->records);
    p = ngx_http_eventsession_explain_number(p, "cost", plan->cost);
    p = ngx_cpymem(p, ",\"branches\":[", sizeof(",\"branches\":[") - 1);

    for (branch = plan->branches; branch != NULL; branch = branch->next) {
        p = ngx_http_eventsession_explain_branch(p, read, branch);

        if (branch->next != NULL) {
            *p++ = ',';
        }
    }

    other = plan->bounded ? EVS_LOG_BY_RANGE : EVS_LOG_BY_SCAN;

    p = ngx_sprintf(p, "],\"without_index\":{\"access\":\"%V\"",
                    &evs_log_access_names[other]);
    p = ngx_http_eventsession_explain_number(p, "records",
                                             plan->without->records);
    p = ngx_http_eventsession_explain_number(p, "cost", plan->without->cost);
    *p++ = '}';
    *p++ = '}';

    return ngx_http_eventsession_body(r, NGX_HTTP_OK, "application/json",
                                      body, (size_t) (p - body));
}


static u_char *
ngx_http_eventsession_explain_branch(u_char *p, const evs_log_read_t *read,
    const evs_log_branch_t *branch)
{
    evs_log_access_e  access;

    if (branch->index != NULL) {
        access = branch->nchecks ? EVS_LOG_BY_INTERSECTION : EVS_LOG_BY_INDEX;

    } else {
        access = (read->plan.access == EVS_LOG_BY_SCAN) ? EVS_LOG_BY_SCAN
                                                        : EVS_LOG_BY_RANGE;
    }

    p = ngx_sprintf(p, "{\"access\":\"%V\",\"fields\":",
                    &evs_log_access_names[access]);
    p = ngx_http_eventsession_explain_fields(p, branch, 0);
    p = ngx_http_eventsession_explain_time(p, read, &branch->time);

    if (branch->index != NULL) {
        p = ngx_http_eventsession_explain_number(p, "entries",
                                                 branch->entries);
    }

    p = ngx_http_eventsession_explain_number(p, "records", branch->records);
    p = ngx_http_eventsession_explain_number(p, "cost", branch->cost);
    *p++ = '}';

    return p;
}


/* The fields of a branch in the order of use; or all, of it and the next. */

static u_char *
ngx_http_eventsession_explain_fields(u_char *p, const evs_log_branch_t *branch,
    ngx_uint_t all)
{
    ngx_uint_t              i, seen, bit;
    const evs_log_count_t  *count;

    static const char  *names[EVS_LOG_INDEXES] = {
        "email", "environment", "component"
    };

    seen = 0;
    *p++ = '[';

    for ( /* void */ ; branch != NULL; branch = all ? branch->next : NULL) {

        if (branch->index == NULL) {
            continue;
        }

        for (i = 0; i <= branch->nchecks; i++) {
            count = (i == 0) ? branch->index : branch->checks[i - 1];
            bit = (ngx_uint_t) 1 << count->index;

            if (seen & bit) {
                continue;
            }

            p = ngx_sprintf(p, "%s\"%s\"", seen ? "," : "",
                            names[count->index]);
            seen |= bit;
        }
    }

    *p++ = ']';

    return p;
}


static u_char *
ngx_http_eventsession_explain_time(u_char *p, const evs_log_read_t *read,
    const evs_log_time_t *time)
{
    p = ngx_cpymem(p, ",\"from\":", sizeof(",\"from\":") - 1);

    if (time->from <= 0 || time->from > EVS_LOG_PLAN_MAX_US) {
        p = ngx_cpymem(p, "null", 4);

    } else {
        *p++ = '"';
        p = evs_time_format(p, time->from, 6);
        *p++ = '"';
    }

    p = ngx_cpymem(p, ",\"to\":", sizeof(",\"to\":") - 1);

    if (time->to < 0 || time->to >= EVS_LOG_PLAN_MAX_US) {
        return ngx_cpymem(p, "null", 4);
    }

    *p++ = '"';
    p = evs_time_format(p, time->to, 6);
    *p++ = '"';

    return p;
}


/* Estimates, to the next integer. */

static u_char *
ngx_http_eventsession_explain_number(u_char *p, const char *name, double n)
{
    return ngx_sprintf(p, ",\"%s\":%uL", name, (uint64_t) (n + 0.5));
}
