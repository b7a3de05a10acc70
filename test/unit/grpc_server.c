/* The gRPC server, seen by a client: answers, refusals, cancelling, deadlines, stopping, running out of
 * descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "grpc_kit.h"

#define IDLE_CONNECTIONS 200

static void health(void)
{
    struct kit kit;
    struct client client;
    struct ask ask = {.method = HEALTH};
    kit_open(&kit, NULL, NULL);
    client_open(&client, kit.port);
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_OK);
    CU_ASSERT(ask.reply_len == 2 && memcmp(ask.reply, "\x08\x01", 2) == 0);
    ask = (struct ask){.method = "/qdrant.Qdrant/HealthCheck"};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_OK);
    CU_ASSERT_PTR_NOT_NULL(memmem(ask.reply, ask.reply_len, VEX_QDRANT_VERSION, strlen(VEX_QDRANT_VERSION)));
    client_close(&client);
    kit_close(&kit);
}

static void unknown_methods(void)
{
    static const char *const methods[] = {"/qdrant.Points/NoSuch", "/x.Y/Z", "/grpc.health.v1.Health/Watch"};
    struct kit kit;
    struct client client;
    kit_open(&kit, NULL, NULL);
    client_open(&client, kit.port);
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < 3; i++) {
            struct ask ask = {.method = methods[i], .bytes = "abc", .len = 3};
            CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_UNIMPLEMENTED);
            CU_ASSERT_PTR_NOT_NULL(strstr(ask.details, methods[i]));
        }
    client_close(&client);
    kit_close(&kit);
}

/* `levels` messages inside each other: CountPoints.filter (2), then Filter.must (2) and Condition.filter (4)
 * by turns. */
static size_t nested(uint8_t *ret, size_t room, int levels)
{
    size_t at = room;
    for (int i = 0; i < levels; i++) {
        size_t len = room - at, value = len;
        uint8_t varint[10];
        int n = 0;
        do
            varint[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        while ((value >>= 7) != 0);
        at -= (size_t)n;
        memcpy(ret + at, varint, (size_t)n);
        int depth = levels - 1 - i;
        ret[--at] = depth == 0 || depth % 2 == 1 ? 0x12 : 0x22;
    }
    memmove(ret, ret + at, room - at);
    return room - at;
}

static void garbage(void)
{
    static uint8_t deep[200000];
    struct kit kit;
    struct client client;
    size_t len = nested(deep, sizeof deep, 10000);
    kit_open(&kit, NULL, NULL);
    client_open(&client, kit.port);
    struct ask ask = {.method = "/qdrant.Points/Count", .bytes = deep, .len = len};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask.details, "recursion limit reached"));
    srand(7);
    for (int round = 0; round < 500; round++) {
        size_t some = (size_t)rand() % 300;
        for (size_t i = 0; i < some; i++)
            deep[i] = (uint8_t)rand();
        deep[0] = 0x07; /* no such wire type: never a message */
        CU_ASSERT_EQUAL(ask_bytes(&client, "/qdrant.Points/Upsert", deep, some + 1),
                        GRPC_STATUS_INVALID_ARGUMENT);
    }
    ask = (struct ask){.method = "/qdrant.Points/Count", .no_message = true};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_INTERNAL);
    client_close(&client);
    kit_close(&kit);
}

static void sizes(void)
{
    size_t len = 8 << 20;
    uint8_t *bytes = calloc(1, len);
    struct kit kit;
    struct client client;
    kit_open(&kit, "service.max_grpc_message_mb", "1");
    client_open(&client, kit.port);
    struct ask ask = {.method = HEALTH, .bytes = bytes, .len = len};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_RESOURCE_EXHAUSTED);
    ask = (struct ask){.method = HEALTH, .bytes = bytes, .len = len, .gzip = true};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_RESOURCE_EXHAUSTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask.details, "unpacks to more than 1048576 bytes"));
    /* A string field of the request, well within bounds. */
    memset(bytes, 'a', 100000);
    memcpy(bytes, "\x0a\x9c\x8d\x06", 4);
    ask = (struct ask){.method = HEALTH, .bytes = bytes, .len = 99996 + 4, .gzip = true};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_OK);
    client_close(&client);
    kit_close(&kit);
    free(bytes);
}

static void keyed(void)
{
    struct kit kit;
    struct client client;
    struct ask ask = {.method = HELD_METHOD, .bytes = BAD_CREATE, .len = 2};
    kit_open(&kit, "service.api_key", "secret");
    client_open(&client, kit.port);
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_UNAUTHENTICATED);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask.details, "Must provide an API key"));
    ask.key = "other";
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_UNAUTHENTICATED);
    ask.key = "secret";
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_INVALID_ARGUMENT);
    ask = (struct ask){.method = HELD_METHOD, .no_message = true, .key = "secret"};
    CU_ASSERT_EQUAL(ask_run(&client, &ask), GRPC_STATUS_INTERNAL);
    CU_ASSERT_EQUAL(ask_bytes(&client, HEALTH, "", 0), GRPC_STATUS_OK);
    client_close(&client);
    kit_close(&kit);
}

