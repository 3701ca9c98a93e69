
/*
 * Slots in shared memory: see slots.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/slots.h"


/* no two slots have a cache line in common, nor the pair that is prefetched */
#define EVS_STATS_ALIGNMENT  ((size_t) 128)

#define EVS_STATS_STRIDE                                                      \
    ngx_align(sizeof(evs_stats_slot_t), EVS_STATS_ALIGNMENT)


/* owner: pid * 2, or pid * 2 + 1 while it is being claimed; 0: nobody */
typedef struct {
    ngx_atomic_t             owner;
    ngx_atomic_t             zeroed;     /* its memory: it was claimed once */
} evs_stats_claim_t;

struct evs_stats_slots_s {
    ngx_uint_t               n;
    u_char                  *first;      /* slot */
    evs_stats_claim_t        claims[1];  /* of n */
};


static ngx_int_t evs_stats_slots_try(evs_stats_slots_t *slots, ngx_uint_t i,
    ngx_pid_t pid, ngx_uint_t own);
static ngx_uint_t evs_stats_alive(ngx_atomic_uint_t owner);
static void evs_stats_slot_reset(evs_stats_slot_t *slot);
static evs_stats_server_sum_t *evs_stats_server_sum(evs_stats_sum_t *sum,
    const evs_stats_server_t *server, ngx_uint_t i);

#define evs_stats_slot(slots, i)                                              \
    ((evs_stats_slot_t *) (void *) ((slots)->first + (i) * EVS_STATS_STRIDE))


const uint64_t  evs_stats_bounds[EVS_STATS_BOUNDS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
    500000, 1000000, 2500000, 5000000, 10000000
};


size_t
evs_stats_slots_size(ngx_uint_t n)
{
    return sizeof(evs_stats_slots_t) + n * sizeof(evs_stats_claim_t)
           + EVS_STATS_ALIGNMENT
           + n * EVS_STATS_STRIDE;
}


void
evs_stats_slots_init(evs_stats_slots_t *slots, ngx_uint_t n)
{
    slots->n = n;
    slots->first = ngx_align_ptr((u_char *) &slots->claims[n],
                                 EVS_STATS_ALIGNMENT);

    /* a slot's own pages are touched when it is claimed */

    ngx_memzero((void *) slots->claims, n * sizeof(evs_stats_claim_t));
}


/*
 * What an earlier process of the same pid had goes first: with us alive it
 * would seem to be alive, too.
 */

evs_stats_slot_t *
evs_stats_slots_claim(evs_stats_slots_t *slots, ngx_pid_t pid)
{
    ngx_uint_t         i, pass;
    evs_stats_slot_t  *slot;
    evs_stats_claim_t *claim;

    for (pass = 0; pass < 2; pass++) {

        for (i = 0; i < slots->n; i++) {

            if (evs_stats_slots_try(slots, i, pid, pass == 0) == NGX_OK) {
                goto found;
            }
        }
    }

    return NULL;

found:

    slot = evs_stats_slot(slots, i);
    claim = &slots->claims[i];

    if (claim->zeroed) {
        evs_stats_slot_reset(slot);

    } else {
        ngx_memzero(slot, sizeof(evs_stats_slot_t));
        ngx_memory_barrier();
        claim->zeroed = 1;
    }

    ngx_memory_barrier();
    claim->owner = (ngx_atomic_uint_t) pid * 2;

    return slot;
}


