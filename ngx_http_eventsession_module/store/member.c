
/*
 * The member codec, see member.h.  Pure: no Redis, no clock.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/copy.h"
#include "event/json.h"
#include "event/number.h"
#include "event/time.h"
#include "store/member.h"
#include "store/varint.h"


#define EVS_MEMBER_EVENT        0x01
#define EVS_MEMBER_EVENT_ID     0x02
#define EVS_MEMBER_START        0x03
#define EVS_MEMBER_END          0x04

#define EVS_MEMBER_TS_TEXT      0x00
#define EVS_MEMBER_TS_INTEGER   0x00   /* + bytes, 1-8 */
#define EVS_MEMBER_TS_DECIMAL   0x08   /* + bytes, 1-8 */
#define EVS_MEMBER_TS_MASK      0x1f
#define EVS_MEMBER_MORE         0x20
#define EVS_MEMBER_APPLICATION  0x40
#define EVS_MEMBER_NAMELESS     0x80

/* an EVENT with an id of ours, up to its timestamp */
#define EVS_MEMBER_PLAIN        (1 + EVS_MEMBER_ID_LEN + 1)

/* a coded timestamp written out: an integer, a point and a fraction */
#define EVS_MEMBER_NUMBER_MAX   (NGX_INT64_LEN + 1 + EVS_NUMBER_DIGITS)

#define EVS_MEMBER_BIAS         (1ULL << 63)

#define evs_member_lit(p, s)    ngx_cpymem(p, s, sizeof(s) - 1)


static u_char *evs_member_write_timestamp(u_char *p, const ngx_str_t *text,
    u_char flags);
static ngx_uint_t evs_member_decimal(const ngx_str_t *text, uint64_t *digits,
    ngx_uint_t *behind);
static u_char *evs_member_write_more(u_char *p, const evs_entry_t *entry);
static u_char *evs_member_write_session(u_char *p, const ngx_str_t *sid);
static ngx_uint_t evs_member_read_plain(evs_member_t *member, u_char *p,
    u_char *last);
static u_char *evs_member_read_front(evs_member_t *member,
    const ngx_str_t *text);
static u_char *evs_member_read_timestamp(evs_member_t *member, u_char *p,
    u_char *last);
static u_char *evs_member_read_application(evs_member_t *member, u_char *p,
    u_char *last);
static ngx_int_t evs_member_read_name(evs_member_t *member, u_char *p,
    u_char *last);
static u_char *evs_member_decimal_text(u_char *p, const evs_member_t *member);


static ngx_inline ngx_uint_t
evs_member_bytes(uint64_t n)
{
    return (71 - (ngx_uint_t) __builtin_clzll(n | 1)) / 8;
}


static ngx_inline uint64_t
evs_member_big_endian(uint64_t n)
{
#if (NGX_HAVE_LITTLE_ENDIAN)
    return __builtin_bswap64(n);
#else
    return n;
#endif
}


/* In 1 to 8 bytes; all 8 are written, and the rest is written over. */

static ngx_inline u_char *
evs_member_write_integer(u_char *p, uint64_t n, ngx_uint_t bytes)
{
    n = evs_member_big_endian(n << (64 - 8 * bytes));
    ngx_memcpy(p, &n, sizeof(uint64_t));

    return p + bytes;
}


/*
 * Of the 1 to 8 bytes in front of p.  Nearly always there are 8 to be read at
 * once: start is where the member begins.
 */

static ngx_inline uint64_t
evs_member_read_integer(const u_char *start, const u_char *p, ngx_uint_t bytes)
{
    uint64_t  n;

    if ((size_t) (p - start) >= sizeof(uint64_t)) {
        ngx_memcpy(&n, p - sizeof(uint64_t), sizeof(uint64_t));

        return evs_member_big_endian(n) & (~0ULL >> (64 - 8 * bytes));
    }

    n = 0;

    for (p -= bytes; bytes != 0; bytes--) {
        n = n << 8 | *p++;
    }

    return n;
}


