
/*
 * Request bodies: see body.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <zlib.h>

#include "http/account.h"
#include "http/body.h"
#include "http/header.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


/* what an inflated body may have where client_max_body_size has no bound */
#define NGX_HTTP_EVENTSESSION_INFLATED_MAX  (64 * 1024 * 1024)

/* windowBits of inflateInit2() */
#define NGX_HTTP_EVENTSESSION_GZIP          (MAX_WBITS + 16)
#define NGX_HTTP_EVENTSESSION_ZLIB          MAX_WBITS
#define NGX_HTTP_EVENTSESSION_RAW           (-MAX_WBITS)


typedef enum {
    NGX_HTTP_EVENTSESSION_IDENTITY = 0,
    NGX_HTTP_EVENTSESSION_IN_GZIP,
    NGX_HTTP_EVENTSESSION_IN_DEFLATE
} ngx_http_eventsession_coding_e;


typedef struct {
    ngx_http_eventsession_body_pt    handler;
    const void                      *data;
    ngx_uint_t                       type;
    ngx_http_eventsession_coding_e   coding;
    uint64_t                         tick;   /* when it was whole */
} ngx_http_eventsession_body_ctx_t;


/* a body as it is inflated */
typedef struct {
    z_stream            zstream;
    ngx_http_request_t *request;
    u_char             *start;
    size_t              len;
    size_t              size;
    size_t              max;
} ngx_http_eventsession_inflate_t;


static ngx_uint_t ngx_http_eventsession_body_type(ngx_http_request_t *r,
    const char *const *types);
static ngx_uint_t ngx_http_eventsession_body_is(const ngx_str_t *value,
    const char *type);
static ngx_int_t ngx_http_eventsession_body_coding(ngx_http_request_t *r,
    ngx_http_eventsession_coding_e *coding);
static void ngx_http_eventsession_body_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_body_join(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_eventsession_body_inflate(ngx_http_request_t *r,
    ngx_http_eventsession_coding_e coding, ngx_str_t *body);
static ngx_int_t ngx_http_eventsession_inflate(
    ngx_http_eventsession_inflate_t *in, int bits, ngx_str_t *body);
static ngx_int_t ngx_http_eventsession_inflate_room(
    ngx_http_eventsession_inflate_t *in);
static void *ngx_http_eventsession_zalloc(void *opaque, u_int items,
    u_int size);
static void ngx_http_eventsession_zfree(void *opaque, void *address);


ngx_int_t
ngx_http_eventsession_read_body(ngx_http_request_t *r,
    const char *const *types, ngx_http_eventsession_body_pt handler,
    const void *data)
{
    ngx_int_t                          rc;
    ngx_uint_t                         type;
    ngx_http_eventsession_body_ctx_t  *ctx;

    type = ngx_http_eventsession_body_type(r, types);

    if (types[type] == NULL) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_eventsession_problem(r,
                   NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                   "the Content-Type must be %s%s%s", types[0],
                   types[1] ? " or " : "", types[1] ? types[1] : "");
    }

    ctx = ngx_palloc(r->pool, sizeof(ngx_http_eventsession_body_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->handler = handler;
    ctx->data = data;
    ctx->type = type;

    rc = ngx_http_eventsession_body_coding(r, &ctx->coding);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_eventsession_module);

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_eventsession_body_read);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* The index of the request's media type; of the last, NULL: another one. */

static ngx_uint_t
ngx_http_eventsession_body_type(ngx_http_request_t *r,
    const char *const *types)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *header;

    header = r->headers_in.content_type;

    for (i = 0; types[i] != NULL; i++) {

        if (header != NULL
            && ngx_http_eventsession_body_is(&header->value, types[i]))
        {
            break;
        }
    }

    return i;
}


/* Whether the media type is this one, whatever its parameters: 1 or 0. */

