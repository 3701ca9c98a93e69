
/*
 * Integers as decimal text, for the hot path.
 */


#ifndef _EVS_NUMBER_H_INCLUDED_
#define _EVS_NUMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Writes at most NGX_INT64_LEN bytes at p, returns the end. */
u_char *evs_number_write(u_char *p, uint64_t n);

/*
 * Digits and nothing else, as many as always fit, which nearly all timestamps
 * are: NGX_OK, or NGX_DECLINED.
 */
#define EVS_NUMBER_DIGITS  19

ngx_int_t evs_number_read(const u_char *text, size_t len, uint64_t *value);


#endif /* _EVS_NUMBER_H_INCLUDED_ */
