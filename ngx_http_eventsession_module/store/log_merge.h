
/*
 * The entries of a span's indexes, merged, as records that are wanted: which
 * are to be looked up, and whether they were found.  Owns the sources of a
 * plan's branches (store/log_source.h); the records themselves are looked up
 * by the read (store/log_read.h), and it alone sees them.
 *
 *     rc = evs_log_merge_next(merge, ...);         // some are wanted
 *     p = evs_log_merge_look_up(merge, p, &n);     // and asked for
 *     evs_log_merge_found(merge, ...);             // for each that came
 *     rc = evs_log_merge_looked_up(merge, ...);    // on with what is left
 */


#ifndef _EVS_LOG_MERGE_H_INCLUDED_
#define _EVS_LOG_MERGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_page.h"
#include "store/log_plan.h"
#include "store/log_source.h"
#include "store/record.h"
#include "store/store.h"


/* records that are wanted at a time, at most */
#define EVS_LOG_MERGE_WANTED    256

/* of evs_log_merge_look_up(), for each that is wanted */
#define EVS_LOG_MERGE_COMMAND_MAX  EVS_LOG_PAGE_COMMAND_MAX


/* a record to be looked up */
typedef struct {
    evs_log_entry_t          entry;
    uint64_t                 sources;   /* that have it, a bit each */
    ngx_uint_t               nreply;
    unsigned                 found:1;
} evs_log_wanted_t;


typedef struct {
    /* set by the caller, all else zeroed */
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;
    ngx_pool_t              *pool;
    ngx_log_t               *log;
    const evs_log_plan_t    *plan;

    /* All sources that were asked have told.  failure: NULL, or why not. */
    void                   (*ready)(void *data, const char *failure);
    void                    *data;

    /* its state */
    evs_log_source_t        *sources;   /* of the plan's branches */
    uint64_t                 branches;  /* of the span, a bit each */
    ngx_uint_t               nasked;    /* sources */

    evs_log_wanted_t        *wanted;
    ngx_uint_t               nwanted;
    ngx_uint_t               iwanted;   /* of the reply in its turn */
} evs_log_merge_t;


/* NGX_OK; NGX_ERROR: no memory. */
ngx_int_t evs_log_merge_init(evs_log_merge_t *merge);

/* Begins with the branches of a span; with none, nothing is wanted. */
void evs_log_merge_begin(evs_log_merge_t *merge, const evs_log_span_t *span);

/*
 * When nothing is wanted any more: up to most records that are next.  NGX_OK:
 * such are wanted; NGX_DONE: there are no more; NGX_AGAIN: sources were asked,
 * and merge->ready() will be called; NGX_BUSY: all records of the time us are
 * to be read, as indexes have too many of it; NGX_ABORT: all of the span, as
 * an index is broken; NGX_ERROR: no memory.
 */
ngx_int_t evs_log_merge_next(evs_log_merge_t *merge, ngx_uint_t most,
    int64_t *us);

/*
 * Writes the commands that look up what is wanted, at most nwanted times
 * EVS_LOG_MERGE_COMMAND_MAX bytes, into a page that is kept whole.  Returns
 * the end, and in n how many they are.
 */
u_char *evs_log_merge_look_up(evs_log_merge_t *merge, u_char *p,
    ngx_uint_t *n);

/* It was looked up; NULL: something that can't be read, maybe one of those. */
void evs_log_merge_found(evs_log_merge_t *merge, ngx_uint_t nreply,
    const evs_record_t *record);

/*
 * The page has been given out.  NGX_OK: what did not fit into it is wanted
 * again, if anything; NGX_BUSY: as above.
 */
ngx_int_t evs_log_merge_looked_up(evs_log_merge_t *merge,
    const evs_log_page_t *page, int64_t *us);

/* Ends it, and frees what the pool doesn't.  Idempotent. */
void evs_log_merge_end(evs_log_merge_t *merge);


#endif /* _EVS_LOG_MERGE_H_INCLUDED_ */
