
/*
 * The JSON reader by itself: what is a value and where a fault is, and the
 * rewriting of what was read.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"


extern ngx_int_t  ngx_shim_allocs;

static evs_json_names_t  *names;


typedef struct {
    const char        *text;
    evs_json_type_e    type;     /* 0: a fault */
    size_t             at;       /* where it ends, or where the fault is */
    const char        *expected; /* part of it; NULL: none */
    ngx_uint_t         blanks;
} json_case_t;


static const json_case_t  json_cases[] = {
    { "null", EVS_JSON_NULL, 4, NULL, 0 },
    { " true ", EVS_JSON_TRUE, 5, NULL, 0 },
    { "\t\r\nfalse", EVS_JSON_FALSE, 8, NULL, 0 },
    { "nul", 0, 0, "a value", 0 },
    { "True", 0, 0, "a value", 0 },
    { "", 0, 0, "a value", 0 },
    { " ", 0, 1, "a value", 0 },
    { "\xef\xbb\xbf[]", 0, 0, "a value", 0 },
    { "'a'", 0, 0, "a value", 0 },
    { "NaN", 0, 0, "a value", 0 },
    { "Infinity", 0, 0, "a value", 0 },
    { "-Infinity", 0, 1, "a digit", 0 },
    { "\v1", 0, 0, "a value", 0 },

    { "0", EVS_JSON_NUMBER, 1, NULL, 0 },
    { "-0", EVS_JSON_NUMBER, 2, NULL, 0 },
    { "12345678901234567890x", EVS_JSON_NUMBER, 20, NULL, 0 },
    { "-1.50e+10,", EVS_JSON_NUMBER, 9, NULL, 0 },
    { "0.123456789012345678]", EVS_JSON_NUMBER, 20, NULL, 0 },
    { "1E999", EVS_JSON_NUMBER, 5, NULL, 0 },
    { "1e-5", EVS_JSON_NUMBER, 4, NULL, 0 },
    { "[01]", 0, 2, "',' or ']'", 0 },
    { "[-01]", 0, 3, "',' or ']'", 0 },
    { "+1", 0, 0, "a value", 0 },
    { ".5", 0, 0, "a value", 0 },
    { "1.", 0, 2, "a digit", 0 },
    { "1.e5", 0, 2, "a digit", 0 },
    { "1e", 0, 2, "a digit", 0 },
    { "1e+", 0, 3, "a digit", 0 },
    { "-", 0, 1, "a digit", 0 },
    { "-a", 0, 1, "a digit", 0 },

    { "\"\"", EVS_JSON_STRING, 2, NULL, 0 },
    { "\"a\\\"b\"c", EVS_JSON_STRING, 6, NULL, 0 },
    { "\"\\\\\"", EVS_JSON_STRING, 4, NULL, 0 },
    { "\"\\b\\f\\n\\r\\t\\/\\u0000\"", EVS_JSON_STRING, 20, NULL, 0 },
    { "\"\\ud83d\\uDE00\"", EVS_JSON_STRING, 14, NULL, 0 },
    { "\"\x7f\"", EVS_JSON_STRING, 3, NULL, 0 },
    { "\"", 0, 1, "at the end of a string", 0 },
    { "\"abc", 0, 4, "at the end of a string", 0 },
    { "\"a\\", 0, 2, "one of the escapes", 0 },
    { "\"\\x41\"", 0, 1, "one of the escapes", 0 },
    { "\"\\u00", 0, 1, "four hex digits", 0 },
    { "\"\\u00g0\"", 0, 1, "four hex digits", 0 },
    { "\"\\u+123\"", 0, 1, "four hex digits", 0 },
    { "\"\\ud800\"", 0, 1, "surrogate pair", 0 },
    { "\"\\udc00\"", 0, 1, "surrogate pair", 0 },
    { "\"\\ud800\\ud800\"", 0, 1, "surrogate pair", 0 },
    { "\"\\ud800\\ue000\"", 0, 1, "surrogate pair", 0 },
    { "\"\\ud800\\udbff\"", 0, 1, "surrogate pair", 0 },
    { "\"\\ud800\\u00", 0, 1, "surrogate pair", 0 },
    { "\"\\ud800x\\udc00\"", 0, 1, "surrogate pair", 0 },
    { "\"ab\x01\"", 0, 3, "an escape in place of", 0 },
    { "\"\n\"", 0, 1, "an escape in place of", 0 },

    /* UTF-8: the ends of each range of RFC 3629, and just outside */
    { "\"\xc2\x80\xdf\xbf\"", EVS_JSON_STRING, 6, NULL, 0 },
    { "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"",
      EVS_JSON_STRING, 14, NULL, 0 },
    { "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", EVS_JSON_STRING, 10, NULL, 0 },
    { "\"\x80\"", 0, 1, "UTF-8", 0 },
    { "\"\xc1\xbf\"", 0, 1, "UTF-8", 0 },
    { "\"a\xc2\"", 0, 2, "UTF-8", 0 },
    { "\"\xe0\x9f\xbf\"", 0, 1, "UTF-8", 0 },
    { "\"\xed\xa0\x80\"", 0, 1, "UTF-8", 0 },
    { "\"\xf0\x8f\xbf\xbf\"", 0, 1, "UTF-8", 0 },
    { "\"\xf4\x90\x80\x80\"", 0, 1, "UTF-8", 0 },
    { "\"\xf5\x80\x80\x80\"", 0, 1, "UTF-8", 0 },
    { "\"\xff\"", 0, 1, "UTF-8", 0 },
    { "\"\xd0\xb0\xd0\xb1\xd0", 0, 5, "UTF-8", 0 },

    { "[]", EVS_JSON_ARRAY, 2, NULL, 0 },
    { " [ ] ", EVS_JSON_ARRAY, 4, NULL, 1 },
    { "[1,2]", EVS_JSON_ARRAY, 5, NULL, 0 },
    { "[1,]", EVS_JSON_ARRAY, 4, NULL, 1 },
    { "[1,\n2]", EVS_JSON_ARRAY, 6, NULL, 1 },
    { "[\" , \"]", EVS_JSON_ARRAY, 7, NULL, 0 },
    { "[[[1 ]]]", EVS_JSON_ARRAY, 8, NULL, 1 },
    { "[", 0, 1, "a value", 0 },
    { "[,]", 0, 1, "a value", 0 },
    { "[1,,]", 0, 3, "a value", 0 },
    { "[1", 0, 2, "',' or ']'", 0 },
    { "[1 2]", 0, 3, "',' or ']'", 0 },
    { "[1}", 0, 2, "',' or ']'", 0 },
    { "[1,", 0, 3, "a value", 0 },

    { "{}", EVS_JSON_OBJECT, 2, NULL, 0 },
    { "{ }", EVS_JSON_OBJECT, 3, NULL, 1 },
    { "{\"\":{}}", EVS_JSON_OBJECT, 7, NULL, 0 },
    { "{\"a\":1,\"b\":2}", EVS_JSON_OBJECT, 13, NULL, 0 },
    { "{\"a\" :1}", EVS_JSON_OBJECT, 8, NULL, 1 },
    { "{\"a\": 1}", EVS_JSON_OBJECT, 8, NULL, 1 },
    { "{\"a\":1,}", EVS_JSON_OBJECT, 8, NULL, 1 },
    { "{\"a\":\"\\u0000\"}", EVS_JSON_OBJECT, 14, NULL, 0 },
    { "{\"a\":{\"a\":{\"a\":1}}}", EVS_JSON_OBJECT, 19, NULL, 0 },
    { "{", 0, 1, "a name", 0 },
    { "{,}", 0, 1, "a name", 0 },
    { "{a:1}", 0, 1, "a name", 0 },
    { "{1:1}", 0, 1, "a name", 0 },
    { "{\"a\":1,,}", 0, 7, "a name", 0 },
    { "{\"a\"}", 0, 4, "':' after a name", 0 },
    { "{\"a\":}", 0, 5, "a value", 0 },
    { "{\"a\":1", 0, 6, "',' or '}'", 0 },
    { "{\"a\":1]", 0, 6, "',' or '}'", 0 },
    { "{\"a\\u0000\":1}", 0, 1, "without \\u0000", 0 },

    /* of a duplicate, the second is at fault */
    { "{\"a\":1,\"a\":1}", 0, 7, "does not have yet", 0 },
    { "{\"\":1,\"\":1}", 0, 6, "does not have yet", 0 },
    { "{\"a\":1,\"\\u0061\":1}", 0, 7, "does not have yet", 0 },
    { "{\"\\u0061\":1,\"\\u0061\":1}", 0, 12, "does not have yet", 0 },
    { "[{\"a\":{\"b\":1,\"c\":2,\"b\":3}}]", 0, 19, "does not have yet", 0 },
    { "{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,"
      "\"9\":1,\"3\":1,\"2\":1,\"3\":1}", 0, 55, "does not have yet", 0 },
    { "{\"aaaaaaaa1\":1,\"aaaaaaaa2\":1,\"aaaaaaaa\":1,\"aaaaaaa\":1,"
      "\"aaaaaaaa11\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"aaaaaaaa2\":1}",
      0, 93, "does not have yet", 0 }
};


