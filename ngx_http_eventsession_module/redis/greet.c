
/*
 * The greeting: see greet.h.  It goes out in one piece and its replies are
 * taken one by one; INFO tells whether this server can be trusted with what
 * is to be kept, as far as we may ask.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/conn.h"
#include "redis/greet.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/redis.h"


typedef enum {
    EVS_REDIS_GREET_AUTH = 0,
    EVS_REDIS_GREET_SELECT,
    EVS_REDIS_GREET_INFO,
    EVS_REDIS_GREET_ID,
    EVS_REDIS_GREET_KILL
} evs_redis_greet_e;


typedef struct {
    ngx_str_t     name;                   /* with its colon */
    void        (*set)(evs_redis_node_t *node, const ngx_str_t *value);
} evs_redis_field_t;


static u_char *evs_redis_greet_auth(evs_redis_node_t *node, u_char *p);
static u_char *evs_redis_greet_select(evs_redis_node_t *node, u_char *p);
static u_char *evs_redis_greet_info(evs_redis_node_t *node, u_char *p,
    const char *section);
static u_char *evs_redis_greet_id(evs_redis_node_t *node, u_char *p);
static ngx_int_t evs_redis_greet_kill(evs_redis_node_t *node);
static ngx_int_t evs_redis_greet_error(evs_redis_node_t *node,
    evs_redis_greet_e what);
static ngx_int_t evs_redis_greet_end(evs_redis_node_t *node);
static void evs_redis_greet_warn(evs_redis_node_t *node);
static void evs_redis_info_maxmemory(evs_redis_node_t *node,
    const ngx_str_t *value);
static void evs_redis_info_policy(evs_redis_node_t *node,
    const ngx_str_t *value);
static void evs_redis_info_loading(evs_redis_node_t *node,
    const ngx_str_t *value);
static void evs_redis_info_aof(evs_redis_node_t *node, const ngx_str_t *value);
static void evs_redis_info_role(evs_redis_node_t *node,
    const ngx_str_t *value);
static void evs_redis_info_run(evs_redis_node_t *node,
    const ngx_str_t *value);
static ngx_uint_t evs_redis_text_is(const ngx_str_t *text, const char *word);


static const evs_redis_field_t  evs_redis_fields[] = {
    { ngx_string("maxmemory:"),        evs_redis_info_maxmemory },
    { ngx_string("maxmemory_policy:"), evs_redis_info_policy },
    { ngx_string("loading:"),          evs_redis_info_loading },
    { ngx_string("aof_enabled:"),      evs_redis_info_aof },
    { ngx_string("role:"),             evs_redis_info_role },
    { ngx_string("run_id:"),           evs_redis_info_run },
    { ngx_null_string,                 NULL }
};