/* The worker is held, so the calls are pending when their clients leave. */
static void cancelling(void)
{
    struct kit kit;
    struct client client;
    struct ask asks[20];
    kit_open(&kit, NULL, NULL);
    client_open(&client, kit.port);
    kit_hold(&kit);
    for (int i = 0; i < 20; i++) {
        asks[i] = (struct ask){
            .method = HELD_METHOD, .bytes = BAD_CREATE, .len = 2, .timeout_ms = i < 10 ? 0 : 200};
        ask_start(&client, &asks[i]);
    }
    UNTIL(atomic_load(&kit.service->running) == 20);
    for (int i = 0; i < 5; i++)
        grpc_call_cancel(asks[i].core, NULL);
    for (int i = 0; i < 15; i++)
        ask_wait(&client);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(asks[i].status, GRPC_STATUS_CANCELLED);
    for (int i = 10; i < 20; i++)
        CU_ASSERT_EQUAL(asks[i].status, GRPC_STATUS_DEADLINE_EXCEEDED);
    kit_release(&kit);
    for (int i = 0; i < 5; i++)
        ask_wait(&client);
    for (int i = 5; i < 10; i++)
        CU_ASSERT_EQUAL(asks[i].status, GRPC_STATUS_INVALID_ARGUMENT);
    UNTIL(atomic_load(&kit.service->running) == 0);
    CU_ASSERT_EQUAL(ask_bytes(&client, HEALTH, "", 0), GRPC_STATUS_OK);
    client_close(&client);
    kit_close(&kit);
}

/* That a call runs no more once its client left: work waits on the held worker and finds itself cancelled. */
static void cancelled_calls_know(void)
{
    struct kit kit;
    struct client client;
    uint64_t before, after;
    kit_open(&kit, NULL, NULL);
    client_open(&client, kit.port);
    before = atomic_load(&vex_metric_values[VEX_METRIC_CALLS_CANCELLED]);
    kit_hold(&kit);
    struct ask ask = {.method = HELD_METHOD, .bytes = BAD_CREATE, .len = 2};
    ask_start(&client, &ask);
    UNTIL(atomic_load(&kit.service->running) == 1);
    grpc_call_cancel(ask.core, NULL);
    ask_wait(&client);
    /* A call on the same connection comes after the reset: then both queues have seen it. */
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(ask_bytes(&client, HEALTH, "", 0), GRPC_STATUS_OK);
    kit_release(&kit);
    UNTIL(atomic_load(&kit.service->running) == 0);
    after = atomic_load(&vex_metric_values[VEX_METRIC_CALLS_CANCELLED]);
    CU_ASSERT_EQUAL(after - before, 1);
    client_close(&client);
    kit_close(&kit);
}

static void *release_later(void *arg)
{
    struct kit *kit = arg;
    UNTIL(kit->grpc->acceptor == NULL);
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL); /* so that the stop is likely to wait; the result does not depend on it */
    kit_release(kit);
    return NULL;
}

/* Calls that run on a worker when the server is stopped are answered. */
static void stopping_answers(void)
{
    struct kit kit;
    struct client client;
    struct ask asks[50];
    pthread_t thread;
    kit_open(&kit, NULL, NULL);
    client_open(&client, kit.port);
    kit_hold(&kit);
    for (int i = 0; i < 50; i++) {
        asks[i] = (struct ask){.method = HELD_METHOD, .bytes = BAD_CREATE, .len = 2};
        ask_start(&client, &asks[i]);
    }
    UNTIL(atomic_load(&kit.service->running) == 50);
    pthread_create(&thread, NULL, release_later, &kit);
    kit_close(&kit);
    pthread_join(thread, NULL);
    for (int i = 0; i < 50; i++)
        ask_wait(&client);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(asks[i].status, GRPC_STATUS_INVALID_ARGUMENT);
    client_close(&client);
}

struct storm {
    unsigned port;
    _Atomic int done, odd, stop;
};

static void *storm_main(void *arg)
{
    struct storm *storm = arg;
    struct client client;
    client_open(&client, storm->port);
    for (int done = 0; !atomic_load(&storm->stop); done++) {
        struct ask ask = {
            .method = done % 2 ? HEALTH : HELD_METHOD, .bytes = BAD_CREATE, .len = 2, .fail_fast = true};
        grpc_status_code status = ask_run(&client, &ask);
        atomic_fetch_add(&storm->done, 1);
        /* The core cancels what comes in after the stop and before the client has read of it. */
        if (status == GRPC_STATUS_UNAVAILABLE || status == GRPC_STATUS_CANCELLED)
            break;
        if (status != GRPC_STATUS_OK && status != GRPC_STATUS_INVALID_ARGUMENT)
            atomic_fetch_add(&storm->odd, 1);
    }
    client_close(&client);
    return NULL;
}

