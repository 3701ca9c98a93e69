
/*
 * What part of events in order is asked for: its bounds in time, and a cursor
 * that a client brings back; and the commands that find it in a sorted set.
 */


#ifndef _EVS_RANGE_H_INCLUDED_
#define _EVS_RANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/member.h"
#include "store/store.h"


/* a place in the order, just behind one member */
typedef struct {
    uint64_t           rank;          /* of the next one, or less */
    int64_t            us;
    size_t             len;           /* 0: before the first member */
    uint32_t           rest;          /* a hash of what identity was cut from;
                                         0: it is whole */
    u_char             identity[EVS_MEMBER_IDENTITY_MAX];
} evs_cursor_t;

/* its text, safe in a URL: <rank>.<us>.<identity and rest in hex> */
#define EVS_CURSOR_MAX                                                        \
    (2 * NGX_INT64_LEN + 2 * (EVS_MEMBER_IDENTITY_MAX + 4) + 3)

u_char *evs_cursor_write(u_char *p, const evs_cursor_t *cursor);

/* NGX_OK, or NGX_DECLINED: not a cursor of ours */
ngx_int_t evs_cursor_parse(evs_cursor_t *cursor, const ngx_str_t *text);


typedef struct {
    int64_t            from;          /* inclusive, µs */
    int64_t            to;
    evs_cursor_t       after;
    ngx_uint_t         want;          /* events, about; 0: all */
    unsigned           has_from:1;
    unsigned           has_to:1;
    unsigned           has_after:1;
} evs_range_t;


/* room for one of these commands */
#define EVS_RANGE_COMMAND_MAX  (EVS_STORE_KEY_MAX + 128)

/* ZRANGE key first last */
u_char *evs_range_ranks(u_char *p, const ngx_str_t *key, uint64_t first,
    uint64_t last);

/* ZCOUNT key -inf (us: the rank of the first member at us or behind it */
u_char *evs_range_before(u_char *p, const ngx_str_t *key, int64_t us);

/* An integer as an argument, behind a bracket or nothing. */
u_char *evs_range_number(u_char *p, const char *before, int64_t n);


#endif /* _EVS_RANGE_H_INCLUDED_ */
