
/*
 * The read path of the event log: see log_read.h.
 *
 * First the days and the counts (store/log_survey.h), then the plan
 * (store/log_plan.h).  It divides time into spans, parts of a day in which all
 * is read in the same way:
 *
 *     all records   ZRANGEBYSCORE <day> <from> <to> LIMIT <offset> <n>
 *     by indexes    the entries of the branches' sources, merged
 *                   (store/log_source.h), and their records:
 *                   ZRANGEBYSCORE <day> <us> <us> LIMIT 0 <ties>, ...
 *
 * The filter is applied to each record, whatever led to it.  Where an index
 * can't be made use of, having been overwritten by a stranger or having more
 * than a page of entries of one µs, the records are read there instead.
 *
 * A record is written behind its entries: an entry without one is of a record
 * that is being written, or of one that never was.  Those are taken out when
 * they are so old that no writer can still be at it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/redis.h"
#include "store/log_read.h"
#include "store/record.h"


/* records in a page */
#define EVS_LOG_READ_FIRST   1000
#define EVS_LOG_READ_MOST    5000
#define EVS_LOG_READ_LEAST   16

/* looked up, while their size is not known */
#define EVS_LOG_READ_FEW     32

/* bytes of members that a page aims at; and of records, when it is given out */
#define EVS_LOG_READ_BYTES   (256 * 1024)

/* µs behind the time that a writer has */
#define EVS_LOG_READ_SWEEP   3600000000LL


static ngx_int_t evs_log_read_begin(void *data);
static ngx_int_t evs_log_read_next(void *data);
static void evs_log_read_cancel(void *data);
static void evs_log_read_surveyed(void *data, const char *failure);
static const char *evs_log_read_prepare(evs_log_read_t *read);
static void evs_log_read_run(evs_log_read_t *read);
static ngx_int_t evs_log_read_span(evs_log_read_t *read);
static uint64_t evs_log_read_branches(const evs_log_read_t *read,
    const evs_log_day_t *day);
static ngx_uint_t evs_log_read_there(const evs_log_branch_t *branch,
    const evs_log_day_t *day);
static void evs_log_read_switch(evs_log_read_t *read, int64_t from,
    int64_t to);
static ngx_int_t evs_log_read_records(evs_log_read_t *read);
static ngx_uint_t evs_log_read_page_size(const evs_log_read_t *read);
static ngx_int_t evs_log_read_indexes(evs_log_read_t *read);
static ngx_int_t evs_log_read_ask_sources(evs_log_read_t *read);
static void evs_log_read_source(void *data, const char *failure);
static ngx_int_t evs_log_read_merge(evs_log_read_t *read);
static ngx_int_t evs_log_read_least(evs_log_read_t *read,
    evs_log_entry_t *least, uint64_t *sources);
static ngx_int_t evs_log_read_look_up(evs_log_read_t *read);
static u_char *evs_log_read_command(u_char *p, const ngx_str_t *key,
    const evs_log_time_t *time, uint64_t offset, ngx_uint_t n);
static void evs_log_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_read_done(void *data, const evs_redis_reply_t *reply);
static ngx_int_t evs_log_read_give(evs_log_read_t *read);
static ngx_int_t evs_log_read_record(evs_log_read_t *read,
    const ngx_str_t *member, ngx_uint_t nreply);
static ngx_uint_t evs_log_read_seen(const evs_log_read_t *read,
    const evs_record_t *record);
static void evs_log_read_found(evs_log_read_t *read, ngx_uint_t nreply,
    const evs_record_t *record);
static void evs_log_read_strange(evs_log_read_t *read);
static void evs_log_read_looked_up(evs_log_read_t *read);
static void evs_log_read_sweep(evs_log_read_t *read, ngx_uint_t n);
static void evs_log_read_swept(void *data, const evs_redis_reply_t *reply);
static int64_t evs_log_read_now(void);
static void evs_log_read_later(ngx_event_t *ev);
static void evs_log_read_fail(evs_log_read_t *read, const char *failure);


const evs_reader_t  evs_log_reader = {
    evs_log_read_begin,
    evs_log_read_next,
    evs_log_read_cancel
};

