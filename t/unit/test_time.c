
/*
 * Timestamps: what is taken and as how many µs, what is declined; and dates
 * against the C library's calendar.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/time.h"


#define NONE  INT64_MIN          /* declined */


typedef struct {
    const char  *text;
    int64_t      us;
} time_case_t;


static void time_check(const time_case_t *tc,
    ngx_int_t (*parse)(const u_char *, size_t, int64_t *));


static const time_case_t  time_numbers[] = {
    { "0", 0 },
    { "1", 1000000 },
    { "1569972082", 1569972082000000 },
    { "1624422533298", 1624422533298000 },
    { "1624422533298001", 1624422533298001 },
    { "1624422533298001999", 1624422533298001 },

    /* on both sides of each limit between units */
    { "99999999999", 99999999999000000 },
    { "100000000000", 100000000000000 },
    { "99999999999999", 99999999999999000 },
    { "100000000000000", 100000000000000 },
    { "99999999999999999", 99999999999999999 },
    { "100000000000000000", 100000000000000 },
    { "99999999999.9999999", 99999999999999999 },
    { "99999999999.9999999e0", 99999999999999999 },
    { "0.1e12", 100000000000000 },
    { "99999999999999.9999", 99999999999999999 },
    { "99999999999999999.9999", 99999999999999999 },

    /* more digits than an integer has */
    { "9999999999999999999", 9999999999999999 },
    { "10000000000000000000", 10000000000000000 },
    { "18446744073709551616", 18446744073709551 },
    { "253402300799999999999", 253402300799999999 },
    { "253402300799999999999.999", 253402300799999999 },
    { "253402300800000000000", NONE },
    { "999999999999999999999", NONE },
    { "1000000000000000000000", NONE },
    { "9999999999999999999999", NONE },

    /* cut, not rounded */
    { "1.5", 1500000 },
    { "1.0000009", 1000000 },
    { "1624422533.298001999", 1624422533298001 },
    { "1624422533298.0019", 1624422533298001 },
    { "1624422533298001.9", 1624422533298001 },
    { "0.0000009", 0 },
    { "0.000001", 1 },

    { "1e0", 1000000 },
    { "1.6e9", 1600000000000000 },
    { "1.6E+12", 1600000000000000 },
    { "1624422533298e-3", 1624422533298000 },
    { "16244225332980019e-7", 1624422533298001 },
    { "1e-6", 1 },
    { "1e-7", 0 },
    { "123e-1", 12300000 },
    { "0.00000000000000000000000000000000000000000016e52",
      1600000000000000 },
    { "160000000000000000000000000000000000000000000e-35",
      1600000000000000 },

    { "0.0", 0 },
    { "0e999999", 0 },
    { "0.000e999999999999999999999999999999", 0 },
    { "1e-999999999999999999999999999999", 0 },
    { "1e999999999999999999999999999999", NONE },
    { "1e22", NONE },
    { "1e9223372036854775807", NONE },
    { "1e-9223372036854775808", 0 },
    { "1e18446744073709551617", NONE },

    { "-0", NONE },
    { "-1", NONE },
    { "-0.0", NONE },
    { "-1e-999", NONE },
    { "-1624422533298", NONE }
};


