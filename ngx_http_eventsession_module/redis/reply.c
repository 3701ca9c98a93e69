
/*
 * Replies: see reply.h.
 *
 * hiredis' reader finds the parts, and hands them to the callbacks here: no
 * part of a reply is ever an object.  Elements go to the command at once; the
 * root is noted in node->incoming, its text copied (the reader moves its
 * buffer before it returns), and dealt with after the reader has returned, so
 * that the handlers it leads to may close the connection and free the reader.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/greet.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/reply.h"


#define EVS_REDIS_READER_MAX_BUF  (4 * EVS_REDIS_READ_BUFFER)

#if (HIREDIS_MAJOR >= 1)
typedef size_t  evs_redis_count_t;
#else
typedef int     evs_redis_count_t;
#endif


typedef struct {
    ngx_str_t           prefix;
    evs_redis_class_e   class;
} evs_redis_prefix_t;


static void *evs_redis_on_string(const redisReadTask *task, char *str,
    size_t len);
static void *evs_redis_on_array(const redisReadTask *task,
    evs_redis_count_t elements);
static void *evs_redis_on_integer(const redisReadTask *task, long long value);
static void *evs_redis_on_nil(const redisReadTask *task);
static ngx_inline void evs_redis_on_element(evs_redis_node_t *node,
    const u_char *data, size_t len);
static void evs_redis_on_error(evs_redis_node_t *node, const u_char *data,
    size_t len);
static void evs_redis_text_set(evs_redis_text_t *text, const u_char *data,
    size_t len);
static ngx_int_t evs_redis_reply_whole(evs_redis_node_t *node);
static ngx_int_t evs_redis_reply_end(evs_redis_node_t *node);
static evs_redis_reason_e evs_redis_reply_reason(evs_redis_node_t *node);
static void evs_redis_reply_fill(evs_redis_node_t *node,
    evs_redis_reply_t *reply);
static void evs_redis_reply_fault(evs_redis_node_t *node);


static const evs_redis_prefix_t  evs_redis_prefixes[] = {

    { ngx_string("LOADING"),     EVS_REDIS_RETRY },
    { ngx_string("BUSY"),        EVS_REDIS_RETRY },
    { ngx_string("TRYAGAIN"),    EVS_REDIS_RETRY },
    { ngx_string("CLUSTERDOWN"), EVS_REDIS_RETRY },
    { ngx_string("OOM"),         EVS_REDIS_RETRY },
    { ngx_string("MISCONF"),     EVS_REDIS_RETRY },
    { ngx_string("NOREPLICAS"),  EVS_REDIS_RETRY },
    { ngx_string("MASTERDOWN"),  EVS_REDIS_RETRY },

    { ngx_string("READONLY"),    EVS_REDIS_RECONNECT },
    { ngx_string("MOVED"),       EVS_REDIS_RECONNECT },
    { ngx_string("ASK"),         EVS_REDIS_RECONNECT },

    { ngx_string("NOAUTH"),      EVS_REDIS_AUTH },
    { ngx_string("WRONGPASS"),   EVS_REDIS_AUTH },
    { ngx_string("DENIED"),      EVS_REDIS_AUTH },

    { ngx_string("NOPERM"),      EVS_REDIS_FORBIDDEN },

    { ngx_null_string,           EVS_REDIS_POISON }
};


/*
 * In C this can't be const: hiredis takes it so.  What is not set was NULL or
 * not there in 0.14, and RESP2, which we speak, has none of it.
 */
static redisReplyObjectFunctions  evs_redis_functions = {
    .createString = evs_redis_on_string,
    .createArray = evs_redis_on_array,
    .createInteger = evs_redis_on_integer,
    .createNil = evs_redis_on_nil
};


redisReader *
evs_redis_reader_create(evs_redis_node_t *node)
{
    redisReader  *reader;

    reader = redisReaderCreateWithFunctions(&evs_redis_functions);
    if (reader == NULL) {
        return NULL;
    }

    reader->privdata = node;

    /* else the buffer would be freed and made anew for every read */

    reader->maxbuf = EVS_REDIS_READER_MAX_BUF;

    return reader;
}


ngx_int_t
evs_redis_reply_feed(evs_redis_node_t *node, const u_char *buf, size_t len)
{
    void              *object;
    ngx_str_t          why;
    ngx_connection_t  *c;

    c = node->connection;

    if (redisReaderFeed(node->reader, (const char *) buf, len) != REDIS_OK) {
        goto failed;
    }

    for ( ;; ) {

        if (redisReaderGetReply(node->reader, &object) != REDIS_OK) {
            goto failed;
        }

        if (object == NULL) {
            return NGX_OK;
        }

        if (evs_redis_reply_whole(node) != NGX_OK) {
            return NGX_ERROR;
        }

        /* what a handler did may have ended the node */

        if (node->connection != c) {
            return NGX_ERROR;
        }

        if (node->broken) {
            evs_redis_conn_broken(node);
            return NGX_ERROR;
        }
    }

failed:

    why.data = (u_char *) node->reader->errstr;
    why.len = ngx_strlen(why.data);

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);

    return NGX_ERROR;
}


