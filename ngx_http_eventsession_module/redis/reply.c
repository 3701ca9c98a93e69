
/*
 * Replies: see reply.h.
 *
 * No reply is ever an object.  Elements go to the command at once, as they lie
 * in the node's buffer; of the reply itself, what its head says is noted in
 * node->incoming, since a command may have several of them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/greet.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/reply.h"


typedef struct {
    ngx_str_t           prefix;
    evs_redis_class_e   class;
} evs_redis_prefix_t;


static ngx_inline void evs_redis_reply_part(evs_redis_node_t *node,
    const evs_resp_part_t *part);
static ngx_inline void evs_redis_reply_element(evs_redis_node_t *node,
    const ngx_str_t *text);
static void evs_redis_reply_error(evs_redis_node_t *node,
    const ngx_str_t *text);
static void evs_redis_text_set(evs_redis_text_t *text, const ngx_str_t *from);
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


ngx_int_t
evs_redis_reply_read(evs_redis_node_t *node)
{
    ngx_int_t          rc;
    ngx_str_t          why;
    evs_resp_part_t    part;
    ngx_connection_t  *c;

    c = node->connection;

    for ( ;; ) {
        rc = evs_resp_next(&node->reader, &part);

        if (rc != NGX_OK) {
            break;
        }

        evs_redis_reply_part(node, &part);

        if (!part.ends) {
            continue;
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

    if (rc == NGX_AGAIN) {
        return NGX_OK;
    }

    why.data = (u_char *) node->reader.why;
    why.len = ngx_strlen(why.data);

    evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &why);

    return NGX_ERROR;
}


void
evs_redis_reply_reset(evs_redis_node_t *node)
{
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

    ngx_str_t         text;
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    if (ngx_queue_empty(&node->sent)) {
        text = unasked;

        if (node->incoming.type == EVS_REDIS_ERROR) {
            text.len = node->incoming.error.len;
            text.data = node->incoming.error.data;
        }

        evs_redis_conn_lose(node, EVS_REDIS_SILENT, 0, &text);
        return NGX_ERROR;
    }

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


static ngx_inline void
evs_redis_reply_part(evs_redis_node_t *node, const evs_resp_part_t *part)
{
    evs_redis_incoming_t  *incoming;

    incoming = &node->incoming;

    if (part->type == EVS_REDIS_ERROR) {
        evs_redis_reply_error(node, &part->text);
    }

    if (part->nested) {

        if (part->type != EVS_REDIS_ARRAY) {
            evs_redis_reply_element(node, &part->text);
        }

        return;
    }

    incoming->type = part->type;
    incoming->integer = part->integer;

    if (part->type == EVS_REDIS_STRING) {
        evs_redis_reply_element(node, &part->text);

    } else if (part->type == EVS_REDIS_STATUS) {
        evs_redis_text_set(&incoming->status, &part->text);
    }
}


/* The hottest of them: once for each member that is read. */

static ngx_inline void
evs_redis_reply_element(evs_redis_node_t *node, const ngx_str_t *text)
{
    ngx_queue_t      *q;
    evs_redis_cmd_t  *cmd;

    if (ngx_queue_empty(&node->sent)) {
        return;
    }

    q = ngx_queue_head(&node->sent);
    cmd = ngx_queue_data(q, evs_redis_cmd_t, queue);

    if (cmd->greeting) {
        evs_redis_greet_text(node, text->data, text->len);
        return;
    }

    if (cmd->handlers == NULL || cmd->handlers->element == NULL) {
        return;
    }

    cmd->touched = cmd->replies + 1;
    cmd->handlers->element(cmd->data, cmd->replies, text);
}


static void
evs_redis_reply_error(evs_redis_node_t *node, const ngx_str_t *text)
{
    evs_redis_class_e      class;
    evs_redis_incoming_t  *incoming;

    incoming = &node->incoming;
    class = evs_redis_reply_class(text->data, text->len);

    /* the first one counts, but for those that the caller never sees */

    if (incoming->class == EVS_REDIS_FINE
        || (class >= EVS_REDIS_RETRY && class > incoming->class))
    {
        incoming->class = class;
        evs_redis_text_set(&incoming->error, text);
    }
}


static void
evs_redis_text_set(evs_redis_text_t *text, const ngx_str_t *from)
{
    text->len = ngx_min(from->len, EVS_REDIS_TEXT_MAX);
    ngx_memcpy(text->data, from->data, text->len);
}
