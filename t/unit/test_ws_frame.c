
/*
 * Whatever way a stream is cut into reads, the same messages and the same
 * fault come out of it, the fault with the first byte that makes it.  Known to
 * fail: a mask that is not turned on when a frame is cut, a ping that ends the
 * message it lies in, a length that overflows the limit, a buffer of the size
 * that a head announces.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/ws_frame.h"

#include "ws_feed.h"


#define STREAM_MAX  200000

#define M           "\0\0\0\0"       /* the mask that changes nothing */
#define bytes(s)    s, sizeof(s) - 1

#define FIN         0x80


typedef struct {
    const char      *stream;
    size_t           len;
    const char      *expected;
    size_t           fed;       /* bytes when the last event comes; 0: all */
} ws_case_t;


typedef struct {
    const char      *text;
    size_t           len;
    size_t           at;        /* the first byte that is wrong */
} ws_bad_text_t;


typedef struct {
    const char      *stream;
    size_t           len;
    size_t           max;
    const char      *expected;
    size_t           fed;
} ws_max_t;


typedef struct {
    ngx_uint_t       code;
    const char      *reason;
    const char      *expected;
    size_t           len;
} ws_close_t;


typedef struct {
    u_char           data[STREAM_MAX];
    size_t           len;
} ws_stream_t;


static void ws_assert(const u_char *p, size_t len, size_t max,
    const char *expected, size_t fed);
static void ws_assert_cut(const u_char *p, size_t len, size_t max, size_t cut,
    const char *expected);
static void ws_put(ws_stream_t *s, ngx_uint_t first, const void *payload,
    size_t len);
static char *ws_expect(ngx_uint_t opcode, const void *payload, size_t len);
static void ws_table(void **state);
static void ws_lengths(void **state);
static void ws_long(void **state);
static void ws_in_place(void **state);
static void ws_fragments(void **state);
static void ws_many_fragments(void **state);
static void ws_fail_fast(void **state);
static void ws_max(void **state);
static void ws_memory(void **state);
static void ws_no_memory(void **state);
static void ws_close_codes(void **state);
static void ws_write_head(void **state);
static void ws_write_close(void **state);


