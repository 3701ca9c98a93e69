
/*
 * The parts of the opening handshake (RFC 6455, section 4) that need no HTTP.
 */


#ifndef _EVS_WS_HANDSHAKE_H_INCLUDED_
#define _EVS_WS_HANDSHAKE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define EVS_WS_ACCEPT_LEN   28

/* Whether the key is base64 of exactly 16 bytes, as section 4.1 asks. */
ngx_int_t evs_ws_key_check(const ngx_str_t *key);     /* NGX_OK, NGX_ERROR */

/* Sec-WebSocket-Accept of a key: EVS_WS_ACCEPT_LEN bytes at p. */
void evs_ws_accept(u_char *p, const ngx_str_t *key);

/*
 * Whether a comma-separated header value has this token, case-insensitive
 * (RFC 9110, 5.6.1).  1 or 0.
 */
ngx_uint_t evs_ws_has_token(const ngx_str_t *value, const char *token);

/*
 * The same for Sec-WebSocket-Protocol, whose names are case-sensitive: the
 * one that is chosen must be one that was offered, byte for byte (4.1, 6).
 */
ngx_uint_t evs_ws_has_protocol(const ngx_str_t *value, const char *protocol);


#endif /* _EVS_WS_HANDSHAKE_H_INCLUDED_ */
