
/*
 * Objects with fields, of which a body is one or an array: read and looked at
 * by a table, with the rules, the sentences and the replies of Django REST
 * framework's serializers (contract, section 4).  All fields of all objects
 * are looked at, so that all faults are told at once.
 *
 *     fields.pool = pool;
 *     fields.table = &table;
 *     fields.rules = &rules;
 *     fields.max = 100;
 *
 *     rc = evs_fields_parse(&fields, text, len, names);
 *
 *     NGX_OK:        fields.nfaulty tells whether there are faults
 *     NGX_DECLINED:  it isn't JSON; fields.syntax says why
 *     NGX_ABORT:     no memory
 *
 * What isn't in an object's own fields may be looked at later, and add faults.
 * The text is changed in place, and items point into it.
 */


#ifndef _EVS_FIELDS_H_INCLUDED_
#define _EVS_FIELDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"


#define EVS_FIELDS_MAX         8

#define EVS_FIELDS_SYNTAX_MAX  160

/* the place in a table of what is no field: the object, or the body */
#define EVS_FIELDS_WHOLE       0


typedef struct evs_fields_s        evs_fields_t;
typedef struct evs_fields_fault_s  evs_fields_fault_t;

struct evs_fields_fault_s {
    evs_fields_fault_t   *next;      /* as they were added */
    ngx_uint_t            field;
    ngx_str_t             sentence;  /* UTF-8, not escaped */
};


/* what each item begins with; the rest is its table's */
typedef struct {
    evs_fields_fault_t   *first;     /* NULL: none */
    evs_fields_fault_t   *last;
} evs_fields_item_t;


/*
 * Looks at a value, which is not null, and puts it into the item or adds
 * faults.  NGX_OK, whether there was a fault or not, or NGX_ABORT.
 */
typedef ngx_int_t (*evs_fields_check_pt)(evs_fields_t *fields,
    evs_fields_item_t *item, ngx_uint_t field, evs_json_value_t *value);

typedef struct {
    ngx_str_t             name;
    evs_fields_check_pt   check;
} evs_field_t;

/* fields in the order in which they are shown; all are required */
typedef struct {
    const evs_field_t    *fields;    /* [EVS_FIELDS_WHOLE]: non_field_errors */
    ngx_uint_t            n;         /* with that, EVS_FIELDS_MAX at most */
    size_t                size;      /* of an item, all zero at first */
    unsigned              array:1;   /* a body may be one */
} evs_fields_table_t;


struct evs_fields_s {
    /* set by the caller */
    ngx_pool_t                *pool;
    const evs_fields_table_t  *table;
    const void                *rules;   /* for the table's checks */
    ngx_uint_t                 max;     /* items of an array */

    u_char                    *items;   /* one array; those that were read */
    ngx_uint_t                 nitems;
    ngx_uint_t                 nalloc;
    ngx_uint_t                 nfaulty; /* items with a fault, and 1 more when
                                           the body as a whole has one */
    evs_fields_item_t          whole;   /* faults of the body */

    ngx_str_t                  syntax;  /* plain ASCII, not escaped: what would
                                           be right, and line and column */
    u_char                     syntax_text[EVS_FIELDS_SYNTAX_MAX];

    unsigned                   array:1; /* the body was one */
};


ngx_int_t evs_fields_parse(evs_fields_t *fields, u_char *text, size_t len,
    evs_json_names_t *names);

/*
 * Adds a fault to an item; item == NULL: to the body as a whole.  The sentence
 * is not copied.  NGX_OK or NGX_ABORT.
 */
ngx_int_t evs_fields_fault(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, const ngx_str_t *sentence);

/*
 * For checks.  NGX_OK; NGX_DECLINED: faults were added; NGX_ABORT.
 *
 * A text of max characters at most: the inside of a JSON string, escaped
 * canonically, without white space at its ends.  A number is taken for its
 * digits.  With NGX_DECLINED it is there nevertheless unless its length is 0:
 * what else is wrong with it may be told.
 *
 * Any JSON of max bytes at most, compact.
 */
ngx_int_t evs_fields_string(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, evs_json_value_t *value, size_t max, ngx_str_t *text);
ngx_int_t evs_fields_data(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, evs_json_value_t *value, size_t max, ngx_str_t *data);

/* What a string says; it is changed in place. */
void evs_fields_decoded(const evs_json_value_t *value, ngx_str_t *text);

/*
 * What evs_fields_string() makes of a text that is written plainly.  NGX_OK;
 * NGX_DECLINED: no field can have it, since it is blank or not UTF-8;
 * NGX_ABORT.
 */
ngx_int_t evs_fields_text(ngx_pool_t *pool, const ngx_str_t *plain,
    ngx_str_t *text);

/*
 * The body of a reply with 400: {"field":["sentence",...],...}, or for an
 * array a list with such a map for each item, empty for a good one.  A fault
 * of the body as a whole is told alone.  NGX_OK or NGX_ABORT.
 */
ngx_int_t evs_fields_faults_json(const evs_fields_t *fields, ngx_str_t *json);


/*
 * Writes text twice: to know its length, and when there is memory for it.
 * NGX_OK or NGX_ABORT.
 */

/* p == NULL: only the length is wanted */
typedef struct {
    u_char              *p;
    size_t               len;
} evs_fields_out_t;

typedef void (*evs_fields_write_pt)(evs_fields_out_t *out, const void *data);

ngx_int_t evs_fields_reply(ngx_pool_t *pool, ngx_str_t *json,
    evs_fields_write_pt write, const void *data);

void evs_fields_put(evs_fields_out_t *out, const void *text, size_t len);
void evs_fields_put_str(evs_fields_out_t *out, const ngx_str_t *text);

#define evs_fields_put_lit(out, text)                                        \
    evs_fields_put(out, text, sizeof(text) - 1)


#endif /* _EVS_FIELDS_H_INCLUDED_ */
