
/*
 * Records of Idempotency-Keys, see once.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>

#include "store/once.h"


#define EVS_ONCE_KEY_MAX  (EVS_STORE_PREFIX_MAX + sizeof("{batch}:once:")     \
                           + EVS_ONCE_DIGEST_LEN)


static ngx_int_t evs_once_ask(evs_once_t *once, const ngx_str_t *record);
static u_char *evs_once_key(u_char *p, const evs_store_conf_t *store,
    const u_char *digest);
static u_char *evs_once_set(u_char *p, const ngx_str_t *key,
    const ngx_str_t *record, ngx_uint_t unless);
static void evs_once_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_once_done(void *data, const evs_redis_reply_t *reply);
static void evs_once_ended(void *data, const evs_redis_reply_t *reply);


static const evs_redis_handlers_t  evs_once_handlers = {
    evs_once_element,
    evs_once_done
};

static const evs_redis_handlers_t  evs_once_end_handlers = {
    NULL,
    evs_once_ended
};


void
evs_once_digest(u_char *digest, const ngx_str_t *one, const ngx_str_t *two)
{
    u_char      sha1[EVS_ONCE_DIGEST_LEN / 2];
    ngx_sha1_t  state;

    ngx_sha1_init(&state);
    ngx_sha1_update(&state, one->data, one->len);
    ngx_sha1_update(&state, "", 1);
    ngx_sha1_update(&state, two->data, two->len);
    ngx_sha1_final(sha1, &state);

    (void) ngx_hex_dump(digest, sha1, sizeof(sha1));
}


ngx_int_t
evs_once_get(evs_once_t *once)
{
    return evs_once_ask(once, NULL);
}


ngx_int_t
evs_once_begin(evs_once_t *once, const ngx_str_t *record)
{
    return evs_once_ask(once, record);
}


static ngx_int_t
evs_once_ask(evs_once_t *once, const ngx_str_t *record)
{
    u_char     *p, buf[EVS_ONCE_KEY_MAX];
    ngx_str_t   key;

    key.data = buf;
    key.len = (size_t) (evs_once_key(buf, once->store, once->digest) - buf);

    p = evs_redis_reserve(once->node, 2 * EVS_ONCE_KEY_MAX + 256
                                      + (record ? record->len : 0));
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (record != NULL) {
        p = evs_once_set(p, &key, record, 1);
    }

    p = evs_resp_argc(p, 2);
    p = evs_resp_arg(p, (u_char *) "GET", 3);
    p = evs_resp_arg(p, key.data, key.len);

    ngx_str_null(&once->record);

    once->cmd = evs_redis_commit(once->node, p, record ? 2 : 1,
                                 once->store->timeout, &evs_once_handlers,
                                 once);

    return (once->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


void
evs_once_end(const evs_store_conf_t *store, evs_redis_node_t *node,
    const u_char *digest, const ngx_str_t *record)
{
    u_char     *p, buf[EVS_ONCE_KEY_MAX];
    ngx_str_t   key;

    key.data = buf;
    key.len = (size_t) (evs_once_key(buf, store, digest) - buf);

    p = evs_redis_reserve(node, EVS_ONCE_KEY_MAX + 128 + record->len);

    if (p != NULL) {
        p = evs_once_set(p, &key, record, 0);

        (void) evs_redis_commit(node, p, 1, store->timeout,
                                &evs_once_end_handlers, NULL);
    }
}


void
evs_once_cancel(evs_once_t *once)
{
    if (once->cmd != NULL) {
        evs_redis_cancel(once->cmd);
        once->cmd = NULL;
    }
}


static u_char *
evs_once_key(u_char *p, const evs_store_conf_t *store, const u_char *digest)
{
    p = ngx_cpymem(p, store->prefix.data, store->prefix.len);
    p = ngx_cpymem(p, "{batch}:once:", sizeof("{batch}:once:") - 1);

    return ngx_cpymem(p, digest, EVS_ONCE_DIGEST_LEN);
}


static u_char *
evs_once_set(u_char *p, const ngx_str_t *key, const ngx_str_t *record,
    ngx_uint_t unless)
{
    u_char  seconds[NGX_INT_T_LEN], *last;

    last = ngx_sprintf(seconds, "%d", EVS_ONCE_SECONDS);

    p = evs_resp_argc(p, unless ? 6 : 5);
    p = evs_resp_arg(p, (u_char *) "SET", 3);
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_resp_arg(p, record->data, record->len);
    p = evs_resp_arg(p, (u_char *) "EX", 2);
    p = evs_resp_arg(p, seconds, (size_t) (last - seconds));

    return unless ? evs_resp_arg(p, (u_char *) "NX", 2) : p;
}


/* Of the commands sent, GET alone has a string for its reply. */

static void
evs_once_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_once_t  *once = data;

    ngx_str_null(&once->record);

    if (element->data == NULL) {
        return;
    }

    once->record.data = ngx_pstrdup(once->pool, (ngx_str_t *) element);

    if (once->record.data != NULL) {
        once->record.len = element->len;
    }
}


static void
evs_once_done(void *data, const evs_redis_reply_t *reply)
{
    evs_once_t  *once = data;

    once->cmd = NULL;

    switch (reply->type) {

    case EVS_REDIS_NIL:
        ngx_str_null(&once->record);
        once->done(once->data, NGX_OK, &once->record, NULL);
        return;

    case EVS_REDIS_STRING:
        if (once->record.data == NULL) {
            once->done(once->data, NGX_ERROR, NULL, "no memory");

        } else {
            once->done(once->data, NGX_OK, &once->record, NULL);
        }

        return;

    default:
        once->done(once->data, NGX_ERROR, NULL, evs_store_failure(reply));
    }
}


/* Should it fail, what comes again is stored again, to no effect. */

static void
evs_once_ended(void *data, const evs_redis_reply_t *reply)
{
}
