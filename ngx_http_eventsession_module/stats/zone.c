
/*
 * The shared memory of the counters, and this process' place in it.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/slots.h"
#include "stats/stats.h"


/*
 * Workers of reloads that overlap live side by side, for as long as a client
 * keeps its WebSocket, so that there are many more slots than workers.  Their
 * number is that of all configurations: with another size the zone would begin
 * anew at a reload.
 */
#define EVS_STATS_SLOTS  256


static ngx_int_t evs_stats_zone_init(ngx_shm_zone_t *zone, void *data);
static ngx_uint_t evs_stats_server_is(const evs_stats_server_t *server,
    const ngx_str_t *name);


/* where a process counts that has no slot */
static evs_stats_slot_t    evs_stats_private;

/* those of the zone; NULL: the process is attached to none */
static evs_stats_slots_t  *evs_stats_slots;

evs_stats_process_t  evs_stats = { &evs_stats_private, 0 };


ngx_int_t
evs_stats_zone(ngx_conf_t *cf, void *tag, ngx_shm_zone_t **zone)
{
    size_t            size;
    static ngx_str_t  name = ngx_string("eventsession");

    size = evs_stats_slots_size(EVS_STATS_SLOTS);

    /* nginx's allocator has its own entry for each page, and some pages */

    size += (size / ngx_pagesize) * sizeof(ngx_slab_page_t) + 8 * ngx_pagesize;
    size = ngx_align(size, ngx_pagesize);

    *zone = ngx_shared_memory_add(cf, &name, size, tag);
    if (*zone == NULL) {
        return NGX_ERROR;
    }

    (*zone)->init = evs_stats_zone_init;

    return NGX_OK;
}


static ngx_int_t
evs_stats_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t    *pool;
    evs_stats_slots_t  *slots;

    if (data != NULL) {
        zone->data = data;
        return NGX_OK;
    }

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = pool->data;
        return NGX_OK;
    }

    slots = ngx_slab_alloc(pool, evs_stats_slots_size(EVS_STATS_SLOTS));
    if (slots == NULL) {
        return NGX_ERROR;
    }

    evs_stats_slots_init(slots, EVS_STATS_SLOTS);

    pool->data = slots;
    zone->data = slots;

    return NGX_OK;
}


void
evs_stats_attach(ngx_shm_zone_t *zone, ngx_log_t *log)
{
    evs_stats_slot_t  *slot;

    if (zone != NULL) {
        evs_stats_slots = zone->data;

        slot = evs_stats_slots_claim(evs_stats_slots, ngx_pid);

        if (slot != NULL) {
            evs_stats.slot = slot;

        } else {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "eventsession: there are more than %d worker "
                          "processes, old ones included: what this one does "
                          "is not in the metrics", EVS_STATS_SLOTS);
        }
    }

    evs_stats_add(EVS_STATS_PROCESSES, 1);
}


void
evs_stats_detach(void)
{
    if (evs_stats.slot != &evs_stats_private) {
        evs_stats_slots_release(evs_stats_slots, evs_stats.slot);
    }

    evs_stats.slot = &evs_stats_private;
    evs_stats_slots = NULL;
}


void
evs_stats_sum(evs_stats_sum_t *sum)
{
    ngx_memzero(sum, sizeof(evs_stats_sum_t));

    if (evs_stats_slots != NULL) {
        evs_stats_slots_sum(sum, evs_stats_slots);
    }

    if (evs_stats.slot == &evs_stats_private) {
        evs_stats_slot_sum(sum, evs_stats.slot, 1);
    }
}


ngx_uint_t
evs_stats_server(const ngx_str_t *name)
{
    ngx_str_t            cut;
    ngx_uint_t           i;
    evs_stats_server_t  *server;

    cut.len = ngx_min(name->len, EVS_STATS_NAME);
    cut.data = name->data;

    for (i = 0; i < EVS_STATS_SERVERS; i++) {
        server = &evs_stats.slot->servers[i];

        if (server->len == 0) {
            ngx_memcpy(server->name, cut.data, cut.len);
            break;
        }

        if (evs_stats_server_is(server, &cut)) {
            return i;
        }
    }

    /* who reads looks at the length first; the last one has no name */

    ngx_memory_barrier();
    evs_stats.slot->servers[i].len = ngx_max(cut.len, 1);

    return i;
}


static ngx_uint_t
evs_stats_server_is(const evs_stats_server_t *server, const ngx_str_t *name)
{
    return server->len == name->len
           && ngx_memcmp(server->name, name->data, name->len) == 0;
}


void
evs_stats_tick(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    evs_stats.now = (uint64_t) ts.tv_sec * 1000000
                    + (uint64_t) ts.tv_nsec / 1000;
}


ngx_uint_t
evs_stats_ws_code(ngx_uint_t code)
{
    ngx_uint_t  i;

    static const ngx_uint_t  codes[] = {
        0, 1000, 1001, 1002, 1005, 1007, 1008, 1009
    };

    for (i = 0; i < EVS_STATS_WS_CODES - 1; i++) {
        if (codes[i] == code) {
            break;
        }
    }

    return EVS_STATS_WS_CLOSED + i;
}
