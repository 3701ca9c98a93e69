
/*
 * Integers as decimal text, for the hot path.
 */


#ifndef _EVS_NUMBER_H_INCLUDED_
#define _EVS_NUMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Writes at most NGX_INT64_LEN bytes at p, returns the end. */
u_char *evs_number_write(u_char *p, uint64_t n);


#endif /* _EVS_NUMBER_H_INCLUDED_ */
