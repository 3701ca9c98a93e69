
/*
 * One reader's way through what the feed's stream has already: where it ends,
 * and, page by page, what lies behind a place.  The events of sessions that
 * have been deleted since are left out.
 */


#ifndef _EVS_REPLAY_H_INCLUDED_
#define _EVS_REPLAY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/feed_entry.h"
#include "store/gone.h"
#include "store/place.h"
#include "store/store.h"
#include "store/stream.h"


typedef struct {
    /*
     * The next event of the page, valid during the call, which must not call
     * into the redis room.  NGX_OK: it is taken; NGX_DECLINED: the page ends
     * here, and the next one begins with this event.
     */
    ngx_int_t  (*event)(void *data, const evs_stream_id_t *entry,
        const evs_feed_event_t *event);

    /* What comes now isn't what follows: some may be missing.  As event(). */
    void       (*gap)(void *data);

    /* The page comes again: forget its events. */
    void       (*again)(void *data);

    /*
     * The page, or the top, is there, and the cursor has moved.  NGX_OK: there
     * is more behind it; NGX_DONE: there is nothing, for now; NGX_AGAIN: it
     * did not come in time; NGX_ERROR: for failure, see evs_store_failure().
     * May ask for the next one.
     */
    void       (*page)(void *data, ngx_int_t rc, const char *failure);
} evs_replay_handlers_t;


typedef struct {
    evs_place_t                     place;
    unsigned                        whole:1;   /* all of the entry was taken */
} evs_replay_cursor_t;


typedef struct {
    const evs_store_conf_t         *conf;
    evs_redis_node_t               *node;
    const evs_replay_handlers_t    *handlers;
    void                           *data;
    ngx_log_t                      *log;
    ngx_str_t                       key;

    evs_redis_cmd_t                *cmd;       /* NULL: nothing is asked for */
    evs_replay_cursor_t             cursor;

    /* the reply that comes in */
    evs_replay_cursor_t             at;
    evs_stream_t                    entries;
    evs_gone_t                      gone;
    ngx_uint_t                      asked;     /* entries */
    ngx_uint_t                      came;      /* of them, the first time */
    ngx_uint_t                      fit;       /* entries to ask for */

    unsigned                        topping:1; /* the top is asked for */
    unsigned                        many:1;    /* more are gone than are
                                                  told: who is in this page? */
    unsigned                        judging:1; /* the page is read again, with
                                                  what that tells */
    unsigned                        begun:1;   /* entries have come in */
    unsigned                        full:1;    /* an event was declined */
    unsigned                        moved:1;   /* by the last page */
    unsigned                        lost:1;    /* the cursor's entry is gone,
                                                  which was told */
    unsigned                        failed:1;  /* no memory */
    unsigned                        foreign:1; /* was in the log */
} evs_replay_t;


/*
 * The caller has set all before cmd and zeroed the rest; the key is its, too.
 * Each: NGX_OK, or NGX_ERROR: no memory, or the process ends.
 */

/* Sets the cursor to the end of the stream, within timeout. */
ngx_int_t evs_replay_top(evs_replay_t *replay, ngx_msec_t timeout);

/* The page behind the cursor, however long that takes. */
ngx_int_t evs_replay_next(evs_replay_t *replay);

/* Idempotent, and to be called at the end. */
void evs_replay_cancel(evs_replay_t *replay);


#endif /* _EVS_REPLAY_H_INCLUDED_ */