static ngx_uint_t
ngx_http_eventsession_body_is(const ngx_str_t *value, const char *type)
{
    size_t   len;
    u_char  *p, *last;

    len = ngx_strlen(type);

    if (value->len < len
        || ngx_strncasecmp(value->data, (u_char *) type, len) != 0)
    {
        return 0;
    }

    last = value->data + value->len;

    for (p = value->data + len; p < last && (*p == ' ' || *p == '\t'); p++) {
        /* void */
    }

    return p == last || *p == ';';
}


/* NGX_DECLINED: one that we know; otherwise a reply has been made. */

static ngx_int_t
ngx_http_eventsession_body_coding(ngx_http_request_t *r,
    ngx_http_eventsession_coding_e *coding)
{
    ngx_int_t    rc;
    ngx_str_t   *value;
    ngx_uint_t   i, n;

    static const struct {
        ngx_str_t                        name;
        ngx_http_eventsession_coding_e   coding;
    } codings[] = {
        { ngx_string("identity"), NGX_HTTP_EVENTSESSION_IDENTITY },
        { ngx_string("gzip"), NGX_HTTP_EVENTSESSION_IN_GZIP },
        { ngx_string("x-gzip"), NGX_HTTP_EVENTSESSION_IN_GZIP },
        { ngx_string("deflate"), NGX_HTTP_EVENTSESSION_IN_DEFLATE },
        { ngx_null_string, NGX_HTTP_EVENTSESSION_IDENTITY }
    };

    *coding = NGX_HTTP_EVENTSESSION_IDENTITY;

    value = ngx_http_eventsession_header_in(r, "content-encoding");

    if (value == NULL) {
        return NGX_DECLINED;
    }

    /* two headers are two codings, one upon the other */

    n = ngx_http_eventsession_header_count(r, "content-encoding");

    for (i = 0; n == 1 && codings[i].name.len; i++) {

        if (value->len == codings[i].name.len
            && ngx_strncasecmp(value->data, codings[i].name.data, value->len)
               == 0)
        {
            *coding = codings[i].coding;
            return NGX_DECLINED;
        }
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_eventsession_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                           "the Content-Encoding must be gzip or deflate");
}


uint64_t
ngx_http_eventsession_body_tick(ngx_http_request_t *r)
{
    ngx_http_eventsession_body_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_eventsession_module);

    return ctx->tick;
}


static void
ngx_http_eventsession_body_read(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_str_t                          body;
    ngx_http_eventsession_body_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_body_join(r, &body);

    if (rc == NGX_OK && ctx->coding != NGX_HTTP_EVENTSESSION_IDENTITY) {
        rc = ngx_http_eventsession_body_inflate(r, ctx->coding, &body);
    }

    switch (rc) {

    case NGX_OK:
        evs_stats_tick();
        ctx->tick = evs_stats.now;

        ngx_http_eventsession_account_body(r, body.len);

        ctx->handler(r, &body, ctx->type, ctx->data);
        return;

    case NGX_DECLINED:
        rc = ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                     "the body is not what its Content-Encoding says, or "
                     "ends in the middle");
        break;

    case NGX_BUSY:
        rc = ngx_http_eventsession_problem(r,
                     NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                     "the body is too large when it is inflated");
        break;

    default:
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        break;
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * The parts of the body, in memory and in a file, as one.  A copy in any case:
 * mirrored requests share the parts, and $request_body is logged from them.
 */

static ngx_int_t
ngx_http_eventsession_body_join(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         len;
    size_t        size;
    ssize_t       n;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_null(body);

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        body->data = (u_char *) "";
        return NGX_OK;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    body->data = ngx_pnalloc(r->pool, (size_t) len + 1);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = body->data;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, (size_t) (b->last - b->pos));
            continue;
        }

        size = (size_t) (b->file_last - b->file_pos);
        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n == NGX_ERROR || (size_t) n != size) {
            return NGX_ERROR;
        }

        p += size;
    }

    body->len = (size_t) len;

    return NGX_OK;
}


