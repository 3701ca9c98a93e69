
/*
 * The deletion of a session: see delete.h.
 *
 * All commands may be sent again: whatever one did at the first attempt, it
 * does no harm at the next.  The mark comes before the UNLINK, so
 * that the history shows nothing of a session that is gone.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/delete.h"


#define EVS_DELETE_REPLY_TOP    0
#define EVS_DELETE_REPLY_FIRST  1

/* three commands, with a key, a session's id and a few short words each */
#define EVS_DELETE_COMMAND_MAX                                                \
    (3 * (EVS_STORE_KEY_MAX + EVS_SID_MAX + 6 * EVS_RESP_ARG_MAX + 96)       \
     + EVS_COPIES_KEY_MAX)


#define evs_delete_lit(p, s)                                                  \
    evs_resp_arg(p, (u_char *) s, sizeof(s) - 1)


static void evs_delete_element(void *data, ngx_uint_t nreply,
    const ngx_str_t *element);
static void evs_delete_asked(void *data, const evs_redis_reply_t *reply);
static ngx_int_t evs_delete_copies(evs_delete_t *del);
static void evs_delete_uncopied(void *data, const char *failure);
static ngx_int_t evs_delete_send(evs_delete_t *del);
static u_char *evs_delete_mark(u_char *p, const evs_delete_t *del);
static u_char *evs_delete_prune(u_char *p, const evs_delete_t *del);
static u_char *evs_delete_unlink(u_char *p, const evs_delete_t *del);
static void evs_delete_sent(void *data, const evs_redis_reply_t *reply);
static u_char *evs_delete_edge(u_char *p, const ngx_str_t *stream,
    const char *command, const char *from, const char *to);
static u_char *evs_delete_key(u_char *p, const evs_delete_t *del,
    const char *command);


static const evs_redis_handlers_t  evs_delete_ask_handlers = {
    evs_delete_element,
    evs_delete_asked
};

static const evs_redis_handlers_t  evs_delete_send_handlers = {
    NULL,
    evs_delete_sent
};