u_char *
evs_member_write(u_char *p, const evs_entry_t *entry, const u_char *id)
{
    u_char  flags;

    if (entry->type != EVS_ENTRY_EVENT) {
        *p++ = (entry->type == EVS_ENTRY_START) ? EVS_MEMBER_START
                                                : EVS_MEMBER_END;

        p = evs_member_write_integer(p, (uint64_t) entry->timestamp.us
                                        ^ EVS_MEMBER_BIAS, 8);

        return evs_member_write_timestamp(p, &entry->timestamp.text, 0);
    }

    if (entry->id.data == NULL) {
        *p++ = EVS_MEMBER_EVENT;
        p = ngx_cpymem(p, id, EVS_MEMBER_ID_LEN);

    } else {
        *p++ = EVS_MEMBER_EVENT_ID;
        *p++ = (u_char) entry->id.len;
        p = evs_copy(p, entry->id.data, entry->id.len);
    }

    flags = 0;

    if (entry->category.data != NULL || entry->data.data != NULL
        || entry->session.data != NULL)
    {
        flags |= EVS_MEMBER_MORE;
    }

    if (entry->application.data != NULL) {
        flags |= EVS_MEMBER_APPLICATION;
    }

    if (entry->name.data == NULL) {
        flags |= EVS_MEMBER_NAMELESS;
    }

    p = evs_member_write_timestamp(p, &entry->timestamp.text, flags);

    if (flags & EVS_MEMBER_APPLICATION) {
        p = evs_varint_write(p, entry->application.len);
        p = evs_copy(p, entry->application.data, entry->application.len);
    }

    if (flags & EVS_MEMBER_MORE) {
        p = evs_varint_write(p, entry->name.len);
    }

    if (!(flags & EVS_MEMBER_NAMELESS)) {
        p = evs_copy(p, entry->name.data, entry->name.len);
    }

    return (flags & EVS_MEMBER_MORE) ? evs_member_write_more(p, entry) : p;
}


static u_char *
evs_member_write_timestamp(u_char *p, const ngx_str_t *text, u_char flags)
{
    uint64_t    digits;
    ngx_uint_t  behind, bytes;

    if (evs_number_read(text->data, text->len, &digits) == NGX_OK) {
        bytes = evs_member_bytes(digits);
        *p++ = (u_char) (EVS_MEMBER_TS_INTEGER + bytes) | flags;

        return evs_member_write_integer(p, digits, bytes);
    }

    if (evs_member_decimal(text, &digits, &behind)) {
        bytes = evs_member_bytes(digits);
        *p++ = (u_char) (EVS_MEMBER_TS_DECIMAL + bytes) | flags;
        *p++ = (u_char) behind;

        return evs_member_write_integer(p, digits, bytes);
    }

    *p++ = EVS_MEMBER_TS_TEXT | flags;
    p = evs_varint_write(p, text->len);

    return ngx_cpymem(p, text->data, text->len);
}


/*
 * Whether the text is digits with one point among them, few enough to be
 * written back from an integer: then all its digits, and how many of them are
 * behind the point.  JSON knows no leading zero, so that is exact.
 */

static ngx_uint_t
evs_member_decimal(const ngx_str_t *text, uint64_t *digits, ngx_uint_t *behind)
{
    u_char    *p, *last, *point;
    uint64_t   n;

    if (text->len > EVS_NUMBER_DIGITS + 1) {
        return 0;
    }

    n = 0;
    point = NULL;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p >= '0' && *p <= '9') {
            n = n * 10 + (*p - '0');

        } else if (*p == '.' && point == NULL) {
            point = p;

        } else {
            return 0;
        }
    }

    if (point == NULL) {
        return 0;
    }

    *digits = n;
    *behind = (ngx_uint_t) (last - point - 1);

    return 1;
}


static u_char *
evs_member_write_more(u_char *p, const evs_entry_t *entry)
{
    if (entry->category.data != NULL) {
        p = evs_member_lit(p, ",\"category\":\"");
        p = ngx_cpymem(p, entry->category.data, entry->category.len);
        *p++ = '"';
    }

    if (entry->data.data != NULL) {
        p = evs_member_lit(p, ",\"data\":");
        p = ngx_cpymem(p, entry->data.data, entry->data.len);
    }

    return (entry->session.data != NULL)
           ? evs_member_write_session(p, &entry->session) : p;
}


static u_char *
evs_member_write_session(u_char *p, const ngx_str_t *sid)
{
    p = evs_member_lit(p, ",\"session_id\":\"");
    p = ngx_cpymem(p, sid->data, sid->len);
    *p++ = '"';

    return p;
}


