
/*
 * What the files of the schema share: the compiled schema, and a run of it.
 */


#ifndef _EVS_SCHEMA_NODE_H_INCLUDED_
#define _EVS_SCHEMA_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema.h"

#if !(NGX_PCRE2)
#define PCRE2_CODE_UNIT_WIDTH  8
#include <pcre2.h>
#endif


/* types of values, as bits */

#define EVS_SCHEMA_NULL        0x01
#define EVS_SCHEMA_BOOLEAN     0x02
#define EVS_SCHEMA_INTEGER     0x04
#define EVS_SCHEMA_FRACTION    0x08  /* a number that is no integer */
#define EVS_SCHEMA_STRING      0x10
#define EVS_SCHEMA_ARRAY       0x20
#define EVS_SCHEMA_OBJECT      0x40

#define EVS_SCHEMA_NUMBER      (EVS_SCHEMA_INTEGER|EVS_SCHEMA_FRACTION)
#define EVS_SCHEMA_ANY         0x7f
#define EVS_SCHEMA_SCHEMA      (EVS_SCHEMA_OBJECT|EVS_SCHEMA_BOOLEAN)

#define EVS_SCHEMA_NO_MAX      NGX_MAX_INT_T_VALUE

/* a sentence, and a pointer, aren't longer */
#define EVS_SCHEMA_TEXT        512
#define EVS_SCHEMA_POINTER     1024

/* a value of the schema's in a sentence */
#define EVS_SCHEMA_QUOTED      120


typedef struct evs_schema_at_s    evs_schema_at_t;
typedef struct evs_schema_run_s   evs_schema_run_t;
typedef struct evs_schema_rule_s  evs_schema_rule_t;
typedef struct evs_schema_node_s  evs_schema_node_t;


/* where a value is; a list on the stack, from the value up to the root */

struct evs_schema_at_s {
    const evs_schema_at_t  *up;  /* NULL: the root, which has no name */
    const char             *name;
    size_t                  index;  /* where name == NULL */
};


/*
 * Applies a rule.  NGX_OK: it fits; NGX_DECLINED: it doesn't, and the faults
 * were added; NGX_ABORT: the run has come to its end before it is through.
 */
typedef ngx_int_t evs_schema_check_t(evs_schema_run_t *run,
    const evs_schema_rule_t *rule, const json_t *value,
    const evs_schema_at_t *at);

typedef evs_schema_check_t  *evs_schema_check_pt;


typedef struct evs_schema_pattern_s  evs_schema_pattern_t;

struct evs_schema_pattern_s {
    pcre2_code             *code;
    const json_t           *text;   /* NULL: a name of patternProperties */
    evs_schema_pattern_t   *next;   /* all of a schema, for the cleanup */
};


/* one keyword of one schema; what of it is used depends on the keyword */

struct evs_schema_rule_s {
    evs_schema_check_pt     check;
    const char             *keyword;
    ngx_uint_t              types;  /* of the values that it looks at */
    const json_t           *value;  /* of the keyword */
    ngx_uint_t              min;
    ngx_uint_t              max;

    ngx_uint_t              n;
    evs_schema_node_t     **nodes;  /* n; of "if" three, NULL: not there */
    const char            **names;  /* n, or NULL */
    evs_schema_pattern_t  **patterns;   /* n, or NULL */

    evs_schema_node_t      *rest;   /* additionalProperties */
    const json_t           *known;  /* properties beside it, or NULL */

    evs_schema_rule_t      *next;
    unsigned                in_place:1; /* its nodes look at the same value */
};


struct evs_schema_node_s {
    const json_t           *json;
    evs_schema_rule_t      *rules;
    evs_schema_rule_t     **last;

    /* of use while references are resolved */
    ngx_str_t               pointer;
    evs_schema_node_t      *next;   /* all, in the order of their making */
    ngx_uint_t              height; /* schemas below it in the same place */

    unsigned                never:1;    /* false */
    unsigned                open:1; /* it is being measured */
};


struct evs_schema_s {
    evs_schema_node_t      *root;
    evs_schema_pattern_t   *patterns;
    json_t                 *json;
};


struct evs_schema_run_s {
    ngx_pool_t             *pool;
    evs_schema_fault_t     *faults; /* NULL: only whether it fits */
    ngx_uint_t              n;
    ngx_uint_t              max;

    ngx_uint_t              steps;  /* that are left */
    ngx_uint_t              depth;

    pcre2_match_data       *match;
    pcre2_match_context    *context;

    evs_schema_fault_t      end;    /* why it ended; no text: no memory */

    unsigned                naming:1;   /* the value is a member's name */
    unsigned                brief:1;    /* faults don't go into details */
};


/* a sentence while it is written; what is too long is cut */

typedef struct {
    size_t                  len;
    char                    data[EVS_SCHEMA_TEXT];
} evs_schema_text_t;


/* whether another fault would be told */
#define evs_schema_more(run)  ((run)->n < (run)->max)


/* Takes a result into that of all; whether it is the last one needed. */

static ngx_inline ngx_uint_t
evs_schema_stop(evs_schema_run_t *run, ngx_int_t rc, ngx_int_t *all)
{
    if (rc == NGX_OK) {
        return 0;
    }

    *all = rc;

    return rc == NGX_ABORT || !evs_schema_more(run);
}


/* schema_pattern.c */

/*
 * Compiles a regular expression.  NULL: *error says why, or is NULL when there
 * is no memory; the text is the caller's buf.
 */