ngx_int_t
evs_delete_begin(evs_delete_t *del)
{
    u_char     *p, key[EVS_STORE_KEY_MAX];
    ngx_str_t   stream;

    p = evs_redis_reserve(del->node, EVS_DELETE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    stream.data = key;
    stream.len = (size_t) (evs_store_feed_key(key, del->conf) - key);

    p = evs_delete_edge(p, &stream, "XREVRANGE", "+", "-");
    p = evs_delete_edge(p, &stream, "XRANGE", "-", "+");
    p = evs_delete_key(p, del, "EXISTS");

    del->has_top = 0;
    del->has_first = 0;
    del->top_seen = 0;
    del->first_seen = 0;

    del->cmd = evs_redis_commit(del->node, p, 3, del->conf->timeout,
                                &evs_delete_ask_handlers, del);

    return (del->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


void
evs_delete_cancel(evs_delete_t *del)
{
    if (del->cmd != NULL) {
        evs_redis_cancel(del->cmd);
        del->cmd = NULL;
    }

    evs_copies_cancel(&del->copies);
}


/* Of an entry, the id comes first. */

static void
evs_delete_element(void *data, ngx_uint_t nreply, const ngx_str_t *element)
{
    evs_delete_t  *del = data;

    if (element->data == NULL) {
        del->has_top = 0;
        del->has_first = 0;
        del->top_seen = 0;
        del->first_seen = 0;
        return;
    }

    if (nreply == EVS_DELETE_REPLY_TOP && !del->top_seen) {
        del->top_seen = 1;
        del->has_top = (evs_stream_id_parse(&del->top, element) == NGX_OK);

    } else if (nreply == EVS_DELETE_REPLY_FIRST && !del->first_seen) {
        del->first_seen = 1;
        del->has_first = (evs_stream_id_parse(&del->first, element)
                          == NGX_OK);
    }
}


static void
evs_delete_asked(void *data, const evs_redis_reply_t *reply)
{
    evs_delete_t  *del = data;

    del->cmd = NULL;

    if (reply->type != EVS_REDIS_INTEGER) {
        del->done(del->data, NGX_ERROR, evs_store_failure(reply));
        return;
    }

    if (reply->integer == 0) {
        del->done(del->data, NGX_DECLINED, NULL);
        return;
    }

    if (evs_delete_copies(del) != NGX_OK) {
        del->done(del->data, NGX_ERROR, "no memory");
    }
}


static ngx_int_t
evs_delete_copies(evs_delete_t *del)
{
    evs_copies_t  *copies;

    copies = &del->copies;

    copies->conf = del->conf;
    copies->node = del->node;
    copies->sid = del->sid;
    copies->pool = del->pool;
    copies->done = evs_delete_uncopied;
    copies->data = del;

    return evs_copies_remove(copies);
}


static void
evs_delete_uncopied(void *data, const char *failure)
{
    evs_delete_t  *del = data;

    if (failure == NULL && evs_delete_send(del) != NGX_OK) {
        failure = "no memory";
    }

    if (failure != NULL) {
        del->done(del->data, NGX_ERROR, failure);
    }
}


static ngx_int_t
evs_delete_send(evs_delete_t *del)
{
    u_char      *p;
    ngx_uint_t   n;

    p = evs_redis_reserve(del->node, EVS_DELETE_COMMAND_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = 1;

    if (del->has_top) {
        n++;
        p = evs_delete_mark(p, del);
    }

    if (del->has_first) {
        n++;
        p = evs_delete_prune(p, del);
    }

    p = evs_delete_unlink(p, del);

    del->cmd = evs_redis_commit(del->node, p, n, del->conf->timeout,
                                &evs_delete_send_handlers, del);

    return (del->cmd == NULL) ? NGX_ERROR : NGX_OK;
}


/* GT: of two deletions at a time the one that has seen more counts. */

static u_char *
evs_delete_mark(u_char *p, const evs_delete_t *del)
{
    u_char  *last, key[EVS_STORE_KEY_MAX], score[NGX_INT64_LEN];

    p = evs_resp_argc(p, 5);
    p = evs_delete_lit(p, "ZADD");

    last = evs_store_deleted_key(key, del->conf);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    p = evs_delete_lit(p, "GT");

    last = ngx_sprintf(score, "%uL", evs_stream_id_score(&del->top));
    p = evs_resp_arg(p, score, (size_t) (last - score));

    return evs_resp_arg(p, del->sid.data, del->sid.len);
}


static u_char *
evs_delete_prune(u_char *p, const evs_delete_t *del)
{
    u_char  *last, key[EVS_STORE_KEY_MAX], score[1 + NGX_INT64_LEN];

    p = evs_resp_argc(p, 4);
    p = evs_delete_lit(p, "ZREMRANGEBYSCORE");

    last = evs_store_deleted_key(key, del->conf);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    p = evs_delete_lit(p, "-inf");

    last = ngx_sprintf(score, "(%uL", evs_stream_id_score(&del->first));

    return evs_resp_arg(p, score, (size_t) (last - score));
}


static u_char *
evs_delete_unlink(u_char *p, const evs_delete_t *del)
{
    u_char  *last, key[EVS_COPIES_KEY_MAX];

    p = evs_resp_argc(p, 3);
    p = evs_delete_lit(p, "UNLINK");

    last = evs_store_key(key, del->conf, &del->sid);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    last = evs_copies_key(key, del->conf, &del->sid);

    return evs_resp_arg(p, key, (size_t) (last - key));
}


/* Sent again after a lost connection it may find nothing: that is as good. */

static void
evs_delete_sent(void *data, const evs_redis_reply_t *reply)
{
    evs_delete_t  *del = data;

    del->cmd = NULL;

    if (reply->type == EVS_REDIS_INTEGER) {
        del->done(del->data, NGX_OK, NULL);
        return;
    }

    del->done(del->data, NGX_ERROR, evs_store_failure(reply));
}


static u_char *
evs_delete_edge(u_char *p, const ngx_str_t *stream, const char *command,
    const char *from, const char *to)
{
    p = evs_resp_argc(p, 6);
    p = evs_resp_arg(p, (const u_char *) command, ngx_strlen(command));
    p = evs_resp_arg(p, stream->data, stream->len);
    p = evs_resp_arg(p, (const u_char *) from, ngx_strlen(from));
    p = evs_resp_arg(p, (const u_char *) to, ngx_strlen(to));
    p = evs_delete_lit(p, "COUNT");

    return evs_delete_lit(p, "1");
}


static u_char *
evs_delete_key(u_char *p, const evs_delete_t *del, const char *command)
{
    u_char  *last, key[EVS_STORE_KEY_MAX];

    p = evs_resp_argc(p, 2);
    p = evs_resp_arg(p, (const u_char *) command, ngx_strlen(command));

    last = evs_store_key(key, del->conf, &del->sid);

    return evs_resp_arg(p, key, (size_t) (last - key));
}
