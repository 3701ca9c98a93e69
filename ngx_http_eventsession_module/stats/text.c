
/*
 * Prometheus' text format: see text.h.  A family is a line of a table, which
 * says where its cells are and what their labels are; README's table of
 * metrics has the same names.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/text.h"


/* a label: its name, and its values in the order of the cells */
typedef struct {
    const char                *name;
    const char *const         *values;      /* NULL behind the last */
} evs_stats_label_t;

typedef enum {
    EVS_STATS_GAUGE = 0,
    EVS_STATS_COUNTER,
    EVS_STATS_HISTOGRAMS
} evs_stats_type_e;

typedef struct {
    const char                *name;
    evs_stats_type_e           type;
    ngx_uint_t                 server;      /* cells are those of a server */
    ngx_uint_t                 first;       /* cell */
    const evs_stats_label_t   *outer;       /* NULL: none */
    const evs_stats_label_t   *inner;       /* the same */
    const char                *help;
} evs_stats_family_t;

/* where the text has come to, and the labels of the line in hand */
typedef struct {
    u_char                    *p;
    const evs_stats_family_t  *family;
    const evs_stats_sum_t     *sum;
    const uint64_t            *cells;
    const ngx_str_t           *server;      /* NULL: none */
    const char                *outer;       /* value */
    const char                *inner;
} evs_stats_text_t;


static void evs_stats_text_family(evs_stats_text_t *text);
static void evs_stats_text_cells(evs_stats_text_t *text);
static void evs_stats_text_histogram(evs_stats_text_t *text,
    const uint64_t *cells);
static void evs_stats_text_line(evs_stats_text_t *text, const char *suffix,
    uint64_t bound, uint64_t value);
static void evs_stats_text_label(evs_stats_text_t *text, u_char *separator,
    const char *name, const u_char *value, size_t len);
static u_char *evs_stats_text_put(u_char *p, const char *const *words);
static u_char *evs_stats_text_digits(u_char *p, uint64_t n, ngx_uint_t digits);
static u_char *evs_stats_text_seconds(u_char *p, uint64_t us);


#define EVS_STATS_LE_INF   ((uint64_t) -1)
#define EVS_STATS_LE_NONE  0

/* a line, with the escaped name of a server; the two lines before a family */
#define EVS_STATS_LINE     (256 + 2 * EVS_STATS_NAME)
#define EVS_STATS_HEAD     512


static const char *const  evs_stats_endpoints[] = {
    "ws", "track", "batch", "log", "session", "feed", "workers",
    "healthcheck", "ready", "metrics", NULL
};

static const char *const  evs_stats_ingests[] = {
    "ws", "track", "batch", "log", NULL
};

static const char *const  evs_stats_classes[] = {
    "1xx", "2xx", "3xx", "4xx", "5xx", NULL
};

static const char *const  evs_stats_outcomes[] = {
    "stored", "failed", "refused", NULL
};

static const char *const  evs_stats_event_outcomes[] = {
    "stored", "failed", NULL
};

static const char *const  evs_stats_codes[] = {
    "none", "1000", "1001", "1002", "1005", "1007", "1008", "1009", "other",
    NULL
};

static const char *const  evs_stats_broken[] = {
    "session", "batch", "log", NULL
};

static const char *const  evs_stats_states[] = { "up", "down", NULL };

static const char *const  evs_stats_errors[] = {
    "poison", "forbidden", "retry", "auth", "reconnect", "timeout", "lost",
    NULL
};


static const evs_stats_label_t  evs_stats_by_endpoint = {
    "endpoint", evs_stats_endpoints
};

static const evs_stats_label_t  evs_stats_by_ingest = {
    "endpoint", evs_stats_ingests
};

static const evs_stats_label_t  evs_stats_by_class = {
    "code", evs_stats_classes
};

static const evs_stats_label_t  evs_stats_by_outcome = {
    "outcome", evs_stats_outcomes
};

static const evs_stats_label_t  evs_stats_by_event_outcome = {
    "outcome", evs_stats_event_outcomes
};

static const evs_stats_label_t  evs_stats_by_code = {
    "code", evs_stats_codes
};

static const evs_stats_label_t  evs_stats_by_broken = {
    "endpoint", evs_stats_broken
};

static const evs_stats_label_t  evs_stats_by_state = {
    "state", evs_stats_states
};

static const evs_stats_label_t  evs_stats_by_error = {
    "class", evs_stats_errors
};


