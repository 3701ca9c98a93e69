
/*
 * The counters in Prometheus' text exposition format, version 0.0.4.  Pure.
 */


#ifndef _EVS_STATS_TEXT_H_INCLUDED_
#define _EVS_STATS_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/slots.h"


/* What evs_stats_text() writes at most, of this sum. */
size_t evs_stats_text_max(const evs_stats_sum_t *sum);

/* Writes all families, with version as that of this module; returns the end. */
u_char *evs_stats_text(u_char *p, const evs_stats_sum_t *sum,
    const char *version);


#endif /* _EVS_STATS_TEXT_H_INCLUDED_ */
