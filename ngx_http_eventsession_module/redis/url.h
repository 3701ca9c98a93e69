
/*
 * The URL of a Redis:
 *
 *     redis://[[user]:password@]host[:port][/db]
 *     unix:/path[?db=n&user=...&password=...]
 *
 * user, password and path may be percent-encoded.
 */


#ifndef _EVS_REDIS_URL_H_INCLUDED_
#define _EVS_REDIS_URL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/conf.h"


typedef struct {
    ngx_str_t     name;                    /* with its "=" */
    ngx_int_t   (*set)(ngx_conf_t *cf, evs_redis_conf_t *conf,
                       ngx_str_t *value);
} evs_redis_option_t;


/*
 * Fills conf from conf->url and looks its host up.  NGX_OK, or NGX_ERROR after
 * a message to the log.
 */
ngx_int_t evs_redis_url_parse(ngx_conf_t *cf, evs_redis_conf_t *conf);

/*
 * Sets a name=value by a table that ends with a NULL set.  NGX_OK, NGX_ERROR
 * after a message, or NGX_DECLINED: there is no such option.
 */
ngx_int_t evs_redis_option_set(ngx_conf_t *cf, evs_redis_conf_t *conf,
    const evs_redis_option_t *options, ngx_str_t *arg);


#endif /* _EVS_REDIS_URL_H_INCLUDED_ */
