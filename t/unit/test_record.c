
/*
 * Records of the event log: what is written is read back, byte for byte, and
 * in the bytes that record.h promises, since they are in Redis and can't
 * change.  What is cut short, changed or made up is never read out of bounds
 * (the sanitizers watch: each member stands in a block of its own size), and
 * whatever is taken can be shown: it is JSON for jansson, too.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/time.h"
#include "store/record.h"


#define ID  "\x01\x23\x45\x67\x89\xab\x4d\xef\x81\x23\x45\x67\x89\xab\xcd\xef"
#define UUID  "01234567-89ab-4def-8123-456789abcdef"

/* 2026-11-21T17:04:38.068123Z */
#define US     1795280678068123LL
#define US_BE  "\x00\x06\x60\xcc\x5b\x16\x9f\x9b"

#define A50    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A200   A50 A50 A50 A50

#define HEAD   "\x01" US_BE ID
#define GOLD   HEAD "\x06" "a@b.de" "\x04" "prod" "\x05" "order" "\x06"       \
               "a\\n\xc3\xa9z" "{\"k\":[1.0,null]}"
#define SHOWN  "{\"id\":\"" UUID "\",\"createdAt\":\"2026-11-21T17:04:38."    \
               "068123Z\",\"email\":\"a@b.de\",\"environment\":\"prod\","     \
               "\"component\":\"order\",\"message\":\"a\\n\xc3\xa9z\","       \
               "\"data\":{\"k\":[1.0,null]}}"


typedef struct {
    int64_t      us;
    const char  *email;
    const char  *environment;
    const char  *component;
    const char  *message;
    const char  *data;
} record_case_t;


extern ngx_int_t  ngx_shim_allocs;

static evs_json_names_t  *names;


static const record_case_t  record_cases[] = {
    { US, "a@b.de", "prod", "order", "a\\n\xc3\xa9z", "{\"k\":[1.0,null]}" },
    { 0, "", "", "", "", "0" },
    { EVS_TIME_MAX_US, "\\\"a\\\\ b\\\"@c.de", "\\u0001\\u001f", "\\b\\f\\r\\t",
      A200, "\"\\ud83d\\ude00\\/\"" },
    { US, A50 A50, A50 A50, A50 A50, A200 A200 A200 A200 A200, "false" },
    { 1, "a", "b", "c", "\xf0\x9f\x98\x80",
      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1e400]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },
};


static ngx_int_t
record_read(evs_record_t *record, const void *text, size_t len, u_char **block)
{
    ngx_str_t  member;

    *block = malloc(len ? len : 1);
    assert_non_null(*block);
    memcpy(*block, text, len);

    member.data = *block;
    member.len = len;

    return evs_record_read(record, &member, names);
}


static ngx_str_t
record_str(const char *text)
{
    ngx_str_t  str;

    str.data = (u_char *) text;
    str.len = strlen(text);

    return str;
}


static void
record_fill(evs_record_t *record, const record_case_t *rc)
{
    record->us = rc->us;
    memcpy(record->id, ID, 16);
    record->email = record_str(rc->email);
    record->environment = record_str(rc->environment);
    record->component = record_str(rc->component);
    record->message = record_str(rc->message);
    record->data = record_str(rc->data);
}


static void
record_same(const ngx_str_t *one, const ngx_str_t *two)
{
    assert_int_equal(one->len, two->len);
    assert_memory_equal(one->data, two->data, one->len);
}


/* What is shown of a record, of its exact size; free() it. */

static u_char *
record_shown(const evs_record_t *record, size_t *len)
{
    size_t   max;
    u_char  *p, *fit;

    max = evs_record_json_max(record);
    p = malloc(max);
    *len = (size_t) (evs_record_json(p, record) - p);

    assert_true(*len <= max);

    fit = malloc(*len);
    memcpy(fit, p, *len);
    free(p);

    return fit;
}


static void
test_golden(void **state)
{
    size_t         len;
    u_char        *p, *last;
    evs_record_t   record;

    record_fill(&record, &record_cases[0]);

    p = malloc(evs_record_max(&record));
    last = evs_record_write(p, &record);

    assert_int_equal(last - p, sizeof(GOLD) - 1);
    assert_memory_equal(p, GOLD, sizeof(GOLD) - 1);
    free(p);

    p = record_shown(&record, &len);

    assert_int_equal(len, sizeof(SHOWN) - 1);
    assert_memory_equal(p, SHOWN, sizeof(SHOWN) - 1);
    free(p);
}


static void
test_round_trips(void **state)
{
    u_char        *p, *last, *block;
    ngx_uint_t     i;
    evs_record_t   record, again;

    for (i = 0; i < sizeof(record_cases) / sizeof(record_cases[0]); i++) {
        record_fill(&record, &record_cases[i]);

        p = malloc(evs_record_max(&record));
        last = evs_record_write(p, &record);

        assert_true((size_t) (last - p) <= evs_record_max(&record));

        assert_int_equal(record_read(&again, p, (size_t) (last - p), &block),
                         NGX_OK);

        assert_int_equal(again.us, record.us);
        assert_memory_equal(again.id, record.id, 16);
        record_same(&again.email, &record.email);
        record_same(&again.environment, &record.environment);
        record_same(&again.component, &record.component);
        record_same(&again.message, &record.message);
        record_same(&again.data, &record.data);

        free(block);
        free(p);
    }
}


/* NGX_OK or NGX_DECLINED; what is taken must be JSON when it is shown. */

