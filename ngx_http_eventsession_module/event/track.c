
/*
 * Events of trusted applications, see track.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/lex.h"
#include "event/time.h"
#include "event/track.h"


#define EVS_TRACK_URN   "urn:uuid:"


typedef struct {
    const evs_limits_t  *limits;
    ngx_uint_t           sid_kind;
} evs_track_rules_t;


static ngx_int_t evs_track_session(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_track_uuid(evs_sid_t *sid, u_char *p, u_char *last);
static ngx_int_t evs_track_category(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_track_name(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_track_data(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_track_looked(ngx_int_t rc);
static ngx_int_t evs_track_timestamp(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static void evs_track_write_events(evs_fields_out_t *out, const void *data);
static void evs_track_write_event(evs_fields_out_t *out,
    const evs_track_item_t *item);


/* by evs_track_field_e */

static const evs_field_t  evs_track_fields[] = {
    { ngx_string("non_field_errors"), NULL },
    { ngx_string("session_id"), evs_track_session },
    { ngx_string("category"), evs_track_category },
    { ngx_string("name"), evs_track_name },
    { ngx_string("data"), evs_track_data },
    { ngx_string("timestamp"), evs_track_timestamp }
};

static const evs_fields_table_t  evs_track_table = {
    evs_track_fields, EVS_TRACK_FIELDS, sizeof(evs_track_item_t), 1
};


static const ngx_str_t  evs_track_no_uuid =
    ngx_string("Must be a valid UUID.");

static const ngx_str_t  evs_track_no_sid =
    ngx_string("Must be a valid session id: 1 to 128 letters, digits, dots, "
               "underscores, tildes or dashes.");

static const ngx_str_t  evs_track_no_time =
    ngx_string("Datetime has wrong format. Use one of these formats instead: "
               "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].");


ngx_int_t
evs_track_parse(evs_track_t *track, u_char *text, size_t len,
    evs_json_names_t *names, const evs_limits_t *limits, ngx_uint_t sid_kind)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    evs_fields_t       *fields;
    evs_track_rules_t   rules;

    rules.limits = limits;
    rules.sid_kind = sid_kind;

    fields = &track->fields;

    fields->table = &evs_track_table;
    fields->rules = &rules;
    fields->max = limits->entries;

    rc = evs_fields_parse(fields, text, len, names);

    track->items = (evs_track_item_t *) (void *) fields->items;
    track->nitems = fields->nitems;

    for (i = 0; i < track->nitems; i++) {
        track->items[i].entry.type = EVS_ENTRY_EVENT;
    }

    return rc;
}


