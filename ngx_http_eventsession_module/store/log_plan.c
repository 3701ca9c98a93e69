
/*
 * The planner: see log_plan.h.
 *
 * Of AND, any one child leads to all that match; the cheapest is taken, and
 * the indexes of the others tell which of its entries are worth a look.  Of
 * OR, all children are needed, each with a way of its own.  Bounds of
 * createdAt go down the tree: an index is read between them only.
 *
 * Costs are the CPU time of Redis and nginx together, in units of what a
 * record takes that is read among others in order and refused by the filter:
 * 0.33 us where this was measured (bench/log).
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_plan.h"


#define EVS_LOG_COST_RECORD   1.0    /* one of many, in order */
#define EVS_LOG_COST_FETCH    6.0    /* one, by its createdAt */
#define EVS_LOG_COST_ENTRY    1.5    /* one of an index */
#define EVS_LOG_COST_CHECK    2.0    /* one in another index */

/* a command and its turn, in each day that has any; with an index it is two */
#define EVS_LOG_COST_DAY      50.0

/* plan=index: as if this were the cost of a branch without an index */
#define EVS_LOG_COST_NEVER    1e18


/* a way to all records that a node may match */
typedef struct {
    evs_log_branch_t       *branches;
    double                  cost;
    double                  order;     /* the cost, as the choice has it */
} evs_log_way_t;


static ngx_uint_t evs_log_plan_nodes(const evs_filter_t *node);
static ngx_uint_t evs_log_plan_narrow(const evs_filter_t *node,
    evs_log_time_t *time);
static ngx_uint_t evs_log_plan_bounds(const evs_filter_t *node,
    evs_log_time_t *time);
static void evs_log_plan_gather(evs_log_plan_t *plan,
    const evs_filter_t *node, evs_log_time_t time);
static ngx_int_t evs_log_plan_indexed(const evs_filter_t *node);
static evs_log_count_t *evs_log_plan_count(evs_log_plan_t *plan,
    const evs_filter_t *term, const evs_log_time_t *time);
static ngx_int_t evs_log_plan_node(evs_log_plan_t *plan,
    const evs_filter_t *node, evs_log_time_t time, evs_log_way_t *way);
static ngx_int_t evs_log_plan_and(evs_log_plan_t *plan,
    const evs_filter_t *node, const evs_log_time_t *time,
    evs_log_way_t *way);
static ngx_int_t evs_log_plan_or(evs_log_plan_t *plan,
    const evs_filter_t *node, const evs_log_time_t *time,
    evs_log_way_t *way);
static ngx_int_t evs_log_plan_branch(evs_log_plan_t *plan,
    const evs_filter_t *term, const evs_log_time_t *time,
    evs_log_way_t *way);
static void evs_log_plan_checks(evs_log_plan_t *plan,
    const evs_filter_t *node, const evs_log_time_t *time,
    evs_log_way_t *way);
static void evs_log_plan_check(evs_log_plan_t *plan,
    evs_log_branch_t *branch, const evs_log_count_t *count, double all);
static void evs_log_plan_cost(evs_log_plan_t *plan, evs_log_way_t *way);
static void evs_log_plan_name(evs_log_plan_t *plan);


const ngx_str_t  evs_log_access_names[EVS_LOG_BY_NOTHING + 1] = {
    ngx_string("scan"),
    ngx_string("range"),
    ngx_string("index"),
    ngx_string("intersection"),
    ngx_string("union"),
    ngx_string("nothing")
};


ngx_int_t
evs_log_plan_init(evs_log_plan_t *plan)
{
    ngx_uint_t  n;

    plan->time.from = ngx_max(plan->time.from, 0);
    plan->time.to = ngx_min(plan->time.to, EVS_LOG_PLAN_MAX_US);

    if (plan->filter != NULL && plan->choice != EVS_LOG_SCAN) {
        plan->bounded = (evs_log_plan_narrow(plan->filter, &plan->time) != 0);
    }

    /* of each node its records, and of a comparison its entries */

    n = 2 * evs_log_plan_nodes(plan->filter) + 1;

    plan->counts = ngx_pcalloc(plan->pool, n * sizeof(evs_log_count_t));
    if (plan->counts == NULL) {
        return NGX_ERROR;
    }

    (void) evs_log_plan_count(plan, NULL, &plan->time);

    if (plan->filter != NULL && plan->choice != EVS_LOG_SCAN
        && plan->choice != EVS_LOG_RANGE)
    {
        evs_log_plan_gather(plan, plan->filter, plan->time);
    }

    return NGX_OK;
}


