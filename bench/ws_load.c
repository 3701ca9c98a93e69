
/*
 * Events over WebSocket, as fast as they are acknowledged: what bench/compare
 * measures with.  One thread, plain sockets of 127.0.0.1.
 *
 *     ws_load -p PORT -u PATH [-c CONNECTIONS] [-b BATCH] [-w WINDOW]
 *         [-N WARM-UP] [-n MESSAGES] [-i SECONDS] [-s SESSION] [-t SECONDS]
 *         [-S PID,...] [-R PID,...]
 *
 * The id of a connection's session is appended to PATH: its own UUID, or
 * SESSION.  Each connection sends WARM-UP and then MESSAGES messages of BATCH
 * events, of which WINDOW may be unanswered; one message of the server answers
 * one of ours.  What is measured begins when the last of the warm-up is
 * answered, and ends with the last answer.  With -i nothing is sent: the
 * connections stay open and idle for so many seconds.
 *
 * Prints one line of name=value.  CPU is in seconds, of the processes of -S
 * (the server) and -R (Redis), all their threads; "other" is what the rest of
 * the machine took meanwhile.  Ends with 1 after -t seconds, or when a
 * connection is lost or an answer is an error.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define TEMPLATES  8             /* messages that differ in their names */
#define EVENT      80            /* more than one takes */
#define TAIL       2048          /* more than a head, or an answer */
#define BUFFER     (256 * 1024)
#define OPENING    128           /* connections that are opened at once */
#define MAX_PIDS   64

#define FIRST      1624422533298ULL
#define DIGITS     13            /* of a timestamp */


typedef enum {
    CONN_CONNECTING = 0,
    CONN_UPGRADING,
    CONN_OPEN
} conn_state_e;

typedef struct {
    int            fd;
    int            id;
    int            polled_out;
    conn_state_e   state;
    uint32_t       target;       /* messages, of which these ... */
    uint32_t       sent;
    uint32_t       answered;
    uint64_t       timestamp;    /* of the last event */
    uint64_t      *stamps;       /* when each unanswered message was sent */
    char          *out;
    size_t         out_len;
    size_t         out_sent;
    size_t         out_size;
    size_t         tail_len;
    char           tail[TAIL];
    char           session[64];
} conn_t;

typedef struct {
    char          *frame;
    size_t         len;
    size_t         head;         /* bytes in front of the payload */
    size_t        *timestamps;   /* where they stand in the frame */
} template_t;

typedef struct {
    int            n;
    int            pid[MAX_PIDS];
} pids_t;

typedef struct {
    double         at;
    double         server;
    double         redis;
    double         own;
    double         busy;         /* of the whole machine */
    double         steal;
} usage_t;


static void read_options(int argc, char **argv);
static int number(const char *text, int least);
static void read_pids(pids_t *pids, const char *text);
static void make_template(template_t *t, int first);
static size_t make_head(uint8_t *p, size_t len);
static void open_all(void);
static void conn_init(conn_t *c, int id);
static void conn_open(conn_t *c);
static void turn(int ms);
static void conn_connected(conn_t *c);
static void conn_read(conn_t *c);
static size_t conn_upgraded(conn_t *c, const char *p, size_t len);
static size_t conn_frame(conn_t *c, const uint8_t *p, size_t len);
static void conn_answered(conn_t *c, const char *text, size_t len);
static void conn_send(conn_t *c);
static void conn_message(conn_t *c);
static char *conn_room(conn_t *c, size_t len);
static void conn_flush(conn_t *c);
static void run(uint32_t n);
static void measure(void);
static void idle(void);
static void usage(usage_t *u);
static double cpu_of(const pids_t *pids);
static double cpu_of_pid(int pid);
static double cpu_of_task(int pid, const char *task);
static long rss_of(const pids_t *pids);
static void machine(double *busy, double *steal);
static int compare(const void *one, const void *two);
static double now(void);
static void fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));


static const char     *names[TEMPLATES] = {
    "cart_saved", "page_views", "item_added", "cart_empty",
    "login_fail", "form_reset", "menu_items", "video_stop"
};

static const uint8_t   mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

static int             port, conns = 64, batch = 1, window = 1;
static int             warm, messages = 1000, idle_seconds, seconds = 120;
static const char     *path = "/ws?sessionId=", *session;
static pids_t          server_pids, redis_pids;

