
/*
 * The frame parser against itself, cut in another way, and against a slow
 * parser that has the whole stream before it.  The input:
 *
 *     1 byte     which limit on a message's size
 *     1 byte     n, modulo 8: how many sizes of reads follow
 *     n bytes    the sizes, used around and around; none: one byte each
 *     the rest   the stream
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/ws_frame.h"

#include "ws_feed.h"


#define FUZZ_STEPS  8


typedef struct {
    const u_char  *p;          /* the stream that is left */
    size_t         len;

    ngx_uint_t     opcode;     /* of the message under way */
    u_char        *message;
    size_t         size;
} naive_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void naive_run(ws_log_t *log, const u_char *p, size_t len, size_t max);
static int naive_frame(naive_t *n, ws_log_t *log, size_t max);
static int naive_data(naive_t *n, ws_log_t *log, ngx_uint_t fin,
    uint64_t len, size_t head);
static int naive_control(naive_t *n, ws_log_t *log);
static int naive_fault(ws_log_t *log, ngx_uint_t code);
static int naive_utf8(const u_char *p, size_t len, ngx_uint_t whole);


static const size_t  fuzz_max[] = {
    0, 1, 2, 5, 16, 100, 125, 126, 127, 1000, 4096, 65535, 65536, 1048576,
    SIZE_MAX / 2, SIZE_MAX
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    i, n, max, steps[FUZZ_STEPS];
    ws_log_t  whole, cut, naive;

    if (size < 2) {
        return 0;
    }

    max = fuzz_max[data[0] % (sizeof(fuzz_max) / sizeof(fuzz_max[0]))];
    n = ngx_min(data[1] % FUZZ_STEPS, size - 2);

    steps[0] = 1;

    for (i = 0; i < n; i++) {
        steps[i] = (size_t) data[2 + i] + 1;
    }

    data += 2 + n;
    size -= 2 + n;

    memset(&whole, 0, sizeof(ws_log_t));
    memset(&cut, 0, sizeof(ws_log_t));
    memset(&naive, 0, sizeof(ws_log_t));

    ws_feed(&whole, data, size, max, &size, 1);
    ws_feed(&cut, data, size, max, steps, n == 0 ? 1 : n);
    naive_run(&naive, data, size, max);

    if (strcmp(whole.data, cut.data) != 0
        || strcmp(whole.data, naive.data) != 0)
    {
        fprintf(stderr, "whole: %s\ncut:   %s\nnaive: %s\n",
                whole.data, cut.data, naive.data);
        abort();
    }

    ws_log_free(&whole);
    ws_log_free(&cut);
    ws_log_free(&naive);

    return 0;
}


static void
naive_run(ws_log_t *log, const u_char *p, size_t len, size_t max)
{
    naive_t  n;

    memset(&n, 0, sizeof(naive_t));

    n.p = p;
    n.len = len;
    n.message = malloc(len + 1);
    assert(n.message != NULL);

    ws_log_add(log, "");

    while (naive_frame(&n, log, max)) { /* void */ }

    free(n.message);
}


/* One frame, read as section 5.2 draws it; 0: the end, or a fault. */

static int
naive_frame(naive_t *n, ws_log_t *log, size_t max)
{
    size_t      i, ext;
    uint64_t    len;
    ngx_uint_t  fin, opcode;

    if (n->len < 2) {
        return 0;
    }

    fin = n->p[0] >> 7;
    opcode = n->p[0] & 15;
    len = n->p[1] & 127;

    if ((n->p[0] >> 4 & 7) != 0 || n->p[1] < 128) {
        return naive_fault(log, 1002);
    }

    switch (opcode) {

    case 0:
        if (n->opcode == 0) {
            return naive_fault(log, 1002);
        }

        break;

    case 1:
    case 2:
        if (n->opcode != 0) {
            return naive_fault(log, 1002);
        }

        break;

    case 8:
    case 9:
    case 10:
        return (fin && len < 126) ? naive_control(n, log)
                                  : naive_fault(log, 1002);

    default:
        return naive_fault(log, 1002);
    }

    ext = (len == 126) ? 2 : (len == 127) ? 8 : 0;

    if (n->len < 2 + ext) {
        return 0;
    }

    if (ext != 0) {
        for (i = 0, len = 0; i < ext; i++) {
            len = len * 256 + n->p[2 + i];
        }

        if (len < 126 || (ext == 8 && len < 65536) || len > INT64_MAX) {
            return naive_fault(log, 1002);
        }
    }

    if (n->size > max || len > max - n->size) {
        return naive_fault(log, 1009);
    }

    if (n->len < 2 + ext + 4) {
        return 0;
    }

    if (opcode != 0) {
        n->opcode = opcode;
    }

    return naive_data(n, log, fin, len, 2 + ext + 4);
}


