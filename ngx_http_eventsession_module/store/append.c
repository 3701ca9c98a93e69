
/*
 * The write path.  A message becomes
 *
 *     ZADD <key> <score> <member> [<score> <member> ...]
 *
 * in the node's output buffer, entry by entry as the scanner finds them.  The
 * number of arguments stands in front and is known last: its digits are
 * guessed from the message before, and the members are moved when they
 * differ.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/stats.h"
#include "store/append.h"
#include "store/feed_entry.h"
#include "store/id.h"
#include "store/zadd.h"


/* where the texts of a message have come to */
typedef struct {
    u_char            *members;       /* of ZADD */
    u_char            *feed;          /* NULL: off */
    evs_id_t           id;
} evs_append_texts_t;


/* the shortest text of an entry, with its comma */
#define EVS_APPEND_ENTRY_MIN  40


static ngx_int_t evs_append_entries(evs_append_t *append, evs_scan_t *scan,
    evs_append_texts_t *texts);
static size_t evs_append_max(size_t len, size_t application);
static ngx_int_t evs_append_commit(evs_append_t *append,
    const evs_store_conf_t *conf, evs_redis_node_t *node, ngx_uint_t nreplies,
    evs_feed_t *feed, evs_append_texts_t *texts);
static void evs_append_session(const evs_store_conf_t *conf,
    const evs_append_event_t **events, ngx_uint_t n, evs_append_t *append,
    evs_append_texts_t *texts);
static int evs_append_order(const evs_append_event_t *a,
    const evs_append_event_t *b);
static int ngx_libc_cdecl evs_append_compare(const void *one,
    const void *two);
static u_char *evs_append_head(u_char *start, u_char *members, u_char *last,
    const evs_store_conf_t *conf, const evs_sid_t *sid, ngx_uint_t entries);
static size_t evs_append_head_len(const evs_store_conf_t *conf,
    const evs_sid_t *sid, ngx_uint_t digits);
static void evs_append_stored(void *data, const evs_redis_reply_t *reply);
static void evs_append_fed(evs_feed_message_t *message, const char *failure);
static void evs_append_done(evs_append_t *append);


static const evs_redis_handlers_t  evs_append_handlers = {
    NULL,
    evs_append_stored
};


/* what the last message needed; a guess only */
static ngx_uint_t  evs_append_last_digits = 1;


ngx_int_t
evs_append(const evs_store_conf_t *conf, evs_redis_node_t *node,
    evs_scan_t *scan, evs_append_t *append)
{
    size_t               max;
    u_char              *start, *members;
    ngx_int_t            rc;
    evs_feed_t          *feed;
    evs_append_texts_t   texts;

    append->entries = 0;
    append->ended = 0;
    append->failure = NULL;

    max = evs_append_max((size_t) (scan->json.last - scan->json.start),
                         append->application.len);

    feed = NULL;
    texts.feed = NULL;

    if (conf->feed) {
        feed = evs_feed(conf, node);

        if (feed != NULL) {
            texts.feed = evs_feed_reserve(feed, conf, scan->sid, max);
        }

        if (texts.feed == NULL) {
            return NGX_ABORT;
        }
    }

    start = evs_redis_reserve(node, max);

    if (start == NULL || evs_id_begin(&texts.id) != NGX_OK) {
        return NGX_ABORT;
    }

    members = start + evs_append_head_len(conf, scan->sid,
                                          evs_append_last_digits);
    texts.members = members;

    rc = evs_append_entries(append, scan, &texts);

    if (rc != NGX_DONE || scan->count == 0) {
        return rc;
    }

    append->entries = scan->count;

    texts.members = evs_append_head(start, members, texts.members, conf,
                                    scan->sid, scan->count);

    return evs_append_commit(append, conf, node, 1, feed, &texts);
}


/*
 * A command is never longer than this: the shortest text of an EVENT is
 * written as 51 bytes; of the longer parts, each byte of a text is one byte of
 * the member, but for the integers of short timestamps (9 bytes at most).
 */

static size_t
evs_append_max(size_t len, size_t application)
{
    size_t  entries;

    entries = len / EVS_APPEND_ENTRY_MIN + 1;

    return EVS_ZADD_HEAD_MAX + len + len / 2 + 512
           + (application ? entries * (application + 1) : 0);
}


/* The commands written, with so many replies, and what is for the feed. */

static ngx_int_t
evs_append_commit(evs_append_t *append, const evs_store_conf_t *conf,
    evs_redis_node_t *node, ngx_uint_t nreplies, evs_feed_t *feed,
    evs_append_texts_t *texts)
{
    if (evs_redis_commit(node, texts->members, nreplies, conf->timeout,
                         &evs_append_handlers, append)
        == NULL)
    {
        return NGX_ABORT;
    }

    append->storing = 1;
    append->feeding = (feed != NULL);

    evs_stats_add(EVS_STATS_INFLIGHT_EVENTS, append->entries);

    evs_id_end(&texts->id);

    if (feed != NULL) {
        append->message.done = evs_append_fed;
        evs_feed_commit(feed, texts->feed, append->entries, &append->message);
    }

    return NGX_OK;
}


