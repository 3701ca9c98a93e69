
/*
 * Subscribers of a feed, and the one who writes what they are told: what
 * bench/feed measures with.  Speaks to this module and to nchan, over plain
 * sockets of 127.0.0.1, in one thread and a child that writes.
 *
 *     feed_client PORT PATH SUBSCRIBERS WRITER_PORT WRITER_PATH RATE SECONDS
 *         BATCH LINES PID...
 *
 * Each event is named "n<number>.<µs>", so that a reader knows what it should
 * be told next, and how long it took.  A few subscribers look at all of that;
 * the others count lines, LINES for each event (4 here, 3 with nchan, which is
 * then also sent one message an event instead of a batch), and look at the
 * last event they have: that they have as many events as were written, up to
 * the last one, says that none was lost and none doubled.  HTTP/1.0 keeps
 * chunks out of it.
 *
 * Who is disconnected comes back with its last id.  Prints one line of
 * name=value; cpu is that of each PID from the first event that was written to
 * the last that was delivered.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>


#define CHECKED   4              /* subscribers that look at each event */
#define BUFFER    (256 * 1024)
#define TAIL      2048           /* more than an event */
#define WINDOW    256            /* answers that a writer waits for */
#define STALL     15.0           /* seconds in which nothing comes */
#define LATENCIES 4000000

#define NAME      "\"event_name\":\"n"


typedef struct {
    int        fd;
    int        begun;            /* behind the head and what isn't an event */
    uint64_t   newlines;
    uint64_t   events;           /* of connections that are no more */
    uint64_t   expected;         /* of those that look: the next event */
    size_t     tail_len;
    char       tail[TAIL];
} sub_t;

typedef struct {
    uint64_t   written;
    uint64_t   failed;
    double     begun;
    double     seconds;
} written_t;


static void subscribe(sub_t *s, const char *last_id);
static void sub_read(sub_t *s);
static size_t sub_begin(sub_t *s, size_t len);
static void sub_count(sub_t *s, const char *p, size_t len);
static void sub_check(sub_t *s, const char *p, size_t len);
static void sub_keep_tail(sub_t *s, const char *p, size_t len);
static void sub_ended(sub_t *s);
static uint64_t sub_events(const sub_t *s);
static uint64_t last_number(const sub_t *s);
static int write_all(written_t *w);
static void write_batch(int fd, uint64_t number);
static void read_answers(int fd, uint64_t *answers, uint64_t *failed, int wait);
static char *frame_head(char *p, size_t len);
static int upgrade(void);
static int connect_to(int port);
static void send_all(int fd, const char *p, size_t len);
static void report(const written_t *w, double delivered_at,
    const double *cpu);
static double cpu_of(int pid);
static double now(void);
static int compare(const void *one, const void *two);
static void die(const char *what);


static int          port, nsubs, writer_port, rate, batch, lines, npids;
static int          epoll, seconds;
static const char  *path, *writer_path;
static char       **pids;

static sub_t       *subs;
static uint64_t     cuts, gaps, lost, doubled, bytes;
static uint32_t    *latencies;
static size_t       nlatencies;

static char         buffer[TAIL + BUFFER + 1];


