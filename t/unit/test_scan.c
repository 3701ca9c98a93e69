
/*
 * The entry scanner.  A case is a message and the outcome written out: its
 * entries, then "done"; or the fault.  Short ones are in the table, longer
 * ones in t/unit/scan/<case>/{input,expect}.  Each also goes before the judge
 * (scan_judge.h), with every message that begins like it.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>

#include "scan_judge.h"
#include "scan_outcome.h"

#include "event/lex.h"


#define SID     "e6fa79ca-d142-4046-a134-5134f16a0b5e"

/* an EVENT with more members, and its line in the outcome */
#define EVENT(more)                                                          \
    "{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"a\"" more "}"
#define LINE    "EVENT 1000000 1 \"a\""

#define DEEP_31                                                              \
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

#define AT      "invalid JSON at line 1, column "
#define STAMP                                                                \
    "timestamp must be a number of seconds, milliseconds, microseconds or "  \
    "nanoseconds since the epoch, or an RFC 3339 date-time\n"
#define TYPE                                                                 \
    "type must be \"EVENT\", \"SESSION_START\" or \"SESSION_END\"\n"
#define FOREIGN                                                              \
    "event session_id does not match sessionId parameter: " SID "\n"


typedef struct {
    const char  *text;
    const char  *outcome;
} scan_case_t;


extern ngx_int_t  ngx_shim_allocs;

static evs_json_names_t  *names;

static const evs_sid_t  scan_sid = { 36, SID };
static const evs_sid_t  scan_any = { 3, "a.1" };

static const evs_limits_t  scan_limits = { 4, 12, 6, 24 };


