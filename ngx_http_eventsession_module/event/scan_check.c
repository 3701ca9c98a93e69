
/*
 * The rules of an entry (contract, sections 0, 1 and 3), and its fields as they
 * are kept.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/scan_part.h"
#include "event/time.h"


typedef struct {
    size_t             len;      /* decoded */
    size_t             chars;
    ngx_uint_t         nul;      /* whether there is one */
} evs_scan_size_t;


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


/* So do all that follow: NGX_OK, or NGX_DECLINED. */

ngx_int_t
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
