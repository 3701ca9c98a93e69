
/*
 * The parts of replies: see resp_read.h.
 *
 * A part that is cut off is read anew from its first byte when more of it has
 * come, so that only the arrays that are open are kept in between.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/resp_read.h"


/* as Redis has them, unless it is told otherwise */
#define EVS_RESP_STRING_MAX    (512 * 1024 * 1024)
#define EVS_RESP_ELEMENTS_MAX  0x7fffffff

#define EVS_RESP_DIGITS_MAX    19

/* "$10" and a CRLF, ten bytes, and a CRLF */
#define EVS_RESP_SHORT_MIN     17

#define evs_resp_digit(c)      ((u_char) ((c) - '0') < 10)
#define evs_resp_crlf(p)       (ngx_memcmp(p, CRLF, 2) == 0)


static ngx_inline ngx_uint_t evs_resp_short(evs_resp_reader_t *reader,
    evs_resp_part_t *part);
static ngx_inline ngx_int_t evs_resp_number(evs_resp_reader_t *reader,
    u_char **pos, int64_t *number);
static ngx_int_t evs_resp_string(evs_resp_reader_t *reader, u_char *p,
    evs_resp_part_t *part);
static ngx_int_t evs_resp_integer(evs_resp_reader_t *reader, u_char *p,
    evs_resp_part_t *part);
static ngx_int_t evs_resp_array(evs_resp_reader_t *reader, u_char *p,
    evs_resp_part_t *part);
static ngx_int_t evs_resp_line(evs_resp_reader_t *reader, u_char *p,
    evs_resp_part_t *part);
static ngx_int_t evs_resp_nil(evs_resp_reader_t *reader, u_char *p,
    evs_resp_part_t *part);
static ngx_inline ngx_int_t evs_resp_leaf(evs_resp_reader_t *reader,
    u_char *p, evs_resp_part_t *part);
static ngx_int_t evs_resp_fault(evs_resp_reader_t *reader, const char *why);


ngx_int_t
evs_resp_next(evs_resp_reader_t *reader, evs_resp_part_t *part)
{
    u_char  *p;

    if (evs_resp_short(reader, part)) {
        return NGX_OK;
    }

    p = reader->pos;

    if (p == reader->last) {
        return NGX_AGAIN;
    }

    switch (*p) {

    case '$':
        return evs_resp_string(reader, p + 1, part);

    case ':':
        return evs_resp_integer(reader, p + 1, part);

    case '*':
        return evs_resp_array(reader, p + 1, part);

    case '+':
        part->type = EVS_REDIS_STATUS;
        return evs_resp_line(reader, p + 1, part);

    case '-':
        part->type = EVS_REDIS_ERROR;
        return evs_resp_line(reader, p + 1, part);

    default:
        return evs_resp_fault(reader, "a part of an unknown type");
    }
}


/*
 * Nearly every part is a string of 10 to 999 bytes in an array, and not the
 * last of them: 1, and it is read; else it is left to the others.
 */

static ngx_inline ngx_uint_t
evs_resp_short(evs_resp_reader_t *reader, evs_resp_part_t *part)
{
    size_t    len;
    u_char   *p;
    int64_t  *lacks;

    p = reader->pos;

    if (reader->depth == 0 || reader->last - p < EVS_RESP_SHORT_MIN
        || p[0] != '$' || p[1] == '0'
        || !evs_resp_digit(p[1]) || !evs_resp_digit(p[2]))
    {
        return 0;
    }

    len = (size_t) ((p[1] - '0') * 10 + p[2] - '0');
    p += 3;

    if (evs_resp_digit(*p)) {
        len = len * 10 + (size_t) (*p++ - '0');
    }

    lacks = &reader->lacks[reader->depth - 1];

    if (*lacks == 1
        || (size_t) (reader->last - p) < len + 4
        || !evs_resp_crlf(p) || !evs_resp_crlf(p + 2 + len))
    {
        return 0;
    }

    (*lacks)--;

    part->type = EVS_REDIS_STRING;
    part->nested = 1;
    part->ends = 0;
    part->integer = 0;
    part->text.data = p + 2;
    part->text.len = len;

    reader->pos = p + 2 + len + 2;

    return 1;
}


/*
 * The number at *pos, and *pos behind its CRLF.  It is written in one way
 * only: no plus, no leading zeroes.
 */

