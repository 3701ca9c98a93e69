
/*
 * A buffer of members: see log_page.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"
#include "store/log_page.h"
#include "store/range.h"


#define EVS_LOG_PAGE_MIN   ((size_t) 32 * 1024)


/* in front of each member; members begin aligned to it */
typedef struct {
    uint32_t      len;
    uint32_t      nreply;
} evs_log_page_head_t;

#define evs_log_page_size(len)                                                \
    (sizeof(evs_log_page_head_t)                                              \
     + ngx_align((len), sizeof(evs_log_page_head_t)))


static void evs_log_page_cut(evs_log_page_t *page);
static ngx_int_t evs_log_page_grow(evs_log_page_t *page, size_t size);


/* ZRANGEBYSCORE <day> <from> <to> LIMIT <offset> <n> */

u_char *
evs_log_page_command(u_char *p, const evs_store_conf_t *conf,
    const evs_log_time_t *time, uint64_t offset, ngx_uint_t n)
{
    u_char  *last, key[EVS_LOG_KEY_MAX];

    last = evs_log_day_key(key, conf, evs_log_day(time->from));

    p = evs_resp_argc(p, 7);
    p = evs_resp_arg(p, (u_char *) "ZRANGEBYSCORE", 13);
    p = evs_resp_arg(p, key, (size_t) (last - key));
    p = evs_range_number(p, "", time->from);
    p = evs_range_number(p, "", time->to);
    p = evs_resp_arg(p, (u_char *) "LIMIT", 5);
    p = evs_range_number(p, "", (int64_t) offset);

    return evs_range_number(p, "", (int64_t) n);
}


void
evs_log_page_begin(evs_log_page_t *page, ngx_uint_t whole)
{
    if (page->size > EVS_LOG_PAGE_MAX) {
        evs_log_page_free(page);
    }

    page->pos = 0;
    page->last = 0;
    page->kept = 0;
    page->bytes = 0;
    page->came = 0;
    page->nreply = (ngx_uint_t) -1;
    page->cut = (ngx_uint_t) -1;
    page->whole = (whole != 0);
    page->full = 0;
    page->ties = 0;
    page->failed = 0;
}


void
evs_log_page_add(evs_log_page_t *page, ngx_uint_t nreply,
    const ngx_str_t *element)
{
    evs_log_page_head_t  *head;

    if (element->data == NULL) {
        evs_log_page_begin(page, page->whole);
        return;
    }

    page->came++;

    if (page->full) {
        return;
    }

    if (page->nreply != nreply) {
        page->nreply = nreply;
        page->nth = 0;
        page->begin = page->last;
    }

    page->nth++;
    page->ties = (page->whole && page->nth == EVS_LOG_PAGE_TIES);

    if (page->ties
        || evs_log_page_grow(page, page->last
                                   + evs_log_page_size(element->len))
           != NGX_OK)
    {
        evs_log_page_cut(page);
        return;
    }

    head = (evs_log_page_head_t *) (void *) (page->buf + page->last);

    head->len = (uint32_t) element->len;
    head->nreply = (uint32_t) nreply;

    ngx_memcpy(head + 1, element->data, element->len);

    page->last += evs_log_page_size(element->len);
    page->kept++;
    page->bytes += element->len;
}


static void
evs_log_page_cut(evs_log_page_t *page)
{
    page->full = 1;
    page->cut = page->nreply;

    if (page->whole) {
        page->last = page->begin;
    }
}


/* NGX_OK, or NGX_DECLINED: not into this page. */

static ngx_int_t
evs_log_page_grow(evs_log_page_t *page, size_t size)
{
    size_t   grown;
    u_char  *buf;

    if (size <= page->size) {
        return NGX_OK;
    }

    /* what comes first must fit, or nothing ever would */

    if (size > EVS_LOG_PAGE_MAX
        && (page->whole ? page->begin != 0 : page->last != 0))
    {
        return NGX_DECLINED;
    }

    grown = ngx_min(2 * page->size, EVS_LOG_PAGE_MAX);
    grown = ngx_max(grown, EVS_LOG_PAGE_MIN);
    grown = ngx_max(grown, size);

    buf = ngx_alloc(grown, page->log);
    if (buf == NULL) {
        page->failed = 1;
        return NGX_DECLINED;
    }

    if (page->buf != NULL) {
        ngx_memcpy(buf, page->buf, page->last);
        ngx_free(page->buf);
    }

    page->buf = buf;
    page->size = grown;

    return NGX_OK;
}


ngx_int_t
evs_log_page_head(const evs_log_page_t *page, ngx_str_t *member,
    ngx_uint_t *nreply)
{
    evs_log_page_head_t  *head;

    if (page->pos == page->last) {
        return NGX_DECLINED;
    }

    head = (evs_log_page_head_t *) (void *) (page->buf + page->pos);

    member->len = head->len;
    member->data = (u_char *) (head + 1);
    *nreply = head->nreply;

    return NGX_OK;
}


void
evs_log_page_pop(evs_log_page_t *page)
{
    evs_log_page_head_t  *head;

    head = (evs_log_page_head_t *) (void *) (page->buf + page->pos);

    page->pos += evs_log_page_size(head->len);
}


void
evs_log_page_free(evs_log_page_t *page)
{
    if (page->buf != NULL) {
        ngx_free(page->buf);
        page->buf = NULL;
    }

    page->size = 0;
    page->pos = 0;
    page->last = 0;
}
