
/*
 * The read path: a session's members, in order, a page at a time.
 *
 * Pages go by rank.  While others write, ranks only grow, so the rank where
 * the next page is to begin is a lower bound: what a page repeats is known by
 * its place in the order and passed over, and nothing is ever skipped.  Only
 * a deletion takes members out, all of them: then the next page, which would
 * repeat one member at least, is empty.
 */


#ifndef _EVS_READ_H_INCLUDED_
#define _EVS_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/member.h"
#include "store/range.h"
#include "store/reader.h"
#include "store/store.h"


typedef struct evs_read_s  evs_read_t;

typedef struct {
    /*
     * An EVENT of the page, in order, none twice.  NGX_OK: taken;
     * NGX_DECLINED: no room in this page, give it again in the next one.
     * Called while the reply comes in: must not call into the store.
     */
    ngx_int_t  (*event)(void *data, const evs_member_t *member);

    /* The page comes again from its beginning: forget its events. */
    void       (*again)(void *data);

    /*
     * The page is done.  NGX_OK: there is more; ask for the next one.
     * NGX_DONE: that was the last one.  NGX_DECLINED: no such session, or
     * not any more.  NGX_ERROR: failed.  Of both, failure may say why.  May
     * end the read.
     */
    void       (*page)(void *data, ngx_int_t rc, const char *failure);
} evs_read_handlers_t;


struct evs_read_s {
    const evs_store_conf_t      *conf;
    evs_redis_node_t            *node;
    const evs_read_handlers_t   *handlers;
    void                        *data;
    ngx_pool_t                  *pool;      /* for start and end */
    ngx_log_t                   *log;

    /* what is asked for; set by the caller */
    evs_sid_t                    sid;
    evs_range_t                  range;

    /* what is known once the first page is done: JSON texts; len 0: none */
    ngx_str_t                    start;
    ngx_str_t                    end;

    /* the state of the read */
    evs_redis_cmd_t             *cmd;
    evs_cursor_t                 cursor;    /* behind the last event taken */
    evs_cursor_t                 begin;     /* as cursor, before this page */
    size_t                       start_size;
    size_t                       end_size;
    ngx_uint_t                   asked;     /* members, by this page */
    ngx_uint_t                   came;      /* members, in this page */
    ngx_uint_t                   taken;     /* events, in this page */
    size_t                       bytes;     /* of members, in this page */
    ngx_int_t                    page_reply;   /* of the command; -1: none */
    ngx_int_t                    first_reply;  /* the key's first member */
    ngx_int_t                    last_reply;   /* the key's last member */
    unsigned                     fresh:1;   /* a member behind the cursor has
                                               come in this page */
    unsigned                     begun:1;   /* a page has been handed out */
    unsigned                     edges:1;   /* start and end were asked for */
    unsigned                     exists:1;
    unsigned                     full:1;    /* no more into this page */
    unsigned                     past:1;    /* the end of the range was seen */
    unsigned                     foreign:1; /* a strange member was logged */
};


/* Its reads are evs_read_t. */
extern const evs_reader_t  evs_session_reader;


#endif /* _EVS_READ_H_INCLUDED_ */
