
/*
 * The entry scanner: JSON as json.c reads it, with shorter ways through what
 * nearly every entry looks like, and the rules of an entry on top.  An object
 * is read to its end before any rule is looked at, so that a syntax fault goes
 * first without the message being read twice.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"
#include "event/scan_part.h"


#define EVS_SCAN_KEYS         ((1u << (EVS_SCAN_KEY_OTHER + 1)) - 1)

/* what means nothing in a batch */
#define EVS_SCAN_KEYS_IGNORED                                                \
    ((1u << EVS_SCAN_KEY_TYPE) | (1u << EVS_SCAN_KEY_ID))


typedef enum {
    EVS_SCAN_ENTRIES = 0,        /* of an array, behind its bracket */
    EVS_SCAN_BEGIN,
    EVS_SCAN_LINES,
    EVS_SCAN_DONE,
    EVS_SCAN_FAILED,
    EVS_SCAN_ABORTED
} evs_scan_state_e;


static ngx_int_t evs_scan_end(evs_scan_t *scan, ngx_int_t rc);
static ngx_inline ngx_int_t evs_scan_step(evs_scan_t *scan);
static ngx_inline ngx_int_t evs_scan_begin(evs_scan_t *scan);
static ngx_int_t evs_scan_element(evs_scan_t *scan, u_char *p);
static ngx_int_t evs_scan_line(evs_scan_t *scan);
static ngx_int_t evs_scan_root(evs_scan_t *scan);
static ngx_int_t evs_scan_trailer(evs_scan_t *scan, u_char *p);
static ngx_int_t evs_scan_rest(evs_scan_t *scan);
static void evs_scan_syntax(evs_scan_t *scan);


void
evs_scan_init(evs_scan_t *scan, u_char *text, size_t len,
    const evs_sid_t *sid, ngx_uint_t sid_kind, const evs_limits_t *limits,
    evs_json_names_t *names)
{
    evs_json_init(&scan->json, text, len, names);

    scan->sid = sid;
    scan->sid_kind = sid_kind;
    scan->limits = limits;
    scan->keys = EVS_SCAN_KEYS;
    scan->count = 0;
    scan->state = EVS_SCAN_BEGIN;
    scan->fault.len = 0;
}


void
evs_scan_init_batch(evs_scan_t *scan, u_char *text, size_t len,
    ngx_uint_t sid_kind, const evs_limits_t *limits, evs_json_names_t *names,
    const evs_timestamp_t *now, ngx_uint_t lines)
{
    evs_scan_init(scan, text, len, NULL, sid_kind, limits, names);

    scan->keys &= ~EVS_SCAN_KEYS_IGNORED;
    scan->now = now;
    scan->last = text + len;

    if (lines) {
        scan->state = EVS_SCAN_LINES;
        scan->json.last = text;
    }
}


