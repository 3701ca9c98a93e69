
/*
 * A record becomes
 *
 *     MULTI
 *     ZADD <day>:e:<email> <us> <id>        and the same of its environment
 *     ZADD <day>:v:<environment> <us> <id>  and its component
 *     ZADD <day>:c:<component> <us> <id>
 *     ZADD days <day> <day>
 *     ZADD <day> <us> <record>
 *     EXEC
 *
 * in the pipeline.  The record is last, and the transaction is for what comes
 * between: when Redis refuses one of the commands, for want of memory or since
 * it became a replica, it carries out none of them, and of a transaction that
 * its AOF has a part of only, it forgets that part.
 *
 * What was lost with its connection is sent again byte for byte, to the same
 * end: the id and the time of a record are given to it before the first time.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/random.h>

#include "event/number.h"
#include "event/time.h"
#include "stats/stats.h"
#include "store/feed_entry.h"
#include "store/log.h"
#include "store/log_drop.h"
#include "store/record.h"


#define EVS_LOG_ZADDS         5
#define EVS_LOG_REPLIES       (1 + EVS_LOG_ZADDS + 1)

/* of all that isn't the record: the commands' names, keys, scores and ids */
#define EVS_LOG_COMMANDS_MAX                                                  \
    (128 + EVS_LOG_ZADDS * (64 + EVS_LOG_KEY_MAX + 3 * EVS_RESP_ARG_MAX       \
                            + 2 * NGX_INT64_LEN))

/* getrandom() gives so many bytes at once, or none: see its manual */
#define EVS_LOG_RANDOM        256

#define EVS_LOG_UUID_LEN      16


/* of this process; forked workers differ by their pid */
typedef struct {
    ngx_pid_t          pid;
    int64_t            us;         /* of the last record */
    size_t             used;       /* bytes of random */
    u_char             random[EVS_LOG_RANDOM];
} evs_log_process_t;


static ngx_int_t evs_log_identify(evs_record_t *record);
static u_char *evs_log_commands(u_char *p, const evs_store_conf_t *conf,
    const evs_record_t *record);
static u_char *evs_log_zadd(u_char *p, const u_char *key, size_t len,
    int64_t score);
static u_char *evs_log_number(u_char *p, int64_t number);
static size_t evs_log_member_max(const evs_record_t *record,
    const evs_log_write_t *write);
static u_char *evs_log_member(u_char *p, const evs_record_t *record,
    const evs_log_write_t *write);
static void evs_log_stored(void *data, const evs_redis_reply_t *reply);
static void evs_log_fed(evs_feed_message_t *message, const char *failure);
static void evs_log_done(evs_log_write_t *write);


static const evs_redis_handlers_t  evs_log_handlers = {
    NULL,
    evs_log_stored
};


static evs_log_process_t  evs_log_process;


ngx_int_t
evs_log_write(const evs_store_conf_t *conf, evs_redis_node_t *node,
    evs_record_t *record, evs_log_write_t *write)
{
    u_char      *p, *fed;
    evs_sid_t    none;
    evs_feed_t  *feed;

    if (evs_log_identify(record) != NGX_OK) {
        return NGX_ERROR;
    }

    write->failure = NULL;
    feed = NULL;
    fed = NULL;

    if (conf->feed) {
        none.len = 0;
        feed = evs_feed(conf, node);

        if (feed != NULL) {
            fed = evs_feed_reserve(feed, conf, &none,
                                   evs_log_member_max(record, write));
        }

        if (fed == NULL) {
            return NGX_ERROR;
        }
    }

    p = evs_redis_reserve(node, EVS_LOG_COMMANDS_MAX + evs_record_max(record));
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_log_commands(p, conf, record);

    if (evs_redis_commit(node, p, EVS_LOG_REPLIES, conf->timeout,
                         &evs_log_handlers, write)
        == NULL)
    {
        return NGX_ERROR;
    }

    write->storing = 1;
    write->feeding = (feed != NULL);

    evs_stats_add(EVS_STATS_INFLIGHT_EVENTS, 1);

    if (feed != NULL) {
        write->message.done = evs_log_fed;
        fed = evs_log_member(fed, record, write);
        evs_feed_commit(feed, fed, 1, &write->message);
    }

    evs_log_drop(conf, node, record->us);

    return NGX_OK;
}


/* RFC 9562, 5.4: a random UUID; and a time that no other record has here. */

static ngx_int_t
evs_log_identify(evs_record_t *record)
{
    int64_t             now;
    struct timeval      tv;
    evs_log_process_t  *process;

    process = &evs_log_process;

    if (process->pid != ngx_pid
        || process->used + EVS_LOG_UUID_LEN > EVS_LOG_RANDOM)
    {
        if (getrandom(process->random, EVS_LOG_RANDOM, 0) != EVS_LOG_RANDOM) {
            return NGX_ERROR;
        }

        process->pid = ngx_pid;
        process->used = 0;
    }

    ngx_memcpy(record->id, process->random + process->used, EVS_LOG_UUID_LEN);
    process->used += EVS_LOG_UUID_LEN;

    record->id[6] = (record->id[6] & 0x0f) | 0x40;
    record->id[8] = (record->id[8] & 0x3f) | 0x80;

    ngx_gettimeofday(&tv);

    now = (int64_t) tv.tv_sec * 1000000 + (int64_t) tv.tv_usec;
    record->us = ngx_max(now, process->us + 1);
    process->us = record->us;

    return NGX_OK;
}


