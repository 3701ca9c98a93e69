
/*
 * The ids of a stream's entries, "<ms>-<seq>": the time at which Redis took
 * the entry, and a number among those of one ms.  They grow along the stream.
 */


#ifndef _EVS_STREAM_ID_H_INCLUDED_
#define _EVS_STREAM_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/number.h"


/* "<ms>-<seq>", at most */
#define EVS_STREAM_ID_LEN     (20 + 1 + 20)

/* a score is exact below 2^53: 41 bits of ms last until 2039, 12 of seq */
#define EVS_STREAM_SCORE_SEQ  4095
#define EVS_STREAM_SCORE_MS   ((1ULL << 41) - 1)


/* 0-0 is before every entry */
typedef struct {
    uint64_t           ms;
    uint64_t           seq;
} evs_stream_id_t;


/* The end of the number at p; NULL: none is there, or it has leading zeros, or
   takes more than 64 bits. */

static ngx_inline const u_char *
evs_stream_number_read(const u_char *p, const u_char *last, uint64_t *n)
{
    ngx_uint_t     digit;
    const u_char  *start;

    *n = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        digit = (ngx_uint_t) (*p - '0');

        if (*n > (UINT64_MAX - digit) / 10 || (p > start && *n == 0)) {
            return NULL;
        }

        *n = *n * 10 + digit;
    }

    return (p == start) ? NULL : p;
}


/* The end of the id at p; NULL: there is none, or not as Redis writes it. */

static ngx_inline const u_char *
evs_stream_id_read(const u_char *p, const u_char *last, evs_stream_id_t *id)
{
    p = evs_stream_number_read(p, last, &id->ms);

    if (p == NULL || p == last || *p != '-') {
        return NULL;
    }

    return evs_stream_number_read(p + 1, last, &id->seq);
}


/* The whole text is an id: NGX_OK or NGX_DECLINED. */

static ngx_inline ngx_int_t
evs_stream_id_parse(evs_stream_id_t *id, const ngx_str_t *text)
{
    const u_char  *last;

    last = text->data + text->len;

    return (text->len != 0 && evs_stream_id_read(text->data, last, id) == last)
           ? NGX_OK : NGX_DECLINED;
}


/* Writes at most EVS_STREAM_ID_LEN bytes, returns the end. */

static ngx_inline u_char *
evs_stream_id_write(u_char *p, const evs_stream_id_t *id)
{
    p = evs_number_write(p, id->ms);
    *p++ = '-';

    return evs_number_write(p, id->seq);
}


/* Below, equal to or above 0, as the id is before, at or behind the other. */

static ngx_inline ngx_int_t
evs_stream_id_cmp(const evs_stream_id_t *id, const evs_stream_id_t *other)
{
    if (id->ms != other->ms) {
        return (id->ms < other->ms) ? -1 : 1;
    }

    if (id->seq != other->seq) {
        return (id->seq < other->seq) ? -1 : 1;
    }

    return 0;
}


/* The id as a score of a sorted set: it grows with the id, not strictly. */

static ngx_inline uint64_t
evs_stream_id_score(const evs_stream_id_t *id)
{
    return ngx_min(id->ms, EVS_STREAM_SCORE_MS) * (EVS_STREAM_SCORE_SEQ + 1)
           + ngx_min(id->seq, EVS_STREAM_SCORE_SEQ);
}


#endif /* _EVS_STREAM_ID_H_INCLUDED_ */
