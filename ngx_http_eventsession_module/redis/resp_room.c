
/*
 * Room for replies: see resp_room.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/resp_room.h"


size_t
evs_resp_room(evs_resp_reader_t *reader, u_char **buffer, size_t *size,
    ngx_log_t *log)
{
    u_char  *p;
    size_t   left, need;

    p = *buffer;
    left = (size_t) (reader->last - reader->pos);
    need = *size;

    if (p == NULL || left == 0) {
        need = EVS_RESP_ROOM;

    } else if (left == need) {
        need *= 2;
    }

    if (p == NULL || need != *size) {
        p = ngx_alloc(need, log);

        if (p == NULL) {
            return 0;
        }
    }

    if (left != 0 && p != reader->pos) {
        ngx_memmove(p, reader->pos, left);
    }

    if (*buffer != NULL && p != *buffer) {
        ngx_free(*buffer);
    }

    *buffer = p;
    *size = need;

    reader->pos = p;
    reader->last = p + left;

    return need - left;
}
