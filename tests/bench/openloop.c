/* A load generator that holds a rate: openloop HOST PORT PATH BODY_BYTES RATE SECONDS CONNECTIONS
 *
 * Requests fall due at random moments (exponential gaps of mean 1/RATE, the same ones in every run). One that finds no
 * idle connection waits for one, and every latency counts from the moment the request was due, not from when it could
 * be sent: a server that stalls is charged for all requests that fell due meanwhile (no coordinated omission).
 *
 * Why not a tool off the shelf: wrk holds no rate; `h2load --rps` and `hey -q` were tried and send all connections'
 * requests at the same instant, every 10 ms, so that their p99 tells of the burst and not of the server.
 *
 * Prints one JSON object. p99_us is of all requests; window_p99_us is the median over windows of 100 ms (longer at low
 * rates) of the p99 within a window, which a machine that now and then takes the CPU away for some milliseconds does
 * not reach, and a cost that every request bears does. Understands HTTP/1.1 answers with a Content-Length, which is what the bench's upstream sends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HEAD_LIMIT 8192
#define WINDOW_NS 100000000ull
#define WINDOW_REQUESTS 300 /* at least, on average: fewer have no p99 */
#define ANSWER_LIMIT_NS 5000000000ull /* how long after the last request answers are still waited for */

struct connection {
    int fd;
    bool busy, blocked, head_done;
    size_t written; /* of the request */
    uint64_t due;   /* of the request in flight */
    size_t number;  /* its place in the schedule */
    size_t head_len;
    char head[HEAD_LIMIT + 1];
    uint64_t body_left;
};

static struct sockaddr_in server;
static int poller;
static char *request;
static size_t request_len;
static struct connection *connections;
static size_t connection_count, busy_count;
static uint64_t *latencies; /* by the request's place in the schedule; 0 while it has no answer */
static uint64_t *waits;     /* from due to sent: this program's or a full pool's doing */
static size_t answered, sent, bad_status, socket_errors;

static void die(const char *what) {
    fprintf(stderr, "openloop: %s: %s\n", what, errno ? strerror(errno) : "unexpected answer");
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void open_connection(struct connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void reopen(struct connection *c) {
    if (c->busy) {
        socket_errors++;
        busy_count--;
    }
    c->busy = c->blocked = false;
    close(c->fd);
    open_connection(c);
}

/* The idle ones in turn, so that all of them carry traffic. */
static struct connection *next_idle(void) {
    static size_t turn;
    while (connections[turn].busy) turn = (turn + 1) % connection_count;
    struct connection *c = &connections[turn];
    turn = (turn + 1) % connection_count;
    return c;
}

static void write_request(struct connection *c) {
    while (c->written < request_len) {
        ssize_t n = send(c->fd, request + c->written, request_len - c->written, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (!c->blocked) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->blocked = true;
            return;
        }
        if (n < 0) {
            reopen(c);
            return;
        }
        c->written += (size_t)n;
    }
    if (c->blocked) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->blocked = false;
}

static void start_request(struct connection *c, uint64_t due) {
    c->busy = true;
    busy_count++;
    c->head_done = false;
    c->written = c->head_len = 0;
    c->due = due;
    c->number = sent;
    waits[sent++] = now_ns() - due;
    write_request(c);
}

/* Takes bytes of the head; returns how many of them were not the head's. */
static size_t read_head(struct connection *c, const char *bytes, size_t len) {
    size_t room = HEAD_LIMIT - c->head_len, taken = len < room ? len : room, before = c->head_len;
    memcpy(c->head + before, bytes, taken);
    c->head_len += taken;
    c->head[c->head_len] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (c->head_len == HEAD_LIMIT) die("an answer with a head over 8 KiB");
        return 0;
    }
    *end = 0;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    errno = 0;
    if (!length) die("an answer without Content-Length");
    c->body_left = strtoull(length + strlen("\r\ncontent-length:"), NULL, 10);
    if (strncmp(c->head, "HTTP/1.1 2", 10) != 0) bad_status++;
    c->head_done = true;
    return len - ((size_t)(end + 4 - c->head) - before);
}

static void read_answer(struct connection *c) {
    static char bytes[65536];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !c->busy) { /* closed, or bytes nobody asked for */
        reopen(c);
        return;
    }
    size_t left = (size_t)n;
    if (!c->head_done) left = read_head(c, bytes, left);
    if (!c->head_done) return;
    errno = 0;
    if (left > c->body_left) die("more bytes than the Content-Length says");
    c->body_left -= left;
    if (c->body_left > 0) return;
    latencies[c->number] = now_ns() - c->due;
    answered++;
    c->busy = false;
    busy_count--;
}

