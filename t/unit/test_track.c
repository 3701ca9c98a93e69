
/*
 * Bodies of trusted applications.  A case is a body and the reply written out:
 * "syntax: " and why; or the map of faults; or the events.  Short ones are in
 * the tables, longer ones in t/unit/track/<case>/{input,expect}, those of the
 * seed among them.  Each also goes before the judge (track_judge.h), with
 * every body that begins like it.
 *
 * Seen to fail when an escape that isn't white space is taken for it, when a
 * limit counts bytes or the blanks that are trimmed, and when the keys of an
 * object are compared as they are written.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>

#include "track_judge.h"

#include "event/lex.h"


#define SID    "e2085be5-9137-4e4e-80b5-f1ffddc25423"

/* a body with each field as given, and the event in canonical form */
#define BODY(sid, category, name, data, timestamp)                           \
    "{\"session_id\":" sid ",\"category\":" category ",\"name\":" name       \
    ",\"data\":" data ",\"timestamp\":" timestamp "}"

#define S      "\"" SID "\""
#define STAMP  "\"1970-01-01T00:00:01Z\""
#define GOOD   BODY(S, "\"c\"", "\"n\"", "{}", "1")
#define EVENT  BODY(S, "\"c\"", "\"n\"", "{}", STAMP)

#define SESSION(sid)    BODY(sid, "\"c\"", "\"n\"", "{}", "1")
#define CATEGORY(text)  BODY(S, text, "\"n\"", "{}", "1")
#define NAME(text)      BODY(S, "\"c\"", text, "{}", "1")
#define DATA(text)      BODY(S, "\"c\"", "\"n\"", text, "1")
#define TIME(text)      BODY(S, "\"c\"", "\"n\"", "{}", text)

/* what is replied to these */
#define CATEGORY_IS(text)  BODY(S, text, "\"n\"", "{}", STAMP)
#define NAME_IS(text)      BODY(S, "\"c\"", text, "{}", STAMP)
#define DATA_IS(text)      BODY(S, "\"c\"", "\"n\"", text, STAMP)

#define FAULT(field, sentence)  "{\"" field "\":[\"" sentence "\"]}"

#define REQUIRED   "This field is required."
#define NONE       "This field may not be null."
#define BLANK      "This field may not be blank."
#define NO_STRING  "Not a valid string."
#define NO_UUID    "Must be a valid UUID."
#define NUL        "Null characters are not allowed."
#define NO_SID                                                               \
    "Must be a valid session id: 1 to 128 letters, digits, dots, "           \
    "underscores, tildes or dashes."
#define NO_TIME                                                              \
    "Datetime has wrong format. Use one of these formats instead: "          \
    "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
#define MOST(n)    "Ensure this field has no more than " n "."
#define GOT(kind)                                                            \
    FAULT("non_field_errors",                                                \
          "Invalid data. Expected a dictionary, but got " kind ".")

#define OUTCOME_MAX  65536


typedef struct {
    const char  *text;
    const char  *outcome;
} track_case_t;


extern ngx_int_t  ngx_shim_allocs;

static evs_json_names_t  *names;

static const evs_limits_t  track_wide = { 20000, 255, 200, 65536 };
static const evs_limits_t  track_narrow = { 3, 12, 6, 24 };


