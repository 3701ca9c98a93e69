
/*
 * Feeds a stream of frames to the parser as a connection would, in reads of
 * any size, and writes down what came out, so that two ways of cutting the
 * same stream can be compared.  Shared by the unit tests and the fuzz target.
 *
 * Each read lies in memory of exactly its size, so that a sanitizer sees a
 * byte too many; and what the parser promises of its memory is asserted.
 */


#ifndef _EVS_WS_FEED_H_INCLUDED_
#define _EVS_WS_FEED_H_INCLUDED_


#include <assert.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/ws_frame.h"


#define WS_SHOWN  40          /* bytes of a payload that are written out */


/* "text:hello ping: close:1000:bye fault:1002 " */
typedef struct {
    char        *data;
    size_t       len;
    size_t       size;

    size_t       fed;         /* bytes given when the last event came */
    ngx_uint_t   slices;      /* payloads that lay in the input */
} ws_log_t;


static const char *const  ws_names[16] = {
    NULL, "text", "binary", NULL, NULL, NULL, NULL, NULL, "close", "ping",
    "pong", NULL, NULL, NULL, NULL, NULL
};


static inline void
ws_log_free(ws_log_t *log)
{
    free(log->data);
    memset(log, 0, sizeof(ws_log_t));
}


static inline void
ws_log_add(ws_log_t *log, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (log->size - log->len <= len) {
        log->size = 2 * log->size + len + 256;
        log->data = realloc(log->data, log->size);
        assert(log->data != NULL);
    }

    memcpy(log->data + log->len, text, len + 1);
    log->len += len;
}


/* Short payloads as they are, long ones by length and FNV-1a hash. */

static inline void
ws_log_payload(ws_log_t *log, const u_char *p, size_t len)
{
    char      buf[64];
    size_t    i;
    uint32_t  hash;

    if (len > WS_SHOWN) {
        hash = 2166136261u;

        for (i = 0; i < len; i++) {
            hash = (hash ^ p[i]) * 16777619u;
        }

        (void) snprintf(buf, sizeof(buf), "%zu#%08x", len, hash);
        ws_log_add(log, buf);
        return;
    }

    for (i = 0; i < len; i++) {
        (void) snprintf(buf, sizeof(buf),
                        p[i] > 0x20 && p[i] < 0x7f && p[i] != '\\'
                        ? "%c" : "\\x%02x", p[i]);
        ws_log_add(log, buf);
    }
}


static inline void
ws_log_event(ws_log_t *log, ngx_uint_t opcode, ngx_uint_t code,
    const u_char *p, size_t len)
{
    char  buf[32];

    assert(opcode < 16 && ws_names[opcode] != NULL);

    ws_log_add(log, ws_names[opcode]);
    ws_log_add(log, ":");

    if (opcode == EVS_WS_CLOSE) {
        (void) snprintf(buf, sizeof(buf), "%u:", (unsigned) code);
        ws_log_add(log, buf);
    }

    ws_log_payload(log, p, len);
    ws_log_add(log, " ");
}


static inline void
ws_log_fault(ws_log_t *log, ngx_uint_t code)
{
    char  buf[32];

    (void) snprintf(buf, sizeof(buf), "fault:%u ", (unsigned) code);
    ws_log_add(log, buf);
}


/* One read; returns the bytes kept back, or -1 after a fault. */

static inline int
ws_feed_read(ws_log_t *log, evs_ws_parser_t *parser, u_char *start,
    u_char *last, u_char *stash)
{
    u_char          *pos, *p;
    size_t           len;
    ngx_int_t        rc;
    evs_ws_event_t   event;

    pos = start;

    while ((rc = evs_ws_parse(parser, &pos, last, &event)) == NGX_OK) {
        assert(pos >= start && pos <= last);

        p = event.payload.data;
        len = event.payload.len;

        assert(p != NULL);

        if (p >= start && p <= last) {
            assert(len <= (size_t) (last - p));
            log->slices++;
        }

        ws_log_event(log, event.opcode, event.code, p, len);

        /* it is writable, and nobody relies on it later */
        memset(p, 0xee, len);
    }

    if (rc == NGX_ERROR) {
        assert(event.reason != NULL);
        assert(strlen(event.reason) <= EVS_WS_CONTROL_MAX - 2);

        ws_log_fault(log, event.code);
        return -1;
    }

    assert(rc == NGX_AGAIN);
    assert(pos >= start && pos <= last);
    assert(last - pos <= EVS_WS_STASH_MAX);

    if (parser->opcode == 0) {
        assert(parser->buf == NULL && parser->len == 0);
    }

    assert(parser->len <= parser->size && parser->size <= parser->max);
    assert(parser->size <= 2 * parser->len + 4096);

    len = (size_t) (last - pos);

    if (len != 0) {
        memcpy(stash, pos, len);
    }

    return (int) len;
}


/*
 * Feeds the stream in reads of steps[0], steps[1], ... bytes, around and
 * around, and until then or the first fault.
 */

static inline void
ws_feed(ws_log_t *log, const u_char *stream, size_t len, size_t max,
    const size_t *steps, size_t nsteps)
{
    int               kept;
    u_char           *buf, stash[EVS_WS_STASH_MAX];
    size_t            fed, events, n, i, old;
    evs_ws_parser_t   parser;

    evs_ws_parser_init(&parser, max);
    ws_log_add(log, "");

    memset(stash, 0, sizeof(stash));
    fed = 0;
    kept = 0;

    for (i = 0; fed < len; i++) {
        n = ngx_min(steps[i % nsteps], len - fed);
        old = (size_t) kept;

        buf = malloc(old + n + (old + n == 0));
        assert(buf != NULL);

        memcpy(buf, stash, old);
        memcpy(buf + old, stream + fed, n);
        fed += n;

        events = log->len;
        kept = ws_feed_read(log, &parser, buf, buf + old + n, stash);
        free(buf);

        if (log->len != events) {
            log->fed = fed;
        }

        if (kept < 0) {
            break;
        }
    }

    evs_ws_parser_free(&parser);
    assert(parser.buf == NULL);
    evs_ws_parser_free(&parser);
}


#endif /* _EVS_WS_FEED_H_INCLUDED_ */
