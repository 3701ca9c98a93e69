
/*
 * Timestamps, in and out.  All of it is integer arithmetic on the text: what
 * a client sent as 1624422533.298001 must not meet a double.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/lex.h"
#include "event/number.h"
#include "event/time.h"


/* EVS_TIME_*_BELOW as powers of ten */
#define EVS_TIME_S_DIGITS    11
#define EVS_TIME_MS_DIGITS   14
#define EVS_TIME_US_DIGITS   17

/* no value with more digits than this is in range, whatever its unit */
#define EVS_TIME_MAX_DIGITS  21

/* exponents stop growing here; no text is long enough to make up for it */
#define EVS_TIME_MAX_EXP     1000000000000000LL

#define EVS_TIME_DAY         86400

/* what every date-time begins with, and two of its digits */
#define EVS_TIME_FIXED       (sizeof("YYYY-MM-DDThh:mm") - 1)
#define evs_time_two(d)      ((uint32_t) ((d)[0] * 10 + (d)[1]))

/* 400 years of the Gregorian calendar, and 1970-01-01 from 0000-03-01 */
#define EVS_TIME_ERA_DAYS    146097
#define EVS_TIME_EPOCH_DAYS  719468


typedef struct {
    const u_char      *pos;
    const u_char      *last;
    unsigned           leap:1;   /* its second was 60 */
} evs_time_text_t;


typedef struct {
    const u_char      *first;    /* the first digit that isn't 0 */
    const u_char      *last;     /* end of the digits and the point */
    int64_t            digits;   /* the value is below 10^digits */
} evs_time_decimal_t;


static ngx_int_t evs_time_decimal(const u_char *text, size_t len,
    int64_t *us);
static void evs_time_split(const u_char *text, const u_char *last,
    evs_time_decimal_t *dec);
static int64_t evs_time_exponent(const u_char *p, const u_char *last);
static ngx_int_t evs_time_fixed(evs_time_text_t *text, int64_t *seconds);
static ngx_int_t evs_time_digits(const u_char *p, u_char *digits);
static ngx_int_t evs_time_second(evs_time_text_t *text, int64_t *seconds,
    int64_t *fraction);
static ngx_int_t evs_time_fraction(evs_time_text_t *text, int64_t *fraction);
static ngx_int_t evs_time_zone(evs_time_text_t *text, int64_t *offset);
static ngx_int_t evs_time_field(evs_time_text_t *text, ngx_uint_t n,
    int64_t max, int64_t *value);
static ngx_uint_t evs_time_char(evs_time_text_t *text, u_char c);
static int64_t evs_time_days(uint32_t year, uint32_t month, uint32_t day);
static u_char *evs_time_write(u_char *p, int64_t value, ngx_uint_t n);


ngx_int_t
evs_time_number(const u_char *text, size_t len, int64_t *us)
{
    uint64_t  value;

    if (evs_number_read(text, len, &value) != NGX_OK) {
        return evs_time_decimal(text, len, us);
    }

    *us = evs_time_integer(value);

    return NGX_OK;
}


