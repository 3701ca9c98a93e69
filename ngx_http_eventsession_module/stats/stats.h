
/*
 * What is counted, and where this process counts it: one slot of a shared
 * memory zone, which nobody else writes to.  So counting is an addition to a
 * word of the process' own cache lines, without a lock and without an atomic
 * operation; who reads takes the sum of all slots.  See slots.h for their
 * life, and text.h for the names that the cells have outside.
 *
 * A cell is a counter, which only grows, or a gauge, whose additions and
 * subtractions are balanced within a process.  Before evs_stats_attach() and
 * where there is no zone the process counts in memory of its own, so that
 * nobody has to ask.
 */


#ifndef _EVS_STATS_H_INCLUDED_
#define _EVS_STATS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* endpoints; those that store come first */
typedef enum {
    EVS_STATS_WS = 0,
    EVS_STATS_TRACK,
    EVS_STATS_BATCH,
    EVS_STATS_LOG,
    EVS_STATS_INGESTS,
    EVS_STATS_SESSION = EVS_STATS_INGESTS,
    EVS_STATS_FEED,
    EVS_STATS_WORKERS,
    EVS_STATS_HEALTHCHECK,
    EVS_STATS_READY,
    EVS_STATS_METRICS,
    EVS_STATS_ENDPOINTS                    /* also: one that isn't counted */
} evs_stats_endpoint_e;

/* how a message ended */
typedef enum {
    EVS_STATS_STORED = 0,
    EVS_STATS_FAILED,                      /* the store's fault, or ours */
    EVS_STATS_REFUSED,                     /* the client's */
    EVS_STATS_OUTCOMES
} evs_stats_outcome_e;

/* answers that ended before their time */
typedef enum {
    EVS_STATS_BROKEN_SESSION = 0,
    EVS_STATS_BROKEN_BATCH,
    EVS_STATS_BROKEN_LOG,
    EVS_STATS_BROKEN
} evs_stats_broken_e;

#define EVS_STATS_CLASSES     5            /* of status codes, 1xx to 5xx */
#define EVS_STATS_WS_CODES    9            /* see evs_stats_ws_code() */

/* a histogram: evs_stats_bounds[], one beyond, and the sum in µs */
#define EVS_STATS_BOUNDS      16
#define EVS_STATS_HISTOGRAM   (EVS_STATS_BOUNDS + 2)


/* the cells of a process; where there are several, the first of them */
typedef enum {
    /* gauges */
    EVS_STATS_PROCESSES = 0,
    EVS_STATS_WS_OPEN,
    EVS_STATS_SUBSCRIBERS,
    EVS_STATS_BATCH_WORKERS,
    EVS_STATS_INFLIGHT_EVENTS,
    EVS_STATS_GAUGES,

    /* counters: [endpoint][class] */
    EVS_STATS_REQUESTS = EVS_STATS_GAUGES,

    /* [ingest][outcome]; events have no REFUSED */
    EVS_STATS_MESSAGES = EVS_STATS_REQUESTS
                         + EVS_STATS_ENDPOINTS * EVS_STATS_CLASSES,
    EVS_STATS_EVENTS = EVS_STATS_MESSAGES
                       + EVS_STATS_INGESTS * EVS_STATS_OUTCOMES,

    /* [ingest] */
    EVS_STATS_BYTES = EVS_STATS_EVENTS
                      + EVS_STATS_INGESTS * EVS_STATS_REFUSED,
    EVS_STATS_PARSE_ERRORS = EVS_STATS_BYTES + EVS_STATS_INGESTS,
    EVS_STATS_ACKNOWLEDGE = EVS_STATS_PARSE_ERRORS + EVS_STATS_INGESTS,

    EVS_STATS_WS_OPENED = EVS_STATS_ACKNOWLEDGE
                          + EVS_STATS_INGESTS * EVS_STATS_HISTOGRAM,
    EVS_STATS_WS_CLOSED,                   /* [code] */
    EVS_STATS_WS_ACKS = EVS_STATS_WS_CLOSED + EVS_STATS_WS_CODES,

    EVS_STATS_SESSIONS_READ,
    EVS_STATS_SESSIONS_DELETED,
    EVS_STATS_READS_BROKEN,                /* [evs_stats_broken_e] */

    EVS_STATS_FEED_EVENTS = EVS_STATS_READS_BROKEN + EVS_STATS_BROKEN,
    EVS_STATS_FEED_GAPS,
    EVS_STATS_FEED_SLOW,

    EVS_STATS_CELLS
} evs_stats_cell_e;


/* Redis' errors, in the order of their classes in redis/reply.h */
typedef enum {
    EVS_STATS_POISON = 0,
    EVS_STATS_FORBIDDEN,
    EVS_STATS_RETRY,
    EVS_STATS_AUTH,
    EVS_STATS_RECONNECT,
    EVS_STATS_TIMEOUT,
    EVS_STATS_LOST,
    EVS_STATS_ERRORS
} evs_stats_error_e;

