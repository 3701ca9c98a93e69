
/*
 * The member of a session's sorted set: one entry, compact, saying its own
 * format.  All numbers are big-endian.
 *
 *   byte 0   0x01  EVENT with an id of ours: 7 bytes of 1/16 µs since the
 *                  epoch, strictly growing in a process, and 3 bytes that
 *                  tell processes apart.  It makes equal events distinct, and
 *                  orders those of one timestamp as they came
 *            0x02  EVENT with a client's id: 1 byte of length, the id
 *            0x03  SESSION_START: 8 bytes of biased µs.  Score -inf, so that
 *                  the earliest is the first member of the key
 *            0x04  SESSION_END: as START.  Score +inf: the latest is the last
 *
 *   then     how the timestamp was written, one byte:
 *            0x01-0x08  an integer, in so many bytes
 *            0x09-0x10  a decimal: 1 byte of digits behind the point, then
 *                       all its digits as an integer in (code - 8) bytes
 *            0x00       anything else: its JSON text behind a varint of its
 *                       length
 *            0x20       is added when the event has more than a name
 *            0x40       is added when its application is known: behind the
 *                       timestamp, a varint of its length and its name
 *            0x80       is added when the event has no name, not even an
 *                       empty one
 *
 *   then     of an EVENT, its name as the inside of a JSON string: all the
 *            rest; or, with 0x20, behind a varint of its length, and the rest
 *            is JSON as the tree shows it: ,"category":"...","data":...
 *            and, outside of its session's set, ,"session_id":"..."
 *
 * A plain event with a name of n bytes and a timestamp in ms takes 18 + n.
 */


#ifndef _EVS_MEMBER_H_INCLUDED_
#define _EVS_MEMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "event/time.h"


#define EVS_MEMBER_ID_LEN   10

#define EVS_MEMBER_IDENTITY_MAX   256

/* bytes that a member takes beyond the texts of its entry, at most */
#define EVS_MEMBER_MAX      64


typedef struct {
    evs_entry_type_e   type;
    ngx_str_t          text;      /* the member as stored */
    size_t             identity;  /* bytes at its front that tell it from
                                     others, EVS_MEMBER_IDENTITY_MAX at most:
                                     an id of ours; or all of it, as clients
                                     may use an id for two events */
    u_char             code;      /* how the timestamp was written */
    ngx_str_t          timestamp; /* as coded */
    uint64_t           number;    /* of an integer, its value; of a decimal,
                                     all its digits */
    ngx_str_t          application;   /* or empty */
    ngx_str_t          name;
    ngx_str_t          more;      /* ,"category":"...","data":... or empty */
    unsigned           nameless:1;   /* it has no name, which is empty then */
    unsigned           integer:1;    /* the timestamp is one */
} evs_member_t;


/*
 * Writes at most EVS_MEMBER_MAX bytes beyond the entry's own texts; id is
 * EVS_MEMBER_ID_LEN bytes, not used when the entry has an id.
 */
u_char *evs_member_write(u_char *p, const evs_entry_t *entry,
    const u_char *id);

/*
 * A view of a stored member.  NGX_OK, or NGX_DECLINED: it isn't one of ours
 * (wrong format, cut short).
 */
ngx_int_t evs_member_read(evs_member_t *member, const ngx_str_t *text);

/* As evs_member_us(), of what is no integer. */
ngx_int_t evs_member_us_text(const evs_member_t *member, int64_t *us);

/* The JSON text of its timestamp, as it came. */
size_t evs_member_timestamp_max(const evs_member_t *member);
u_char *evs_member_timestamp(u_char *p, const evs_member_t *member);

/* The member as a child in the tree, without a comma. */
size_t evs_member_child_max(const evs_member_t *member);
u_char *evs_member_child(u_char *p, const evs_member_t *member);

/*
 * The member as an entry of a batch, without a comma (contract, section 3):
 * {"timestamp":...,"name":"...","category":"...","data":...,
 * "session_id":"..."}, of which only the timestamp is always there.
 */
size_t evs_member_batch_max(const evs_member_t *member);
u_char *evs_member_batch(u_char *p, const evs_member_t *member);

/* Whether its id is one of ours: 1 or 0. */
ngx_uint_t evs_member_own_id(const evs_member_t *member);

/*
 * An EVENT of a session's set as it is kept outside of it, with the session
 * told inside; what evs_member_write() makes of an entry with a session.
 */
size_t evs_member_copy_max(const evs_member_t *member, const ngx_str_t *sid);
u_char *evs_member_copy(u_char *p, const evs_member_t *member,
    const ngx_str_t *sid);


/* Its timestamp in µs; NGX_OK, or NGX_DECLINED: it has none, and is foreign. */

static ngx_inline ngx_int_t
evs_member_us(const evs_member_t *member, int64_t *us)
{
    if (!member->integer) {
        return evs_member_us_text(member, us);
    }

    *us = evs_time_integer(member->number);

    return NGX_OK;
}


#endif /* _EVS_MEMBER_H_INCLUDED_ */