ngx_int_t
evs_member_read(evs_member_t *member, const ngx_str_t *text)
{
    u_char  *p, *last;

    member->text = *text;
    last = text->data + text->len;

    ngx_str_null(&member->application);

    if (evs_member_read_plain(member, text->data, last)) {
        return NGX_OK;
    }

    p = evs_member_read_front(member, text);

    if (p == NULL) {
        return NGX_DECLINED;
    }

    p = evs_member_read_timestamp(member, p, last);

    if (p == NULL) {
        return NGX_DECLINED;
    }

    if (member->code & EVS_MEMBER_APPLICATION) {
        p = evs_member_read_application(member, p, last);

        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    return evs_member_read_name(member, p, last);
}


/*
 * What nearly all are, and a page of a session has by the thousand: an EVENT
 * with an id of ours, an integer for a timestamp, and a name.  0: read it part
 * by part.
 */

static ngx_uint_t
evs_member_read_plain(evs_member_t *member, u_char *p, u_char *last)
{
    ngx_uint_t  bytes;

    if (last - p < EVS_MEMBER_PLAIN || *p != EVS_MEMBER_EVENT) {
        return 0;
    }

    p += EVS_MEMBER_PLAIN;
    bytes = p[-1];

    /* neither a text, nor flags */

    if (bytes - 1 >= EVS_MEMBER_TS_DECIMAL
        || (size_t) (last - p) < bytes)
    {
        return 0;
    }

    member->type = EVS_ENTRY_EVENT;
    member->identity = 1 + EVS_MEMBER_ID_LEN;
    member->code = (u_char) bytes;
    member->timestamp.data = p;
    member->timestamp.len = bytes;

    p += bytes;

    member->number = evs_member_read_integer(member->text.data, p, bytes);
    member->integer = 1;
    member->nameless = 0;
    member->name.data = p;
    member->name.len = (size_t) (last - p);
    member->more.data = last;
    member->more.len = 0;

    return 1;
}


/* What it is, and its id.  The end of it, or NULL: it is none, or cut short. */

static u_char *
evs_member_read_front(evs_member_t *member, const ngx_str_t *text)
{
    size_t   len;
    u_char  *p, *last;

    p = text->data;
    last = p + text->len;

    if (p == last) {
        return NULL;
    }

    member->type = EVS_ENTRY_EVENT;
    member->identity = ngx_min(text->len, EVS_MEMBER_IDENTITY_MAX);

    switch (*p++) {

    case EVS_MEMBER_EVENT:
        member->identity = 1 + EVS_MEMBER_ID_LEN;
        len = EVS_MEMBER_ID_LEN;
        break;

    case EVS_MEMBER_EVENT_ID:
        if (p == last) {
            return NULL;
        }

        len = *p++;
        break;

    case EVS_MEMBER_START:
        member->type = EVS_ENTRY_START;
        len = 8;
        break;

    case EVS_MEMBER_END:
        member->type = EVS_ENTRY_END;
        len = 8;
        break;

    default:
        return NULL;
    }

    return ((size_t) (last - p) < len) ? NULL : p + len;
}


/* The end of it, or NULL: it is none. */

static u_char *
evs_member_read_timestamp(evs_member_t *member, u_char *p, u_char *last)
{
    size_t    len, bytes;
    uint64_t  n;

    if (p == last) {
        return NULL;
    }

    member->code = *p++;
    member->integer = 0;

    len = member->code & EVS_MEMBER_TS_MASK;
    bytes = len;

    if (len == EVS_MEMBER_TS_TEXT) {
        p = evs_varint_read(p, last, &n);

        if (p == NULL || n == 0) {
            return NULL;
        }

        len = (size_t) n;

    } else if (len > EVS_MEMBER_TS_DECIMAL) {
        bytes = len - EVS_MEMBER_TS_DECIMAL;

        /* the digits behind the point */

        if (bytes > 8 || p == last || *p == 0 || *p > EVS_NUMBER_DIGITS) {
            return NULL;
        }

        len = bytes + 1;

    } else {
        member->integer = 1;
    }

    if ((size_t) (last - p) < len) {
        return NULL;
    }

    member->timestamp.data = p;
    member->timestamp.len = len;

    p += len;

    if (bytes != 0) {
        member->number = evs_member_read_integer(member->text.data, p, bytes);
    }

    return p;
}


static u_char *
evs_member_read_application(evs_member_t *member, u_char *p, u_char *last)
{
    uint64_t  n;

    p = evs_varint_read(p, last, &n);

    if (p == NULL || (uint64_t) (last - p) < n) {
        return NULL;
    }

    member->application.len = (size_t) n;
    member->application.data = p;

    return p + n;
}


/* The name, and what is behind it. */

static ngx_int_t
evs_member_read_name(evs_member_t *member, u_char *p, u_char *last)
{
    size_t    len;
    uint64_t  n;

    len = (size_t) (last - p);

    member->nameless = 0;

    if (member->code & EVS_MEMBER_MORE) {
        p = evs_varint_read(p, last, &n);

        if (p == NULL || (uint64_t) (last - p) < n) {
            return NGX_DECLINED;
        }

        len = (size_t) n;
    }

    if (member->code & EVS_MEMBER_NAMELESS) {
        member->nameless = 1;

        if (len != 0) {
            return NGX_DECLINED;
        }
    }

    member->name.data = p;
    member->name.len = len;

    member->more.data = p + len;
    member->more.len = (size_t) (last - p) - len;

    return NGX_OK;
}


/* A text may be anything: the member may be somebody else's. */

ngx_int_t
evs_member_us_text(const evs_member_t *member, int64_t *us)
{
    u_char             buf[EVS_MEMBER_NUMBER_MAX], *last;
    evs_json_t         json;
    const ngx_str_t   *text;
    evs_json_value_t   value;

    text = &member->timestamp;

    if ((member->code & EVS_MEMBER_TS_MASK) != EVS_MEMBER_TS_TEXT) {
        last = evs_member_timestamp(buf, member);
        return evs_time_number(buf, (size_t) (last - buf), us);
    }

    if (text->data[0] == '"') {

        if (text->len < 2 || text->data[text->len - 1] != '"') {
            return NGX_DECLINED;
        }

        return evs_time_string(text->data + 1, text->len - 2, us);
    }

    evs_json_init(&json, text->data, text->len, NULL);

    if (evs_json_value(&json, &value) != NGX_OK
        || value.type != EVS_JSON_NUMBER
        || value.start != text->data
        || value.last != text->data + text->len)
    {
        return NGX_DECLINED;
    }

    return evs_time_number(text->data, text->len, us);
}


size_t
evs_member_timestamp_max(const evs_member_t *member)
{
    return ngx_max(member->timestamp.len, EVS_MEMBER_NUMBER_MAX);
}


u_char *
evs_member_timestamp(u_char *p, const evs_member_t *member)
{
    if (member->integer) {
        return evs_number_write(p, member->number);
    }

    return ((member->code & EVS_MEMBER_TS_MASK) == EVS_MEMBER_TS_TEXT)
           ? ngx_cpymem(p, member->timestamp.data, member->timestamp.len)
           : evs_member_decimal_text(p, member);
}


static u_char *
evs_member_decimal_text(u_char *p, const evs_member_t *member)
{
    u_char      fraction[EVS_NUMBER_DIGITS], *last;
    uint64_t    n;
    ngx_uint_t  behind, i;

    n = member->number;
    behind = member->timestamp.data[0];

    last = fraction + sizeof(fraction);

    for (i = 0; i < behind; i++) {
        *--last = (u_char) ('0' + n % 10);
        n /= 10;
    }

    p = evs_number_write(p, n);
    *p++ = '.';

    return ngx_cpymem(p, last, behind);
}


size_t
evs_member_child_max(const evs_member_t *member)
{
    return sizeof("{\"type\":\"EVENT\",\"timestamp\":,\"name\":\"\"}")
           + EVS_MEMBER_NUMBER_MAX + member->text.len;
}


u_char *
evs_member_child(u_char *p, const evs_member_t *member)
{
    p = evs_member_lit(p, "{\"type\":\"EVENT\",\"timestamp\":");
    p = evs_member_timestamp(p, member);
    p = evs_member_lit(p, ",\"name\":\"");
    p = evs_copy(p, member->name.data, member->name.len);
    *p++ = '"';
    p = evs_copy(p, member->more.data, member->more.len);
    *p++ = '}';

    return p;
}


size_t
evs_member_batch_max(const evs_member_t *member)
{
    return sizeof("{\"timestamp\":,\"name\":\"\"}")
           + EVS_MEMBER_NUMBER_MAX + member->text.len;
}


u_char *
evs_member_batch(u_char *p, const evs_member_t *member)
{
    p = evs_member_lit(p, "{\"timestamp\":");
    p = evs_member_timestamp(p, member);

    if (!member->nameless) {
        p = evs_member_lit(p, ",\"name\":\"");
        p = evs_copy(p, member->name.data, member->name.len);
        *p++ = '"';
    }

    p = evs_copy(p, member->more.data, member->more.len);
    *p++ = '}';

    return p;
}


ngx_uint_t
evs_member_own_id(const evs_member_t *member)
{
    return member->text.data[0] == EVS_MEMBER_EVENT;
}


size_t
evs_member_copy_max(const evs_member_t *member, const ngx_str_t *sid)
{
    return member->text.len + EVS_VARINT_MAX + sizeof(",\"session_id\":\"\"")
           + sid->len;
}


/* The code of the timestamp stands behind the id. */

u_char *
evs_member_copy(u_char *p, const evs_member_t *member, const ngx_str_t *sid)
{
    size_t   len;
    u_char  *start, *last;

    start = p;

    last = member->name.data;

    if (member->code & EVS_MEMBER_MORE) {
        last -= evs_varint_len(member->name.len);
    }

    len = (size_t) (last - member->text.data);

    p = ngx_cpymem(p, member->text.data, len);
    start[1 + EVS_MEMBER_ID_LEN] |= EVS_MEMBER_MORE;

    p = evs_varint_write(p, member->name.len);
    p = ngx_cpymem(p, member->name.data, member->name.len);
    p = ngx_cpymem(p, member->more.data, member->more.len);

    return evs_member_write_session(p, sid);
}
