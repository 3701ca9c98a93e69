
/*
 * The judge of the filter language: a tree applied to a record in the plainest
 * way there is, by other means than the module's.  jansson decodes strings,
 * PCRE2 knows what differs in case alone, numbers are columns of digits, texts
 * are arrays of code points.  And the way back: a tree becomes a text, in one
 * of the many spellings it has.
 *
 * Of a tree only what was written is looked at: type, children, field, op,
 * value, path; and the us of a createdAt.
 */


#ifndef _FILTER_JUDGE_H_INCLUDED_
#define _FILTER_JUDGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>

#define PCRE2_CODE_UNIT_WIDTH  8
#include <pcre2.h>

#include "event/filter.h"
#include "event/time.h"


/* this judge can't tell */
#define JUDGE_UNKNOWN  2

/* of a number, in front of the point and behind it */
#define JUDGE_DIGITS   200


typedef struct {
    int64_t            us;
    ngx_str_t          id;       /* as it is shown */
    ngx_str_t          email;    /* decoded, all four */
    ngx_str_t          environment;
    ngx_str_t          component;
    ngx_str_t          message;
    ngx_str_t          data;     /* compact JSON */
} judge_record_t;


typedef struct {
    uint64_t           random;   /* its state, not 0 */
    u_char            *start;
    u_char            *pos;
    u_char            *last;
    unsigned           full:1;
} judge_print_t;


static uint64_t
judge_random(uint64_t *state, uint64_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;

    return (*state >> 11) % n;
}


static void
judge_expect(ngx_uint_t holds)
{
    if (!holds) {
        abort();
    }
}


static uint32_t *
judge_chars(const ngx_str_t *text, size_t *n)
{
    u_char     c;
    size_t     i;
    uint32_t  *chars;

    chars = malloc((text->len + 1) * sizeof(uint32_t));
    judge_expect(chars != NULL);

    *n = 0;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if ((c & 0xc0) == 0x80) {
            chars[*n - 1] = chars[*n - 1] * 64 + (c & 0x3f);
            continue;
        }

        chars[(*n)++] = (c < 0x80) ? c : (c < 0xe0) ? c & 0x1f
                        : (c < 0xf0) ? c & 0x0f : c & 0x07;
    }

    return chars;
}


static int
judge_compare(const ngx_str_t *one, const ngx_str_t *two)
{
    int        order;
    size_t     i, n, m;
    uint32_t  *a, *b;

    a = judge_chars(one, &n);
    b = judge_chars(two, &m);

    for (i = 0; i < n && i < m && a[i] == b[i]; i++) { /* void */ }

    if (i < n && i < m) {
        order = (a[i] < b[i]) ? -1 : 1;

    } else {
        order = (i < n) - (i < m);
    }

    free(a);
    free(b);

    return order;
}


static int
judge_contains(const ngx_str_t *text, const ngx_str_t *value)
{
    int                rc, error;
    size_t             offset;
    pcre2_code        *code;
    pcre2_match_data  *match;

    code = pcre2_compile(value->data, value->len,
                         PCRE2_LITERAL|PCRE2_UTF|PCRE2_CASELESS, &error,
                         &offset, NULL);
    judge_expect(code != NULL);

    match = pcre2_match_data_create(1, NULL);
    rc = pcre2_match(code, (text->len == 0) ? (PCRE2_SPTR) "" : text->data,
                     text->len, 0, 0, match, NULL);

    pcre2_match_data_free(match);
    pcre2_code_free(code);

    judge_expect(rc >= 0 || rc == PCRE2_ERROR_NOMATCH);

    return rc >= 0;
}


static int
judge_holds(evs_filter_op_e op, int order)
{
    static const char  *truth[] = {
        [EVS_FILTER_EQ] = "010",
        [EVS_FILTER_NE] = "101",
        [EVS_FILTER_GT] = "001",
        [EVS_FILTER_GTE] = "011",
        [EVS_FILTER_LT] = "100",
        [EVS_FILTER_LTE] = "110"
    };

    return truth[op][order + 1] == '1';
}


static int
judge_string(evs_filter_op_e op, const ngx_str_t *text,
    const ngx_str_t *value)
{
    if (op == EVS_FILTER_CT) {
        return judge_contains(text, value);
    }

    return judge_holds(op, judge_compare(text, value));
}


/*
 * 1: all digits of a number, each in the column that it has, behind '-' or
 * '+'; 0: it is none.
 */

