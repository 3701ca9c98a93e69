
/*
 * The member codec: what is written is read back, byte for byte and as short
 * as member.h says; what is cut short, changed or made up is never read out of
 * bounds (the sanitizers watch: each text stands in a block of its own size).
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/time.h"
#include "store/member.h"


#define ID   "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"

#define NAME40   "0123456789012345678901234567890123456789"
#define DATA200  "\"" NAME40 NAME40 NAME40 NAME40 NAME40 "\""


typedef struct {
    const char  *text;           /* with its quotes, if it is a string */
    int64_t      us;
    size_t       size;           /* of the timestamp in the member */
} member_time_t;


static const member_time_t  member_times[] = {

    /* integers: s, ms, µs, ns */
    { "0", 0, 2 },
    { "1", 1000000, 2 },
    { "255", 255000000, 2 },
    { "256", 256000000, 3 },
    { "1624422533", 1624422533000000, 5 },
    { "99999999999", 99999999999000000, 6 },
    { "1624422533298", 1624422533298000, 7 },
    { "99999999999999", 99999999999999000, 7 },
    { "1624422533298001", 1624422533298001, 8 },
    { "99999999999999999", 99999999999999999, 9 },
    { "1624422533298001999", 1624422533298001, 9 },
    { "9999999999999999999", 9999999999999999, 9 },
    { "10000000000000000000", 10000000000000000, 22 },
    { "253402300799999999999", 253402300799999999, 23 },

    /* decimals */
    { "0.0", 0, 3 },
    { "0.5", 500000, 3 },
    { "1.50", 1500000, 3 },
    { "1.000", 1000000, 4 },
    { "0.000001", 1, 3 },
    { "0.000000001", 0, 3 },
    { "0.0000000000000001", 0, 3 },
    { "0.000000000000000001", 0, 3 },
    { "0.0000000000000000001", 0, 23 },
    { "1624422533.298", 1624422533298000, 8 },
    { "1624422533.298001", 1624422533298001, 9 },
    { "1624422533.298001999", 1624422533298001, 10 },
    { "9999999999.999999999", 9999999999999999, 10 },
    { "1624422533298.001", 1624422533298001, 9 },
    { "1624422533298.001999", 1624422533298001, 10 },
    { "1624422533298001.999", 1624422533298001, 10 },
    { "1624422533298001999.9", 1624422533298001, 23 },
    { "1624422533.2980019991", 1624422533298001, 23 },

    /* other numbers, and date-times */
    { "1e9", 1000000000000000, 5 },
    { "1.624422533298E+9", 1624422533298000, 19 },
    { "1E0", 1000000, 5 },
    { "\"2021-06-23T04:28:53.298001Z\"", 1624422533298001, 31 },
    { "\"2021-06-23 06:28:53+02:00\"", 1624422533000000, 29 },
    { "\"0000-01-01T00:00:00Z\"", EVS_TIME_MIN_US, 24 },
    { "\"9999-12-31T23:59:59.999999Z\"", EVS_TIME_MAX_US, 31 }
};


typedef struct {
    evs_entry_type_e   type;
    const char        *name;
    const char        *id;
    const char        *category;
    const char        *data;
    size_t             size;         /* of the member beside its timestamp */
    const char        *child;        /* its end, behind the name */
} member_case_t;


static const member_case_t  member_cases[] = {
    { EVS_ENTRY_EVENT, "", NULL, NULL, NULL, 11, "}" },
    { EVS_ENTRY_EVENT, "a", NULL, NULL, NULL, 12, "}" },
    { EVS_ENTRY_EVENT, NAME40, NULL, NULL, NULL, 51, "}" },
    { EVS_ENTRY_EVENT, "\\u0001\\\"\xc3\xa9", NULL, NULL, NULL, 21, "}" },
    { EVS_ENTRY_EVENT, NAME40 NAME40 NAME40 NAME40, NULL, NULL, NULL, 171,
      "}" },

    { EVS_ENTRY_EVENT, "n", "x", NULL, NULL, 4, "}" },
    { EVS_ENTRY_EVENT, "n", NAME40, NULL, NULL, 43, "}" },
    { EVS_ENTRY_EVENT, "", "\x7f", NULL, NULL, 3, "}" },

    { EVS_ENTRY_EVENT, "n", NULL, "c", NULL, 28, ",\"category\":\"c\"}" },
    { EVS_ENTRY_EVENT, "n", NULL, "", NULL, 27, ",\"category\":\"\"}" },
    { EVS_ENTRY_EVENT, "n", NULL, NULL, "null", 25, ",\"data\":null}" },
    { EVS_ENTRY_EVENT, "", NULL, "c", "{}", 37,
      ",\"category\":\"c\",\"data\":{}}" },
    { EVS_ENTRY_EVENT, NAME40 NAME40 NAME40 NAME40, "i", "c", DATA200, 390,
      ",\"category\":\"c\",\"data\":" DATA200 "}" },

    { EVS_ENTRY_START, NULL, NULL, NULL, NULL, 9, NULL },
    { EVS_ENTRY_END, NULL, NULL, NULL, NULL, 9, NULL }
};


