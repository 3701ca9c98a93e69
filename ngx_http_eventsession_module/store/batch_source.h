
/*
 * A chunk of batch events as a source of the merge (store/batch_read.h): what
 * has come of it and not been taken yet lies in a buffer of its own, which is
 * small while nobody takes from it and grows with what is taken.
 *
 * As sessions are (store/read.h), chunks are read by rank with a comparison:
 * nothing is ever taken out of one, so the rank where a page ended is a lower
 * bound for the next one, and what comes again is known by its place in the
 * order.
 */


#ifndef _EVS_BATCH_SOURCE_H_INCLUDED_
#define _EVS_BATCH_SOURCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/range.h"
#include "store/store.h"


/* bytes of buffers: of all sources, about, and of one that is not whole */
#define EVS_BATCH_BUDGET   ((size_t) 8 * 1024 * 1024)
#define EVS_BATCH_BUFFER   ((size_t) 256 * 1024)


typedef struct evs_batch_source_s  evs_batch_source_t;


/* what all the sources of a read have in common */
typedef struct {
    const evs_store_conf_t   *conf;
    evs_redis_node_t         *node;
    ngx_log_t                *log;
    const evs_range_t        *range;
    const evs_cursor_t       *taken;      /* behind the last event taken from
                                             any of them */
    ngx_uint_t                first;      /* members in a source's first page */

    /*
     * What was asked for is in.  NGX_OK, or NGX_ERROR and why.  May end the
     * read.
     */
    void                    (*done)(void *data, evs_batch_source_t *source,
                                    ngx_int_t rc, const char *failure);
    void                     *data;

    size_t                    held;       /* bytes, by all their buffers */
    size_t                    share;      /* of each, whatever others hold */
    uint64_t                  members;    /* that came */
    uint64_t                  bytes;      /* of them */
    unsigned                  foreign:1;  /* a strange member was logged */
    unsigned                  wrong:1;    /* a strange key was logged */
} evs_batch_sources_t;


/* a member as it lies in a buffer, its text behind it */
typedef struct {
    int64_t                   us;
    uint32_t                  len;
    uint16_t                  identity;   /* as evs_member_t has it */
    uint16_t                  cut;        /* only its identity is here */
} evs_batch_record_t;

#define evs_batch_record_text(record)  ((u_char *) (record) + sizeof(*(record)))


struct evs_batch_source_s {
    ngx_queue_t               queue;      /* the read's */
    evs_batch_sources_t      *common;
    evs_redis_cmd_t          *cmd;

    u_char                   *buf;        /* records */
    uint32_t                  pos;        /* of the first one */
    uint32_t                  tail;       /* of the last one */
    uint32_t                  last;       /* behind it */
    uint32_t                  size;

    uint64_t                  rank;       /* of the next member, or less */
    uint64_t                  high;       /* above the rank; 0: not known */
    uint64_t                  probe;

    uint32_t                  pages;      /* bytes that the last page left */
    uint32_t                  want;       /* members in a page */
    uint32_t                  asked;
    uint32_t                  came;

    struct {                              /* at the page's begin */
        uint64_t              rank;
        uint32_t              tail;
        uint32_t              last;
    } page;

    uint32_t                  chunk;
    uint16_t                  shard;

    unsigned                  step:2;
    unsigned                  begun:1;    /* a page has come */
    unsigned                  fresh:1;    /* a member of this page is new */
    unsigned                  full:1;     /* no more into this page */
    unsigned                  past:1;     /* the end of the range was seen */
    unsigned                  ended:1;    /* nothing more will come */
    unsigned                  whole:1;    /* one that is large may come now */
    unsigned                  failed:1;   /* no memory */
    unsigned                  merged:1;   /* the read's: it is in the heap */
};


/* Sets a zeroed one up. */
void evs_batch_source_init(evs_batch_source_t *source,
    evs_batch_sources_t *common, ngx_uint_t shard, ngx_uint_t chunk);

/*
 * Asks for more.  NGX_OK: common->done() will be called, after which it may
 * be necessary to ask again; NGX_ERROR: no memory.
 */
ngx_int_t evs_batch_source_ask(evs_batch_source_t *source);

/* Whether it is to be asked for more before it is empty: 1 or 0. */
ngx_uint_t evs_batch_source_low(const evs_batch_source_t *source);

/* The first record, NULL: none; and away with it. */
evs_batch_record_t *evs_batch_source_head(const evs_batch_source_t *source);
void evs_batch_source_pop(evs_batch_source_t *source);

/* Ends it, and frees what it holds.  Idempotent. */
void evs_batch_source_end(evs_batch_source_t *source);

/* The first record is cut: away with it, its member comes whole when asked. */
void evs_batch_source_want_whole(evs_batch_source_t *source);

/*
 * The order of events: by time, then by identity, which grows with their
 * arrival.  Less than 0, 0, or greater.
 */
int evs_batch_order(const evs_batch_record_t *record,
    const evs_batch_record_t *other);

/* The record's place against a cursor that is set; likewise. */
int evs_batch_place(const evs_batch_record_t *record,
    const evs_cursor_t *cursor);


#endif /* _EVS_BATCH_SOURCE_H_INCLUDED_ */