/* Stops servers that are busy: nothing crashes, hangs or leaks, and no call gets a wrong answer. */
static void stopping_under_load(void)
{
    for (int round = 0; round < 5; round++) {
        struct kit kit;
        struct storm storm = {0};
        pthread_t threads[8];
        kit_open(&kit, NULL, NULL);
        storm.port = kit.port;
        for (int i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, storm_main, &storm);
        UNTIL(atomic_load(&storm.done) > 200);
        kit_close(&kit);
        atomic_store(&storm.stop, 1);
        for (int i = 0; i < 8; i++)
            pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(atomic_load(&storm.odd), 0);
    }
}

static void port_taken(void)
{
    struct kit kit;
    struct vex_grpc *second = NULL;
    struct vex_err err = {0};
    char port[16];
    kit_open(&kit, NULL, NULL);
    struct vex_grpc_options options = {.service = kit.service, .conf = kit.conf};
    CU_ASSERT_EQUAL(vex_grpc_start(&options, &second, &err), VEX_EIO);
    CU_ASSERT_PTR_NULL(second);
    snprintf(port, sizeof port, "%u", kit.port);
    CU_ASSERT(strstr(err.text, "127.0.0.1") != NULL && strstr(err.text, port) != NULL &&
              strstr(err.text, "in use") != NULL);
    kit_close(&kit);
}

/* ---- descriptors ---- */

/* Another process opens idle connections when told to, says so, and closes them when told to. */
static pid_t child;
static int child_in, child_out;

static void child_main(int in, int out)
{
    unsigned port;
    int fds[IDLE_CONNECTIONS];
    while (read(in, &port, sizeof port) == sizeof port) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        for (int i = 0; i < IDLE_CONNECTIONS; i++) {
            fds[i] = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(fds[i], (struct sockaddr *)&address, sizeof address) != 0)
                _exit(1);
        }
        if (write(out, "o", 1) != 1 || read(in, &port, sizeof port) != sizeof port)
            _exit(1);
        for (int i = 0; i < IDLE_CONNECTIONS; i++)
            close(fds[i]);
    }
    _exit(0);
}

static void child_start(void)
{
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0 || (child = fork()) < 0)
        abort();
    if (child == 0) {
        close(in[1]);
        close(out[0]);
        child_main(in[0], out[1]);
    }
    close(in[0]);
    close(out[1]);
    child_in = in[1];
    child_out = out[0];
}

static int child_end(void)
{
    int status = -1;
    close(child_in);
    close(child_out);
    waitpid(child, &status, 0);
    return status;
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the folder itself */
}

static void descriptors_run_out(void)
{
    struct kit kit;
    struct client client;
    struct rlimit limit, small;
    unsigned word = 0;
    char opened;
    kit_open(&kit, NULL, NULL);
    getrlimit(RLIMIT_NOFILE, &limit);
    small = limit;
    small.rlim_cur = open_descriptors() + 60;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &small), 0);
    unsigned reserve = (unsigned)small.rlim_cur / 4;
    CU_ASSERT_EQUAL(write(child_in, &kit.port, sizeof kit.port), sizeof kit.port);
    CU_ASSERT_EQUAL(read(child_out, &opened, 1), 1);
    UNTIL(open_descriptors() >= small.rlim_cur - reserve);
    /* Some are left for others, however often the server looks. */
    for (int i = 0; i < 100; i++) {
        int one = open("/dev/null", O_RDONLY | O_CLOEXEC);
        struct timespec pause = {.tv_nsec = 2000000};
        CU_ASSERT_FATAL(one >= 0 && (rlim_t)one <= small.rlim_cur - reserve);
        close(one);
        nanosleep(&pause, NULL);
    }
    CU_ASSERT_EQUAL(write(child_in, &word, sizeof word), sizeof word);
    UNTIL(open_descriptors() < small.rlim_cur - reserve - 20);
    client_open(&client, kit.port);
    CU_ASSERT_EQUAL(ask_bytes(&client, HEALTH, "", 0), GRPC_STATUS_OK);
    client_close(&client);
    setrlimit(RLIMIT_NOFILE, &limit);
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {{"health", health},
                           {"unknown methods", unknown_methods},
                           {"garbage", garbage},
                           {"sizes", sizes},
                           {"keys", keyed},
                           {"cancelling", cancelling},
                           {"cancelled calls know", cancelled_calls_know},
                           {"stopping answers", stopping_answers},
                           {"stopping under load", stopping_under_load},
                           {"port taken", port_taken},
                           {"descriptors run out", descriptors_run_out},
                           CU_TEST_INFO_NULL};
    child_start();
    grpc_init();
    int failed = run_suite("gRPC server", tests);
    grpc_shutdown_blocking();
    return child_end() != 0 || failed;
}
