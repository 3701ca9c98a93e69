
/*
 * Entries without a record: see log_sweep.h.  For each index that has such,
 *
 *     ZREM <index> <entry> ...
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "redis/redis.h"
#include "store/log_sweep.h"


/* µs behind the time that a writer has */
#define EVS_LOG_SWEEP_AGE   3600000000LL


static ngx_uint_t evs_log_sweep_choose(evs_log_merge_t *merge, ngx_uint_t n);
static ngx_uint_t evs_log_sweep_of(const evs_log_merge_t *merge, ngx_uint_t n,
    ngx_uint_t isource);
static u_char *evs_log_sweep_zrem(u_char *p, const evs_log_merge_t *merge,
    ngx_uint_t n, ngx_uint_t isource);
static void evs_log_sweep_done(void *data, const evs_redis_reply_t *reply);


static const evs_redis_handlers_t  evs_log_sweep_handlers = {
    NULL,
    evs_log_sweep_done
};


void
evs_log_sweep(evs_log_merge_t *merge, ngx_uint_t n)
{
    u_char      *p;
    ngx_uint_t   i, members, commands;

    members = evs_log_sweep_choose(merge, n);

    if (members == 0 || !evs_store_has_room(merge->conf, merge->node)) {
        return;
    }

    p = evs_redis_reserve(merge->node, merge->plan->nbranches
                          * (EVS_LOG_KEY_MAX + 128
                             + members
                               * (EVS_LOG_INDEX_ID + EVS_RESP_ARG_MAX)));
    if (p == NULL) {
        return;
    }

    commands = 0;

    for (i = 0; i < merge->plan->nbranches; i++) {

        if (evs_log_sweep_of(merge, n, i) != 0) {
            p = evs_log_sweep_zrem(p, merge, n, i);
            commands++;
        }
    }

    (void) evs_redis_commit(merge->node, p, commands, merge->conf->timeout,
                            &evs_log_sweep_handlers, NULL);
}


/* How many are to go; the others have no sources any more. */

static ngx_uint_t
evs_log_sweep_choose(evs_log_merge_t *merge, ngx_uint_t n)
{
    int64_t            old;
    ngx_uint_t         i, members;
    evs_log_wanted_t  *wanted;

    old = evs_log_now() - EVS_LOG_SWEEP_AGE
          - (int64_t) merge->conf->timeout * 1000;

    members = 0;

    for (i = 0; i < n; i++) {
        wanted = &merge->wanted[i];

        if (wanted->found || wanted->entry.us >= old) {
            wanted->sources = 0;

        } else {
            members++;
        }
    }

    return members;
}


static ngx_uint_t
evs_log_sweep_of(const evs_log_merge_t *merge, ngx_uint_t n,
    ngx_uint_t isource)
{
    ngx_uint_t  i, members;

    members = 0;

    for (i = 0; i < n; i++) {
        members += (merge->wanted[i].sources >> isource) & 1;
    }

    return members;
}


static u_char *
evs_log_sweep_zrem(u_char *p, const evs_log_merge_t *merge, ngx_uint_t n,
    ngx_uint_t isource)
{
    u_char      *last, key[EVS_LOG_KEY_MAX];
    ngx_uint_t   i;

    last = evs_log_source_key(key, &merge->sources[isource]);

    p = evs_resp_argc(p, 2 + evs_log_sweep_of(merge, n, isource));
    p = evs_resp_arg(p, (u_char *) "ZREM", 4);
    p = evs_resp_arg(p, key, (size_t) (last - key));

    for (i = 0; i < n; i++) {
        if ((merge->wanted[i].sources >> isource) & 1) {
            p = evs_resp_arg(p, merge->wanted[i].entry.id, EVS_LOG_INDEX_ID);
        }
    }

    return p;
}


static void
evs_log_sweep_done(void *data, const evs_redis_reply_t *reply)
{
    /* void */
}
