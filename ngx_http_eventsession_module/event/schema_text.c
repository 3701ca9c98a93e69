
/*
 * What is said about a fault, and where it is.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_make.h"
#include "event/schema_node.h"


typedef struct {
    u_char      *data;
    size_t       size;           /* what is behind is left out */
    size_t       pos;            /* written backwards, from behind this */
} evs_schema_tail_t;


typedef struct {
    size_t       len;
    ngx_uint_t   cut;            /* it is at its end */
    char         data[EVS_SCHEMA_QUOTED + sizeof("...")];
} evs_schema_quote_t;


static ngx_int_t evs_schema_tell(evs_schema_run_t *run,
    const evs_schema_at_t *at, evs_schema_text_t *text);
static ngx_int_t evs_schema_copy(ngx_pool_t *pool,
    const evs_schema_text_t *text, ngx_str_t *str);
static void evs_schema_vadd(evs_schema_text_t *text, const char *fmt,
    va_list args);
static void evs_schema_tail(evs_schema_tail_t *tail, const char *text,
    size_t len);
static void evs_schema_name(evs_schema_tail_t *tail, const char *name);
static size_t evs_schema_cut(const u_char *data, size_t len);
static int evs_schema_dumped(const char *buf, size_t size, void *data);


ngx_int_t
evs_schema_fault(evs_schema_run_t *run, const evs_schema_at_t *at,
    const char *fmt, ...)
{
    va_list            args;
    evs_schema_text_t  text;

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;
    evs_schema_add(&text, run->naming ? "The name must " : "Must ");

    va_start(args, fmt);
    evs_schema_vadd(&text, fmt, args);
    va_end(args);

    return evs_schema_tell(run, at, &text);
}


ngx_int_t
evs_schema_say(evs_schema_run_t *run, const evs_schema_at_t *at,
    const char *fmt, ...)
{
    va_list            args;
    evs_schema_text_t  text;

    if (!evs_schema_more(run)) {
        return NGX_DECLINED;
    }

    text.len = 0;

    va_start(args, fmt);
    evs_schema_vadd(&text, fmt, args);
    va_end(args);

    return evs_schema_tell(run, at, &text);
}


ngx_int_t
evs_schema_end(evs_schema_run_t *run, const evs_schema_at_t *at,
    const char *text)
{
    ngx_str_set(&run->end.text, "");

    if (evs_schema_pointer(run->pool, at, EVS_SCHEMA_POINTER,
                           &run->end.pointer)
        == NGX_OK)
    {
        run->end.text.data = (u_char *) text;
        run->end.text.len = ngx_strlen(text);
    }

    return NGX_ABORT;
}


ngx_int_t
evs_schema_spent(evs_schema_run_t *run, const evs_schema_at_t *at)
{
    return evs_schema_end(run, at, "Must be simpler: to check it by the "
                          "schema takes too much work.");
}