static template_t      templates[TEMPLATES];
static conn_t         *all;
static int             epoll, opened, recording;
static double          deadline;
static uint64_t        answers;
static uint32_t       *latencies;
static size_t          nlatencies;

static char            buffer[TAIL + BUFFER];


int
main(int argc, char **argv)
{
    int  i;

    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);

    deadline = now() + seconds;
    epoll = epoll_create1(0);
    all = calloc((size_t) conns, sizeof(conn_t));
    latencies = malloc((size_t) conns * (size_t) messages * sizeof(uint32_t)
                       + 1);

    if (epoll < 0 || all == NULL || latencies == NULL) {
        fail("memory");
    }

    for (i = 0; i < TEMPLATES; i++) {
        make_template(&templates[i], i);
    }

    if (idle_seconds) {
        idle();

    } else {
        open_all();
        measure();
    }

    return 0;
}


static void
read_options(int argc, char **argv)
{
    int  option;

    while ((option = getopt(argc, argv, "p:u:c:b:w:N:n:i:s:t:S:R:")) != -1) {

        switch (option) {
        case 'p': port = number(optarg, 1); break;
        case 'u': path = optarg; break;
        case 'c': conns = number(optarg, 1); break;
        case 'b': batch = number(optarg, 1); break;
        case 'w': window = number(optarg, 1); break;
        case 'N': warm = number(optarg, 0); break;
        case 'n': messages = number(optarg, 1); break;
        case 'i': idle_seconds = number(optarg, 1); break;
        case 's': session = optarg; break;
        case 't': seconds = number(optarg, 1); break;
        case 'S': read_pids(&server_pids, optarg); break;
        case 'R': read_pids(&redis_pids, optarg); break;
        default:  fail("usage: see the top of bench/ws_load.c");
        }
    }

    if (port == 0 || optind != argc) {
        fail("usage: see the top of bench/ws_load.c");
    }
}


static int
number(const char *text, int least)
{
    long   n;
    char  *end;

    n = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n < least || n > 10000000) {
        fail("\"%s\" is no number from %d on", text, least);
    }

    return (int) n;
}


static void
read_pids(pids_t *pids, const char *text)
{
    char  *end;

    for ( ;; ) {
        if (pids->n == MAX_PIDS) {
            fail("more than %d processes", MAX_PIDS);
        }

        pids->pid[pids->n++] = (int) strtol(text, &end, 10);

        if (*end != ',') {
            return;
        }

        text = end + 1;
    }
}


/* A masked frame, ready but for its timestamps. */

static void
make_template(template_t *t, int first)
{
    int      i;
    char    *p, *payload;
    size_t   n, len;

    payload = malloc((size_t) batch * EVENT + 2);
    t->timestamps = calloc((size_t) batch, sizeof(size_t));
    t->frame = malloc((size_t) batch * EVENT + 16);

    if (payload == NULL || t->timestamps == NULL || t->frame == NULL) {
        fail("memory");
    }

    p = payload;

    for (i = 0; i < batch; i++) {
        p += sprintf(p, "%c{\"timestamp\":", i ? ',' : '[');
        t->timestamps[i] = (size_t) (p - payload);
        p += sprintf(p, "%llu,\"type\":\"EVENT\",\"name\":\"%s\"}", FIRST,
                     names[(first + i) % TEMPLATES]);
    }

    *p++ = ']';
    len = (size_t) (p - payload);

    t->head = make_head((uint8_t *) t->frame, len);
    t->len = t->head + len;

    for (n = 0; n < len; n++) {
        t->frame[t->head + n] = (char) (payload[n] ^ mask[n % 4]);
    }

    free(payload);
}


static size_t
make_head(uint8_t *p, size_t len)
{
    int     i;
    size_t  n;

    p[0] = 0x81;

    if (len < 126) {
        p[1] = (uint8_t) (0x80 | len);
        n = 2;

    } else if (len < 65536) {
        p[1] = 0x80 | 126;
        p[2] = (uint8_t) (len >> 8);
        p[3] = (uint8_t) len;
        n = 4;

    } else {
        p[1] = 0x80 | 127;

        for (i = 0; i < 8; i++) {
            p[2 + i] = (uint8_t) ((uint64_t) len >> (56 - 8 * i));
        }

        n = 10;
    }

    memcpy(p + n, mask, 4);

    return n + 4;
}


