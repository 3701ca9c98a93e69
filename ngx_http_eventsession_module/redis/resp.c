
/*
 * The RESP text of a command, written where it will be sent from.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"


static u_char *evs_resp_head(u_char *p, u_char type, size_t n);


u_char *
evs_resp_argc(u_char *p, ngx_uint_t argc)
{
    return evs_resp_head(p, '*', argc);
}


u_char *
evs_resp_arg(u_char *p, const u_char *arg, size_t len)
{
    p = evs_resp_head(p, '$', len);

    if (len) {
        p = ngx_cpymem(p, arg, len);
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}


/* ngx_sprintf() is several times dearer, and this is the hottest write */

static u_char *
evs_resp_head(u_char *p, u_char type, size_t n)
{
    u_char  *q, digits[NGX_SIZE_T_LEN];

    q = digits + NGX_SIZE_T_LEN;

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    *p++ = type;
    p = ngx_cpymem(p, q, (size_t) (digits + NGX_SIZE_T_LEN - q));
    *p++ = CR;
    *p++ = LF;

    return p;
}
