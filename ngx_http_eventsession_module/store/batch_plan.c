
/*
 * The plan of a body, see batch_plan.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/time.h"
#include "store/batch_plan.h"
#include "store/chunks.h"


static ngx_int_t evs_batch_plan_id(evs_id_t *id, const ngx_str_t *word);
static ngx_int_t evs_batch_plan_chunks(evs_batch_plan_t *plan, u_char *p,
    u_char *last);
static ngx_int_t evs_batch_plan_word(u_char **p, u_char *last,
    ngx_str_t *word);


/* floor(seconds) mod shards, of times before 1970, too */

ngx_uint_t
evs_batch_plan_shard(const evs_batch_plan_t *plan, int64_t us)
{
    int64_t  seconds, shard;

    if (plan->single < plan->shards) {
        return plan->single;
    }

    seconds = us / 1000000 - (us % 1000000 < 0);
    shard = seconds % (int64_t) plan->shards;

    return (ngx_uint_t) (shard < 0 ? shard + (int64_t) plan->shards : shard);
}


u_char *
evs_batch_plan_write(u_char *p, const evs_batch_plan_t *plan,
    ngx_uint_t entries)
{
    u_char      id[EVS_MEMBER_ID_LEN];
    evs_id_t    first;
    ngx_uint_t  i;

    first = plan->id;
    first.ticks -= entries;
    evs_id_save(&first, id);

    p = ngx_hex_dump(p, id, EVS_MEMBER_ID_LEN);
    p = ngx_sprintf(p, " %L ", plan->now);

    if (plan->single < plan->shards) {
        p = ngx_sprintf(p, "%ui", plan->single);

    } else {
        *p++ = '-';
    }

    for (i = 0; i < plan->shards; i++) {
        p = ngx_sprintf(p, " %uL", plan->chunks[i]);
    }

    return p;
}


ngx_int_t
evs_batch_plan_read(evs_batch_plan_t *plan, ngx_pool_t *pool, u_char *p,
    u_char *last)
{
    ngx_int_t  n;
    ngx_str_t  word;

    if (evs_batch_plan_word(&p, last, &word) != NGX_OK
        || evs_batch_plan_id(&plan->id, &word) != NGX_OK
        || evs_batch_plan_word(&p, last, &word) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    plan->now = ngx_atoi(word.data, word.len);

    if (plan->now == NGX_ERROR || plan->now > EVS_TIME_MAX_US
        || evs_batch_plan_word(&p, last, &word) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    n = (word.len == 1 && word.data[0] == '-')
        ? EVS_CHUNKS_SHARDS : ngx_atoi(word.data, word.len);

    plan->single = (ngx_uint_t) n;

    plan->chunks = ngx_palloc(pool, EVS_CHUNKS_SHARDS * sizeof(uint64_t));
    if (plan->chunks == NULL) {
        return NGX_ERROR;
    }

    if (evs_batch_plan_chunks(plan, p, last) != NGX_OK
        || (plan->single != EVS_CHUNKS_SHARDS && plan->single >= plan->shards))
    {
        return NGX_DECLINED;
    }

    plan->single = ngx_min(plan->single, plan->shards);

    return NGX_OK;
}


static ngx_int_t
evs_batch_plan_id(evs_id_t *id, const ngx_str_t *word)
{
    u_char      text[EVS_MEMBER_ID_LEN];
    ngx_int_t   n;
    ngx_uint_t  i;

    if (word->len != 2 * EVS_MEMBER_ID_LEN) {
        return NGX_DECLINED;
    }

    for (i = 0; i < EVS_MEMBER_ID_LEN; i++) {
        n = ngx_hextoi(word->data + 2 * i, 2);

        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        text[i] = (u_char) n;
    }

    evs_id_load(id, text);

    return NGX_OK;
}


/* There are as many shards as there are chunks. */

static ngx_int_t
evs_batch_plan_chunks(evs_batch_plan_t *plan, u_char *p, u_char *last)
{
    ngx_int_t  n;
    ngx_str_t  word;

    plan->shards = 0;

    while (plan->shards < EVS_CHUNKS_SHARDS
           && evs_batch_plan_word(&p, last, &word) == NGX_OK)
    {
        n = ngx_atoi(word.data, word.len);

        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        plan->chunks[plan->shards++] = (uint64_t) n;
    }

    return (plan->shards != 0 && p == last) ? NGX_OK : NGX_DECLINED;
}


/* What stands in front of the next blank; p is behind that. */

static ngx_int_t
evs_batch_plan_word(u_char **p, u_char *last, ngx_str_t *word)
{
    u_char  *end;

    end = ngx_strlchr(*p, last, ' ');

    if (end == NULL) {
        end = last;
    }

    word->data = *p;
    word->len = (size_t) (end - *p);

    *p = (end == last) ? last : end + 1;

    return word->len ? NGX_OK : NGX_DECLINED;
}
