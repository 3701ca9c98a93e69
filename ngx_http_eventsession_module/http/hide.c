
/*
 * What the logs have of a request: see hide.h.
 *
 * The request is as it came for as long as it lasts, since other modules go by
 * it, too.  An entry of the error log is changed when it is written, and the
 * request when it is over, before the access log has it.  It is a matter of
 * the server: which location a request is for may not be known yet, or not any
 * more, when it is refused.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/application.h"
#include "http/hide.h"
#include "ngx_http_eventsession_module.h"


static ngx_int_t ngx_http_eventsession_hide_begin(ngx_http_request_t *r);
static u_char *ngx_http_eventsession_hide_error(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);
static ngx_int_t ngx_http_eventsession_hide_end(ngx_http_request_t *r);
static void ngx_http_eventsession_hide_copy(ngx_http_request_t *r,
    ngx_str_t *text);
static void ngx_http_eventsession_hide(u_char *start, u_char *last);


/* of this process: nginx's own, which ours calls */
static ngx_http_log_handler_pt  ngx_http_eventsession_hide_next;


ngx_int_t
ngx_http_eventsession_hide_init(ngx_conf_t *cf)
{
    ngx_array_t                *last;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_POST_READ_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_eventsession_hide_begin;

    last = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;

    if (ngx_array_push(last) == NULL) {
        return NGX_ERROR;
    }

    /* this phase goes by their order, and the access log is the first */

    h = last->elts;

    ngx_memmove(&h[1], h, (last->nelts - 1) * sizeof(ngx_http_handler_pt));

    h[0] = ngx_http_eventsession_hide_end;

    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_hide_begin(ngx_http_request_t *r)
{
    ngx_http_eventsession_srv_conf_t  *escf;

    escf = ngx_http_get_module_srv_conf(r, ngx_http_eventsession_module);

    if (!escf->hides) {
        return NGX_DECLINED;
    }

    if (ngx_http_eventsession_hide_next == NULL) {
        ngx_http_eventsession_hide_next = r->log_handler;
    }

    if (r->log_handler == ngx_http_eventsession_hide_next) {
        r->log_handler = ngx_http_eventsession_hide_error;
    }

    return NGX_DECLINED;
}


/* What an entry of the error log says of its request. */

static u_char *
ngx_http_eventsession_hide_error(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    u_char  *last;

    last = ngx_http_eventsession_hide_next(r, sr, buf, len);

    ngx_http_eventsession_hide(buf, last);

    return last;
}


static ngx_int_t
ngx_http_eventsession_hide_end(ngx_http_request_t *r)
{
    ngx_http_eventsession_srv_conf_t  *escf;

    escf = ngx_http_get_module_srv_conf(r, ngx_http_eventsession_module);

    if (!escf->hides) {
        return NGX_OK;
    }

    /* they may be of the configuration, where nginx was redirected */

    ngx_http_eventsession_hide_copy(r, &r->args);

    if (r != r->main) {

        /* what is the request's, too, which goes on */

        ngx_http_eventsession_hide_copy(r, &r->request_line);
        ngx_http_eventsession_hide_copy(r, &r->unparsed_uri);

        return NGX_OK;
    }

    /* in place, where the values of variables lie that are known already */

    ngx_http_eventsession_hide(r->request_line.data,
                               r->request_line.data + r->request_line.len);
    ngx_http_eventsession_hide(r->unparsed_uri.data,
                               r->unparsed_uri.data + r->unparsed_uri.len);

    return NGX_OK;
}


static void
ngx_http_eventsession_hide_copy(ngx_http_request_t *r, ngx_str_t *text)
{
    if (text->len == 0) {
        return;
    }

    text->data = ngx_pstrdup(r->pool, text);

    if (text->data == NULL) {
        ngx_str_null(text);
        return;
    }

    ngx_http_eventsession_hide(text->data, text->data + text->len);
}


/*
 * The value of each argument of that name, in arguments or in what has some;
 * in an entry of the error log a quote may be behind it.
 */

static void
ngx_http_eventsession_hide(u_char *start, u_char *last)
{
    size_t   len;
    u_char  *p;

    static u_char  name[] = NGX_HTTP_EVENTSESSION_APPLICATION "=";

    p = start;
    len = sizeof(name) - 1;

    while ((size_t) (last - p) > len) {

        if ((p != start && p[-1] != '?' && p[-1] != '&')
            || ngx_strncasecmp(p, name, len) != 0)
        {
            p++;
            continue;
        }

        for (p += len; p < last && *p != '&' && *p != ' '; p++) {

            if (*p == '"' && (p + 1 == last || p[1] == ',')) {
                break;
            }

            *p = '*';
        }
    }
}
