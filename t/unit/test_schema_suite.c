
/*
 * JSON Schema by the tests that others wrote for it: all of the official
 * suite's draft 2020-12, which is beside this file, and the draft 7 of
 * Debian's json-schema-test-suite, whose schemas are first rewritten as 2020-12
 * has them.  A case counts as passed when the schema compiles and the verdict
 * is the suite's.  What must not compile, or is judged otherwise, is listed
 * here with its reason, and has to be so.
 */


#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema.h"


#define DEBIAN  "/usr/share/json-schema-test-suite/tests/draft7"


/* file, or file and the beginning of a group's description, or all three */

typedef struct {
    const char  *file;
    const char  *group;          /* NULL: every one */
    const char  *test;           /* NULL: the schema is refused */
    const char  *reason;
    ngx_uint_t   seen;
} suite_exception_t;


typedef struct {
    ngx_uint_t          total;
    ngx_uint_t          passed;
    ngx_uint_t          refused;
    ngx_uint_t          other;
    ngx_uint_t          failed;

    /* of these, those in files that are not an exception as a whole */
    ngx_uint_t          named;
    ngx_uint_t          right;

    suite_exception_t  *exceptions;
    const char         *file;
    json_t           *(*rewrite)(json_t *schema);
} suite_t;


static json_t *suite_modern(json_t *schema);


#define NO_UNEVALUATED  "unevaluated* are not supported, and refused"
#define NO_DYNAMIC      "$dynamicRef and $dynamicAnchor are not supported"
#define NO_REMOTE       "another document is never read"
#define NO_META         "the meta-schema is another document"
#define NO_UNKNOWN      "an unknown keyword is refused, so that nobody "      \
                        "believes in a check that isn't made"
#define NO_ID           "$id is supported at the root only, and $anchor not"
#define NO_URI          "a reference by a URI of the document itself is "      \
                        "refused"
#define NO_PROPERTY     "PCRE2 does not know the long names of categories"
#define NO_SPACE        "to PCRE2 \\s is white space of ASCII"
#define NO_DIALECT      "another dialect than 2020-12 is refused"

static suite_exception_t  suite_2020[] = {
    { "unevaluatedItems.json", NULL, NULL, NO_UNEVALUATED, 0 },
    { "unevaluatedProperties.json", NULL, NULL, NO_UNEVALUATED, 0 },
    { "dynamicRef.json", NULL, NULL, NO_DYNAMIC, 0 },
    { "optional/dynamicRef.json", NULL, NULL, NO_DYNAMIC, 0 },
    { "refRemote.json", NULL, NULL, NO_REMOTE, 0 },
    { "defs.json", NULL, NULL, NO_META, 0 },
    { "vocabulary.json", NULL, NULL, NO_DIALECT, 0 },
    { "optional/cross-draft.json", NULL, NULL, NO_DIALECT, 0 },
    { "optional/format-assertion.json", NULL, NULL, NO_DIALECT, 0 },
    { "optional/unknownKeyword.json", NULL, NULL, NO_UNKNOWN, 0 },
    { "optional/refOfUnknownKeyword.json", NULL, NULL, NO_UNKNOWN, 0 },
    { "optional/dependencies-compatibility.json", NULL, NULL,
      "\"dependencies\" was replaced by 2019-09, and is refused", 0 },
    { "not.json", "collect annotations inside a 'not'", NULL, NO_UNEVALUATED,
      0 },
    { "ref.json", "ref creates new scope", NULL, NO_UNEVALUATED, 0 },
    { "ref.json", "remote ref", NULL, NO_META, 0 },
    { "anchor.json", NULL, NULL, NO_ID, 0 },
    { "optional/anchor.json", NULL, NULL, NO_ID, 0 },
    { "optional/id.json", NULL, NULL, NO_ID, 0 },
    { "ref.json", "Recursive references between schemas", NULL, NO_ID, 0 },
    { "ref.json", "refs with relative uris", NULL, NO_ID, 0 },
    { "ref.json", "relative refs with absolute", NULL, NO_ID, 0 },
    { "ref.json", "$id must be resolved", NULL, NO_ID, 0 },
    { "ref.json", "order of evaluation", NULL, NO_ID, 0 },
    { "ref.json", "URN base URI with URN and anchor", NULL, NO_ID, 0 },
    { "ref.json", "URN ref with nested", NULL, NO_ID, 0 },
    { "ref.json", "ref to ", NULL, NO_ID, 0 },
    { "ref.json", "ref with absolute-path", NULL, NO_ID, 0 },
    { "ref.json", "simple URN base URI with $ref", NULL, NO_URI, 0 },
    { "ref.json", "URN base URI with URN and JSON", NULL, NO_URI, 0 },
    { "pattern.json", "pattern with Unicode property", NULL, NO_PROPERTY, 0 },
    { "patternProperties.json", "patternProperties with Unicode property",
      NULL, NO_PROPERTY, 0 },
    { "optional/ecmascript-regex.json", "patterns always use unicode", NULL,
      NO_PROPERTY, 0 },
    { "optional/ecmascript-regex.json", "pattern with non-ASCII", NULL,
      NO_PROPERTY, 0 },
    { "optional/ecmascript-regex.json", "patternProperties with non-ASCII",
      NULL, NO_PROPERTY, 0 },
    { "optional/ecmascript-regex.json", "ECMA 262 \\s matches", "", NO_SPACE,
      0 },
    { "optional/ecmascript-regex.json", "ECMA 262 \\S matches", "", NO_SPACE,
      0 },
    { NULL, NULL, NULL, NULL, 0 }
};

