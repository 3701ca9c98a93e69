
/*
 * Commands and replies of streams: see stream.h.
 *
 * A reply comes in flat, id, field, value, id ...  An entry of ours has one
 * field, "m"; after one that has others, its elements are passed over until
 * something is an id that can follow.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/stream.h"


#define EVS_STREAM_MOST  1000     /* entries a reply */


static u_char *evs_stream_arg_id(u_char *p, const evs_stream_id_t *id);
static u_char *evs_stream_arg_count(u_char *p, ngx_uint_t count);

#define evs_stream_arg(p, s)                                                  \
    evs_resp_arg(p, (const u_char *) s, sizeof(s) - 1)


void
evs_stream_begin(evs_stream_t *stream, ngx_uint_t key)
{
    ngx_memzero(stream, sizeof(evs_stream_t));

    stream->state = key ? EVS_STREAM_KEY : EVS_STREAM_ID;
}


ngx_int_t
evs_stream_element(evs_stream_t *stream, const ngx_str_t *element)
{
    evs_stream_id_t  id;

    stream->bytes += element->len;

    switch (stream->state) {

    case EVS_STREAM_KEY:
        stream->state = EVS_STREAM_ID;
        return NGX_AGAIN;

    case EVS_STREAM_ID:

        if (evs_stream_id_parse(&id, element) == NGX_OK
            && evs_stream_id_cmp(&id, &stream->last) > 0)
        {
            stream->last = id;
            stream->state = EVS_STREAM_FIELD;

            if (stream->count++ == 0) {
                stream->first = id;
            }
        }

        return NGX_AGAIN;

    case EVS_STREAM_FIELD:
        stream->state = (element->len == 1 && element->data[0] == 'm')
                        ? EVS_STREAM_VALUE : EVS_STREAM_FOREIGN;
        return NGX_AGAIN;

    case EVS_STREAM_VALUE:
        stream->state = EVS_STREAM_ID;
        return NGX_OK;

    default: /* EVS_STREAM_FOREIGN */
        stream->state = EVS_STREAM_ID;
        return NGX_AGAIN;
    }
}


ngx_uint_t
evs_stream_fit(const evs_stream_t *stream, size_t bytes, ngx_uint_t start)
{
    ngx_uint_t  n;

    if (stream->count == 0) {
        return start;
    }

    n = bytes / (stream->bytes / stream->count + 1);

    /* the first one may be known already */

    return ngx_max(ngx_min(n, EVS_STREAM_MOST), 2);
}


u_char *
evs_stream_range(u_char *p, const ngx_str_t *key, const evs_stream_id_t *from,
    const evs_stream_id_t *to, ngx_uint_t count)
{
    p = evs_resp_argc(p, 6);
    p = evs_stream_arg(p, "XRANGE");
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_stream_arg_id(p, from);
    p = to ? evs_stream_arg_id(p, to) : evs_stream_arg(p, "+");

    return evs_stream_arg_count(p, count);
}


u_char *
evs_stream_top(u_char *p, const ngx_str_t *key)
{
    p = evs_resp_argc(p, 6);
    p = evs_stream_arg(p, "XREVRANGE");
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_stream_arg(p, "+");
    p = evs_stream_arg(p, "-");

    return evs_stream_arg_count(p, 1);
}


u_char *
evs_stream_read(u_char *p, const ngx_str_t *key, const evs_stream_id_t *after,
    ngx_uint_t count, ngx_msec_t block)
{
    u_char  number[NGX_INT64_LEN], *last;

    p = evs_resp_argc(p, 8);
    p = evs_stream_arg(p, "XREAD");
    p = evs_stream_arg_count(p, count);
    p = evs_stream_arg(p, "BLOCK");

    last = evs_number_write(number, block);
    p = evs_resp_arg(p, number, (size_t) (last - number));

    p = evs_stream_arg(p, "STREAMS");
    p = evs_resp_arg(p, key->data, key->len);

    return evs_stream_arg_id(p, after);
}


static u_char *
evs_stream_arg_id(u_char *p, const evs_stream_id_t *id)
{
    u_char  text[EVS_STREAM_ID_LEN], *last;

    last = evs_stream_id_write(text, id);

    return evs_resp_arg(p, text, (size_t) (last - text));
}


static u_char *
evs_stream_arg_count(u_char *p, ngx_uint_t count)
{
    u_char  number[NGX_INT64_LEN], *last;

    p = evs_stream_arg(p, "COUNT");
    last = evs_number_write(number, count);

    return evs_resp_arg(p, number, (size_t) (last - number));
}
