
/*
 * The reader itself: values are stepped over, once and from left to right.
 * The nesting limit is what makes its recursion safe.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"


static ngx_int_t evs_json_step(evs_json_t *json, evs_json_value_t *value);
static ngx_int_t evs_json_string(evs_json_t *json, evs_json_value_t *value);
static ngx_int_t evs_json_number(evs_json_t *json, evs_json_value_t *value);
static ngx_int_t evs_json_literal(evs_json_t *json, evs_json_value_t *value,
    evs_json_type_e type, const char *text, size_t len);
static ngx_int_t evs_json_array(evs_json_t *json);
static ngx_int_t evs_json_object(evs_json_t *json);
static ngx_int_t evs_json_member(evs_json_t *json);
static ngx_int_t evs_json_enter(evs_json_t *json);
static ngx_int_t evs_json_more(evs_json_t *json, u_char end,
    const char *expected);
static u_char *evs_json_skip(evs_json_t *json);
static u_char *evs_json_backslash(evs_json_t *json, u_char *p);


void
evs_json_init(evs_json_t *json, u_char *text, size_t len,
    evs_json_names_t *names)
{
    ngx_memzero(json, sizeof(evs_json_t));

    json->start = text;
    json->pos = text;
    json->last = text + len;
    json->names = names;
    json->settled = text;
    json->line = 1;
    json->column = 1;

    evs_json_names_reset(names);
}


ngx_int_t
evs_json_value(evs_json_t *json, evs_json_value_t *value)
{
    ngx_int_t  rc;

    json->pos = evs_lex_blanks(json->pos, json->last);
    json->blanks = 0;

    rc = evs_json_step(json, value);

    if (rc != NGX_OK) {
        evs_json_names_reset(json->names);
        return rc;
    }

    value->blanks = json->blanks;

    return NGX_OK;
}


void
evs_json_place(const u_char *start, const u_char *at, ngx_uint_t *line,
    ngx_uint_t *column)
{
    const u_char  *p;

    *line = 1;

    while (start < at) {
        p = memchr(start, '\n', (size_t) (at - start));
        if (p == NULL) {
            break;
        }

        (*line)++;
        start = p + 1;
    }

    *column = (ngx_uint_t) (at - start) + 1;
}


void
evs_json_settle(evs_json_t *json, const u_char *at)
{
    ngx_uint_t  line, column;

    evs_json_place(json->settled, at, &line, &column);

    json->column = (line == 1) ? json->column + column - 1 : column;
    json->line += line - 1;
    json->settled = (u_char *) at;
}


ngx_int_t
evs_json_fail(evs_json_t *json, const u_char *at, const char *expected)
{
    if (json->fault == NULL) {
        json->fault = (u_char *) at;
        json->expected = expected;
    }

    return NGX_ERROR;
}


u_char *
evs_json_string_end(evs_json_t *json, u_char *p, ngx_uint_t *escaped)
{
    ngx_int_t  n;

    for ( ;; ) {
        p = evs_lex_plain(p, json->last);

        if (p == json->last) {
            (void) evs_json_fail(json, p, "'\"' at the end of a string");
            return NULL;
        }

        if (*p == '"') {
            return p;
        }

        if (*p == '\\') {
            p = evs_json_backslash(json, p);
            if (p == NULL) {
                return NULL;
            }

            *escaped = 1;
            continue;
        }

        if (*p < 0x20) {
            (void) evs_json_fail(json, p, "an escape in place of a control "
                                          "character");
            return NULL;
        }

        /* other scripts come in runs, without anything plain between */

        do {
            n = evs_json_utf8(p, json->last);
            if (n < 0) {
                (void) evs_json_fail(json, p, "UTF-8");
                return NULL;
            }

            p += n;

        } while (p < json->last && *p >= 0x80);
    }
}


static ngx_int_t
evs_json_step(evs_json_t *json, evs_json_value_t *value)
{
    ngx_int_t  rc;

    value->start = json->pos;
    value->escaped = 0;
    value->blanks = 0;

    if (json->pos == json->last) {
        return evs_json_fail(json, json->pos, "a value");
    }

    switch (*json->pos) {

    case '"':
        return evs_json_string(json, value);

    case '{':
        value->type = EVS_JSON_OBJECT;
        rc = evs_json_object(json);
        break;

    case '[':
        value->type = EVS_JSON_ARRAY;
        rc = evs_json_array(json);
        break;

    case 't':
        return evs_json_literal(json, value, EVS_JSON_TRUE, "true", 4);

    case 'f':
        return evs_json_literal(json, value, EVS_JSON_FALSE, "false", 5);

    case 'n':
        return evs_json_literal(json, value, EVS_JSON_NULL, "null", 4);

    default:
        return evs_json_number(json, value);
    }

    value->last = json->pos;

    return rc;
}


static ngx_int_t
evs_json_string(evs_json_t *json, evs_json_value_t *value)
{
    u_char      *p;
    ngx_uint_t   escaped;

    escaped = 0;

    p = evs_json_string_end(json, json->pos + 1, &escaped);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->type = EVS_JSON_STRING;
    value->escaped = (escaped != 0);
    value->last = p + 1;
    json->pos = p + 1;

    return NGX_OK;
}


