
/*
 * Entries of the feed: what a writer puts in is read back as the JSON of the
 * contract, event by event; what is cut short, changed or made up is never
 * read out of bounds (the sanitizers watch: each text stands in a block of its
 * own size), and never ends the line or the string that it goes into.  And the
 * ids of the stream: what Redis writes and nothing else, and their scores.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "store/feed_entry.h"
#include "store/stream_id.h"


#define SID1    "417d679b-6f09-4d38-977e-1cdff90a91ec"
#define SID2    "a.~_-Z"

#define WRITER  "WRITER-8"
#define ID      "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"

#define HEAD    "\x01" WRITER "\x01"

#define text_of(s)  { sizeof(s) - 1, (u_char *) s }


typedef struct {
    const char  *sid;            /* NULL: the message goes on */
    evs_entry_t  entry;
    const char  *json;
} feed_case_t;


static const feed_case_t  feed_cases[] = {

    { SID1,
      { EVS_ENTRY_START, { 1624422533303000, text_of("1624422533303") },
        { 0, NULL }, { 0, NULL }, { 0, NULL }, { 0, NULL }, { 0, NULL },
        { 0, NULL } },
      "{\"event_id\":\"038005c56758100ad806017a3720c8b7"
      "\",\"event_timestamp\":\"2021-06-23T04:28:53.303Z\","
      "\"event_name\":null,\"session_id\":\"" SID1 "\","
      "\"type\":\"SESSION_START\"}" },

    { NULL,
      { EVS_ENTRY_EVENT, { 1000000, text_of("1") },
        text_of("a\\\"b\\\\\\n"), { 0, NULL }, { 0, NULL }, { 0, NULL },
        { 0, NULL }, { 0, NULL } },
      "{\"event_id\":\"0102030405060708090a\","
      "\"event_timestamp\":\"1970-01-01T00:00:01.000Z\","
      "\"event_name\":\"a\\\"b\\\\\\n\",\"session_id\":\"" SID1 "\","
      "\"type\":\"EVENT\"}" },

    { SID2,
      { EVS_ENTRY_EVENT,
        { 1624422533303001,
          text_of("\"2021-06-23T04:28:53.303001Z\"") },
        text_of("n"), text_of("x\"\\y"), text_of("k"),
        text_of("[1,{\"a\":null}]"), { 0, NULL }, { 0, NULL } },
      "{\"event_id\":\"x\\\"\\\\y\","
      "\"event_timestamp\":\"2021-06-23T04:28:53.303001Z\","
      "\"event_name\":\"n\",\"session_id\":\"" SID2 "\",\"type\":\"EVENT\","
      "\"category\":\"k\",\"data\":[1,{\"a\":null}]}" },

    { NULL,
      { EVS_ENTRY_END, { 2000000, text_of("2") },
        { 0, NULL }, { 0, NULL }, { 0, NULL }, { 0, NULL }, { 0, NULL },
        { 0, NULL } },
      "{\"event_id\":\"0480000000001e84800102\","
      "\"event_timestamp\":\"1970-01-01T00:00:02.000Z\","
      "\"event_name\":null,\"session_id\":\"" SID2 "\","
      "\"type\":\"SESSION_END\"}" },

    /* of a batch: without a session, and without a name */

    { "",
      { EVS_ENTRY_EVENT, { 3000000, text_of("3") },
        { 0, NULL }, { 0, NULL }, { 0, NULL }, text_of("12312"), { 0, NULL },
        { 0, NULL } },
      "{\"event_id\":\"0102030405060708090a\","
      "\"event_timestamp\":\"1970-01-01T00:00:03.000Z\","
      "\"event_name\":null,\"session_id\":null,\"type\":\"EVENT\","
      "\"data\":12312}" },

    { NULL,
      { EVS_ENTRY_EVENT, { 4000000, text_of("4") },
        { 0, (u_char *) "" }, { 0, NULL }, { 0, NULL }, { 0, NULL },
        { 0, NULL }, { 0, NULL } },
      "{\"event_id\":\"0102030405060708090a\","
      "\"event_timestamp\":\"1970-01-01T00:00:04.000Z\","
      "\"event_name\":\"\",\"session_id\":null,\"type\":\"EVENT\"}" }
};

