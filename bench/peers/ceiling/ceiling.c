
/*
 * How far one could get: a bare epoll loop in C, which is no product.  It
 * answers one handshake, that of bench/ws_load.c, believes every length, and
 * gives up when anything fails.
 *
 *     ceiling PORT           "null": unmasks each message and answers it
 *     ceiling PORT SOCKET    "yyjson": reads it as JSON, stores it as one ZADD
 *                            on one connection to the Redis of SOCKET, and
 *                            answers when Redis has
 *
 * The commands of one turn of the loop go to Redis in one write, and as soon
 * as 16 KB of them wait; the answers of a turn go to each client in one.
 *
 * Without yyjson (CEILING_YYJSON=0) it can do the first of these only.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#if (CEILING_YYJSON)
#include <yyjson.h>
#endif


#define READ         16384
#define ANSWERS      8192
#define REDIS_IN     65536
#define REDIS_FLUSH  16384
#define IN_FLIGHT    (1 << 20)
#define MAX_CONNS    20000
#define MEMBER       256         /* more than one takes, but for its name */


typedef struct {
    char    *data;
    size_t   len;
    size_t   size;
} buffer_t;

typedef struct {
    int      fd;
    int      open;
    int      dead;
    int      waiting;            /* is in the list of those with answers */
    buffer_t in;
    size_t   out_len;
    char     out[ANSWERS];
    char     session[64];
} conn_t;


static void listen_on(int number);
static void turn(void);
static void accept_conn(void);
static void conn_read(conn_t *c);
static size_t conn_upgrade(conn_t *c);
static size_t conn_frame(conn_t *c, char *p, size_t len);
static void unmask(char *p, size_t len, const char *mask);
static void message(conn_t *c, char *p, size_t len);
static void answer(conn_t *c, const char *text);
static void conn_flush(conn_t *c);
static void conn_close(conn_t *c);
static void redis_connect(const char *path);
static void redis_read(void);
static void redis_flush(void);
static void add_fd(int fd, void *data);
static char *room(buffer_t *b, size_t len);
static void fail(const char *what) __attribute__((noreturn));

#if (CEILING_YYJSON)
static int members(char *p, size_t len);
static void member(uint64_t timestamp, const char *name, size_t len);
static int is_plain(const char *p, size_t len);
static void zadd(conn_t *c, int n);
static char *decimal(char *p, uint64_t n);
#endif


static int        epoll, listener, redis = -1;
static buffer_t   redis_out;
static conn_t    *in_flight[IN_FLIGHT];
static size_t     first;
static conn_t    *answered[MAX_CONNS];
static int        nanswered;

#if (CEILING_YYJSON)
static buffer_t   arguments, pool;
static size_t     last;
static uint32_t   sequence;
#endif

static const char response[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";


int
main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fail("usage: ceiling PORT [SOCKET]");
    }

    epoll = epoll_create1(0);

    if (argc == 3) {
        redis_connect(argv[2]);
    }

    listen_on(atoi(argv[1]));

    for ( ;; ) {
        turn();
    }
}


static void
listen_on(int number)
{
    int                 one;
    struct sockaddr_in  addr;

    memset(&addr, 0, sizeof(addr));
    addr.sin_family = AF_INET;
    addr.sin_port = htons((uint16_t) number);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    one = 1;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (bind(listener, (struct sockaddr *) &addr, sizeof(addr)) != 0
        || listen(listener, 4096) != 0)
    {
        fail("listen");
    }

    add_fd(listener, &listener);
}


static void
turn(void)
{
    int                 i, n;
    conn_t             *c;
    struct epoll_event  ready[512];

    n = epoll_wait(epoll, ready, 512, -1);

    for (i = 0; i < n; i++) {

        if (ready[i].data.ptr == &listener) {
            accept_conn();

        } else if (ready[i].data.ptr == &redis) {
            redis_read();

        } else {
            c = ready[i].data.ptr;

            if (!c->dead) {
                conn_read(c);
            }
        }
    }

    redis_flush();

    for (i = 0; i < nanswered; i++) {
        answered[i]->waiting = 0;
        conn_flush(answered[i]);
    }

    nanswered = 0;
}


static void
accept_conn(void)
{
    int      fd, one;
    conn_t  *c;

    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    if (fd < 0) {
        return;
    }

    one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    c = calloc(1, sizeof(conn_t));

    if (c == NULL) {
        fail("memory");
    }

    c->fd = fd;
    add_fd(fd, c);
}


