
/*
 * Replies are read as hiredis reads them, however the socket cuts them.  Known
 * to fail: an empty array inside of an array that never ends; a string of 9,
 * 99 or 999 bytes taken for one of 10, 100 or 1,000; a string of 1,000 bytes
 * taken for one of 100; a CRLF inside of a string taken for its end; a number
 * at the end of what came that goes on in the next read;
 * -9223372036854775808; a buffer that stays as large as its largest string, or
 * that is made anew with each read of one.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <hiredis/hiredis.h>

#include "redis/resp_room.h"
#include "resp_trace.h"


#define REPLIES     400     /* random ones in a stream */
#define STREAMS     60
#define DEPTH       5       /* hiredis 0.14 has 7 */

#if (HIREDIS_MAJOR >= 1)
typedef size_t  judge_count_t;
#else
typedef int     judge_count_t;
#endif


typedef struct {
    const char  *stream;
    const char  *why;
} bad_case_t;


typedef struct {
    u_char      *data;
    size_t       len;
    size_t       size;
    uint64_t     seed;
} stream_t;


typedef struct {
    u_char             *buffer;
    size_t              size;
    ngx_log_t           log;
    evs_resp_reader_t   reader;
} room_t;


extern ngx_int_t  ngx_shim_allocs;


static void *judge_string(const redisReadTask *task, char *text, size_t len);
static void *judge_array(const redisReadTask *task, judge_count_t n);
static void *judge_integer(const redisReadTask *task, long long value);
static void *judge_nil(const redisReadTask *task);
static void judge(resp_trace_t *trace, const u_char *stream, size_t len);
static void same(const u_char *stream, size_t len);
static void same_cut(const u_char *stream, size_t len, const char *wanted,
    size_t step);
static uint64_t stream_random(stream_t *stream, uint64_t below);
static void stream_add(stream_t *stream, const void *text, size_t len);
static void stream_head(stream_t *stream, char type, int64_t n);
static void stream_text(stream_t *stream, size_t len);
static void stream_reply(stream_t *stream, int depth);
static int64_t stream_number(stream_t *stream);
static void resp_table(void **state);
static void resp_lengths(void **state);
static void resp_digits(void **state);
static void resp_largest(void **state);
static void resp_random(void **state);
static void resp_bad(void **state);
static void resp_deep(void **state);
static void resp_line(void **state);
static void room_read(room_t *room, const char *text, size_t n, size_t at);
static void room_grows(void **state);
static void room_full(void **state);


static redisReplyObjectFunctions  judge_functions = {
    .createString = judge_string,
    .createArray = judge_array,
    .createInteger = judge_integer,
    .createNil = judge_nil
};


static const char *const  resp_replies[] = {
    "+OK\r\n",
    "+\r\n",
    "+a\rb\nc\r\n",
    "-ERR no\r\n",
    "-\r\n",
    ":0\r\n:-1\r\n:1000\r\n",
    ":9223372036854775807\r\n:-9223372036854775808\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "$2\r\n\r\n\r\n",
    "$13\r\n$3\r\nabc\r\n:1\r\n\r\n",
    "*0\r\n*-1\r\n*1\r\n*0\r\n",
    "*3\r\n*0\r\n*0\r\n:1\r\n",
    "*2\r\n*2\r\n$1\r\na\r\n*1\r\n$-1\r\n*-1\r\n+x\r\n",
    "*2\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n:7\r\n",
    "*2\r\n-ERR in it\r\n-OOM and again\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:5\r\n:6\r\n",
    NULL
};


