
/*
 * The record of a worker: see worker_record.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/time.h"
#include "store/worker_record.h"


#define EVS_WORKER_FORMAT    "1 "
#define EVS_WORKER_TIME_MAX  ((uint64_t) EVS_TIME_MAX_US / 1000)


static const u_char *evs_worker_number(const u_char *p, const u_char *last,
    uint64_t *value);
static u_char *evs_worker_number_write(u_char *p, uint64_t n);


ngx_int_t
evs_worker_id(const u_char *text, size_t len, uint64_t *id)
{
    const u_char  *last;

    last = text + len;

    if (evs_worker_number(text, last, id) != last || *id == 0) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
evs_worker_token(const u_char *text, size_t len)
{
    size_t  i;

    if (len != EVS_WORKER_TOKEN_LEN) {
        return NGX_DECLINED;
    }

    for (i = 0; i < len; i++) {

        if ((text[i] < '0' || text[i] > '9')
            && (text[i] < 'a' || text[i] > 'f'))
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


ngx_int_t
evs_worker_record_read(evs_worker_record_t *record, const u_char *text,
    size_t len)
{
    size_t         head;
    uint64_t      *number[5];
    ngx_uint_t     i;
    const u_char  *p, *last;

    p = text;
    last = text + len;
    head = sizeof(EVS_WORKER_FORMAT) - 1;

    if (len < head + EVS_WORKER_TOKEN_LEN
        || ngx_memcmp(p, EVS_WORKER_FORMAT, head) != 0
        || evs_worker_token(p + head, EVS_WORKER_TOKEN_LEN) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(record->token, p + head, EVS_WORKER_TOKEN_LEN);
    p += head + EVS_WORKER_TOKEN_LEN;

    number[0] = &record->shard;
    number[1] = &record->events;
    number[2] = &record->created;
    number[3] = &record->sequence;
    number[4] = &record->finished;

    for (i = 0; i < 5; i++) {

        if (p == last || *p != ' ') {
            return NGX_DECLINED;
        }

        p = evs_worker_number(p + 1, last, number[i]);

        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    if (p != last || record->created > EVS_WORKER_TIME_MAX
        || record->finished > EVS_WORKER_TIME_MAX)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The end of the number that begins at p; NULL: there is none. */

static const u_char *
evs_worker_number(const u_char *p, const u_char *last, uint64_t *value)
{
    uint64_t       n;
    const u_char  *start;

    n = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (uint64_t) (*p - '0');

        if (n > EVS_WORKER_NUMBER_MAX) {
            return NULL;
        }
    }

    if (p == start || (*start == '0' && p - start > 1)) {
        return NULL;
    }

    *value = n;

    return p;
}


u_char *
evs_worker_record_write(u_char *p, const evs_worker_record_t *record)
{
    p = ngx_cpymem(p, EVS_WORKER_FORMAT, sizeof(EVS_WORKER_FORMAT) - 1);
    p = ngx_cpymem(p, record->token, EVS_WORKER_TOKEN_LEN);

    p = evs_worker_number_write(p, record->shard);
    p = evs_worker_number_write(p, record->events);
    p = evs_worker_number_write(p, record->created);
    p = evs_worker_number_write(p, record->sequence);

    return evs_worker_number_write(p, record->finished);
}


static u_char *
evs_worker_number_write(u_char *p, uint64_t n)
{
    u_char  *q, digits[NGX_INT64_LEN];

    q = digits + NGX_INT64_LEN;

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    *p++ = ' ';

    return ngx_cpymem(p, q, (size_t) (digits + NGX_INT64_LEN - q));
}