static void
conn_read(conn_t *c)
{
    char     *p;
    size_t    used, done;
    ssize_t   n;

    p = room(&c->in, READ);
    c->in.len -= READ;

    n = recv(c->fd, p, c->in.size - c->in.len, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        conn_close(c);
        return;
    }

    c->in.len += (size_t) n;
    done = c->open ? 0 : conn_upgrade(c);

    while (c->open && !c->dead) {
        used = conn_frame(c, c->in.data + done, c->in.len - done);

        if (used == 0) {
            break;
        }

        done += used;
    }

    if (!c->dead && done) {
        c->in.len -= done;
        memmove(c->in.data, c->in.data + done, c->in.len);
    }
}


static size_t
conn_upgrade(conn_t *c)
{
    char    *end, *id;
    size_t   len;

    end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
    id = memmem(c->in.data, c->in.len, "sessionId=", 10);

    if (end == NULL || id == NULL || id > end) {
        return 0;
    }

    id += 10;
    len = strcspn(id, " &\r");

    if (len >= sizeof(c->session)
        || send(c->fd, response, sizeof(response) - 1, 0) < 0)
    {
        fail("upgrade");
    }

    memcpy(c->session, id, len);
    c->open = 1;

    return (size_t) (end - c->in.data) + 4;
}


/* How many bytes the frame has; 0: not all of it is there. */

static size_t
conn_frame(conn_t *c, char *p, size_t len)
{
    int       i;
    size_t    head, payload;
    uint8_t  *b;

    b = (uint8_t *) p;

    if (len < 14 && (len < 6 || (b[1] & 127) > 125)) {
        return 0;
    }

    head = 2;
    payload = b[1] & 127;

    if (payload == 126) {
        head = 4;
        payload = (size_t) (b[2] << 8 | b[3]);

    } else if (payload == 127) {
        head = 10;
        payload = 0;

        for (i = 2; i < 10; i++) {
            payload = payload << 8 | b[i];
        }
    }

    if (len < head + 4 + payload) {
        return 0;
    }

    if ((b[0] & 15) == 8) {
        conn_close(c);
        return 0;
    }

    unmask(p + head + 4, payload, p + head);
    message(c, p + head + 4, payload);

    return head + 4 + payload;
}


static void
unmask(char *p, size_t len, const char *mask)
{
    size_t    i;
    uint32_t  word;
    uint64_t  words, value;

    memcpy(&word, mask, 4);
    words = (uint64_t) word << 32 | word;

    for (i = 0; i + 8 <= len; i += 8) {
        memcpy(&value, p + i, 8);
        value ^= words;
        memcpy(p + i, &value, 8);
    }

    for ( /* void */ ; i < len; i++) {
        p[i] ^= mask[i & 3];
    }
}


static void
message(conn_t *c, char *p, size_t len)
{
    if (redis == -1) {
        answer(c, "ok");
        return;
    }

#if (CEILING_YYJSON)

    int  n;

    n = members(p, len);

    if (n < 0) {
        answer(c, "\"err\"");
        return;
    }

    zadd(c, n);

#else
    (void) p;
    (void) len;
#endif
}


static void
answer(conn_t *c, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (c->dead) {
        return;
    }

    if (c->out_len + len + 2 > ANSWERS) {
        fail("answers that nobody reads");
    }

    c->out[c->out_len++] = (char) 0x81;
    c->out[c->out_len++] = (char) len;
    memcpy(c->out + c->out_len, text, len);
    c->out_len += len;

    if (!c->waiting) {
        c->waiting = 1;
        answered[nanswered++] = c;
    }
}


static void
conn_flush(conn_t *c)
{
    if (c->dead || c->out_len == 0) {
        return;
    }

    if (send(c->fd, c->out, c->out_len, MSG_NOSIGNAL) != (ssize_t) c->out_len) {
        conn_close(c);
        return;
    }

    c->out_len = 0;
}


/* A command of it may be in flight, so that it is not freed. */

static void
conn_close(conn_t *c)
{
    c->dead = 1;
    close(c->fd);
    free(c->in.data);
}


static void
redis_connect(const char *path)
{
    struct sockaddr_un  addr;

#if !(CEILING_YYJSON)
    fail("this one was built without yyjson");
#endif

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);

    redis = socket(AF_UNIX, SOCK_STREAM, 0);

    if (connect(redis, (struct sockaddr *) &addr, sizeof(addr)) != 0) {
        fail("connect to Redis");
    }

    add_fd(redis, &redis);
}


/* A reply is a line, ":<number>" or "-<error>", for the command in turn. */

static void
redis_read(void)
{
    ssize_t      i, n;
    static char  in[REDIS_IN], type;

    n = recv(redis, in, sizeof(in), 0);

    if (n <= 0) {
        fail("Redis has gone");
    }

    for (i = 0; i < n; i++) {

        if (type == '\0') {
            type = in[i];
        }

        if (in[i] == '\n') {
            answer(in_flight[first++ % IN_FLIGHT],
                   type == ':' ? "ok" : "\"err\"");
            type = '\0';
        }
    }
}


