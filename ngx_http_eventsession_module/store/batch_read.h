
/*
 * The read path of batches: the events of all chunks of all shards, or of one
 * shard, in one order; a page at a time, in bounded memory, however many
 * chunks there are.
 *
 * The list of chunks is taken at the beginning, and a chunk is in it before
 * anything in it is acknowledged: so no event that was stored before is
 * missing, whatever is written meanwhile.
 */


#ifndef _EVS_BATCH_READ_H_INCLUDED_
#define _EVS_BATCH_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/batch_source.h"
#include "store/chunks.h"
#include "store/range.h"
#include "store/reader.h"
#include "store/store.h"


/* in the place of a shard */
#define EVS_BATCH_ALL_SHARDS   EVS_CHUNKS_SHARDS


typedef struct {
    /*
     * An event of the page, in order, none twice.  NGX_OK: taken;
     * NGX_DECLINED: no room in this page, it comes again in the next one.
     */
    ngx_int_t  (*event)(void *data, const evs_member_t *member);

    /*
     * The page is done.  NGX_OK: there is more; ask for the next one.
     * NGX_DONE: that was the last one.  NGX_ERROR: failed, and why.  May end
     * the read.
     */
    void       (*page)(void *data, ngx_int_t rc, const char *failure);
} evs_batch_read_handlers_t;


typedef struct {
    const evs_store_conf_t            *conf;
    evs_redis_node_t                  *node;
    const evs_batch_read_handlers_t   *handlers;
    void                              *data;
    ngx_pool_t                        *pool;
    ngx_log_t                         *log;

    /* what is asked for; set by the caller, all else zeroed */
    evs_range_t                        range;
    ngx_uint_t                         shard;

    evs_cursor_t                       cursor;    /* behind the last event */

    /* the state of the read */
    evs_redis_cmd_t                   *cmd;       /* for the list of chunks */
    ngx_array_t                       *lists;     /* of chunks, by shard */
    ngx_uint_t                         listed;    /* the shard that came */
    unsigned                           score:1;   /* and its score is next */
    unsigned                           foreign:1; /* something strange came */
    unsigned                           failed:1;  /* no memory */

    evs_batch_sources_t                common;
    evs_batch_source_t                *sources;
    ngx_uint_t                         nsources;

    ngx_queue_t                        todo;      /* are to be asked */
    ngx_queue_t                        asked;
    ngx_uint_t                         nasked;

    evs_batch_source_t               **heap;      /* those with a record */
    ngx_uint_t                         nheap;

    size_t                             bytes;     /* of this page */
    ngx_event_t                        later;
} evs_batch_read_t;


/* Its reads are evs_batch_read_t. */
extern const evs_reader_t  evs_batch_reader;


#endif /* _EVS_BATCH_READ_H_INCLUDED_ */
