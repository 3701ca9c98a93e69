
/*
 * JSON numbers compared by value, exactly, however long they are.
 */


#ifndef _EVS_DECIMAL_H_INCLUDED_
#define _EVS_DECIMAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a view of the text: 0.d1d2d3... * 10^exponent */
typedef struct {
    const u_char      *first;    /* the first digit that isn't 0; last: 0 */
    const u_char      *last;     /* end of the digits and the point */
    int64_t            exponent;
    unsigned           negative:1;
} evs_decimal_t;


/*
 * NGX_OK, or NGX_DECLINED: not a number in JSON's grammar.  An exponent of
 * more than 15 digits counts as 10^15.
 */
ngx_int_t evs_decimal_parse(evs_decimal_t *dec, const u_char *text,
    size_t len);

/* Less than 0, 0, more than 0, as one is less, equal, more than two. */
ngx_int_t evs_decimal_compare(const evs_decimal_t *one,
    const evs_decimal_t *two);


#endif /* _EVS_DECIMAL_H_INCLUDED_ */
