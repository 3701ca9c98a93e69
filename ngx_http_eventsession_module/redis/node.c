
/*
 * The nodes of this process: made on demand, told apart by the index of their
 * conf, ended with the process.  Also what a node says of itself to the log,
 * and to those who ask whether it is down or wait for it to get less busy.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "redis/command.h"
#include "redis/conf.h"
#include "redis/conn.h"
#include "redis/node.h"
#include "redis/pipeline.h"
#include "redis/redis.h"


/* ms until it is over: below the bound, without a refusal */
#define EVS_REDIS_FULL_FOR     5000
#define EVS_REDIS_DOUBTED_FOR  5000


typedef struct {
    const char         *down;       /* evs_redis_down() */
    ngx_uint_t          level;      /* of the log when it begins */
} evs_redis_reason_t;


static evs_redis_node_t *evs_redis_node_create(ngx_cycle_t *cycle,
    evs_redis_conf_t *conf, ngx_uint_t quiet);
static void evs_redis_node_free(evs_redis_node_t *node);
static void evs_redis_node_count(evs_redis_node_t *node,
    evs_redis_reason_e reason);
static void evs_redis_node_back(evs_redis_node_t *node);
static void evs_redis_node_full(evs_redis_node_t *node, size_t bound);
static void evs_redis_node_wake(evs_redis_node_t *node);
static u_char *evs_redis_node_log(ngx_log_t *log, u_char *buf, size_t len);


/* the one state of the process */
static struct {
    evs_redis_node_t  **nodes;
    ngx_uint_t          n;
    ngx_queue_t         all;        /* of them, and of evs_redis_open() */
    ngx_uint_t          ended;
} evs_redis_process;


static const evs_redis_reason_t  evs_redis_reasons[] = {
    { NULL,                                    NGX_LOG_NOTICE },  /* UP */
    { "Redis has not answered yet",            NGX_LOG_WARN },    /* NEW */
    { "Redis does not answer",                 NGX_LOG_WARN },    /* SILENT */
    { "Redis is loading its data",             NGX_LOG_WARN },    /* LOADING */
    { "Redis is busy",                         NGX_LOG_WARN },    /* BUSY */
    { "Redis refuses our credentials",         NGX_LOG_ERR },
    { "Redis refuses the configured database", NGX_LOG_ERR },
    { "Redis is a read-only replica",          NGX_LOG_WARN },    /* REPLICA */
    { "Redis sends us elsewhere",              NGX_LOG_ERR },     /* MOVED */
    { "the server is shutting down",           NGX_LOG_INFO }     /* ENDED */
};


evs_redis_node_t *
evs_redis_node(ngx_cycle_t *cycle, evs_redis_conf_t *conf)
{
    size_t              size;
    ngx_uint_t          n;
    evs_redis_node_t   *node, **nodes;

    if (conf->index >= evs_redis_process.n) {

        if (evs_redis_process.ended) {
            return NULL;
        }

        n = conf->index + 1;
        size = sizeof(evs_redis_node_t *);

        nodes = ngx_calloc(n * size, cycle->log);
        if (nodes == NULL) {
            return NULL;
        }

        if (evs_redis_process.nodes) {
            ngx_memcpy(nodes, evs_redis_process.nodes,
                       evs_redis_process.n * size);
            ngx_free(evs_redis_process.nodes);
        }

        evs_redis_process.nodes = nodes;
        evs_redis_process.n = n;
    }

    node = evs_redis_process.nodes[conf->index];

    if (node == NULL && !evs_redis_process.ended) {
        node = evs_redis_node_create(cycle, conf, 0);
        evs_redis_process.nodes[conf->index] = node;
    }

    return node;
}


evs_redis_node_t *
evs_redis_open(ngx_cycle_t *cycle, evs_redis_conf_t *conf)
{
    if (evs_redis_process.ended) {
        return NULL;
    }

    return evs_redis_node_create(cycle, conf, 1);
}


void
evs_redis_close(evs_redis_node_t *node)
{
    evs_redis_pipeline_forget(node);
    evs_redis_node_end(node);
    evs_redis_node_free(node);
}


void
evs_redis_exit(ngx_cycle_t *cycle)
{
    ngx_queue_t  *q, *all;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, cycle->log, 0,
                   "eventsession: %ui redis nodes end", evs_redis_process.n);

    evs_redis_process.ended = 1;

    /* a handler may still cancel commands of any node */

    all = &evs_redis_process.all;

    for (q = all->next; q && q != all; q = ngx_queue_next(q)) {
        evs_redis_node_end(ngx_queue_data(q, evs_redis_node_t, all));
    }

    while (all->next && !ngx_queue_empty(all)) {
        q = ngx_queue_head(all);
        evs_redis_node_free(ngx_queue_data(q, evs_redis_node_t, all));
    }

    if (evs_redis_process.nodes) {
        ngx_free(evs_redis_process.nodes);
    }

    evs_redis_process.nodes = NULL;
    evs_redis_process.n = 0;
}


