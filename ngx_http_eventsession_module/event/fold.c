
/*
 * ASCII is folded eight bytes at once.  Other characters are looked up in a
 * table of ranges, where a script's letters lie close together: the range
 * that was found last is mostly that of the next one, too.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/fold.h"
#include "event/lex.h"


typedef struct {
    uint32_t           first;
    uint32_t           last;
    uint32_t           step;     /* 2: every other one */
    int32_t            delta;
} evs_fold_range_t;


#include "event/fold_table.h"


#define EVS_FOLD_RANGES  (sizeof(evs_fold_ranges) / sizeof(evs_fold_range_t))


static ngx_inline uint64_t evs_fold_eight(uint64_t x);
static uint32_t evs_fold_char(uint32_t c, ngx_uint_t *slot);
static uint32_t evs_fold_decode(const u_char *p, ngx_int_t n);
static u_char *evs_fold_encode(u_char *p, uint32_t c);


size_t
evs_fold(u_char *dst, const u_char *text, size_t len)
{
    u_char        *p;
    uint64_t       x;
    ngx_int_t      n;
    ngx_uint_t     slot;
    const u_char  *last;

    p = dst;
    slot = 0;
    last = text + len;

    while (text < last) {

        while (last - text >= 8) {
            x = evs_lex_load(text);

            if (x & EVS_LEX_HIGHS) {
                break;
            }

            x = evs_fold_eight(x);
            ngx_memcpy(p, &x, 8);

            p += 8;
            text += 8;
        }

        while (text < last && *text < 0x80) {
            *p++ = ngx_tolower(*text);
            text++;
        }

        while (text < last && *text >= 0x80) {
            n = evs_json_utf8(text, last);

            if (n < 0) {
                *p++ = *text++;
                continue;
            }

            p = evs_fold_encode(p, evs_fold_char(evs_fold_decode(text, n),
                                                 &slot));
            text += n;
        }
    }

    return (size_t) (p - dst);
}


/*
 * None is over 0x7f.  What is added carries into the highest bit of a byte
 * from 'A' on, and from '[' on; where the one did and not the other, the bit
 * of lower case is set.
 */

static ngx_inline uint64_t
evs_fold_eight(uint64_t x)
{
    uint64_t  from, behind;

    from = x + EVS_LEX_ONES * (0x80 - 'A');
    behind = x + EVS_LEX_ONES * (0x80 - '[');

    return x | ((from & ~behind & EVS_LEX_HIGHS) >> 2);
}


/* A slot is a range and the gap behind it. */

static uint32_t
evs_fold_char(uint32_t c, ngx_uint_t *slot)
{
    ngx_uint_t               i, from, to;
    const evs_fold_range_t  *r;

    i = *slot;

    if (c < evs_fold_ranges[i].first
        || (i + 1 < EVS_FOLD_RANGES && c >= evs_fold_ranges[i + 1].first))
    {
        from = 0;
        to = EVS_FOLD_RANGES;

        while (to - from > 1) {
            i = (from + to) / 2;

            if (c < evs_fold_ranges[i].first) {
                to = i;

            } else {
                from = i;
            }
        }

        i = from;
        *slot = i;
    }

    r = &evs_fold_ranges[i];

    if (c < r->first || c > r->last || (c - r->first) % r->step != 0) {
        return c;
    }

    return (uint32_t) ((int32_t) c + r->delta);
}


static uint32_t
evs_fold_decode(const u_char *p, ngx_int_t n)
{
    switch (n) {

    case 2:
        return (uint32_t) ((p[0] & 0x1f) << 6 | (p[1] & 0x3f));

    case 3:
        return (uint32_t) ((p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6
                           | (p[2] & 0x3f));

    default:
        return (uint32_t) ((p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12
                           | (p[2] & 0x3f) << 6 | (p[3] & 0x3f));
    }
}


static u_char *
evs_fold_encode(u_char *p, uint32_t c)
{
    if (c < 0x80) {
        *p++ = (u_char) c;
        return p;
    }

    if (c < 0x800) {
        *p++ = (u_char) (0xc0 | (c >> 6));
        *p++ = (u_char) (0x80 | (c & 0x3f));
        return p;
    }

    if (c < 0x10000) {
        *p++ = (u_char) (0xe0 | (c >> 12));

    } else {
        *p++ = (u_char) (0xf0 | (c >> 18));
        *p++ = (u_char) (0x80 | ((c >> 12) & 0x3f));
    }

    *p++ = (u_char) (0x80 | ((c >> 6) & 0x3f));
    *p++ = (u_char) (0x80 | (c & 0x3f));

    return p;
}
