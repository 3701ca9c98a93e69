
/*
 * Deleted sessions, looked up by their ids: see gone.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/gone.h"


#define EVS_GONE_FIRST      16        /* that there is room for at first */

/* of a score as Redis writes it */
#define EVS_GONE_SCORE_MAX  32


static evs_gone_session_t *evs_gone_add(evs_gone_t *gone,
    const ngx_str_t *sid, ngx_log_t *log);
static ngx_int_t evs_gone_grow(evs_gone_t *gone, ngx_log_t *log);
static void evs_gone_sort(evs_gone_t *gone);
static double evs_gone_score(const ngx_str_t *text);
static int evs_gone_cmp(const void *one, const void *two);


ngx_int_t
evs_gone_element(evs_gone_t *gone, const ngx_str_t *element, ngx_log_t *log)
{
    if (gone->half) {
        gone->half = 0;
        gone->sessions[gone->n - 1].score = evs_gone_score(element);

        return NGX_OK;
    }

    gone->half = 1;

    return (evs_gone_add(gone, element, log) == NULL) ? NGX_ERROR : NGX_OK;
}


ngx_int_t
evs_gone_name(evs_gone_t *gone, const ngx_str_t *sid, ngx_log_t *log)
{
    const evs_sid_t  *last;

    /* the events of a message are of one session */

    if (gone->n != 0) {
        last = &gone->sessions[gone->n - 1].sid;

        if (last->len == sid->len
            && ngx_memcmp(last->data, sid->data, sid->len) == 0)
        {
            return NGX_OK;
        }
    }

    return (evs_gone_add(gone, sid, log) == NULL) ? NGX_ERROR : NGX_OK;
}


ngx_uint_t
evs_gone_named(evs_gone_t *gone)
{
    ngx_uint_t           i, n;
    evs_gone_session_t  *session;

    evs_gone_sort(gone);

    session = gone->sessions;

    for (n = 0, i = 0; i < gone->n; i++) {

        if (n == 0 || evs_gone_cmp(&session[n - 1], &session[i]) != 0) {
            session[n++] = session[i];
        }
    }

    gone->n = n;

    return n;
}


u_char *
evs_gone_args(u_char *p, const evs_gone_t *gone)
{
    ngx_uint_t        i;
    const evs_sid_t  *sid;

    for (i = 0; i < gone->n; i++) {
        sid = &gone->sessions[i].sid;
        p = evs_resp_arg(p, sid->data, sid->len);
    }

    return p;
}


void
evs_gone_scored(evs_gone_t *gone, const ngx_str_t *element)
{
    if (gone->scored < gone->n) {

        /* nil is empty */

        gone->sessions[gone->scored++].score = element->len
                                               ? evs_gone_score(element) : -1;
    }
}


void
evs_gone_rescore(evs_gone_t *gone)
{
    gone->scored = 0;
}


/* NULL: no memory. */

static evs_gone_session_t *
evs_gone_add(evs_gone_t *gone, const ngx_str_t *sid, ngx_log_t *log)
{
    evs_gone_session_t  *session;

    if (gone->n == gone->size && evs_gone_grow(gone, log) != NGX_OK) {
        return NULL;
    }

    session = &gone->sessions[gone->n++];

    gone->sorted = 0;

    /* what is too long is nobody's */

    session->score = -1;
    session->sid.len = (sid->len <= EVS_SID_MAX) ? sid->len : 0;
    ngx_memcpy(session->sid.data, sid->data, session->sid.len);

    return session;
}


static ngx_int_t
evs_gone_grow(evs_gone_t *gone, ngx_log_t *log)
{
    ngx_uint_t           size;
    evs_gone_session_t  *sessions;

    size = gone->size ? 2 * gone->size : EVS_GONE_FIRST;

    sessions = ngx_alloc(size * sizeof(evs_gone_session_t), log);
    if (sessions == NULL) {
        return NGX_ERROR;
    }

    if (gone->n != 0) {
        ngx_memcpy(sessions, gone->sessions,
                   gone->n * sizeof(evs_gone_session_t));
    }

    ngx_free(gone->sessions);

    gone->sessions = sessions;
    gone->size = size;

    return NGX_OK;
}


/* Redis may write a large one with an exponent. */

static double
evs_gone_score(const ngx_str_t *text)
{
    char    buf[EVS_GONE_SCORE_MAX + 1];
    size_t  len;

    len = ngx_min(text->len, EVS_GONE_SCORE_MAX);

    ngx_memcpy(buf, text->data, len);
    buf[len] = '\0';

    return strtod(buf, NULL);
}


ngx_uint_t
evs_gone_has(evs_gone_t *gone, const ngx_str_t *sid, uint64_t score)
{
    evs_gone_session_t  key, *session;

    if (gone->n == 0 || sid->len == 0 || sid->len > EVS_SID_MAX) {
        return 0;
    }

    evs_gone_sort(gone);

    key.score = 0;
    key.sid.len = sid->len;
    ngx_memcpy(key.sid.data, sid->data, sid->len);

    session = bsearch(&key, gone->sessions, gone->n,
                      sizeof(evs_gone_session_t), evs_gone_cmp);

    return session != NULL && (double) score <= session->score;
}


static void
evs_gone_sort(evs_gone_t *gone)
{
    if (!gone->sorted && gone->n != 0) {
        gone->sorted = 1;
        qsort(gone->sessions, gone->n, sizeof(evs_gone_session_t),
              evs_gone_cmp);
    }
}


static int
evs_gone_cmp(const void *one, const void *two)
{
    const evs_sid_t  *a, *b;

    a = &((const evs_gone_session_t *) one)->sid;
    b = &((const evs_gone_session_t *) two)->sid;

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    return ngx_memcmp(a->data, b->data, a->len);
}


void
evs_gone_free(evs_gone_t *gone)
{
    ngx_free(gone->sessions);
    ngx_memzero(gone, sizeof(evs_gone_t));
}
