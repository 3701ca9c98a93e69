
/*
 * The copies of a session's events, see copies.h.
 *
 *     SMEMBERS <prefix>{<sid>}:batch
 *
 *     ZRANGE <prefix>{<sid>} <rank> <rank + page>
 *     ZREM <chunk> <copy> ...                          for each chunk
 *
 * and the latter two until the set has no more.  A copy is known by its
 * member, which is the set's with the session told inside.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/chunks.h"
#include "store/copies.h"
#include "store/member.h"
#include "store/range.h"


#define EVS_COPIES_PAGE    1000
#define EVS_COPIES_CHUNKS  4


static void evs_copies_chunk(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_copies_chunks_done(void *data,
    const evs_redis_reply_t *reply);
static ngx_int_t evs_copies_page(evs_copies_t *copies);
static void evs_copies_member(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_copies_page_done(void *data, const evs_redis_reply_t *reply);
static ngx_int_t evs_copies_send(evs_copies_t *copies);
static void evs_copies_sent(void *data, const evs_redis_reply_t *reply);
static ngx_int_t evs_copies_page_begin(evs_copies_t *copies);
static void evs_copies_end(evs_copies_t *copies, const char *failure);


static const evs_redis_handlers_t  evs_copies_chunks_handlers = {
    evs_copies_chunk,
    evs_copies_chunks_done
};

static const evs_redis_handlers_t  evs_copies_page_handlers = {
    evs_copies_member,
    evs_copies_page_done
};

static const evs_redis_handlers_t  evs_copies_send_handlers = {
    NULL,
    evs_copies_sent
};


u_char *
evs_copies_key(u_char *p, const evs_store_conf_t *conf, const evs_sid_t *sid)
{
    p = evs_store_key(p, conf, sid);

    return ngx_cpymem(p, ":batch", sizeof(":batch") - 1);
}


u_char *
evs_copies_add(u_char *p, const evs_store_conf_t *conf, const evs_sid_t *sid,
    ngx_uint_t shard, uint64_t chunk)
{
    u_char  buf[EVS_COPIES_KEY_MAX], *last;

    p = evs_resp_argc(p, 3);
    p = evs_resp_arg(p, (u_char *) "SADD", 4);

    last = evs_copies_key(buf, conf, sid);
    p = evs_resp_arg(p, buf, (size_t) (last - buf));

    last = ngx_sprintf(buf, "%ui:%uL", shard, chunk);

    return evs_resp_arg(p, buf, (size_t) (last - buf));
}


ngx_int_t
evs_copies_remove(evs_copies_t *copies)
{
    u_char  *p, *last, key[EVS_COPIES_KEY_MAX];

    copies->rank = 0;
    copies->page = NULL;
    copies->failed = 0;

    if (ngx_array_init(&copies->chunks, copies->pool, EVS_COPIES_CHUNKS,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = evs_redis_reserve(copies->node, EVS_COPIES_ADD_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = evs_copies_key(key, copies->conf, &copies->sid);

    p = evs_resp_argc(p, 2);
    p = evs_resp_arg(p, (u_char *) "SMEMBERS", 8);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    copies->cmd = evs_redis_commit(copies->node, p, 1, copies->conf->timeout,
                                   &evs_copies_chunks_handlers, copies);

    return (copies->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


void
evs_copies_cancel(evs_copies_t *copies)
{
    if (copies->cmd != NULL) {
        evs_redis_cancel(copies->cmd);
        copies->cmd = NULL;
    }

    if (copies->page != NULL) {
        ngx_destroy_pool(copies->page);
        copies->page = NULL;
    }
}


/* "<shard>:<chunk>"; what isn't that is not ours. */

static void
evs_copies_chunk(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    u_char        *colon, *last;
    ngx_int_t      shard, chunk;
    ngx_str_t     *key;
    evs_copies_t  *copies = data;

    if (element->data == NULL) {
        copies->chunks.nelts = 0;
        return;
    }

    last = element->data + element->len;
    colon = ngx_strlchr(element->data, last, ':');

    if (colon == NULL) {
        return;
    }

    shard = ngx_atoi(element->data, (size_t) (colon - element->data));
    chunk = ngx_atoi(colon + 1, (size_t) (last - colon - 1));

    if (shard == NGX_ERROR || shard >= EVS_CHUNKS_SHARDS
        || chunk == NGX_ERROR)
    {
        return;
    }

    key = ngx_array_push(&copies->chunks);

    if (key == NULL) {
        copies->failed = 1;
        return;
    }

    key->len = 0;
    key->data = ngx_pnalloc(copies->pool, EVS_STORE_KEY_MAX);

    if (key->data == NULL) {
        copies->failed = 1;
        return;
    }

    last = evs_chunks_key(key->data, copies->conf, (ngx_uint_t) shard,
                          (uint64_t) chunk);
    key->len = (size_t) (last - key->data);
}


