
/*
 * Eight digits at once, in one word; what is left over, when writing by two,
 * and when reading by a word again, that begins in the one before.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/lex.h"
#include "event/number.h"


static ngx_int_t evs_number_read_each(const u_char *text, size_t len,
    uint64_t *value);


static const u_char  evs_number_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

#define evs_number_pair(p, n)  ngx_memcpy(p, &evs_number_pairs[(n) * 2], 2)


/* Below 100, without a leading zero. */

static ngx_inline u_char *
evs_number_two(u_char *p, uint32_t n)
{
    if (n < 10) {
        *p = (u_char) ('0' + n);
        return p + 1;
    }

    evs_number_pair(p, n);

    return p + 2;
}


/* Below 10^4, without leading zeros. */

static ngx_inline u_char *
evs_number_four(u_char *p, uint32_t n)
{
    if (n < 100) {
        return evs_number_two(p, n);
    }

    p = evs_number_two(p, n / 100);
    evs_number_pair(p, n % 100);

    return p + 2;
}


/* Below 10^8, without leading zeros. */

static ngx_inline u_char *
evs_number_front(u_char *p, uint32_t n)
{
    if (n < 10000) {
        return evs_number_four(p, n);
    }

    p = evs_number_four(p, n / 10000);
    n %= 10000;

    evs_number_pair(p, n / 100);
    evs_number_pair(p + 2, n % 100);

    return p + 4;
}


/*
 * All eight digits of a number below 10^8: halves of four, of two, of one.
 * Each half is divided by multiplying, which is exact for so few digits, and
 * the first digit ends in the lowest byte.
 */

static ngx_inline u_char *
evs_number_eight(u_char *p, uint32_t n)
{
    uint64_t  v, high;

    v = (uint64_t) (n % 10000) << 32 | n / 10000;

    high = ((v * 10486) >> 20) & 0x0000007f0000007fULL;
    v = ((v - high * 100) << 16) + high;

    high = ((v * 103) >> 10) & 0x000f000f000f000fULL;
    v = ((v - high * 10) << 8) + high;

    v |= 0x3030303030303030ULL;

#if !(NGX_HAVE_LITTLE_ENDIAN)
    v = __builtin_bswap64(v);
#endif

    return ngx_cpymem(p, &v, sizeof(uint64_t));
}


u_char *
evs_number_write(u_char *p, uint64_t n)
{
    uint64_t  high;

    if (n < 100000000) {
        return evs_number_front(p, (uint32_t) n);
    }

    high = n / 100000000;

    if (high < 100000000) {
        p = evs_number_front(p, (uint32_t) high);

    } else {
        p = evs_number_front(p, (uint32_t) (high / 100000000));
        p = evs_number_eight(p, (uint32_t) (high % 100000000));
    }

    return evs_number_eight(p, (uint32_t) (n % 100000000));
}


#if (NGX_HAVE_LITTLE_ENDIAN)

/* The value of eight digits: pairs, then fours, then all. */

static ngx_inline uint64_t
evs_number_value(uint64_t x)
{
    x &= 0x0f0f0f0f0f0f0f0fULL;
    x = (x * 10) + (x >> 8);

    return (((x & 0x000000ff000000ffULL) * 0x000f424000000064ULL)
            + (((x >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL))
           >> 32 & 0xffffffff;
}


ngx_int_t
evs_number_read(const u_char *text, size_t len, uint64_t *value)
{
    uint64_t       v, x;
    const u_char  *last;

    static const uint32_t  powers[] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000
    };

    if (len < 8 || len > EVS_NUMBER_DIGITS) {
        return evs_number_read_each(text, len, value);
    }

    v = 0;
    last = text + len;

    do {
        x = evs_lex_load(text);

        if (!evs_lex_8_digits(x)) {
            return NGX_DECLINED;
        }

        v = v * 100000000 + evs_number_value(x);
        text += 8;

    } while (last - text >= 8);

    len %= 8;

    if (len != 0) {
        x = evs_lex_load(last - 8);

        if (!evs_lex_8_digits(x)) {
            return NGX_DECLINED;
        }

        /* those that were there before lie in the low bytes: zeros now */

        x &= ~0ULL << (64 - 8 * len);
        v = v * powers[len] + evs_number_value(x);
    }

    *value = v;

    return NGX_OK;
}

#else

ngx_int_t
evs_number_read(const u_char *text, size_t len, uint64_t *value)
{
    return evs_number_read_each(text, len, value);
}

#endif


static ngx_int_t
evs_number_read_each(const u_char *text, size_t len, uint64_t *value)
{
    uint64_t  v;

    if (len == 0 || len > EVS_NUMBER_DIGITS) {
        return NGX_DECLINED;
    }

    for (v = 0; len != 0; len--) {

        if (!evs_lex_digit(*text)) {
            return NGX_DECLINED;
        }

        v = v * 10 + (uint64_t) (*text++ - '0');
    }

    *value = v;

    return NGX_OK;
}
