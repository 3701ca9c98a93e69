
/*
 * The functions of nginx's core that pure rooms may call, for where they are
 * compiled without nginx.  A test can make memory run out: of that many more
 * allocations each succeeds, then none does; -1, as it begins: all do.
 */


#include <ngx_config.h>
#include <ngx_core.h>


extern ngx_int_t  ngx_shim_allocs;

ngx_int_t  ngx_shim_allocs = -1;


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    (void) log;

    if (ngx_shim_allocs == 0) {
        return NULL;
    }

    if (ngx_shim_allocs > 0) {
        ngx_shim_allocs--;
    }

    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    void  *p;

    p = ngx_alloc(size, log);

    if (p != NULL) {
        ngx_memzero(p, size);
    }

    return p;
}


/*
 * A pool in which everything is a block of its own, so that a sanitizer sees
 * where each ends, and what is used after it was freed.
 */

ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    (void) size;

    pool = ngx_calloc(sizeof(ngx_pool_t), log);

    if (pool != NULL) {
        pool->log = log;
    }

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t    *large;
    ngx_pool_cleanup_t  *cln;

    for (cln = pool->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler != NULL) {
            cln->handler(cln->data);
        }
    }

    while (pool->large != NULL) {
        large = pool->large;
        pool->large = large->next;

        free(large->alloc);
        free(large);
    }

    free(pool);
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    ngx_pool_large_t  *large;

    large = malloc(sizeof(ngx_pool_large_t));
    if (large == NULL) {
        return NULL;
    }

    large->alloc = ngx_alloc(size, pool->log);

    if (large->alloc == NULL) {
        free(large);
        return NULL;
    }

    large->next = pool->large;
    pool->large = large;

    return large->alloc;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    if (p != NULL) {
        ngx_memzero(p, size);
    }

    return p;
}


ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    ngx_pool_large_t  *large, **next;

    for (next = &pool->large; *next != NULL; next = &large->next) {
        large = *next;

        if (large->alloc == p) {
            *next = large->next;

            free(p);
            free(large);

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_palloc(pool, sizeof(ngx_pool_cleanup_t));
    if (cln == NULL) {
        return NULL;
    }

    cln->data = NULL;

    if (size != 0) {
        cln->data = ngx_palloc(pool, size);
        if (cln->data == NULL) {
            return NULL;
        }
    }

    cln->handler = NULL;
    cln->next = pool->cleanup;
    pool->cleanup = cln;

    return cln;
}


u_char *
ngx_hex_dump(u_char *dst, u_char *src, size_t len)
{
    static const u_char  hex[] = "0123456789abcdef";

    while (len--) {
        *dst++ = hex[*src >> 4];
        *dst++ = hex[*src++ & 0xf];
    }

    return dst;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    for (value = 0; n-- > 0; line++) {

        if (!isxdigit(*line)) {
            return NGX_ERROR;
        }

        value = value * 16
                + (isdigit(*line) ? *line - '0' : (*line | 0x20) - 'a' + 10);
    }

    return value;
}
