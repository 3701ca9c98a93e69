
/*
 * Where a Redis is and how patient we are with it: one eventsession_redis
 * directive, read-only after the start.
 */


#ifndef _EVS_REDIS_CONF_H_INCLUDED_
#define _EVS_REDIS_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t              url;        /* as written, for comparison only:
                                          it may hold a password */
    ngx_str_t              name;       /* for logs: host:port/db, no secrets */

    ngx_str_t              host;       /* a name to resolve again; or empty */
    in_port_t              port;
    ngx_addr_t            *addrs;      /* as resolved at the start */
    ngx_uint_t             naddrs;

    ngx_str_t              user;
    ngx_str_t              password;
    ngx_int_t              db;

    ngx_msec_t             connect_timeout;
    ngx_msec_t             command_timeout;  /* no reply for so long: the
                                                connection is taken for dead */
    ngx_msec_t             reconnect_min;
    ngx_msec_t             reconnect_max;

    ngx_resolver_t        *resolver;   /* NULL: the addresses of the start */
    ngx_msec_t             resolver_timeout;

    ngx_uint_t             index;      /* of its node in each process */
} evs_redis_conf_t;


/*
 * args[0] is the URL, the others are name=value options.  Everything is
 * checked here and blocking name look-ups are made here, at start-up.
 * Returns a conf from cf->pool; NULL after a message to the log.
 */
evs_redis_conf_t *evs_redis_conf_parse(ngx_conf_t *cf, ngx_str_t *args,
    ngx_uint_t nargs);

/* Whether two directives mean the same server in the same way: 1 or 0. */
ngx_uint_t evs_redis_conf_same(const evs_redis_conf_t *a,
    const evs_redis_conf_t *b);


#endif /* _EVS_REDIS_CONF_H_INCLUDED_ */
