
/*
 * The merge of the chunks: see batch_read.h.
 *
 * First the list of chunks; then a small page of each (store/batch_source.h),
 * a bounded number of commands at a time; then their records go through a
 * heap.  When a chunk has none left while more are in Redis, the merge stands
 * still until they are there, and with it all chunks are asked that will soon
 * be in the same case: where many are read side by side they run dry
 * together.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "store/batch_read.h"


/* commands under way */
#define EVS_BATCH_READ_WINDOW   128

/* bytes of members in a page */
#define EVS_BATCH_READ_PAGE     (256 * 1024)

/* members to begin with: of a chunk and of all, about; of a chunk at most */
#define EVS_BATCH_READ_FEW      4
#define EVS_BATCH_READ_FIRST    4096
#define EVS_BATCH_READ_MOST     512

/* each takes some memory: these have a billion events */
#define EVS_BATCH_READ_CHUNKS   262144

#define EVS_BATCH_READ_SHARE    ((size_t) 512)


/* the chunks 0 to n - 1 */
typedef struct {
    ngx_uint_t    shard;
    uint64_t      n;
} evs_batch_list_t;


static ngx_int_t evs_batch_read_begin(void *data);
static ngx_int_t evs_batch_read_next(void *data);
static void evs_batch_read_cancel(void *data);
static void evs_batch_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_batch_read_shard(evs_batch_read_t *read,
    const ngx_str_t *text);
static void evs_batch_read_chunks(evs_batch_read_t *read,
    const ngx_str_t *text);
static void evs_batch_read_listed(void *data, const evs_redis_reply_t *reply);
static const char *evs_batch_read_sources(evs_batch_read_t *read);
static void evs_batch_read_begin_sources(evs_batch_read_t *read, ngx_uint_t n);
static void evs_batch_read_source(void *data, evs_batch_source_t *source,
    ngx_int_t rc, const char *failure);
static void evs_batch_read_run(evs_batch_read_t *read);
static void evs_batch_read_merge(evs_batch_read_t *read);
static ngx_int_t evs_batch_read_event(evs_batch_read_t *read,
    const evs_batch_record_t *record);
static void evs_batch_read_refill(evs_batch_read_t *read,
    evs_batch_source_t *source);
static void evs_batch_read_later(ngx_event_t *ev);
static void evs_batch_read_fail(evs_batch_read_t *read, const char *failure);
static void evs_batch_read_push(evs_batch_read_t *read,
    evs_batch_source_t *source);
static void evs_batch_read_sift(evs_batch_read_t *read);
static void evs_batch_read_remove(evs_batch_read_t *read);
static ngx_uint_t evs_batch_read_before(const evs_batch_source_t *source,
    const evs_batch_source_t *other);


const evs_reader_t  evs_batch_reader = {
    evs_batch_read_begin,
    evs_batch_read_next,
    evs_batch_read_cancel
};

static const evs_redis_handlers_t  evs_batch_read_handlers = {
    evs_batch_read_element,
    evs_batch_read_listed
};


