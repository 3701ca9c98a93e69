
/*
 * The live reader of a feed's stream: what is stored is handed up as it comes,
 * over a connection of its own, since the command that waits for it would hold
 * up everybody else's.  Redis may go and come back meanwhile, and the stream
 * may be cut: then it is told that there is a gap.
 */


#ifndef _EVS_FOLLOW_H_INCLUDED_
#define _EVS_FOLLOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/place.h"
#include "store/store.h"
#include "store/stream.h"


typedef struct {
    /*
     * An entry, valid during the call, which must not call into the redis
     * room.  NGX_OK: it is taken; NGX_DECLINED: it and what follows is to
     * come again after turn().
     */
    ngx_int_t  (*entry)(void *data, const evs_stream_id_t *id,
        const ngx_str_t *value);

    /*
     * What comes now isn't what follows: some may be missing.  As entry().
     * place, if there is one, is where it goes on.
     */
    void       (*gap)(void *data, const evs_place_t *place);

    /* What came since the last turn() will come again. */
    void       (*again)(void *data);

    /*
     * What came since the last turn() stands, and follow->cursor has moved
     * behind it; or back, when follow->rewound is set.
     */
    void       (*turn)(void *data);
} evs_follow_handlers_t;


typedef struct {
    evs_redis_node_t               *node;      /* NULL: it isn't open */
    evs_redis_cmd_t                *cmd;
    const evs_follow_handlers_t    *handlers;
    void                           *data;

    ngx_str_t                       key;
    ngx_msec_t                      block;
    evs_stream_id_t                 cursor;    /* the last entry taken */

    /* the reply that comes in */
    evs_stream_t                    check;     /* the cursor's own entry */
    evs_stream_t                    entries;
    evs_stream_id_t                 taken;
    evs_place_t                     top;
    ngx_uint_t                      read_reply;
    ngx_uint_t                      fit;       /* entries to ask for */

    ngx_event_t                     timer;     /* to try again */

    unsigned                        full:1;    /* an entry was declined */
    unsigned                        told:1;    /* of a gap, in this turn */
    unsigned                        gapped:1;  /* and nothing came since */
    unsigned                        topping:1; /* the top is asked for */
    unsigned                        rewound:1;
} evs_follow_t;


/*
 * Begins behind cursor.  key is the caller's and lives as long as follow; the
 * caller has zeroed follow.  NGX_OK, or NGX_ERROR: no memory, or the process
 * ends.
 */
ngx_int_t evs_follow_open(evs_follow_t *follow, const evs_store_conf_t *conf,
    const ngx_str_t *key, const evs_stream_id_t *cursor,
    const evs_follow_handlers_t *handlers, void *data);

/* Not to be called from one of its handlers. */
void evs_follow_close(evs_follow_t *follow);


#endif /* _EVS_FOLLOW_H_INCLUDED_ */
