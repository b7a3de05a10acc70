/* Load of one HTTP address: so many connections, each with one request under way, for so long.
 *
 * bench_rest_load [-o ANSWERS] PORT PATH CONNECTIONS SECONDS REQUESTS
 *
 * Posts to 127.0.0.1 the JSON bodies of the file REQUESTS, each after its length (u32, little-endian), in
 * turn, round and round. -o: writes the first answer to each there, in the same form. One thread. Answers
 * need a content-length.
 *
 * Prints what bench_grpc_load prints; exit code 1 when an answer is not 200 or 201. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX     (1 << 20)
#define ANSWER_MAX      (1 << 20)

struct text {
    char *at;
    size_t len;
};

struct lane {
    int fd;
    size_t which, have, want; /* want 0: the head is not there yet */
    char *answer;
    double started;
};

static struct {
    struct text *all, *answers;
    size_t count, next;
} requests;

static double samples[SAMPLES_MAX];
static int64_t good, answered;

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double own_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_rest_load: %s\n", what);
    exit(1);
}

/* Bodies with their heads before them. */
static void read_requests(const char *path, const char *target)
{
    FILE *file = fopen(path, "rb");
    uint32_t len;
    if (file == NULL)
        fail(path);
    while (fread(&len, sizeof len, 1, file) == 1) {
        char head[1024];
        int head_len = snprintf(head, sizeof head,
                                "POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                                "content-length: %u\r\n\r\n",
                                target, len);
        if (head_len < 0 || (size_t)head_len >= sizeof head)
            fail("the path is too long");
        requests.all = must(realloc(requests.all, (requests.count + 1) * sizeof *requests.all));
        struct text *request = &requests.all[requests.count++];
        request->len = (size_t)head_len + len;
        request->at = must(malloc(request->len));
        memcpy(request->at, head, (size_t)head_len);
        if (fread(request->at + head_len, 1, len, file) != len)
            fail("the file of requests is cut");
    }
    fclose(file);
    if (requests.count == 0)
        fail("no requests");
    requests.answers = must(calloc(requests.count, sizeof *requests.answers));
}

static void lane_connect(struct lane *lane, int epoll, int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
    int on = 1;
    lane->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("can't connect");
    setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, lane->fd, &event) != 0)
        fail("epoll");
    lane->answer = must(malloc(ANSWER_MAX + 1));
}

/* Bodies are small next to a socket's buffer: a blocking send doesn't wait. */
static void lane_send(struct lane *lane)
{
    lane->which = requests.next++ % requests.count;
    lane->have = lane->want = 0;
    lane->started = now();
    for (size_t sent = 0; sent < requests.all[lane->which].len;) {
        ssize_t n = send(lane->fd, requests.all[lane->which].at + sent, requests.all[lane->which].len - sent,
                         MSG_NOSIGNAL);
        if (n <= 0)
            fail("the connection was closed");
        sent += (size_t)n;
    }
}

static void read_head(struct lane *lane)
{
    char *end = strstr(lane->answer, "\r\n\r\n"), *length;
    if (end == NULL)
        return;
    *end = '\0';
    if (strncmp(lane->answer, "HTTP/1.1 200", 12) != 0 && strncmp(lane->answer, "HTTP/1.1 201", 12) != 0) {
        *end = '\r';
        fprintf(stderr, "%.600s\n", lane->answer);
        fail("not the answer that was wanted");
    }
    length = strcasestr(lane->answer, "\r\ncontent-length:");
    if (length == NULL)
        fail("an answer without content-length");
    lane->want = (size_t)(end - lane->answer) + 4 + strtoul(length + 17, NULL, 10);
    *end = '\r';
    if (lane->want > ANSWER_MAX)
        fail("an answer is too long");
}

static void keep_answer(struct lane *lane)
{
    struct text *kept = &requests.answers[lane->which];
    const char *body = strstr(lane->answer, "\r\n\r\n") + 4;
    kept->len = lane->want - (size_t)(body - lane->answer);
    kept->at = must(malloc(kept->len + 1));
    memcpy(kept->at, body, kept->len);
}

/* True when the answer is whole. */
static bool lane_receive(struct lane *lane, double end)
{
    ssize_t n = recv(lane->fd, lane->answer + lane->have, ANSWER_MAX - lane->have, 0);
    if (n <= 0)
        fail("the connection was closed");
    lane->have += (size_t)n;
    lane->answer[lane->have] = '\0';
    if (lane->want == 0)
        read_head(lane);
    if (lane->want == 0 || lane->have < lane->want)
        return false;
    answered++;
    if (requests.answers[lane->which].at == NULL)
        keep_answer(lane);
    if (now() <= end)
        samples[good++ % SAMPLES_MAX] = now() - lane->started;
    return true;
}

static void run(struct lane *lanes, int connections, int epoll, double seconds)
{
    double end = now() + seconds;
    int under_way = connections;
    for (int i = 0; i < connections; i++)
        lane_send(&lanes[i]);
    while (under_way > 0) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 60000);
        if (count <= 0)
            fail("no answer within a minute");
        for (int i = 0; i < count; i++) {
            struct lane *lane = events[i].data.ptr;
            if (!lane_receive(lane, end))
                continue;
            if (now() <= end)
                lane_send(lane);
            else
                under_way--;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void write_answers(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail(path);
    for (size_t i = 0; i < requests.count; i++) {
        uint32_t len = (uint32_t)requests.answers[i].len;
        if (fwrite(&len, sizeof len, 1, file) != 1 || fwrite(requests.answers[i].at, 1, len, file) != len)
            fail(path);
    }
    if (fclose(file) != 0)
        fail(path);
}

int main(int argc, char **argv)
{
    static struct lane lanes[CONNECTIONS_MAX];
    const char *answers = NULL;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int option; (option = getopt(argc, argv, "o:")) != -1;)
        answers = option == 'o' ? optarg : answers;
    argv += optind;
    int connections = argc - optind == 5 ? atoi(argv[2]) : 0;
    if (connections < 1 || connections > CONNECTIONS_MAX || atof(argv[3]) <= 0) {
        fprintf(stderr, "usage: bench_rest_load [-o ANSWERS] PORT PATH CONNECTIONS SECONDS REQUESTS\n");
        return 2;
    }
    double seconds = atof(argv[3]);
    read_requests(argv[4], argv[1]);
    for (int i = 0; i < connections; i++)
        lane_connect(&lanes[i], epoll, atoi(argv[0]));
    double cpu = own_cpu();
    run(lanes, connections, epoll, seconds);
    cpu = own_cpu() - cpu;
    if (good == 0)
        fail("no answer in time");
    size_t kept = (size_t)(good < SAMPLES_MAX ? good : SAMPLES_MAX);
    qsort(samples, kept, sizeof *samples, by_value);
    printf("%.1f calls/s, p50 %.1f us, p99 %.1f us, own CPU %.2f us a call, %lld answered\n",
           (double)good / seconds, samples[kept / 2] * 1e6, samples[kept * 99 / 100] * 1e6,
           cpu / (double)answered * 1e6, (long long)answered);
    if (answers != NULL)
        write_answers(answers);
    return 0;
}
