
/*
 * A reply whose events come in from the store a page at a time and are written
 * as JSON straight into response buffers.  The first page is held until what
 * stands in front of it is known; if it is the only one the reply has a
 * Content-Length, otherwise it is streamed: the next page is asked for when
 * the client has taken the one before.
 *
 * With a limit the reply is held whole, as its Link header says where the next
 * one begins; a page that grows over some MB ends early, and the link goes on
 * from there.
 */


#ifndef _NGX_HTTP_EVENTSESSION_PAGES_H_INCLUDED_
#define _NGX_HTTP_EVENTSESSION_PAGES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "redis/redis.h"
#include "store/range.h"
#include "store/reader.h"


typedef struct ngx_http_eventsession_pages_s  ngx_http_eventsession_pages_t;

/* what an endpoint reads, and what it looks like */
typedef struct {
    const evs_reader_t  *reader;
    const char          *what;      /* a noun, for problems and the log */
    const char          *absent;    /* the detail of 404, if there may be one */

    /*
     * Writes what stands in front of the events: NGX_OK or NGX_ERROR.  NULL:
     * an array begins.
     */
    ngx_int_t          (*front)(ngx_http_eventsession_pages_t *pages);
    ngx_str_t            closing;   /* what stands behind the events */

    const char   *const *arguments; /* that a Link has again, then NULL */
} ngx_http_eventsession_pages_kind_t;


struct ngx_http_eventsession_pages_s {
    /* set by the endpoint, all else zeroed */
    ngx_http_request_t                        *request;
    const ngx_http_eventsession_pages_kind_t  *kind;
    void                 *read;        /* the reader's; its handlers' data are
                                          these pages */
    const evs_cursor_t   *cursor;      /* behind the last event */
    ngx_uint_t            limit;       /* events; 0: all */

    ngx_uint_t            events;      /* written so far */
    size_t                held;        /* bytes written, not yet given out */

    ngx_chain_t          *out;         /* written, not given to the filters */
    ngx_chain_t          *tail;        /* its last link */
    ngx_chain_t          *busy;
    ngx_chain_t          *free;

    struct {                           /* at the page's begin, to go back to */
        ngx_chain_t      *tail;
        u_char           *last;
        ngx_uint_t        events;
        size_t            held;
    } page;

    unsigned              header_sent:1;
    unsigned              more:1;      /* limit was reached, one more seen */
    unsigned              done:1;      /* the last page is written */
    unsigned              failed:1;    /* no memory while a page came in */
};


/*
 * The node to read from.  NGX_DECLINED: it has room; otherwise a reply has
 * been made.
 */
ngx_int_t ngx_http_eventsession_pages_node(ngx_http_request_t *r,
    const evs_store_conf_t *conf, evs_redis_node_t **node);

/* Begins; returns what the endpoint's handler returns. */
ngx_int_t ngx_http_eventsession_pages_start(
    ngx_http_eventsession_pages_t *pages);

/*
 * Room for an event of size bytes at most, behind its comma; NULL: this page
 * takes no more.  Then where it ended, if it was written: what a handler of
 * the read says, NGX_OK or NGX_DECLINED.
 */
u_char *ngx_http_eventsession_pages_event(
    ngx_http_eventsession_pages_t *pages, size_t size);
ngx_int_t ngx_http_eventsession_pages_wrote(
    ngx_http_eventsession_pages_t *pages, u_char *last);

/*
 * Where what stands in front of the events is to be written, which is exactly
 * size bytes; NULL: no memory.
 */
u_char *ngx_http_eventsession_pages_front(
    ngx_http_eventsession_pages_t *pages, size_t size);

/* Handlers of a read; data are the pages. */

/* The page comes again: forgets its events. */
void ngx_http_eventsession_pages_again(void *data);

/*
 * The page is done.  NGX_OK: there is more; NGX_DONE: that was the last one;
 * NGX_DECLINED: there is no such thing, or not any more; NGX_ERROR: failed.
 * Of both, failure may say why.  May end the request.
 */
void ngx_http_eventsession_pages_page(void *data, ngx_int_t rc,
    const char *failure);


#endif /* _NGX_HTTP_EVENTSESSION_PAGES_H_INCLUDED_ */
