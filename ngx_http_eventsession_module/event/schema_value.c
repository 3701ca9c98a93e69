
/*
 * Values as JSON Schema sees them: numbers by their value, however they were
 * read, and values that are the same.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <float.h>
#include <math.h>

#include "event/schema_node.h"


/* the bounds of an int64_t, exact as doubles; the upper one is outside */
#define EVS_SCHEMA_INT_MIN   -9223372036854775808.0
#define EVS_SCHEMA_INT_END   9223372036854775808.0


/* digits * 10^exp, without a zero at the end of digits */

typedef struct {
    uint64_t     digits;
    int          exp;
} evs_schema_decimal_t;


typedef struct {
    uint64_t     hash;
    size_t       index;
} evs_schema_item_t;


static ngx_uint_t evs_schema_integral(double d);
static int evs_schema_compare_int(int64_t a, int64_t b);
static int evs_schema_compare_real(double a, double b);
static int evs_schema_compare_mixed(int64_t a, double b);
static void evs_schema_decimal(const json_t *value, evs_schema_decimal_t *dec);
static uint64_t evs_schema_mulmod(uint64_t a, uint64_t b, uint64_t m);
static ngx_uint_t evs_schema_equal_objects(const json_t *a, const json_t *b,
    ngx_uint_t *steps);
static uint64_t evs_schema_hash(const json_t *value, ngx_uint_t *steps);
static uint64_t evs_schema_hash_object(const json_t *value,
    ngx_uint_t *steps);
static uint64_t evs_schema_hash_bytes(uint64_t seed, const void *data,
    size_t len);
static uint64_t evs_schema_hash_mix(uint64_t hash);
static ngx_int_t evs_schema_unique_hashed(const json_t *array,
    const evs_schema_item_t *items, size_t n, size_t *one, size_t *two,
    ngx_uint_t *steps);
static int ngx_libc_cdecl evs_schema_item_cmp(const void *one,
    const void *two);


ngx_uint_t
evs_schema_type(const json_t *value)
{
    switch (json_typeof(value)) {

    case JSON_OBJECT:
        return EVS_SCHEMA_OBJECT;

    case JSON_ARRAY:
        return EVS_SCHEMA_ARRAY;

    case JSON_STRING:
        return EVS_SCHEMA_STRING;

    case JSON_INTEGER:
        return EVS_SCHEMA_INTEGER;

    case JSON_REAL:
        return evs_schema_integral(json_real_value(value))
               ? EVS_SCHEMA_INTEGER : EVS_SCHEMA_FRACTION;

    case JSON_TRUE:
    case JSON_FALSE:
        return EVS_SCHEMA_BOOLEAN;

    default: /* JSON_NULL */
        return EVS_SCHEMA_NULL;
    }
}


static ngx_uint_t
evs_schema_integral(double d)
{
    return evs_schema_compare_real(d, floor(d)) == 0;
}


int
evs_schema_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a)) {

        if (json_is_integer(b)) {
            return evs_schema_compare_int(json_integer_value(a),
                                          json_integer_value(b));
        }

        return evs_schema_compare_mixed(json_integer_value(a),
                                        json_real_value(b));
    }

    if (json_is_integer(b)) {
        return -evs_schema_compare_mixed(json_integer_value(b),
                                         json_real_value(a));
    }

    return evs_schema_compare_real(json_real_value(a), json_real_value(b));
}


static int
evs_schema_compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}


static int
evs_schema_compare_real(double a, double b)
{
    return (a > b) - (a < b);
}


/* The integer as a double would be rounded. */

static int
evs_schema_compare_mixed(int64_t a, double b)
{
    int     rc;
    double  whole;

    if (b >= EVS_SCHEMA_INT_END) {
        return -1;
    }

    if (b < EVS_SCHEMA_INT_MIN) {
        return 1;
    }

    whole = floor(b);

    rc = evs_schema_compare_int(a, (int64_t) whole);

    return (rc != 0) ? rc : evs_schema_compare_real(whole, b);
}


/*
 * In decimals, where it is exact: a * 10^x is a multiple of b * 10^y when b
 * divides a * 10^(x - y).  Where y is above x, it would have to divide by ten
 * what is without zeros at its end.
 */

ngx_uint_t
evs_schema_multiple(const json_t *value, const json_t *m)
{
    int                   n;
    uint64_t              rest, power, base;
    evs_schema_decimal_t  a, b;

    evs_schema_decimal(value, &a);
    evs_schema_decimal(m, &b);

    if (a.digits == 0) {
        return 1;
    }

    if (a.exp < b.exp) {
        return 0;
    }

    rest = a.digits % b.digits;
    power = 1 % b.digits;
    base = 10 % b.digits;

    for (n = a.exp - b.exp; n > 0; n /= 2) {

        if (n % 2) {
            power = evs_schema_mulmod(power, base, b.digits);
        }

        base = evs_schema_mulmod(base, base, b.digits);
    }

    return evs_schema_mulmod(rest, power, b.digits) == 0;
}


