
/*
 * Numbers are compared as they are written, digit by digit, once it is known
 * where their first digits stand.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/decimal.h"
#include "event/lex.h"


#define EVS_DECIMAL_MAX_EXP  1000000000000000LL


static const u_char *evs_decimal_digits(const u_char *p, const u_char *last);
static const u_char *evs_decimal_exponent(const u_char *p,
    const u_char *last, int64_t *exponent);
static void evs_decimal_place(evs_decimal_t *dec, const u_char *p,
    const u_char *point);
static ngx_int_t evs_decimal_magnitude(const evs_decimal_t *one,
    const evs_decimal_t *two);
static u_char evs_decimal_digit(const u_char **p, const u_char *last);


ngx_int_t
evs_decimal_parse(evs_decimal_t *dec, const u_char *text, size_t len)
{
    const u_char  *p, *start, *point, *last;

    p = text;
    last = text + len;

    dec->negative = (p < last && *p == '-');
    dec->exponent = 0;

    if (dec->negative) {
        p++;
    }

    start = p;
    p = evs_decimal_digits(p, last);

    if (p == NULL || (*start == '0' && p - start > 1)) {
        return NGX_DECLINED;
    }

    point = p;

    if (p < last && *p == '.') {
        p = evs_decimal_digits(p + 1, last);
        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    dec->last = p;

    if (p < last && (*p | 0x20) == 'e') {
        p = evs_decimal_exponent(p + 1, last, &dec->exponent);
    }

    if (p != last) {
        return NGX_DECLINED;
    }

    evs_decimal_place(dec, start, point);

    return NGX_OK;
}


ngx_int_t
evs_decimal_compare(const evs_decimal_t *one, const evs_decimal_t *two)
{
    ngx_int_t   rc;
    ngx_uint_t  zero;

    zero = (one->first == one->last);

    if (zero || two->first == two->last) {

        if (zero && two->first == two->last) {
            return 0;
        }

        return zero ? (two->negative ? 1 : -1) : (one->negative ? -1 : 1);
    }

    if (one->negative != two->negative) {
        return one->negative ? -1 : 1;
    }

    rc = evs_decimal_magnitude(one, two);

    return one->negative ? -rc : rc;
}


/* Behind one digit or more; NULL: there is none. */

static const u_char *
evs_decimal_digits(const u_char *p, const u_char *last)
{
    const u_char  *start;

    start = p;
    p = evs_lex_digits((u_char *) p, last);

    return (p == start) ? NULL : p;
}


static const u_char *
evs_decimal_exponent(const u_char *p, const u_char *last, int64_t *exponent)
{
    int64_t        value;
    ngx_uint_t     negative;
    const u_char  *end;

    negative = (p < last && *p == '-');

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    end = evs_decimal_digits(p, last);
    if (end == NULL) {
        return NULL;
    }

    for (value = 0; p < end && value < EVS_DECIMAL_MAX_EXP; p++) {
        value = value * 10 + (*p - '0');
    }

    value = ngx_min(value, EVS_DECIMAL_MAX_EXP);

    *exponent = negative ? -value : value;

    return end;
}


/* The first digit that counts, and how far it is in front of the point. */

static void
evs_decimal_place(evs_decimal_t *dec, const u_char *p, const u_char *point)
{
    while (p < dec->last && (*p == '0' || *p == '.')) {
        p++;
    }

    dec->first = p;
    dec->exponent += (p < point) ? point - p : point + 1 - p;
}


static ngx_int_t
evs_decimal_magnitude(const evs_decimal_t *one, const evs_decimal_t *two)
{
    u_char         a, b;
    const u_char  *p, *q;

    if (one->exponent != two->exponent) {
        return (one->exponent < two->exponent) ? -1 : 1;
    }

    p = one->first;
    q = two->first;

    while (p < one->last || q < two->last) {
        a = evs_decimal_digit(&p, one->last);
        b = evs_decimal_digit(&q, two->last);

        if (a != b) {
            return (a < b) ? -1 : 1;
        }
    }

    return 0;
}


/* Behind the last digit are zeros without end. */

static u_char
evs_decimal_digit(const u_char **p, const u_char *last)
{
    if (*p < last && **p == '.') {
        (*p)++;
    }

    return (*p < last) ? *(*p)++ : (u_char) '0';
}