static const evs_redis_handlers_t  evs_log_read_handlers = {
    evs_log_read_element,
    evs_log_read_done
};

static const evs_redis_handlers_t  evs_log_read_sweep_handlers = {
    NULL,
    evs_log_read_swept
};


static ngx_int_t
evs_log_read_begin(void *data)
{
    int64_t            oldest;
    evs_log_plan_t    *plan;
    evs_log_read_t    *read = data;
    evs_log_survey_t  *survey;

    read->later.handler = evs_log_read_later;
    read->later.data = read;
    read->later.log = read->log;

    read->page.log = read->log;

    plan = &read->plan;

    plan->pool = read->pool;
    plan->filter = read->filter;
    plan->choice = read->choice;
    plan->time.from = (read->cursor.len != 0) ? read->cursor.us : 0;
    plan->time.to = EVS_LOG_PLAN_MAX_US;

    if (read->conf->log_ttl != 0) {
        oldest = evs_log_read_now() - (int64_t) read->conf->log_ttl * 1000000;
        plan->time.from = ngx_max(plan->time.from, oldest);
    }

    if (evs_log_plan_init(plan) != NGX_OK) {
        return NGX_ERROR;
    }

    survey = &read->survey;

    survey->conf = read->conf;
    survey->node = read->node;
    survey->pool = read->pool;
    survey->log = read->log;
    survey->plan = plan;
    survey->counting = (read->explaining || plan->nindexes != 0);
    survey->done = evs_log_read_surveyed;
    survey->data = read;

    return evs_log_survey(survey);
}


static void
evs_log_read_surveyed(void *data, const char *failure)
{
    evs_log_read_t  *read = data;

    if (failure == NULL && evs_log_plan_choose(&read->plan) != NGX_OK) {
        failure = "no memory";
    }

    if (failure == NULL && read->explaining) {
        read->handlers->page(read->data, NGX_DONE, NULL);
        return;
    }

    if (failure == NULL) {
        failure = evs_log_read_prepare(read);
    }

    if (failure != NULL) {
        evs_log_read_fail(read, failure);
        return;
    }

    evs_log_read_run(read);
}


/* NULL, or why it failed. */

static const char *
evs_log_read_prepare(evs_log_read_t *read)
{
    evs_log_branch_t  *branch;
    evs_log_source_t  *source;

    read->names = evs_json_names_create();

    read->sources = ngx_pcalloc(read->pool, (read->plan.nbranches + 1)
                                            * sizeof(evs_log_source_t));
    read->wanted = ngx_palloc(read->pool, EVS_LOG_READ_BATCH
                                          * sizeof(evs_log_wanted_t));

    if (read->names == NULL || read->sources == NULL || read->wanted == NULL) {
        return "no memory";
    }

    if (read->filter != NULL) {
        read->matcher = evs_filter_matcher(read->pool, read->filter);
        if (read->matcher == NULL) {
            return "no memory";
        }
    }

    source = read->sources;

    for (branch = read->plan.branches; branch != NULL; branch = branch->next) {
        source->conf = read->conf;
        source->node = read->node;
        source->log = read->log;
        source->branch = branch;
        source->done = evs_log_read_source;
        source->data = read;
        source++;
    }

    read->us = read->plan.time.from;

    /* a span that is at its end */

    read->span.branches = 0;
    read->span.records = 0;

    return NULL;
}


/* Gives out what is there, and asks for what is next. */

static void
evs_log_read_run(evs_log_read_t *read)
{
    ngx_int_t  rc;

    do {
        rc = evs_log_read_give(read);

        if (rc == NGX_DECLINED) {
            read->given = 0;
            read->handlers->page(read->data, NGX_OK, NULL);
            return;
        }

        if (rc == NGX_OK) {
            rc = read->span.records ? evs_log_read_records(read)
                                    : evs_log_read_indexes(read);
        }

        if (rc == NGX_DONE) {
            rc = evs_log_read_span(read);
        }

        if (rc == NGX_ERROR) {
            evs_log_read_fail(read, "no memory");
            return;
        }

        if (rc == NGX_DONE) {
            read->handlers->page(read->data, NGX_DONE, NULL);
            return;
        }

    } while (rc == NGX_OK);
}


