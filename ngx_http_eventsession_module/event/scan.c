
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
#include "event/scan.h"
#include "event/time.h"


#define EVS_SCAN_KEY_TYPE       0
#define EVS_SCAN_KEY_TIMESTAMP  1
#define EVS_SCAN_KEY_SESSION    2
#define EVS_SCAN_KEY_NAME       3
#define EVS_SCAN_KEY_ID         4
#define EVS_SCAN_KEY_CATEGORY   5
#define EVS_SCAN_KEY_DATA       6
#define EVS_SCAN_KEY_OTHER      7

#define EVS_SCAN_KEYS         ((1u << (EVS_SCAN_KEY_OTHER + 1)) - 1)

/* what means nothing in a batch */
#define EVS_SCAN_KEYS_IGNORED                                                \
    ((1u << EVS_SCAN_KEY_TYPE) | (1u << EVS_SCAN_KEY_ID))

#define evs_scan_has(m, key)  (((m)->seen & (1u << (key))) != 0)
#define evs_scan_batch(scan)  ((scan)->sid == NULL)


typedef enum {
    EVS_SCAN_ENTRIES = 0,        /* of an array, behind its bracket */
    EVS_SCAN_BEGIN,
    EVS_SCAN_LINES,
    EVS_SCAN_DONE,
    EVS_SCAN_FAILED,
    EVS_SCAN_ABORTED
} evs_scan_state_e;


typedef struct {
    unsigned           seen;     /* a bit a key; the values of others are not
                                    set */
    evs_json_value_t   value[EVS_SCAN_KEY_OTHER + 1];
} evs_scan_members_t;


typedef struct {
    size_t             len;      /* decoded */
    size_t             chars;
    ngx_uint_t         nul;      /* whether there is one */
} evs_scan_size_t;


static ngx_int_t evs_scan_end(evs_scan_t *scan, ngx_int_t rc);
static ngx_inline ngx_int_t evs_scan_step(evs_scan_t *scan);
static ngx_inline ngx_int_t evs_scan_begin(evs_scan_t *scan);
static ngx_int_t evs_scan_line(evs_scan_t *scan);
static ngx_int_t evs_scan_element(evs_scan_t *scan, u_char *p);
static ngx_int_t evs_scan_root(evs_scan_t *scan);
static ngx_int_t evs_scan_trailer(evs_scan_t *scan, u_char *p);
static ngx_int_t evs_scan_entry(evs_scan_t *scan, evs_entry_t *entry);
static ngx_int_t evs_scan_skip(evs_scan_t *scan);
static ngx_int_t evs_scan_rest(evs_scan_t *scan);
static ngx_int_t evs_scan_members(evs_scan_t *scan, evs_scan_members_t *m);
static ngx_inline u_char *evs_scan_key_plain(u_char *p, const u_char *last,
    ngx_uint_t *key);
static ngx_int_t evs_scan_key(evs_scan_t *scan, u_char *p, ngx_uint_t *key);
static ngx_uint_t evs_scan_key_find(const ngx_str_t *name);
static ngx_int_t evs_scan_members_end(evs_scan_t *scan, u_char *p);
static ngx_inline ngx_int_t evs_scan_value(evs_json_t *json, u_char *p,
    evs_json_value_t *value);
