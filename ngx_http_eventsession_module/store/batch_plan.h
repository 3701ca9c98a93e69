
/*
 * Where the events of a body go, and how that is written down, so that a body
 * that comes again goes there again:
 *
 *     <first id> <now> <shard of all, or -> <chunk> <chunk> ...
 *
 * with a chunk for each shard.
 */


#ifndef _EVS_BATCH_PLAN_H_INCLUDED_
#define _EVS_BATCH_PLAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/id.h"


typedef struct {
    evs_id_t             id;         /* of the next event */
    int64_t              now;        /* µs: of events without a timestamp */
    ngx_uint_t           shards;
    ngx_uint_t           single;     /* the shard of all; shards: each has
                                        that of its second */
    uint64_t            *chunks;     /* of each shard */
} evs_batch_plan_t;


/* The shard of an event, by its time in µs. */
ngx_uint_t evs_batch_plan_shard(const evs_batch_plan_t *plan, int64_t us);

/*
 * Writes the plan of a body of which so many entries have their ids: at most
 * EVS_BATCH_PLAN_MAX bytes.  Returns the end.
 */
#define EVS_BATCH_PLAN_MAX(shards)                                            \
    (2 * EVS_MEMBER_ID_LEN + (2 + (shards)) * (NGX_INT64_LEN + 1))

u_char *evs_batch_plan_write(u_char *p, const evs_batch_plan_t *plan,
    ngx_uint_t entries);

/*
 * Reads one, its chunks into pool.  NGX_OK; NGX_DECLINED: it is none;
 * NGX_ERROR: no memory.
 */
ngx_int_t evs_batch_plan_read(evs_batch_plan_t *plan, ngx_pool_t *pool,
    u_char *p, u_char *last);


#endif /* _EVS_BATCH_PLAN_H_INCLUDED_ */
