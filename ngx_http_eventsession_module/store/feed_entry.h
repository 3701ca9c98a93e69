
/*
 * The value of an entry of the feed's stream: what one process stored in one
 * turn of its event loop, message by message.
 *
 *   byte 0   0x01, the format
 *   8 bytes  the writer: a random number that a process drew for itself
 *   varint   the number of this entry among those of its writer, from 1
 *
 *   then     each message:
 *              varint  the length of its session's id, and the id; 0: of
 *                      no session
 *              members as in the session's set (store/member.h), each behind
 *              a varint of its length; a length of 0 ends the message
 *
 * The events of an entry are counted from 0, over all its messages.
 */


#ifndef _EVS_FEED_ENTRY_H_INCLUDED_
#define _EVS_FEED_ENTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"
#include "store/member.h"
#include "store/varint.h"


#define EVS_FEED_ENTRY_FORMAT    0x01
#define EVS_FEED_WRITER_LEN      8

/* of what comes before the messages */
#define EVS_FEED_HEAD_MAX        (1 + EVS_FEED_WRITER_LEN + EVS_VARINT_MAX)

/* of a message without its members */
#define EVS_FEED_MESSAGE_MAX     (EVS_VARINT_MAX + EVS_SID_MAX + 1)


/* a view of an entry, and how far it has been read */
typedef struct {
    u_char            *pos;
    u_char            *last;
    u_char            *writer;     /* EVS_FEED_WRITER_LEN bytes */
    uint64_t           number;
    ngx_str_t          sid;        /* of the message that is read */
    ngx_uint_t         index;      /* of the next event */
    unsigned           message:1;  /* within one */
} evs_feed_entry_t;

typedef struct {
    ngx_uint_t         index;
    ngx_str_t          sid;
    int64_t            us;
    evs_member_t       member;
} evs_feed_event_t;


static ngx_inline u_char *
evs_feed_entry_head(u_char *p, const u_char *writer, uint64_t number)
{
    *p++ = EVS_FEED_ENTRY_FORMAT;
    p = ngx_cpymem(p, writer, EVS_FEED_WRITER_LEN);

    return evs_varint_write(p, number);
}


static ngx_inline u_char *
evs_feed_entry_message(u_char *p, const evs_sid_t *sid)
{
    p = evs_varint_write(p, sid->len);

    return ngx_cpymem(p, sid->data, sid->len);
}


static ngx_inline u_char *
evs_feed_entry_member(u_char *p, const u_char *member, size_t len)
{
    p = evs_varint_write(p, len);

    return ngx_cpymem(p, member, len);
}


static ngx_inline u_char *
evs_feed_entry_message_end(u_char *p)
{
    *p++ = 0;

    return p;
}


/* Begins to read value.  NGX_OK, or NGX_DECLINED: it isn't one of ours. */
ngx_int_t evs_feed_entry_read(evs_feed_entry_t *entry, const ngx_str_t *value);

/*
 * The next event; its strings lie in the value.  NGX_OK; NGX_DONE: there is
 * none; NGX_DECLINED: the rest isn't ours.
 */
ngx_int_t evs_feed_entry_next(evs_feed_entry_t *entry,
    evs_feed_event_t *event);

/* The index of the last event of a value, as far as it is ours; 0: none. */
ngx_uint_t evs_feed_entry_last(const ngx_str_t *value);

/*
 * The event as the feed shows it (contract, section 6), an object on one
 * line:
 *
 *     {"event_id":"...","event_timestamp":"...","event_name":"...",
 *      "session_id":"...","type":"EVENT","application":"...",
 *      "category":"...","data":...}
 *
 * event_id is the client's id, or ours in hex; that of a SESSION_START or
 * SESSION_END, whose name is null, is its identity in hex.  A batch's event
 * has null for what it was sent without.
 */
size_t evs_feed_event_json_max(const evs_feed_event_t *event);
u_char *evs_feed_event_json(u_char *p, const evs_feed_event_t *event);


#endif /* _EVS_FEED_ENTRY_H_INCLUDED_ */
