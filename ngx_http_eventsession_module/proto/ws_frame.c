
/*
 * WebSocket frames, the server's side: the reader of what clients send, and
 * the writer of heads and Close frames.  It owns the message that is being put
 * together; it must not know sockets, clocks, pools, or what messages mean.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "proto/ws_frame.h"


/* the bits of a head's first two bytes, RFC 6455, 5.2 */
#define EVS_WS_FIN         0x80
#define EVS_WS_RESERVED    0x70
#define EVS_WS_OPCODE      0x0f
#define EVS_WS_CONTROL     0x08     /* of the opcode: a control frame */
#define EVS_WS_MASKED      0x80
#define EVS_WS_LEN         0x7f

#define EVS_WS_LEN_16      126      /* the length is in the next 2 bytes */
#define EVS_WS_LEN_64      127      /* in the next 8 */

#define EVS_WS_MASK_LEN    4

/* the message buffer's first size, unless less or more is known to be needed */
#define EVS_WS_BUF_MIN     4096


/*
 * What the readers of a head, of a control frame and of data return, beside
 * the codes of evs_ws_parse():
 *
 * NGX_OK        an event
 * NGX_DECLINED  no event yet, and the input may hold more: go on
 */

static ngx_int_t evs_ws_read_head(evs_ws_parser_t *parser, u_char **pos,
    u_char *last, evs_ws_event_t *event);
static const char *evs_ws_head_fault(const evs_ws_parser_t *parser,
    const u_char *p);
static const char *evs_ws_read_len(uint64_t *len, const u_char *p,
    const u_char *last);
static ngx_int_t evs_ws_read_control(u_char **pos, u_char *last,
    evs_ws_event_t *event);
static ngx_int_t evs_ws_read_close(evs_ws_event_t *event);
static ngx_uint_t evs_ws_code_known(ngx_uint_t code);
static ngx_int_t evs_ws_read_data(evs_ws_parser_t *parser, u_char **pos,
    u_char *last, evs_ws_event_t *event);
static ngx_int_t evs_ws_check_text(evs_ws_parser_t *parser, const u_char *p,
    size_t n, ngx_uint_t high, ngx_uint_t whole);
static ngx_int_t evs_ws_frame_end(evs_ws_parser_t *parser);
static void evs_ws_message_end(evs_ws_parser_t *parser, u_char *p, size_t n,
    evs_ws_event_t *event);
static u_char *evs_ws_reserve(evs_ws_parser_t *parser, size_t n);
static ngx_int_t evs_ws_fault(evs_ws_event_t *event, ngx_uint_t code,
    const char *reason);
static ngx_inline uint32_t evs_ws_rotate(uint32_t mask, size_t n);
static ngx_inline ngx_uint_t evs_ws_unmask(u_char *dst, const u_char *src,
    size_t n, uint32_t mask);
static ngx_uint_t evs_ws_unmask_short(u_char *dst, const u_char *src, size_t n,
    uint32_t mask);
static ngx_inline u_char *evs_ws_write(u_char *p, uint64_t value,
    ngx_uint_t bytes);


void
evs_ws_parser_init(evs_ws_parser_t *parser, size_t max)
{
    ngx_memzero(parser, sizeof(evs_ws_parser_t));

    parser->max = max;
}


void
evs_ws_parser_free(evs_ws_parser_t *parser)
{
    if (parser->buf != NULL) {
        ngx_free(parser->buf);
    }

    parser->buf = NULL;
    parser->len = 0;
    parser->size = 0;
    parser->returned = 0;
}


ngx_int_t
evs_ws_parse(evs_ws_parser_t *parser, u_char **pos, u_char *last,
    evs_ws_event_t *event)
{
    ngx_int_t  rc;

    if (parser->returned) {
        evs_ws_parser_free(parser);
    }

    do {
        rc = parser->in_frame ? NGX_DECLINED
                              : evs_ws_read_head(parser, pos, last, event);

        if (rc == NGX_DECLINED) {
            rc = evs_ws_read_data(parser, pos, last, event);
        }

    } while (rc == NGX_DECLINED);

    return rc;
}


/*
 * A head is taken only whole, since the rest of it is given again; but each of
 * its faults is told as soon as the bytes that make it are there.
 */