static const scan_case_t  scan_cases[] = {
    { "[]", "done 0\n" },
    { " [ ] \n", "done 0\n" },
    { "[" EVENT("") "]", LINE "\ndone 1\n" },
    { "[" EVENT("") ",]", LINE "\ndone 1\n" },
    { "[" EVENT(",") " , " EVENT(" ") "\n]", LINE "\n" LINE "\ndone 2\n" },
    { "[{\"type\":\"SESSION_START\",\"timestamp\":1.50}]",
      "START 1500000 1.50\ndone 1\n" },
    { "[{\"timestamp\":1,\"type\":\"SESSION_END\",\"session_id\":\"" SID
      "\"}]", "END 1000000 1\ndone 1\n" },

    /* whole messages */
    { "", "syntax: " AT "1: expected a value\n" },
    { "  ", "syntax: " AT "3: expected a value\n" },
    { "\xef\xbb\xbf[]", "syntax: " AT "1: expected a value\n" },
    { "{}", "syntax: expected an array of entries at line 1, column 1\n" },
    { " \n null ",
      "syntax: expected an array of entries at line 2, column 2\n" },
    { "{\"a\" 1}", "syntax: " AT "6: expected ':' after a name\n" },
    { "null x", "syntax: " AT "6: expected the end of the message\n" },
    { "[] x", "syntax: " AT "4: expected the end of the message\n" },
    { "[],", "syntax: " AT "3: expected the end of the message\n" },
    { "[1,] x", "syntax: " AT "6: expected the end of the message\n" },
    { "[", "syntax: " AT "2: expected a value\n" },
    { "[,]", "syntax: " AT "2: expected a value\n" },
    { "[1,,]", "syntax: " AT "4: expected a value\n" },
    { "[1", "syntax: " AT "3: expected ',' or ']' after an entry\n" },
    { "[1 2]", "syntax: " AT "4: expected ',' or ']' after an entry\n" },
    { "[1}", "syntax: " AT "3: expected ',' or ']' after an entry\n" },

    /* objects, as far as the scanner reads them itself */
    { "[{", "syntax: " AT "3: expected a name in double quotes\n" },
    { "[{,}]", "syntax: " AT "3: expected a name in double quotes\n" },
    { "[{type:1}]", "syntax: " AT "3: expected a name in double quotes\n" },
    { "[{\"type\" \"EVENT\"}]", "syntax: " AT "10: expected ':' after a "
      "name\n" },
    { "[{\"type\":}]", "syntax: " AT "10: expected a value\n" },
    { "[{\"type\":1,,}]", "syntax: " AT "12: expected a name in double "
      "quotes\n" },
    { "[{\"type\":1 \"name\":1}]", "syntax: " AT "12: expected ',' or '}' "
      "after a value\n" },
    { "[{\"type\":1]]", "syntax: " AT "11: expected ',' or '}' after a "
      "value\n" },
    { "[{\"timestamp\":01}]", "syntax: " AT "16: expected ',' or '}' after a "
      "value\n" },
    { "[{\"timestamp\":1.}]", "syntax: " AT "17: expected a digit\n" },
    { "[{\"timestamp\":+1}]", "syntax: " AT "15: expected a value\n" },
    { "[{\"name\":\"\xff\"}]", "syntax: " AT "11: expected UTF-8\n" },
    { "[{\"name\":\"\\ud800\"}]", "syntax: " AT "11: expected both halves of "
      "a surrogate pair\n" },
    { "[{\"name\":\"\t\"}]", "syntax: " AT "11: expected an escape in place "
      "of a control character\n" },
    { "[{\"a\\u0000\":1}]", "syntax: " AT "3: expected a name without "
      "\\u0000\n" },
    { "[{\"\":1,\"x\":{\"a\\u0000\":1}}]", "syntax: " AT "13: expected a name "
      "without \\u0000\n" },

    /* duplicate names: known, unknown, escaped, in scopes of their own */
    { "[{\"type\":1,\"type\":1}]", "syntax: " AT "12: expected "
      EVS_LEX_DUPLICATE "\n" },
    { "[{\"type\":1,\"t\\u0079pe\":1}]", "syntax: " AT "12: expected "
      EVS_LEX_DUPLICATE "\n" },
    { "[{\"t\\u0079pe\":1,\"type\":1}]", "syntax: " AT "17: expected "
      EVS_LEX_DUPLICATE "\n" },
    { "[{\"a\":1,\"b\":{\"a\":1},\"\\u0061\":1}]", "syntax: " AT "21: "
      "expected " EVS_LEX_DUPLICATE "\n" },
    { "[" EVENT(",\"data\":{\"a\":1,\"a\":2}") "]", "syntax: " AT "57: "
      "expected " EVS_LEX_DUPLICATE "\n" },
    { "[" EVENT(",\"data\":{\"name\":{\"name\":1}},\"x\":1,\"y\":{\"x\":1}")
      "]", LINE " ={\"name\":{\"name\":1}}\ndone 1\n" },
    { "[{\"\\u0074ype\":\"EVENT\",\"time\\u0073tamp\":1,\"n\\u0061me\":\"a\"}]",
      LINE "\ndone 1\n" },

    /* which fault is told: syntax, then the first entry's, then its first */
    { "[1,2]", "entry 0: entry 0: must be an object\n" },
    { "[" EVENT("") ",[]]", LINE "\nentry 1: entry 1: must be an object\n" },
    { "[1,{\"a\"}]", "syntax: " AT "8: expected ':' after a name\n" },
    { "[" EVENT("") "," DEEP_31 "," DEEP_31 "]",
      LINE "\nentry 1: entry 1: must be an object\n" },
    { "[" EVENT("") "," DEEP_31 ",[" DEEP_31 "]]",
      LINE "\nsyntax: " AT "138: expected at most 32 arrays and objects in "
      "each other\n" },
    { "[1,]]", "syntax: " AT "5: expected the end of the message\n" },
    { "[{},{\"type\":\"EVENT\"}]", "entry 0 type: entry 0: type is "
      "required\n" },
    { "[{\"name\":1,\"timestamp\":\"x\",\"type\":\"x\"}]",
      "entry 0 type: entry 0: " TYPE },
    { "[{\"name\":1,\"timestamp\":\"x\",\"session_id\":1,\"type\":\"EVENT\"}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"name\":1,\"timestamp\":1,\"session_id\":1,\"type\":\"EVENT\"}]",
      "entry 0 session_id: entry 0: session_id must be a string\n" },
    { "[{\"data\":\"1234567890123456789012345\",\"category\":1,\"id\":1,"
      "\"name\":1,\"timestamp\":1,\"type\":\"EVENT\"}]",
      "entry 0 name: entry 0: name must be a string\n" },
    { "[" EVENT(",\"data\":\"1234567890123456789012345\",\"category\":1,"
      "\"id\":1") "]", "entry 0 id: entry 0: id must be a string\n" },
    { "[" EVENT(",\"data\":\"1234567890123456789012345\",\"category\":1") "]",
      "entry 0 category: entry 0: category must be a string\n" },
    { "[" EVENT("") "," EVENT("") "," EVENT("") "," EVENT("") "]",
      LINE "\n" LINE "\n" LINE "\n" LINE "\ndone 4\n" },
    { "[" EVENT("") "," EVENT("") "," EVENT("") "," EVENT("") ",1]",
      LINE "\n" LINE "\n" LINE "\n" LINE "\n"
      "entry 4: entry 4: a message may have at most 4 entries\n" },
    { "[" EVENT("") "," EVENT("") "," EVENT("") "," EVENT("") ",1,x]",
      LINE "\n" LINE "\n" LINE "\n" LINE "\n"
      "syntax: " AT "172: expected a value\n" },

    /* type */
    { "[{\"timestamp\":1,\"name\":\"a\"}]",
      "entry 0 type: entry 0: type is required\n" },
    { "[{\"type\":null,\"timestamp\":1}]", "entry 0 type: entry 0: " TYPE },
    { "[{\"type\":\"event\",\"timestamp\":1}]",
      "entry 0 type: entry 0: " TYPE },
    { "[{\"type\":\"EVENT\\u0000\",\"timestamp\":1}]",
      "entry 0 type: entry 0: " TYPE },
    { "[{\"type\":\"\\u0053ESSION_START\",\"timestamp\":1}]",
      "START 1000000 1\ndone 1\n" },

    /* timestamp: as it came, and in µs */
    { "[{\"type\":\"SESSION_END\"}]",
      "entry 0 timestamp: entry 0: timestamp is required\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":null}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":-0}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":1e999}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":[1]}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"2021-02-29T00:00Z\"}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"1624422533\"}]",
      "entry 0 timestamp: entry 0: " STAMP },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":1624422533.298001E0 }]",
      "END 1624422533298001 1624422533.298001E0\ndone 1\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":16E8}]",
      "END 1600000000000000 16E8\ndone 1\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"2021-06-23 04:28:53.303\"}]",
      "END 1624422533303000 \"2021-06-23 04:28:53.303\"\ndone 1\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"2021\\u002d06-23T04:28Z\"}]",
      "END 1624422480000000 \"2021-06-23T04:28Z\"\ndone 1\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"1969-12-31T23:59:59.5Z\"}]",
      "END -500000 \"1969-12-31T23:59:59.5Z\"\ndone 1\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"2021-06-23T04:28:53.000001"
      "000000000000000000000000000000000000000000000000000000000000000000000"
      "000000000000000000000000000000000000000000\\u0030\"}]",
      "END 1624422533000001 \"2021-06-23T04:28:53.000001"
      "000000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000000000000000000000000000000000000\"\ndone 1\n" },
    { "[{\"type\":\"SESSION_END\",\"timestamp\":\"\\n\\n\"},x]",
      "syntax: " AT "44: expected a value\n" },

    /* session_id, on any type */
    { "[" EVENT(",\"session_id\":\"E6FA79CAD1424046A1345134F16A0B5E\"") "]",
      LINE "\ndone 1\n" },
    { "[" EVENT(",\"session_id\":\"\\u00656fa79ca-d142-4046-a134-"
      "5134f16a0b5e\"") "]", LINE "\ndone 1\n" },
    { "[" EVENT(",\"session_id\":\"06fa79ca-d142-4046-a134-5134f16a0b5e\"")
      "]", "session 0 session_id: " FOREIGN },
    { "[" EVENT("") ",{\"type\":\"SESSION_END\",\"timestamp\":1,"
      "\"session_id\":\"\"}]", LINE "\nsession 1 session_id: " FOREIGN },
    { "[" EVENT(",\"session_id\":\"a.1\"") "]",
      "session 0 session_id: " FOREIGN },
    { "[" EVENT(",\"session_id\":null") "]",
      "entry 0 session_id: entry 0: session_id must be a string\n" },

    /* name: 12 bytes, however they are written */
    { "[{\"type\":\"EVENT\",\"timestamp\":1}]",
      "entry 0 name: entry 0: name is required\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":null}]",
      "entry 0 name: entry 0: name must be a string\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"\"}]",
      "EVENT 1000000 1 \"\"\ndone 1\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"123456789012\"}]",
      "EVENT 1000000 1 \"123456789012\"\ndone 1\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"1234567890123\"}]",
      "entry 0 name: entry 0: name is longer than 12 bytes\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"\\u0001\\n\\\"\\\\\\/"
      "\\u00e9\\ud83d\\ude00z\"}]",
      "EVENT 1000000 1 \"\\u0001\\n\\\"\\\\/\xc3\xa9\xf0\x9f\x98\x80z\"\n"
      "done 1\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"\\u0001\\n\\\"\\\\\\/"
      "\\u00e9\\ud83d\\ude00zz\"}]",
      "entry 0 name: entry 0: name is longer than 12 bytes\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"\\u0000\"}]",
      "entry 0 name: entry 0: name must not have \\u0000 in it\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"\\u0010\\u0001\"}]",
      "EVENT 1000000 1 \"\\u0010\\u0001\"\ndone 1\n" },
    { "[{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"\\\\u0000\"}]",
      "EVENT 1000000 1 \"\\\\u0000\"\ndone 1\n" },

    /* id */
    { "[" EVENT(",\"id\":\"\\u0041!~\\\"\\\\\\/\"") "]",
      LINE " #A!~\"\\/\ndone 1\n" },
    { "[" EVENT(",\"id\":\"1234567890123456789012345678901234567890123456789012"
      "345678901234\"") "]", LINE " #123456789012345678901234567890123456789012"
      "3456789012345678901234\ndone 1\n" },
    { "[" EVENT(",\"id\":\"1234567890123456789012345678901234567890123456789012"
      "3456789012345\"") "]", "entry 0 id: entry 0: id must be 1 to 64 "
      "printable ASCII characters without a space\n" },
    { "[" EVENT(",\"id\":\"\"") "]", "entry 0 id: entry 0: id must be 1 to 64 "
      "printable ASCII characters without a space\n" },
    { "[" EVENT(",\"id\":\"a b\"") "]", "entry 0 id: entry 0: id must be 1 to "
      "64 printable ASCII characters without a space\n" },
    { "[" EVENT(",\"id\":\"\xc3\xa9\"") "]", "entry 0 id: entry 0: id must be "
      "1 to 64 printable ASCII characters without a space\n" },
    { "[" EVENT(",\"id\":\"\x7f\"") "]", "entry 0 id: entry 0: id must be "
      "1 to 64 printable ASCII characters without a space\n" },
    { "[" EVENT(",\"id\":\"\\u0000\"") "]", "entry 0 id: entry 0: id must be "
      "1 to 64 printable ASCII characters without a space\n" },
    { "[" EVENT(",\"id\":null") "]",
      "entry 0 id: entry 0: id must be a string\n" },

    /* category: 6 characters */
    { "[" EVENT(",\"category\":\"\"") "]", LINE " @\"\"\ndone 1\n" },
    { "[" EVENT(",\"category\":\"\xe6\x9d\xb1\xc3\xa9\\u00e9\\n\\u0001z\"")
      "]", LINE " @\"\xe6\x9d\xb1\xc3\xa9\xc3\xa9\\n\\u0001z\"\ndone 1\n" },
    { "[" EVENT(",\"category\":\"\xe6\x9d\xb1\xc3\xa9\\u00e9\\n\\u0001zz\"")
      "]", "entry 0 category: entry 0: category is longer than 6 "
      "characters\n" },
    { "[" EVENT(",\"category\":\"a\\u0000\"") "]",
      "entry 0 category: entry 0: category must not have \\u0000 in it\n" },
    { "[" EVENT(",\"category\":null") "]",
      "entry 0 category: entry 0: category must be a string\n" },

    /* data: 24 bytes once it is compact */
    { "[" EVENT(",\"data\":null") "]", LINE " =null\ndone 1\n" },
    { "[" EVENT(",\"data\": { \"a\" : [ 1 , 2 , ] , } ") "]",
      LINE " ={\"a\":[1,2]}\ndone 1\n" },
    { "[" EVENT(",\"data\":{\"a\":[1,2,]}") "]",
      LINE " ={\"a\":[1,2]}\ndone 1\n" },
    { "[" EVENT(",\"data\": \" , ] \\u0000\\u00E9\" ") "]",
      LINE " =\" , ] \\u0000\\u00E9\"\ndone 1\n" },
    { "[" EVENT(",\"data\":1e999") "]", LINE " =1e999\ndone 1\n" },
    { "[" EVENT(",\"data\":-0.0") "]", LINE " =-0.0\ndone 1\n" },
    { "[" EVENT(",\"data\":123456789012345678901234") "]",
      LINE " =123456789012345678901234\ndone 1\n" },
    { "[" EVENT(",\"data\":1234567890123456789012345") "]",
      "entry 0 data: entry 0: data is longer than 24 bytes as compact "
      "JSON\n" },
    { "[" EVENT(",\"data\":[ 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 12, ]") "]",
      LINE " =[1,2,3,4,5,6,7,8,9,0,12]\ndone 1\n" },
    { "[" EVENT(",\"data\":[ 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 123, ]") "]",
      "entry 0 data: entry 0: data is longer than 24 bytes as compact "
      "JSON\n" },

    /* START and END have none of these, so they may be anything */
    { "[{\"type\":\"SESSION_START\",\"timestamp\":1,\"name\":1,\"id\":1,"
      "\"category\":1,\"data\":\"1234567890123456789012345\"}]",
      "START 1000000 1\ndone 1\n" },
    { "[" EVENT(",\"x\":1,\"Name\":2,\"names\":3,\"i\":[{\"id\":1}]") "]",
      LINE "\ndone 1\n" },

    /* a fault lies where it was sent, whatever was rewritten before */
    { "[\n" EVENT(",\"data\":[\n1\n,\n2,\n3\n]") ",\n"
      "{\"type\":\"EVENT\",\n \"timestamp\"\n 1}]",
      LINE " =[1,2,3]\nsyntax: invalid JSON at line 10, column 2: expected "
      "':' after a name\n" },
    { "[" EVENT(",\"data\":[ \n 1 ]") ", " EVENT(",\"id\":\"\\u0041\"") " x]",
      LINE " =[1]\n" LINE " #A\nsyntax: invalid JSON at line 2, column 64: "
      "expected ',' or ']' after an entry\n" },
    { "[" EVENT(",\"id\":\"\\n\\n\\n\"") ",x]",
      "syntax: " AT "58: expected a value\n" }
};