static ngx_inline ngx_int_t
evs_resp_number(evs_resp_reader_t *reader, u_char **pos, int64_t *number)
{
    u_char      *p, *digits, *last;
    uint64_t     n;
    ngx_uint_t   negative;

    p = *pos;
    last = reader->last;

    negative = (p < last && *p == '-');
    p += negative;

    digits = p;
    n = 0;

    while (p < last && evs_resp_digit(*p)) {
        n = n * 10 + (uint64_t) (*p - '0');
        p++;
    }

    if (p - digits > EVS_RESP_DIGITS_MAX) {
        return evs_resp_fault(reader, "a number that is too large");
    }

    if (last - p < 2 && (p == last || *p == CR)) {
        return NGX_AGAIN;
    }

    if (p == digits || *p != CR || p[1] != LF
        || (*digits == '0' && (negative || p - digits > 1)))
    {
        return evs_resp_fault(reader, "a number that is none");
    }

    if (n > (uint64_t) INT64_MAX + negative) {
        return evs_resp_fault(reader, "a number that is too large");
    }

    *number = (int64_t) (negative ? 0 - n : n);
    *pos = p + 2;

    return NGX_OK;
}


static ngx_int_t
evs_resp_string(evs_resp_reader_t *reader, u_char *p, evs_resp_part_t *part)
{
    int64_t    len;
    ngx_int_t  rc;

    rc = evs_resp_number(reader, &p, &len);

    if (rc != NGX_OK) {
        return rc;
    }

    if (len == -1) {
        return evs_resp_nil(reader, p, part);
    }

    if (len < 0 || len > EVS_RESP_STRING_MAX) {
        return evs_resp_fault(reader, "a string of an impossible length");
    }

    if (reader->last - p - 2 < len) {
        return NGX_AGAIN;
    }

    part->type = EVS_REDIS_STRING;
    part->integer = 0;
    part->text.data = p;
    part->text.len = (size_t) len;

    p += len;

    if (!evs_resp_crlf(p)) {
        return evs_resp_fault(reader, "a string without its CRLF");
    }

    return evs_resp_leaf(reader, p + 2, part);
}


static ngx_int_t
evs_resp_integer(evs_resp_reader_t *reader, u_char *p, evs_resp_part_t *part)
{
    ngx_int_t  rc;

    part->type = EVS_REDIS_INTEGER;
    part->text.data = p;

    rc = evs_resp_number(reader, &p, &part->integer);

    if (rc != NGX_OK) {
        return rc;
    }

    part->text.len = (size_t) (p - 2 - part->text.data);

    return evs_resp_leaf(reader, p, part);
}


static ngx_int_t
evs_resp_array(evs_resp_reader_t *reader, u_char *p, evs_resp_part_t *part)
{
    int64_t    n;
    ngx_int_t  rc;

    rc = evs_resp_number(reader, &p, &n);

    if (rc != NGX_OK) {
        return rc;
    }

    if (n == -1) {
        return evs_resp_nil(reader, p, part);
    }

    if (n < 0 || n > EVS_RESP_ELEMENTS_MAX) {
        return evs_resp_fault(reader, "an array of an impossible length");
    }

    part->type = EVS_REDIS_ARRAY;
    part->integer = n;
    part->text.data = p;
    part->text.len = 0;

    if (n == 0) {
        return evs_resp_leaf(reader, p, part);
    }

    if (reader->depth == EVS_RESP_DEPTH_MAX) {
        return evs_resp_fault(reader, "arrays that are too deep");
    }

    part->nested = (reader->depth != 0);
    part->ends = 0;

    reader->lacks[reader->depth++] = n;
    reader->pos = p;

    return NGX_OK;
}


/* A CR alone is part of the text, as is an LF. */

static ngx_int_t
evs_resp_line(evs_resp_reader_t *reader, u_char *p, evs_resp_part_t *part)
{
    u_char  *end;

    for (end = p; reader->last - end >= 2; end++) {

        end = memchr(end, CR, (size_t) (reader->last - end - 1));

        if (end == NULL) {
            break;
        }

        if (end[1] != LF) {
            continue;
        }

        part->integer = 0;
        part->text.data = p;
        part->text.len = (size_t) (end - p);

        return evs_resp_leaf(reader, end + 2, part);
    }

    if (reader->last - p > EVS_RESP_LINE_MAX) {
        return evs_resp_fault(reader, "a line without an end");
    }

    return NGX_AGAIN;
}


static ngx_int_t
evs_resp_nil(evs_resp_reader_t *reader, u_char *p, evs_resp_part_t *part)
{
    part->type = EVS_REDIS_NIL;
    part->integer = 0;
    part->text.data = p;
    part->text.len = 0;

    return evs_resp_leaf(reader, p, part);
}


/* A part that is no open array ends at p, and with it those that lack it. */

static ngx_inline ngx_int_t
evs_resp_leaf(evs_resp_reader_t *reader, u_char *p, evs_resp_part_t *part)
{
    reader->pos = p;

    part->nested = (reader->depth != 0);

    while (reader->depth && --reader->lacks[reader->depth - 1] == 0) {
        reader->depth--;
    }

    part->ends = (reader->depth == 0);

    return NGX_OK;
}


static ngx_int_t
evs_resp_fault(evs_resp_reader_t *reader, const char *why)
{
    reader->why = why;

    return NGX_ERROR;
}
