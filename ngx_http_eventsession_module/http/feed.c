
/*
 * The live feed as an endpoint.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed.h"
#include "http/reply.h"


ngx_int_t
ngx_http_eventsession_feed_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_eventsession_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "the feed can't be read yet");
}