int
main(int argc, char **argv)
{
    int                 i, n, done, pipes[2], reported;
    double              at, cpu[32], delivered_at;
    pid_t               writer;
    uint64_t            before;
    written_t           w;
    struct epoll_event  ready[256];

    if (argc < 10 || argc > 10 + 32) {
        fprintf(stderr, "usage: see the top of bench/feed_client.c\n");
        return 2;
    }

    port = atoi(argv[1]);
    path = argv[2];
    nsubs = atoi(argv[3]);
    writer_port = atoi(argv[4]);
    writer_path = argv[5];
    rate = atoi(argv[6]);
    seconds = atoi(argv[7]);
    batch = atoi(argv[8]);
    lines = atoi(argv[9]);
    pids = argv + 10;
    npids = argc - 10;

    signal(SIGPIPE, SIG_IGN);

    epoll = epoll_create1(0);
    subs = calloc((size_t) nsubs, sizeof(sub_t));
    latencies = malloc(LATENCIES * sizeof(uint32_t));

    if (epoll < 0 || subs == NULL || latencies == NULL || pipe(pipes) != 0) {
        die("memory");
    }

    for (i = 0; i < nsubs; i++) {
        subscribe(&subs[i], NULL);
    }

    /* each is there before the first event: it has answered */

    for (i = 0; i < nsubs; i++) {
        if (recv(subs[i].fd, buffer, 1, MSG_PEEK) != 1) {
            die("no answer to a subscriber");
        }
    }

    for (i = 0; i < npids; i++) {
        cpu[i] = cpu_of(atoi(pids[i]));
    }

    writer = fork();

    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(write_all(&w) != 0
              || write(pipes[1], &w, sizeof(w)) != sizeof(w));
    }

    fcntl(pipes[0], F_SETFL, O_NONBLOCK);

    reported = 0;
    delivered_at = now();
    before = 0;
    memset(&w, 0, sizeof(w));

    for ( ;; ) {
        n = epoll_wait(epoll, ready, 256, 100);

        for (i = 0; i < n; i++) {
            sub_read(ready[i].data.ptr);
        }

        at = now();

        if (bytes != before) {
            before = bytes;
            delivered_at = at;
        }

        if (!reported && read(pipes[0], &w, sizeof(w)) == sizeof(w)) {
            reported = 1;
        }

        for (done = 0; reported && done < nsubs; done++) {
            if (sub_events(&subs[done]) < w.written) {
                break;
            }
        }

        if ((reported && done == nsubs) || at - delivered_at > STALL) {
            break;
        }

        if (!reported && waitpid(writer, NULL, WNOHANG) == writer
            && read(pipes[0], &w, sizeof(w)) != sizeof(w))
        {
            die("the writer failed");
        }
    }

    for (i = 0; i < npids; i++) {
        cpu[i] = cpu_of(atoi(pids[i])) - cpu[i];
    }

    report(&w, delivered_at, cpu);

    return 0;
}


static void
subscribe(sub_t *s, const char *last_id)
{
    int                 len, size;
    char                text[1024];
    struct epoll_event  event;

    s->fd = connect_to(port);
    s->begun = 0;
    s->newlines = 0;
    s->tail_len = 0;

    /* bounded: a thousand of the kernel's own choice are gigabytes */

    size = 512 * 1024;
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

    len = snprintf(text, sizeof(text),
                   "GET %s HTTP/1.0\r\nHost: localhost\r\n"
                   "Accept: text/event-stream\r\n%s%s%s\r\n", path,
                   last_id ? "Last-Event-ID: " : "", last_id ? last_id : "",
                   last_id ? "\r\n" : "");

    send_all(s->fd, text, (size_t) len);

    event.events = EPOLLIN;
    event.data.ptr = s;

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event) != 0) {
        die("epoll_ctl");
    }
}


static void
sub_read(sub_t *s)
{
    char     *p;
    size_t    len;
    ssize_t   n;

    /* those that look read behind what is left of the last event */

    p = buffer + TAIL;

    n = recv(s->fd, p, BUFFER, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    if (n <= 0) {
        sub_ended(s);
        return;
    }

    bytes += (uint64_t) n;
    len = (size_t) n;

    if (!s->begun) {
        len = sub_begin(s, len);
    }

    if (len == 0 || (len == 3 && memcmp(p, ":\n\n", 3) == 0)) {
        return;
    }

    sub_count(s, p, len);

    if (s - subs < CHECKED) {
        sub_check(s, p, len);
    }

    sub_keep_tail(s, p, len);
}


/*
 * The head, "retry:" and comments come before the first event, or its gap:
 * what is left is moved to the begin of the buffer.
 */

static size_t
sub_begin(sub_t *s, size_t len)
{
    char  *id, *all;

    if (s->tail_len + len > TAIL + BUFFER) {
        die("no event begins");
    }

    all = buffer + TAIL - s->tail_len;
    memcpy(all, s->tail, s->tail_len);
    len += s->tail_len;
    all[len] = '\0';

    if (strncmp(all, "HTTP/1.1 200", len < 12 ? len : 12) != 0) {
        fprintf(stderr, "%.300s\n", all);
        die("a subscriber was refused");
    }

    id = strstr(all, "\ndata: {\"event_id");

    if (id == NULL) {

        if (len > TAIL) {
            die("no event begins");
        }

        memcpy(s->tail, all, len);
        s->tail_len = len;

        return 0;
    }

    if (memmem(all, (size_t) (id - all), "event: gap", 10) != NULL) {
        gaps++;
    }

    while (memcmp(id, "\nid: ", 5) != 0) {
        id--;
    }

    len -= (size_t) (id + 1 - all);
    memmove(buffer + TAIL, id + 1, len);

    s->begun = 1;
    s->tail_len = 0;

    return len;
}


static void
sub_count(sub_t *s, const char *p, size_t len)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < len; i++) {
        n += (p[i] == '\n');
    }

    s->newlines += n;
}