ngx_int_t
evs_schema_error(evs_schema_build_t *b, const char *fmt, ...)
{
    va_list            args;
    ngx_str_t          pointer;
    evs_schema_text_t  text;

    text.len = 0;

    va_start(args, fmt);
    evs_schema_vadd(&text, fmt, args);
    va_end(args);

    if (evs_schema_pointer(b->pool, b->at, EVS_SCHEMA_POINTER, &pointer)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return evs_schema_error_at(b, &pointer, "%.*s", (int) text.len, text.data);
}


ngx_int_t
evs_schema_error_at(evs_schema_build_t *b, const ngx_str_t *pointer,
    const char *fmt, ...)
{
    va_list            args;
    evs_schema_text_t  text;

    text.len = 0;

    va_start(args, fmt);
    evs_schema_vadd(&text, fmt, args);
    va_end(args);

    b->err->pointer = *pointer;
    (void) evs_schema_copy(b->pool, &text, &b->err->text);

    return NGX_ERROR;
}


static ngx_int_t
evs_schema_tell(evs_schema_run_t *run, const evs_schema_at_t *at,
    evs_schema_text_t *text)
{
    evs_schema_fault_t  *fault;

    fault = &run->faults[run->n];

    if (evs_schema_pointer(run->pool, at, EVS_SCHEMA_POINTER, &fault->pointer)
        != NGX_OK
        || evs_schema_copy(run->pool, text, &fault->text) != NGX_OK)
    {
        return NGX_ABORT;
    }

    run->n++;

    return NGX_DECLINED;
}


static ngx_int_t
evs_schema_copy(ngx_pool_t *pool, const evs_schema_text_t *text,
    ngx_str_t *str)
{
    u_char  *p;

    p = ngx_pnalloc(pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text->data, text->len);

    str->data = p;
    str->len = text->len;

    return NGX_OK;
}


/*
 * It is written from its end, at which the list begins.  A name is as long as
 * a client likes, so that what does not fit is counted only.
 */

ngx_int_t
evs_schema_pointer(ngx_pool_t *pool, const evs_schema_at_t *at, size_t max,
    ngx_str_t *pointer)
{
    char                    index[NGX_SIZE_T_LEN + 1];
    size_t                  len;
    evs_schema_tail_t       tail;
    const evs_schema_at_t  *p;

    /* the first time, what is taken from 0 is the length */

    tail.data = NULL;
    tail.size = 0;
    tail.pos = 0;

    for ( ;; ) {

        for (p = at; p->up != NULL; p = p->up) {

            if (p->name != NULL) {
                evs_schema_name(&tail, p->name);

            } else {
                len = (size_t) snprintf(index, sizeof(index), "%lu",
                                        (unsigned long) p->index);
                evs_schema_tail(&tail, index, len);
            }

            evs_schema_tail(&tail, "/", 1);
        }

        if (tail.data != NULL) {
            break;
        }

        len = 0 - tail.pos;

        tail.pos = len;
        tail.size = ngx_min(len, max);
        tail.data = ngx_pnalloc(pool, tail.size + 1);

        if (tail.data == NULL) {
            return NGX_ERROR;
        }

        pointer->len = len;
    }

    pointer->data = tail.data;

    if (pointer->len > max) {
        pointer->len = evs_schema_cut(tail.data, max - 3) + 3;
        ngx_memcpy(tail.data + pointer->len - 3, "...", 3);
    }

    return NGX_OK;
}


static void
evs_schema_tail(evs_schema_tail_t *tail, const char *text, size_t len)
{
    tail->pos -= len;

    if (tail->data == NULL || tail->pos >= tail->size) {
        return;
    }

    ngx_memcpy(tail->data + tail->pos, text,
               ngx_min(len, tail->size - tail->pos));
}


static void
evs_schema_name(evs_schema_tail_t *tail, const char *name)
{
    size_t  i;

    for (i = ngx_strlen(name); i > 0; i--) {

        switch (name[i - 1]) {

        case '~':
            evs_schema_tail(tail, "~0", 2);
            break;

        case '/':
            evs_schema_tail(tail, "~1", 2);
            break;

        default:
            evs_schema_tail(tail, &name[i - 1], 1);
        }
    }
}


void
evs_schema_add(evs_schema_text_t *text, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    evs_schema_vadd(text, fmt, args);
    va_end(args);
}


static void
evs_schema_vadd(evs_schema_text_t *text, const char *fmt, va_list args)
{
    int     n;
    size_t  room;

    room = EVS_SCHEMA_TEXT - text->len;

    n = vsnprintf(text->data + text->len, room, fmt, args);

    if (n < 0) {
        return;
    }

    if ((size_t) n < room) {
        text->len += (size_t) n;
        return;
    }

    text->len = evs_schema_cut((u_char *) text->data, EVS_SCHEMA_TEXT - 4);
    ngx_memcpy(text->data + text->len, "...", 3);
    text->len += 3;
}


/* What is left of a text that is cut to len bytes, in whole characters. */

static size_t
evs_schema_cut(const u_char *data, size_t len)
{
    while (len > 0 && (data[len] & 0xc0) == 0x80) {
        len--;
    }

    return len;
}


void
evs_schema_add_json(evs_schema_text_t *text, const json_t *json)
{
    double              d, read;
    size_t              flags;
    evs_schema_quote_t  quote;

    flags = JSON_COMPACT|JSON_ENCODE_ANY;

    /* 0.1, not 0.10000000000000001, where that is the same */

    if (json_is_real(json)) {
        d = json_real_value(json);

        snprintf(quote.data, sizeof(quote.data), "%.15g", d);
        read = strtod(quote.data, NULL);

        if (read >= d && read <= d) {
            flags |= JSON_REAL_PRECISION(15);
        }
    }

    quote.len = 0;
    quote.cut = 0;

    (void) json_dump_callback(json, evs_schema_dumped, &quote, flags);

    evs_schema_add(text, "%.*s", (int) quote.len, quote.data);
}


/*
 * Until there is too much.  Then -1 makes jansson stop, but not before it has
 * closed what is open.
 */

static int
evs_schema_dumped(const char *buf, size_t size, void *data)
{
    size_t               room;
    evs_schema_quote_t  *quote;

    quote = data;

    if (quote->cut) {
        return -1;
    }

    room = EVS_SCHEMA_QUOTED - quote->len;

    if (size <= room) {
        ngx_memcpy(quote->data + quote->len, buf, size);
        quote->len += size;
        return 0;
    }

    ngx_memcpy(quote->data + quote->len, buf, room + 1);
    quote->len = evs_schema_cut((u_char *) quote->data, EVS_SCHEMA_QUOTED);

    ngx_memcpy(quote->data + quote->len, "...", 3);
    quote->len += 3;
    quote->cut = 1;

    return -1;
}


void
evs_schema_add_name(evs_schema_text_t *text, const char *name)
{
    json_t  *json;

    json = json_string_nocheck(name);

    if (json != NULL) {
        evs_schema_add_json(text, json);
        json_decref(json);
    }
}


void
evs_schema_add_names(evs_schema_text_t *text, const json_t *object)
{
    void        *iter;
    json_t      *names;
    const char  *before;

    before = ": known are ";
    names = (json_t *) object;

    for (iter = json_object_iter(names);
         iter != NULL;
         iter = json_object_iter_next(names, iter))
    {
        evs_schema_add(text, "%s", before);
        evs_schema_add_name(text, json_object_iter_key(iter));

        before = ", ";
    }
}


void
evs_schema_add_types(evs_schema_text_t *text, ngx_uint_t types)
{
    ngx_uint_t  i, left;

    static const struct {
        ngx_uint_t   bits;
        const char  *name;
    } names[] = {
        { EVS_SCHEMA_STRING, "a string" },
        { EVS_SCHEMA_NUMBER, "a number" },
        { EVS_SCHEMA_INTEGER, "an integer" },
        { EVS_SCHEMA_FRACTION, "a number with a fraction" },
        { EVS_SCHEMA_OBJECT, "an object" },
        { EVS_SCHEMA_ARRAY, "an array" },
        { EVS_SCHEMA_BOOLEAN, "a boolean" },
        { EVS_SCHEMA_NULL, "null" }
    };

    left = types;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if ((left & names[i].bits) != names[i].bits) {
            continue;
        }

        if (left != types) {
            evs_schema_add(text, (left == names[i].bits) ? " or " : ", ");
        }

        evs_schema_add(text, "%s", names[i].name);
        left &= ~names[i].bits;
    }
}
