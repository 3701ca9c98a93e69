
/*
 * The evaluator.  A tree becomes a list of comparisons, each of which says
 * where to go on when it holds and when it doesn't.  Of those that are joined
 * the cheaper come first, since order means nothing else; and what several
 * need of a record, its texts with their case folded and the places in its
 * data, is made once, when the first asks.
 *
 * Whatever a filter and a record are, the work grows with the length of the
 * text times the number of comparisons at most: memmem() is linear, and no
 * comparison goes back.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/decimal.h"
#include "event/filter_data.h"
#include "event/fold.h"
#include "event/json.h"
#include "event/time.h"


/* where the steps end */
#define EVS_FILTER_YES       ((ngx_uint_t) -1)
#define EVS_FILTER_NO        ((ngx_uint_t) -2)

#define EVS_FILTER_UUID_LEN  36


typedef struct {
    const evs_filter_t    *term;
    evs_filter_place_t    *place;    /* DATA */
    evs_decimal_t          decimal;  /* DATA: the value, if it is a number */
    ngx_uint_t             next[2];  /* when it is false, and when true */
    unsigned               number:1;
} evs_filter_step_t;


typedef struct {
    evs_filter_buf_t       buf;
    ngx_str_t              text;
    const void            *of;       /* what was folded; NULL: nothing */
} evs_filter_folded_t;


struct evs_filter_matcher_s {
    evs_filter_step_t     *steps;
    ngx_uint_t             nsteps;
    ngx_uint_t             entry;

    const evs_record_t    *record;
    evs_filter_data_t      data;
    evs_filter_buf_t       decoded;
    evs_filter_folded_t    folded[EVS_FILTER_FIELDS];
    u_char                 id[EVS_FILTER_UUID_LEN];
    u_char                 time[EVS_TIME_STRING_LEN];

    unsigned               found:1;  /* the places in this record's data */
};


static ngx_uint_t evs_filter_count(const evs_filter_t *node);
static ngx_int_t evs_filter_steps(evs_filter_matcher_t *m, ngx_pool_t *pool,
    const evs_filter_t *node, ngx_uint_t yes, ngx_uint_t no,
    ngx_uint_t *entry);
static ngx_int_t evs_filter_step(evs_filter_matcher_t *m, ngx_pool_t *pool,
    const evs_filter_t *term, evs_filter_step_t *step);
static ngx_uint_t evs_filter_children(const evs_filter_t *node,
    const evs_filter_t **children);
static ngx_uint_t evs_filter_cost(const evs_filter_t *node);
static ngx_int_t evs_filter_term(evs_filter_matcher_t *m,
    const evs_filter_step_t *step);
static void evs_filter_text(evs_filter_matcher_t *m, evs_filter_field_e field,
    ngx_str_t *json);
static ngx_int_t evs_filter_string(evs_filter_matcher_t *m,
    const evs_filter_t *term, const ngx_str_t *json, const void *of);
static ngx_int_t evs_filter_data(evs_filter_matcher_t *m,
    const evs_filter_step_t *step);
static ngx_int_t evs_filter_number(evs_filter_matcher_t *m,
    const evs_filter_step_t *step, const ngx_str_t *json);
static ngx_int_t evs_filter_contains(evs_filter_matcher_t *m,
    const evs_filter_t *term, const ngx_str_t *text, const void *of);
static ngx_int_t evs_filter_compare(const ngx_str_t *one,
    const ngx_str_t *two);
static ngx_int_t evs_filter_holds(evs_filter_op_e op, ngx_int_t order);


evs_filter_matcher_t *
evs_filter_matcher(ngx_pool_t *pool, const evs_filter_t *filter)
{
    ngx_uint_t             i, n;
    evs_filter_matcher_t  *m;

    n = evs_filter_count(filter);

    m = ngx_pcalloc(pool, sizeof(evs_filter_matcher_t)
                          + n * sizeof(evs_filter_step_t));
    if (m == NULL) {
        return NULL;
    }

    m->steps = (evs_filter_step_t *) (m + 1);
    m->entry = EVS_FILTER_YES;
    m->decoded.pool = pool;
    m->data.names = &m->decoded;

    for (i = 0; i < EVS_FILTER_FIELDS; i++) {
        m->folded[i].buf.pool = pool;
    }

    if (filter != NULL
        && evs_filter_steps(m, pool, filter, EVS_FILTER_YES, EVS_FILTER_NO,
                            &m->entry)
           != NGX_OK)
    {
        return NULL;
    }

    return m;
}


ngx_int_t
evs_filter_match(evs_filter_matcher_t *matcher, const evs_record_t *record)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    evs_filter_step_t  *step;

    matcher->record = record;
    matcher->found = 0;

    for (i = 0; i < EVS_FILTER_FIELDS; i++) {
        matcher->folded[i].of = NULL;
    }

    i = matcher->entry;

    while (i < matcher->nsteps) {
        step = &matcher->steps[i];

        rc = evs_filter_term(matcher, step);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        i = step->next[rc];
    }

    return (i == EVS_FILTER_YES);
}


