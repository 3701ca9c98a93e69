
/*
 * What the scanner makes of a text, written out as the cases of the tests have
 * it: a line an entry, then "done" and how many there were, or the fault.
 */


#ifndef _SCAN_OUTCOME_H_INCLUDED_
#define _SCAN_OUTCOME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/scan.h"


#define OUTCOME_MAX  65536


static char *
outcome_entry(char *p, const evs_entry_t *e)
{
    static const char  *types[] = { "EVENT", "START", "END" };

    p += sprintf(p, "%s %lld %.*s", types[e->type],
                 (long long) e->timestamp.us, (int) e->timestamp.text.len,
                 (char *) e->timestamp.text.data);

    if (e->name.data != NULL) {
        p += sprintf(p, " \"%.*s\"", (int) e->name.len, (char *) e->name.data);
    }

    if (e->id.data != NULL) {
        p += sprintf(p, " #%.*s", (int) e->id.len, (char *) e->id.data);
    }

    if (e->category.data != NULL) {
        p += sprintf(p, " @\"%.*s\"", (int) e->category.len,
                     (char *) e->category.data);
    }

    if (e->data.data != NULL) {
        p += sprintf(p, " =%.*s", (int) e->data.len, (char *) e->data.data);
    }

    if (e->session.data != NULL) {
        p += sprintf(p, " in %.*s", (int) e->session.len,
                     (char *) e->session.data);
    }

    return p + sprintf(p, "\n");
}


static void
outcome_write(char *p, evs_scan_t *scan)
{
    ngx_int_t     rc;
    evs_entry_t   entry;

    static const char  *kinds[] = { "", "syntax", "entry", "session" };

    while ((rc = evs_scan_next(scan, &entry)) == NGX_OK) {
        p = outcome_entry(p, &entry);
    }

    if (rc == NGX_DONE) {
        (void) sprintf(p, "done %lu\n", (unsigned long) scan->count);
        return;
    }

    p += sprintf(p, "%s", kinds[scan->fault.kind]);

    if (scan->fault.index != -1) {
        p += sprintf(p, " %ld", (long) scan->fault.index);
    }

    if (scan->fault.field != NULL) {
        p += sprintf(p, " %s", scan->fault.field);
    }

    (void) sprintf(p, ": %.*s\n", (int) scan->fault.len,
                   (char *) scan->fault.text);
}


#endif /* _SCAN_OUTCOME_H_INCLUDED_ */