static const track_case_t  track_cases[] = {
    { GOOD, EVENT },
    { "[" GOOD "]", "[" EVENT "]" },
    { " [ " GOOD " , " GOOD ", ] \n", "[" EVENT "," EVENT "]" },
    { "[]", "[]" },
    { "[ ]", "[]" },

    /* order and other keys, and keys with escapes */
    { "{\"timestamp\":1,\"x\":{\"name\":1},\"data\":{},\"Name\":2,"
      "\"n\\u0061me\":\"n\",\"categor\\u0079\":\"c\",\"non_field_errors\":0,"
      "\"application\":\"x\",\"session_id\":" S ",}", EVENT },
    { "{\"name\":\"\",\"n\\u0061me\":\"n\"}",
      "syntax: Expecting a name that its object does not have yet: line 1 "
      "column 12" },
    { "[{\"a\":1,\"a\":1}]",
      "syntax: Expecting a name that its object does not have yet: line 1 "
      "column 9" },

    /* what isn't JSON */
    { "", "syntax: Expecting a value: line 1 column 1" },
    { " \n ", "syntax: Expecting a value: line 2 column 2" },
    { "\xef\xbb\xbf{}", "syntax: Expecting a value: line 1 column 1" },
    { "{}{}", "syntax: Expecting the end of the body: line 1 column 3" },
    { "{} x", "syntax: Expecting the end of the body: line 1 column 4" },
    { "{\"name\":NaN}", "syntax: Expecting a value: line 1 column 9" },
    { "{'name':1}",
      "syntax: Expecting a name in double quotes: line 1 column 2" },
    { "{\"name\":\n\n  \"\xff\"}", "syntax: Expecting UTF-8: line 3 column 4" },
    { "[1,{\"name\"}]",
      "syntax: Expecting ':' after a name: line 1 column 11" },
    { "[" GOOD, "syntax: Expecting ',' or ']' after a value: line 1 column "
      "105" },
    { "session_id=1", "syntax: Expecting a value: line 1 column 1" },

    /* what isn't an object */
    { "1", GOT("int") },
    { "-0", GOT("int") },
    { "1.0", GOT("float") },
    { "1e3", GOT("float") },
    { "1E3", GOT("float") },
    { "\"1.0\"", GOT("str") },
    { "true", GOT("bool") },
    { "false", GOT("bool") },
    { " null ", GOT("NoneType") },
    { "[1]", "[" GOT("int") "]" },
    { "[[],\"\"," GOOD ",null]", "[" GOT("list") "," GOT("str") ",{},"
      GOT("NoneType") "]" },
    { "[true,0.5]", "[" GOT("bool") "," GOT("float") "]" },

    /* all fields at once, in one order */
    { "{}", "{\"session_id\":[\"" REQUIRED "\"],\"category\":[\"" REQUIRED
      "\"],\"name\":[\"" REQUIRED "\"],\"data\":[\"" REQUIRED "\"],"
      "\"timestamp\":[\"" REQUIRED "\"]}" },
    { "{\"timestamp\":null,\"data\":null,\"name\":null,\"category\":null,"
      "\"session_id\":null}", "{\"session_id\":[\"" NONE "\"],\"category\":[\""
      NONE "\"],\"name\":[\"" NONE "\"],\"data\":[\"" NONE "\"],"
      "\"timestamp\":[\"" NONE "\"]}" },
    { "{\"timestamp\":\"\",\"data\":\"\",\"name\":\"\",\"category\":\"\","
      "\"session_id\":\"\"}", "{\"session_id\":[\"" NO_UUID "\"],"
      "\"category\":[\"" BLANK "\"],\"name\":[\"" BLANK "\"],\"timestamp\":[\""
      NO_TIME "\"]}" },
    { "{\"timestamp\":[],\"data\":[],\"name\":[],\"category\":{},"
      "\"session_id\":{}}", "{\"session_id\":[\"" NO_UUID "\"],"
      "\"category\":[\"" NO_STRING "\"],\"name\":[\"" NO_STRING "\"],"
      "\"timestamp\":[\"" NO_TIME "\"]}" },
    { "[" GOOD ",{\"name\":true}," GOOD "]", "[{},{\"session_id\":[\""
      REQUIRED "\"],\"category\":[\"" REQUIRED "\"],\"name\":[\"" NO_STRING
      "\"],\"data\":[\"" REQUIRED "\"],\"timestamp\":[\"" REQUIRED "\"]},{}]" },

    /* session_id */
    { SESSION("\"E2085BE5-9137-4E4E-80B5-F1FFDDC25423\""), EVENT },
    { SESSION("\"e2085be591374e4e80b5f1ffddc25423\""), EVENT },
    { SESSION("\"{" SID "}\""), EVENT },
    { SESSION("\"urn:uuid:" SID "\""), EVENT },
    { SESSION("\"urn:uuid:{e2085be591374e4e80b5f1ffddc25423}\""), EVENT },
    { SESSION("\"\\u0065" "2085be5-9137-4e4e-80b5-f1ffddc25423\""), EVENT },
    { SESSION("\"{" SID "\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"" SID "}\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"{{" SID "}}\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"{}\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"{\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"urn:uuid:\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"urn:" SID "\""), FAULT("session_id", NO_UUID) },
    { SESSION("\" " SID "\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"" SID "\\u0000\""), FAULT("session_id", NO_UUID) },
    { SESSION("\"e2085be5-9137-4e4e-80b5-f1ffddc2542\""),
      FAULT("session_id", NO_UUID) },
    { SESSION("\"g2085be5-9137-4e4e-80b5-f1ffddc25423\""),
      FAULT("session_id", NO_UUID) },
    { SESSION("\"abc\""), FAULT("session_id", NO_UUID) },
    { SESSION("1"), FAULT("session_id", NO_UUID) },
    { SESSION("12345678901234567890123456789012"),
      FAULT("session_id", NO_UUID) },
    { SESSION("false"), FAULT("session_id", NO_UUID) },
    { SESSION("[" S "]"), FAULT("session_id", NO_UUID) },

    /* category and name: trimmed, with escapes that are none at their ends */
    { NAME("\" n \""), EVENT },
    { NAME("\"\\t\\n\\u000b\\f\\r\\u001c\\u001d\\u001e\\u001f\\u0020n"
           "\\u0085\\u00a0\\u1680\\u2000\\u200a\\u2028\\u2029\\u202f\\u205f"
           "\\u3000\""), EVENT },
    { CATEGORY("\"\xe3\x80\x80\xc2\xa0" "c\xe2\x80\x83 \""), EVENT },
    { NAME("\"\\u200b\\ufeff\\u180e\""),
      NAME_IS("\"\xe2\x80\x8b\xef\xbb\xbf\xe1\xa0\x8e\"") },
    { NAME("\" a  b\\tc \""), NAME_IS("\"a  b\\tc\"") },
    { NAME("\"\\\\u001f\""), NAME_IS("\"\\\\u001f\"") },
    { NAME("\"\\\\n\\n\""), NAME_IS("\"\\\\n\"") },
    { NAME("\"\\\\ \""), NAME_IS("\"\\\\\"") },
    { NAME("\" \\\" \""), NAME_IS("\"\\\"\"") },
    { NAME("\"\\b\\u001b\\u007F\""), NAME_IS("\"\\b\\u001b\x7f\"") },
    { NAME("\"\\u00E9\\/\\ud83d\\ude00\""),
      NAME_IS("\"\xc3\xa9/\xf0\x9f\x98\x80\"") },

    { NAME("\"\""), FAULT("name", BLANK) },
    { CATEGORY("\" \""), FAULT("category", BLANK) },
    { CATEGORY("\"\\u3000\\t\\n\""), FAULT("category", BLANK) },

    /* numbers are their digits */
    { NAME("1"), NAME_IS("\"1\"") },
    { NAME(" -0 "), NAME_IS("\"-0\"") },
    { CATEGORY("1.50"), CATEGORY_IS("\"1.50\"") },
    { CATEGORY("1E999"), CATEGORY_IS("\"1E999\"") },

    { NAME("true"), FAULT("name", NO_STRING) },
    { NAME("false"), FAULT("name", NO_STRING) },
    { NAME("[]"), FAULT("name", NO_STRING) },
    { CATEGORY("{\"a\":1}"), FAULT("category", NO_STRING) },
    { CATEGORY("null"), FAULT("category", NONE) },

    { NAME("\"a\\u0000\""), FAULT("name", NUL) },
    { CATEGORY("\"\\u0000\""), FAULT("category", NUL) },
    { CATEGORY("\"\\\\u0000\""), CATEGORY_IS("\"\\\\u0000\"") },

    /* data: as it was sent, without blanks */
    { DATA("\"\""), DATA_IS("\"\"") },
    { DATA("0"), DATA_IS("0") },
    { DATA("false"), DATA_IS("false") },
    { DATA("[ ]"), DATA_IS("[]") },
    { DATA("\" null \""), DATA_IS("\" null \"") },
    { DATA("{ \"a\" : [ 1.0 , 1e5, -0.0, 12345678901234567890, ], "
           "\"\\u0062\": \"\\u00E9 \\/\" }"),
      DATA_IS("{\"a\":[1.0,1e5,-0.0,12345678901234567890],"
              "\"\\u0062\":\"\\u00E9 \\/\"}") },
    { DATA("null"), FAULT("data", NONE) },

    /* timestamp: 6 digits, or none */
    { TIME("\"2021-01-01 09:15:27.243860\""),
      TIME("\"2021-01-01T09:15:27.243860Z\"") },
    { TIME("\"2021-01-01T09:15:27.5+02:00\""),
      TIME("\"2021-01-01T07:15:27.500000Z\"") },
    { TIME("\"2021-01-01T09:15:27.0000009Z\""),
      TIME("\"2021-01-01T09:15:27Z\"") },
    { TIME("\"2021-01-01T09:15\""), TIME("\"2021-01-01T09:15:00Z\"") },
    { TIME("\"2021\\u002d01-01T09:15:27-0130\""),
      TIME("\"2021-01-01T10:45:27Z\"") },
    { TIME("\"1969-12-31T23:59:59.000001Z\""),
      TIME("\"1969-12-31T23:59:59.000001Z\"") },
    { TIME("1609492527"), TIME("\"2021-01-01T09:15:27Z\"") },
    { TIME("1609492527.24386"), TIME("\"2021-01-01T09:15:27.243860Z\"") },
    { TIME("1609492527243"), TIME("\"2021-01-01T09:15:27.243000Z\"") },
    { TIME("1609492527243860"), TIME("\"2021-01-01T09:15:27.243860Z\"") },
    { TIME("1609492527243860999"), TIME("\"2021-01-01T09:15:27.243860Z\"") },
    { TIME("0"), TIME("\"1970-01-01T00:00:00Z\"") },

    { TIME("\"2021-01-01\""), FAULT("timestamp", NO_TIME) },
    { TIME("\"2021-02-29T00:00:00Z\""), FAULT("timestamp", NO_TIME) },
    { TIME("\"2021-01-01T24:00:00Z\""), FAULT("timestamp", NO_TIME) },
    { TIME("\"2021-01-01T09:15:27Z \""), FAULT("timestamp", NO_TIME) },
    { TIME("\"1609492527\""), FAULT("timestamp", NO_TIME) },
    { TIME("\"now\""), FAULT("timestamp", NO_TIME) },
    { TIME("-1"), FAULT("timestamp", NO_TIME) },
    { TIME("1e999"), FAULT("timestamp", NO_TIME) },
    { TIME("true"), FAULT("timestamp", NO_TIME) },
    { TIME("null"), FAULT("timestamp", NONE) }
};


