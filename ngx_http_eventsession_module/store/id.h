
/*
 * Ids of events: unique among all processes, growing in the order of arrival.
 */


#ifndef _EVS_ID_H_INCLUDED_
#define _EVS_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/member.h"


/*
 * A run of ids, one for each entry of a message: evs_id_begin() before the
 * first, evs_id_next() for each, evs_id_end() when the message is kept.
 */
typedef struct {
    uint64_t           ticks;         /* of the next one */
    u_char             text[EVS_MEMBER_ID_LEN];   /* the last one given */
} evs_id_t;


/* NGX_OK, or NGX_ERROR when the system has no randomness to give */
ngx_int_t evs_id_begin(evs_id_t *id);
void evs_id_next(evs_id_t *id);
void evs_id_end(const evs_id_t *id);

/*
 * The run as EVS_MEMBER_ID_LEN bytes, from the id that is next; and such a run
 * again, which is nobody else's: it needs no evs_id_begin() and no end.
 */
void evs_id_save(const evs_id_t *id, u_char *text);
void evs_id_load(evs_id_t *id, const u_char *text);


#endif /* _EVS_ID_H_INCLUDED_ */
