
/*
 * Reading the registry of workers: the records of all processes, or of one
 * worker.  What is no record is passed over, and the log told so.
 */


#ifndef _EVS_WORKERS_READ_H_INCLUDED_
#define _EVS_WORKERS_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"
#include "store/worker_record.h"


typedef struct {
    /* set by the caller */
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;
    ngx_pool_t              *pool;       /* of the records */
    uint64_t                 id;         /* of a worker; 0: all of them */

    /* once; failure as of evs_store_failure(), NULL: records are there */
    void                   (*done)(void *data, const char *failure);
    void                    *data;

    ngx_array_t              records;    /* of evs_worker_record_t, in no order;
                                            none: no such worker */

    /* the state of the reading */
    evs_redis_cmd_t         *cmd;
    uint64_t                 field;      /* 0: it is no id */
    ngx_uint_t               elements;
    ngx_uint_t               strange;    /* that are no records */
    ngx_uint_t               failed;     /* no memory */
} evs_workers_read_t;


/* NGX_OK: done will be called; NGX_ERROR: no memory. */
ngx_int_t evs_workers_read_begin(evs_workers_read_t *read);

/* Ends it: done is not called any more.  Idempotent. */
void evs_workers_read_cancel(evs_workers_read_t *read);


#endif /* _EVS_WORKERS_READ_H_INCLUDED_ */
