
/*
 * A branch as a source: see log_source.h.  Its commands:
 *
 *     a page   ZRANGEBYSCORE <index> <from> <to> WITHSCORES LIMIT 0 <n>
 *     checks   ZMSCORE <index> <entry> ..., of each check, all at once
 *
 * A page begins at the createdAt where the one before ended, and what comes
 * again is known by its place in the order.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"
#include "store/log_source.h"
#include "store/range.h"


/* entries in a page, to begin with and at most */
#define EVS_LOG_SOURCE_FEW   64
#define EVS_LOG_SOURCE_MOST  1024

/* of a score that is one of ours */
#define EVS_LOG_SCORE_MAX    18


static ngx_int_t evs_log_source_check(evs_log_source_t *source);
static void evs_log_source_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_source_again(evs_log_source_t *source);
static void evs_log_source_entry(evs_log_source_t *source,
    const ngx_str_t *score);
static void evs_log_source_checked(evs_log_source_t *source,
    ngx_uint_t nreply, const ngx_str_t *score);
static void evs_log_source_done(void *data, const evs_redis_reply_t *reply);
static const char *evs_log_source_paged(evs_log_source_t *source,
    const evs_redis_reply_t *reply);
static void evs_log_source_sift(evs_log_source_t *source);
static void evs_log_source_strange(evs_log_source_t *source);


static const evs_redis_handlers_t  evs_log_source_handlers = {
    evs_log_source_element,
    evs_log_source_done
};


void
evs_log_source_begin(evs_log_source_t *source, const evs_log_time_t *time)
{
    source->time = *time;
    source->day = evs_log_day(time->from);
    source->pos = 0;
    source->last = 0;
    source->asked = 0;
    source->seen.us = -1;
    source->ended = 0;
    source->ties = 0;
    source->broken = 0;
}


