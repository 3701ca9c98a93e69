
/*
 * Copying of what is nearly always short: names, ids.  Up to 16 bytes are two
 * loads and two stores, and no call.
 */


#ifndef _EVS_COPY_H_INCLUDED_
#define _EVS_COPY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Two words that may overlap: the first bytes, and the last ones. */

#define evs_copy_ends(p, src, len, type)                                      \
    do {                                                                      \
        type  first, last;                                                    \
                                                                              \
        ngx_memcpy(&first, src, sizeof(type));                                \
        ngx_memcpy(&last, (src) + (len) - sizeof(type), sizeof(type));        \
        ngx_memcpy(p, &first, sizeof(type));                                  \
        ngx_memcpy((p) + (len) - sizeof(type), &last, sizeof(type));          \
    } while (0)


/* The end of what was written at p; src is not read beyond its end. */

static ngx_inline u_char *
evs_copy(u_char *p, const u_char *src, size_t len)
{
    if (len > 16) {
        return ngx_cpymem(p, src, len);
    }

    if (len >= 8) {
        evs_copy_ends(p, src, len, uint64_t);

    } else if (len >= 4) {
        evs_copy_ends(p, src, len, uint32_t);

    } else if (len >= 2) {
        evs_copy_ends(p, src, len, uint16_t);

    } else if (len != 0) {
        *p = *src;
    }

    return p + len;
}


#endif /* _EVS_COPY_H_INCLUDED_ */
