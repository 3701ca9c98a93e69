
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

#include "event/number.h"
#include "store/append.h"
#include "store/id.h"
#include "store/member.h"


/* "*<argc>\r\n$4\r\nZADD\r\n$<len>\r\n<key>\r\n" */
#define EVS_APPEND_HEAD_MAX                                                   \
    (sizeof("*\r\n$4\r\nZADD\r\n") + NGX_INT_T_LEN                            \
     + EVS_RESP_ARG_MAX + EVS_STORE_KEY_MAX)

/*
 * A command is never longer than this: the shortest text of an EVENT is 40
 * bytes with its comma, and is written as 51 bytes; of the longer parts, each
 * byte of a text is one byte of the member, but for the integers of short
 * timestamps (9 bytes at most).
 */
#define evs_append_max(len)                                                   \
    (EVS_APPEND_HEAD_MAX + (len) + (len) / 2 + 512)


#define evs_append_lit(p, s)  ngx_cpymem(p, s, sizeof(s) - 1)


static u_char *evs_append_entry(u_char *p, const evs_entry_t *entry,
    evs_id_t *id);
static u_char *evs_append_head(u_char *start, u_char *members, u_char *last,
    const evs_store_conf_t *conf, const evs_sid_t *sid, ngx_uint_t entries);
static u_char *evs_append_score(u_char *p, int64_t us);
static ngx_uint_t evs_append_digits(ngx_uint_t n);
static size_t evs_append_head_len(const evs_store_conf_t *conf,
    const evs_sid_t *sid, ngx_uint_t digits);


/* what the last message needed; a guess only */
static ngx_uint_t  evs_append_last_digits = 1;


ngx_int_t
evs_append(const evs_store_conf_t *conf, evs_redis_node_t *node,
    evs_scan_t *scan, const evs_redis_handlers_t *handlers, void *data,
    evs_append_t *append)
{
    size_t        len;
    u_char       *start, *members, *p;
    evs_id_t      id;
    ngx_int_t     rc;
    evs_entry_t   entry;

    append->entries = 0;
    append->ended = 0;
    append->cmd = NULL;

    len = (size_t) (scan->json.last - scan->json.start);

    start = evs_redis_reserve(node, evs_append_max(len));

    if (start == NULL || evs_id_begin(&id) != NGX_OK) {
        return NGX_ABORT;
    }

    members = start + evs_append_head_len(conf, scan->sid,
                                          evs_append_last_digits);
    p = members;

    for ( ;; ) {
        rc = evs_scan_next(scan, &entry);

        if (rc != NGX_OK) {
            break;
        }

        if (entry.type == EVS_ENTRY_END) {
            append->ended = 1;
        }

        p = evs_append_entry(p, &entry, &id);
    }

    if (rc != NGX_DONE || scan->count == 0) {
        return rc;
    }

    append->entries = scan->count;

    p = evs_append_head(start, members, p, conf, scan->sid, scan->count);

    append->cmd = evs_redis_commit(node, p, 1, conf->timeout, handlers, data);

    if (append->cmd == NULL) {
        return NGX_ABORT;
    }

    evs_id_end(&id);

    return NGX_OK;
}


/*
 * "$<len>\r\n<score>\r\n$<len>\r\n<member>\r\n".  The member is written once:
 * behind room for a length of two digits, as nearly all have, and moved when
 * its length has more.
 */

static u_char *
evs_append_entry(u_char *p, const evs_entry_t *entry, evs_id_t *id)
{
    size_t   len, digits;
    u_char  *member;

    if (entry->type == EVS_ENTRY_EVENT) {
        p = evs_append_score(p, entry->timestamp.us);
        evs_id_next(id);

    } else if (entry->type == EVS_ENTRY_START) {
        p = evs_append_lit(p, "$4\r\n-inf\r\n");

    } else {
        p = evs_append_lit(p, "$4\r\n+inf\r\n");
    }

    member = p + sizeof("$nn\r\n") - 1;

    len = (size_t) (evs_member_write(member, entry, id->text) - member);
    digits = evs_append_digits(len);

    if (digits != 2) {
        ngx_memmove(member + digits - 2, member, len);
        member = member + digits - 2;
    }

    *p++ = '$';
    p = evs_number_write(p, len);
    *p++ = CR;
    *p++ = LF;

    p = member + len;
    *p++ = CR;
    *p++ = LF;

    return p;
}


static u_char *
evs_append_score(u_char *p, int64_t us)
{
    u_char     score[1 + NGX_INT64_LEN], *last;
    uint64_t   n;

    last = score;
    n = (uint64_t) us;

    if (us < 0) {
        *last++ = '-';
        n = 0 - n;
    }

    last = evs_number_write(last, n);

    return evs_resp_arg(p, score, (size_t) (last - score));
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

    digits = evs_append_digits(2 + 2 * entries);
    len = (size_t) (last - members);

    if (digits != evs_append_last_digits) {
        evs_append_last_digits = digits;
        p = start + evs_append_head_len(conf, sid, digits);
        ngx_memmove(p, members, len);
        members = p;
    }

    p = evs_resp_argc(start, 2 + 2 * entries);
    p = evs_append_lit(p, "$4\r\nZADD\r\n");

    last = evs_store_key(key, conf, sid);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    return members + len;
}


static size_t
evs_append_head_len(const evs_store_conf_t *conf, const evs_sid_t *sid,
    ngx_uint_t digits)
{
    size_t  key;

    key = conf->prefix.len + sid->len + 2;

    return sizeof("*\r\n$4\r\nZADD\r\n$\r\n\r\n") - 1
           + digits + evs_append_digits(key) + key;
}


static ngx_uint_t
evs_append_digits(ngx_uint_t n)
{
    ngx_uint_t  digits;

    for (digits = 1; n >= 10; n /= 10) {
        digits++;
    }

    return digits;
}


ngx_uint_t
evs_append_stored(const evs_redis_reply_t *reply)
{
    return reply->type == EVS_REDIS_INTEGER;
}