#define FEED_CASES  (sizeof(feed_cases) / sizeof(feed_cases[0]))


typedef struct {
    const char  *name;
    ngx_str_t    value;
    ngx_uint_t   events;         /* that are read before it is declined */
} feed_foreign_t;


/* a plain event: its format, its id, how long ago, when, its name */
#define EVENT(name)   "\x01" ID "\x01\x05" name
#define MESSAGE(n, member)  HEAD "\x03sid" n member "\x00"

static const feed_foreign_t  feed_foreign[] = {
    { "a session with a quote", text_of(HEAD "\x03s\"d\x0e" EVENT("n") "\x00"),
      0 },
    { "a session with a line feed",
      text_of(HEAD "\x03s\nd\x0e" EVENT("n") "\x00"), 0 },
    { "a name where there is none, it says",
      text_of(MESSAGE("\x0e", "\x01" ID "\x81\x05n")), 0 },
    { "a session that is too long for its message",
      text_of(HEAD "\x7fsid\x0e" EVENT("n") "\x00"), 0 },
    { "a length that overflows",
      text_of(HEAD "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01sid"), 0 },
    { "a length that doesn't end", text_of(HEAD "\xff\xff\xff\xff\xff\xff\xff"
      "\xff\xff\xff\xff\xff\xff"), 0 },
    { "a member that is too long for its entry",
      text_of(HEAD "\x03sid\xff\xff\x03" EVENT("n")), 0 },
    { "a member of another format", text_of(MESSAGE("\x02", "\x09n")), 0 },
    { "a name with a quote", text_of(MESSAGE("\x10", EVENT("a\"b"))), 0 },
    { "a name with a line feed", text_of(MESSAGE("\x10", EVENT("a\nb"))), 0 },
    { "a name that escapes the quote behind it",
      text_of(MESSAGE("\x0f", EVENT("a\\"))), 0 },
    { "a line feed that is escaped", text_of(MESSAGE("\x10", EVENT("a\\\n"))),
      0 },
    { "more that isn't behind a comma",
      text_of(MESSAGE("\x11", "\x01" ID "\x21\x05\x01n}x")), 0 },
    { "more with a line feed",
      text_of(MESSAGE("\x14", "\x01" ID "\x21\x05\x01n,\"\n\":")), 0 },
    { "a timestamp that is none",
      text_of(MESSAGE("\x11", "\x01" ID "\x00\x03\"x\"n")), 0 },
    { "a good event, then a bad one",
      text_of(HEAD "\x03sid\x0e" EVENT("n") "\x10" EVENT("a\nb") "\x00"), 1 },
    { "no end of the message", text_of(HEAD "\x03sid\x0e" EVENT("n")), 1 },
    { "no end of the message, and another one",
      text_of(HEAD "\x03sid\x0e" EVENT("n") "\x03sid"), 1 }
};

#define FEED_FOREIGN  (sizeof(feed_foreign) / sizeof(feed_foreign[0]))


/* A copy in a block of its own size. */

static ngx_str_t
block(const u_char *data, size_t len)
{
    ngx_str_t  copy;

    copy.len = len;
    copy.data = malloc(len ? len : 1);

    assert_non_null(copy.data);

    if (len != 0) {
        memcpy(copy.data, data, len);
    }

    return copy;
}


/* All cases in one entry. */

static ngx_str_t
write_entry(u_char *buf)
{
    u_char     *p, member[512];
    size_t      i, len;
    evs_sid_t   sid;

    p = evs_feed_entry_head(buf, (u_char *) WRITER, 300);

    for (i = 0; i < FEED_CASES; i++) {

        if (feed_cases[i].sid != NULL) {
            if (i != 0) {
                p = evs_feed_entry_message_end(p);
            }

            sid.len = strlen(feed_cases[i].sid);
            memcpy(sid.data, feed_cases[i].sid, sid.len);

            p = evs_feed_entry_message(p, &sid);
        }

        len = (size_t) (evs_member_write(member, &feed_cases[i].entry,
                                         (u_char *) ID) - member);
        p = evs_feed_entry_member(p, member, len);
    }

    p = evs_feed_entry_message_end(p);

    return block(buf, (size_t) (p - buf));
}


