
/*
 * UTF-8 checked in pieces (RFC 3629; RFC 6455, 8.1): a fault is found at the
 * first byte that can't continue a valid sequence.
 */


#ifndef _EVS_UTF8_H_INCLUDED_
#define _EVS_UTF8_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* 0 is the state between two characters: where a text begins and must end */
typedef uint32_t  evs_utf8_t;

/* NGX_OK (so far), or NGX_ERROR */
ngx_int_t evs_utf8_check(evs_utf8_t *state, const u_char *p,
    const u_char *last);


#endif /* _EVS_UTF8_H_INCLUDED_ */
