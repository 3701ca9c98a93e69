
/*
 * Text of the feed: see feed_chunk.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "http/feed_chunk.h"
#include "proto/sse.h"


#define NGX_HTTP_EVENTSESSION_CHUNK_MIN  256

/* ms, and as much again at random: so they don't all come back at once */
#define NGX_HTTP_EVENTSESSION_RETRY      1000
#define NGX_HTTP_EVENTSESSION_JITTER     2000

#define NGX_HTTP_EVENTSESSION_ID_MAX                                          \
    (sizeof("id: \n") - 1 + EVS_PLACE_LEN)

#define ngx_http_eventsession_chunk_lit(p, s)                                 \
    ngx_cpymem(p, s, sizeof(s) - 1)


static u_char *ngx_http_eventsession_chunk_id(u_char *p, uint32_t seed,
    const evs_place_t *place);


ngx_http_eventsession_chunk_t *
ngx_http_eventsession_chunk_create(size_t size)
{
    ngx_http_eventsession_chunk_t  *chunk;

    chunk = ngx_alloc(sizeof(ngx_http_eventsession_chunk_t) + size,
                      ngx_cycle->log);
    if (chunk == NULL) {
        return NULL;
    }

    chunk->next = NULL;
    chunk->refs = 1;
    chunk->last = chunk->text;
    chunk->end = chunk->text + size;

    return chunk;
}


void
ngx_http_eventsession_chunk_free(ngx_http_eventsession_chunk_t *chunk)
{
    ngx_http_eventsession_chunk_t  *next;

    for ( /* void */ ; chunk != NULL; chunk = next) {

        if (--chunk->refs != 0) {
            return;
        }

        next = chunk->next;
        ngx_free(chunk);
    }
}


u_char *
ngx_http_eventsession_chunk_room(ngx_http_eventsession_chunk_t **chunk,
    size_t size)
{
    size_t                          len;
    ngx_http_eventsession_chunk_t  *old, *new;

    old = *chunk;

    if (old != NULL && (size_t) (old->end - old->last) >= size) {
        return old->last;
    }

    len = (old != NULL) ? ngx_http_eventsession_chunk_len(old) : 0;

    size = ngx_max(2 * len + size, NGX_HTTP_EVENTSESSION_CHUNK_MIN);

    new = ngx_http_eventsession_chunk_create(size);
    if (new == NULL) {
        return NULL;
    }

    if (len != 0) {
        new->last = ngx_cpymem(new->text, old->text, len);
    }

    ngx_http_eventsession_chunk_free(old);
    *chunk = new;

    return new->last;
}


ngx_int_t
ngx_http_eventsession_chunk_event(ngx_http_eventsession_chunk_t **chunk,
    uint32_t seed, const evs_stream_id_t *entry,
    const evs_feed_event_t *event)
{
    u_char       *p;
    evs_place_t   place;

    p = ngx_http_eventsession_chunk_room(chunk, NGX_HTTP_EVENTSESSION_ID_MAX
                                 + sizeof("event: message\ndata: \n\n")
                                 + evs_feed_event_json_max(event));
    if (p == NULL) {
        return NGX_ERROR;
    }

    place.entry = *entry;
    place.index = event->index;

    p = ngx_http_eventsession_chunk_id(p, seed, &place);
    p = ngx_http_eventsession_chunk_lit(p, "event: message\n");
    p = evs_sse_field(p, "data");
    p = evs_feed_event_json(p, event);
    p = evs_sse_end(p);

    (*chunk)->last = evs_sse_end(p);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_chunk_gap(ngx_http_eventsession_chunk_t **chunk,
    uint32_t seed, const evs_place_t *place)
{
    u_char  *p;

    p = ngx_http_eventsession_chunk_room(chunk, NGX_HTTP_EVENTSESSION_ID_MAX
                                                + EVS_SSE_GAP_MAX + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_eventsession_chunk_id(p, seed, place);
    p = evs_sse_gap(p);

    (*chunk)->last = evs_sse_end(p);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_chunk_comment(ngx_http_eventsession_chunk_t **chunk,
    uint32_t seed, const evs_place_t *place)
{
    u_char  *p;

    p = ngx_http_eventsession_chunk_room(chunk, NGX_HTTP_EVENTSESSION_ID_MAX
                                                + sizeof(EVS_SSE_COMMENT));
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_eventsession_chunk_lit(p, EVS_SSE_COMMENT);
    p = ngx_http_eventsession_chunk_id(p, seed, place);

    (*chunk)->last = evs_sse_end(p);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_chunk_retry(ngx_http_eventsession_chunk_t **chunk,
    uint32_t seed, const evs_place_t *place)
{
    u_char      *p;
    ngx_msec_t   ms;

    p = ngx_http_eventsession_chunk_room(chunk, NGX_HTTP_EVENTSESSION_ID_MAX
                                                + EVS_SSE_RETRY_MAX + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ms = NGX_HTTP_EVENTSESSION_RETRY
         + (ngx_msec_t) ngx_random() % NGX_HTTP_EVENTSESSION_JITTER;

    p = evs_sse_retry(p, ms);
    p = ngx_http_eventsession_chunk_id(p, seed, place);

    (*chunk)->last = evs_sse_end(p);

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_chunk_place(ngx_http_eventsession_chunk_t **chunk,
    uint32_t seed, const evs_place_t *place)
{
    u_char  *p;

    p = ngx_http_eventsession_chunk_room(chunk,
                                         NGX_HTTP_EVENTSESSION_ID_MAX + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_eventsession_chunk_id(p, seed, place);

    (*chunk)->last = evs_sse_end(p);

    return NGX_OK;
}


/* Nothing, if there is no place. */

static u_char *
ngx_http_eventsession_chunk_id(u_char *p, uint32_t seed,
    const evs_place_t *place)
{
    if (place == NULL) {
        return p;
    }

    p = evs_sse_field(p, "id");
    p = evs_place_write(p, seed, place);

    return evs_sse_end(p);
}