static ngx_int_t
evs_batch_read_begin(void *data)
{
    u_char            *p, key[EVS_STORE_KEY_MAX];
    evs_batch_read_t  *read = data;

    ngx_queue_init(&read->todo);
    ngx_queue_init(&read->asked);

    read->later.handler = evs_batch_read_later;
    read->later.data = read;
    read->later.log = read->log;

    if (read->range.has_after) {
        read->cursor = read->range.after;
    }

    read->lists = ngx_array_create(read->pool, 8, sizeof(evs_batch_list_t));
    if (read->lists == NULL) {
        return NGX_ERROR;
    }

    p = evs_redis_reserve(read->node, EVS_RANGE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_resp_argc(p, 5);
    p = evs_resp_arg(p, (u_char *) "ZRANGE", 6);
    p = evs_resp_arg(p, key, (size_t) (evs_chunks_index_key(key, read->conf)
                                       - key));
    p = evs_resp_arg(p, (u_char *) "0", 1);
    p = evs_resp_arg(p, (u_char *) "-1", 2);
    p = evs_resp_arg(p, (u_char *) "WITHSCORES", 10);

    read->cmd = evs_redis_commit(read->node, p, 1, read->conf->timeout,
                                 &evs_batch_read_handlers, read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


/* The list: a shard, then its score, and so on. */

static void
evs_batch_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_batch_read_t  *read = data;

    if (element->data == NULL) {
        read->lists->nelts = 0;
        read->score = 0;
        return;
    }

    if (read->score) {
        evs_batch_read_chunks(read, element);

    } else {
        evs_batch_read_shard(read, element);
    }

    read->score = !read->score;
}


static void
evs_batch_read_shard(evs_batch_read_t *read, const ngx_str_t *text)
{
    ngx_int_t  n;

    n = ngx_atoi(text->data, text->len);

    if (n == NGX_ERROR || n >= EVS_CHUNKS_SHARDS
        || (text->data[0] == '0' && text->len != 1))
    {
        read->foreign = 1;
        n = EVS_CHUNKS_SHARDS;
    }

    read->listed = (ngx_uint_t) n;
}


static void
evs_batch_read_chunks(evs_batch_read_t *read, const ngx_str_t *text)
{
    ngx_int_t          n;
    evs_batch_list_t  *list;

    if (read->listed == EVS_CHUNKS_SHARDS
        || (read->shard != EVS_BATCH_ALL_SHARDS
            && read->listed != read->shard))
    {
        return;
    }

    n = ngx_atoi(text->data, text->len);

    if (n == NGX_ERROR) {
        read->foreign = 1;
        return;
    }

    list = ngx_array_push(read->lists);
    if (list == NULL) {
        read->failed = 1;
        return;
    }

    list->shard = read->listed;
    list->n = (uint64_t) n + 1;
}


static void
evs_batch_read_listed(void *data, const evs_redis_reply_t *reply)
{
    const char        *failure;
    evs_batch_read_t  *read = data;

    read->cmd = NULL;

    failure = (reply->type == EVS_REDIS_ARRAY) ? evs_batch_read_sources(read)
                                               : evs_store_failure(reply);

    if (failure != NULL) {
        evs_batch_read_fail(read, failure);
        return;
    }

    evs_batch_read_run(read);
}


/* Makes a source of each chunk.  NULL, or why it failed. */

static const char *
evs_batch_read_sources(evs_batch_read_t *read)
{
    uint64_t           n;
    ngx_uint_t         i;
    evs_batch_list_t  *list;

    if (read->foreign) {
        ngx_log_error(NGX_LOG_ERR, read->log, 0,
                      "eventsession: the list of chunks has something that is "
                      "not ours, passed over");
    }

    n = 0;
    list = read->lists->elts;

    for (i = 0; i < read->lists->nelts; i++) {

        if (list[i].n > EVS_BATCH_READ_CHUNKS - n) {
            ngx_log_error(NGX_LOG_ERR, read->log, 0,
                          "eventsession: more than %d chunks of events can't "
                          "be read at once", EVS_BATCH_READ_CHUNKS);

            return "they are too many to be read at once";
        }

        n += list[i].n;
    }

    if (n == 0) {
        return read->failed ? "no memory" : NULL;
    }

    read->sources = ngx_pcalloc(read->pool, n * sizeof(evs_batch_source_t));
    read->heap = ngx_palloc(read->pool, n * sizeof(evs_batch_source_t *));

    if (read->failed || read->sources == NULL || read->heap == NULL) {
        return "no memory";
    }

    evs_batch_read_begin_sources(read, (ngx_uint_t) n);

    return NULL;
}


static void
evs_batch_read_begin_sources(evs_batch_read_t *read, ngx_uint_t n)
{
    ngx_uint_t            i, first, chunk;
    evs_batch_list_t     *list;
    evs_batch_source_t   *source;
    evs_batch_sources_t  *common;

    read->nsources = n;

    first = read->range.want ? read->range.want + 1 : EVS_BATCH_READ_FIRST;
    first = first / n + EVS_BATCH_READ_FEW;

    common = &read->common;

    common->conf = read->conf;
    common->node = read->node;
    common->log = read->log;
    common->range = &read->range;
    common->taken = &read->cursor;
    common->first = ngx_min(first, EVS_BATCH_READ_MOST);
    common->done = evs_batch_read_source;
    common->data = read;
    common->share = EVS_BATCH_BUDGET / n;
    common->share = ngx_min(common->share, EVS_BATCH_BUFFER);
    common->share = ngx_max(common->share, EVS_BATCH_READ_SHARE);

    source = read->sources;
    list = read->lists->elts;

    for (i = 0; i < read->lists->nelts; i++) {

        for (chunk = 0; chunk < list[i].n; chunk++) {
            evs_batch_source_init(source, common, list[i].shard, chunk);
            ngx_queue_insert_tail(&read->todo, &source->queue);
            source++;
        }
    }
}


/* What a source was asked for is in. */

static void
evs_batch_read_source(void *data, evs_batch_source_t *source, ngx_int_t rc,
    const char *failure)
{
    evs_batch_read_t  *read = data;

    if (rc != NGX_OK) {
        evs_batch_read_fail(read, failure);
        return;
    }

    if (evs_batch_source_head(source) == NULL && !source->ended) {

        if (evs_batch_source_ask(source) != NGX_OK) {
            evs_batch_read_fail(read, "no memory");
        }

        return;
    }

    ngx_queue_remove(&source->queue);
    read->nasked--;

    if (evs_batch_source_head(source) == NULL) {
        evs_batch_source_end(source);

    } else if (!source->merged) {
        evs_batch_read_push(read, source);
    }

    evs_batch_read_run(read);
}


/* Asks those that are to be asked, and merges when all are there. */

static void
evs_batch_read_run(evs_batch_read_t *read)
{
    ngx_queue_t         *q;
    evs_batch_source_t  *source;

    while (!ngx_queue_empty(&read->todo)
           && read->nasked < EVS_BATCH_READ_WINDOW
           && (read->nasked == 0
               || evs_store_has_room(read->conf, read->node)))
    {
        q = ngx_queue_head(&read->todo);
        source = ngx_queue_data(q, evs_batch_source_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&read->asked, q);
        read->nasked++;

        if (evs_batch_source_ask(source) != NGX_OK) {
            evs_batch_read_fail(read, "no memory");
            return;
        }
    }

    if (read->nasked == 0) {
        evs_batch_read_merge(read);
    }
}


static void
evs_batch_read_merge(evs_batch_read_t *read)
{
    evs_batch_source_t  *source;
    evs_batch_record_t  *record;

    while (read->nheap != 0) {
        source = read->heap[0];
        record = evs_batch_source_head(source);

        if (record->cut) {
            evs_batch_source_want_whole(source);

        } else {

            if (evs_batch_read_event(read, record) != NGX_OK) {
                read->bytes = 0;
                read->handlers->page(read->data, NGX_OK, NULL);
                return;
            }

            evs_batch_source_pop(source);
        }

        if (evs_batch_source_head(source) != NULL) {
            evs_batch_read_sift(read);
            continue;
        }

        evs_batch_read_remove(read);

        if (source->ended) {
            evs_batch_source_end(source);
            continue;
        }

        evs_batch_read_refill(read, source);
        return;
    }

    read->handlers->page(read->data, NGX_DONE, NULL);
}


/*
 * NGX_OK: taken; NGX_DECLINED: not into this page.  An id of ours is one
 * event's: if it is there once more, in another chunk, it is the same.
 */

static ngx_int_t
evs_batch_read_event(evs_batch_read_t *read, const evs_batch_record_t *record)
{
    ngx_str_t      text;
    evs_cursor_t  *cursor;
    evs_member_t   member;

    cursor = &read->cursor;

    if (cursor->len != 0 && evs_batch_place(record, cursor) == 0) {
        return NGX_OK;
    }

    text.len = record->len;
    text.data = evs_batch_record_text(record);

    if (read->bytes >= EVS_BATCH_READ_PAGE
        || evs_member_read(&member, &text) != NGX_OK
        || read->handlers->event(read->data, &member) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    read->bytes += record->len;

    cursor->rank = 0;
    cursor->us = record->us;
    cursor->rest = 0;
    cursor->len = record->identity;
    ngx_memcpy(cursor->identity, text.data, record->identity);

    return NGX_OK;
}


/* The source has none left; others may have few. */

static void
evs_batch_read_refill(evs_batch_read_t *read, evs_batch_source_t *source)
{
    ngx_uint_t  i;

    ngx_queue_insert_tail(&read->todo, &source->queue);

    for (i = 0; i < read->nheap; i++) {
        source = read->heap[i];

        if (evs_batch_source_low(source)) {
            ngx_queue_insert_tail(&read->todo, &source->queue);
        }
    }

    evs_batch_read_run(read);
}


/*
 * A timer, not a posted event: it comes after what else is there to do, and
 * keeps a process that is about to quit.
 */

static ngx_int_t
evs_batch_read_next(void *data)
{
    evs_batch_read_t  *read = data;

    ngx_add_timer(&read->later, 0);

    return NGX_OK;
}


static void
evs_batch_read_later(ngx_event_t *ev)
{
    evs_batch_read_merge(ev->data);
}


static void
evs_batch_read_fail(evs_batch_read_t *read, const char *failure)
{
    evs_batch_read_cancel(read);

    read->handlers->page(read->data, NGX_ERROR, failure);
}


static void
evs_batch_read_cancel(void *data)
{
    ngx_uint_t         i;
    evs_batch_read_t  *read = data;

    if (read->cmd != NULL) {
        evs_redis_cancel(read->cmd);
        read->cmd = NULL;
    }

    if (read->later.timer_set) {
        ngx_del_timer(&read->later);
    }

    for (i = 0; i < read->nsources; i++) {
        evs_batch_source_end(&read->sources[i]);
    }

    read->nsources = 0;
    read->nheap = 0;
}


static void
evs_batch_read_push(evs_batch_read_t *read, evs_batch_source_t *source)
{
    ngx_uint_t            i, up;
    evs_batch_source_t  **heap;

    source->merged = 1;

    heap = read->heap;

    for (i = read->nheap++; i != 0; i = up) {
        up = (i - 1) / 2;

        if (!evs_batch_read_before(source, heap[up])) {
            break;
        }

        heap[i] = heap[up];
    }

    heap[i] = source;
}


/* The first one has another record now. */

static void
evs_batch_read_sift(evs_batch_read_t *read)
{
    ngx_uint_t            i, next;
    evs_batch_source_t  **heap, *source;

    heap = read->heap;
    source = heap[0];

    for (i = 0; /* void */ ; i = next) {
        next = 2 * i + 1;

        if (next >= read->nheap) {
            break;
        }

        if (next + 1 < read->nheap
            && evs_batch_read_before(heap[next + 1], heap[next]))
        {
            next++;
        }

        if (!evs_batch_read_before(heap[next], source)) {
            break;
        }

        heap[i] = heap[next];
    }

    heap[i] = source;
}


/* The first one has none. */

static void
evs_batch_read_remove(evs_batch_read_t *read)
{
    read->heap[0]->merged = 0;
    read->nheap--;

    if (read->nheap != 0) {
        read->heap[0] = read->heap[read->nheap];
        evs_batch_read_sift(read);
    }
}


static ngx_uint_t
evs_batch_read_before(const evs_batch_source_t *source,
    const evs_batch_source_t *other)
{
    return evs_batch_order(evs_batch_source_head(source),
                           evs_batch_source_head(other))
           < 0;
}
