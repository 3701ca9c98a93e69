
/*
 * A place in the feed, behind an event: what a client is given as the event's
 * id, and comes back with:
 *
 *     <ms>-<seq>.<index>.<check>
 *
 * the entry's id, the event's index in it, and 8 hex digits of a CRC32 over
 * the feed's key and what stands before, so that an id that was never given
 * out, or by another feed, is known without asking Redis.
 */


#ifndef _EVS_PLACE_H_INCLUDED_
#define _EVS_PLACE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/stream_id.h"


/* 0-0.0 is before every event */
typedef struct {
    evs_stream_id_t    entry;
    uint64_t           index;
} evs_place_t;


#define EVS_PLACE_LEN   (EVS_STREAM_ID_LEN + 1 + 20 + 1 + 8)


/* What the checks of a feed begin with. */
uint32_t evs_place_seed(const ngx_str_t *key);

/* Writes at most EVS_PLACE_LEN bytes, returns the end. */
u_char *evs_place_write(u_char *p, uint32_t seed, const evs_place_t *place);

/* NGX_OK, or NGX_DECLINED: it isn't an id of this feed. */
ngx_int_t evs_place_parse(evs_place_t *place, uint32_t seed,
    const ngx_str_t *text);


#endif /* _EVS_PLACE_H_INCLUDED_ */
