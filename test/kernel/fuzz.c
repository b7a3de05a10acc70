/* Random requests to the vector device: mutated and hostile ones from several threads and from children that are
 * killed in the middle, on shared descriptors, over files that change underneath; between them requests whose
 * answers are known and compared.
 *
 *   fuzz [--requests N] [--threads T] [--seed S] [--seconds MAX] [--folder DIR]...
 *
 * Prints how often each request gave which errno. Exit code 1: a wrong answer, a kind of request that never succeeded, or
 * an end before N requests without MAX seconds being over; 3: a request that does not come back. What it does to the kernel is for the kernel's log to tell.
 * Builds alone: cc -O2 -static -pthread -I src -o fuzz test/kernel/fuzz.c */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "fuzz_model.h"
#include "fuzz_world.h"

#define STUCK_SECONDS 120

static struct fuzz_worker workers[THREADS_MAX + 2]; /* two more: chaos, children */

/* ---- The device ---- */

static int real_open(int at)
{
    int fd = open(VEXFS_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (at < 0)
        return fd;
    int moved = dup3(fd, at, O_CLOEXEC), why = errno;
    close(fd);
    return moved < 0 ? -why : moved;
}

static void real_close(int fd)
{
    close(fd);
}

static int real_ioctl(int fd, unsigned long request, void *param)
{
    return ioctl(fd, request, param) < 0 ? -errno : 0;
}

static const struct fuzz_sys real_sys = {real_open, real_close, real_ioctl};

/* ---- Threads ---- */

static void *work(void *arg)
{
    struct fuzz_worker *w = arg;
    struct fuzz_model own = {.fd = -1, .backing = -1}, store;
    int rc = model_open(w, &own, "own");
    if (rc != 0) {
        expect(false, w, "opening a file of one's own", rc, 0);
        return NULL;
    }
    while (!is_stopped()) {
        for (uint32_t i = draw(w, 12); i > 0; i--)
            hostile_step(w);
        for (uint32_t i = draw(w, 4); i > 0; i--)
            model_step(w, &own);
        if (chance(w, 4))
            model_check_search(w, &steady, steady.fd);
        if (chance(w, 32)) {
            model_check_scan(w, &steady, steady.fd);
            model_check_read(w, &steady, steady.fd);
        }
        if (chance(w, 64))
            store_life(w, &store);
    }
    model_check_bytes(w, &own);
    model_close(&own);
    return NULL;
}

static void *trouble(void *arg)
{
    struct fuzz_worker *w = arg;
    window_move(FD_SHARED);
    while (!is_stopped()) {
        file_trouble(w);
        await_requests(draw(w, TROUBLE_ONE_IN));
        pthread_kill(workers[draw(w, options.threads)].thread, SIGUSR1);
        await_requests(draw(w, TROUBLE_ONE_IN));
    }
    return NULL;
}

static void *parent(void *arg)
{
    while (!is_stopped())
        child_life(arg);
    return NULL;
}

/* ---- Start ---- */

static bool worker_make(unsigned number)
{
    struct fuzz_worker *w = &workers[number];
    uint64_t at = ARENA_BASE + number * ARENA_STEP;
    w->number = number;
    w->state = options.seed * UINT64_C(0x2545f4914f6cdd1d) + number;
    w->doing = -1;
    /* The guard is a page that may not be touched; nothing else lies within many gigabytes. Shared: a child needs no copy. */
    char *arena = mmap((void *)(uintptr_t)at, ARENA_BYTES + 4096, PROT_NONE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (arena == MAP_FAILED || mprotect(arena, ARENA_BYTES, PROT_READ | PROT_WRITE) != 0)
        return false;
    w->arena = arena;
    for (size_t i = 0; i < ARENA_BYTES; i += 8) {
        uint64_t noise = draw64(w);
        memcpy(arena + i, &noise, sizeof noise);
    }
    return true;
}

static bool world_make(void)
{
    struct rlimit limit = {FILE_BYTES, FILE_BYTES};
    uint32_t files = options.calm ? TARGETS : FILES;
    signals_make();
    for (uint32_t i = 0; i < files; i++) {
        if (!file_make(i))
            return false;
    }
    strange_make();
    for (unsigned i = 0; i < TARGETS; i++)
        renew(&workers[0], i);
    if (mmap((void *)(uintptr_t)READ_ONLY, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1, 0) == MAP_FAILED)
        return false;
    return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

/* A file that is filled once. */
static bool steady_make(struct fuzz_worker *w)
{
    steady = (struct fuzz_model){.fd = -1, .backing = -1};
    if (model_open(w, &steady, "steady") != 0)
        return false;
    while (steady.slots < MODEL_SLOTS) {
        struct vexfs_write p = {.version = VEXFS_ABI_VERSION, .first = steady.slots, .count = 1};
        p.data = address(steady.vectors[steady.slots]);
        model_values(w, steady.vectors[steady.slots++], MODEL_DIMS);
        if (ask(w, steady.fd, KIND_WRITE, &p) != 0)
            return false;
    }
    return true;
}

static void world_end(void)
{
    char path[512];
    model_close(&steady);
    for (unsigned i = 0; i < TARGETS; i++) {
        sys->close(FD_TARGET + (int)i);
        if (i < FILES || options.calm) {
            file_name(i, path);
            unlink(path);
            close(FD_SHARED + (int)i);
        }
    }
}

/* ---- Report ---- */

static void report_row(enum fuzz_kind kind)
{
    uint64_t sum = 0;
    for (unsigned e = 0; e < ERRNO_MAX; e++)
        sum += shared->answers[kind][e];
    printf("%-14s %9llu  %llu us (%llu)  ok %llu", kinds[kind].name, (unsigned long long)sum,
           (unsigned long long)(sum == 0 ? 0 : shared->spent[kind] / sum / 1000),
           (unsigned long long)shared->longest[kind] / 1000, (unsigned long long)shared->answers[kind][0]);
    for (int e = 1; e < ERRNO_MAX; e++) {
        const char *name = strerrorname_np(e);
        if (shared->answers[kind][e] == 0)
            continue;
        if (name != NULL)
            printf("  %s %llu", name, (unsigned long long)shared->answers[kind][e]);
        else
            printf("  errno-%d %llu", e, (unsigned long long)shared->answers[kind][e]);
    }
    printf("\n");
}

/* Kinds that were asked often enough and never succeeded. */
static unsigned report(void)
{
    unsigned barren = 0;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        bool served = shared->answers[kind][ENOTTY] == 0 || !options.calm;
        report_row((enum fuzz_kind)kind);
        if (kind != KIND_OTHER && shared->total >= 20000 && served && shared->answers[kind][0] == 0) {
            printf("  %s never succeeded\n", kinds[kind].name);
            barren++;
        }
    }
    printf("%llu requests, %llu answers checked, %llu wrong, %llu children killed\n",
           (unsigned long long)shared->total, (unsigned long long)shared->checked,
           (unsigned long long)shared->wrong, (unsigned long long)shared->children);
    fflush(stdout);
    return barren;
}

/* ---- Run ---- */

static time_t seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static bool join(struct fuzz_worker *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STUCK_SECONDS;
    if (pthread_timedjoin_np(w->thread, NULL, &until) == 0)
        return true;
    int doing = w->doing;
    printf("stuck: thread %u does not come back from %s\n", w->number,
           doing >= 0 ? kinds[doing].name : "no request");
    return false;
}

static int run(void)
{
    unsigned helpers = options.calm ? 0 : 2, total = options.threads + helpers;
    void *(*const mains[2])(void *) = {trouble, parent};
    time_t end = seconds_now() + (time_t)options.seconds;
    for (unsigned i = 0; i < total; i++)
        if (!worker_make(i))
            return 2;
    if (!world_make() || !steady_make(&workers[0])) {
        fprintf(stderr, "cannot prepare the files in %s: %s\n", options.folders[0], strerror(errno));
        return 2;
    }
    for (unsigned i = 0; i < total; i++)
        if (pthread_create(&workers[i].thread, NULL, i < options.threads ? work : mains[i - options.threads],
                           &workers[i]) != 0)
            return 2;
    bool late = false;
    while (!is_stopped()) {
        nap(50000);
        late = options.seconds != 0 && seconds_now() >= end;
        if (late)
            shared->stop = 1;
    }
    shared->stop = 1;
    for (unsigned i = 0; i < total; i++)
        if (!join(&workers[i])) {
            report();
            _exit(3);
        }
    world_end();
    unsigned barren = report();
    bool all = shared->total >= options.requests;
    if (!all)
        printf("%llu requests were to be made: %s\n", (unsigned long long)options.requests,
               late ? "the time was over" : "something ended it before");
    return shared->wrong != 0 || barren != 0 || (!all && !late);
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--requests") == 0)
            options.requests = value;
        else if (strcmp(argv[i], "--threads") == 0 && value >= 1 && value <= THREADS_MAX)
            options.threads = (unsigned)value;
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = value;
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = (unsigned)value;
        else if (strcmp(argv[i], "--folder") == 0 && options.folder_count < FOLDERS_MAX)
            options.folders[options.folder_count++] = argv[i + 1];
        else
            return false;
    }
    return argc % 2 == 1;
}

#ifndef FUZZ_NO_MAIN
int main(int argc, char **argv)
{
    const char *folder = getenv("TMPDIR");
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: fuzz [--requests N] [--threads T] [--seed S] [--seconds MAX] [--folder DIR]...\n");
        return 2;
    }
    if (options.folder_count == 0)
        options.folders[options.folder_count++] = folder != NULL && *folder != '\0' ? folder : "/tmp";
    sys = &real_sys;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    int fd = sys->open(-1);
    if (fd < 0) {
        fprintf(stderr, VEXFS_DEVICE ": %s\n", strerror(-fd));
        return 2;
    }
    sys->close(fd);
    printf("seed %llu, %u threads\n", (unsigned long long)options.seed, options.threads);
    return run();
}
#endif
