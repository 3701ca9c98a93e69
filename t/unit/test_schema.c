
/*
 * JSON Schema: what is said about a fault and where it is; which schemas are
 * refused; regular expressions; numbers; what hostile values cost.  The
 * verdicts themselves are those of test_schema_suite.c.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema.h"


extern ngx_int_t  ngx_shim_allocs;

static ngx_pool_t  *kept;


typedef struct {
    const char  *schema;
    const char  *value;
    const char  *faults;         /* "pointer: text\n" of each */
} fault_case_t;


typedef struct {
    const char  *schema;
    const char  *pointer;        /* NULL: it compiles */
    const char  *text;           /* part of it */
} error_case_t;


typedef struct {
    const char  *pattern;        /* without escapes of JSON */
    const char  *yes;            /* both without, too; NULL: no such text */
    const char  *no;
    const char  *error;          /* part of it; NULL: it compiles */
} pattern_case_t;


/* of two bytes each */
#define X10       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define X100      X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

#define REQUIRED  "This field is required.\n"

static const fault_case_t  fault_cases[] = {
    { "true", "1", "" },
    { "false", "1", ": Must not be here.\n" },
    { "{}", "null", "" },

    { "{\"type\":\"string\"}", "\"a\"", "" },
    { "{\"type\":\"string\"}", "1", ": Must be a string, not an integer.\n" },
    { "{\"type\":[\"string\",\"null\",\"array\"]}", "1.5",
      ": Must be a string, an array or null, not a number with a "
      "fraction.\n" },
    { "{\"type\":\"integer\"}", "1.0", "" },
    { "{\"type\":\"integer\"}", "1e300", "" },
    { "{\"type\":\"integer\"}", "1.5",
      ": Must be an integer, not a number with a fraction.\n" },
    { "{\"type\":[\"integer\",\"number\"]}", "{}",
      ": Must be a number, not an object.\n" },

    { "{\"enum\":[\"a\",2,null]}", "\"b\"",
      ": Must be one of \"a\", 2 or null.\n" },
    { "{\"enum\":[[1]]}", "[1.0]", "" },
    { "{\"enum\":[0.1]}", "0", ": Must be 0.1.\n" },
    { "{\"enum\":[]}", "0", ": Must not be here: no value is allowed.\n" },
    { "{\"const\":{\"a\":1,\"b\":[2]}}", "{\"b\":[2],\"a\":1}", "" },
    { "{\"const\":{\"a\":1}}", "{\"a\":2}", ": Must be {\"a\":1}.\n" },

    { "{\"multipleOf\":0.01}", "0.015",
      ": Must be a multiple of 0.01, not 0.015.\n" },
    { "{\"maximum\":3}", "3.5", ": Must be at most 3, not 3.5.\n" },
    { "{\"exclusiveMaximum\":3}", "3", ": Must be less than 3, not 3.\n" },
    { "{\"minimum\":3}", "-1", ": Must be at least 3, not -1.\n" },
    { "{\"exclusiveMinimum\":0.5}", "0.5",
      ": Must be more than 0.5, not 0.5.\n" },

    { "{\"maxLength\":1}", "\"\xf0\x9f\x98\x80\"", "" },
    { "{\"maxLength\":1}", "\"ab\"",
      ": Must have no more than 1 character, not 2.\n" },
    { "{\"minLength\":2.0}", "\"\xc3\xa9\"",
      ": Must have at least 2 characters, not 1.\n" },
    { "{\"pattern\":\"^\\\\d+$\"}", "\"a\"",
      ": Must match the pattern \"^\\\\d+$\".\n" },
    { "{\"maxItems\":0}", "[1]", ": Must have no more than 0 items, not 1.\n" },
    { "{\"minItems\":1}", "[]", ": Must have at least 1 item, not 0.\n" },
    { "{\"minProperties\":2}", "{}",
      ": Must have at least 2 members, not 0.\n" },
    { "{\"uniqueItems\":true}", "[1,2,1.0,2]",
      "/2: Must differ from item 0: all items must be unique.\n" },
    { "{\"uniqueItems\":true}",
      "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1.0}]",
      "/1: Must differ from item 0: all items must be unique.\n" },
    { "{\"uniqueItems\":true}", "[1,true,\"1\",[1],{\"a\":1},null,\"\"]", "" },

    { "{\"required\":[\"a\",\"b/c~d\"]}", "{}",
      "/a: " REQUIRED "/b~1c~0d: " REQUIRED },
    { "{\"properties\":{\"a\":{\"items\":{\"required\":[\"b\"]}}}}",
      "{\"a\":[{\"b\":1},{}]}", "/a/1/b: " REQUIRED },
    { "{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}", "{\"a\":1,\"c\":1}",
      "/b: This field is required beside \"a\".\n" },
    { "{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"c\":1}", "" },
    { "{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"a\":1}",
      "/b: " REQUIRED },

    { "{\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"minimum\":1}}}",
      "{\"b\":0,\"a\":1}",
      "/a: Must be null, not an integer.\n"
      "/b: Must be at least 1, not 0.\n" },
    { "{\"properties\":{\"a\":true,\"b\":true},"
      "\"additionalProperties\":false}", "{\"a\":1,\"c\":2,\"\":3}",
      "/c: Must not be here: known are \"a\", \"b\".\n"
      "/: Must not be here: known are \"a\", \"b\".\n" },
    { "{\"patternProperties\":{\"^x\":{\"type\":\"null\"}},"
      "\"additionalProperties\":{\"type\":\"string\"}}",
      "{\"x1\":1,\"y\":2,\"z\":\"\"}",
      "/x1: Must be null, not an integer.\n"
      "/y: Must be a string, not an integer.\n" },
    { "{\"patternProperties\":{\"a\":{\"minimum\":2},\"b\":{\"minimum\":3}}}",
      "{\"ab\":1}",
      "/ab: Must be at least 2, not 1.\n"
      "/ab: Must be at least 3, not 1.\n" },
    { "{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1,\"d\":2}",
      "/abc: The name must have no more than 2 characters, not 3.\n" },
    { "{\"propertyNames\":false}", "{\"a\":1}",
      "/a: The name must not be here.\n" },

    { "{\"prefixItems\":[{\"type\":\"null\"}],\"items\":{\"minimum\":1}}",
      "[1,0]",
      "/0: Must be null, not an integer.\n"
      "/1: Must be at least 1, not 0.\n" },
    { "{\"prefixItems\":[true],\"items\":false}", "[1,2,3]",
      ": Must have no more than 1 item, not 3.\n" },
    { "{\"contains\":{\"minimum\":5}}", "[1,2]",
      ": Must have at least 1 item that fits {\"minimum\":5}.\n" },
    { "{\"contains\":true,\"maxContains\":2}", "[1,2,3]",
      ": Must have no more than 2 items that fit true.\n" },
    { "{\"contains\":false,\"minContains\":0}", "[1,2,3]", "" },

    { "{\"anyOf\":[{\"type\":\"null\"},{\"required\":[\"a\"]}]}", "{}",
      ": Must fit at least one schema of \"anyOf\". Number 1: Must be null, "
      "not an object. Number 2: /a: This field is required.\n" },
    { "{\"oneOf\":[{\"type\":\"null\"},{\"anyOf\":[{\"type\":\"array\"}]}]}",
      "1",
      ": Must fit exactly one schema of \"oneOf\". Number 1: Must be null, "
      "not an integer. Number 2: Must fit at least one schema of "
      "\"anyOf\".\n" },
    { "{\"oneOf\":[false,{\"minimum\":1},{\"maximum\":3}]}", "2",
      ": Must fit exactly one schema of \"oneOf\", not both number 2 and "
      "number 3.\n" },
    { "{\"not\":{\"type\":\"string\"}}", "\"a\"",
      ": Must not fit {\"type\":\"string\"}.\n" },
    { "{\"allOf\":[{\"minimum\":2},{\"multipleOf\":2}]}", "1",
      ": Must be at least 2, not 1.\n"
      ": Must be a multiple of 2, not 1.\n" },
    { "{\"if\":{\"type\":\"string\"},\"then\":{\"minLength\":1},"
      "\"else\":{\"minimum\":1}}", "\"\"",
      ": Must have at least 1 character, not 0.\n" },
    { "{\"if\":{\"type\":\"string\"},\"then\":{\"minLength\":1},"
      "\"else\":{\"minimum\":1}}", "0", ": Must be at least 1, not 0.\n" },
    { "{\"$defs\":{\"tree\":{\"properties\":{\"left\":{\"$ref\":"
      "\"#/$defs/tree\"}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/tree\"}",
      "{\"v\":1,\"left\":{\"v\":2,\"left\":{}}}",
      "/left/left/v: " REQUIRED },

    /* a limit that isn't one of the value's type */
    { "{\"minimum\":3,\"minLength\":9,\"minItems\":1,\"required\":[\"a\"]}",
      "true", "" }
};