static void
evs_copies_chunks_done(void *data, const evs_redis_reply_t *reply)
{
    evs_copies_t  *copies = data;

    copies->cmd = NULL;

    if (reply->type != EVS_REDIS_ARRAY) {
        evs_copies_end(copies, evs_store_failure(reply));
        return;
    }

    if (copies->failed
        || (copies->chunks.nelts != 0 && evs_copies_page(copies) != NGX_OK))
    {
        evs_copies_end(copies, "no memory");
        return;
    }

    if (copies->chunks.nelts == 0) {
        evs_copies_end(copies, NULL);
    }
}


static ngx_int_t
evs_copies_page(evs_copies_t *copies)
{
    u_char     *p, buf[EVS_STORE_KEY_MAX];
    ngx_str_t   key;

    if (evs_copies_page_begin(copies) != NGX_OK) {
        return NGX_ERROR;
    }

    p = evs_redis_reserve(copies->node, EVS_RANGE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key.data = buf;
    key.len = (size_t) (evs_store_key(buf, copies->conf, &copies->sid) - buf);

    p = evs_range_ranks(p, &key, copies->rank,
                        copies->rank + EVS_COPIES_PAGE - 1);

    copies->cmd = evs_redis_commit(copies->node, p, 1, copies->conf->timeout,
                                   &evs_copies_page_handlers, copies);

    return (copies->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
evs_copies_page_begin(evs_copies_t *copies)
{
    if (copies->page != NULL) {
        ngx_destroy_pool(copies->page);
    }

    copies->came = 0;
    copies->bytes = 0;

    copies->page = ngx_create_pool(16384, copies->pool->log);
    if (copies->page == NULL) {
        return NGX_ERROR;
    }

    return ngx_array_init(&copies->members, copies->page, EVS_COPIES_PAGE,
                          sizeof(ngx_str_t));
}


static void
evs_copies_member(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    ngx_str_t     *copy, sid;
    evs_copies_t  *copies = data;
    evs_member_t   member;

    if (element->data == NULL) {
        copies->failed = (evs_copies_page_begin(copies) != NGX_OK);
        return;
    }

    copies->came++;

    if (copies->failed || evs_member_read(&member, element) != NGX_OK
        || !evs_member_own_id(&member))
    {
        return;
    }

    sid.data = copies->sid.data;
    sid.len = copies->sid.len;

    copy = ngx_array_push(&copies->members);

    if (copy != NULL) {
        copy->data = ngx_pnalloc(copies->page,
                                 evs_member_copy_max(&member, &sid));
    }

    if (copy == NULL || copy->data == NULL) {
        copies->failed = 1;
        return;
    }

    copy->len = (size_t) (evs_member_copy(copy->data, &member, &sid)
                          - copy->data);
    copies->bytes += copy->len;
}


static void
evs_copies_page_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_int_t      rc;
    evs_copies_t  *copies = data;

    copies->cmd = NULL;

    if (reply->type != EVS_REDIS_ARRAY) {
        evs_copies_end(copies, evs_store_failure(reply));
        return;
    }

    if (copies->came == 0) {
        evs_copies_end(copies, NULL);
        return;
    }

    copies->rank += copies->came;

    if (copies->failed) {
        rc = NGX_ERROR;

    } else {
        rc = (copies->members.nelts != 0) ? evs_copies_send(copies)
                                          : evs_copies_page(copies);
    }

    if (rc != NGX_OK) {
        evs_copies_end(copies, "no memory");
    }
}


/* From each chunk: most copies are in one of them only. */

static ngx_int_t
evs_copies_send(evs_copies_t *copies)
{
    u_char      *p;
    ngx_str_t   *keys, *members;
    ngx_uint_t   i, k;

    keys = copies->chunks.elts;
    members = copies->members.elts;

    p = evs_redis_reserve(copies->node, copies->chunks.nelts
                          * (EVS_RANGE_COMMAND_MAX + copies->bytes
                             + copies->members.nelts * EVS_RESP_ARG_MAX));
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < copies->chunks.nelts; i++) {
        p = evs_resp_argc(p, 2 + copies->members.nelts);
        p = evs_resp_arg(p, (u_char *) "ZREM", 4);
        p = evs_resp_arg(p, keys[i].data, keys[i].len);

        for (k = 0; k < copies->members.nelts; k++) {
            p = evs_resp_arg(p, members[k].data, members[k].len);
        }
    }

    copies->cmd = evs_redis_commit(copies->node, p, copies->chunks.nelts,
                                   copies->conf->timeout,
                                   &evs_copies_send_handlers, copies);

    return (copies->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static void
evs_copies_sent(void *data, const evs_redis_reply_t *reply)
{
    evs_copies_t  *copies = data;

    copies->cmd = NULL;

    if (reply->type != EVS_REDIS_INTEGER) {
        evs_copies_end(copies, evs_store_failure(reply));
        return;
    }

    if (evs_copies_page(copies) != NGX_OK) {
        evs_copies_end(copies, "no memory");
    }
}


static void
evs_copies_end(evs_copies_t *copies, const char *failure)
{
    evs_copies_cancel(copies);

    copies->done(copies->data, failure);
}
