
/*
 * Keys of the event log, and its time: see log_key.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>

#include "store/log_key.h"


#define EVS_LOG_SHA1_LEN   20


int64_t
evs_log_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000000 + (int64_t) tp->msec * 1000;
}


u_char *
evs_log_days_key(u_char *p, const evs_store_conf_t *conf)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_cpymem(p, "{log}:days", sizeof("{log}:days") - 1);
}


u_char *
evs_log_day_key(u_char *p, const evs_store_conf_t *conf, int64_t day)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_sprintf(p, "{log}:%L", day);
}


/*
 * A value that begins as a digest does may share its key with another one:
 * that costs a look at its records, which the filter refuses.
 */

u_char *
evs_log_index_key(u_char *p, const evs_store_conf_t *conf, int64_t day,
    evs_log_index_e index, const ngx_str_t *value)
{
    u_char       hash[EVS_LOG_SHA1_LEN];
    ngx_sha1_t   sha1;

    static const u_char  letters[EVS_LOG_INDEXES] = { 'e', 'v', 'c' };

    p = evs_log_day_key(p, conf, day);
    *p++ = ':';
    *p++ = letters[index];
    *p++ = ':';

    if (value->len <= EVS_LOG_VALUE_MAX) {
        return ngx_cpymem(p, value->data, value->len);
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, value->data, value->len);
    ngx_sha1_final(hash, &sha1);

    *p++ = '#';

    return ngx_hex_dump(p, hash, EVS_LOG_SHA1_LEN);
}