ngx_int_t
evs_redis_greet(evs_redis_node_t *node)
{
    size_t             size;
    u_char            *p;
    evs_redis_conf_t  *conf;

    conf = node->conf;

    ngx_memzero(&node->info, sizeof(evs_redis_info_t));
    ngx_memzero(&node->client, sizeof(evs_redis_client_t));
    node->ngreeting = 0;

    /* 15 arguments in 7 commands, at most */

    size = conf->user.len + conf->password.len + 15 * EVS_RESP_ARG_MAX
           + EVS_REDIS_GREETING_MAX * sizeof("*3\r\n")
           + sizeof("AUTH" "SELECT" "2147483647" "INFO" "memory" "INFO"
                    "persistence" "INFO" "replication" "INFO" "server"
                    "CLIENT" "ID");

    p = evs_redis_reserve(node, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (conf->user.len || conf->password.len) {
        p = evs_redis_greet_auth(node, p);
    }

    if (conf->db) {
        p = evs_redis_greet_select(node, p);
    }

    p = evs_redis_greet_id(node, p);
    p = evs_redis_greet_info(node, p, "memory");
    p = evs_redis_greet_info(node, p, "persistence");
    p = evs_redis_greet_info(node, p, "replication");
    p = evs_redis_greet_info(node, p, "server");

    return evs_redis_pipeline_greet(node, p, node->ngreeting);
}


void
evs_redis_greet_text(evs_redis_node_t *node, const u_char *text, size_t len)
{
    ngx_str_t                 value;
    const u_char             *p, *eol, *last;
    const evs_redis_field_t  *field;

    last = text + len;

    for (p = text; p < last; p = eol + 1) {

        for (eol = p; eol < last && *eol != LF; eol++) { /* void */ }

        for (field = evs_redis_fields; field->set; field++) {

            if ((size_t) (eol - p) < field->name.len
                || ngx_memcmp(p, field->name.data, field->name.len) != 0)
            {
                continue;
            }

            value.data = (u_char *) p + field->name.len;
            value.len = (size_t) (eol - p) - field->name.len;

            if (value.len && value.data[value.len - 1] == CR) {
                value.len--;
            }

            field->set(node, &value);
        }
    }
}


ngx_int_t
evs_redis_greet_reply(evs_redis_node_t *node, evs_redis_cmd_t *cmd)
{
    evs_redis_greet_e  what;

    what = node->greeting[cmd->replies];

    if (node->incoming.class != EVS_REDIS_FINE) {

        if (evs_redis_greet_error(node, what) != NGX_OK) {
            return NGX_ERROR;
        }

        evs_redis_reply_reset(node);

    } else if (what == EVS_REDIS_GREET_ID) {
        node->client.id = node->incoming.integer;
    }

    cmd->replies++;

    if (cmd->replies < cmd->nreplies) {
        return NGX_OK;
    }

    return evs_redis_greet_end(node);
}


static u_char *
evs_redis_greet_auth(evs_redis_node_t *node, u_char *p)
{
    evs_redis_conf_t  *conf;

    conf = node->conf;

    node->greeting[node->ngreeting++] = EVS_REDIS_GREET_AUTH;

    p = evs_resp_argc(p, conf->user.len ? 3 : 2);
    p = evs_resp_arg(p, (u_char *) "AUTH", sizeof("AUTH") - 1);

    if (conf->user.len) {
        p = evs_resp_arg(p, conf->user.data, conf->user.len);
    }

    return evs_resp_arg(p, conf->password.data, conf->password.len);
}


static u_char *
evs_redis_greet_select(evs_redis_node_t *node, u_char *p)
{
    u_char  *last, db[NGX_INT_T_LEN];

    node->greeting[node->ngreeting++] = EVS_REDIS_GREET_SELECT;

    last = ngx_sprintf(db, "%i", node->conf->db);

    p = evs_resp_argc(p, 2);
    p = evs_resp_arg(p, (u_char *) "SELECT", sizeof("SELECT") - 1);

    return evs_resp_arg(p, db, (size_t) (last - db));
}


static u_char *
evs_redis_greet_info(evs_redis_node_t *node, u_char *p, const char *section)
{
    node->greeting[node->ngreeting++] = EVS_REDIS_GREET_INFO;

    p = evs_resp_argc(p, 2);
    p = evs_resp_arg(p, (u_char *) "INFO", sizeof("INFO") - 1);

    return evs_resp_arg(p, (const u_char *) section, ngx_strlen(section));
}


static u_char *
evs_redis_greet_id(evs_redis_node_t *node, u_char *p)
{
    node->greeting[node->ngreeting++] = EVS_REDIS_GREET_ID;

    p = evs_resp_argc(p, 2);
    p = evs_resp_arg(p, (u_char *) "CLIENT", sizeof("CLIENT") - 1);

    return evs_resp_arg(p, (u_char *) "ID", sizeof("ID") - 1);
}


/*
 * Ends the lost connection on Redis' side: it may have left commands there
 * that are not read yet.
 */

static ngx_int_t
evs_redis_greet_kill(evs_redis_node_t *node)
{
    u_char  *p, *last, id[NGX_INT64_LEN];

    p = evs_redis_reserve(node, sizeof("*4\r\n" "CLIENT" "KILL" "ID")
                                + NGX_INT64_LEN + 4 * EVS_RESP_ARG_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(id, "%L", node->lost.id);

    node->greeting[0] = EVS_REDIS_GREET_KILL;
    node->ngreeting = 1;

    p = evs_resp_argc(p, 4);
    p = evs_resp_arg(p, (u_char *) "CLIENT", sizeof("CLIENT") - 1);
    p = evs_resp_arg(p, (u_char *) "KILL", sizeof("KILL") - 1);
    p = evs_resp_arg(p, (u_char *) "ID", sizeof("ID") - 1);
    p = evs_resp_arg(p, id, (size_t) (last - id));

    return evs_redis_pipeline_greet(node, p, node->ngreeting);
}


static ngx_int_t
evs_redis_greet_error(evs_redis_node_t *node, evs_redis_greet_e what)
{
    ngx_str_t           text;
    evs_redis_class_e   class;
    evs_redis_reason_e  reason;

    class = node->incoming.class;
    text.len = node->incoming.error.len;
    text.data = node->incoming.error.data;

    if (evs_redis_text_is(&text, "LOADING")) {
        reason = EVS_REDIS_LOADING;

    } else if (evs_redis_text_is(&text, "ERR max number of clients")) {
        reason = EVS_REDIS_BUSY;

    } else if (class == EVS_REDIS_AUTH) {
        reason = EVS_REDIS_CREDENTIALS;

    } else if (class == EVS_REDIS_RETRY) {
        reason = EVS_REDIS_BUSY;

    } else if (class == EVS_REDIS_RECONNECT) {
        reason = EVS_REDIS_MOVED;

    } else if (what == EVS_REDIS_GREET_AUTH) {
        reason = EVS_REDIS_CREDENTIALS;

    } else if (what == EVS_REDIS_GREET_SELECT) {
        reason = EVS_REDIS_DATABASE;

    } else {

        /* INFO is forbidden or renamed; then we don't know, and go on */

        return NGX_OK;
    }

    evs_redis_reply_count(node);
    evs_redis_conn_lose(node, reason, 0, &text);

    return NGX_ERROR;
}


static ngx_int_t
evs_redis_greet_end(evs_redis_node_t *node)
{
    static ngx_str_t  loading = ngx_string("loading:1");
    static ngx_str_t  replica = ngx_string("role:slave");
    static ngx_str_t  memory = ngx_string("no memory");

    ngx_uint_t         same;
    evs_redis_reply_t  reply;

    if (node->info.loading) {
        evs_redis_conn_lose(node, EVS_REDIS_LOADING, 0, &loading);
        return NGX_ERROR;
    }

    if (node->info.replica) {
        evs_redis_conn_lose(node, EVS_REDIS_REPLICA, 0, &replica);
        return NGX_ERROR;
    }

    ngx_memzero(&reply, sizeof(evs_redis_reply_t));

    evs_redis_pipeline_done(node, &reply);

    /* another process of Redis has no such client, or a stranger by its id */

    same = ngx_memcmp(node->lost.run, node->client.run, EVS_REDIS_RUN_ID_LEN)
           == 0;

    if (node->lost.id && node->lost.run[0] && same
        && node->greeting[node->ngreeting - 1] != EVS_REDIS_GREET_KILL)
    {
        if (evs_redis_greet_kill(node) == NGX_OK) {
            evs_redis_conn_write(node);
            return NGX_OK;
        }

        evs_redis_conn_lose(node, EVS_REDIS_SILENT, NGX_ENOMEM, &memory);
        return NGX_ERROR;
    }

    node->lost.id = 0;

    evs_redis_greet_warn(node);
    evs_redis_conn_ready(node);

    return NGX_OK;
}


static void
evs_redis_greet_warn(evs_redis_node_t *node)
{
    ngx_uint_t  evicts;

    if (node->quiet) {
        return;
    }

    evicts = node->info.maxmemory && node->info.evicts;

    if (evicts && !node->warned_evicts) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "eventsession: redis %V will throw sessions away when "
                      "its memory is used up: set \"maxmemory-policy "
                      "noeviction\" there", &node->conf->name);
    }

    if (node->info.no_aof && !node->warned_aof) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "eventsession: redis %V forgets acknowledged events "
                      "when it is killed: set \"appendonly yes\" there",
                      &node->conf->name);
    }

    node->warned_evicts = evicts ? 1 : 0;
    node->warned_aof = node->info.no_aof;
}


