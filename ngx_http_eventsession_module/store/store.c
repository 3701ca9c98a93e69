
/*
 * Key names and the bound on what is under way.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


ngx_uint_t
evs_store_same_prefix(const evs_store_conf_t *one, const evs_store_conf_t *two)
{
    return one->prefix.len == two->prefix.len
           && ngx_memcmp(one->prefix.data, two->prefix.data, one->prefix.len)
              == 0;
}


ngx_uint_t
evs_store_has_room(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    return evs_redis_has_room(node, conf->max_inflight);
}


u_char *
evs_store_key(u_char *p, const evs_store_conf_t *conf, const evs_sid_t *sid)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);
    *p++ = '{';
    p = ngx_cpymem(p, sid->data, sid->len);
    *p++ = '}';

    return p;
}


u_char *
evs_store_feed_key(u_char *p, const evs_store_conf_t *conf)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_cpymem(p, "{feed}:stream", sizeof("{feed}:stream") - 1);
}


u_char *
evs_store_deleted_key(u_char *p, const evs_store_conf_t *conf)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_cpymem(p, "{feed}:deleted", sizeof("{feed}:deleted") - 1);
}


u_char *
evs_store_workers_key(u_char *p, const evs_store_conf_t *conf)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_cpymem(p, "{workers}:records", sizeof("{workers}:records") - 1);
}


u_char *
evs_store_alive_key(u_char *p, const evs_store_conf_t *conf)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_cpymem(p, "{workers}:alive", sizeof("{workers}:alive") - 1);
}


ngx_uint_t
evs_store_wrong_type(const evs_redis_reply_t *reply)
{
    return reply->type == EVS_REDIS_ERROR
           && reply->str.len >= sizeof("WRONGTYPE") - 1
           && ngx_memcmp(reply->str.data, "WRONGTYPE", sizeof("WRONGTYPE") - 1)
              == 0;
}


const char *
evs_store_failure(const evs_redis_reply_t *reply)
{
    switch (reply->type) {

    case EVS_REDIS_TIMEOUT:
        return "the store did not confirm in time";

    case EVS_REDIS_SHUTDOWN:
        return "the server is shutting down";

    default:
        return "the store refused";
    }
}
