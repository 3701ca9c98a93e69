
/*
 * The write side of the event log (contract, section 5): a record and its
 * index entries, as one transaction in the pipeline, so that there is never a
 * record that a filter misses; and, where it is on, into the feed.
 */


#ifndef _EVS_LOG_H_INCLUDED_
#define _EVS_LOG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/record.h"
#include "store/feed.h"
#include "store/log_key.h"
#include "store/store.h"


/* a record on its way; its memory is its owner's, until done */
typedef struct {
    /* set by the caller */
    void               *data;
    /* once; NULL: it is safe, and on the feed; else why it isn't known to be,
       for a client to read */
    void              (*done)(void *data, const char *failure);
    ngx_str_t           application;  /* who sent it; NULL: not known */

    /* what is not done yet */
    unsigned            storing:1;
    unsigned            feeding:1;
    evs_feed_message_t  message;
    const char         *failure;
} evs_log_write_t;


/*
 * Gives the record its id and its time, and sends it.  Its texts are not
 * needed afterwards.  NGX_OK: under way; NGX_ERROR: no memory, or the system
 * has no randomness to give; nothing was sent.
 */
ngx_int_t evs_log_write(const evs_store_conf_t *conf, evs_redis_node_t *node,
    evs_record_t *record, evs_log_write_t *write);


#endif /* _EVS_LOG_H_INCLUDED_ */
