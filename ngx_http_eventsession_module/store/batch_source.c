
/*
 * A chunk as a source: see batch_source.h.  Its commands, each of them a turn
 * of its own, as all sources are asked side by side:
 *
 *   from=, after=   ZCOUNT key -inf (<us>: where to begin
 *   a page          ZRANGE key <rank> <rank + n>
 *   many ties       ZRANGE key <probe> <probe>
 *
 * A page behind a cursor may hold nothing new, if many events of one time lie
 * in front of it: a body without timestamps has one for all its events.  Then
 * the first new one is looked for by halves.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/batch_source.h"
#include "store/chunks.h"


/* members in a page, at most */
#define EVS_BATCH_PAGE       4096

/* bytes that a buffer begins with */
#define EVS_BATCH_BUFFER_MIN 256

/* of a member, while none has come */
#define EVS_BATCH_MEMBER     64

#define EVS_BATCH_STEP_COUNT 0
#define EVS_BATCH_STEP_PAGE  1
#define EVS_BATCH_STEP_PROBE 2

#define evs_batch_record_size(len)                                            \
    (sizeof(evs_batch_record_t) + ngx_align((len), sizeof(uint64_t)))


static u_char *evs_batch_source_page(evs_batch_source_t *source, u_char *p,
    const ngx_str_t *key);
static ngx_uint_t evs_batch_source_page_size(evs_batch_source_t *source);
static u_char *evs_batch_source_probe(evs_batch_source_t *source, u_char *p,
    const ngx_str_t *key);
static void evs_batch_source_compact(evs_batch_source_t *source);
static void evs_batch_source_reset(evs_batch_source_t *source);
static void evs_batch_source_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_batch_source_event(evs_batch_source_t *source,
    const evs_member_t *member, int64_t us);
static ngx_uint_t evs_batch_source_seen(const evs_batch_source_t *source,
    const evs_member_t *member, int64_t us);
static ngx_int_t evs_batch_source_keep(evs_batch_source_t *source,
    const evs_member_t *member, int64_t us);
static ngx_int_t evs_batch_source_grow(evs_batch_source_t *source,
    size_t size);
static void evs_batch_source_done(void *data, const evs_redis_reply_t *reply);
static const char *evs_batch_source_reply(evs_batch_source_t *source,
    const evs_redis_reply_t *reply);
static void evs_batch_source_probed(evs_batch_source_t *source);
static const char *evs_batch_source_paged(evs_batch_source_t *source);
static ngx_uint_t evs_batch_source_foreign(evs_batch_source_t *source,
    const evs_redis_reply_t *reply);
static void evs_batch_source_shrink(evs_batch_source_t *source);
static void evs_batch_source_free(evs_batch_source_t *source);
static int evs_batch_compare(int64_t us, const u_char *identity, size_t len,
    int64_t other_us, const u_char *other, size_t other_len);


static const evs_redis_handlers_t  evs_batch_source_handlers = {
    evs_batch_source_element,
    evs_batch_source_done
};


void
evs_batch_source_init(evs_batch_source_t *source, evs_batch_sources_t *common,
    ngx_uint_t shard, ngx_uint_t chunk)
{
    const evs_range_t  *range;

    range = common->range;

    source->common = common;
    source->shard = (uint16_t) shard;
    source->chunk = (uint32_t) chunk;
    source->want = (uint32_t) common->first;
    source->step = (range->has_from || range->has_after)
                   ? EVS_BATCH_STEP_COUNT : EVS_BATCH_STEP_PAGE;
}


