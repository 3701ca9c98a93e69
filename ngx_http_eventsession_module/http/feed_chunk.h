
/*
 * Text of the feed in memory: made once, and held by each buffer and each
 * subscriber that needs it.  Chunks that follow each other are a chain, in
 * which each one holds the next: whoever holds one has all that follow.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_CHUNK_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_CHUNK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/feed_entry.h"
#include "store/place.h"


typedef struct ngx_http_eventsession_chunk_s  ngx_http_eventsession_chunk_t;

struct ngx_http_eventsession_chunk_s {
    ngx_http_eventsession_chunk_t  *next;     /* held, too; NULL: the last */
    ngx_uint_t                      refs;
    u_char                         *last;
    u_char                         *end;
    u_char                          text[];
};


#define ngx_http_eventsession_chunk_len(chunk)                                \
    ((size_t) ((chunk)->last - (chunk)->text))


/* An empty one, held by the caller; NULL: no memory. */
ngx_http_eventsession_chunk_t *ngx_http_eventsession_chunk_create(size_t size);

/* Let go; NULL is nothing. */
void ngx_http_eventsession_chunk_free(ngx_http_eventsession_chunk_t *chunk);

/*
 * Room for size bytes at the end of a chunk that only the caller holds, which
 * is made when it is NULL, and moved when it has to grow.  NULL: no memory.
 */
u_char *ngx_http_eventsession_chunk_room(
    ngx_http_eventsession_chunk_t **chunk, size_t size);

/*
 * What the feed shows of an event, and of a gap; with a place, a client comes
 * back to there.  Each at the end of such a chunk: NGX_OK, or NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_eventsession_chunk_event(
    ngx_http_eventsession_chunk_t **chunk, uint32_t seed,
    const evs_stream_id_t *entry, const evs_feed_event_t *event);
ngx_int_t ngx_http_eventsession_chunk_gap(
    ngx_http_eventsession_chunk_t **chunk, uint32_t seed,
    const evs_place_t *place);

/* A block without an event: a comment, or retry:, or just the place. */
ngx_int_t ngx_http_eventsession_chunk_comment(
    ngx_http_eventsession_chunk_t **chunk, uint32_t seed,
    const evs_place_t *place);
ngx_int_t ngx_http_eventsession_chunk_retry(
    ngx_http_eventsession_chunk_t **chunk, uint32_t seed,
    const evs_place_t *place);
ngx_int_t ngx_http_eventsession_chunk_place(
    ngx_http_eventsession_chunk_t **chunk, uint32_t seed,
    const evs_place_t *place);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_CHUNK_H_INCLUDED_ */
