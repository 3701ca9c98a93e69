
/*
 * The tokens of the filter language, for the files of this room only.
 */


#ifndef _EVS_FILTER_LEX_H_INCLUDED_
#define _EVS_FILTER_LEX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/filter.h"


typedef enum {
    EVS_FILTER_OPEN = 1,
    EVS_FILTER_CLOSE,
    EVS_FILTER_DOT,
    EVS_FILTER_WORD,             /* a run of anything else, but blanks */
    EVS_FILTER_STRING,
    EVS_FILTER_END
} evs_filter_token_e;


typedef struct {
    ngx_pool_t          *pool;
    const ngx_str_t     *text;       /* as it came: columns are counted here */
    evs_filter_fault_t  *fault;

    /* a copy, in which strings are decoded in place once they were read */
    u_char              *start;
    u_char              *pos;
    u_char              *last;

    /* the current token */
    evs_filter_token_e   token;
    size_t               at;         /* its offset */
    ngx_str_t            value;      /* WORD, STRING: decoded, in the copy */
} evs_filter_lex_t;


/*
 * All of these return NGX_OK, NGX_DECLINED (lex->fault says what is wrong) or
 * NGX_ERROR (no memory).  init checks the text as a whole, and reads the first
 * token.
 */
ngx_int_t evs_filter_lex_init(evs_filter_lex_t *lex, ngx_pool_t *pool,
    const ngx_str_t *text, evs_filter_fault_t *fault);
ngx_int_t evs_filter_lex_next(evs_filter_lex_t *lex);

/* NGX_DECLINED, or NGX_ERROR. */
ngx_int_t evs_filter_lex_fault(evs_filter_lex_t *lex, size_t at,
    const char *expected);

/* The current token is a word, and that one. */
#define evs_filter_lex_is(lex, word)                                         \
    ((lex)->token == EVS_FILTER_WORD                                         \
     && (lex)->value.len == sizeof(word) - 1                                 \
     && memcmp((lex)->value.data, word, sizeof(word) - 1) == 0)

/* The current token is in front of ')'. */
ngx_uint_t evs_filter_lex_closes(const evs_filter_lex_t *lex);


#endif /* _EVS_FILTER_LEX_H_INCLUDED_ */
