
/*
 * The processes behind the registry of workers, as each sees the others.
 *
 * A process gives signs of life: every few seconds it writes the time to
 * <prefix>{workers}:alive, and reads what the others have written.  Whose sign
 * has not changed for several of these looks is dead: who finds that out
 * finishes the workers that the dead one left, at the time of its last sign.
 * No two clocks are compared, so they may differ, and who was stopped himself
 * meanwhile does not take the others for dead.
 *
 * If it is wrong, as the other one was stopped only, that one finds its sign
 * gone, and has its records written anew.
 *
 * Now and then it also bounds the history, and finishes workers of processes
 * of which no sign is left at all.
 */


#ifndef _EVS_WORKERS_WATCH_H_INCLUDED_
#define _EVS_WORKERS_WATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/store.h"
#include "store/worker_record.h"
#include "store/workers_read.h"


/* ms between two signs of life, at most */
#define EVS_WORKERS_BEAT       5000

/* so many looks in a row without a new sign: it is dead */
#define EVS_WORKERS_MISSED     4

/* ms between two looks at the history, at most */
#define EVS_WORKERS_SWEEP      300000

/* or so many new workers of this process */
#define EVS_WORKERS_SWEEP_NEW  2000

/* ms that a finished worker is kept, and how many of them at most */
#define EVS_WORKERS_KEPT       86400000
#define EVS_WORKERS_HISTORY    10000


/* a process, as it was when last looked at */
typedef struct {
    u_char                 token[EVS_WORKER_TOKEN_LEN];
    uint64_t               beat;
    ngx_uint_t             missed;    /* looks that found the same beat */
} evs_workers_look_t;


typedef struct {
    /* set by the caller */
    const evs_store_conf_t  *conf;
    evs_redis_node_t        *node;
    u_char                   token[EVS_WORKER_TOKEN_LEN];

    /* what Redis had of us is gone, or someone took us for dead */
    void                   (*lost)(void *data);
    /* a few seconds have passed */
    void                   (*tick)(void *data);
    void                    *data;

    ngx_uint_t               added;      /* workers, since the last sweep */

    /* the state of the watch */
    ngx_event_t              timer;      /* cancelable */
    evs_redis_cmd_t         *beat;
    evs_redis_cmd_t         *clean;
    uint64_t                 beat_at;    /* that is under way */
    uint64_t                 beaten;     /* known to be in Redis; 0: none */

    ngx_array_t             *looks;      /* of evs_workers_look_t; or NULL */
    ngx_array_t             *look;       /* the same, of the reply to come */
    evs_workers_look_t      *seen;       /* in it, whose beat comes next */
    ngx_uint_t               elements;

    ngx_msec_t               sweep_at;
    ngx_pool_t              *pool;       /* of the reading; or NULL */
    evs_workers_read_t       read;

    unsigned                 suspect:1;  /* somebody's next look is the last */
    unsigned                 has_read:1; /* the records, before the look */
    unsigned                 failed:1;   /* no memory for the look */
    unsigned                 refused:1;  /* the log was told */
} evs_workers_watch_t;


/* The first sign of life leaves with this turn. */
void evs_workers_watch_begin(evs_workers_watch_t *watch);

/* Nothing is called or sent any more; frees what it has.  Idempotent. */
void evs_workers_watch_end(evs_workers_watch_t *watch);

/* A process in such a list, which may be NULL; NULL: it isn't there. */
evs_workers_look_t *evs_workers_watch_find(const ngx_array_t *looks,
    const u_char *token);

/* ms since the epoch, as of this turn of the event loop */
uint64_t evs_workers_now(void);


#endif /* _EVS_WORKERS_WATCH_H_INCLUDED_ */
