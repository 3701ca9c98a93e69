
/*
 * The text of Server-Sent Events (HTML standard, section 9.2): lines of
 * fields, a blank one ends an event.
 */


#ifndef _EVS_SSE_H_INCLUDED_
#define _EVS_SSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a line of nothing: proof of life, which clients pass over */
#define EVS_SSE_COMMENT  ":\n"


/* "<name>: ", before a value without a line break; returns the end. */
static ngx_inline u_char *
evs_sse_name(u_char *p, const char *name, size_t len)
{
    p = ngx_cpymem(p, name, len);
    *p++ = ':';
    *p++ = ' ';

    return p;
}


#define evs_sse_field(p, name)  evs_sse_name(p, name, sizeof(name) - 1)


/* Behind the value, and behind an event's last field. */
static ngx_inline u_char *
evs_sse_end(u_char *p)
{
    *p++ = LF;

    return p;
}


/* "event: gap", so that what follows may be told to be incomplete. */
#define EVS_SSE_GAP_MAX  128

u_char *evs_sse_gap(u_char *p);

/* "retry: <ms>": how long a client is to wait before it comes again. */
#define EVS_SSE_RETRY_MAX  (sizeof("retry: \n") + NGX_INT_T_LEN)

u_char *evs_sse_retry(u_char *p, ngx_msec_t ms);


#endif /* _EVS_SSE_H_INCLUDED_ */
