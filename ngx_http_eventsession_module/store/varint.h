
/*
 * Unsigned integers in as few bytes as they need: 7 bits a byte, the lowest
 * first; the high bit says that more follow.
 */


#ifndef _EVS_VARINT_H_INCLUDED_
#define _EVS_VARINT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define EVS_VARINT_MAX   10


static ngx_inline u_char *
evs_varint_write(u_char *p, uint64_t n)
{
    while (n >= 0x80) {
        *p++ = (u_char) (n | 0x80);
        n >>= 7;
    }

    *p++ = (u_char) n;

    return p;
}


/* Bytes that it takes. */

static ngx_inline size_t
evs_varint_len(uint64_t n)
{
    size_t  len;

    for (len = 1; n >= 0x80; n >>= 7) {
        len++;
    }

    return len;
}


/* The end of the integer at p; NULL: cut short, or too long for 64 bits. */

static ngx_inline u_char *
evs_varint_read(u_char *p, const u_char *last, uint64_t *n)
{
    ngx_uint_t  shift;

    *n = 0;

    for (shift = 0; p < last && shift < 64; shift += 7) {
        *n |= (uint64_t) (*p & 0x7f) << shift;

        if (*p++ < 0x80) {
            return p;
        }
    }

    return NULL;
}


#endif /* _EVS_VARINT_H_INCLUDED_ */
