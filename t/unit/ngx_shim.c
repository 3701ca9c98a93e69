
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