#define NESTED_8(s)   "{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":" \
                      "{\"not\":{\"not\":" s "}}}}}}}}"
#define NESTED_64(s)  NESTED_8(NESTED_8(NESTED_8(NESTED_8(NESTED_8(NESTED_8( \
                      NESTED_8(NESTED_8(s))))))))

static const error_case_t  error_cases[] = {
    { "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
      "\"$id\":\"https://a.example/b\",\"title\":\"t\",\"description\":\"d\","
      "\"$comment\":\"c\",\"default\":1,\"examples\":[1],\"deprecated\":true,"
      "\"readOnly\":true,\"writeOnly\":false,\"format\":\"email\","
      "\"contentEncoding\":\"base64\",\"contentMediaType\":\"text/plain\","
      "\"contentSchema\":{\"minimum\":1},\"then\":true,\"else\":false}",
      NULL, NULL },

    { "1", "", "must be an object or a boolean, not an integer" },
    { "{\"allOf\":[{},\"a\"]}", "/allOf/1", "not a string" },
    { "{\"properties\":{\"a\":{\"minimun\":1}}}", "/properties/a/minimun",
      "\"minimun\" is no keyword" },
    { "{\"definitions\":{}}", "/definitions", "use \"$defs\"" },
    { "{\"dependencies\":{}}", "/dependencies", "\"dependentRequired\"" },
    { "{\"items\":[true]}", "/items", "use \"prefixItems\"" },
    { "{\"additionalItems\":true}", "/additionalItems", "use \"items\"" },
    { "{\"unevaluatedProperties\":false}", "/unevaluatedProperties",
      "is not supported" },
    { "{\"unevaluatedItems\":false}", "/unevaluatedItems",
      "is not supported" },
    { "{\"$dynamicRef\":\"#\"}", "/$dynamicRef", "use \"$ref\"" },
    { "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "/$schema",
      "draft/2020-12/schema" },
    { "{\"title\":1}", "/title", "must be a string, not an integer" },
    { "{\"then\":{\"a\":1}}", "/then/a", "is no keyword" },
    { "{\"if\":true,\"then\":{\"a\":1}}", "/then/a", "is no keyword" },
    { "{\"contentSchema\":{\"a\":1}}", "/contentSchema/a", "is no keyword" },
    { "{\"$defs\":{\"a\":{\"b\":1}}}", "/$defs/a/b", "is no keyword" },

    { "{\"type\":\"int\"}", "/type", "\"integer\"" },
    { "{\"type\":[]}", "/type", "at least one" },
    { "{\"type\":[\"null\",1]}", "/type", "a type is" },
    { "{\"type\":[\"null\",\"null\"]}", "/type", "item 0 again as item 1" },
    { "{\"enum\":{}}", "/enum", "must be an array" },
    { "{\"multipleOf\":0}", "/multipleOf", "more than 0" },
    { "{\"maximum\":\"1\"}", "/maximum", "must be a number, not a string" },
    { "{\"minLength\":-1}", "/minLength", "at least 0" },
    { "{\"minLength\":1.5}", "/minLength", "must be an integer" },
    { "{\"minContains\":-1}", "/minContains", "at least 0" },
    { "{\"uniqueItems\":1}", "/uniqueItems", "must be a boolean" },
    { "{\"required\":\"a\"}", "/required", "must be an array" },
    { "{\"required\":[1]}", "/required", "an array of names" },
    { "{\"required\":[\"a\",\"a\"]}", "/required", "again" },
    { "{\"dependentRequired\":{\"a\":\"b\"}}", "/dependentRequired/a",
      "must be an array" },
    { "{\"allOf\":[]}", "/allOf", "at least one schema" },
    { "{\"pattern\":\"(\"}", "/pattern", "is not a regular expression" },
    { "{\"patternProperties\":{\"a/[\":true}}", "/patternProperties/a~1[",
      "missing terminating ] for character class, at byte 3" },

    { "{\"$ref\":\"#/$defs/a\"}", "/$ref", "no schema at \"#/$defs/a\"" },
    { "{\"$ref\":\"#a\"}", "/$ref", "no schema at \"#a\"" },
    { "{\"$defs\":{\"a/b%\":{}},\"$ref\":\"#/$defs/a~1b%25\"}", NULL, NULL },
    { "{\"$defs\":{\"J\":{}},\"$ref\":\"#/%24defs/%4a\"}", NULL, NULL },
    { "{\"$ref\":\"#/%2\"}", "/$ref", "no schema at" },
    { "{\"$ref\":\"#/%zz\"}", "/$ref", "no schema at" },
    { "{\"$ref\":\"other.json\"}", "/$ref", "must begin with #" },
    { "{\"$ref\":\"http://a.example/b#/c\"}", "/$ref",
      "must begin with #" },
    { "{\"$ref\":\"\"}", "/$ref", "must begin with #" },
    { "{\"properties\":{\"a\":{\"$ref\":\"#/properties\"}}}",
      "/properties/a/$ref", "no schema at" },
    { "{\"enum\":[{}],\"properties\":{\"a\":{\"$ref\":\"#/enum/0\"}}}",
      "/properties/a/$ref", "no schema at" },
    { "{\"not\":{\"$id\":\"a\"}}", "/not/$id", "but at the root" },
    { "{\"$anchor\":\"a\"}", "/$anchor", "use \"$defs\"" },

    { "{\"$ref\":\"#\"}", "", "leads back to itself" },
    { "{\"$defs\":{\"a\":{\"anyOf\":[{\"not\":{\"if\":true,\"else\":"
      "{\"$ref\":\"#/$defs/a\"}}}]}}}", "/$defs/a", "leads back to itself" },
    { "{\"dependentSchemas\":{\"a\":{\"$ref\":\"#\"}}}", "",
      "leads back to itself" },
    { "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"items\":{\"$ref\":\"#\"},"
      "\"contains\":{\"$ref\":\"#\"},\"propertyNames\":{\"$ref\":\"#\"},"
      "\"additionalProperties\":{\"$ref\":\"#\"}}", NULL, NULL },
    { NESTED_64("true"), "/not/not/not/not/not/not/not/not/not/not/not/not/"
      "not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/"
      "not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/"
      "not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/"
      "not", "deeper than 64" }
};