static void
member_str(ngx_str_t *str, const char *text)
{
    str->data = (u_char *) text;
    str->len = (text == NULL) ? 0 : strlen(text);
}


/* The case as a member of its exact size; free() it. */

static ngx_str_t
member_make(const member_case_t *mc, const member_time_t *mt)
{
    size_t        max;
    u_char       *last;
    ngx_str_t     text;
    evs_entry_t   entry;

    ngx_memzero(&entry, sizeof(evs_entry_t));

    entry.type = mc->type;
    entry.timestamp.us = mt->us;
    member_str(&entry.timestamp.text, mt->text);
    member_str(&entry.name, mc->name);
    member_str(&entry.id, mc->id);
    member_str(&entry.category, mc->category);
    member_str(&entry.data, mc->data);

    max = EVS_MEMBER_MAX + entry.timestamp.text.len + entry.name.len
          + entry.id.len + entry.category.len + entry.data.len;

    text.data = malloc(max);
    last = evs_member_write(text.data, &entry, (u_char *) ID);
    text.len = (size_t) (last - text.data);

    assert_true(text.len <= max);

    text.data = realloc(text.data, text.len);

    return text;
}


/* Asks everything of what claims to be a member. */

static ngx_int_t
member_use(const ngx_str_t *text)
{
    size_t         max;
    u_char        *buf;
    int64_t        us;
    evs_member_t   member;

    if (evs_member_read(&member, text) != NGX_OK) {
        return NGX_DECLINED;
    }

    assert_true(member.identity <= text->len);
    assert_true(member.identity <= EVS_MEMBER_IDENTITY_MAX);

    (void) evs_member_us(&member, &us);

    max = evs_member_timestamp_max(&member);
    buf = malloc(max);
    assert_true((size_t) (evs_member_timestamp(buf, &member) - buf) <= max);
    free(buf);

    if (member.type == EVS_ENTRY_EVENT) {
        max = evs_member_child_max(&member);
        buf = malloc(max);
        assert_true((size_t) (evs_member_child(buf, &member) - buf) <= max);
        free(buf);

        max = evs_member_batch_max(&member);
        buf = malloc(max);
        assert_true((size_t) (evs_member_batch(buf, &member) - buf) <= max);
        free(buf);
    }

    return NGX_OK;
}


static void
member_check(const member_case_t *mc, const member_time_t *mt)
{
    char           want[1024];
    u_char        *buf, *last;
    int64_t        us;
    ngx_str_t      text;
    evs_member_t   member;

    text = member_make(mc, mt);

    if (text.len != mc->size + mt->size) {
        fail_msg("%s and \"%s\": %zu bytes, not %zu", mt->text,
                 mc->name ? mc->name : "-", text.len, mc->size + mt->size);
    }

    assert_int_equal(member_use(&text), NGX_OK);
    assert_int_equal(evs_member_read(&member, &text), NGX_OK);
    assert_int_equal(member.type, mc->type);
    assert_int_equal(evs_member_us(&member, &us), NGX_OK);

    if (us != mt->us) {
        fail_msg("%s is %lld, not %lld", mt->text, (long long) us,
                 (long long) mt->us);
    }

    buf = malloc(text.len + 256);

    if (mc->type == EVS_ENTRY_EVENT) {
        snprintf(want, sizeof(want),
                 "{\"type\":\"EVENT\",\"timestamp\":%s,\"name\":\"%s\"%s",
                 mt->text, mc->name, mc->child);
        last = evs_member_child(buf, &member);

    } else {
        snprintf(want, sizeof(want), "%s", mt->text);
        last = evs_member_timestamp(buf, &member);
    }

    *last = '\0';
    assert_string_equal((char *) buf, want);

    free(buf);
    free(text.data);
}