static int
naive_data(naive_t *n, ws_log_t *log, ngx_uint_t fin, uint64_t len,
    size_t head)
{
    size_t      i, come;
    ngx_uint_t  whole;

    come = n->len - head;
    whole = 0;

    if (come >= len) {
        come = (size_t) len;
        whole = 1;
    }

    for (i = 0; i < come; i++) {
        n->message[n->size++] = n->p[head + i] ^ n->p[head - 4 + i % 4];
    }

    if (n->opcode == 1 && !naive_utf8(n->message, n->size, whole && fin)) {
        return naive_fault(log, 1007);
    }

    n->p += head + come;
    n->len -= head + come;

    if (whole && fin) {
        ws_log_event(log, n->opcode, 0, n->message, n->size);
        n->opcode = 0;
        n->size = 0;
    }

    return whole != 0;
}


static int
naive_control(naive_t *n, ws_log_t *log)
{
    u_char      payload[125];
    size_t      i, len;
    ngx_uint_t  code, opcode;

    opcode = n->p[0] & 15;
    len = n->p[1] & 127;

    if (n->len < 6 + len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        payload[i] = n->p[6 + i] ^ n->p[2 + i % 4];
    }

    n->p += 6 + len;
    n->len -= 6 + len;

    if (opcode != 8) {
        ws_log_event(log, opcode, 0, payload, len);
        return 1;
    }

    if (len == 0) {
        ws_log_event(log, opcode, 1005, payload, 0);
        return 1;
    }

    if (len == 1) {
        return naive_fault(log, 1002);
    }

    code = payload[0] * 256u + payload[1];

    if (code < 1000 || code == 1004 || code == 1005 || code == 1006
        || (code > 1014 && code < 3000) || code > 4999)
    {
        return naive_fault(log, 1002);
    }

    if (!naive_utf8(payload + 2, len - 2, 1)) {
        return naive_fault(log, 1007);
    }

    ws_log_event(log, opcode, code, payload + 2, len - 2);

    return 1;
}


static int
naive_fault(ws_log_t *log, ngx_uint_t code)
{
    ws_log_fault(log, code);

    return 0;
}


/* By the table of RFC 3629, section 4. */

static int
naive_utf8(const u_char *p, size_t len, ngx_uint_t whole)
{
    size_t              i, k, n;
    static const struct {
        u_char          low[4];
        u_char          high[4];
        size_t          size;
    } forms[] = {
        { { 0x00, 0, 0, 0 },          { 0x7f, 0, 0, 0 },          1 },
        { { 0xc2, 0x80, 0, 0 },       { 0xdf, 0xbf, 0, 0 },       2 },
        { { 0xe0, 0xa0, 0x80, 0 },    { 0xe0, 0xbf, 0xbf, 0 },    3 },
        { { 0xe1, 0x80, 0x80, 0 },    { 0xec, 0xbf, 0xbf, 0 },    3 },
        { { 0xed, 0x80, 0x80, 0 },    { 0xed, 0x9f, 0xbf, 0 },    3 },
        { { 0xee, 0x80, 0x80, 0 },    { 0xef, 0xbf, 0xbf, 0 },    3 },
        { { 0xf0, 0x90, 0x80, 0x80 }, { 0xf0, 0xbf, 0xbf, 0xbf }, 4 },
        { { 0xf1, 0x80, 0x80, 0x80 }, { 0xf3, 0xbf, 0xbf, 0xbf }, 4 },
        { { 0xf4, 0x80, 0x80, 0x80 }, { 0xf4, 0x8f, 0xbf, 0xbf }, 4 }
    };

    for (i = 0; i < len; i += n) {

        for (k = 0; k < sizeof(forms) / sizeof(forms[0]); k++) {

            for (n = 0; n < forms[k].size && i + n < len; n++) {
                if (p[i + n] < forms[k].low[n] || p[i + n] > forms[k].high[n])
                {
                    break;
                }
            }

            if (n == forms[k].size) {
                break;
            }

            if (i + n == len) {
                /* cut off */
                return !whole;
            }
        }

        if (k == sizeof(forms) / sizeof(forms[0])) {
            return 0;
        }
    }

    return 1;
}