static const pattern_case_t  pattern_cases[] = {
    { "^abc$", "abc", "abc\n", NULL },
    { "b", "abc", "ac", NULL },
    { "", "", NULL, NULL },
    { "^a.c$", "a\xf0\x9f\x98\x80" "c", "a\nc", NULL },
    { "^.$", "\r", "\n", NULL },
    { "^[\\s]$", " ", "\xc2\xa0", NULL },
    { "^\\d$", "7", "\xd9\xa3", NULL },
    { "^\\w+$", "aB_9", "\xc3\xa9", NULL },
    { "\\bx\\b", "a x", "ax", NULL },
    { "^\\x41\\u0042\\t$", "AB\t", "xu\t", NULL },
    { "^[^\\u00e9]$", "e", "\xc3\xa9", NULL },
    { "^(a)\\1$", "aa", "a1", NULL },
    { "^(?<n>a)\\k<n>$", "aa", "ab", NULL },
    { "^(?:(a)|b)\\1$", "b", "a", NULL },
    { "(?<=a)b(?<!c)", "ab", "cb", NULL },
    { "^a{2}b{1,}c{0,1}$", "aabb", "ab", NULL },
    { "^a{,2}$", "a{,2}", "aa", NULL },
    { "^[]$", NULL, "]", NULL },
    { "^[^]$", "\n", "", NULL },
    { "^\\p{L}\\p{Lu}$", "aA", "a1", NULL },
    { "^[\\p{Greek}]$", "\xce\xb1", "a", NULL },
    { "^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$", "a@b.cd", "a@b", NULL },

    /* what PCRE knows beyond JavaScript */
    { "^(?i)a$", "A", "b", NULL },
    { "^(?>a+)b$", "aab", "aa", NULL },
    { "^[[:alpha:]]$", "x", ":]", NULL },
    { "^(\\((?:[^()]|(?1))*\\))$", "(a(b)())", "(a", NULL },

    { "\\", NULL, NULL, "end of pattern, at byte 1" },
    { "a\\C", NULL, NULL, "\\C is disabled" },
    { "\\2", NULL, NULL, "subpattern" },
    { "\\ud83d", NULL, NULL, "disallowed Unicode code point" },
    { "\\p{Letter}", NULL, NULL, "unknown property" },
    { "*", NULL, NULL, "quantifier" },
    { "(a", NULL, NULL, "parenthesis" },
    { "a)", NULL, NULL, "parenthesis" },
    { "[b-a]", NULL, NULL, "range" },
    { "[a", NULL, NULL, "missing terminating ]" },
    { "(?<a", NULL, NULL, "subpattern name" },
    { "(?<=a*)b", NULL, NULL, "lookbehind" }
};


