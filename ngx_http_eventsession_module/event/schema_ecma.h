
/*
 * A regular expression of ECMA-262, while it is translated into one of PCRE2.
 */


#ifndef _EVS_SCHEMA_ECMA_H_INCLUDED_
#define _EVS_SCHEMA_ECMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    const char  *pos;            /* functions step over what they took */
    const char  *last;
    char        *out;            /* NULL: only the length is wanted */
    size_t       len;
    const char  *error;          /* a format, for a letter */
    u_char       letter;
} evs_pattern_t;


/* schema_ecma.c; NGX_OK, or NGX_ERROR with an error */

ngx_int_t evs_pattern_translate(evs_pattern_t *p);

ngx_int_t evs_pattern_fail(evs_pattern_t *p, const char *error);
void evs_pattern_put(evs_pattern_t *p, const char *text, size_t len);
void evs_pattern_puts(evs_pattern_t *p, const char *text);


/* schema_escape.c */

/*
 * What is behind a backslash; class: within [ and ].  *set becomes whether it
 * is a set of characters, such as \d.
 */
ngx_int_t evs_pattern_escape(evs_pattern_t *p, ngx_uint_t class,
    ngx_uint_t *set);


#endif /* _EVS_SCHEMA_ECMA_H_INCLUDED_ */
