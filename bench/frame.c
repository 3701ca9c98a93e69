
/*
 * What a WebSocket frame costs to read: nanoseconds a frame, for masked text
 * frames of a few sizes, ASCII and not.  Each turn reads a fresh copy, since
 * the parser unmasks in place; the cost of the copy alone is taken off.
 *
 *     cc -O2 -Ingx_http_eventsession_module <nginx's include folders> \
 *         bench/frame.c ngx_http_eventsession_module/proto/utf8.c \
 *         ngx_http_eventsession_module/proto/ws_frame.c \
 *         t/unit/ngx_shim.c -o frame && ./frame
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "proto/ws_frame.h"


#define TURNS   2000000
#define ROUNDS  7
#define MAX     16384


typedef struct {
    const char  *name;
    const char  *text;       /* repeated to the size */
    size_t       size;
    size_t       cut;        /* bytes that come first; 0: all at once */
} frame_case_t;


static size_t frame_make(u_char *p, const frame_case_t *fc);
static double frame_run(const u_char *frame, size_t len, size_t cut,
    ngx_uint_t parse);
static ngx_uint_t frame_parse(evs_ws_parser_t *parser, u_char *p, size_t len,
    size_t cut);
static double frame_now(void);


static const frame_case_t  frame_cases[] = {
    { "ascii",      "{\"type\":\"EVENT\"}", 64,   0 },
    { "ascii",      "{\"type\":\"EVENT\"}", 700,  0 },
    { "ascii",      "{\"type\":\"EVENT\"}", 7000, 0 },
    { "cyrillic",   "\xd1\x81\xd0\xbb\xd0\xbe\xd0\xb2\xd0\xbe ", 704,  0 },
    { "cyrillic",   "\xd1\x81\xd0\xbb\xd0\xbe\xd0\xb2\xd0\xbe ", 7007, 0 },
    { "cjk",        "\xe6\x9d\xb1\xe4\xba\xac", 7002, 0 },
    { "emoji",      "ok \xf0\x9f\x98\x80 ", 7000, 0 },
    { "two reads",  "{\"type\":\"EVENT\"}", 700,  300 },
    { "two reads",  "{\"type\":\"EVENT\"}", 7000, 3000 }
};


int
main(void)
{
    size_t               len;
    double               with, copy, t;
    u_char               frame[MAX];
    ngx_uint_t           i, n;
    const frame_case_t  *fc;

    for (i = 0; i < sizeof(frame_cases) / sizeof(frame_cases[0]); i++) {
        fc = &frame_cases[i];
        len = frame_make(frame, fc);

        with = 1e9;
        copy = 1e9;

        for (n = 0; n < ROUNDS; n++) {
            t = frame_run(frame, len, fc->cut, 1);
            with = ngx_min(with, t);

            t = frame_run(frame, len, fc->cut, 0);
            copy = ngx_min(copy, t);
        }

        printf("%-10s %5zu bytes  %8.1f ns  (the copy: %.1f ns)\n",
               fc->name, fc->size, with - copy, copy);
    }

    return 0;
}


static size_t
frame_make(u_char *p, const frame_case_t *fc)
{
    size_t         head, i, n;
    static u_char  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    head = (size_t) (evs_ws_head(p, EVS_WS_TEXT, fc->size) - p);
    p[1] |= 0x80;

    ngx_memcpy(p + head, mask, 4);
    n = ngx_strlen(fc->text);

    for (i = 0; i < fc->size; i++) {
        p[head + 4 + i] = (u_char) fc->text[i % n] ^ mask[i % 4];
    }

    return head + 4 + fc->size;
}


static double
frame_run(const u_char *frame, size_t len, size_t cut, ngx_uint_t parse)
{
    u_char           buf[MAX];
    double           start;
    ngx_uint_t       i, turns;
    evs_ws_parser_t  parser;

    turns = TURNS / (1 + len / 64);
    evs_ws_parser_init(&parser, MAX);

    start = frame_now();

    for (i = 0; i < turns; i++) {
        ngx_memcpy(buf, frame, len);

        /* the copy must not be optimized away */
        __asm__ volatile ("" : : "r" (buf) : "memory");

        if (parse && frame_parse(&parser, buf, len, cut) != 1) {
            fprintf(stderr, "frame not read\n");
            exit(1);
        }
    }

    return (frame_now() - start) / (double) turns;
}


static ngx_uint_t
frame_parse(evs_ws_parser_t *parser, u_char *p, size_t len, size_t cut)
{
    u_char          *last;
    ngx_uint_t       n;
    evs_ws_event_t   event;

    n = 0;
    last = p + len;

    if (cut != 0) {
        n += (evs_ws_parse(parser, &p, p + cut, &event) == NGX_OK);
    }

    while (evs_ws_parse(parser, &p, last, &event) == NGX_OK) {
        n++;
    }

    return n;
}


static double
frame_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}
