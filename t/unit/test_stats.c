
/*
 * The counters' slots and their text.  Slots are claimed, released and taken
 * over by real processes, as whether one is alive is asked of the kernel: what
 * a dead one has counted stays, its gauges don't, and a stranger who has got
 * its pid is not taken for it.  The text is never longer than it was said to
 * be, and labels can't break a line; that Prometheus takes it is for
 * t/metrics.t.
 */


#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "stats/slots.h"
#include "stats/text.h"


#define SLOTS  4


static evs_stats_slots_t  *slots;


static int
setup(void **state)
{
    (void) state;

    slots = mmap(NULL, evs_stats_slots_size(SLOTS), PROT_READ|PROT_WRITE,
                 MAP_ANON|MAP_SHARED, -1, 0);

    if (slots == MAP_FAILED) {
        return -1;
    }

    /* of memory that was something else before */

    memset(slots, 0xa5, evs_stats_slots_size(SLOTS));

    evs_stats_slots_init(slots, SLOTS);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    return munmap(slots, evs_stats_slots_size(SLOTS));
}


/* A process that counts, and lives until it is killed; alone: in a group. */

static pid_t
worker(ngx_uint_t gauge, ngx_uint_t counter, int alone)
{
    int                fd[2];
    char               done;
    pid_t              pid;
    evs_stats_slot_t  *slot;

    assert_int_equal(pipe(fd), 0);

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        slot = evs_stats_slots_claim(slots, getpid());

        if (slot != NULL) {
            slot->cells[EVS_STATS_WS_OPEN] += gauge;
            slot->cells[EVS_STATS_WS_OPENED] += counter;
        }

        if (alone) {
            (void) setpgid(0, 0);
        }

        done = (slot != NULL);

        if (write(fd[1], &done, 1) == 1) {
            pause();
        }

        _exit(0);
    }

    assert_int_equal(read(fd[0], &done, 1), 1);
    assert_int_equal(done, 1);

    (void) close(fd[0]);
    (void) close(fd[1]);

    return pid;
}


static void
end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}


static void
sums(ngx_uint_t gauge, ngx_uint_t counter)
{
    evs_stats_sum_t  sum;

    memset(&sum, 0, sizeof(sum));

    evs_stats_slots_sum(&sum, slots);

    assert_int_equal(sum.cells[EVS_STATS_WS_OPEN], gauge);
    assert_int_equal(sum.cells[EVS_STATS_WS_OPENED], counter);
}


static void
test_nobody(void **state)
{
    (void) state;

    sums(0, 0);
}


static void
test_released(void **state)
{
    evs_stats_slot_t  *slot, *again;

    (void) state;

    slot = evs_stats_slots_claim(slots, getpid());
    assert_non_null(slot);
    assert_int_equal((uintptr_t) slot % 128, 0);

    slot->cells[EVS_STATS_WS_OPEN] = 3;
    slot->cells[EVS_STATS_WS_OPENED] = 5;
    sums(3, 5);

    evs_stats_slots_release(slots, slot);
    sums(0, 5);

    again = evs_stats_slots_claim(slots, getpid());
    assert_ptr_equal(again, slot);

    again->cells[EVS_STATS_WS_OPEN]++;
    again->cells[EVS_STATS_WS_OPENED]++;
    sums(1, 6);
}


static void
test_killed(void **state)
{
    pid_t  one, two;

    (void) state;

    one = worker(2, 10, 0);
    two = worker(3, 20, 0);
    sums(5, 30);

    end(one);
    sums(3, 30);

    /* its slot goes to the next, with what it counted */

    one = worker(1, 1, 0);
    sums(4, 31);

    end(one);
    end(two);
    sums(0, 31);
}


static void
test_used_up(void **state)
{
    pid_t       pids[SLOTS];
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < SLOTS; i++) {
        pids[i] = worker(1, 1, 0);
    }

    assert_null(evs_stats_slots_claim(slots, getpid()));
    sums(SLOTS, SLOTS);

    end(pids[2]);
    assert_non_null(evs_stats_slots_claim(slots, getpid()));
    sums(SLOTS - 1, SLOTS);

    end(pids[0]);
    end(pids[1]);
    end(pids[3]);
}


/* Whoever isn't of our group has the pid by chance. */

static void
test_stranger(void **state)
{
    pid_t  pid;

    (void) state;

    pid = worker(7, 9, 1);
    sums(0, 9);

    assert_non_null(evs_stats_slots_claim(slots, getpid()));
    sums(0, 9);

    end(pid);
}


/* And we, too, may have it: what its last owner left is not ours. */

static void
test_own_pid(void **state)
{
    pid_t              pid;
    evs_stats_slot_t  *first, *slot;

    (void) state;

    pid = worker(0, 0, 0);

    slot = evs_stats_slots_claim(slots, getpid());
    slot->cells[EVS_STATS_WS_OPEN] = 4;
    slot->cells[EVS_STATS_WS_OPENED] = 4;

    /* the one in front of it gets free */

    end(pid);

    first = evs_stats_slots_claim(slots, getpid());
    assert_ptr_equal(first, slot);
    sums(0, 4);
}


/* One that ended without a word, and was there for a moment only. */

static void
test_brief(void **state)
{
    int                status;
    pid_t              pid;
    evs_stats_slot_t  *slot;

    (void) state;

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        slot = evs_stats_slots_claim(slots, getpid());
        slot->cells[EVS_STATS_WS_OPEN] = 1;
        _exit(slot == NULL);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    assert_non_null(evs_stats_slots_claim(slots, getpid()));
    sums(0, 0);
}


/* Servers with the same name are one, whichever place they have. */

