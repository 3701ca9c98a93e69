
/*
 * Applications: see apps.h.
 *
 * What Redis said of a UUID is an entry of this process, whether it is trusted
 * or not; what the configuration says is looked up behind it, as locations may
 * differ.  An entry is asked for again when half of its time is over, without
 * anybody waiting for that, so that who sends all the time never waits; and
 * with everybody waiting when all of it is.  Its age counts from when Redis
 * was asked, not from the reply.
 *
 * Entries are bounded, and who tries UUIDs in vain pushes out his own kind
 * only: those that are known by name are counted apart.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/apps.h"


/* entries of a kind in a process */
#define EVS_APPS_MAX       10000

/* how long one who was trusted before waits for Redis, in ms */
#define EVS_APPS_PATIENCE  1000

#define EVS_APPS_KEY_MAX                                                      \
    (EVS_STORE_PREFIX_MAX + EVS_APP_UUID_LEN + sizeof(ngx_uint_t))


typedef enum {
    EVS_APPS_UNTOLD = 0,              /* Redis has not been heard yet */
    EVS_APPS_ABSENT,                  /* it leaves it to the configuration */
    EVS_APPS_REVOKED,
    EVS_APPS_INVALID,                 /* a value that is no name: as revoked */
    EVS_APPS_NAMED
} evs_apps_said_e;


/* what Redis said */
typedef struct {
    evs_apps_said_e      said;
    size_t               len;
    u_char               name[EVS_APPLICATION_MAX];
} evs_apps_answer_t;


typedef struct {
    ngx_queue_t          idle;        /* not being asked for; last used first */
    ngx_uint_t           n;           /* all of them */
} evs_apps_kind_t;


typedef struct {
    ngx_str_node_t       node;        /* its key, behind the struct */
    ngx_queue_t          queue;       /* kind->idle, unless asking */
    evs_apps_kind_t     *kind;
    ngx_queue_t          waiters;

    evs_apps_answer_t    answer;
    evs_apps_answer_t    reply;       /* that comes in */

    ngx_msec_t           since;       /* the answer's; if UNTOLD, its own */
    ngx_msec_t           asked;
    ngx_msec_t           failed_at;

    unsigned             asking:1;
    unsigned             failed:1;    /* the last time it was asked for */
    unsigned             configured:1;
} evs_apps_entry_t;


static u_char *evs_apps_key(u_char *p, const evs_apps_conf_t *conf);
static ngx_uint_t evs_apps_find(const evs_apps_conf_t *conf,
    const evs_sid_t *uuid, ngx_str_t *name);
static ngx_uint_t evs_apps_place(const ngx_array_t *known,
    const evs_sid_t *uuid, ngx_uint_t *place);
static evs_apps_entry_t *evs_apps_get(const evs_apps_conf_t *conf,
    const evs_sid_t *uuid);
static evs_apps_entry_t *evs_apps_create(const evs_apps_conf_t *conf,
    const ngx_str_t *key, uint32_t hash, ngx_uint_t configured);
static void evs_apps_delete(evs_apps_entry_t *entry);
static void evs_apps_used(evs_apps_entry_t *entry);
static ngx_int_t evs_apps_ask(const evs_apps_conf_t *conf,
    evs_redis_node_t *node, const evs_sid_t *uuid, evs_apps_entry_t *entry);
static void evs_apps_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_apps_done(void *data, const evs_redis_reply_t *reply);
static void evs_apps_answered(evs_apps_entry_t *entry,
    const evs_redis_reply_t *reply);
static ngx_int_t evs_apps_fresh(evs_apps_waiter_t *waiter,
    const evs_apps_entry_t *entry);
static ngx_int_t evs_apps_stale(evs_apps_waiter_t *waiter,
    const evs_apps_entry_t *entry);
static ngx_int_t evs_apps_judge(evs_apps_waiter_t *waiter,
    const evs_apps_answer_t *answer);


static const evs_redis_handlers_t  evs_apps_handlers = {
    evs_apps_element,
    evs_apps_done
};


/* of this process */
static struct {
    ngx_rbtree_t         tree;
    ngx_rbtree_node_t    sentinel;
    evs_apps_kind_t      named;       /* trusted, or in a configuration */
    evs_apps_kind_t      others;
} evs_apps_process;