static ngx_int_t
evs_json_number(evs_json_t *json, evs_json_value_t *value)
{
    u_char        *p, *digits;
    const u_char  *last;

    p = json->pos;
    last = json->last;

    if (*p == '-') {
        p++;

    } else if (!evs_lex_digit(*p)) {
        return evs_json_fail(json, p, "a value");
    }

    digits = p;
    p = (p < last && *p == '0') ? p + 1 : evs_lex_digits(p, last);

    if (p == digits) {
        return evs_json_fail(json, p, "a digit");
    }

    if (p < last && *p == '.') {
        digits = ++p;
        p = evs_lex_digits(p, last);

        if (p == digits) {
            return evs_json_fail(json, p, "a digit");
        }
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        digits = p;
        p = evs_lex_digits(p, last);

        if (p == digits) {
            return evs_json_fail(json, p, "a digit");
        }
    }

    value->type = EVS_JSON_NUMBER;
    value->last = p;
    json->pos = p;

    return NGX_OK;
}


static ngx_int_t
evs_json_literal(evs_json_t *json, evs_json_value_t *value,
    evs_json_type_e type, const char *text, size_t len)
{
    if ((size_t) (json->last - json->pos) < len
        || memcmp(json->pos, text, len) != 0)
    {
        return evs_json_fail(json, json->pos, "a value");
    }

    json->pos += len;

    value->type = type;
    value->last = json->pos;

    return NGX_OK;
}


static ngx_int_t
evs_json_array(evs_json_t *json)
{
    u_char            *p;
    ngx_int_t          rc;
    evs_json_value_t   value;

    if (evs_json_enter(json) != NGX_OK) {
        return NGX_ERROR;
    }

    p = evs_json_skip(json);

    if (p < json->last && *p == ']') {
        rc = NGX_DONE;

    } else {
        rc = NGX_OK;
    }

    while (rc == NGX_OK) {
        rc = evs_json_step(json, &value);

        if (rc == NGX_OK) {
            rc = evs_json_more(json, ']', "',' or ']' after a value");
        }
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    json->pos++;
    json->depth--;

    return NGX_OK;
}


static ngx_int_t
evs_json_object(evs_json_t *json)
{
    u_char                 *p;
    ngx_int_t               rc;
    evs_json_names_mark_t   mark;

    if (json->names == NULL) {
        return evs_json_fail(json, json->pos, "a value without objects");
    }

    if (evs_json_enter(json) != NGX_OK) {
        return NGX_ERROR;
    }

    mark = json->names->used;
    p = evs_json_skip(json);

    if (p < json->last && *p == '}') {
        rc = NGX_DONE;

    } else {
        rc = NGX_OK;
    }

    while (rc == NGX_OK) {
        rc = evs_json_member(json);

        if (rc == NGX_OK) {
            rc = evs_json_more(json, '}', EVS_LEX_MEMBER_END);
        }
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    json->pos++;
    json->depth--;

    return evs_json_names_check(json, &mark);
}


static ngx_int_t
evs_json_member(evs_json_t *json)
{
    u_char            *p;
    ngx_int_t          rc;
    ngx_str_t          text;
    evs_json_value_t   name, value;

    p = json->pos;

    if (p == json->last || *p != '"') {
        return evs_json_fail(json, p, EVS_LEX_NAME);
    }

    if (evs_json_string(json, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = evs_json_name_add(json, p + 1, name.last - 1, name.escaped, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    p = evs_json_skip(json);

    if (p == json->last || *p != ':') {
        return evs_json_fail(json, p, EVS_LEX_COLON);
    }

    json->pos = p + 1;
    (void) evs_json_skip(json);

    return evs_json_step(json, &value);
}


static ngx_int_t
evs_json_enter(evs_json_t *json)
{
    if (json->depth == EVS_JSON_MAX_DEPTH) {
        return evs_json_fail(json, json->pos,
                             "at most 32 arrays and objects in each other");
    }

    json->depth++;
    json->pos++;

    return NGX_OK;
}


/*
 * Behind an element: NGX_OK, pos is at the next one; NGX_DONE, pos is at the
 * end of the container; NGX_ERROR.
 */

static ngx_int_t
evs_json_more(evs_json_t *json, u_char end, const char *expected)
{
    u_char  *p;

    p = evs_json_skip(json);

    if (p < json->last && *p == ',') {
        json->pos = p + 1;
        p = evs_json_skip(json);

        if (p < json->last && *p == end) {

            /* the leniency; strict JSON won't have that comma */

            json->blanks = 1;
            return NGX_DONE;
        }

        return NGX_OK;
    }

    if (p < json->last && *p == end) {
        return NGX_DONE;
    }

    return evs_json_fail(json, p, expected);
}


static u_char *
evs_json_skip(evs_json_t *json)
{
    u_char  *p;

    p = evs_lex_blanks(json->pos, json->last);

    if (p != json->pos) {
        json->blanks = 1;
        json->pos = p;
    }

    return p;
}


/* Behind the escape at p, or NULL. */

static u_char *
evs_json_backslash(evs_json_t *json, u_char *p)
{
    ngx_int_t      code, low;
    const u_char  *last;

    last = json->last;

    if (last - p >= 2) {

        switch (p[1]) {

        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            return p + 2;

        case 'u':
            code = evs_lex_hex4(p + 2, last);

            if (code == NGX_ERROR) {
                (void) evs_json_fail(json, p, "four hex digits after \\u");
                return NULL;
            }

            if (code < 0xd800 || code > 0xdfff) {
                return p + 6;
            }

            low = evs_lex_at(p + 6, last, "\\u") ? evs_lex_hex4(p + 8, last)
                                                 : NGX_ERROR;

            if (code <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
                return p + 12;
            }

            (void) evs_json_fail(json, p, "both halves of a surrogate pair");
            return NULL;
        }
    }

    (void) evs_json_fail(json, p, "one of the escapes of JSON");

    return NULL;
}
