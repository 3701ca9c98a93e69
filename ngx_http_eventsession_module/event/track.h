
/*
 * The body of POST /api/v1/events/ (contract, section 4): one event or an
 * array of them, with the rules, the sentences and the replies of the service
 * that it follows, which was made of Django REST framework's serializers.  All
 * fields of all events are looked at, so that all faults are told at once.
 *
 *     track.pool = pool;
 *
 *     rc = evs_track_parse(&track, text, len, names, &limits, sid_kind);
 *
 *     NGX_OK:        track.nfaulty tells whether there are faults
 *     NGX_DECLINED:  it isn't JSON; track.syntax says why
 *     NGX_ABORT:     no memory
 *
 * What isn't in an event's own fields (who sent it, what a schema says of its
 * data) is looked at later, and may add faults.  The text is changed in place,
 * and events point into it.
 */


#ifndef _EVS_TRACK_H_INCLUDED_
#define _EVS_TRACK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "event/json.h"
#include "event/scan.h"
#include "event/sid.h"


/*
 * Characters of a name.  eventsession_max_name, which counts bytes elsewhere,
 * may make them fewer here, not more; of a category, limits->category decides.
 */
#define EVS_TRACK_NAME_MAX    200

#define EVS_TRACK_SYNTAX_MAX  160


/* in the order in which they are shown */
typedef enum {
    EVS_TRACK_WHOLE = 0,             /* no field, but the object or the body */
    EVS_TRACK_SESSION_ID,
    EVS_TRACK_CATEGORY,
    EVS_TRACK_NAME,
    EVS_TRACK_DATA,
    EVS_TRACK_TIMESTAMP,
    EVS_TRACK_FIELDS
} evs_track_field_e;


typedef struct evs_track_fault_s  evs_track_fault_t;

struct evs_track_fault_s {
    evs_track_fault_t    *next;      /* as they were added */
    evs_track_field_e     field;
    ngx_str_t             sentence;  /* UTF-8, not escaped */
};


typedef struct {
    evs_track_fault_t    *first;     /* NULL: none */
    evs_track_fault_t    *last;
} evs_track_faults_t;


typedef struct {
    evs_sid_t             sid;       /* canonical */
    evs_entry_t           entry;     /* an EVENT, without an id */
    evs_track_faults_t    faults;    /* where there are any, a field at fault
                                        is not set above */
} evs_track_item_t;


typedef struct {
    ngx_pool_t           *pool;      /* set by the caller */

    evs_track_item_t     *items;     /* one array; those that were read */
    ngx_uint_t            nitems;
    ngx_uint_t            nalloc;
    ngx_uint_t            nfaulty;   /* items with a fault, and 1 more when the
                                        body as a whole has one */
    evs_track_faults_t    faults;    /* of the body as a whole */

    ngx_str_t             syntax;    /* plain ASCII, not escaped: what would be
                                        right, and the line and column */
    u_char                syntax_text[EVS_TRACK_SYNTAX_MAX];

    unsigned              array:1;   /* the body was one */
} evs_track_t;


ngx_int_t evs_track_parse(evs_track_t *track, u_char *text, size_t len,
    evs_json_names_t *names, const evs_limits_t *limits, ngx_uint_t sid_kind);

/*
 * Adds a fault to an item; item == NULL: to the body as a whole.  The sentence
 * is not copied.  NGX_OK or NGX_ABORT.
 */
ngx_int_t evs_track_fault(evs_track_t *track, evs_track_item_t *item,
    evs_track_field_e field, const ngx_str_t *sentence);

/*
 * What entries have of a category or a name that is written plainly: escaped
 * canonically, without white space at its ends.  NGX_OK; NGX_DECLINED: no
 * event can have it, since it is blank or not UTF-8; NGX_ABORT.
 */
ngx_int_t evs_track_text(ngx_pool_t *pool, const ngx_str_t *plain,
    ngx_str_t *text);

/*
 * The bodies of replies, from the pool.  NGX_OK or NGX_ABORT.
 *
 * Faults, with 400: {"field":["sentence",...],...}, or for an array a list
 * with such a map for each item, empty for a good one.  A fault of the body as
 * a whole is told alone.
 *
 * Events, with 201, when there are no faults: as they were sent, one or an
 * array, in canonical form.
 */
ngx_int_t evs_track_faults_json(const evs_track_t *track, ngx_str_t *json);
ngx_int_t evs_track_events_json(const evs_track_t *track, ngx_str_t *json);


#endif /* _EVS_TRACK_H_INCLUDED_ */