static void
test_round_trips(void **state)
{
    size_t  i, k;

    for (i = 0; i < sizeof(member_cases) / sizeof(member_cases[0]); i++) {
        for (k = 0; k < sizeof(member_times) / sizeof(member_times[0]); k++) {
            member_check(&member_cases[i], &member_times[k]);
        }
    }
}


/* The times in the table are what event/time makes of them. */

static void
test_times(void **state)
{
    size_t                i, len;
    int64_t               us;
    ngx_int_t             rc;
    const u_char         *text;
    const member_time_t  *mt;

    for (i = 0; i < sizeof(member_times) / sizeof(member_times[0]); i++) {
        mt = &member_times[i];
        text = (const u_char *) mt->text;
        len = strlen(mt->text);

        rc = (*text == '"') ? evs_time_string(text + 1, len - 2, &us)
                            : evs_time_number(text, len, &us);

        assert_int_equal(rc, NGX_OK);
        assert_true(us == mt->us);
    }
}


/* What lies in somebody's Redis since the first version must stay readable. */

static void
test_golden(void **state)
{
    size_t         i;
    u_char         buf[256];
    ngx_str_t      text;
    evs_member_t   member;

    static const struct {
        const char  *member;
        size_t       len;
        const char  *child;
    } golden[] = {
        { "\x01" ID "\x04\x60\xd2\xb9\x85" "a", 17,
          "{\"type\":\"EVENT\",\"timestamp\":1624422789,\"name\":\"a\"}" },
        { "\x01" ID "\x06\x01\x7a\x37\xb6\x6a\xf2" "b", 19,
          "{\"type\":\"EVENT\",\"timestamp\":1624432339698,\"name\":\"b\"}" },
        { "\x01" ID "\x09\x02\x96" "c", 15,
          "{\"type\":\"EVENT\",\"timestamp\":1.50,\"name\":\"c\"}" },
        { "\x02\x03" "own" "\x20\x03" "1e9" "\x01" "d,\"data\":[1]", 23,
          "{\"type\":\"EVENT\",\"timestamp\":1e9,\"name\":\"d\","
          "\"data\":[1]}" },
        { "\x02\x01" "x" "\x00\x16" "\"2021-06-23T04:28:53Z\"" "e", 28,
          "{\"type\":\"EVENT\",\"timestamp\":\"2021-06-23T04:28:53Z\","
          "\"name\":\"e\"}" }
    };

    for (i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        text.data = (u_char *) golden[i].member;
        text.len = golden[i].len;

        assert_int_equal(evs_member_read(&member, &text), NGX_OK);

        *evs_member_child(buf, &member) = '\0';
        assert_string_equal((char *) buf, golden[i].child);
    }
}


/* What a batch's entry was sent without isn't there when it is read. */

static void
test_batch(void **state)
{
    size_t         i;
    u_char         buf[256], *last;
    ngx_str_t      text;
    evs_entry_t    entry;
    evs_member_t   member;

    static const struct {
        const char  *name;
        const char  *data;
        const char  *session;
        const char  *json;
    } batch[] = {
        { NULL, NULL, NULL, "{\"timestamp\":1.50}" },
        { NULL, "12312", NULL, "{\"timestamp\":1.50,\"data\":12312}" },
        { "", NULL, NULL, "{\"timestamp\":1.50,\"name\":\"\"}" },
        { NULL, NULL, "s", "{\"timestamp\":1.50,\"session_id\":\"s\"}" },
        { "n\\\"", "null", "s", "{\"timestamp\":1.50,\"name\":\"n\\\"\","
          "\"data\":null,\"session_id\":\"s\"}" }
    };

    for (i = 0; i < sizeof(batch) / sizeof(batch[0]); i++) {
        ngx_memzero(&entry, sizeof(evs_entry_t));

        entry.timestamp.us = 1500000;
        member_str(&entry.timestamp.text, "1.50");
        member_str(&entry.name, batch[i].name);
        member_str(&entry.data, batch[i].data);
        member_str(&entry.session, batch[i].session);

        last = evs_member_write(buf, &entry, (u_char *) ID);
        text.len = (size_t) (last - buf);
        text.data = malloc(text.len);
        memcpy(text.data, buf, text.len);

        assert_int_equal(member_use(&text), NGX_OK);
        assert_int_equal(evs_member_read(&member, &text), NGX_OK);
        assert_int_equal(member.nameless, batch[i].name == NULL);

        *evs_member_batch(buf, &member) = '\0';
        assert_string_equal((char *) buf, batch[i].json);

        free(text.data);
    }
}


