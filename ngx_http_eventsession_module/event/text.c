
/*
 * JSON that was checked, rewritten: blanks out, escapes decoded or made
 * canonical.  What comes out is never longer than what went in, so all of it
 * is done in place.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"


static u_char *evs_text_canonical_escape(u_char *p, const u_char *last);
static u_char *evs_text_string(u_char *p, const u_char *last);
static ngx_uint_t evs_text_code(const u_char **pos, const u_char *last);
static u_char *evs_text_utf8(u_char *p, ngx_uint_t code);
static u_char *evs_text_escape(u_char *p, ngx_uint_t code);


static const u_char  evs_text_hex[] = "0123456789abcdef";

static const u_char  evs_text_replacement[] = { 0xef, 0xbf, 0xbd };


u_char *
evs_json_compact(u_char *start, u_char *last)
{
    u_char  *p, *dst, *end;

    p = start;
    dst = start;

    while (p < last) {

        switch (*p) {

        case ' ':
        case '\n':
        case '\r':
        case '\t':
            p++;
            continue;

        case '"':
            end = evs_text_string(p + 1, last);
            ngx_memmove(dst, p, (size_t) (end - p));
            dst += end - p;
            p = end;
            continue;

        case ']':
        case '}':

            /* outside of strings, so it isn't the last byte of one */

            if (dst > start && dst[-1] == ',') {
                dst--;
            }

            break;
        }

        *dst++ = *p++;
    }

    return dst;
}


u_char *
evs_json_unescape(u_char *start, u_char *last)
{
    u_char        *dst;
    const u_char  *p;

    dst = memchr(start, '\\', (size_t) (last - start));
    if (dst == NULL) {
        return last;
    }

    p = dst;

    while (p < last) {

        if (*p == '\\') {
            dst = evs_text_utf8(dst, evs_text_code(&p, last));

        } else {
            *dst++ = *p++;
        }
    }

    return dst;
}


u_char *
evs_json_canonical(u_char *start, u_char *last)
{
    u_char        *dst;
    ngx_uint_t     code;
    const u_char  *p;

    dst = memchr(start, '\\', (size_t) (last - start));
    if (dst == NULL) {
        return last;
    }

    p = dst;

    while (p < last) {

        if (*p != '\\') {
            *dst++ = *p++;
            continue;
        }

        code = evs_text_code(&p, last);

        if (code < 0x20 || code == '"' || code == '\\') {
            dst = evs_text_escape(dst, code);

        } else {
            dst = evs_text_utf8(dst, code);
        }
    }

    return dst;
}


ngx_uint_t
evs_json_is_canonical(u_char *text, size_t len)
{
    u_char     *p, *last;
    ngx_int_t   n;

    last = text + len;

    for ( ;; ) {
        p = evs_lex_plain(text, last);

        if (p == last) {
            return 1;
        }

        if (*p >= 0x80) {
            n = evs_json_utf8(p, last);

            if (n < 0) {
                return 0;
            }

            text = p + n;
            continue;
        }

        text = (*p == '\\') ? evs_text_canonical_escape(p + 1, last) : NULL;

        if (text == NULL) {
            return 0;
        }
    }
}


/* The end of the escape behind whose backslash p is; NULL: it is none. */

static u_char *
evs_text_canonical_escape(u_char *p, const u_char *last)
{
    u_char     buf[sizeof("\\u0000") - 1];
    size_t     n;
    ngx_int_t  code;

    if (p == last) {
        return NULL;
    }

    if (*p != 'u') {
        return ngx_strchr("\"\\bfnrt", *p) && *p != '\0' ? p + 1 : NULL;
    }

    code = evs_lex_hex4(p + 1, last);

    if (code < 0 || code >= 0x20) {
        return NULL;
    }

    /* not one that has a shorter form, or is written in upper case */

    n = (size_t) (evs_text_escape(buf, (ngx_uint_t) code) - buf);

    return (n == sizeof(buf) && ngx_memcmp(p - 1, buf, n) == 0)
           ? p + n - 1 : NULL;
}


