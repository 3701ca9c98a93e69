
/*
 * Timestamps (contract, section 0): seconds, ms, µs or ns since the epoch,
 * told apart by magnitude, or an RFC 3339 / ISO 8601 date-time.  Pure: "now"
 * is never asked for here.
 */


#ifndef _EVS_TIME_H_INCLUDED_
#define _EVS_TIME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* 9999-12-31T23:59:59.999999Z and 0000-01-01T00:00:00Z, in µs */
#define EVS_TIME_MAX_US   253402300799999999LL
#define EVS_TIME_MIN_US   (-62167219200000000LL)


/* below which an integer is a number of seconds, of ms, of µs */
#define EVS_TIME_S_BELOW   100000000000ULL
#define EVS_TIME_MS_BELOW  100000000000000ULL
#define EVS_TIME_US_BELOW  100000000000000000ULL

/* The µs of an integer timestamp. */
static ngx_inline int64_t
evs_time_integer(uint64_t value)
{
    if (value < EVS_TIME_S_BELOW) {
        return (int64_t) (value * 1000000);
    }

    if (value < EVS_TIME_MS_BELOW) {
        return (int64_t) (value * 1000);
    }

    return (int64_t) (value < EVS_TIME_US_BELOW ? value : value / 1000);
}


/*
 * A JSON number (the caller has checked its grammar): value * unit, cut to µs,
 * exactly, without going through a double; fractions and exponents of any
 * length.  NGX_OK, or NGX_DECLINED when it is negative or lies behind
 * EVS_TIME_MAX_US.
 */
ngx_int_t evs_time_number(const u_char *text, size_t len, int64_t *us);


/*
 * A date-time: YYYY-MM-DD, then T, t or a space, then hh:mm[:ss[(.|,)f...]],
 * then Z, z, +hh:mm, -hh:mm, +hhmm, +hh or nothing (UTC).  The fraction may
 * have any length and is cut to µs.  Second 60 is a leap second, taken only
 * at 23:59 UTC.  NGX_OK, or NGX_DECLINED: not such a string, or a date that
 * does not exist.
 */
ngx_int_t evs_time_string(const u_char *text, size_t len, int64_t *us);


/*
 * The inverse: 2021-01-01T09:15:27.243860Z, digits of the fraction 0, 3 or 6.
 * Writes at most EVS_TIME_STRING_LEN bytes at p, returns the end.
 */
#define EVS_TIME_STRING_LEN  (sizeof("2021-01-01T09:15:27.243860Z") - 1)

u_char *evs_time_format(u_char *p, int64_t us, ngx_uint_t digits);


#endif /* _EVS_TIME_H_INCLUDED_ */
