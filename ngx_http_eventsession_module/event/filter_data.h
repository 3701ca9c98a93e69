
/*
 * The places in a record's data that a filter looks at, all found in one walk
 * over it; and the buffers of texts that can't be compared where they lie.
 * For the files of this room only.
 *
 * Data was checked before it was stored, but it comes back from Redis: what is
 * broken there may miss places, and is never read past its end.
 */


#ifndef _EVS_FILTER_DATA_H_INCLUDED_
#define _EVS_FILTER_DATA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/filter.h"


typedef struct {
    ngx_pool_t           *pool;
    u_char               *data;
    size_t                size;
} evs_filter_buf_t;


typedef struct evs_filter_place_s  evs_filter_place_t;

struct evs_filter_place_s {
    evs_filter_place_t   *next;      /* of the same parent */
    evs_filter_place_t   *children;

    ngx_str_t             name;
    ngx_uint_t            index;     /* what the name is in an array */

    evs_filter_place_t   *next_wanted;
    ngx_str_t             json;      /* the value; no data: it is missing */
    unsigned              wanted:1;  /* not only on the way to others */
};


typedef struct {
    evs_filter_place_t    root;
    evs_filter_place_t   *wanted;
    ngx_uint_t            nwanted;
    ngx_uint_t            nleft;     /* of them, not found yet */
    evs_filter_buf_t     *names;
    unsigned              nomem:1;
} evs_filter_data_t;


/* The place at the end of a path; once for all terms that have it. */
evs_filter_place_t *evs_filter_data_place(ngx_pool_t *pool,
    evs_filter_data_t *data, const ngx_str_t *path, ngx_uint_t n);

/* Sets all wanted places anew.  NGX_OK or NGX_ERROR, no memory. */
ngx_int_t evs_filter_data_find(evs_filter_data_t *data,
    const ngx_str_t *json);


/* At least that many bytes, at buf->data; what was there is lost. */
ngx_int_t evs_filter_buf_need(evs_filter_buf_t *buf, size_t size);

/*
 * The text of the inside of a JSON string: where it lies or, when it has
 * escapes, in the buffer.  NGX_OK or NGX_ERROR, no memory.
 */
ngx_int_t evs_filter_buf_decode(evs_filter_buf_t *buf, const ngx_str_t *json,
    ngx_str_t *text);


#endif /* _EVS_FILTER_DATA_H_INCLUDED_ */
