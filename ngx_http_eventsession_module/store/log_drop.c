
/*
 * Days are dropped a page of records after another, the oldest day first:
 *
 *     ZRANGEBYSCORE days -inf (<before> LIMIT 0 1      which day
 *     ZRANGEBYSCORE <day> -inf +inf WITHSCORES LIMIT <skip> n
 *     UNLINK <index> ...                               where its records are,
 *     ZREMRANGEBYSCORE <day> -inf (<last score>        then they themselves
 *     ...                                              until there are none
 *     ZREM days <day>
 *
 * The records say which indexes a day has, so that Redis keeps no list of
 * them, and writing a record costs nothing for its end.  No expiry of keys is
 * used: with one, a record would outlive its index entries when the time is
 * made longer, and days before it was first set would never go.
 *
 * Several processes may do this at the same time, and each step may be done
 * twice.  Nobody waits for it: what fails is tried again later.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "event/number.h"
#include "store/keyspace.h"
#include "store/log_drop.h"
#include "store/log_key.h"
#include "store/record.h"


#define EVS_LOG_DROP_PAGE    128      /* records */
#define EVS_LOG_DROP_AGAIN   60       /* seconds after a failure */

#define EVS_LOG_DROP_KEY_MAX  (EVS_LOG_KEY_MAX + EVS_RESP_ARG_MAX)

#define EVS_LOG_DROP_SCORE_MAX  32
#define EVS_LOG_DROP_DAY_MAX    64

/* of a command, but for the keys of a page: its words, a key, a number */
#define EVS_LOG_DROP_COMMAND_MAX                                              \
    (8 * (EVS_RESP_ARG_MAX + sizeof("ZREMRANGEBYSCORE"))                      \
     + EVS_LOG_DROP_KEY_MAX + EVS_LOG_DROP_DAY_MAX + EVS_RESP_ARG_MAX)


typedef struct evs_log_drop_s  evs_log_drop_t;

/* a page of a day, while it is dropped */
typedef struct {
    u_char                   *keys;     /* as arguments; where there is room */
    u_char                   *last;
    ngx_uint_t                nkeys;
    ngx_uint_t                elements; /* members and scores, by turns */
    ngx_uint_t                ties;     /* at the end, of one score */
    size_t                    len;
    u_char                    score[EVS_LOG_DROP_SCORE_MAX];
} evs_log_drop_page_t;

struct evs_log_drop_s {
    evs_keyspace_t            keyspace; /* the conf is whose that came last */
    int64_t                   before;   /* days before this one go */
    int64_t                   done;     /* ... are gone */
    time_t                    again;    /* not before, after a failure */

    /* the one that goes, and as it is written in days; no length: none */
    int64_t                   day;
    size_t                    len;
    u_char                    text[EVS_LOG_DROP_DAY_MAX];
    ngx_uint_t                skip;     /* records in front of the page */

    evs_json_names_t         *names;
    evs_log_drop_page_t       page;
    unsigned                  running:1;
};


static evs_log_drop_t *evs_log_drop_get(const evs_store_conf_t *conf,
    evs_redis_node_t *node);
