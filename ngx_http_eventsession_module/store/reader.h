
/*
 * A read that comes in pages, as those see it who give the pages out: what it
 * is of, and how that is found, is its own (store/read.h, store/batch_read.h,
 * store/log_read.h).  It tells of what has come by handlers of its own, too.
 */


#ifndef _EVS_READER_H_INCLUDED_
#define _EVS_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    /*
     * Begins with the first page; the next page.  NGX_OK: the page handler
     * will be called; NGX_ERROR: no memory.
     */
    ngx_int_t  (*begin)(void *read);
    ngx_int_t  (*next)(void *read);

    /*
     * Ends the read, and frees what the pool doesn't: no handler is called any
     * more.  Idempotent.
     */
    void       (*cancel)(void *read);
} evs_reader_t;


#endif /* _EVS_READER_H_INCLUDED_ */
