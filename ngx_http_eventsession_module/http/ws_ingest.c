
/*
 * WebSocket ingest (contract, section 1): each message is an array of entries
 * of one session, stored as a whole or not at all, and answered in order.
 *
 * A message lives from its arrival to its answer; it outlives its connection
 * when the client is gone before the store has answered.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "http/account.h"
#include "http/application.h"
#include "http/ws.h"
#include "http/ws_trust.h"
#include "ngx_http_eventsession_module.h"
#include "store/append.h"


/* of a bad sessionId, shown to its client */
#define NGX_HTTP_EVENTSESSION_SHOWN   128

/* messages of one connection under way, before the next ones wait */
#define NGX_HTTP_EVENTSESSION_WINDOW  4096


typedef struct {
    const ngx_http_eventsession_loc_conf_t  *conf;
    evs_redis_node_t                        *node;
    evs_redis_wait_t                         wait;
    ngx_http_eventsession_ws_trust_t        *trust;     /* NULL: not needed */

    ngx_queue_t                              messages;  /* not answered */
    ngx_uint_t                               nmessages;
    ngx_uint_t                               received;  /* so far */

    ngx_str_t                                bad;       /* sessionId, if so */
    unsigned                                 ack:1;
    unsigned                                 ended:1;   /* END was stored */
    unsigned                                 malformed:1;
    unsigned                                 served:1;  /* since it waited */

    evs_sid_t                                sid;
} ngx_http_eventsession_ingest_t;


typedef struct {
    ngx_queue_t                              queue;
    ngx_http_eventsession_ws_t              *ws;        /* NULL: gone */
    evs_append_t                             append;
    ngx_uint_t                               number;
    uint64_t                                 tick;      /* when it was whole */
    const char                              *failure;   /* NULL: stored */
    ngx_str_t                                reply;     /* of a bad message */
    unsigned                                 done:1;
    unsigned                                 mismatch:1;
} ngx_http_eventsession_message_t;


static ngx_http_eventsession_ingest_t *ngx_http_eventsession_ingest_create(
    ngx_http_request_t *r, const evs_sid_t *uuid);
static ngx_int_t ngx_http_eventsession_ingest_session(ngx_http_request_t *r,
    ngx_http_eventsession_ingest_t *in);