static void
open_all(void)
{
    int  begun;

    srand((unsigned) getpid() ^ (unsigned) (now() * 1e6));

    for (begun = 0; opened < conns; ) {

        while (begun < conns && begun - opened < OPENING) {
            conn_init(&all[begun], begun);
            conn_open(&all[begun++]);
        }

        turn(50);
    }
}


static void
conn_init(conn_t *c, int id)
{
    c->id = id;
    c->timestamp = FIRST;
    c->stamps = calloc((size_t) window, sizeof(uint64_t));

    if (c->stamps == NULL) {
        fail("memory");
    }

    if (session) {
        snprintf(c->session, sizeof(c->session), "%s", session);
        return;
    }

    snprintf(c->session, sizeof(c->session), "%08x-%04x-4%03x-8%03x-%04x%08x",
             (unsigned) rand(), (unsigned) rand() & 0xffff,
             (unsigned) rand() & 0xfff, (unsigned) rand() & 0xfff,
             (unsigned) rand() & 0xffff, (unsigned) id);
}


static void
conn_open(conn_t *c)
{
    int                 one;
    struct sockaddr_in  addr;
    struct epoll_event  event;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (c->fd < 0) {
        fail("socket: %s", strerror(errno));
    }

    one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    memset(&addr, 0, sizeof(addr));
    addr.sin_family = AF_INET;
    addr.sin_port = htons((uint16_t) port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (connect(c->fd, (struct sockaddr *) &addr, sizeof(addr)) != 0
        && errno != EINPROGRESS)
    {
        fail("connect: %s", strerror(errno));
    }

    event.events = EPOLLIN | EPOLLOUT;
    event.data.ptr = c;
    c->polled_out = 1;

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}


static void
turn(int ms)
{
    int                 i, n;
    conn_t             *c;
    struct epoll_event  ready[256];

    n = epoll_wait(epoll, ready, 256, ms);

    for (i = 0; i < n; i++) {
        c = ready[i].data.ptr;

        if (c->state == CONN_CONNECTING) {
            conn_connected(c);
            continue;
        }

        if (ready[i].events & EPOLLOUT) {
            conn_flush(c);
        }

        if (ready[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
            conn_read(c);
        }

        if (c->state == CONN_OPEN) {
            conn_send(c);
        }
    }

    if (now() > deadline) {
        fail("not done in %d s: %d of %d connections open, %llu answers",
             seconds, opened, conns, (unsigned long long) answers);
    }
}


static void
conn_connected(conn_t *c)
{
    int        error, len;
    char       request[1024];
    socklen_t  size;

    size = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error) {
        fail("connect: %s", strerror(error));
    }

    len = snprintf(request, sizeof(request),
                   "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                   "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   "Sec-WebSocket-Version: 13\r\n\r\n", path, c->session, port);

    if (len >= (int) sizeof(request)) {
        fail("the path is too long");
    }

    memcpy(conn_room(c, (size_t) len), request, (size_t) len);
    c->state = CONN_UPGRADING;

    conn_flush(c);
}


static void
conn_read(conn_t *c)
{
    size_t   used, len;
    ssize_t  n;

    memcpy(buffer, c->tail, c->tail_len);

    n = recv(c->fd, buffer + c->tail_len, BUFFER, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        fail("connection %d lost: %s", c->id,
             n ? strerror(errno) : "closed by the server");
    }

    len = c->tail_len + (size_t) n;
    n = 0;

    if (c->state == CONN_UPGRADING) {
        n = (ssize_t) conn_upgraded(c, buffer, len);
    }

    if (c->state == CONN_OPEN) {

        do {
            used = conn_frame(c, (uint8_t *) buffer + n, len - (size_t) n);
            n += (ssize_t) used;
        } while (used);
    }

    c->tail_len = len - (size_t) n;

    if (c->tail_len > TAIL) {
        fail("an answer of more than %d bytes", TAIL);
    }

    memcpy(c->tail, buffer + n, c->tail_len);
}


/* How many bytes the head of the response has; 0: not all of it is there. */

static size_t
conn_upgraded(conn_t *c, const char *p, size_t len)
{
    const char  *end;

    end = memmem(p, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    if (len < 12 || memcmp(p + 8, " 101", 4) != 0) {
        fail("no upgrade: %.*s", (int) strcspn(p, "\r"), p);
    }

    c->state = CONN_OPEN;
    opened++;

    return (size_t) (end - p) + 4;
}


/* How many bytes the frame has; 0: not all of it is there. */

static size_t
conn_frame(conn_t *c, const uint8_t *p, size_t len)
{
    size_t  head, payload;

    if (len < 4 && (len < 2 || (p[1] & 127) > 125)) {
        return 0;
    }

    head = 2;
    payload = p[1] & 127;

    if (payload == 126) {
        head = 4;
        payload = (size_t) (p[2] << 8 | p[3]);
    }

    if (payload > TAIL - 4) {
        fail("an answer of more than %d bytes", TAIL - 4);
    }

    if (len < head + payload) {
        return 0;
    }

    if ((p[0] & 15) == 8) {
        fail("connection %d was closed by the server", c->id);
    }

    /* pings may wait: no server asks within the time of a run */

    if ((p[0] & 15) < 8) {
        conn_answered(c, (const char *) p + head, payload);
    }

    return head + payload;
}


static void
conn_answered(conn_t *c, const char *text, size_t len)
{
    uint64_t  sent;

    if (memmem(text, len, "\"err", 4) != NULL || c->answered == c->sent) {
        fail("answer: %.*s", (int) len, text);
    }

    sent = c->stamps[c->answered % (uint32_t) window];

    if (recording) {
        latencies[nlatencies++] = (uint32_t) (now() * 1e6 - (double) sent);
    }

    c->answered++;
    answers++;
}


static void
conn_send(conn_t *c)
{
    while (c->sent < c->target && c->sent - c->answered < (uint32_t) window) {
        conn_message(c);
    }

    conn_flush(c);
}


static void
conn_message(conn_t *c)
{
    int          i, n;
    char        *p;
    size_t       at;
    uint64_t     value;
    template_t  *t;

    t = &templates[(c->sent + (uint32_t) c->id) % TEMPLATES];
    p = conn_room(c, t->len);

    memcpy(p, t->frame, t->len);

    for (i = 0; i < batch; i++) {
        c->timestamp += 1 + ((c->sent + (uint32_t) i) & 7);
        value = c->timestamp;

        for (n = DIGITS - 1; n >= 0; n--) {
            at = t->timestamps[i] + (size_t) n;
            p[t->head + at] = (char) (('0' + value % 10) ^ mask[at % 4]);
            value /= 10;
        }
    }

    c->stamps[c->sent % (uint32_t) window] = (uint64_t) (now() * 1e6);
    c->sent++;
}


static char *
conn_room(conn_t *c, size_t len)
{
    char  *p;

    if (c->out_len + len > c->out_size) {
        c->out_size = (c->out_len + len) * 2;
        c->out = realloc(c->out, c->out_size);

        if (c->out == NULL) {
            fail("memory");
        }
    }

    p = c->out + c->out_len;
    c->out_len += len;

    return p;
}


static void
conn_flush(conn_t *c)
{
    int                 out;
    ssize_t             n;
    struct epoll_event  event;

    while (c->out_sent < c->out_len) {
        n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, 0);

        if (n < 0 && errno == EAGAIN) {
            break;
        }

        if (n < 0) {
            fail("connection %d lost: %s", c->id, strerror(errno));
        }

        c->out_sent += (size_t) n;
    }

    out = (c->out_sent < c->out_len);

    if (!out) {
        c->out_sent = 0;
        c->out_len = 0;
    }

    if (c->polled_out != out) {
        event.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN;
        event.data.ptr = c;
        c->polled_out = out;
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
}


/* Until each connection has sent n messages more, and all are answered. */

static void
run(uint32_t n)
{
    int       i;
    uint64_t  wanted;

    wanted = answers + (uint64_t) conns * n;

    for (i = 0; i < conns; i++) {
        all[i].target += n;
        conn_send(&all[i]);
    }

    while (answers < wanted) {
        turn(100);
    }
}


static void
measure(void)
{
    double   events, wall, used;
    usage_t  before, after;

    run((uint32_t) warm);

    recording = 1;
    usage(&before);

    run((uint32_t) messages);

    usage(&after);

    qsort(latencies, nlatencies, sizeof(uint32_t), compare);

    events = (double) conns * messages * batch;
    wall = after.at - before.at;
    used = after.server - before.server + after.redis - before.redis
           + after.own - before.own;

    printf("events=%.0f wall_s=%.6f server_cpu_s=%.6f redis_cpu_s=%.6f "
           "client_cpu_s=%.6f other_cpu_s=%.3f steal_s=%.3f p50_us=%u "
           "p99_us=%u server_rss_kb=%ld\n", events, wall,
           after.server - before.server, after.redis - before.redis,
           after.own - before.own, after.busy - before.busy - used,
           after.steal - before.steal, latencies[nlatencies / 2],
           latencies[nlatencies - nlatencies / 100 - 1], rss_of(&server_pids));
}


static void
idle(void)
{
    long    before, after;
    double  cpu, end;

    before = rss_of(&server_pids);
    cpu = cpu_of(&server_pids);

    open_all();

    printf("opening_cpu_s=%.6f ", cpu_of(&server_pids) - cpu);

    for (end = now() + 1; now() < end; ) {
        turn(100);
    }

    after = rss_of(&server_pids);
    cpu = cpu_of(&server_pids);

    for (end = now() + idle_seconds; now() < end; ) {
        turn(100);
    }

    printf("connections=%d rss_bytes=%.1f idle_cpu_s=%.6f idle_s=%d\n", opened,
           (double) (after - before) * 1024 / opened,
           cpu_of(&server_pids) - cpu, idle_seconds);
}


static void
usage(usage_t *u)
{
    struct rusage  own;

    getrusage(RUSAGE_SELF, &own);
    machine(&u->busy, &u->steal);

    u->server = cpu_of(&server_pids);
    u->redis = cpu_of(&redis_pids);
    u->own = (double) (own.ru_utime.tv_sec + own.ru_stime.tv_sec)
             + (double) (own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    u->at = now();
}


static double
cpu_of(const pids_t *pids)
{
    int     i;
    double  total;

    total = 0;

    for (i = 0; i < pids->n; i++) {
        total += cpu_of_pid(pids->pid[i]);
    }

    return total;
}


/* The scheduler's nanoseconds of each thread: utime and stime are rounded. */

static double
cpu_of_pid(int pid)
{
    DIR            *dir;
    char            name[64];
    double          total;
    struct dirent  *task;

    snprintf(name, sizeof(name), "/proc/%d/task", pid);

    dir = opendir(name);

    if (dir == NULL) {
        fail("process %d has ended", pid);
    }

    total = 0;

    while ((task = readdir(dir)) != NULL) {

        if (task->d_name[0] != '.') {
            total += cpu_of_task(pid, task->d_name);
        }
    }

    closedir(dir);

    return total;
}


static double
cpu_of_task(int pid, const char *task)
{
    char                name[320];
    FILE               *file;
    unsigned long long  ns;

    snprintf(name, sizeof(name), "/proc/%d/task/%s/schedstat", pid, task);

    file = fopen(name, "r");

    if (file == NULL) {
        return 0;
    }

    if (fscanf(file, "%llu", &ns) != 1) {
        ns = 0;
    }

    fclose(file);

    return (double) ns / 1e9;
}


static long
rss_of(const pids_t *pids)
{
    int    i;
    char   text[256];
    long   kb, total;
    FILE  *file;

    total = 0;

    for (i = 0; i < pids->n; i++) {
        snprintf(text, sizeof(text), "/proc/%d/status", pids->pid[i]);

        file = fopen(text, "r");

        while (file != NULL && fgets(text, sizeof(text), file) != NULL) {

            if (sscanf(text, "VmRSS: %ld", &kb) == 1) {
                total += kb;
            }
        }

        if (file != NULL) {
            fclose(file);
        }
    }

    return total;
}


static void
machine(double *busy, double *steal)
{
    int            i;
    FILE          *file;
    double         ticks;
    unsigned long  t[8];

    *busy = 0;
    *steal = 0;

    file = fopen("/proc/stat", "r");

    if (file == NULL) {
        return;
    }

    i = fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &t[0], &t[1],
               &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);

    fclose(file);

    if (i == 8) {
        ticks = (double) sysconf(_SC_CLK_TCK);

        *busy = (double) (t[0] + t[1] + t[2] + t[5] + t[6]) / ticks;
        *steal = (double) t[7] / ticks;
    }
}


static int
compare(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;

    return (a > b) - (a < b);
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
fail(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);

    fputc('\n', stderr);
    exit(1);
}
