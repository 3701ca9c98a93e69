
/*
 * The chunks of batches, see chunks.h.
 *
 * All processes write to the chunk that they think is the last one; whoever
 * sees that it is full begins the next.  A process that was quiet for long may
 * be behind: what it writes makes old chunks somewhat larger, no more.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/chunks.h"
#include "store/keyspace.h"


struct evs_chunks_s {
    evs_keyspace_t    keyspace;
    ngx_queue_t       waiters;
    ngx_uint_t        shard;      /* of the reply that comes in */
    unsigned          known:1;
    unsigned          asking:1;
    uint64_t          current[EVS_CHUNKS_SHARDS];
    uint64_t          lowest[EVS_CHUNKS_SHARDS];    /* current, if only what
                                                       has arrived counts */
    ngx_uint_t        sent[EVS_CHUNKS_SHARDS];      /* to the current one */
};


static void evs_chunks_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_chunks_done(void *data, const evs_redis_reply_t *reply);
static void evs_chunks_full(evs_chunks_t *chunks, ngx_uint_t shard);


static const evs_redis_handlers_t  evs_chunks_handlers = {
    evs_chunks_element,
    evs_chunks_done
};


/* of this process */
static evs_keyspace_t  *evs_chunks_all;


evs_chunks_t *
evs_chunks(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    evs_chunks_t    *chunks;
    evs_keyspace_t  *keyspace;

    keyspace = evs_keyspace_find(evs_chunks_all, conf, node);

    if (keyspace != NULL) {
        return evs_keyspace_data(keyspace, evs_chunks_t, keyspace);
    }

    chunks = ngx_calloc(sizeof(evs_chunks_t), ngx_cycle->log);
    if (chunks == NULL) {
        return NULL;
    }

    chunks->shard = EVS_CHUNKS_SHARDS;

    ngx_queue_init(&chunks->waiters);

    evs_keyspace_add(&evs_chunks_all, &chunks->keyspace, conf, node);

    return chunks;
}


ngx_int_t
evs_chunks_ask(evs_chunks_t *chunks, evs_chunks_waiter_t *waiter)
{
    u_char  *p, *last, key[EVS_STORE_KEY_MAX];

    if (chunks->known) {
        return NGX_OK;
    }

    if (!chunks->asking) {
        last = evs_chunks_index_key(key, chunks->keyspace.conf);

        p = evs_redis_reserve(chunks->keyspace.node, EVS_STORE_KEY_MAX + 128);
        if (p == NULL) {
            return NGX_ERROR;
        }

        p = evs_resp_argc(p, 5);
        p = evs_resp_arg(p, (u_char *) "ZRANGE", 6);
        p = evs_resp_arg(p, key, (size_t) (last - key));
        p = evs_resp_arg(p, (u_char *) "0", 1);
        p = evs_resp_arg(p, (u_char *) "-1", 2);
        p = evs_resp_arg(p, (u_char *) "WITHSCORES", 10);

        if (evs_redis_commit(chunks->keyspace.node, p, 1,
                             chunks->keyspace.conf->timeout,
                             &evs_chunks_handlers, chunks)
            == NULL)
        {
            return NGX_ERROR;
        }

        chunks->asking = 1;
    }

    waiter->waiting = 1;
    ngx_queue_insert_tail(&chunks->waiters, &waiter->queue);

    return NGX_AGAIN;
}


void
evs_chunks_cancel(evs_chunks_waiter_t *waiter)
{
    if (waiter->waiting) {
        waiter->waiting = 0;
        ngx_queue_remove(&waiter->queue);
    }
}


/* A shard and its number, by turns; what is not ours is passed over. */

