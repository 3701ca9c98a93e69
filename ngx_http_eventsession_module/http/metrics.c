
/*
 * /metrics: the sum of what all worker processes have counted, as text for
 * Prometheus.  It asks nobody, and is there when Redis isn't.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/metrics.h"
#include "http/reply.h"
#include "ngx_http_eventsession_module.h"
#include "stats/slots.h"
#include "stats/text.h"


ngx_int_t
ngx_http_eventsession_metrics_handler(ngx_http_request_t *r)
{
    u_char           *text, *last;
    ngx_int_t         rc;
    evs_stats_sum_t  *sum;

    rc = ngx_http_eventsession_methods(r, NGX_HTTP_GET);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    sum = ngx_palloc(r->pool, sizeof(evs_stats_sum_t));
    if (sum == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    evs_stats_sum(sum);

    text = ngx_pnalloc(r->pool, evs_stats_text_max(sum));
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = evs_stats_text(text, sum, NGX_HTTP_EVENTSESSION_VERSION);

    return ngx_http_eventsession_body(r, NGX_HTTP_OK,
                                 "text/plain; version=0.0.4; charset=utf-8",
                                 text, (size_t) (last - text));
}
