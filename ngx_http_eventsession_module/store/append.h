
/*
 * A message into its session: all its entries as one ZADD, written straight
 * from the scanner into the Redis output buffer; and, where it is on, into the
 * feed.
 */


#ifndef _EVS_APPEND_H_INCLUDED_
#define _EVS_APPEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "event/scan.h"
#include "store/feed.h"
#include "store/id.h"
#include "store/store.h"


/* an event of some session */
typedef struct {
    evs_sid_t           sid;
    evs_entry_t         entry;
    const evs_id_t     *id;      /* the one to take; NULL: a new one */
} evs_append_event_t;


/* a message on its way; its memory is its owner's, until done */
typedef struct {
    /* set by the caller */
    void               *data;
    /* once; NULL: it is safe, and on the feed; else why it isn't known to be,
       for a client to read */
    void              (*done)(void *data, const char *failure);
    ngx_str_t           application;  /* of all entries; NULL: not known */

    /* what was read */
    ngx_uint_t          entries;
    unsigned            ended:1;      /* a SESSION_END is among them */

    /* what is not done yet */
    unsigned            storing:1;
    unsigned            feeding:1;
    evs_feed_message_t  message;
    const char         *failure;
} evs_append_t;


/*
 * Reads scan to its end.
 *
 *     NGX_OK      under way; append->done says how it ended
 *     NGX_DONE    the message had no entries: nothing to store
 *     NGX_ERROR   a bad message, see scan->fault; nothing was stored
 *     NGX_ABORT   no memory; nothing was stored
 */
ngx_int_t evs_append(const evs_store_conf_t *conf, evs_redis_node_t *node,
    evs_scan_t *scan, evs_append_t *append);

/*
 * n events, 1 at least, of as many sessions as there are: a ZADD for each
 * session, in one command for Redis' pipeline, in the order given within each.
 * The events lie in one array, and the pointers to them are sorted.  NGX_OK or
 * NGX_ABORT, as above.
 */
ngx_int_t evs_append_events(const evs_store_conf_t *conf,
    evs_redis_node_t *node, const evs_append_event_t **events, ngx_uint_t n,
    evs_append_t *append);


#endif /* _EVS_APPEND_H_INCLUDED_ */
