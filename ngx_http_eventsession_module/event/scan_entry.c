
/*
 * An entry as the scanner reads it: which of the members that mean something
 * it has, and where their values lie.  All of it is looked at, as json.c would.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"
#include "event/scan_part.h"


static ngx_int_t evs_scan_members_end(evs_scan_t *scan, u_char *p);
static ngx_int_t evs_scan_members(evs_scan_t *scan, evs_scan_members_t *m);
static ngx_inline u_char *evs_scan_key_plain(u_char *p, const u_char *last,
    ngx_uint_t *key);
static ngx_int_t evs_scan_key(evs_scan_t *scan, u_char *p, ngx_uint_t *key);
static ngx_uint_t evs_scan_key_find(const ngx_str_t *name);
static ngx_inline ngx_int_t evs_scan_value(evs_json_t *json, u_char *p,
    evs_json_value_t *value);


ngx_int_t
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


ngx_int_t
evs_scan_skip(evs_scan_t *scan)
{
    evs_json_value_t  value;

    return evs_json_value(&scan->json, &value);
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