/* The next span in which there may be something.  NGX_OK or NGX_DONE. */

static ngx_int_t
evs_log_read_span(evs_log_read_t *read)
{
    int64_t           from;
    ngx_uint_t        i;
    evs_log_day_t    *day;
    evs_log_span_t   *span;

    read->nwanted = 0;

    span = &read->span;
    day = read->survey.days.elts;

    while (read->iday < read->survey.days.nelts && read->plan.nbranches != 0) {

        from = day[read->iday].day * EVS_LOG_DAY_US;

        if (read->us >= from + EVS_LOG_DAY_US) {
            read->iday++;
            continue;
        }

        read->us = ngx_max(read->us, from);

        if (read->us > read->plan.time.to) {
            break;
        }

        evs_log_plan_span(&read->plan, read->us, span);

        span->time.to = ngx_min(span->time.to, read->plan.time.to);
        read->us = span->time.to + 1;

        if (span->records) {
            evs_log_read_switch(read, span->time.from, span->time.to);
            return NGX_OK;
        }

        span->branches &= evs_log_read_branches(read, &day[read->iday]);

        if (span->branches == 0) {
            continue;
        }

        for (i = 0; i < read->plan.nbranches; i++) {
            if (span->branches & ((uint64_t) 1 << i)) {
                evs_log_source_begin(&read->sources[i], &span->time);
            }
        }

        return NGX_OK;
    }

    return NGX_DONE;
}


/* The indexes that may have something on that day. */

static uint64_t
evs_log_read_branches(const evs_log_read_t *read, const evs_log_day_t *day)
{
    uint64_t           bit, branches;
    evs_log_branch_t  *branch;

    bit = 1;
    branches = 0;

    for (branch = read->plan.branches; branch != NULL; branch = branch->next) {

        if (branch->index != NULL && evs_log_read_there(branch, day)) {
            branches |= bit;
        }

        bit <<= 1;
    }

    return branches;
}


static ngx_uint_t
evs_log_read_there(const evs_log_branch_t *branch, const evs_log_day_t *day)
{
    int64_t     from;
    uint64_t    needed;
    ngx_uint_t  i;

    from = day->day * EVS_LOG_DAY_US;

    if (branch->time.to < from || branch->time.from >= from + EVS_LOG_DAY_US) {
        return 0;
    }

    if (branch->index == NULL) {
        return 1;
    }

    needed = (uint64_t) 1 << branch->index->bit;

    for (i = 0; i < branch->nchecks; i++) {
        needed |= (uint64_t) 1 << branch->checks[i]->bit;
    }

    return (day->indexes & needed) == needed;
}


ngx_uint_t
evs_log_read_days(const evs_log_read_t *read)
{
    ngx_uint_t         i, n;
    evs_log_day_t     *day;
    evs_log_branch_t  *branch;

    n = 0;
    day = read->survey.days.elts;

    for (i = 0; i < read->survey.days.nelts; i++) {

        for (branch = read->plan.branches; branch; branch = branch->next) {

            if (evs_log_read_there(branch, &day[i])) {
                n++;
                break;
            }
        }
    }

    return n;
}


/* All records from here to there, then whatever follows. */

static void
evs_log_read_switch(evs_log_read_t *read, int64_t from, int64_t to)
{
    read->span.records = 1;
    read->span.time.from = from;
    read->span.time.to = to;
    read->us = to + 1;
    read->nwanted = 0;

    if (read->cursor.len != 0) {
        from = ngx_max(from, read->cursor.us);
    }

    read->from = from;
    read->offset = 0;
    read->high = -1;
    read->asked = 0;
}


/*
 * The next page of them.  It begins at the createdAt where the last one ended;
 * if all of that had one, behind those.  NGX_AGAIN: asked; NGX_DONE: there are
 * no more; NGX_ERROR.
 */

