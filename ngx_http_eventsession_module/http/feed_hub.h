
/*
 * What the subscribers of one feed in this process share: its follower, and
 * the text of what it brings, which is handed to all of them.  A hub is there
 * as long as there is a subscriber.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_HUB_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_HUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "http/feed_chunk.h"
#include "store/follow.h"
#include "store/place.h"
#include "store/store.h"


typedef struct ngx_http_eventsession_subscriber_s
    ngx_http_eventsession_subscriber_t;


/* an event of the text that came last, for those who don't want them all */
typedef struct {
    evs_place_t                     place;
    size_t                          end;      /* of its part of the text */
    evs_entry_type_e                type;
    size_t                          sid;      /* where it is in hub->names */
    size_t                          sid_len;
    size_t                          name;     /* the same */
    size_t                          name_len;
    ngx_uint_t                      gap;      /* it is one: everybody's */
} ngx_http_eventsession_hub_event_t;


typedef struct {
    ngx_queue_t                     queue;    /* of all hubs */
    const evs_store_conf_t         *conf;
    ngx_str_t                       key;      /* of the stream */
    uint32_t                        seed;     /* of the checks of its ids */

    ngx_queue_t                     waiting;  /* subscribers that catch up */
    ngx_queue_t                     live;
    ngx_event_t                     idle;     /* posted: the last one left */
    evs_follow_t                    follow;   /* open while one is live */
    ngx_uint_t                      generation;  /* of the stream: grows when
                                                 its ids begin anew */

    /* what comes in */
    ngx_http_eventsession_chunk_t  *text;
    ngx_http_eventsession_chunk_t  *names;
    ngx_http_eventsession_hub_event_t
                                   *events;
    ngx_uint_t                      nevents;
    ngx_uint_t                      ngaps;    /* of these */
    ngx_uint_t                      size;

    ngx_http_eventsession_chunk_t  *chunk;    /* the last one handed out */

    unsigned                        failed:1;   /* no memory for a gap */
    unsigned                        foreign:1;  /* was in the log */
    u_char                          key_buf[EVS_STORE_KEY_MAX];
} ngx_http_eventsession_hub_t;


/* The hub of that feed.  NULL: no memory, or no connection to spare. */
ngx_http_eventsession_hub_t *ngx_http_eventsession_hub(
    const evs_store_conf_t *conf);

/* A new subscriber, which isn't live yet. */
void ngx_http_eventsession_hub_add(ngx_http_eventsession_hub_t *hub,
    ngx_http_eventsession_subscriber_t *subscriber);

/*
 * From now on it is given what comes behind its cursor.  NGX_OK; NGX_DECLINED:
 * the hub is ahead of it; NGX_ERROR: no memory, or the process ends.
 */
ngx_int_t ngx_http_eventsession_hub_join(ngx_http_eventsession_hub_t *hub,
    ngx_http_eventsession_subscriber_t *subscriber);

/* It leaves, live or not. */
void ngx_http_eventsession_hub_remove(ngx_http_eventsession_hub_t *hub,
    ngx_http_eventsession_subscriber_t *subscriber);


#endif /* _NGX_HTTP_EVENTSESSION_FEED_HUB_H_INCLUDED_ */
