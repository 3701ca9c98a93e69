
/*
 * ECMA-262 to PCRE2: what is a pattern's own; see schema_pattern.c.
 */

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_ecma.h"


#define EVS_PATTERN_DOT  "[^\\x{a}\\x{d}\\x{2028}\\x{2029}]"


static ngx_int_t evs_pattern_char(evs_pattern_t *p);
static ngx_int_t evs_pattern_group(evs_pattern_t *p);
static ngx_int_t evs_pattern_quantifier(evs_pattern_t *p);
static size_t evs_pattern_braces(const evs_pattern_t *p);
static ngx_int_t evs_pattern_class(evs_pattern_t *p);
static ngx_int_t evs_pattern_class_char(evs_pattern_t *p, ngx_uint_t *set);


ngx_int_t
evs_pattern_translate(evs_pattern_t *p)
{
    while (p->pos < p->last) {
        if (evs_pattern_char(p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_pattern_char(evs_pattern_t *p)
{
    ngx_uint_t  set;

    switch (*p->pos) {

    case '\\':
        p->pos++;
        return evs_pattern_escape(p, 0, &set);

    case '[':
        return evs_pattern_class(p);

    case '(':
        return evs_pattern_group(p);

    case '*':
    case '+':
    case '?':
    case '{':
        return evs_pattern_quantifier(p);

    case '.':
        evs_pattern_puts(p, EVS_PATTERN_DOT);
        break;

    case '}':
    case ']':
        evs_pattern_put(p, "\\", 1);
        /* fall through */

    default:
        evs_pattern_put(p, p->pos, 1);
    }

    p->pos++;

    return NGX_OK;
}


static ngx_int_t
evs_pattern_group(evs_pattern_t *p)
{
    size_t  n, left;

    left = (size_t) (p->last - p->pos);
    n = 1;

    if (left > 1 && p->pos[1] == '*') {
        return evs_pattern_fail(p, "there is nothing to repeat behind a (");
    }

    if (left > 2 && p->pos[1] == '?') {

        switch (p->pos[2]) {

        case ':':
        case '=':
        case '!':
            n = 3;
            break;

        case '<':
            n = (left > 3 && (p->pos[3] == '=' || p->pos[3] == '!')) ? 4 : 3;
            break;

        default:
            return evs_pattern_fail(p, "a group begins with (, (?:, (?=, (?!,"
                                       " (?<=, (?<! or (?<name>");
        }
    }

    evs_pattern_put(p, p->pos, n);
    p->pos += n;

    return NGX_OK;
}


static ngx_int_t
evs_pattern_quantifier(evs_pattern_t *p)
{
    size_t  n;

    n = evs_pattern_braces(p);

    if (n == 0) {
        evs_pattern_puts(p, "\\{");
        p->pos++;
        return NGX_OK;
    }

    if (p->pos + n < p->last && p->pos[n] == '?') {
        n++;
    }

    evs_pattern_put(p, p->pos, n);
    p->pos += n;

    /* to PCRE a++ is possessive */

    if (p->pos < p->last && evs_pattern_braces(p) != 0) {
        return evs_pattern_fail(p, "there is nothing to repeat behind a "
                                   "quantifier");
    }

    return NGX_OK;
}


/* The length of a quantifier here, without a ? behind it; 0: there is none. */

static size_t
evs_pattern_braces(const evs_pattern_t *p)
{
    ngx_uint_t   digits;
    const char  *pos;

    switch (*p->pos) {

    case '*':
    case '+':
    case '?':
        return 1;

    case '{':
        break;

    default:
        return 0;
    }

    digits = 0;

    for (pos = p->pos + 1; pos < p->last; pos++) {

        if (*pos >= '0' && *pos <= '9') {
            digits++;
            continue;
        }

        if (*pos == '}' && digits != 0) {
            return (size_t) (pos - p->pos) + 1;
        }

        if (*pos != ','
            || digits == 0
            || memchr(p->pos, ',', (size_t) (pos - p->pos)) != NULL)
        {
            break;
        }
    }

    return 0;
}


static ngx_int_t
evs_pattern_class(evs_pattern_t *p)
{
    ngx_uint_t  set;

    evs_pattern_put(p, "[", 1);
    p->pos++;

    if (p->pos < p->last && *p->pos == '^') {
        evs_pattern_put(p, "^", 1);
        p->pos++;
    }

    set = 0;

    while (p->pos < p->last) {

        if (*p->pos == ']') {
            evs_pattern_put(p, "]", 1);
            p->pos++;
            return NGX_OK;
        }

        if (evs_pattern_class_char(p, &set) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return evs_pattern_fail(p, "a ] is missing");
}


/* *set: what came before is a set, such as \d, from which no range begins. */

static ngx_int_t
evs_pattern_class_char(evs_pattern_t *p, ngx_uint_t *set)
{
    const char  *next;

    switch (*p->pos) {

    case '\\':
        p->pos++;
        return evs_pattern_escape(p, 1, set);

    case '-':
        next = p->pos + 1;

        /* and none ends in a set */

        if (*set
            || (p->last - next >= 2 && next[0] == '\\' && next[1] != '\0'
                && strchr("dDsSwWpP", next[1]) != NULL))
        {
            evs_pattern_put(p, "\\", 1);
        }

        break;

    case '[':
    case '^':
        evs_pattern_put(p, "\\", 1);
        break;
    }

    evs_pattern_put(p, p->pos, 1);
    p->pos++;

    *set = 0;

    return NGX_OK;
}


ngx_int_t
evs_pattern_fail(evs_pattern_t *p, const char *error)
{
    p->error = error;

    return NGX_ERROR;
}


void
evs_pattern_put(evs_pattern_t *p, const char *text, size_t len)
{
    if (p->out != NULL) {
        ngx_memcpy(p->out + p->len, text, len);
    }

    p->len += len;
}


void
evs_pattern_puts(evs_pattern_t *p, const char *text)
{
    evs_pattern_put(p, text, ngx_strlen(text));
}
