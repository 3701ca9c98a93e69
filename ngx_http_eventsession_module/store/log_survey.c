
/*
 * Days and counts: see log_survey.h.  The commands:
 *
 *     ZRANGEBYSCORE <days> <from> <to>
 *     MULTI, ZCOUNT <key> <from> <to> ..., EXEC
 *
 * MULTI is there for its reply alone: the counts as one array.  Where there
 * would be very many of them, one of several days is counted for all.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"
#include "store/log_survey.h"
#include "store/range.h"


/* 2,700 years */
#define EVS_LOG_SURVEY_DAYS    1000000

/* numbers that Redis is asked for in all, about */
#define EVS_LOG_SURVEY_COUNTS  8192

#define EVS_LOG_SURVEY_COUNT_MAX  (EVS_LOG_KEY_MAX + 128)


static void evs_log_survey_listed(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_survey_days(void *data, const evs_redis_reply_t *reply);
static ngx_int_t evs_log_survey_begin(evs_log_survey_t *survey);
static void evs_log_survey_next(evs_log_survey_t *survey);
static void evs_log_survey_parts(evs_log_survey_t *survey);
static void evs_log_survey_sum(evs_log_survey_t *survey);
static ngx_uint_t evs_log_survey_overlaps(const evs_log_count_t *count,
    const evs_log_day_t *day);
static ngx_int_t evs_log_survey_send(evs_log_survey_t *survey);
static u_char *evs_log_survey_zcount(evs_log_survey_t *survey, u_char *p,
    const evs_log_part_t *part);
static void evs_log_survey_counted(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_log_survey_counts(void *data, const evs_redis_reply_t *reply);


static const evs_redis_handlers_t  evs_log_survey_list_handlers = {
    evs_log_survey_listed,
    evs_log_survey_days
};

static const evs_redis_handlers_t  evs_log_survey_count_handlers = {
    evs_log_survey_counted,
    evs_log_survey_counts
};


ngx_int_t
evs_log_survey(evs_log_survey_t *survey)
{
    u_char           *p, key[EVS_LOG_KEY_MAX];
    evs_log_plan_t   *plan;

    plan = survey->plan;

    if (ngx_array_init(&survey->days, survey->pool, 64, sizeof(evs_log_day_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = evs_redis_reserve(survey->node, EVS_LOG_SURVEY_COUNT_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "ZRANGEBYSCORE", 13);
    p = evs_resp_arg(p, key, (size_t) (evs_log_days_key(key, survey->conf)
                                       - key));
    p = evs_range_number(p, "", evs_log_day(plan->time.from));
    p = evs_range_number(p, "", (plan->time.from <= plan->time.to)
                                ? evs_log_day(plan->time.to) : -1);

    survey->cmd = evs_redis_commit(survey->node, p, 1, survey->conf->timeout,
                                   &evs_log_survey_list_handlers, survey);

    return (survey->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


void
evs_log_survey_cancel(evs_log_survey_t *survey)
{
    if (survey->cmd != NULL) {
        evs_redis_cancel(survey->cmd);
        survey->cmd = NULL;
    }
}


static void
evs_log_survey_listed(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    ngx_int_t          n;
    evs_log_day_t     *day;
    evs_log_survey_t  *survey = data;

    if (element->data == NULL) {
        survey->days.nelts = 0;
        survey->failed = 0;
        return;
    }

    n = ngx_atoi(element->data, element->len);
    day = survey->days.elts;

    if (n == NGX_ERROR || n > (ngx_int_t) evs_log_day(EVS_LOG_PLAN_MAX_US)
        || (element->data[0] == '0' && element->len != 1)
        || (survey->days.nelts != 0 && day[survey->days.nelts - 1].day >= n))
    {
        survey->foreign = 1;
        return;
    }

    if (survey->days.nelts == EVS_LOG_SURVEY_DAYS) {
        survey->failed = 1;
        return;
    }

    day = ngx_array_push(&survey->days);
    if (day == NULL) {
        survey->failed = 1;
        return;
    }

    day->day = n;
    day->indexes = (uint64_t) -1;
}


static void
evs_log_survey_days(void *data, const evs_redis_reply_t *reply)
{
    const char        *failure;
    evs_log_survey_t  *survey = data;

    survey->cmd = NULL;

    if (survey->foreign) {
        ngx_log_error(NGX_LOG_ERR, survey->log, 0,
                      "eventsession: the list of the log's days has something "
                      "that is not ours, passed over");
    }

    if (reply->type != EVS_REDIS_ARRAY) {
        failure = evs_store_failure(reply);

    } else if (survey->failed) {
        failure = "no memory";

    } else if (!survey->counting || survey->days.nelts == 0) {
        failure = NULL;

    } else if (evs_log_survey_begin(survey) != NGX_OK) {
        failure = "no memory";

    } else {
        evs_log_survey_next(survey);
        return;
    }

    survey->done(survey->data, failure);
}


static ngx_int_t
evs_log_survey_begin(evs_log_survey_t *survey)
{
    survey->stride = survey->days.nelts * survey->plan->ncounts
                     / EVS_LOG_SURVEY_COUNTS
                     + 1;

    survey->parts = ngx_palloc(survey->pool, EVS_LOG_SURVEY_WINDOW
                                             * sizeof(evs_log_part_t));

    return (survey->parts == NULL) ? NGX_ERROR : NGX_OK;
}


static void
evs_log_survey_next(evs_log_survey_t *survey)
{
    ngx_uint_t       i;
    evs_log_plan_t  *plan;

    plan = survey->plan;
    survey->nparts = 0;

    evs_log_survey_parts(survey);

    if (survey->nparts == 0) {

        for (i = 0; i < plan->ncounts; i++) {
            plan->counts[i].n *= plan->counts[i].scale;
            plan->counts[i].days *= plan->counts[i].scale;
        }

        survey->done(survey->data, NULL);
        return;
    }

    if (evs_log_survey_send(survey) != NGX_OK) {
        survey->done(survey->data, "no memory");
    }
}


/* The next ones to be counted. */

static void
evs_log_survey_parts(evs_log_survey_t *survey)
{
    ngx_uint_t        sampled;
    evs_log_day_t    *days, *day;
    evs_log_part_t   *part;
    evs_log_plan_t   *plan;
    evs_log_count_t  *count;

    plan = survey->plan;
    days = survey->days.elts;

    while (survey->icount < plan->ncounts) {
        count = &plan->counts[survey->icount];

        for ( /* void */ ; survey->iday < survey->days.nelts; survey->iday++) {
            day = &days[survey->iday];

            if (!evs_log_survey_overlaps(count, day)) {
                continue;
            }

            if (survey->nparts == EVS_LOG_SURVEY_WINDOW) {
                return;
            }

            if (survey->ndays++ % survey->stride == 0) {
                part = &survey->parts[survey->nparts++];
                part->count = count;
                part->day = day;
            }
        }

        sampled = (survey->ndays + survey->stride - 1) / survey->stride;
        count->scale = sampled ? (double) survey->ndays / (double) sampled : 0;

        survey->icount++;
        survey->iday = 0;
        survey->ndays = 0;
    }
}


static ngx_uint_t
evs_log_survey_overlaps(const evs_log_count_t *count, const evs_log_day_t *day)
{
    return count->time.to >= day->day * EVS_LOG_DAY_US
           && count->time.from < (day->day + 1) * EVS_LOG_DAY_US;
}


static ngx_int_t
evs_log_survey_send(evs_log_survey_t *survey)
{
    u_char      *p;
    ngx_uint_t   i;

    p = evs_redis_reserve(survey->node, (survey->nparts + 1)
                                        * EVS_LOG_SURVEY_COUNT_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_resp_argc(p, 1);
    p = evs_resp_arg(p, (u_char *) "MULTI", 5);

    for (i = 0; i < survey->nparts; i++) {
        p = evs_log_survey_zcount(survey, p, &survey->parts[i]);
    }

    p = evs_resp_argc(p, 1);
    p = evs_resp_arg(p, (u_char *) "EXEC", 4);

    survey->came = 0;

    survey->cmd = evs_redis_commit(survey->node, p, survey->nparts + 2,
                                   survey->conf->timeout,
                                   &evs_log_survey_count_handlers, survey);

    return (survey->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static u_char *
evs_log_survey_zcount(evs_log_survey_t *survey, u_char *p,
    const evs_log_part_t *part)
{
    size_t                  len;
    u_char                  key[EVS_LOG_KEY_MAX];
    const evs_log_count_t  *count;

    count = part->count;

    if (count->value == NULL) {
        len = (size_t) (evs_log_day_key(key, survey->conf, part->day->day)
                        - key);

    } else {
        len = (size_t) (evs_log_index_key(key, survey->conf, part->day->day,
                                          count->index, count->value)
                        - key);
    }

    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "ZCOUNT", 6);
    p = evs_resp_arg(p, key, len);
    p = evs_range_number(p, "", count->time.from);

    return evs_range_number(p, "", count->time.to);
}


/* Of a key that isn't ours, it is an error. */

static void
evs_log_survey_counted(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_log_survey_t  *survey = data;

    if (element->data == NULL) {
        survey->came = 0;
        return;
    }

    if (survey->came < survey->nparts) {
        survey->parts[survey->came++].n = ngx_atoi(element->data,
                                                   element->len);
    }
}


static void
evs_log_survey_counts(void *data, const evs_redis_reply_t *reply)
{
    evs_log_survey_t  *survey = data;

    survey->cmd = NULL;

    if ((reply->type == EVS_REDIS_ARRAY || evs_store_wrong_type(reply))
        && survey->came == survey->nparts)
    {
        evs_log_survey_sum(survey);
        evs_log_survey_next(survey);
        return;
    }

    survey->done(survey->data, evs_store_failure(reply));
}


static void
evs_log_survey_sum(evs_log_survey_t *survey)
{
    ngx_uint_t        i;
    evs_log_part_t   *part;
    evs_log_count_t  *count;

    for (i = 0; i < survey->nparts; i++) {
        part = &survey->parts[i];
        count = part->count;

        if (part->n == NGX_ERROR) {
            continue;
        }

        count->n += (double) part->n;

        if (part->n != 0) {
            count->days++;

        } else if (count->value != NULL) {
            part->day->indexes &= ~((uint64_t) 1 << count->bit);
        }
    }
}
