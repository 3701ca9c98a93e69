
/*
 * The text of ZADD, see zadd.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/number.h"
#include "redis/redis.h"
#include "store/store.h"
#include "store/zadd.h"


#define evs_zadd_lit(p, s)  ngx_cpymem(p, s, sizeof(s) - 1)


static u_char *evs_zadd_score(u_char *p, int64_t us);


u_char *
evs_zadd_head(u_char *p, const u_char *key, size_t len, ngx_uint_t n)
{
    p = evs_resp_argc(p, 2 + 2 * n);
    p = evs_zadd_lit(p, "$4\r\nZADD\r\n");

    return evs_resp_arg(p, key, len);
}


size_t
evs_zadd_entry_max(const evs_entry_t *entry)
{
    return entry->name.len + entry->id.len + entry->category.len
           + entry->data.len + entry->timestamp.text.len + entry->session.len
           + EVS_MEMBER_MAX + 2 * EVS_RESP_ARG_MAX + NGX_INT64_LEN + 1
           + EVS_APPLICATION_MAX;
}


/*
 * The member is written once: behind room for a length of two digits, as
 * nearly all have, and moved when its length has more.
 */

u_char *
evs_zadd_entry(u_char *p, const evs_entry_t *entry, evs_id_t *id,
    ngx_str_t *member)
{
    size_t   len, digits;
    u_char  *start;

    if (entry->type == EVS_ENTRY_EVENT) {
        p = evs_zadd_score(p, entry->timestamp.us);
        evs_id_next(id);

    } else if (entry->type == EVS_ENTRY_START) {
        p = evs_zadd_lit(p, "$4\r\n-inf\r\n");

    } else {
        p = evs_zadd_lit(p, "$4\r\n+inf\r\n");
    }

    start = p + sizeof("$nn\r\n") - 1;

    len = (size_t) (evs_member_write(start, entry, id->text) - start);
    digits = evs_zadd_digits(len);

    if (digits != 2) {
        ngx_memmove(start + digits - 2, start, len);
        start = start + digits - 2;
    }

    member->len = len;
    member->data = start;

    *p++ = '$';
    p = evs_number_write(p, len);
    *p++ = CR;
    *p++ = LF;

    p = start + len;
    *p++ = CR;
    *p++ = LF;

    return p;
}


/* It is written once, too: nearly all have 10 digits or more. */

static u_char *
evs_zadd_score(u_char *p, int64_t us)
{
    size_t     len;
    u_char    *start, *last;
    uint64_t   n;

    start = p + sizeof("$nn\r\n") - 1;
    last = start;
    n = (uint64_t) us;

    if (us < 0) {
        *last++ = '-';
        n = 0 - n;
    }

    last = evs_number_write(last, n);
    len = (size_t) (last - start);

    *p++ = '$';

    if (len < 10) {
        *p++ = (u_char) ('0' + len);
        ngx_memmove(p + 2, start, len);
        last--;

    } else {
        *p++ = (u_char) ('0' + len / 10);
        *p++ = (u_char) ('0' + len % 10);
    }

    *p++ = CR;
    *p++ = LF;

    *last++ = CR;
    *last++ = LF;

    return last;
}


ngx_uint_t
evs_zadd_digits(ngx_uint_t n)
{
    ngx_uint_t  digits;

    for (digits = 1; n >= 10; n /= 10) {
        digits++;
    }

    return digits;
}