/* Every event, with the end of the last one in front of those. */

static void
sub_check(sub_t *s, const char *p, size_t len)
{
    double       at;
    size_t       left;
    uint64_t     number;
    const char  *last, *name, *end;

    last = p + len;
    left = s->tail_len;

    if (left != 0) {

        /* what the tail has of whole events was looked at */

        end = memrchr(s->tail, '\n', left);

        while (end != NULL && end > s->tail && end[-1] != '\n') {
            end = memrchr(s->tail, '\n', (size_t) (end - s->tail));
        }

        if (end != NULL && end > s->tail) {
            left = (size_t) (s->tail + left - (end + 1));
        }

        memcpy(buffer + TAIL - left, s->tail + s->tail_len - left, left);
        p -= left;
    }

    at = now();

    for ( ;; ) {
        end = memmem(p, (size_t) (last - p), "\n\n", 2);

        if (end == NULL) {
            return;
        }

        name = memmem(p, (size_t) (end - p), NAME, sizeof(NAME) - 1);

        if (name != NULL) {
            number = strtoull(name + sizeof(NAME) - 1, (char **) &name, 10);

            if (number > s->expected) {
                lost += number - s->expected;

            } else if (number < s->expected) {
                doubled++;
            }

            s->expected = number + 1;

            if (*name == '.' && nlatencies < LATENCIES) {
                latencies[nlatencies++] = (uint32_t)
                    (at * 1e6 - (double) strtoull(name + 1, NULL, 10));
            }

        } else if (memmem(p, (size_t) (end - p), "event: gap", 10) != NULL) {
            gaps++;
        }

        p = end + 2;
    }
}


static void
sub_keep_tail(sub_t *s, const char *p, size_t len)
{
    size_t  keep;

    if (len >= TAIL) {
        memcpy(s->tail, p + len - TAIL, TAIL);
        s->tail_len = TAIL;
        return;
    }

    keep = (s->tail_len + len > TAIL) ? TAIL - len : s->tail_len;

    memmove(s->tail, s->tail + s->tail_len - keep, keep);
    memcpy(s->tail + keep, p, len);
    s->tail_len = keep + len;
}


/* Back, behind the last event that is whole. */

static void
sub_ended(sub_t *s)
{
    char      *p, *id, *end, last_id[256];
    uint64_t   partial;

    cuts++;
    close(s->fd);

    if (!s->begun) {
        die("a stream ended before its first event");
    }

    p = s->tail;
    partial = 0;

    for (end = p + s->tail_len; end - p >= 2; end--) {
        if (end[-1] == '\n' && end[-2] == '\n') {
            break;
        }

        partial += (end[-1] == '\n');
    }

    s->newlines -= partial;
    s->events += s->newlines / (uint64_t) lines;

    for (id = end - 4; id > p; id--) {
        if (id[-1] == '\n' && memcmp(id, "id: ", 4) == 0) {
            break;
        }
    }

    if (id <= p) {
        die("no id to come back with");
    }

    end = memchr(id, '\n', (size_t) (end - id));
    snprintf(last_id, sizeof(last_id), "%.*s", (int) (end - id - 4), id + 4);

    subscribe(s, last_id);
}


