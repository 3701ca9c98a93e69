
/*
 * The scanner of batches under a fuzzer, beside jansson: any bytes as a body,
 * as an array and as lines, with limits that are soon reached and with wide
 * ones.
 */


#include "scan_judge.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_check(const char *differs);


static const evs_limits_t  fuzz_narrow = { 4, 12, 6, 24 };
static const evs_limits_t  fuzz_wide = { 20000, 255, 200, 65536 };


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    judge_form_e              form;
    static evs_json_names_t  *names;

    if (names == NULL) {
        names = evs_json_names_create();
    }

    for (form = JUDGE_BATCH; form <= JUDGE_LINES; form++) {
        fuzz_check(judge_batch(data, size, &fuzz_narrow, EVS_SID_ANY, form,
                               names));
        fuzz_check(judge_batch(data, size, &fuzz_wide, EVS_SID_UUID, form,
                               names));
    }

    return 0;
}


static void
fuzz_check(const char *differs)
{
    if (differs != NULL) {
        fprintf(stderr, "scanner and judge differ: %s\n", differs);
        abort();
    }
}
