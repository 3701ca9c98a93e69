
/*
 * An entry: one JSON object that a client sent, after its checks.  It is a
 * view: every string points into the message (or the stored member) that it
 * was read from, and lives as long as that does.
 */


#ifndef _EVS_ENTRY_H_INCLUDED_
#define _EVS_ENTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    EVS_ENTRY_EVENT = 0,
    EVS_ENTRY_START,
    EVS_ENTRY_END
} evs_entry_type_e;


typedef struct {
    int64_t            us;       /* µs since the epoch, what it is ordered by */
    ngx_str_t          text;     /* as it came: a JSON number, or a JSON string
                                    with its quotes, without escapes */
} evs_timestamp_t;


#define EVS_APPLICATION_MAX  64      /* bytes of an application's name */


typedef struct {
    evs_entry_type_e   type;
    evs_timestamp_t    timestamp;

    ngx_str_t          name;     /* the inside of a JSON string, canonically
                                    escaped; EVENT only; data == NULL: none
                                    was sent, as batches may do */
    ngx_str_t          id;       /* decoded; data == NULL: none was sent */
    ngx_str_t          category; /* as name; data == NULL: none was sent */
    ngx_str_t          data;     /* compact strict JSON; data == NULL: none */
    ngx_str_t          session;  /* canonical, of an event that is kept with
                                    those of other sessions; data == NULL:
                                    none */

    ngx_str_t          application;   /* who sent it: plain ASCII without " and
                                         \; data == NULL: nobody was asked */
} evs_entry_t;


#endif /* _EVS_ENTRY_H_INCLUDED_ */