static const evs_stats_family_t  evs_stats_families[] = {

    { "worker_processes", EVS_STATS_GAUGE, 0, EVS_STATS_PROCESSES, NULL, NULL,
      "Worker processes, those that a reload has left behind included." },

    { "requests_total", EVS_STATS_COUNTER, 0, EVS_STATS_REQUESTS,
      &evs_stats_by_endpoint, &evs_stats_by_class,
      "Requests that have ended, by the class of their status code." },

    { "messages_total", EVS_STATS_COUNTER, 0, EVS_STATS_MESSAGES,
      &evs_stats_by_ingest, &evs_stats_by_outcome,
      "WebSocket messages and posted bodies." },

    { "events_total", EVS_STATS_COUNTER, 0, EVS_STATS_EVENTS,
      &evs_stats_by_ingest, &evs_stats_by_event_outcome,
      "Events of messages that were not refused." },

    { "received_bytes_total", EVS_STATS_COUNTER, 0, EVS_STATS_BYTES,
      &evs_stats_by_ingest, NULL,
      "Payload of messages, inflated." },

    { "parse_errors_total", EVS_STATS_COUNTER, 0, EVS_STATS_PARSE_ERRORS,
      &evs_stats_by_ingest, NULL,
      "Messages that were refused because they are not JSON." },

    { "acknowledge_seconds", EVS_STATS_HISTOGRAMS, 0, EVS_STATS_ACKNOWLEDGE,
      &evs_stats_by_ingest, NULL,
      "From a whole message to the answer that it is stored." },

    { "websockets_open", EVS_STATS_GAUGE, 0, EVS_STATS_WS_OPEN, NULL, NULL,
      "WebSockets that are open." },

    { "websockets_opened_total", EVS_STATS_COUNTER, 0, EVS_STATS_WS_OPENED,
      NULL, NULL,
      "WebSockets that were opened." },

    { "websockets_closed_total", EVS_STATS_COUNTER, 0, EVS_STATS_WS_CLOSED,
      &evs_stats_by_code, NULL,
      "WebSockets that have ended, by the code of the server's Close." },

    { "websocket_acks_total", EVS_STATS_COUNTER, 0, EVS_STATS_WS_ACKS,
      NULL, NULL,
      "Acks of messages that were asked for." },

    { "sessions_read_total", EVS_STATS_COUNTER, 0, EVS_STATS_SESSIONS_READ,
      NULL, NULL,
      "Sessions that were given out, in whole or in pages." },

    { "sessions_deleted_total", EVS_STATS_COUNTER, 0,
      EVS_STATS_SESSIONS_DELETED, NULL, NULL,
      "Sessions that were deleted." },

    { "reads_broken_total", EVS_STATS_COUNTER, 0, EVS_STATS_READS_BROKEN,
      &evs_stats_by_broken, NULL,
      "Answers that were cut off behind their header." },

    { "feed_subscribers", EVS_STATS_GAUGE, 0, EVS_STATS_SUBSCRIBERS,
      NULL, NULL,
      "Clients of the feed." },

    { "feed_events_total", EVS_STATS_COUNTER, 0, EVS_STATS_FEED_EVENTS,
      NULL, NULL,
      "Events that were handed to clients of the feed." },

    { "feed_gaps_total", EVS_STATS_COUNTER, 0, EVS_STATS_FEED_GAPS,
      NULL, NULL,
      "Gaps that clients of the feed were told of." },

    { "feed_slow_consumers_total", EVS_STATS_COUNTER, 0, EVS_STATS_FEED_SLOW,
      NULL, NULL,
      "Clients of the feed that were cut because they are too slow." },

    { "batch_workers", EVS_STATS_GAUGE, 0, EVS_STATS_BATCH_WORKERS,
      NULL, NULL,
      "Workers of batches that are not finished." },

    { "inflight_events", EVS_STATS_GAUGE, 0, EVS_STATS_INFLIGHT_EVENTS,
      NULL, NULL,
      "Events that are being stored." },

    { "inflight_bytes", EVS_STATS_GAUGE, 1, EVS_STATS_INFLIGHT, NULL, NULL,
      "Bytes under way to Redis, with what is kept for them." },

    { "inflight_limit_bytes", EVS_STATS_GAUGE, 1, EVS_STATS_LIMIT, NULL, NULL,
      "The bound of inflight_bytes: eventsession_max_inflight of each "
      "worker process." },

    { "inflight_limit_reached_total", EVS_STATS_COUNTER, 1,
      EVS_STATS_LIMIT_REACHED, NULL, NULL,
      "How often a worker process has come to that bound." },

    { "redis_connections", EVS_STATS_GAUGE, 1, EVS_STATS_UP,
      &evs_stats_by_state, NULL,
      "Connections to Redis that worker processes have, or try to have." },

    { "redis_commands_total", EVS_STATS_COUNTER, 1, EVS_STATS_COMMANDS,
      NULL, NULL,
      "Commands that Redis has answered." },

    { "redis_errors_total", EVS_STATS_COUNTER, 1, EVS_STATS_COMMAND_ERRORS,
      &evs_stats_by_error, NULL,
      "Errors of Redis by their class, and commands that were given up." },

    { "redis_reconnects_total", EVS_STATS_COUNTER, 1, EVS_STATS_RECONNECTS,
      NULL, NULL,
      "Connections that were made anew." },

    { "redis_resent_total", EVS_STATS_COUNTER, 1, EVS_STATS_RESENT,
      NULL, NULL,
      "Commands that were to be sent again." },

    { "redis_round_trip_seconds", EVS_STATS_HISTOGRAMS, 1,
      EVS_STATS_ROUND_TRIP, NULL, NULL,
      "From a command's last byte to its last reply." },

    { NULL, EVS_STATS_GAUGE, 0, 0, NULL, NULL, NULL }
};