static const bad_case_t  resp_bad_cases[] = {
    { "x",                              "a part of an unknown type" },
    { "HTTP/1.1 400 Bad Request\r\n",   "a part of an unknown type" },
    { "%1\r\n+a\r\n+b\r\n",             "a part of an unknown type" },
    { "\r\n",                           "a part of an unknown type" },
    { "+OK\r\n ",                       "a part of an unknown type" },
    { ":\r\n",                          "a number that is none" },
    { ":-\r\n",                         "a number that is none" },
    { ":-0\r\n",                        "a number that is none" },
    { ":01\r\n",                        "a number that is none" },
    { ":+1\r\n",                        "a number that is none" },
    { ":1 \r\n",                        "a number that is none" },
    { ":1\n",                           "a number that is none" },
    { ":1\rx",                          "a number that is none" },
    { "$1x\r\n",                        "a number that is none" },
    { "*1\r\n$01\r\na\r\n",             "a number that is none" },
    { "*1\r\n$010\r\n0123456789\r\n",   "a number that is none" },
    { "*2\r\n$10ab0123456789\r\n",      "a number that is none" },
    { ":9223372036854775808\r\n",       "a number that is too large" },
    { ":-9223372036854775809\r\n",      "a number that is too large" },
    { ":18446744073709551617\r\n",      "a number that is too large" },
    { ":11111111111111111111",          "a number that is too large" },
    { "$-2\r\n",                        "a string of an impossible length" },
    { "$536870913\r\n",                 "a string of an impossible length" },
    { "$9223372036854775807\r\n",       "a string of an impossible length" },
    { "*-2\r\n",                        "an array of an impossible length" },
    { "*2147483648\r\n",                "an array of an impossible length" },
    { "$1\r\nab\r\n",                   "a string without its CRLF" },
    { "$1\r\na\n\n",                    "a string without its CRLF" },
    { "*3\r\n$10\r\n0123456789AB\r\n",  "a string without its CRLF" },
    { NULL, NULL }
};


static void
resp_table(void **state)
{
    const char *const  *reply;

    (void) state;

    for (reply = resp_replies; *reply != NULL; reply++) {
        same((const u_char *) *reply, strlen(*reply));
    }
}


/* Around each power of ten, alone and in an array, last of it or not. */

static void
resp_lengths(void **state)
{
    size_t                i;
    stream_t              stream;
    static const size_t   lengths[] = {
        0, 1, 8, 9, 10, 11, 98, 99, 100, 101, 998, 999, 1000, 1001, 9999,
        10000, 65535, 65536, 100000
    };

    (void) state;

    memset(&stream, 0, sizeof(stream_t));

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        stream.len = 0;
        stream.seed = i + 1;

        stream_text(&stream, lengths[i]);
        stream_head(&stream, '*', 2);
        stream_text(&stream, lengths[i]);
        stream_text(&stream, lengths[i]);
        stream_head(&stream, ':', 1);

        same(stream.data, stream.len);
    }

    free(stream.data);
}


/* A string of thousands of bytes that has a CRLF at every other place. */

static void
resp_digits(void **state)
{
    size_t    i, len;
    stream_t  stream;

    (void) state;

    memset(&stream, 0, sizeof(stream_t));

    for (len = 1000; len <= 1003; len++) {
        stream.len = 0;

        stream_head(&stream, '*', 2);
        stream_head(&stream, '$', (int64_t) len);

        for (i = 0; i < len; i++) {
            stream_add(&stream, (i + len) % 2 ? "\r" : "\n", 1);
        }

        stream_add(&stream, "\r\n:1\r\n", 6);

        same(stream.data, stream.len);
    }

    free(stream.data);
}


/* As large as may be, and not there yet. */

static void
resp_largest(void **state)
{
    size_t               len;
    resp_trace_t         trace;
    const char *const   *head;
    static const char   *heads[] = {
        "$536870912\r\n", "*1\r\n$536870912\r\n", "*2147483647\r\n", NULL
    };

    (void) state;

    memset(&trace, 0, sizeof(resp_trace_t));

    for (head = heads; *head != NULL; head++) {
        len = strlen(*head);
        assert_null(resp_feed(&trace, (const u_char *) *head, len, &len, 1));
    }

    resp_trace_free(&trace);
}


static void
resp_random(void **state)
{
    int       i, k;
    stream_t  stream;

    (void) state;

    memset(&stream, 0, sizeof(stream_t));

    for (i = 0; i < STREAMS; i++) {
        stream.len = 0;
        stream.seed = 0x9e3779b97f4a7c15u * (uint64_t) (i + 1);

        for (k = 0; k < REPLIES; k++) {
            stream_reply(&stream, 0);
        }

        same(stream.data, stream.len);
    }

    free(stream.data);
}


