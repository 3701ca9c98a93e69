
/*
 * The parts of the entry scanner, for its files only: scan.c goes through the
 * message, scan_entry.c reads an entry to its end, and scan_check.c looks at
 * its rules.
 */


#ifndef _EVS_SCAN_PART_H_INCLUDED_
#define _EVS_SCAN_PART_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/scan.h"


#define EVS_SCAN_KEY_TYPE       0
#define EVS_SCAN_KEY_TIMESTAMP  1
#define EVS_SCAN_KEY_SESSION    2
#define EVS_SCAN_KEY_NAME       3
#define EVS_SCAN_KEY_ID         4
#define EVS_SCAN_KEY_CATEGORY   5
#define EVS_SCAN_KEY_DATA       6
#define EVS_SCAN_KEY_OTHER      7

#define evs_scan_has(m, key)  (((m)->seen & (1u << (key))) != 0)
#define evs_scan_batch(scan)  ((scan)->sid == NULL)


typedef struct {
    unsigned           seen;     /* a bit a key; the values of others are not
                                    set */
    evs_json_value_t   value[EVS_SCAN_KEY_OTHER + 1];
} evs_scan_members_t;


/*
 * The entry at pos, to behind its end.  NGX_OK; NGX_DECLINED, the fault is
 * told; NGX_ERROR, a syntax fault; NGX_ABORT, no memory.
 */
ngx_int_t evs_scan_entry(evs_scan_t *scan, evs_entry_t *entry);

/* As above: whatever is there is stepped over. */
ngx_int_t evs_scan_skip(evs_scan_t *scan);

/* What its members make.  NGX_OK, or NGX_DECLINED: the fault is told. */
ngx_int_t evs_scan_check(evs_scan_t *scan, evs_scan_members_t *m,
    evs_entry_t *entry);

/* Tells a fault: NGX_DECLINED.  The text of an entry's gets it in front. */
ngx_int_t evs_scan_fault(evs_scan_t *scan, evs_fault_kind_e kind,
    const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));


#endif /* _EVS_SCAN_PART_H_INCLUDED_ */