static void make_request(const char *host, const char *port, const char *path, size_t body) {
    char head[1024];
    int head_len = body == 0
        ? snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n", path, host, port)
        : snprintf(head, sizeof head,
                   "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                   path, host, port, body);
    request_len = (size_t)head_len + body;
    request = malloc(request_len);
    memcpy(request, head, (size_t)head_len);
    memset(request + head_len, 'x', body);
}

/* When each request is due, in nanoseconds from the start: a Poisson process with a fixed seed. */
static uint64_t *make_schedule(double rate, double seconds, size_t *total) {
    size_t room = (size_t)(rate * seconds * 1.2) + 1000, count = 0;
    uint64_t *due = malloc(room * sizeof *due), state = 88172645463325252ull;
    for (double at = 0; count < room; count++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        at -= log(((double)(state >> 11) + 1) / 9007199254740993.0) / rate;
        if (at >= seconds) break;
        due[count] = (uint64_t)(at * 1e9);
    }
    *total = count;
    return due;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double micros(const uint64_t *sorted, size_t count, double share) {
    return count ? (double)sorted[(size_t)((double)(count - 1) * share)] / 1e3 : 0;
}

/* Sorts the latencies there are to the front; returns how many. */
static size_t sort_answered(uint64_t *values, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i]) values[kept++] = values[i];
    qsort(values, kept, sizeof *values, ascending);
    return kept;
}

static double median_window_p99(const uint64_t *due, size_t total, double rate, double seconds) {
    uint64_t width = WINDOW_REQUESTS / rate * 1e9 > (double)WINDOW_NS ? (uint64_t)(WINDOW_REQUESTS / rate * 1e9) : WINDOW_NS;
    uint64_t *p99s = calloc((size_t)(seconds * 1e9 / (double)width) + 2, sizeof *p99s);
    uint64_t *window = malloc((total + 1) * sizeof *window);
    size_t windows = 0;
    for (size_t from = 0, to; from < total; from = to) {
        for (to = from; to < total && due[to] / width == due[from] / width; to++) window[to - from] = latencies[to];
        size_t count = sort_answered(window, to - from);
        if (count) p99s[windows++] = window[(size_t)((double)(count - 1) * .99)];
    }
    qsort(p99s, windows, sizeof *p99s, ascending);
    return micros(p99s, windows, .5);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: openloop HOST PORT PATH BODY_BYTES RATE SECONDS CONNECTIONS\n");
        return 2;
    }
    double rate = atof(argv[5]), seconds = atof(argv[6]);
    size_t total;
    connection_count = (size_t)atoi(argv[7]);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || rate <= 0 || seconds <= 0 || connection_count == 0) {
        fprintf(stderr, "openloop: HOST is an IPv4 address; RATE, SECONDS and CONNECTIONS are above 0\n");
        return 2;
    }
    make_request(argv[1], argv[2], argv[3], (size_t)atoi(argv[4]));
    uint64_t *due = make_schedule(rate, seconds, &total);
    latencies = calloc(total + 1, sizeof *latencies);
    waits = calloc(total + 1, sizeof *waits);
    connections = calloc(connection_count, sizeof *connections);
    prctl(PR_SET_TIMERSLACK, 1); /* the default lets every timer fire 50 us late */
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < connection_count; i++) open_connection(&connections[i]);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event timer_event = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &timer_event) < 0) die("timerfd");

    uint64_t start = now_ns() + 10000000, give_up = start + (uint64_t)(seconds * 1e9) + ANSWER_LIMIT_NS;
    size_t fallen_due = 0, armed = SIZE_MAX;
    for (;;) {
        uint64_t now = now_ns();
        while (fallen_due < total && start + due[fallen_due] <= now) fallen_due++;
        while (busy_count < connection_count && sent < fallen_due) start_request(next_idle(), start + due[sent]);
        if ((sent == total && busy_count == 0) || now > give_up) break;
        if (fallen_due < total && armed != fallen_due) {
            uint64_t at = start + due[fallen_due];
            struct itimerspec when = {.it_value = {(time_t)(at / 1000000000), (long)(at % 1000000000)}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
            armed = fallen_due;
        }
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, 1000);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            uint64_t fired;
            if (!c) {
                if (read(timer, &fired, sizeof fired) < 0 && errno != EAGAIN) die("timerfd");
                continue;
            }
            if (events[i].events & EPOLLOUT && c->busy) write_request(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_answer(c);
        }
    }
    double window_p99 = median_window_p99(due, total, rate, seconds);
    answered = sort_answered(latencies, total);
    qsort(waits, sent, sizeof *waits, ascending);
    size_t failed = total - answered > socket_errors ? total - answered : socket_errors;
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"window_p99_us\": %.1f, \"max_us\": %.1f, "
           "\"wait_p99_us\": %.1f, \"bad_status\": %zu, \"socket_errors\": %zu}\n",
           answered, seconds, micros(latencies, answered, .5), micros(latencies, answered, .99), window_p99, micros(latencies, answered, 1),
           micros(waits, sent, .99), bad_status, failed);
    return 0;
}
