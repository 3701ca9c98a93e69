
/*
 * Where a socket leaves replies, for resp_read.h to find them: one buffer that
 * is used again and again.
 */


#ifndef _EVS_RESP_ROOM_H_INCLUDED_
#define _EVS_RESP_ROOM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/resp_read.h"


/* of the buffer, but while a part is larger */
#define EVS_RESP_ROOM   65536


/*
 * How many bytes may be read to reader->last, 1 at least; 0: no memory.  What
 * is cut off moves to the front, and the buffer grows with a part that is
 * larger than it, until a read has ended where a reply does.  Whatever the
 * sizes of the reads, a byte is moved a few times at most.
 *
 * Buffer and size are NULL and 0 at first; who frees the buffer has the reader
 * zeroed, too.
 */
size_t evs_resp_room(evs_resp_reader_t *reader, u_char **buffer, size_t *size,
    ngx_log_t *log);


#endif /* _EVS_RESP_ROOM_H_INCLUDED_ */