static void
evs_redis_info_maxmemory(evs_redis_node_t *node, const ngx_str_t *value)
{
    node->info.maxmemory = !evs_redis_text_is(value, "0");
}


static void
evs_redis_info_policy(evs_redis_node_t *node, const ngx_str_t *value)
{
    node->info.evicts = evs_redis_text_is(value, "noeviction") ? 0 : 1;
}


static void
evs_redis_info_loading(evs_redis_node_t *node, const ngx_str_t *value)
{
    node->info.loading = evs_redis_text_is(value, "1") ? 1 : 0;
}


static void
evs_redis_info_aof(evs_redis_node_t *node, const ngx_str_t *value)
{
    node->info.no_aof = evs_redis_text_is(value, "0") ? 1 : 0;
}


static void
evs_redis_info_role(evs_redis_node_t *node, const ngx_str_t *value)
{
    node->info.replica = evs_redis_text_is(value, "slave") ? 1 : 0;
}


static void
evs_redis_info_run(evs_redis_node_t *node, const ngx_str_t *value)
{
    ngx_memcpy(node->client.run, value->data,
               ngx_min(value->len, EVS_REDIS_RUN_ID_LEN));
}


/* Whether the text begins so: 1 or 0. */

static ngx_uint_t
evs_redis_text_is(const ngx_str_t *text, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return text->len >= len && ngx_memcmp(text->data, word, len) == 0;
}
