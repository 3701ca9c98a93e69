
/*
 * Entries of the event log's indexes that have no record, taken out.
 *
 * A record is written behind its entries: an entry without one is of a record
 * that is being written, or of one that never was.  It goes when it is so old
 * that no writer can still be at it.  Nobody waits for that: if it isn't done,
 * whoever comes next does it.
 */


#ifndef _EVS_LOG_SWEEP_H_INCLUDED_
#define _EVS_LOG_SWEEP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_merge.h"


/* Of the first n that are wanted and were looked up, those not found. */
void evs_log_sweep(evs_log_merge_t *merge, ngx_uint_t n);


#endif /* _EVS_LOG_SWEEP_H_INCLUDED_ */
