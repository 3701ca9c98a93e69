
/*
 * The way of the registry's records to Redis.  What has changed in a turn of
 * the event loop is written together, one command at a time; who waits for
 * that is told.  A record is in one of three places:
 *
 *     none     Redis has it as it is
 *     dirty    it is to be written
 *     sent     it is being written; again: it has changed since
 *
 * and lives until its worker is finished and Redis has that: then it is freed
 * here.
 */


#ifndef _EVS_WORKERS_WRITE_H_INCLUDED_
#define _EVS_WORKERS_WRITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/store.h"
#include "store/worker_record.h"
#include "store/workers.h"


typedef enum {
    EVS_WORKERS_NONE = 0,
    EVS_WORKERS_DIRTY,
    EVS_WORKERS_SENT
} evs_workers_place_e;


struct evs_workers_record_s {
    ngx_queue_t              living;    /* the registry's */
    ngx_queue_t              queue;     /* write->dirty or ->sent */
    evs_worker_record_t      record;    /* finished == 0: it is living */
    evs_workers_place_e      place;
    unsigned                 again:1;
};


typedef struct {
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;

    ngx_queue_t              dirty;
    ngx_queue_t              sent;
    ngx_uint_t               ndirty;
    ngx_uint_t               nfinished; /* that are dirty or sent */

    ngx_queue_t              waiting;   /* for what is dirty */
    ngx_queue_t              told;      /* for what is sent */
    evs_redis_cmd_t         *cmd;
    ngx_event_t              turn;
    ngx_msec_t               retry_at;

    unsigned                 failed:1;  /* not before retry_at */
    unsigned                 logged:1;
    unsigned                 ended:1;   /* nothing leaves any more */
} evs_workers_write_t;


/* Sets a zeroed one up. */
void evs_workers_write_init(evs_workers_write_t *write,
    const evs_store_conf_t *conf, evs_redis_node_t *node);

/* A record has changed; its worker has finished, and the record is ours. */
void evs_workers_write_record(evs_workers_write_t *write,
    evs_workers_record_t *record);
void evs_workers_write_finished(evs_workers_write_t *write,
    evs_workers_record_t *record);

/* As evs_workers_settle(), while it has not ended. */
void evs_workers_write_settle(evs_workers_write_t *write,
    evs_workers_waiter_t *w);

/* A few seconds have passed: what could not be written is tried again. */
void evs_workers_write_tick(evs_workers_write_t *write);

/*
 * A record's name and value as arguments of HSET: at most
 * EVS_WORKERS_WRITE_ARGS_MAX bytes, returns the end.
 */
#define EVS_WORKERS_WRITE_ARGS_MAX                                            \
    (2 * EVS_RESP_ARG_MAX + NGX_INT64_LEN + EVS_WORKER_RECORD_MAX)

u_char *evs_workers_write_args(u_char *p, const evs_worker_record_t *record);

/*
 * At the end of a process: no more of its own accord; what has been told
 * since then goes with a last command; and what Redis didn't get is freed.
 */
void evs_workers_write_stop(evs_workers_write_t *write);
void evs_workers_write_last(evs_workers_write_t *write);
void evs_workers_write_free(evs_workers_write_t *write);


#endif /* _EVS_WORKERS_WRITE_H_INCLUDED_ */
