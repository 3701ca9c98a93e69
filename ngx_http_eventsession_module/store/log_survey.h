
/*
 * What there is in the event log: its days, and how much of what a plan wants
 * to have counted.
 *
 * The days are listed at the beginning, and a day is in the list before a
 * record of it is: so no record that was stored before is missing.
 */


#ifndef _EVS_LOG_SURVEY_H_INCLUDED_
#define _EVS_LOG_SURVEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_plan.h"
#include "store/store.h"


/* numbers that Redis is asked for at a time */
#define EVS_LOG_SURVEY_WINDOW  512


typedef struct {
    int64_t                  day;
    uint64_t                 indexes;    /* bits of the plan's counts: it may
                                            have entries of them */
} evs_log_day_t;

/* a count of the plan, in one day */
typedef struct {
    evs_log_count_t         *count;
    evs_log_day_t           *day;
    ngx_int_t                n;          /* NGX_ERROR: no number came */
} evs_log_part_t;

typedef struct {
    /* set by the caller, all else zeroed */
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;
    ngx_pool_t              *pool;
    ngx_log_t               *log;
    evs_log_plan_t          *plan;       /* its counts get their n */
    unsigned                 counting:1; /* they are wanted */

    /* All is there.  failure: NULL, or why not. */
    void                   (*done)(void *data, const char *failure);
    void                    *data;

    /* what was found */
    ngx_array_t              days;       /* of evs_log_day_t, in order */

    /* its state */
    evs_redis_cmd_t         *cmd;
    ngx_uint_t               icount;     /* what is to be counted next */
    ngx_uint_t               iday;
    ngx_uint_t               stride;     /* of so many days, one is counted */
    ngx_uint_t               ndays;      /* in the time of that count */
    ngx_uint_t               nparts;
    ngx_uint_t               came;
    evs_log_part_t          *parts;
    unsigned                 failed:1;   /* no memory, or too many days */
    unsigned                 foreign:1;  /* something strange came */
} evs_log_survey_t;


/* NGX_OK: survey->done() will be called; NGX_ERROR: no memory. */
ngx_int_t evs_log_survey(evs_log_survey_t *survey);

/* Ends it: done() is not called any more.  Idempotent. */
void evs_log_survey_cancel(evs_log_survey_t *survey);


#endif /* _EVS_LOG_SURVEY_H_INCLUDED_ */