static ngx_uint_t
evs_filter_count(const evs_filter_t *node)
{
    ngx_uint_t           n;
    const evs_filter_t  *child;

    if (node == NULL) {
        return 0;
    }

    if (node->type == EVS_FILTER_TERM) {
        return 1;
    }

    n = 0;

    for (child = node->children; child != NULL; child = child->next) {
        n += evs_filter_count(child);
    }

    return n;
}


/* From the end on, so that it is known where each goes on. */

static ngx_int_t
evs_filter_steps(evs_filter_matcher_t *m, ngx_pool_t *pool,
    const evs_filter_t *node, ngx_uint_t yes, ngx_uint_t no,
    ngx_uint_t *entry)
{
    ngx_uint_t           n, and;
    evs_filter_step_t   *step;
    const evs_filter_t  *children[EVS_FILTER_MAX_TERMS];

    if (node->type == EVS_FILTER_TERM) {
        *entry = m->nsteps++;

        step = &m->steps[*entry];
        step->next[0] = no;
        step->next[1] = yes;

        return evs_filter_step(m, pool, node, step);
    }

    and = (node->type == EVS_FILTER_AND);
    n = evs_filter_children(node, children);
    *entry = and ? yes : no;

    while (n--) {
        if (evs_filter_steps(m, pool, children[n], and ? *entry : yes,
                             and ? no : *entry, entry)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_filter_step(evs_filter_matcher_t *m, ngx_pool_t *pool,
    const evs_filter_t *term, evs_filter_step_t *step)
{
    step->term = term;

    if (term->field != EVS_FILTER_DATA) {
        return NGX_OK;
    }

    step->number = (evs_decimal_parse(&step->decimal, term->value.data,
                                      term->value.len)
                    == NGX_OK);

    step->place = evs_filter_data_place(pool, &m->data, term->path,
                                        term->npath);

    return (step->place == NULL) ? NGX_ERROR : NGX_OK;
}


/* The cheaper first; their number. */

static ngx_uint_t
evs_filter_children(const evs_filter_t *node, const evs_filter_t **children)
{
    ngx_uint_t           i, n, cost;
    const evs_filter_t  *child;

    n = 0;

    for (child = node->children; child != NULL; child = child->next) {
        cost = evs_filter_cost(child);

        for (i = n++; i > 0 && evs_filter_cost(children[i - 1]) > cost; i--) {
            children[i] = children[i - 1];
        }

        children[i] = child;
    }

    return n;
}


/* Roughly; in an integer's comparison. */

static ngx_uint_t
evs_filter_cost(const evs_filter_t *node)
{
    ngx_uint_t           cost;
    const evs_filter_t  *child;

    if (node->type == EVS_FILTER_TERM) {

        if (node->field == EVS_FILTER_DATA) {
            return (node->op == EVS_FILTER_CT) ? 200 : 100;
        }

        if (node->op == EVS_FILTER_CT) {
            return (node->field == EVS_FILTER_MESSAGE) ? 100 : 20;
        }

        return (node->field == EVS_FILTER_CREATED_AT) ? 1 : 4;
    }

    cost = 0;

    for (child = node->children; child != NULL; child = child->next) {
        cost += evs_filter_cost(child);
    }

    return cost;
}


static ngx_int_t
evs_filter_term(evs_filter_matcher_t *m, const evs_filter_step_t *step)
{
    ngx_str_t            json;
    const evs_filter_t  *term;

    term = step->term;

    if (term->field == EVS_FILTER_DATA) {
        return evs_filter_data(m, step);
    }

    if (term->field == EVS_FILTER_CREATED_AT && term->op != EVS_FILTER_CT) {
        return evs_filter_holds(term->op, (m->record->us > term->us)
                                          - (m->record->us < term->us));
    }

    evs_filter_text(m, term->field, &json);

    /* both are canonical, so there is nothing to decode */

    if (term->op == EVS_FILTER_EQ || term->op == EVS_FILTER_NE) {
        return evs_filter_holds(term->op, json.len != term->json.len
                                          || evs_filter_compare(&json,
                                                                &term->json));
    }

    return evs_filter_string(m, term, &json, &m->folded[term->field]);
}


/* The field as the inside of a JSON string. */

static void
evs_filter_text(evs_filter_matcher_t *m, evs_filter_field_e field,
    ngx_str_t *json)
{
    u_char              *p;
    ngx_uint_t           i;
    const evs_record_t  *record;

    record = m->record;

    switch (field) {

    case EVS_FILTER_EMAIL:
        *json = record->email;
        return;

    case EVS_FILTER_ENVIRONMENT:
        *json = record->environment;
        return;

    case EVS_FILTER_COMPONENT:
        *json = record->component;
        return;

    case EVS_FILTER_MESSAGE:
        *json = record->message;
        return;

    case EVS_FILTER_CREATED_AT:
        p = evs_time_format(m->time, record->us, 6);
        json->data = m->time;
        json->len = (size_t) (p - m->time);
        return;

    default:
        p = m->id;

        for (i = 0; i < 16; i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10) {
                *p++ = '-';
            }

            p = ngx_hex_dump(p, (u_char *) &record->id[i], 1);
        }

        json->data = m->id;
        json->len = (size_t) (p - m->id);
    }
}


/* of: which text it is, so that it is folded once */

static ngx_int_t
evs_filter_string(evs_filter_matcher_t *m, const evs_filter_t *term,
    const ngx_str_t *json, const void *of)
{
    ngx_str_t  text;

    if (term->op == EVS_FILTER_CT && m->folded[term->field].of == of) {
        return evs_filter_contains(m, term, json, of);
    }

    if (evs_filter_buf_decode(&m->decoded, json, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (term->op == EVS_FILTER_CT) {
        return evs_filter_contains(m, term, &text, of);
    }

    return evs_filter_holds(term->op, evs_filter_compare(&text,
                                                         &term->value));
}


static ngx_int_t
evs_filter_data(evs_filter_matcher_t *m, const evs_filter_step_t *step)
{
    ngx_str_t            json, inside;
    const evs_filter_t  *term;

    if (!m->found) {
        if (evs_filter_data_find(&m->data, &m->record->data) != NGX_OK) {
            return NGX_ERROR;
        }

        m->found = 1;
    }

    term = step->term;
    json = step->place->json;

    if (json.data == NULL) {
        return (term->op == EVS_FILTER_NE);
    }

    switch (json.data[0]) {

    case '"':
        inside.data = json.data + 1;
        inside.len = json.len - 2;

        return evs_filter_string(m, term, &inside, step->place);

    case '{':
    case '[':

        if (term->op == EVS_FILTER_CT) {
            return evs_filter_contains(m, term, &json, step->place);
        }

        if (term->op != EVS_FILTER_EQ && term->op != EVS_FILTER_NE) {
            return 0;
        }

        break;

    case 't':
    case 'f':
    case 'n':

        if (term->op == EVS_FILTER_CT) {
            return evs_filter_contains(m, term, &json, step->place);
        }

        break;

    default:
        return evs_filter_number(m, step, &json);
    }

    return evs_filter_holds(term->op, evs_filter_compare(&json,
                                                         &term->value));
}


static ngx_int_t
evs_filter_number(evs_filter_matcher_t *m, const evs_filter_step_t *step,
    const ngx_str_t *json)
{
    evs_decimal_t        decimal;
    const evs_filter_t  *term;

    term = step->term;

    if (term->op == EVS_FILTER_CT) {
        return evs_filter_contains(m, term, json, step->place);
    }

    if (step->number
        && evs_decimal_parse(&decimal, json->data, json->len) == NGX_OK)
    {
        return evs_filter_holds(term->op,
                                evs_decimal_compare(&decimal,
                                                    &step->decimal));
    }

    return evs_filter_holds(term->op, evs_filter_compare(json, &term->value));
}


static ngx_int_t
evs_filter_contains(evs_filter_matcher_t *m, const evs_filter_t *term,
    const ngx_str_t *text, const void *of)
{
    evs_filter_folded_t  *folded;

    if (term->folded.len == 0) {
        return 1;
    }

    if (text->len == 0) {
        return 0;
    }

    folded = &m->folded[term->field];

    if (folded->of != of) {
        folded->of = NULL;

        if (evs_filter_buf_need(&folded->buf, evs_fold_size(text->len))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        folded->text.data = folded->buf.data;
        folded->text.len = evs_fold(folded->buf.data, text->data, text->len);
        folded->of = of;
    }

    if (folded->text.len < term->folded.len) {
        return 0;
    }

    return memmem(folded->text.data, folded->text.len, term->folded.data,
                  term->folded.len)
           != NULL;
}


/* The order of code points is that of the bytes of UTF-8. */

static ngx_int_t
evs_filter_compare(const ngx_str_t *one, const ngx_str_t *two)
{
    int     rc;
    size_t  n;

    n = ngx_min(one->len, two->len);
    rc = (n == 0) ? 0 : memcmp(one->data, two->data, n);

    if (rc != 0) {
        return (rc < 0) ? -1 : 1;
    }

    return (one->len > two->len) - (one->len < two->len);
}


static ngx_int_t
evs_filter_holds(evs_filter_op_e op, ngx_int_t order)
{
    switch (op) {

    case EVS_FILTER_EQ:
        return order == 0;

    case EVS_FILTER_NE:
        return order != 0;

    case EVS_FILTER_GT:
        return order > 0;

    case EVS_FILTER_GTE:
        return order >= 0;

    case EVS_FILTER_LT:
        return order < 0;

    default:
        return order <= 0;
    }
}
