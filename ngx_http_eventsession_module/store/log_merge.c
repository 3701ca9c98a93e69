
/*
 * The merge of indexes: see log_merge.h.
 *
 * Records are looked up by their createdAt, a command for each:
 *
 *     ZRANGEBYSCORE <day> <us> <us> LIMIT 0 <ties>, ...
 *
 * Where an index can't be made use of, having been overwritten by a stranger
 * or having more than a page of entries of one µs, or where more records than
 * ties share one, the read is told to go by the records instead.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_merge.h"
#include "store/log_sweep.h"


static void evs_log_merge_ready(void *data, const char *failure);
static ngx_int_t evs_log_merge_ask(evs_log_merge_t *merge);
static ngx_int_t evs_log_merge_take(evs_log_merge_t *merge, ngx_uint_t most,
    int64_t *us);
static ngx_int_t evs_log_merge_least(evs_log_merge_t *merge,
    evs_log_entry_t *least, uint64_t *sources);
static ngx_int_t evs_log_merge_first(const evs_log_source_t *source,
    evs_log_entry_t *entry);


ngx_int_t
evs_log_merge_init(evs_log_merge_t *merge)
{
    evs_log_branch_t  *branch;
    evs_log_source_t  *source;

    merge->sources = ngx_pcalloc(merge->pool, (merge->plan->nbranches + 1)
                                              * sizeof(evs_log_source_t));
    merge->wanted = ngx_palloc(merge->pool, EVS_LOG_MERGE_WANTED
                                            * sizeof(evs_log_wanted_t));

    if (merge->sources == NULL || merge->wanted == NULL) {
        return NGX_ERROR;
    }

    source = merge->sources;

    for (branch = merge->plan->branches; branch; branch = branch->next) {
        source->conf = merge->conf;
        source->node = merge->node;
        source->log = merge->log;
        source->branch = branch;
        source->done = evs_log_merge_ready;
        source->data = merge;
        source++;
    }

    return NGX_OK;
}


void
evs_log_merge_begin(evs_log_merge_t *merge, const evs_log_span_t *span)
{
    ngx_uint_t  i;

    merge->nwanted = 0;
    merge->branches = span->records ? 0 : span->branches;

    for (i = 0; i < merge->plan->nbranches; i++) {
        if (merge->branches & ((uint64_t) 1 << i)) {
            evs_log_source_begin(&merge->sources[i], &span->time);
        }
    }
}


ngx_int_t
evs_log_merge_next(evs_log_merge_t *merge, ngx_uint_t most, int64_t *us)
{
    ngx_int_t  rc;

    do {
        rc = evs_log_merge_ask(merge);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = evs_log_merge_take(merge, most, us);

    } while (rc == NGX_AGAIN);

    return rc;
}


/* NGX_OK: all of them have something, or are at their end. */

static ngx_int_t
evs_log_merge_ask(evs_log_merge_t *merge)
{
    ngx_uint_t         i;
    evs_log_source_t  *source;

    for (i = 0; i < merge->plan->nbranches; i++) {
        source = &merge->sources[i];

        if (!(merge->branches & ((uint64_t) 1 << i))
            || !evs_log_source_dry(source))
        {
            continue;
        }

        if (evs_log_source_ask(source) != NGX_OK) {
            return NGX_ERROR;
        }

        merge->nasked++;
    }

    return merge->nasked ? NGX_AGAIN : NGX_OK;
}


static void
evs_log_merge_ready(void *data, const char *failure)
{
    evs_log_merge_t  *merge = data;

    if (failure != NULL || --merge->nasked == 0) {
        merge->ready(merge->data, failure);
    }
}


/*
 * Takes entries from the sources, in order.  As evs_log_merge_next(), but for
 * NGX_AGAIN: a source is to be asked first.
 */

static ngx_int_t
evs_log_merge_take(evs_log_merge_t *merge, ngx_uint_t most, int64_t *us)
{
    ngx_int_t          rc;
    uint64_t           sources;
    ngx_uint_t         i;
    evs_log_entry_t    least;
    evs_log_wanted_t  *wanted;

    do {
        rc = evs_log_merge_least(merge, &least, &sources);

        if (rc != NGX_OK) {
            break;
        }

        wanted = &merge->wanted[merge->nwanted++];

        wanted->entry = least;
        wanted->sources = sources;
        wanted->found = 0;

        for (i = 0; i < merge->plan->nbranches; i++) {
            if (sources & ((uint64_t) 1 << i)) {
                evs_log_source_pop(&merge->sources[i]);
            }
        }

    } while (merge->nwanted < most);

    *us = least.us;

    return merge->nwanted ? NGX_OK : rc;
}


