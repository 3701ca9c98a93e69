
/*
 * The read path.  Its commands, <n> being what a page asks for:
 *
 *   everything    ZRANGE key 0 <n>; when more members follow, <end>
 *   after=        <start>, <end>, ZRANGE key <rank> <rank + n>
 *   from=         <start>, <end>, ZCOUNT key -inf (<from>, which is the rank
 *                 where the range begins
 *   more pages    ZRANGE key <rank> <rank + n>
 *
 * <start> is ZRANGE key 0 <edge>, which also tells whether there is a session;
 * <end> is ZREVRANGEBYSCORE key +inf +inf LIMIT 0 <edge>.  One member would do
 * for each, but for what a stranger may have put in front of it.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/copy.h"
#include "store/read.h"


/*
 * members in the first page, which knows nothing of their sizes: a thousand
 * events with a START and an END are one command
 */
#define EVS_READ_FIRST        1024

#define EVS_READ_MOST         5000
#define EVS_READ_LEAST        64
#define EVS_READ_EDGE         4

/* bytes of members that a page aims at, and that it takes at most */
#define EVS_READ_BYTES        (256 * 1024)
#define EVS_READ_BYTES_MAX    (1024 * 1024)


static ngx_int_t evs_read_begin(void *data);
static ngx_int_t evs_read_next(void *data);
static void evs_read_cancel(void *data);
static void evs_read_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_read_done(void *data, const evs_redis_reply_t *reply);
static void evs_read_again(evs_read_t *read);
static void evs_read_reset(evs_read_t *read);
static void evs_read_page_member(evs_read_t *read, const ngx_str_t *text);
static void evs_read_edge(evs_read_t *read, evs_member_t *member);
static void evs_read_event(evs_read_t *read, evs_member_t *member);
static ngx_uint_t evs_read_seen(evs_read_t *read, const evs_member_t *member,
    int64_t us);
static void evs_read_advance(evs_read_t *read, const evs_member_t *member,
    int64_t us);
static uint32_t evs_read_rest(const evs_member_t *member);
static ngx_uint_t evs_read_page_size(const evs_read_t *read);
static ngx_int_t evs_read_send(evs_read_t *read, ngx_uint_t ends,
    ngx_uint_t count);
static ngx_int_t evs_read_send_end(evs_read_t *read);
static u_char *evs_read_ends(u_char *p, const ngx_str_t *key);


const evs_reader_t  evs_session_reader = {
    evs_read_begin,
    evs_read_next,
    evs_read_cancel
};

static const evs_redis_handlers_t  evs_read_handlers = {
    evs_read_element,
    evs_read_done
};


static ngx_int_t
evs_read_begin(void *data)
{
    evs_read_t  *read = data;

    read->begun = 0;
    read->edges = 0;
    read->exists = 0;
    read->start.len = 0;
    read->end.len = 0;

    if (read->range.has_after) {
        read->cursor = read->range.after;
        return evs_read_send(read, 1, 0);
    }

    ngx_memzero(&read->cursor, sizeof(evs_cursor_t));

    return evs_read_send(read, read->range.has_from, read->range.has_from);
}


static ngx_int_t
evs_read_next(void *data)
{
    return evs_read_send(data, 0, 0);
}


static void
evs_read_cancel(void *data)
{
    evs_read_t  *read = data;

    if (read->cmd != NULL) {
        evs_redis_cancel(read->cmd);
        read->cmd = NULL;
    }
}


/*
 * One command: the two ends of the key, if asked for, and a page from the
 * cursor's rank on; or, with count, the rank of from in the page's place.
 */