/* 3 events, names of 12 characters, categories of 6, data of 24 bytes; any */

static const track_case_t  track_narrow_cases[] = {
    { "[" GOOD "," GOOD "," GOOD "]", "[" EVENT "," EVENT "," EVENT "]" },
    { "[" GOOD ",1," GOOD "," GOOD "]",
      FAULT("non_field_errors", MOST("3 elements")) },
    { "[1,2,3,4,5", "syntax: Expecting ',' or ']' after a value: line 1 column "
      "11" },

    { NAME("\"\xe6\x9d\xb1\xf0\x9f\x98\x80\\n\\\"\\u0001\\u00e9" "789012\""),
      NAME_IS("\"\xe6\x9d\xb1\xf0\x9f\x98\x80\\n\\\"\\u0001\xc3\xa9"
              "789012\"") },
    { NAME("\"\xe6\x9d\xb1\xf0\x9f\x98\x80\\n\\\"\\u0001\\u00e9" "7890123\""),
      FAULT("name", MOST("12 characters")) },
    { NAME("\"  123456789012\\u3000\""), NAME_IS("\"123456789012\"") },
    { NAME("123456789012"), NAME_IS("\"123456789012\"") },
    { NAME("1234567890123"), FAULT("name", MOST("12 characters")) },
    { CATEGORY("\"123456\""), CATEGORY_IS("\"123456\"") },
    { CATEGORY("\"12 4567\""), FAULT("category", MOST("6 characters")) },
    { CATEGORY("\"123456\\u0000\""),
      "{\"category\":[\"" MOST("6 characters") "\",\"" NUL "\"]}" },

    { DATA("[1,2,3,4,5,6,7,8,9,0,12, ]"),
      DATA_IS("[1,2,3,4,5,6,7,8,9,0,12]") },
    { DATA("[1,2,3,4,5,6,7,8,9,0,123]"), FAULT("data", MOST("24 bytes")) },
    { DATA("\"12345678901234567890123\""), FAULT("data", MOST("24 bytes")) },

    { "{\"data\":\"12345678901234567890123\",\"name\":\"1234567890123\","
      "\"category\":\"1234567\"}", "{\"session_id\":[\"" REQUIRED "\"],"
      "\"category\":[\"" MOST("6 characters") "\"],\"name\":[\""
      MOST("12 characters") "\"],\"data\":[\"" MOST("24 bytes") "\"],"
      "\"timestamp\":[\"" REQUIRED "\"]}" },

    { SESSION("\"A.1_~-\""), BODY("\"A.1_~-\"", "\"c\"", "\"n\"", "{}",
                                  STAMP) },
    { SESSION("\"{" SID "}\""), EVENT },
    { SESSION("\"\\u007b" "E2085BE591374E4E80B5F1FFDDC25423}\""), EVENT },
    { SESSION("\"a b\""), FAULT("session_id", NO_SID) },
    { SESSION("\"\""), FAULT("session_id", NO_SID) },
    { SESSION("\"urn:uuid:a\""), FAULT("session_id", NO_SID) },
    { SESSION("1"), FAULT("session_id", NO_SID) }
};


