
/*
 * A session as a tree: its events come in pages (http/pages.h), and its start
 * and end, with which the tree begins, are known once the first one is in.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/pages.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/session.h"
#include "ngx_http_eventsession_module.h"
#include "store/read.h"


/* the front of the tree, around its start and its end */
#define NGX_HTTP_EVENTSESSION_SESSION   "{\"type\":\"SESSION\",\"start\":"
#define NGX_HTTP_EVENTSESSION_END       ",\"end\":"
#define NGX_HTTP_EVENTSESSION_CHILDREN  ",\"children\":["

#define ngx_http_eventsession_session_lit(p, s)                               \
    ngx_cpymem(p, s, sizeof(s) - 1)


typedef struct {
    ngx_http_eventsession_pages_t  pages;
    evs_read_t                     read;
} ngx_http_eventsession_session_t;


static ngx_int_t ngx_http_eventsession_session_front(
    ngx_http_eventsession_pages_t *pages);
static ngx_int_t ngx_http_eventsession_session_event(void *data,
    const evs_member_t *member);


static const char *const  ngx_http_eventsession_session_arguments[] = {
    "from", "to", "limit", NULL
};


static const ngx_http_eventsession_pages_kind_t
    ngx_http_eventsession_session_pages =
{
    &evs_session_reader,
    "session",
    "there is no such session",
    ngx_http_eventsession_session_front,
    ngx_string("]}"),
    ngx_http_eventsession_session_arguments
};


static const evs_read_handlers_t  ngx_http_eventsession_session_handlers = {
    ngx_http_eventsession_session_event,
    ngx_http_eventsession_pages_again,
    ngx_http_eventsession_pages_page
};


ngx_int_t
ngx_http_eventsession_session_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    evs_read_t                        *read;
    ngx_http_eventsession_session_t   *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_methods(r, elcf->deletes
                                          ? NGX_HTTP_GET|NGX_HTTP_DELETE
                                          : NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method == NGX_HTTP_DELETE) {
        return ngx_http_eventsession_session_delete(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_session_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    read = &ctx->read;

    rc = ngx_http_eventsession_session_sid(r, &read->sid);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_query_range(r, &read->range);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_pages_node(r, &elcf->store, &read->node);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    read->conf = &elcf->store;
    read->handlers = &ngx_http_eventsession_session_handlers;
    read->data = &ctx->pages;
    read->pool = r->pool;
    read->log = r->connection->log;

    ctx->pages.request = r;
    ctx->pages.kind = &ngx_http_eventsession_session_pages;
    ctx->pages.read = read;
    ctx->pages.cursor = &read->cursor;
    ctx->pages.limit = read->range.want;

    return ngx_http_eventsession_pages_start(&ctx->pages);
}


ngx_int_t
ngx_http_eventsession_session_sid(ngx_http_request_t *r, evs_sid_t *sid)
{
    u_char                            *p, *last;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    last = r->uri.data + r->uri.len;
    p = r->uri.data;

    if (elcf->location.len != 0 && elcf->location.len <= r->uri.len) {
        p += elcf->location.len;

    } else {
        p = last;

        while (p > r->uri.data && p[-1] != '/') {
            p--;
        }
    }

    if (p < last && *p == '/') {
        p++;
    }

    if (evs_sid_parse(sid, elcf->sid_kind, p, (size_t) (last - p)) != NGX_OK) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
               (elcf->sid_kind == EVS_SID_UUID)
               ? "the session id must be a UUID"
               : "the session id must be 1 to 128 of the characters "
                 "A-Z a-z 0-9 . _ ~ -");
    }

    ngx_http_eventsession_account_session(r, sid);

    return NGX_DECLINED;
}


/* The beginning of the tree. */

static ngx_int_t
ngx_http_eventsession_session_front(ngx_http_eventsession_pages_t *pages)
{
    u_char      *p;
    ngx_str_t    start, end;
    evs_read_t  *read;

    static const ngx_str_t  null = ngx_string("null");

    read = pages->read;

    start = read->start.len ? read->start : null;
    end = read->end.len ? read->end : null;

    p = ngx_http_eventsession_pages_front(pages, start.len + end.len
                                     + sizeof(NGX_HTTP_EVENTSESSION_SESSION
                                              NGX_HTTP_EVENTSESSION_END
                                              NGX_HTTP_EVENTSESSION_CHILDREN)
                                     - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_eventsession_session_lit(p, NGX_HTTP_EVENTSESSION_SESSION);
    p = ngx_cpymem(p, start.data, start.len);
    p = ngx_http_eventsession_session_lit(p, NGX_HTTP_EVENTSESSION_END);
    p = ngx_cpymem(p, end.data, end.len);
    (void) ngx_http_eventsession_session_lit(p,
                                             NGX_HTTP_EVENTSESSION_CHILDREN);

    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_session_event(void *data, const evs_member_t *member)
{
    u_char  *p;

    p = ngx_http_eventsession_pages_event(data, evs_member_child_max(member));

    return ngx_http_eventsession_pages_wrote(data,
                                       p ? evs_member_child(p, member) : NULL);
}
