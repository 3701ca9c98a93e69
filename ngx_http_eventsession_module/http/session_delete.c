
/*
 * DELETE of a session.  Once it is asked for it is carried out, whether the
 * client waits for the answer or not.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/reply.h"
#include "http/session.h"
#include "ngx_http_eventsession_module.h"
#include "store/delete.h"


typedef struct {
    ngx_http_request_t  *request;
    evs_delete_t         del;
} ngx_http_eventsession_delete_t;


static ngx_int_t ngx_http_eventsession_delete_arguments(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_eventsession_delete_begin(ngx_http_request_t *r,
    const evs_sid_t *sid);
static void ngx_http_eventsession_delete_cleanup(void *data);
static void ngx_http_eventsession_delete_done(void *data, ngx_int_t rc,
    const char *failure);
static ngx_int_t ngx_http_eventsession_delete_reply(ngx_http_request_t *r,
    ngx_int_t rc, const char *failure);


ngx_int_t
ngx_http_eventsession_session_delete(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    evs_sid_t  sid;

    rc = ngx_http_eventsession_session_sid(r, &sid);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_eventsession_delete_arguments(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_eventsession_delete_begin(r, &sid);
}


/*
 * Who names a part of the session does not want to lose all of it.
 * NGX_DECLINED: nobody did; otherwise a reply has been made.
 */

static ngx_int_t
ngx_http_eventsession_delete_arguments(ngx_http_request_t *r)
{
    ngx_str_t     value;
    const char  **name;

    static const char  *parts[] = { "from", "to", "limit", "after", NULL };

    for (name = parts; *name; name++) {

        if (ngx_http_arg(r, (u_char *) *name, ngx_strlen(*name), &value)
            == NGX_OK)
        {
            return ngx_http_eventsession_problem(r, NGX_HTTP_BAD_REQUEST,
                         "a session is deleted as a whole: DELETE takes no %s",
                         *name);
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_eventsession_delete_begin(ngx_http_request_t *r,
    const evs_sid_t *sid)
{
    evs_delete_t                      *del;
    ngx_http_cleanup_t                *cln;
    ngx_http_eventsession_delete_t    *ctx;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_eventsession_delete_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;

    del = &ctx->del;
    del->conf = &elcf->store;
    del->sid = *sid;
    del->pool = r->pool;
    del->done = ngx_http_eventsession_delete_done;
    del->data = ctx;
    del->node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);

    if (del->node == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!evs_store_has_room(&elcf->store, del->node)) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_eventsession_delete_cleanup;
    cln->data = ctx;

    if (evs_delete_begin(del) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what reads a body that came along reads on */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_eventsession_delete_cleanup(void *data)
{
    ngx_http_eventsession_delete_t  *ctx = data;

    evs_delete_cancel(&ctx->del);
}


static void
ngx_http_eventsession_delete_done(void *data, ngx_int_t rc,
    const char *failure)
{
    ngx_connection_t                *c;
    ngx_http_request_t              *r;
    ngx_http_eventsession_delete_t  *ctx = data;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_eventsession_delete_reply(r, rc, failure);

    ngx_http_finalize_request(r, rc);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_eventsession_delete_reply(ngx_http_request_t *r, ngx_int_t rc,
    const char *failure)
{
    if (rc == NGX_ERROR) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                         "the session may still be there: %s, try again later",
                         failure);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_eventsession_problem(r, NGX_HTTP_NOT_FOUND,
                                             "there is no such session");
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}
