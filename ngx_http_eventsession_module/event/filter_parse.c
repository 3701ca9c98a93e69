
/*
 * The parser, by recursive descent: a function a rule of the grammar, which
 * README has.  The limit on brackets is what makes its recursion safe.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/filter_lex.h"
#include "event/fold.h"
#include "event/json.h"
#include "event/lex.h"
#include "event/time.h"


/* data's own depth is limited, so a longer path leads nowhere */
#define EVS_FILTER_MAX_PATH  EVS_JSON_MAX_DEPTH


typedef struct {
    evs_filter_lex_t   lex;
    ngx_uint_t         depth;
    ngx_uint_t         nterms;
} evs_filter_parser_t;


static ngx_int_t evs_filter_all(evs_filter_parser_t *p);
static ngx_int_t evs_filter_expression(evs_filter_parser_t *p,
    evs_filter_t **node);
static ngx_int_t evs_filter_conjunction(evs_filter_parser_t *p,
    evs_filter_t **node);
static ngx_int_t evs_filter_factor(evs_filter_parser_t *p,
    evs_filter_t **node);
static ngx_int_t evs_filter_comparison(evs_filter_parser_t *p,
    evs_filter_t **node);
static ngx_int_t evs_filter_field(evs_filter_parser_t *p, evs_filter_t *term);
static ngx_int_t evs_filter_path(evs_filter_parser_t *p, evs_filter_t *term);
static ngx_int_t evs_filter_op(evs_filter_parser_t *p, evs_filter_t *term);
static ngx_int_t evs_filter_value(evs_filter_parser_t *p, evs_filter_t *term);
static ngx_int_t evs_filter_value_forms(evs_filter_parser_t *p,
    evs_filter_t *term);
static ngx_int_t evs_filter_date(const ngx_str_t *value, int64_t *us);
static const u_char *evs_filter_date_part(const u_char *p,
    const u_char *last, u_char *dst);
static evs_filter_t *evs_filter_node(evs_filter_parser_t *p,
    evs_filter_type_e type);
static evs_filter_t **evs_filter_append(evs_filter_t *parent,
    evs_filter_t **last, evs_filter_t *node);
static ngx_uint_t evs_filter_name(const evs_filter_parser_t *p,
    const ngx_str_t *names, ngx_uint_t n);
static ngx_int_t evs_filter_expected(evs_filter_parser_t *p,
    const char *expected);


const ngx_str_t  evs_filter_fields[EVS_FILTER_FIELDS] = {
    ngx_string("id"),
    ngx_string("email"),
    ngx_string("environment"),
    ngx_string("component"),
    ngx_string("message"),
    ngx_string("createdAt"),
    ngx_string("data")
};

const ngx_str_t  evs_filter_ops[EVS_FILTER_OPS] = {
    ngx_string("eq"),
    ngx_string("ne"),
    ngx_string("ct"),
    ngx_string("gt"),
    ngx_string("gte"),
    ngx_string("lt"),
    ngx_string("lte")
};


ngx_int_t
evs_filter_parse(evs_filter_t **filter, ngx_pool_t *pool,
    const ngx_str_t *text, evs_filter_fault_t *fault)
{
    ngx_int_t            rc;
    evs_filter_lex_t    *lex;
    evs_filter_parser_t  parser;

    *filter = NULL;

    parser.depth = 0;
    parser.nterms = 0;

    lex = &parser.lex;

    rc = evs_filter_lex_init(lex, pool, text, fault);

    if (rc != NGX_OK || lex->token == EVS_FILTER_END) {
        return rc;
    }

    if (lex->token == EVS_FILTER_OPEN && evs_filter_lex_closes(lex)) {
        return evs_filter_all(&parser);
    }

    rc = evs_filter_expression(&parser, filter);

    if (rc == NGX_OK && lex->token != EVS_FILTER_END) {
        rc = evs_filter_expected(&parser, "AND, OR or the end");
    }

    if (rc != NGX_OK) {
        *filter = NULL;
    }

    return rc;
}


/* ( ), and nothing else */