ngx_uint_t
evs_app_name_valid(const u_char *name, size_t len)
{
    size_t  i;

    if (len == 0 || len > EVS_APPLICATION_MAX
        || name[0] == ' ' || name[len - 1] == ' ')
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (name[i] < ' ' || name[i] >= 0x7f
            || name[i] == '"' || name[i] == '\\')
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
evs_apps_add(ngx_array_t *known, const evs_sid_t *uuid, const ngx_str_t *name)
{
    evs_app_t   *app;
    ngx_uint_t   place;

    if (evs_apps_place(known, uuid, &place)) {
        return NGX_DECLINED;
    }

    if (ngx_array_push(known) == NULL) {
        return NGX_ERROR;
    }

    app = (evs_app_t *) known->elts + place;

    ngx_memmove(app + 1, app,
                (known->nelts - 1 - place) * sizeof(evs_app_t));

    ngx_memcpy(app->uuid, uuid->data, EVS_APP_UUID_LEN);
    app->name = *name;

    return NGX_OK;
}


static u_char *
evs_apps_key(u_char *p, const evs_apps_conf_t *conf)
{
    p = ngx_cpymem(p, conf->store->prefix.data, conf->store->prefix.len);

    return ngx_cpymem(p, "apps", sizeof("apps") - 1);
}


/* Whether the configuration has it: 1 or 0. */

static ngx_uint_t
evs_apps_find(const evs_apps_conf_t *conf, const evs_sid_t *uuid,
    ngx_str_t *name)
{
    evs_app_t   *app;
    ngx_uint_t   place;

    if (conf->known == NULL || !evs_apps_place(conf->known, uuid, &place)) {
        return 0;
    }

    app = conf->known->elts;
    *name = app[place].name;

    return 1;
}


/* Whether it is there, 1 or 0; and where, or where it belongs. */

static ngx_uint_t
evs_apps_place(const ngx_array_t *known, const evs_sid_t *uuid,
    ngx_uint_t *place)
{
    ngx_int_t    rc;
    evs_app_t   *app;
    ngx_uint_t   low, high, middle;

    low = 0;
    high = known->nelts;
    app = known->elts;

    while (low < high) {
        middle = low + (high - low) / 2;

        rc = ngx_memcmp(app[middle].uuid, uuid->data, EVS_APP_UUID_LEN);

        if (rc == 0) {
            *place = middle;
            return 1;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    *place = low;

    return 0;
}


ngx_int_t
evs_apps_check(const evs_apps_conf_t *conf, evs_redis_node_t *node,
    const evs_sid_t *uuid, evs_apps_waiter_t *waiter)
{
    ngx_int_t          rc, asked;
    ngx_msec_t         now;
    evs_apps_entry_t  *entry;

    waiter->conf = conf;
    waiter->uuid = uuid;

    entry = evs_apps_get(conf, uuid);
    if (entry == NULL) {
        return NGX_BUSY;
    }

    evs_apps_used(entry);

    now = ngx_current_msec;

    if (entry->answer.said != EVS_APPS_UNTOLD
        && now - entry->since < conf->cache)
    {
        if (now - entry->since >= conf->cache / 2) {
            (void) evs_apps_ask(conf, node, uuid, entry);
        }

        return evs_apps_fresh(waiter, entry);
    }

    asked = evs_apps_ask(conf, node, uuid, entry);

    if (entry->failed && now - entry->failed_at < conf->cache) {

        /* Redis had no answer a moment ago: what is known will do */

        rc = evs_apps_stale(waiter, entry);

        if (rc != NGX_BUSY) {
            return rc;
        }
    }

    if (asked != NGX_OK) {
        return NGX_BUSY;
    }

    ngx_queue_insert_tail(&entry->waiters, &waiter->queue);
    waiter->waiting = 1;

    return NGX_AGAIN;
}


void
evs_apps_cancel(evs_apps_waiter_t *waiter)
{
    if (waiter->waiting) {
        ngx_queue_remove(&waiter->queue);
        waiter->waiting = 0;
    }
}


/* The entry of an application; NULL: no memory, or no place for it. */

static evs_apps_entry_t *
evs_apps_get(const evs_apps_conf_t *conf, const evs_sid_t *uuid)
{
    u_char            *p, buf[EVS_APPS_KEY_MAX];
    uint32_t           hash;
    ngx_str_t          key, name;
    ngx_uint_t         configured;
    evs_apps_entry_t  *entry;

    if (evs_apps_process.tree.root == NULL) {
        ngx_rbtree_init(&evs_apps_process.tree, &evs_apps_process.sentinel,
                        ngx_str_rbtree_insert_value);
        ngx_queue_init(&evs_apps_process.named.idle);
        ngx_queue_init(&evs_apps_process.others.idle);
    }

    p = ngx_cpymem(buf, &conf->store->redis->index, sizeof(ngx_uint_t));
    p = ngx_cpymem(p, uuid->data, EVS_APP_UUID_LEN);
    p = ngx_cpymem(p, conf->store->prefix.data, conf->store->prefix.len);

    key.data = buf;
    key.len = (size_t) (p - buf);

    hash = ngx_murmur_hash2(key.data, key.len);
    configured = evs_apps_find(conf, uuid, &name);

    entry = (evs_apps_entry_t *) (void *)
                ngx_str_rbtree_lookup(&evs_apps_process.tree, &key, hash);

    if (entry == NULL) {
        return evs_apps_create(conf, &key, hash, configured);
    }

    if (configured) {
        entry->configured = 1;
    }

    return entry;
}


static evs_apps_entry_t *
evs_apps_create(const evs_apps_conf_t *conf, const ngx_str_t *key,
    uint32_t hash, ngx_uint_t configured)
{
    ngx_queue_t       *q;
    evs_apps_kind_t   *kind;
    evs_apps_entry_t  *entry;

    kind = configured ? &evs_apps_process.named : &evs_apps_process.others;

    if (kind->n >= EVS_APPS_MAX) {

        /* those that are being asked for stay: all of them, in a flood */

        if (ngx_queue_empty(&kind->idle)) {
            return NULL;
        }

        q = ngx_queue_last(&kind->idle);
        evs_apps_delete(ngx_queue_data(q, evs_apps_entry_t, queue));
    }

    entry = ngx_calloc(sizeof(evs_apps_entry_t) + key->len, ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    entry->node.node.key = hash;
    entry->node.str.len = key->len;
    entry->node.str.data = (u_char *) (entry + 1);
    ngx_memcpy(entry->node.str.data, key->data, key->len);

    if (configured) {
        entry->configured = 1;
    }

    entry->kind = kind;
    entry->since = ngx_current_msec;

    ngx_queue_init(&entry->waiters);
    ngx_queue_insert_head(&kind->idle, &entry->queue);
    kind->n++;

    ngx_rbtree_insert(&evs_apps_process.tree, &entry->node.node);

    return entry;
}


static void
evs_apps_delete(evs_apps_entry_t *entry)
{
    ngx_rbtree_delete(&evs_apps_process.tree, &entry->node.node);

    if (!entry->asking) {
        ngx_queue_remove(&entry->queue);
    }

    entry->kind->n--;

    ngx_free(entry);
}


/* It comes to the front of its kind, which may have become another one. */

static void
evs_apps_used(evs_apps_entry_t *entry)
{
    ngx_queue_t      *q;
    evs_apps_kind_t  *kind;

    kind = (entry->answer.said == EVS_APPS_NAMED || entry->configured)
           ? &evs_apps_process.named : &evs_apps_process.others;

    if (!entry->asking) {
        ngx_queue_remove(&entry->queue);
        ngx_queue_insert_head(&kind->idle, &entry->queue);
    }

    if (entry->kind == kind) {
        return;
    }

    entry->kind->n--;
    entry->kind = kind;
    kind->n++;

    q = ngx_queue_last(&kind->idle);

    if (kind->n > EVS_APPS_MAX && q != ngx_queue_sentinel(&kind->idle)
        && q != &entry->queue)
    {
        evs_apps_delete(ngx_queue_data(q, evs_apps_entry_t, queue));
    }
}


/* "*3\r\n$4\r\nHGET\r\n$<len>\r\n<prefix>apps\r\n$36\r\n<uuid>\r\n" */

static ngx_int_t
evs_apps_ask(const evs_apps_conf_t *conf, evs_redis_node_t *node,
    const evs_sid_t *uuid, evs_apps_entry_t *entry)
{
    u_char      *p, *last, key[EVS_STORE_KEY_MAX];
    ngx_msec_t   timeout;

    if (entry->asking) {
        return NGX_OK;
    }

    p = evs_redis_reserve(node, 4 * EVS_RESP_ARG_MAX + EVS_STORE_KEY_MAX
                                + EVS_APP_UUID_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = evs_apps_key(key, conf);

    p = evs_resp_argc(p, 3);
    p = evs_resp_arg(p, (u_char *) "HGET", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));
    p = evs_resp_arg(p, uuid->data, EVS_APP_UUID_LEN);

    timeout = conf->store->timeout;

    if ((entry->answer.said != EVS_APPS_UNTOLD || entry->configured)
        && ngx_current_msec - entry->since < conf->grace)
    {
        timeout = ngx_min(timeout, EVS_APPS_PATIENCE);
    }

    if (evs_redis_commit(node, p, 1, timeout, &evs_apps_handlers, entry)
        == NULL)
    {
        return NGX_ERROR;
    }

    entry->asking = 1;
    entry->asked = ngx_current_msec;
    entry->reply.said = EVS_APPS_UNTOLD;

    ngx_queue_remove(&entry->queue);

    return NGX_OK;
}


static void
evs_apps_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_apps_entry_t   *entry = data;
    evs_apps_answer_t  *reply;

    reply = &entry->reply;

    if (element->data == NULL) {
        reply->said = EVS_APPS_UNTOLD;

    } else if (element->len == 0) {
        reply->said = EVS_APPS_REVOKED;

    } else if (evs_app_name_valid(element->data, element->len)) {
        reply->said = EVS_APPS_NAMED;
        reply->len = element->len;
        ngx_memcpy(reply->name, element->data, element->len);

    } else {
        reply->said = EVS_APPS_INVALID;
    }
}


static void
evs_apps_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_int_t           rc;
    ngx_queue_t        *q, waiters;
    evs_apps_entry_t   *entry = data, told;
    evs_apps_waiter_t  *waiter;

    evs_apps_answered(entry, reply);

    ngx_queue_init(&waiters);

    if (!ngx_queue_empty(&entry->waiters)) {
        ngx_queue_add(&waiters, &entry->waiters);
        ngx_queue_init(&entry->waiters);
    }

    /* they may do anything, and so have the entry deleted */

    told = *entry;

    while (!ngx_queue_empty(&waiters)) {
        q = ngx_queue_head(&waiters);
        waiter = ngx_queue_data(q, evs_apps_waiter_t, queue);

        evs_apps_cancel(waiter);

        rc = told.failed ? evs_apps_stale(waiter, &told)
                         : evs_apps_fresh(waiter, &told);

        waiter->done(waiter, rc);
    }
}


static void
evs_apps_answered(evs_apps_entry_t *entry, const evs_redis_reply_t *reply)
{
    evs_apps_said_e  before;

    before = entry->answer.said;

    entry->asking = 0;
    ngx_queue_insert_head(&entry->kind->idle, &entry->queue);

    if (reply->type == EVS_REDIS_NIL) {
        entry->reply.said = EVS_APPS_ABSENT;

    } else if (reply->type != EVS_REDIS_STRING) {

        /* the answer before stands; the log knows of Redis' troubles */

        entry->failed = 1;
        entry->failed_at = ngx_current_msec;
        return;
    }

    entry->failed = 0;
    entry->answer = entry->reply;
    entry->since = entry->asked;

    evs_apps_used(entry);

    if (entry->answer.said == EVS_APPS_INVALID && before != EVS_APPS_INVALID) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "eventsession: an application in Redis has a name that "
                      "is none and is not trusted, a name is of "
                      EVS_APP_NAME_RIGHT);
    }
}


