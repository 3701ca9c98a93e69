
/*
 * What filters cost: nanoseconds a record, for typical ones and for those that
 * were made to cost much; and microseconds for parsing 4096 bytes of anything.
 *
 *     cc -O2 -Ingx_http_eventsession_module <nginx's include folders> \
 *         bench/filter.c ngx_http_eventsession_module/event/?*.c \
 *         t/unit/ngx_shim.c -ljansson -lpcre2-8 -o filter && ./filter
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <time.h>

#include "event/filter.h"


#define ROUNDS  5
#define TURN    50000000.0       /* nanoseconds a round, about */


typedef struct {
    const char  *name;
    const char  *filter;         /* NULL: the one of 64 terms */
    const char  *term;           /* which has this one 64 times */
    size_t       message;        /* its length; 0: the short one */
    const char  *letters;        /* of the long one */
} filter_case_t;


typedef struct {
    const char  *name;
    const char  *before;
    const char  *text;           /* until there are 4096 bytes */
} parse_case_t;


static double filter_match(const filter_case_t *fc);
static double filter_parse(const parse_case_t *pc);
static void filter_record(evs_record_t *record, const filter_case_t *fc);
static void filter_repeat(ngx_str_t *text, const char *before,
    const char *part, const char *between, size_t n);
static void filter_str(ngx_str_t *str, const char *text);
static double filter_now(void);


static const filter_case_t  filter_cases[] = {
    { "email eq, matches",   "(email eq 'diego@chefhero.com')", NULL, 0, NULL },
    { "email eq, does not",  "(email eq 'maria@chefhero.com')", NULL, 0, NULL },
    { "createdAt range",     "(createdAt gte '2018-1-1')AND"
                             "(createdAt lt '2018-2-1')", NULL, 0, NULL },
    { "seed's example",      "((email eq 'diego@chefhero.com') AND "
                             "(createdAt gte '2018-1-1') AND "
                             "(message ct 'buyer' ))", NULL, 0, NULL },
    { "message lt",          "(message lt 'u')", NULL, 0, NULL },
    { "message ct",          "(message ct 'ORDER SUC')", NULL, 0, NULL },
    { "message ct, absent",  "(message ct 'failed')", NULL, 0, NULL },
    { "ct, 1000 ASCII",      "(message ct 'failed')", NULL, 1000,
                             "the quick brown fox " },
    { "ct, 1000 Cyrillic",   "(message ct 'неправда')", NULL, 2000,
                             "Съешь же ещё этих " },
    { "ct, 1000 Japanese",   "(message ct '失敗')", NULL, 3000,
                             "注文が完了しました" },
    { "data.key eq",         "(data.key eq '124')", NULL, 0, NULL },
    { "data.a.b ct",         "(data.\"another key\" ct 'VALUE')", NULL, 0,
                             NULL },
    { "data, 4 paths",       "(data.key gt '5')AND(data.x eq 'a')AND"
                             "(data.n.a ne '1')AND(data.n.b lt 'z')", NULL, 0,
                             NULL },
    { "64 ct, 1000 ASCII",   NULL, "(message ct 'failed')", 1000,
                             "the quick brown fox " },
    { "64 ct, all a",        NULL, "(message ct 'aaaaaaaaaaaaaaaaaaaaaaaaaaab"
                             "aaaaaaaaaaa')", 4000, "a" },
    { "1 ct, all a",         "(message ct 'aaaaaaaaaaaaaaaaaaaaaaaaaaab"
                             "aaaaaaaaaaa')", NULL, 4000, "a" },
    { "64 ct, all ab",       NULL, "(message ct 'abababababababababababababab"
                             "abababababaa')", 4000, "ab" },
    { "64 data paths",       NULL, "(data.n.a.2.x eq 'z')", 0, NULL }
};


static const parse_case_t  parse_cases[] = {
    { "one comparison of 4096 bytes", "(id ct '", "x" },
    { "escapes",                      "(id eq '", "\\'" },
    { "comparisons",                  "(id eq'')", "OR(id eq'')" },
    { "open brackets",                "", "(" },
    { "quotes",                       "", "'" },
    { "blanks",                       "", " " },
    { "a path",                       "(data", ".a" },
    { "no keyword",                   "(", "x" }
};


