
/*
 * The account of a request: see account.h.
 *
 * It is not the module's context of the request, which endpoints use for what
 * they do, and which nginx forgets at an internal redirect, as error_page
 * makes one: it hangs on a cleanup of the request's pool, and is found by the
 * handler of that.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/account.h"
#include "http/body.h"
#include "ngx_http_eventsession_module.h"


#define NGX_HTTP_EVENTSESSION_ERROR_MAX  256


typedef struct {
    evs_sid_t              sid;         /* len 0: not known */
    ngx_uint_t             events;
    uint64_t               us;          /* of storing: the longest */
    size_t                 len;         /* of the error; 0: none */
    u_char                 error[NGX_HTTP_EVENTSESSION_ERROR_MAX];
} ngx_http_eventsession_account_t;


static ngx_int_t ngx_http_eventsession_account_log(ngx_http_request_t *r);
static void ngx_http_eventsession_account_session_log(ngx_http_request_t *r,
    ngx_uint_t class);
static ngx_uint_t ngx_http_eventsession_account_ingest(ngx_http_request_t *r);
static ngx_http_eventsession_account_t *ngx_http_eventsession_account_find(
    ngx_http_request_t *r);
static ngx_http_eventsession_account_t *ngx_http_eventsession_account(
    ngx_http_request_t *r);
static void ngx_http_eventsession_account_cleanup(void *data);
static ngx_int_t ngx_http_eventsession_account_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_eventsession_account_text(ngx_http_variable_value_t *v,
    u_char *text, size_t len);
static ngx_int_t ngx_http_eventsession_account_count(ngx_http_request_t *r,
    ngx_http_variable_value_t *v);
static ngx_int_t ngx_http_eventsession_account_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t us);


typedef enum {
    NGX_HTTP_EVENTSESSION_VAR_ID = 0,
    NGX_HTTP_EVENTSESSION_VAR_EVENTS,
    NGX_HTTP_EVENTSESSION_VAR_TIME,
    NGX_HTTP_EVENTSESSION_VAR_ERROR
} ngx_http_eventsession_var_e;


static ngx_http_variable_t  ngx_http_eventsession_variables[] = {

    { ngx_string("eventsession_id"), NULL,
      ngx_http_eventsession_account_variable, NGX_HTTP_EVENTSESSION_VAR_ID,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("eventsession_events"), NULL,
      ngx_http_eventsession_account_variable, NGX_HTTP_EVENTSESSION_VAR_EVENTS,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("eventsession_store_time"), NULL,
      ngx_http_eventsession_account_variable, NGX_HTTP_EVENTSESSION_VAR_TIME,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("eventsession_error"), NULL,
      ngx_http_eventsession_account_variable, NGX_HTTP_EVENTSESSION_VAR_ERROR,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_eventsession_account_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_eventsession_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_eventsession_account_init(ngx_conf_t *cf, ngx_uint_t *wanted)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *used, *v;
    ngx_http_handler_pt        *handler;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = ngx_http_eventsession_account_log;

    /* those that are named somewhere have an index */

    used = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        for (v = ngx_http_eventsession_variables; v->name.len; v++) {

            if (used[i].name.len == v->name.len
                && ngx_memcmp(used[i].name.data, v->name.data, v->name.len)
                   == 0)
            {
                *wanted = 1;
            }
        }
    }

    return NGX_OK;
}


/* The phase in which access logs are written: a main request has ended. */

static ngx_int_t
ngx_http_eventsession_account_log(ngx_http_request_t *r)
{
    ngx_uint_t                         class, endpoint, status;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if (elcf->endpoint == NULL
        || elcf->endpoint->stats == EVS_STATS_ENDPOINTS)
    {
        return NGX_OK;
    }

    endpoint = elcf->endpoint->stats;
    status = r->err_status ? r->err_status : r->headers_out.status;
    class = status / 100;

    if (class < 1 || class > EVS_STATS_CLASSES) {

        /* nginx logs it as 000: it has ended before an answer began */

        class = 4;
    }

    evs_stats_add(EVS_STATS_REQUESTS + endpoint * EVS_STATS_CLASSES
                  + class - 1, 1);

    if (endpoint == EVS_STATS_SESSION) {
        ngx_http_eventsession_account_session_log(r, class);
    }

    return NGX_OK;
}


