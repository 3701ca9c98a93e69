
/*
 * The body of POST /api/v1/events/ (contract, section 4): one event or an
 * array of them, with the rules, the sentences and the replies of the service
 * that it follows.
 *
 *     track.fields.pool = pool;
 *
 *     rc = evs_track_parse(&track, text, len, names, &limits, sid_kind);
 *
 * It returns what evs_fields_parse() does.  What isn't in an event's own
 * fields (who sent it, what a schema says of its data) is looked at later, and
 * may add faults.
 */


#ifndef _EVS_TRACK_H_INCLUDED_
#define _EVS_TRACK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "event/fields.h"
#include "event/scan.h"
#include "event/sid.h"


/*
 * Characters of a name.  eventsession_max_name, which counts bytes elsewhere,
 * may make them fewer here, not more; of a category, limits->category decides.
 */
#define EVS_TRACK_NAME_MAX    200


/* in the order in which they are shown */
typedef enum {
    EVS_TRACK_WHOLE = EVS_FIELDS_WHOLE,
    EVS_TRACK_SESSION_ID,
    EVS_TRACK_CATEGORY,
    EVS_TRACK_NAME,
    EVS_TRACK_DATA,
    EVS_TRACK_TIMESTAMP,
    EVS_TRACK_FIELDS
} evs_track_field_e;


typedef struct {
    evs_fields_item_t     faults;    /* where there are any, a field at fault
                                        is not set below */
    evs_sid_t             sid;       /* canonical */
    evs_entry_t           entry;     /* an EVENT, without an id */
} evs_track_item_t;


typedef struct {
    evs_fields_t          fields;    /* its pool is set by the caller */

    evs_track_item_t     *items;     /* those of fields */
    ngx_uint_t            nitems;
} evs_track_t;


ngx_int_t evs_track_parse(evs_track_t *track, u_char *text, size_t len,
    evs_json_names_t *names, const evs_limits_t *limits, ngx_uint_t sid_kind);

/*
 * The body of a reply with 201, from the pool, when there are no faults: as
 * they were sent, one or an array, in canonical form.  NGX_OK or NGX_ABORT.
 */
ngx_int_t evs_track_events_json(const evs_track_t *track, ngx_str_t *json);


#endif /* _EVS_TRACK_H_INCLUDED_ */
