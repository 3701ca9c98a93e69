
/*
 * What has come before a client of the feed did, as the store replays it
 * (store/replay.h): pages become its text, and the end of the stream its
 * place.
 */


#ifndef _NGX_HTTP_EVENTSESSION_FEED_HISTORY_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_FEED_HISTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/feed_subscriber.h"
#include "store/replay.h"


/* Of sub->replay, whose data is the subscriber. */
extern const evs_replay_handlers_t  ngx_http_eventsession_history_handlers;


#endif /* _NGX_HTTP_EVENTSESSION_FEED_HISTORY_H_INCLUDED_ */
