
/*
 * The read path of the event log: the records that a filter matches, in order
 * of createdAt and then of their ids, a page at a time, in bounded memory.
 *
 * A page goes on behind the record that came last, by its createdAt and not
 * by its rank: index entries without a record are taken out meanwhile, and
 * whole days go when they are old.
 */


#ifndef _EVS_LOG_READ_H_INCLUDED_
#define _EVS_LOG_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "event/filter.h"
#include "event/json.h"
#include "store/log_merge.h"
#include "store/log_page.h"
#include "store/log_plan.h"
#include "store/log_survey.h"
#include "store/log_walk.h"
#include "store/range.h"
#include "store/reader.h"
#include "store/store.h"


/* bytes of a cursor's identity */
#define EVS_LOG_READ_ID     sizeof(((evs_record_t *) NULL)->id)


typedef struct {
    /*
     * A record of the page, in order, none twice.  NGX_OK: taken;
     * NGX_DECLINED: no room in this page, it comes again in the next one.
     */
    ngx_int_t  (*record)(void *data, const evs_record_t *record);

    /*
     * The page is done.  NGX_OK: there is more; ask for the next one.
     * NGX_DONE: that was the last one.  NGX_ERROR: failed, and why.  May end
     * the read.
     */
    void       (*page)(void *data, ngx_int_t rc, const char *failure);
} evs_log_read_handlers_t;


typedef struct {
    /* what is asked for; set by the caller, all else zeroed */
    const evs_store_conf_t          *conf;
    evs_redis_node_t                *node;
    const evs_log_read_handlers_t   *handlers;
    void                            *data;
    ngx_pool_t                      *pool;
    ngx_log_t                       *log;
    const evs_filter_t              *filter;    /* NULL: all match */
    evs_log_choice_e                 choice;
    ngx_uint_t                       want;      /* records, about; 0: all */
    evs_cursor_t                     cursor;    /* behind the last record */
    unsigned                         explaining:1;  /* the plan is enough */

    /* what is known at the first page */
    evs_log_plan_t                   plan;
    evs_log_survey_t                 survey;

    /* the state of the read */
    evs_json_names_t                *names;
    evs_filter_matcher_t            *matcher;
    evs_log_walk_t                   walk;
    evs_log_merge_t                  merge;     /* of a span by indexes */
    uint64_t                         looked_up; /* records, and their bytes */
    uint64_t                         bytes;

    evs_redis_cmd_t                 *cmd;
    evs_log_page_t                   page;      /* of records */
    int64_t                          from;      /* of it */
    uint64_t                         offset;    /* members to pass over there */
    int64_t                          high;      /* createdAt of the last one */
    ngx_uint_t                       asked;     /* records, by it; 0: no page
                                                   of this span has come */
    size_t                           given;     /* bytes of this page */
    ngx_event_t                      later;
    unsigned                         foreign:1; /* something strange was seen */
} evs_log_read_t;


/* Its reads are evs_log_read_t; one whose cursor is zeroed reads from the
   first record on. */
extern const evs_reader_t  evs_log_reader;


#endif /* _EVS_LOG_READ_H_INCLUDED_ */