/* What is made of a body, as the cases have it. */

static void
track_reply(char *p, const char *text, size_t len, const evs_limits_t *limits,
    ngx_uint_t kind)
{
    u_char       *copy;
    ngx_int_t     rc;
    ngx_str_t     reply;
    evs_track_t   track;

    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);

    track.fields.pool = ngx_create_pool(0, NULL);

    rc = evs_track_parse(&track, copy, len, names, limits, kind);

    if (rc == NGX_DECLINED) {
        p += sprintf(p, "syntax: ");
        reply = track.fields.syntax;

    } else {
        assert_int_equal(rc, NGX_OK);

        rc = track.fields.nfaulty
             ? evs_fields_faults_json(&track.fields, &reply)
             : evs_track_events_json(&track, &reply);

        assert_int_equal(rc, NGX_OK);
    }

    (void) sprintf(p, "%.*s", (int) reply.len, (char *) reply.data);

    ngx_destroy_pool(track.fields.pool);
    free(copy);
}


static void
track_before_judge(const char *text, size_t len, const evs_limits_t *limits,
    ngx_uint_t kind)
{
    const char  *differs;

    differs = track_judge((const u_char *) text, len, limits, kind, names);

    if (differs != NULL) {
        fail_msg("parser and judge differ: %s: %.*s", differs, (int) len,
                 text);
    }
}


