
/*
 * Bodies of POST /event: what is taken, in canonical form, and for the rest
 * the map of faults to the byte, all fields at once.  What fields have in
 * common is event/fields' and has its tests in test_track.c; here is what the
 * log asks of its own.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/log_entry.h"


#define REQUIRED   "This field is required."
#define NONE       "This field may not be null."
#define BLANK      "This field may not be blank."
#define NO_STRING  "Not a valid string."
#define NO_NUL     "Null characters are not allowed."
#define NO_EMAIL   "Enter a valid email address."
#define LONG(max)  "Ensure this field has no more than " #max " characters."
#define GOT(kind)                                                             \
    "{\"non_field_errors\":[\"Invalid data. Expected a dictionary, but got "  \
    kind ".\"]}"

#define BODY(email, environment, component, message, data)                    \
    "{\"email\":" email ",\"environment\":" environment ",\"component\":"     \
    component ",\"message\":" message ",\"data\":" data "}"

#define EMAIL(email)      BODY(email, "\"v\"", "\"c\"", "\"m\"", "{}")
#define MESSAGE(message)  BODY("\"a@b.de\"", "\"v\"", "\"c\"", message, "{}")
#define DATA(data)        BODY("\"a@b.de\"", "\"v\"", "\"c\"", "\"m\"", data)

#define FAULT(field, sentence)  "{\"" field "\":[\"" sentence "\"]}"

#define A10   "aaaaaaaaaa"
#define A50   A10 A10 A10 A10 A10
#define A100  A50 A50
#define E50   "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"       \
              "\xc3\xa9"
#define M1000 A100 A100 A100 A100 A100 A100 A100 A100 A100 E50 E50

#define DATA_MAX  32


typedef struct {
    const char  *text;
    const char  *outcome;
} entry_case_t;


static evs_json_names_t  *names;


static const entry_case_t  entry_cases[] = {

    /* the assignment's example */
    { "{\n \"email\": \"diego@chefhero.com\",\n"
      " \"environment\": \"production\",\n \"component\": \"order\",\n"
      " \"message\": \"the buyer #1 has placed an order successfully\",\n"
      " \"data\": {\n \"key\": 123,\n \"k\": \"Some value\"\n }\n}\n",
      BODY("\"diego@chefhero.com\"", "\"production\"", "\"order\"",
           "\"the buyer #1 has placed an order successfully\"",
           "{\"key\":123,\"k\":\"Some value\"}") },

    /* trimmed, canonical, other keys and any order */
    { BODY("\" a@b.de\\n\"", "\"\\u0020v\\u00a0\"", "\"\\u0063 \"",
           "\" m\\u00e9\\/ \"", " [ 1.0 , ] "),
      BODY("\"a@b.de\"", "\"v\"", "\"c\"", "\"m\xc3\xa9/\"", "[1.0]") },
    { "{\"id\":1,\"createdAt\":null,\"data\":0,\"message\":1,\"x\":{},"
      "\"component\":2.50,\"environment\":-3,\"email\":\"a@b.de\"}",
      BODY("\"a@b.de\"", "\"-3\"", "\"2.50\"", "\"1\"", "0") },
    { EMAIL("\"\\\"a\\\\ b\\\"@b.de\""), EMAIL("\"\\\"a\\\\ b\\\"@b.de\"") },
    { EMAIL("\"\\u0061@localhost\""), EMAIL("\"a@localhost\"") },

    /* all at once */
    { "{}", "{\"email\":[\"" REQUIRED "\"],\"environment\":[\"" REQUIRED
      "\"],\"component\":[\"" REQUIRED "\"],\"message\":[\"" REQUIRED
      "\"],\"data\":[\"" REQUIRED "\"]}" },
    { BODY("null", "null", "null", "null", "null"),
      "{\"email\":[\"" NONE "\"],\"environment\":[\"" NONE
      "\"],\"component\":[\"" NONE "\"],\"message\":[\"" NONE
      "\"],\"data\":[\"" NONE "\"]}" },
    { BODY("\"\"", "\" \"", "\"\\t\"", "\"\\u3000\"", "\"\""),
      "{\"email\":[\"" BLANK "\"],\"environment\":[\"" BLANK
      "\"],\"component\":[\"" BLANK "\"],\"message\":[\"" BLANK "\"]}" },
    { BODY("{}", "[]", "true", "false", "false"),
      "{\"email\":[\"" NO_STRING "\"],\"environment\":[\"" NO_STRING
      "\"],\"component\":[\"" NO_STRING "\"],\"message\":[\"" NO_STRING
      "\"]}" },

    /* email */
    { EMAIL("1"), FAULT("email", NO_EMAIL) },
    { EMAIL("\"diego\""), FAULT("email", NO_EMAIL) },
    { EMAIL("\"diego@\""), FAULT("email", NO_EMAIL) },
    { EMAIL("\"diego@chefhero\""), FAULT("email", NO_EMAIL) },
    { EMAIL("\"die go@chefhero.com\""), FAULT("email", NO_EMAIL) },
    { EMAIL("\"a\\u0000@b.de\""),
      "{\"email\":[\"" NO_NUL "\",\"" NO_EMAIL "\"]}" },
    { EMAIL("\"" A100 A100 A10 A10 A10 A10 "aaaaaaaa@b.de\""),
      EMAIL("\"" A100 A100 A10 A10 A10 A10 "aaaaaaaa@b.de\"") },
    { EMAIL("\"" A100 A100 A10 A10 A10 A10 "aaaaaaaaa@b.de\""),
      EMAIL("\"" A100 A100 A10 A10 A10 A10 "aaaaaaaaa@b.de\"") },
    { EMAIL("\"" A100 A100 A10 A10 A10 A10 "aaaaaaaaaa@b.de\""),
      FAULT("email", LONG(254)) },
    { EMAIL("\"" A100 A100 A100 "@b\""),
      "{\"email\":[\"" LONG(254) "\",\"" NO_EMAIL "\"]}" },

    /* lengths, in characters */
    { BODY("\"a@b.de\"", "\" " A50 E50 " \"", "\"" E50 E50 "\"",
           "\"" M1000 "\"", "\"d\""),
      BODY("\"a@b.de\"", "\"" A50 E50 "\"", "\"" E50 E50 "\"",
           "\"" M1000 "\"", "\"d\"") },
    { BODY("\"a@b.de\"", "\"" A100 "a\"", "\"" A100 "\xc3\xa9\"",
           "\"" M1000 "a\"", "\"d\""),
      "{\"environment\":[\"" LONG(100) "\"],\"component\":[\"" LONG(100)
      "\"],\"message\":[\"" LONG(1000) "\"]}" },
    { MESSAGE("\"a\\u0000b\""), FAULT("message", NO_NUL) },

    /* data */
    { DATA("false"), DATA("false") },
    { DATA("\"\""), DATA("\"\"") },
    { DATA("[]"), DATA("[]") },
    { DATA("[null]"), DATA("[null]") },
    { DATA("1e400"), DATA("1e400") },
    { DATA("\"\\u00e9\""), DATA("\"\\u00e9\"") },
    { DATA("[ 1111111111,2222222222,33333333 ]"),
      DATA("[1111111111,2222222222,33333333]") },
    { DATA("[1111111111,2222222222,333333333]"),
      FAULT("data", "Ensure this field has no more than 32 bytes.") },

    /* not an object */
    { "[]", GOT("list") },
    { "[" DATA("1") "]", GOT("list") },
    { "null", GOT("NoneType") },
    { "1", GOT("int") },
    { "0.5", GOT("float") },
    { "\"" A100 "\"", GOT("str") },
    { "true", GOT("bool") },

    /* not JSON */
    { "", "syntax: Expecting a value: line 1 column 1" },
    { "{\"email\":}", "syntax: Expecting a value: line 1 column 10" },
    { DATA("1") "x", "syntax: Expecting the end of the body: line 1 column "
      "76" },
    { "{\"data\":1,\"data\":1}", "syntax: Expecting a name that its object "
      "does not have yet: line 1 column 11" },
    { DATA("NaN"), "syntax: Expecting a value: line 1 column 74" },
};