/* A fault is the same one wherever it is cut, and not told too early. */

static void
resp_bad(void **state)
{
    size_t             len, step, n;
    const char        *why;
    resp_trace_t       trace;
    const bad_case_t  *bad;

    (void) state;

    memset(&trace, 0, sizeof(resp_trace_t));

    for (bad = resp_bad_cases; bad->stream != NULL; bad++) {
        len = strlen(bad->stream);

        for (step = 1; step <= len; step++) {
            why = resp_feed(&trace, (const u_char *) bad->stream, len, &step,
                            1);

            if (why == NULL) {
                fail_msg("no fault in %s, in %zu", bad->stream, step);
            }

            assert_string_equal(why, bad->why);
        }

        /* up to its first byte that is wrong all is well */

        for (n = 1; n < len; n++) {
            step = n;

            if (resp_feed(&trace, (const u_char *) bad->stream, n, &step, 1)
                != NULL)
            {
                break;
            }
        }

        if (bad->stream[0] == 'x' || bad->stream[0] == 'H'
            || bad->stream[0] == '%')
        {
            assert_int_equal(n, 1);
        }
    }

    resp_trace_free(&trace);
}


static void
resp_deep(void **state)
{
    int            i, depth;
    size_t         step;
    stream_t       stream;
    const char    *why;
    resp_trace_t   trace;

    (void) state;

    memset(&stream, 0, sizeof(stream_t));
    memset(&trace, 0, sizeof(resp_trace_t));

    for (depth = 1; depth <= EVS_RESP_DEPTH_MAX + 1; depth++) {
        stream.len = 0;

        for (i = 0; i < depth; i++) {
            stream_head(&stream, '*', 1);
        }

        stream_head(&stream, ':', 1);

        step = stream.len;
        why = resp_feed(&trace, stream.data, stream.len, &step, 1);

        if (depth <= EVS_RESP_DEPTH_MAX) {
            assert_null(why);

        } else {
            assert_string_equal(why, "arrays that are too deep");
        }
    }

    free(stream.data);
    resp_trace_free(&trace);
}


/* An error that never ends must not take all memory. */

static void
resp_line(void **state)
{
    size_t         i, step;
    stream_t       stream;
    const char    *why;
    resp_trace_t   trace;

    (void) state;

    memset(&stream, 0, sizeof(stream_t));
    memset(&trace, 0, sizeof(resp_trace_t));

    stream_add(&stream, "-", 1);

    for (i = 0; i < EVS_RESP_LINE_MAX; i++) {
        stream_add(&stream, "x", 1);
    }

    step = stream.len;
    assert_null(resp_feed(&trace, stream.data, stream.len, &step, 1));

    stream_add(&stream, "x", 1);
    step = 1000;
    why = resp_feed(&trace, stream.data, stream.len, &step, 1);

    assert_non_null(why);
    assert_string_equal(why, "a line without an end");

    free(stream.data);
    resp_trace_free(&trace);
}


/* A read of n bytes: those of a text, or a pattern from its at-th on. */

static void
room_read(room_t *room, const char *text, size_t n, size_t at)
{
    size_t   i, free;
    u_char  *last;

    free = evs_resp_room(&room->reader, &room->buffer, &room->size,
                         &room->log);

    assert_in_range(n, 0, free);
    assert_ptr_equal(room->reader.pos, room->buffer);
    assert_ptr_equal(room->reader.last + free, room->buffer + room->size);

    last = room->reader.last;

    for (i = 0; i < n; i++) {
        last[i] = (u_char) (text ? text[i] : (char) ((at + i) % 251));
    }

    room->reader.last += n;
}


/*
 * A string that is larger than the buffer, behind another reply, in reads of
 * 4,000 bytes: the buffer doubles, and is small again when all has been read.
 */