/* The shortest decimal that is read as the same double; of its amount. */

static void
evs_schema_decimal(const json_t *value, evs_schema_decimal_t *dec)
{
    int     prec;
    char    buf[NGX_INT64_LEN + 32];
    char   *p;
    double  d;

    dec->digits = 0;
    dec->exp = 0;

    if (json_is_integer(value)) {
        dec->digits = (uint64_t) json_integer_value(value);

        if (json_integer_value(value) < 0) {
            dec->digits = 0 - dec->digits;
        }

    } else {
        d = fabs(json_real_value(value));

        /* of a subnormal one, even fewer digits may be right */

        for (prec = (d < DBL_MIN) ? 0 : 14; prec <= 16; prec++) {
            snprintf(buf, sizeof(buf), "%.*e", prec, d);

            if (evs_schema_compare_real(strtod(buf, NULL), d) == 0) {
                break;
            }
        }

        /* the point is what the locale says */

        for (p = buf; *p != 'e'; p++) {
            if (*p >= '0' && *p <= '9') {
                dec->digits = dec->digits * 10 + (uint64_t) (*p - '0');
            }
        }

        dec->exp = (int) strtol(p + 1, NULL, 10) - ngx_min(prec, 16);
    }

    while (dec->digits != 0 && dec->digits % 10 == 0) {
        dec->digits /= 10;
        dec->exp++;
    }
}


/* a * b % m, with a below m, and no wider type needed. */

static uint64_t
evs_schema_mulmod(uint64_t a, uint64_t b, uint64_t m)
{
    uint64_t  product;

    product = 0;

    while (b != 0) {

        if (b % 2) {
            product = (product >= m - a) ? product - (m - a) : product + a;
        }

        a = (a >= m - a) ? a - (m - a) : a + a;
        b /= 2;
    }

    return product;
}


ngx_int_t
evs_schema_count(const json_t *value, ngx_uint_t *n)
{
    double  d;

    if (json_is_integer(value)) {

        if (json_integer_value(value) < 0) {
            return NGX_DECLINED;
        }

        *n = (ngx_uint_t) json_integer_value(value);
        return NGX_OK;
    }

    d = json_real_value(value);

    if (d < 0 || !evs_schema_integral(d)) {
        return NGX_DECLINED;
    }

    /* more than anything has */

    *n = (d >= EVS_SCHEMA_INT_END) ? NGX_MAX_INT_T_VALUE : (ngx_uint_t) d;

    return NGX_OK;
}


size_t
evs_schema_length(const char *text, size_t len)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {
        n += ((u_char) text[i] & 0xc0) != 0x80;
    }

    return n;
}


ngx_uint_t
evs_schema_equal(const json_t *a, const json_t *b, ngx_uint_t *steps)
{
    size_t  i;

    if (*steps == 0) {
        return 0;
    }

    (*steps)--;

    if (json_is_number(a) && json_is_number(b)) {
        return evs_schema_compare(a, b) == 0;
    }

    if (json_typeof(a) != json_typeof(b)) {
        return 0;
    }

    switch (json_typeof(a)) {

    case JSON_STRING:
        return json_string_length(a) == json_string_length(b)
               && ngx_memcmp(json_string_value(a), json_string_value(b),
                             json_string_length(a))
                  == 0;

    case JSON_ARRAY:

        if (json_array_size(a) != json_array_size(b)) {
            return 0;
        }

        for (i = 0; i < json_array_size(a); i++) {
            if (!evs_schema_equal(json_array_get(a, i), json_array_get(b, i),
                                  steps))
            {
                return 0;
            }
        }

        return 1;

    case JSON_OBJECT:
        return evs_schema_equal_objects(a, b, steps);

    default:
        return 1;
    }
}


