
/*
 * How the keywords of a schema become rules, while it is compiled.
 */


#ifndef _EVS_SCHEMA_MAKE_H_INCLUDED_
#define _EVS_SCHEMA_MAKE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_node.h"


/* a "$ref", to be resolved when all schemas are known */

typedef struct evs_schema_ref_s  evs_schema_ref_t;

struct evs_schema_ref_s {
    evs_schema_rule_t           *rule;
    ngx_str_t                    pointer;
    evs_schema_ref_t            *next;
};


typedef struct {
    ngx_pool_t                  *pool;
    evs_schema_t                *schema;
    evs_schema_error_t          *err;
    const evs_schema_at_t       *at;    /* in the schema */
    ngx_uint_t                   depth;

    evs_schema_node_t           *nodes;
    evs_schema_node_t          **last_node;
    evs_schema_ref_t            *refs;
    evs_schema_ref_t           **last_ref;
} evs_schema_build_t;


typedef struct evs_schema_keyword_s  evs_schema_keyword_t;

/*
 * Makes what a keyword needs, at b->at; its value is of the right form.
 * NGX_ERROR: b->err says why, or there was no memory.
 */
typedef ngx_int_t evs_schema_make_t(evs_schema_build_t *b,
    evs_schema_node_t *node, const evs_schema_keyword_t *keyword,
    json_t *value);

typedef evs_schema_make_t  *evs_schema_make_pt;

struct evs_schema_keyword_s {
    const char                  *name;
    ngx_uint_t                   form;  /* types its value may have */
    evs_schema_make_pt           make;  /* NULL: it checks nothing */
    evs_schema_check_pt          check; /* NULL: no rule */
    ngx_uint_t                   types; /* of the values that it checks */
    ngx_uint_t                   in_place;  /* see evs_schema_rule_t */
};


/* schema_compile.c; NULL or NGX_ERROR: as above */

/* The schema name, or that of an index where name == NULL, at b->at. */
evs_schema_node_t *evs_schema_below(evs_schema_build_t *b, const char *name,
    size_t index, json_t *json);

/* Adds a rule with room for n nodes. */
evs_schema_rule_t *evs_schema_rule(evs_schema_build_t *b,
    evs_schema_node_t *node, const evs_schema_keyword_t *keyword,
    const json_t *value, ngx_uint_t n);

/* Whether a value has one of the types that it may have. */
ngx_int_t evs_schema_form(evs_schema_build_t *b, const json_t *value,
    ngx_uint_t form);


/* schema_make.c */

evs_schema_make_t  evs_schema_make_dialect;
evs_schema_make_t  evs_schema_make_id;
evs_schema_make_t  evs_schema_make_type;
evs_schema_make_t  evs_schema_make_value;
evs_schema_make_t  evs_schema_make_multiple;
evs_schema_make_t  evs_schema_make_count;
evs_schema_make_t  evs_schema_make_pattern;
evs_schema_make_t  evs_schema_make_unique;
evs_schema_make_t  evs_schema_make_required;
evs_schema_make_t  evs_schema_make_dependent;


/* schema_nest.c: those that have schemas in them */

evs_schema_make_t  evs_schema_make_ref;
evs_schema_make_t  evs_schema_make_one;
evs_schema_make_t  evs_schema_make_list;
evs_schema_make_t  evs_schema_make_map;
evs_schema_make_t  evs_schema_make_members;
evs_schema_make_t  evs_schema_make_others;
evs_schema_make_t  evs_schema_make_items;
evs_schema_make_t  evs_schema_make_contains;
evs_schema_make_t  evs_schema_make_if;
evs_schema_make_t  evs_schema_make_branch;

/* A pattern of this schema; text is a JSON string or a name. */
evs_schema_pattern_t *evs_schema_make_regex(evs_schema_build_t *b,
    const char *text, size_t len);


/* schema_ref.c */

/* Finds what each $ref means, and that nothing leads back to itself. */
ngx_int_t evs_schema_resolve(evs_schema_build_t *b);


/* schema_text.c */

/* Says what is wrong with the schema at b->at, or at a pointer: NGX_ERROR. */
ngx_int_t evs_schema_error(evs_schema_build_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
ngx_int_t evs_schema_error_at(evs_schema_build_t *b, const ngx_str_t *pointer,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));


#endif /* _EVS_SCHEMA_MAKE_H_INCLUDED_ */