static void
room_grows(void **state)
{
    size_t           n, at;
    room_t           room;
    evs_resp_part_t  part;

    (void) state;

    memset(&room, 0, sizeof(room_t));
    ngx_shim_allocs = 1000;

    room_read(&room, ":1\r\n$4000000\r\n", 14, 0);
    assert_int_equal(evs_resp_next(&room.reader, &part), NGX_OK);

    for (at = 0; at < 4000000; at += n) {
        assert_int_equal(evs_resp_next(&room.reader, &part), NGX_AGAIN);

        n = evs_resp_room(&room.reader, &room.buffer, &room.size, &room.log);
        n = ngx_min(ngx_min(n, 4000), 4000000 - at);
        assert_true(n != 0);

        room_read(&room, NULL, n, at);
    }

    assert_int_equal(1000 - ngx_shim_allocs, 7);
    assert_int_equal(room.size, 64 * EVS_RESP_ROOM);

    room_read(&room, "\r\n", 2, 0);
    assert_int_equal(evs_resp_next(&room.reader, &part), NGX_OK);
    assert_int_equal(part.text.len, 4000000);

    for (at = 0; at < 4000000 && part.text.data[at] == at % 251; at++) {
        /* void */
    }

    assert_int_equal(at, 4000000);

    for (n = 0; n < 3; n++) {
        room_read(&room, NULL, 0, 0);
        assert_int_equal(room.size, EVS_RESP_ROOM);
    }

    assert_int_equal(1000 - ngx_shim_allocs, 8);
    ngx_shim_allocs = -1;

    free(room.buffer);
}


/* A part that fills the buffer to its last byte needs none that is larger. */

static void
room_full(void **state)
{
    room_t           room;
    evs_resp_part_t  part;

    (void) state;

    memset(&room, 0, sizeof(room_t));

    room_read(&room, "$65526\r\n", 8, 0);
    room_read(&room, NULL, 65526, 0);
    room_read(&room, "\r", 1, 0);
    assert_int_equal(evs_resp_next(&room.reader, &part), NGX_AGAIN);

    room_read(&room, "\n", 1, 0);
    assert_int_equal(evs_resp_next(&room.reader, &part), NGX_OK);
    assert_true(part.ends);
    assert_int_equal(room.size, EVS_RESP_ROOM);

    /* without memory it is as it was */

    room_read(&room, "$65527\r\n", 8, 0);
    room_read(&room, NULL, 65528, 0);

    ngx_shim_allocs = 0;
    assert_int_equal(evs_resp_room(&room.reader, &room.buffer, &room.size,
                                   &room.log), 0);
    ngx_shim_allocs = -1;

    assert_ptr_equal(room.reader.pos, room.buffer);
    assert_int_equal(room.reader.last - room.reader.pos, EVS_RESP_ROOM);
    assert_int_equal(room.size, EVS_RESP_ROOM);

    free(room.buffer);
}


static void *
judge_string(const redisReadTask *task, char *text, size_t len)
{
    char  type;

    type = (task->type == REDIS_REPLY_STATUS) ? '+'
           : (task->type == REDIS_REPLY_ERROR) ? '-' : '$';

    resp_trace_part(task->privdata, type, task->parent != NULL, (int64_t) len,
                    text);

    return task->privdata;
}


static void *
judge_array(const redisReadTask *task, judge_count_t n)
{
    resp_trace_part(task->privdata, '*', task->parent != NULL, (int64_t) n,
                    NULL);

    return task->privdata;
}


static void *
judge_integer(const redisReadTask *task, long long value)
{
    resp_trace_part(task->privdata, ':', task->parent != NULL, value, NULL);

    return task->privdata;
}


static void *
judge_nil(const redisReadTask *task)
{
    resp_trace_part(task->privdata, '_', task->parent != NULL, 0, NULL);

    return task->privdata;
}


static void
judge(resp_trace_t *trace, const u_char *stream, size_t len)
{
    void         *object;
    redisReader  *reader;

    reader = redisReaderCreateWithFunctions(&judge_functions);
    assert_non_null(reader);

    reader->privdata = trace;

    assert_int_equal(redisReaderFeed(reader, (const char *) stream, len),
                     REDIS_OK);

    for ( ;; ) {
        if (redisReaderGetReply(reader, &object) != REDIS_OK) {
            fail_msg("hiredis: %s", reader->errstr);
        }

        if (object == NULL) {
            break;
        }

        resp_trace_add(trace, "\n", 1);
    }

    redisReaderFree(reader);
}


