
/*
 * Integers as text and back, and short copies: each length, the edges of each,
 * and what lies behind them.  Known to fail by: digits made eight or two at a
 * time that lose a zero, bytes written behind the end, where a caller has put
 * what follows already, and a byte beside the digits that is taken for one.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/copy.h"
#include "event/number.h"


static void
number_check(uint64_t n)
{
    u_char    got[32], want[32];
    size_t    len;
    uint64_t  value;

    len = (size_t) snprintf((char *) want, sizeof(want), "%llu",
                            (unsigned long long) n);

    memset(got, '#', sizeof(got));
    memset(want + len, '#', sizeof(want) - len);

    if (evs_number_write(got, n) != got + len
        || memcmp(got, want, sizeof(got)) != 0)
    {
        fail_msg("%.*s was written as %.*s", (int) len, (char *) want, 32,
                 (char *) got);
    }

    value = ~n;

    if (evs_number_read(got, len, &value)
        != ((len > EVS_NUMBER_DIGITS) ? NGX_DECLINED : NGX_OK)
        || (len <= EVS_NUMBER_DIGITS && value != n))
    {
        fail_msg("%.*s was read as %llu", (int) len, (char *) want,
                 (unsigned long long) value);
    }
}


/* All that have few digits, at the front and as the last eight. */

static void
test_all(void **state)
{
    uint64_t  n;

    for (n = 0; n < 1000000; n++) {
        number_check(n);
        number_check(100000000 + n * 97 % 100000000);
        number_check(n * 10000000000 + n);
    }
}


static void
test_edges(void **state)
{
    uint64_t    power, n;
    ngx_uint_t  i, k;

    for (power = 1, i = 0; i < 20; power *= 10, i++) {
        for (k = 1; k < 10; k++) {
            for (n = power * k - 3; n != power * k + 3; n++) {
                number_check(n);
            }
        }
    }

    for (i = 0; i < 64; i++) {
        number_check((1ULL << i) - 1);
        number_check(1ULL << i);
    }

    number_check(~0ULL);
    number_check(1624422533298);
    number_check(1624422533298000);
}


static void
test_random(void **state)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 88172645463325252;

    for (i = 0; i < 1000000; i++) {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;

        number_check(n >> (i % 64));
    }
}


/* Each byte in each place of a text of each length, which ends its memory. */

static void
test_bytes(void **state)
{
    u_char      *text;
    size_t       len, i;
    uint64_t     value;
    ngx_int_t    rc;
    ngx_uint_t   c;

    assert_int_equal(evs_number_read((u_char *) "", 0, &value), NGX_DECLINED);

    for (len = 1; len <= EVS_NUMBER_DIGITS + 2; len++) {
        text = malloc(len);
        memset(text, '7', len);

        for (i = 0; i < len; i++) {
            for (c = 0; c < 256; c++) {
                text[i] = (u_char) c;
                rc = evs_number_read(text, len, &value);

                if ((rc == NGX_OK)
                    != (c >= '0' && c <= '9' && len <= EVS_NUMBER_DIGITS))
                {
                    fail_msg("byte %lu at %zu of %zu", (unsigned long) c, i,
                             len);
                }
            }

            text[i] = '7';
        }

        free(text);
    }
}


/* From memory that ends with it: the sanitizer sees what reads beyond. */

static void
test_copy(void **state)
{
    u_char  *src, got[64], want[64];
    size_t   len, i;

    for (len = 0; len <= 40; len++) {
        src = malloc(len + (len == 0));

        for (i = 0; i < len; i++) {
            src[i] = (u_char) (i + 1);
        }

        memset(got, '#', sizeof(got));
        memset(want, '#', sizeof(want));
        memcpy(want, src, len);

        assert_ptr_equal(evs_copy(got, src, len), got + len);
        assert_memory_equal(got, want, sizeof(got));

        free(src);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_copy)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