static suite_exception_t  suite_draft7[] = {
    { "refRemote.json", NULL, NULL, NO_REMOTE, 0 },
    { "definitions.json", NULL, NULL, NO_META, 0 },
    { "ref.json", "remote ref", NULL, NO_META, 0 },
    { "ref.json", "escaped pointer ref", NULL, NO_UNKNOWN, 0 },
    { "ref.json", "Recursive references between schemas", NULL, NO_ID, 0 },
    { "optional/content.json", NULL, "",
      "content is an annotation since 2019-09", 0 },
    { "optional/ecmascript-regex.json", "ECMA 262 regex non-compliance", "",
      "format is an annotation", 0 },
    { NULL, NULL, NULL, NULL, 0 }
};


static suite_exception_t *
suite_exception(const suite_t *suite, const char *group, const char *test)
{
    suite_exception_t  *e;

    for (e = suite->exceptions; e->file != NULL; e++) {

        if (strcmp(e->file, suite->file) != 0
            || (e->group != NULL
                && strncmp(e->group, group, strlen(e->group)) != 0)
            || (e->test == NULL) != (test == NULL)
            || (test != NULL && strncmp(e->test, test, strlen(e->test)) != 0))
        {
            continue;
        }

        e->seen++;
        return e;
    }

    return NULL;
}


static void
suite_test(suite_t *suite, const evs_schema_t *schema, const char *group,
    const json_t *test, ngx_pool_t *pool)
{
    ngx_int_t             rc;
    ngx_uint_t            i, valid, steps;
    const char           *text;
    evs_schema_faults_t   faults;

    text = json_string_value(json_object_get(test, "description"));
    valid = json_is_true(json_object_get(test, "valid"));

    steps = EVS_SCHEMA_MAX_STEPS;
    rc = evs_schema_validate(schema, json_object_get(test, "data"), pool,
                             &steps, &faults);

    assert_true(rc == NGX_OK || rc == NGX_DECLINED);
    assert_int_equal(rc == NGX_OK, faults.n == 0);

    for (i = 0; i < faults.n; i++) {
        assert_true(faults.fault[i].text.len > 0);
    }

    if ((rc == NGX_OK) == valid) {
        suite->passed++;
        return;
    }

    if (suite_exception(suite, group, text) != NULL) {
        suite->other++;
        return;
    }

    suite->failed++;

    print_error("%s: %s: %s: is %s: %.*s\n", suite->file, group, text,
                (rc == NGX_OK) ? "valid" : "invalid",
                (rc == NGX_OK) ? 0 : (int) faults.fault[0].text.len,
                faults.fault[0].text.data);
}


