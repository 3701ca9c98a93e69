
/*
 * Session ids: both kinds, and their one canonical form.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"


#define UUID   "e6fa79ca-d142-4046-a134-5134f16a0b5e"

#define X32    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X128   X32 X32 X32 X32


typedef struct {
    const char  *text;
    const char  *uuid;           /* what it becomes, NULL: declined */
    const char  *any;
} sid_case_t;


static const sid_case_t  sid_cases[] = {
    { UUID, UUID, UUID },
    { "E6FA79CA-D142-4046-A134-5134F16A0B5E", UUID, UUID },
    { "e6Fa79cA-d142-4046-a134-5134F16a0b5E", UUID, UUID },
    { "e6fa79cad1424046a1345134f16a0b5e", UUID, UUID },
    { "E6FA79CAD1424046A1345134F16A0B5E", UUID, UUID },
    { "00000000-0000-0000-0000-000000000000",
      "00000000-0000-0000-0000-000000000000",
      "00000000-0000-0000-0000-000000000000" },

    /* nearly */
    { "e6fa79ca-d142-4046-a134-5134f16a0b5", NULL,
      "e6fa79ca-d142-4046-a134-5134f16a0b5" },
    { "e6fa79ca-d142-4046-a134-5134f16a0b5e0", NULL,
      "e6fa79ca-d142-4046-a134-5134f16a0b5e0" },
    { "e6fa79ca-d142-4046-a134-5134f16a0b5g", NULL,
      "e6fa79ca-d142-4046-a134-5134f16a0b5g" },
    { "e6fa79ca-d142-4046-a1345134f16a0b5e0", NULL,
      "e6fa79ca-d142-4046-a1345134f16a0b5e0" },
    { "e6fa79cad-142-4046-a134-5134f16a0b5e", NULL,
      "e6fa79cad-142-4046-a134-5134f16a0b5e" },
    { "e6fa79cad1424046a1345134f16a0b5-", NULL,
      "e6fa79cad1424046a1345134f16a0b5-" },
    { "e6fa79ca-d1424046a1345134f16a0b5e", NULL,
      "e6fa79ca-d1424046a1345134f16a0b5e" },
    { "{e6fa79ca-d142-4046-a134-5134f16a0b5e}", NULL, NULL },
    { "urn:uuid:e6fa79ca-d142-4046-a134-5134f16a0b5e", NULL, NULL },
    { " e6fa79ca-d142-4046-a134-5134f16a0b5e", NULL, NULL },
    { "e6fa79ca_d142_4046_a134_5134f16a0b5e", NULL,
      "e6fa79ca_d142_4046_a134_5134f16a0b5e" },

    { "a", NULL, "a" },
    { "Abc.DEF_012~xyz-789", NULL, "Abc.DEF_012~xyz-789" },
    { X128, NULL, X128 },
    { X128 "x", NULL, NULL },
    { "", NULL, NULL },
    { "a b", NULL, NULL },
    { "a/b", NULL, NULL },
    { "a:b", NULL, NULL },
    { "{a}", NULL, NULL },
    { "a@b", NULL, NULL },
    { "a[b", NULL, NULL },
    { "a`b", NULL, NULL },
    { "a%41", NULL, NULL },
    { "\xc3\xa9", NULL, NULL },
    { "a\x7f", NULL, NULL }
};


static void
sid_check(const char *text, ngx_uint_t kind, const char *want)
{
    u_char     *copy;
    size_t      len;
    evs_sid_t   sid;
    ngx_int_t   rc;

    len = strlen(text);
    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);

    rc = evs_sid_parse(&sid, kind, copy, len);
    free(copy);

    if (want == NULL) {
        if (rc != NGX_DECLINED) {
            fail_msg("\"%s\" was taken", text);
        }

        return;
    }

    if (rc != NGX_OK || sid.len != strlen(want)
        || memcmp(sid.data, want, sid.len) != 0)
    {
        fail_msg("\"%s\" did not become \"%s\"", text, want);
    }
}


static void
test_cases(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(sid_cases) / sizeof(sid_cases[0]); i++) {
        sid_check(sid_cases[i].text, EVS_SID_UUID, sid_cases[i].uuid);
        sid_check(sid_cases[i].text, EVS_SID_ANY, sid_cases[i].any);
    }
}


/* Each byte in each place of a UUID: hex digits are taken, others aren't. */

static void
test_bytes(void **state)
{
    char        text[37];
    size_t      i;
    ngx_uint_t  c;
    evs_sid_t   sid;

    for (i = 0; i < 36; i++) {
        for (c = 0; c < 256; c++) {
            memcpy(text, UUID, 36);
            text[i] = (char) c;

            assert_int_equal(evs_sid_parse(&sid, EVS_SID_UUID,
                                           (u_char *) text, 36),
                             (UUID[i] == '-' ? c == '-' : isxdigit((int) c))
                             ? NGX_OK : NGX_DECLINED);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_bytes)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