static void
track_check(const char *name, const char *text, size_t len,
    const char *outcome, const evs_limits_t *limits, ngx_uint_t kind)
{
    char    *found;
    size_t   n;

    found = malloc(OUTCOME_MAX);
    track_reply(found, text, len, limits, kind);

    if (strcmp(found, outcome) != 0) {
        fail_msg("%s\nis\n%s\nbut should be\n%s", name, found, outcome);
    }

    free(found);

    for (n = 0; n <= len; n++) {
        track_before_judge(text, n, limits, kind);
    }
}


static void
test_cases(void **state)
{
    size_t               i;
    const track_case_t  *tc;

    for (i = 0; i < sizeof(track_cases) / sizeof(track_cases[0]); i++) {
        tc = &track_cases[i];
        track_check(tc->text, tc->text, strlen(tc->text), tc->outcome,
                    &track_wide, EVS_SID_UUID);
    }
}


static void
test_narrow(void **state)
{
    size_t               i, n;
    const track_case_t  *tc;

    n = sizeof(track_narrow_cases) / sizeof(track_narrow_cases[0]);

    for (i = 0; i < n; i++) {
        tc = &track_narrow_cases[i];
        track_check(tc->text, tc->text, strlen(tc->text), tc->outcome,
                    &track_narrow, EVS_SID_ANY);
    }
}


static char *
track_file(const char *dir, const char *name, const char *file, size_t *len)
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


/* expect ends with a newline that the reply doesn't have */