void
evs_redis_reply_reset(evs_redis_node_t *node)
{
    node->incoming.whole = 0;
    node->incoming.class = EVS_REDIS_FINE;
}


evs_redis_class_e
evs_redis_reply_class(const u_char *text, size_t len)
{
    size_t                     n;
    const evs_redis_prefix_t  *prefix;

    for (n = 0; n < len && text[n] != ' '; n++) { /* void */ }

    for (prefix = evs_redis_prefixes; prefix->prefix.len; prefix++) {

        if (prefix->prefix.len == n
            && ngx_memcmp(prefix->prefix.data, text, n) == 0)
        {
            break;
        }
    }

    return prefix->class;
}


static ngx_int_t
evs_redis_reply_whole(evs_redis_node_t *node)
{
    static ngx_str_t  unasked = ngx_string("a reply that nobody asked for");
    static ngx_str_t  unknown = ngx_string("a reply of an unknown kind");

    ngx_str_t         *why, text;
    ngx_queue_t       *q;
    evs_redis_cmd_t   *cmd;

    why = NULL;

    if (!node->incoming.whole) {
        why = &unknown;

    } else if (ngx_queue_empty(&node->sent)) {
        why = &unasked;

        if (node->incoming.type == EVS_REDIS_ERROR) {
            text.len = node->incoming.error.len;
            text.data = node->incoming.error.data;
            why = &text;
        }
    }

    if (why) {
        evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, why);
        return NGX_ERROR;
    }

    node->incoming.whole = 0;

    q = ngx_queue_head(&node->sent);
    cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

    if (cmd->greeting) {
        return evs_redis_greet_reply(node, cmd);
    }

    cmd->replies++;

    if (cmd->replies < cmd->nreplies) {
        return NGX_OK;
    }

    return evs_redis_reply_end(node);
}


/* The last reply of the first command of node->sent has come. */

static ngx_int_t
evs_redis_reply_end(evs_redis_node_t *node)
{
    ngx_str_t          text;
    evs_redis_class_e  class;
    evs_redis_reply_t  reply;

    class = node->incoming.class;

    evs_redis_reply_count(node);

    if (class == EVS_REDIS_RECONNECT || class == EVS_REDIS_AUTH) {

        text.len = node->incoming.error.len;
        text.data = node->incoming.error.data;

        evs_redis_conn_lose(node, evs_redis_reply_reason(node), 0, &text);

        return NGX_ERROR;
    }

    evs_redis_node_useful(node);

    if (class == EVS_REDIS_RETRY) {
        evs_redis_reply_reset(node);
        evs_redis_pipeline_delay(node);

        return NGX_OK;
    }

    if (class != EVS_REDIS_FINE) {
        evs_redis_reply_fault(node);
    }

    evs_redis_reply_fill(node, &reply);
    evs_redis_reply_reset(node);
    evs_redis_pipeline_done(node, &reply);

    return NGX_OK;
}


void
evs_redis_reply_count(evs_redis_node_t *node)
{
    evs_redis_class_e  class;

    class = node->incoming.class;

    if (class != EVS_REDIS_FINE) {
        (*evs_stats_server_cell(node->server, EVS_STATS_COMMAND_ERRORS
                                              + class - EVS_REDIS_POISON))++;
    }
}


static evs_redis_reason_e
evs_redis_reply_reason(evs_redis_node_t *node)
{
    if (node->incoming.class == EVS_REDIS_AUTH) {
        return EVS_REDIS_CREDENTIALS;
    }

    /* READONLY, or MOVED and ASK */

    return (node->incoming.error.data[0] == 'R') ? EVS_REDIS_REPLICA
                                                 : EVS_REDIS_MOVED;
}


static void
evs_redis_reply_fill(evs_redis_node_t *node, evs_redis_reply_t *reply)
{
    evs_redis_incoming_t  *incoming;

    incoming = &node->incoming;

    ngx_memzero(reply, sizeof(evs_redis_reply_t));

    if (incoming->class != EVS_REDIS_FINE) {
        reply->type = EVS_REDIS_ERROR;
        reply->str.len = incoming->error.len;
        reply->str.data = incoming->error.data;
        return;
    }

    reply->type = incoming->type;
    reply->integer = incoming->integer;

    if (reply->type == EVS_REDIS_STATUS) {
        reply->str.len = incoming->status.len;
        reply->str.data = incoming->status.data;
    }
}


