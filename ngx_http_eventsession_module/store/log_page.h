
/*
 * Records of the event log as they came in, until each has had its turn: a
 * buffer that is filled by the replies of commands, and what these are.
 */


#ifndef _EVS_LOG_PAGE_H_INCLUDED_
#define _EVS_LOG_PAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/log_plan.h"
#include "store/store.h"


/* bytes, but for what can't be less */
#define EVS_LOG_PAGE_MAX   ((size_t) 1024 * 1024)

/* members in a reply, if they are to come whole */
#define EVS_LOG_PAGE_TIES  16


typedef struct {
    ngx_log_t    *log;       /* set by the caller, all else zeroed */

    u_char       *buf;       /* for each its length, its reply and its bytes */
    size_t        pos;       /* of the first one */
    size_t        last;      /* behind the last one */
    size_t        size;

    ngx_uint_t    kept;      /* members that are in it, or were */
    size_t        bytes;     /* of them */
    ngx_uint_t    came;      /* members */

    ngx_uint_t    nreply;    /* of the member that came last */
    ngx_uint_t    nth;       /* member of its reply */
    size_t        begin;     /* of what is kept of this reply */
    ngx_uint_t    cut;       /* the first reply that isn't whole here; replies
                                are all whole if there is none so high */

    unsigned      whole:1;   /* of a reply, all is kept or nothing */
    unsigned      full:1;    /* not all of it is here */
    unsigned      ties:1;    /* cut has EVS_LOG_PAGE_TIES members */
    unsigned      failed:1;  /* no memory */
} evs_log_page_t;


/*
 * The command for n of a day's records from offset on, of some time in it.
 * Writes at most EVS_LOG_PAGE_COMMAND_MAX bytes, returns the end.
 */
#define EVS_LOG_PAGE_COMMAND_MAX  (EVS_LOG_KEY_MAX + 256)

u_char *evs_log_page_command(u_char *p, const evs_store_conf_t *conf,
    const evs_log_time_t *time, uint64_t offset, ngx_uint_t n);

/* Empties it, for a command. */
void evs_log_page_begin(evs_log_page_t *page, ngx_uint_t whole);

/* An element of a reply, or its restart (data == NULL). */
void evs_log_page_add(evs_log_page_t *page, ngx_uint_t nreply,
    const ngx_str_t *element);

/* The first member and its reply.  NGX_OK; NGX_DECLINED: there is none. */
ngx_int_t evs_log_page_head(const evs_log_page_t *page, ngx_str_t *member,
    ngx_uint_t *nreply);
void evs_log_page_pop(evs_log_page_t *page);

void evs_log_page_free(evs_log_page_t *page);


#endif /* _EVS_LOG_PAGE_H_INCLUDED_ */