/* As hiredis, whole and cut; each cut of a short one. */

static void
same(const u_char *stream, size_t len)
{
    size_t        step;
    resp_trace_t  wanted;

    memset(&wanted, 0, sizeof(resp_trace_t));
    judge(&wanted, stream, len);

    same_cut(stream, len, wanted.data, len);

    for (step = 1; step < len && step < 64; step++) {
        if (len < 4096 || step % 7 == 1) {
            same_cut(stream, len, wanted.data,
                     len < 65536 ? step : step * 1021);
        }
    }

    resp_trace_free(&wanted);
}


static void
same_cut(const u_char *stream, size_t len, const char *wanted, size_t step)
{
    const char    *why;
    resp_trace_t   trace;

    memset(&trace, 0, sizeof(resp_trace_t));

    why = resp_feed(&trace, stream, len, &step, 1);

    if (why != NULL) {
        fail_msg("%s, in reads of %zu", why, step);
    }

    assert_string_equal(trace.data, wanted);

    resp_trace_free(&trace);
}


static uint64_t
stream_random(stream_t *stream, uint64_t below)
{
    stream->seed ^= stream->seed << 13;
    stream->seed ^= stream->seed >> 7;
    stream->seed ^= stream->seed << 17;

    return stream->seed % below;
}


static void
stream_add(stream_t *stream, const void *text, size_t len)
{
    if (stream->size - stream->len < len) {
        stream->size = 2 * stream->size + len + 256;
        stream->data = realloc(stream->data, stream->size);
        assert_non_null(stream->data);
    }

    if (len != 0) {
        memcpy(stream->data + stream->len, text, len);
    }

    stream->len += len;
}


static void
stream_head(stream_t *stream, char type, int64_t n)
{
    int   len;
    char  head[32];

    len = snprintf(head, sizeof(head), "%c%lld\r\n", type, (long long) n);
    stream_add(stream, head, (size_t) len);
}


/* A string; traces are compared as C strings, so that it has no NUL. */

static void
stream_text(stream_t *stream, size_t len)
{
    size_t       i;
    char         c;
    const char  *some = "\r\n$*:0159ab";

    stream_head(stream, '$', (int64_t) len);

    for (i = 0; i < len; i++) {
        c = some[stream_random(stream, 12)];
        stream_add(stream, &c, 1);
    }

    stream_add(stream, "\r\n", 2);
}


static void
stream_reply(stream_t *stream, int depth)
{
    uint64_t  i, n;

    switch (stream_random(stream, 10)) {

    case 0:
        stream_add(stream, "+QUEUED\r\n", 9);
        break;

    case 1:
        stream_add(stream, "-ERR it\r is so\r\n", 16);
        break;

    case 2:
        stream_head(stream, ':', stream_number(stream));
        break;

    case 3:
        stream_head(stream, stream_random(stream, 2) ? '$' : '*', -1);
        break;

    case 4:
    case 5:
        n = (depth < DEPTH) ? stream_random(stream, 6) : 0;
        stream_head(stream, '*', (int64_t) n);

        for (i = 0; i < n; i++) {
            stream_reply(stream, depth + 1);
        }

        break;

    default:
        stream_text(stream, stream_random(stream, 30));
    }
}


static int64_t
stream_number(stream_t *stream)
{
    uint64_t  n;

    n = stream_random(stream, UINT64_MAX);

    return (int64_t) n >> stream_random(stream, 64);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(resp_table),
        cmocka_unit_test(resp_lengths),
        cmocka_unit_test(resp_digits),
        cmocka_unit_test(resp_largest),
        cmocka_unit_test(resp_random),
        cmocka_unit_test(resp_bad),
        cmocka_unit_test(resp_deep),
        cmocka_unit_test(resp_line),
        cmocka_unit_test(room_grows),
        cmocka_unit_test(room_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
