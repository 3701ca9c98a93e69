
/*
 * The reader of replies against itself, cut in another way.  The input:
 *
 *     1 byte     n, modulo 8: how many sizes of reads follow
 *     n bytes    the sizes, used around and around; none: one byte each
 *     the rest   the stream
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "resp_trace.h"


#define FUZZ_STEPS  8


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         i, n, steps[FUZZ_STEPS];
    const char    *why, *why_cut;
    resp_trace_t   whole, cut;

    if (size < 2) {
        return 0;
    }

    n = ngx_min(data[0] % FUZZ_STEPS, size - 1);

    steps[0] = 1;

    for (i = 0; i < n; i++) {
        steps[i] = (size_t) data[1 + i] + 1;
    }

    data += 1 + n;
    size -= 1 + n;

    memset(&whole, 0, sizeof(resp_trace_t));
    memset(&cut, 0, sizeof(resp_trace_t));

    why = resp_feed(&whole, data, size, &size, 1);
    why_cut = resp_feed(&cut, data, size, steps, n == 0 ? 1 : n);

    if (why != why_cut || whole.len != cut.len
        || memcmp(whole.data, cut.data, whole.len) != 0)
    {
        fprintf(stderr, "whole: %s: %s\ncut: %s: %s\n",
                why ? why : "fine", whole.data,
                why_cut ? why_cut : "fine", cut.data);
        abort();
    }

    resp_trace_free(&whole);
    resp_trace_free(&cut);

    return 0;
}