ngx_int_t
evs_time_string(const u_char *text, size_t len, int64_t *us)
{
    int64_t          seconds, fraction, offset;
    evs_time_text_t  t;

    t.pos = text;
    t.last = text + len;
    t.leap = 0;

    if (evs_time_fixed(&t, &seconds) != NGX_OK
        || evs_time_second(&t, &seconds, &fraction) != NGX_OK
        || evs_time_zone(&t, &offset) != NGX_OK
        || t.pos != t.last)
    {
        return NGX_DECLINED;
    }

    seconds -= offset;

    /* the second behind 23:59:60 UTC begins a day */

    if (t.leap && seconds % EVS_TIME_DAY != 0) {
        return NGX_DECLINED;
    }

    *us = seconds * 1000000 + fraction;

    if (*us < EVS_TIME_MIN_US || *us > EVS_TIME_MAX_US) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


u_char *
evs_time_format(u_char *p, int64_t us, ngx_uint_t digits)
{
    int64_t  days, second, era, day, year, month;

    /* rounded down, before 1970 too */

    days = us / (EVS_TIME_DAY * 1000000LL);
    us %= EVS_TIME_DAY * 1000000LL;

    if (us < 0) {
        us += EVS_TIME_DAY * 1000000LL;
        days--;
    }

    second = us / 1000000;
    us %= 1000000;

    /* the inverse of evs_time_days(): years begin in March there */

    days += EVS_TIME_EPOCH_DAYS + EVS_TIME_ERA_DAYS;
    era = days / EVS_TIME_ERA_DAYS;
    day = days % EVS_TIME_ERA_DAYS;

    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= year * 365 + year / 4 - year / 100;
    month = (day * 5 + 2) / 153;
    day -= (month * 153 + 2) / 5;

    year += (era - 1) * 400 + (month >= 10);
    month += (month < 10) ? 3 : -9;

    p = evs_time_write(p, year, 4);
    *p++ = '-';
    p = evs_time_write(p, month, 2);
    *p++ = '-';
    p = evs_time_write(p, day + 1, 2);
    *p++ = 'T';
    p = evs_time_write(p, second / 3600, 2);
    *p++ = ':';
    p = evs_time_write(p, second / 60 % 60, 2);
    *p++ = ':';
    p = evs_time_write(p, second % 60, 2);

    if (digits != 0) {
        *p++ = '.';
        p = evs_time_write(p, (digits == 3) ? us / 1000 : us, digits);
    }

    *p++ = 'Z';

    return p;
}


static ngx_int_t
evs_time_decimal(const u_char *text, size_t len, int64_t *us)
{
    int64_t              n, value;
    const u_char        *p;
    evs_time_decimal_t   dec;

    if (len == 0 || *text == '-') {
        return NGX_DECLINED;
    }

    evs_time_split(text, text + len, &dec);

    *us = 0;

    if (dec.first == dec.last) {
        return NGX_OK;
    }

    if (dec.digits > EVS_TIME_MAX_DIGITS) {
        return NGX_DECLINED;
    }

    if (dec.digits <= EVS_TIME_S_DIGITS) {
        n = dec.digits + 6;

    } else if (dec.digits <= EVS_TIME_MS_DIGITS) {
        n = dec.digits + 3;

    } else if (dec.digits <= EVS_TIME_US_DIGITS) {
        n = dec.digits;

    } else {
        n = dec.digits - 3;
    }

    /* that many digits are whole µs: 18 at most, so they fit */

    value = 0;

    for (p = dec.first; n > 0; n--) {

        if (p < dec.last && *p == '.') {
            p++;
        }

        value = value * 10 + ((p < dec.last) ? *p++ - '0' : 0);
    }

    if (value > EVS_TIME_MAX_US) {
        return NGX_DECLINED;
    }

    *us = value;

    return NGX_OK;
}


static void
evs_time_split(const u_char *text, const u_char *last,
    evs_time_decimal_t *dec)
{
    int64_t        zeros;
    const u_char  *p, *point;

    zeros = 0;
    point = NULL;
    dec->first = NULL;

    for (p = text; p < last && *p != 'e' && *p != 'E'; p++) {

        if (*p == '.') {
            point = p;

        } else if (*p != '0') {

            if (dec->first == NULL) {
                dec->first = p;
            }

        } else if (dec->first == NULL) {
            zeros++;
        }
    }

    dec->last = p;

    if (dec->first == NULL) {
        dec->first = p;
        return;
    }

    dec->digits = ((point != NULL) ? point : p) - text - zeros;

    if (p < last) {
        dec->digits += evs_time_exponent(p + 1, last);
    }
}


static int64_t
evs_time_exponent(const u_char *p, const u_char *last)
{
    int64_t     value;
    ngx_uint_t  negative;

    negative = (p < last && *p == '-');

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    for (value = 0; p < last && value < EVS_TIME_MAX_EXP; p++) {
        value = value * 10 + (*p - '0');
    }

    return negative ? -value : value;
}


/* YYYY-MM-DDThh:mm */

static ngx_int_t
evs_time_fixed(evs_time_text_t *text, int64_t *seconds)
{
    u_char    d[EVS_TIME_FIXED], separator;
    uint32_t  year, month, day, hour, minute, max;

    static const uint32_t  lengths[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if ((size_t) (text->last - text->pos) < EVS_TIME_FIXED
        || evs_time_digits(text->pos, d) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    separator = text->pos[10];

    if (separator != 'T' && separator != 't' && separator != ' ') {
        return NGX_DECLINED;
    }

    year = evs_time_two(d) * 100 + evs_time_two(d + 2);
    month = evs_time_two(d + 5);
    day = evs_time_two(d + 8);
    hour = evs_time_two(d + 11);
    minute = evs_time_two(d + 14);

    if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59) {
        return NGX_DECLINED;
    }

    max = lengths[month - 1];

    if (month == 2
        && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
    {
        max = 29;
    }

    if (day > max) {
        return NGX_DECLINED;
    }

    *seconds = evs_time_days(year, month, day) * EVS_TIME_DAY
               + (int64_t) (hour * 3600 + minute * 60);

    text->pos += EVS_TIME_FIXED;

    return NGX_OK;
}


/*
 * The values of the digits, all looked at at once.  What differs from "0" is
 * a digit's value, and nothing may differ from what stands between digits but
 * the T: more than that, and adding the room up to 0x80 shows.
 */

static ngx_int_t
evs_time_digits(const u_char *p, u_char *digits)
{
    uint64_t  a, b;

    static const u_char  zeros[] = "0000-00-" "00\0" "00:00";
    static const u_char  room[] =
        "\x76\x76\x76\x76\x7f\x76\x76\x7f" "\x76\x76\x00\x76\x76\x7f\x76\x76";

    a = evs_lex_load(p) ^ evs_lex_load(zeros);
    b = evs_lex_load(p + 8) ^ evs_lex_load(zeros + 8);

    if (((a + evs_lex_load(room)) | a | (b + evs_lex_load(room + 8)) | b)
        & EVS_LEX_HIGHS)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(digits, &a, 8);
    ngx_memcpy(digits + 8, &b, 8);

    return NGX_OK;
}


/* [:ss[(.|,)f...]] */

static ngx_int_t
evs_time_second(evs_time_text_t *text, int64_t *seconds, int64_t *fraction)
{
    int64_t  second;

    *fraction = 0;

    if (!evs_time_char(text, ':')) {
        return NGX_OK;
    }

    if (evs_time_field(text, 2, 60, &second) != NGX_OK
        || evs_time_fraction(text, fraction) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    text->leap = (second == 60);
    *seconds += second;

    return NGX_OK;
}


static ngx_int_t
evs_time_fraction(evs_time_text_t *text, int64_t *fraction)
{
    int64_t        scale;
    const u_char  *p;

    if (!evs_time_char(text, '.') && !evs_time_char(text, ',')) {
        return NGX_OK;
    }

    scale = 100000;

    for (p = text->pos; p < text->last && evs_lex_digit(*p); p++) {
        *fraction += (*p - '0') * scale;
        scale /= 10;
    }

    if (p == text->pos) {
        return NGX_DECLINED;
    }

    text->pos = p;

    return NGX_OK;
}


/* Z, +hh:mm, +hhmm, +hh or nothing; in seconds east of UTC. */

static ngx_int_t
evs_time_zone(evs_time_text_t *text, int64_t *offset)
{
    int64_t     hours, minutes;
    ngx_uint_t  west;

    *offset = 0;

    if (text->pos == text->last || evs_time_char(text, 'Z')
        || evs_time_char(text, 'z'))
    {
        return NGX_OK;
    }

    west = evs_time_char(text, '-');

    if (!west && !evs_time_char(text, '+')) {
        return NGX_DECLINED;
    }

    if (evs_time_field(text, 2, 23, &hours) != NGX_OK) {
        return NGX_DECLINED;
    }

    minutes = 0;

    if (text->pos != text->last) {
        (void) evs_time_char(text, ':');

        if (evs_time_field(text, 2, 59, &minutes) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    *offset = hours * 3600 + minutes * 60;

    if (west) {
        *offset = -*offset;
    }

    return NGX_OK;
}


/* Exactly n digits. */

static ngx_int_t
evs_time_field(evs_time_text_t *text, ngx_uint_t n, int64_t max,
    int64_t *value)
{
    u_char  c;

    if ((size_t) (text->last - text->pos) < n) {
        return NGX_DECLINED;
    }

    *value = 0;

    while (n--) {
        c = *text->pos++;

        if (!evs_lex_digit(c)) {
            return NGX_DECLINED;
        }

        *value = *value * 10 + (c - '0');
    }

    return (*value <= max) ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
evs_time_char(evs_time_text_t *text, u_char c)
{
    if (text->pos == text->last || *text->pos != c) {
        return 0;
    }

    text->pos++;

    return 1;
}


/*
 * Days since 1970-01-01.  Years are counted from March, so that the day that
 * may be missing is the last one, and from 400 years earlier, so that nothing
 * is negative.
 */

static int64_t
evs_time_days(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t  days;

    year += 400;

    if (month > 2) {
        month -= 3;

    } else {
        month += 9;
        year--;
    }

    days = year * 365 + year / 4 - year / 100 + year / 400;
    days += (month * 153 + 2) / 5 + day - 1;

    return (int64_t) days - EVS_TIME_ERA_DAYS - EVS_TIME_EPOCH_DAYS;
}


static u_char *
evs_time_write(u_char *p, int64_t value, ngx_uint_t n)
{
    u_char  *last;

    last = p + n;

    for (p = last; n > 0; n--) {
        *--p = (u_char) ('0' + value % 10);
        value /= 10;
    }

    return last;
}