/* A session's event and its copy in a batch differ by the session alone. */

static void
test_copy(void **state)
{
    size_t         i, k, max;
    u_char         event[512], *buf, *last;
    ngx_str_t      text, sid;
    evs_entry_t    entry;
    evs_member_t   member;

    static const char  *timestamps[] = { "5", "1.50", "1e9",
                                         "\"2021-06-23T04:28:53Z\"" };

    static const struct {
        const char  *name;
        const char  *category;
        const char  *data;
        const char  *application;
    } copies[] = {
        { "n", NULL, NULL, NULL },
        { NULL, NULL, NULL, NULL },
        { "", NULL, "null", NULL },
        { "n", "c", "{\"a\":1}", "shop" },
        { NULL, NULL, "1", "shop" },
        { NAME40 NAME40 NAME40 NAME40, NULL, NULL, NULL },
        { NAME40 NAME40 NAME40 NAME40, "c", NULL, NULL }
    };

    member_str(&sid, "a8098c1a-f86e-11da-bd1a-00112444be1e");

    for (i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        for (k = 0; k < sizeof(timestamps) / sizeof(timestamps[0]); k++) {
            ngx_memzero(&entry, sizeof(evs_entry_t));

            member_str(&entry.timestamp.text, timestamps[k]);
            member_str(&entry.name, copies[i].name);
            member_str(&entry.category, copies[i].category);
            member_str(&entry.data, copies[i].data);
            member_str(&entry.application, copies[i].application);

            last = evs_member_write(event, &entry, (u_char *) ID);
            text.data = event;
            text.len = (size_t) (last - event);

            assert_int_equal(evs_member_read(&member, &text), NGX_OK);
            assert_int_equal(evs_member_own_id(&member), 1);

            max = evs_member_copy_max(&member, &sid);
            buf = malloc(max);
            text.len = (size_t) (evs_member_copy(buf, &member, &sid) - buf);
            assert_true(text.len <= max);

            entry.session = sid;
            last = evs_member_write(event, &entry, (u_char *) ID);

            assert_int_equal(text.len, (size_t) (last - event));
            assert_memory_equal(buf, event, text.len);

            free(buf);
        }
    }
}


/* STARTs sort by their time, and so do ENDs: all that the key knows of it. */

static void
test_edges_sort(void **state)
{
    int         rc;
    size_t      i, k;
    ngx_str_t   a, b;

    static const member_case_t  end = {
        EVS_ENTRY_END, NULL, NULL, NULL, NULL, 0, NULL
    };

    for (i = 0; i < sizeof(member_times) / sizeof(member_times[0]); i++) {
        for (k = 0; k < sizeof(member_times) / sizeof(member_times[0]); k++) {
            a = member_make(&end, &member_times[i]);
            b = member_make(&end, &member_times[k]);

            rc = memcmp(a.data, b.data, 9);

            assert_true((rc < 0) == (member_times[i].us < member_times[k].us));
            assert_true((rc > 0) == (member_times[i].us > member_times[k].us));

            free(a.data);
            free(b.data);
        }
    }
}


static void
test_cut_short(void **state)
{
    size_t      i, k, len;
    u_char     *copy;
    ngx_str_t   text, cut;

    for (i = 0; i < sizeof(member_cases) / sizeof(member_cases[0]); i++) {
        for (k = 0; k < sizeof(member_times) / sizeof(member_times[0]); k++) {
            text = member_make(&member_cases[i], &member_times[k]);

            for (len = 0; len < text.len; len++) {
                copy = malloc(len + (len == 0));
                memcpy(copy, text.data, len);

                cut.data = copy;
                cut.len = len;

                (void) member_use(&cut);
                free(copy);
            }

            free(text.data);
        }
    }
}