static ngx_int_t evs_log_drop_begin(evs_log_drop_t *drop);
static void evs_log_drop_end(evs_log_drop_t *drop, ngx_uint_t failed);
static ngx_int_t evs_log_drop_days(evs_log_drop_t *drop);
static void evs_log_drop_day(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_drop_days_done(void *data,
    const evs_redis_reply_t *reply);
static ngx_int_t evs_log_drop_page(evs_log_drop_t *drop);
static void evs_log_drop_reset(evs_log_drop_page_t *page);
static void evs_log_drop_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_drop_member(evs_log_drop_t *drop,
    const ngx_str_t *member);
static void evs_log_drop_score(evs_log_drop_page_t *page,
    const ngx_str_t *score);
static void evs_log_drop_page_done(void *data,
    const evs_redis_reply_t *reply);
static ngx_int_t evs_log_drop_records(evs_log_drop_t *drop);
static u_char *evs_log_drop_remove(u_char *p, evs_log_drop_t *drop,
    ngx_uint_t stay);
static void evs_log_drop_records_done(void *data,
    const evs_redis_reply_t *reply);
static ngx_int_t evs_log_drop_finish(evs_log_drop_t *drop);
static void evs_log_drop_finish_done(void *data,
    const evs_redis_reply_t *reply);
static ngx_int_t evs_log_drop_commit(evs_log_drop_t *drop, u_char *last,
    ngx_uint_t nreplies, const evs_redis_handlers_t *handlers);
static u_char *evs_log_drop_arg(u_char *p, const char *arg);


static const evs_redis_handlers_t  evs_log_drop_days_handlers = {
    evs_log_drop_day,
    evs_log_drop_days_done
};

static const evs_redis_handlers_t  evs_log_drop_page_handlers = {
    evs_log_drop_element,
    evs_log_drop_page_done
};

static const evs_redis_handlers_t  evs_log_drop_records_handlers = {
    NULL,
    evs_log_drop_records_done
};

static const evs_redis_handlers_t  evs_log_drop_finish_handlers = {
    NULL,
    evs_log_drop_finish_done
};


/* of this process */
static evs_keyspace_t  *evs_log_drops;


void
evs_log_drop(const evs_store_conf_t *conf, evs_redis_node_t *node, int64_t us)
{
    int64_t          before;
    evs_log_drop_t  *drop;

    if (conf->log_ttl == 0 || (int64_t) conf->log_ttl > us / 1000000) {
        return;
    }

    before = evs_log_day(us - (int64_t) conf->log_ttl * 1000000);

    drop = evs_log_drop_get(conf, node);

    if (drop == NULL || drop->running || before <= drop->done
        || ngx_time() < drop->again)
    {
        return;
    }

    drop->keyspace.conf = conf;
    drop->before = before;

    if (evs_log_drop_begin(drop) != NGX_OK) {
        evs_log_drop_end(drop, 1);
    }
}


static evs_log_drop_t *
evs_log_drop_get(const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    evs_log_drop_t  *drop;
    evs_keyspace_t  *keyspace;

    keyspace = evs_keyspace_find(evs_log_drops, conf, node);

    if (keyspace != NULL) {
        return evs_keyspace_data(keyspace, evs_log_drop_t, keyspace);
    }

    drop = ngx_calloc(sizeof(evs_log_drop_t), ngx_cycle->log);
    if (drop == NULL) {
        return NULL;
    }

    evs_keyspace_add(&evs_log_drops, &drop->keyspace, conf, node);

    return drop;
}


static ngx_int_t
evs_log_drop_begin(evs_log_drop_t *drop)
{
    drop->running = 1;

    drop->page.keys = ngx_alloc(EVS_LOG_DROP_PAGE * EVS_LOG_INDEXES
                                * EVS_LOG_DROP_KEY_MAX, ngx_cycle->log);
    drop->names = evs_json_names_create();

    if (drop->page.keys == NULL || drop->names == NULL) {
        return NGX_ERROR;
    }

    return evs_log_drop_days(drop);
}


static void
evs_log_drop_end(evs_log_drop_t *drop, ngx_uint_t failed)
{
    drop->running = 0;

    if (failed) {
        drop->again = ngx_time() + EVS_LOG_DROP_AGAIN;

    } else {
        drop->done = drop->before;
    }

    if (drop->page.keys != NULL) {
        ngx_free(drop->page.keys);
        drop->page.keys = NULL;
    }

    if (drop->names != NULL) {
        evs_json_names_destroy(drop->names);
        drop->names = NULL;
    }
}


/* As all below: NGX_OK, or NGX_ERROR when it can't go on. */

static ngx_int_t
evs_log_drop_days(evs_log_drop_t *drop)
{
    u_char  *p, *last, buf[EVS_LOG_KEY_MAX];

    p = evs_redis_reserve(drop->keyspace.node, EVS_LOG_DROP_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    drop->len = 0;
    drop->skip = 0;

    last = evs_log_days_key(buf, drop->keyspace.conf);

    p = evs_resp_argc(p, 7);
    p = evs_log_drop_arg(p, "ZRANGEBYSCORE");
    p = evs_resp_arg(p, buf, (size_t) (last - buf));
    p = evs_log_drop_arg(p, "-inf");

    buf[0] = '(';
    last = evs_number_write(buf + 1, (uint64_t) drop->before);
    p = evs_resp_arg(p, buf, (size_t) (last - buf));

    p = evs_log_drop_arg(p, "LIMIT");
    p = evs_log_drop_arg(p, "0");
    p = evs_log_drop_arg(p, "1");

    return evs_log_drop_commit(drop, p, 1, &evs_log_drop_days_handlers);
}


static void
evs_log_drop_day(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_log_drop_t  *drop = data;

    drop->len = 0;

    if (element->data == NULL || element->len > EVS_LOG_DROP_DAY_MAX) {
        return;
    }

    ngx_memcpy(drop->text, element->data, element->len);
    drop->len = element->len;
    drop->day = ngx_atoi(element->data, element->len);
}


static void
evs_log_drop_days_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_int_t        rc;
    evs_log_drop_t  *drop = data;

    if (reply->type == EVS_REDIS_ARRAY && reply->integer == 0) {
        evs_log_drop_end(drop, 0);
        return;
    }

    if (reply->type != EVS_REDIS_ARRAY || drop->len == 0 || ngx_exiting) {
        evs_log_drop_end(drop, 1);
        return;
    }

    /* what isn't a day can only be taken out */

    rc = (drop->day == NGX_ERROR) ? evs_log_drop_finish(drop)
                                  : evs_log_drop_page(drop);
    if (rc != NGX_OK) {
        evs_log_drop_end(drop, 1);
    }
}


static ngx_int_t
evs_log_drop_page(evs_log_drop_t *drop)
{
    u_char  *p, *last, buf[EVS_LOG_KEY_MAX];

    p = evs_redis_reserve(drop->keyspace.node, EVS_LOG_DROP_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    evs_log_drop_reset(&drop->page);

    last = evs_log_day_key(buf, drop->keyspace.conf, drop->day);

    p = evs_resp_argc(p, 8);
    p = evs_log_drop_arg(p, "ZRANGEBYSCORE");
    p = evs_resp_arg(p, buf, (size_t) (last - buf));
    p = evs_log_drop_arg(p, "-inf");
    p = evs_log_drop_arg(p, "+inf");
    p = evs_log_drop_arg(p, "WITHSCORES");
    p = evs_log_drop_arg(p, "LIMIT");

    last = evs_number_write(buf, drop->skip);
    p = evs_resp_arg(p, buf, (size_t) (last - buf));

    last = evs_number_write(buf, EVS_LOG_DROP_PAGE);
    p = evs_resp_arg(p, buf, (size_t) (last - buf));

    return evs_log_drop_commit(drop, p, 1, &evs_log_drop_page_handlers);
}


static void
evs_log_drop_reset(evs_log_drop_page_t *page)
{
    page->last = page->keys;
    page->nkeys = 0;
    page->elements = 0;
    page->ties = 0;
    page->len = 0;
}


static void
evs_log_drop_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_log_drop_t       *drop = data;
    evs_log_drop_page_t  *page;

    page = &drop->page;

    if (element->data == NULL) {
        evs_log_drop_reset(page);
        return;
    }

    if (page->elements == 2 * EVS_LOG_DROP_PAGE) {
        return;
    }

    if (page->elements++ % 2 == 0) {
        evs_log_drop_member(drop, element);

    } else {
        evs_log_drop_score(page, element);
    }
}


/* One that can't be read has no index entries that anybody knows of. */

static void
evs_log_drop_member(evs_log_drop_t *drop, const ngx_str_t *member)
{
    u_char                key[EVS_LOG_KEY_MAX], *last;
    evs_record_t          record;
    const ngx_str_t      *values[EVS_LOG_INDEXES];
    evs_log_index_e       i;
    evs_log_drop_page_t  *page;

    if (evs_record_read(&record, member, drop->names) != NGX_OK) {
        return;
    }

    page = &drop->page;

    values[EVS_LOG_EMAIL] = &record.email;
    values[EVS_LOG_ENVIRONMENT] = &record.environment;
    values[EVS_LOG_COMPONENT] = &record.component;

    for (i = EVS_LOG_EMAIL; i < EVS_LOG_INDEXES; i++) {
        last = evs_log_index_key(key, drop->keyspace.conf, drop->day, i,
                                 values[i]);
        page->last = evs_resp_arg(page->last, key, (size_t) (last - key));
        page->nkeys++;
    }
}


static void
evs_log_drop_score(evs_log_drop_page_t *page, const ngx_str_t *score)
{
    if (score->len == page->len
        && ngx_memcmp(score->data, page->score, score->len) == 0)
    {
        page->ties++;
        return;
    }

    page->ties = 1;
    page->len = ngx_min(score->len, EVS_LOG_DROP_SCORE_MAX);
    ngx_memcpy(page->score, score->data, page->len);
}


static void
evs_log_drop_page_done(void *data, const evs_redis_reply_t *reply)
{
    ngx_int_t        rc;
    evs_log_drop_t  *drop = data;

    if (reply->type != EVS_REDIS_ARRAY || ngx_exiting) {
        evs_log_drop_end(drop, 1);
        return;
    }

    rc = (drop->page.elements == 0 && drop->skip == 0)
         ? evs_log_drop_finish(drop) : evs_log_drop_records(drop);
    if (rc != NGX_OK) {
        evs_log_drop_end(drop, 1);
    }
}


static ngx_int_t
evs_log_drop_records(evs_log_drop_t *drop)
{
    u_char               *p;
    ngx_uint_t            nreplies, records;
    evs_log_drop_page_t  *page;

    page = &drop->page;
    records = page->elements / 2;

    p = evs_redis_reserve(drop->keyspace.node, 2 * EVS_LOG_DROP_COMMAND_MAX
                                      + (size_t) (page->last - page->keys));
    if (p == NULL) {
        return NGX_ERROR;
    }

    nreplies = 0;

    if (page->nkeys != 0) {
        p = evs_resp_argc(p, 1 + page->nkeys);
        p = evs_log_drop_arg(p, "UNLINK");
        p = ngx_cpymem(p, page->keys, (size_t) (page->last - page->keys));
        nreplies++;
    }

    if (records < EVS_LOG_DROP_PAGE) {
        p = evs_log_drop_remove(p, drop, 0);
        nreplies++;

    } else if (page->ties < records) {
        p = evs_log_drop_remove(p, drop, 1);
        nreplies++;

    } else {
        drop->skip += records;
    }

    return nreplies ? evs_log_drop_commit(drop, p, nreplies,
                                          &evs_log_drop_records_handlers)
                    : evs_log_drop_page(drop);
}


/*
 * All records up to the page's last score.  Where there may be more of that
 * one, which the page has not shown, they stay; if it shows no others, the
 * next page begins behind this one.
 */

static u_char *
evs_log_drop_remove(u_char *p, evs_log_drop_t *drop, ngx_uint_t stay)
{
    u_char  *last, buf[EVS_LOG_KEY_MAX];

    drop->skip = 0;

    last = evs_log_day_key(buf, drop->keyspace.conf, drop->day);

    p = evs_resp_argc(p, 4);
    p = evs_log_drop_arg(p, "ZREMRANGEBYSCORE");
    p = evs_resp_arg(p, buf, (size_t) (last - buf));
    p = evs_log_drop_arg(p, "-inf");

    if (drop->page.len == 0) {

        /* an empty page, behind those that were skipped */

        return evs_log_drop_arg(p, "+inf");
    }

    last = buf;

    if (stay) {
        *last++ = '(';
    }

    last = ngx_cpymem(last, drop->page.score, drop->page.len);

    return evs_resp_arg(p, buf, (size_t) (last - buf));
}


static void
evs_log_drop_records_done(void *data, const evs_redis_reply_t *reply)
{
    evs_log_drop_t  *drop = data;

    if (reply->type != EVS_REDIS_INTEGER || ngx_exiting
        || evs_log_drop_page(drop) != NGX_OK)
    {
        evs_log_drop_end(drop, 1);
    }
}


static ngx_int_t
evs_log_drop_finish(evs_log_drop_t *drop)
{
    u_char  *p, *last, buf[EVS_LOG_KEY_MAX];

    p = evs_redis_reserve(drop->keyspace.node, EVS_LOG_DROP_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = evs_log_days_key(buf, drop->keyspace.conf);

    p = evs_resp_argc(p, 3);
    p = evs_log_drop_arg(p, "ZREM");
    p = evs_resp_arg(p, buf, (size_t) (last - buf));
    p = evs_resp_arg(p, drop->text, drop->len);

    return evs_log_drop_commit(drop, p, 1, &evs_log_drop_finish_handlers);
}


static void
evs_log_drop_finish_done(void *data, const evs_redis_reply_t *reply)
{
    evs_log_drop_t  *drop = data;

    if (reply->type != EVS_REDIS_INTEGER || ngx_exiting
        || evs_log_drop_days(drop) != NGX_OK)
    {
        evs_log_drop_end(drop, 1);
    }
}


static ngx_int_t
evs_log_drop_commit(evs_log_drop_t *drop, u_char *last, ngx_uint_t nreplies,
    const evs_redis_handlers_t *handlers)
{
    return (evs_redis_commit(drop->keyspace.node, last, nreplies,
                             drop->keyspace.conf->timeout, handlers, drop)
            == NULL)
           ? NGX_ERROR : NGX_OK;
}


static u_char *
evs_log_drop_arg(u_char *p, const char *arg)
{
    return evs_resp_arg(p, (u_char *) arg, ngx_strlen(arg));
}


void
evs_log_drop_exit(void)
{
    evs_log_drop_t  *drop;
    evs_keyspace_t  *keyspace;

    while ((keyspace = evs_keyspace_take(&evs_log_drops)) != NULL) {
        drop = evs_keyspace_data(keyspace, evs_log_drop_t, keyspace);

        evs_log_drop_end(drop, 1);
        ngx_free(drop);
    }
}
