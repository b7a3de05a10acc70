/* Load of one gRPC method: so many calls in flight for so long, or so many a second.
 *
 * bench_grpc_load [-m] [-r RATE] [-o ANSWERS] HOST:PORT METHOD IN_FLIGHT SECONDS [REQUEST_FILE
 * [CONNECTIONS]]
 *
 * Without a file every request is an empty message, with one it is the file's bytes. -m: the file holds
 * many requests, each after its length (u32, little-endian); they are sent in turn, round and round, or
 * once each when SECONDS is 0. -r: begins RATE calls a second at fixed times, however long the answers
 * take; a latency counts from the time a call was due. -o: writes the first answer to each request there,
 * in the same form. One thread and one completion queue; with -r a second thread begins the calls.
 *
 * Prints calls/s of the measured time, latency quantiles, its own CPU and all the calls that were answered;
 * exit code 1 when a call fails or none succeeds. */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#define CONNECTIONS_MAX 1024
#define IN_FLIGHT_MAX   4096
#define SAMPLES_MAX     (1 << 20)
#define CALL_SECONDS    120

/* One of the calls in flight, started again and again. */
struct lane {
    grpc_channel *channel;
    void *method;
    grpc_call *call;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *request, *answer;
    grpc_status_code status;
    grpc_slice details;
    size_t which; /* request */
    double started;
};

static struct {
    grpc_slice *slices;
    grpc_byte_buffer **answers; /* the first of each; NULL: nobody wants them */
    size_t count, next;
    bool once;
} requests;

static struct {
    double start, end, rate; /* rate 0: as fast as the answers come */
    int64_t good, answered;
    bool failed;
} load;

static grpc_completion_queue *cq;
static double samples[SAMPLES_MAX];
static struct lane lanes[IN_FLIGHT_MAX];

/* Lanes without a call, for the thread that begins calls at their times. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct lane *lanes[IN_FLIGHT_MAX];
    int count;
} idle = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

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

static void lane_start(struct lane *lane, double due)
{
    grpc_op ops[6] = {{0}};
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(CALL_SECONDS, GPR_TIMESPAN));
    lane->call = grpc_channel_create_registered_call(lane->channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                                                     lane->method, deadline, NULL);
    grpc_metadata_array_init(&lane->headers);
    grpc_metadata_array_init(&lane->trailers);
    /* The core empties the buffer it sends: each call needs one of its own. The bytes are shared. */
    lane->which = requests.next++ % requests.count;
    lane->request = grpc_raw_byte_buffer_create(&requests.slices[lane->which], 1);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = lane->request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &lane->headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &lane->answer;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &lane->trailers;
    ops[5].data.recv_status_on_client.status = &lane->status;
    ops[5].data.recv_status_on_client.status_details = &lane->details;
    lane->started = due;
    if (grpc_call_start_batch(lane->call, ops, 6, lane, NULL) != GRPC_CALL_OK)
        abort();
}

/* false: the call failed, and said why. */
static bool lane_end(struct lane *lane)
{
    bool ok = lane->status == GRPC_STATUS_OK && lane->answer != NULL;
    if (!ok)
        fprintf(stderr, "status %d: %.*s\n", (int)lane->status, (int)GRPC_SLICE_LENGTH(lane->details),
                (const char *)GRPC_SLICE_START_PTR(lane->details));
    grpc_slice_unref(lane->details);
    grpc_metadata_array_destroy(&lane->headers);
    grpc_metadata_array_destroy(&lane->trailers);
    grpc_byte_buffer_destroy(lane->request);
    if (requests.answers != NULL && requests.answers[lane->which] == NULL)
        requests.answers[lane->which] = lane->answer;
    else if (lane->answer != NULL)
        grpc_byte_buffer_destroy(lane->answer);
    lane->answer = NULL;
    grpc_call_unref(lane->call);
    return ok;
}

/* ---- requests and answers ---- */

