
/*
 * What the workers of all processes did.  The registry is bounded, so it is
 * read and written out as a whole.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/time.h"
#include "http/reply.h"
#include "http/workers.h"
#include "ngx_http_eventsession_module.h"
#include "store/workers_read.h"


#define NGX_HTTP_EVENTSESSION_WORKERS_OPEN  "{\"workers\":["
#define NGX_HTTP_EVENTSESSION_WORKER_OPEN   "{\"workerData\":"

/* of a worker, with the comma behind it */
#define NGX_HTTP_EVENTSESSION_WORKER_MAX                                      \
    (sizeof("{\"id\":,\"shard_id\":,\"events_count\":,\"created_at\":\"\","   \
            "\"finished_at\":\"\"},")                                         \
     + 3 * NGX_INT64_LEN + 2 * EVS_TIME_STRING_LEN)


typedef struct {
    ngx_http_request_t  *request;
    evs_workers_read_t   read;
} ngx_http_eventsession_workers_t;


static ngx_int_t ngx_http_eventsession_workers_id(ngx_http_request_t *r,
    uint64_t *id);
static ngx_str_t ngx_http_eventsession_workers_path(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_workers_begin(ngx_http_request_t *r,
    uint64_t id);
static void ngx_http_eventsession_workers_cleanup(void *data);
static void ngx_http_eventsession_workers_done(void *data,
    const char *failure);
static ngx_int_t ngx_http_eventsession_workers_reply(
    ngx_http_eventsession_workers_t *ctx, const char *failure);
static ngx_int_t ngx_http_eventsession_workers_list(ngx_http_request_t *r,
    ngx_array_t *records);
static ngx_int_t ngx_http_eventsession_workers_one(ngx_http_request_t *r,
    const evs_worker_record_t *record);
static int ngx_libc_cdecl ngx_http_eventsession_workers_compare(
    const void *one, const void *two);
static u_char *ngx_http_eventsession_workers_write(u_char *p,
    const evs_worker_record_t *record);
static u_char *ngx_http_eventsession_workers_time(u_char *p, uint64_t ms);


ngx_int_t
ngx_http_eventsession_workers_handler(ngx_http_request_t *r)
{
    uint64_t   id;
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_eventsession_workers_id(r, &id);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_eventsession_workers_begin(r, id);
}


/* NGX_DECLINED: id is the one asked for, or 0: all; else a reply is made. */

static ngx_int_t
ngx_http_eventsession_workers_id(ngx_http_request_t *r, uint64_t *id)
{
    ngx_str_t  path;

    path = ngx_http_eventsession_workers_path(r);

    if (path.len == 0) {
        *id = 0;
        return NGX_DECLINED;
    }

    if (evs_worker_id(path.data, path.len, id) == NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_FOUND,
               "the id of a worker is an integer from 1 to 9007199254740991");
}


/*
 * What names a worker: behind the name of a prefix location, or in another
 * one the last segment if it begins with a digit.
 */

static ngx_str_t
ngx_http_eventsession_workers_path(ngx_http_request_t *r)
{
    u_char                            *p, *last;
    ngx_str_t                          path;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_eventsession_loc_conf_t  *elcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    p = r->uri.data;
    last = r->uri.data + r->uri.len;

    if (elcf->location.len != 0 && elcf->location.len <= r->uri.len) {
        p += elcf->location.len;

        if (p < last && *p == '/') {
            p++;

        } else if (p < last && p[-1] != '/') {

            /* "/workers7" is no worker of the location "/workers" */

            p--;
        }

    } else {
        p = last;

        while (p > r->uri.data && p[-1] != '/') {
            p--;
        }

        if (clcf->exact_match || p == last || *p < '0' || *p > '9') {
            p = last;
        }
    }

    path.data = p;
    path.len = (size_t) (last - p);

    return path;
}


static ngx_int_t
ngx_http_eventsession_workers_begin(ngx_http_request_t *r, uint64_t id)
{
    ngx_http_cleanup_t                *cln;
    evs_workers_read_t                *read;
    ngx_http_eventsession_workers_t   *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_workers_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;

    read = &ctx->read;
    read->conf = &elcf->store;
    read->pool = r->pool;
    read->id = id;
    read->done = ngx_http_eventsession_workers_done;
    read->data = ctx;
    read->node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);

    if (read->node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!evs_store_has_room(&elcf->store, read->node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_eventsession_workers_cleanup;
    cln->data = ctx;

    if (evs_workers_read_begin(read) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what reads a body that came along reads on */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_eventsession_workers_cleanup(void *data)
{
    ngx_http_eventsession_workers_t  *ctx = data;

    evs_workers_read_cancel(&ctx->read);
}


static void
ngx_http_eventsession_workers_done(void *data, const char *failure)
{
    ngx_int_t                         rc;
    ngx_connection_t                 *c;
    ngx_http_request_t               *r;
    ngx_http_eventsession_workers_t  *ctx = data;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_eventsession_workers_reply(ctx, failure);

    ngx_http_finalize_request(r, rc);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_workers_reply(ngx_http_eventsession_workers_t *ctx,
    const char *failure)
{
    ngx_array_t         *records;
    ngx_http_request_t  *r;

    r = ctx->request;
    records = &ctx->read.records;

    if (failure != NULL) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "the workers can't be told: %s, try again later",
                       failure);
    }

    if (ctx->read.id == 0) {
        return ngx_http_eventsession_workers_list(r, records);
    }

    if (records->nelts == 0) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_FOUND,
                                             "there is no such worker");
    }

    return ngx_http_eventsession_workers_one(r, records->elts);
}


static ngx_int_t
ngx_http_eventsession_workers_list(ngx_http_request_t *r,
    ngx_array_t *records)
{
    u_char               *p, *body;
    ngx_uint_t            i;
    evs_worker_record_t  *record;

    body = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_EVENTSESSION_WORKERS_OPEN "]}")
                                + records->nelts
                                  * NGX_HTTP_EVENTSESSION_WORKER_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    record = records->elts;

    ngx_qsort(record, records->nelts, sizeof(evs_worker_record_t),
              ngx_http_eventsession_workers_compare);

    p = ngx_cpymem(body, NGX_HTTP_EVENTSESSION_WORKERS_OPEN,
                   sizeof(NGX_HTTP_EVENTSESSION_WORKERS_OPEN) - 1);

    for (i = 0; i < records->nelts; i++) {

        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_http_eventsession_workers_write(p, &record[i]);
    }

    *p++ = ']';
    *p++ = '}';

    return ngx_http_eventsession_body(r, NGX_HTTP_OK, "application/json",
                                      body, (size_t) (p - body));
}