static ngx_int_t
evs_read_send(evs_read_t *read, ngx_uint_t ends, ngx_uint_t count)
{
    u_char      *p, key_buf[EVS_STORE_KEY_MAX];
    ngx_int_t    n;
    ngx_str_t    key;

    key.data = key_buf;
    key.len = (size_t) (evs_store_key(key_buf, read->conf, &read->sid)
                        - key_buf);

    p = evs_redis_reserve(read->node, 3 * EVS_RANGE_COMMAND_MAX);

    if (p == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    read->first_reply = -1;
    read->last_reply = -1;
    read->page_reply = -1;

    if (ends) {
        read->edges = 1;

        read->first_reply = n++;
        p = evs_range_ranks(p, &key, 0, EVS_READ_EDGE - 1);

        read->last_reply = n++;
        p = evs_read_ends(p, &key);
    }

    if (count) {
        n++;
        p = evs_range_before(p, &key, read->range.from);

    } else {

        /*
         * The cursor's own member is known when it is seen again, see below;
         * and if a page after the first one is empty, the key is gone.
         */

        if ((read->begun || read->cursor.rest != 0)
            && read->cursor.rank != 0)
        {
            read->cursor.rank--;
        }

        read->page_reply = n++;
        read->asked = evs_read_page_size(read);
        p = evs_range_ranks(p, &key, read->cursor.rank,
                            read->cursor.rank + read->asked - 1);
    }

    read->begin = read->cursor;
    evs_read_reset(read);

    read->cmd = evs_redis_commit(read->node, p, (ngx_uint_t) n,
                                 read->conf->timeout, &evs_read_handlers,
                                 read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


/* As many members as make EVS_READ_BYTES, going by the page before. */

static ngx_uint_t
evs_read_page_size(const evs_read_t *read)
{
    ngx_uint_t  n;

    n = EVS_READ_FIRST;

    if (read->begun && read->came != 0) {
        n = EVS_READ_BYTES / (read->bytes / read->came + 1);
        n = ngx_min(n, EVS_READ_MOST);
        n = ngx_max(n, EVS_READ_LEAST);
    }

    /*
     * the session's start, and one more to see whether there is more; unless
     * that found nothing but STARTs
     */

    if (read->range.want != 0 && n > read->range.want + 2
        && (!read->begun || read->taken != 0))
    {
        n = read->range.want + 2;
    }

    return n;
}


/* Asks for the session's end alone. */

static ngx_int_t
evs_read_send_end(evs_read_t *read)
{
    u_char     *p, key_buf[EVS_STORE_KEY_MAX];
    ngx_str_t   key;

    key.data = key_buf;
    key.len = (size_t) (evs_store_key(key_buf, read->conf, &read->sid)
                        - key_buf);

    p = evs_redis_reserve(read->node, EVS_RANGE_COMMAND_MAX);

    if (p == NULL) {
        return NGX_ERROR;
    }

    p = evs_read_ends(p, &key);

    read->end.len = 0;
    read->edges = 1;
    read->first_reply = -1;
    read->last_reply = 0;
    read->page_reply = -1;

    read->cmd = evs_redis_commit(read->node, p, 1, read->conf->timeout,
                                 &evs_read_handlers, read);

    return (read->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static u_char *
evs_read_ends(u_char *p, const ngx_str_t *key)
{
    p = evs_resp_argc(p, 7);
    p = evs_resp_arg(p, (u_char *) "ZREVRANGEBYSCORE", 16);
    p = evs_resp_arg(p, key->data, key->len);
    p = evs_resp_arg(p, (u_char *) "+inf", 4);
    p = evs_resp_arg(p, (u_char *) "+inf", 4);
    p = evs_resp_arg(p, (u_char *) "LIMIT", 5);
    p = evs_range_number(p, "", 0);

    return evs_range_number(p, "", EVS_READ_EDGE);
}


static void
evs_read_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_read_t    *read = data;
    ngx_int_t      n;
    evs_member_t   member;

    if (element->data == NULL) {
        evs_read_again(read);
        return;
    }

    read->exists = 1;
    n = (ngx_int_t) nreply;

    if (n == read->page_reply) {
        evs_read_page_member(read, element);
        return;
    }

    if (evs_member_read(&member, element) != NGX_OK) {
        return;
    }

    /* the first START, and of the ENDs, which come backwards, the first */

    if ((n == read->first_reply && member.type == EVS_ENTRY_START
         && read->start.len == 0)
        || (n == read->last_reply && member.type == EVS_ENTRY_END
            && read->end.len == 0))
    {
        evs_read_edge(read, &member);
    }
}


/* The connection broke in the middle of the replies. */

static void
evs_read_again(evs_read_t *read)
{
    if (read->page_reply == -1) {
        return;
    }

    read->cursor = read->begin;
    evs_read_reset(read);

    read->handlers->again(read->data);
}


static void
evs_read_reset(evs_read_t *read)
{
    read->came = 0;
    read->taken = 0;
    read->bytes = 0;
    read->fresh = 0;
    read->full = 0;
    read->past = 0;
}


static void
evs_read_page_member(evs_read_t *read, const ngx_str_t *text)
{
    evs_member_t  member;

    read->came++;
    read->bytes += text->len;

    if (read->full || read->past) {
        return;
    }

    if (evs_member_read(&member, text) != NGX_OK) {

        if (!read->foreign) {
            read->foreign = 1;
            ngx_log_error(NGX_LOG_ERR, read->log, 0,
                          "eventsession: a member of session \"%*s\" "
                          "is not ours, passed over",
                          read->sid.len, read->sid.data);
        }

        read->cursor.rank++;
        return;
    }

    switch (member.type) {

    case EVS_ENTRY_EVENT:
        evs_read_event(read, &member);
        break;

    case EVS_ENTRY_START:
        if (!read->edges && read->start.len == 0) {
            evs_read_edge(read, &member);
        }

        read->cursor.rank++;
        break;

    default: /* EVS_ENTRY_END: the last one counts, which a page may lack */
        if (!read->edges) {
            evs_read_edge(read, &member);
        }

        read->cursor.rank++;
        break;
    }
}


/* Keeps the timestamp of a START or an END, in memory that is used again. */

static void
evs_read_edge(evs_read_t *read, evs_member_t *member)
{
    size_t      max, *size;
    int64_t     us;
    ngx_str_t  *text;

    if (evs_member_us(member, &us) != NGX_OK) {
        return;
    }

    text = (member->type == EVS_ENTRY_START) ? &read->start : &read->end;
    size = (member->type == EVS_ENTRY_START) ? &read->start_size
                                             : &read->end_size;

    max = evs_member_timestamp_max(member);

    if (*size < max) {
        text->data = ngx_pnalloc(read->pool, 2 * max);

        if (text->data == NULL) {
            *size = 0;
            text->len = 0;
            return;
        }

        *size = 2 * max;
    }

    text->len = (size_t) (evs_member_timestamp(text->data, member)
                          - text->data);
}


static void
evs_read_event(evs_read_t *read, evs_member_t *member)
{
    int64_t  us;

    if (evs_member_us(member, &us) != NGX_OK
        || evs_read_seen(read, member, us)
        || (read->range.has_from && us < read->range.from))
    {
        read->cursor.rank++;
        return;
    }

    /*
     * scores are doubles: far in the future several µs share one, and are
     * not sorted among themselves
     */

    if (read->range.has_to && us > read->range.to) {

        if ((double) us > (double) read->range.to) {
            read->past = 1;
            return;
        }

        read->cursor.rank++;
        return;
    }

    if ((read->taken != 0 && read->bytes > EVS_READ_BYTES_MAX)
        || read->handlers->event(read->data, member) != NGX_OK)
    {
        read->full = 1;
        return;
    }

    read->taken++;
    evs_read_advance(read, member, us);
}


/*
 * Whether the member lies before the cursor: the rank that this page began at
 * may be too low.  Once one lies behind, all the following do.  Of members
 * that are alike as far as an identity goes, the cursor's own is the last.
 */

static ngx_uint_t
evs_read_seen(evs_read_t *read, const evs_member_t *member, int64_t us)
{
    int                 rc;
    size_t              len;
    uint32_t            rest;
    evs_cursor_t  *cursor;

    cursor = &read->cursor;

    if (cursor->len == 0 || read->fresh) {
        return 0;
    }

    if ((double) us != (double) cursor->us) {
        read->fresh = ((double) us > (double) cursor->us);
        return !read->fresh;
    }

    len = ngx_min(member->identity, cursor->len);
    rc = ngx_memcmp(member->text.data, cursor->identity, len);

    if (rc == 0 && member->identity == cursor->len) {
        rest = evs_read_rest(member);

        if (rest != 0 && cursor->rest != 0) {
            read->fresh = (rest == cursor->rest);
            return 1;
        }

        read->fresh = (rest != 0);

        return !read->fresh;
    }

    read->fresh = (rc > 0 || (rc == 0 && member->identity > cursor->len));

    return !read->fresh;
}


static void
evs_read_advance(evs_read_t *read, const evs_member_t *member, int64_t us)
{
    evs_cursor_t  *cursor;

    cursor = &read->cursor;

    cursor->rank++;
    cursor->us = us;
    cursor->len = member->identity;
    cursor->rest = evs_read_rest(member);
    evs_copy(cursor->identity, member->text.data, member->identity);

    /* what follows in this page lies behind it */

    read->fresh = 1;
}


/* A hash of what lies behind the member's identity; 0: it is all of it. */

static uint32_t
evs_read_rest(const evs_member_t *member)
{
    uint32_t  hash;

    if (member->identity < EVS_MEMBER_IDENTITY_MAX
        || member->text.len == EVS_MEMBER_IDENTITY_MAX)
    {
        return 0;
    }

    hash = ngx_murmur_hash2(member->text.data + EVS_MEMBER_IDENTITY_MAX,
                            member->text.len - EVS_MEMBER_IDENTITY_MAX);

    return hash ? hash : 1;
}


static void
evs_read_done(void *data, const evs_redis_reply_t *reply)
{
    evs_read_t  *read = data;
    ngx_int_t    rc;
    ngx_uint_t   last;

    read->cmd = NULL;

    if (reply->type != EVS_REDIS_ARRAY && reply->type != EVS_REDIS_INTEGER) {
        read->handlers->page(read->data, NGX_ERROR, evs_store_failure(reply));
        return;
    }

    if (!read->exists) {
        read->handlers->page(read->data, NGX_DECLINED, NULL);
        return;
    }

    if (reply->type == EVS_REDIS_INTEGER) {

        /* the rank of from is known: now the first page */

        read->cursor.rank = (uint64_t) reply->integer;
        rc = evs_read_send(read, 0, 0);

        goto sent;
    }

    if (read->page_reply != -1 && read->begun && read->came == 0) {
        read->handlers->page(read->data, NGX_DECLINED,
                             "the session was deleted");
        return;
    }

    last = read->past || (!read->full && read->came < read->asked);

    if (!read->edges
        && (read->came == read->asked || read->full || read->past))
    {
        /* the session's end, if it has one, was not in this page */

        rc = evs_read_send_end(read);

        goto sent;
    }

    read->begun = 1;
    read->handlers->page(read->data, last ? NGX_DONE : NGX_OK, NULL);

    return;

sent:

    if (rc != NGX_OK) {
        read->handlers->page(read->data, NGX_ERROR, "no memory");
    }
}