static ngx_int_t
evs_ws_read_head(evs_ws_parser_t *parser, u_char **pos, u_char *last,
    evs_ws_event_t *event)
{
    size_t       avail, size;
    u_char      *p;
    uint64_t     len;
    const char  *reason;

    p = *pos;
    avail = (size_t) (last - p);

    if (avail < 2) {
        return NGX_AGAIN;
    }

    reason = evs_ws_head_fault(parser, p);

    if (reason != NULL) {
        return evs_ws_fault(event, EVS_WS_PROTOCOL, reason);
    }

    if (p[0] & EVS_WS_CONTROL) {
        return evs_ws_read_control(pos, last, event);
    }

    len = p[1] & EVS_WS_LEN;
    size = 2;

    if (len >= EVS_WS_LEN_16) {
        size = (len == EVS_WS_LEN_16) ? 2 + 2 : 2 + 8;

        if (avail < size) {
            return NGX_AGAIN;
        }

        reason = evs_ws_read_len(&len, p + 2, p + size);

        if (reason != NULL) {
            return evs_ws_fault(event, EVS_WS_PROTOCOL, reason);
        }
    }

    if (len > parser->max - parser->len) {
        return evs_ws_fault(event, EVS_WS_TOO_BIG, "message too big");
    }

    if (avail < size + EVS_WS_MASK_LEN) {
        return NGX_AGAIN;
    }

    if ((p[0] & EVS_WS_OPCODE) != EVS_WS_CONTINUATION) {
        parser->opcode = p[0] & EVS_WS_OPCODE;
    }

    parser->fin = (p[0] & EVS_WS_FIN) != 0;
    parser->in_frame = 1;
    parser->left = len;
    ngx_memcpy(parser->mask, p + size, EVS_WS_MASK_LEN);

    *pos = p + size + EVS_WS_MASK_LEN;

    return NGX_DECLINED;
}


/* All that the first two bytes of a head can do wrong; NULL: nothing. */

static const char *
evs_ws_head_fault(const evs_ws_parser_t *parser, const u_char *p)
{
    ngx_uint_t  opcode;

    opcode = p[0] & EVS_WS_OPCODE;

    if (p[0] & EVS_WS_RESERVED) {
        return "reserved bit set";
    }

    if (!(p[1] & EVS_WS_MASKED)) {
        return "frame not masked";
    }

    if (opcode & EVS_WS_CONTROL) {

        if (opcode > EVS_WS_PONG) {
            return "reserved opcode";
        }

        if (!(p[0] & EVS_WS_FIN)) {
            return "fragmented control frame";
        }

        if ((p[1] & EVS_WS_LEN) > EVS_WS_CONTROL_MAX) {
            return "control frame too long";
        }

        return NULL;
    }

    if (opcode > EVS_WS_BINARY) {
        return "reserved opcode";
    }

    if (opcode == EVS_WS_CONTINUATION) {
        return parser->opcode ? NULL : "continuation of no message";
    }

    return parser->opcode ? "message inside a message" : NULL;
}


/* The length in bytes of its own; NULL, or what is wrong with it. */

static const char *
evs_ws_read_len(uint64_t *len, const u_char *p, const u_char *last)
{
    uint64_t  least;

    least = (last - p == 2) ? EVS_WS_LEN_16 : 65536;

    if (last - p == 8 && (*p & 0x80)) {
        return "length with its top bit set";
    }

    for (*len = 0; p < last; p++) {
        *len = *len << 8 | *p;
    }

    return (*len < least) ? "length not in its shortest form" : NULL;
}


static ngx_int_t
evs_ws_read_control(u_char **pos, u_char *last, evs_ws_event_t *event)
{
    size_t     len;
    u_char    *p;
    uint32_t   mask;

    p = *pos;
    len = p[1] & EVS_WS_LEN;

    if ((size_t) (last - p) < 2 + EVS_WS_MASK_LEN + len) {
        return NGX_AGAIN;
    }

    event->opcode = p[0] & EVS_WS_OPCODE;
    event->code = 0;
    event->reason = NULL;

    ngx_memcpy(&mask, p + 2, EVS_WS_MASK_LEN);
    p += 2 + EVS_WS_MASK_LEN;

    (void) evs_ws_unmask(p, p, len, mask);

    event->payload.data = p;
    event->payload.len = len;

    *pos = p + len;

    return (event->opcode == EVS_WS_CLOSE) ? evs_ws_read_close(event) : NGX_OK;
}


/* Parts the payload of a Close into code and reason, RFC 6455, 5.5.1. */

static ngx_int_t
evs_ws_read_close(evs_ws_event_t *event)
{
    u_char      *p;
    evs_utf8_t   utf8;

    if (event->payload.len == 0) {
        event->code = EVS_WS_NO_STATUS;
        return NGX_OK;
    }

    if (event->payload.len == 1) {
        return evs_ws_fault(event, EVS_WS_PROTOCOL, "close code cut off");
    }

    p = event->payload.data;
    event->code = (ngx_uint_t) (p[0] << 8 | p[1]);

    if (!evs_ws_code_known(event->code)) {
        return evs_ws_fault(event, EVS_WS_PROTOCOL, "invalid close code");
    }

    event->payload.data += 2;
    event->payload.len -= 2;

    utf8 = 0;

    if (evs_utf8_check(&utf8, p + 2, p + 2 + event->payload.len) != NGX_OK
        || utf8 != 0)
    {
        return evs_ws_fault(event, EVS_WS_BAD_DATA,
                            "invalid UTF-8 in close reason");
    }

    return NGX_OK;
}