/* By what Redis has said in time. */

static ngx_int_t
evs_apps_fresh(evs_apps_waiter_t *waiter, const evs_apps_entry_t *entry)
{
    ngx_msec_t  age, cache;

    cache = waiter->conf->cache;
    age = ngx_current_msec - entry->since;

    waiter->until = entry->since + ((age < cache / 2) ? cache / 2 : cache);

    return evs_apps_judge(waiter, &entry->answer);
}


/* By what is known when Redis says nothing, if it isn't too old. */

static ngx_int_t
evs_apps_stale(evs_apps_waiter_t *waiter, const evs_apps_entry_t *entry)
{
    ngx_int_t   rc;
    ngx_msec_t  age, grace;

    grace = waiter->conf->grace;
    age = ngx_current_msec - entry->since;

    if (age >= grace) {
        return NGX_BUSY;
    }

    waiter->until = ngx_current_msec + ngx_min(waiter->conf->cache,
                                               grace - age);

    rc = evs_apps_judge(waiter, &entry->answer);

    if (rc == NGX_DECLINED && entry->answer.said == EVS_APPS_UNTOLD) {

        /* Redis may have it: nobody knows */

        return NGX_BUSY;
    }

    return rc;
}


static ngx_int_t
evs_apps_judge(evs_apps_waiter_t *waiter, const evs_apps_answer_t *answer)
{
    ngx_str_t  name;

    switch (answer->said) {

    case EVS_APPS_NAMED:
        name.len = answer->len;
        name.data = (u_char *) answer->name;
        break;

    case EVS_APPS_REVOKED:
    case EVS_APPS_INVALID:
        return NGX_DECLINED;

    default: /* EVS_APPS_ABSENT, EVS_APPS_UNTOLD */

        if (!evs_apps_find(waiter->conf, waiter->uuid, &name)) {
            return NGX_DECLINED;
        }
    }

    ngx_memcpy(waiter->text, name.data, name.len);

    waiter->name.len = name.len;
    waiter->name.data = waiter->text;

    return NGX_OK;
}


void
evs_apps_exit(void)
{
    ngx_rbtree_node_t  *root;

    while (evs_apps_process.tree.root != NULL
           && evs_apps_process.tree.root != &evs_apps_process.sentinel)
    {
        root = evs_apps_process.tree.root;
        evs_apps_delete((evs_apps_entry_t *) (void *) root);
    }

    ngx_memzero(&evs_apps_process, sizeof(evs_apps_process));
}
