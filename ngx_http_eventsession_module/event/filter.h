
/*
 * The filter language of the event log (contract, section 5): text to a tree,
 * and a tree applied to records.  README has the grammar and what each
 * operator means.
 *
 *     rc = evs_filter_parse(&filter, pool, &text, &fault);
 *
 *     matcher = evs_filter_matcher(pool, filter);
 *
 *     for each record:  rc = evs_filter_match(matcher, record);
 */


#ifndef _EVS_FILTER_H_INCLUDED_
#define _EVS_FILTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/record.h"


#define EVS_FILTER_MAX_LEN    4096   /* bytes */
#define EVS_FILTER_MAX_TERMS  64     /* comparisons */
#define EVS_FILTER_MAX_DEPTH  100    /* brackets in each other */


typedef enum {
    EVS_FILTER_AND = 1,
    EVS_FILTER_OR,
    EVS_FILTER_TERM
} evs_filter_type_e;


typedef enum {
    EVS_FILTER_ID = 0,
    EVS_FILTER_EMAIL,
    EVS_FILTER_ENVIRONMENT,
    EVS_FILTER_COMPONENT,
    EVS_FILTER_MESSAGE,
    EVS_FILTER_CREATED_AT,
    EVS_FILTER_DATA,
    EVS_FILTER_FIELDS
} evs_filter_field_e;


typedef enum {
    EVS_FILTER_EQ = 0,
    EVS_FILTER_NE,
    EVS_FILTER_CT,
    EVS_FILTER_GT,
    EVS_FILTER_GTE,
    EVS_FILTER_LT,
    EVS_FILTER_LTE,
    EVS_FILTER_OPS
} evs_filter_op_e;


typedef struct evs_filter_s  evs_filter_t;

/*
 * A node.  AND and OR have two children or more, in the order in which they
 * were written, and none of their own type: brackets that change nothing
 * leave no trace.  So the tree is less than EVS_FILTER_MAX_TERMS deep.
 */

struct evs_filter_s {
    evs_filter_type_e    type;
    evs_filter_t        *next;       /* of its parent's children */

    /* AND, OR */
    evs_filter_t        *children;

    /* TERM */
    evs_filter_field_e   field;
    evs_filter_op_e      op;
    ngx_str_t            value;      /* decoded UTF-8 */
    ngx_str_t            json;       /* the value as the inside of a canonical
                                        JSON string, as records have theirs */
    ngx_str_t            folded;     /* CT: the value with its case folded */
    int64_t              us;         /* CREATED_AT, but CT: the value in µs */
    ngx_str_t           *path;       /* DATA: its segments, decoded */
    ngx_uint_t           npath;
};


typedef struct {
    ngx_uint_t           column;     /* in characters, from 1 */
    ngx_str_t            text;       /* "column N: expected ...", ASCII */
} evs_filter_fault_t;


/*
 * The text is not changed and not referred to afterwards.  NGX_OK: the filter,
 * of the pool, NULL when it matches all; NGX_DECLINED: fault says what is
 * wrong with the text; NGX_ERROR: no memory.
 */
ngx_int_t evs_filter_parse(evs_filter_t **filter, ngx_pool_t *pool,
    const ngx_str_t *text, evs_filter_fault_t *fault);


/* The names as they are written: "createdAt", "gte"; of DATA "data". */
extern const ngx_str_t  evs_filter_fields[EVS_FILTER_FIELDS];
extern const ngx_str_t  evs_filter_ops[EVS_FILTER_OPS];


/*
 * What applies a filter to one record after another: it has buffers, which
 * grow to the longest text that was looked into.  The filter must live as
 * long as it.  NULL: no memory.
 */
typedef struct evs_filter_matcher_s  evs_filter_matcher_t;

evs_filter_matcher_t *evs_filter_matcher(ngx_pool_t *pool,
    const evs_filter_t *filter);

/* 1: the record matches; 0: it does not; NGX_ERROR: no memory. */
ngx_int_t evs_filter_match(evs_filter_matcher_t *matcher,
    const evs_record_t *record);


#endif /* _EVS_FILTER_H_INCLUDED_ */