/* What the scanner makes of a text, as the cases have it. */

static void
scan_outcome(char *p, const char *text, size_t len, const evs_sid_t *sid,
    ngx_uint_t kind, const evs_limits_t *limits)
{
    u_char      *copy;
    evs_scan_t   scan;

    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);

    evs_scan_init(&scan, copy, len, sid, kind, limits, names);
    outcome_write(p, &scan);

    free(copy);
}


static void
scan_judge(const char *text, size_t len)
{
    const char  *differs;

    differs = judge_message((const u_char *) text, len, &scan_limits,
                            &scan_sid, EVS_SID_UUID, names);

    if (differs == NULL) {
        differs = judge_message((const u_char *) text, len, &scan_limits,
                                &scan_any, EVS_SID_ANY, names);
    }

    if (differs != NULL) {
        fail_msg("scanner and judge differ: %s: %.*s", differs, (int) len,
                 text);
    }
}


static void
scan_check(const char *name, const char *text, size_t len,
    const char *outcome)
{
    char    *found;
    size_t   n;

    found = malloc(OUTCOME_MAX);
    scan_outcome(found, text, len, &scan_sid, EVS_SID_UUID, &scan_limits);

    if (strcmp(found, outcome) != 0) {
        fail_msg("%s\nis\n%sbut should be\n%s", name, found, outcome);
    }

    free(found);

    for (n = 0; n <= len; n++) {
        scan_judge(text, n);
    }
}


