
/*
 * The bodies of batches: what the scanner reads in them other than in a
 * message, as an array and as lines.  A case is a body and the outcome written
 * out.  Each also goes before the judge (scan_judge.h), in both forms, with
 * every body that begins like it.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scan_judge.h"
#include "scan_outcome.h"


#define SID     "e6fa79ca-d142-4046-a134-5134f16a0b5e"

/* an entry without a timestamp, in the outcome */
#define NOW     "EVENT 42000007 42.000007"
#define ONE     "EVENT 1000000 1"

#define DEEP_31                                                              \
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

#define SYNTAX  "syntax: invalid JSON at line "
#define MEMBER  "expected ',' or '}' after a value\n"
#define STAMP                                                                \
    "timestamp must be a number of seconds, milliseconds, microseconds or "  \
    "nanoseconds since the epoch, or an RFC 3339 date-time\n"


typedef struct {
    const char  *text;
    const char  *outcome;
} batch_case_t;


static evs_json_names_t  *names;

static const evs_limits_t  batch_limits = { 4, 12, 6, 24 };


/* as entries of an array, and each as a line */

static const batch_case_t  batch_entries[] = {
    { "{}", NOW "\n" },
    { "{\"timestamp\":1}", ONE "\n" },
    { "{\"data\":12312}", NOW " =12312\n" },
    { "{\"timestamp\":\"2019-10-04T01:52:07-03:00\",\"data\":12312}",
      "EVENT 1570164727000000 \"2019-10-04T01:52:07-03:00\" =12312\n" },
    { " { \"data\" : 1 , \"timestamp\" : 1 , } ", ONE " =1\n" },
    { "{\"timestamp\":1,\"data\":null}", ONE " =null\n" },
    { "{\"timestamp\":1,\"data\":false}", ONE " =false\n" },
    { "{\"timestamp\":1,\"data\":\"a\\/b\"}", ONE " =\"a\\/b\"\n" },
    { "{\"timestamp\":1,\"data\":[ {\"a\" : 1e400 , } , ]}",
      ONE " =[{\"a\":1e400}]\n" },
    { "{\"\\u0064ata\":1,\"\\u0074imestamp\":1}", ONE " =1\n" },

    /* a session, a name and a category, each alone and together */
    { "{\"timestamp\":1,\"session_id\":\"E6FA79CAD1424046A1345134F16A0B5E\"}",
      ONE " in " SID "\n" },
    { "{\"timestamp\":1,\"session_id\":\"\\u00656fa79ca-d142-4046-a134-"
      "5134f16a0b5e\",\"name\":\"\\u0061\",\"category\":\"b\\n\"}",
      ONE " \"a\" @\"b\\n\" in " SID "\n" },
    { "{\"timestamp\":1,\"name\":\"\"}", ONE " \"\"\n" },
    { "{\"timestamp\":1,\"category\":\"\"}", ONE " @\"\"\n" },

    /* what means something in a message only */
    { "{\"timestamp\":1,\"type\":\"SESSION_END\",\"id\":\"a b\"}", ONE "\n" },
    { "{\"timestamp\":1,\"type\":[null],\"id\":{\"id\":1}}", ONE "\n" },
    { "{\"timestamp\":1,\"user\":{\"timestamp\":2},\"Data\":1}", ONE "\n" },

    /* null is a value of data alone */
    { "{\"timestamp\":null}", "entry 0 timestamp: entry 0: " STAMP },
    { "{\"session_id\":null}",
      "entry 0 session_id: entry 0: session_id must be a string\n" },
    { "{\"name\":null}", "entry 0 name: entry 0: name must be a string\n" },
    { "{\"category\":null}",
      "entry 0 category: entry 0: category must be a string\n" },

    { "{\"timestamp\":\"2019-02-29T00:00:00Z\"}",
      "entry 0 timestamp: entry 0: " STAMP },
    { "{\"timestamp\":-1}", "entry 0 timestamp: entry 0: " STAMP },
    { "{\"timestamp\":\"\"}", "entry 0 timestamp: entry 0: " STAMP },
    { "{\"session_id\":\"\"}",
      "entry 0 session_id: entry 0: session_id must be a UUID\n" },
    { "{\"session_id\":\"a.1\"}",
      "entry 0 session_id: entry 0: session_id must be a UUID\n" },
    { "{\"name\":\"1234567890123\"}",
      "entry 0 name: entry 0: name is longer than 12 bytes\n" },
    { "{\"name\":\"\\u0000\"}",
      "entry 0 name: entry 0: name must not have \\u0000 in it\n" },
    { "{\"category\":\"1234567\"}",
      "entry 0 category: entry 0: category is longer than 6 characters\n" },
    { "{\"data\":1234567890123456789012345}",
      "entry 0 data: entry 0: data is longer than 24 bytes as compact "
      "JSON\n" },

    /* of several faults the first in this order, whatever the text's is */
    { "{\"data\":1234567890123456789012345,\"category\":1,\"name\":1,"
      "\"session_id\":1,\"timestamp\":{}}",
      "entry 0 timestamp: entry 0: " STAMP },
    { "{\"category\":1,\"name\":1,\"session_id\":1}",
      "entry 0 session_id: entry 0: session_id must be a string\n" },
    { "{\"category\":1,\"name\":1}",
      "entry 0 name: entry 0: name must be a string\n" },

    { "null", "entry 0: entry 0: must be an object\n" },
    { "[{}]", "entry 0: entry 0: must be an object\n" },
    { "\"a\"", "entry 0: entry 0: must be an object\n" }
};


