
/*
 * Two digits a step, and eight digits at once: the steps of eight don't wait
 * for each other.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/number.h"


static u_char *evs_number_short(u_char *p, uint32_t n);
static u_char *evs_number_eight(u_char *p, uint32_t n);


static const u_char  evs_number_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

#define evs_number_pair(p, n)  ngx_memcpy(p, &evs_number_pairs[(n) * 2], 2)


u_char *
evs_number_write(u_char *p, uint64_t n)
{
    uint64_t  high;

    if (n < 100000000) {
        return evs_number_short(p, (uint32_t) n);
    }

    high = n / 100000000;

    if (high < 100000000) {
        p = evs_number_short(p, (uint32_t) high);

    } else {
        p = evs_number_short(p, (uint32_t) (high / 100000000));
        p = evs_number_eight(p, (uint32_t) (high % 100000000));
    }

    return evs_number_eight(p, (uint32_t) (n % 100000000));
}


/* Below 10^8, without leading zeros. */

static u_char *
evs_number_short(u_char *p, uint32_t n)
{
    u_char  buf[8], *last;

    last = buf + sizeof(buf);

    while (n >= 100) {
        last -= 2;
        evs_number_pair(last, n % 100);
        n /= 100;
    }

    if (n >= 10) {
        last -= 2;
        evs_number_pair(last, n);

    } else {
        *--last = (u_char) ('0' + n);
    }

    return ngx_cpymem(p, last, (size_t) (buf + sizeof(buf) - last));
}


static u_char *
evs_number_eight(u_char *p, uint32_t n)
{
    uint32_t  high, low;

    high = n / 10000;
    low = n % 10000;

    evs_number_pair(p, high / 100);
    evs_number_pair(p + 2, high % 100);
    evs_number_pair(p + 4, low / 100);
    evs_number_pair(p + 6, low % 100);

    return p + 8;
}