static void
test_servers(void **state)
{
    ngx_uint_t         i;
    evs_stats_sum_t    sum;
    evs_stats_slot_t   one, two;

    (void) state;

    memset(&sum, 0, sizeof(sum));
    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));

    one.servers[0].len = two.servers[1].len = 1;
    one.servers[1].len = two.servers[0].len = 2;
    one.servers[EVS_STATS_SERVERS].len = 9;

    memcpy(one.servers[0].name, "a", 1);
    memcpy(one.servers[1].name, "ab", 2);
    memcpy(two.servers[1].name, "a", 1);
    memcpy(two.servers[0].name, "ab", 2);

    for (i = 0; i <= EVS_STATS_SERVERS; i++) {
        one.servers[i].cells[EVS_STATS_INFLIGHT] = 10 + i;
        two.servers[i].cells[EVS_STATS_INFLIGHT] = 20 + i;
        one.servers[i].cells[EVS_STATS_LIMIT] = 100;
        two.servers[i].cells[EVS_STATS_LIMIT] = 40;
    }

    evs_stats_slot_sum(&sum, &one, 1);
    evs_stats_slot_sum(&sum, &two, 1);

    assert_int_equal(sum.nservers, 2);
    assert_int_equal(sum.servers[0].cells[EVS_STATS_INFLIGHT], 10 + 21);
    assert_int_equal(sum.servers[1].cells[EVS_STATS_INFLIGHT], 11 + 20);
    assert_int_equal(sum.servers[EVS_STATS_SUM_SERVERS]
                     .cells[EVS_STATS_INFLIGHT], 10 + EVS_STATS_SERVERS);
    assert_int_equal(sum.crowded, 21 * 1000000 / 40);

    /* those of the dead are left out, but for their counters */

    one.servers[0].cells[EVS_STATS_COMMANDS] = 7;
    evs_stats_slot_sum(&sum, &one, 0);

    assert_int_equal(sum.servers[0].cells[EVS_STATS_INFLIGHT], 31);
    assert_int_equal(sum.servers[0].cells[EVS_STATS_COMMANDS], 7);
}


static u_char *
text_of(const evs_stats_sum_t *sum, size_t *len)
{
    u_char  *text;
    size_t   max;

    max = evs_stats_text_max(sum);
    text = malloc(max + 1);
    assert_non_null(text);

    memset(text, 0xa5, max + 1);

    *len = (size_t) (evs_stats_text(text, sum, "1.2.3") - text);

    assert_true(*len <= max);
    text[*len] = '\0';

    return text;
}


static void
has(const u_char *text, const char *line)
{
    if (strstr((const char *) text, line) == NULL) {
        fail_msg("there is no %s", line);
    }
}


static void
test_text(void **state)
{
    size_t            len;
    u_char           *text;
    ngx_uint_t        first;
    evs_stats_sum_t   sum;

    (void) state;

    memset(&sum, 0, sizeof(sum));

    first = EVS_STATS_ACKNOWLEDGE + EVS_STATS_LOG * EVS_STATS_HISTOGRAM;

    sum.cells[EVS_STATS_REQUESTS + EVS_STATS_METRICS * EVS_STATS_CLASSES + 4]
        = 12345678901234ULL;
    sum.cells[EVS_STATS_FEED_SLOW] = 9;
    sum.cells[first] = 1;
    sum.cells[first + 4] = 2;
    sum.cells[first + EVS_STATS_BOUNDS] = 4;
    sum.cells[first + EVS_STATS_BOUNDS + 1] = 60000123;
    sum.crowded = 812345;

    text = text_of(&sum, &len);

    assert_int_equal(strlen((char *) text), len);

    has(text, "eventsession_build_info{version=\"1.2.3\",nginx=\""
              NGINX_VERSION "\"} 1\n");
    has(text, "\neventsession_requests_total{endpoint=\"metrics\","
              "code=\"5xx\"} 12345678901234\n");
    has(text, "\neventsession_feed_slow_consumers_total 9\n");
    has(text, "_bucket{endpoint=\"log\",le=\"0.0001\"} 1\n");
    has(text, "_bucket{endpoint=\"log\",le=\"0.001\"} 1\n");
    has(text, "_bucket{endpoint=\"log\",le=\"0.0025\"} 3\n");
    has(text, "_bucket{endpoint=\"log\",le=\"10\"} 3\n");
    has(text, "_bucket{endpoint=\"log\",le=\"+Inf\"} 7\n");
    has(text, "_sum{endpoint=\"log\"} 60.000123\n");
    has(text, "_count{endpoint=\"log\"} 7\n");
    has(text, "\neventsession_inflight_ratio 0.812345\n");

    free(text);
}


/* As much as there can be of all of it. */

static void
test_text_full(void **state)
{
    size_t            len;
    u_char           *text, name[EVS_STATS_NAME];
    ngx_uint_t        i;
    evs_stats_sum_t   sum;

    (void) state;

    memset(&sum, 0xff, sizeof(sum));
    memset(name, '"', sizeof(name));

    for (i = 0; i <= EVS_STATS_SUM_SERVERS; i++) {
        sum.servers[i].name.len = sizeof(name);
        sum.servers[i].name.data = name;
    }

    sum.nservers = EVS_STATS_SUM_SERVERS;

    text = text_of(&sum, &len);
    assert_int_equal(strlen((char *) text), len);
    free(text);

    name[0] = '\\';
    name[1] = LF;
    name[2] = 'x';
    sum.servers[0].name.len = 3;

    text = text_of(&sum, &len);
    has(text, "_inflight_bytes{server=\"\\\\\\nx\"} 18446744073709551615\n");
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_released, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_used_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stranger, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_pid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_brief, setup, teardown),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