ngx_int_t
evs_batch_source_ask(evs_batch_source_t *source)
{
    u_char               *p, key_buf[EVS_STORE_KEY_MAX];
    ngx_str_t             key;
    const evs_range_t    *range;
    evs_batch_sources_t  *common;

    common = source->common;
    range = common->range;

    p = evs_redis_reserve(common->node, EVS_RANGE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key.data = key_buf;
    key.len = (size_t) (evs_chunks_key(key_buf, common->conf, source->shard,
                                       source->chunk)
                        - key_buf);

    switch (source->step) {

    case EVS_BATCH_STEP_COUNT:
        p = evs_range_before(p, &key, (range->has_after
                                       && (!range->has_from
                                           || range->after.us > range->from))
                                      ? range->after.us : range->from);
        break;

    case EVS_BATCH_STEP_PAGE:
        p = evs_batch_source_page(source, p, &key);
        break;

    default: /* EVS_BATCH_STEP_PROBE */
        p = evs_batch_source_probe(source, p, &key);
        break;
    }

    source->cmd = evs_redis_commit(common->node, p, 1, common->conf->timeout,
                                   &evs_batch_source_handlers, source);

    return (source->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


static u_char *
evs_batch_source_page(evs_batch_source_t *source, u_char *p,
    const ngx_str_t *key)
{
    evs_batch_source_compact(source);

    source->asked = (uint32_t) evs_batch_source_page_size(source);

    /* with a member that was there: if none comes, the key is gone */

    if (source->begun && source->rank != 0) {
        source->rank--;
        source->asked++;
    }

    source->page.rank = source->rank;
    source->page.tail = source->tail;
    source->page.last = source->last;

    evs_batch_source_reset(source);

    return evs_range_ranks(p, key, source->rank,
                           source->rank + source->asked - 1);
}


/* Twice as many members as before, as far as there is room for them. */

static ngx_uint_t
evs_batch_source_page_size(evs_batch_source_t *source)
{
    size_t                each, room;
    ngx_uint_t            n;
    evs_batch_sources_t  *common;

    if (source->whole) {
        return 1;
    }

    common = source->common;

    if (source->begun) {
        source->want = ngx_min(2 * source->want, EVS_BATCH_PAGE);
    }

    room = source->size;

    if (common->held < EVS_BATCH_BUDGET) {
        room += EVS_BATCH_BUDGET - common->held;
    }

    room = ngx_min(room, EVS_BATCH_BUFFER);
    room = ngx_max(room, common->share);
    room = (room > source->last) ? room - source->last : 0;

    each = common->members ? (size_t) (common->bytes / common->members)
                           : EVS_BATCH_MEMBER;
    n = room / evs_batch_record_size(each);

    return ngx_max(1, ngx_min(n, source->want));
}


static u_char *
evs_batch_source_probe(evs_batch_source_t *source, u_char *p,
    const ngx_str_t *key)
{
    source->probe = source->rank + ((source->high == 0)
                                    ? 4 * (uint64_t) source->asked
                                    : (source->high - source->rank) / 2);
    source->page.rank = source->rank;

    evs_batch_source_reset(source);

    return evs_range_ranks(p, key, source->probe, source->probe);
}


/* What is left comes to the front. */

static void
evs_batch_source_compact(evs_batch_source_t *source)
{
    uint32_t  left;

    left = source->last - source->pos;

    if (left != 0 && source->pos != 0) {
        ngx_memmove(source->buf, source->buf + source->pos, left);
        source->tail -= source->pos;
    }

    source->pos = 0;
    source->last = left;
}


static void
evs_batch_source_reset(evs_batch_source_t *source)
{
    source->came = 0;
    source->fresh = 0;
    source->full = 0;
    source->past = 0;
    source->failed = 0;
}


static void
evs_batch_source_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    int64_t               us;
    evs_member_t          member;
    evs_batch_source_t   *source = data;
    evs_batch_sources_t  *common;

    if (element->data == NULL) {

        /* the connection broke in the middle of the reply */

        source->rank = source->page.rank;

        if (source->step == EVS_BATCH_STEP_PAGE) {
            source->tail = source->page.tail;
            source->last = source->page.last;
        }

        evs_batch_source_reset(source);
        return;
    }

    common = source->common;

    common->members++;
    common->bytes += element->len;
    source->came++;

    if (source->full || source->past || source->failed) {
        return;
    }

    if (evs_member_read(&member, element) == NGX_OK
        && member.type == EVS_ENTRY_EVENT
        && evs_member_us(&member, &us) == NGX_OK)
    {
        evs_batch_source_event(source, &member, us);
        return;
    }

    if (source->step == EVS_BATCH_STEP_PAGE) {
        source->rank++;
    }

    if (!common->foreign) {
        common->foreign = 1;
        ngx_log_error(NGX_LOG_ERR, common->log, 0,
                      "eventsession: a member of chunk %uD of shard %ui is "
                      "not ours, passed over", source->chunk,
                      (ngx_uint_t) source->shard);
    }
}


static void
evs_batch_source_event(evs_batch_source_t *source, const evs_member_t *member,
    int64_t us)
{
    ngx_int_t           rc;
    const evs_range_t  *range;

    range = source->common->range;

    if (source->step == EVS_BATCH_STEP_PROBE) {

        if (evs_batch_source_seen(source, member, us)) {
            source->rank = source->probe + 1;
        }

        return;
    }

    /* once one is new, all that follow are */

    if ((!source->fresh && evs_batch_source_seen(source, member, us))
        || (range->has_from && us < range->from))
    {
        source->rank++;
        return;
    }

    /* several µs share a score in the far future, and are not sorted there */

    if (range->has_to && us > range->to) {

        if ((double) us > (double) range->to) {
            source->past = 1;
            return;
        }

        source->rank++;
        return;
    }

    rc = evs_batch_source_keep(source, member, us);

    if (rc == NGX_OK) {
        source->fresh = 1;
        source->rank++;
        return;
    }

    source->full = 1;
    source->failed = (rc == NGX_ERROR);
}


/*
 * Whether the member lies in front of what is still to come.  Of an empty
 * source that is what was taken last from any: all of this one's that was
 * there then lies in front of it, or behind it and has still to come.
 */

static ngx_uint_t
evs_batch_source_seen(const evs_batch_source_t *source,
    const evs_member_t *member, int64_t us)
{
    const evs_cursor_t        *taken;
    const evs_batch_record_t  *tail;

    if (source->pos != source->last) {
        tail = (evs_batch_record_t *) (void *) (source->buf + source->tail);

        return evs_batch_compare(us, member->text.data, member->identity,
                                 tail->us, evs_batch_record_text(tail),
                                 tail->identity)
               <= 0;
    }

    taken = source->common->taken;

    return taken->len != 0
           && evs_batch_compare(us, member->text.data, member->identity,
                                taken->us, taken->identity, taken->len)
              <= 0;
}


/*
 * NGX_OK; NGX_DECLINED: it doesn't fit, and comes again in the next page;
 * NGX_ERROR: no memory.  Into an empty buffer at least its identity goes, so
 * that its turn is known.
 */

static ngx_int_t
evs_batch_source_keep(evs_batch_source_t *source, const evs_member_t *member,
    int64_t us)
{
    size_t               len;
    ngx_int_t            rc;
    ngx_uint_t           cut;
    evs_batch_record_t  *record;

    cut = 0;
    len = member->text.len;

    rc = evs_batch_source_grow(source,
                               source->last + evs_batch_record_size(len));

    if (rc == NGX_DECLINED && source->last == 0) {
        cut = 1;
        len = member->identity;
        rc = evs_batch_source_grow(source, evs_batch_record_size(len));
    }

    if (rc != NGX_OK) {
        return rc;
    }

    record = (evs_batch_record_t *) (void *) (source->buf + source->last);

    record->us = us;
    record->len = (uint32_t) len;
    record->identity = (uint16_t) member->identity;
    record->cut = (uint16_t) cut;
    ngx_memcpy(evs_batch_record_text(record), member->text.data, len);

    source->tail = source->last;
    source->last += (uint32_t) evs_batch_record_size(len);

    return cut ? NGX_DECLINED : NGX_OK;
}


/* NGX_OK; NGX_DECLINED: not now; NGX_ERROR: no memory. */

static ngx_int_t
evs_batch_source_grow(evs_batch_source_t *source, size_t size)
{
    size_t                grown, others;
    u_char               *buf;
    evs_batch_sources_t  *common;

    if (size <= source->size) {
        return NGX_OK;
    }

    common = source->common;
    others = common->held - source->size;
    grown = ngx_min(2 * source->size, EVS_BATCH_BUFFER);
    grown = ngx_max(grown, EVS_BATCH_BUFFER_MIN);
    grown = ngx_max(grown, size);

    if (source->whole && source->last == 0) {
        grown = size;

    } else if (grown > common->share
               && (size > EVS_BATCH_BUFFER
                   || others + grown > EVS_BATCH_BUDGET))
    {
        if (size > common->share) {
            return NGX_DECLINED;
        }

        grown = common->share;
    }

    buf = ngx_alloc(grown, common->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    if (source->buf != NULL) {
        ngx_memcpy(buf, source->buf, source->last);
        ngx_free(source->buf);
    }

    source->buf = buf;
    source->size = (uint32_t) grown;
    common->held = others + grown;

    return NGX_OK;
}


static void
evs_batch_source_done(void *data, const evs_redis_reply_t *reply)
{
    const char           *failure;
    evs_batch_source_t   *source = data;
    evs_batch_sources_t  *common;

    common = source->common;
    source->cmd = NULL;

    failure = evs_batch_source_reply(source, reply);

    common->done(common->data, source, failure ? NGX_ERROR : NGX_OK, failure);
}


/* NULL, or why it failed. */

static const char *
evs_batch_source_reply(evs_batch_source_t *source,
    const evs_redis_reply_t *reply)
{
    if (evs_batch_source_foreign(source, reply)) {
        source->ended = 1;
        return NULL;
    }

    if (reply->type != EVS_REDIS_ARRAY && reply->type != EVS_REDIS_INTEGER) {
        return evs_store_failure(reply);
    }

    switch (source->step) {

    case EVS_BATCH_STEP_COUNT:
        source->rank = (uint64_t) reply->integer;
        source->step = EVS_BATCH_STEP_PAGE;
        return NULL;

    case EVS_BATCH_STEP_PAGE:
        return evs_batch_source_paged(source);

    default: /* EVS_BATCH_STEP_PROBE */
        evs_batch_source_probed(source);
        return NULL;
    }
}


static const char *
evs_batch_source_paged(evs_batch_source_t *source)
{
    if (source->failed) {
        return "no memory";
    }

    if (source->begun && source->came == 0) {
        return "events were deleted meanwhile";
    }

    source->begun = 1;
    source->whole = 0;
    source->pages = source->last - source->pos;
    source->ended = source->past
                    || (!source->full && source->came < source->asked);

    if (source->last == source->pos && !source->ended) {
        source->step = EVS_BATCH_STEP_PROBE;
        source->high = 0;
    }

    return NULL;
}


/* If the probe lies in front of what is new, the rank is behind it now. */

static void
evs_batch_source_probed(evs_batch_source_t *source)
{
    if (source->rank <= source->probe) {
        source->high = source->probe;

    } else if (source->high == 0) {
        source->asked *= 4;
    }

    if (source->high != 0
        && source->high - source->rank <= 2 * (uint64_t) source->want)
    {
        source->step = EVS_BATCH_STEP_PAGE;
    }
}


/* Whether the key is not a sorted set, and so none of ours: 1 or 0. */

static ngx_uint_t
evs_batch_source_foreign(evs_batch_source_t *source,
    const evs_redis_reply_t *reply)
{
    evs_batch_sources_t  *common;

    if (source->begun || !evs_store_wrong_type(reply)) {
        return 0;
    }

    common = source->common;

    if (!common->wrong) {
        common->wrong = 1;
        ngx_log_error(NGX_LOG_ERR, common->log, 0,
                      "eventsession: the key of chunk %uD of shard %ui is not "
                      "ours, passed over", source->chunk,
                      (ngx_uint_t) source->shard);
    }

    return 1;
}


ngx_uint_t
evs_batch_source_low(const evs_batch_source_t *source)
{
    const evs_batch_record_t  *tail;

    if (source->ended || source->pos == source->last
        || source->last - source->pos > source->pages / 2)
    {
        return 0;
    }

    /* if it is cut, what comes next is that one itself */

    tail = (evs_batch_record_t *) (void *) (source->buf + source->tail);

    return !tail->cut;
}


evs_batch_record_t *
evs_batch_source_head(const evs_batch_source_t *source)
{
    return (source->pos == source->last) ? NULL
           : (evs_batch_record_t *) (void *) (source->buf + source->pos);
}


void
evs_batch_source_want_whole(evs_batch_source_t *source)
{
    evs_batch_source_pop(source);
    source->whole = 1;
}


void
evs_batch_source_pop(evs_batch_source_t *source)
{
    evs_batch_record_t  *record;

    record = (evs_batch_record_t *) (void *) (source->buf + source->pos);

    source->pos += (uint32_t) evs_batch_record_size(record->len);

    if (source->common->held > EVS_BATCH_BUDGET
        && source->size > source->common->share
        && source->last - source->pos <= source->size / 2)
    {
        evs_batch_source_shrink(source);
    }
}


/* Others have need of the room; if there is no memory, they have to wait. */

static void
evs_batch_source_shrink(evs_batch_source_t *source)
{
    u_char    *buf;
    uint32_t   left;

    evs_batch_source_compact(source);

    left = source->last;

    if (left == 0) {
        evs_batch_source_free(source);
        return;
    }

    buf = ngx_alloc(left, source->common->log);
    if (buf == NULL) {
        return;
    }

    ngx_memcpy(buf, source->buf, left);
    ngx_free(source->buf);

    source->common->held -= source->size - left;
    source->buf = buf;
    source->size = left;
}


void
evs_batch_source_end(evs_batch_source_t *source)
{
    if (source->cmd != NULL) {
        evs_redis_cancel(source->cmd);
        source->cmd = NULL;
    }

    source->ended = 1;

    evs_batch_source_free(source);
}


static void
evs_batch_source_free(evs_batch_source_t *source)
{
    if (source->buf != NULL) {
        ngx_free(source->buf);
        source->buf = NULL;
    }

    source->common->held -= source->size;
    source->size = 0;
    source->pos = 0;
    source->tail = 0;
    source->last = 0;
}


int
evs_batch_order(const evs_batch_record_t *record,
    const evs_batch_record_t *other)
{
    return evs_batch_compare(record->us, evs_batch_record_text(record),
                             record->identity, other->us,
                             evs_batch_record_text(other), other->identity);
}


int
evs_batch_place(const evs_batch_record_t *record, const evs_cursor_t *cursor)
{
    return evs_batch_compare(record->us, evs_batch_record_text(record),
                             record->identity, cursor->us, cursor->identity,
                             cursor->len);
}


/* As Redis has it: scores are doubles, members are bytes. */

static int
evs_batch_compare(int64_t us, const u_char *identity, size_t len,
    int64_t other_us, const u_char *other, size_t other_len)
{
    int  rc;

    if ((double) us != (double) other_us) {
        return ((double) us < (double) other_us) ? -1 : 1;
    }

    rc = ngx_memcmp(identity, other, ngx_min(len, other_len));

    return (rc != 0) ? rc : (len > other_len) - (len < other_len);
}