static ngx_int_t
record_try(const void *text, size_t len)
{
    size_t         n;
    u_char        *block, *shown;
    json_t        *json;
    ngx_int_t      rc;
    evs_record_t   record;

    rc = record_read(&record, text, len, &block);

    if (rc == NGX_OK) {
        shown = record_shown(&record, &n);
        json = json_loadb((char *) shown, n, JSON_REJECT_DUPLICATES
                          | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

        assert_non_null(json);
        assert_int_equal(json_object_size(json), 7);

        json_decref(json);
        free(shown);

    } else {
        assert_int_equal(rc, NGX_DECLINED);
    }

    free(block);

    return rc;
}


static void
test_every_cut_and_change(void **state)
{
    u_char      changed[sizeof(GOLD)];
    size_t      i, len;
    ngx_uint_t  c, taken;

    len = sizeof(GOLD) - 1;

    assert_int_equal(record_try(GOLD, len), NGX_OK);

    for (i = 0; i < len; i++) {
        assert_int_equal(record_try(GOLD, i), NGX_DECLINED);
    }

    assert_int_equal(record_try(GOLD, sizeof(GOLD)), NGX_DECLINED);

    taken = 0;

    for (i = 0; i < len; i++) {
        for (c = 0; c < 256; c++) {
            memcpy(changed, GOLD, len);
            changed[i] = (u_char) c;
            taken += (record_try(changed, len) == NGX_OK);
        }
    }

    assert_true(taken > 16 * 256);
}


static void
test_what_is_none(void **state)
{
    ngx_uint_t  i;

    static const struct {
        const char  *text;
        size_t       len;
    } bad[] = {
#define none(text)  { text, sizeof(text) - 1 }
        none(""),
        none("\x01"),
        none(HEAD),
        none(HEAD "\0\0\0\0"),
        none("\x00" US_BE ID "\0\0\0\0" "1"),
        none("\x02" US_BE ID "\0\0\0\0" "1"),
        none("\x01\xff\xff\xff\xff\xff\xff\xff\xff" ID "\0\0\0\0" "1"),
        none("\x01\x80\0\0\0\0\0\0\0" ID "\0\0\0\0" "1"),

        /* lengths */
        none(HEAD "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "1"),
        none(HEAD "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "1"),
        none(HEAD "\x80"),
        none(HEAD "\x05" "abcd"),

        /* texts */
        none(HEAD "\x01" "\"" "\0\0\0" "1"),
        none(HEAD "\x01" "\\" "\0\0\0" "1"),
        none(HEAD "\x01" "\n" "\0\0\0" "1"),
        none(HEAD "\x01" "\xc3" "\0\0\0" "1"),
        none(HEAD "\x02" "\xc0\x80" "\0\0\0" "1"),
        none(HEAD "\x03" "\xed\xa0\x80" "\0\0\0" "1"),
        none(HEAD "\x02" "\\/" "\0\0\0" "1"),
        none(HEAD "\x02" "\\x" "\0\0\0" "1"),
        none(HEAD "\x02" "\\\0" "\0\0\0" "1"),
        none(HEAD "\x06" "\\u0041" "\0\0\0" "1"),
        none(HEAD "\x06" "\\u000a" "\0\0\0" "1"),
        none(HEAD "\x06" "\\u001F" "\0\0\0" "1"),
        none(HEAD "\x06" "\\u00e9" "\0\0\0" "1"),
        none(HEAD "\x06" "\\ud800" "\0\0\0" "1"),
        none(HEAD "\x05" "\\u001" "\0\0\0" "1"),
        none(HEAD "\x02" "\\u" "\0\0\0" "1"),

        /* data */
        none(HEAD "\0\0\0\0" " 1"),
        none(HEAD "\0\0\0\0" "1 "),
        none(HEAD "\0\0\0\0" "[1, 2]"),
        none(HEAD "\0\0\0\0" "[1,]"),
        none(HEAD "\0\0\0\0" "{\"a\":1,}"),
        none(HEAD "\0\0\0\0" "1,\"x\":2"),
        none(HEAD "\0\0\0\0" "1}"),
        none(HEAD "\0\0\0\0" "{\"a\":1,\"a\":1}"),
        none(HEAD "\0\0\0\0" "\"\n\""),
        none(HEAD "\0\0\0\0" "\"\xff\""),
        none(HEAD "\0\0\0\0" "NaN"),
        none(HEAD "\0\0\0\0" "{"),
#undef none
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (record_try(bad[i].text, bad[i].len) != NGX_DECLINED) {
            fail_msg("taken: %lu", (unsigned long) i);
        }
    }

    assert_int_equal(record_try(HEAD "\0\0\0\0" "1", sizeof(HEAD) + 4),
                     NGX_OK);
}


static void
test_no_memory(void **state)
{
    u_char            *block;
    ngx_int_t          rc;
    evs_record_t       record;
    evs_json_names_t  *kept;

    kept = names;
    names = evs_json_names_create();

    ngx_shim_allocs = 0;
    rc = record_read(&record, GOLD, sizeof(GOLD) - 1, &block);
    ngx_shim_allocs = -1;

    assert_int_equal(rc, NGX_ABORT);

    free(block);
    evs_json_names_destroy(names);
    names = kept;
}


static int
set_up(void **state)
{
    names = evs_json_names_create();

    return (names == NULL);
}


static int
tear_down(void **state)
{
    evs_json_names_destroy(names);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_every_cut_and_change),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
