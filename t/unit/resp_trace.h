
/*
 * Feeds a stream of replies to the reader as a socket would, in reads of any
 * size, and writes down what came out, so that two ways of cutting the same
 * stream, and two readers, can be compared.
 *
 * What is not read yet and what comes lie in memory of exactly their size, so
 * that a sanitizer sees a byte too many.
 */


#ifndef _EVS_RESP_TRACE_H_INCLUDED_
#define _EVS_RESP_TRACE_H_INCLUDED_


#include <assert.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/resp_read.h"


/* "*2 .:12 .$3#abc\n": a dot is an element, the line a reply, "!" a fault */
typedef struct {
    char    *data;
    size_t   len;
    size_t   size;
} resp_trace_t;


static inline void
resp_trace_free(resp_trace_t *trace)
{
    free(trace->data);
    memset(trace, 0, sizeof(resp_trace_t));
}


static inline void
resp_trace_add(resp_trace_t *trace, const void *text, size_t len)
{
    if (trace->size - trace->len <= len) {
        trace->size = 2 * trace->size + len + 256;
        trace->data = realloc(trace->data, trace->size);
        assert(trace->data != NULL);
    }

    if (len != 0) {
        memcpy(trace->data + trace->len, text, len);
    }

    trace->len += len;
    trace->data[trace->len] = '\0';
}


/* As RESP has it: "$5#hello", "+2#OK", "-3#ERR", ":12", "*3", "_". */

static inline void
resp_trace_part(resp_trace_t *trace, char type, ngx_uint_t nested,
    int64_t number, const void *text)
{
    int   n;
    char  head[64];

    n = (type == '_') ? snprintf(head, sizeof(head), "%s_ ", nested ? "." : "")
        : snprintf(head, sizeof(head), "%s%c%lld%c", nested ? "." : "", type,
                   (long long) number, text != NULL ? '#' : ' ');

    resp_trace_add(trace, head, (size_t) n);

    if (text != NULL) {
        resp_trace_add(trace, text, (size_t) number);
        resp_trace_add(trace, " ", 1);
    }
}


static inline void
resp_trace_read(resp_trace_t *trace, const evs_resp_part_t *part)
{
    switch (part->type) {

    case EVS_REDIS_STRING:
        resp_trace_part(trace, '$', part->nested, (int64_t) part->text.len,
                        part->text.data);
        break;

    case EVS_REDIS_STATUS:
        resp_trace_part(trace, '+', part->nested, (int64_t) part->text.len,
                        part->text.data);
        break;

    case EVS_REDIS_ERROR:
        resp_trace_part(trace, '-', part->nested, (int64_t) part->text.len,
                        part->text.data);
        break;

    case EVS_REDIS_INTEGER:
        resp_trace_part(trace, ':', part->nested, part->integer, NULL);
        break;

    case EVS_REDIS_NIL:
        resp_trace_part(trace, '_', part->nested, 0, NULL);
        break;

    default:
        assert(part->type == EVS_REDIS_ARRAY);
        resp_trace_part(trace, '*', part->nested, part->integer, NULL);
    }

    if (part->ends) {
        resp_trace_add(trace, "\n", 1);
    }
}


/* What is promised of a part, whatever it is. */

static inline void
resp_trace_check(const evs_resp_reader_t *reader, const evs_resp_part_t *part)
{
    char  digits[32];

    assert(reader->depth <= EVS_RESP_DEPTH_MAX);
    assert(part->text.data != NULL && part->text.data <= reader->pos);
    assert(part->text.data + part->text.len <= reader->pos);
    assert(part->nested <= 1 && part->ends <= 1);
    assert(part->ends == (reader->depth == 0));

    if (part->type != EVS_REDIS_INTEGER && part->type != EVS_REDIS_ARRAY) {
        assert(part->integer == 0);
    }

    if (part->type == EVS_REDIS_INTEGER) {
        (void) snprintf(digits, sizeof(digits), "%lld",
                        (long long) part->integer);

        assert(part->text.len == strlen(digits));
        assert(memcmp(part->text.data, digits, part->text.len) == 0);
    }
}


/*
 * Feeds the stream in reads of steps[0], steps[1], ... bytes, around and
 * around, until its end or a fault; NULL, or what the fault was.
 */

static inline const char *
resp_feed(resp_trace_t *trace, const u_char *stream, size_t len,
    const size_t *steps, size_t nsteps)
{
    size_t              i, n, fed, left;
    u_char             *buf, *old;
    ngx_int_t           rc;
    evs_resp_part_t     part;
    evs_resp_reader_t   reader;

    memset(&reader, 0, sizeof(evs_resp_reader_t));
    resp_trace_add(trace, "", 0);

    rc = NGX_AGAIN;
    old = NULL;
    left = 0;
    fed = 0;

    for (i = 0; fed < len && rc == NGX_AGAIN; i++) {
        n = ngx_min(steps[i % nsteps], len - fed);

        buf = malloc(left + n);
        assert(buf != NULL);

        if (left != 0) {
            memcpy(buf, reader.pos, left);
        }

        memcpy(buf + left, stream + fed, n);
        fed += n;

        free(old);
        old = buf;

        reader.pos = buf;
        reader.last = buf + left + n;

        while ((rc = evs_resp_next(&reader, &part)) == NGX_OK) {
            assert(reader.pos > buf && reader.pos <= reader.last);

            resp_trace_check(&reader, &part);
            resp_trace_read(trace, &part);
        }

        left = (size_t) (reader.last - reader.pos);
    }

    free(old);

    if (rc == NGX_ERROR) {
        assert(reader.why != NULL);
        resp_trace_add(trace, "!", 1);

        return reader.why;
    }

    return NULL;
}


#endif /* _EVS_RESP_TRACE_H_INCLUDED_ */