static u_char *
evs_log_commands(u_char *p, const evs_store_conf_t *conf,
    const evs_record_t *record)
{
    u_char            key[EVS_LOG_KEY_MAX], *last, *start, *member;
    size_t            len;
    int64_t           day;
    const ngx_str_t  *values[EVS_LOG_INDEXES];
    evs_log_index_e   i;

    day = evs_log_day(record->us);

    values[EVS_LOG_EMAIL] = &record->email;
    values[EVS_LOG_ENVIRONMENT] = &record->environment;
    values[EVS_LOG_COMPONENT] = &record->component;

    p = evs_resp_argc(p, 1);
    p = evs_resp_arg(p, (u_char *) "MULTI", 5);

    for (i = EVS_LOG_EMAIL; i < EVS_LOG_INDEXES; i++) {
        last = evs_log_index_key(key, conf, day, i, values[i]);
        p = evs_log_zadd(p, key, (size_t) (last - key), record->us);
        p = evs_resp_arg(p, record->id, EVS_LOG_INDEX_ID);
    }

    last = evs_log_days_key(key, conf);
    p = evs_log_zadd(p, key, (size_t) (last - key), day);
    p = evs_log_number(p, day);

    last = evs_log_day_key(key, conf, day);
    p = evs_log_zadd(p, key, (size_t) (last - key), record->us);

    /* "$<len>\r\n<record>\r\n", written behind where its length may end */

    start = p + EVS_RESP_ARG_MAX;
    len = (size_t) (evs_record_write(start, record) - start);

    member = p + 1;
    *p = '$';
    member = evs_number_write(member, len);
    *member++ = CR;
    *member++ = LF;

    ngx_memmove(member, start, len);
    p = member + len;
    *p++ = CR;
    *p++ = LF;

    p = evs_resp_argc(p, 1);

    return evs_resp_arg(p, (u_char *) "EXEC", 4);
}


/* All but the member. */

static u_char *
evs_log_zadd(u_char *p, const u_char *key, size_t len, int64_t score)
{
    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "ZADD", 4);
    p = evs_resp_arg(p, key, len);

    return evs_log_number(p, score);
}


/* Neither a day nor a time is negative. */

static u_char *
evs_log_number(u_char *p, int64_t number)
{
    u_char  text[NGX_INT64_LEN], *last;

    last = evs_number_write(text, (uint64_t) number);

    return evs_resp_arg(p, text, (size_t) (last - text));
}


static size_t
evs_log_member_max(const evs_record_t *record, const evs_log_write_t *write)
{
    return EVS_VARINT_MAX + EVS_MEMBER_MAX + EVS_RECORD_UUID_LEN
           + EVS_TIME_STRING_LEN + 2 + record->component.len
           + record->message.len + record->data.len + write->application.len
           + EVS_MEMBER_MAX;
}


/*
 * On the feed a record is an EVENT of no session: named by its message, of the
 * category that is its component.
 */

static u_char *
evs_log_member(u_char *p, const evs_record_t *record,
    const evs_log_write_t *write)
{
    u_char       id[EVS_RECORD_UUID_LEN], stamp[EVS_TIME_STRING_LEN + 2];
    u_char      *last, *start;
    size_t       len;
    evs_entry_t  entry;

    ngx_memzero(&entry, sizeof(evs_entry_t));

    stamp[0] = '"';
    last = evs_time_format(stamp + 1, record->us, 6);
    *last++ = '"';

    entry.type = EVS_ENTRY_EVENT;
    entry.timestamp.us = record->us;
    entry.timestamp.text.data = stamp;
    entry.timestamp.text.len = (size_t) (last - stamp);
    entry.id.data = id;
    entry.id.len = (size_t) (evs_record_uuid(id, record) - id);
    entry.name = record->message;
    entry.category = record->component;
    entry.data = record->data;
    entry.application = write->application;

    /* written behind where its length may end */

    start = p + EVS_VARINT_MAX;
    len = (size_t) (evs_member_write(start, &entry, NULL) - start);

    p = evs_varint_write(p, len);
    ngx_memmove(p, start, len);

    return p + len;
}


static void
evs_log_stored(void *data, const evs_redis_reply_t *reply)
{
    evs_log_write_t  *write = data;

    write->storing = 0;

    if (reply->type != EVS_REDIS_ARRAY || reply->integer != EVS_LOG_ZADDS) {
        write->failure = evs_store_failure(reply);
    }

    if (!write->feeding) {
        evs_log_done(write);
    }
}


static void
evs_log_fed(evs_feed_message_t *message, const char *failure)
{
    evs_log_write_t  *write;

    write = ngx_queue_data(message, evs_log_write_t, message);

    write->feeding = 0;

    if (failure != NULL) {
        write->failure = failure;
    }

    if (!write->storing) {
        evs_log_done(write);
    }
}


static void
evs_log_done(evs_log_write_t *write)
{
    evs_stats_sub(EVS_STATS_INFLIGHT_EVENTS, 1);

    write->done(write->data, write->failure);
}