size_t
evs_stats_text_max(const evs_stats_sum_t *sum)
{
    ngx_uint_t  lines;

    /* the build, the ratio, others; each histogram has a line more */

    lines = 2 + EVS_STATS_CELLS + EVS_STATS_INGESTS
            + (sum->nservers + 1) * (EVS_STATS_SERVER_CELLS + 1);

    return lines * EVS_STATS_LINE
           + (sizeof(evs_stats_families) / sizeof(evs_stats_families[0]) + 2)
             * EVS_STATS_HEAD;
}


u_char *
evs_stats_text(u_char *p, const evs_stats_sum_t *sum, const char *version)
{
    evs_stats_text_t   text;
    const char        *build[] = {
        "# HELP eventsession_build_info The versions that run.\n"
        "# TYPE eventsession_build_info gauge\n"
        "eventsession_build_info{version=\"", version, "\",nginx=\"",
        NGINX_VERSION, "\"} 1\n", NULL
    };

    static const char *const  ratio[] = {
        "# HELP eventsession_inflight_ratio The highest of inflight_bytes to "
        "its bound, of any worker process and Redis.\n"
        "# TYPE eventsession_inflight_ratio gauge\n"
        "eventsession_inflight_ratio ", NULL
    };

    ngx_memzero(&text, sizeof(evs_stats_text_t));

    text.sum = sum;
    text.p = evs_stats_text_put(p, build);

    for (text.family = evs_stats_families; text.family->name; text.family++) {
        evs_stats_text_family(&text);
    }

    /* millionths, as a time's are */

    p = evs_stats_text_put(text.p, ratio);
    p = evs_stats_text_seconds(p, sum->crowded);
    *p++ = LF;

    return p;
}


static void
evs_stats_text_family(evs_stats_text_t *text)
{
    ngx_uint_t                 i;
    const evs_stats_sum_t     *sum;
    const evs_stats_family_t  *family;
    static const char         *types[] = { "gauge", "counter", "histogram" };
    const char                *head[] = {
        "# HELP eventsession_", text->family->name, " ", text->family->help,
        "\n# TYPE eventsession_", text->family->name, " ",
        types[text->family->type], "\n", NULL
    };

    sum = text->sum;
    family = text->family;

    text->p = evs_stats_text_put(text->p, head);

    if (!family->server) {
        text->server = NULL;
        text->cells = sum->cells;
        evs_stats_text_cells(text);
        return;
    }

    for (i = 0; i <= EVS_STATS_SUM_SERVERS; i++) {

        text->server = &sum->servers[i].name;
        text->cells = sum->servers[i].cells;

        if (text->server->len != 0) {
            evs_stats_text_cells(text);
        }
    }
}


static void
evs_stats_text_cells(evs_stats_text_t *text)
{
    const uint64_t            *cells;
    const char *const         *outer, *const *inner;
    const evs_stats_family_t  *family;

    static const char *const  none[] = { "", NULL };

    family = text->family;
    cells = text->cells + family->first;

    for (outer = family->outer ? family->outer->values : none;
         *outer;
         outer++)
    {
        for (inner = family->inner ? family->inner->values : none;
             *inner;
             inner++)
        {
            text->outer = *outer;
            text->inner = *inner;

            if (family->type == EVS_STATS_HISTOGRAMS) {
                evs_stats_text_histogram(text, cells);
                cells += EVS_STATS_HISTOGRAM;
                continue;
            }

            evs_stats_text_line(text, "", EVS_STATS_LE_NONE, *cells++);
        }
    }
}