static void
test_folders(void **state)
{
    DIR            *d;
    char            dir[PATH_MAX], *input, *expect;
    size_t          len, n, count;
    struct dirent  *de;

    /* beside this file, as the compiler was told its name */

    (void) snprintf(dir, sizeof(dir), "%.*strack",
                    (int) (strlen(__FILE__) - strlen("test_track.c")),
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

        input = track_file(dir, de->d_name, "input", &len);
        expect = track_file(dir, de->d_name, "expect", &n);

        assert_true(n > 0 && expect[n - 1] == '\n');
        expect[n - 1] = '\0';

        track_check(de->d_name, input, len, expect, &track_wide,
                    EVS_SID_UUID);

        free(input);
        free(expect);
        count++;
    }

    (void) closedir(d);

    assert_true(count > 0);
}


/* 200 characters, of whatever size: with the limits as they are by default. */

static void
test_200(void **state)
{
    char          text[4096], found[4096], outcome[4096], *p, *q;
    size_t        i, k, n;

    static const char  *chars[] = {
        "a", "\xc3\xa9", "\xf0\x9f\x98\x80", "\\\"", "\\u0001"
    };

    for (i = 0; i < sizeof(chars) / sizeof(chars[0]); i++) {

        for (n = 199; n <= 201; n++) {
            p = text + sprintf(text, "{\"session_id\":" S ",\"category\":\"");

            for (k = 0; k < n; k++) {
                p += sprintf(p, "%s", chars[i]);
            }

            q = p;
            p += sprintf(p, "\",\"name\":\" ");

            for (k = 0; k < n; k++) {
                p += sprintf(p, "%s", chars[i]);
            }

            (void) sprintf(p, "\\t\",\"data\":0,\"timestamp\":1}");

            track_reply(found, text, strlen(text), &track_wide,
                        EVS_SID_UUID);
            track_before_judge(text, strlen(text), &track_wide,
                               EVS_SID_UUID);

            if (n == 201) {
                (void) sprintf(outcome, "{\"category\":[\"%s\"],"
                               "\"name\":[\"%s\"]}", MOST("200 characters"),
                               MOST("200 characters"));

            } else {
                p = outcome + sprintf(outcome, "%.*s\",\"name\":\"",
                                      (int) (q - text), text);

                for (k = 0; k < n; k++) {
                    p += sprintf(p, "%s", chars[i]);
                }

                (void) sprintf(p, "\",\"data\":0,\"timestamp\":" STAMP "}");
            }

            assert_string_equal(found, outcome);
        }
    }
}


/* Any byte in the place of any other. */

static void
test_bytes(void **state)
{
    char    text[1024];
    size_t  i, k, n, len;

    static const char  *bodies[] = {
        "[{\"session_id\":\"urn:uuid:{" SID "}\",\"category\":\" \\u3000c\","
        "\"name\":12.5,\"d\\u0061ta\":{ \"a\":[1.5,-2e3,],\"\\u0062\":null},"
        "\"timestamp\":\"2016-12-31 23:59:60.123456+00:00\"},]",

        "{\"session_id\":\"E2085BE591374E4E80B5F1FFDDC25423\",\"category\":"
        "\"\\\\u001f\\n\",\"name\":\"\xe3\x80\x80 \xc2\x85\",\"data\":\"\","
        "\"timestamp\":1624422533298, \"x\":[{}]}"
    };

    static const char  bytes[] = {
        '"', '\\', ',', ':', '[', ']', '{', '}', ' ', '0', '1', '9', '-',
        '+', '.', 'e', 'u', 'T', 'a', '\n', '\0', '\x7f', '\x80', '\xc3'
    };

    for (n = 0; n < sizeof(bodies) / sizeof(bodies[0]); n++) {
        len = strlen(bodies[n]);
        memcpy(text, bodies[n], len);

        for (i = 0; i < len; i++) {
            for (k = 0; k < sizeof(bytes); k++) {
                text[i] = bytes[k];
                track_before_judge(text, len, &track_narrow, EVS_SID_UUID);
            }

            text[i] = bodies[n][i];
        }
    }
}


/* What a trimmed string may begin and end with, and what is no such thing. */

static void
test_white(void **state)
{
    char      text[256];
    size_t    i;
    unsigned  code;

    static const struct {
        unsigned  from;
        unsigned  to;
    } ranges[] = {
        { 0x0000, 0x0100 }, { 0x1670, 0x1690 }, { 0x1800, 0x1810 },
        { 0x1fff, 0x2070 }, { 0x2800, 0x2801 }, { 0x2fff, 0x3004 },
        { 0xd7ff, 0xd7ff }, { 0xe000, 0xe000 }, { 0xfefe, 0xffff }
    };

    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {

        for (code = ranges[i].from; code <= ranges[i].to; code++) {
            (void) sprintf(text, "{\"session_id\":" S ",\"category\":\"\\u%04x"
                           "c\\u%04x\",\"name\":\"\\u%04X\",\"data\":1,"
                           "\"timestamp\":1}", code, code, code);

            track_before_judge(text, strlen(text), &track_wide,
                               EVS_SID_UUID);
        }
    }
}


