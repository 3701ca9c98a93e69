
/*
 * A WebSocket connection (RFC 6455, the server's side) on a connection taken
 * over from nginx's HTTP: reading, writing, back-pressure, pings, the closing
 * handshake, the end of the worker.  What messages mean is an app's business.
 */


#ifndef _NGX_HTTP_EVENTSESSION_WS_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_WS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "proto/ws_frame.h"


typedef struct {
    ngx_msec_t                       ping;          /* 0: off */
    size_t                           max_message;
} ngx_http_eventsession_ws_conf_t;


typedef struct ngx_http_eventsession_ws_s  ngx_http_eventsession_ws_t;

typedef struct {
    /* The connection is open.  NGX_OK, or NGX_ERROR to drop it. */
    ngx_int_t   (*open)(ngx_http_eventsession_ws_t *ws);

    /*
     * A message; the payload is writable and valid during the call.  NGX_OK,
     * or NGX_ERROR to drop the connection.
     */
    ngx_int_t   (*message)(ngx_http_eventsession_ws_t *ws, ngx_uint_t opcode,
        ngx_str_t *payload);

    /*
     * Whether messages have to wait: 1 or 0.  When that has changed, the app
     * calls ngx_http_eventsession_ws_run_later().
     */
    ngx_uint_t  (*blocked)(ngx_http_eventsession_ws_t *ws);

    /*
     * Whether replies are still to be sent: a Close is held back until they
     * are.  When none is left, the app calls .._ws_run_later().
     */
    ngx_uint_t  (*pending)(ngx_http_eventsession_ws_t *ws);

    /* All that has come is read, and nothing is pending. */
    void        (*drained)(ngx_http_eventsession_ws_t *ws);

    /* The connection is gone: frees ws->data. */
    void        (*closed)(ngx_http_eventsession_ws_t *ws);
} ngx_http_eventsession_ws_app_t;


typedef enum {
    NGX_HTTP_EVENTSESSION_WS_UPGRADING = 0,  /* nginx's HTTP still has it */
    NGX_HTTP_EVENTSESSION_WS_OPEN,
    NGX_HTTP_EVENTSESSION_WS_FINISHING,      /* to be closed; replies first */
    NGX_HTTP_EVENTSESSION_WS_CLOSING         /* our Close is sent */
} ngx_http_eventsession_ws_state_e;


struct ngx_http_eventsession_ws_s {
    ngx_connection_t                       *connection;
    ngx_http_request_t                     *request;   /* NULL: freed */
    const ngx_http_eventsession_ws_conf_t  *conf;
    const ngx_http_eventsession_ws_app_t   *app;
    void                                   *data;      /* of the app */

    ngx_event_t                             turn;      /* runs it later */
    ngx_msec_t                              received;  /* last time, in ms */
    off_t                                   taken;     /* by the client, when
                                                          last looked at */

    evs_ws_parser_t                         parser;

    u_char                                 *stash;     /* read, not parsed */
    size_t                                  stash_len;

    u_char                                 *out;       /* to be sent */
    size_t                                  out_pos;
    size_t                                  out_len;
    size_t                                  out_size;

    ngx_http_eventsession_ws_state_e        state;
    ngx_uint_t                              code;      /* of our Close */
    const char                             *reason;

    unsigned                                pinged:1;
    unsigned                                peer_closed:1;
    unsigned                                fault:1;   /* of the protocol */
    unsigned                                shut:1;    /* half-closed */
    unsigned                                late:1;    /* messages behind our
                                                          Close are taken */
    unsigned                                dropped:1;
};


/*
 * Upgrades the request: makes the connection, sends 101 with accept (and
 * protocol, if not NULL), and takes the connection over once nginx's HTTP has
 * let go of it.  What a content handler returns.  data, from ngx_alloc(), is
 * the connection's from here on, also when the upgrade fails.
 */
ngx_int_t ngx_http_eventsession_ws_upgrade(ngx_http_request_t *r,
    const ngx_http_eventsession_ws_conf_t *conf,
    const ngx_http_eventsession_ws_app_t *app, void *data,
    const ngx_str_t *key, const ngx_str_t *protocol);

/*
 * Queues a message to the client; nothing after our Close.  NGX_OK, or
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_eventsession_ws_send(ngx_http_eventsession_ws_t *ws,
    ngx_uint_t opcode, const u_char *data, size_t len);

/*
 * Begins the closing handshake when nothing is pending any more; no message
 * is read meanwhile.  The first code given is the one that is sent.
 */
void ngx_http_eventsession_ws_close(ngx_http_eventsession_ws_t *ws,
    ngx_uint_t code, const char *reason);

/*
 * Ends the connection without a Close when it is run next: for where an app
 * has no memory left, and no NGX_ERROR to return.
 */
void ngx_http_eventsession_ws_drop(ngx_http_eventsession_ws_t *ws);

/* At the end of this event-loop turn: sends, reads on, closes. */
void ngx_http_eventsession_ws_run_later(ngx_http_eventsession_ws_t *ws);


/* Content handlers of the endpoints */
ngx_int_t ngx_http_eventsession_ingest_handler(ngx_http_request_t *r);

#if (EVENTSESSION_ECHO)
ngx_int_t ngx_http_eventsession_echo_handler(ngx_http_request_t *r);
#endif

/*
 * The opening handshake (RFC 6455, 4.2.1): NGX_DECLINED and the key when it is
 * right; otherwise a reply has been made: 400, 403, 405 or 426.
 */
ngx_int_t ngx_http_eventsession_ws_handshake(ngx_http_request_t *r,
    const ngx_array_t *origins, ngx_str_t *key);

/* Whether the client offered this subprotocol: 1 or 0. */
ngx_uint_t ngx_http_eventsession_ws_offers(ngx_http_request_t *r,
    const char *protocol);

/* Free what the process keeps for all its connections. */
void ngx_http_eventsession_ws_exit(void);
void ngx_http_eventsession_ingest_exit(void);


#endif /* _NGX_HTTP_EVENTSESSION_WS_H_INCLUDED_ */