static ngx_int_t evs_scan_check(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_type(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_timestamp(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_session(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_name(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_id(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_category(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static ngx_int_t evs_scan_data(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);
static void evs_scan_decoded(evs_scan_t *scan, const evs_json_value_t *value,
    ngx_str_t *text);
static void evs_scan_canonical(evs_scan_t *scan,
    const evs_json_value_t *value, ngx_str_t *text, evs_scan_size_t *size);
static void evs_scan_syntax(evs_scan_t *scan);
static ngx_int_t evs_scan_fault(evs_scan_t *scan, evs_fault_kind_e kind,
    const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));


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


/* As evs_scan_step(); NGX_DECLINED: pos is behind the entry. */

static ngx_int_t
evs_scan_entry(evs_scan_t *scan, evs_entry_t *entry)
{
    ngx_int_t            rc;
    evs_json_t          *json;
    evs_scan_members_t   m;

    json = &scan->json;

    if (scan->count >= scan->limits->entries) {
        rc = evs_scan_skip(scan);
        if (rc != NGX_OK) {
            return rc;
        }

        return evs_scan_fault(scan, EVS_FAULT_ENTRY, NULL,
                              "a message may have at most %lu entries",
                              (unsigned long) scan->limits->entries);
    }

    if (json->pos == json->last || *json->pos != '{') {
        rc = evs_scan_skip(scan);
        if (rc != NGX_OK) {
            return rc;
        }

        return evs_scan_fault(scan, EVS_FAULT_ENTRY, NULL,
                              "must be an object");
    }

    rc = evs_scan_members(scan, &m);
    if (rc != NGX_OK) {
        return rc;
    }

    return evs_scan_check(scan, &m, entry);
}


static ngx_int_t
evs_scan_skip(evs_scan_t *scan)
{
    evs_json_value_t  value;

    return evs_json_value(&scan->json, &value);
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


static ngx_int_t
evs_scan_members(evs_scan_t *scan, evs_scan_members_t *m)
{
    u_char      *p, *name;
    unsigned     seen;
    ngx_int_t    rc;
    ngx_uint_t   key;
    evs_json_t  *json;

    seen = 0;
    json = &scan->json;
    json->depth++;

    p = evs_lex_blanks(json->pos + 1, json->last);

    while (p == json->last || *p != '}') {
        name = p;

        p = evs_scan_key_plain(name, json->last, &key);

        if (p == NULL) {
            rc = evs_scan_key(scan, name, &key);
            if (rc != NGX_OK) {
                return rc;
            }

            /* names that mean nothing are told apart at the object's end */

            seen &= ~(1u << EVS_SCAN_KEY_OTHER);
            p = json->pos;
        }

        if (seen & (1u << key)) {
            return evs_json_fail(json, name, EVS_LEX_DUPLICATE);
        }

        seen |= 1u << key;

        rc = evs_scan_value(json, p, &m->value[key]);
        if (rc != NGX_OK) {
            return rc;
        }

        p = evs_lex_blanks(json->pos, json->last);

        if (p < json->last && *p == ',') {
            p = evs_lex_blanks(p + 1, json->last);

        } else if (p == json->last || *p != '}') {
            return evs_json_fail(json, p, EVS_LEX_MEMBER_END);
        }
    }

    m->seen = seen & scan->keys;

    return evs_scan_members_end(scan, p);
}


static ngx_int_t
evs_scan_members_end(evs_scan_t *scan, u_char *p)
{
    evs_json_t             *json;
    evs_json_names_mark_t   mark;

    json = &scan->json;
    json->depth--;
    json->pos = p + 1;

    if (json->names->used.count == 0) {
        return NGX_OK;
    }

    ngx_memzero(&mark, sizeof(evs_json_names_mark_t));

    return evs_json_names_check(json, &mark);
}


/* A name that most entries have: behind its colon, or NULL. */

static ngx_inline u_char *
evs_scan_key_plain(u_char *p, const u_char *last, ngx_uint_t *key)
{
    if (evs_lex_at(p, last, "\"timestamp\":")) {
        *key = EVS_SCAN_KEY_TIMESTAMP;
        return p + sizeof("\"timestamp\":") - 1;
    }

    if (evs_lex_at(p, last, "\"type\":")) {
        *key = EVS_SCAN_KEY_TYPE;
        return p + sizeof("\"type\":") - 1;
    }

    if (evs_lex_at(p, last, "\"name\":")) {
        *key = EVS_SCAN_KEY_NAME;
        return p + sizeof("\"name\":") - 1;
    }

    if (evs_lex_at(p, last, "\"data\":")) {
        *key = EVS_SCAN_KEY_DATA;
        return p + sizeof("\"data\":") - 1;
    }

    return NULL;
}


/* Any name: which key it is; pos is behind the colon then. */

static ngx_int_t
evs_scan_key(evs_scan_t *scan, u_char *p, ngx_uint_t *key)
{
    u_char      *start;
    ngx_int_t    rc;
    ngx_str_t    name;
    ngx_uint_t   escaped;
    evs_json_t  *json;

    json = &scan->json;
    *key = EVS_SCAN_KEY_OTHER;

    if (p == json->last || *p != '"') {
        return evs_json_fail(json, p, EVS_LEX_NAME);
    }

    escaped = 0;
    start = p + 1;

    p = evs_json_string_end(json, start, &escaped);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = start;
    name.len = (size_t) (p - start);

    if (!escaped) {
        *key = evs_scan_key_find(&name);
    }

    if (*key == EVS_SCAN_KEY_OTHER) {
        rc = evs_json_name_add(json, start, p, escaped, &name);
        if (rc != NGX_OK) {
            return rc;
        }

        if (escaped) {
            *key = evs_scan_key_find(&name);
        }
    }

    p = evs_lex_blanks(p + 1, json->last);

    if (p == json->last || *p != ':') {
        return evs_json_fail(json, p, EVS_LEX_COLON);
    }

    json->pos = p + 1;

    return NGX_OK;
}


static ngx_uint_t
evs_scan_key_find(const ngx_str_t *name)
{
    ngx_uint_t  i;

    static const ngx_str_t  keys[] = {
        ngx_string("type"),
        ngx_string("timestamp"),
        ngx_string("session_id"),
        ngx_string("name"),
        ngx_string("id"),
        ngx_string("category"),
        ngx_string("data")
    };

    for (i = 0; i < EVS_SCAN_KEY_OTHER; i++) {
        if (name->len == keys[i].len
            && memcmp(name->data, keys[i].data, name->len) == 0)
        {
            break;
        }
    }

    return i;
}


/* A plain string or a whole number here, anything else in json.c. */

static ngx_inline ngx_int_t
evs_scan_value(evs_json_t *json, u_char *p, evs_json_value_t *value)
{
    u_char  *end;

    p = evs_lex_blanks(p, json->last);

    if (p < json->last) {
        value->start = p;
        value->escaped = 0;
        value->blanks = 0;

        if (*p == '"') {
            end = evs_lex_plain(p + 1, json->last);

            if (end < json->last && *end == '"') {
                value->type = EVS_JSON_STRING;
                value->last = end + 1;
                json->pos = end + 1;
                return NGX_OK;
            }

        } else if (*p >= '1' && *p <= '9') {
            end = evs_lex_digits(p + 1, json->last);

            if (end < json->last && *end != '.' && (*end | 0x20) != 'e') {
                value->type = EVS_JSON_NUMBER;
                value->last = end;
                json->pos = end;
                return NGX_OK;
            }
        }
    }

    json->pos = p;

    return evs_json_value(json, value);
}


/* NGX_OK, or NGX_DECLINED: the fault is told.  So do all that follow. */

static ngx_int_t
evs_scan_check(evs_scan_t *scan, evs_scan_members_t *m, evs_entry_t *entry)
{
    ngx_str_null(&entry->id);
    ngx_str_null(&entry->category);
    ngx_str_null(&entry->data);
    ngx_str_null(&entry->session);
    scan->session.len = 0;

    if (evs_scan_type(scan, m, entry) != NGX_OK
        || evs_scan_timestamp(scan, m, entry) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (evs_scan_has(m, EVS_SCAN_KEY_SESSION)
        && evs_scan_session(scan, m, entry) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (entry->type != EVS_ENTRY_EVENT) {
        ngx_str_null(&entry->name);
        return NGX_OK;
    }

    if (evs_scan_name(scan, m, entry) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (evs_scan_has(m, EVS_SCAN_KEY_ID)
        && evs_scan_id(scan, m, entry) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (evs_scan_has(m, EVS_SCAN_KEY_CATEGORY)
        && evs_scan_category(scan, m, entry) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (evs_scan_has(m, EVS_SCAN_KEY_DATA)) {
        return evs_scan_data(scan, m, entry);
    }

    return NGX_OK;
}


static ngx_int_t
evs_scan_type(evs_scan_t *scan, evs_scan_members_t *m, evs_entry_t *entry)
{
    ngx_str_t          text;
    evs_json_value_t  *value;

    if (!evs_scan_has(m, EVS_SCAN_KEY_TYPE)) {

        if (evs_scan_batch(scan)) {
            entry->type = EVS_ENTRY_EVENT;
            return NGX_OK;
        }

        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "type",
                              "type is required");
    }

    value = &m->value[EVS_SCAN_KEY_TYPE];

    if (value->type == EVS_JSON_STRING) {
        evs_scan_decoded(scan, value, &text);

        if (text.len == 5 && memcmp(text.data, "EVENT", 5) == 0) {
            entry->type = EVS_ENTRY_EVENT;
            return NGX_OK;
        }

        if (text.len == 13 && memcmp(text.data, "SESSION_START", 13) == 0) {
            entry->type = EVS_ENTRY_START;
            return NGX_OK;
        }

        if (text.len == 11 && memcmp(text.data, "SESSION_END", 11) == 0) {
            entry->type = EVS_ENTRY_END;
            return NGX_OK;
        }
    }

    return evs_scan_fault(scan, EVS_FAULT_ENTRY, "type",
                          "type must be \"EVENT\", \"SESSION_START\" or "
                          "\"SESSION_END\"");
}


static ngx_int_t
evs_scan_timestamp(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    evs_json_value_t  *value;

    if (!evs_scan_has(m, EVS_SCAN_KEY_TIMESTAMP)) {

        if (evs_scan_batch(scan)) {
            entry->timestamp = *scan->now;
            return NGX_OK;
        }

        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "timestamp",
                              "timestamp is required");
    }

    value = &m->value[EVS_SCAN_KEY_TIMESTAMP];

    entry->timestamp.text.data = value->start;
    entry->timestamp.text.len = (size_t) (value->last - value->start);

    rc = NGX_DECLINED;

    if (value->type == EVS_JSON_NUMBER) {
        rc = evs_time_number(entry->timestamp.text.data,
                             entry->timestamp.text.len,
                             &entry->timestamp.us);

    } else if (value->type == EVS_JSON_STRING) {
        evs_scan_decoded(scan, value, &text);

        if (value->escaped) {

            /* no date-time needs an escape: it is kept without them */

            text.data[text.len] = '"';
            entry->timestamp.text.len = text.len + 2;
        }

        rc = evs_time_string(text.data, text.len, &entry->timestamp.us);
    }

    if (rc != NGX_OK) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "timestamp",
                              "timestamp must be a number of seconds, "
                              "milliseconds, microseconds or nanoseconds "
                              "since the epoch, or an RFC 3339 date-time");
    }

    return NGX_OK;
}


/* In a message the URL's session is meant, in a batch any. */

static ngx_int_t
evs_scan_session(evs_scan_t *scan, evs_scan_members_t *m, evs_entry_t *entry)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    evs_sid_t         *sid;
    evs_json_value_t  *value;

    value = &m->value[EVS_SCAN_KEY_SESSION];

    if (value->type != EVS_JSON_STRING) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "session_id",
                              "session_id must be a string");
    }

    evs_scan_decoded(scan, value, &text);

    sid = &scan->session;
    rc = evs_sid_parse(sid, scan->sid_kind, text.data, text.len);

    if (evs_scan_batch(scan)) {

        if (rc != NGX_OK) {
            return evs_scan_fault(scan, EVS_FAULT_ENTRY, "session_id",
                                  "session_id must be %s",
                                  (scan->sid_kind == EVS_SID_ANY)
                                  ? "1 to 128 of A-Z a-z 0-9 . _ ~ -"
                                  : "a UUID");
        }

        entry->session.data = sid->data;
        entry->session.len = sid->len;

        return NGX_OK;
    }

    if (rc != NGX_OK || sid->len != scan->sid->len
        || memcmp(sid->data, scan->sid->data, sid->len) != 0)
    {
        return evs_scan_fault(scan, EVS_FAULT_SESSION, "session_id",
                              "event session_id does not match sessionId "
                              "parameter: %.*s", (int) scan->sid->len,
                              (const char *) scan->sid->data);
    }

    return NGX_OK;
}


static ngx_int_t
evs_scan_name(evs_scan_t *scan, evs_scan_members_t *m, evs_entry_t *entry)
{
    size_t             max;
    evs_scan_size_t    size;
    evs_json_value_t  *value;

    if (!evs_scan_has(m, EVS_SCAN_KEY_NAME)) {

        if (evs_scan_batch(scan)) {
            ngx_str_null(&entry->name);
            return NGX_OK;
        }

        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "name",
                              "name is required");
    }

    max = scan->limits->name;
    value = &m->value[EVS_SCAN_KEY_NAME];

    if (value->type != EVS_JSON_STRING) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "name",
                              "name must be a string");
    }

    if (!value->escaped) {
        entry->name.data = value->start + 1;
        entry->name.len = (size_t) (value->last - value->start) - 2;

        size.len = entry->name.len;
        size.nul = 0;

    } else {
        evs_scan_canonical(scan, value, &entry->name, &size);
    }

    if (size.nul) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "name",
                              "name must not have \\u0000 in it");
    }

    if (size.len > max) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "name",
                              "name is longer than %lu bytes",
                              (unsigned long) max);
    }

    return NGX_OK;
}


