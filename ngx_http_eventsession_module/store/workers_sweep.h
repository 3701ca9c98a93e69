
/*
 * What the watch finds in the records of all processes (workers_watch.h), and
 * writes: workers of processes that are dead, or of which no sign is left, are
 * finished; those that are finished for too long, or are too many, go; and so
 * do the signs of the dead.
 */


#ifndef _EVS_WORKERS_SWEEP_H_INCLUDED_
#define _EVS_WORKERS_SWEEP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/workers_watch.h"


/*
 * The records are read, and behind them the signs of all who live.  What is
 * found is watch->clean, until it is written.
 */
void evs_workers_sweep(evs_workers_watch_t *watch);


#endif /* _EVS_WORKERS_SWEEP_H_INCLUDED_ */