static bool cut_into_requests(const uint8_t *bytes, size_t size)
{
    size_t room = 0;
    for (size_t at = 0; at < size;) {
        uint32_t len;
        if (size - at < sizeof len)
            return false;
        memcpy(&len, bytes + at, sizeof len);
        at += sizeof len;
        if (size - at < len)
            return false;
        if (requests.count == room) {
            room = room == 0 ? 1024 : room * 2;
            requests.slices = realloc(requests.slices, room * sizeof *requests.slices);
            if (requests.slices == NULL)
                abort();
        }
        requests.slices[requests.count++] = grpc_slice_from_static_buffer(bytes + at, len);
        at += len;
    }
    return requests.count > 0;
}

/* The file stays mapped: the slices point into it. */
static bool read_requests(const char *path, bool many)
{
    static grpc_slice single;
    struct stat stat = {0};
    const uint8_t *bytes = NULL;
    if (path != NULL) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &stat) != 0) {
            perror(path);
            return false;
        }
        bytes = stat.st_size == 0
                    ? NULL
                    : mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        close(fd);
        if (bytes == MAP_FAILED || (many && !cut_into_requests(bytes, (size_t)stat.st_size))) {
            fprintf(stderr, "%s: not a file of requests\n", path);
            return false;
        }
    }
    if (!many) {
        single =
            bytes != NULL ? grpc_slice_from_static_buffer(bytes, (size_t)stat.st_size) : grpc_empty_slice();
        requests.slices = &single;
        requests.count = 1;
    }
    return true;
}

static bool write_answers(const char *path)
{
    FILE *file = fopen(path, "wb");
    bool ok = file != NULL;
    for (size_t i = 0; ok && i < requests.count; i++) {
        grpc_byte_buffer_reader reader;
        grpc_slice whole = grpc_empty_slice();
        if (requests.answers[i] != NULL && grpc_byte_buffer_reader_init(&reader, requests.answers[i]) != 0) {
            whole = grpc_byte_buffer_reader_readall(&reader);
            grpc_byte_buffer_reader_destroy(&reader);
        }
        uint32_t len = (uint32_t)GRPC_SLICE_LENGTH(whole);
        ok = fwrite(&len, sizeof len, 1, file) == 1 &&
             fwrite(GRPC_SLICE_START_PTR(whole), 1, len, file) == len;
        grpc_slice_unref(whole);
    }
    if (file == NULL || fclose(file) != 0 || !ok) {
        perror(path);
        return false;
    }
    return true;
}

/* ---- the load ---- */