static json_t *
load(const char *text)
{
    json_t        *json;
    json_error_t   error;

    json = json_loads(text, JSON_DECODE_ANY|JSON_REJECT_DUPLICATES, &error);

    if (json == NULL) {
        fail_msg("%s: %s", text, error.text);
    }

    return json;
}


static evs_schema_t *
compile(ngx_pool_t *pool, json_t *json)
{
    evs_schema_t        *schema;
    evs_schema_error_t   err;

    schema = evs_schema_compile(pool, json, &err);

    if (schema == NULL) {
        fail_msg("at \"%.*s\": %.*s", (int) err.pointer.len, err.pointer.data,
                 (int) err.text.len, err.text.data);
    }

    json_decref(json);

    return schema;
}


/* With a bound of its own. */

static ngx_int_t
run(const evs_schema_t *schema, const json_t *value, ngx_pool_t *pool,
    evs_schema_faults_t *faults)
{
    ngx_uint_t  steps;

    steps = EVS_SCHEMA_MAX_STEPS;

    return evs_schema_validate(schema, value, pool, &steps, faults);
}


/* The verdict, and that it goes with the faults; these last until the next. */

static ngx_int_t
validate(const char *schema, json_t *value, evs_schema_faults_t *faults)
{
    ngx_int_t  rc;

    if (kept != NULL) {
        ngx_destroy_pool(kept);
    }

    kept = ngx_create_pool(4096, NULL);

    rc = run(compile(kept, load(schema)), value, kept, faults);

    assert_int_equal(rc == NGX_OK, faults->n == 0);
    assert_in_range(faults->n, 0, EVS_SCHEMA_MAX_FAULTS);

    json_decref(value);

    return rc;
}