static const time_case_t  time_strings[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "2021-06-23T04:28:53.303Z", 1624422533303000 },
    { "2021-06-23T04:28:53.303", 1624422533303000 },
    { "2021-06-23t04:28:53.303z", 1624422533303000 },
    { "2021-06-23 04:28:53,303", 1624422533303000 },
    { "2021-06-23T04:28:53", 1624422533000000 },
    { "2021-06-23T04:28", 1624422480000000 },
    { "2021-06-23T04:28Z", 1624422480000000 },
    { "2021-06-23T04:28:53.1234569", 1624422533123456 },
    { "2021-06-23T04:28:53.00000000000000000000000000000000009",
      1624422533000000 },

    /* offsets */
    { "2021-06-23T04:28+02:30", 1624413480000000 },
    { "2021-06-23T04:28+0230", 1624413480000000 },
    { "2021-06-23T04:28:00-02", 1624429680000000 },
    { "2021-06-23T04:28-00:00", 1624422480000000 },
    { "2021-06-23T04:28+23:59", 1624336140000000 },
    { "2021-06-23T04:28+24:00", NONE },
    { "2021-06-23T04:28+02:60", NONE },
    { "2021-06-23T04:28+2", NONE },
    { "2021-06-23T04:28+02:", NONE },
    { "2021-06-23T04:28+02:3", NONE },
    { "2021-06-23T04:28+02:300", NONE },
    { "2021-06-23T04:28+02:30Z", NONE },
    { "2021-06-23T04:28 +02:30", NONE },

    /* before 1970 time still runs forward */
    { "1969-12-31T23:59:59.999999Z", -1 },
    { "1969-12-31T23:59:59.5Z", -500000 },
    { "0000-01-01T00:00:00Z", EVS_TIME_MIN_US },
    { "9999-12-31T23:59:59.999999Z", EVS_TIME_MAX_US },
    { "0000-01-01T00:00:00+00:01", NONE },
    { "0000-01-01T00:00:00-00:01", EVS_TIME_MIN_US + 60000000 },
    { "9999-12-31T23:59:59-00:01", NONE },

    /* dates that don't exist */
    { "2020-02-29T00:00Z", 1582934400000000 },
    { "2000-02-29T00:00Z", 951782400000000 },
    { "0000-02-29T00:00Z", -62162121600000000 },
    { "2021-02-29T00:00Z", NONE },
    { "1900-02-29T00:00Z", NONE },
    { "2200-02-29T00:00Z", NONE },
    { "2020-02-30T00:00Z", NONE },
    { "2021-04-31T00:00Z", NONE },
    { "2021-12-32T00:00Z", NONE },
    { "2021-13-01T00:00Z", NONE },
    { "2021-00-01T00:00Z", NONE },
    { "2021-01-00T00:00Z", NONE },
    { "2021-01-01T24:00Z", NONE },
    { "2021-01-01T23:60Z", NONE },

    /* leap seconds are at 23:59 UTC, wherever one is */
    { "2016-12-31T23:59:60Z", 1483228800000000 },
    { "2016-12-31T23:59:60.25Z", 1483228800250000 },
    { "2017-01-01T00:59:60+01:00", 1483228800000000 },
    { "2016-12-31T18:59:60-05:00", 1483228800000000 },
    { "1969-12-31T23:59:60Z", 0 },
    { "1966-12-31T23:59:60Z", -94694400000000 },
    { "2016-12-31T23:59:60+01:00", NONE },
    { "2016-12-31T23:58:60Z", NONE },
    { "2016-12-31T22:59:60Z", NONE },
    { "2016-12-31T23:59:61Z", NONE },
    { "9999-12-31T23:59:60Z", NONE },

    { "", NONE },
    { "now", NONE },
    { "1624422533", NONE },
    { "2021-06-23", NONE },
    { "2021-06-23T", NONE },
    { "2021-06-23T04", NONE },
    { "2021-06-23T04:2", NONE },
    { "2021-06-23T04:28:", NONE },
    { "2021-06-23T04:28:5", NONE },
    { "2021-06-23T04:28:53.", NONE },
    { "2021-06-23T04:28:53.Z", NONE },
    { "2021-06-23T04:28.5Z", NONE },
    { "2021-06-23T04:28:53Zx", NONE },
    { "2021-06-23T04:28:53Z ", NONE },
    { " 2021-06-23T04:28:53Z", NONE },
    { "2021-06-23_04:28:53Z", NONE },
    { "2021/06/23T04:28:53Z", NONE },
    { "2021-6-23T04:28:53Z", NONE },
    { "20210623T042853Z", NONE },
    { "12021-06-23T04:28:53Z", NONE },
    { "-021-06-23T04:28:53Z", NONE },
    { "+2021-06-23T04:28:53Z", NONE },
    { "2021-06-23T 4:28:53Z", NONE },
    { "2021-06-23T04:-8:53Z", NONE }
};