static ngx_int_t
evs_filter_all(evs_filter_parser_t *p)
{
    if (evs_filter_lex_next(&p->lex) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (evs_filter_lex_next(&p->lex)) {

    case NGX_OK:

        if (p->lex.token == EVS_FILTER_END) {
            return NGX_OK;
        }

        /* fall through */

    case NGX_DECLINED:
        return evs_filter_expected(p, "the end");

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
evs_filter_expression(evs_filter_parser_t *p, evs_filter_t **node)
{
    ngx_int_t       rc;
    evs_filter_t   *child, *parent, **last;

    rc = evs_filter_conjunction(p, node);

    if (rc != NGX_OK || !evs_filter_lex_is(&p->lex, "OR")) {
        return rc;
    }

    parent = evs_filter_node(p, EVS_FILTER_OR);
    if (parent == NULL) {
        return NGX_ERROR;
    }

    last = evs_filter_append(parent, &parent->children, *node);

    while (evs_filter_lex_is(&p->lex, "OR")) {

        rc = evs_filter_lex_next(&p->lex);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = evs_filter_conjunction(p, &child);
        if (rc != NGX_OK) {
            return rc;
        }

        last = evs_filter_append(parent, last, child);
    }

    *node = parent;

    return NGX_OK;
}


static ngx_int_t
evs_filter_conjunction(evs_filter_parser_t *p, evs_filter_t **node)
{
    ngx_int_t       rc;
    evs_filter_t   *child, *parent, **last;

    rc = evs_filter_factor(p, node);

    if (rc != NGX_OK || !evs_filter_lex_is(&p->lex, "AND")) {
        return rc;
    }

    parent = evs_filter_node(p, EVS_FILTER_AND);
    if (parent == NULL) {
        return NGX_ERROR;
    }

    last = evs_filter_append(parent, &parent->children, *node);

    while (evs_filter_lex_is(&p->lex, "AND")) {

        rc = evs_filter_lex_next(&p->lex);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = evs_filter_factor(p, &child);
        if (rc != NGX_OK) {
            return rc;
        }

        last = evs_filter_append(parent, last, child);
    }

    *node = parent;

    return NGX_OK;
}


static ngx_int_t
evs_filter_factor(evs_filter_parser_t *p, evs_filter_t **node)
{
    ngx_int_t    rc;
    const char  *expected;

    if (p->lex.token != EVS_FILTER_OPEN) {
        return evs_filter_expected(p, "'('");
    }

    if (p->depth == EVS_FILTER_MAX_DEPTH) {
        return evs_filter_expected(p, "at most 100 brackets in each other");
    }

    p->depth++;

    rc = evs_filter_lex_next(&p->lex);
    if (rc != NGX_OK) {
        return rc;
    }

    if (p->lex.token == EVS_FILTER_OPEN) {
        rc = evs_filter_expression(p, node);
        expected = "AND, OR or ')'";

    } else {
        rc = evs_filter_comparison(p, node);
        expected = "')', since a comparison has brackets of its own";
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (p->lex.token != EVS_FILTER_CLOSE) {
        return evs_filter_expected(p, expected);
    }

    p->depth--;

    return evs_filter_lex_next(&p->lex);
}


static ngx_int_t
evs_filter_comparison(evs_filter_parser_t *p, evs_filter_t **node)
{
    ngx_int_t      rc;
    evs_filter_t  *term;

    term = evs_filter_node(p, EVS_FILTER_TERM);
    if (term == NULL) {
        return NGX_ERROR;
    }

    rc = evs_filter_field(p, term);

    if (rc == NGX_OK) {
        rc = evs_filter_op(p, term);
    }

    if (rc == NGX_OK) {
        rc = evs_filter_value(p, term);
    }

    *node = term;

    return rc;
}


static ngx_int_t
evs_filter_field(evs_filter_parser_t *p, evs_filter_t *term)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    i = evs_filter_name(p, evs_filter_fields, EVS_FILTER_FIELDS);

    if (i == EVS_FILTER_FIELDS) {
        return evs_filter_expected(p, "'(' or a field: id, email, "
                                   "environment, component, message, "
                                   "createdAt or data.<path>");
    }

    if (p->nterms++ == EVS_FILTER_MAX_TERMS) {
        return evs_filter_expected(p, "at most 64 comparisons");
    }

    term->field = (evs_filter_field_e) i;

    rc = evs_filter_lex_next(&p->lex);

    if (rc != NGX_OK || term->field != EVS_FILTER_DATA) {
        return rc;
    }

    if (p->lex.token != EVS_FILTER_DOT) {
        return evs_filter_expected(p, "'.' and a path behind data");
    }

    return evs_filter_path(p, term);
}


/* { "." segment }: copied once their number is known */

static ngx_int_t
evs_filter_path(evs_filter_parser_t *p, evs_filter_t *term)
{
    ngx_int_t   rc;
    ngx_uint_t  n;
    ngx_str_t   path[EVS_FILTER_MAX_PATH];

    for (n = 0; p->lex.token == EVS_FILTER_DOT; n++) {

        if (n == EVS_FILTER_MAX_PATH) {
            return evs_filter_expected(p, "a path of at most 32 segments");
        }

        rc = evs_filter_lex_next(&p->lex);
        if (rc != NGX_OK) {
            return rc;
        }

        if (p->lex.token != EVS_FILTER_WORD
            && p->lex.token != EVS_FILTER_STRING)
        {
            return evs_filter_expected(p, "a name or an index in a path, "
                                       "in quotes where it has a blank, a "
                                       "dot, a bracket or a quote");
        }

        path[n] = p->lex.value;

        rc = evs_filter_lex_next(&p->lex);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    term->path = ngx_palloc(p->lex.pool, n * sizeof(ngx_str_t));
    if (term->path == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(term->path, path, n * sizeof(ngx_str_t));
    term->npath = n;

    return NGX_OK;
}


static ngx_int_t
evs_filter_op(evs_filter_parser_t *p, evs_filter_t *term)
{
    ngx_uint_t  i;

    i = evs_filter_name(p, evs_filter_ops, EVS_FILTER_OPS);

    if (i == EVS_FILTER_OPS) {
        return evs_filter_expected(p, (term->field == EVS_FILTER_DATA)
                               ? "'.' or an operator: eq, ne, ct, gt, gte, "
                                 "lt or lte"
                               : "an operator: eq, ne, ct, gt, gte, lt or "
                                 "lte");
    }

    term->op = (evs_filter_op_e) i;

    return evs_filter_lex_next(&p->lex);
}


static ngx_int_t
evs_filter_value(evs_filter_parser_t *p, evs_filter_t *term)
{
    if (p->lex.token != EVS_FILTER_STRING) {
        return evs_filter_expected(p, "a value in quotes");
    }

    term->value = p->lex.value;

    if (evs_filter_value_forms(p, term) != NGX_OK) {
        return NGX_ERROR;
    }

    if (term->field == EVS_FILTER_CREATED_AT && term->op != EVS_FILTER_CT
        && evs_filter_date(&term->value, &term->us) != NGX_OK)
    {
        return evs_filter_expected(p, "a date like 2018-01-31, or a "
                                   "date-time like 2018-01-31T09:15:27Z");
    }

    return evs_filter_lex_next(&p->lex);
}


/* In what forms it is compared with records. */

static ngx_int_t
evs_filter_value_forms(evs_filter_parser_t *p, evs_filter_t *term)
{
    size_t      len;
    u_char     *data;
    ngx_str_t  *value;

    value = &term->value;
    len = evs_json_escape(NULL, value->data, value->len);

    data = ngx_pnalloc(p->lex.pool, len + 1);
    if (data == NULL) {
        return NGX_ERROR;
    }

    term->json.data = data;
    term->json.len = evs_json_escape(data, value->data, value->len);

    if (term->op != EVS_FILTER_CT) {
        return NGX_OK;
    }

    data = ngx_pnalloc(p->lex.pool, evs_fold_size(value->len) + 1);
    if (data == NULL) {
        return NGX_ERROR;
    }

    term->folded.data = data;
    term->folded.len = evs_fold(data, value->data, value->len);

    return NGX_OK;
}


/* YYYY-M-D, with one digit or two, is its midnight in UTC. */

static ngx_int_t
evs_filter_date(const ngx_str_t *value, int64_t *us)
{
    u_char         text[] = "YYYY-00-00T00:00";
    const u_char  *p, *last;

    p = value->data;
    last = p + value->len;

    if (value->len > 5 && p[4] == '-') {
        ngx_memcpy(text, p, 4);

        p = evs_filter_date_part(p + 5, last, text + 5);

        if (p != NULL && p < last && *p == '-'
            && evs_filter_date_part(p + 1, last, text + 8) == last)
        {
            return evs_time_string(text, sizeof(text) - 1, us);
        }
    }

    return evs_time_string(value->data, value->len, us);
}


/* One digit or two become two, at dst; returns what is behind them. */

static const u_char *
evs_filter_date_part(const u_char *p, const u_char *last, u_char *dst)
{
    if (p == last || !evs_lex_digit(*p)) {
        return NULL;
    }

    if (last - p > 1 && evs_lex_digit(p[1])) {
        *dst++ = *p++;

    } else {
        dst++;
    }

    *dst = *p++;

    return p;
}


static evs_filter_t *
evs_filter_node(evs_filter_parser_t *p, evs_filter_type_e type)
{
    evs_filter_t  *node;

    node = ngx_pcalloc(p->lex.pool, sizeof(evs_filter_t));

    if (node != NULL) {
        node->type = type;
    }

    return node;
}


/* In place of a node of the parent's type its children; returns the end. */

static evs_filter_t **
evs_filter_append(evs_filter_t *parent, evs_filter_t **last,
    evs_filter_t *node)
{
    *last = (node->type == parent->type) ? node->children : node;

    while (*last != NULL) {
        last = &(*last)->next;
    }

    return last;
}


/* Which of the names the current token is, or n. */

static ngx_uint_t
evs_filter_name(const evs_filter_parser_t *p, const ngx_str_t *names,
    ngx_uint_t n)
{
    ngx_uint_t        i;
    const ngx_str_t  *value;

    if (p->lex.token != EVS_FILTER_WORD) {
        return n;
    }

    value = &p->lex.value;

    for (i = 0; i < n; i++) {
        if (names[i].len == value->len
            && memcmp(names[i].data, value->data, value->len) == 0)
        {
            break;
        }
    }

    return i;
}


/* At the current token; a text that doesn't end was told of already. */

static ngx_int_t
evs_filter_expected(evs_filter_parser_t *p, const char *expected)
{
    return evs_filter_lex_fault(&p->lex, p->lex.at, expected);
}