static ngx_uint_t
evs_log_plan_nodes(const evs_filter_t *node)
{
    ngx_uint_t           n;
    const evs_filter_t  *child;

    if (node == NULL) {
        return 0;
    }

    n = 1;

    if (node->type != EVS_FILTER_TERM) {
        for (child = node->children; child != NULL; child = child->next) {
            n += evs_log_plan_nodes(child);
        }
    }

    return n;
}


/*
 * Leaves of time what may match.  1: there was a bound, 0: none.  No time is
 * left if from is behind to.
 */

static ngx_uint_t
evs_log_plan_narrow(const evs_filter_t *node, evs_log_time_t *time)
{
    ngx_uint_t      bounded;
    evs_log_time_t  bounds;

    bounded = evs_log_plan_bounds(node, &bounds);

    time->from = ngx_max(time->from, bounds.from);
    time->to = ngx_min(time->to, bounds.to);

    return bounded;
}


static ngx_uint_t
evs_log_plan_bounds(const evs_filter_t *node, evs_log_time_t *time)
{
    ngx_uint_t           bounded;
    evs_log_time_t       bounds;
    const evs_filter_t  *child;

    time->from = 0;
    time->to = EVS_LOG_PLAN_MAX_US;

    switch (node->type) {

    case EVS_FILTER_AND:
        bounded = 0;

        for (child = node->children; child != NULL; child = child->next) {
            bounded |= evs_log_plan_narrow(child, time);
        }

        return bounded;

    case EVS_FILTER_OR:
        time->from = EVS_LOG_PLAN_MAX_US + 1;
        time->to = -1;
        bounded = 1;

        for (child = node->children; child != NULL; child = child->next) {
            bounded &= evs_log_plan_bounds(child, &bounds);

            if (bounds.from <= bounds.to) {
                time->from = ngx_min(time->from, bounds.from);
                time->to = ngx_max(time->to, bounds.to);
            }
        }

        return bounded;

    default: /* EVS_FILTER_TERM */
        break;
    }

    if (node->field != EVS_FILTER_CREATED_AT) {
        return 0;
    }

    switch (node->op) {

    case EVS_FILTER_EQ:
        time->from = node->us;
        time->to = node->us;
        return 1;

    case EVS_FILTER_GT:
        time->from = node->us + 1;
        return 1;

    case EVS_FILTER_GTE:
        time->from = node->us;
        return 1;

    case EVS_FILTER_LT:
        time->to = node->us - 1;
        return 1;

    case EVS_FILTER_LTE:
        time->to = node->us;
        return 1;

    default: /* EVS_FILTER_NE, EVS_FILTER_CT */
        return 0;
    }
}


/* What evs_log_plan_node() will ask for. */

static void
evs_log_plan_gather(evs_log_plan_t *plan, const evs_filter_t *node,
    evs_log_time_t time)
{
    const evs_filter_t  *child;

    (void) evs_log_plan_narrow(node, &time);

    if (time.from > time.to) {
        return;
    }

    (void) evs_log_plan_count(plan, NULL, &time);

    if (node->type == EVS_FILTER_TERM) {

        if (evs_log_plan_indexed(node) != NGX_DECLINED) {
            (void) evs_log_plan_count(plan, node, &time);
        }

        return;
    }

    for (child = node->children; child != NULL; child = child->next) {
        evs_log_plan_gather(plan, child, time);
    }
}


/* The index that leads to what a comparison matches; NGX_DECLINED: none. */

static ngx_int_t
evs_log_plan_indexed(const evs_filter_t *node)
{
    if (node->type != EVS_FILTER_TERM || node->op != EVS_FILTER_EQ) {
        return NGX_DECLINED;
    }

    switch (node->field) {

    case EVS_FILTER_EMAIL:
        return EVS_LOG_EMAIL;

    case EVS_FILTER_ENVIRONMENT:
        return EVS_LOG_ENVIRONMENT;

    case EVS_FILTER_COMPONENT:
        return EVS_LOG_COMPONENT;

    default:
        return NGX_DECLINED;
    }
}


/* The count of that; a new one if there is none yet.  term == NULL: records. */