static ngx_uint_t
evs_schema_equal_objects(const json_t *a, const json_t *b, ngx_uint_t *steps)
{
    void    *iter;
    json_t  *other;

    if (json_object_size(a) != json_object_size(b)) {
        return 0;
    }

    for (iter = json_object_iter((json_t *) a);
         iter != NULL;
         iter = json_object_iter_next((json_t *) a, iter))
    {
        other = json_object_get(b, json_object_iter_key(iter));

        if (other == NULL
            || !evs_schema_equal(json_object_iter_value(iter), other, steps))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Items of one hash are compared in pairs.  A client that finds many values
 * of one hash uses up the steps.
 */

ngx_int_t
evs_schema_unique(const json_t *array, size_t *one, size_t *two,
    ngx_uint_t *steps)
{
    size_t              i, n;
    ngx_int_t           rc;
    ngx_log_t           silent;
    evs_schema_item_t  *items;

    n = json_array_size(array);

    if (n < 2) {
        return NGX_OK;
    }

    ngx_memzero(&silent, sizeof(ngx_log_t));

    items = ngx_alloc(n * sizeof(evs_schema_item_t), &silent);
    if (items == NULL) {
        return NGX_ABORT;
    }

    for (i = 0; i < n; i++) {
        items[i].hash = evs_schema_hash(json_array_get(array, i), steps);
        items[i].index = i;
    }

    qsort(items, n, sizeof(evs_schema_item_t), evs_schema_item_cmp);

    rc = evs_schema_unique_hashed(array, items, n, one, two, steps);

    ngx_free(items);

    return (*steps == 0) ? NGX_ABORT : rc;
}


static ngx_int_t
evs_schema_unique_hashed(const json_t *array, const evs_schema_item_t *items,
    size_t n, size_t *one, size_t *two, ngx_uint_t *steps)
{
    size_t     i, j;
    ngx_int_t  rc;

    rc = NGX_OK;

    for (i = 1; i < n; i++) {

        if (rc == NGX_DECLINED && items[i].index > *two) {
            continue;
        }

        for (j = i; j > 0 && items[j - 1].hash == items[i].hash; j--) {

            if (*steps == 0) {
                return NGX_ABORT;
            }

            if (evs_schema_equal(json_array_get(array, items[j - 1].index),
                                 json_array_get(array, items[i].index), steps))
            {
                *one = items[j - 1].index;
                *two = items[i].index;
                rc = NGX_DECLINED;
                break;
            }
        }
    }

    return rc;
}


static int ngx_libc_cdecl
evs_schema_item_cmp(const void *one, const void *two)
{
    const evs_schema_item_t  *a, *b;

    a = one;
    b = two;

    if (a->hash != b->hash) {
        return (a->hash < b->hash) ? -1 : 1;
    }

    return (a->index < b->index) ? -1 : 1;
}


/* The same for values that are the same. */

static uint64_t
evs_schema_hash(const json_t *value, ngx_uint_t *steps)
{
    double    d;
    size_t    i;
    int64_t   n;
    uint64_t  hash;

    if (*steps == 0) {
        return 0;
    }

    (*steps)--;

    switch (json_typeof(value)) {

    case JSON_STRING:
        return evs_schema_hash_bytes(JSON_STRING, json_string_value(value),
                                     json_string_length(value));

    case JSON_INTEGER:
    case JSON_REAL:
        d = json_number_value(value);

        if (json_is_real(value)
            && (d < EVS_SCHEMA_INT_MIN || d >= EVS_SCHEMA_INT_END
                || !evs_schema_integral(d)))
        {
            return evs_schema_hash_bytes(JSON_REAL, &d, sizeof(double));
        }

        n = json_is_real(value) ? (int64_t) d : json_integer_value(value);

        return evs_schema_hash_bytes(JSON_INTEGER, &n, sizeof(int64_t));

    case JSON_ARRAY:
        hash = JSON_ARRAY;

        for (i = 0; i < json_array_size(value); i++) {
            hash = evs_schema_hash_mix(hash
                       ^ evs_schema_hash(json_array_get(value, i), steps));
        }

        return evs_schema_hash_mix(hash);

    case JSON_OBJECT:
        return evs_schema_hash_object(value, steps);

    default:
        return evs_schema_hash_mix((uint64_t) json_typeof(value));
    }
}


/* A sum, since the order of members carries no meaning. */

static uint64_t
evs_schema_hash_object(const json_t *value, ngx_uint_t *steps)
{
    void        *iter;
    uint64_t     sum, hash;
    const char  *name;

    sum = JSON_OBJECT;

    for (iter = json_object_iter((json_t *) value);
         iter != NULL;
         iter = json_object_iter_next((json_t *) value, iter))
    {
        name = json_object_iter_key(iter);
        hash = evs_schema_hash(json_object_iter_value(iter), steps);

        sum += evs_schema_hash_bytes(hash, name, ngx_strlen(name));
    }

    return evs_schema_hash_mix(sum);
}


/* FNV-1a, and what makes the high bits of it good. */

static uint64_t
evs_schema_hash_bytes(uint64_t seed, const void *data, size_t len)
{
    size_t         i;
    uint64_t       hash;
    const u_char  *p;

    p = data;
    hash = evs_schema_hash_mix(seed) ^ 0xcbf29ce484222325ULL;

    for (i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * 0x100000001b3ULL;
    }

    return evs_schema_hash_mix(hash);
}


static uint64_t
evs_schema_hash_mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9ULL;
    hash ^= hash >> 32;

    return hash;
}