static void
test_strangers(void **state)
{
    size_t     i;
    u_char    *copy;
    ngx_str_t  text;

    static const struct {
        const char  *text;
        size_t       len;
    } strangers[] = {
        { "", 0 },
        { "\x00", 1 },
        { "\x05", 1 },
        { "\xff", 1 },
        { "{\"type\":\"EVENT\"}", 16 },
        { "\x01", 1 },
        { "\x01" ID, 11 },
        { "\x01" ID "\x00", 12 },
        { "\x01" ID "\x00\x00", 13 },                /* an empty timestamp */
        { "\x01" ID "\x00\x80", 13 },
        { "\x01" ID "\x00\x05" "1234", 17 },
        { "\x01" ID "\x00\xff\xff\xff\xff\x7f", 17 },
        { "\x01" ID "\x00\xff\xff\xff\xff\xff\xff", 18 },
        { "\x01" ID "\x08" "1234567", 19 },
        { "\x01" ID "\x09", 12 },
        { "\x01" ID "\x09\x01", 13 },
        { "\x01" ID "\x09\x00\x01", 14 },            /* "1." */
        { "\x01" ID "\x09\x14\x01", 14 },            /* 20 digits */
        { "\x01" ID "\x09\xff\x01", 14 },
        { "\x01" ID "\x11" "12345678901234567890", 32 },
        { "\x01" ID "\x1f" "12345678901234567890", 32 },
        { "\x01" ID "\x41\x01" "a", 14 },            /* unknown flags */
        { "\x01" ID "\x81\x01" "a", 14 },
        { "\x01" ID "\x21\x01", 13 },
        { "\x01" ID "\x21\x01\x05" "a", 15 },
        { "\x01" ID "\x21\x01\xff\xff\xff\xff\x7f" "a", 19 },
        { "\x02", 1 },
        { "\x02\x01", 2 },
        { "\x02\xff" "abc", 5 },
        { "\x03", 1 },
        { "\x03" "12345678", 9 },
        { "\x04" "1234567", 8 }
    };

    for (i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        text.len = strangers[i].len;
        copy = malloc(text.len + (text.len == 0));
        memcpy(copy, strangers[i].text, text.len);
        text.data = copy;

        if (member_use(&text) != NGX_DECLINED) {
            fail_msg("stranger %zu was taken", i);
        }

        free(copy);
    }
}


/* Made up, with a front that leads far in; and good ones with bytes changed. */

static void
test_random(void **state)
{
    size_t      i, len, n;
    u_char     *copy;
    ngx_str_t   text, good;

    static const size_t  cases = sizeof(member_cases)
                                 / sizeof(member_cases[0]);
    static const size_t  times = sizeof(member_times)
                                 / sizeof(member_times[0]);

    srandom(1);

    for (n = 0; n < 300000; n++) {

        if (n % 2) {
            good = member_make(&member_cases[(size_t) random() % cases],
                               &member_times[(size_t) random() % times]);
            len = good.len;
            copy = good.data;

            for (i = 0; i < 1 + n % 3; i++) {
                copy[(size_t) random() % len] = (u_char) random();
            }

        } else {
            len = (size_t) random() % 48;
            copy = malloc(len + (len == 0));

            for (i = 0; i < len; i++) {
                copy[i] = (u_char) random();
            }

            if (len > 12) {
                copy[0] = (u_char) (1 + random() % 4);
                copy[11] &= 0x3f;
            }
        }

        text.data = copy;
        text.len = len;

        (void) member_use(&text);

        free(copy);
    }
}


static void
test_member_application(void **state)
{
    size_t         plain;
    u_char         buf[EVS_MEMBER_MAX + 100];
    ngx_str_t      text, cut;
    ngx_uint_t     more;
    evs_entry_t    entry;
    evs_member_t   member;

    (void) state;

    for (more = 0; more < 2; more++) {
        ngx_memzero(&entry, sizeof(evs_entry_t));

        entry.type = EVS_ENTRY_EVENT;
        member_str(&entry.timestamp.text, "1");
        member_str(&entry.name, "n");
        member_str(&entry.data, more ? "[]" : NULL);

        text.data = buf;
        plain = (size_t) (evs_member_write(buf, &entry, (u_char *) ID) - buf);

        member_str(&entry.application, "shop");
        text.len = (size_t) (evs_member_write(buf, &entry, (u_char *) ID)
                             - buf);

        assert_int_equal(text.len, plain + sizeof("shop"));
        assert_int_equal(evs_member_read(&member, &text), NGX_OK);
        assert_int_equal(member.application.len, 4);
        assert_memory_equal(member.application.data, "shop", 4);
        assert_int_equal(member.name.len, 1);
        assert_memory_equal(member.name.data, "n", 1);
        assert_int_equal(member.more.len, more ? sizeof(",\"data\":[]") - 1
                                               : 0);

        /* cut within it */

        cut.len = 1 + EVS_MEMBER_ID_LEN + 2 + 3;
        cut.data = malloc(cut.len);
        ngx_memcpy(cut.data, text.data, cut.len);
        assert_int_equal(evs_member_read(&member, &cut), NGX_DECLINED);
        free(cut.data);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_member_application),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_edges_sort),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_random)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