/* Faults that are found later: in the place of their field, escaped. */

static void
test_fault(void **state)
{
    u_char        text[] = "[" GOOD "," GOOD "]";
    ngx_str_t     reply;
    evs_track_t   track;

    static const ngx_str_t  first = ngx_string("/a\"b: \\ \x01");
    static const ngx_str_t  second = ngx_string("\xc3\xa9\xff");
    static const ngx_str_t  third = ngx_string("No.");

    static const char  later[] =
        "[{},{\"data\":[\"/a\\\"b: \\\\ \\u0001\",\"\xc3\xa9\xef\xbf\xbd\"],"
        "\"timestamp\":[\"No.\"]}]";

    track.fields.pool = ngx_create_pool(0, NULL);

    assert_int_equal(evs_track_parse(&track, text, sizeof(text) - 1, names,
                                     &track_wide, EVS_SID_UUID), NGX_OK);
    assert_int_equal(track.fields.nfaulty, 0);

    assert_int_equal(evs_fields_fault(&track.fields, &track.items[1].faults,
                                     EVS_TRACK_TIMESTAMP, &third), NGX_OK);
    assert_int_equal(evs_fields_fault(&track.fields, &track.items[1].faults,
                                     EVS_TRACK_DATA, &first), NGX_OK);
    assert_int_equal(evs_fields_fault(&track.fields, &track.items[1].faults,
                                     EVS_TRACK_DATA, &second), NGX_OK);
    assert_int_equal(track.fields.nfaulty, 1);

    assert_int_equal(evs_fields_faults_json(&track.fields, &reply), NGX_OK);
    assert_true(track_same(&reply, later, sizeof(later) - 1));

    /* one of the whole body is told alone */

    assert_int_equal(evs_fields_fault(&track.fields, NULL, EVS_TRACK_WHOLE,
                                      &third),
                     NGX_OK);
    assert_int_equal(track.fields.nfaulty, 2);

    assert_int_equal(evs_fields_faults_json(&track.fields, &reply), NGX_OK);
    assert_true(track_same(&reply, FAULT("non_field_errors", "No."),
                           strlen(FAULT("non_field_errors", "No."))));

    ngx_destroy_pool(track.fields.pool);
}


/* A field at fault isn't there, the others are. */

static void
test_not_set(void **state)
{
    u_char             text[] = BODY("\"" SID "x\"", "\"\\u0000\"", "[]",
                                     "[1,2,3]", "\"x\"");
    evs_track_t        track;
    evs_track_item_t  *item;

    static const evs_limits_t  limits = { 1, 255, 200, 6 };

    track.fields.pool = ngx_create_pool(0, NULL);

    assert_int_equal(evs_track_parse(&track, text, sizeof(text) - 1, names,
                                     &limits, EVS_SID_UUID), NGX_OK);
    assert_int_equal(track.fields.nfaulty, 1);

    item = track.items;

    assert_int_equal(item->sid.len, 0);
    assert_null(item->entry.category.data);
    assert_null(item->entry.name.data);
    assert_null(item->entry.data.data);
    assert_null(item->entry.timestamp.text.data);

    ngx_destroy_pool(track.fields.pool);
}


/* The array grows, and keeps what it has, faults too. */