static ngx_int_t
evs_scan_id(evs_scan_t *scan, evs_scan_members_t *m, evs_entry_t *entry)
{
    size_t             i;
    evs_json_value_t  *value;

    value = &m->value[EVS_SCAN_KEY_ID];

    if (value->type != EVS_JSON_STRING) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "id",
                              "id must be a string");
    }

    evs_scan_decoded(scan, value, &entry->id);

    i = 0;

    if (entry->id.len <= EVS_ID_MAX) {
        while (i < entry->id.len
               && entry->id.data[i] > 0x20 && entry->id.data[i] < 0x7f)
        {
            i++;
        }
    }

    if (i == 0 || i < entry->id.len) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "id",
                              "id must be 1 to %d printable ASCII characters "
                              "without a space", EVS_ID_MAX);
    }

    return NGX_OK;
}


static ngx_int_t
evs_scan_category(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry)
{
    size_t             max;
    evs_scan_size_t    size;
    evs_json_value_t  *value;

    max = scan->limits->category;
    value = &m->value[EVS_SCAN_KEY_CATEGORY];

    if (value->type != EVS_JSON_STRING) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "category",
                              "category must be a string");
    }

    evs_scan_canonical(scan, value, &entry->category, &size);

    if (size.nul) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "category",
                              "category must not have \\u0000 in it");
    }

    if (size.chars > max) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "category",
                              "category is longer than %lu characters",
                              (unsigned long) max);
    }

    return NGX_OK;
}