int
main(void)
{
    size_t  i;

    printf("%-34s %10s\n", "match", "ns");

    for (i = 0; i < sizeof(filter_cases) / sizeof(filter_cases[0]); i++) {
        printf("%-34s %10.0f\n", filter_cases[i].name,
               filter_match(&filter_cases[i]));
    }

    printf("\n%-34s %10s\n", "parse, 4096 bytes", "us");

    for (i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
        printf("%-34s %10.1f\n", parse_cases[i].name,
               filter_parse(&parse_cases[i]) / 1000);
    }

    return 0;
}


/* The best of the rounds. */

static double
filter_match(const filter_case_t *fc)
{
    double                 best, t;
    ngx_str_t              text;
    ngx_uint_t             i, n, round;
    ngx_pool_t            *pool;
    evs_record_t           record;
    evs_filter_t          *filter;
    evs_filter_fault_t     fault;
    evs_filter_matcher_t  *matcher;

    pool = ngx_create_pool(4096, NULL);

    filter_record(&record, fc);

    if (fc->filter != NULL) {
        filter_repeat(&text, fc->filter, "", "", 0);

    } else {
        filter_repeat(&text, fc->term, fc->term, "OR", 63);
    }

    if (evs_filter_parse(&filter, pool, &text, &fault) != NGX_OK) {
        printf("%s: %.*s\n", fc->name, (int) fault.text.len, fault.text.data);
        exit(1);
    }

    matcher = evs_filter_matcher(pool, filter);

    best = 0;
    n = 10;

    for (round = 0; round < ROUNDS; round++) {
        t = filter_now();

        for (i = 0; i < n; i++) {
            if (evs_filter_match(matcher, &record) == NGX_ERROR) {
                exit(1);
            }
        }

        t = (filter_now() - t) / (double) n;
        n = (ngx_uint_t) (TURN / (t + 1)) + 1;

        if (round == 0 || t < best) {
            best = t;
        }
    }

    ngx_destroy_pool(pool);

    return best;
}


static double
filter_parse(const parse_case_t *pc)
{
    double               best, t;
    ngx_str_t            text;
    ngx_uint_t           i, round;
    ngx_pool_t          *pool;
    evs_filter_t        *filter;
    evs_filter_fault_t   fault;

    filter_repeat(&text, pc->before, pc->text, "", 4096);
    text.len = 4096;
    best = 0;

    for (round = 0; round < ROUNDS; round++) {
        t = filter_now();

        for (i = 0; i < 1000; i++) {
            pool = ngx_create_pool(4096, NULL);
            (void) evs_filter_parse(&filter, pool, &text, &fault);
            ngx_destroy_pool(pool);
        }

        t = (filter_now() - t) / 1000;

        if (round == 0 || t < best) {
            best = t;
        }
    }

    free(text.data);

    return best;
}


static void
filter_record(evs_record_t *record, const filter_case_t *fc)
{
    ngx_memzero(record, sizeof(evs_record_t));

    record->us = 1516000000000000LL;
    filter_str(&record->email, "diego@chefhero.com");
    filter_str(&record->environment, "production");
    filter_str(&record->component, "order");
    filter_str(&record->message, "the buyer #1 has placed an order "
               "successfully");
    filter_str(&record->data, "{\"key\":123,\"another key\":\"Some value\","
               "\"n\":{\"a\":[1,2,{\"x\":\"y\"}],\"b\":\"c\"},\"x\":\"a\"}");

    if (fc->message != 0) {
        filter_repeat(&record->message, "", fc->letters, "",
                      fc->message / strlen(fc->letters));
    }
}


static void
filter_repeat(ngx_str_t *text, const char *before, const char *part,
    const char *between, size_t n)
{
    char    *p;
    size_t   i;

    p = malloc(strlen(before) + n * (strlen(part) + strlen(between)) + 1);

    if (p == NULL) {
        exit(1);
    }

    text->data = (u_char *) p;
    p = stpcpy(p, before);

    for (i = 0; i < n; i++) {
        p = stpcpy(p, between);
        p = stpcpy(p, part);
    }

    text->len = (size_t) ((u_char *) p - text->data);
}


static void
filter_str(ngx_str_t *str, const char *text)
{
    str->data = (u_char *) text;
    str->len = strlen(text);
}


static double
filter_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}