evs_schema_pattern_t *evs_schema_pattern(ngx_pool_t *pool,
    evs_schema_t *schema, const char *text, size_t len, char *buf, size_t size,
    const char **error);

/* NGX_OK: it matches somewhere in the text; NGX_DECLINED; NGX_ABORT. */
ngx_int_t evs_schema_match(evs_schema_run_t *run,
    const evs_schema_pattern_t *pattern, const char *text, size_t len,
    const evs_schema_at_t *at);


/* schema_value.c */

ngx_uint_t evs_schema_type(const json_t *value);

/* Of two numbers: below 0, 0 or above 0, as the first is less, equal, more. */
int evs_schema_compare(const json_t *a, const json_t *b);

/* Both are numbers, m is above 0. */
ngx_uint_t evs_schema_multiple(const json_t *value, const json_t *m);

/* A number as a count; NGX_DECLINED: it is none. */
ngx_int_t evs_schema_count(const json_t *value, ngx_uint_t *n);

/* In code points. */
size_t evs_schema_length(const char *text, size_t len);

/*
 * Whether two values are the same.  Each pair of values that is looked at
 * takes one of *steps; at 0 it is given up, and the answer is no.
 */
ngx_uint_t evs_schema_equal(const json_t *a, const json_t *b,
    ngx_uint_t *steps);

/*
 * NGX_OK: all items differ; NGX_DECLINED: *two is the same as *one, which is
 * before it, and there is no such *two before this; NGX_ABORT: no memory, or
 * steps were used up.
 */
ngx_int_t evs_schema_unique(const json_t *array, size_t *one, size_t *two,
    ngx_uint_t *steps);


/* schema_run.c */

/*
 * Whether a value fits, with its faults; and without.  NGX_OK, NGX_DECLINED,
 * NGX_ABORT as of a rule.
 */
ngx_int_t evs_schema_fits(evs_schema_run_t *run, const evs_schema_node_t *node,
    const json_t *value, const evs_schema_at_t *at);
ngx_int_t evs_schema_quietly(evs_schema_run_t *run,
    const evs_schema_node_t *node, const json_t *value,
    const evs_schema_at_t *at);


/* schema_check.c: keywords that look at the value itself */

evs_schema_check_t  evs_schema_check_type;
evs_schema_check_t  evs_schema_check_enum;
evs_schema_check_t  evs_schema_check_const;
evs_schema_check_t  evs_schema_check_multiple;
evs_schema_check_t  evs_schema_check_maximum;
evs_schema_check_t  evs_schema_check_below;
evs_schema_check_t  evs_schema_check_minimum;
evs_schema_check_t  evs_schema_check_above;
evs_schema_check_t  evs_schema_check_max_size;
evs_schema_check_t  evs_schema_check_min_size;
evs_schema_check_t  evs_schema_check_pattern;
evs_schema_check_t  evs_schema_check_unique;
evs_schema_check_t  evs_schema_check_required;
evs_schema_check_t  evs_schema_check_dependent;


/* schema_apply.c: keywords that apply other schemas */

evs_schema_check_t  evs_schema_apply_all;
evs_schema_check_t  evs_schema_apply_any;
evs_schema_check_t  evs_schema_apply_one;
evs_schema_check_t  evs_schema_apply_not;
evs_schema_check_t  evs_schema_apply_if;
evs_schema_check_t  evs_schema_apply_dependent;
evs_schema_check_t  evs_schema_apply_properties;
evs_schema_check_t  evs_schema_apply_members;
evs_schema_check_t  evs_schema_apply_names;
evs_schema_check_t  evs_schema_apply_prefix;
evs_schema_check_t  evs_schema_apply_items;
evs_schema_check_t  evs_schema_apply_contains;


/* schema_text.c */

/*
 * Says that a value doesn't fit: "Must ..." or, of a member's name, "The name
 * must ...".  NGX_DECLINED; NGX_ABORT: no memory.
 */
ngx_int_t evs_schema_fault(evs_schema_run_t *run, const evs_schema_at_t *at,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same, in a sentence of its own. */
ngx_int_t evs_schema_say(evs_schema_run_t *run, const evs_schema_at_t *at,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Ends the run for its costs: NGX_ABORT.  It is told in any case. */
ngx_int_t evs_schema_end(evs_schema_run_t *run, const evs_schema_at_t *at,
    const char *text);

/* Ends it since its steps are used up: NGX_ABORT. */
ngx_int_t evs_schema_spent(evs_schema_run_t *run, const evs_schema_at_t *at);

/* The JSON pointer of a place.  NGX_ERROR: no memory. */
ngx_int_t evs_schema_pointer(ngx_pool_t *pool, const evs_schema_at_t *at,
    size_t max, ngx_str_t *pointer);

void evs_schema_add(evs_schema_text_t *text, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A value as JSON, cut to EVS_SCHEMA_QUOTED bytes. */
void evs_schema_add_json(evs_schema_text_t *text, const json_t *json);

/* A name as JSON, cut as well. */
void evs_schema_add_name(evs_schema_text_t *text, const char *name);

/* ": known are ..." and the names of an object; nothing where there is none */
void evs_schema_add_names(evs_schema_text_t *text, const json_t *object);

/* Types by their bits: "a string, an array or null". */
void evs_schema_add_types(evs_schema_text_t *text, ngx_uint_t types);


#endif /* _EVS_SCHEMA_NODE_H_INCLUDED_ */
