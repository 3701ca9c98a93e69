
/*
 * What a client of the feed wants to see: what its arguments say, and whether
 * an event is of that kind.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_FILTER_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_FILTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/entry.h"
#include "event/sid.h"


/* all zeros: everything */
typedef struct {
    evs_sid_t                       sid;
    ngx_str_t                       name;     /* as it stands in JSON */
    evs_entry_type_e                type;
    unsigned                        by_sid:1;
    unsigned                        by_name:1;
    unsigned                        by_type:1;
} ngx_http_eventsession_filter_t;


#define ngx_http_eventsession_filter_is_set(filter)                           \
    ((filter)->by_sid || (filter)->by_name || (filter)->by_type)


/*
 * Fills a zeroed one in.  NGX_DECLINED: the arguments are right, or not there;
 * otherwise a reply has been made.
 */
ngx_int_t ngx_http_eventsession_filter_arguments(ngx_http_request_t *r,
    ngx_http_eventsession_filter_t *filter);

/* Whether it lets an event through: 1 or 0; name is as in JSON. */
ngx_uint_t ngx_http_eventsession_filter_wants(
    const ngx_http_eventsession_filter_t *filter, evs_entry_type_e type,
    const ngx_str_t *sid, const ngx_str_t *name);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_FILTER_H_INCLUDED_ */