static void
evs_chunks_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    ngx_int_t      n;
    evs_chunks_t  *chunks = data;

    if (element->data == NULL) {
        chunks->shard = EVS_CHUNKS_SHARDS;
        return;
    }

    n = ngx_atoi(element->data, element->len);

    if (chunks->shard == EVS_CHUNKS_SHARDS) {
        chunks->shard = (n >= 0 && n < EVS_CHUNKS_SHARDS)
                        ? (ngx_uint_t) n : EVS_CHUNKS_SHARDS + 1;
        return;
    }

    if (chunks->shard < EVS_CHUNKS_SHARDS && n > 0) {
        chunks->current[chunks->shard] = (uint64_t) n;
        chunks->lowest[chunks->shard] = (uint64_t) n;
    }

    chunks->shard = EVS_CHUNKS_SHARDS;
}


static void
evs_chunks_done(void *data, const evs_redis_reply_t *reply)
{
    const char           *failure;
    ngx_queue_t           waiters, *q;
    evs_chunks_t         *chunks = data;
    evs_chunks_waiter_t  *waiter;

    chunks->asking = 0;
    chunks->shard = EVS_CHUNKS_SHARDS;
    chunks->known = (reply->type == EVS_REDIS_ARRAY);

    failure = chunks->known ? NULL : evs_store_failure(reply);

    if (ngx_queue_empty(&chunks->waiters)) {
        return;
    }

    /* a waiter that is told may ask again, or cancel others */

    ngx_queue_init(&waiters);
    ngx_queue_add(&waiters, &chunks->waiters);
    ngx_queue_init(&chunks->waiters);

    while (!ngx_queue_empty(&waiters)) {
        q = ngx_queue_head(&waiters);
        waiter = ngx_queue_data(q, evs_chunks_waiter_t, queue);

        evs_chunks_cancel(waiter);
        waiter->done(waiter->data, failure);
    }
}


uint64_t
evs_chunks_current(const evs_chunks_t *chunks, ngx_uint_t shard)
{
    return chunks->current[shard];
}


/*
 * Bodies that come side by side would all choose one chunk, if only replies
 * could fill it.  What never arrives is counted, too: a chunk may be smaller,
 * and see evs_chunks_missed().
 */

void
evs_chunks_takes(evs_chunks_t *chunks, ngx_uint_t shard, uint64_t chunk,
    ngx_uint_t events)
{
    if (chunks->current[shard] != chunk) {
        return;
    }

    chunks->sent[shard] += events;

    if (chunks->sent[shard] >= EVS_CHUNKS_EVENTS) {
        evs_chunks_full(chunks, shard);
    }
}


void
evs_chunks_holds(evs_chunks_t *chunks, ngx_uint_t shard, uint64_t chunk,
    uint64_t events)
{
    if (events >= EVS_CHUNKS_EVENTS) {

        if (chunks->current[shard] == chunk) {
            evs_chunks_full(chunks, shard);
        }

        chunk++;
    }

    if (chunk > chunks->lowest[shard] && chunk <= chunks->current[shard]) {
        chunks->lowest[shard] = chunk;
    }
}


/*
 * Otherwise a Redis that refuses for hours, as one does whose memory is full,
 * would have as many empty chunks as bodies were sent to it, and each read
 * would ask them all.
 */

void
evs_chunks_missed(evs_chunks_t *chunks, ngx_uint_t shard)
{
    if (chunks->current[shard] != chunks->lowest[shard]) {
        chunks->current[shard] = chunks->lowest[shard];
        chunks->sent[shard] = 0;
    }
}


static void
evs_chunks_full(evs_chunks_t *chunks, ngx_uint_t shard)
{
    chunks->current[shard]++;
    chunks->sent[shard] = 0;
}


u_char *
evs_chunks_key(u_char *p, const evs_store_conf_t *conf, ngx_uint_t shard,
    uint64_t chunk)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_sprintf(p, "{s%02ui}:batch:%uL", shard, chunk);
}


u_char *
evs_chunks_index_key(u_char *p, const evs_store_conf_t *conf)
{
    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    return ngx_cpymem(p, "{batch}:chunks", sizeof("{batch}:chunks") - 1);
}


void
evs_chunks_exit(void)
{
    evs_keyspace_t  *keyspace;

    while ((keyspace = evs_keyspace_take(&evs_chunks_all)) != NULL) {
        ngx_free(evs_keyspace_data(keyspace, evs_chunks_t, keyspace));
    }
}
