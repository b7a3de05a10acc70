/* Load of one gRPC method: so many calls in flight for so long.
 *
 * bench_grpc_load HOST:PORT METHOD IN_FLIGHT SECONDS [REQUEST_FILE [CONNECTIONS]]
 *
 * The request is the file's bytes (none: an empty message); every call sends the same. One thread, one
 * completion queue. Prints calls/s of the measured time, latency quantiles and its own CPU; exit code 1 when
 * a call fails or none succeeds. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#define CONNECTIONS_MAX 1024
#define IN_FLIGHT_MAX   4096
#define SAMPLES_MAX     (1 << 20)
#define CALL_SECONDS    20

/* One of the calls in flight, started again and again. */
struct lane {
    grpc_channel *channel;
    void *method;
    grpc_call *call;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *answer;
    grpc_status_code status;
    grpc_slice details;
    double started;
};

static grpc_completion_queue *cq;
static grpc_byte_buffer *request;
static double samples[SAMPLES_MAX];

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

static void lane_start(struct lane *lane)
{
    grpc_op ops[6] = {{0}};
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(CALL_SECONDS, GPR_TIMESPAN));
    lane->call = grpc_channel_create_registered_call(lane->channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                                                     lane->method, deadline, NULL);
    grpc_metadata_array_init(&lane->headers);
    grpc_metadata_array_init(&lane->trailers);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &lane->headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &lane->answer;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &lane->trailers;
    ops[5].data.recv_status_on_client.status = &lane->status;
    ops[5].data.recv_status_on_client.status_details = &lane->details;
    lane->started = now();
    if (grpc_call_start_batch(lane->call, ops, 6, lane, NULL) != GRPC_CALL_OK)
        abort();
}

/* false: the call failed, and said why. */
static bool lane_end(struct lane *lane)
{
    bool ok = lane->status == GRPC_STATUS_OK;
    if (!ok)
        fprintf(stderr, "status %d: %.*s\n", (int)lane->status, (int)GRPC_SLICE_LENGTH(lane->details),
                (const char *)GRPC_SLICE_START_PTR(lane->details));
    grpc_slice_unref(lane->details);
    grpc_metadata_array_destroy(&lane->headers);
    grpc_metadata_array_destroy(&lane->trailers);
    if (lane->answer != NULL)
        grpc_byte_buffer_destroy(lane->answer);
    lane->answer = NULL;
    grpc_call_unref(lane->call);
    return ok;
}

static bool read_request(const char *path)
{
    grpc_slice slice = grpc_empty_slice();
    if (path != NULL) {
        FILE *file = fopen(path, "rb");
        long len = -1;
        if (file != NULL && fseek(file, 0, SEEK_END) == 0)
            len = ftell(file);
        if (len < 0) {
            perror(path);
            return false;
        }
        slice = grpc_slice_malloc((size_t)len);
        rewind(file);
        bool whole = fread(GRPC_SLICE_START_PTR(slice), 1, (size_t)len, file) == (size_t)len;
        fclose(file);
        if (!whole)
            return false;
    }
    request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return true;
}

static void connect_lanes(struct lane *lanes, int in_flight, grpc_channel **channels, int connections,
                          const char *target, const char *method)
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
        lane_start(&lanes[i]);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs until the time is over and every lane came home; the number of good calls, or -1. */
static int64_t run(int in_flight, double seconds, double *ret_seconds)
{
    double start = now(), end = start + seconds;
    int64_t calls = 0;
    bool failed = false;
    while (in_flight > 0) {
        grpc_event event = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        struct lane *lane = event.tag;
        double at = now();
        samples[calls % SAMPLES_MAX] = at - lane->started;
        if (!lane_end(lane))
            failed = true;
        else if (at <= end)
            calls++;
        if (failed || at > end)
            in_flight--;
        else
            lane_start(lane);
    }
    *ret_seconds = seconds;
    return failed ? -1 : calls;
}

int main(int argc, char **argv)
{
    static struct lane lanes[IN_FLIGHT_MAX];
    static grpc_channel *channels[CONNECTIONS_MAX];
    int in_flight = argc > 3 ? atoi(argv[3]) : 0, connections = argc > 6 ? atoi(argv[6]) : 1;
    double seconds = argc > 4 ? atof(argv[4]) : 0, took;
    const char *file = argc > 5 && argv[5][0] != '\0' ? argv[5] : NULL;
    if (in_flight < 1 || in_flight > IN_FLIGHT_MAX || connections < 1 || connections > CONNECTIONS_MAX ||
        seconds <= 0) {
        fprintf(stderr,
                "usage: bench_grpc_load HOST:PORT METHOD IN_FLIGHT SECONDS [REQUEST_FILE [CONNECTIONS]]\n");
        return 2;
    }
    grpc_init();
    if (!read_request(file))
        return 1;
    cq = grpc_completion_queue_create_for_next(NULL);
    double cpu = own_cpu();
    connect_lanes(lanes, in_flight, channels, connections, argv[1], argv[2]);
    int64_t calls = run(in_flight, seconds, &took);
    cpu = own_cpu() - cpu;
    grpc_completion_queue_shutdown(cq);
    for (int i = 0; i < connections; i++)
        grpc_channel_destroy(channels[i]);
    if (calls <= 0)
        return 1;
    size_t kept = (size_t)(calls < SAMPLES_MAX ? calls : SAMPLES_MAX);
    qsort(samples, kept, sizeof *samples, by_value);
    printf("%.1f calls/s, p50 %.1f us, p99 %.1f us, own CPU %.2f us a call\n", (double)calls / took,
           samples[kept / 2] * 1e6, samples[kept * 99 / 100] * 1e6, cpu / (double)calls * 1e6);
    return 0;
}