ngx_int_t
evs_log_source_ask(evs_log_source_t *source)
{
    u_char           *p, key[EVS_LOG_KEY_MAX];
    ngx_uint_t        n;
    evs_log_entry_t  *entries;

    n = source->asked ? 2 * source->asked : EVS_LOG_SOURCE_FEW;
    n = ngx_min(n, EVS_LOG_SOURCE_MOST);

    if (n > source->size) {
        entries = ngx_alloc(n * sizeof(evs_log_entry_t), source->log);
        if (entries == NULL) {
            return NGX_ERROR;
        }

        if (source->entries != NULL) {
            ngx_free(source->entries);
        }

        source->entries = entries;
        source->size = n;
    }

    p = evs_redis_reserve(source->node, EVS_LOG_KEY_MAX + 256);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_resp_argc(p, 8);
    p = evs_resp_arg(p, (u_char *) "ZRANGEBYSCORE", 13);
    p = evs_resp_arg(p, key,
                     (size_t) (evs_log_source_key(key, source) - key));
    p = evs_range_number(p, "", source->time.from);
    p = evs_range_number(p, "", source->time.to);
    p = evs_resp_arg(p, (u_char *) "WITHSCORES", 10);
    p = evs_resp_arg(p, (u_char *) "LIMIT", 5);
    p = evs_range_number(p, "", 0);
    p = evs_range_number(p, "", (int64_t) n);

    source->asked = n;
    source->page = source->seen;
    source->pos = 0;
    source->checking = 0;

    evs_log_source_again(source);

    source->cmd = evs_redis_commit(source->node, p, 1, source->conf->timeout,
                                   &evs_log_source_handlers, source);

    return (source->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


u_char *
evs_log_source_key(u_char *p, const evs_log_source_t *source)
{
    const evs_log_count_t  *index;

    index = source->branch->index;

    return evs_log_index_key(p, source->conf, source->day, index->index,
                             index->value);
}


/* Asks the other indexes for the entries that have come. */

static ngx_int_t
evs_log_source_check(evs_log_source_t *source)
{
    size_t                   len;
    u_char                  *p, key[EVS_LOG_KEY_MAX];
    ngx_uint_t               i, k;
    const evs_log_count_t   *check;
    const evs_log_branch_t  *branch;

    branch = source->branch;

    p = evs_redis_reserve(source->node, branch->nchecks
                          * (EVS_LOG_KEY_MAX + 128
                             + source->last
                               * (EVS_LOG_INDEX_ID + EVS_RESP_ARG_MAX)));
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (k = 0; k < branch->nchecks; k++) {
        check = branch->checks[k];

        len = (size_t) (evs_log_index_key(key, source->conf, source->day,
                                          check->index, check->value)
                        - key);

        p = evs_resp_argc(p, source->last + 2);
        p = evs_resp_arg(p, (u_char *) "ZMSCORE", 7);
        p = evs_resp_arg(p, key, len);

        for (i = 0; i < source->last; i++) {
            p = evs_resp_arg(p, source->entries[i].id, EVS_LOG_INDEX_ID);
        }
    }

    source->checking = 1;
    source->old = source->last;

    evs_log_source_again(source);

    source->cmd = evs_redis_commit(source->node, p, branch->nchecks,
                                   source->conf->timeout,
                                   &evs_log_source_handlers, source);

    return (source->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static void
evs_log_source_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_log_source_t  *source = data;

    if (element->data == NULL) {
        evs_log_source_again(source);
        return;
    }

    if (source->checking) {
        evs_log_source_checked(source, nreply, element);
        return;
    }

    if (source->came++ % 2 != 0) {

        if (source->ours) {
            evs_log_source_entry(source, element);
        }

        return;
    }

    source->ours = (element->len == EVS_LOG_INDEX_ID);

    if (source->ours) {
        ngx_memcpy(source->member, element->data, EVS_LOG_INDEX_ID);

    } else {
        evs_log_source_strange(source);
    }
}


/* The command begins, for the first time or once more. */

static void
evs_log_source_again(evs_log_source_t *source)
{
    ngx_uint_t  i;

    source->came = 0;
    source->nreply = 0;

    if (source->checking) {

        /* negative: a check doesn't have it */

        for (i = 0; i < source->old; i++) {
            if (source->entries[i].us < 0) {
                source->entries[i].us = -1 - source->entries[i].us;
            }
        }

        return;
    }

    source->last = 0;
    source->seen = source->page;
}


static void
evs_log_source_entry(evs_log_source_t *source, const ngx_str_t *score)
{
    ngx_int_t        us;
    evs_log_entry_t  entry;

    us = (score->len > EVS_LOG_SCORE_MAX)
         ? NGX_ERROR : ngx_atoi(score->data, score->len);

    if (us == NGX_ERROR || us < source->time.from || us > source->time.to) {
        evs_log_source_strange(source);
        return;
    }

    entry.us = us;
    ngx_memcpy(entry.id, source->member, EVS_LOG_INDEX_ID);

    if (source->last == source->size
        || evs_log_entry_order(&entry, &source->seen) <= 0)
    {
        return;
    }

    source->entries[source->last++] = entry;
    source->seen = entry;
}


static void
evs_log_source_checked(evs_log_source_t *source, ngx_uint_t nreply,
    const ngx_str_t *score)
{
    evs_log_entry_t  *entry;

    if (nreply != source->nreply) {
        source->nreply = nreply;
        source->came = 0;
    }

    if (source->came == source->old) {
        return;
    }

    entry = &source->entries[source->came++];

    if (score->len == 0 && entry->us >= 0) {
        entry->us = -1 - entry->us;
    }
}


static void
evs_log_source_done(void *data, const evs_redis_reply_t *reply)
{
    const char        *failure;
    evs_log_source_t  *source = data;

    source->cmd = NULL;

    if (!source->checking) {
        failure = evs_log_source_paged(source, reply);

        if (failure == NULL && source->last != 0 && source->branch->nchecks) {

            if (evs_log_source_check(source) == NGX_OK) {
                return;
            }

            failure = "no memory";
        }

    } else if (reply->type == EVS_REDIS_ARRAY) {
        evs_log_source_sift(source);
        failure = NULL;

    } else if (evs_store_wrong_type(reply)) {

        /* the check is no index: then all entries are looked at */

        source->came = 0;
        evs_log_source_again(source);
        failure = NULL;

    } else {
        failure = evs_store_failure(reply);
    }

    source->done(source->data, failure);
}


static const char *
evs_log_source_paged(evs_log_source_t *source, const evs_redis_reply_t *reply)
{
    if (evs_store_wrong_type(reply)) {
        evs_log_source_strange(source);
        source->broken = 1;
        source->last = 0;

        return NULL;
    }

    if (reply->type != EVS_REDIS_ARRAY) {
        return evs_store_failure(reply);
    }

    if (source->came < 2 * source->asked) {
        source->ended = 1;
        return NULL;
    }

    if (source->seen.us > source->time.from) {
        source->time.from = source->seen.us;
        return NULL;
    }

    /*
     * a page without an end to it: of one µs, or of what is not ours; the
     * records themselves are read there
     */

    source->ties = (source->seen.us == source->time.from);
    source->broken = !source->ties;
    source->last = 0;

    return NULL;
}


/* Away with entries that a check doesn't have. */

static void
evs_log_source_sift(evs_log_source_t *source)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < source->last; i++) {
        if (source->entries[i].us >= 0) {
            source->entries[n++] = source->entries[i];
        }
    }

    source->last = n;
}


static void
evs_log_source_strange(evs_log_source_t *source)
{
    if (!source->foreign) {
        source->foreign = 1;

        ngx_log_error(NGX_LOG_ERR, source->log, 0,
                      "eventsession: an index of the log has something that "
                      "is not ours, passed over");
    }
}


void
evs_log_source_end(evs_log_source_t *source)
{
    if (source->cmd != NULL) {
        evs_redis_cancel(source->cmd);
        source->cmd = NULL;
    }

    if (source->entries != NULL) {
        ngx_free(source->entries);
        source->entries = NULL;
    }

    source->size = 0;
    source->pos = 0;
    source->last = 0;
    source->ended = 1;
}


int
evs_log_entry_order(const evs_log_entry_t *one, const evs_log_entry_t *other)
{
    if (one->us != other->us) {
        return (one->us < other->us) ? -1 : 1;
    }

    return ngx_memcmp(one->id, other->id, EVS_LOG_INDEX_ID);
}