static void connect_lanes(int in_flight, grpc_channel **channels, int connections, const char *target,
                          const char *method)
{
    void *methods[CONNECTIONS_MAX];
    grpc_arg args[] = {{GRPC_ARG_INTEGER, (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, {.integer = 1}},
                       {GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = -1}},
                       {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_BDP_PROBE, {.integer = 0}}};
    grpc_channel_args channel = {3, args};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    for (int i = 0; i < connections; i++) {
        channels[i] = grpc_channel_create(target, credentials, &channel);
        methods[i] = grpc_channel_register_call(channels[i], method, NULL, NULL);
    }
    grpc_channel_credentials_release(credentials);
    for (int i = 0; i < in_flight; i++) {
        lanes[i].channel = channels[i % connections];
        lanes[i].method = methods[i % connections];
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void take_answer(struct lane *lane)
{
    double at = now();
    if (!lane_end(lane)) {
        __atomic_store_n(&load.failed, true, __ATOMIC_RELAXED);
        return;
    }
    load.answered++;
    if (load.end == 0 || load.rate > 0 || at <= load.end)
        samples[load.good++ % SAMPLES_MAX] = at - lane->started;
}

static bool over(void)
{
    return load.failed || (requests.once ? requests.next >= requests.count : now() > load.end);
}

/* Until the time is over, or everything was sent, and every lane came home. */
static void run(int in_flight)
{
    int under_way = 0;
    while (under_way < in_flight && !over()) {
        lane_start(&lanes[under_way], now());
        under_way++;
    }
    while (under_way > 0) {
        grpc_event event = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        take_answer(event.tag);
        if (over())
            under_way--;
        else
            lane_start(event.tag, now());
    }
}

static void *begin_calls(void *in_flight)
{
    struct timespec at;
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    for (int64_t i = 0; !__atomic_load_n(&load.failed, __ATOMIC_RELAXED); i++) {
        double due = load.start + (double)i / load.rate;
        struct lane *lane;
        if (due > load.end)
            break;
        at.tv_sec = (time_t)due;
        at.tv_nsec = (long)((due - (double)at.tv_sec) * 1e9);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        pthread_mutex_lock(&idle.lock);
        while (idle.count == 0)
            pthread_cond_wait(&idle.some, &idle.lock);
        lane = idle.lanes[--idle.count];
        pthread_mutex_unlock(&idle.lock);
        lane_start(lane, due);
    }
    pthread_mutex_lock(&idle.lock);
    while (idle.count < *(int *)in_flight)
        pthread_cond_wait(&idle.some, &idle.lock);
    pthread_mutex_unlock(&idle.lock);
    grpc_completion_queue_shutdown(cq); /* ends run_at_rate */
    return NULL;
}

static void run_at_rate(int in_flight)
{
    pthread_t thread;
    grpc_event event;
    for (int i = 0; i < in_flight; i++)
        idle.lanes[idle.count++] = &lanes[i];
    if (pthread_create(&thread, NULL, begin_calls, &in_flight) != 0)
        abort();
    while ((event = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)).type !=
           GRPC_QUEUE_SHUTDOWN) {
        take_answer(event.tag);
        pthread_mutex_lock(&idle.lock);
        idle.lanes[idle.count++] = event.tag;
        pthread_cond_signal(&idle.some);
        pthread_mutex_unlock(&idle.lock);
    }
    pthread_join(thread, NULL);
}

static int report(double took, double cpu)
{
    size_t kept = (size_t)(load.good < SAMPLES_MAX ? load.good : SAMPLES_MAX);
    if (load.failed || load.good <= 0)
        return 1;
    qsort(samples, kept, sizeof *samples, by_value);
    printf("%.1f calls/s, p50 %.1f us, p99 %.1f us, own CPU %.2f us a call, %lld answered\n",
           (double)load.good / took, samples[kept / 2] * 1e6, samples[kept * 99 / 100] * 1e6,
           cpu / (double)load.answered * 1e6, (long long)load.answered);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_grpc_load [-m] [-r RATE] [-o ANSWERS] HOST:PORT METHOD IN_FLIGHT SECONDS "
                    "[REQUEST_FILE [CONNECTIONS]]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static grpc_channel *channels[CONNECTIONS_MAX];
    const char *answers = NULL;
    bool many = false;
    for (int option; (option = getopt(argc, argv, "mr:o:")) != -1;) {
        if (option == '?')
            return usage();
        many = many || option == 'm';
        load.rate = option == 'r' ? atof(optarg) : load.rate;
        answers = option == 'o' ? optarg : answers;
    }
    argv += optind - 1;
    argc -= optind - 1;
    int in_flight = argc > 3 ? atoi(argv[3]) : 0, connections = argc > 6 ? atoi(argv[6]) : 1;
    double seconds = argc > 4 ? atof(argv[4]) : -1;
    const char *file = argc > 5 && argv[5][0] != '\0' ? argv[5] : NULL;
    if (in_flight < 1 || in_flight > IN_FLIGHT_MAX || connections < 1 || connections > CONNECTIONS_MAX ||
        seconds < 0 || (seconds == 0 && (!many || load.rate > 0)) || (many && file == NULL) || load.rate < 0)
        return usage();
    grpc_init();
    if (!read_requests(file, many))
        return 1;
    requests.once = seconds == 0;
    requests.answers = answers != NULL ? calloc(requests.count, sizeof *requests.answers) : NULL;
    cq = grpc_completion_queue_create_for_next(NULL);
    double cpu = own_cpu();
    connect_lanes(in_flight, channels, connections, argv[1], argv[2]);
    load.start = now();
    load.end = requests.once ? 0 : load.start + seconds;
    if (load.rate > 0) {
        run_at_rate(in_flight);
    } else {
        run(in_flight);
        grpc_completion_queue_shutdown(cq);
    }
    double took = requests.once ? now() - load.start : seconds;
    cpu = own_cpu() - cpu;
    for (int i = 0; i < connections; i++)
        grpc_channel_destroy(channels[i]);
    if (report(took, cpu) != 0 || (answers != NULL && !write_answers(answers)))
        return 1;
    return 0;
}