static const batch_case_t  batch_arrays[] = {
    { "[]", "done 0\n" },
    { "[{},{\"timestamp\":1},]", NOW "\n" ONE "\ndone 2\n" },
    { "[{\"session_id\":\"" SID "\"},{}]",
      NOW " in " SID "\n" NOW "\ndone 2\n" },
    { "", SYNTAX "1, column 1: expected a value\n" },
    { "{\"timestamp\":1}",
      "syntax: expected an array of entries at line 1, column 1\n" },
    { "{}\n{}", SYNTAX "2, column 1: expected the end of the message\n" },
    { "[{},\n{\"timestamp\":x}]", NOW "\n" SYNTAX "2, column 14: expected a "
      "value\n" },
    { "[{}\n{}]", NOW "\n" SYNTAX "2, column 1: expected ',' or ']' after an "
      "entry\n" },
    { "[{\"type\":1,\"type\":1}]", SYNTAX "1, column 12: expected a name that "
      "its object does not have yet\n" },
    { "[{\"id\":tru}]", SYNTAX "1, column 8: expected a value\n" },

    /* a syntax fault goes before that of an entry, in front of it too */
    { "[{},{\"timestamp\":null},{}]",
      NOW "\nentry 1 timestamp: entry 1: " STAMP },
    { "[{},{\"timestamp\":null},{]", NOW "\n" SYNTAX "1, column 25: expected "
      "a name in double quotes\n" },

    { "[{},{},{},{}]", NOW "\n" NOW "\n" NOW "\n" NOW "\ndone 4\n" },
    { "[{},{},{},{},{}]", NOW "\n" NOW "\n" NOW "\n" NOW "\n"
      "entry 4: entry 4: a message may have at most 4 entries\n" }
};