static void
ngx_http_eventsession_account_session_log(ngx_http_request_t *r,
    ngx_uint_t class)
{
    if (class != 2 || r->method == NGX_HTTP_OPTIONS) {
        return;
    }

    evs_stats_add((r->method == NGX_HTTP_DELETE) ? EVS_STATS_SESSIONS_DELETED
                                                 : EVS_STATS_SESSIONS_READ, 1);
}


void
ngx_http_eventsession_account_stored(ngx_http_request_t *r,
    ngx_uint_t ingest, ngx_uint_t events, const char *failure)
{
    uint64_t    begin;
    ngx_uint_t  outcome;

    outcome = (failure == NULL) ? EVS_STATS_STORED : EVS_STATS_FAILED;

    evs_stats_events(ingest, outcome, events);

    if (r == NULL) {
        evs_stats_message(ingest, outcome);
        return;
    }

    /* the message is counted with its answer */

    if (failure == NULL) {
        begin = ngx_http_eventsession_body_tick(r);

        evs_stats_acknowledged(ingest, begin);
        ngx_http_eventsession_account_events(r, events, begin);
    }
}


void
ngx_http_eventsession_account_answer(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t  ingest;

    ingest = ngx_http_eventsession_account_ingest(r);

    if (ingest != EVS_STATS_INGESTS) {
        evs_stats_message(ingest, (status < 300) ? EVS_STATS_STORED
                                  : (status < 500) ? EVS_STATS_REFUSED
                                  : EVS_STATS_FAILED);
    }
}


void
ngx_http_eventsession_account_body(ngx_http_request_t *r, size_t len)
{
    ngx_uint_t  ingest;

    ingest = ngx_http_eventsession_account_ingest(r);

    if (ingest != EVS_STATS_INGESTS) {
        evs_stats_add(EVS_STATS_BYTES + ingest, len);
    }
}


void
ngx_http_eventsession_account_syntax(ngx_http_request_t *r)
{
    ngx_uint_t  ingest;

    ingest = ngx_http_eventsession_account_ingest(r);

    if (ingest != EVS_STATS_INGESTS) {
        evs_stats_add(EVS_STATS_PARSE_ERRORS + ingest, 1);
    }
}


void
ngx_http_eventsession_account_broken(ngx_http_request_t *r,
    const char *failure)
{
    ngx_uint_t                         broken;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    broken = (elcf->endpoint->stats == EVS_STATS_SESSION)
             ? EVS_STATS_BROKEN_SESSION
             : (elcf->endpoint->stats == EVS_STATS_BATCH)
               ? EVS_STATS_BROKEN_BATCH : EVS_STATS_BROKEN_LOG;

    evs_stats_add(EVS_STATS_READS_BROKEN + broken, 1);

    ngx_http_eventsession_account_error(r, (const u_char *) failure,
                                        ngx_strlen(failure));
}


/* The endpoint that a body is posted to; EVS_STATS_INGESTS: it isn't. */

static ngx_uint_t
ngx_http_eventsession_account_ingest(ngx_http_request_t *r)
{
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    return (r->method != NGX_HTTP_POST || elcf->endpoint == NULL
            || elcf->endpoint->stats >= EVS_STATS_INGESTS
            || elcf->endpoint->stats == EVS_STATS_WS)
           ? EVS_STATS_INGESTS : elcf->endpoint->stats;
}


void
ngx_http_eventsession_account_events(ngx_http_request_t *r, ngx_uint_t events,
    uint64_t begin)
{
    uint64_t                          us;
    ngx_http_eventsession_account_t  *account;

    account = ngx_http_eventsession_account(r);

    if (account == NULL || events == 0) {
        return;
    }

    us = evs_stats.now - begin;

    if (account->events == 0 || us > account->us) {
        account->us = us;
    }

    account->events += events;
}


