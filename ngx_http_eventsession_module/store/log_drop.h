
/*
 * The retention of the event log: days that are older than
 * eventsession_log_ttl, each with its records and all their index entries.
 */


#ifndef _EVS_LOG_DROP_H_INCLUDED_
#define _EVS_LOG_DROP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


/*
 * With a record that is written at us: begins to drop the days all of whose
 * records are too old by then, if there may be any and nobody in this process
 * is at it.
 */
void evs_log_drop(const evs_store_conf_t *conf, evs_redis_node_t *node,
    int64_t us);

/* At the end of a process, after evs_redis_exit(). */
void evs_log_drop_exit(void);


#endif /* _EVS_LOG_DROP_H_INCLUDED_ */
