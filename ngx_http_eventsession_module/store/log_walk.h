
/*
 * The way of a read of the event log through time: one span of its plan
 * (store/log_plan.h) after the other, of those in which there may be
 * something.  Owns where the read is, and reads nothing itself.
 */


#ifndef _EVS_LOG_WALK_H_INCLUDED_
#define _EVS_LOG_WALK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_plan.h"
#include "store/log_survey.h"


typedef struct {
    const evs_log_plan_t    *plan;
    const evs_log_survey_t  *survey;
    ngx_uint_t               iday;      /* of the survey's days */
    int64_t                  us;        /* where the next span begins */

    evs_log_span_t           span;      /* where it is; nothing is in it, until
                                           there is a first one */
} evs_log_walk_t;


/* In front of the first span; both are complete, and stay as they are. */
void evs_log_walk_begin(evs_log_walk_t *walk, const evs_log_plan_t *plan,
    const evs_log_survey_t *survey);

/* NGX_OK: walk->span is the next one; NGX_DONE: there are no more. */
ngx_int_t evs_log_walk_next(evs_log_walk_t *walk);

/* In the span's place, all records of some time; then whatever follows it. */
void evs_log_walk_records(evs_log_walk_t *walk, int64_t from, int64_t to);

/* How many days have something to read, as far as the plan knows. */
ngx_uint_t evs_log_walk_days(const evs_log_plan_t *plan,
    const evs_log_survey_t *survey);


#endif /* _EVS_LOG_WALK_H_INCLUDED_ */