static void
test_cases(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
        scan_check(scan_cases[i].text, scan_cases[i].text,
                   strlen(scan_cases[i].text), scan_cases[i].outcome);
    }
}


static char *
scan_file(const char *dir, const char *name, const char *file, size_t *len)
{
    char    path[PATH_MAX], *buf;
    FILE   *f;

    (void) snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);

    f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
    }

    buf = malloc(OUTCOME_MAX);
    *len = fread(buf, 1, OUTCOME_MAX - 1, f);
    buf[*len] = '\0';

    (void) fclose(f);

    return buf;
}


static void
test_folders(void **state)
{
    DIR            *d;
    char            dir[PATH_MAX], *input, *expect;
    size_t          len, n, count;
    struct dirent  *de;

    /* beside this file, as the compiler was told its name */

    (void) snprintf(dir, sizeof(dir), "%.*sscan",
                    (int) (strlen(__FILE__) - strlen("test_scan.c")),
                    __FILE__);

    d = opendir(dir);
    if (d == NULL) {
        fail_msg("%s: %s", dir, strerror(errno));
    }

    count = 0;

    while ((de = readdir(d)) != NULL) {

        if (de->d_name[0] == '.') {
            continue;
        }

        input = scan_file(dir, de->d_name, "input", &len);
        expect = scan_file(dir, de->d_name, "expect", &n);

        scan_check(de->d_name, input, len, expect);

        free(input);
        free(expect);
        count++;
    }

    (void) closedir(d);

    assert_true(count > 0);
}