static int
judge_number(const ngx_str_t *text, char *columns)
{
    long         exponent;
    char        *end, *p, copy[JUDGE_DIGITS + 1];
    size_t       whole, digits;
    const char  *valid;

    if (text->len == 0 || strchr("-0123456789", text->data[0]) == NULL) {
        return 0;
    }

    if (text->len > JUDGE_DIGITS) {
        return JUDGE_UNKNOWN;
    }

    memcpy(copy, text->data, text->len);
    copy[text->len] = '\0';

    /* -?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)? */

    valid = copy + (copy[0] == '-');
    whole = strspn(valid, "0123456789");

    if (whole == 0 || (valid[0] == '0' && whole > 1)) {
        return 0;
    }

    p = (char *) valid + whole;

    if (*p == '.') {
        digits = strspn(++p, "0123456789");

        if (digits == 0) {
            return 0;
        }

        p += digits;
    }

    exponent = 0;

    if (*p == 'e' || *p == 'E') {
        *p++ = '\0';
        digits = strspn(p + (*p == '+' || *p == '-'), "0123456789");

        if (digits == 0) {
            return 0;
        }

        exponent = strtol(p, &end, 10);
        p = end;
    }

    if (p != copy + text->len) {
        return 0;
    }

    if (labs(exponent) >= JUDGE_DIGITS) {
        return JUDGE_UNKNOWN;
    }

    memset(columns, '0', 4 * JUDGE_DIGITS + 1);
    columns[0] = '+';

    p = columns + 1 + 2 * JUDGE_DIGITS - exponent - (long) whole;

    for ( /* void */ ; *valid != '\0'; valid++) {
        if (*valid == '.') {
            continue;
        }

        if (*valid != '0' && copy[0] == '-') {
            columns[0] = '-';
        }

        *p++ = *valid;
    }

    return 1;
}


static int
judge_scalar(evs_filter_op_e op, const ngx_str_t *text,
    const ngx_str_t *value)
{
    int   a, b, order;
    char  one[4 * JUDGE_DIGITS + 1], two[4 * JUDGE_DIGITS + 1];

    a = judge_number(text, one);
    b = judge_number(value, two);

    if (op == EVS_FILTER_CT || a == 0 || b == 0) {
        return judge_string(op, text, value);
    }

    if (a == JUDGE_UNKNOWN || b == JUDGE_UNKNOWN) {
        return JUDGE_UNKNOWN;
    }

    order = memcmp(one, two, sizeof(one));
    order = (order > 0) - (order < 0);

    if (one[0] != two[0]) {
        order = (one[0] == '-') ? -1 : 1;

    } else if (one[0] == '-') {
        order = -order;
    }

    return judge_holds(op, order);
}


static char *
judge_decode(const char *token, size_t len, size_t *n)
{
    char    *text;
    json_t  *json;

    json = json_loadb(token, len, JSON_DECODE_ANY|JSON_ALLOW_NUL, NULL);
    judge_expect(json_is_string(json));

    *n = json_string_length(json);
    text = malloc(*n + 1);
    judge_expect(text != NULL);
    memcpy(text, json_string_value(json), *n);

    json_decref(json);

    return text;
}


static const char *
judge_token(const char *p)
{
    if (*p != '"') {
        return p + strcspn(p, ",]}");
    }

    for (p++; *p != '"'; p++) {
        p += (*p == '\\');
    }

    return p + 1;
}


/*
 * Reads a value of compact JSON from p on; when path leads to it or into it,
 * found is set.  path == NULL: it doesn't.
 */

static const char *
judge_find(const char *p, const ngx_str_t *path, ngx_uint_t n,
    ngx_str_t *found)
{
    char         close, *name, index[NGX_INT_T_LEN];
    size_t       len;
    ngx_uint_t   i, leads;
    const char  *start;

    start = p;

    if (*p != '{' && *p != '[') {
        p = judge_token(p);

    } else {
        close = (*p == '{') ? '}' : ']';

        for (i = 0, p++; *p != close; i++) {

            if (close == '}') {
                name = judge_decode(p, (size_t) (judge_token(p) - p), &len);
                p = judge_token(p) + 1;

            } else {
                len = (size_t) snprintf(index, sizeof(index), "%lu",
                                        (unsigned long) i);
                name = index;
            }

            leads = (path != NULL && n > 0 && path->len == len
                     && memcmp(path->data, name, len) == 0);

            if (name != index) {
                free(name);
            }

            p = judge_find(p, leads ? path + 1 : NULL, n - leads, found);
            p += (*p == ',');
        }

        p++;
    }

    if (path != NULL && n == 0) {
        found->data = (u_char *) start;
        found->len = (size_t) (p - start);
    }

    return p;
}


