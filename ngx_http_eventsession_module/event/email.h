
/*
 * Which addresses of e-mail are valid: as Django's EmailValidator has it, that
 * is RFC 5321's forms of one, without comments.
 */


#ifndef _EVS_EMAIL_H_INCLUDED_
#define _EVS_EMAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Whether the text, which is valid UTF-8, is an address: 1 or 0.  In front of
 * the last "@" a dot-atom or a quoted string; behind it a domain of two labels
 * or more, "localhost", or an IP address in brackets.  Labels may be
 * internationalized, where what they become in the DNS isn't too long.
 */
ngx_uint_t evs_email_valid(const u_char *text, size_t len);


#endif /* _EVS_EMAIL_H_INCLUDED_ */