static void
suite_group(suite_t *suite, json_t *item)
{
    json_t              *json, *tests;
    size_t               i;
    const char          *group;
    ngx_pool_t          *pool;
    evs_schema_t        *schema;
    evs_schema_error_t   err;

    json = json_object_get(item, "schema");
    tests = json_object_get(item, "tests");
    group = json_string_value(json_object_get(item, "description"));

    suite->total += json_array_size(tests);
    pool = ngx_create_pool(4096, NULL);

    json = (suite->rewrite != NULL) ? suite->rewrite(json) : json_incref(json);
    schema = evs_schema_compile(pool, json, &err);
    json_decref(json);

    if (schema == NULL) {
        assert_true(err.text.len > 0);

        if (suite_exception(suite, group, NULL) == NULL) {
            suite->failed++;

            print_error("%s: %s: refused at \"%.*s\": %.*s\n", suite->file,
                        group, (int) err.pointer.len, err.pointer.data,
                        (int) err.text.len, err.text.data);
        }

        suite->refused += json_array_size(tests);
        ngx_destroy_pool(pool);
        return;
    }

    for (i = 0; i < json_array_size(tests); i++) {
        suite_test(suite, schema, group, json_array_get(tests, i), pool);
    }

    ngx_destroy_pool(pool);
}


/* jansson's integers have 64 bits: where that is too few, they are reals */

static void
suite_file(suite_t *suite, const char *path)
{
    json_t                   *groups;
    size_t                    i;
    ngx_uint_t                total, passed;
    json_error_t              error;
    const suite_exception_t  *e;

    groups = json_load_file(path, JSON_ALLOW_NUL, &error);

    if (groups == NULL
        && json_error_code(&error) == json_error_numeric_overflow)
    {
        groups = json_load_file(path, JSON_ALLOW_NUL|JSON_DECODE_INT_AS_REAL,
                                &error);
    }

    if (groups == NULL) {
        fail_msg("%s: %s", path, error.text);
    }

    total = suite->total;
    passed = suite->passed;

    for (i = 0; i < json_array_size(groups); i++) {
        suite_group(suite, json_array_get(groups, i));
    }

    json_decref(groups);

    for (e = suite->exceptions; e->file != NULL; e++) {
        if (e->group == NULL && e->test == NULL
            && strcmp(e->file, suite->file) == 0)
        {
            return;
        }
    }

    suite->named += suite->total - total;
    suite->right += suite->passed - passed;
}


static void
suite_folder(suite_t *suite, const char *folder, const char *below)
{
    DIR            *d;
    char            path[NGX_MAX_PATH], file[256];
    struct dirent  *de;

    (void) snprintf(path, sizeof(path), "%s/%s", folder, below);

    d = opendir(path);
    if (d == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
    }

    while ((de = readdir(d)) != NULL) {

        if (strstr(de->d_name, ".json") == NULL) {
            continue;
        }

        (void) snprintf(file, sizeof(file), "%s%s", below, de->d_name);
        (void) snprintf(path, sizeof(path), "%s/%s", folder, file);

        suite->file = file;
        suite_file(suite, path);
    }

    (void) closedir(d);
}


static void
suite_end(const suite_t *suite, const char *name)
{
    const suite_exception_t  *e;

    for (e = suite->exceptions; e->file != NULL; e++) {
        if (e->seen == 0) {
            fail_msg("%s: %s: is no exception any more", e->file,
                     (e->group != NULL) ? e->group : "");
        }

        printf("# %s: %s: %s\n", name, e->file, e->reason);
    }

    printf("# %s: %lu of %lu passed, the schemas of %lu are refused, %lu are "
           "judged otherwise\n", name, (unsigned long) suite->passed,
           (unsigned long) suite->total, (unsigned long) suite->refused,
           (unsigned long) suite->other);
    printf("# %s: of what is supported %lu of %lu\n", name,
           (unsigned long) suite->right, (unsigned long) suite->named);

    assert_true(suite->total > 0);
    assert_int_equal(suite->failed, 0);
}


static void
test_2020(void **state)
{
    char      folder[NGX_MAX_PATH];
    suite_t   suite;

    memset(&suite, 0, sizeof(suite_t));
    suite.exceptions = suite_2020;

    (void) snprintf(folder, sizeof(folder), "%.*sschema/draft2020-12",
                    (int) (strlen(__FILE__) - strlen("test_schema_suite.c")),
                    __FILE__);

    suite_folder(&suite, folder, "");
    suite_folder(&suite, folder, "optional/");
    suite_end(&suite, "draft2020-12");
}


/* make test installs it; where there is no Debian it may be missing */

static void
test_draft7(void **state)
{
    suite_t  suite;

    if (access(DEBIAN, R_OK) != 0) {
        skip();
    }

    memset(&suite, 0, sizeof(suite_t));
    suite.exceptions = suite_draft7;
    suite.rewrite = suite_modern;

    suite_folder(&suite, DEBIAN, "");
    suite_folder(&suite, DEBIAN, "optional/");
    suite_end(&suite, "Debian's draft7");
}