static void
time_check(const time_case_t *tc,
    ngx_int_t (*parse)(const u_char *, size_t, int64_t *))
{
    u_char     *copy;
    size_t      len;
    int64_t     us;
    ngx_int_t   rc;

    /* a block of its size, so that reading on would be seen */

    len = strlen(tc->text);
    copy = malloc(len + (len == 0));
    memcpy(copy, tc->text, len);

    us = NONE;
    rc = parse(copy, len, &us);
    free(copy);

    if (tc->us == NONE) {
        if (rc != NGX_DECLINED) {
            fail_msg("\"%s\" was taken as %lld", tc->text, (long long) us);
        }

        return;
    }

    if (rc != NGX_OK || us != tc->us) {
        fail_msg("\"%s\" is %lld, rc %d, not %lld", tc->text, (long long) us,
                 (int) rc, (long long) tc->us);
    }
}


static void
test_numbers(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(time_numbers) / sizeof(time_numbers[0]); i++) {
        time_check(&time_numbers[i], evs_time_number);
    }
}


static void
test_strings(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(time_strings) / sizeof(time_strings[0]); i++) {
        time_check(&time_strings[i], evs_time_string);
    }
}


/* However a number is written, it is the same. */

static void
test_forms(void **state)
{
    int       i, n, shift;
    char      plain[32], moved[300];
    int64_t   us, moved_us;

    for (n = 1; n < 20; n++) {
        for (i = 0; i < n; i++) {
            plain[i] = (char) ('1' + (i * 7 + n) % 9);
        }

        plain[n] = '\0';
        us = NONE;

        assert_int_equal(evs_time_number((u_char *) plain, (size_t) n, &us),
                         NGX_OK);

        for (shift = 1; shift < 120; shift++) {
            (void) sprintf(moved, "%s%0*de-%d", plain, shift, 0, shift);

            moved_us = NONE;
            (void) evs_time_number((u_char *) moved, strlen(moved), &moved_us);
            assert_true(moved_us == us);

            (void) sprintf(moved, "0.%0*d%se%d", shift, 0, plain, n + shift);

            moved_us = NONE;
            (void) evs_time_number((u_char *) moved, strlen(moved), &moved_us);
            assert_true(moved_us == us);
        }
    }
}


/*
 * Every fifth day from year 0 to year 9999, as the C library counts them: no
 * period of the calendar is a multiple of 5, so each date of a year is met.
 */

static void
test_calendar(void **state)
{
    char        want[64];
    u_char      text[EVS_TIME_STRING_LEN + 1], *last;
    time_t      t;
    int64_t     us, back;
    struct tm   tm;

    for (us = EVS_TIME_MIN_US + 86399 * 1000000LL + 7;
         us <= EVS_TIME_MAX_US; us += 5 * 86400 * 1000000LL)
    {
        t = (time_t) ((us - 7) / 1000000);
        assert_non_null(gmtime_r(&t, &tm));

        (void) sprintf(want, "%04d-%02d-%02dT%02d:%02d:%02d.000007Z",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                       tm.tm_hour, tm.tm_min, tm.tm_sec);

        last = evs_time_format(text, us, 6);
        *last = '\0';
        assert_string_equal((char *) text, want);

        assert_int_equal(evs_time_string(text, (size_t) (last - text), &back),
                         NGX_OK);
        assert_true(back == us);
    }
}


static void
test_format(void **state)
{
    size_t   i;
    u_char   text[EVS_TIME_STRING_LEN + 1];

    static const struct {
        int64_t      us;
        ngx_uint_t   digits;
        const char  *text;
    } cases[] = {
        { 0, 0, "1970-01-01T00:00:00Z" },
        { 1609492527243860, 6, "2021-01-01T09:15:27.243860Z" },
        { 1609492527243860, 3, "2021-01-01T09:15:27.243Z" },
        { 1609492527243860, 0, "2021-01-01T09:15:27Z" },
        { 1582934400000000, 3, "2020-02-29T00:00:00.000Z" },
        { -1, 6, "1969-12-31T23:59:59.999999Z" },
        { -1, 0, "1969-12-31T23:59:59Z" },
        { -1000000, 3, "1969-12-31T23:59:59.000Z" },
        { -86400000000, 0, "1969-12-31T00:00:00Z" },
        { -86400000001, 6, "1969-12-30T23:59:59.999999Z" },
        { EVS_TIME_MIN_US, 6, "0000-01-01T00:00:00.000000Z" },
        { EVS_TIME_MAX_US, 6, "9999-12-31T23:59:59.999999Z" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        *evs_time_format(text, cases[i].us, cases[i].digits) = '\0';
        assert_string_equal((char *) text, cases[i].text);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_format)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