static const batch_case_t  batch_lines[] = {
    { "", "done 0\n" },
    { "\n", "done 0\n" },
    { " \t\r\n\r\n \n", "done 0\n" },
    { "{}", NOW "\ndone 1\n" },
    { "{}\n", NOW "\ndone 1\n" },
    { "{}\r\n", NOW "\ndone 1\n" },
    { "\n\n {} \r\n\n\t{\"timestamp\":1}\n", NOW "\n" ONE "\ndone 2\n" },
    { "{\"session_id\":\"" SID "\"}\n{}\n",
      NOW " in " SID "\n" NOW "\ndone 2\n" },
    { "{\"data\":\"\\n\\\"\"}\n{\"data\":[1 ,]}",
      NOW " =\"\\n\\\"\"\n" NOW " =[1]\ndone 2\n" },

    /* a value ends on its line */
    { "{\n}", SYNTAX "1, column 2: expected a name in double quotes\n" },
    { "{\"timestamp\":1\n}", SYNTAX "1, column 15: " MEMBER },
    { "{\"timestamp\":1\r\n}", SYNTAX "1, column 16: " MEMBER },
    { "{\"timestamp\":\n1}", SYNTAX "1, column 14: expected a value\n" },
    { "{\"timestamp\":1.\n5}", SYNTAX "1, column 16: expected a digit\n" },
    { "{\"timestamp\":16\n24422533}", SYNTAX "1, column 16: " MEMBER },
    { "{\"data\":tr\nue}", SYNTAX "1, column 9: expected a value\n" },
    { "{\"data\":[1,\n2]}", SYNTAX "1, column 12: expected a value\n" },
    { "{\"data\":\"a\nb\"}",
      SYNTAX "1, column 11: expected '\"' at the end of a string\n" },
    { "{\"data\":\"\xc3\n\xa9\"}", SYNTAX "1, column 10: expected UTF-8\n" },
    { "{\"data\":\"\\u00\n61\"}",
      SYNTAX "1, column 10: expected four hex digits after \\u\n" },
    { "{\"data\":\"\\\n\"}",
      SYNTAX "1, column 10: expected one of the escapes of JSON\n" },

    /* one a line, with nothing behind it */
    { "{},\n{}",
      NOW "\n" SYNTAX "1, column 3: expected the end of the line after an "
      "entry\n" },
    { "{} {}",
      NOW "\n" SYNTAX "1, column 4: expected the end of the line after an "
      "entry\n" },
    { "{}\n{\"timestamp\":1}]\n",
      NOW "\n" ONE "\n" SYNTAX "2, column 16: expected the end of the line "
      "after an entry\n" },
    { "[{},\n{}]", SYNTAX "1, column 5: expected a value\n" },
    { "[{}]\n{}", "entry 0: entry 0: must be an object\n" },
    { "{}\n,", NOW "\n" SYNTAX "2, column 1: expected a value\n" },
    { "\xef\xbb\xbf{}", SYNTAX "1, column 1: expected a value\n" },

    /* the line of the body, whatever was rewritten above */
    { "{}\n\n{\"data\":[ 1 , 2 ]}\n{\"session_id\":1}\n",
      NOW "\n" NOW " =[1,2]\nentry 2 session_id: entry 2: session_id must be "
      "a string\n" },
    { "{\"data\":[ 1 , 2 ]}\r\n\r\n{\"name\":\"\\u0061\"}\r\n {\"name\" 1}\r\n",
      NOW " =[1,2]\n" NOW " \"a\"\n" SYNTAX "4, column 10: expected ':' after "
      "a name\n" },
    { "{\"timestamp\":null}\n\n{x}",
      SYNTAX "3, column 2: expected a name in double quotes\n" },
    { "{}\n{}\n{}\n{}\n\n", NOW "\n" NOW "\n" NOW "\n" NOW "\ndone 4\n" },
    { "{}\n{}\n{}\n{}\n\n{}", NOW "\n" NOW "\n" NOW "\n" NOW "\n"
      "entry 4: entry 4: a message may have at most 4 entries\n" },

    /* a line is a text of its own: it may nest to 32 */
    { "{\"x\":" DEEP_31 "}", NOW "\ndone 1\n" },
    { "{\"x\":" DEEP_31 "}\n{\"x\":[" DEEP_31 "]}",
      NOW "\n" SYNTAX "2, column 37: expected at most 32 arrays and objects "
      "in each other\n" }
};


static void
batch_outcome(char *p, const char *text, size_t len, ngx_uint_t kind,
    ngx_uint_t lines)
{
    u_char      *copy;
    evs_scan_t   scan;

    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);

    evs_scan_init_batch(&scan, copy, len, kind, &batch_limits, names,
                        &judge_now, lines);
    outcome_write(p, &scan);

    free(copy);
}


static void
batch_judge(const char *text, size_t len)
{
    const char  *differs;

    differs = judge_batch((const u_char *) text, len, &batch_limits,
                          EVS_SID_UUID, JUDGE_BATCH, names);

    if (differs == NULL) {
        differs = judge_batch((const u_char *) text, len, &batch_limits,
                              EVS_SID_ANY, JUDGE_LINES, names);
    }

    if (differs != NULL) {
        fail_msg("scanner and judge differ: %s: %.*s", differs, (int) len,
                 text);
    }
}


static void
batch_check(const char *text, const char *outcome, ngx_uint_t lines)
{
    char    *found;
    size_t   n;

    found = malloc(OUTCOME_MAX);
    batch_outcome(found, text, strlen(text), EVS_SID_UUID, lines);

    if (strcmp(found, outcome) != 0) {
        fail_msg("%s\nis\n%sbut should be\n%s", text, found, outcome);
    }

    free(found);

    for (n = 0; n <= strlen(text); n++) {
        batch_judge(text, n);
    }
}


static void
test_entries(void **state)
{
    char                 text[1024], outcome[1024];
    size_t               i;
    const batch_case_t  *bc;

    for (i = 0; i < sizeof(batch_entries) / sizeof(batch_entries[0]); i++) {
        bc = &batch_entries[i];

        (void) sprintf(outcome, "%s%s", bc->outcome,
                       (strncmp(bc->outcome, "entry", 5) == 0) ? ""
                                                               : "done 1\n");

        (void) sprintf(text, "[%s]", bc->text);
        batch_check(text, outcome, 0);

        (void) sprintf(text, "%s\r\n", bc->text);
        batch_check(text, outcome, 1);
    }
}