static ngx_int_t
evs_scan_data(evs_scan_t *scan, evs_scan_members_t *m, evs_entry_t *entry)
{
    u_char            *last;
    evs_json_value_t  *value;

    value = &m->value[EVS_SCAN_KEY_DATA];
    last = value->last;

    if (value->blanks) {
        evs_json_settle(&scan->json, scan->json.pos);
        last = evs_json_compact(value->start, last);
    }

    entry->data.data = value->start;
    entry->data.len = (size_t) (last - value->start);

    if (entry->data.len > scan->limits->data) {
        return evs_scan_fault(scan, EVS_FAULT_ENTRY, "data",
                              "data is longer than %lu bytes as compact JSON",
                              (unsigned long) scan->limits->data);
    }

    return NGX_OK;
}


/* Both may change the text, of an entry that was read to its end. */

static void
evs_scan_decoded(evs_scan_t *scan, const evs_json_value_t *value,
    ngx_str_t *text)
{
    u_char  *last;

    last = value->last - 1;

    if (value->escaped) {
        evs_json_settle(&scan->json, scan->json.pos);
        last = evs_json_unescape(value->start + 1, last);
    }

    text->data = value->start + 1;
    text->len = (size_t) (last - text->data);
}


static void
evs_scan_canonical(evs_scan_t *scan, const evs_json_value_t *value,
    ngx_str_t *text, evs_scan_size_t *size)
{
    u_char  *p, *last;

    last = value->last - 1;

    if (value->escaped) {
        evs_json_settle(&scan->json, scan->json.pos);
        last = evs_json_canonical(value->start + 1, last);
    }

    text->data = value->start + 1;
    text->len = (size_t) (last - text->data);

    ngx_memzero(size, sizeof(evs_scan_size_t));

    for (p = text->data; p < last; p++) {
        size->len++;
        size->chars += ((*p & 0xc0) != 0x80);

        if (*p == '\\') {
            p++;

            if (*p == 'u') {
                size->nul |= (p[3] == '0' && p[4] == '0');
                p += 4;
            }
        }
    }
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


/* The text of an entry's fault gets its entry in front. */

static ngx_int_t
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
