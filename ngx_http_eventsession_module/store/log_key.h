
/*
 * The keys of the event log, all of one slot:
 *
 *     <prefix>{log}:<day>              the records of a UTC day, by createdAt
 *     <prefix>{log}:days               which days there are
 *     <prefix>{log}:<day>:e:<email>    which of the day's records have it; :v:
 *                                      for environments, :c: for components
 *
 * A day is its number since the epoch, and each score in its keys createdAt in
 * µs.  A member of an index is the first bytes of a record's id.
 */


#ifndef _EVS_LOG_KEY_H_INCLUDED_
#define _EVS_LOG_KEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


#define EVS_LOG_DAY_US      86400000000LL

/* bytes of an id, in an index */
#define EVS_LOG_INDEX_ID    8

/* bytes of a value that stands in a key as it is; of others the SHA-1 does */
#define EVS_LOG_VALUE_MAX   64

#define EVS_LOG_KEY_MAX                                                       \
    (EVS_STORE_PREFIX_MAX + sizeof("{log}::e:") + NGX_INT64_LEN               \
     + EVS_LOG_VALUE_MAX)


typedef enum {
    EVS_LOG_EMAIL = 0,
    EVS_LOG_ENVIRONMENT,
    EVS_LOG_COMPONENT,
    EVS_LOG_INDEXES
} evs_log_index_e;


/* The time of this turn of the event loop, in µs. */
int64_t evs_log_now(void);

/* The day of a time in µs, which is not before the epoch. */
#define evs_log_day(us)     ((us) / EVS_LOG_DAY_US)


/*
 * Each writes at most EVS_LOG_KEY_MAX bytes, returns the end.  A value is the
 * inside of a canonical JSON string, as records have it.
 */
u_char *evs_log_days_key(u_char *p, const evs_store_conf_t *conf);
u_char *evs_log_day_key(u_char *p, const evs_store_conf_t *conf, int64_t day);
u_char *evs_log_index_key(u_char *p, const evs_store_conf_t *conf, int64_t day,
    evs_log_index_e index, const ngx_str_t *value);


#endif /* _EVS_LOG_KEY_H_INCLUDED_ */