static ngx_int_t
ngx_http_eventsession_workers_one(ngx_http_request_t *r,
    const evs_worker_record_t *record)
{
    u_char  *p, *body;

    body = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_EVENTSESSION_WORKER_OPEN "}")
                                + NGX_HTTP_EVENTSESSION_WORKER_MAX);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(body, NGX_HTTP_EVENTSESSION_WORKER_OPEN,
                   sizeof(NGX_HTTP_EVENTSESSION_WORKER_OPEN) - 1);
    p = ngx_http_eventsession_workers_write(p, record);
    *p++ = '}';

    return ngx_http_eventsession_body(r, NGX_HTTP_OK, "application/json",
                                      body, (size_t) (p - body));
}


/* The order of creation; within a ms, that of a process, and then any. */

static int ngx_libc_cdecl
ngx_http_eventsession_workers_compare(const void *one, const void *two)
{
    const evs_worker_record_t  *a = one;
    const evs_worker_record_t  *b = two;

    if (a->created != b->created) {
        return (a->created < b->created) ? -1 : 1;
    }

    if (a->sequence != b->sequence) {
        return (a->sequence < b->sequence) ? -1 : 1;
    }

    return (a->id < b->id) ? -1 : (a->id > b->id);
}


static u_char *
ngx_http_eventsession_workers_write(u_char *p,
    const evs_worker_record_t *record)
{
    p = ngx_sprintf(p, "{\"id\":%uL,\"shard_id\":%uL,\"events_count\":%uL,"
                    "\"created_at\":", record->id, record->shard,
                    record->events);
    p = ngx_http_eventsession_workers_time(p, record->created);

    if (record->finished) {
        p = ngx_cpymem(p, ",\"finished_at\":",
                       sizeof(",\"finished_at\":") - 1);
        p = ngx_http_eventsession_workers_time(p, record->finished);
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_eventsession_workers_time(u_char *p, uint64_t ms)
{
    *p++ = '"';
    p = evs_time_format(p, (int64_t) ms * 1000, 3);
    *p++ = '"';

    return p;
}