/* A block of exactly the size: a sanitizer sees who reads on. */

static u_char *
json_copy(const char *text, size_t len)
{
    u_char  *copy;

    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);

    return copy;
}


static void
json_check(const json_case_t *jc)
{
    size_t             len;
    u_char            *copy;
    ngx_int_t          rc;
    evs_json_t         json;
    evs_json_value_t   value;

    len = strlen(jc->text);
    copy = json_copy(jc->text, len);

    evs_json_init(&json, copy, len, names);
    rc = evs_json_value(&json, &value);

    if (jc->type == 0) {

        if (rc != NGX_ERROR || json.fault != copy + jc->at
            || strstr(json.expected, jc->expected) == NULL)
        {
            fail_msg("%s: rc %d, at %d expected %s", jc->text, (int) rc,
                     (int) (json.fault - copy), json.expected);
        }

    } else if (rc != NGX_OK || value.type != jc->type
               || json.pos != copy + jc->at || value.last != json.pos
               || value.blanks != jc->blanks || json.depth != 0)
    {
        fail_msg("%s: rc %d, type %d, to %d, blanks %d", jc->text, (int) rc,
                 (int) value.type, (int) (json.pos - copy),
                 (int) value.blanks);
    }

    free(copy);
}


static void
test_values(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(json_cases) / sizeof(json_cases[0]); i++) {
        json_check(&json_cases[i]);
    }
}


