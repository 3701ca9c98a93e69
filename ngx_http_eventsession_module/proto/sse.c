
/*
 * The events of our own on a feed: see sse.h.  Pure: text only.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/sse.h"


#define EVS_SSE_GAP                                                           \
    "event: gap\n"                                                            \
    "data: {\"detail\":\"events are missing here, "                            \
    "as the history does not reach back\"}\n"


u_char *
evs_sse_gap(u_char *p)
{
    return ngx_cpymem(p, EVS_SSE_GAP, sizeof(EVS_SSE_GAP) - 1);
}


u_char *
evs_sse_retry(u_char *p, ngx_msec_t ms)
{
    u_char  digits[NGX_INT_T_LEN], *first, *last;

    last = digits + sizeof(digits);
    first = last;

    do {
        *--first = (u_char) ('0' + ms % 10);
        ms /= 10;
    } while (ms != 0);

    p = evs_sse_field(p, "retry");
    p = ngx_cpymem(p, first, (size_t) (last - first));

    return evs_sse_end(p);
}
