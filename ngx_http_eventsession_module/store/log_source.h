
/*
 * A branch of a plan (store/log_plan.h) in a part of a day, as a source of the
 * merge in store/log_merge.h: the entries of its index, those that the indexes
 * of its checks have, too.
 *
 * Entries come by their score and not by rank, since those without a record
 * are taken out while somebody reads.
 */


#ifndef _EVS_LOG_SOURCE_H_INCLUDED_
#define _EVS_LOG_SOURCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_plan.h"
#include "store/store.h"


/* a record by its createdAt and the first bytes of its id */
typedef struct {
    int64_t                  us;
    u_char                   id[EVS_LOG_INDEX_ID];
} evs_log_entry_t;

typedef struct evs_log_source_s  evs_log_source_t;

struct evs_log_source_s {
    /* set by the caller, all else zeroed */
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;
    ngx_log_t               *log;
    const evs_log_branch_t  *branch;

    /* What was asked for is in.  failure: NULL, or why not. */
    void                   (*done)(void *data, const char *failure);
    void                    *data;

    /* its state */
    evs_redis_cmd_t         *cmd;
    int64_t                  day;
    evs_log_time_t           time;       /* not read yet */

    evs_log_entry_t         *entries;
    ngx_uint_t               pos;        /* of the first one */
    ngx_uint_t               last;       /* behind the last one */
    ngx_uint_t               size;

    evs_log_entry_t          seen;       /* the last one that came */
    evs_log_entry_t          page;       /* seen, before this page */
    ngx_uint_t               asked;
    ngx_uint_t               came;       /* strings: a member, then its score */
    ngx_uint_t               old;        /* entries that were there before */
    ngx_uint_t               nreply;     /* of the checks */
    u_char                   member[EVS_LOG_INDEX_ID];

    unsigned                 ours:1;     /* the member that came is an entry */
    unsigned                 checking:1;
    unsigned                 ended:1;    /* nothing more will come */
    unsigned                 ties:1;     /* more than a page at time.from */
    unsigned                 broken:1;   /* it is no index */
    unsigned                 failed:1;   /* no memory */
    unsigned                 foreign:1;  /* something strange was logged */
};


/* Begins with a part of a day, whatever it had before. */
void evs_log_source_begin(evs_log_source_t *source,
    const evs_log_time_t *time);

/*
 * Asks for more; only when it has no entry, and is neither ended, nor has ties
 * or is broken.  NGX_OK: source->done() will be called, and may have brought
 * nothing; NGX_ERROR: no memory.
 */
ngx_int_t evs_log_source_ask(evs_log_source_t *source);

/* Ends it, and frees what it holds.  Idempotent. */
void evs_log_source_end(evs_log_source_t *source);

/* The key of its index; at most EVS_LOG_KEY_MAX bytes. */
u_char *evs_log_source_key(u_char *p, const evs_log_source_t *source);


#define evs_log_source_has(source)   ((source)->pos != (source)->last)
#define evs_log_source_head(source)  (&(source)->entries[(source)->pos])
#define evs_log_source_pop(source)   ((source)->pos++)

/* whether it is to be asked, when it has none */
#define evs_log_source_dry(source)                                            \
    (!evs_log_source_has(source) && !(source)->ended && !(source)->ties       \
     && !(source)->broken)


/* The order of records.  Less than 0, 0, or greater. */
int evs_log_entry_order(const evs_log_entry_t *one,
    const evs_log_entry_t *other);


#endif /* _EVS_LOG_SOURCE_H_INCLUDED_ */