static int
judge_data(const evs_filter_t *term, const judge_record_t *record)
{
    int        rc;
    char      *json, *text;
    ngx_str_t  found, value;

    json = malloc(record->data.len + 1);
    judge_expect(json != NULL);
    memcpy(json, record->data.data, record->data.len);
    json[record->data.len] = '\0';

    ngx_str_null(&found);
    (void) judge_find(json, term->path, term->npath, &found);

    if (found.data == NULL) {
        rc = (term->op == EVS_FILTER_NE);

    } else if (found.data[0] == '"') {
        text = judge_decode((char *) found.data, found.len, &value.len);
        value.data = (u_char *) text;
        rc = judge_string(term->op, &value, &term->value);
        free(text);

    } else if ((found.data[0] == '{' || found.data[0] == '[')
               && term->op != EVS_FILTER_EQ && term->op != EVS_FILTER_NE
               && term->op != EVS_FILTER_CT)
    {
        rc = 0;

    } else {
        rc = judge_scalar(term->op, &found, &term->value);
    }

    free(json);

    return rc;
}


static int
judge_term(const evs_filter_t *term, const judge_record_t *record)
{
    char              time[32];
    ngx_str_t         text;
    const ngx_str_t  *fields[] = {
        &record->id, &record->email, &record->environment,
        &record->component, &record->message
    };

    if (term->field == EVS_FILTER_DATA) {
        return judge_data(term, record);
    }

    if (term->field != EVS_FILTER_CREATED_AT) {
        return judge_string(term->op, fields[term->field], &term->value);
    }

    if (term->op != EVS_FILTER_CT) {
        return judge_holds(term->op, (record->us > term->us)
                                     - (record->us < term->us));
    }

    text.data = (u_char *) time;
    text.len = (size_t) (evs_time_format(text.data, record->us, 6)
                         - text.data);

    return judge_contains(&text, &term->value);
}


/* 0, 1 or JUDGE_UNKNOWN */

static int
judge_match(const evs_filter_t *node, const judge_record_t *record)
{
    int                  rc, known, decides;
    const evs_filter_t  *child;

    if (node == NULL) {
        return 1;
    }

    if (node->type == EVS_FILTER_TERM) {
        return judge_term(node, record);
    }

    known = 1;
    decides = (node->type == EVS_FILTER_OR);

    for (child = node->children; child != NULL; child = child->next) {
        rc = judge_match(child, record);

        if (rc == decides) {
            return rc;
        }

        known &= (rc != JUDGE_UNKNOWN);
    }

    return known ? !decides : JUDGE_UNKNOWN;
}


static void
judge_put(judge_print_t *print, const void *text, size_t len)
{
    if ((size_t) (print->last - print->pos) < len) {
        print->full = 1;
        return;
    }

    memcpy(print->pos, text, len);
    print->pos += len;
}


static void
judge_blanks(judge_print_t *print, ngx_uint_t min)
{
    ngx_uint_t  n;

    n = judge_random(&print->random, 3) ? min
                                        : judge_random(&print->random, 3);

    for (n = ngx_max(n, min); n > 0; n--) {
        judge_put(print, &" \t\r\n"[judge_random(&print->random, 4)], 1);
    }
}


/* Quoted, with the escapes that it needs and some that it doesn't. */

static void
judge_quoted(judge_print_t *print, const ngx_str_t *text)
{
    char    quote;
    size_t  i;

    quote = "'\""[judge_random(&print->random, 2)];
    judge_put(print, &quote, 1);

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == quote || text->data[i] == '\\'
            || ((text->data[i] & 0xc0) != 0x80
                && judge_random(&print->random, 16) == 0))
        {
            judge_put(print, "\\", 1);
        }

        judge_put(print, &text->data[i], 1);
    }

    judge_put(print, &quote, 1);
}


static void
judge_segment(judge_print_t *print, const ngx_str_t *name)
{
    size_t      i;
    ngx_uint_t  plain;

    plain = (name->len > 0);

    for (i = 0; i < name->len; i++) {
        plain &= (memchr(" \t\r\n().'\"", name->data[i], 9) == NULL);
    }

    if (plain && judge_random(&print->random, 4) != 0) {
        judge_put(print, name->data, name->len);

    } else {
        judge_quoted(print, name);
    }
}


/* Of a createdAt: any form that means its µs. */