static const ws_case_t  ws_cases[] = {

    /* messages */

    { bytes(""), "", 0 },
    { bytes("\x81\x85" M "hello"), "text:hello ", 0 },
    { bytes("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
      "text:Hello ", 0 },                              /* RFC 6455, 5.7 */
    { bytes("\x82\x83" M "\0\xff\x80"), "binary:\\x00\\xff\\x80 ", 0 },
    { bytes("\x81\x80" M), "text: ", 0 },
    { bytes("\x82\x80\xde\xad\xbe\xef"), "binary: ", 0 },
    { bytes("\x81\x81" M "a" "\x82\x81" M "b" "\x81\x81" M "c"),
      "text:a binary:b text:c ", 0 },

    /* fragments */

    { bytes("\x01\x83" M "Hel" "\x80\x82" M "lo"), "text:Hello ", 0 },
    { bytes("\x02\x81" M "\xff" "\x00\x81" M "\xfe" "\x80\x81" M "\xfd"),
      "binary:\\xff\\xfe\\xfd ", 0 },
    { bytes("\x01\x80" M "\x00\x80" M "\x80\x80" M), "text: ", 0 },
    { bytes("\x01\x80" M "\x00\x82" M "ab" "\x80\x80" M), "text:ab ", 0 },
    { bytes("\x01\x80" M "\x80\x82" M "ab"), "text:ab ", 0 },
    { bytes("\x01\x81" M "a" "\x80\x81" M "b" "\x81\x81" M "c"
            "\x01\x81" M "d" "\x80\x81" M "e"),
      "text:ab text:c text:de ", 0 },

    /* control frames, alone and inside a message */

    { bytes("\x89\x80" M "\x8a\x81" M "x"), "ping: pong:x ", 0 },
    { bytes("\x01\x81" M "a" "\x89\x82" M "hi" "\x00\x81" M "b" "\x8a\x80" M
            "\x80\x81" M "c" "\x89\x80" M),
      "ping:hi pong: text:abc ping: ", 0 },
    { bytes("\x01\x80" M "\x89\x81" M "\xff" "\x80\x80" M),
      "ping:\\xff text: ", 0 },
    { bytes("\x01\x81" M "\xc3" "\x89\x81" M "a" "\x80\x81" M "\xa9"),
      "ping:a text:\\xc3\\xa9 ", 0 },
    { bytes("\x01\x81" M "a" "\x88\x80" M), "close:1005: ", 0 },

    /* Close */

    { bytes("\x88\x80" M), "close:1005: ", 0 },
    { bytes("\x88\x82" M "\x03\xe8"), "close:1000: ", 0 },
    { bytes("\x88\x85" M "\x03\xe9" "bye"), "close:1001:bye ", 0 },
    { bytes("\x88\x84" M "\x0f\xa0\xc3\xa9"), "close:4000:\\xc3\\xa9 ", 0 },
    { bytes("\x88\x81" M "\x03"), "fault:1002 ", 0 },
    { bytes("\x88\x82" M "\x03\xed"), "fault:1002 ", 0 },
    { bytes("\x88\x83" M "\x03\xe8\xff"), "fault:1007 ", 0 },
    { bytes("\x88\x84" M "\x03\xe8\xe2\x82"), "fault:1007 ", 0 },
    { bytes("\x88\x83" M "\x03\xed\xff"), "fault:1002 ", 0 },

    /* cut off: nothing comes of it */

    { bytes("\x81"), "", 0 },
    { bytes("\x81\x85"), "", 0 },
    { bytes("\x81\x85" M "hell"), "", 0 },
    { bytes("\x81\x85" M "hell" "\xc3"), "fault:1007 ", 0 },
    { bytes("\x89\x85" M "hell"), "", 0 },
    { bytes("\x81\xfe\x01"), "", 0 },
    { bytes("\x81\xff\0\0\0\0\0\x01\0\0" M), "", 0 },
    { bytes("\x01\x81" M "a"), "", 0 },

    /* faults of the first two bytes, told with them */

    { bytes("\xc1\x85" M "hello"), "fault:1002 ", 2 },
    { bytes("\xa1\x85" M "hello"), "fault:1002 ", 2 },
    { bytes("\x91\x85" M "hello"), "fault:1002 ", 2 },
    { bytes("\xc9\x80" M), "fault:1002 ", 2 },
    { bytes("\x83\x80" M), "fault:1002 ", 2 },
    { bytes("\x84\x80" M), "fault:1002 ", 2 },
    { bytes("\x85\x80" M), "fault:1002 ", 2 },
    { bytes("\x86\x80" M), "fault:1002 ", 2 },
    { bytes("\x87\x80" M), "fault:1002 ", 2 },
    { bytes("\x8b\x80" M), "fault:1002 ", 2 },
    { bytes("\x8c\x80" M), "fault:1002 ", 2 },
    { bytes("\x8d\x80" M), "fault:1002 ", 2 },
    { bytes("\x8e\x80" M), "fault:1002 ", 2 },
    { bytes("\x8f\x80" M), "fault:1002 ", 2 },
    { bytes("\x03\x80" M), "fault:1002 ", 2 },
    { bytes("\x81\x05" "hello"), "fault:1002 ", 2 },
    { bytes("\x89\x00"), "fault:1002 ", 2 },
    { bytes("\x88\x02" "\x03\xe8"), "fault:1002 ", 2 },
    { bytes("\x09\x80" M), "fault:1002 ", 2 },
    { bytes("\x08\x80" M), "fault:1002 ", 2 },
    { bytes("\x0a\x80" M), "fault:1002 ", 2 },
    { bytes("\x89\xfe\x00\x7e" M), "fault:1002 ", 2 },
    { bytes("\x88\xff\0\0\0\0\0\x01\0\0" M), "fault:1002 ", 2 },
    { bytes("\x80\x81" M "a"), "fault:1002 ", 2 },
    { bytes("\x00\x81" M "a"), "fault:1002 ", 2 },

    /* the same behind good frames */

    { bytes("\x81\x81" M "a" "\x80\x81" M "a"), "text:a fault:1002 ", 9 },
    { bytes("\x01\x81" M "a" "\x81\x81" M "b"), "fault:1002 ", 9 },
    { bytes("\x01\x81" M "a" "\x02\x81" M "b"), "fault:1002 ", 9 },
    { bytes("\x01\x80" M "\x01\x80" M), "fault:1002 ", 8 },
    { bytes("\x01\x81" M "a" "\x80\x81" M "b" "\x80\x80" M),
      "text:ab fault:1002 ", 16 },
    { bytes("\x01\x81" M "a" "\x8b\x80" M), "fault:1002 ", 9 },
    { bytes("\x01\x81" M "a" "\x09\x80" M), "fault:1002 ", 9 },

    /* lengths, told with their last byte and before the mask */

    { bytes("\x81\xfe\x00\x7d" M), "fault:1002 ", 4 },
    { bytes("\x81\xfe\x00\x00" M), "fault:1002 ", 4 },
    { bytes("\x81\xff\0\0\0\0\0\0\0\x05" M), "fault:1002 ", 10 },
    { bytes("\x81\xff\0\0\0\0\0\0\0\x7e" M), "fault:1002 ", 10 },
    { bytes("\x81\xff\0\0\0\0\0\0\xff\xff" M), "fault:1002 ", 10 },
    { bytes("\x82\xff\x80\0\0\0\0\0\0\x01" M), "fault:1002 ", 10 },
    { bytes("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" M), "fault:1002 ", 10 },
    { bytes("\x82\xff\x80\0\0\0\0\0\0\0" M), "fault:1002 ", 10 },

    /* text that ends inside a character */

    { bytes("\x81\x82" M "a\xc3"), "fault:1007 ", 0 },
    { bytes("\x01\x82" M "a\xc3" "\x80\x80" M), "fault:1007 ", 14 },
    { bytes("\x01\x81" M "\xc3" "\x80\x81" M "a"), "fault:1007 ", 0 },
    { bytes("\x01\x81" M "\xc3" "\x80\x90" M "0123456789abcdef"),
      "fault:1007 ", 14 },

    /* and a check that begins anew with each message */

    { bytes("\x81\x82" M "\xc3\xa9" "\x82\x81" M "\xc3" "\x81\x81" M "a"),
      "text:\\xc3\\xa9 binary:\\xc3 text:a ", 0 }
};


/* text that is wrong, and where: RFC 6455, 8.1, to the byte */

static const ws_bad_text_t  ws_bad_texts[] = {
    { bytes("\x80"), 0 },
    { bytes("\xc0\x80"), 0 },
    { bytes("\xff"), 0 },
    { bytes("\xe0\x80\x80"), 1 },
    { bytes("\xed\xa0\x80"), 1 },
    { bytes("\xf0\x8f\x80\x80"), 1 },
    { bytes("\xf4\x90\x80\x80"), 1 },
    { bytes("\xf5\x80\x80\x80"), 0 },
    { bytes("\xe2\x82" "0123456789abcdef"), 2 },
    { bytes("0123456789abcdef0123\xc3" "456789abcdef"), 21 },
    { bytes("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
            "edited"), 12 }
};


static const ws_max_t  ws_maxes[] = {
    { bytes("\x81\x8a" M "0123456789"), 10, "text:0123456789 ", 0 },
    { bytes("\x81\x8b" M "0123456789a"), 10, "fault:1009 ", 2 },
    { bytes("\x01\x8b" M "0123456789a"), 10, "fault:1009 ", 2 },
    { bytes("\x81\x81" M "a"), 0, "fault:1009 ", 2 },
    { bytes("\x81\x80" M "\x01\x80" M "\x80\x80" M), 0, "text: text: ", 0 },

    /* control frames don't count */
    { bytes("\x01\x81" M "a" "\x89\x82" M "bc" "\x80\x81" M "d"), 2,
      "ping:bc text:ad ", 0 },

    /* in fragments */
    { bytes("\x01\x84" M "0123" "\x80\x86" M "456789"), 10,
      "text:0123456789 ", 0 },
    { bytes("\x01\x84" M "0123" "\x80\x87" M "456789a"), 10,
      "fault:1009 ", 12 },
    { bytes("\x01\x84" M "0123" "\x00\x86" M "456789" "\x80\x80" M), 10,
      "text:0123456789 ", 0 },
    { bytes("\x01\x84" M "0123" "\x00\x86" M "456789" "\x80\x81" M "a"), 10,
      "fault:1009 ", 24 },

    /* each message anew */
    { bytes("\x01\x83" M "abc" "\x80\x81" M "d" "\x81\x84" M "efgh"
            "\x81\x85" M "ijklm"), 4, "text:abcd text:efgh fault:1009 ", 28 },

    /* longer lengths, before the mask */
    { bytes("\x82\xfe\x00\x7e" M), 125, "fault:1009 ", 4 },
    { bytes("\x82\xfe\xff\xff" M), 65534, "fault:1009 ", 4 },
    { bytes("\x82\xfe\xff\xff" M), 65535, "", 0 },
    { bytes("\x82\xff\0\0\0\0\0\x01\0\0" M), 65535, "fault:1009 ", 10 },
    { bytes("\x82\xff\0\0\0\0\0\x01\0\0" M), 65536, "", 0 },
    { bytes("\x82\xff\0\0\0\x01\0\0\0\0" M), 1048576, "fault:1009 ", 10 },
    { bytes("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M), 1048576,
      "fault:1009 ", 10 },

#if (NGX_PTR_SIZE == 8)
    { bytes("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "abc"), SIZE_MAX,
      "", 0 },
    { bytes("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "abc"),
      SIZE_MAX / 2, "", 0 },
    { bytes("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "abc"),
      SIZE_MAX / 2 - 1, "fault:1009 ", 10 },
    { bytes("\x02\x81" M "a" "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "b"),
      SIZE_MAX / 2, "fault:1009 ", 17 },
    { bytes("\x02\x81" M "a" "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "b"),
      SIZE_MAX / 2 + 1, "", 0 }
#endif
};


#define R40  "0123456789012345678901234567890123456789"
#define R120  R40 R40 R40

static const ws_close_t  ws_closes[] = {
    { EVS_WS_NORMAL, "", "close:1000: ", 4 },
    { EVS_WS_NORMAL, NULL, "close:1000: ", 4 },
    { EVS_WS_NO_STATUS, "not sent", "close:1005: ", 2 },
    { EVS_WS_PROTOCOL, "bad", "close:1002:bad ", 7 },
    { 4999, "\xc3\xa9", "close:4999:\\xc3\\xa9 ", 6 },

    /* 123 bytes fit, and no part of a character that does not */
    { EVS_WS_POLICY, R120 "abc", NULL, 4 + 123 },
    { EVS_WS_POLICY, R120 "abcd", NULL, 4 + 123 },
    { EVS_WS_POLICY, R120 "ab\xc3\xa9", NULL, 4 + 122 },
    { EVS_WS_POLICY, R120 "a\xc3\xa9", NULL, 4 + 123 },
    { EVS_WS_POLICY, R120 "ab\xe2\x82\xac", NULL, 4 + 122 },
    { EVS_WS_POLICY, R120 "a\xe2\x82\xac", NULL, 4 + 121 },
    { EVS_WS_POLICY, R120 "\xe2\x82\xac", NULL, 4 + 123 },
    { EVS_WS_POLICY, R120 "\xf0\x9f\x98\x80", NULL, 4 + 120 },
    { EVS_WS_POLICY, R120 R120 "\xf0\x9f\x98\x80", NULL, 4 + 123 }
};


/* of ngx_shim.c: how many more allocations succeed; -1: all */
extern ngx_int_t    ngx_shim_allocs;

static ws_stream_t  ws_stream;

static u_char       ws_payload[STREAM_MAX];


int
main(void)
{
    size_t                   i;
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(ws_table),
        cmocka_unit_test(ws_lengths),
        cmocka_unit_test(ws_long),
        cmocka_unit_test(ws_in_place),
        cmocka_unit_test(ws_fragments),
        cmocka_unit_test(ws_many_fragments),
        cmocka_unit_test(ws_fail_fast),
        cmocka_unit_test(ws_max),
        cmocka_unit_test(ws_memory),
        cmocka_unit_test(ws_no_memory),
        cmocka_unit_test(ws_close_codes),
        cmocka_unit_test(ws_write_head),
        cmocka_unit_test(ws_write_close)
    };

    for (i = 0; i < sizeof(ws_payload); i++) {
        ws_payload[i] = (u_char) (' ' + i * 7 % 95);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}


static void
ws_table(void **state)
{
    ngx_uint_t        i;
    const ws_case_t  *wc;

    (void) state;

    for (i = 0; i < sizeof(ws_cases) / sizeof(ws_cases[0]); i++) {
        wc = &ws_cases[i];
        ws_assert((const u_char *) wc->stream, wc->len, 1048576, wc->expected,
                  wc->fed);
    }
}


/* Every length around the blocks of unmasking and the classes of a head. */

static void
ws_lengths(void **state)
{
    char    *expected;
    size_t   len;

    (void) state;

    for (len = 0; len <= 300; len++) {
        ws_stream.len = 0;
        ws_put(&ws_stream, FIN | EVS_WS_TEXT, ws_payload, len);

        assert_int_equal(ws_stream.len, (len < 126 ? 6 : 8) + len);

        expected = ws_expect(EVS_WS_TEXT, ws_payload, len);
        ws_assert(ws_stream.data, ws_stream.len, 300, expected, 0);
        free(expected);
    }
}


/* Where every cut would take too long: those near the edges, and some. */

static void
ws_long(void **state)
{
    char                 *expected;
    size_t                i, len, cut, step;
    static const size_t   lens[] = { 4095, 4096, 4097, 65535, 65536, 131072 };

    (void) state;

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        len = lens[i];
        ws_stream.len = 0;
        ws_put(&ws_stream, FIN | EVS_WS_BINARY, ws_payload, len);

        expected = ws_expect(EVS_WS_BINARY, ws_payload, len);

        for (cut = 0; cut <= ws_stream.len; cut += step) {
            step = (cut < 40 || ws_stream.len - cut <= 40) ? 1 : 1037;

            if (cut + step > ws_stream.len - 40 && step > 1) {
                step = ws_stream.len - 40 - cut;
            }

            ws_assert_cut(ws_stream.data, ws_stream.len, len, cut, expected);
        }

        free(expected);
    }
}


/* What lies whole in the input is not copied, and the rest is. */

static void
ws_in_place(void **state)
{
    ws_log_t  log;
    size_t    all, head[2], piece[2];

    (void) state;

    memset(&log, 0, sizeof(ws_log_t));
    ws_stream.len = 0;
    ws_put(&ws_stream, FIN | EVS_WS_TEXT, ws_payload, 700);

    all = ws_stream.len;
    ws_feed(&log, ws_stream.data, all, 700, &all, 1);
    assert_int_equal(log.slices, 1);

    head[0] = 8;
    head[1] = 700;
    ws_feed(&log, ws_stream.data, all, 700, head, 2);
    assert_int_equal(log.slices, 2);

    piece[0] = 9;
    piece[1] = 699;
    ws_feed(&log, ws_stream.data, all, 700, piece, 2);
    assert_int_equal(log.slices, 2);

    ws_log_free(&log);
}


/* A text of characters of every size, in three fragments of any size. */

static void
ws_fragments(void **state)
{
    char         *text, *expected;
    size_t        i, j, len;
    const u_char *p;

    (void) state;

    p = (const u_char *) "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf"
                         "0123456789abcdef";
    len = strlen((const char *) p);

    text = ws_expect(EVS_WS_TEXT, p, len);
    expected = malloc(strlen(text) + 64);
    assert_non_null(expected);

    for (i = 0; i <= len; i++) {
        for (j = i; j <= len; j++) {
            ws_stream.len = 0;
            ws_put(&ws_stream, EVS_WS_TEXT, p, i);
            ws_put(&ws_stream, FIN | EVS_WS_PING, "one", 3);
            ws_put(&ws_stream, EVS_WS_CONTINUATION, p + i, j - i);
            ws_put(&ws_stream, FIN | EVS_WS_PONG, "", 0);
            ws_put(&ws_stream, FIN | EVS_WS_CONTINUATION, p + j, len - j);
            ws_put(&ws_stream, FIN | EVS_WS_TEXT, "z", 1);

            (void) sprintf(expected, "ping:one pong: %stext:z ", text);
            ws_assert(ws_stream.data, ws_stream.len, len, expected, 0);
        }
    }

    free(expected);
    free(text);
}


/* The buffer grows many times, a ping at each; then another message. */

static void
ws_many_fragments(void **state)
{
    char      *message, *expected;
    size_t     i, n, step;
    ws_log_t   log;

    (void) state;

    n = 100000 / 37;
    memset(&log, 0, sizeof(ws_log_t));
    ws_stream.len = 0;

    for (i = 0; i < n; i++) {
        ws_put(&ws_stream, i == 0 ? EVS_WS_TEXT : EVS_WS_CONTINUATION,
               ws_payload + i * 37, 37);
        ws_put(&ws_stream, FIN | EVS_WS_PING, "", 0);
        ws_log_add(&log, "ping: ");
    }

    ws_put(&ws_stream, FIN | EVS_WS_CONTINUATION, "", 0);
    ws_put(&ws_stream, FIN | EVS_WS_TEXT, "z", 1);

    message = ws_expect(EVS_WS_TEXT, ws_payload, n * 37);
    ws_log_add(&log, message);
    ws_log_add(&log, "text:z ");
    expected = log.data;
    memset(&log, 0, sizeof(ws_log_t));

    for (step = 1; step < ws_stream.len; step = step * 3 + 1) {
        ws_feed(&log, ws_stream.data, ws_stream.len, n * 37, &step, 1);
        assert_string_equal(log.data, expected);
        ws_log_free(&log);
    }

    free(message);
    free(expected);
}


/*
 * Bad text, cut into two fragments anywhere before the bad byte, in frames
 * that announce far more than what comes.
 */

static void
ws_fail_fast(void **state)
{
    size_t                cut, fed;
    ngx_uint_t            i;
    const ws_bad_text_t  *bt;

    (void) state;

    for (i = 0; i < sizeof(ws_bad_texts) / sizeof(ws_bad_texts[0]); i++) {
        bt = &ws_bad_texts[i];

        for (cut = 0; cut <= bt->at; cut++) {
            memcpy(ws_payload + 1000, bt->text, bt->len);

            ws_stream.len = 0;
            ws_put(&ws_stream, EVS_WS_TEXT, bt->text, cut);
            ws_put(&ws_stream, FIN | EVS_WS_CONTINUATION,
                   ws_payload + 1000 + cut, 1000);

            fed = 6 + cut + 8 + (bt->at - cut) + 1;
            ws_stream.len = 6 + cut + 8 + bt->len - cut;

            ws_assert(ws_stream.data, ws_stream.len, 2000, "fault:1007 ", fed);
        }
    }
}


static void
ws_max(void **state)
{
    ngx_uint_t       i;
    const ws_max_t  *wm;

    (void) state;

    for (i = 0; i < sizeof(ws_maxes) / sizeof(ws_maxes[0]); i++) {
        wm = &ws_maxes[i];
        ws_assert((const u_char *) wm->stream, wm->len, wm->max, wm->expected,
                  wm->fed);
    }
}


/* A buffer is of what has come, and of no more than what is known to come. */

static void
ws_memory(void **state)
{
    u_char           *pos, *last;
    size_t            half;
    evs_ws_event_t    event;
    evs_ws_parser_t   parser;

    (void) state;

    evs_ws_parser_init(&parser, SIZE_MAX);

    ws_stream.len = 0;
    ws_put(&ws_stream, FIN | EVS_WS_BINARY, ws_payload, 65536);

    /* a head alone */
    pos = ws_stream.data;
    last = pos + 14;
    assert_int_equal(evs_ws_parse(&parser, &pos, last, &event), NGX_AGAIN);
    assert_ptr_equal(pos, last);
    assert_null(parser.buf);

    /* one byte of 65536 */
    assert_int_equal(evs_ws_parse(&parser, &pos, ++last, &event), NGX_AGAIN);
    assert_int_equal(parser.len, 1);
    assert_int_equal(parser.size, 4096);

    /* a bit more than half, and then all */
    half = 40000;
    last += half;
    assert_int_equal(evs_ws_parse(&parser, &pos, last, &event), NGX_AGAIN);
    assert_int_equal(parser.size, half + 1);

    last += 100;
    assert_int_equal(evs_ws_parse(&parser, &pos, last, &event), NGX_AGAIN);
    assert_int_equal(parser.size, 65536);

    last = ws_stream.data + ws_stream.len;
    assert_int_equal(evs_ws_parse(&parser, &pos, last, &event), NGX_OK);
    assert_ptr_equal(event.payload.data, parser.buf);
    assert_int_equal(event.payload.len, 65536);
    assert_memory_equal(event.payload.data, ws_payload, 65536);

    /* nothing is under way */
    assert_int_equal(evs_ws_parse(&parser, &pos, last, &event), NGX_AGAIN);
    assert_null(parser.buf);
    assert_int_equal(parser.size, 0);

    /* a small frame's buffer is as small, and freed under way */
    ws_stream.len = 0;
    ws_put(&ws_stream, FIN | EVS_WS_BINARY, ws_payload, 700);

    pos = ws_stream.data;
    last = pos + 300;
    assert_int_equal(evs_ws_parse(&parser, &pos, last, &event), NGX_AGAIN);
    assert_int_equal(parser.size, 700);

    evs_ws_parser_free(&parser);
    assert_null(parser.buf);
}


/* At the first buffer, and where it would grow: nothing is lost or leaked. */

static void
ws_no_memory(void **state)
{
    u_char           *pos;
    evs_ws_event_t    event;
    evs_ws_parser_t   parser;

    (void) state;

    evs_ws_parser_init(&parser, STREAM_MAX);

    ws_stream.len = 0;
    ws_put(&ws_stream, FIN | EVS_WS_BINARY, ws_payload, 10000);

    pos = ws_stream.data;
    ngx_shim_allocs = 0;
    assert_int_equal(evs_ws_parse(&parser, &pos, pos + 100, &event),
                     NGX_ABORT);
    assert_null(parser.buf);
    evs_ws_parser_free(&parser);

    evs_ws_parser_init(&parser, STREAM_MAX);

    pos = ws_stream.data;
    ngx_shim_allocs = 1;
    assert_int_equal(evs_ws_parse(&parser, &pos, pos + 100, &event),
                     NGX_AGAIN);
    assert_int_equal(evs_ws_parse(&parser, &pos, pos + 5000, &event),
                     NGX_ABORT);
    assert_int_equal(parser.size, 4096);
    evs_ws_parser_free(&parser);

    /* what lies whole in the input needs none */
    evs_ws_parser_init(&parser, STREAM_MAX);

    pos = ws_stream.data;
    assert_int_equal(evs_ws_parse(&parser, &pos, pos + ws_stream.len, &event),
                     NGX_OK);
    assert_int_equal(event.payload.len, 10000);

    ngx_shim_allocs = -1;
}


static void
ws_close_codes(void **state)
{
    u_char      stream[8];
    char        expected[32];
    ngx_uint_t  code, good;

    (void) state;

    for (code = 0; code < 65536; code++) {
        memcpy(stream, "\x88\x82" M, 6);
        stream[6] = (u_char) (code >> 8);
        stream[7] = (u_char) code;

        good = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005
                && code != 1006)
               || (code >= 3000 && code < 5000);

        (void) snprintf(expected, sizeof(expected),
                        good ? "close:%u: " : "fault:1002 ", (unsigned) code);

        ws_assert_cut(stream, 8, 0, code % 9, expected);
    }
}


static void
ws_write_head(void **state)
{
    u_char                buf[EVS_WS_HEAD_MAX], *p;
    ngx_uint_t            i;
    static const struct {
        ngx_uint_t        opcode;
        size_t            len;
        const char       *head;
        size_t            size;
    } heads[] = {
        { EVS_WS_TEXT, 0, bytes("\x81\x00") },
        { EVS_WS_TEXT, 1, bytes("\x81\x01") },
        { EVS_WS_PONG, 125, bytes("\x8a\x7d") },
        { EVS_WS_TEXT, 126, bytes("\x81\x7e\x00\x7e") },
        { EVS_WS_BINARY, 127, bytes("\x82\x7e\x00\x7f") },
        { EVS_WS_TEXT, 65535, bytes("\x81\x7e\xff\xff") },
        { EVS_WS_TEXT, 65536, bytes("\x81\x7f\0\0\0\0\0\x01\0\0") },
        { EVS_WS_TEXT, 0x7fffffff, bytes("\x81\x7f\0\0\0\0\x7f\xff\xff\xff") }
    };

    (void) state;

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        p = evs_ws_head(buf, heads[i].opcode, heads[i].len);

        assert_int_equal(p - buf, heads[i].size);
        assert_memory_equal(buf, heads[i].head, heads[i].size);
    }
}


/* Each Close is read back, masked as a client would. */

static void
ws_write_close(void **state)
{
    u_char             buf[2 + EVS_WS_CONTROL_MAX], *p;
    ws_log_t           log;
    ngx_uint_t         i;
    const ws_close_t  *wc;

    (void) state;

    for (i = 0; i < sizeof(ws_closes) / sizeof(ws_closes[0]); i++) {
        wc = &ws_closes[i];
        p = evs_ws_close(buf, wc->code, wc->reason);

        assert_int_equal(p - buf, wc->len);
        assert_int_equal(buf[0], 0x88);
        assert_int_equal(buf[1], wc->len - 2);

        memset(&log, 0, sizeof(ws_log_t));

        if (wc->expected != NULL) {
            ws_log_add(&log, wc->expected);

        } else {
            ws_log_event(&log, EVS_WS_CLOSE, wc->code,
                         (const u_char *) wc->reason, wc->len - 4);
        }

        ws_stream.len = 0;
        ws_put(&ws_stream, FIN | EVS_WS_CLOSE, buf + 2, wc->len - 2);
        ws_assert(ws_stream.data, ws_stream.len, 0, log.data, 0);

        ws_log_free(&log);
    }
}


/*
 * In one piece, byte by byte, in every two pieces.  Of the bytes after the
 * fault nothing may be said: "fed" is where byte by byte has it.
 */

static void
ws_assert(const u_char *p, size_t len, size_t max, const char *expected,
    size_t fed)
{
    size_t    cut, one;
    ws_log_t  log;

    one = 1;
    memset(&log, 0, sizeof(ws_log_t));

    ws_feed(&log, p, len, max, &one, 1);
    assert_string_equal(log.data, expected);

    if (fed != 0) {
        assert_int_equal(log.fed, fed);

    } else if (*expected != '\0') {
        assert_int_equal(log.fed, len);
    }

    ws_log_free(&log);

    for (cut = 0; cut <= len; cut++) {
        ws_assert_cut(p, len, max, cut, expected);
    }
}


static void
ws_assert_cut(const u_char *p, size_t len, size_t max, size_t cut,
    const char *expected)
{
    size_t    steps[2];
    ws_log_t  log;

    steps[0] = cut;
    steps[1] = len - cut;
    memset(&log, 0, sizeof(ws_log_t));

    ws_feed(&log, p, len, max, steps, 2);
    assert_string_equal(log.data, expected);

    ws_log_free(&log);
}


/* Appends a frame, masked, its length in the shortest form. */

static void
ws_put(ws_stream_t *s, ngx_uint_t first, const void *payload, size_t len)
{
    u_char               *p, *head;
    size_t                i;
    const u_char         *from;
    static const u_char   mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    assert_true(s->len + 14 + len <= STREAM_MAX);

    head = s->data + s->len;
    p = evs_ws_head(head, 0, len);
    head[0] = (u_char) first;
    head[1] |= 0x80;

    memcpy(p, mask, 4);
    p += 4;
    from = payload;

    for (i = 0; i < len; i++) {
        *p++ = from[i] ^ mask[i & 3];
    }

    s->len = (size_t) (p - s->data);
}


static char *
ws_expect(ngx_uint_t opcode, const void *payload, size_t len)
{
    ws_log_t  log;

    memset(&log, 0, sizeof(ws_log_t));
    ws_log_event(&log, opcode, 0, payload, len);

    return log.data;
}
