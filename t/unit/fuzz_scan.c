
/*
 * The entry scanner under a fuzzer, beside jansson: any bytes as a message,
 * once with limits that are soon reached and once with wide ones.
 */


#include "scan_judge.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_check(const char *differs);


static const evs_sid_t  fuzz_uuid = {
    36, "e6fa79ca-d142-4046-a134-5134f16a0b5e"
};

static const evs_sid_t  fuzz_any = { 3, "a.1" };

static const evs_limits_t  fuzz_narrow = { 4, 12, 6, 24 };
static const evs_limits_t  fuzz_wide = { 20000, 255, 200, 65536 };


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static evs_json_names_t  *names;

    if (names == NULL) {
        names = evs_json_names_create();
    }

    fuzz_check(judge_message(data, size, &fuzz_narrow, &fuzz_any, EVS_SID_ANY,
                             names));
    fuzz_check(judge_message(data, size, &fuzz_wide, &fuzz_uuid, EVS_SID_UUID,
                             names));
    fuzz_check(judge_escape(data, size));

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
