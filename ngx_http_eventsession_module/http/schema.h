
/*
 * Which schema the data of which events must fit (eventsession_schema), and
 * whether it does.
 */


#ifndef _NGX_HTTP_EVENTSESSION_SCHEMA_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_SCHEMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "event/track.h"


/*
 * The directive's setter; its slot in the location is an ngx_array_t *, NULL
 * where there is none.
 */
char *ngx_http_eventsession_schema(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * What the data of one body may cost, in steps of evs_schema_validate(): with
 * many events each within its own bounds a client could keep a worker busy for
 * minutes.
 */
#define NGX_HTTP_EVENTSESSION_SCHEMA_STEPS  10000000

/*
 * Adds to the faults of a good item what its schema says of its data, if it
 * has one.  NGX_OK or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_eventsession_schema_check(const ngx_array_t *schemas,
    evs_track_t *track, evs_track_item_t *item, ngx_uint_t *steps);


#endif /* _NGX_HTTP_EVENTSESSION_SCHEMA_H_INCLUDED_ */