/* A fault is seen wherever it lies to the blocks that strings are read in. */

static void
test_string_blocks(void **state)
{
    size_t             len, i, k;
    u_char            *copy;
    char               text[80];
    evs_json_t         json;
    evs_json_value_t   value;

    static const u_char  faults[] = { 0x00, 0x1f, 0x80, 0xff, '\\', '"' };

    for (len = 0; len < 70; len++) {
        memset(text, 'x', sizeof(text));
        text[0] = '"';
        text[len + 1] = '"';

        copy = json_copy(text, len + 2);
        evs_json_init(&json, copy, len + 2, names);
        assert_int_equal(evs_json_value(&json, &value), NGX_OK);
        assert_ptr_equal(value.last, copy + len + 2);
        free(copy);

        for (i = 0; i < len; i++) {
            for (k = 0; k < sizeof(faults); k++) {
                text[i + 1] = (char) faults[k];

                copy = json_copy(text, len + 2);
                evs_json_init(&json, copy, len + 2, names);

                if (faults[k] == '"') {
                    assert_int_equal(evs_json_value(&json, &value), NGX_OK);
                    assert_ptr_equal(value.last, copy + i + 2);

                } else if (faults[k] == '\\' && i + 1 == len) {
                    assert_int_equal(evs_json_value(&json, &value), NGX_ERROR);
                    assert_ptr_equal(json.fault, copy + len + 2);

                } else {
                    assert_int_equal(evs_json_value(&json, &value), NGX_ERROR);
                    assert_ptr_equal(json.fault, copy + i + 1);
                }

                free(copy);
                text[i + 1] = 'x';
            }
        }
    }
}