size_t
evs_json_escape(u_char *p, const u_char *text, size_t len)
{
    u_char         buf[sizeof("\\u0000") - 1];
    size_t         size, n;
    ngx_int_t      rc;
    const u_char  *from, *last;

    size = 0;
    last = text + len;

    while (text < last) {
        from = text;

        if (*text >= 0x80) {
            rc = evs_json_utf8(text, last);

            if (rc > 0) {
                n = (size_t) rc;
                text += n;

            } else {
                text -= rc;
                from = evs_text_replacement;
                n = sizeof(evs_text_replacement);
            }

        } else if (*text < 0x20 || *text == '"' || *text == '\\') {
            n = (size_t) (evs_text_escape(buf, *text++) - buf);
            from = buf;

        } else {
            n = 1;
            text++;
        }

        if (p != NULL) {
            p = ngx_cpymem(p, from, n);
        }

        size += n;
    }

    return size;
}


ngx_int_t
evs_json_utf8(const u_char *p, const u_char *last)
{
    u_char      c, from, to;
    ngx_int_t   i, n;

    c = *p;

    /* what the second byte may be depends on the first: RFC 3629, 4 */

    from = 0x80;
    to = 0xbf;

    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;

    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        from = (c == 0xe0) ? 0xa0 : 0x80;
        to = (c == 0xed) ? 0x9f : 0xbf;

    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        from = (c == 0xf0) ? 0x90 : 0x80;
        to = (c == 0xf4) ? 0x8f : 0xbf;

    } else {
        return -1;
    }

    for (i = 1; i < n; i++) {

        if (p + i == last || p[i] < from || p[i] > to) {
            return -i;
        }

        from = 0x80;
        to = 0xbf;
    }

    return n;
}


/* behind the closing quote of the checked string whose inside begins at p */

static u_char *
evs_text_string(u_char *p, const u_char *last)
{
    for ( ;; ) {
        p = evs_lex_plain(p, last);

        if (*p == '"') {
            return p + 1;
        }

        p += (*p == '\\') ? 2 : 1;
    }
}


/* The character that a checked escape stands for; *pos is behind it then. */

static ngx_uint_t
evs_text_code(const u_char **pos, const u_char *last)
{
    ngx_uint_t     code;
    const u_char  *p;

    p = *pos + 2;
    *pos = p;

    switch (p[-1]) {

    case 'b':
        return '\b';

    case 'f':
        return '\f';

    case 'n':
        return '\n';

    case 'r':
        return '\r';

    case 't':
        return '\t';

    case 'u':
        break;

    default:
        return p[-1];
    }

    code = (ngx_uint_t) evs_lex_hex4(p, last);
    p += 4;

    if (code >= 0xd800 && code <= 0xdbff) {
        code = 0x10000 + ((code - 0xd800) << 10)
               + ((ngx_uint_t) evs_lex_hex4(p + 2, last) - 0xdc00);
        p += 6;
    }

    *pos = p;

    return code;
}


static u_char *
evs_text_utf8(u_char *p, ngx_uint_t code)
{
    if (code < 0x80) {
        *p++ = (u_char) code;
        return p;
    }

    if (code < 0x800) {
        *p++ = (u_char) (0xc0 | (code >> 6));
        *p++ = (u_char) (0x80 | (code & 0x3f));
        return p;
    }

    if (code < 0x10000) {
        *p++ = (u_char) (0xe0 | (code >> 12));

    } else {
        *p++ = (u_char) (0xf0 | (code >> 18));
        *p++ = (u_char) (0x80 | ((code >> 12) & 0x3f));
    }

    *p++ = (u_char) (0x80 | ((code >> 6) & 0x3f));
    *p++ = (u_char) (0x80 | (code & 0x3f));

    return p;
}


/* The escape of a quote, a backslash or a control character. */

static u_char *
evs_text_escape(u_char *p, ngx_uint_t code)
{
    *p++ = '\\';

    switch (code) {

    case '\b':
        *p++ = 'b';
        break;

    case '\f':
        *p++ = 'f';
        break;

    case '\n':
        *p++ = 'n';
        break;

    case '\r':
        *p++ = 'r';
        break;

    case '\t':
        *p++ = 't';
        break;

    case '"':
    case '\\':
        *p++ = (u_char) code;
        break;

    default:
        p = ngx_cpymem(p, "u00", 3);
        *p++ = evs_text_hex[code >> 4];
        *p++ = evs_text_hex[code & 0xf];
    }

    return p;
}
