
/*
 * The walk goes into what leads to a place, and steps over all the rest.  It
 * ends as soon as all places are found.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/filter_data.h"
#include "event/json.h"
#include "event/lex.h"


#define EVS_FILTER_BUF_MIN   4096
#define EVS_FILTER_NO_INDEX  ((ngx_uint_t) -1)

/*
 * How far behind its end the decoding of a string may look that was not
 * checked, and ends with half an escape.
 */
#define EVS_FILTER_BUF_TAIL  16


static const u_char *evs_filter_data_value(evs_filter_data_t *data,
    evs_filter_place_t *place, const u_char *p, const u_char *last,
    ngx_uint_t depth);
static const u_char *evs_filter_data_object(evs_filter_data_t *data,
    evs_filter_place_t *place, const u_char *p, const u_char *last,
    ngx_uint_t depth);
static const u_char *evs_filter_data_array(evs_filter_data_t *data,
    evs_filter_place_t *place, const u_char *p, const u_char *last,
    ngx_uint_t depth);
static const u_char *evs_filter_data_name(evs_filter_data_t *data,
    evs_filter_place_t *parent, const u_char *p, const u_char *last,
    evs_filter_place_t **place);
static const u_char *evs_filter_data_skip(const u_char *p,
    const u_char *last);
static const u_char *evs_filter_data_container(const u_char *p,
    const u_char *last);
static const u_char *evs_filter_data_string(const u_char *p,
    const u_char *last);
static evs_filter_place_t *evs_filter_data_child(ngx_pool_t *pool,
    evs_filter_place_t *parent, const ngx_str_t *name);
static evs_filter_place_t *evs_filter_data_named(evs_filter_place_t *parent,
    const ngx_str_t *name);
static ngx_uint_t evs_filter_data_index(const ngx_str_t *name);


evs_filter_place_t *
evs_filter_data_place(ngx_pool_t *pool, evs_filter_data_t *data,
    const ngx_str_t *path, ngx_uint_t n)
{
    ngx_uint_t           i;
    evs_filter_place_t  *place;

    place = &data->root;

    for (i = 0; i < n; i++) {
        place = evs_filter_data_child(pool, place, &path[i]);
        if (place == NULL) {
            return NULL;
        }
    }

    if (!place->wanted) {
        place->wanted = 1;
        place->next_wanted = data->wanted;
        data->wanted = place;
        data->nwanted++;
    }

    return place;
}


ngx_int_t
evs_filter_data_find(evs_filter_data_t *data, const ngx_str_t *json)
{
    evs_filter_place_t  *place;

    for (place = data->wanted; place != NULL; place = place->next_wanted) {
        ngx_str_null(&place->json);
    }

    data->nleft = data->nwanted;
    data->nomem = 0;

    if (json->len != 0) {
        (void) evs_filter_data_value(data, &data->root, json->data,
                                     json->data + json->len, 0);
    }

    return data->nomem ? NGX_ERROR : NGX_OK;
}


ngx_int_t
evs_filter_buf_need(evs_filter_buf_t *buf, size_t size)
{
    size_t   n;
    u_char  *p;

    if (size <= buf->size) {
        return NGX_OK;
    }

    n = ngx_max(size, EVS_FILTER_BUF_MIN);
    n = ngx_max(n, buf->size * 2);

    p = ngx_palloc(buf->pool, n);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (buf->data != NULL) {
        (void) ngx_pfree(buf->pool, buf->data);
    }

    buf->data = p;
    buf->size = n;

    return NGX_OK;
}


