
/*
 * The events of batches as one array, in pages (http/pages.h).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/batch_read.h"
#include "http/pages.h"
#include "http/query.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "store/batch_read.h"


typedef struct {
    ngx_http_eventsession_pages_t  pages;
    evs_batch_read_t               read;
} ngx_http_eventsession_batch_read_t;


static ngx_int_t ngx_http_eventsession_batch_read_shard(
    ngx_http_request_t *r, ngx_uint_t *shard);
static ngx_int_t ngx_http_eventsession_batch_read_event(void *data,
    const evs_member_t *member);


static const char *const  ngx_http_eventsession_batch_read_arguments[] = {
    "shard", "from", "to", "limit", NULL
};


static const ngx_http_eventsession_pages_kind_t
    ngx_http_eventsession_batch_read_pages =
{
    &evs_batch_reader,
    "events",
    NULL,
    NULL,
    ngx_string("]"),
    ngx_http_eventsession_batch_read_arguments
};


static const evs_batch_read_handlers_t
    ngx_http_eventsession_batch_read_handlers =
{
    ngx_http_eventsession_batch_read_event,
    ngx_http_eventsession_pages_page
};


ngx_int_t
ngx_http_eventsession_batch_read_handler(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    evs_batch_read_t                    *read;
    ngx_http_eventsession_loc_conf_t    *elcf;
    ngx_http_eventsession_batch_read_t  *ctx;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_batch_read_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    read = &ctx->read;

    rc = ngx_http_eventsession_batch_read_shard(r, &read->shard);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_query_range(r, &read->range);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_pages_node(r, &elcf->store, &read->node);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    read->conf = &elcf->store;
    read->handlers = &ngx_http_eventsession_batch_read_handlers;
    read->data = &ctx->pages;
    read->pool = r->pool;
    read->log = r->connection->log;

    ctx->pages.request = r;
    ctx->pages.kind = &ngx_http_eventsession_batch_read_pages;
    ctx->pages.read = read;
    ctx->pages.cursor = &read->cursor;
    ctx->pages.limit = read->range.want;

    return ngx_http_eventsession_pages_start(&ctx->pages);
}


/* NGX_DECLINED: it is right, or not there; otherwise a reply has been made. */

static ngx_int_t
ngx_http_eventsession_batch_read_shard(ngx_http_request_t *r,
    ngx_uint_t *shard)
{
    ngx_int_t  rc, n;
    ngx_str_t  value;

    rc = ngx_http_eventsession_query_argument(r, "shard", &value);

    if (rc == NGX_DECLINED) {
        *shard = EVS_BATCH_ALL_SHARDS;
        return NGX_DECLINED;
    }

    n = (rc == NGX_OK) ? ngx_atoi(value.data, value.len) : NGX_ERROR;

    if (n == NGX_ERROR || n >= EVS_CHUNKS_SHARDS) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                                       "shard must be an integer from 0 to %d",
                                       EVS_CHUNKS_SHARDS - 1);
    }

    *shard = (ngx_uint_t) n;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_eventsession_batch_read_event(void *data, const evs_member_t *member)
{
    u_char  *p;

    p = ngx_http_eventsession_pages_event(data, evs_member_batch_max(member));

    return ngx_http_eventsession_pages_wrote(data,
                                       p ? evs_member_batch(p, member) : NULL);
}
