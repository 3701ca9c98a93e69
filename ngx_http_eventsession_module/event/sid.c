
/*
 * Session ids: what is one, and its canonical form.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/sid.h"


#define EVS_SID_UUID_LEN    36
#define EVS_SID_UUID_HEX    32


static ngx_int_t evs_sid_uuid(evs_sid_t *sid, const u_char *text, size_t len);
static ngx_int_t evs_sid_any(evs_sid_t *sid, const u_char *text, size_t len);


ngx_int_t
evs_sid_parse(evs_sid_t *sid, ngx_uint_t kind, const u_char *text, size_t len)
{
    if (evs_sid_uuid(sid, text, len) == NGX_OK) {
        return NGX_OK;
    }

    if (kind == EVS_SID_ANY) {
        return evs_sid_any(sid, text, len);
    }

    return NGX_DECLINED;
}


static ngx_int_t
evs_sid_uuid(evs_sid_t *sid, const u_char *text, size_t len)
{
    u_char      c;
    ngx_uint_t  i, dashes;

    if (len != EVS_SID_UUID_LEN && len != EVS_SID_UUID_HEX) {
        return NGX_DECLINED;
    }

    dashes = (len == EVS_SID_UUID_LEN);

    for (i = 0; i < EVS_SID_UUID_LEN; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {

            if (dashes && *text++ != '-') {
                return NGX_DECLINED;
            }

            sid->data[i] = '-';
            continue;
        }

        c = *text++;

        if (c >= 'A' && c <= 'F') {
            c |= 0x20;

        } else if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return NGX_DECLINED;
        }

        sid->data[i] = c;
    }

    sid->len = EVS_SID_UUID_LEN;

    return NGX_OK;
}


static ngx_int_t
evs_sid_any(evs_sid_t *sid, const u_char *text, size_t len)
{
    u_char  c, lower;
    size_t  i;

    if (len == 0 || len > EVS_SID_MAX) {
        return NGX_DECLINED;
    }

    for (i = 0; i < len; i++) {
        c = text[i];
        lower = c | 0x20;

        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z')
            && c != '.' && c != '_' && c != '~' && c != '-')
        {
            return NGX_DECLINED;
        }

        sid->data[i] = c;
    }

    sid->len = len;

    return NGX_OK;
}
