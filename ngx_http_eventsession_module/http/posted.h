
/*
 * What is posted to be stored: the one way of all endpoints that take a body.
 * It is read, its application is asked for, the store gets it, and the reply
 * is made when the store has answered.
 *
 * A posted body begins the endpoint's own context, which is this room's: made
 * when the body is there, and freed with its request, or, if the client leaves
 * while the store has it, when that has answered.
 */


#ifndef _NGX_HTTP_EVENTSESSION_POSTED_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_POSTED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/json.h"
#include "store/apps.h"


typedef struct ngx_http_eventsession_posted_s
    ngx_http_eventsession_posted_t;

/*
 * What an endpoint does.  The steps return NGX_DONE if it goes on later, or
 * what the request is to be finalized with.
 */
typedef struct {
    const char *const   *types;      /* see http/body.h */
    size_t               size;       /* of the context; it is zeroed */

    /* the body, its node and the names are there */
    ngx_int_t          (*begin)(ngx_http_eventsession_posted_t *posted);

    /* nothing is against the application: see below */
    ngx_int_t          (*trusted)(ngx_http_eventsession_posted_t *posted);

    /*
     * NULL: an application is needed where eventsession_require_application is
     * on, by the header or the argument, and there is 403 without.  Otherwise
     * it is needed in any case, by the header, and this is the reply without.
     */
    ngx_int_t          (*refuse)(ngx_http_request_t *r);

    /* the client has left: nobody waits; may set storing.  NULL: nothing */
    void               (*leave)(ngx_http_eventsession_posted_t *posted);

    /* what else the context holds.  NULL: nothing */
    void               (*free)(ngx_http_eventsession_posted_t *posted);
} ngx_http_eventsession_posted_handlers_t;


struct ngx_http_eventsession_posted_s {
    ngx_http_request_t  *request;    /* NULL: gone */
    ngx_str_t            body;       /* the request's */
    ngx_uint_t           type;       /* of handlers->types, an index */
    evs_redis_node_t    *node;       /* of the location */
    evs_json_names_t    *names;      /* for whoever parses it at once */
    ngx_str_t            application;  /* its name; NULL: nobody asked */
    unsigned             storing:1;  /* set by the endpoint: the store has it,
                                        and posted_stored() will be called */

    /* the rest is not the endpoint's */
    const ngx_http_eventsession_posted_handlers_t  *handlers;

    evs_sid_t            uuid;
    evs_apps_waiter_t    waiter;
};


/* Reads the body of a POST.  What a content handler returns. */
ngx_int_t ngx_http_eventsession_posted_read(ngx_http_request_t *r,
    const ngx_http_eventsession_posted_handlers_t *handlers);

/* Whether the application may: goes on with handlers->trusted(), or later. */
ngx_int_t ngx_http_eventsession_posted_trust(
    ngx_http_eventsession_posted_t *posted);

/* NGX_DECLINED: the store takes more; else the reply, 503, has been made. */
ngx_int_t ngx_http_eventsession_posted_room(
    ngx_http_eventsession_posted_t *posted);

/*
 * The store has answered.  The request that the reply is due to, or NULL: the
 * client has left, and the context has been freed.
 */
ngx_http_request_t *ngx_http_eventsession_posted_stored(
    ngx_http_eventsession_posted_t *posted);

/*
 * What a step returned that went on in an event which is not the request's
 * own.  The context may be gone afterwards.
 */
void ngx_http_eventsession_posted_go_on(ngx_http_request_t *r, ngx_int_t rc);

/* Frees what the process keeps for all requests. */
void ngx_http_eventsession_posted_exit(void);


#endif /* _NGX_HTTP_EVENTSESSION_POSTED_H_INCLUDED_ */
