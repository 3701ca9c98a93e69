
/*
 * The read path of the event log: see log_read.h.
 *
 * First the days and the counts (store/log_survey.h), then the plan
 * (store/log_plan.h).  It divides time into spans (store/log_walk.h), parts of
 * a day in which all is read in the same way:
 *
 *     all records   ZRANGEBYSCORE <day> <from> <to> LIMIT <offset> <n>
 *     by indexes    the records that the merge of the indexes wants
 *                   (store/log_merge.h); where that can't tell, all records
 *                   instead
 *
 * Records come into a page (store/log_page.h).  What is left to this file is
 * the way of each from there to the reader: the filter is applied to it,
 * whatever led to it, and who has it already does not get it again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/redis.h"
#include "store/log_read.h"
#include "store/log_sweep.h"
#include "store/record.h"


/* records in a page */
#define EVS_LOG_READ_FIRST   1000
#define EVS_LOG_READ_MOST    5000
#define EVS_LOG_READ_LEAST   16

/* looked up, while their size is not known */
#define EVS_LOG_READ_FEW     32

/* bytes of members that a page aims at; and of records, when it is given out */
#define EVS_LOG_READ_BYTES   (256 * 1024)


static ngx_int_t evs_log_read_begin(void *data);
static ngx_int_t evs_log_read_next(void *data);
static void evs_log_read_cancel(void *data);
static void evs_log_read_surveyed(void *data, const char *failure);
static const char *evs_log_read_prepare(evs_log_read_t *read);
static void evs_log_read_run(evs_log_read_t *read);
static ngx_int_t evs_log_read_span(evs_log_read_t *read);
static void evs_log_read_switch(evs_log_read_t *read, int64_t from,
    int64_t to);
static void evs_log_read_begin_span(evs_log_read_t *read);
static ngx_int_t evs_log_read_records(evs_log_read_t *read);
static ngx_uint_t evs_log_read_page_size(const evs_log_read_t *read);
static ngx_int_t evs_log_read_indexes(evs_log_read_t *read);
static void evs_log_read_merged(void *data, const char *failure);
static ngx_int_t evs_log_read_look_up(evs_log_read_t *read);
static void evs_log_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_read_done(void *data, const evs_redis_reply_t *reply);
static ngx_int_t evs_log_read_give(evs_log_read_t *read);
static ngx_int_t evs_log_read_record(evs_log_read_t *read,
    const ngx_str_t *member, ngx_uint_t nreply);
static ngx_uint_t evs_log_read_seen(const evs_log_read_t *read,
    const evs_record_t *record);
static void evs_log_read_strange(evs_log_read_t *read);
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
        oldest = evs_log_now() - (int64_t) read->conf->log_ttl * 1000000;
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
    evs_log_merge_t  *merge;

    evs_log_walk_begin(&read->walk, &read->plan, &read->survey);

    merge = &read->merge;

    merge->conf = read->conf;
    merge->node = read->node;
    merge->pool = read->pool;
    merge->log = read->log;
    merge->plan = &read->plan;
    merge->ready = evs_log_read_merged;
    merge->data = read;

    read->names = evs_json_names_create();

    if (read->names == NULL || evs_log_merge_init(merge) != NGX_OK) {
        return "no memory";
    }

    if (read->filter != NULL) {
        read->matcher = evs_filter_matcher(read->pool, read->filter);
        if (read->matcher == NULL) {
            return "no memory";
        }
    }

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
            rc = read->walk.span.records ? evs_log_read_records(read)
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
    if (evs_log_walk_next(&read->walk) != NGX_OK) {
        return NGX_DONE;
    }

    evs_log_read_begin_span(read);

    return NGX_OK;
}


/* Instead of what the span has, all records from here to there. */

static void
evs_log_read_switch(evs_log_read_t *read, int64_t from, int64_t to)
{
    evs_log_walk_records(&read->walk, from, to);

    evs_log_read_begin_span(read);
}