static void
judge_date(judge_print_t *print, const evs_filter_t *term)
{
    int         year, month, day;
    char        text[64];
    ngx_str_t   value;
    ngx_uint_t  form;

    form = judge_random(&print->random, 4);

    if (form == 0 && term->us < EVS_TIME_MAX_US - 86400000000LL) {
        value.len = (size_t) (evs_time_format((u_char *) text,
                                              term->us + 5400000000LL, 6)
                              - (u_char *) text) - 1;
        memcpy(text + value.len, "+01:30", 6);
        value.len += 6;

    } else {
        value.len = (size_t) (evs_time_format((u_char *) text, term->us, 6)
                              - (u_char *) text);
    }

    if (form == 1) {
        text[10] = ' ';
        value.len--;
    }

    if (form > 1 && term->us % 86400000000LL == 0) {
        judge_expect(sscanf(text, "%4d-%2d-%2d", &year, &month, &day) == 3);

        value.len = (size_t) snprintf(text, sizeof(text),
                                      (form == 2) ? "%04d-%d-%d"
                                                  : "%04d-%02d-%02d",
                                      year, month, day);
    }

    value.data = (u_char *) text;
    judge_quoted(print, &value);
}


static void
judge_print_term(judge_print_t *print, const evs_filter_t *term)
{
    ngx_uint_t        i;
    const ngx_str_t  *name;

    judge_put(print, "(", 1);
    judge_blanks(print, 0);

    name = &evs_filter_fields[term->field];
    judge_put(print, name->data, name->len);

    for (i = 0; i < term->npath; i++) {
        judge_blanks(print, 0);
        judge_put(print, ".", 1);
        judge_blanks(print, 0);
        judge_segment(print, &term->path[i]);
    }

    judge_blanks(print, 1);

    name = &evs_filter_ops[term->op];
    judge_put(print, name->data, name->len);
    judge_blanks(print, 0);

    if (term->field == EVS_FILTER_CREATED_AT && term->op != EVS_FILTER_CT) {
        judge_date(print, term);

    } else {
        judge_quoted(print, &term->value);
    }

    judge_blanks(print, 0);
    judge_put(print, ")", 1);
}


static void
judge_print_node(judge_print_t *print, const evs_filter_t *node,
    ngx_uint_t bound)
{
    ngx_uint_t           brackets;
    const evs_filter_t  *child;

    if (node->type == EVS_FILTER_TERM) {
        brackets = 0;

    } else {
        brackets = (bound && node->type == EVS_FILTER_OR);
    }

    brackets += (judge_random(&print->random, 8) == 0);

    if (brackets > 0) {
        judge_put(print, "((", brackets);
        judge_blanks(print, 0);
    }

    if (node->type == EVS_FILTER_TERM) {
        judge_print_term(print, node);
    }

    for (child = node->children; child != NULL; child = child->next) {
        judge_print_node(print, child, node->type == EVS_FILTER_AND);

        if (child->next != NULL) {
            judge_blanks(print, 0);
            judge_put(print, (node->type == EVS_FILTER_AND) ? "AND" : "OR",
                      (node->type == EVS_FILTER_AND) ? 3 : 2);
            judge_blanks(print, 0);
        }
    }

    if (brackets > 0) {
        judge_blanks(print, 0);
        judge_put(print, "))", brackets);
    }
}


/* The tree as a text of at most size bytes, or NGX_DECLINED. */

static ngx_int_t
judge_print(const evs_filter_t *filter, uint64_t seed, u_char *buf,
    size_t size, ngx_str_t *text)
{
    judge_print_t  print;

    print.random = seed * 2 + 1;
    print.start = buf;
    print.pos = buf;
    print.last = buf + size;
    print.full = 0;

    judge_blanks(&print, 0);
    judge_print_node(&print, filter, 0);
    judge_blanks(&print, 0);

    text->data = buf;
    text->len = (size_t) (print.pos - buf);

    return print.full ? NGX_DECLINED : NGX_OK;
}


/* Whether two parsed trees mean the same. */

static ngx_int_t
judge_same(const evs_filter_t *a, const evs_filter_t *b)
{
    ngx_uint_t  i;

    if (a == NULL || b == NULL) {
        return a == b;
    }

    if (a->type != b->type || a->field != b->field || a->op != b->op
        || a->us != b->us || a->npath != b->npath)
    {
        return 0;
    }

    for (i = 0; i < a->npath; i++) {
        if (judge_compare(&a->path[i], &b->path[i]) != 0) {
            return 0;
        }
    }

    if (a->type == EVS_FILTER_TERM
        && (a->field != EVS_FILTER_CREATED_AT || a->op == EVS_FILTER_CT)
        && judge_compare(&a->value, &b->value) != 0)
    {
        return 0;
    }

    a = a->children;
    b = b->children;

    while (a != NULL && b != NULL) {
        if (!judge_same(a, b)) {
            return 0;
        }

        a = a->next;
        b = b->next;
    }

    return a == b;
}


#endif /* _FILTER_JUDGE_H_INCLUDED_ */
