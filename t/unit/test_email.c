
/*
 * Addresses of e-mail: the verdicts of Django 3.2's EmailValidator on what its
 * own tests have, on what its expressions leave at their edges, and on
 * internationalized domains.  Each text stands in a block of its own size, for
 * the sanitizers to see its end.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/email.h"


#define A10  "aaaaaaaaaa"
#define A60  A10 A10 A10 A10 A10 A10
#define A250 A60 A60 A60 A60 A10


static const char *const  email_good[] = {
    "email@here.com", "weirder-email@here.and.there.com",
    "example@valid-----hyphens.com", "example@valid-with-hyphens.com",
    "test@domain.with.idn.tld.\xe0\xa4\x89\xe0\xa4\xa6\xe0\xa4\xbe"
    "\xe0\xa4\xb9\xe0\xa4\xb0\xe0\xa4\xa3.\xe0\xa4\xaa\xe0\xa4\xb0"
    "\xe0\xa5\x80\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb7\xe0\xa4\xbe",
    "email@localhost", "email@[127.0.0.1]", "email@[2001:dB8::1]",
    "email@[2001:dB8:0:0:0:0:0:1]", "email@[::fffF:127.0.0.1]", "a@[::]",
    "\"test@test\"@example.com", "\"\\\011\"@here.com", "\"\"@here.com",
    "\"a\\ b\"@here.com", "\"a\\\"b\"@here.com", "\"a\\\\\"@here.com",
    "\"\001\010\013\014\037!#[]\177\"@here.com", "\".\"@a.bc",
    "diego@chefhero.com", "a@atm." A60 "aaa", "a@" A60 "aaa.atm",
    "a@" A60 "aaa." A10 ".atm", "a@b.c1", "a@b.12", "a@1.de", "a@b.-c",
    "-@a.bc", "!#$%&'*+/=?^_`{}|~.-@a.bc", "A.B@C.DE", "a@b.c-d",
    "a@b\xc3\xbc" "cher.de",
    "a@b\xc3\xbc" "cher.b\xc3\xbc" "cher",
    "a@\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84",
    "a@" A10 A10 A10 A10 A10 "aaa\xc3\xbc.de",
    A250 A60 "aaaa@a.bc"
};

static const char *const  email_bad[] = {
    "", "@", "a", "a@", "@a.bc", "abc", "abc@", "abc@bar", "a @x.cz",
    "abc@.com", "something@@somewhere.com", "email@127.0.0.1",
    "email@[127.0.0.256]", "email@[2001:db8::12345]",
    "email@[2001:db8:0:0:0:0:1]", "email@[::ffff:127.0.0.256]",
    "email@[2001:dg8::1]", "email@[2001:dG8:0:0:0:0:0:1]",
    "email@[::fTzF:127.0.0.1]", "email@[]", "email@[", "email@[127.0.0.01]",
    "email@[::1%25lo]", "email@[1:2:3:4:5:6:7:8::]",
    "email@[111111111111111111111111111111111111111111111111]",
    "example@invalid-.com", "example@-invalid.com", "example@invalid.com-",
    "example@inv-.alid-.com", "example@inv-.-alid.com",
    "test@example.com\n\n<script src=\"x.js\">", "\"\\\012\"@here.com",
    "trailingdot@shouldfail.com.", "a@b.com\n", "a\n@b.com",
    "\"test@test\"\n@example.com", "a@[127.0.0.1]\n", "a@b.c", "a@b..cd",
    ".a@b.cd", "a.@b.cd", "a..b@c.de", "a@b.c_d", "a@b_c.de", "a(b)@c.de",
    "\"a b\"@c.de", "\"a\tb\"@c.de", "\"a\"b\"@c.de", "\"a\\\"@c.de",
    "\"a\\\\\"b\"@c.de", "\"@c.de", "\"a@c.de", "a\"@c.de", "a\"b\"@c.de",
    "\"\\\015\"@c.de", "\xc3\xbc@a.bc", "\"\xc3\xbc\"@a.bc", "a@LOCALHOST",
    "a@b.\xc3\xbc-", "a@b\xc2\xa0" "c.de", "a@b\xe2\x80\x83" "c.de",
    "a@\xc2\x80.de", "a@b\xc3\xbc c.de", "a@b\xc3\xbc_c.de",
    "a@xn--b\xc3\xbc.de", "a@xN--b\xc3\xbc.de", "a@b.xn--\xc3\xbc",
    "a@-b\xc3\xbc.de", "a@b\xc3\xbc-.de", "a@atm." A60 "aaaa",
    "a@" A60 "aaaa.atm",
    "a@" A10 A10 A10 A10 A10 "aaaaaa\xc3\xbc" "a.de",
    A250 A60 "aaaaaa@a.bc"
};


static ngx_uint_t
valid(const char *text, size_t len)
{
    u_char      *p;
    ngx_uint_t   rc;

    p = malloc(len + 1);
    assert_non_null(p);
    memcpy(p + 1, text, len);

    rc = evs_email_valid(p + 1, len);

    free(p);

    return rc;
}


static void
test_verdicts(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(email_good) / sizeof(email_good[0]); i++) {
        if (!valid(email_good[i], strlen(email_good[i]))) {
            fail_msg("refused: %s", email_good[i]);
        }
    }

    for (i = 0; i < sizeof(email_bad) / sizeof(email_bad[0]); i++) {
        if (valid(email_bad[i], strlen(email_bad[i]))) {
            fail_msg("taken: %s", email_bad[i]);
        }
    }

    assert_false(valid("a\0@b.de", 7));
    assert_false(valid("a@b\0.de", 7));
    assert_false(valid("\"\0\"@b.de", 8));
    assert_false(valid("\"\\\0\"@b.de", 9));
    assert_false(valid("a@[::\0]", 7));
    assert_false(valid("a@localhost\0", 12));
}


/* Every cut of an address is looked at within its bounds. */

static void
test_cuts(void **state)
{
    size_t      len;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(email_good) / sizeof(email_good[0]); i++) {
        for (len = strlen(email_good[i]); len > 0; len--) {

            /* not within a character */

            if (((u_char) email_good[i][len - 1] & 0xc0) != 0x80) {
                (void) valid(email_good[i], len - 1);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