static void
test_depth(void **state)
{
    u_char            *copy;
    char               text[4096];
    ngx_uint_t         n;
    evs_json_t         json;
    evs_json_value_t   value;

    for (n = 1; n < 40; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);

        copy = json_copy(text, 2 * n);
        evs_json_init(&json, copy, 2 * n, names);

        assert_int_equal(evs_json_value(&json, &value),
                         n <= 32 ? NGX_OK : NGX_ERROR);

        if (n > 32) {
            assert_ptr_equal(json.fault, copy + 32);
            assert_non_null(strstr(json.expected, "32"));
        }

        free(copy);
    }

    memset(text, '[', sizeof(text));
    evs_json_init(&json, (u_char *) text, sizeof(text), names);
    assert_int_equal(evs_json_value(&json, &value), NGX_ERROR);
}


static size_t
json_members(char *text, ngx_uint_t n, const char *name)
{
    char        *p;
    ngx_uint_t   i;

    p = text;
    *p++ = '{';

    for (i = 0; i < n; i++) {
        p += sprintf(p, "\"%s%lu\":0,", name, (unsigned long) i);
    }

    *p++ = '}';

    return (size_t) (p - text);
}


/*
 * Names by the ten thousand: found equal however they are written, in a time
 * that the test would not end in were it quadratic; and the memory for them
 * is given back.
 */

static void
test_many_names(void **state)
{
    char              *text;
    size_t             len, i;
    evs_json_t         json;
    evs_json_value_t   value;

    static const char  *prefixes[] = { "", "n", "a name of some length ",
                                       "\\u00e9\\n" };

    text = malloc(16 * 1024 * 1024);

    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        len = json_members(text, 200000, prefixes[i]);

        evs_json_init(&json, (u_char *) text, len, names);
        assert_int_equal(evs_json_value(&json, &value), NGX_OK);
        assert_ptr_equal(value.last, (u_char *) text + len);

        assert_true(names->size <= 256 * 1024);
        assert_true(names->text_size <= 256 * 1024);

        len = (size_t) (sprintf(text + len - 1, "\"%s7777\":0}", prefixes[i])
                        + (int) len - 1);

        evs_json_init(&json, (u_char *) text, len, names);
        assert_int_equal(evs_json_value(&json, &value), NGX_ERROR);
        assert_string_equal(json.expected, EVS_LEX_DUPLICATE);
        assert_int_equal(json.fault - (u_char *) text,
                         (long) (len - strlen(prefixes[i])
                                 - strlen("\"7777\":0}")));

        assert_true(names->size <= 256 * 1024);
        assert_true(names->text_size <= 256 * 1024);
    }

    free(text);
}


static void
test_no_memory(void **state)
{
    u_char             text[4096];
    size_t             len;
    ngx_int_t          rc;
    ngx_uint_t         n;
    evs_json_t         json;
    evs_json_names_t  *own;
    evs_json_value_t   value;

    ngx_shim_allocs = 0;
    assert_null(evs_json_names_create());
    evs_json_names_destroy(NULL);

    for (n = 0; /* void */; n++) {
        ngx_shim_allocs = -1;
        own = evs_json_names_create();
        len = json_members((char *) text, 200, "\\u00e9");

        ngx_shim_allocs = (ngx_int_t) n;
        evs_json_init(&json, text, len, own);
        rc = evs_json_value(&json, &value);

        evs_json_names_destroy(own);

        if (rc == NGX_OK) {
            break;
        }

        assert_int_equal(rc, NGX_ABORT);
    }

    ngx_shim_allocs = -1;
    assert_true(n > 3);
}


