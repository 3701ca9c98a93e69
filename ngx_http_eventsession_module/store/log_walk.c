
/*
 * Spans and days: see log_walk.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_walk.h"


static uint64_t evs_log_walk_branches(const evs_log_walk_t *walk,
    const evs_log_day_t *day);
static ngx_uint_t evs_log_walk_there(const evs_log_branch_t *branch,
    const evs_log_day_t *day);


void
evs_log_walk_begin(evs_log_walk_t *walk, const evs_log_plan_t *plan,
    const evs_log_survey_t *survey)
{
    ngx_memzero(walk, sizeof(evs_log_walk_t));

    walk->plan = plan;
    walk->survey = survey;
    walk->us = plan->time.from;
}


ngx_int_t
evs_log_walk_next(evs_log_walk_t *walk)
{
    int64_t          from;
    evs_log_day_t   *day;
    evs_log_span_t  *span;

    if (walk->plan->nbranches == 0) {
        return NGX_DONE;
    }

    span = &walk->span;
    day = walk->survey->days.elts;

    while (walk->iday < walk->survey->days.nelts) {

        from = day[walk->iday].day * EVS_LOG_DAY_US;

        if (walk->us >= from + EVS_LOG_DAY_US) {
            walk->iday++;
            continue;
        }

        walk->us = ngx_max(walk->us, from);

        if (walk->us > walk->plan->time.to) {
            break;
        }

        evs_log_plan_span(walk->plan, walk->us, span);

        span->time.to = ngx_min(span->time.to, walk->plan->time.to);
        walk->us = span->time.to + 1;

        if (span->records) {
            return NGX_OK;
        }

        span->branches &= evs_log_walk_branches(walk, &day[walk->iday]);

        if (span->branches != 0) {
            return NGX_OK;
        }
    }

    return NGX_DONE;
}


/* The indexes that may have something on that day. */

static uint64_t
evs_log_walk_branches(const evs_log_walk_t *walk, const evs_log_day_t *day)
{
    uint64_t           bit, branches;
    evs_log_branch_t  *branch;

    bit = 1;
    branches = 0;

    for (branch = walk->plan->branches; branch != NULL; branch = branch->next) {

        if (branch->index != NULL && evs_log_walk_there(branch, day)) {
            branches |= bit;
        }

        bit <<= 1;
    }

    return branches;
}


static ngx_uint_t
evs_log_walk_there(const evs_log_branch_t *branch, const evs_log_day_t *day)
{
    int64_t     from;
    uint64_t    needed;
    ngx_uint_t  i;

    from = day->day * EVS_LOG_DAY_US;

    if (branch->time.to < from || branch->time.from >= from + EVS_LOG_DAY_US) {
        return 0;
    }

    if (branch->index == NULL) {
        return 1;
    }

    needed = (uint64_t) 1 << branch->index->bit;

    for (i = 0; i < branch->nchecks; i++) {
        needed |= (uint64_t) 1 << branch->checks[i]->bit;
    }

    return (day->indexes & needed) == needed;
}


void
evs_log_walk_records(evs_log_walk_t *walk, int64_t from, int64_t to)
{
    walk->span.records = 1;
    walk->span.time.from = from;
    walk->span.time.to = to;
    walk->us = to + 1;
}


ngx_uint_t
evs_log_walk_days(const evs_log_plan_t *plan, const evs_log_survey_t *survey)
{
    ngx_uint_t         i, n;
    evs_log_day_t     *day;
    evs_log_branch_t  *branch;

    n = 0;
    day = survey->days.elts;

    for (i = 0; i < survey->days.nelts; i++) {

        for (branch = plan->branches; branch != NULL; branch = branch->next) {

            if (evs_log_walk_there(branch, &day[i])) {
                n++;
                break;
            }
        }
    }

    return n;
}
