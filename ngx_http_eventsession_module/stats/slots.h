
/*
 * The slots of the zone: who counts in which, and the sum of all.
 *
 * A process claims a slot by its pid and keeps it to its end.  A slot of a
 * process that is gone is claimed again by another: its counters go on from
 * where they are, so that no sum ever shrinks, and its gauges begin at 0.  Of
 * a process that was killed the gauges are still there until then, and are
 * left out by who reads.
 *
 * A process is gone if there is none of that pid in our process group, which
 * is that of nginx's master: whoever else has got the pid doesn't count.
 */


#ifndef _EVS_STATS_SLOTS_H_INCLUDED_
#define _EVS_STATS_SLOTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/stats.h"


/* Redis servers of a sum: those of all configurations that there have been */
#define EVS_STATS_SUM_SERVERS  32

typedef struct evs_stats_slots_s  evs_stats_slots_t;

typedef struct {
    ngx_str_t            name;
    uint64_t             cells[EVS_STATS_SERVER_CELLS];
} evs_stats_server_sum_t;

typedef struct {
    uint64_t                cells[EVS_STATS_CELLS];
    ngx_uint_t              nservers;
    evs_stats_server_sum_t  servers[EVS_STATS_SUM_SERVERS + 1];
    ngx_uint_t              crowded;     /* the highest of INFLIGHT / LIMIT, in
                                            millionths */
} evs_stats_sum_t;


/* What n slots take, and how they begin in such memory. */
size_t evs_stats_slots_size(ngx_uint_t n);
void evs_stats_slots_init(evs_stats_slots_t *slots, ngx_uint_t n);

/* A slot for the process pid; NULL: none is left. */
evs_stats_slot_t *evs_stats_slots_claim(evs_stats_slots_t *slots,
    ngx_pid_t pid);

/* It is the process' no more. */
void evs_stats_slots_release(evs_stats_slots_t *slots,
    evs_stats_slot_t *slot);

/* Adds a slot to a sum, with its gauges or without; a sum begins zeroed. */
void evs_stats_slot_sum(evs_stats_sum_t *sum, const evs_stats_slot_t *slot,
    ngx_uint_t gauges);

/* Adds all slots. */
void evs_stats_slots_sum(evs_stats_sum_t *sum,
    const evs_stats_slots_t *slots);

/*
 * What /metrics shows: the zone of this process, or only what it counted by
 * itself where it has no slot.
 */
void evs_stats_sum(evs_stats_sum_t *sum);


#endif /* _EVS_STATS_SLOTS_H_INCLUDED_ */