/* the cells of a process for one Redis */
typedef enum {
    /* gauges */
    EVS_STATS_UP = 0,
    EVS_STATS_DOWN,
    EVS_STATS_INFLIGHT,                    /* bytes */
    EVS_STATS_LIMIT,                       /* of these */
    EVS_STATS_SERVER_GAUGES,

    /* counters */
    EVS_STATS_LIMIT_REACHED = EVS_STATS_SERVER_GAUGES,
    EVS_STATS_COMMANDS,
    EVS_STATS_COMMAND_ERRORS,              /* [evs_stats_error_e] */
    EVS_STATS_RECONNECTS = EVS_STATS_COMMAND_ERRORS + EVS_STATS_ERRORS,
    EVS_STATS_RESENT,
    EVS_STATS_ROUND_TRIP,                  /* a histogram */

    EVS_STATS_SERVER_CELLS = EVS_STATS_ROUND_TRIP + EVS_STATS_HISTOGRAM
} evs_stats_server_cell_e;


/* a word, so that who reads it never sees half of it */
typedef ngx_atomic_uint_t  evs_stats_value_t;

#define EVS_STATS_SERVERS     8            /* of a process, with names */
#define EVS_STATS_NAME        72           /* bytes of such a name */

typedef struct {
    ngx_atomic_t       len;                /* of the name; 0: there is none */
    u_char             name[EVS_STATS_NAME];
    evs_stats_value_t  cells[EVS_STATS_SERVER_CELLS];
} evs_stats_server_t;

typedef struct {
    evs_stats_value_t   cells[EVS_STATS_CELLS];
    evs_stats_server_t  servers[EVS_STATS_SERVERS + 1];  /* the last: others */
} evs_stats_slot_t;


/* of this process */
typedef struct {
    evs_stats_slot_t   *slot;              /* never NULL */
    uint64_t            now;               /* µs, of the last tick */
} evs_stats_process_t;

extern evs_stats_process_t  evs_stats;

/* the upper bounds of all histograms, in µs, ascending */
extern const uint64_t  evs_stats_bounds[EVS_STATS_BOUNDS];


/*
 * The zone, while a configuration is read that uses it; tag is the module.
 * It is kept over reloads, with what was counted.  NGX_OK or NGX_ERROR.
 */
ngx_int_t evs_stats_zone(ngx_conf_t *cf, void *tag, ngx_shm_zone_t **zone);

/*
 * A process that serves begins to count, in a slot of the zone; with NULL, and
 * where none is left, which the log has then, in memory of its own.
 */
void evs_stats_attach(ngx_shm_zone_t *zone, ngx_log_t *log);

/* The process ends: its slot is free, its gauges are 0. */
void evs_stats_detach(void);

/* The index of that Redis in slot->servers; name is cut to EVS_STATS_NAME. */
ngx_uint_t evs_stats_server(const ngx_str_t *name);

/*
 * Takes the time.  It costs 23 ns (clock_gettime() in the vDSO), so that
 * it is called once where something comes in from a socket or goes out to
 * Redis, beside a system call of thousands, and serves for all messages and
 * replies of that; evs_stats.now is read for each.
 */
void evs_stats_tick(void);

/* The cell of a close code; 0: the connection ended without a Close. */
ngx_uint_t evs_stats_ws_code(ngx_uint_t code);


static ngx_inline void
evs_stats_add(ngx_uint_t cell, ngx_uint_t n)
{
    evs_stats.slot->cells[cell] += n;
}


static ngx_inline void
evs_stats_sub(ngx_uint_t cell, ngx_uint_t n)
{
    evs_stats.slot->cells[cell] -= n;
}


static ngx_inline evs_stats_value_t *
evs_stats_server_cell(ngx_uint_t server, ngx_uint_t cell)
{
    return &evs_stats.slot->servers[server].cells[cell];
}


/* Into a histogram: the time since begin, of two ticks. */

static ngx_inline void
evs_stats_observe(evs_stats_value_t *histogram, uint64_t begin)
{
    uint64_t    us;
    ngx_uint_t  i;

    us = evs_stats.now - begin;

    for (i = 0; i < EVS_STATS_BOUNDS && us > evs_stats_bounds[i]; i++) {
        /* void */
    }

    histogram[i]++;
    histogram[EVS_STATS_BOUNDS + 1] += (evs_stats_value_t) us;
}


/* How a message ended, and apart from it how its events did. */

static ngx_inline void
evs_stats_message(ngx_uint_t ingest, ngx_uint_t outcome)
{
    evs_stats_add(EVS_STATS_MESSAGES + ingest * EVS_STATS_OUTCOMES + outcome,
                  1);
}


static ngx_inline void
evs_stats_events(ngx_uint_t ingest, ngx_uint_t outcome, ngx_uint_t n)
{
    evs_stats_add(EVS_STATS_EVENTS + ingest * EVS_STATS_REFUSED + outcome, n);
}


/* It is stored and answered; begin is the tick when it was complete. */

static ngx_inline void
evs_stats_acknowledged(ngx_uint_t ingest, uint64_t begin)
{
    evs_stats_observe(&evs_stats.slot->cells[EVS_STATS_ACKNOWLEDGE
                                             + ingest * EVS_STATS_HISTOGRAM],
                      begin);
}


#endif /* _EVS_STATS_H_INCLUDED_ */