static ngx_int_t
evs_stats_slots_try(evs_stats_slots_t *slots, ngx_uint_t i, ngx_pid_t pid,
    ngx_uint_t own)
{
    ngx_atomic_uint_t   owner;
    evs_stats_claim_t  *claim;

    claim = &slots->claims[i];
    owner = claim->owner;

    if (own ? (owner / 2 != (ngx_atomic_uint_t) pid)
            : (owner != 0 && evs_stats_alive(owner)))
    {
        return NGX_DECLINED;
    }

    return ngx_atomic_cmp_set(&claim->owner, owner,
                              (ngx_atomic_uint_t) pid * 2 + 1)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
evs_stats_alive(ngx_atomic_uint_t owner)
{
    return getpgid((pid_t) (owner / 2)) == getpgrp();
}


void
evs_stats_slots_release(evs_stats_slots_t *slots, evs_stats_slot_t *slot)
{
    size_t  i;

    i = (size_t) ((u_char *) slot - slots->first) / EVS_STATS_STRIDE;

    evs_stats_slot_reset(slot);

    ngx_memory_barrier();
    slots->claims[i].owner = 0;
}


/* The gauges only. */

static void
evs_stats_slot_reset(evs_stats_slot_t *slot)
{
    ngx_uint_t  i;

    ngx_memzero(slot->cells, EVS_STATS_GAUGES * sizeof(evs_stats_value_t));

    for (i = 0; i <= EVS_STATS_SERVERS; i++) {
        ngx_memzero(slot->servers[i].cells,
                    EVS_STATS_SERVER_GAUGES * sizeof(evs_stats_value_t));
    }
}


void
evs_stats_slots_sum(evs_stats_sum_t *sum, const evs_stats_slots_t *slots)
{
    ngx_uint_t                i;
    ngx_atomic_uint_t         owner;
    const evs_stats_claim_t  *claim;

    for (i = 0; i < slots->n; i++) {
        claim = &slots->claims[i];

        if (!claim->zeroed) {
            continue;
        }

        owner = claim->owner;

        evs_stats_slot_sum(sum, evs_stats_slot(slots, i),
                           owner != 0 && owner % 2 == 0
                           && evs_stats_alive(owner));
    }
}


void
evs_stats_slot_sum(evs_stats_sum_t *sum, const evs_stats_slot_t *slot,
    ngx_uint_t gauges)
{
    uint64_t                   limit, crowded;
    ngx_uint_t                 i, j;
    evs_stats_server_sum_t    *to;
    const evs_stats_server_t  *server;

    for (i = gauges ? 0 : EVS_STATS_GAUGES; i < EVS_STATS_CELLS; i++) {
        sum->cells[i] += slot->cells[i];
    }

    for (i = 0; i <= EVS_STATS_SERVERS; i++) {
        server = &slot->servers[i];

        if (server->len == 0) {
            continue;
        }

        to = evs_stats_server_sum(sum, server, i);

        for (j = gauges ? 0 : EVS_STATS_SERVER_GAUGES;
             j < EVS_STATS_SERVER_CELLS;
             j++)
        {
            to->cells[j] += server->cells[j];
        }

        limit = gauges ? server->cells[EVS_STATS_LIMIT] : 0;

        if (limit != 0) {
            crowded = (uint64_t) server->cells[EVS_STATS_INFLIGHT] * 1000000
                      / limit;
            sum->crowded = ngx_max(sum->crowded, (ngx_uint_t) crowded);
        }
    }
}


/* The place of a server in a sum; the last one is for those without a name. */

static evs_stats_server_sum_t *
evs_stats_server_sum(evs_stats_sum_t *sum, const evs_stats_server_t *server,
    ngx_uint_t i)
{
    size_t                   len;
    ngx_uint_t               n;
    evs_stats_server_sum_t  *to;

    len = server->len;

    for (n = 0; n < sum->nservers; n++) {
        to = &sum->servers[n];

        if (to->name.len == len
            && ngx_memcmp(to->name.data, server->name, len) == 0)
        {
            return to;
        }
    }

    to = &sum->servers[EVS_STATS_SUM_SERVERS];

    if (i == EVS_STATS_SERVERS || n == EVS_STATS_SUM_SERVERS) {
        ngx_str_set(&to->name, "other");
        return to;
    }

    to = &sum->servers[sum->nservers++];

    to->name.len = len;
    to->name.data = (u_char *) server->name;

    return to;
}