static evs_log_count_t *
evs_log_plan_count(evs_log_plan_t *plan, const evs_filter_t *term,
    const evs_log_time_t *time)
{
    ngx_uint_t        i;
    evs_log_count_t  *count;
    const ngx_str_t  *value;
    evs_log_index_e   index;

    value = NULL;
    index = EVS_LOG_EMAIL;

    if (term != NULL) {
        value = &term->json;
        index = (evs_log_index_e) evs_log_plan_indexed(term);
    }

    for (i = 0; i < plan->ncounts; i++) {
        count = &plan->counts[i];

        if (count->time.from == time->from && count->time.to == time->to
            && (count->value == NULL) == (value == NULL)
            && (value == NULL
                || (count->index == index && count->value->len == value->len
                    && ngx_memcmp(count->value->data, value->data, value->len)
                       == 0)))
        {
            return count;
        }
    }

    count = &plan->counts[plan->ncounts++];

    count->value = value;
    count->index = index;
    count->time = *time;

    if (value != NULL) {
        count->bit = plan->nindexes++;
    }

    return count;
}


ngx_int_t
evs_log_plan_choose(evs_log_plan_t *plan)
{
    ngx_int_t          rc;
    evs_log_way_t      way, all;
    evs_log_branch_t  *branch;

    if (plan->time.from > plan->time.to) {
        ngx_memzero(&way, sizeof(evs_log_way_t));
        rc = NGX_OK;

    } else if (plan->filter == NULL || plan->choice == EVS_LOG_SCAN
               || plan->choice == EVS_LOG_RANGE)
    {
        rc = evs_log_plan_branch(plan, NULL, &plan->time, &way);

    } else {
        rc = evs_log_plan_node(plan, plan->filter, plan->time, &way);
    }

    if (rc != NGX_OK
        || evs_log_plan_branch(plan, NULL, &plan->time, &all) != NGX_OK)
    {
        return NGX_ERROR;
    }

    plan->without = all.branches;
    plan->branches = way.branches;
    plan->cost = way.cost;
    plan->records = 0;
    plan->nbranches = 0;

    for (branch = way.branches; branch != NULL; branch = branch->next) {
        plan->records += branch->records;
        plan->nbranches++;
    }

    evs_log_plan_name(plan);

    return NGX_OK;
}


