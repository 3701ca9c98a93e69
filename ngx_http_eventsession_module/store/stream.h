
/*
 * The stream of the feed as Redis speaks of it: the commands that read it, and
 * entries out of the flat elements of a reply.
 */


#ifndef _EVS_STREAM_H_INCLUDED_
#define _EVS_STREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"
#include "store/stream_id.h"


/* of a command, at most */
#define EVS_STREAM_COMMAND_MAX  (EVS_STORE_KEY_MAX + 256)


typedef enum {
    EVS_STREAM_KEY = 0,
    EVS_STREAM_ID,
    EVS_STREAM_FIELD,
    EVS_STREAM_VALUE,
    EVS_STREAM_FOREIGN
} evs_stream_state_e;


/* how far a reply has come in */
typedef struct {
    evs_stream_id_t      first;    /* of its entries */
    evs_stream_id_t      last;     /* the one that comes in, or came last */
    ngx_uint_t           count;
    size_t               bytes;    /* of all elements */
    evs_stream_state_e   state;
} evs_stream_t;


/* The reply of XRANGE or XREVRANGE; with key == 1, of XREAD. */
void evs_stream_begin(evs_stream_t *stream, ngx_uint_t key);

/*
 * NGX_OK: the element is the value of the entry stream->last; NGX_AGAIN: it is
 * something else.  Entries that nobody of us wrote have no value, but count.
 */
ngx_int_t evs_stream_element(evs_stream_t *stream, const ngx_str_t *element);

/*
 * As many entries as make so many bytes, going by the reply; start: while
 * there is none.
 */
ngx_uint_t evs_stream_fit(const evs_stream_t *stream, size_t bytes,
    ngx_uint_t start);


/*
 * Commands: each writes at most EVS_STREAM_COMMAND_MAX bytes and returns the
 * end.  A range begins with the entry from itself; to == NULL: it ends with
 * the stream.
 */
u_char *evs_stream_range(u_char *p, const ngx_str_t *key,
    const evs_stream_id_t *from, const evs_stream_id_t *to, ngx_uint_t count);

/* XREVRANGE: the last entry alone */
u_char *evs_stream_top(u_char *p, const ngx_str_t *key);

/* XREAD: what is behind an entry, or comes there within block ms */
u_char *evs_stream_read(u_char *p, const ngx_str_t *key,
    const evs_stream_id_t *after, ngx_uint_t count, ngx_msec_t block);


#endif /* _EVS_STREAM_H_INCLUDED_ */
