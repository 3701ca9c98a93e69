
/*
 * Bodies of trusted applications under a fuzzer, beside a judge that has them
 * from jansson: any bytes as a body, once with limits that are soon reached
 * and once with wide ones.
 */


#include "track_judge.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_check(const char *differs);


static const evs_limits_t  fuzz_narrow = { 3, 12, 6, 24 };
static const evs_limits_t  fuzz_wide = { 20000, 255, 200, 65536 };


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static evs_json_names_t  *names;

    if (names == NULL) {
        names = evs_json_names_create();
    }

    fuzz_check(track_judge(data, size, &fuzz_narrow, EVS_SID_ANY, names));
    fuzz_check(track_judge(data, size, &fuzz_wide, EVS_SID_UUID, names));

    return 0;
}


static void
fuzz_check(const char *differs)
{
    if (differs != NULL) {
        fprintf(stderr, "parser and judge differ: %s\n", differs);
        abort();
    }
}
