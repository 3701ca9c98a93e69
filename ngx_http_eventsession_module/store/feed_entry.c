
/*
 * Entries of the feed, see feed_entry.h.  Pure: no Redis, no clock.
 *
 * What is read may have been written by anybody who can reach the Redis, and
 * goes out as a line of JSON: a text that would end the line or a string of it
 * makes its entry a foreign one.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/time.h"
#include "store/feed_entry.h"


/* the first byte of a member whose id is ours, see member.h */
#define EVS_FEED_OWN_ID  0x01

#define EVS_FEED_ID_MAX  256

#define evs_feed_lit(p, s)  ngx_cpymem(p, s, sizeof(s) - 1)


static ngx_int_t evs_feed_entry_step(evs_feed_entry_t *entry,
    evs_feed_event_t *event);
static ngx_int_t evs_feed_entry_sid(evs_feed_entry_t *entry);
static ngx_int_t evs_feed_entry_event(evs_feed_entry_t *entry, size_t len,
    evs_feed_event_t *event);
static ngx_uint_t evs_feed_safe_string(const ngx_str_t *text);
static ngx_uint_t evs_feed_safe_more(const ngx_str_t *text);
static u_char *evs_feed_string(u_char *p, const ngx_str_t *text);
static u_char *evs_feed_event_id(u_char *p, const evs_member_t *member);


static const ngx_str_t  evs_feed_types[] = {
    ngx_string("EVENT"),           /* EVS_ENTRY_EVENT */
    ngx_string("SESSION_START"),   /* EVS_ENTRY_START */
    ngx_string("SESSION_END")      /* EVS_ENTRY_END */
};


ngx_int_t
evs_feed_entry_read(evs_feed_entry_t *entry, const ngx_str_t *value)
{
    u_char  *p;

    if (value->len < 1 + EVS_FEED_WRITER_LEN
        || value->data[0] != EVS_FEED_ENTRY_FORMAT)
    {
        return NGX_DECLINED;
    }

    ngx_memzero(entry, sizeof(evs_feed_entry_t));

    entry->writer = value->data + 1;
    entry->last = value->data + value->len;

    p = entry->writer + EVS_FEED_WRITER_LEN;
    p = evs_varint_read(p, entry->last, &entry->number);

    if (p == NULL || entry->number == 0) {
        return NGX_DECLINED;
    }

    entry->pos = p;

    return NGX_OK;
}


ngx_int_t
evs_feed_entry_next(evs_feed_entry_t *entry, evs_feed_event_t *event)
{
    ngx_int_t  rc;

    rc = evs_feed_entry_step(entry, event);

    if (rc == NGX_DECLINED) {

        /* should somebody ask again: the same */

        entry->pos = entry->last;
        entry->message = 1;
    }

    return rc;
}


static ngx_int_t
evs_feed_entry_step(evs_feed_entry_t *entry, evs_feed_event_t *event)
{
    u_char    *p;
    uint64_t   n;

    for ( ;; ) {

        if (!entry->message) {

            if (entry->pos == entry->last) {
                return NGX_DONE;
            }

            if (evs_feed_entry_sid(entry) != NGX_OK) {
                return NGX_DECLINED;
            }

            entry->message = 1;
        }

        p = evs_varint_read(entry->pos, entry->last, &n);

        if (p == NULL || (uint64_t) (entry->last - p) < n) {
            return NGX_DECLINED;
        }

        entry->pos = p;

        if (n != 0) {
            return evs_feed_entry_event(entry, (size_t) n, event);
        }

        entry->message = 0;
    }
}


static ngx_int_t
evs_feed_entry_sid(evs_feed_entry_t *entry)
{
    u_char     *p;
    uint64_t    len;
    evs_sid_t   sid;

    p = evs_varint_read(entry->pos, entry->last, &len);

    if (p == NULL || len > EVS_SID_MAX
        || (uint64_t) (entry->last - p) < len
        || (len != 0
            && evs_sid_parse(&sid, EVS_SID_ANY, p, (size_t) len) != NGX_OK))
    {
        return NGX_DECLINED;
    }

    entry->sid.data = p;
    entry->sid.len = (size_t) len;
    entry->pos = p + len;

    return NGX_OK;
}