/*
 * Codes that an endpoint may send: the RFC's and IANA's registered ones (1004
 * is reserved; 1005, 1006 and 1015 never go over the wire), and what
 * libraries and applications use, 7.4.2.
 */

static ngx_uint_t
evs_ws_code_known(ngx_uint_t code)
{
    return (code >= 1000 && code <= 1003)
           || (code >= 1007 && code <= 1014)
           || (code >= 3000 && code <= 4999);
}


/*
 * Takes what has come of a data frame.  The end of a message that has nothing
 * gathered yet stays where it is; all else is unmasked into the buffer.
 */

static ngx_int_t
evs_ws_read_data(evs_ws_parser_t *parser, u_char **pos, u_char *last,
    evs_ws_event_t *event)
{
    size_t       n;
    u_char      *p;
    uint32_t     mask;
    ngx_uint_t   high, whole;

    n = (size_t) (last - *pos);

    if (n > parser->left) {
        n = (size_t) parser->left;
    }

    whole = parser->fin && n == parser->left;

    if (n == 0 && !whole) {
        return evs_ws_frame_end(parser);
    }

    if (whole && parser->len == 0) {
        p = *pos;

    } else {
        p = evs_ws_reserve(parser, n);

        if (p == NULL) {
            return NGX_ABORT;
        }
    }

    ngx_memcpy(&mask, parser->mask, EVS_WS_MASK_LEN);

    high = evs_ws_unmask(p, *pos, n, mask);

    if (parser->opcode == EVS_WS_TEXT
        && evs_ws_check_text(parser, p, n, high, whole) != NGX_OK)
    {
        return evs_ws_fault(event, EVS_WS_BAD_DATA, "invalid UTF-8 in text");
    }

    *pos += n;

    if (whole) {
        evs_ws_message_end(parser, p, n, event);
        return NGX_OK;
    }

    mask = evs_ws_rotate(mask, n);
    ngx_memcpy(parser->mask, &mask, EVS_WS_MASK_LEN);

    parser->len += n;
    parser->left -= n;

    return evs_ws_frame_end(parser);
}


/*
 * Pure ASCII was found in unmasking and is not looked at again, unless a
 * character is cut off in front of it.
 */

