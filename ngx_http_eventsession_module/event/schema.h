
/*
 * JSON Schema, draft 2020-12, over jansson's values (contract, section 4:
 * "Different kinds can have different validations").
 *
 * All keywords of the vocabularies applicator and validation are checked, and
 * of core $schema, $defs and $ref.  Those of meta-data, format and content are
 * annotations, so is the root's $id: they are allowed and check nothing.  A
 * keyword that is not known is an error, so that nobody believes in a check
 * that isn't made.
 *
 * References stay in their document: "#" and "#/a/pointer".
 *
 * Numbers are compared by value, whether jansson read them as an integer or
 * as a real: 1.0 is an integer, and 2^53 + 1 isn't 2^53.  A real is what its
 * shortest decimal says: 0.0075 is a multiple of 0.0001.
 *
 * Lengths of strings are code points.  A "pattern" is one of PCRE2, see
 * schema_pattern.c.
 */


#ifndef _EVS_SCHEMA_H_INCLUDED_
#define _EVS_SCHEMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>


/* what is wrong beyond this isn't told */
#define EVS_SCHEMA_MAX_FAULTS  20

/* the work that one value may cost: rules that are applied, values compared */
#define EVS_SCHEMA_MAX_STEPS   1000000

/* schemas nested in their file; schemas that lead to each other in one place */
#define EVS_SCHEMA_MAX_NESTED  64

/* schemas that are being applied, one for another */
#define EVS_SCHEMA_MAX_DEPTH   1000


typedef struct evs_schema_s  evs_schema_t;


/* of the pool, UTF-8, neither escaped for JSON nor ended by a NUL */

typedef struct {
    ngx_str_t    pointer;        /* JSON pointer of what is wrong; cut, and
                                    ended by "...", beyond 1024 bytes */
    ngx_str_t    text;           /* a sentence or some: what would be right */
} evs_schema_fault_t;

typedef evs_schema_fault_t  evs_schema_error_t;


typedef struct {
    ngx_uint_t           n;
    evs_schema_fault_t   fault[EVS_SCHEMA_MAX_FAULTS];
} evs_schema_faults_t;


/*
 * Compiles a schema, which jansson has parsed, best with
 * JSON_REJECT_DUPLICATES.  The schema is kept by a reference of its own and
 * must not be changed any more.  All else is the pool's; a cleanup of it frees
 * what PCRE and jansson have.
 *
 * NULL: err->pointer is the place in the schema and err->text says what is
 * wrong there.  When err->text.len is 0, there was no memory.
 */
evs_schema_t *evs_schema_compile(ngx_pool_t *pool, json_t *schema,
    evs_schema_error_t *err);

/*
 * NGX_OK: the value fits; NGX_DECLINED: it does not, and faults has from 1 to
 * EVS_SCHEMA_MAX_FAULTS reasons, each with its place in the value, texts in
 * the pool; NGX_ERROR: no memory.  A member that is missing is told at the
 * place where it should be.  A value that takes more work than allowed does
 * not fit: than EVS_SCHEMA_MAX_STEPS, or than *steps, from which what it took
 * is taken off, so that several values can share a bound.
 */
ngx_int_t evs_schema_validate(const evs_schema_t *schema, const json_t *value,
    ngx_pool_t *pool, ngx_uint_t *steps, evs_schema_faults_t *faults);


#endif /* _EVS_SCHEMA_H_INCLUDED_ */
