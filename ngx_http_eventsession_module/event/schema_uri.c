
/*
 * URIs of schemas: references are resolved, never followed.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_node.h"


/* data is NULL where a part is not there, which is not the same as empty */

typedef struct {
    ngx_str_t    scheme;         /* with its colon */
    ngx_str_t    authority;      /* with its slashes */
    ngx_str_t    path;
    ngx_str_t    query;          /* with its question mark */
    ngx_str_t    fragment;       /* without its # */
} evs_uri_t;


static void evs_uri_parse(const ngx_str_t *text, evs_uri_t *uri);
static size_t evs_uri_scheme(const ngx_str_t *text);
static void evs_uri_part(ngx_str_t *part, u_char **pos, u_char *last);
static u_char *evs_uri_until(u_char *pos, u_char *last, const char *stop);
static u_char *evs_uri_path(u_char *p, const evs_uri_t *base,
    const evs_uri_t *ref);
static u_char *evs_uri_dots(u_char *start, u_char *last);
static u_char *evs_uri_put(u_char *p, const ngx_str_t *part);


ngx_int_t
evs_schema_uri(ngx_pool_t *pool, const ngx_str_t *base, const ngx_str_t *ref,
    ngx_str_t *uri, ngx_str_t *fragment)
{
    u_char     *p;
    evs_uri_t   b, r;

    evs_uri_parse(base, &b);
    evs_uri_parse(ref, &r);

    /* a slash may come in between */

    p = ngx_pnalloc(pool, base->len + ref->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    uri->data = p;

    p = evs_uri_put(p, r.scheme.data ? &r.scheme : &b.scheme);

    if (r.scheme.data != NULL || r.authority.data != NULL) {
        p = evs_uri_put(p, &r.authority);
        p = evs_uri_dots(p, evs_uri_put(p, &r.path));
        p = evs_uri_put(p, &r.query);

    } else {
        p = evs_uri_put(p, &b.authority);
        p = evs_uri_path(p, &b, &r);
        p = evs_uri_put(p, (r.path.len == 0 && r.query.data == NULL)
                           ? &b.query : &r.query);
    }

    uri->len = (size_t) (p - uri->data);

    *fragment = r.fragment;
    fragment->data = ngx_pnalloc(pool, fragment->len + 1);

    if (fragment->data == NULL) {
        return NGX_ERROR;
    }

    (void) evs_uri_put(fragment->data, &r.fragment);

    return NGX_OK;
}


static u_char *
evs_uri_path(u_char *p, const evs_uri_t *base, const evs_uri_t *ref)
{
    u_char     *start;
    ngx_str_t   merged;

    if (ref->path.len == 0) {
        return evs_uri_put(p, &base->path);
    }

    start = p;

    if (ref->path.data[0] != '/') {

        if (base->authority.data != NULL && base->path.len == 0) {
            *p++ = '/';
        }

        merged = base->path;

        while (merged.len != 0 && merged.data[merged.len - 1] != '/') {
            merged.len--;
        }

        p = evs_uri_put(p, &merged);
    }

    return evs_uri_dots(start, evs_uri_put(p, &ref->path));
}


/*
 * Section 5.2.4, in place: what is read is never in front of what is written.
 * A path that begins without a slash doesn't get one: "a/../b" is "b".
 */

static u_char *
evs_uri_dots(u_char *start, u_char *last)
{
    u_char     *p, *out, *segment;
    size_t      len;
    ngx_uint_t  slash, relative;

    out = start;
    p = start;
    relative = (start < last && *start != '/');

    while (p < last) {

        slash = (*p == '/');
        segment = p + slash;
        p = evs_uri_until(segment, last, "/");
        len = (size_t) (p - segment);

        if (len == 1 && segment[0] == '.') {

            if (p == last && slash && !(relative && out == start)) {
                *out++ = '/';
            }

            p += (p < last && relative && out == start);

        } else if (len == 2 && segment[0] == '.' && segment[1] == '.') {

            while (out > start && *--out != '/') { /* void */ }

            if (p == last && slash && !(relative && out == start)) {
                *out++ = '/';
            }

            p += (p < last && relative && out == start);

        } else {

            if (slash) {
                *out++ = '/';
            }

            ngx_memmove(out, segment, len);
            out += len;
        }
    }

    return out;
}


static void
evs_uri_parse(const ngx_str_t *text, evs_uri_t *uri)
{
    u_char  *pos, *last;

    ngx_memzero(uri, sizeof(evs_uri_t));

    pos = text->data;
    last = text->data + text->len;

    if (evs_uri_scheme(text) != 0) {
        evs_uri_part(&uri->scheme, &pos, pos + evs_uri_scheme(text));
    }

    if (last - pos >= 2 && pos[0] == '/' && pos[1] == '/') {
        evs_uri_part(&uri->authority, &pos,
                     evs_uri_until(pos + 2, last, "/?#"));
    }

    evs_uri_part(&uri->path, &pos, evs_uri_until(pos, last, "?#"));

    if (pos < last && *pos == '?') {
        evs_uri_part(&uri->query, &pos, evs_uri_until(pos, last, "#"));
    }

    if (pos < last) {
        pos++;
        evs_uri_part(&uri->fragment, &pos, last);
    }
}


static void
evs_uri_part(ngx_str_t *part, u_char **pos, u_char *last)
{
    part->data = *pos;
    part->len = (size_t) (last - *pos);

    *pos = last;
}


/* The length of a scheme and its colon; 0: there is none. */

static size_t
evs_uri_scheme(const ngx_str_t *text)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c == ':') {
            return (i == 0) ? 0 : i + 1;
        }

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            continue;
        }

        if (i == 0
            || ((c < '0' || c > '9') && c != '+' && c != '-' && c != '.'))
        {
            break;
        }
    }

    return 0;
}


static u_char *
evs_uri_until(u_char *pos, u_char *last, const char *stop)
{
    while (pos < last && (*pos == '\0' || strchr(stop, *pos) == NULL)) {
        pos++;
    }

    return pos;
}


static u_char *
evs_uri_put(u_char *p, const ngx_str_t *part)
{
    if (part->len == 0) {
        return p;
    }

    return ngx_cpymem(p, part->data, part->len);
}


ngx_int_t
evs_schema_uri_decode(ngx_str_t *text)
{
    int      n;
    char     hex[3];
    u_char  *p, *out, *last;

    out = text->data;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p != '%') {
            *out++ = *p;
            continue;
        }

        if (last - p < 3 || !isxdigit(p[1]) || !isxdigit(p[2])) {
            return NGX_DECLINED;
        }

        hex[0] = (char) p[1];
        hex[1] = (char) p[2];
        hex[2] = '\0';

        n = (int) strtol(hex, NULL, 16);
        *out++ = (u_char) n;
        p += 2;
    }

    text->len = (size_t) (out - text->data);

    return NGX_OK;
}