void
evs_redis_load(evs_redis_node_t *node, size_t size)
{
    evs_redis_node_grow(node, size);
}


void
evs_redis_unload(evs_redis_node_t *node, size_t size)
{
    evs_redis_node_shrink(node, size);
}


void
evs_redis_bound(evs_redis_node_t *node, size_t bound)
{
    evs_stats_value_t  *limit;

    if (node->bound != 0 && node->bound <= bound) {
        return;
    }

    limit = evs_stats_server_cell(node->server, EVS_STATS_LIMIT);

    *limit += bound - node->bound;

    node->bound = bound;
}


ngx_uint_t
evs_redis_has_room(evs_redis_node_t *node, size_t bound)
{
    if (node->inflight >= bound) {
        evs_redis_node_full(node, bound);
        return 0;
    }

    if (node->full
        && ngx_current_msec - node->full_at > EVS_REDIS_FULL_FOR)
    {
        node->full = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: redis %V has caught up",
                      &node->conf->name);
    }

    return 1;
}


void
evs_redis_wait(evs_redis_node_t *node, evs_redis_wait_t *wait)
{
    ngx_queue_t       *q;
    evs_redis_wait_t  *other;

    evs_redis_wait_cancel(wait);

    if (node->inflight <= wait->low) {
        ngx_post_event(wait->event, &ngx_posted_events);
        return;
    }

    /* the highest low first, so that only the head has to be looked at */

    for (q = ngx_queue_last(&node->waits);
         q != ngx_queue_sentinel(&node->waits);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, evs_redis_wait_t, queue);

        if (other->low >= wait->low) {
            break;
        }
    }

    ngx_queue_insert_after(q, &wait->queue);
    wait->waiting = 1;
}


void
evs_redis_wait_cancel(evs_redis_wait_t *wait)
{
    if (wait->waiting) {
        ngx_queue_remove(&wait->queue);
        wait->waiting = 0;
    }
}


ngx_uint_t
evs_redis_waited(const evs_redis_node_t *node, size_t low)
{
    ngx_queue_t       *q;
    evs_redis_wait_t  *first;

    if (ngx_queue_empty(&node->waits)) {
        return 0;
    }

    q = ngx_queue_head(&node->waits);
    first = ngx_queue_data(q, evs_redis_wait_t, queue);

    return first->low >= low;
}


const char *
evs_redis_down(const evs_redis_node_t *node)
{
    return evs_redis_reasons[node->reason].down;
}


/*
 * A node that is kept at its bound comes to it again and again: the log has it
 * once, until it was not reached for a while.
 */

static void
evs_redis_node_full(evs_redis_node_t *node, size_t bound)
{
    if (node->half == 0) {
        node->half = ngx_max(bound / 2, 1);

        (*evs_stats_server_cell(node->server, EVS_STATS_LIMIT_REACHED))++;
    }

    node->full_at = ngx_current_msec;

    if (node->full) {
        return;
    }

    node->full = 1;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "eventsession: redis %V is too far behind: "
                  "eventsession_max_inflight is reached with %uz bytes, "
                  "WebSockets wait and requests are answered 503",
                  &node->conf->name, node->inflight);
}


void
evs_redis_node_grow(evs_redis_node_t *node, size_t size)
{
    node->inflight += size;

    *evs_stats_server_cell(node->server, EVS_STATS_INFLIGHT) += size;
}


void
evs_redis_node_shrink(evs_redis_node_t *node, size_t size)
{
    node->inflight -= size;

    *evs_stats_server_cell(node->server, EVS_STATS_INFLIGHT) -= size;

    if (node->inflight <= node->half) {
        node->half = 0;
    }

    evs_redis_node_wake(node);
}


static void
evs_redis_node_wake(evs_redis_node_t *node)
{
    ngx_queue_t       *q;
    evs_redis_wait_t  *wait;

    while (!ngx_queue_empty(&node->waits)) {

        q = ngx_queue_head(&node->waits);
        wait = ngx_queue_data(q, evs_redis_wait_t, queue);

        if (node->inflight > wait->low) {
            return;
        }

        evs_redis_wait_cancel(wait);

        /* who is posted already, for an answer, keeps to this order, too */

        if (wait->event->posted) {
            ngx_delete_posted_event(wait->event);
        }

        ngx_post_event(wait->event, &ngx_posted_events);
    }
}


