
/*
 * Regular expressions, by PCRE2 in UTF.  Where it has a choice it does what
 * JavaScript does, which the standard asks for: $ is the very end, \u0041 and
 * \x41 are characters, [] is none, a group that took no part is empty.
 *
 * A match has a limit of work in proportion to the text.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_node.h"


#define EVS_PATTERN_OPTIONS                                                   \
    (PCRE2_UTF|PCRE2_DOLLAR_ENDONLY|PCRE2_ALT_BSUX|PCRE2_ALLOW_EMPTY_CLASS    \
     |PCRE2_MATCH_UNSET_BACKREF|PCRE2_NEVER_BACKSLASH_C)

/* a position where PCRE may have to come back to; of all, in KiB */
#define EVS_PATTERN_LIMIT     200
#define EVS_PATTERN_PER_BYTE  100
#define EVS_PATTERN_HEAP      (32 * 1024)

/* what a match costs of the run's steps, and a byte of the text in addition */
#define EVS_PATTERN_STEPS     20
#define EVS_PATTERN_BYTES     16


static ngx_int_t evs_pattern_prepare(evs_schema_run_t *run);


evs_schema_pattern_t *
evs_schema_pattern(ngx_pool_t *pool, evs_schema_t *schema, const char *text,
    size_t len, char *buf, size_t size, const char **error)
{
    int                    rc;
    size_t                 offset;
    PCRE2_UCHAR            message[128];
    evs_schema_pattern_t  *pattern;

    *error = NULL;

    pattern = ngx_pcalloc(pool, sizeof(evs_schema_pattern_t));
    if (pattern == NULL) {
        return NULL;
    }

    pattern->code = pcre2_compile((PCRE2_SPTR) text, len, EVS_PATTERN_OPTIONS,
                                  &rc, &offset, NULL);

    if (pattern->code == NULL) {
        message[0] = '\0';
        (void) pcre2_get_error_message(rc, message, sizeof(message));

        (void) snprintf(buf, size, "%s, at byte %lu", (char *) message,
                        (unsigned long) offset);
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

        /* it took its time, which others have no more */

        run->steps -= ngx_min(run->steps, limit);

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