ngx_int_t
evs_filter_buf_decode(evs_filter_buf_t *buf, const ngx_str_t *json,
    ngx_str_t *text)
{
    u_char  *p;

    if (json->len == 0 || memchr(json->data, '\\', json->len) == NULL) {
        *text = *json;
        return NGX_OK;
    }

    if (evs_filter_buf_need(buf, json->len + EVS_FILTER_BUF_TAIL) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(buf->data, json->data, json->len);
    ngx_memzero(p, EVS_FILTER_BUF_TAIL);

    text->data = buf->data;
    text->len = (size_t) (evs_json_unescape(buf->data, p) - buf->data);

    return NGX_OK;
}


/* All of these return what is behind their value; NULL: there is no more. */

static const u_char *
evs_filter_data_value(evs_filter_data_t *data, evs_filter_place_t *place,
    const u_char *p, const u_char *last, ngx_uint_t depth)
{
    const u_char  *end;

    if (p == last) {
        return NULL;
    }

    if (place->children == NULL || depth == EVS_JSON_MAX_DEPTH
        || (*p != '{' && *p != '['))
    {
        end = evs_filter_data_skip(p, last);

    } else if (*p == '{') {
        end = evs_filter_data_object(data, place, p + 1, last, depth + 1);

    } else {
        end = evs_filter_data_array(data, place, p + 1, last, depth + 1);
    }

    if (end == NULL) {
        return NULL;
    }

    if (place->wanted && place->json.data == NULL) {
        place->json.data = (u_char *) p;
        place->json.len = (size_t) (end - p);

        if (--data->nleft == 0) {
            return NULL;
        }
    }

    return end;
}


static const u_char *
evs_filter_data_object(evs_filter_data_t *data, evs_filter_place_t *place,
    const u_char *p, const u_char *last, ngx_uint_t depth)
{
    evs_filter_place_t  *child;

    if (p < last && *p == '}') {
        return p + 1;
    }

    for ( ;; ) {
        p = evs_filter_data_name(data, place, p, last, &child);
        if (p == NULL) {
            return NULL;
        }

        p = (child == NULL)
            ? evs_filter_data_skip(p, last)
            : evs_filter_data_value(data, child, p, last, depth);

        if (p == NULL || p == last) {
            return NULL;
        }

        if (*p == '}') {
            return p + 1;
        }

        if (*p++ != ',') {
            return NULL;
        }
    }
}


static const u_char *
evs_filter_data_array(evs_filter_data_t *data, evs_filter_place_t *place,
    const u_char *p, const u_char *last, ngx_uint_t depth)
{
    ngx_uint_t           i;
    evs_filter_place_t  *child;

    if (p < last && *p == ']') {
        return p + 1;
    }

    for (i = 0; /* void */ ; i++) {

        for (child = place->children; child != NULL; child = child->next) {
            if (child->index == i) {
                break;
            }
        }

        p = (child == NULL)
            ? evs_filter_data_skip(p, last)
            : evs_filter_data_value(data, child, p, last, depth);

        if (p == NULL || p == last) {
            return NULL;
        }

        if (*p == ']') {
            return p + 1;
        }

        if (*p++ != ',') {
            return NULL;
        }
    }
}


/* A name and its colon; place: what it is a part of the way to, or NULL. */

static const u_char *
evs_filter_data_name(evs_filter_data_t *data, evs_filter_place_t *parent,
    const u_char *p, const u_char *last, evs_filter_place_t **place)
{
    ngx_str_t      json, name;
    const u_char  *end;

    if (p == last || *p != '"') {
        return NULL;
    }

    end = evs_filter_data_string(p, last);

    if (end == NULL || end == last || *end != ':') {
        return NULL;
    }

    json.data = (u_char *) p + 1;
    json.len = (size_t) (end - p) - 2;

    if (evs_filter_buf_decode(data->names, &json, &name) != NGX_OK) {
        data->nomem = 1;
        return NULL;
    }

    *place = evs_filter_data_named(parent, &name);

    return end + 1;
}


static const u_char *
evs_filter_data_skip(const u_char *p, const u_char *last)
{
    const u_char  *start;

    if (p == last) {
        return NULL;
    }

    switch (*p) {

    case '"':
        return evs_filter_data_string(p, last);

    case '{':
    case '[':
        return evs_filter_data_container(p, last);
    }

    start = p;

    while (p < last && *p != ',' && *p != ']' && *p != '}') {
        p++;
    }

    return (p == start) ? NULL : p;
}


/* To the bracket that ends it, whatever is between but strings. */

static const u_char *
evs_filter_data_container(const u_char *p, const u_char *last)
{
    ngx_uint_t  depth;

    depth = 0;

    while (p < last) {

        switch (*p) {

        case '"':
            p = evs_filter_data_string(p, last);
            if (p == NULL) {
                return NULL;
            }

            continue;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':

            if (--depth == 0) {
                return p + 1;
            }

            break;
        }

        p++;
    }

    return NULL;
}


static const u_char *
evs_filter_data_string(const u_char *p, const u_char *last)
{
    p++;

    for ( ;; ) {
        p = evs_lex_plain((u_char *) p, last);

        while (p < last && *p >= 0x80) {
            p++;
        }

        if (p == last) {
            return NULL;
        }

        if (*p == '"') {
            return p + 1;
        }

        if (*p == '\\' && ++p == last) {
            return NULL;
        }

        p++;
    }
}


static evs_filter_place_t *
evs_filter_data_child(ngx_pool_t *pool, evs_filter_place_t *parent,
    const ngx_str_t *name)
{
    evs_filter_place_t  *place;

    place = evs_filter_data_named(parent, name);
    if (place != NULL) {
        return place;
    }

    place = ngx_pcalloc(pool, sizeof(evs_filter_place_t));
    if (place == NULL) {
        return NULL;
    }

    place->name = *name;
    place->index = evs_filter_data_index(name);
    place->next = parent->children;
    parent->children = place;

    return place;
}


static evs_filter_place_t *
evs_filter_data_named(evs_filter_place_t *parent, const ngx_str_t *name)
{
    evs_filter_place_t  *place;

    for (place = parent->children; place != NULL; place = place->next) {
        if (place->name.len == name->len
            && memcmp(place->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    return place;
}


/* As JSON writes a number, so that an element has one name. */

static ngx_uint_t
evs_filter_data_index(const ngx_str_t *name)
{
    size_t      i;
    ngx_uint_t  n;

    if (name->len == 0 || name->len > 9
        || (name->data[0] == '0' && name->len > 1))
    {
        return EVS_FILTER_NO_INDEX;
    }

    n = 0;

    for (i = 0; i < name->len; i++) {
        if (!evs_lex_digit(name->data[i])) {
            return EVS_FILTER_NO_INDEX;
        }

        n = n * 10 + (ngx_uint_t) (name->data[i] - '0');
    }

    return n;
}