void
ngx_http_eventsession_account_session(ngx_http_request_t *r,
    const evs_sid_t *sid)
{
    ngx_http_eventsession_account_t  *account;

    account = ngx_http_eventsession_account(r);

    if (account != NULL) {
        account->sid = *sid;
    }
}


void
ngx_http_eventsession_account_error(ngx_http_request_t *r, const u_char *text,
    size_t len)
{
    ngx_http_eventsession_account_t  *account;

    account = ngx_http_eventsession_account(r);

    if (account != NULL) {
        account->len = ngx_min(len, NGX_HTTP_EVENTSESSION_ERROR_MAX);
        ngx_memcpy(account->error, text, account->len);
    }
}


/* NULL: there is none yet. */

static ngx_http_eventsession_account_t *
ngx_http_eventsession_account_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_eventsession_account_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* The request's, made if need be; NULL: not wanted, no request, no memory. */

static ngx_http_eventsession_account_t *
ngx_http_eventsession_account(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t                 *cln;
    ngx_http_eventsession_account_t    *account;
    ngx_http_eventsession_main_conf_t  *emcf;

    if (r == NULL) {
        return NULL;
    }

    emcf = ngx_http_get_module_main_conf(r, ngx_http_eventsession_module);

    if (!emcf->accounts) {
        return NULL;
    }

    account = ngx_http_eventsession_account_find(r);

    if (account != NULL) {
        return account;
    }

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_eventsession_account_t));
    if (cln == NULL) {
        return NULL;
    }

    account = cln->data;
    ngx_memzero(account, sizeof(ngx_http_eventsession_account_t));

    cln->handler = ngx_http_eventsession_account_cleanup;

    return account;
}


/* It is there to be found by. */

static void
ngx_http_eventsession_account_cleanup(void *data)
{
    (void) data;
}


/* What is said too early isn't kept: it may be another at the end. */

static ngx_int_t
ngx_http_eventsession_account_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_eventsession_account_t  *account;

    v->not_found = 1;

    if (data == NGX_HTTP_EVENTSESSION_VAR_EVENTS) {
        return ngx_http_eventsession_account_count(r, v);
    }

    account = ngx_http_eventsession_account_find(r);

    if (account == NULL) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_EVENTSESSION_VAR_ID:
        ngx_http_eventsession_account_text(v, account->sid.data,
                                           account->sid.len);
        return NGX_OK;

    case NGX_HTTP_EVENTSESSION_VAR_ERROR:
        ngx_http_eventsession_account_text(v, account->error, account->len);
        return NGX_OK;

    default: /* NGX_HTTP_EVENTSESSION_VAR_TIME */
        return account->events
               ? ngx_http_eventsession_account_time(r, v, account->us)
               : NGX_OK;
    }
}


/* An endpoint that stores has stored none if nobody has said so. */

static ngx_int_t
ngx_http_eventsession_account_count(ngx_http_request_t *r,
    ngx_http_variable_value_t *v)
{
    u_char                            *p, *last;
    ngx_http_eventsession_account_t   *account;
    ngx_http_eventsession_loc_conf_t  *elcf;

    account = ngx_http_eventsession_account_find(r);
    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    if ((account == NULL || account->events == 0)
        && ngx_http_eventsession_account_ingest(r) == EVS_STATS_INGESTS
        && (elcf->endpoint == NULL || elcf->endpoint->stats != EVS_STATS_WS))
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(p, "%ui", account ? account->events : 0);

    ngx_http_eventsession_account_text(v, p, (size_t) (last - p));

    return NGX_OK;
}


static void
ngx_http_eventsession_account_text(ngx_http_variable_value_t *v, u_char *text,
    size_t len)
{
    if (len != 0) {
        v->data = text;
        v->len = (unsigned) len & 0xfffffff;
        v->valid = 1;
        v->no_cacheable = 1;
        v->not_found = 0;
    }
}


/* As nginx writes its times: seconds, with milliseconds. */

static ngx_int_t
ngx_http_eventsession_account_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t us)
{
    u_char  *p, *last;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(p, "%uL.%03uL", us / 1000000, us / 1000 % 1000);

    ngx_http_eventsession_account_text(v, p, (size_t) (last - p));

    return NGX_OK;
}
