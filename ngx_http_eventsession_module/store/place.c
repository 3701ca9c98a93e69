
/*
 * Ids of events on the feed: see place.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/place.h"


uint32_t
evs_place_seed(const ngx_str_t *key)
{
    uint32_t  seed;

    ngx_crc32_init(seed);
    ngx_crc32_update(&seed, key->data, key->len);

    return seed;
}


u_char *
evs_place_write(u_char *p, uint32_t seed, const evs_place_t *place)
{
    u_char      *start;
    uint32_t     check;
    ngx_uint_t   shift;

    static const u_char  hex[] = "0123456789abcdef";

    start = p;

    p = evs_stream_id_write(p, &place->entry);
    *p++ = '.';
    p = evs_number_write(p, place->index);

    check = seed;
    ngx_crc32_update(&check, start, (size_t) (p - start));
    ngx_crc32_final(check);

    *p++ = '.';

    for (shift = 32; shift != 0; /* void */ ) {
        shift -= 4;
        *p++ = hex[(check >> shift) & 0xf];
    }

    return p;
}


/* What it would have been written as is what it must be. */

ngx_int_t
evs_place_parse(evs_place_t *place, uint32_t seed, const ngx_str_t *text)
{
    u_char         written[EVS_PLACE_LEN];
    size_t         len;
    const u_char  *p, *last;

    last = text->data + text->len;

    p = evs_stream_id_read(text->data, last, &place->entry);

    if (p == NULL || p == last || *p != '.') {
        return NGX_DECLINED;
    }

    if (evs_stream_number_read(p + 1, last, &place->index) == NULL) {
        return NGX_DECLINED;
    }

    len = (size_t) (evs_place_write(written, seed, place) - written);

    return (len == text->len && ngx_memcmp(written, text->data, len) == 0)
           ? NGX_OK : NGX_DECLINED;
}