/* Any byte in the place of any other: still what jansson says. */

static void
test_bytes(void **state)
{
    char    text[1024];
    size_t  i, k, n, len;

    static const char  *messages[] = {
        "[{\"timestamp\":1624422533298,\"type\":\"EVENT\",\"name\":"
        "\"a\\u0042c\",\"id\":\"x\\\"y\",\"category\":\"\xc3\xa9\\n\","
        "\"data\":{\"a\":[1.5,-2e3,],\"\\u0062\":null}},]",

        "[{\"type\":\"SESSION_START\",\"session_id\":\"" SID "\", "
        "\"timestamp\":\"2016-12-31T23:59:60.123456+00:00\"},{}]"
    };

    static const char  bytes[] = {
        '"', '\\', ',', ':', '[', ']', '{', '}', ' ', '0', '1', '9', '-',
        '+', '.', 'e', 'u', 'T', 'a', '\n', '\0', '\x7f', '\x80', '\xc3'
    };

    for (n = 0; n < sizeof(messages) / sizeof(messages[0]); n++) {
        len = strlen(messages[n]);
        memcpy(text, messages[n], len);

        for (i = 0; i < len; i++) {
            for (k = 0; k < sizeof(bytes); k++) {
                text[i] = bytes[k];
                scan_judge(text, len);
            }

            text[i] = messages[n][i];
        }
    }
}


