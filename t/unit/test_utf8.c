
/*
 * The UTF-8 check tells a fault at the first byte that can't continue a valid
 * text, however the text is cut.  Known to fail: overlong forms and surrogates
 * taken, or told one byte late; a block of ASCII skipped while a character is
 * cut off in front of it.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/utf8.h"


#define VALID   -1
#define CUT     -2      /* valid so far, ends inside a character */

#define PAD_MAX  40


typedef struct {
    const char  *text;
    size_t       len;
    int          at;    /* the first byte that is wrong, or VALID or CUT */
} utf8_case_t;


#define text(s)  s, sizeof(s) - 1


static int utf8_result(const u_char *p, size_t len, size_t cut);
static int utf8_result_bytes(const u_char *p, size_t len);
static int utf8_reference(const u_char *p, size_t len);
static ngx_uint_t utf8_possible(const u_char *p, size_t n, size_t size);
static size_t utf8_size(u_char lead);
static void utf8_assert(const u_char *p, size_t len, int at);
static void utf8_table(void **state);
static void utf8_every_code_point(void **state);
static void utf8_every_edge(void **state);
static void utf8_padded(void **state);


static const utf8_case_t  utf8_cases[] = {
    { text(""), VALID },
    { text("plain ASCII, longer than a block of 16"), VALID },
    { text("\0\x7f"), VALID },
    { text("\xc2\x80\xdf\xbf"), VALID },
    { text("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"), VALID },
    { text("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), VALID },
    { text("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), VALID },

    /* cut off */
    { text("\xc2"), CUT },
    { text("a\xe1\x80"), CUT },
    { text("\xe0"), CUT },
    { text("\xf1\x80\x80"), CUT },
    { text("\xf4\x8f"), CUT },

    /* what begins no character */
    { text("\x80"), 0 },
    { text("ab\xbf"), 2 },
    { text("\xfe"), 0 },
    { text("\xff"), 0 },
    { text("\xc2\x80\x80"), 2 },

    /* overlong: C0 and C1 at once, the others at their second byte */
    { text("\xc0\xaf"), 0 },
    { text("\xc1\xbf"), 0 },
    { text("\xe0\x80\xaf"), 1 },
    { text("\xe0\x9f\xbf"), 1 },
    { text("\xf0\x80\x80\xaf"), 1 },
    { text("\xf0\x8f\xbf\xbf"), 1 },
    { text("\xf8\x88\x80\x80\x80"), 0 },

    /* surrogates, and over U+10FFFF */
    { text("\xed\xa0\x80"), 1 },
    { text("\xed\xbf\xbf"), 1 },
    { text("\xf4\x90\x80\x80"), 1 },
    { text("\xf5\x80\x80\x80"), 0 },

    /* a character broken off by another */
    { text("\xc2" "a"), 1 },
    { text("\xe1\x80" "a"), 2 },
    { text("\xe1\xe1\x80\x80"), 1 },
    { text("\xf1\x80\x80\xc2\x80"), 3 },
    { text("\xe2\x82" "0123456789abcdef"), 2 },

    /* Autobahn 6.3 and 6.4 */
    { text("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
           "edited"), 12 },
    { text("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"),
      12 }
};


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(utf8_table),
        cmocka_unit_test(utf8_every_code_point),
        cmocka_unit_test(utf8_every_edge),
        cmocka_unit_test(utf8_padded)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}


static void
utf8_table(void **state)
{
    ngx_uint_t          i;
    const utf8_case_t  *uc;

    (void) state;

    for (i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++) {
        uc = &utf8_cases[i];
        utf8_assert((const u_char *) uc->text, uc->len, uc->at);
    }
}


/* All that can be written in three or four bytes, in its shortest form. */

static void
utf8_every_code_point(void **state)
{
    int       at;
    u_char    p[4];
    size_t    n;
    uint32_t  cp;

    (void) state;

    for (cp = 0; cp < 0x200000; cp++) {

        if (cp < 0x80) {
            p[0] = (u_char) cp;
            n = 1;

        } else if (cp < 0x800) {
            p[0] = (u_char) (0xc0 | cp >> 6);
            p[1] = (u_char) (0x80 | (cp & 0x3f));
            n = 2;

        } else if (cp < 0x10000) {
            p[0] = (u_char) (0xe0 | cp >> 12);
            p[1] = (u_char) (0x80 | (cp >> 6 & 0x3f));
            p[2] = (u_char) (0x80 | (cp & 0x3f));
            n = 3;

        } else {
            p[0] = (u_char) (0xf0 | cp >> 18);
            p[1] = (u_char) (0x80 | (cp >> 12 & 0x3f));
            p[2] = (u_char) (0x80 | (cp >> 6 & 0x3f));
            p[3] = (u_char) (0x80 | (cp & 0x3f));
            n = 4;
        }

        at = (cp >= 0x140000) ? 0
             : (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) ? 1
             : VALID;

        assert_int_equal(utf8_result(p, n, 0), at < 0 ? at : 0);
        assert_int_equal(utf8_result_bytes(p, n), at);
    }
}


/* All strings of five bytes that lie at an edge of some range. */

static void
utf8_every_edge(void **state)
{
    int                  at;
    u_char               p[5];
    size_t               i, k, n, all;
    static const u_char  edges[] = {
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xe1,
        0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5
    };

    (void) state;

    n = sizeof(edges);
    all = n * n * n * n * n;

    for (i = 0; i < all; i++) {
        p[0] = edges[i % n];
        p[1] = edges[i / n % n];
        p[2] = edges[i / n / n % n];
        p[3] = edges[i / n / n / n % n];
        p[4] = edges[i / n / n / n / n];

        at = utf8_reference(p, 5);
        k = i % 5;

        assert_int_equal(utf8_result_bytes(p, 5), at);
        assert_int_equal(utf8_result(p, 5, k), at < 0 ? at : 0);
    }
}


/* Each of the table at every place of a block, and before more text. */

static void
utf8_padded(void **state)
{
    int                 at;
    u_char             *p;
    size_t              len, pad;
    ngx_uint_t          i;
    const utf8_case_t  *uc;

    (void) state;

    for (i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++) {
        uc = &utf8_cases[i];

        for (pad = 0; pad <= PAD_MAX; pad++) {
            len = pad + uc->len + pad;

            /* of the exact size, for the sanitizer's sake */
            p = malloc(len + (len == 0));
            assert_non_null(p);

            memset(p, 'a', len);
            memcpy(p + pad, uc->text, uc->len);

            at = (uc->at == CUT && pad > 0) ? (int) uc->len : uc->at;
            utf8_assert(p, len, at < 0 ? at : at + (int) pad);

            free(p);
        }
    }
}


/* In one piece, byte by byte, and cut in two at every place. */

static void
utf8_assert(const u_char *p, size_t len, int at)
{
    size_t  cut;

    assert_int_equal(utf8_reference(p, len), at);
    assert_int_equal(utf8_result_bytes(p, len), at);

    for (cut = 0; cut <= len; cut++) {
        assert_int_equal(utf8_result(p, len, cut), at < 0 ? at : 0);
    }
}


/* VALID, CUT, or 0: wrong */

static int
utf8_result(const u_char *p, size_t len, size_t cut)
{
    evs_utf8_t  utf8;

    utf8 = 0;

    if (evs_utf8_check(&utf8, p, p + cut) != NGX_OK
        || evs_utf8_check(&utf8, p + cut, p + len) != NGX_OK)
    {
        return 0;
    }

    return utf8 == 0 ? VALID : CUT;
}


static int
utf8_result_bytes(const u_char *p, size_t len)
{
    size_t      i;
    evs_utf8_t  utf8;

    utf8 = 0;

    for (i = 0; i < len; i++) {
        if (evs_utf8_check(&utf8, p + i, p + i + 1) != NGX_OK) {
            return (int) i;
        }
    }

    return utf8 == 0 ? VALID : CUT;
}


/* The same, slowly and by code points. */

static int
utf8_reference(const u_char *p, size_t len)
{
    size_t  i, n, size;

    for (i = 0; i < len; i += size) {
        size = utf8_size(p[i]);

        for (n = 1; n <= size; n++) {
            if (i + n > len) {
                return CUT;
            }

            if (!utf8_possible(p + i, n, size)) {
                return (int) (i + n - 1);
            }
        }
    }

    return VALID;
}


static size_t
utf8_size(u_char lead)
{
    return (lead >= 0xf0) ? 4 : (lead >= 0xe0) ? 3 : (lead >= 0xc0) ? 2 : 1;
}


/* Whether the first n bytes of a character of this size are of a real one. */

static ngx_uint_t
utf8_possible(const u_char *p, size_t n, size_t size)
{
    size_t                 i;
    uint32_t               low, high;
    static const uint32_t  least[] = { 0, 0x80, 0x800, 0x10000 };

    if (size == 1) {
        return p[0] < 0x80;
    }

    if (p[0] >= 0xf8) {
        return 0;
    }

    low = p[0] & (0x7fu >> size);
    high = low;

    for (i = 1; i < size; i++) {
        if (i < n && (p[i] < 0x80 || p[i] > 0xbf)) {
            return 0;
        }

        low = low << 6 | (i < n ? p[i] & 0x3f : 0);
        high = high << 6 | (i < n ? p[i] & 0x3f : 0x3f);
    }

    /* it may be any of low..high */

    if (high < least[size - 1] || low > 0x10ffff) {
        return 0;
    }

    return low < 0xd800 || high > 0xdfff;
}
