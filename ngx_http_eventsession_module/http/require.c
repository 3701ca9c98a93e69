
/*
 * Trusted applications alone, see require.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/application.h"
#include "http/reply.h"
#include "http/require.h"
#include "ngx_http_eventsession_module.h"


static void ngx_http_eventsession_require_known(evs_apps_waiter_t *waiter,
    ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_require_reply(
    ngx_http_eventsession_require_t *require, ngx_int_t rc);


ngx_int_t
ngx_http_eventsession_require(ngx_http_eventsession_require_t *require,
    evs_redis_node_t *node)
{
    ngx_int_t                          rc;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = require->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (!elcf->require_application) {
        return NGX_DECLINED;
    }

    rc = ngx_http_eventsession_application(r, 1, &require->uuid);

    if (rc == NGX_OK) {
        require->waiter.data = require;
        require->waiter.done = ngx_http_eventsession_require_known;

        rc = evs_apps_check(&elcf->apps, node, &require->uuid,
                            &require->waiter);
    }

    return (rc == NGX_AGAIN)
           ? NGX_DONE : ngx_http_eventsession_require_reply(require, rc);
}


static void
ngx_http_eventsession_require_known(evs_apps_waiter_t *waiter, ngx_int_t rc)
{
    ngx_http_request_t               *r;
    ngx_http_eventsession_require_t  *require;

    require = waiter->data;
    r = require->request;

    ngx_http_set_log_request(r->connection->log, r);

    require->done(require->data,
                  ngx_http_eventsession_require_reply(require, rc));
}


static ngx_int_t
ngx_http_eventsession_require_reply(ngx_http_eventsession_require_t *require,
    ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = require->request;

    switch (rc) {

    case NGX_OK:
        require->application = require->waiter.name;
        return NGX_DECLINED;

    case NGX_BUSY:
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "the application can't be looked up, try again "
                           "later");

    default:
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client is of no trusted application");

        return ngx_http_eventsession_problem(r, NGX_HTTP_FORBIDDEN,
                           "a trusted application is required: its UUID in "
                           "the header \"application\", or in the argument "
                           "of that name");
    }
}


void
ngx_http_eventsession_require_cancel(ngx_http_eventsession_require_t *require)
{
    evs_apps_cancel(&require->waiter);
}
