
/*
 * The addresses of a node: see resolve.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/node.h"
#include "redis/resolve.h"


static void evs_redis_resolve_handler(ngx_resolver_ctx_t *ctx);
static ngx_int_t evs_redis_resolve_take(evs_redis_node_t *node,
    ngx_resolver_ctx_t *ctx);
static void evs_redis_resolve_failed(evs_redis_node_t *node, const char *why);
static evs_redis_addr_t *evs_redis_resolve_addrs(evs_redis_node_t *node,
    ngx_uint_t naddrs);


ngx_int_t
evs_redis_resolve_start_up(evs_redis_node_t *node)
{
    ngx_uint_t         i;
    ngx_addr_t        *from;
    evs_redis_addr_t  *to;

    to = evs_redis_resolve_addrs(node, node->conf->naddrs);
    if (to == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < node->conf->naddrs; i++) {
        from = &node->conf->addrs[i];

        ngx_memcpy(&to[i].sockaddr, from->sockaddr, from->socklen);
        to[i].socklen = from->socklen;
    }

    return NGX_OK;
}


void
evs_redis_resolve(evs_redis_node_t *node)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(node->conf->resolver, NULL);

    if (ctx == NULL) {
        evs_redis_resolve_failed(node, "no memory");
        return;
    }

    if (ctx == NGX_NO_RESOLVER) {
        evs_redis_resolve_failed(node, "no resolver is configured");
        return;
    }

    ctx->name = node->conf->host;
    ctx->handler = evs_redis_resolve_handler;
    ctx->data = node;
    ctx->timeout = node->conf->resolver_timeout;

    if (ctx->timeout == 0) {

        /* the resolver would ask for ever */

        ctx->timeout = node->conf->connect_timeout;
    }

    ctx->cancelable = 1;

    node->resolve = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {

        /* it has freed the ctx */

        node->resolve = NULL;
        evs_redis_resolve_failed(node, "the question was not sent");
    }
}


void
evs_redis_resolve_cancel(evs_redis_node_t *node)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = node->resolve;

    if (ctx) {
        node->resolve = NULL;
        ngx_resolve_name_done(ctx);
    }
}


static void
evs_redis_resolve_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_int_t          place;
    const char        *why;
    evs_redis_node_t  *node;

    node = ctx->data;
    place = NGX_ERROR;

    if (ctx->state || ctx->naddrs == 0) {
        why = ngx_resolver_strerror(ctx->state);

    } else {
        place = evs_redis_resolve_take(node, ctx);
        why = "no memory";
    }

    /* frees the ctx */

    evs_redis_resolve_cancel(node);

    if (place == NGX_ERROR) {
        evs_redis_resolve_failed(node, why);
        return;
    }

    evs_redis_conn_resolved(node, place);
}


/* As evs_redis_conn_resolved() has it; NGX_ERROR: no memory. */

static ngx_int_t
evs_redis_resolve_take(evs_redis_node_t *node, ngx_resolver_ctx_t *ctx)
{
    ngx_int_t             place;
    ngx_uint_t            i;
    evs_redis_addr_t     *to, used;
    ngx_resolver_addr_t  *from;

    place = NGX_DECLINED;
    used = node->addrs[node->addr];

    to = evs_redis_resolve_addrs(node, ctx->naddrs);
    if (to == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        from = &ctx->addrs[i];

        ngx_memcpy(&to[i].sockaddr, from->sockaddr, from->socklen);
        to[i].socklen = from->socklen;

        ngx_inet_set_port(&to[i].sockaddr.sockaddr, node->conf->port);

        if (ngx_cmp_sockaddr(&to[i].sockaddr.sockaddr, to[i].socklen,
                             &used.sockaddr.sockaddr, used.socklen, 1)
            == NGX_OK)
        {
            place = (ngx_int_t) i;
        }
    }

    return place;
}


static void
evs_redis_resolve_failed(evs_redis_node_t *node, const char *why)
{
    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "eventsession: redis %V could not be resolved: %s; "
                  "its last addresses are tried", &node->conf->name, why);

    evs_redis_conn_resolved(node, NGX_ERROR);
}


static evs_redis_addr_t *
evs_redis_resolve_addrs(evs_redis_node_t *node, ngx_uint_t naddrs)
{
    evs_redis_addr_t  *addrs;

    addrs = ngx_calloc(naddrs * sizeof(evs_redis_addr_t), ngx_cycle->log);
    if (addrs == NULL) {
        return NULL;
    }

    if (node->addrs) {
        ngx_free(node->addrs);
    }

    node->addrs = addrs;
    node->naddrs = naddrs;
    node->addr = 0;

    return addrs;
}
