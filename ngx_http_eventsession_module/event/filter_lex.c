
/*
 * The lexer.  It knows brackets, quotes and blanks, and no keyword: whether a
 * word is one depends on where it stands.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/filter_lex.h"
#include "event/lex.h"


#define EVS_FILTER_FAULT_LEN  192

#define evs_filter_is_special(c)                                             \
    (evs_lex_is_blank(c) || (c) == '(' || (c) == ')' || (c) == '.'           \
     || (c) == '\'' || (c) == '"')


static ngx_int_t evs_filter_lex_check(evs_filter_lex_t *lex);
static ngx_int_t evs_filter_lex_string(evs_filter_lex_t *lex);
static ngx_uint_t evs_filter_lex_column(const evs_filter_lex_t *lex,
    size_t at);


ngx_int_t
evs_filter_lex_init(evs_filter_lex_t *lex, ngx_pool_t *pool,
    const ngx_str_t *text, evs_filter_fault_t *fault)
{
    ngx_int_t  rc;

    ngx_memzero(lex, sizeof(evs_filter_lex_t));

    lex->pool = pool;
    lex->text = text;
    lex->fault = fault;

    rc = evs_filter_lex_check(lex);
    if (rc != NGX_OK) {
        return rc;
    }

    lex->start = ngx_pnalloc(pool, text->len + 1);
    if (lex->start == NULL) {
        return NGX_ERROR;
    }

    lex->pos = lex->start;
    lex->last = lex->start;

    if (text->len != 0) {
        lex->last = ngx_cpymem(lex->start, text->data, text->len);
    }

    return evs_filter_lex_next(lex);
}


ngx_int_t
evs_filter_lex_next(evs_filter_lex_t *lex)
{
    u_char  *p;

    p = evs_lex_blanks(lex->pos, lex->last);

    lex->at = (size_t) (p - lex->start);
    lex->pos = p;

    if (p == lex->last) {
        lex->token = EVS_FILTER_END;
        return NGX_OK;
    }

    switch (*p) {

    case '(':
        lex->token = EVS_FILTER_OPEN;
        lex->pos++;
        return NGX_OK;

    case ')':
        lex->token = EVS_FILTER_CLOSE;
        lex->pos++;
        return NGX_OK;

    case '.':
        lex->token = EVS_FILTER_DOT;
        lex->pos++;
        return NGX_OK;

    case '\'':
    case '"':
        return evs_filter_lex_string(lex);
    }

    while (p < lex->last && !evs_filter_is_special(*p)) {
        p++;
    }

    lex->token = EVS_FILTER_WORD;
    lex->value.data = lex->pos;
    lex->value.len = (size_t) (p - lex->pos);
    lex->pos = p;

    return NGX_OK;
}


ngx_int_t
evs_filter_lex_fault(evs_filter_lex_t *lex, size_t at, const char *expected)
{
    int                  n;
    u_char              *p;
    evs_filter_fault_t  *fault;

    p = ngx_pnalloc(lex->pool, EVS_FILTER_FAULT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    fault = lex->fault;
    fault->column = evs_filter_lex_column(lex, at);

    n = snprintf((char *) p, EVS_FILTER_FAULT_LEN, "column %u: expected %s",
                 (unsigned) fault->column, expected);

    fault->text.data = p;
    fault->text.len = (size_t) ngx_min(n, EVS_FILTER_FAULT_LEN - 1);

    return NGX_DECLINED;
}


ngx_uint_t
evs_filter_lex_closes(const evs_filter_lex_t *lex)
{
    u_char  *p;

    p = evs_lex_blanks(lex->pos, lex->last);

    return p < lex->last && *p == ')';
}


static ngx_int_t
evs_filter_lex_check(evs_filter_lex_t *lex)
{
    ngx_int_t      n;
    const u_char  *p, *start, *last;

    start = lex->text->data;
    last = start + ngx_min(lex->text->len, EVS_FILTER_MAX_LEN);

    for (p = start; p < last; /* void */) {

        if (*p == '\0') {
            return evs_filter_lex_fault(lex, (size_t) (p - start),
                                        "a character other than NUL");
        }

        if (*p < 0x80) {
            p++;
            continue;
        }

        /* the limit may go through a character */

        n = evs_json_utf8(p, start + lex->text->len);

        if (n < 0) {
            return evs_filter_lex_fault(lex, (size_t) (p - start), "UTF-8");
        }

        p += n;
    }

    if (lex->text->len > EVS_FILTER_MAX_LEN) {
        return evs_filter_lex_fault(lex, EVS_FILTER_MAX_LEN,
                                    "the end, since a filter has at most "
                                    "4096 bytes");
    }

    return NGX_OK;
}


static ngx_int_t
evs_filter_lex_string(evs_filter_lex_t *lex)
{
    u_char   quote, *p, *dst;
    char     expected[64];

    quote = *lex->pos;
    dst = lex->pos + 1;

    for (p = dst; p < lex->last && *p != quote; p++) {

        if (*p == '\\' && ++p == lex->last) {
            break;
        }

        *dst++ = *p;
    }

    if (p == lex->last) {
        (void) snprintf(expected, sizeof(expected),
                        "%c to end the text that begins in column %u", quote,
                        (unsigned) evs_filter_lex_column(lex, lex->at));

        return evs_filter_lex_fault(lex, lex->text->len, expected);
    }

    lex->token = EVS_FILTER_STRING;
    lex->value.data = lex->pos + 1;
    lex->value.len = (size_t) (dst - lex->value.data);
    lex->pos = p + 1;

    return NGX_OK;
}


/* From 1: of all that is in front of it, what begins a character. */

static ngx_uint_t
evs_filter_lex_column(const evs_filter_lex_t *lex, size_t at)
{
    size_t      i;
    ngx_uint_t  column;

    column = 1;

    for (i = 0; i < at; i++) {
        column += ((lex->text->data[i] & 0xc0) != 0x80);
    }

    return column;
}