static uint64_t
sub_events(const sub_t *s)
{
    return s->events + s->newlines / (uint64_t) lines;
}


/* The number of the last event that it has, from 1; 0: none. */

static uint64_t
last_number(const sub_t *s)
{
    char        *p;
    char         tail[TAIL + 1];
    const char  *name;

    memcpy(tail, s->tail, s->tail_len);
    tail[s->tail_len] = '\0';

    name = NULL;

    for (p = tail; (p = strstr(p, NAME)) != NULL; p++) {
        name = p;
    }

    return name ? strtoull(name + sizeof(NAME) - 1, NULL, 10) + 1 : 0;
}


/* The child: writes at the rate, as far as it is let, while there is time. */

static int
write_all(written_t *w)
{
    int              fd;
    double           at, behind;
    uint64_t         number, total, sent, answers;
    struct timespec  pause;

    fd = upgrade();

    total = (uint64_t) rate * (uint64_t) seconds;
    sent = 0;
    answers = 0;

    memset(w, 0, sizeof(*w));
    w->begun = now();

    for (number = 0; number < total; number += (uint64_t) batch) {

        at = now();

        if (at - w->begun > seconds) {
            break;
        }

        behind = w->begun + (double) number / rate - at;

        if (behind > 0) {
            pause.tv_sec = (time_t) behind;
            pause.tv_nsec = (long) ((behind - (double) pause.tv_sec) * 1e9);
            nanosleep(&pause, NULL);
        }

        write_batch(fd, number);
        sent += (lines == 4) ? 1 : (uint64_t) batch;

        read_answers(fd, &answers, &w->failed, 0);

        while (sent - answers > WINDOW) {
            read_answers(fd, &answers, &w->failed, 1);
        }
    }

    while (answers < sent) {
        read_answers(fd, &answers, &w->failed, 1);
    }

    w->written = number;
    w->seconds = now() - w->begun;

    return 0;
}


static void
write_batch(int fd, uint64_t number)
{
    int          i;
    char        *p, *all, event[512];
    double       at;
    static char  text[1 << 20], frame[1 << 20];

    p = text;
    all = frame;
    at = now() * 1e6;

    for (i = 0; i < batch; i++) {

        if (lines == 4) {
            p += sprintf(p, "%c{\"type\":\"EVENT\",\"timestamp\":1624422533298,"
                         "\"name\":\"n%08llu.%.0f\"}", i ? ',' : '[',
                         (unsigned long long) number + (unsigned) i, at);
            continue;
        }

        /* the same text as the module's own */

        sprintf(event, "{\"event_id\":\"0123456789abcdef%04x\","
                "\"event_timestamp\":\"2021-06-23T04:28:53.298Z\","
                NAME "%08llu.%.0f\",\"session_id\":"
                "\"0d856b46-48cd-4fba-946b-53d15b7b43e0\","
                "\"type\":\"EVENT\"}", i,
                (unsigned long long) number + (unsigned) i, at);

        all = frame_head(all, strlen(event));
        all = stpcpy(all, event);
    }

    if (lines == 4) {
        *p++ = ']';
        all = frame_head(all, (size_t) (p - text));
        memcpy(all, text, (size_t) (p - text));
        all += p - text;
    }

    send_all(fd, frame, (size_t) (all - frame));
}


/* A text frame, masked with zeros. */

static char *
frame_head(char *p, size_t len)
{
    *p++ = (char) 0x81;

    if (len < 126) {
        *p++ = (char) (0x80 | len);

    } else {
        *p++ = (char) (0x80 | 126);
        *p++ = (char) (len >> 8);
        *p++ = (char) len;
    }

    memset(p, 0, 4);

    return p + 4;
}


