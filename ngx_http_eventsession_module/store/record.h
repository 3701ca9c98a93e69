
/*
 * The member of a day's sorted set in the event log: one record.
 *
 *   byte 0    0x01, the format
 *   8 bytes   createdAt, µs since the epoch, big-endian
 *   16 bytes  the id, a UUID
 *
 *   then      email, environment, component and message, each behind a varint
 *             of its length: the insides of JSON strings, canonical
 *   then      data: all the rest, compact JSON
 *
 * Pure: no Redis, no clock.
 */


#ifndef _EVS_STORE_RECORD_H_INCLUDED_
#define _EVS_STORE_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/record.h"


#define EVS_RECORD_UUID_LEN   36


/* The member: at most evs_record_max() bytes at p; returns the end. */
size_t evs_record_max(const evs_record_t *record);
u_char *evs_record_write(u_char *p, const evs_record_t *record);

/*
 * A view of a stored member, which is not changed.  NGX_OK; NGX_DECLINED: it
 * isn't one of ours (wrong format, cut short, a text that is not canonical,
 * data that is not compact JSON); NGX_ABORT: no memory.  What is taken can be
 * shown, and looked into, without another check.
 */
ngx_int_t evs_record_read(evs_record_t *record, const ngx_str_t *member,
    evs_json_names_t *names);

/*
 * The record as it is shown, without a comma:
 *
 *     {"id":"...","createdAt":"2026-11-21T17:04:38.068123Z","email":"...",
 *      "environment":"...","component":"...","message":"...","data":...}
 */
size_t evs_record_json_max(const evs_record_t *record);
u_char *evs_record_json(u_char *p, const evs_record_t *record);

/* The id as text: EVS_RECORD_UUID_LEN bytes at p, returns the end. */
u_char *evs_record_uuid(u_char *p, const evs_record_t *record);


#endif /* _EVS_STORE_RECORD_H_INCLUDED_ */
