
/*
 * The entry scanner: one message of the WebSocket ingest (contract, sections
 * 0 and 1) or one body of a batch (section 3), an array of entries, read once,
 * in place, without a tree.
 *
 *     evs_scan_init(&scan, text, len, &sid, sid_kind, &limits, names);
 *
 *     while ((rc = evs_scan_next(&scan, &entry)) == NGX_OK) { ... }
 *
 *     NGX_DONE:   the array has ended well; scan.count entries were returned
 *     NGX_ERROR:  the message is bad as a whole; scan.fault says why
 *     NGX_ABORT:  no memory
 *
 * Entries returned before NGX_ERROR must be thrown away: a message is all or
 * nothing.  A syntax fault anywhere goes before the fault of an entry: what
 * isn't JSON has no entries.  The text is changed in place.
 */


#ifndef _EVS_SCAN_H_INCLUDED_
#define _EVS_SCAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "event/json.h"
#include "event/sid.h"


typedef struct {
    size_t             entries;    /* a message */
    size_t             name;       /* bytes, decoded */
    size_t             category;   /* characters (code points) */
    size_t             data;       /* bytes, compact */
} evs_limits_t;

#define EVS_ID_MAX     64          /* bytes of an entry's id */


typedef enum {
    EVS_FAULT_SYNTAX = 1,          /* not JSON, or not an array */
    EVS_FAULT_ENTRY,               /* an entry breaks a rule */
    EVS_FAULT_SESSION              /* an entry names another session: 1008 */
} evs_fault_kind_e;

#define EVS_FAULT_TEXT_MAX  256

typedef struct {
    evs_fault_kind_e   kind;
    ngx_int_t          index;      /* of the entry, from 0; -1: none */
    const char        *field;      /* NULL: none */
    size_t             len;
    u_char             text[EVS_FAULT_TEXT_MAX];  /* plain ASCII, one sentence:
                                      what was wrong, where, what is right */
} evs_fault_t;


typedef struct {
    evs_json_t              json;
    const evs_sid_t        *sid;   /* the URL's session, canonical; NULL: a
                                      batch, which has none */
    ngx_uint_t              sid_kind;
    const evs_limits_t     *limits;
    unsigned                keys;  /* that mean something, a bit each */
    ngx_uint_t              count;
    ngx_uint_t              state;
    evs_fault_t             fault;

    /* of a batch */
    const evs_timestamp_t  *now;
    u_char                 *last;      /* of the body; json's is the line's */
    evs_sid_t               session;   /* of the last entry; len 0: none */
} evs_scan_t;


void evs_scan_init(evs_scan_t *scan, u_char *text, size_t len,
    const evs_sid_t *sid, ngx_uint_t sid_kind, const evs_limits_t *limits,
    evs_json_names_t *names);

/*
 * A batch: all entries are events, and no member of theirs is required; type
 * and id mean nothing.  Where there is no timestamp it is now, which lives as
 * long as the entries.  An entry's session lies in scan->session and holds
 * until the next entry is asked for.
 *
 * With lines the text is NDJSON instead of an array: an object a line, which a
 * line feed ends, or the end of the text; lines of blanks are stepped over.
 */
void evs_scan_init_batch(evs_scan_t *scan, u_char *text, size_t len,
    ngx_uint_t sid_kind, const evs_limits_t *limits, evs_json_names_t *names,
    const evs_timestamp_t *now, ngx_uint_t lines);

ngx_int_t evs_scan_next(evs_scan_t *scan, evs_entry_t *entry);


#endif /* _EVS_SCAN_H_INCLUDED_ */
