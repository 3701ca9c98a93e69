
/*
 * Replies of Redis, found where the socket has left them: RESP2, part by part,
 * nothing copied and nothing allocated.
 */


#ifndef _EVS_RESP_READ_H_INCLUDED_
#define _EVS_RESP_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"


/* arrays in arrays: a stream's entries are 4 deep */
#define EVS_RESP_DEPTH_MAX   8

/* bytes of a status or an error */
#define EVS_RESP_LINE_MAX    65536


/* zeroed, but for pos and last, it is at the start of a reply */
typedef struct {
    u_char                  *pos;       /* the first byte that isn't read */
    u_char                  *last;
    ngx_uint_t               depth;     /* arrays that are open, and how many
                                           elements each of them lacks */
    int64_t                  lacks[EVS_RESP_DEPTH_MAX];
    const char              *why;       /* of NGX_ERROR */
} evs_resp_reader_t;


typedef struct {
    evs_redis_reply_type_e   type;      /* INTEGER to ERROR */
    ngx_str_t                text;      /* in the reader's buffer; INTEGER: its
                                           digits; NIL, ARRAY: empty */
    int64_t                  integer;   /* INTEGER; ARRAY: its elements;
                                           else 0 */
    ngx_uint_t               nested;    /* is an element */
    ngx_uint_t               ends;      /* is the last part of its reply */
} evs_resp_part_t;


/*
 * The next part; an array is one, and its elements follow.  NGX_OK; NGX_AGAIN:
 * what is left is not a whole part, to be tried again when more has come (the
 * bytes may have been moved); NGX_ERROR: it is not RESP2, reader->why says in
 * which way, and nothing that follows can be told apart.
 */
ngx_int_t evs_resp_next(evs_resp_reader_t *reader, evs_resp_part_t *part);


#endif /* _EVS_RESP_READ_H_INCLUDED_ */
