
/*
 * The names of objects, kept while their object is open, to find duplicates
 * when it ends.  A client chooses both how many there are and what they are:
 * a few are compared in pairs, many are sorted, and nothing is hashed.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"


/* up to this many are compared in pairs */
#define EVS_NAMES_PAIRS  8

#define EVS_NAMES_MIN    1024

/* what may be kept between messages, of names and of their text each */
#define EVS_NAMES_KEEP   (128 * 1024)


static ngx_int_t evs_names_decode(evs_json_names_t *names, ngx_str_t *name);
static void *evs_names_alloc(size_t size);
static ngx_int_t evs_names_grow(void **buf, size_t *size, size_t used,
    size_t need);
static u_char *evs_names_pairs(evs_json_name_t *names, ngx_uint_t n);
static u_char *evs_names_sort(evs_json_name_t *names, ngx_uint_t n);
static int ngx_libc_cdecl evs_names_cmp(const void *one, const void *two);
static ngx_inline ngx_uint_t evs_names_equal(const evs_json_name_t *a,
    const evs_json_name_t *b);
static uint64_t evs_names_prefix(const evs_json_name_t *name);


evs_json_names_t *
evs_json_names_create(void)
{
    evs_json_names_t  *names;

    names = evs_names_alloc(sizeof(evs_json_names_t));

    if (names != NULL) {
        ngx_memzero(names, sizeof(evs_json_names_t));
    }

    return names;
}


void
evs_json_names_destroy(evs_json_names_t *names)
{
    if (names == NULL) {
        return;
    }

    ngx_free(names->names);
    ngx_free(names->text);
    ngx_free(names);
}


void
evs_json_names_reset(evs_json_names_t *names)
{
    if (names == NULL) {
        return;
    }

    names->used.count = 0;
    names->used.len = 0;

    if (names->size > EVS_NAMES_KEEP) {
        ngx_free(names->names);
        names->names = NULL;
        names->size = 0;
    }

    if (names->text_size > EVS_NAMES_KEEP) {
        ngx_free(names->text);
        names->text = NULL;
        names->text_size = 0;
    }
}


ngx_int_t
evs_json_name_add(evs_json_t *json, u_char *start, u_char *last,
    ngx_uint_t escaped, ngx_str_t *name)
{
    size_t             used;
    evs_json_name_t   *entry;
    evs_json_names_t  *names;

    names = json->names;
    used = names->used.count * sizeof(evs_json_name_t);

    if (names->size - used < sizeof(evs_json_name_t)
        && evs_names_grow((void **) &names->names, &names->size, used,
                          sizeof(evs_json_name_t))
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    name->data = start;
    name->len = (size_t) (last - start);

    if (escaped) {

        if (evs_names_decode(names, name) != NGX_OK) {
            return NGX_ABORT;
        }

        if (memchr(name->data, '\0', name->len) != NULL) {
            return evs_json_fail(json, start - 1, "a name without \\u0000");
        }
    }

    entry = &names->names[names->used.count++];

    entry->at = start - 1;
    entry->data = escaped ? NULL : start;
    entry->offset = names->used.len;
    entry->len = name->len;

    if (escaped) {
        names->used.len += name->len;
    }

    return NGX_OK;
}


ngx_int_t
evs_json_names_check(evs_json_t *json, const evs_json_names_mark_t *mark)
{
    u_char            *at;
    ngx_uint_t         i, n;
    evs_json_name_t   *name;
    evs_json_names_t  *names;

    names = json->names;
    n = names->used.count - mark->count;

    if (n > 1) {
        name = &names->names[mark->count];

        for (i = 0; i < n; i++) {
            if (name[i].data == NULL) {
                name[i].data = names->text + name[i].offset;
            }
        }

        at = (n <= EVS_NAMES_PAIRS) ? evs_names_pairs(name, n)
                                    : evs_names_sort(name, n);

        if (at != NULL) {
            return evs_json_fail(json, at, EVS_LEX_DUPLICATE);
        }
    }

    names->used = *mark;

    if (mark->count == 0) {
        evs_json_names_reset(names);
    }

    return NGX_OK;
}


/* The name decoded, behind the text that is in use. */

static ngx_int_t
evs_names_decode(evs_json_names_t *names, ngx_str_t *name)
{
    u_char  *p;

    if (names->text_size - names->used.len < name->len
        && evs_names_grow((void **) &names->text, &names->text_size,
                          names->used.len, name->len)
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    p = names->text + names->used.len;
    ngx_memcpy(p, name->data, name->len);

    name->data = p;
    name->len = (size_t) (evs_json_unescape(p, p + name->len) - p);

    return NGX_OK;
}


/* nginx would log a failure; here it is returned, and the caller logs it */

static void *
evs_names_alloc(size_t size)
{
    ngx_log_t  silent;

    ngx_memzero(&silent, sizeof(ngx_log_t));

    return ngx_alloc(size, &silent);
}


static ngx_int_t
evs_names_grow(void **buf, size_t *size, size_t used, size_t need)
{
    void    *p;
    size_t   n;

    n = ngx_max(*size * 2, EVS_NAMES_MIN);
    n = ngx_max(n, used + need);

    p = evs_names_alloc(n);
    if (p == NULL) {
        return NGX_ABORT;
    }

    if (used != 0) {
        ngx_memcpy(p, *buf, used);
    }

    ngx_free(*buf);

    *buf = p;
    *size = n;

    return NGX_OK;
}


/* Both return where a name comes a second time, or NULL. */

static u_char *
evs_names_pairs(evs_json_name_t *names, ngx_uint_t n)
{
    ngx_uint_t  i, j;

    for (i = 1; i < n; i++) {
        for (j = 0; j < i; j++) {
            if (evs_names_equal(&names[i], &names[j])) {
                return names[i].at;
            }
        }
    }

    return NULL;
}


static u_char *
evs_names_sort(evs_json_name_t *names, ngx_uint_t n)
{
    u_char      *at;
    ngx_uint_t   i;

    for (i = 0; i < n; i++) {
        names[i].prefix = evs_names_prefix(&names[i]);
    }

    qsort(names, n, sizeof(evs_json_name_t), evs_names_cmp);

    at = NULL;

    for (i = 1; i < n; i++) {
        if (evs_names_equal(&names[i - 1], &names[i])
            && (at == NULL || names[i].at < at))
        {
            at = names[i].at;
        }
    }

    return at;
}


static int ngx_libc_cdecl
evs_names_cmp(const void *one, const void *two)
{
    int                     rc;
    const evs_json_name_t  *a, *b;

    a = one;
    b = two;

    if (a->prefix != b->prefix) {
        return (a->prefix < b->prefix) ? -1 : 1;
    }

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    rc = memcmp(a->data, b->data, a->len);
    if (rc != 0) {
        return rc;
    }

    /* qsort() isn't stable, but a fault should have one place */

    return (a->at < b->at) ? -1 : 1;
}


static ngx_inline ngx_uint_t
evs_names_equal(const evs_json_name_t *a, const evs_json_name_t *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}


static uint64_t
evs_names_prefix(const evs_json_name_t *name)
{
    uint64_t    prefix;
    ngx_uint_t  i;

    prefix = 0;

    for (i = 0; i < 8; i++) {
        prefix <<= 8;

        if (i < name->len) {
            prefix |= name->data[i];
        }
    }

    return prefix;
}