static ngx_int_t
evs_log_read_records(evs_log_read_t *read)
{
    u_char          *p, key_buf[EVS_LOG_KEY_MAX];
    ngx_str_t        key;
    evs_log_time_t   time;

    if (read->asked != 0) {

        if (!read->page.full && read->page.came < read->asked) {
            return NGX_DONE;
        }

        if (read->high > read->from) {
            read->from = read->high;
            read->offset = 0;

        } else {
            read->offset += read->page.kept;
        }
    }

    if (read->from > read->span.time.to) {
        return NGX_DONE;
    }

    read->asked = evs_log_read_page_size(read);

    p = evs_redis_reserve(read->node, EVS_LOG_KEY_MAX + 256);
    if (p == NULL) {
        return NGX_ERROR;
    }

    time.from = read->from;
    time.to = read->span.time.to;

    key.data = key_buf;
    key.len = (size_t) (evs_log_day_key(key_buf, read->conf,
                                        evs_log_day(time.from))
                        - key_buf);

    p = evs_log_read_command(p, &key, &time, read->offset, read->asked);

    evs_log_page_begin(&read->page, 0);

    read->cmd = evs_redis_commit(read->node, p, 1, read->conf->timeout,
                                 &evs_log_read_handlers, read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_AGAIN;
}


/* As many as make EVS_LOG_READ_BYTES, going by those that came. */

static ngx_uint_t
evs_log_read_page_size(const evs_log_read_t *read)
{
    ngx_uint_t  n;

    n = EVS_LOG_READ_FIRST;

    if (read->looked_up != 0) {
        n = (ngx_uint_t) (EVS_LOG_READ_BYTES
                          / (read->bytes / read->looked_up + 1));
        n = ngx_min(n, EVS_LOG_READ_MOST);
        n = ngx_max(n, EVS_LOG_READ_LEAST);
    }

    /* the one that was the last, and one to see whether there is more */

    if (read->want != 0 && read->filter == NULL) {
        n = ngx_min(n, read->want + 2);
    }

    return n;
}


/* As above, by the sources of the span. */

static ngx_int_t
evs_log_read_indexes(evs_log_read_t *read)
{
    ngx_int_t  rc;

    if (read->span.branches == 0) {
        return NGX_DONE;
    }

    if (read->nwanted != 0) {
        evs_log_read_looked_up(read);

        if (read->span.records) {
            return NGX_OK;
        }
    }

    if (read->nwanted == 0) {
        rc = evs_log_read_ask_sources(read);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = evs_log_read_merge(read);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    return evs_log_read_look_up(read);
}


/* NGX_OK: all of them have something, or are at their end. */

static ngx_int_t
evs_log_read_ask_sources(evs_log_read_t *read)
{
    ngx_uint_t         i;
    evs_log_source_t  *source;

    for (i = 0; i < read->plan.nbranches; i++) {
        source = &read->sources[i];

        if (!(read->span.branches & ((uint64_t) 1 << i))
            || !evs_log_source_dry(source))
        {
            continue;
        }

        if (evs_log_source_ask(source) != NGX_OK) {
            return NGX_ERROR;
        }

        read->nasked++;
    }

    return read->nasked ? NGX_AGAIN : NGX_OK;
}


static void
evs_log_read_source(void *data, const char *failure)
{
    evs_log_read_t  *read = data;

    if (failure != NULL) {
        evs_log_read_fail(read, failure);
        return;
    }

    if (--read->nasked == 0) {
        evs_log_read_run(read);
    }
}


/*
 * Takes entries from the sources, in order.  NGX_AGAIN: their records are to
 * be looked up; NGX_OK: there are none now; NGX_DONE: there are no more.
 */

static ngx_int_t
evs_log_read_merge(evs_log_read_t *read)
{
    ngx_int_t          rc;
    ngx_uint_t         i, most;
    uint64_t           sources;
    evs_log_entry_t    least;
    evs_log_wanted_t  *wanted;

    most = EVS_LOG_READ_FEW;

    if (read->looked_up != 0) {
        most = ngx_min(evs_log_read_page_size(read), EVS_LOG_READ_BATCH);
    }

    do {
        rc = evs_log_read_least(read, &least, &sources);

        if (rc != NGX_OK) {
            break;
        }

        wanted = &read->wanted[read->nwanted++];

        wanted->entry = least;
        wanted->sources = sources;
        wanted->found = 0;

        for (i = 0; i < read->plan.nbranches; i++) {
            if (sources & ((uint64_t) 1 << i)) {
                evs_log_source_pop(&read->sources[i]);
            }
        }

    } while (read->nwanted < most);

    if (read->nwanted != 0) {
        return NGX_AGAIN;
    }

    switch (rc) {

    case NGX_BUSY:
        evs_log_read_switch(read, least.us, least.us);
        return NGX_OK;

    case NGX_ABORT:
        evs_log_read_switch(read, read->span.time.from, read->span.time.to);
        return NGX_OK;

    case NGX_AGAIN:
        return NGX_OK;

    default: /* NGX_DONE */
        return NGX_DONE;
    }
}


/*
 * The first entry of all sources, and which of them have it.  NGX_DONE: there
 * are no more; NGX_AGAIN: a source is to be asked; NGX_BUSY: all records of
 * that µs are to be read; NGX_ABORT: of all the span, as a source is broken.
 */

static ngx_int_t
evs_log_read_least(evs_log_read_t *read, evs_log_entry_t *least,
    uint64_t *sources)
{
    int                order;
    ngx_int_t          rc;
    ngx_uint_t         i;
    evs_log_entry_t    entry;
    evs_log_source_t  *source;

    rc = NGX_DONE;
    *sources = 0;
    ngx_memzero(least, sizeof(evs_log_entry_t));

    for (i = 0; i < read->plan.nbranches; i++) {
        source = &read->sources[i];

        if (!(read->span.branches & ((uint64_t) 1 << i))) {
            continue;
        }

        if (source->broken) {
            return NGX_ABORT;
        }

        if (evs_log_source_has(source)) {
            entry = *evs_log_source_head(source);

        } else if (source->ties) {
            ngx_memzero(&entry, sizeof(evs_log_entry_t));
            entry.us = source->time.from;

        } else if (source->ended) {
            continue;

        } else {
            return NGX_AGAIN;
        }

        order = (rc == NGX_DONE) ? -1 : evs_log_entry_order(&entry, least);

        if (order < 0) {
            *least = entry;
            *sources = 0;
            rc = NGX_OK;
        }

        if (order <= 0) {
            *sources |= (uint64_t) 1 << i;

            if (!evs_log_source_has(source)) {
                rc = NGX_BUSY;
            }
        }
    }

    return rc;
}


/* A command for each createdAt that is wanted.  NGX_AGAIN or NGX_ERROR. */

static ngx_int_t
evs_log_read_look_up(evs_log_read_t *read)
{
    u_char            *p, key_buf[EVS_LOG_KEY_MAX];
    ngx_str_t          key;
    ngx_uint_t         i, n;
    evs_log_time_t     time;
    evs_log_wanted_t  *wanted;

    p = evs_redis_reserve(read->node, read->nwanted * (EVS_LOG_KEY_MAX + 256));
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    wanted = read->wanted;

    key.data = key_buf;
    key.len = (size_t) (evs_log_day_key(key_buf, read->conf,
                                        evs_log_day(wanted->entry.us))
                        - key_buf);

    for (i = 0; i < read->nwanted; i++) {

        if (i == 0 || wanted[i].entry.us != wanted[i - 1].entry.us) {
            time.from = wanted[i].entry.us;
            time.to = time.from;
            p = evs_log_read_command(p, &key, &time, 0, EVS_LOG_PAGE_TIES);
            n++;
        }

        wanted[i].nreply = n - 1;
    }

    read->iwanted = 0;

    evs_log_page_begin(&read->page, 1);

    read->cmd = evs_redis_commit(read->node, p, n, read->conf->timeout,
                                 &evs_log_read_handlers, read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_AGAIN;
}


static u_char *
evs_log_read_command(u_char *p, const ngx_str_t *key,
    const evs_log_time_t *time, uint64_t offset, ngx_uint_t n)
{
    p = evs_resp_argc(p, 7);
    p = evs_resp_arg(p, (u_char *) "ZRANGEBYSCORE", 13);
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_range_number(p, "", time->from);
    p = evs_range_number(p, "", time->to);
    p = evs_resp_arg(p, (u_char *) "LIMIT", 5);
    p = evs_range_number(p, "", (int64_t) offset);

    return evs_range_number(p, "", (int64_t) n);
}


static void
evs_log_read_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_log_read_t  *read = data;

    evs_log_page_add(&read->page, nreply, element);
}


static void
evs_log_read_done(void *data, const evs_redis_reply_t *reply)
{
    evs_log_read_t  *read = data;

    read->cmd = NULL;

    if (evs_store_wrong_type(reply)) {

        /* no day of ours: nothing is on it */

        evs_log_read_strange(read);
        evs_log_page_begin(&read->page, 0);

        read->span.records = 0;
        read->span.branches = 0;

    } else if (reply->type != EVS_REDIS_ARRAY) {
        evs_log_read_fail(read, evs_store_failure(reply));
        return;

    } else if (read->page.failed) {
        evs_log_read_fail(read, "no memory");
        return;
    }

    read->looked_up += read->page.kept;
    read->bytes += read->page.bytes;

    evs_log_read_run(read);
}


/*
 * The records of the page.  NGX_OK: it is empty; NGX_DECLINED: what is given
 * out is enough for now; NGX_ERROR: no memory.
 */

static ngx_int_t
evs_log_read_give(evs_log_read_t *read)
{
    ngx_int_t   rc;
    ngx_str_t   member;
    ngx_uint_t  nreply;

    while (evs_log_page_head(&read->page, &member, &nreply) == NGX_OK) {

        rc = evs_log_read_record(read, &member, nreply);

        if (rc != NGX_OK) {
            return rc;
        }

        evs_log_page_pop(&read->page);
    }

    return (read->given < EVS_LOG_READ_BYTES) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
evs_log_read_record(evs_log_read_t *read, const ngx_str_t *member,
    ngx_uint_t nreply)
{
    ngx_int_t      rc;
    evs_record_t   record;

    rc = evs_record_read(&record, member, read->names);

    if (rc == NGX_ABORT) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK || record.us < read->span.time.from
        || record.us > read->span.time.to)
    {
        evs_log_read_strange(read);
        evs_log_read_found(read, nreply, NULL);
        return NGX_OK;
    }

    evs_log_read_found(read, nreply, &record);

    read->high = ngx_max(read->high, record.us);

    if (evs_log_read_seen(read, &record)) {
        return NGX_OK;
    }

    if (read->matcher != NULL) {
        rc = evs_filter_match(read->matcher, &record);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

    } else {
        rc = 1;
    }

    if (rc == 1) {

        if (read->given >= EVS_LOG_READ_BYTES
            || read->handlers->record(read->data, &record) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        read->given += member->len;
    }

    read->cursor.us = record.us;
    read->cursor.len = sizeof(record.id);
    ngx_memcpy(read->cursor.identity, record.id, sizeof(record.id));

    return NGX_OK;
}


/* Whether it is not behind the cursor. */

static ngx_uint_t
evs_log_read_seen(const evs_log_read_t *read, const evs_record_t *record)
{
    const evs_cursor_t  *cursor;

    cursor = &read->cursor;

    if (cursor->len == 0 || record->us > cursor->us) {
        return 0;
    }

    return record->us < cursor->us
           || ngx_memcmp(record->id, cursor->identity, sizeof(record->id))
              <= 0;
}


/* It was looked up; NULL: something that can't be read, maybe one of those. */

static void
evs_log_read_found(evs_log_read_t *read, ngx_uint_t nreply,
    const evs_record_t *record)
{
    ngx_uint_t         i;
    evs_log_wanted_t  *wanted;

    wanted = read->wanted;

    while (read->iwanted < read->nwanted
           && wanted[read->iwanted].nreply < nreply)
    {
        read->iwanted++;
    }

    for (i = read->iwanted; i < read->nwanted; i++) {

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


static void
evs_log_read_strange(evs_log_read_t *read)
{
    if (!read->foreign) {
        read->foreign = 1;

        ngx_log_error(NGX_LOG_ERR, read->log, 0,
                      "eventsession: a day of the log has something that is "
                      "not ours, passed over");
    }
}


/*
 * What was looked up has been given out.  Those are left that did not all fit
 * into the page; of those that share their createdAt with very many, all
 * records are read.
 */

static void
evs_log_read_looked_up(evs_log_read_t *read)
{
    ngx_uint_t         n;
    evs_log_page_t    *page;
    evs_log_wanted_t  *wanted;

    page = &read->page;
    wanted = read->wanted;

    for (n = 0; n < read->nwanted; n++) {
        if (wanted[n].nreply >= page->cut) {
            break;
        }
    }

    evs_log_read_sweep(read, n);

    if (n != read->nwanted && page->ties) {
        evs_log_read_switch(read, wanted[n].entry.us, wanted[n].entry.us);
        return;
    }

    read->nwanted -= n;

    ngx_memmove(wanted, wanted + n, read->nwanted * sizeof(evs_log_wanted_t));
}


/*
 * Takes the entries of the first n out that have no record.  Nobody waits for
 * that: if it isn't done, whoever comes next does it.
 */

static void
evs_log_read_sweep(evs_log_read_t *read, ngx_uint_t n)
{
    u_char            *p, key[EVS_LOG_KEY_MAX];
    int64_t            old;
    ngx_uint_t         i, k, members, commands;
    evs_log_wanted_t  *wanted;

    old = evs_log_read_now() - EVS_LOG_READ_SWEEP
          - (int64_t) read->conf->timeout * 1000;

    members = 0;

    for (k = 0; k < n; k++) {
        wanted = &read->wanted[k];

        if (wanted->found || wanted->entry.us >= old) {
            wanted->sources = 0;

        } else {
            members++;
        }
    }

    if (members == 0 || !evs_store_has_room(read->conf, read->node)) {
        return;
    }

    p = evs_redis_reserve(read->node, read->plan.nbranches
                          * (EVS_LOG_KEY_MAX + 128
                             + members
                               * (EVS_LOG_INDEX_ID + EVS_RESP_ARG_MAX)));
    if (p == NULL) {
        return;
    }

    commands = 0;

    for (i = 0; i < read->plan.nbranches; i++) {
        members = 0;

        for (k = 0; k < n; k++) {
            members += (read->wanted[k].sources >> i) & 1;
        }

        if (members == 0) {
            continue;
        }

        p = evs_resp_argc(p, members + 2);
        p = evs_resp_arg(p, (u_char *) "ZREM", 4);
        p = evs_resp_arg(p, key, (size_t)
                         (evs_log_source_key(key, &read->sources[i]) - key));

        for (k = 0; k < n; k++) {
            if ((read->wanted[k].sources >> i) & 1) {
                p = evs_resp_arg(p, read->wanted[k].entry.id,
                                 EVS_LOG_INDEX_ID);
            }
        }

        commands++;
    }

    (void) evs_redis_commit(read->node, p, commands, read->conf->timeout,
                            &evs_log_read_sweep_handlers, NULL);
}


static void
evs_log_read_swept(void *data, const evs_redis_reply_t *reply)
{
    /* void */
}


static int64_t
evs_log_read_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000000 + (int64_t) tp->msec * 1000;
}


/*
 * A timer, not a posted event: it comes after what else is there to do, and
 * keeps a process that is about to quit.
 */

static ngx_int_t
evs_log_read_next(void *data)
{
    evs_log_read_t  *read = data;

    ngx_add_timer(&read->later, 0);

    return NGX_OK;
}


static void
evs_log_read_later(ngx_event_t *ev)
{
    evs_log_read_run(ev->data);
}


static void
evs_log_read_fail(evs_log_read_t *read, const char *failure)
{
    evs_log_read_cancel(read);

    read->handlers->page(read->data, NGX_ERROR, failure);
}


static void
evs_log_read_cancel(void *data)
{
    ngx_uint_t       i;
    evs_log_read_t  *read = data;

    evs_log_survey_cancel(&read->survey);

    if (read->cmd != NULL) {
        evs_redis_cancel(read->cmd);
        read->cmd = NULL;

    } else if (read->nwanted != 0) {
        evs_log_read_sweep(read, read->iwanted);
    }

    read->nwanted = 0;

    if (read->later.timer_set) {
        ngx_del_timer(&read->later);
    }

    if (read->sources != NULL) {
        for (i = 0; i < read->plan.nbranches; i++) {
            evs_log_source_end(&read->sources[i]);
        }
    }

    if (read->names != NULL) {
        evs_json_names_destroy(read->names);
        read->names = NULL;
    }

    evs_log_page_free(&read->page);
}