/* An event's JSON, NUL-terminated, in a block of the size that was told. */

static char *
json_of(const evs_feed_event_t *event)
{
    u_char  *json, *last;
    size_t   max;

    max = evs_feed_event_json_max(event);
    json = malloc(max + 1);

    assert_non_null(json);

    last = evs_feed_event_json(json, event);

    assert_true((size_t) (last - json) <= max);
    *last = '\0';

    return (char *) json;
}


static void
test_round_trip(void **state)
{
    char              *json;
    size_t             i;
    u_char             buf[2048];
    ngx_str_t          value;
    evs_feed_entry_t   entry;
    evs_feed_event_t   event;

    (void) state;

    value = write_entry(buf);

    assert_int_equal(evs_feed_entry_read(&entry, &value), NGX_OK);
    assert_memory_equal(entry.writer, WRITER, EVS_FEED_WRITER_LEN);
    assert_int_equal(entry.number, 300);

    for (i = 0; i < FEED_CASES; i++) {
        assert_int_equal(evs_feed_entry_next(&entry, &event), NGX_OK);
        assert_int_equal(event.index, i);
        assert_int_equal(event.us, feed_cases[i].entry.timestamp.us);

        json = json_of(&event);
        assert_string_equal(json, feed_cases[i].json);
        free(json);
    }

    assert_int_equal(evs_feed_entry_next(&entry, &event), NGX_DONE);
    assert_int_equal(evs_feed_entry_next(&entry, &event), NGX_DONE);

    assert_int_equal(evs_feed_entry_last(&value), FEED_CASES - 1);

    free(value.data);
}


/* What is read of it is an object on one line, whatever it is made of. */

static ngx_uint_t
read_all(ngx_str_t *value)
{
    char              *json;
    ngx_uint_t         n;
    evs_feed_entry_t   entry;
    evs_feed_event_t   event;

    n = 0;

    if (evs_feed_entry_read(&entry, value) != NGX_OK) {
        return 0;
    }

    while (evs_feed_entry_next(&entry, &event) == NGX_OK) {
        assert_int_equal(event.index, n);
        n++;

        json = json_of(&event);

        assert_null(strpbrk(json, "\r\n"));
        assert_int_equal(json[0], '{');
        assert_int_equal(json[strlen(json) - 1], '}');

        free(json);
    }

    /* it stays where it stopped */

    assert_int_not_equal(evs_feed_entry_next(&entry, &event), NGX_OK);

    return n;
}


static void
test_foreign(void **state)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_str_t          value;
    ngx_uint_t         n;
    evs_feed_entry_t   entry;
    evs_feed_event_t   event;

    (void) state;

    for (i = 0; i < FEED_FOREIGN; i++) {
        value = block(feed_foreign[i].value.data, feed_foreign[i].value.len);

        assert_int_equal(evs_feed_entry_read(&entry, &value), NGX_OK);

        n = 0;

        while ((rc = evs_feed_entry_next(&entry, &event)) == NGX_OK) {
            n++;
        }

        if (rc != NGX_DECLINED || n != feed_foreign[i].events) {
            fail_msg("%s: rc %d behind %d events", feed_foreign[i].name,
                     (int) rc, (int) n);
        }

        assert_int_equal(read_all(&value), feed_foreign[i].events);

        free(value.data);
    }
}