/*
 * The first entry of all sources, and which of them have it.  NGX_DONE: there
 * are no more; NGX_AGAIN, NGX_BUSY, NGX_ABORT: as above.
 */

static ngx_int_t
evs_log_merge_least(evs_log_merge_t *merge, evs_log_entry_t *least,
    uint64_t *sources)
{
    int                order;
    ngx_int_t          rc, first;
    ngx_uint_t         i;
    evs_log_entry_t    entry;

    rc = NGX_DONE;
    *sources = 0;
    ngx_memzero(least, sizeof(evs_log_entry_t));

    for (i = 0; i < merge->plan->nbranches; i++) {

        if (!(merge->branches & ((uint64_t) 1 << i))) {
            continue;
        }

        first = evs_log_merge_first(&merge->sources[i], &entry);

        if (first == NGX_ABORT || first == NGX_AGAIN) {
            return first;
        }

        if (first == NGX_DONE) {
            continue;
        }

        order = (rc == NGX_DONE) ? -1 : evs_log_entry_order(&entry, least);

        if (order < 0) {
            *least = entry;
            *sources = 0;
            rc = NGX_OK;
        }

        if (order <= 0) {
            *sources |= (uint64_t) 1 << i;

            if (first == NGX_BUSY) {
                rc = NGX_BUSY;
            }
        }
    }

    return rc;
}


/* The first entry of one; NGX_BUSY: its time is all that is known of it. */

static ngx_int_t
evs_log_merge_first(const evs_log_source_t *source, evs_log_entry_t *entry)
{
    if (source->broken) {
        return NGX_ABORT;
    }

    if (evs_log_source_has(source)) {
        *entry = *evs_log_source_head(source);
        return NGX_OK;
    }

    if (source->ties) {
        ngx_memzero(entry, sizeof(evs_log_entry_t));
        entry->us = source->time.from;
        return NGX_BUSY;
    }

    return source->ended ? NGX_DONE : NGX_AGAIN;
}


u_char *
evs_log_merge_look_up(evs_log_merge_t *merge, u_char *p, ngx_uint_t *n)
{
    ngx_uint_t         i;
    evs_log_time_t     time;
    evs_log_wanted_t  *wanted;

    *n = 0;
    wanted = merge->wanted;

    for (i = 0; i < merge->nwanted; i++) {

        if (i == 0 || wanted[i].entry.us != wanted[i - 1].entry.us) {
            time.from = wanted[i].entry.us;
            time.to = time.from;
            p = evs_log_page_command(p, merge->conf, &time, 0,
                                     EVS_LOG_PAGE_TIES);
            (*n)++;
        }

        wanted[i].nreply = *n - 1;
    }

    merge->iwanted = 0;

    return p;
}


void
evs_log_merge_found(evs_log_merge_t *merge, ngx_uint_t nreply,
    const evs_record_t *record)
{
    ngx_uint_t         i;
    evs_log_wanted_t  *wanted;

    wanted = merge->wanted;

    while (merge->iwanted < merge->nwanted
           && wanted[merge->iwanted].nreply < nreply)
    {
        merge->iwanted++;
    }

    for (i = merge->iwanted; i < merge->nwanted; i++) {

        if (wanted[i].nreply != nreply) {
            break;
        }

        if (record == NULL
            || ngx_memcmp(record->id, wanted[i].entry.id, EVS_LOG_INDEX_ID)
               == 0)
        {
            wanted[i].found = 1;
        }
    }
}


ngx_int_t
evs_log_merge_looked_up(evs_log_merge_t *merge, const evs_log_page_t *page,
    int64_t *us)
{
    ngx_uint_t         n;
    evs_log_wanted_t  *wanted;

    wanted = merge->wanted;

    for (n = 0; n < merge->nwanted; n++) {
        if (wanted[n].nreply >= page->cut) {
            break;
        }
    }

    evs_log_sweep(merge, n);

    if (n != merge->nwanted && page->ties) {
        *us = wanted[n].entry.us;
        return NGX_BUSY;
    }

    merge->nwanted -= n;

    ngx_memmove(wanted, wanted + n, merge->nwanted * sizeof(evs_log_wanted_t));

    return NGX_OK;
}


void
evs_log_merge_end(evs_log_merge_t *merge)
{
    ngx_uint_t  i;

    merge->nwanted = 0;

    if (merge->sources == NULL) {
        return;
    }

    for (i = 0; i < merge->plan->nbranches; i++) {
        evs_log_source_end(&merge->sources[i]);
    }
}