static json_t *
suite_modern_map(json_t *map)
{
    json_t      *new, *value;
    const char  *name;

    new = json_object();

    json_object_foreach(map, name, value) {
        json_object_set_new(new, name, suite_modern(value));
    }

    return new;
}


static json_t *
suite_modern_list(json_t *list)
{
    size_t   i;
    json_t  *new;

    new = json_array();

    for (i = 0; i < json_array_size(list); i++) {
        json_array_append_new(new, suite_modern(json_array_get(list, i)));
    }

    return new;
}


/* one keyword for two: by names, or by schemas */

static void
suite_modern_dependencies(json_t *schema, json_t *map)
{
    json_t      *value, *names, *schemas;
    const char  *name;

    names = json_object();
    schemas = json_object();

    json_object_foreach(map, name, value) {
        if (json_is_array(value)) {
            json_object_set(names, name, value);

        } else {
            json_object_set_new(schemas, name, suite_modern(value));
        }
    }

    json_object_set_new(schema, "dependentRequired", names);
    json_object_set_new(schema, "dependentSchemas", schemas);
}


static json_t *
suite_modern_ref(const char *ref)
{
    size_t       i;
    char         text[256];

    static const char  *renamed[][2] = {
        { "#/definitions/", "#/$defs/" },
        { "#/items/", "#/prefixItems/" }
    };

    for (i = 0; i < 2; i++) {
        if (strncmp(ref, renamed[i][0], strlen(renamed[i][0])) == 0) {
            (void) snprintf(text, sizeof(text), "%s%s", renamed[i][1],
                            ref + strlen(renamed[i][0]));
            return json_string(text);
        }
    }

    return json_string(ref);
}


static void
suite_modern_keyword(json_t *new, json_t *schema, const char *name,
    json_t *value)
{
    size_t  i;

    static const char  *maps[] = { "properties", "patternProperties", NULL };
    static const char  *lists[] = { "allOf", "anyOf", "oneOf", NULL };
    static const char  *ones[] = {
        "not", "if", "then", "else", "contains", "propertyNames",
        "additionalProperties", NULL
    };

    for (i = 0; maps[i] != NULL; i++) {
        if (strcmp(name, maps[i]) == 0) {
            json_object_set_new(new, name, suite_modern_map(value));
            return;
        }
    }

    for (i = 0; lists[i] != NULL; i++) {
        if (strcmp(name, lists[i]) == 0) {
            json_object_set_new(new, name, suite_modern_list(value));
            return;
        }
    }

    for (i = 0; ones[i] != NULL; i++) {
        if (strcmp(name, ones[i]) == 0) {
            json_object_set_new(new, name, suite_modern(value));
            return;
        }
    }

    if (strcmp(name, "$schema") == 0) {
        return;
    }

    if (strcmp(name, "definitions") == 0) {
        json_object_set_new(new, "$defs", suite_modern_map(value));

    } else if (strcmp(name, "dependencies") == 0) {
        suite_modern_dependencies(new, value);

    } else if (strcmp(name, "items") == 0) {

        if (!json_is_array(value)) {
            json_object_set_new(new, "items", suite_modern(value));

        } else if (json_array_size(value) != 0) {
            json_object_set_new(new, "prefixItems", suite_modern_list(value));
        }

    } else if (strcmp(name, "additionalItems") == 0) {

        if (json_is_array(json_object_get(schema, "items"))) {
            json_object_set_new(new, "items", suite_modern(value));
        }

    } else {
        json_object_set(new, name, value);
    }
}


/* Of a schema of draft 7 one of 2020-12; beside "$ref" nothing counted. */

static json_t *
suite_modern(json_t *schema)
{
    json_t      *new, *value, *ref;
    const char  *name;

    if (!json_is_object(schema)) {
        return json_incref(schema);
    }

    new = json_object();
    ref = json_object_get(schema, "$ref");

    if (json_is_string(ref)) {
        json_object_set_new(new, "$ref",
                            suite_modern_ref(json_string_value(ref)));

        value = json_object_get(schema, "definitions");

        if (value != NULL) {
            json_object_set_new(new, "$defs", suite_modern_map(value));
        }

        return new;
    }

    json_object_foreach(schema, name, value) {
        suite_modern_keyword(new, schema, name, value);
    }

    return new;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_2020),
        cmocka_unit_test(test_draft7)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