static void
test_faults(void **state)
{
    char                  text[4096];
    size_t                i, k, n;
    json_t               *value;
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    evs_schema_t         *schema;
    const fault_case_t   *c;
    evs_schema_faults_t   faults;

    for (i = 0; i < sizeof(fault_cases) / sizeof(fault_cases[0]); i++) {
        c = &fault_cases[i];

        pool = ngx_create_pool(4096, NULL);
        schema = compile(pool, load(c->schema));
        value = load(c->value);

        rc = run(schema, value, pool, &faults);

        n = 0;
        text[0] = '\0';

        for (k = 0; k < faults.n; k++) {
            n += (size_t) snprintf(text + n, sizeof(text) - n, "%.*s: %.*s\n",
                                   (int) faults.fault[k].pointer.len,
                                   faults.fault[k].pointer.data,
                                   (int) faults.fault[k].text.len,
                                   faults.fault[k].text.data);
        }

        if (strcmp(text, c->faults) != 0) {
            fail_msg("%s for %s:\n%s", c->value, c->schema, text);
        }

        assert_int_equal(rc, (n == 0) ? NGX_OK : NGX_DECLINED);

        json_decref(value);
        ngx_destroy_pool(pool);
    }
}


static ngx_uint_t
contains(const ngx_str_t *text, const char *part)
{
    size_t  i, len;

    len = strlen(part);

    for (i = 0; i + len <= text->len; i++) {
        if (memcmp(text->data + i, part, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
test_errors(void **state)
{
    size_t                i;
    json_t               *json;
    ngx_pool_t           *pool;
    evs_schema_t         *schema;
    const error_case_t   *c;
    evs_schema_error_t    err;

    for (i = 0; i < sizeof(error_cases) / sizeof(error_cases[0]); i++) {
        c = &error_cases[i];

        pool = ngx_create_pool(4096, NULL);
        json = load(c->schema);
        schema = evs_schema_compile(pool, json, &err);

        if ((schema != NULL) != (c->pointer == NULL)
            || (schema == NULL
                && (err.pointer.len != strlen(c->pointer)
                    || memcmp(err.pointer.data, c->pointer, err.pointer.len)
                       != 0
                    || !contains(&err.text, c->text))))
        {
            fail_msg("%s: at \"%.*s\": %.*s", c->schema,
                     (int) err.pointer.len, err.pointer.data,
                     (int) err.text.len, err.text.data);
        }

        json_decref(json);
        ngx_destroy_pool(pool);
    }
}


static void
test_patterns(void **state)
{
    size_t                  i;
    json_t                 *json, *value;
    ngx_pool_t             *pool;
    const char             *texts[2];
    ngx_uint_t              k;
    evs_schema_t           *schema;
    evs_schema_error_t      err;
    evs_schema_faults_t     faults;
    const pattern_case_t   *c;

    for (i = 0; i < sizeof(pattern_cases) / sizeof(pattern_cases[0]); i++) {
        c = &pattern_cases[i];

        pool = ngx_create_pool(4096, NULL);
        json = json_pack("{ss}", "pattern", c->pattern);
        schema = evs_schema_compile(pool, json, &err);

        if ((schema == NULL) != (c->error != NULL)
            || (schema == NULL && !contains(&err.text, c->error)))
        {
            fail_msg("%s: %.*s", c->pattern, (int) err.text.len,
                     err.text.data);
        }

        texts[0] = c->yes;
        texts[1] = c->no;

        for (k = 0; k < 2 && schema != NULL; k++) {

            if (texts[k] == NULL) {
                continue;
            }

            value = json_string(texts[k]);

            if ((run(schema, value, pool, &faults) == NGX_OK)
                != (k == 0))
            {
                fail_msg("%s: \"%s\"", c->pattern, texts[k]);
            }

            json_decref(value);
        }

        json_decref(json);
        ngx_destroy_pool(pool);
    }
}


/* A schema's number, and those that fit it or don't. */

static void
test_numbers(void **state)
{
    size_t                i;
    ngx_int_t             rc;
    evs_schema_faults_t   faults;

    static const struct {
        const char  *schema;
        const char  *value;
        ngx_uint_t   fits;
    } cases[] = {
        { "{\"maximum\":9007199254740992}", "9007199254740993", 0 },
        { "{\"maximum\":9007199254740992.0}", "9007199254740993", 0 },
        { "{\"minimum\":9007199254740993}", "9007199254740992.0", 0 },
        { "{\"const\":9007199254740993}", "9007199254740992.0", 0 },
        { "{\"const\":9007199254740992}", "9007199254740992.0", 1 },
        { "{\"maximum\":9223372036854775807}", "9223372036854775808.0", 0 },
        { "{\"const\":9223372036854775807}", "9223372036854775808.0", 0 },
        { "{\"minimum\":-9223372036854775808}", "-9223372036854775808.0", 1 },
        { "{\"const\":-9223372036854775808}", "-9223372036854775808.0", 1 },
        { "{\"minimum\":-9223372036854775808}", "-1e19", 0 },
        { "{\"exclusiveMinimum\":2.5}", "2", 0 },
        { "{\"exclusiveMaximum\":-2.5}", "-2", 0 },
        { "{\"exclusiveMaximum\":-2.5}", "-3", 1 },
        { "{\"exclusiveMinimum\":1e300}", "9223372036854775807", 0 },
        { "{\"const\":0}", "-0.0", 1 },
        { "{\"enum\":[1.5]}", "1.5", 1 },
        { "{\"uniqueItems\":true}", "[0,-0.0]", 0 },
        { "{\"uniqueItems\":true}", "[9007199254740993,9007199254740992.0]",
          1 },
        { "{\"uniqueItems\":true}", "[9223372036854775807,1e19,1.5,1e300]",
          1 },
        { "{\"uniqueItems\":true}", "[1e19,2,10000000000000000000.0]", 0 },

        { "{\"multipleOf\":0.0001}", "0.0075", 1 },
        { "{\"multipleOf\":0.0001}", "0.00751", 0 },
        { "{\"multipleOf\":0.01}", "19.99", 1 },
        { "{\"multipleOf\":0.01}", "4.35", 1 },
        { "{\"multipleOf\":0.1}", "1000000000000000.3", 1 },
        { "{\"multipleOf\":0.3}", "0.9", 1 },
        { "{\"multipleOf\":0.3}", "1", 0 },
        { "{\"multipleOf\":3}", "9223372036854775806", 1 },
        { "{\"multipleOf\":3}", "9223372036854775807", 0 },
        { "{\"multipleOf\":9223372036854775807}", "1e300", 0 },
        { "{\"multipleOf\":2}", "-9223372036854775808", 1 },
        { "{\"multipleOf\":2.5}", "-7.5", 1 },
        { "{\"multipleOf\":5e-324}", "1", 1 },
        { "{\"multipleOf\":7}", "5e-324", 0 },
        { "{\"multipleOf\":0.5}", "1e308", 1 },
        { "{\"multipleOf\":0.123456789}", "1e308", 0 },
        { "{\"multipleOf\":1e308}", "1", 0 },
        { "{\"multipleOf\":1e308}", "0", 1 },
        { "{\"multipleOf\":1e308}", "0.0", 1 },

        { "{\"minLength\":1e300}", "\"a\"", 0 },
        { "{\"maxLength\":1e300}", "\"a\"", 1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rc = validate(cases[i].schema, load(cases[i].value), &faults);

        if (rc != (cases[i].fits ? NGX_OK : NGX_DECLINED)) {
            fail_msg("%s: %s", cases[i].schema, cases[i].value);
        }
    }
}


/* Faults, their texts and their pointers have a bound. */

static void
test_bounds(void **state)
{
    char                 *name;
    size_t                i;
    json_t               *value;
    ngx_str_t            *pointer;
    evs_schema_faults_t   faults;

    value = json_array();

    for (i = 0; i < 1000; i++) {
        json_array_append_new(value, json_integer((json_int_t) i));
    }

    assert_int_equal(validate("{\"items\":{\"type\":\"null\"}}", value,
                              &faults), NGX_DECLINED);
    assert_int_equal(faults.n, EVS_SCHEMA_MAX_FAULTS);

    /* a name of characters of two bytes and of escaped ones */

    name = malloc(60001);

    for (i = 0; i < 60000; i += 3) {
        memcpy(name + i, "\xc3\xa9/", 3);
    }

    name[60000] = '\0';

    value = json_object();
    json_object_set_new(value, name, json_object());

    free(name);

    assert_int_equal(validate("{\"additionalProperties\":{\"required\":"
                              "[\"a\"]}}", value, &faults), NGX_DECLINED);

    pointer = &faults.fault[0].pointer;

    assert_in_range(pointer->len, 1020, 1024);
    assert_memory_equal(pointer->data, "/\xc3\xa9~1\xc3\xa9~1", 9);
    assert_memory_equal(pointer->data + pointer->len - 3, "...", 3);

    /* a value of the schema that is cut deep within */

    assert_int_equal(validate("{\"const\":{\"a\":[[\"" X100 "\",{\"b\":1}]],"
                              "\"c\":{}}}", json_null(), &faults),
                     NGX_DECLINED);
    assert_in_range(faults.fault[0].text.len, 120, 140);

    /* a sentence of more than there is room for */

    value = json_integer(1);

    assert_int_equal(validate("{\"enum\":[\"" X100 X100 "\",\"" X100 "\",\""
                              X100 "\",\"" X100 "\",\"" X100 "\",\"" X100
                              "\"]}", value, &faults), NGX_DECLINED);

    assert_in_range(faults.fault[0].text.len, 400, 600);
    assert_true(contains(&faults.fault[0].text, "\xc3\xa9..., \""));
}


/* n times what is in between */

static json_t *
repeat(const char *before, const char *text, size_t n, const char *after)
{
    char    *buf, *p;
    size_t   i;
    json_t  *json;

    buf = malloc(strlen(before) + n * strlen(text) + strlen(after) + 1);
    p = buf + sprintf(buf, "%s", before);

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s", text);
    }

    (void) sprintf(p, "%s", after);

    json = load(buf);
    free(buf);

    return json;
}


/* What would take too long, or too much stack, is said not to fit. */

static void
test_costs(void **state)
{
    size_t                i;
    json_t               *value;
    evs_schema_faults_t   faults;

    /* twice for each level, 2^32 in all */

    assert_int_equal(
        validate("{\"type\":\"array\",\"anyOf\":[{\"items\":{\"$ref\":\"#\"}},"
                 "{\"items\":{\"$ref\":\"#\"}}]}",
                 load("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]"
                      "]]]]]]]]]]]"), &faults), NGX_DECLINED);

    assert_true(contains(&faults.fault[faults.n - 1].text, "too much work"));

    /* backtracking */

    assert_int_equal(
        validate("{\"pattern\":\"^(a+)+$\"}",
                 repeat("\"", "a", 60, "b\""), &faults), NGX_DECLINED);

    assert_true(contains(&faults.fault[0].text, "too much work"));

    /* with anyOf it is not told by its branch */

    assert_int_equal(
        validate("{\"anyOf\":[{\"pattern\":\"^(a+)+$\"},true]}",
                 repeat("\"", "a", 60, "b\""), &faults), NGX_DECLINED);

    assert_int_equal(faults.n, 1);
    assert_true(contains(&faults.fault[0].text, "too much work"));

    /* but what is only long is not too much */

    assert_int_equal(
        validate("{\"pattern\":\"^(a|b)*$\"}",
                 repeat("\"", "ab", 32000, "\""), &faults), NGX_OK);

    assert_int_equal(
        validate("{\"pattern\":\"^[^@]+@[^@]+\\\\.[a-z]+$\"}",
                 repeat("\"", "a", 60000, "@b.c\""), &faults), NGX_OK);

    value = json_array();

    for (i = 0; i < 30000; i++) {
        json_array_append_new(value, json_integer((json_int_t) i));
    }

    assert_int_equal(
        validate("{\"uniqueItems\":true,\"items\":{\"type\":\"integer\","
                 "\"minimum\":0}}", value, &faults), NGX_OK);

    assert_int_equal(
        validate("{\"uniqueItems\":true}",
                 repeat("[", "1,", 30000, "1]"), &faults), NGX_DECLINED);

    assert_int_equal(faults.n, 1);

    assert_int_equal(
        validate("{\"items\":{\"enum\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
                 "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]}}",
                 repeat("[", "1,", 30000, "1]"), &faults), NGX_DECLINED);

    assert_true(contains(&faults.fault[0].text, "too much work"));

    /* deeper than the contract allows a value to be */

    value = json_array();

    for (i = 0; i < 2000; i++) {
        value = json_pack("[o]", value);
    }

    assert_int_equal(validate("{\"items\":{\"$ref\":\"#\"}}", value, &faults),
                     NGX_DECLINED);

    assert_true(contains(&faults.fault[0].text, "too deep"));
}


/* Values that share a bound may be checked until it is used up. */

static void
test_shared(void **state)
{
    json_t               *value;
    ngx_uint_t            n, steps, before;
    ngx_pool_t           *pool;
    evs_schema_t         *schema;
    evs_schema_faults_t   faults;

    pool = ngx_create_pool(4096, NULL);
    value = load("[1,2,3]");
    schema = compile(pool, load("{\"items\":{\"minimum\":0}}"));

    steps = 100;
    before = 100;

    for (n = 0; evs_schema_validate(schema, value, pool, &steps, &faults)
                == NGX_OK; n++)
    {
        assert_in_range(before - steps, 4, 20);
        before = steps;
    }

    assert_in_range(n, 100 / 20, 100 / 4);
    assert_int_equal(steps, 0);
    assert_int_equal(faults.n, 1);
    assert_true(contains(&faults.fault[0].text, "too much work"));

    /* and each has one of its own besides */

    steps = 10 * EVS_SCHEMA_MAX_STEPS;
    schema = compile(pool, load("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"}},"
                                "{\"items\":{\"$ref\":\"#\"}}],"
                                "\"type\":\"array\"}"));
    json_decref(value);
    value = load("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]"
                 "]]]]]]]]]]]");

    assert_int_equal(evs_schema_validate(schema, value, pool, &steps,
                                         &faults), NGX_DECLINED);
    assert_int_equal(steps, 9 * EVS_SCHEMA_MAX_STEPS);

    json_decref(value);
    ngx_destroy_pool(pool);
}


/* Memory runs out at every single place of a compilation and a run. */

static void
test_memory(void **state)
{
    json_t               *json, *value;
    ngx_int_t             n, rc;
    ngx_pool_t           *pool;
    evs_schema_t         *schema;
    evs_schema_error_t    err;
    evs_schema_faults_t   faults;

    static const char  text[] =
        "{\"$id\":\"http://a/b\",\"$defs\":{\"c\":{\"minimum\":1}},"
        "\"type\":[\"object\"],\"properties\":{\"a\":{\"$ref\":\"#/$defs/c\","
        "\"anyOf\":[{\"type\":\"null\"},{\"required\":[\"x\"]}]},"
        "\"b\":{\"uniqueItems\":true,\"items\":{\"pattern\":\"^a\"},"
        "\"prefixItems\":[true],\"contains\":{\"const\":1}}},"
        "\"patternProperties\":{\"^[xy]$\":{\"enum\":[1]}},"
        "\"additionalProperties\":false,\"propertyNames\":{\"maxLength\":1},"
        "\"if\":{\"not\":true},\"then\":true,\"else\":{\"required\":[\"z\"]},"
        "\"dependentRequired\":{\"a\":[\"y\"]}}";

    json = load(text);
    value = load("{\"a\":1,\"b\":[\"b\",\"c\",\"b\"],\"x\":0,\"cc\":1}");

    for (n = 0; /* void */ ; n++) {
        pool = ngx_create_pool(4096, NULL);

        ngx_shim_allocs = n;
        schema = evs_schema_compile(pool, json, &err);
        ngx_shim_allocs = -1;

        if (schema != NULL) {
            break;
        }

        assert_int_equal(err.text.len, 0);
        ngx_destroy_pool(pool);
    }

    assert_true(n > 50);

    for (n = 0; /* void */ ; n++) {
        ngx_shim_allocs = n;
        rc = run(schema, value, pool, &faults);
        ngx_shim_allocs = -1;

        if (rc != NGX_ERROR) {
            break;
        }
    }

    assert_int_equal(rc, NGX_DECLINED);
    assert_true(n > 10);
    assert_true(faults.n > 5);

    ngx_destroy_pool(pool);
    json_decref(value);
    json_decref(json);
}


static int
drop_kept(void **state)
{
    ngx_destroy_pool(kept);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_memory)
    };

    return cmocka_run_group_tests(tests, NULL, drop_kept);
}
