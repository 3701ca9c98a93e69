
/*
 * What is posted to be stored: see posted.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/application.h"
#include "http/body.h"
#include "http/posted.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"


static void ngx_http_eventsession_posted_body(ngx_http_request_t *r,
    ngx_str_t *body, ngx_uint_t type, const void *data);
static ngx_http_eventsession_posted_t *ngx_http_eventsession_posted_create(
    ngx_http_request_t *r,
    const ngx_http_eventsession_posted_handlers_t *handlers);
static void ngx_http_eventsession_posted_cleanup(void *data);
static void ngx_http_eventsession_posted_free(
    ngx_http_eventsession_posted_t *posted);
static void ngx_http_eventsession_posted_known(evs_apps_waiter_t *waiter,
    ngx_int_t rc);
static ngx_int_t ngx_http_eventsession_posted_trusted(
    ngx_http_eventsession_posted_t *posted, ngx_int_t rc);


/* of this process: the names of an object that is read */
static evs_json_names_t  *ngx_http_eventsession_posted_names;


ngx_int_t
ngx_http_eventsession_posted_read(ngx_http_request_t *r,
    const ngx_http_eventsession_posted_handlers_t *handlers)
{
    if (ngx_http_eventsession_posted_names == NULL) {
        ngx_http_eventsession_posted_names = evs_json_names_create();
        if (ngx_http_eventsession_posted_names == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_eventsession_read_body(r, handlers->types,
                                           ngx_http_eventsession_posted_body,
                                           handlers);
}


static void
ngx_http_eventsession_posted_body(ngx_http_request_t *r, ngx_str_t *body,
    ngx_uint_t type, const void *data)
{
    ngx_int_t                                       rc;
    ngx_http_eventsession_posted_t                 *posted;
    const ngx_http_eventsession_posted_handlers_t  *handlers = data;

    posted = ngx_http_eventsession_posted_create(r, handlers);

    if (posted == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    posted->body = *body;
    posted->type = type;

    rc = handlers->begin(posted);

    if (rc == NGX_DONE) {

        /* it goes on when Redis has answered, unless the client leaves */

        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_http_eventsession_posted_t *
ngx_http_eventsession_posted_create(ngx_http_request_t *r,
    const ngx_http_eventsession_posted_handlers_t *handlers)
{
    evs_redis_node_t                  *node;
    ngx_http_cleanup_t                *cln;
    ngx_http_eventsession_posted_t    *posted;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    node = evs_redis_node((ngx_cycle_t *) ngx_cycle, elcf->store.redis);
    cln = ngx_http_cleanup_add(r, 0);

    if (node == NULL || cln == NULL) {
        return NULL;
    }

    /* it outlives its request's pool, if the client leaves */

    posted = ngx_calloc(handlers->size, r->connection->log);
    if (posted == NULL) {
        return NULL;
    }

    posted->request = r;
    posted->node = node;
    posted->names = ngx_http_eventsession_posted_names;
    posted->handlers = handlers;

    cln->handler = ngx_http_eventsession_posted_cleanup;
    cln->data = posted;

    return posted;
}


static void
ngx_http_eventsession_posted_cleanup(void *data)
{
    ngx_http_eventsession_posted_t  *posted = data;

    posted->request = NULL;

    evs_apps_cancel(&posted->waiter);

    if (posted->handlers->leave != NULL) {
        posted->handlers->leave(posted);
    }

    if (!posted->storing) {
        ngx_http_eventsession_posted_free(posted);
    }
}


static void
ngx_http_eventsession_posted_free(ngx_http_eventsession_posted_t *posted)
{
    if (posted->handlers->free != NULL) {
        posted->handlers->free(posted);
    }

    ngx_free(posted);
}


ngx_int_t
ngx_http_eventsession_posted_trust(ngx_http_eventsession_posted_t *posted)
{
    ngx_int_t                          rc;
    ngx_uint_t                         always;
    ngx_http_request_t                *r;
    ngx_http_eventsession_loc_conf_t  *elcf;

    r = posted->request;
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    always = (posted->handlers->refuse != NULL);

    if (!always && !elcf->require_application) {
        return posted->handlers->trusted(posted);
    }

    rc = ngx_http_eventsession_application(r, !always, &posted->uuid);

    if (rc == NGX_OK) {
        posted->waiter.data = posted;
        posted->waiter.done = ngx_http_eventsession_posted_known;

        rc = evs_apps_check(&elcf->apps, posted->node, &posted->uuid,
                            &posted->waiter);
    }

    return (rc == NGX_AGAIN)
           ? NGX_DONE : ngx_http_eventsession_posted_trusted(posted, rc);
}


static void
ngx_http_eventsession_posted_known(evs_apps_waiter_t *waiter, ngx_int_t rc)
{
    ngx_http_request_t              *r;
    ngx_http_eventsession_posted_t  *posted;

    posted = waiter->data;
    r = posted->request;

    ngx_http_set_log_request(r->connection->log, r);

    rc = ngx_http_eventsession_posted_trusted(posted, rc);

    ngx_http_eventsession_posted_go_on(r, rc);
}


static ngx_int_t
ngx_http_eventsession_posted_trusted(ngx_http_eventsession_posted_t *posted,
    ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = posted->request;

    switch (rc) {

    case NGX_OK:
        posted->application = posted->waiter.name;
        return posted->handlers->trusted(posted);

    case NGX_BUSY:
        return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                           "the application can't be looked up, try again "
                           "later");

    default:
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client is of no trusted application");

        if (posted->handlers->refuse != NULL) {
            return posted->handlers->refuse(r);
        }

        return ngx_http_eventsession_problem(r, NGX_HTTP_FORBIDDEN,
                           "a trusted application is required: its UUID in "
                           "the header \"application\", or in the argument "
                           "of that name");
    }
}


ngx_int_t
ngx_http_eventsession_posted_room(ngx_http_eventsession_posted_t *posted)
{
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(posted->request,
                                        ngx_http_eventsession_module);

    if (evs_store_has_room(&elcf->store, posted->node)) {
        return NGX_DECLINED;
    }

    return ngx_http_eventsession_problem(posted->request,
                              NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the store is too far behind, try again later");
}


ngx_http_request_t *
ngx_http_eventsession_posted_stored(ngx_http_eventsession_posted_t *posted)
{
    posted->storing = 0;

    if (posted->request == NULL) {
        ngx_http_eventsession_posted_free(posted);
        return NULL;
    }

    return posted->request;
}


void
ngx_http_eventsession_posted_go_on(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    if (rc == NGX_DONE) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


void
ngx_http_eventsession_posted_exit(void)
{
    if (ngx_http_eventsession_posted_names != NULL) {
        evs_json_names_destroy(ngx_http_eventsession_posted_names);
        ngx_http_eventsession_posted_names = NULL;
    }
}
