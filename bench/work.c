
/*
 * The work of events, and nothing else: what bench/instructions counts the
 * instructions of.
 *
 *     work CASE EVENTS TURNS
 *
 * A message of so many events is read TURNS times, each time a fresh copy;
 * all copies are made before, MAX of them whatever TURNS is, so that two runs
 * differ in nothing but their turns.
 *
 *     frame    the frame is parsed, unmasked and checked
 *     scan     the entries are scanned and checked
 *     encode   entries are written as members of the sorted set
 *     render   members are read and written as children of the tree
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/scan.h"
#include "proto/ws_frame.h"
#include "store/member.h"


#define MAX_EVENTS   100
#define MAX          200         /* turns */
#define EVENT                                                                \
    "{\"timestamp\":1624422533298,\"type\":\"EVENT\",\"name\":\"cart_saved\"}"


typedef struct {
    const char  *name;
    void       (*run)(u_char *text, size_t len, ngx_uint_t turn);
    ngx_uint_t   framed;
} work_t;


static void work_frame(u_char *text, size_t len, ngx_uint_t turn);
static void work_scan(u_char *text, size_t len, ngx_uint_t turn);
static void work_encode(u_char *text, size_t len, ngx_uint_t turn);
static void work_render(u_char *text, size_t len, ngx_uint_t turn);
static size_t work_message(u_char *p);
static size_t work_mask(u_char *p, const u_char *text, size_t len);
static u_char *work_members(void);
static void work_fail(const char *what);


static const work_t  works[] = {
    { "frame",  work_frame,  1 },
    { "scan",   work_scan,   0 },
    { "encode", work_encode, 0 },
    { "render", work_render, 0 }
};

static const evs_limits_t  limits = { 20000, 255, 200, 65536 };

static const evs_sid_t  sid = {
    36, "e6fa79ca-d142-4046-a134-5134f16a0b5e"
};

static evs_json_names_t  *names;
static evs_entry_t        plain;
static ngx_uint_t         events;
static u_char             output[MAX_EVENTS * 256];
static u_char             members[MAX_EVENTS * 128];
static ngx_str_t          member[MAX_EVENTS];


int
main(int argc, char **argv)
{
    size_t         len;
    u_char        *all, text[MAX_EVENTS * 128], frame[MAX_EVENTS * 128];
    ngx_uint_t     i, turns;
    const work_t  *work;

    work = NULL;

    for (i = 0; argc == 4 && i < sizeof(works) / sizeof(works[0]); i++) {
        if (ngx_strcmp(argv[1], works[i].name) == 0) {
            work = &works[i];
        }
    }

    events = work ? (ngx_uint_t) atoi(argv[2]) : 0;
    turns = work ? (ngx_uint_t) atoi(argv[3]) : 0;

    if (events == 0 || events > MAX_EVENTS || turns == 0 || turns > MAX) {
        work_fail("usage: see the top of bench/work.c");
    }

    names = evs_json_names_create();
    len = work_message(text);

    plain.type = EVS_ENTRY_EVENT;
    plain.timestamp.us = 1624422533298000;
    ngx_str_set(&plain.timestamp.text, "1624422533298");
    ngx_str_set(&plain.name, "cart_saved");
    work_members();

    if (work->framed) {
        len = work_mask(frame, text, len);
        ngx_memcpy(text, frame, len);
    }

    all = malloc(MAX * len);

    if (all == NULL || names == NULL) {
        work_fail("memory");
    }

    for (i = 0; i < MAX; i++) {
        ngx_memcpy(all + i * len, text, len);
    }

    for (i = 0; i < turns; i++) {
        work->run(all + i * len, len, i);
    }

    evs_json_names_destroy(names);
    free(all);

    return 0;
}


static void
work_frame(u_char *text, size_t len, ngx_uint_t turn)
{
    u_char           *pos;
    evs_ws_event_t    event;
    evs_ws_parser_t   parser;

    pos = text;
    evs_ws_parser_init(&parser, len);

    if (evs_ws_parse(&parser, &pos, text + len, &event) != NGX_OK) {
        work_fail("the frame was not read");
    }
}


static void
work_scan(u_char *text, size_t len, ngx_uint_t turn)
{
    ngx_int_t     rc;
    ngx_uint_t    i;
    evs_scan_t    scan;
    evs_entry_t   entry;

    evs_scan_init(&scan, text, len, &sid, EVS_SID_UUID, &limits, names);

    for (i = 0; (rc = evs_scan_next(&scan, &entry)) == NGX_OK; i++) {
        __asm__ volatile ("" : : "r" (&entry) : "memory");
    }

    if (rc != NGX_DONE || i != events) {
        work_fail("the message was not read");
    }
}


static void
work_encode(u_char *text, size_t len, ngx_uint_t turn)
{
    if (work_members() == members) {
        work_fail("nothing was written");
    }
}


static void
work_render(u_char *text, size_t len, ngx_uint_t turn)
{
    u_char        *p;
    ngx_uint_t     i;
    evs_member_t   m;

    p = output;

    for (i = 0; i < events; i++) {

        if (evs_member_read(&m, &member[i]) != NGX_OK) {
            work_fail("the member was not read");
        }

        p = evs_member_child(p, &m);
    }

    __asm__ volatile ("" : : "r" (output) : "memory");
}


static size_t
work_message(u_char *p)
{
    u_char      *start;
    ngx_uint_t   i;

    start = p;

    for (i = 0; i < events; i++) {
        *p++ = i ? ',' : '[';
        p = ngx_cpymem(p, EVENT, sizeof(EVENT) - 1);
    }

    *p++ = ']';

    return (size_t) (p - start);
}


static size_t
work_mask(u_char *p, const u_char *text, size_t len)
{
    u_char               *start;
    size_t                i;
    static const u_char   mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    start = p;
    p = evs_ws_head(p, EVS_WS_TEXT, len);
    start[1] |= 0x80;
    p = ngx_cpymem(p, mask, 4);

    for (i = 0; i < len; i++) {
        *p++ = text[i] ^ mask[i % 4];
    }

    return (size_t) (p - start);
}


static u_char *
work_members(void)
{
    u_char         *p;
    ngx_uint_t      i;
    static u_char   id[EVS_MEMBER_ID_LEN];

    p = members;

    for (i = 0; i < events; i++) {
        member[i].data = p;
        p = evs_member_write(p, &plain, id);
        member[i].len = (size_t) (p - member[i].data);
    }

    __asm__ volatile ("" : : "r" (members) : "memory");

    return p;
}


static void
work_fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}