static void
evs_redis_reply_fault(evs_redis_node_t *node)
{
    if (node->incoming.class == EVS_REDIS_FORBIDDEN) {

        /* until the next greeting */

        if (node->forbidden) {
            return;
        }

        node->forbidden = 1;

    } else {

        if (node->faulted_at == ngx_time()) {
            return;
        }

        node->faulted_at = ngx_time();
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "eventsession: redis %V refused a command: %*s",
                  &node->conf->name, node->incoming.error.len,
                  node->incoming.error.data);
}


/* The callbacks return any pointer but NULL, which would be "no memory". */

static void *
evs_redis_on_string(const redisReadTask *task, char *str, size_t len)
{
    u_char                *data;
    evs_redis_node_t      *node;
    evs_redis_incoming_t  *incoming;

    node = task->privdata;
    data = (u_char *) str;

    if (task->type == REDIS_REPLY_ERROR) {
        evs_redis_on_error(node, data, len);
    }

    if (task->parent) {
        evs_redis_on_element(node, data, len);
        return node;
    }

    incoming = &node->incoming;

    incoming->whole = 1;
    incoming->integer = (int64_t) len;

    switch (task->type) {

    case REDIS_REPLY_ERROR:
        incoming->type = EVS_REDIS_ERROR;
        break;

    case REDIS_REPLY_STATUS:
        incoming->type = EVS_REDIS_STATUS;
        evs_redis_text_set(&incoming->status, data, len);
        break;

    default:
        incoming->type = EVS_REDIS_STRING;
        evs_redis_on_element(node, data, len);
    }

    return node;
}


static void *
evs_redis_on_array(const redisReadTask *task, evs_redis_count_t elements)
{
    evs_redis_node_t  *node;

    node = task->privdata;

    if (task->parent == NULL) {
        node->incoming.whole = 1;
        node->incoming.type = EVS_REDIS_ARRAY;
        node->incoming.integer = (int64_t) elements;
    }

    return node;
}


static void *
evs_redis_on_integer(const redisReadTask *task, long long value)
{
    u_char            *last, text[NGX_INT64_LEN];
    evs_redis_node_t  *node;

    node = task->privdata;

    if (task->parent) {
        last = ngx_sprintf(text, "%L", (int64_t) value);
        evs_redis_on_element(node, text, (size_t) (last - text));
        return node;
    }

    node->incoming.whole = 1;
    node->incoming.type = EVS_REDIS_INTEGER;
    node->incoming.integer = value;

    return node;
}


static void *
evs_redis_on_nil(const redisReadTask *task)
{
    evs_redis_node_t  *node;

    node = task->privdata;

    if (task->parent) {
        evs_redis_on_element(node, (u_char *) "", 0);
        return node;
    }

    node->incoming.whole = 1;
    node->incoming.type = EVS_REDIS_NIL;
    node->incoming.integer = 0;

    return node;
}


/* The hottest of them: once for each member that is read. */

static ngx_inline void
evs_redis_on_element(evs_redis_node_t *node, const u_char *data, size_t len)
{
    ngx_str_t         element;
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    if (ngx_queue_empty(&node->sent)) {
        return;
    }

    q = ngx_queue_head(&node->sent);
    cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

    if (cmd->greeting) {
        evs_redis_greet_text(node, data, len);
        return;
    }

    if (cmd->handlers == NULL || cmd->handlers->element == NULL) {
        return;
    }

    element.len = len;
    element.data = (u_char *) data;

    cmd->touched = cmd->replies + 1;
    cmd->handlers->element(cmd->data, cmd->replies, &element);
}


static void
evs_redis_on_error(evs_redis_node_t *node, const u_char *data, size_t len)
{
    evs_redis_class_e      class;
    evs_redis_incoming_t  *incoming;

    incoming = &node->incoming;
    class = evs_redis_reply_class(data, len);

    /* the first one counts, but for those that the caller never sees */

    if (incoming->class == EVS_REDIS_FINE
        || (class >= EVS_REDIS_RETRY && class > incoming->class))
    {
        incoming->class = class;
        evs_redis_text_set(&incoming->error, data, len);
    }
}


static void
evs_redis_text_set(evs_redis_text_t *text, const u_char *data, size_t len)
{
    text->len = ngx_min(len, EVS_REDIS_TEXT_MAX);
    ngx_memcpy(text->data, data, text->len);
}