static ngx_uint_t ngx_http_eventsession_ingest_asks_ack(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_ingest_open(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ingest_message(
    ngx_http_eventsession_ws_t *ws, ngx_uint_t opcode, ngx_str_t *payload);
static ngx_int_t ngx_http_eventsession_ingest_trusted(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ingest_store(
    ngx_http_eventsession_ws_t *ws, ngx_str_t *payload);
static ngx_http_eventsession_message_t *ngx_http_eventsession_ingest_number(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_ingest_told(ngx_http_eventsession_ws_t *ws,
    ngx_int_t rc, ngx_str_t *message);
static ngx_int_t ngx_http_eventsession_ingest_refuse(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ingest_doubt(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ingest_bad(
    ngx_http_eventsession_ws_t *ws, ngx_http_eventsession_message_t *m,
    const evs_fault_t *fault);
static void ngx_http_eventsession_ingest_done(void *data,
    const char *failure);
static ngx_int_t ngx_http_eventsession_ingest_settle(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_ingest_answer(
    ngx_http_eventsession_ws_t *ws, ngx_http_eventsession_message_t *m);
static ngx_uint_t ngx_http_eventsession_ingest_blocked(
    ngx_http_eventsession_ws_t *ws);
static ngx_uint_t ngx_http_eventsession_ingest_pending(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_ingest_drained(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_ingest_closed(
    ngx_http_eventsession_ws_t *ws);
static ngx_http_eventsession_message_t *ngx_http_eventsession_message_get(
    ngx_log_t *log);
static void ngx_http_eventsession_message_free(
    ngx_http_eventsession_message_t *m);


static const ngx_http_eventsession_ws_app_t  ngx_http_eventsession_ingest = {
    ngx_http_eventsession_ingest_open,
    ngx_http_eventsession_ingest_message,
    ngx_http_eventsession_ingest_blocked,
    ngx_http_eventsession_ingest_pending,
    ngx_http_eventsession_ingest_drained,
    ngx_http_eventsession_ingest_closed
};


/* of this process: messages to be used again, the scanner's scratch */
typedef struct {
    ngx_queue_t                 free;
    ngx_uint_t                  nfree;
    evs_json_names_t           *names;
} ngx_http_eventsession_ingest_process_t;

static ngx_http_eventsession_ingest_process_t
    ngx_http_eventsession_ingest_process;


ngx_int_t
ngx_http_eventsession_ingest_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_str_t                          key;
    evs_sid_t                          uuid;
    const ngx_str_t                   *protocol;
    ngx_http_eventsession_ingest_t    *in;
    ngx_http_eventsession_loc_conf_t  *elcf;

    static const ngx_str_t  v1 = ngx_string("eventsession.v1");

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_ws_handshake(r, elcf->origins, &key);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!elcf->require_application
        || ngx_http_eventsession_application(r, 1, &uuid) != NGX_OK)
    {
        uuid.len = 0;
    }

    protocol = ngx_http_eventsession_ws_offers(r, "eventsession.v1") ? &v1
                                                                     : NULL;

    in = ngx_http_eventsession_ingest_create(r, uuid.len ? &uuid : NULL);
    if (in == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_eventsession_account_session(r, &in->sid);

    in->ack = (protocol != NULL || ngx_http_eventsession_ingest_asks_ack(r));

    return ngx_http_eventsession_ws_upgrade(r, &elcf->ws,
                                            &ngx_http_eventsession_ingest,
                                            in, &key, protocol);
}


static ngx_http_eventsession_ingest_t *
ngx_http_eventsession_ingest_create(ngx_http_request_t *r,
    const evs_sid_t *uuid)
{
    size_t                             size;
    ngx_http_eventsession_ingest_t    *in;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    size = elcf->require_application
           ? sizeof(ngx_http_eventsession_ws_trust_t) : 0;

    in = ngx_calloc(sizeof(ngx_http_eventsession_ingest_t) + size,
                    r->connection->log);
    if (in == NULL) {
        return NULL;
    }

    ngx_queue_init(&in->messages);

    in->conf = elcf;
    in->node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);

    if (in->node == NULL
        || ngx_http_eventsession_ingest_session(r, in) != NGX_OK)
    {
        ngx_free(in->bad.data);
        ngx_free(in);
        return NULL;
    }

    if (size != 0) {
        in->trust = (ngx_http_eventsession_ws_trust_t *) (in + 1);
        in->trust->told = ngx_http_eventsession_ingest_told;

        ngx_http_eventsession_ws_trust_init(in->trust, &elcf->apps, in->node,
                                            uuid);
    }

    return in;
}


/*
 * A bad sessionId is told over the open WebSocket: a browser can't read the
 * body of a refused upgrade.
 */

static ngx_int_t
ngx_http_eventsession_ingest_session(ngx_http_request_t *r,
    ngx_http_eventsession_ingest_t *in)
{
    u_char     *src, *dst;
    ngx_str_t   raw;

    ngx_str_null(&raw);

    (void) ngx_http_arg(r, (u_char *) "sessionId", 9, &raw);

    in->bad.data = ngx_alloc(raw.len + 1, r->connection->log);
    if (in->bad.data == NULL) {
        return NGX_ERROR;
    }

    src = raw.data;
    dst = in->bad.data;

    ngx_unescape_uri(&dst, &src, raw.len, 0);

    in->bad.len = (size_t) (dst - in->bad.data);

    if (evs_sid_parse(&in->sid, in->conf->sid_kind, in->bad.data, in->bad.len)
        != NGX_OK)
    {
        in->malformed = 1;
        in->sid.len = 0;
        in->bad.len = ngx_min(in->bad.len, NGX_HTTP_EVENTSESSION_SHOWN);
        return NGX_OK;
    }

    ngx_free(in->bad.data);
    in->bad.data = NULL;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_eventsession_ingest_asks_ack(ngx_http_request_t *r)
{
    ngx_str_t  value;

    return ngx_http_arg(r, (u_char *) "ack", 3, &value) == NGX_OK
           && value.len == 1 && value.data[0] == '1';
}


static ngx_int_t
ngx_http_eventsession_ingest_open(ngx_http_eventsession_ws_t *ws)
{
    u_char                          *p, *text;
    size_t                           len;
    ngx_int_t                        rc;
    ngx_http_eventsession_ingest_t  *in;

    in = ws->data;

    in->wait.event = &ws->turn;

    if (!in->malformed) {
        return ngx_http_eventsession_ingest_trusted(ws);
    }

    len = evs_json_escape(NULL, in->bad.data, in->bad.len);

    text = ngx_alloc(len + 256, ws->connection->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "{\"error\":\"param sessionId must be %s: ",
                    (in->conf->sid_kind == EVS_SID_UUID)
                    ? "a UUID"
                    : "1 to 128 of the characters A-Z a-z 0-9 . _ ~ -");
    p += evs_json_escape(p, in->bad.data, in->bad.len);
    p = ngx_cpymem(p, "\"}", 2);

    ngx_http_eventsession_account_error(ws->request, text + 10,
                                        (size_t) (p - text) - 12);

    rc = ngx_http_eventsession_ws_send(ws, EVS_WS_TEXT, text,
                                       (size_t) (p - text));
    ngx_free(text);

    ngx_http_eventsession_ws_close(ws, EVS_WS_POLICY, "bad sessionId");

    return rc;
}


/*
 * Who isn't trusted is told so at once.  Where that can't be told, the first
 * message asks again, and has the answer.
 */

static ngx_int_t
ngx_http_eventsession_ingest_trusted(ngx_http_eventsession_ws_t *ws)
{
    ngx_http_eventsession_ingest_t  *in;

    in = ws->data;

    if (in->trust == NULL) {
        return NGX_OK;
    }

    in->trust->ws = ws;

    if (ngx_http_eventsession_ws_trust_check(in->trust, NULL)
        == NGX_DECLINED)
    {
        return ngx_http_eventsession_ingest_refuse(ws);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_ingest_message(ngx_http_eventsession_ws_t *ws,
    ngx_uint_t opcode, ngx_str_t *payload)
{
    ngx_http_eventsession_ingest_t  *in;

    in = ws->data;

    evs_stats_add(EVS_STATS_BYTES + EVS_STATS_WS, payload->len);

    if (in->trust == NULL) {
        return ngx_http_eventsession_ingest_store(ws, payload);
    }

    switch (ngx_http_eventsession_ws_trust_check(in->trust, payload)) {

    case NGX_OK:
        return ngx_http_eventsession_ingest_store(ws, payload);

    case NGX_AGAIN:
        return NGX_OK;

    case NGX_DECLINED:
        evs_stats_message(EVS_STATS_WS, EVS_STATS_REFUSED);

        return ngx_http_eventsession_ingest_refuse(ws);

    case NGX_BUSY:
        return ngx_http_eventsession_ingest_doubt(ws);

    default: /* NGX_ERROR */
        return NGX_ERROR;
    }
}


/* The answer about the application, and the message that waited for it. */

static void
ngx_http_eventsession_ingest_told(ngx_http_eventsession_ws_t *ws,
    ngx_int_t rc, ngx_str_t *message)
{
    if (rc == NGX_DECLINED) {

        if (message != NULL) {
            evs_stats_message(EVS_STATS_WS, EVS_STATS_REFUSED);
        }

        rc = ngx_http_eventsession_ingest_refuse(ws);

    } else if (message == NULL) {
        return;

    } else if (rc == NGX_OK) {
        rc = ngx_http_eventsession_ingest_store(ws, message);

    } else {
        rc = ngx_http_eventsession_ingest_doubt(ws);
    }

    if (rc != NGX_OK) {
        ngx_http_eventsession_ws_drop(ws);
    }

    ngx_http_eventsession_ws_run_later(ws);
}


/* The application isn't trusted: the last answer, in its turn. */

static ngx_int_t
ngx_http_eventsession_ingest_refuse(ngx_http_eventsession_ws_t *ws)
{
    ngx_http_eventsession_message_t  *m;

    static const ngx_str_t  text =
                          ngx_string("{\"error\":\"application not found\"}");

    m = ngx_http_eventsession_ingest_number(ws);
    if (m == NULL) {
        return NGX_ERROR;
    }

    m->done = 1;
    m->reply.data = ngx_alloc(text.len, ws->connection->log);

    if (m->reply.data != NULL) {
        ngx_memcpy(m->reply.data, text.data, text.len);
        m->reply.len = text.len;

    } else {
        m->failure = "the server has no memory left";
    }

    ngx_http_eventsession_account_error(ws->request,
                                     (u_char *) "application not found", 21);

    ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                  "client is of no trusted application");

    ngx_http_eventsession_ws_close(ws, EVS_WS_POLICY,
                                   "application not found");

    return ngx_http_eventsession_ingest_settle(ws);
}


/* Nobody can tell whether the application is trusted. */

static ngx_int_t
ngx_http_eventsession_ingest_doubt(ngx_http_eventsession_ws_t *ws)
{
    ngx_http_eventsession_message_t  *m;

    m = ngx_http_eventsession_ingest_number(ws);
    if (m == NULL) {
        return NGX_ERROR;
    }

    m->done = 1;
    m->failure = "the store did not say in time whether the application is "
                 "trusted";

    evs_stats_message(EVS_STATS_WS, EVS_STATS_FAILED);

    return ngx_http_eventsession_ingest_settle(ws);
}


/* The next message: it has a number, and its answer a place among others. */

static ngx_http_eventsession_message_t *
ngx_http_eventsession_ingest_number(ngx_http_eventsession_ws_t *ws)
{
    ngx_http_eventsession_ingest_t   *in;
    ngx_http_eventsession_message_t  *m;

    in = ws->data;

    m = ngx_http_eventsession_message_get(ws->connection->log);
    if (m == NULL) {
        return NULL;
    }

    m->ws = ws;
    m->number = ++in->received;
    m->tick = evs_stats.now;
    in->served = 1;

    ngx_queue_insert_tail(&in->messages, &m->queue);
    in->nmessages++;

    return m;
}


static ngx_int_t
ngx_http_eventsession_ingest_store(ngx_http_eventsession_ws_t *ws,
    ngx_str_t *payload)
{
    ngx_int_t                         rc;
    evs_scan_t                        scan;
    ngx_http_eventsession_ingest_t   *in;
    ngx_http_eventsession_message_t  *m;

    in = ws->data;

    m = ngx_http_eventsession_ingest_number(ws);
    if (m == NULL) {
        return NGX_ERROR;
    }

    evs_scan_init(&scan, payload->data, payload->len, &in->sid,
                  in->conf->sid_kind, &in->conf->limits,
                  ngx_http_eventsession_ingest_process.names);

    m->append.done = ngx_http_eventsession_ingest_done;
    m->append.data = m;

    if (in->trust != NULL) {
        m->append.application = in->trust->waiter.name;
    }

    rc = evs_append(&in->conf->store, in->node, &scan, &m->append);

    switch (rc) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DONE:
        m->done = 1;
        evs_stats_message(EVS_STATS_WS, EVS_STATS_STORED);
        break;

    case NGX_ERROR:
        m->done = 1;
        evs_stats_message(EVS_STATS_WS, EVS_STATS_REFUSED);

        if (ngx_http_eventsession_ingest_bad(ws, m, &scan.fault) != NGX_OK) {
            return NGX_ERROR;
        }

        break;

    default: /* NGX_ABORT */
        m->done = 1;
        m->failure = "the server has no memory left";
        evs_stats_message(EVS_STATS_WS, EVS_STATS_FAILED);
        break;
    }

    return ngx_http_eventsession_ingest_settle(ws);
}


/* The reply to a bad message, kept until it is this message's turn. */

static ngx_int_t
ngx_http_eventsession_ingest_bad(ngx_http_eventsession_ws_t *ws,
    ngx_http_eventsession_message_t *m, const evs_fault_t *fault)
{
    u_char  *p;

    p = ngx_alloc(6 * fault->len + 256, ws->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    m->reply.data = p;

    p = ngx_cpymem(p, "{\"error\":\"", 10);
    p += evs_json_escape(p, fault->text, fault->len);
    *p++ = '"';

    if (fault->kind == EVS_FAULT_SESSION) {
        m->mismatch = 1;
        p = ngx_sprintf(p, ",\"index\":%i}", fault->index);

    } else {
        p = ngx_sprintf(p, ",\"message\":%ui", m->number);

        if (fault->index >= 0) {
            p = ngx_sprintf(p, ",\"index\":%i", fault->index);
        }

        if (fault->field != NULL) {
            p = ngx_sprintf(p, ",\"field\":\"%s\"", fault->field);
        }

        *p++ = '}';
    }

    m->reply.len = (size_t) (p - m->reply.data);

    if (fault->kind == EVS_FAULT_SYNTAX) {
        evs_stats_add(EVS_STATS_PARSE_ERRORS + EVS_STATS_WS, 1);
    }

    ngx_http_eventsession_account_error(ws->request, fault->text, fault->len);

    ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                  "client sent a bad message: %*s", fault->len, fault->text);

    if (m->mismatch) {

        /* the connection is over: what comes behind is not read any more */

        ngx_http_eventsession_ws_close(ws, EVS_WS_POLICY,
                                       "session_id mismatch");
    }

    return NGX_OK;
}


static void
ngx_http_eventsession_ingest_done(void *data, const char *failure)
{
    ngx_uint_t                        outcome;
    ngx_http_eventsession_ws_t       *ws;
    ngx_http_eventsession_message_t  *m = data;

    m->done = 1;
    m->failure = failure;

    outcome = (failure == NULL) ? EVS_STATS_STORED : EVS_STATS_FAILED;

    evs_stats_message(EVS_STATS_WS, outcome);
    evs_stats_events(EVS_STATS_WS, outcome, m->append.entries);

    ws = m->ws;

    if (ws == NULL) {
        ngx_http_eventsession_message_free(m);
        return;
    }

    (void) ngx_http_eventsession_ingest_settle(ws);

    ngx_http_eventsession_ws_run_later(ws);
}


/* Answers in the order of the messages, as far as they are done. */

static ngx_int_t
ngx_http_eventsession_ingest_settle(ngx_http_eventsession_ws_t *ws)
{
    ngx_int_t                         rc;
    ngx_queue_t                      *q;
    ngx_http_eventsession_ingest_t   *in;
    ngx_http_eventsession_message_t  *m;

    in = ws->data;

    while (!ngx_queue_empty(&in->messages)) {

        q = ngx_queue_head(&in->messages);
        m = ngx_queue_data(q, ngx_http_eventsession_message_t, queue);

        if (!m->done) {
            break;
        }

        rc = ngx_http_eventsession_ingest_answer(ws, m);

        ngx_queue_remove(q);
        in->nmessages--;
        ngx_http_eventsession_message_free(m);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_ingest_answer(ngx_http_eventsession_ws_t *ws,
    ngx_http_eventsession_message_t *m)
{
    u_char                          *p, buf[256];
    ngx_http_eventsession_ingest_t  *in;

    in = ws->data;

    if (m->reply.data != NULL) {
        return ngx_http_eventsession_ws_send(ws, EVS_WS_TEXT, m->reply.data,
                                             m->reply.len);
    }

    if (m->failure != NULL) {
        p = ngx_snprintf(buf, sizeof(buf), "{\"error\":\"not stored: %s\","
                         "\"message\":%ui}", m->failure, m->number);

        ngx_http_eventsession_account_error(ws->request, (u_char *) m->failure,
                                            ngx_strlen(m->failure));

        return ngx_http_eventsession_ws_send(ws, EVS_WS_TEXT, buf,
                                             (size_t) (p - buf));
    }

    evs_stats_acknowledged(EVS_STATS_WS, m->tick);
    ngx_http_eventsession_account_events(ws->request, m->append.entries,
                                         m->tick);

    if (m->append.ended) {
        in->ended = 1;
    }

    if (!in->ack) {
        return NGX_OK;
    }

    evs_stats_add(EVS_STATS_WS_ACKS, 1);

    p = ngx_snprintf(buf, sizeof(buf), "{\"ack\":%ui,\"events\":%ui}",
                     m->number, m->append.entries);

    return ngx_http_eventsession_ws_send(ws, EVS_WS_TEXT, buf,
                                         (size_t) (p - buf));
}


static ngx_uint_t
ngx_http_eventsession_ingest_blocked(ngx_http_eventsession_ws_t *ws)
{
    size_t                           low;
    ngx_http_eventsession_ingest_t  *in;

    in = ws->data;

    if (in->nmessages >= NGX_HTTP_EVENTSESSION_WINDOW) {

        /* each answer runs the connection again */

        return 1;
    }

    if (in->wait.waiting || (in->trust != NULL && in->trust->holds)) {
        return 1;
    }

    /* who waits already comes first, or might wait for ever */

    low = in->conf->store.max_inflight / 2;

    if (evs_store_has_room(&in->conf->store, in->node)
        && !evs_redis_waited(in->node, low))
    {
        return 0;
    }

    if (in->served) {

        /* and so do those who are told of room in this turn: they get in
           line again before us, who have had some */

        in->served = 0;
        ngx_http_eventsession_ws_run_later(ws);

        return 1;
    }

    in->wait.low = low;
    evs_redis_wait(in->node, &in->wait);

    return 1;
}


static ngx_uint_t
ngx_http_eventsession_ingest_pending(ngx_http_eventsession_ws_t *ws)
{
    ngx_http_eventsession_ingest_t  *in;

    in = ws->data;

    return in->nmessages != 0 || (in->trust != NULL && in->trust->holds);
}


/* After a SESSION_END: the client has all its answers, and leaves. */

static void
ngx_http_eventsession_ingest_drained(ngx_http_eventsession_ws_t *ws)
{
    ngx_http_eventsession_ingest_t  *in;

    static const u_char  bye[] = "{\"message\":\"bye\"}";

    in = ws->data;

    if (!in->ended) {
        return;
    }

    if (ngx_http_eventsession_ws_send(ws, EVS_WS_TEXT, bye, sizeof(bye) - 1)
        != NGX_OK)
    {
        /* no memory for it: the Close says the same */

        ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                      "no memory for the bye");
    }

    /* what was under way behind the END is stored, though not answered */

    ws->late = 1;

    ngx_http_eventsession_ws_close(ws, EVS_WS_NORMAL, "session ended");
}


static void
ngx_http_eventsession_ingest_closed(ngx_http_eventsession_ws_t *ws)
{
    ngx_queue_t                      *q;
    ngx_http_eventsession_ingest_t   *in;
    ngx_http_eventsession_message_t  *m;

    in = ws->data;

    evs_redis_wait_cancel(&in->wait);

    while (!ngx_queue_empty(&in->messages)) {

        q = ngx_queue_head(&in->messages);
        m = ngx_queue_data(q, ngx_http_eventsession_message_t, queue);

        ngx_queue_remove(q);

        if (m->done) {
            ngx_http_eventsession_message_free(m);
            continue;
        }

        /* it was received: it is stored, with nobody to be told */

        m->ws = NULL;
    }

    if (in->trust != NULL) {
        ngx_http_eventsession_ws_trust_end(in->trust);
    }

    ngx_free(in->bad.data);
    ngx_free(in);
}


static ngx_http_eventsession_message_t *
ngx_http_eventsession_message_get(ngx_log_t *log)
{
    ngx_queue_t                             *q;
    ngx_http_eventsession_message_t         *m;
    ngx_http_eventsession_ingest_process_t  *process;

    process = &ngx_http_eventsession_ingest_process;

    if (process->names == NULL) {
        process->names = evs_json_names_create();
        if (process->names == NULL) {
            return NULL;
        }

        ngx_queue_init(&process->free);
    }

    if (ngx_queue_empty(&process->free)) {
        return ngx_calloc(sizeof(ngx_http_eventsession_message_t), log);
    }

    q = ngx_queue_head(&process->free);
    ngx_queue_remove(q);
    process->nfree--;

    m = ngx_queue_data(q, ngx_http_eventsession_message_t, queue);
    ngx_memzero(m, sizeof(ngx_http_eventsession_message_t));

    return m;
}


static void
ngx_http_eventsession_message_free(ngx_http_eventsession_message_t *m)
{
    ngx_http_eventsession_ingest_process_t  *process;

    process = &ngx_http_eventsession_ingest_process;

    ngx_free(m->reply.data);

    if (process->nfree == NGX_HTTP_EVENTSESSION_WINDOW) {
        ngx_free(m);
        return;
    }

    ngx_queue_insert_head(&process->free, &m->queue);
    process->nfree++;
}


void
ngx_http_eventsession_ingest_exit(void)
{
    ngx_queue_t                             *q;
    ngx_http_eventsession_ingest_process_t  *process;

    process = &ngx_http_eventsession_ingest_process;

    if (process->names == NULL) {
        return;
    }

    while (!ngx_queue_empty(&process->free)) {
        q = ngx_queue_head(&process->free);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_eventsession_message_t, queue));
    }

    evs_json_names_destroy(process->names);
    ngx_memzero(process, sizeof(ngx_http_eventsession_ingest_process_t));
}
