
/*
 * Two digits a step.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/number.h"


u_char *
evs_number_write(u_char *p, uint64_t n)
{
    u_char  buf[NGX_INT64_LEN], *last;

    static const u_char  pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";

    last = buf + sizeof(buf);

    while (n >= 100) {
        last -= 2;
        ngx_memcpy(last, &pairs[(n % 100) * 2], 2);
        n /= 100;
    }

    if (n >= 10) {
        last -= 2;
        ngx_memcpy(last, &pairs[n * 2], 2);

    } else {
        *--last = (u_char) ('0' + n);
    }

    return ngx_cpymem(p, last, (size_t) (buf + sizeof(buf) - last));
}