static void
redis_flush(void)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < redis_out.len; done += (size_t) n) {
        n = send(redis, redis_out.data + done, redis_out.len - done, 0);

        if (n <= 0) {
            fail("write to Redis");
        }
    }

    redis_out.len = 0;
}


static void
add_fd(int fd, void *data)
{
    struct epoll_event  event;

    event.events = EPOLLIN;
    event.data.ptr = data;

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        fail("epoll_ctl");
    }
}


static char *
room(buffer_t *b, size_t len)
{
    char  *p;

    if (b->len + len > b->size) {
        b->size = (b->len + len) * 2;
        b->data = realloc(b->data, b->size);

        if (b->data == NULL) {
            fail("memory");
        }
    }

    p = b->data + b->len;
    b->len += len;

    return p;
}


static void
fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}


#if (CEILING_YYJSON)

/* How many events there are; -1: it isn't an array of events. */

static int
members(char *p, size_t len)
{
    int          n;
    size_t       i, max;
    yyjson_doc  *doc;
    yyjson_val  *root, *event, *timestamp, *type, *name;
    yyjson_alc   alc;

    arguments.len = 0;
    pool.len = 0;
    room(&pool, yyjson_read_max_memory_usage(len, 0));
    yyjson_alc_pool_init(&alc, pool.data, pool.size);

    doc = yyjson_read_opts(p, len, 0, &alc, NULL);
    root = yyjson_doc_get_root(doc);

    if (!yyjson_is_arr(root)) {
        return -1;
    }

    n = 0;

    yyjson_arr_foreach(root, i, max, event) {
        timestamp = yyjson_obj_get(event, "timestamp");
        type = yyjson_obj_get(event, "type");
        name = yyjson_obj_get(event, "name");

        if (!yyjson_is_uint(timestamp) || !yyjson_equals_str(type, "EVENT")
            || !yyjson_is_str(name)
            || !is_plain(yyjson_get_str(name), yyjson_get_len(name)))
        {
            return -1;
        }

        member(yyjson_get_uint(timestamp), yyjson_get_str(name),
               yyjson_get_len(name));
        n++;
    }

    return n;
}


/* Score and member, as arguments: the member is 63 bytes, time and name. */

static void
member(uint64_t timestamp, const char *name, size_t len)
{
    int                i;
    char              *p, text[24];
    size_t             digits;
    static const char  hex[] = "0123456789abcdef";

    digits = (size_t) (decimal(text, timestamp) - text);

    p = room(&arguments, MEMBER + len);

    *p++ = '$';
    p = decimal(p, digits);
    p = mempcpy(p, "\r\n", 2);
    p = mempcpy(p, text, digits);
    p = mempcpy(p, "\r\n$", 3);
    p = decimal(p, 63 + digits + len);
    p = mempcpy(p, "\r\n{\"id\":\"a1b2c3d4", 17);

    for (i = 28; i >= 0; i -= 4) {
        *p++ = hex[sequence >> i & 15];
    }

    sequence++;

    p = mempcpy(p, "\",\"type\":\"EVENT\",\"timestamp\":", 29);
    p = mempcpy(p, text, digits);
    p = mempcpy(p, ",\"name\":\"", 9);
    p = mempcpy(p, name, len);
    p = mempcpy(p, "\"}\r\n", 4);

    arguments.len = (size_t) (p - arguments.data);
}


static int
is_plain(const char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if ((uint8_t) p[i] < ' ' || p[i] == '"' || p[i] == '\\') {
            return 0;
        }
    }

    return len > 0;
}


static void
zadd(conn_t *c, int n)
{
    int   len;
    char  head[160];

    len = snprintf(head, sizeof(head), "*%d\r\n$4\r\nZADD\r\n$%zu\r\n"
                   "es:{%s}\r\n", 2 + 2 * n, strlen(c->session) + 5,
                   c->session);

    memcpy(room(&redis_out, (size_t) len), head, (size_t) len);
    memcpy(room(&redis_out, arguments.len), arguments.data, arguments.len);

    if (last - first == IN_FLIGHT) {
        fail("too many commands in flight");
    }

    in_flight[last++ % IN_FLIGHT] = c;

    if (redis_out.len >= REDIS_FLUSH) {
        redis_flush();
    }
}


static char *
decimal(char *p, uint64_t n)
{
    int   len;
    char  digits[24];

    len = 0;

    do {
        digits[len++] = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    while (len) {
        *p++ = digits[--len];
    }

    return p;
}

#endif
