
/*
 * Reading the registry of workers: see workers_read.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/workers_read.h"


#define EVS_WORKERS_READ_FIRST  32      /* records that there is room for */


static void evs_workers_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_workers_read_value(evs_workers_read_t *read, uint64_t id,
    const ngx_str_t *value);
static void evs_workers_read_done(void *data, const evs_redis_reply_t *reply);
static void evs_workers_read_strange(ngx_uint_t n);


static const evs_redis_handlers_t  evs_workers_read_handlers = {
    evs_workers_read_element,
    evs_workers_read_done
};


/* of this process: how many strange ones the log was told of */
static ngx_uint_t  evs_workers_read_told;


ngx_int_t
evs_workers_read_begin(evs_workers_read_t *read)
{
    u_char  *p, *last, key[EVS_STORE_KEY_MAX], id[NGX_INT64_LEN];

    if (ngx_array_init(&read->records, read->pool,
                       read->id ? 1 : EVS_WORKERS_READ_FIRST,
                       sizeof(evs_worker_record_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    read->elements = 0;
    read->strange = 0;
    read->failed = 0;

    p = evs_redis_reserve(read->node, 4 * EVS_RESP_ARG_MAX
                                      + sizeof("HGETALL") + EVS_STORE_KEY_MAX
                                      + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = evs_store_workers_key(key, read->conf);

    if (read->id) {
        p = evs_resp_argc(p, 3);
        p = evs_resp_arg(p, (u_char *) "HGET", 4);

    } else {
        p = evs_resp_argc(p, 2);
        p = evs_resp_arg(p, (u_char *) "HGETALL", 7);
    }

    p = evs_resp_arg(p, key, (size_t) (last - key));

    if (read->id) {
        last = ngx_sprintf(id, "%uL", read->id);
        p = evs_resp_arg(p, id, (size_t) (last - id));
    }

    read->cmd = evs_redis_commit(read->node, p, 1, read->conf->timeout,
                                 &evs_workers_read_handlers, read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


void
evs_workers_read_cancel(evs_workers_read_t *read)
{
    if (read->cmd != NULL) {
        evs_redis_cancel(read->cmd);
        read->cmd = NULL;
    }
}


/* Of the hash, field and value by turns; of a worker, the value. */

static void
evs_workers_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_workers_read_t  *read = data;

    if (element->data == NULL) {
        read->records.nelts = 0;
        read->elements = 0;
        read->strange = 0;
        return;
    }

    if (read->id) {
        evs_workers_read_value(read, read->id, element);
        return;
    }

    if (read->elements++ % 2 == 0) {

        if (evs_worker_id(element->data, element->len, &read->field)
            != NGX_OK)
        {
            read->field = 0;
        }

        return;
    }

    evs_workers_read_value(read, read->field, element);
}


static void
evs_workers_read_value(evs_workers_read_t *read, uint64_t id,
    const ngx_str_t *value)
{
    evs_worker_record_t  *record, strict;

    if (id == 0
        || evs_worker_record_read(&strict, value->data, value->len) != NGX_OK)
    {
        read->strange++;
        return;
    }

    record = ngx_array_push(&read->records);
    if (record == NULL) {
        read->failed = 1;
        return;
    }

    *record = strict;
    record->id = id;
}


static void
evs_workers_read_done(void *data, const evs_redis_reply_t *reply)
{
    const char          *failure;
    evs_workers_read_t  *read = data;

    read->cmd = NULL;
    failure = NULL;

    switch (reply->type) {

    case EVS_REDIS_ARRAY:
    case EVS_REDIS_STRING:
        evs_workers_read_strange(read->strange);

        /* fall through */

    case EVS_REDIS_NIL:

        if (read->failed) {
            failure = "the server has no memory left";
        }

        break;

    default:
        failure = evs_store_failure(reply);
    }

    read->done(read->data, failure);
}


static void
evs_workers_read_strange(ngx_uint_t n)
{
    if (n > evs_workers_read_told) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "eventsession: the registry of workers has %ui fields "
                      "that are no workers, they are passed over", n);

        evs_workers_read_told = n;
    }
}
