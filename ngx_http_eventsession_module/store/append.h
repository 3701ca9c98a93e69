
/*
 * A message into its session: all its entries as one ZADD, written straight
 * from the scanner into the Redis output buffer.
 */


#ifndef _EVS_APPEND_H_INCLUDED_
#define _EVS_APPEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/scan.h"
#include "store/store.h"


typedef struct {
    ngx_uint_t         entries;
    unsigned           ended:1;       /* a SESSION_END is among them */
    evs_redis_cmd_t   *cmd;           /* is under way */
} evs_append_t;


/*
 * Reads scan to its end.
 *
 *     NGX_OK      under way; handlers->done says how it ended
 *     NGX_DONE    the message had no entries: nothing to store
 *     NGX_ERROR   a bad message, see scan->fault; nothing was stored
 *     NGX_ABORT   no memory; nothing was stored
 */
ngx_int_t evs_append(const evs_store_conf_t *conf, evs_redis_node_t *node,
    evs_scan_t *scan, const evs_redis_handlers_t *handlers, void *data,
    evs_append_t *append);

/* Whether a reply means that the message is stored: 1 or 0. */
ngx_uint_t evs_append_stored(const evs_redis_reply_t *reply);


#endif /* _EVS_APPEND_H_INCLUDED_ */
