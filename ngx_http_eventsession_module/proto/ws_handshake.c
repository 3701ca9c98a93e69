
/*
 * The opening handshake's arithmetic: keys and tokens.  It must not know
 * requests or headers.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>

#include "proto/ws_handshake.h"


#define EVS_WS_KEY_LEN    24     /* base64 of 16 bytes, with its padding */
#define EVS_WS_NONCE_LEN  16
#define EVS_WS_SHA1_LEN   20

/* RFC 6455, 1.3 */
#define EVS_WS_GUID       "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


typedef ngx_uint_t (*evs_ws_equal_pt)(const u_char *p, const u_char *last,
    const char *token);


static ngx_uint_t evs_ws_list_has(const ngx_str_t *value, const char *token,
    evs_ws_equal_pt equal);
static ngx_uint_t evs_ws_token_equal(const u_char *p, const u_char *last,
    const char *token);
static ngx_uint_t evs_ws_protocol_equal(const u_char *p, const u_char *last,
    const char *protocol);


/*
 * The unused bits of the last digit may be anything: the RFC's own example key
 * (4.1) has them set.
 */

ngx_int_t
evs_ws_key_check(const ngx_str_t *key)
{
    u_char     buf[ngx_base64_decoded_length(EVS_WS_KEY_LEN)];
    ngx_str_t  src, nonce;

    if (key->len != EVS_WS_KEY_LEN
        || key->data[EVS_WS_KEY_LEN - 2] != '='
        || key->data[EVS_WS_KEY_LEN - 1] != '=')
    {
        return NGX_ERROR;
    }

    src = *key;
    nonce.data = buf;

    /* it stops at the first '=', wherever that is: hence the length */

    if (ngx_decode_base64(&nonce, &src) != NGX_OK
        || nonce.len != EVS_WS_NONCE_LEN)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
evs_ws_accept(u_char *p, const ngx_str_t *key)
{
    u_char      hash[EVS_WS_SHA1_LEN];
    ngx_str_t   src, dst;
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, EVS_WS_GUID, sizeof(EVS_WS_GUID) - 1);
    ngx_sha1_final(hash, &sha1);

    src.data = hash;
    src.len = EVS_WS_SHA1_LEN;
    dst.data = p;

    ngx_encode_base64(&dst, &src);
}


ngx_uint_t
evs_ws_has_token(const ngx_str_t *value, const char *token)
{
    return evs_ws_list_has(value, token, evs_ws_token_equal);
}


ngx_uint_t
evs_ws_has_protocol(const ngx_str_t *value, const char *protocol)
{
    return evs_ws_list_has(value, protocol, evs_ws_protocol_equal);
}


static ngx_uint_t
evs_ws_list_has(const ngx_str_t *value, const char *token,
    evs_ws_equal_pt equal)
{
    u_char  *p, *end, *last, *start;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        start = p;

        while (p < last && *p != ',') {
            p++;
        }

        end = p;

        while (end > start && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }

        if (end > start && equal(start, end, token)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
evs_ws_token_equal(const u_char *p, const u_char *last, const char *token)
{
    for ( /* void */ ; p < last && *token != '\0'; p++, token++) {
        if (ngx_tolower(*p) != ngx_tolower((u_char) *token)) {
            return 0;
        }
    }

    return p == last && *token == '\0';
}


static ngx_uint_t
evs_ws_protocol_equal(const u_char *p, const u_char *last,
    const char *protocol)
{
    size_t  len;

    len = ngx_strlen(protocol);

    return (size_t) (last - p) == len && ngx_memcmp(p, protocol, len) == 0;
}
