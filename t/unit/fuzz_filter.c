
/*
 * The filter language: the input is a filter, NUL, a message, NUL, data.  A
 * fault has to have a place in the text; a tree has to keep what filter.h says
 * of it, and to be the same in another spelling.  A message and data may be
 * anything, as Redis may have it; where they are what is stored, a judge that
 * does everything by other means has to agree.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "filter_judge.h"

#include "event/json.h"


/* a filter of the largest size, and as much of the rest */
#define FUZZ_MAX  8192


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_part(const uint8_t **pos, const uint8_t *last,
    ngx_str_t *part, ngx_pool_t *pool);
static void fuzz_fault(const ngx_str_t *text, const evs_filter_fault_t *fault);
static ngx_uint_t fuzz_tree(const evs_filter_t *node);
static void fuzz_match(ngx_pool_t *pool, const evs_filter_t *filter,
    ngx_str_t *message, ngx_str_t *data);
static ngx_int_t fuzz_stored(ngx_pool_t *pool, evs_record_t *record);
static void fuzz_again(ngx_pool_t *pool, const evs_filter_t *filter);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t            rc;
    ngx_str_t            text, message, json;
    ngx_pool_t          *pool;
    evs_filter_t        *filter;
    const uint8_t       *pos, *last;
    evs_filter_fault_t   fault;

    if (size > FUZZ_MAX) {
        return 0;
    }

    pool = ngx_create_pool(4096, NULL);
    judge_expect(pool != NULL);

    pos = data;
    last = data + size;

    fuzz_part(&pos, last, &text, pool);
    fuzz_part(&pos, last, &message, pool);
    fuzz_part(&pos, last, &json, pool);

    rc = evs_filter_parse(&filter, pool, &text, &fault);

    if (rc == NGX_OK) {
        judge_expect(filter == NULL
                     || fuzz_tree(filter) <= EVS_FILTER_MAX_TERMS);
        fuzz_match(pool, filter, &message, &json);
        fuzz_again(pool, filter);

    } else {
        judge_expect(rc == NGX_DECLINED && filter == NULL);
        fuzz_fault(&text, &fault);
    }

    ngx_destroy_pool(pool);

    return 0;
}


/* In a block of exactly its size; the last one ends with the input. */

static void
fuzz_part(const uint8_t **pos, const uint8_t *last, ngx_str_t *part,
    ngx_pool_t *pool)
{
    const uint8_t  *end;

    end = (*pos == last) ? NULL : memchr(*pos, '\0', (size_t) (last - *pos));

    if (end == NULL) {
        end = last;
    }

    part->len = (size_t) (end - *pos);
    part->data = ngx_pnalloc(pool, part->len > 0 ? part->len : 1);
    judge_expect(part->data != NULL);

    if (part->len > 0) {
        ngx_memcpy(part->data, *pos, part->len);
    }

    *pos = (end == last) ? last : end + 1;
}


static void
fuzz_fault(const ngx_str_t *text, const evs_filter_fault_t *fault)
{
    int     n;
    char    start[64];
    size_t  i;

    judge_expect(fault->column >= 1 && fault->column <= text->len + 1);

    n = snprintf(start, sizeof(start), "column %u: expected ",
                 (unsigned) fault->column);

    judge_expect(fault->text.len > (size_t) n
                 && memcmp(fault->text.data, start, (size_t) n) == 0);

    for (i = 0; i < fault->text.len; i++) {
        judge_expect(fault->text.data[i] >= 0x20
                     && fault->text.data[i] < 0x7f);
    }
}


/* The number of its terms. */

static ngx_uint_t
fuzz_tree(const evs_filter_t *node)
{
    ngx_uint_t           n, children;
    const evs_filter_t  *child;

    if (node->type == EVS_FILTER_TERM) {
        judge_expect(node->children == NULL
                     && (node->npath > 0) == (node->field == EVS_FILTER_DATA));
        return 1;
    }

    n = 0;
    children = 0;

    for (child = node->children; child != NULL; child = child->next) {
        judge_expect(child->type != node->type);
        n += fuzz_tree(child);
        children++;
    }

    judge_expect(children >= 2);

    return n;
}


static void
fuzz_match(ngx_pool_t *pool, const evs_filter_t *filter, ngx_str_t *message,
    ngx_str_t *data)
{
    ngx_int_t              rc;
    evs_record_t           record;
    judge_record_t         plain;
    evs_filter_matcher_t  *matcher;

    ngx_memzero(&record, sizeof(evs_record_t));
    ngx_memzero(&plain, sizeof(judge_record_t));

    record.us = 1517390127243860LL;
    record.message = *message;
    record.data = *data;

    matcher = evs_filter_matcher(pool, filter);
    judge_expect(matcher != NULL);

    rc = evs_filter_match(matcher, &record);
    judge_expect(rc == 0 || rc == 1);

    plain.message = *message;

    if (fuzz_stored(pool, &record) != NGX_OK) {
        return;
    }

    plain.us = record.us;
    plain.data = record.data;
    ngx_str_set(&plain.id, "00000000-0000-0000-0000-000000000000");

    rc = evs_filter_match(matcher, &record);
    judge_expect(rc == 0 || rc == 1);

    switch (judge_match(filter, &plain)) {

    case 0:
        judge_expect(rc == 0);
        break;

    case 1:
        judge_expect(rc == 1);
    }
}


/* The message escaped, the data compact: NGX_OK, if they can be stored. */

static ngx_int_t
fuzz_stored(ngx_pool_t *pool, evs_record_t *record)
{
    u_char            *p;
    json_t            *json;
    ngx_int_t          rc;
    evs_json_t         reader;
    evs_json_value_t   value;
    evs_json_names_t  *names;

    json = json_stringn((char *) record->message.data, record->message.len);

    if (json == NULL) {
        return NGX_DECLINED;
    }

    json_decref(json);

    p = ngx_pnalloc(pool, record->message.len * 6 + 1);
    judge_expect(p != NULL);

    record->message.len = evs_json_escape(p, record->message.data,
                                          record->message.len);
    record->message.data = p;

    names = evs_json_names_create();
    judge_expect(names != NULL);

    evs_json_init(&reader, record->data.data, record->data.len, names);
    rc = evs_json_value(&reader, &value);

    evs_json_names_destroy(names);

    if (rc != NGX_OK || reader.pos != reader.last) {
        return NGX_DECLINED;
    }

    record->data.data = value.start;
    record->data.len = (size_t) (value.last - value.start);

    if (value.blanks) {
        p = evs_json_compact(value.start, value.last);
        record->data.len = (size_t) (p - value.start);
    }

    return NGX_OK;
}


static void
fuzz_again(ngx_pool_t *pool, const evs_filter_t *filter)
{
    u_char              *buf;
    ngx_str_t            text;
    evs_filter_t        *again;
    evs_filter_fault_t   fault;

    if (filter == NULL) {
        return;
    }

    buf = ngx_pnalloc(pool, EVS_FILTER_MAX_LEN);
    judge_expect(buf != NULL);

    if (judge_print(filter, 1, buf, EVS_FILTER_MAX_LEN, &text) != NGX_OK) {
        return;
    }

    judge_expect(evs_filter_parse(&again, pool, &text, &fault) == NGX_OK);
    judge_expect(judge_same(filter, again));
}