ngx_int_t
evs_scan_next(evs_scan_t *scan, evs_entry_t *entry)
{
    ngx_int_t  rc;

    switch (scan->state) {

    case EVS_SCAN_DONE:
        return NGX_DONE;

    case EVS_SCAN_FAILED:
        return NGX_ERROR;

    case EVS_SCAN_ABORTED:
        return NGX_ABORT;
    }

    rc = evs_scan_step(scan);

    if (rc == NGX_OK) {
        rc = evs_scan_entry(scan, entry);

        if (rc == NGX_OK) {
            scan->count++;
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {
            rc = evs_scan_rest(scan);
        }
    }

    return evs_scan_end(scan, rc);
}


static ngx_int_t
evs_scan_end(evs_scan_t *scan, ngx_int_t rc)
{
    evs_json_names_reset(scan->json.names);

    switch (rc) {

    case NGX_DONE:
        scan->state = EVS_SCAN_DONE;
        break;

    case NGX_ABORT:
        scan->state = EVS_SCAN_ABORTED;
        break;

    case NGX_DECLINED:
        scan->state = EVS_SCAN_FAILED;
        return NGX_ERROR;

    default: /* NGX_ERROR */
        scan->state = EVS_SCAN_FAILED;
        evs_scan_syntax(scan);
    }

    return rc;
}


/*
 * To the next entry: NGX_OK, pos is at it; NGX_DONE, the message has ended;
 * NGX_ERROR, a syntax fault; NGX_DECLINED, the fault is told already.
 */

static ngx_inline ngx_int_t
evs_scan_step(evs_scan_t *scan)
{
    u_char      *p;
    evs_json_t  *json;

    if (scan->state != EVS_SCAN_ENTRIES) {
        return (scan->state == EVS_SCAN_LINES) ? evs_scan_line(scan)
                                               : evs_scan_begin(scan);
    }

    json = &scan->json;

    p = evs_lex_blanks(json->pos, json->last);

    if (p < json->last && *p == ',') {
        return evs_scan_element(scan, p + 1);
    }

    if (p < json->last && *p == ']') {
        return evs_scan_trailer(scan, p + 1);
    }

    return evs_json_fail(json, p, "',' or ']' after an entry");
}


static ngx_inline ngx_int_t
evs_scan_begin(evs_scan_t *scan)
{
    u_char      *p;
    evs_json_t  *json;

    json = &scan->json;

    p = evs_lex_blanks(json->pos, json->last);

    if (p == json->last || *p != '[') {
        return evs_scan_root(scan);
    }

    scan->state = EVS_SCAN_ENTRIES;
    json->depth = 1;

    return evs_scan_element(scan, p + 1);
}


/* Behind [ the end makes the array empty, behind a comma it is let pass. */

static ngx_int_t
evs_scan_element(evs_scan_t *scan, u_char *p)
{
    evs_json_t  *json;

    json = &scan->json;

    p = evs_lex_blanks(p, json->last);

    if (p < json->last && *p == ']') {
        return evs_scan_trailer(scan, p + 1);
    }

    json->pos = p;

    return NGX_OK;
}


/*
 * To the next line that isn't blank.  To the reader the text ends where the
 * line does, so that no value goes on behind it.
 */

static ngx_int_t
evs_scan_line(evs_scan_t *scan)
{
    u_char      *p;
    evs_json_t  *json;

    json = &scan->json;

    /* the rest of a line that an entry was read from, nothing at first */

    p = evs_lex_blanks(json->pos, json->last);

    if (p != json->last) {
        return evs_json_fail(json, p, "the end of the line after an entry");
    }

    do {
        if (p == scan->last) {
            return NGX_DONE;
        }

        if (*p == '\n') {
            p++;
        }

        json->last = memchr(p, '\n', (size_t) (scan->last - p));

        if (json->last == NULL) {
            json->last = scan->last;
        }

        p = evs_lex_blanks(p, json->last);

    } while (p == json->last);

    json->pos = p;

    return NGX_OK;
}


/* A message that is not an array: is it JSON at all? */

static ngx_int_t
evs_scan_root(evs_scan_t *scan)
{
    u_char            *p;
    ngx_int_t          rc;
    evs_json_t        *json;
    evs_json_value_t   value;

    json = &scan->json;

    rc = evs_json_value(json, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    p = json->pos;

    rc = evs_scan_trailer(scan, p);
    if (rc != NGX_DONE) {
        return rc;
    }

    evs_json_settle(json, value.start);

    (void) evs_scan_fault(scan, EVS_FAULT_SYNTAX, NULL,
                          "expected an array of entries at line %lu, "
                          "column %lu", (unsigned long) json->line,
                          (unsigned long) json->column);

    return NGX_DECLINED;
}


static ngx_int_t
evs_scan_trailer(evs_scan_t *scan, u_char *p)
{
    p = evs_lex_blanks(p, scan->json.last);

    if (p != scan->json.last) {
        return evs_json_fail(&scan->json, p, "the end of the message");
    }

    return NGX_DONE;
}


/* Behind an entry that is at fault only syntax matters. */

static ngx_int_t
evs_scan_rest(evs_scan_t *scan)
{
    ngx_int_t  rc;

    do {
        rc = evs_scan_step(scan);

        if (rc == NGX_OK) {
            rc = evs_scan_skip(scan);
        }

    } while (rc == NGX_OK);

    return (rc == NGX_DONE) ? NGX_DECLINED : rc;
}


static void
evs_scan_syntax(evs_scan_t *scan)
{
    evs_json_t  *json;

    json = &scan->json;

    evs_json_settle(json, json->fault);

    (void) evs_scan_fault(scan, EVS_FAULT_SYNTAX, NULL,
                          "invalid JSON at line %lu, column %lu: "
                          "expected %s", (unsigned long) json->line,
                          (unsigned long) json->column, json->expected);
}


ngx_int_t
evs_scan_fault(evs_scan_t *scan, evs_fault_kind_e kind, const char *field,
    const char *fmt, ...)
{
    int           n;
    char         *p;
    size_t        size;
    va_list       args;
    evs_fault_t  *fault;

    n = 0;
    fault = &scan->fault;
    p = (char *) fault->text;
    size = EVS_FAULT_TEXT_MAX;

    fault->kind = kind;
    fault->field = field;
    fault->index = (kind == EVS_FAULT_SYNTAX) ? -1 : (ngx_int_t) scan->count;

    if (kind == EVS_FAULT_ENTRY) {
        n = snprintf(p, size, "entry %lu: ", (unsigned long) scan->count);
    }

    va_start(args, fmt);
    n += vsnprintf(p + n, size - (size_t) n, fmt, args);
    va_end(args);

    fault->len = ngx_min((size_t) n, size - 1);

    return NGX_DECLINED;
}
