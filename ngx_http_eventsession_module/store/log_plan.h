
/*
 * How the records that a filter matches are found: which indexes lead to
 * them, or that all records of some time are read.  Knows neither Redis nor a
 * record: what is to be counted is said here, counted by the read
 * (store/log_read.h), and then the cheapest way is chosen.
 *
 *     rc = evs_log_plan_init(plan);     // what is to be counted
 *     each of plan->counts gets its n
 *     rc = evs_log_plan_choose(plan);   // plan->branches
 *     evs_log_plan_span(plan, us, &span) ...
 *
 * A plan is a list of branches; what one of them leads to may match, and
 * nothing else does.  Whoever carries it out looks at each record with the
 * whole filter.
 */


#ifndef _EVS_LOG_PLAN_H_INCLUDED_
#define _EVS_LOG_PLAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/filter.h"
#include "event/time.h"
#include "store/log_key.h"


#define EVS_LOG_PLAN_MAX_US   EVS_TIME_MAX_US


typedef enum {
    EVS_LOG_BEST = 0,
    EVS_LOG_SCAN,            /* all records of all time */
    EVS_LOG_RANGE,           /* all records that createdAt leaves */
    EVS_LOG_INDEX            /* indexes, wherever there is one */
} evs_log_choice_e;

typedef enum {
    EVS_LOG_BY_SCAN = 0,     /* one branch without an index */
    EVS_LOG_BY_RANGE,        /* the same, with a bound of createdAt */
    EVS_LOG_BY_INDEX,        /* one branch with an index */
    EVS_LOG_BY_INTERSECTION, /* one branch with several */
    EVS_LOG_BY_UNION,        /* several branches */
    EVS_LOG_BY_NOTHING       /* none: no record can match */
} evs_log_access_e;


/* µs, both inclusive */
typedef struct {
    int64_t                 from;
    int64_t                 to;
} evs_log_time_t;

/* entries of an index in some time, or records */
typedef struct {
    const ngx_str_t        *value;      /* NULL: records */
    evs_log_index_e         index;
    evs_log_time_t          time;
    ngx_uint_t              bit;        /* its own one among indexes */
    double                  n;          /* is set when it was counted */
    double                  days;       /* that have any; likewise */
    double                  scale;      /* of all days to those counted */
} evs_log_count_t;

typedef struct evs_log_branch_s  evs_log_branch_t;

struct evs_log_branch_s {
    const evs_log_count_t  *index;      /* is read; NULL: all records are */
    const evs_log_count_t  *checks[EVS_LOG_INDEXES];
                                        /* also have what it has */
    ngx_uint_t              nchecks;
    evs_log_time_t          time;

    double                  entries;    /* estimates */
    double                  records;
    double                  days;
    double                  cost;
    evs_log_branch_t       *next;
};

typedef struct {
    /* set by the caller, all else zeroed */
    ngx_pool_t             *pool;
    const evs_filter_t     *filter;     /* NULL: all match */
    evs_log_choice_e        choice;
    evs_log_time_t          time;       /* that is asked for at all; then also
                                           what the filter leaves of it */

    evs_log_count_t        *counts;     /* the first one: records of time */
    ngx_uint_t              ncounts;
    ngx_uint_t              nindexes;   /* of them, of an index */

    evs_log_access_e        access;
    evs_log_branch_t       *branches;
    ngx_uint_t              nbranches;
    double                  records;    /* looked at: an estimate */
    double                  cost;       /* 1: to read a record among others */
    evs_log_branch_t       *without;    /* the way without an index */
    unsigned                bounded:1;  /* createdAt has a bound */
} evs_log_plan_t;


/* a part of a day in which all is read in the same way */
typedef struct {
    evs_log_time_t          time;
    uint64_t                branches;   /* a bit each, in their order */
    unsigned                records:1;  /* all records are read, no index */
} evs_log_span_t;


/* NGX_OK; NGX_ERROR: no memory. */
ngx_int_t evs_log_plan_init(evs_log_plan_t *plan);
ngx_int_t evs_log_plan_choose(evs_log_plan_t *plan);

/* The span that us lies in.  Its branches may be none: nothing to read. */
void evs_log_plan_span(const evs_log_plan_t *plan, int64_t us,
    evs_log_span_t *span);

extern const ngx_str_t  evs_log_access_names[EVS_LOG_BY_NOTHING + 1];


#endif /* _EVS_LOG_PLAN_H_INCLUDED_ */
