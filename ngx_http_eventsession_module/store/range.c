
/*
 * Bounds, cursors, and the commands that find them: see range.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/number.h"
#include "redis/redis.h"
#include "store/range.h"


static u_char *evs_cursor_part(u_char **p, u_char *last, int64_t *n);


u_char *
evs_cursor_write(u_char *p, const evs_cursor_t *cursor)
{
    p = ngx_sprintf(p, "%uL.%L.", cursor->rank, cursor->us);
    p = ngx_hex_dump(p, (u_char *) cursor->identity, cursor->len);

    return cursor->rest ? ngx_sprintf(p, "%08xD", cursor->rest) : p;
}


ngx_int_t
evs_cursor_parse(evs_cursor_t *cursor, const ngx_str_t *text)
{
    u_char     *p, *last;
    int64_t     rank;
    ngx_int_t   byte;

    p = text->data;
    last = p + text->len;

    if (evs_cursor_part(&p, last, &rank) == NULL || rank < 0
        || evs_cursor_part(&p, last, &cursor->us) == NULL
        || last == p || (last - p) % 2 != 0
        || (last - p) / 2 > EVS_MEMBER_IDENTITY_MAX + 4)
    {
        return NGX_DECLINED;
    }

    cursor->rank = (uint64_t) rank;
    cursor->len = 0;
    cursor->rest = 0;

    for ( /* void */ ; p < last; p += 2) {
        byte = ngx_hextoi(p, 2);

        if (byte == NGX_ERROR) {
            return NGX_DECLINED;
        }

        if (cursor->len < EVS_MEMBER_IDENTITY_MAX) {
            cursor->identity[cursor->len++] = (u_char) byte;

        } else {
            cursor->rest = cursor->rest << 8 | (uint32_t) byte;
        }
    }

    return NGX_OK;
}


/* A number and the dot behind it; NULL: no such thing. */

static u_char *
evs_cursor_part(u_char **p, u_char *last, int64_t *n)
{
    u_char     *dot, *digits;
    ngx_int_t   value;

    dot = ngx_strlchr(*p, last, '.');

    if (dot == NULL) {
        return NULL;
    }

    digits = (**p == '-') ? *p + 1 : *p;
    value = ngx_atoi(digits, (size_t) (dot - digits));

    if (value == NGX_ERROR) {
        return NULL;
    }

    *n = (digits == *p) ? value : -value;
    *p = dot + 1;

    return dot;
}


u_char *
evs_range_ranks(u_char *p, const ngx_str_t *key, uint64_t first, uint64_t last)
{
    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "ZRANGE", 6);
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_range_number(p, "", (int64_t) first);

    return evs_range_number(p, "", (int64_t) last);
}


u_char *
evs_range_before(u_char *p, const ngx_str_t *key, int64_t us)
{
    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "ZCOUNT", 6);
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_resp_arg(p, (u_char *) "-inf", 4);

    return evs_range_number(p, "(", us);
}


u_char *
evs_range_number(u_char *p, const char *before, int64_t n)
{
    u_char    buf[2 + NGX_INT64_LEN], *last;
    uint64_t  value;

    last = buf;
    value = (uint64_t) n;

    if (*before != '\0') {
        *last++ = (u_char) *before;
    }

    if (n < 0) {
        *last++ = '-';
        value = 0 - value;
    }

    last = evs_number_write(last, value);

    return evs_resp_arg(p, buf, (size_t) (last - buf));
}