static void
test_many(void **state)
{
    char          *text, *p;
    size_t         len;
    ngx_uint_t     i;
    evs_track_t    track;
    evs_entry_t   *entry;

    text = malloc(20001 * 128);

    for (len = 20000; len <= 20001; len++) {
        p = text;

        for (i = 0; i < len; i++) {
            p += sprintf(p, "%c{\"session_id\":" S ",\"category\":%s,"
                         "\"name\":%lu,\"data\":[ %lu ],\"timestamp\":%lu}",
                         i ? ',' : '[', i % 2 ? "[]" : "0",
                         (unsigned long) i, (unsigned long) i,
                         (unsigned long) i);
        }

        *p++ = ']';

        track.fields.pool = ngx_create_pool(0, NULL);

        assert_int_equal(evs_track_parse(&track, (u_char *) text,
                                         (size_t) (p - text), names,
                                         &track_wide, EVS_SID_UUID), NGX_OK);
        assert_int_equal(track.nitems, 20000);
        assert_int_equal(track.fields.nfaulty, 10000 + (len > 20000));
        assert_int_equal(track.fields.whole.first != NULL, len > 20000);

        for (i = 0; i < track.nitems; i++) {
            entry = &track.items[i].entry;

            assert_int_equal(track.items[i].faults.first != NULL, i % 2);
            assert_int_equal(entry->category.data == NULL, i % 2);
            assert_int_equal(entry->type, EVS_ENTRY_EVENT);
            assert_int_equal(entry->timestamp.us, i * 1000000);
            assert_null(entry->id.data);
            assert_int_equal(entry->data.len, entry->name.len + 2);
            assert_memory_equal(entry->data.data + 1, entry->name.data,
                                entry->name.len);
            assert_memory_equal(track.items[i].sid.data, SID, 36);
        }

        ngx_destroy_pool(track.fields.pool);
    }

    free(text);
}


/* Returns after how many allocations there was enough. */

static ngx_int_t
track_starve(const char *text)
{
    u_char            *copy;
    size_t             len;
    ngx_int_t          rc, n;
    ngx_str_t          reply;
    evs_track_t        track;
    evs_json_names_t  *own;

    static const evs_limits_t  limits = { 10, 12, 6, 24 };

    len = strlen(text);
    copy = malloc(len);

    for (n = 0; /* void */; n++) {
        ngx_shim_allocs = -1;
        own = evs_json_names_create();
        track.fields.pool = ngx_create_pool(0, NULL);
        memcpy(copy, text, len);

        ngx_shim_allocs = n;

        rc = evs_track_parse(&track, copy, len, own, &limits, EVS_SID_UUID);

        if (rc == NGX_OK) {
            rc = track.fields.nfaulty
                 ? evs_fields_faults_json(&track.fields, &reply)
                 : evs_track_events_json(&track, &reply);
        }

        ngx_destroy_pool(track.fields.pool);
        evs_json_names_destroy(own);

        if (rc == NGX_OK) {
            break;
        }

        assert_int_equal(rc, NGX_ABORT);
    }

    ngx_shim_allocs = -1;
    free(copy);

    return n;
}


static void
test_no_memory(void **state)
{
    assert_int_equal(track_starve(GOOD), 3);

    assert_true(track_starve("[1," GOOD "," GOOD "," GOOD "," GOOD "," GOOD ","
                             GOOD "," GOOD ",{\"\\u0078\":{\"\\u0079\":1}},"
                             NAME("\"1234567890123\\u0000\"") "," GOOD "]")
                > 10);
}


/* The memory that one hostile body took is given back. */

static void
test_memory_returned(void **state)
{
    char          *text, *p;
    size_t         i;
    evs_track_t    track;

    text = malloc(2 * 1024 * 1024);
    p = text + sprintf(text, "{\"session_id\":\"" SID "0\"");

    for (i = 0; i < 50000; i++) {
        p += sprintf(p, ",\"\\u0061%lu\":0", (unsigned long) i);
    }

    *p++ = '}';

    track.fields.pool = ngx_create_pool(0, NULL);

    assert_int_equal(evs_track_parse(&track, (u_char *) text,
                                     (size_t) (p - text), names, &track_wide,
                                     EVS_SID_ANY), NGX_OK);
    assert_int_equal(track.fields.nfaulty, 1);
    assert_int_equal(track.items[0].sid.len, 37);

    assert_true(names->size <= 256 * 1024);
    assert_true(names->text_size <= 256 * 1024);

    ngx_destroy_pool(track.fields.pool);
    free(text);
}


static int
track_setup(void **state)
{
    names = evs_json_names_create();

    return names == NULL;
}


static int
track_teardown(void **state)
{
    evs_json_names_destroy(names);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_200),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_white),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_not_set),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_memory_returned)
    };

    return cmocka_run_group_tests(tests, track_setup, track_teardown);
}
