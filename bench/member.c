
/*
 * What a member costs: nanoseconds an event, to write it as it goes into the
 * sorted set, and to read it and write it as a child of the tree.
 *
 * Built and run by make bench.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "store/member.h"


#define TURNS   2000000
#define ROUNDS  7


typedef struct {
    const char   *name;
    evs_entry_t   entry;
} member_case_t;


static double member_write(const evs_entry_t *entry, size_t *len);
static double member_render(const evs_entry_t *entry, size_t *len);
static double member_now(void);


static const member_case_t  member_cases[] = {
    { "ms", { EVS_ENTRY_EVENT,
              { 1624422533298000, ngx_string("1624422533298") },
              ngx_string("cart_loaded"),
              ngx_null_string, ngx_null_string, ngx_null_string,
              ngx_null_string, ngx_null_string } },

    { "decimal", { EVS_ENTRY_EVENT,
              { 1624422533298123, ngx_string("1624422533.298123") },
              ngx_string("cart_loaded"),
              ngx_null_string, ngx_null_string, ngx_null_string,
              ngx_null_string, ngx_null_string } },

    { "rich", { EVS_ENTRY_EVENT,
              { 1624422533298000, ngx_string("\"2021-06-23T04:28:53.298Z\"") },
              ngx_string("cart_loaded"), ngx_string("a8098c1a-f86e"),
              ngx_string("shop"),
              ngx_string("{\"items\":[1,2,3],\"currency\":\"EUR\"}"),
              ngx_null_string, ngx_null_string } }
};


int
main(void)
{
    size_t       len, child;
    double       write, render, t;
    ngx_uint_t   i, n;

    for (i = 0; i < sizeof(member_cases) / sizeof(member_cases[0]); i++) {
        write = 1e9;
        render = 1e9;

        for (n = 0; n < ROUNDS; n++) {
            t = member_write(&member_cases[i].entry, &len);
            write = ngx_min(write, t);

            t = member_render(&member_cases[i].entry, &child);
            render = ngx_min(render, t);
        }

        printf("%-8s member of %3zu bytes  %5.1f ns to write, "
               "%5.1f ns to read as a child of %3zu bytes\n",
               member_cases[i].name, len, write, render, child);
    }

    return 0;
}


static double
member_write(const evs_entry_t *entry, size_t *len)
{
    double      start;
    u_char      buf[1024], id[EVS_MEMBER_ID_LEN];
    ngx_uint_t  i;

    ngx_memzero(id, sizeof(id));

    start = member_now();

    for (i = 0; i < TURNS; i++) {
        id[0] = (u_char) i;
        *len = (size_t) (evs_member_write(buf, entry, id) - buf);
        __asm__ volatile ("" : : "r" (buf) : "memory");
    }

    return (member_now() - start) * 1e9 / TURNS;
}


static double
member_render(const evs_entry_t *entry, size_t *len)
{
    double        start;
    u_char        buf[1024], child[1024], id[EVS_MEMBER_ID_LEN];
    ngx_str_t     text;
    ngx_uint_t    i;
    evs_member_t  member;

    ngx_memzero(id, sizeof(id));

    text.data = buf;
    text.len = (size_t) (evs_member_write(buf, entry, id) - buf);

    start = member_now();

    for (i = 0; i < TURNS; i++) {

        if (evs_member_read(&member, &text) != NGX_OK) {
            abort();
        }

        *len = (size_t) (evs_member_child(child, &member) - child);
        __asm__ volatile ("" : : "r" (child) : "memory");
    }

    return (member_now() - start) * 1e9 / TURNS;
}


static double
member_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}
