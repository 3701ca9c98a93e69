
/*
 * An id is the time in µs, made to grow strictly in this process, and a
 * random number that this process drew for itself: two events are one only
 * if two processes drew the same of 2^24 numbers and took the same µs for
 * the same name and timestamp in the same session.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/random.h>

#include "store/id.h"


#define EVS_ID_TIME_LEN      7
#define EVS_ID_INSTANCE_LEN  (EVS_MEMBER_ID_LEN - EVS_ID_TIME_LEN)


/* of this process; forked workers differ by their pid */
typedef struct {
    ngx_pid_t          pid;
    uint64_t           last;
    u_char             instance[EVS_ID_INSTANCE_LEN];
} evs_id_process_t;


static evs_id_process_t  evs_id_process;


ngx_int_t
evs_id_begin(evs_id_t *id)
{
    uint64_t           now;
    struct timeval     tv;
    evs_id_process_t  *process;

    process = &evs_id_process;

    if (process->pid != ngx_pid) {

        if (getrandom(process->instance, EVS_ID_INSTANCE_LEN, 0)
            != EVS_ID_INSTANCE_LEN)
        {
            return NGX_ERROR;
        }

        process->pid = ngx_pid;
    }

    ngx_gettimeofday(&tv);

    now = (uint64_t) tv.tv_sec * 1000000 + (uint64_t) tv.tv_usec;

    id->us = ngx_max(now, process->last + 1);

    ngx_memcpy(id->text + EVS_ID_TIME_LEN, process->instance,
               EVS_ID_INSTANCE_LEN);

    return NGX_OK;
}


void
evs_id_next(evs_id_t *id)
{
    uint64_t    us;
    ngx_uint_t  i;

    us = id->us++;

    for (i = EVS_ID_TIME_LEN; i-- != 0; us >>= 8) {
        id->text[i] = (u_char) us;
    }
}


void
evs_id_end(const evs_id_t *id)
{
    evs_id_process.last = id->us;
}
