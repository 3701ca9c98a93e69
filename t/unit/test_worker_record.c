
/*
 * Records of workers: what a process writes is read back as it was, up to the
 * ends of what each field may hold; of everything else nothing is taken for a
 * record, nor read out of bounds (the sanitizers watch: each text stands in a
 * block of its own size).
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "store/worker_record.h"


#define TOKEN  "0123456789abcdef"
#define MAX    "9007199254740991"


static ngx_int_t
read_record(evs_worker_record_t *record, const char *text, size_t len)
{
    u_char     *p;
    ngx_int_t   rc;

    p = malloc(len + 1);
    assert_non_null(p);
    memcpy(p + 1, text, len);

    rc = evs_worker_record_read(record, p + 1, len);

    free(p);

    return rc;
}


static ngx_int_t
read_id(const char *text, size_t len, uint64_t *id)
{
    u_char     *p;
    ngx_int_t   rc;

    p = malloc(len + 1);
    assert_non_null(p);
    memcpy(p + 1, text, len);

    rc = evs_worker_id(p + 1, len, id);

    free(p);

    return rc;
}


static void
test_written_is_read(void **state)
{
    u_char               *last, text[EVS_WORKER_RECORD_MAX];
    ngx_uint_t            i;
    evs_worker_record_t   got;

    static const evs_worker_record_t  records[] = {
        { TOKEN, 0, 0, 0, 0, 0, 0 },
        { "ffffffffffffffff", 0, 3, 1775, 1689872774831, 12, 1689872894832 },
        { TOKEN, 0, EVS_WORKER_NUMBER_MAX, EVS_WORKER_NUMBER_MAX,
          253402300799999, EVS_WORKER_NUMBER_MAX, 253402300799999 },
    };

    for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        memset(&got, 0, sizeof(got));

        last = evs_worker_record_write(text, &records[i]);

        assert_true((size_t) (last - text) <= EVS_WORKER_RECORD_MAX);
        assert_int_equal(read_record(&got, (char *) text,
                                     (size_t) (last - text)), NGX_OK);
        assert_memory_equal(&got, &records[i], sizeof(got));
    }

    last = evs_worker_record_write(text, &records[1]);
    *last = '\0';

    assert_string_equal(text, "1 ffffffffffffffff 3 1775 1689872774831 12 "
                              "1689872894832");
}


/* The format is in Redis: it can't change. */

static void
test_every_cut_and_change(void **state)
{
    char                 changed[128];
    size_t               i, len;
    ngx_uint_t           c;
    evs_worker_record_t  record, again;
    u_char              *last, text[EVS_WORKER_RECORD_MAX];

    static const char  good[] = "1 " TOKEN " 3 1775 1689872774831 12 "
                                "1689872894832";

    len = sizeof(good) - 1;

    assert_int_equal(read_record(&record, good, len), NGX_OK);

    for (i = 0; i < len - sizeof("689872894832") + 1; i++) {
        assert_int_equal(read_record(&record, good, i), NGX_DECLINED);
    }

    /* whatever is taken is what would be written */

    for (i = 0; i < len; i++) {
        for (c = 0; c < 256; c++) {
            memcpy(changed, good, len);
            changed[i] = (char) c;

            if (read_record(&again, changed, len) == NGX_OK) {
                last = evs_worker_record_write(text, &again);
                assert_int_equal(last - text, len);
                assert_memory_equal(text, changed, len);
            }
        }
    }
}


static void
test_what_is_none(void **state)
{
    ngx_uint_t           i;
    evs_worker_record_t  record;

    static const char *const  bad[] = {
        "", " ", "1", "1 ", "1 " TOKEN, "1 " TOKEN " ", "0 " TOKEN " 1 2 3 4 0",
        "2 " TOKEN " 1 2 3 4 0", "11 " TOKEN " 1 2 3 4 0",
        "1 " TOKEN " 1 2 3 4", "1 " TOKEN " 1 2 3 4 ",
        "1 " TOKEN " 1 2 3 4 0 ", "1 " TOKEN " 1 2 3 4 0 5",
        "1 " TOKEN "  1 2 3 4 0", " 1 " TOKEN " 1 2 3 4 0",
        "1 " TOKEN " 01 2 3 4 0", "1 " TOKEN " -1 2 3 4 0",
        "1 " TOKEN " +1 2 3 4 0", "1 " TOKEN " 1.0 2 3 4 0",
        "1 " TOKEN " 1 9007199254740992 3 4 0",
        "1 " TOKEN " 1 18446744073709551616 3 4 0",
        "1 " TOKEN " 1 99999999999999999999999999999 3 4 0",
        "1 " TOKEN " 1 2 253402300800000 4 0",
        "1 " TOKEN " 1 2 3 4 253402300800000",
        "1 0123456789ABCDEF 1 2 3 4 0", "1 0123456789abcde 1 2 3 4 0",
        "1 0123456789abcdefa 1 2 3 4 0", "1 0123456789abcdeg 1 2 3 4 0",
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_record(&record, bad[i], strlen(bad[i])),
                         NGX_DECLINED);
    }
}


static void
test_ids(void **state)
{
    uint64_t    id;
    ngx_uint_t  i;

    static const char *const  bad[] = {
        "", "0", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "x", "0x1",
        "9007199254740992", "18446744073709551617",
        "99999999999999999999999999999999999999",
    };

    assert_int_equal(read_id("1", 1, &id), NGX_OK);
    assert_int_equal(id, 1);
    assert_int_equal(read_id(MAX, sizeof(MAX) - 1, &id), NGX_OK);
    assert_int_equal(id, 9007199254740991);
    assert_int_equal(read_id("1\0", 2, &id), NGX_DECLINED);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_id(bad[i], strlen(bad[i]), &id), NGX_DECLINED);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_every_cut_and_change),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
