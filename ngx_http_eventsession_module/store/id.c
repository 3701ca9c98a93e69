
/*
 * An id is the time in ticks, made to grow strictly in this process, and a
 * random number that this process drew for itself: two events are one only
 * if two processes drew the same of 2^24 numbers and took the same tick for
 * the same name and timestamp in the same session.
 *
 * A message of many entries takes as many ticks as it has entries, and what
 * other processes get meanwhile would come before its last ones.  So a tick is
 * much shorter than the time that an entry costs: all ids of a message have
 * passed before it can be acknowledged.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/random.h>

#include "store/id.h"


#define EVS_ID_TIME_LEN      7
#define EVS_ID_TICKS         16     /* a µs: 56 bits last until 2112 */
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

    id->ticks = ngx_max(now * EVS_ID_TICKS, process->last + 1);

    ngx_memcpy(id->text + EVS_ID_TIME_LEN, process->instance,
               EVS_ID_INSTANCE_LEN);

    return NGX_OK;
}


void
evs_id_next(evs_id_t *id)
{
    uint64_t    ticks;
    ngx_uint_t  i;

    ticks = id->ticks++;

    for (i = EVS_ID_TIME_LEN; i-- != 0; ticks >>= 8) {
        id->text[i] = (u_char) ticks;
    }
}


void
evs_id_end(const evs_id_t *id)
{
    evs_id_process.last = id->ticks;
}


void
evs_id_save(const evs_id_t *id, u_char *text)
{
    evs_id_t  next;

    next = *id;
    evs_id_next(&next);

    ngx_memcpy(text, next.text, EVS_MEMBER_ID_LEN);
}


void
evs_id_load(evs_id_t *id, const u_char *text)
{
    ngx_uint_t  i;

    id->ticks = 0;

    for (i = 0; i < EVS_ID_TIME_LEN; i++) {
        id->ticks = id->ticks << 8 | text[i];
    }

    ngx_memcpy(id->text, text, EVS_MEMBER_ID_LEN);
}