/* NGX_OK; NGX_DECLINED: broken; NGX_BUSY: too large; NGX_ERROR: no memory. */

static ngx_int_t
ngx_http_eventsession_body_inflate(ngx_http_request_t *r,
    ngx_http_eventsession_coding_e coding, ngx_str_t *body)
{
    int                               bits;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_eventsession_inflate_t   in;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_memzero(&in, sizeof(ngx_http_eventsession_inflate_t));

    in.request = r;
    in.max = clcf->client_max_body_size
             ? (size_t) clcf->client_max_body_size
             : NGX_HTTP_EVENTSESSION_INFLATED_MAX;

    bits = NGX_HTTP_EVENTSESSION_GZIP;

    if (coding == NGX_HTTP_EVENTSESSION_IN_DEFLATE) {

        /* with a zlib header, as it should be, or without, as some send it */

        bits = (body->len >= 2 && (body->data[0] & 0x0f) == Z_DEFLATED
                && (body->data[0] * 256 + body->data[1]) % 31 == 0)
               ? NGX_HTTP_EVENTSESSION_ZLIB : NGX_HTTP_EVENTSESSION_RAW;
    }

    return ngx_http_eventsession_inflate(&in, bits, body);
}


static ngx_int_t
ngx_http_eventsession_inflate(ngx_http_eventsession_inflate_t *in, int bits,
    ngx_str_t *body)
{
    int        rc;
    z_stream  *zs;
    ngx_int_t  status;

    rc = Z_OK;
    zs = &in->zstream;

    zs->zalloc = ngx_http_eventsession_zalloc;
    zs->zfree = ngx_http_eventsession_zfree;
    zs->opaque = in->request->connection->log;
    zs->next_in = body->data;
    zs->avail_in = (uInt) body->len;

    if (inflateInit2(zs, bits) != Z_OK) {
        return NGX_ERROR;
    }

    do {
        status = ngx_http_eventsession_inflate_room(in);
        if (status != NGX_OK) {
            break;
        }

        rc = inflate(zs, Z_NO_FLUSH);

        in->len = in->size - zs->avail_out;

        status = NGX_DECLINED;

        if (rc == Z_STREAM_END) {

            if (zs->avail_in == 0) {
                status = (in->len > in->max) ? NGX_BUSY : NGX_OK;
                break;
            }

            /* a gzip file may have several members (RFC 1952, 2.2) */

            if (bits != NGX_HTTP_EVENTSESSION_GZIP
                || inflateReset(zs) != Z_OK)
            {
                break;
            }

            rc = Z_OK;
        }

    } while (rc == Z_OK);

    if (rc == Z_MEM_ERROR) {
        status = NGX_ERROR;
    }

    (void) inflateEnd(zs);

    body->data = in->start;
    body->len = in->len;

    return status;
}


/* Room for more; one byte beyond max tells what is too large. */

static ngx_int_t
ngx_http_eventsession_inflate_room(ngx_http_eventsession_inflate_t *in)
{
    size_t   size;
    u_char  *start;

    if (in->len > in->max) {
        return NGX_BUSY;
    }

    if (in->len < in->size) {
        return NGX_OK;
    }

    size = in->size ? 2 * in->size : 16384;
    size = ngx_min(size, in->max + 1);

    start = ngx_palloc(in->request->pool, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    if (in->start) {
        ngx_memcpy(start, in->start, in->len);
        (void) ngx_pfree(in->request->pool, in->start);
    }

    in->start = start;
    in->size = size;
    in->zstream.next_out = start + in->len;
    in->zstream.avail_out = (uInt) (size - in->len);

    return NGX_OK;
}


static void *
ngx_http_eventsession_zalloc(void *opaque, u_int items, u_int size)
{
    return ngx_alloc((size_t) items * size, opaque);
}


static void
ngx_http_eventsession_zfree(void *opaque, void *address)
{
    ngx_free(address);
}
