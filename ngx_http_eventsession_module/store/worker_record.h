
/*
 * What the registry keeps of a worker: the value of a field of a hash, of
 * which the name is the worker's id in decimal.
 *
 *     1 <token> <shard> <events> <created> <sequence> <finished>
 *
 * One space between; the token of its process as it is, numbers in decimal
 * without leading zeros, times in ms since the epoch, finished 0 while it is
 * at work.  The 1 is the format.  Pure.
 */


#ifndef _EVS_WORKER_RECORD_H_INCLUDED_
#define _EVS_WORKER_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* 2^53 - 1: all that JavaScript reads exactly */
#define EVS_WORKER_NUMBER_MAX  9007199254740991ULL

/* hexadecimal digits, in lower case */
#define EVS_WORKER_TOKEN_LEN   16


typedef struct {
    u_char             token[EVS_WORKER_TOKEN_LEN];   /* of its process */
    uint64_t           id;        /* 1 .. EVS_WORKER_NUMBER_MAX */
    uint64_t           shard;
    uint64_t           events;    /* stored */
    uint64_t           created;   /* ms since the epoch */
    uint64_t           sequence;  /* among those of its process */
    uint64_t           finished;  /* as created; 0: it is at work */
} evs_worker_record_t;


/* NGX_OK, or NGX_DECLINED: not an id, 1 .. 2^53 - 1 without leading zeros. */
ngx_int_t evs_worker_id(const u_char *text, size_t len, uint64_t *id);

/* NGX_OK, or NGX_DECLINED: not a token. */
ngx_int_t evs_worker_token(const u_char *text, size_t len);

/* All but the id, which is the field's.  NGX_OK, or NGX_DECLINED. */
ngx_int_t evs_worker_record_read(evs_worker_record_t *record,
    const u_char *text, size_t len);

/* The inverse: at most EVS_WORKER_RECORD_MAX bytes at p, returns the end. */
#define EVS_WORKER_RECORD_MAX                                                 \
    (2 + EVS_WORKER_TOKEN_LEN + 5 * (1 + NGX_INT64_LEN))

u_char *evs_worker_record_write(u_char *p, const evs_worker_record_t *record);


#endif /* _EVS_WORKER_RECORD_H_INCLUDED_ */