static void
evs_log_read_begin_span(evs_log_read_t *read)
{
    evs_log_span_t  *span;

    span = &read->walk.span;

    evs_log_merge_begin(&read->merge, span);

    read->from = span->time.from;

    if (read->cursor.len != 0) {
        read->from = ngx_max(read->from, read->cursor.us);
    }

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
    u_char          *p;
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

    if (read->from > read->walk.span.time.to) {
        return NGX_DONE;
    }

    read->asked = evs_log_read_page_size(read);

    p = evs_redis_reserve(read->node, EVS_LOG_PAGE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    time.from = read->from;
    time.to = read->walk.span.time.to;

    p = evs_log_page_command(p, read->conf, &time, read->offset, read->asked);

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


/* As above, by the indexes of the span. */

static ngx_int_t
evs_log_read_indexes(evs_log_read_t *read)
{
    int64_t           us;
    ngx_int_t         rc;
    ngx_uint_t        most;
    evs_log_span_t   *span;
    evs_log_merge_t  *merge;

    span = &read->walk.span;
    merge = &read->merge;
    rc = NGX_OK;

    if (span->branches == 0) {
        return NGX_DONE;
    }

    if (merge->nwanted != 0) {
        rc = evs_log_merge_looked_up(merge, &read->page, &us);
    }

    if (rc == NGX_OK && merge->nwanted == 0) {
        most = EVS_LOG_READ_FEW;

        if (read->looked_up != 0) {
            most = ngx_min(evs_log_read_page_size(read), EVS_LOG_MERGE_WANTED);
        }

        rc = evs_log_merge_next(merge, most, &us);
    }

    switch (rc) {

    case NGX_OK:
        return evs_log_read_look_up(read);

    case NGX_BUSY:
        evs_log_read_switch(read, us, us);
        return NGX_OK;

    case NGX_ABORT:
        evs_log_read_switch(read, span->time.from, span->time.to);
        return NGX_OK;

    default: /* NGX_AGAIN, NGX_DONE, NGX_ERROR */
        return rc;
    }
}


/* The sources have what they were asked for. */

static void
evs_log_read_merged(void *data, const char *failure)
{
    evs_log_read_t  *read = data;

    if (failure != NULL) {
        evs_log_read_fail(read, failure);
        return;
    }

    evs_log_read_run(read);
}


/* NGX_AGAIN or NGX_ERROR. */

static ngx_int_t
evs_log_read_look_up(evs_log_read_t *read)
{
    u_char      *p;
    ngx_uint_t   n;

    p = evs_redis_reserve(read->node, read->merge.nwanted
                                      * EVS_LOG_MERGE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_log_merge_look_up(&read->merge, p, &n);

    evs_log_page_begin(&read->page, 1);

    read->cmd = evs_redis_commit(read->node, p, n, read->conf->timeout,
                                 &evs_log_read_handlers, read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_AGAIN;
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

        read->walk.span.records = 0;
        read->walk.span.branches = 0;

        evs_log_merge_begin(&read->merge, &read->walk.span);

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

    if (rc != NGX_OK || record.us < read->walk.span.time.from
        || record.us > read->walk.span.time.to)
    {
        evs_log_read_strange(read);
        evs_log_merge_found(&read->merge, nreply, NULL);
        return NGX_OK;
    }

    evs_log_merge_found(&read->merge, nreply, &record);

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
    evs_log_read_t  *read = data;

    evs_log_survey_cancel(&read->survey);

    if (read->cmd != NULL) {
        evs_redis_cancel(read->cmd);
        read->cmd = NULL;

    } else if (read->merge.nwanted != 0) {
        evs_log_sweep(&read->merge, read->merge.iwanted);
    }

    evs_log_merge_end(&read->merge);

    if (read->later.timer_set) {
        ngx_del_timer(&read->later);
    }

    if (read->names != NULL) {
        evs_json_names_destroy(read->names);
        read->names = NULL;
    }

    evs_log_page_free(&read->page);
}