static void
test_not_an_entry(void **state)
{
    size_t             i;
    ngx_str_t          value;
    evs_feed_entry_t   entry;

    static const ngx_str_t  values[] = {
        text_of(""),
        text_of("\x01"),
        text_of("\x01" "1234567"),
        text_of("\x01" WRITER),
        text_of("\x01" WRITER "\x80"),
        text_of("\x01" WRITER "\x00"),
        text_of("\x02" WRITER "\x01")
    };

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        value = block(values[i].data, values[i].len);

        assert_int_equal(evs_feed_entry_read(&entry, &value), NGX_DECLINED);
        assert_int_equal(evs_feed_entry_last(&value), 0);

        free(value.data);
    }

    /* nothing in it is no fault */

    value = block((u_char *) HEAD, sizeof(HEAD) - 1);

    assert_int_equal(evs_feed_entry_read(&entry, &value), NGX_OK);
    assert_int_equal(read_all(&value), 0);

    free(value.data);
}


/* Every cut of a good entry, and every change of each of its bytes. */

static void
test_damaged(void **state)
{
    size_t      i;
    u_char      buf[2048];
    ngx_str_t   value, part;
    ngx_uint_t  change;

    (void) state;

    value = write_entry(buf);

    for (i = 0; i < value.len; i++) {
        part = block(value.data, i);
        assert_true(read_all(&part) <= FEED_CASES);
        free(part.data);

        for (change = 1; change < 256; change++) {
            part = block(value.data, value.len);
            part.data[i] ^= (u_char) change;
            (void) read_all(&part);
            free(part.data);
        }
    }

    free(value.data);
}


static void
test_stream_id(void **state)
{
    size_t            i;
    u_char            buf[EVS_STREAM_ID_LEN], *last;
    ngx_str_t         text;
    evs_stream_id_t   id;

    static const ngx_str_t  good[] = {
        text_of("0-0"),
        text_of("1-0"),
        text_of("1795276085567-0"),
        text_of("1795276085567-4096"),
        text_of("18446744073709551615-18446744073709551615")
    };

    static const ngx_str_t  bad[] = {
        text_of(""),
        text_of("1"),
        text_of("1-"),
        text_of("-1"),
        text_of("1-2-3"),
        text_of("1-2 "),
        text_of("01-2"),
        text_of("1-02"),
        text_of("00-0"),
        text_of("+1-2"),
        text_of("1--2"),
        text_of("18446744073709551616-0"),
        text_of("0-18446744073709551616"),
        text_of("99999999999999999999-0")
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        text = block(good[i].data, good[i].len);

        assert_int_equal(evs_stream_id_parse(&id, &text), NGX_OK);

        last = evs_stream_id_write(buf, &id);

        assert_int_equal(last - buf, text.len);
        assert_memory_equal(buf, text.data, text.len);

        free(text.data);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text = block(bad[i].data, bad[i].len);

        assert_int_equal(evs_stream_id_parse(&id, &text), NGX_DECLINED);

        free(text.data);
    }
}


/* In the order of the stream, also through a double. */

static void
test_score(void **state)
{
    size_t    i;
    uint64_t  before, score;

    static const evs_stream_id_t  ids[] = {
        { 0, 1 },
        { 1, 0 },
        { 1795276085567, 0 },
        { 1795276085567, 1 },
        { 1795276085567, 4095 },
        { 1795276085568, 0 },
        { (1ULL << 41) - 1, 4095 }
    };

    static const evs_stream_id_t  most = { UINT64_MAX, UINT64_MAX };
    static const evs_stream_id_t  many = { 1795276085567, 5000 };

    (void) state;

    before = 0;

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        score = evs_stream_id_score(&ids[i]);

        assert_true(score > before);
        assert_true((uint64_t) (double) score == score);

        before = score;

        if (i != 0) {
            assert_true(evs_stream_id_cmp(&ids[i - 1], &ids[i]) < 0);
            assert_true(evs_stream_id_cmp(&ids[i], &ids[i - 1]) > 0);
        }

        assert_int_equal(evs_stream_id_cmp(&ids[i], &ids[i]), 0);
    }

    assert_true(evs_stream_id_score(&most) == before);
    assert_true(evs_stream_id_score(&many) == evs_stream_id_score(&ids[4]));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_not_an_entry),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_stream_id),
        cmocka_unit_test(test_score)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