static void
read_answers(int fd, uint64_t *answers, uint64_t *failed, int wait)
{
    size_t         head, len, used;
    ssize_t        n;
    unsigned char *p;

    static size_t         have;
    static unsigned char  in[1 << 18];

    n = recv(fd, in + have, sizeof(in) - have, wait ? 0 : MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        die("the writer was disconnected");
    }

    have += (size_t) n;
    used = 0;

    for ( ;; ) {
        p = in + used;
        head = (have - used >= 2 && (p[1] & 0x7f) == 126) ? 4 : 2;

        if (have - used < head) {
            break;
        }

        len = (head == 4) ? (size_t) (p[2] << 8 | p[3]) : (p[1] & 0x7f);

        if (have - used < head + len) {
            break;
        }

        used += head + len;

        if ((p[0] & 0x0f) != 1) {
            continue;
        }

        (*answers)++;
        *failed += (memmem(p + head, len, "error", 5) != NULL);
    }

    memmove(in, in + used, have - used);
    have -= used;
}


static int
upgrade(void)
{
    int   fd, len;
    char  text[1024];

    fd = connect_to(writer_port);

    len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                   "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                   writer_path);

    send_all(fd, text, (size_t) len);

    /* byte by byte, to leave what comes behind it */

    for (len = 0; len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0; len++)
    {
        if (len == sizeof(text) || recv(fd, text + len, 1, 0) != 1) {
            die("no upgrade");
        }
    }

    if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
        die("the upgrade was refused");
    }

    return fd;
}


static int
connect_to(int to)
{
    int                 fd, on;
    struct sockaddr_in  addr;

    memset(&addr, 0, sizeof(addr));
    addr.sin_family = AF_INET;
    addr.sin_port = htons((uint16_t) to);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0) {
        die("connect");
    }

    on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    return fd;
}


static void
send_all(int fd, const char *p, size_t len)
{
    ssize_t  n;

    for ( /* void */ ; len != 0; p += n, len -= (size_t) n) {
        n = send(fd, p, len, 0);

        if (n <= 0) {
            die("send");
        }
    }
}


static void
report(const written_t *w, double delivered_at, const double *cpu)
{
    int            i;
    uint64_t       n, delivered;
    struct rusage  self;

    delivered = 0;

    for (i = 0; i < nsubs; i++) {
        n = sub_events(&subs[i]);
        delivered += n;

        if (i < CHECKED) {
            lost += w->written - subs[i].expected;
            continue;
        }

        if (n < w->written) {
            lost += w->written - n;

        } else if (n > w->written || last_number(&subs[i]) != w->written) {
            doubled++;
        }
    }

    qsort(latencies, nlatencies, sizeof(uint32_t), compare);

    getrusage(RUSAGE_SELF, &self);

    printf("written=%llu failed=%llu seconds=%.2f delivered=%llu lost=%llu"
           " doubled=%llu cuts=%llu gaps=%llu total=%.2f mb=%.0f p50=%.1f"
           " p99=%.1f client=%.2f",
           (unsigned long long) w->written, (unsigned long long) w->failed,
           w->seconds, (unsigned long long) delivered,
           (unsigned long long) lost, (unsigned long long) doubled,
           (unsigned long long) cuts, (unsigned long long) gaps,
           delivered_at - w->begun, (double) bytes / 1e6,
           nlatencies ? latencies[nlatencies / 2] / 1e3 : 0,
           nlatencies ? latencies[nlatencies / 100 * 99] / 1e3 : 0,
           (double) (self.ru_utime.tv_sec + self.ru_stime.tv_sec)
           + (double) (self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6);

    for (i = 0; i < npids; i++) {
        printf(" cpu%d=%.2f", i, cpu[i]);
    }

    printf("\n");
}


/* utime and stime of a process, in seconds */

static double
cpu_of(int pid)
{
    FILE           *file;
    char           *p, path_of[64], text[1024];
    size_t          n;
    unsigned long   utime, stime;

    snprintf(path_of, sizeof(path_of), "/proc/%d/stat", pid);

    file = fopen(path_of, "r");

    if (file == NULL) {
        return 0;
    }

    n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';

    p = strrchr(text, ')');

    if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u"
                            " %*u %lu %lu", &utime, &stime) != 2)
    {
        return 0;
    }

    return (double) (utime + stime) / (double) sysconf(_SC_CLK_TCK);
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static int
compare(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;

    return (a > b) - (a < b);
}


static void
die(const char *what)
{
    fprintf(stderr, "feed_client: %s (%s)\n", what, strerror(errno));
    exit(2);
}