static ngx_int_t
evs_log_plan_node(evs_log_plan_t *plan, const evs_filter_t *node,
    evs_log_time_t time, evs_log_way_t *way)
{
    ngx_int_t      rc;
    evs_log_way_t  all;

    (void) evs_log_plan_narrow(node, &time);

    if (time.from > time.to) {
        ngx_memzero(way, sizeof(evs_log_way_t));
        return NGX_OK;
    }

    if (evs_log_plan_branch(plan, NULL, &time, &all) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (node->type) {

    case EVS_FILTER_AND:
        *way = all;
        return evs_log_plan_and(plan, node, &time, way);

    case EVS_FILTER_OR:
        rc = evs_log_plan_or(plan, node, &time, way);
        break;

    default: /* EVS_FILTER_TERM */

        if (evs_log_plan_indexed(node) == NGX_DECLINED) {
            *way = all;
            return NGX_OK;
        }

        rc = evs_log_plan_branch(plan, node, &time, way);
    }

    if (rc == NGX_OK && all.order <= way->order) {
        *way = all;
    }

    return rc;
}


/* way is the one without an index; it becomes the best one. */

static ngx_int_t
evs_log_plan_and(evs_log_plan_t *plan, const evs_filter_t *node,
    const evs_log_time_t *time, evs_log_way_t *way)
{
    ngx_int_t            rc;
    evs_log_way_t        other;
    const evs_filter_t  *child;

    for (child = node->children; child != NULL; child = child->next) {

        if (evs_log_plan_indexed(child) != NGX_DECLINED) {
            rc = evs_log_plan_branch(plan, child, time, &other);

        } else if (child->type == EVS_FILTER_TERM) {
            continue;

        } else {
            rc = evs_log_plan_node(plan, child, *time, &other);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        evs_log_plan_checks(plan, node, time, &other);

        if (other.order < way->order) {
            *way = other;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_log_plan_or(evs_log_plan_t *plan, const evs_filter_t *node,
    const evs_log_time_t *time, evs_log_way_t *way)
{
    evs_log_way_t         other;
    evs_log_branch_t    **last;
    const evs_filter_t   *child;

    ngx_memzero(way, sizeof(evs_log_way_t));

    last = &way->branches;

    for (child = node->children; child != NULL; child = child->next) {

        if (evs_log_plan_node(plan, child, *time, &other) != NGX_OK) {
            return NGX_ERROR;
        }

        *last = other.branches;

        while (*last != NULL) {
            last = &(*last)->next;
        }

        way->cost += other.cost;
        way->order += other.order;
    }

    return NGX_OK;
}


/* The way by an index, or by all records of the time. */

static ngx_int_t
evs_log_plan_branch(evs_log_plan_t *plan, const evs_filter_t *term,
    const evs_log_time_t *time, evs_log_way_t *way)
{
    evs_log_count_t   *count;
    evs_log_branch_t  *branch;

    branch = ngx_pcalloc(plan->pool, sizeof(evs_log_branch_t));
    if (branch == NULL) {
        return NGX_ERROR;
    }

    count = evs_log_plan_count(plan, term, time);

    branch->index = term ? count : NULL;
    branch->time = *time;
    branch->entries = term ? count->n : 0;
    branch->records = count->n;
    branch->days = count->days;

    way->branches = branch;
    evs_log_plan_cost(plan, way);

    return NGX_OK;
}


/* What else must be equal: other indexes of the AND, if they are worth it. */

static void
evs_log_plan_checks(evs_log_plan_t *plan, const evs_filter_t *node,
    const evs_log_time_t *time, evs_log_way_t *way)
{
    double               all;
    evs_log_branch_t    *branch;
    const evs_filter_t  *child;

    all = evs_log_plan_count(plan, NULL, time)->n;

    for (branch = way->branches; branch != NULL; branch = branch->next) {

        if (branch->index == NULL) {
            continue;
        }

        for (child = node->children; child != NULL; child = child->next) {

            if (evs_log_plan_indexed(child) != NGX_DECLINED) {
                evs_log_plan_check(plan, branch,
                                   evs_log_plan_count(plan, child, time), all);
            }
        }
    }

    evs_log_plan_cost(plan, way);
}


/*
 * One index a field is enough: two values of it at once match nothing, which
 * the filter itself finds out.
 */

static void
evs_log_plan_check(evs_log_plan_t *plan, evs_log_branch_t *branch,
    const evs_log_count_t *count, double all)
{
    double      left;
    ngx_uint_t  i;

    if (count->index == branch->index->index) {
        return;
    }

    for (i = 0; i < branch->nchecks; i++) {
        if (branch->checks[i]->index == count->index) {
            return;
        }
    }

    left = branch->records * count->n / ngx_max(all, 1);

    if (plan->choice != EVS_LOG_INDEX
        && branch->entries * EVS_LOG_COST_CHECK
           >= (branch->records - left) * EVS_LOG_COST_FETCH)
    {
        return;
    }

    branch->checks[branch->nchecks++] = count;
    branch->records = ngx_min(branch->records, left);
}


static void
evs_log_plan_cost(evs_log_plan_t *plan, evs_log_way_t *way)
{
    evs_log_branch_t  *branch;

    way->cost = 0;
    way->order = 0;

    for (branch = way->branches; branch != NULL; branch = branch->next) {

        if (branch->index != NULL) {
            branch->cost = branch->days * 2 * EVS_LOG_COST_DAY
                           + branch->records * EVS_LOG_COST_FETCH
                           + branch->entries
                             * (EVS_LOG_COST_ENTRY
                                + (double) branch->nchecks
                                  * EVS_LOG_COST_CHECK);

        } else {
            branch->cost = branch->days * EVS_LOG_COST_DAY
                           + branch->records * EVS_LOG_COST_RECORD;

            if (plan->choice == EVS_LOG_INDEX) {
                way->order += EVS_LOG_COST_NEVER;
            }
        }

        way->cost += branch->cost;
    }

    way->order += way->cost;
}


static void
evs_log_plan_name(evs_log_plan_t *plan)
{
    if (plan->nbranches == 0) {
        plan->access = EVS_LOG_BY_NOTHING;

    } else if (plan->nbranches > 1) {
        plan->access = EVS_LOG_BY_UNION;

    } else if (plan->branches->index == NULL) {
        plan->access = plan->bounded ? EVS_LOG_BY_RANGE : EVS_LOG_BY_SCAN;

    } else {
        plan->access = plan->branches->nchecks ? EVS_LOG_BY_INTERSECTION
                                               : EVS_LOG_BY_INDEX;
    }
}


void
evs_log_plan_span(const evs_log_plan_t *plan, int64_t us, evs_log_span_t *span)
{
    uint64_t           bit;
    evs_log_branch_t  *branch;

    span->time.from = us;
    span->time.to = (evs_log_day(us) + 1) * EVS_LOG_DAY_US - 1;
    span->branches = 0;
    span->records = 0;

    bit = 1;

    for (branch = plan->branches; branch != NULL; branch = branch->next) {

        if (branch->time.from > us) {
            span->time.to = ngx_min(span->time.to, branch->time.from - 1);

        } else if (branch->time.to >= us) {
            span->time.to = ngx_min(span->time.to, branch->time.to);
            span->branches |= bit;
            span->records |= (branch->index == NULL);
        }

        bit <<= 1;
    }
}