/* Who knows that there are no objects needs no names. */

static void
test_no_names(void **state)
{
    size_t             i;
    u_char            *copy;
    evs_json_t         json;
    evs_json_value_t   value;

    static const char  *texts[] = { "1569972082.5", "[\"\\u0041\",[ ]]",
                                    "{}", "[[{\"a\":1}]]" };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        copy = json_copy(texts[i], strlen(texts[i]));

        evs_json_init(&json, copy, strlen(texts[i]), NULL);
        assert_int_equal(evs_json_value(&json, &value),
                         i < 2 ? NGX_OK : NGX_ERROR);

        free(copy);
    }
}


static void
test_place(void **state)
{
    ngx_uint_t     line, column, i;
    evs_json_t     json;
    u_char         text[] = "ab\n\ncd\ne";

    static const struct {
        ngx_uint_t  line, column;
    } places[] = {
        { 1, 1 }, { 1, 2 }, { 1, 3 }, { 2, 1 }, { 3, 1 }, { 3, 2 }, { 3, 3 },
        { 4, 1 }, { 4, 2 }
    };

    evs_json_init(&json, text, sizeof(text) - 1, names);

    for (i = 0; i < sizeof(text); i++) {
        evs_json_place(text, text + i, &line, &column);
        assert_int_equal(line, places[i].line);
        assert_int_equal(column, places[i].column);

        /* the same in steps */

        evs_json_settle(&json, text + i);
        assert_int_equal(json.line, places[i].line);
        assert_int_equal(json.column, places[i].column);
    }

    evs_json_init(&json, text, sizeof(text) - 1, names);
    evs_json_settle(&json, text + 5);
    memset(text, '\n', 5);
    evs_json_settle(&json, text + 6);
    assert_int_equal(json.line, 3);
    assert_int_equal(json.column, 3);
    evs_json_settle(&json, text + 8);
    assert_int_equal(json.line, 4);
    assert_int_equal(json.column, 2);
}


typedef struct {
    const char  *text;
    const char  *want;
} json_pair_t;


static void
json_rewrite(const json_pair_t *pairs, size_t n,
    u_char *(*rewrite)(u_char *, u_char *))
{
    size_t   i, len;
    u_char  *copy, *last;

    for (i = 0; i < n; i++) {
        len = strlen(pairs[i].text);
        copy = json_copy(pairs[i].text, len);

        last = rewrite(copy, copy + len);

        if ((size_t) (last - copy) != strlen(pairs[i].want)
            || memcmp(copy, pairs[i].want, (size_t) (last - copy)) != 0)
        {
            fail_msg("\"%s\" became \"%.*s\"", pairs[i].text,
                     (int) (last - copy), copy);
        }

        free(copy);
    }
}


static void
test_compact(void **state)
{
    static const json_pair_t  pairs[] = {
        { "[]", "[]" },
        { "[ ]", "[]" },
        { "[\t1 ,\r\n2 ]", "[1,2]" },
        { "[1,]", "[1]" },
        { "[1 , ]", "[1]" },
        { "{ \"a\" : [ 1 , ] , \"b\" : { } , }", "{\"a\":[1],\"b\":{}}" },
        { "[ \" , ] \" , \"\\\" , ]\" ]", "[\" , ] \",\"\\\" , ]\"]" },
        { "[ \"\\\\\" , ]", "[\"\\\\\"]" },
        { "[\",\" ]", "[\",\"]" },
        { "[ \"a string of more than sixteen bytes \xc3\xa9 \xc3\xa9\" , ]",
          "[\"a string of more than sixteen bytes \xc3\xa9 \xc3\xa9\"]" },
        { "[ true , false , null , -1.5e+10 ]", "[true,false,null,-1.5e+10]" }
    };

    json_rewrite(pairs, sizeof(pairs) / sizeof(pairs[0]), evs_json_compact);
}