/* Buckets are cumulative here, and not in the cells. */

static void
evs_stats_text_histogram(evs_stats_text_t *text, const uint64_t *cells)
{
    uint64_t    count;
    ngx_uint_t  i;

    count = 0;

    for (i = 0; i <= EVS_STATS_BOUNDS; i++) {
        count += cells[i];

        evs_stats_text_line(text, "_bucket",
                            (i < EVS_STATS_BOUNDS) ? evs_stats_bounds[i]
                                                   : EVS_STATS_LE_INF,
                            count);
    }

    evs_stats_text_line(text, "_sum", EVS_STATS_LE_NONE,
                        cells[EVS_STATS_BOUNDS + 1]);
    evs_stats_text_line(text, "_count", EVS_STATS_LE_NONE, count);
}


static void
evs_stats_text_line(evs_stats_text_t *text, const char *suffix,
    uint64_t bound, uint64_t value)
{
    u_char                    *last, separator, le[NGX_INT64_LEN + 8];
    const evs_stats_family_t  *family;
    const char                *name[] = {
        "eventsession_", text->family->name, suffix, NULL
    };

    family = text->family;
    separator = '{';

    text->p = evs_stats_text_put(text->p, name);

    if (text->server != NULL) {
        evs_stats_text_label(text, &separator, "server", text->server->data,
                             text->server->len);
    }

    if (family->outer != NULL) {
        evs_stats_text_label(text, &separator, family->outer->name,
                             (u_char *) text->outer, ngx_strlen(text->outer));
    }

    if (family->inner != NULL) {
        evs_stats_text_label(text, &separator, family->inner->name,
                             (u_char *) text->inner, ngx_strlen(text->inner));
    }

    if (bound != EVS_STATS_LE_NONE) {
        last = (bound == EVS_STATS_LE_INF)
               ? ngx_cpymem(le, "+Inf", 4)
               : evs_stats_text_seconds(le, bound);

        evs_stats_text_label(text, &separator, "le", le, (size_t) (last - le));
    }

    if (separator == ',') {
        *text->p++ = '}';
    }

    *text->p++ = ' ';

    text->p = (ngx_strcmp(suffix, "_sum") == 0)
              ? evs_stats_text_seconds(text->p, value)
              : evs_stats_text_digits(text->p, value, 1);

    *text->p++ = '\n';
}


/* The value of a label may be any UTF-8, but for three characters escaped. */

static void
evs_stats_text_label(evs_stats_text_t *text, u_char *separator,
    const char *name, const u_char *value, size_t len)
{
    u_char      *p;
    size_t       i;
    const char  *head[] = { name, "=\"", NULL };

    p = text->p;
    *p++ = *separator;
    p = evs_stats_text_put(p, head);

    for (i = 0; i < len; i++) {

        if (value[i] == '"' || value[i] == '\\' || value[i] == LF) {
            *p++ = '\\';
        }

        *p++ = (value[i] == LF) ? 'n' : value[i];
    }

    *p++ = '"';

    text->p = p;
    *separator = ',';
}


/* Words, up to a NULL. */

static u_char *
evs_stats_text_put(u_char *p, const char *const *words)
{
    for ( /* void */ ; *words != NULL; words++) {
        p = ngx_cpymem(p, *words, ngx_strlen(*words));
    }

    return p;
}


/* At least so many digits. */

static u_char *
evs_stats_text_digits(u_char *p, uint64_t n, ngx_uint_t digits)
{
    size_t   len;
    u_char  *start, text[NGX_INT64_LEN];

    start = text + sizeof(text);

    do {
        *--start = (u_char) ('0' + n % 10);
        n /= 10;
        len = (size_t) (text + sizeof(text) - start);
    } while (n != 0 || len < digits);

    return ngx_cpymem(p, start, len);
}


/* Without zeros at the end, as the bounds are written everywhere: 0.0025. */

static u_char *
evs_stats_text_seconds(u_char *p, uint64_t us)
{
    p = evs_stats_text_digits(p, us / 1000000, 1);
    *p++ = '.';
    p = evs_stats_text_digits(p, us % 1000000, 6);

    while (p[-1] == '0') {
        p--;
    }

    return (p[-1] == '.') ? p - 1 : p;
}
