
/*
 * Regular expressions of JSON Schema: ECMA-262 with its u flag, by PCRE2.
 *
 * The dialects differ in more than looks, so a pattern is translated, and
 * what ECMA-262 does not know (\A, \Z, (?i), (?>...), a++, [:alpha:], ...) is
 * refused or plain text, as it is there; \s, . and $ are what they are there.
 * \d, \w and \b are of ASCII.
 *
 * More is taken than there: a backslash in front of any punctuation; {, } and
 * ] as plain text where they begin or end nothing.  Less: a look-behind must
 * be of a known length, and the names of properties are those that the
 * installed PCRE2 knows, besides the long names of the general categories.
 *
 * A match has a limit of work in proportion to the text.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_ecma.h"
#include "event/schema_node.h"


/* a position where PCRE may have to come back to; of all, in KiB */
#define EVS_PATTERN_LIMIT     200
#define EVS_PATTERN_PER_BYTE  100
#define EVS_PATTERN_HEAP      (32 * 1024)

/* what a match costs of the run's steps, and a byte of the text in addition */
#define EVS_PATTERN_STEPS     20
#define EVS_PATTERN_BYTES     16


static evs_schema_pattern_t *evs_pattern_compile(ngx_pool_t *pool,
    evs_schema_t *schema, const evs_pattern_t *p, char *buf, size_t size,
    const char **error);
static ngx_int_t evs_pattern_prepare(evs_schema_run_t *run);


evs_schema_pattern_t *
evs_schema_pattern(ngx_pool_t *pool, evs_schema_t *schema, const char *text,
    size_t len, char *buf, size_t size, const char **error)
{
    evs_pattern_t  p;

    *error = NULL;

    /* once for the length, and once more to write it */

    ngx_memzero(&p, sizeof(evs_pattern_t));

    p.pos = text;
    p.last = text + len;

    if (evs_pattern_translate(&p) != NGX_OK) {
        snprintf(buf, size, p.error, p.letter);
        *error = buf;
        return NULL;
    }

    p.out = ngx_pnalloc(pool, p.len + 1);
    if (p.out == NULL) {
        return NULL;
    }

    p.pos = text;
    p.len = 0;

    (void) evs_pattern_translate(&p);

    return evs_pattern_compile(pool, schema, &p, buf, size, error);
}


static evs_schema_pattern_t *
evs_pattern_compile(ngx_pool_t *pool, evs_schema_t *schema,
    const evs_pattern_t *p, char *buf, size_t size, const char **error)
{
    int                    rc;
    size_t                 offset;
    evs_schema_pattern_t  *pattern;

    pattern = ngx_pcalloc(pool, sizeof(evs_schema_pattern_t));
    if (pattern == NULL) {
        return NULL;
    }

    pattern->code = pcre2_compile((PCRE2_SPTR) p->out, p->len,
                                  PCRE2_UTF|PCRE2_DOLLAR_ENDONLY
                                  |PCRE2_ALLOW_EMPTY_CLASS
                                  |PCRE2_MATCH_UNSET_BACKREF
                                  |PCRE2_NEVER_BACKSLASH_C,
                                  &rc, &offset, NULL);

    if (pattern->code == NULL) {

        if (pcre2_get_error_message(rc, (PCRE2_UCHAR *) buf, size) < 0) {
            buf[0] = '\0';
        }

        *error = buf;
        return NULL;
    }

    pattern->next = schema->patterns;
    schema->patterns = pattern;

    return pattern;
}


ngx_int_t
evs_schema_match(evs_schema_run_t *run, const evs_schema_pattern_t *pattern,
    const char *text, size_t len, const evs_schema_at_t *at)
{
    int         rc;
    uint32_t    limit;
    ngx_uint_t  steps;

    steps = EVS_PATTERN_STEPS + len / EVS_PATTERN_BYTES;

    if (run->steps < steps) {
        run->steps = 0;
        return evs_schema_spent(run, at);
    }

    run->steps -= steps;

    if (evs_pattern_prepare(run) != NGX_OK) {
        return NGX_ABORT;
    }

    limit = (uint32_t) ngx_min(len, UINT32_MAX / EVS_PATTERN_PER_BYTE / 2)
            * EVS_PATTERN_PER_BYTE + EVS_PATTERN_LIMIT;

    (void) pcre2_set_match_limit(run->context, limit);

    rc = pcre2_match(pattern->code, (PCRE2_SPTR) text, len, 0, 0, run->match,
                     run->context);

    if (rc >= 0) {
        return NGX_OK;
    }

    switch (rc) {

    case PCRE2_ERROR_NOMATCH:
        return NGX_DECLINED;

    case PCRE2_ERROR_NOMEMORY:
        return NGX_ABORT;

    default:
        return evs_schema_end(run, at, "Must be simpler: to match it with the "
                              "pattern of the schema takes too much work.");
    }
}


/* For the first match of a run; only whether it matches is asked for. */

static ngx_int_t
evs_pattern_prepare(evs_schema_run_t *run)
{
    if (run->context == NULL) {
        run->context = pcre2_match_context_create(NULL);

        if (run->context == NULL) {
            return NGX_ERROR;
        }

        (void) pcre2_set_heap_limit(run->context, EVS_PATTERN_HEAP);
    }

    if (run->match == NULL) {
        run->match = pcre2_match_data_create(1, NULL);
    }

    return (run->match == NULL) ? NGX_ERROR : NGX_OK;
}