static void
outcome(char *p, const char *text)
{
    size_t            len;
    u_char           *copy;
    ngx_int_t         rc;
    ngx_str_t         json;
    evs_record_t     *record;
    evs_log_entry_t   entry;

    /* exactly its size, for a sanitizer to see its end */

    len = strlen(text);
    copy = malloc(len ? len : 1);
    memcpy(copy, text, len);

    entry.fields.pool = ngx_create_pool(0, NULL);

    rc = evs_log_entry_parse(&entry, copy, len, names, DATA_MAX);

    if (rc == NGX_DECLINED) {
        (void) sprintf(p, "syntax: %.*s", (int) entry.fields.syntax.len,
                       (char *) entry.fields.syntax.data);

    } else if (entry.fields.nfaulty != 0) {
        assert_int_equal(evs_fields_faults_json(&entry.fields, &json), NGX_OK);
        (void) sprintf(p, "%.*s", (int) json.len, (char *) json.data);

    } else {
        assert_int_equal(rc, NGX_OK);
        record = &entry.record;

        (void) sprintf(p, BODY("\"%.*s\"", "\"%.*s\"", "\"%.*s\"", "\"%.*s\"",
                               "%.*s"),
                       (int) record->email.len, (char *) record->email.data,
                       (int) record->environment.len,
                       (char *) record->environment.data,
                       (int) record->component.len,
                       (char *) record->component.data,
                       (int) record->message.len,
                       (char *) record->message.data,
                       (int) record->data.len, (char *) record->data.data);
    }

    ngx_destroy_pool(entry.fields.pool);
    free(copy);
}


static void
test_cases(void **state)
{
    char        found[8192];
    ngx_uint_t  i;

    for (i = 0; i < sizeof(entry_cases) / sizeof(entry_cases[0]); i++) {
        outcome(found, entry_cases[i].text);
        assert_string_equal(found, entry_cases[i].outcome);
    }
}


static void
test_every_cut(void **state)
{
    char         found[8192], cut[8192];
    size_t       len;
    const char  *good;

    good = entry_cases[0].text;

    for (len = 0; len < strlen(good) - 2; len++) {
        memcpy(cut, good, len);
        cut[len] = '\0';
        outcome(found, cut);
        assert_memory_equal(found, "syntax: ", 8);
    }
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
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_every_cut),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
