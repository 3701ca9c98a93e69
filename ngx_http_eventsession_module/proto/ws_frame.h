
/*
 * WebSocket frames (RFC 6455, sections 5 to 8), the server's side.  Bytes in,
 * messages out; it knows no socket and no clock, and nothing of what messages
 * mean.
 *
 *     while ((rc = evs_ws_parse(&parser, &pos, last, &event)) == NGX_OK) { }
 *
 * The input is changed in place: payloads are unmasked where they lie.  A
 * message that lies whole in the input is returned as a slice of it, without
 * a copy; one that comes in pieces (reads or fragments) is put together in a
 * buffer of the parser's that grows with what has come, never with what was
 * announced.
 */


#ifndef _EVS_WS_FRAME_H_INCLUDED_
#define _EVS_WS_FRAME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/utf8.h"


#define EVS_WS_CONTINUATION   0x0
#define EVS_WS_TEXT           0x1
#define EVS_WS_BINARY         0x2
#define EVS_WS_CLOSE          0x8
#define EVS_WS_PING           0x9
#define EVS_WS_PONG           0xa

/* close codes, RFC 6455, 7.4.1 */
#define EVS_WS_NORMAL         1000
#define EVS_WS_GOING_AWAY     1001
#define EVS_WS_PROTOCOL       1002
#define EVS_WS_UNSUPPORTED    1003
#define EVS_WS_NO_STATUS      1005   /* never sent: a Close without a code */
#define EVS_WS_BAD_DATA       1007
#define EVS_WS_POLICY         1008
#define EVS_WS_TOO_BIG        1009
#define EVS_WS_INTERNAL       1011

#define EVS_WS_CONTROL_MAX    125

/* what the input may keep back at most: a head, or a control frame */
#define EVS_WS_STASH_MAX      (14 + EVS_WS_CONTROL_MAX)


typedef struct {
    size_t             max;        /* bytes of a message's payload */

    uint64_t           left;       /* payload of the current frame to come */
    u_char             mask[4];    /* rotated to the next byte */
    u_char             opcode;     /* of the message, 0: between messages */
    unsigned           in_frame:1; /* inside a data frame's payload */
    unsigned           fin:1;      /* of the current frame */
    unsigned           returned:1; /* buffer holds the message returned last */
    evs_utf8_t         utf8;

    u_char            *buf;        /* the message so far; NULL: none */
    size_t             len;
    size_t             size;
} evs_ws_parser_t;


typedef struct {
    ngx_uint_t         opcode;     /* TEXT, BINARY, CLOSE, PING or PONG */
    ngx_str_t          payload;    /* unmasked, writable; of a CLOSE its
                                      reason.  Valid until the next call */
    ngx_uint_t         code;       /* CLOSE: its code or EVS_WS_NO_STATUS; or,
                                      of a fault, the code to close with */
    const char        *reason;     /* of a fault: a short text for the Close
                                      frame and the log */
} evs_ws_event_t;


void evs_ws_parser_init(evs_ws_parser_t *parser, size_t max);

/* Frees the message buffer.  Idempotent. */
void evs_ws_parser_free(evs_ws_parser_t *parser);

/*
 * NGX_OK       an event; call again
 * NGX_AGAIN    more input is needed; *pos..last (at most EVS_WS_STASH_MAX
 *              bytes) is to be given again in front of it.  When no message
 *              is under way the parser holds no memory
 * NGX_ERROR    fail the connection with event->code and event->reason
 *              (1002, 1007, 1009); the parser must not be called again
 * NGX_ABORT    no memory
 *
 * Faults: reserved bits or opcodes, an unmasked frame, a control frame that
 * is fragmented or longer than 125, a length not in its shortest form or with
 * its top bit set, a continuation of nothing, a message inside a message, a
 * Close payload of 1 byte or with a code that may not be sent (1002); invalid
 * UTF-8 in a text message or a Close reason (1007), as soon as the byte has
 * come; a message over max, as soon as a head announces it (1009).
 */
ngx_int_t evs_ws_parse(evs_ws_parser_t *parser, u_char **pos, u_char *last,
    evs_ws_event_t *event);


/* Head of an unmasked final frame of the server's; returns its end. */
#define EVS_WS_HEAD_MAX       10

u_char *evs_ws_head(u_char *p, ngx_uint_t opcode, size_t len);

/*
 * A whole Close frame; the reason is cut to what fits, at a character.
 * Writes at most 2 + EVS_WS_CONTROL_MAX bytes, returns the end.
 */
u_char *evs_ws_close(u_char *p, ngx_uint_t code, const char *reason);


#endif /* _EVS_WS_FRAME_H_INCLUDED_ */