static void
test_unescape(void **state)
{
    static const json_pair_t  pairs[] = {
        { "", "" },
        { "plain", "plain" },
        { "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
        { "a\\u0041b", "aAb" },
        { "\\u007f\\u0080\\u07FF\\u0800\\uffff",
          "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf" },
        { "\\uD83D\\uDE00!", "\xf0\x9f\x98\x80!" },
        { "\\ud800\\udc00\\uDBFF\\uDFFF",
          "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
        { "\\\\u0041", "\\u0041" },
        { "\xc3\xa9\\u00e9", "\xc3\xa9\xc3\xa9" }
    };

    u_char  text[] = "a\\u0000b";

    json_rewrite(pairs, sizeof(pairs) / sizeof(pairs[0]), evs_json_unescape);

    assert_ptr_equal(evs_json_unescape(text, text + 8), text + 3);
    assert_memory_equal(text, "a\0b", 3);
}


static void
test_canonical(void **state)
{
    static const json_pair_t  pairs[] = {
        { "", "" },
        { "plain", "plain" },
        { "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\\\"\\\\/\\b\\f\\n\\r\\t" },
        { "\\u0022\\u005C\\u002f", "\\\"\\\\/" },
        { "\\u0008\\u000C\\u000a\\u000D\\u0009", "\\b\\f\\n\\r\\t" },
        { "\\u0000\\u001F\\u0020\\u007F", "\\u0000\\u001f \x7f" },
        { "\\u00E9\\uD83D\\uDE00", "\xc3\xa9\xf0\x9f\x98\x80" },
        { "\\\\u0041\\\\", "\\\\u0041\\\\" },
        { "a\\u0041b\\n\xc3\xa9", "aAb\\n\xc3\xa9" }
    };

    json_rewrite(pairs, sizeof(pairs) / sizeof(pairs[0]), evs_json_canonical);
}


static void
test_escape(void **state)
{
    size_t   i, len;
    u_char   buf[64];

    static const json_pair_t  pairs[] = {
        { "", "" },
        { "plain/ \x7f", "plain/ \x7f" },
        { "\"\\\b\f\n\r\t\x01\x1f", "\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
          "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },

        /* one U+FFFD for what could have been one character */
        { "\x80", "\xef\xbf\xbd" },
        { "a\xffz", "a\xef\xbf\xbdz" },
        { "\xe2\x82", "\xef\xbf\xbd" },
        { "\xe2\x82\"", "\xef\xbf\xbd\\\"" },
        { "\xf0\x9f\x98z", "\xef\xbf\xbdz" },
        { "\xc3\xc3\xa9", "\xef\xbf\xbd\xc3\xa9" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" }
    };

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        len = strlen(pairs[i].text);

        assert_int_equal(evs_json_escape(NULL, (u_char *) pairs[i].text, len),
                         strlen(pairs[i].want));

        len = evs_json_escape(buf, (u_char *) pairs[i].text, len);
        buf[len] = '\0';
        assert_string_equal((char *) buf, pairs[i].want);
    }

    assert_int_equal(evs_json_escape(buf, (u_char *) "\0", 1), 6);
    assert_memory_equal(buf, "\\u0000", 6);
}


static int
json_setup(void **state)
{
    names = evs_json_names_create();

    return names == NULL;
}


static int
json_teardown(void **state)
{
    evs_json_names_destroy(names);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_string_blocks),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_escape)
    };

    return cmocka_run_group_tests(tests, json_setup, json_teardown);
}