static void
test_arrays(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(batch_arrays) / sizeof(batch_arrays[0]); i++) {
        batch_check(batch_arrays[i].text, batch_arrays[i].outcome, 0);
    }
}


static void
test_lines(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(batch_lines) / sizeof(batch_lines[0]); i++) {
        batch_check(batch_lines[i].text, batch_lines[i].outcome, 1);
    }
}


/* Any byte in the place of any other: still what jansson says. */

static void
test_bytes(void **state)
{
    char    text[1024];
    size_t  i, k, n, len;

    static const char  *bodies[] = {
        "[{\"timestamp\":\"2019-10-04T01:52:07-03:00\",\"data\":[12312,]},\n"
        "{\"session_id\":\"" SID "\",\"name\":\"a\\u0042c\"}]",

        "{\"timestamp\":1624422533298,\"data\":{\"a\":[1.5,-2e3,]}}\r\n\n"
        "{\"category\":\"\xc3\xa9\",\"id\":7,\"data\":\"\\\"x\"}\n{}"
    };

    static const char  bytes[] = {
        '"', '\\', ',', ':', '[', ']', '{', '}', ' ', '0', '1', '9', '-',
        '+', '.', 'e', 'u', 'T', 'a', '\n', '\r', '\0', '\x7f', '\x80',
        '\xc3'
    };

    for (n = 0; n < sizeof(bodies) / sizeof(bodies[0]); n++) {
        len = strlen(bodies[n]);
        memcpy(text, bodies[n], len);

        for (i = 0; i < len; i++) {
            for (k = 0; k < sizeof(bytes); k++) {
                text[i] = bytes[k];
                batch_judge(text, len);
            }

            text[i] = bodies[n][i];
        }
    }
}


/* With EVS_SID_ANY: up to 128 bytes, and what is right in the fault. */

static void
test_any_session(void **state)
{
    char  text[256], found[1024], outcome[1024];

    (void) sprintf(text, "[{\"session_id\":\"%0128d\"}]", 0);
    (void) sprintf(outcome, NOW " in %0128d\ndone 1\n", 0);

    batch_outcome(found, text, strlen(text), EVS_SID_ANY, 0);
    assert_string_equal(found, outcome);

    (void) sprintf(text, "[{\"session_id\":\"%0129d\"}]", 0);

    batch_outcome(found, text, strlen(text), EVS_SID_ANY, 0);
    assert_string_equal(found, "entry 0 session_id: entry 0: session_id must "
                               "be 1 to 128 of A-Z a-z 0-9 . _ ~ -\n");
}


/* Date-times as anyone may write them, right and wrong: what the judge says. */

static void
test_date_times(void **state)
{
    char      text[128];
    size_t    len;
    uint32_t  i, n;

    static const char  *fractions[] = { "", ".5", ",123456", ".9999999", "." };

    static const char  *zones[] = {
        "Z", "z", "", "+00:00", "-03:00", "+0530", "-11", "+23:59", "+24:00",
        "+3", "+01:60", "Zx"
    };

    n = 1;

    for (i = 0; i < 5000; i++) {
        n = n * 1664525 + 1013904223;

        len = (size_t) sprintf(text, "[{\"timestamp\":\"%04u-%02u-%02u%c",
                               (n >> 8) % 10000, (n >> 9) % 14,
                               (n >> 13) % 33, "TTTTt _"[(n >> 20) % 7]);

        n = n * 1664525 + 1013904223;

        len += (size_t) sprintf(text + len, "%02u:%02u", (n >> 8) % 25,
                                (n >> 16) % 61);

        if (n >> 29 != 0) {
            len += (size_t) sprintf(text + len, ":%02u%s", (n >> 12) % 62,
                                    fractions[(n >> 22) % 5]);
        }

        len += (size_t) sprintf(text + len, "%s\"}]", zones[(n >> 10) % 12]);

        /* and half of them with another byte somewhere */

        if (n >> 31) {
            n = n * 1664525 + 1013904223;
            text[15 + (n >> 8) % (len - 18)] = "0123456789:-T+. Z/;@"[(n >> 16)
                                                                     % 20];
        }

        batch_judge(text, len);
    }
}


static int
batch_setup(void **state)
{
    names = evs_json_names_create();

    return names == NULL;
}


static int
batch_teardown(void **state)
{
    evs_json_names_destroy(names);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_any_session),
        cmocka_unit_test(test_date_times)
    };

    return cmocka_run_group_tests(tests, batch_setup, batch_teardown);
}