void
evs_redis_node_down(evs_redis_node_t *node, evs_redis_reason_e reason,
    ngx_err_t err, const ngx_str_t *text)
{
    if (reason == EVS_REDIS_SILENT && !node->answered) {
        evs_redis_node_count(node, EVS_REDIS_NEW);

    } else {
        evs_redis_node_count(node, reason);
    }

    if (node->logged == reason || node->quiet) {
        ngx_log_debug1(NGX_LOG_DEBUG_CORE, &node->log, err,
                       "eventsession: redis is away: %V", text);
        return;
    }

    node->logged = reason;

    ngx_log_error(evs_redis_reasons[reason].level, ngx_cycle->log, err,
                  "eventsession: redis %V is away: %s: %V; "
                  "%ui commands waiting",
                  &node->conf->name, evs_redis_reasons[reason].down, text,
                  node->live);
}


void
evs_redis_node_up(evs_redis_node_t *node)
{
    if (node->answered) {
        (*evs_stats_server_cell(node->server, EVS_STATS_RECONNECTS))++;
    }

    evs_redis_node_count(node, EVS_REDIS_UP);
    node->answered = 1;

    if (!node->doubted) {
        evs_redis_node_back(node);
    }
}


/*
 * Some commands it may take, as a replica does, and refuse others with their
 * connection: it is back when it has not done so for a while.
 */

void
evs_redis_node_useful(evs_redis_node_t *node)
{
    node->useful = 1;

    if (node->doubted
        && ngx_current_msec - node->doubted_at > EVS_REDIS_DOUBTED_FOR)
    {
        node->doubted = 0;
        evs_redis_node_back(node);
    }
}


static void
evs_redis_node_back(evs_redis_node_t *node)
{
    if (node->logged != EVS_REDIS_UP && !node->quiet) {
        node->logged = EVS_REDIS_UP;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "eventsession: redis %V is back; %ui commands waiting",
                      &node->conf->name, node->live);
    }
}


void
evs_redis_node_end(evs_redis_node_t *node)
{
    if (node->ended) {
        return;
    }

    node->ended = 1;

    evs_redis_conn_close(node);

    evs_redis_node_count(node, EVS_REDIS_ENDED);

    evs_redis_pipeline_end(node);
}


/* The gauges of connections follow the reason: up, down or neither. */

static void
evs_redis_node_count(evs_redis_node_t *node, evs_redis_reason_e reason)
{
    evs_stats_value_t  *was, *is;

    was = evs_stats_server_cell(node->server, (node->reason == EVS_REDIS_UP)
                                              ? EVS_STATS_UP : EVS_STATS_DOWN);
    is = evs_stats_server_cell(node->server, (reason == EVS_REDIS_UP)
                                             ? EVS_STATS_UP : EVS_STATS_DOWN);

    node->reason = reason;

    (*was)--;

    if (reason != EVS_REDIS_ENDED) {
        (*is)++;
    }
}


static evs_redis_node_t *
evs_redis_node_create(ngx_cycle_t *cycle, evs_redis_conf_t *conf,
    ngx_uint_t quiet)
{
    evs_redis_node_t  *node;

    node = ngx_calloc(sizeof(evs_redis_node_t), cycle->log);
    if (node == NULL) {
        return NULL;
    }

    node->conf = conf;
    node->ident = -1;
    node->reason = EVS_REDIS_NEW;
    node->quiet = quiet ? 1 : 0;
    node->server = evs_stats_server(&conf->name);

    node->log = *cycle->log;
    node->log.handler = evs_redis_node_log;
    node->log.data = node;
    node->log.action = NULL;

    ngx_queue_init(&node->waits);

    evs_redis_pipeline_init(node);

    (*evs_stats_server_cell(node->server, EVS_STATS_DOWN))++;

    if (evs_redis_conn_init(node) != NGX_OK) {
        evs_redis_node_count(node, EVS_REDIS_ENDED);
        ngx_free(node);
        return NULL;
    }

    if (evs_redis_process.all.next == NULL) {
        ngx_queue_init(&evs_redis_process.all);
    }

    ngx_queue_insert_tail(&evs_redis_process.all, &node->all);

    return node;
}


static void
evs_redis_node_free(evs_redis_node_t *node)
{
    ngx_queue_t       *q;
    evs_redis_wait_t  *wait;

    while (!ngx_queue_empty(&node->waits)) {
        q = ngx_queue_head(&node->waits);
        wait = ngx_queue_data(q, evs_redis_wait_t, queue);
        evs_redis_wait_cancel(wait);
    }

    evs_redis_cmd_destroy_all(node);

    *evs_stats_server_cell(node->server, EVS_STATS_LIMIT) -= node->bound;

    ngx_queue_remove(&node->all);

    ngx_free(node->addrs);
    ngx_free(node);
}


static u_char *
evs_redis_node_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char            *p;
    evs_redis_node_t  *node;

    node = log->data;
    p = buf;

    if (log->action) {
        p = ngx_snprintf(p, len, " while %s", log->action);
        len -= (size_t) (p - buf);
        buf = p;
    }

    return ngx_snprintf(buf, len, ", redis: \"%V\"", &node->conf->name);
}