static ngx_int_t
evs_ws_check_text(evs_ws_parser_t *parser, const u_char *p, size_t n,
    ngx_uint_t high, ngx_uint_t whole)
{
    if ((high || parser->utf8 != 0)
        && evs_utf8_check(&parser->utf8, p, p + n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (whole && parser->utf8 != 0) ? NGX_ERROR : NGX_OK;
}


/* After a part of a message that does not end it. */

static ngx_int_t
evs_ws_frame_end(evs_ws_parser_t *parser)
{
    if (parser->left != 0) {
        return NGX_AGAIN;
    }

    parser->in_frame = 0;

    return NGX_DECLINED;
}


/* The last n bytes of the message are at p: in the buffer, or in the input. */

static void
evs_ws_message_end(evs_ws_parser_t *parser, u_char *p, size_t n,
    evs_ws_event_t *event)
{
    event->opcode = parser->opcode;
    event->code = 0;
    event->reason = NULL;

    event->payload.data = p - parser->len;
    event->payload.len = parser->len + n;

    parser->returned = (parser->buf != NULL);
    parser->in_frame = 0;
    parser->opcode = 0;
    parser->left = 0;
}


/*
 * Room for n more bytes in the message buffer.  It doubles, so that a message
 * of many pieces is copied a bounded number of times, but never passes what
 * the message is known to need.  The head has proved len + left <= max.
 */

static u_char *
evs_ws_reserve(evs_ws_parser_t *parser, size_t n)
{
    size_t      most, size;
    u_char     *buf;
    ngx_log_t   log;

    if (n <= parser->size - parser->len) {
        return parser->buf + parser->len;
    }

    most = parser->fin ? parser->len + (size_t) parser->left : parser->max;

    /* no object is as large as half the address space: it can't overflow */
    size = ngx_max(parser->size * 2, parser->len + n);
    size = ngx_max(size, EVS_WS_BUF_MIN);
    size = ngx_min(size, most);

    /* a log that says nothing: the caller, who knows whose it is, will */
    ngx_memzero(&log, sizeof(ngx_log_t));

    buf = ngx_alloc(size, &log);

    if (buf == NULL) {
        return NULL;
    }

    if (parser->buf != NULL) {
        ngx_memcpy(buf, parser->buf, parser->len);
        ngx_free(parser->buf);
    }

    parser->buf = buf;
    parser->size = size;

    return buf + parser->len;
}


static ngx_int_t
evs_ws_fault(evs_ws_event_t *event, ngx_uint_t code, const char *reason)
{
    event->code = code;
    event->reason = reason;

    return NGX_ERROR;
}


/* The mask as it applies n bytes later. */

static ngx_inline uint32_t
evs_ws_rotate(uint32_t mask, size_t n)
{
    ngx_uint_t  bits;

    bits = (n & 3) * 8;

    if (bits == 0) {
        return mask;
    }

#if (NGX_HAVE_LITTLE_ENDIAN)
    return mask >> bits | mask << (32 - bits);
#else
    return mask << bits | mask >> (32 - bits);
#endif
}


/*
 * Unmasks n bytes from src to dst, which are the same or do not overlap, and
 * tells whether any of them has its high bit set: text without such is valid.
 * The end is one more block that reaches back over the one before it; its
 * source is read first, since in place it would be unmasked twice.
 */

static ngx_inline ngx_uint_t
evs_ws_unmask(u_char *dst, const u_char *src, size_t n, uint32_t mask)
{
#if defined(__SSE2__)

    size_t   i;
    __m128i  m, v, end, high;

    if (n < 16) {
        return evs_ws_unmask_short(dst, src, n, mask);
    }

    end = _mm_loadu_si128((const __m128i *) (src + n - 16));
    end = _mm_xor_si128(end, _mm_set1_epi32((int) evs_ws_rotate(mask, n)));

    m = _mm_set1_epi32((int) mask);
    high = end;

    for (i = 0; i < n - 15; i += 16) {
        v = _mm_loadu_si128((const __m128i *) (src + i));
        v = _mm_xor_si128(v, m);
        high = _mm_or_si128(high, v);
        _mm_storeu_si128((__m128i *) (dst + i), v);
    }

    _mm_storeu_si128((__m128i *) (dst + n - 16), end);

    return _mm_movemask_epi8(high) != 0;

#else

    size_t    i;
    uint64_t  m, v, high;

    m = (uint64_t) mask << 32 | mask;
    high = 0;

    for (i = 0; n - i >= 8; i += 8) {
        ngx_memcpy(&v, src + i, 8);
        v ^= m;
        high |= v;
        ngx_memcpy(dst + i, &v, 8);
    }

    return evs_ws_unmask_short(dst + i, src + i, n - i, mask)
           || (high & 0x8080808080808080) != 0;

#endif
}


static ngx_uint_t
evs_ws_unmask_short(u_char *dst, const u_char *src, size_t n, uint32_t mask)
{
    size_t  i;
    u_char  m[4], high;

    ngx_memcpy(m, &mask, 4);
    high = 0;

    for (i = 0; i < n; i++) {
        dst[i] = src[i] ^ m[i & 3];
        high |= dst[i];
    }

    return high >> 7;
}


u_char *
evs_ws_head(u_char *p, ngx_uint_t opcode, size_t len)
{
    *p++ = (u_char) (EVS_WS_FIN | opcode);

    if (len < EVS_WS_LEN_16) {
        *p++ = (u_char) len;
        return p;
    }

    if (len < 65536) {
        *p++ = EVS_WS_LEN_16;
        return evs_ws_write(p, len, 2);
    }

    *p++ = EVS_WS_LEN_64;

    return evs_ws_write(p, len, 8);
}


u_char *
evs_ws_close(u_char *p, ngx_uint_t code, const char *reason)
{
    size_t  len;

    if (code == EVS_WS_NO_STATUS) {
        return evs_ws_head(p, EVS_WS_CLOSE, 0);
    }

    len = (reason == NULL) ? 0 : ngx_strlen(reason);

    if (len > EVS_WS_CONTROL_MAX - 2) {
        len = EVS_WS_CONTROL_MAX - 2;

        while (len > 0 && ((u_char) reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    p = evs_ws_head(p, EVS_WS_CLOSE, 2 + len);
    p = evs_ws_write(p, code, 2);

    return (len == 0) ? p : ngx_cpymem(p, reason, len);
}


/* In network byte order. */

static ngx_inline u_char *
evs_ws_write(u_char *p, uint64_t value, ngx_uint_t bytes)
{
    while (bytes-- > 0) {
        *p++ = (u_char) (value >> (bytes * 8));
    }

    return p;
}
