
/*
 * UTF-8 checked in pieces.  It owns what may follow what; it must not know
 * where the bytes come from or what they mean.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "proto/utf8.h"


/*
 * The state inside a character: how many bytes are to come, and the range of
 * the next one.  Ranges narrower than 80..BF follow E0, ED, F0 and F4: that is
 * how overlong forms, surrogates and what lies over U+10FFFF end at their
 * second byte (RFC 3629, section 4).
 */
#define evs_utf8_want(left, low, high)                                        \
    ((evs_utf8_t) (left) << 16 | (evs_utf8_t) (low) << 8 | (evs_utf8_t) (high))

#define evs_utf8_left(s)  ((s) >> 16)
#define evs_utf8_low(s)   ((s) >> 8 & 0xff)
#define evs_utf8_high(s)  ((s) & 0xff)

#define evs_utf8_tail(c)  (((c) & 0xc0) == 0x80)


static evs_utf8_t evs_utf8_lead(u_char ch);
static const u_char *evs_utf8_skip_ascii(const u_char *p, const u_char *last);
static const u_char *evs_utf8_skip_common(const u_char *p,
    const u_char *last);


ngx_int_t
evs_utf8_check(evs_utf8_t *state, const u_char *p, const u_char *last)
{
    evs_utf8_t  s;

    s = *state;

    while (p < last) {

        if (s == 0) {
            p = evs_utf8_skip_ascii(p, last);
            p = evs_utf8_skip_common(p, last);

            if (p == last) {
                break;
            }

            if (*p < 0x80) {
                continue;
            }

            s = evs_utf8_lead(*p++);

            if (s == 0) {
                return NGX_ERROR;
            }

            continue;
        }

        if (*p < evs_utf8_low(s) || *p > evs_utf8_high(s)) {
            return NGX_ERROR;
        }

        p++;

        s = (evs_utf8_left(s) == 1)
            ? 0 : evs_utf8_want(evs_utf8_left(s) - 1, 0x80, 0xbf);
    }

    *state = s;

    return NGX_OK;
}


/* What must follow the first byte of a longer character; 0: it is none. */

static evs_utf8_t
evs_utf8_lead(u_char ch)
{
    if (ch < 0xc2 || ch > 0xf4) {
        return 0;
    }

    if (ch < 0xe0) {
        return evs_utf8_want(1, 0x80, 0xbf);
    }

    if (ch < 0xf0) {
        return evs_utf8_want(2, ch == 0xe0 ? 0xa0 : 0x80,
                             ch == 0xed ? 0x9f : 0xbf);
    }

    return evs_utf8_want(3, ch == 0xf0 ? 0x90 : 0x80, ch == 0xf4 ? 0x8f : 0xbf);
}


static const u_char *
evs_utf8_skip_ascii(const u_char *p, const u_char *last)
{
#if defined(__SSE2__)

    int  high;

    for ( /* void */ ; last - p >= 16; p += 16) {
        high = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *) p));

        if (high != 0) {
            return p + __builtin_ctz((unsigned) high);
        }
    }

#else

    uint64_t  word;

    for ( /* void */ ; last - p >= 8; p += 8) {
        ngx_memcpy(&word, p, 8);

        if (word & 0x8080808080808080) {
            break;
        }
    }

#endif

    while (p < last && *p < 0x80) {
        p++;
    }

    return p;
}


/*
 * Steps over whole characters of two bytes, and of three where the second byte
 * has the full range: nearly all text that isn't ASCII.  What is rarer, wrong
 * or cut off is left to the state machine.
 */

static const u_char *
evs_utf8_skip_common(const u_char *p, const u_char *last)
{
    while (last - p >= 3) {

        if (*p >= 0xc2 && *p < 0xe0 && evs_utf8_tail(p[1])) {
            p += 2;
            continue;
        }

        if (*p > 0xe0 && *p < 0xf0 && *p != 0xed
            && evs_utf8_tail(p[1]) && evs_utf8_tail(p[2]))
        {
            p += 3;
            continue;
        }

        break;
    }

    return p;
}