static ngx_int_t
evs_feed_entry_event(evs_feed_entry_t *entry, size_t len,
    evs_feed_event_t *event)
{
    ngx_str_t  text;

    text.data = entry->pos;
    text.len = len;

    if (evs_member_read(&event->member, &text) != NGX_OK
        || evs_member_us(&event->member, &event->us) != NGX_OK
        || !evs_feed_safe_string(&event->member.name)
        || !evs_feed_safe_more(&event->member.more))
    {
        return NGX_DECLINED;
    }

    event->sid = entry->sid;
    event->index = entry->index++;

    entry->pos += len;

    return NGX_OK;
}


/* Whether the text can stand between the quotes of a JSON string: 1 or 0. */

static ngx_uint_t
evs_feed_safe_string(const ngx_str_t *text)
{
    u_char  *p, *last;

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p < ' ' || *p == '"') {
            return 0;
        }

        if (*p == '\\' && (++p == last || *p < ' ')) {
            return 0;
        }
    }

    return 1;
}


/* Whether the text can follow a member of an object on its line: 1 or 0. */

static ngx_uint_t
evs_feed_safe_more(const ngx_str_t *text)
{
    u_char  *p, *last;

    if (text->len == 0) {
        return 1;
    }

    if (text->len < 2 || text->data[0] != ',' || text->data[1] != '"') {
        return 0;
    }

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p < ' ') {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
evs_feed_entry_last(const ngx_str_t *value)
{
    evs_feed_entry_t  entry;
    evs_feed_event_t  event;

    if (evs_feed_entry_read(&entry, value) != NGX_OK) {
        return 0;
    }

    while (evs_feed_entry_next(&entry, &event) == NGX_OK) { /* void */ }

    return entry.index ? entry.index - 1 : 0;
}


size_t
evs_feed_event_json_max(const evs_feed_event_t *event)
{
    /* a byte of an id takes at most six in JSON */

    return sizeof("{\"event_id\":\"\",\"event_timestamp\":\"\","
                  "\"event_name\":null,\"session_id\":null,"
                  "\"type\":\"SESSION_START\",\"application\":\"\"}")
           + 6 * EVS_FEED_ID_MAX + EVS_TIME_STRING_LEN + event->sid.len
           + event->member.name.len + event->member.application.len
           + event->member.more.len;
}


u_char *
evs_feed_event_json(u_char *p, const evs_feed_event_t *event)
{
    const ngx_str_t     *type;
    const evs_member_t  *member;

    member = &event->member;
    type = &evs_feed_types[member->type];

    p = evs_feed_lit(p, "{\"event_id\":\"");
    p = evs_feed_event_id(p, member);

    p = evs_feed_lit(p, "\",\"event_timestamp\":\"");
    p = evs_time_format(p, event->us, (event->us % 1000 == 0) ? 3 : 6);

    p = evs_feed_lit(p, "\",\"event_name\":");
    p = evs_feed_string(p, (member->type != EVS_ENTRY_EVENT
                            || member->nameless) ? NULL : &member->name);

    p = evs_feed_lit(p, ",\"session_id\":");
    p = evs_feed_string(p, event->sid.len ? &event->sid : NULL);

    p = evs_feed_lit(p, ",\"type\":\"");
    p = ngx_cpymem(p, type->data, type->len);
    *p++ = '"';

    if (member->application.len != 0) {
        p = evs_feed_lit(p, ",\"application\":\"");
        p = ngx_cpymem(p, member->application.data, member->application.len);
        *p++ = '"';
    }

    if (member->type == EVS_ENTRY_EVENT) {
        p = ngx_cpymem(p, member->more.data, member->more.len);
    }

    *p++ = '}';

    return p;
}


/* Text that is the inside of a JSON string already; or null. */

static u_char *
evs_feed_string(u_char *p, const ngx_str_t *text)
{
    if (text == NULL) {
        return evs_feed_lit(p, "null");
    }

    *p++ = '"';
    p = ngx_cpymem(p, text->data, text->len);
    *p++ = '"';

    return p;
}


static u_char *
evs_feed_event_id(u_char *p, const evs_member_t *member)
{
    u_char  *text;

    text = member->text.data;

    if (member->type != EVS_ENTRY_EVENT) {
        return ngx_hex_dump(p, text, member->identity);
    }

    if (text[0] == EVS_FEED_OWN_ID) {
        return ngx_hex_dump(p, text + 1, EVS_MEMBER_ID_LEN);
    }

    return p + evs_json_escape(p, text + 2, text[1]);
}