static ngx_int_t
evs_track_session(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    ngx_str_t                 text;
    evs_track_item_t         *item;
    const evs_track_rules_t  *rules;

    item = (evs_track_item_t *) base;
    rules = fields->rules;

    if (value->type == EVS_JSON_STRING) {
        evs_fields_decoded(value, &text);

        if (evs_sid_parse(&item->sid, rules->sid_kind, text.data, text.len)
            == NGX_OK)
        {
            return NGX_OK;
        }

        if (evs_track_uuid(&item->sid, text.data, text.data + text.len)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    item->sid.len = 0;

    return evs_fields_fault(fields, base, field,
                            rules->sid_kind == EVS_SID_ANY
                            ? &evs_track_no_sid : &evs_track_no_uuid);
}


/* The other ways to write a UUID: as a URN (RFC 4122, 3), and in braces. */

static ngx_int_t
evs_track_uuid(evs_sid_t *sid, u_char *p, u_char *last)
{
    if (evs_lex_at(p, last, EVS_TRACK_URN)) {
        p += sizeof(EVS_TRACK_URN) - 1;
    }

    if (last - p >= 2 && *p == '{' && last[-1] == '}') {
        p++;
        last--;
    }

    return evs_sid_parse(sid, EVS_SID_UUID, p, (size_t) (last - p));
}


static ngx_int_t
evs_track_category(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    ngx_int_t                 rc;
    ngx_str_t                 text;
    const evs_track_rules_t  *rules;

    rules = fields->rules;

    rc = evs_fields_string(fields, base, field, value,
                           rules->limits->category, &text);
    if (rc == NGX_OK) {
        ((evs_track_item_t *) base)->entry.category = text;
    }

    return evs_track_looked(rc);
}


static ngx_int_t
evs_track_name(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    ngx_int_t                 rc;
    ngx_str_t                 text;
    const evs_track_rules_t  *rules;

    rules = fields->rules;

    rc = evs_fields_string(fields, base, field, value,
                           ngx_min(rules->limits->name, EVS_TRACK_NAME_MAX),
                           &text);
    if (rc == NGX_OK) {
        ((evs_track_item_t *) base)->entry.name = text;
    }

    return evs_track_looked(rc);
}


static ngx_int_t
evs_track_data(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    ngx_int_t                 rc;
    ngx_str_t                 data;
    const evs_track_rules_t  *rules;

    rules = fields->rules;

    rc = evs_fields_data(fields, base, field, value, rules->limits->data,
                         &data);
    if (rc == NGX_OK) {
        ((evs_track_item_t *) base)->entry.data = data;
    }

    return evs_track_looked(rc);
}


/* Faults were told. */

static ngx_int_t
evs_track_looked(ngx_int_t rc)
{
    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
evs_track_timestamp(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    ngx_int_t        rc;
    ngx_str_t        text;
    evs_timestamp_t  stamp;

    stamp.text.data = value->start;
    stamp.text.len = (size_t) (value->last - value->start);

    rc = NGX_DECLINED;

    if (value->type == EVS_JSON_NUMBER) {
        rc = evs_time_number(stamp.text.data, stamp.text.len, &stamp.us);

    } else if (value->type == EVS_JSON_STRING) {
        evs_fields_decoded(value, &text);

        rc = evs_time_string(text.data, text.len, &stamp.us);

        if (value->escaped) {

            /* no date-time needs an escape: it is kept without them */

            text.data[text.len] = '"';
            stamp.text.len = text.len + 2;
        }
    }

    if (rc != NGX_OK) {
        return evs_fields_fault(fields, base, field, &evs_track_no_time);
    }

    ((evs_track_item_t *) base)->entry.timestamp = stamp;

    return NGX_OK;
}


ngx_int_t
evs_track_events_json(const evs_track_t *track, ngx_str_t *json)
{
    return evs_fields_reply(track->fields.pool, json, evs_track_write_events,
                            track);
}


static void
evs_track_write_events(evs_fields_out_t *out, const void *data)
{
    const evs_track_t  *track = data;

    ngx_uint_t  i;

    if (track->fields.array) {
        evs_fields_put(out, "[", 1);
    }

    for (i = 0; i < track->nitems; i++) {

        if (i != 0) {
            evs_fields_put(out, ",", 1);
        }

        evs_track_write_event(out, &track->items[i]);
    }

    if (track->fields.array) {
        evs_fields_put(out, "]", 1);
    }
}


static void
evs_track_write_event(evs_fields_out_t *out, const evs_track_item_t *item)
{
    int64_t             us;
    u_char              stamp[EVS_TIME_STRING_LEN], *last;
    const evs_entry_t  *entry;

    entry = &item->entry;
    us = entry->timestamp.us;
    last = evs_time_format(stamp, us, (us % 1000000 != 0) ? 6 : 0);

    evs_fields_put_lit(out, "{\"session_id\":\"");
    evs_fields_put(out, item->sid.data, item->sid.len);
    evs_fields_put_lit(out, "\",\"category\":\"");
    evs_fields_put_str(out, &entry->category);
    evs_fields_put_lit(out, "\",\"name\":\"");
    evs_fields_put_str(out, &entry->name);
    evs_fields_put_lit(out, "\",\"data\":");
    evs_fields_put_str(out, &entry->data);
    evs_fields_put_lit(out, ",\"timestamp\":\"");
    evs_fields_put(out, stamp, (size_t) (last - stamp));
    evs_fields_put_lit(out, "\"}");
}
