
/*
 * What the entry scanner costs: nanoseconds an event, for messages and bodies
 * of a few sizes and shapes.  Each turn reads a fresh copy, since the scanner
 * changes its text; the copy is in the figure.
 *
 *     cc -O2 -Ingx_http_eventsession_module <nginx's include folders> \
 *         bench/scan.c ngx_http_eventsession_module/event/?*.c \
 *         t/unit/ngx_shim.c -o scan && ./scan
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/scan.h"


#define EVENTS  2000000          /* a round */
#define ROUNDS  7
#define MAX     (2 * 1024 * 1024)

#define PLAIN                                                                \
    "{\"timestamp\":1624422533298,\"type\":\"EVENT\",\"name\":\"cart_loaded\"}"

#define SPACED                                                               \
    "{ \"timestamp\": 1624422533298, \"type\": \"EVENT\", "                  \
    "\"name\": \"cart_loaded\" }"

#define RICH                                                                 \
    "{\"timestamp\":\"2021-06-23T04:28:53.298Z\",\"type\":\"EVENT\","        \
    "\"name\":\"cart_loaded\",\"id\":\"a8098c1a-f86e\",\"category\":\"shop\"," \
    "\"data\":{\"items\":[1,2,3],\"currency\":\"EUR\",\"total\":12.5}}"

#define DATED                                                                \
    "{\"timestamp\":\"2019-10-04T01:52:07-03:00\",\"data\":12312}"

#define PRETTY                                                               \
    "\n  {\n    \"timestamp\": \"2019-10-04T01:52:07-03:00\",\n"             \
    "    \"data\": 12312\n  }"


typedef enum {
    SCAN_MESSAGE = 0,
    SCAN_ARRAY,
    SCAN_LINES
} scan_form_e;


typedef struct {
    scan_form_e  form;
    const char  *name;
    const char  *entry;
    ngx_uint_t   n;              /* entries a message */
} scan_case_t;


static size_t scan_make(u_char *p, const scan_case_t *sc);
static double scan_run(const scan_case_t *sc, const u_char *text, size_t len,
    evs_json_names_t *names);
static void scan_init(evs_scan_t *scan, const scan_case_t *sc, u_char *text,
    size_t len, evs_json_names_t *names);
static double scan_now(void);


static const scan_case_t  scan_cases[] = {
    { SCAN_MESSAGE, "plain",  PLAIN,  1 },
    { SCAN_MESSAGE, "plain",  PLAIN,  10 },
    { SCAN_MESSAGE, "plain",  PLAIN,  100 },
    { SCAN_MESSAGE, "spaced", SPACED, 100 },
    { SCAN_MESSAGE, "rich",   RICH,   100 },
    { SCAN_ARRAY,   "plain",  PLAIN,  10000 },
    { SCAN_ARRAY,   "dated",  DATED,  10000 },
    { SCAN_ARRAY,   "pretty", PRETTY, 10000 },
    { SCAN_LINES,   "plain",  PLAIN,  10000 },
    { SCAN_LINES,   "dated",  DATED,  10000 }
};

static const char  *scan_forms[] = { "message", "array", "lines" };

static const evs_limits_t  scan_limits = { 20000, 255, 200, 65536 };

static const evs_sid_t  scan_sid = {
    36, "e6fa79ca-d142-4046-a134-5134f16a0b5e"
};

static const evs_timestamp_t  scan_time = {
    1624422533298000, ngx_string("1624422533298")
};

static u_char  scan_text[MAX], scan_copy[MAX];


int
main(void)
{
    size_t              len;
    double              best, t;
    ngx_uint_t          i, n;
    evs_json_names_t   *names;
    const scan_case_t  *sc;

    names = evs_json_names_create();
    if (names == NULL) {
        return 1;
    }

    for (i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
        sc = &scan_cases[i];
        len = scan_make(scan_text, sc);
        best = 1e9;

        for (n = 0; n < ROUNDS; n++) {
            t = scan_run(sc, scan_text, len, names);
            best = ngx_min(best, t);
        }

        printf("%-7s %-6s %5lu entries of %3zu bytes  %6.1f ns/event\n",
               scan_forms[sc->form], sc->name, (unsigned long) sc->n,
               ngx_strlen(sc->entry), best);
    }

    evs_json_names_destroy(names);

    return 0;
}


static size_t
scan_make(u_char *p, const scan_case_t *sc)
{
    u_char      *start;
    ngx_uint_t   i;

    start = p;

    for (i = 0; i < sc->n; i++) {

        if (sc->form != SCAN_LINES) {
            *p++ = (i == 0) ? '[' : ',';
        }

        p = ngx_cpymem(p, sc->entry, ngx_strlen(sc->entry));

        if (sc->form == SCAN_LINES) {
            *p++ = '\n';
        }
    }

    if (sc->form != SCAN_LINES) {
        *p++ = ']';
    }

    return (size_t) (p - start);
}


static double
scan_run(const scan_case_t *sc, const u_char *text, size_t len,
    evs_json_names_t *names)
{
    double       start;
    ngx_int_t    rc;
    ngx_uint_t   i;
    evs_scan_t   scan;
    evs_entry_t  entry;

    start = scan_now();

    for (i = 0; i < EVENTS / sc->n; i++) {
        ngx_memcpy(scan_copy, text, len);
        scan_init(&scan, sc, scan_copy, len, names);

        do {
            rc = evs_scan_next(&scan, &entry);

        } while (rc == NGX_OK);

        if (rc != NGX_DONE || scan.count != sc->n) {
            fprintf(stderr, "message not read: %.*s\n", (int) scan.fault.len,
                    (char *) scan.fault.text);
            exit(1);
        }
    }

    return (scan_now() - start) / (double) (EVENTS / sc->n * sc->n);
}


static void
scan_init(evs_scan_t *scan, const scan_case_t *sc, u_char *text, size_t len,
    evs_json_names_t *names)
{
    if (sc->form == SCAN_MESSAGE) {
        evs_scan_init(scan, text, len, &scan_sid, EVS_SID_UUID, &scan_limits,
                      names);
        return;
    }

    evs_scan_init_batch(scan, text, len, EVS_SID_UUID, &scan_limits, names,
                        &scan_time, sc->form == SCAN_LINES);
}


static double
scan_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}