ngx_int_t
evs_append_events(const evs_store_conf_t *conf, evs_redis_node_t *node,
    const evs_append_event_t **events, ngx_uint_t n, evs_append_t *append)
{
    size_t               max;
    u_char              *p;
    ngx_uint_t           i, first, sessions;
    evs_feed_t          *feed;
    evs_append_texts_t   texts;

    append->entries = n;
    append->ended = 0;
    append->failure = NULL;

    qsort(events, n, sizeof(evs_append_event_t *), evs_append_compare);

    max = 0;

    for (i = 0; i < n; i++) {
        max += EVS_ZADD_HEAD_MAX + evs_zadd_entry_max(&events[i]->entry);
    }

    feed = NULL;
    texts.feed = NULL;

    if (conf->feed) {
        feed = evs_feed(conf, node);

        if (feed != NULL) {
            texts.feed = evs_feed_reserve(feed, conf, &events[0]->sid, max);
        }

        if (texts.feed == NULL) {
            return NGX_ABORT;
        }
    }

    p = evs_redis_reserve(node, max);

    if (p == NULL || evs_id_begin(&texts.id) != NGX_OK) {
        return NGX_ABORT;
    }

    texts.members = p;
    sessions = 0;

    for (first = 0; first < n; first = i) {

        for (i = first + 1; i < n; i++) {
            if (evs_append_order(events[i], events[first]) != 0) {
                break;
            }
        }

        if (feed != NULL && first != 0) {
            texts.feed = evs_feed_entry_message_end(texts.feed);
            texts.feed = evs_feed_entry_message(texts.feed,
                                                &events[first]->sid);
        }

        evs_append_session(conf, events + first, i - first, append, &texts);
        sessions++;
    }

    return evs_append_commit(append, conf, node, sessions, feed, &texts);
}


/* One session's events, as a ZADD and into the feed. */

static void
evs_append_session(const evs_store_conf_t *conf,
    const evs_append_event_t **events, ngx_uint_t n, evs_append_t *append,
    evs_append_texts_t *texts)
{
    u_char       *p, *last, key[EVS_STORE_KEY_MAX];
    evs_id_t      id;
    ngx_str_t     member;
    ngx_uint_t    i;
    evs_entry_t   entry;

    last = evs_store_key(key, conf, &events[0]->sid);

    p = evs_zadd_head(texts->members, key, (size_t) (last - key), n);

    for (i = 0; i < n; i++) {
        entry = events[i]->entry;
        entry.application = append->application;

        if (events[i]->id != NULL) {
            id = *events[i]->id;
        }

        p = evs_zadd_entry(p, &entry, events[i]->id ? &id : &texts->id,
                           &member);

        if (texts->feed) {
            texts->feed = evs_feed_entry_member(texts->feed, member.data,
                                                member.len);
        }
    }

    texts->members = p;
}


static int
evs_append_order(const evs_append_event_t *a, const evs_append_event_t *b)
{
    if (a->sid.len != b->sid.len) {
        return (a->sid.len < b->sid.len) ? -1 : 1;
    }

    return ngx_memcmp(a->sid.data, b->sid.data, a->sid.len);
}


/* By session; and as they were given, which is as they lie in memory. */

static int ngx_libc_cdecl
evs_append_compare(const void *one, const void *two)
{
    int                         rc;
    const evs_append_event_t  *const *a = one, *const *b = two;

    rc = evs_append_order(*a, *b);

    return rc ? rc : (*a > *b) - (*a < *b);
}


/* NGX_DONE at the end of the message, else as evs_scan_next(). */

static ngx_int_t
evs_append_entries(evs_append_t *append, evs_scan_t *scan,
    evs_append_texts_t *texts)
{
    u_char       *p;
    ngx_int_t     rc;
    ngx_str_t     member;
    evs_entry_t   entry;

    p = texts->members;

    for ( ;; ) {
        rc = evs_scan_next(scan, &entry);

        if (rc != NGX_OK) {
            break;
        }

        if (entry.type == EVS_ENTRY_END) {
            append->ended = 1;
        }

        entry.application = append->application;

        p = evs_zadd_entry(p, &entry, &texts->id, &member);

        if (texts->feed) {
            texts->feed = evs_feed_entry_member(texts->feed, member.data,
                                                member.len);
        }
    }

    texts->members = p;

    return rc;
}


/*
 * Writes the head so that it ends where the members begin, moving them if
 * its length was guessed wrong; returns the end of the command.
 */

static u_char *
evs_append_head(u_char *start, u_char *members, u_char *last,
    const evs_store_conf_t *conf, const evs_sid_t *sid, ngx_uint_t entries)
{
    size_t      len;
    u_char      key[EVS_STORE_KEY_MAX], *p;
    ngx_uint_t  digits;

    digits = evs_zadd_digits(2 + 2 * entries);
    len = (size_t) (last - members);

    if (digits != evs_append_last_digits) {
        evs_append_last_digits = digits;
        p = start + evs_append_head_len(conf, sid, digits);
        ngx_memmove(p, members, len);
        members = p;
    }

    last = evs_store_key(key, conf, sid);
    (void) evs_zadd_head(start, key, (size_t) (last - key), entries);

    return members + len;
}


static size_t
evs_append_head_len(const evs_store_conf_t *conf, const evs_sid_t *sid,
    ngx_uint_t digits)
{
    size_t  key;

    key = conf->prefix.len + sid->len + 2;

    return sizeof("*\r\n$4\r\nZADD\r\n$\r\n\r\n") - 1
           + digits + evs_zadd_digits(key) + key;
}


static void
evs_append_stored(void *data, const evs_redis_reply_t *reply)
{
    evs_append_t  *append = data;

    append->storing = 0;

    if (reply->type != EVS_REDIS_INTEGER) {
        append->failure = evs_store_failure(reply);
    }

    if (!append->feeding) {
        evs_append_done(append);
    }
}


static void
evs_append_fed(evs_feed_message_t *message, const char *failure)
{
    evs_append_t  *append;

    append = ngx_queue_data(message, evs_append_t, message);

    append->feeding = 0;

    if (failure != NULL) {
        append->failure = failure;
    }

    if (!append->storing) {
        evs_append_done(append);
    }
}


static void
evs_append_done(evs_append_t *append)
{
    evs_stats_sub(EVS_STATS_INFLIGHT_EVENTS, append->entries);

    append->done(append->data, append->failure);
}