/* With EVS_SID_ANY the URL's id, and its canonical form in the fault. */

static void
test_any_session(void **state)
{
    size_t      i;
    char        found[1024];
    evs_sid_t   long_sid;

    static const scan_case_t  cases[] = {
        { "[" EVENT(",\"session_id\":\"a.1\"") "]", LINE "\ndone 1\n" },
        { "[" EVENT(",\"session_id\":\"a\\u002e1\"") "]", LINE "\ndone 1\n" },
        { "[" EVENT(",\"session_id\":\"A.1\"") "]", "session 0 session_id: "
          "event session_id does not match sessionId parameter: a.1\n" },
        { "[" EVENT(",\"session_id\":\"a 1\"") "]", "session 0 session_id: "
          "event session_id does not match sessionId parameter: a.1\n" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scan_outcome(found, cases[i].text, strlen(cases[i].text), &scan_any,
                     EVS_SID_ANY, &scan_limits);
        assert_string_equal(found, cases[i].outcome);
    }

    /* the longest fits in the text */

    long_sid.len = EVS_SID_MAX;
    memset(long_sid.data, '~', EVS_SID_MAX);

    scan_outcome(found, cases[0].text, strlen(cases[0].text), &long_sid,
                 EVS_SID_ANY, &scan_limits);

    assert_int_equal(strspn(strchr(found, '~'), "~"), EVS_SID_MAX);
}


/*
 * Blanks, newlines and escapes in each entry of a long message: the places of
 * faults are counted on, not again from the start.
 */

static void
test_long_message(void **state)
{
    char          *text, *p;
    u_char        *copy;
    size_t         len;
    ngx_int_t      rc;
    ngx_uint_t     i;
    evs_scan_t     scan;
    evs_entry_t    entry;

    static const evs_limits_t  limits = { 100000, 255, 200, 65536 };

    text = malloc(16 * 1024 * 1024);
    p = text;

    *p++ = '[';

    for (i = 0; i < 100000; i++) {
        p += sprintf(p, "%s,", EVENT(",\"id\":\"\\u0041\",\"data\":[1, 2]"));
    }

    p += sprintf(p, "\n!");
    len = (size_t) (p - text);

    copy = malloc(len);
    memcpy(copy, text, len);

    evs_scan_init(&scan, copy, len, &scan_sid, EVS_SID_UUID, &limits, names);

    do {
        rc = evs_scan_next(&scan, &entry);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_ERROR);
    assert_int_equal(scan.count, 100000);
    assert_non_null(strstr((char *) scan.fault.text, "line 2, column 1:"));

    free(copy);
    free(text);
}


static void
test_no_memory(void **state)
{
    u_char            *copy;
    size_t             len;
    ngx_int_t          rc, n;
    evs_scan_t         scan;
    evs_entry_t        entry;
    evs_json_names_t  *own;

    static const char  text[] =
        "[{\"\\u0078\":1,\"type\":\"EVENT\",\"name\":\"\","
        "\"timestamp\":\"2021\\u002d06-23T04:28Z\"}]";

    len = sizeof(text) - 1;
    copy = malloc(len);

    for (n = 0; /* void */; n++) {
        ngx_shim_allocs = -1;
        own = evs_json_names_create();
        memcpy(copy, text, len);

        ngx_shim_allocs = n;
        evs_scan_init(&scan, copy, len, &scan_sid, EVS_SID_UUID, &scan_limits,
                      own);

        rc = evs_scan_next(&scan, &entry);

        if (rc != NGX_OK) {
            assert_int_equal(rc, NGX_ABORT);
            assert_int_equal(evs_scan_next(&scan, &entry), NGX_ABORT);
        }

        evs_json_names_destroy(own);

        if (rc == NGX_OK) {
            break;
        }
    }

    ngx_shim_allocs = -1;
    free(copy);

    assert_int_equal(n, 2);
}


/* The memory that one hostile message took is given back. */

static void
test_memory_returned(void **state)
{
    char         *text, *p;
    size_t        i, n;
    ngx_int_t     rc;
    evs_scan_t    scan;
    evs_entry_t   entry;

    text = malloc(4 * 1024 * 1024);

    for (n = 0; n < 3; n++) {
        p = text + sprintf(text, "[{");

        for (i = 0; i < 50000; i++) {
            p += sprintf(p, "\"\\u0061%lu\":0,", (unsigned long) i);
        }

        if (n == 0) {
            p += sprintf(p, "\"type\":\"EVENT\",\"name\":\"\","
                            "\"timestamp\":1}]");

        } else if (n == 2) {
            p = text + sprintf(text, "[{\"type\":\"EVENT\",\"name\":\"\","
                                     "\"timestamp\":\"2021-01-01T00:00:00."
                                     "%01000000d\\u0030\"}]", 0);
        }

        evs_scan_init(&scan, (u_char *) text, (size_t) (p - text), &scan_sid,
                      EVS_SID_UUID, &scan_limits, names);

        do {
            rc = evs_scan_next(&scan, &entry);
        } while (rc == NGX_OK);

        assert_int_equal(rc, n == 1 ? NGX_ERROR : NGX_DONE);
        assert_true(names->size <= 256 * 1024);
        assert_true(names->text_size <= 256 * 1024);
    }

    free(text);
}


static void
test_escape(void **state)
{
    size_t  i;
    u_char  text[4];

    /* all pairs of bytes, and what they begin */

    for (i = 0; i < 65536; i++) {
        text[0] = (u_char) (i >> 8);
        text[1] = (u_char) i;
        text[2] = 0x80;
        text[3] = 0x80;

        assert_null(judge_escape(text, 2));
        assert_null(judge_escape(text, 4));
    }
}


static int
scan_setup(void **state)
{
    names = evs_json_names_create();

    return names == NULL;
}


static int
scan_teardown(void **state)
{
    evs_json_names_destroy(names);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_any_session),
        cmocka_unit_test(test_long_message),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_memory_returned),
        cmocka_unit_test(test_escape)
    };

    return cmocka_run_group_tests(tests, scan_setup, scan_teardown);
}
