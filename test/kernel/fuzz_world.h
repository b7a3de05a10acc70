/* What happens around the requests: files cut, torn, replaced and written under them, signals, children that are
 * killed in the middle of a request. */
#ifndef VEX_TEST_KERNEL_FUZZ_WORLD_H
#define VEX_TEST_KERNEL_FUZZ_WORLD_H

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "fuzz_request.h"

#define TROUBLE_ONE_IN 24u  /* requests from one change of a file to the next, about */
#define CHILD_ASKS     200u /* requests of a child's life, at most */
#define FORK_ONE_IN    16u  /* children with a memory of their own: a copy costs as much as many requests */
#define CHILD_STACK    ((size_t)256 << 10)

static _Thread_local sigjmp_buf bus;
static _Thread_local volatile bool bus_expected;

static inline void file_name(uint32_t file, char path[512])
{
    snprintf(path, 512, "%s/shared-%u", options.folders[file % options.folder_count], file);
}

/* A fresh file of that name; an old one lives on in who holds it. */
static inline bool file_make(uint32_t file)
{
    char path[512];
    file_name(file, path);
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || dup3(fd, FD_SHARED + (int)file, O_CLOEXEC) < 0)
        return false;
    close(fd);
    return true;
}

/* Descriptors that ATTACH must refuse, or take with less than all rights. */
static inline void strange_make(void)
{
    int ends[2];
    char path[512];
    snprintf(path, sizeof path, "%s/strange", options.folders[0]);
    close(open(path, O_RDWR | O_CREAT, 0600));
    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR | O_APPEND, O_PATH};
    for (unsigned i = 0; i < sizeof modes / sizeof *modes && !options.calm; i++)
        strange[strange_count++] = open(path, modes[i] | O_CLOEXEC);
    unlink(path);
    strange[strange_count++] = open(options.folders[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    strange[strange_count++] = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (pipe(ends) == 0) {
        strange[strange_count++] = ends[0];
        strange[strange_count++] = ends[1];
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0)
        strange[strange_count++] = ends[0];
    if (!options.calm) {
        strange[strange_count++] = sys->open(-1);
        strange[strange_count++] = memfd_create("strange", MFD_CLOEXEC);
    }
    strange[strange_count++] = -1;
    strange[strange_count++] = 1 << 30;
}

static inline void nap(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

/* Until so many requests more were made. */
static inline void await_requests(uint64_t count)
{
    uint64_t until = atomic_load(&shared->total) + count;
    while (!is_stopped() && atomic_load(&shared->total) < until)
        nap(500);
}

/* ---- Signals ---- */

static inline void on_bus(int number)
{
    if (!bus_expected) {
        static const char text[] = "SIGBUS where none is expected\n";
        if (write(2, text, sizeof text - 1) < 0)
            _exit(4);
        signal(number, SIG_DFL);
        return;
    }
    siglongjmp(bus, 1);
}

static inline void on_user(int number)
{
    (void)number;
}

static inline void signals_make(void)
{
    struct sigaction bus_action = {.sa_handler = on_bus}, user_action = {.sa_handler = on_user};
    sigaction(SIGBUS, &bus_action, NULL);
    sigaction(SIGUSR1, &user_action, NULL); /* without SA_RESTART: requests are cut short */
    signal(SIGXFSZ, SIG_IGN);
}

/* ---- Files under the requests ---- */

/* Writes into the map of a file that others cut. */
static inline void scribble(struct fuzz_worker *w)
{
    volatile char *at = (volatile char *)(uintptr_t)WINDOW_BASE;
    if (sigsetjmp(bus, 1) == 0) {
        bus_expected = true;
        for (unsigned i = 0; i < 16; i++)
            at[VEXFS_HEADER_SIZE + draw(w, USUAL_BYTES)] = (char)draw(w, 256);
    }
    bus_expected = false;
}

/* Puts a file's map in the place of another's. */
static inline void window_move(int fd)
{
    if (mmap((void *)(uintptr_t)WINDOW_BASE, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             0) == MAP_FAILED)
        perror("mmap");
}

static inline void file_trouble(struct fuzz_worker *w)
{
    uint32_t file = draw(w, FILES);
    int fd = FD_SHARED + (int)file;
    char bytes[4096];
    memset(bytes, (int)draw(w, 256), sizeof bytes);
    switch (draw(w, 10)) {
    case 0:
        (void)!ftruncate(fd, draw(w, chance(w, 2) ? 8192 : reach(w)));
        break;
    case 1:
        (void)!ftruncate(
            fd,
            (off_t)(4096 + draw(w, reach(w) / shapes[file].stride + 1) * shapes[file].stride + draw(w, 3)));
        break;
    case 2:
        (void)!pwrite(fd, bytes, 1 + draw(w, sizeof bytes), 4096 + draw(w, reach(w)));
        break;
    case 3:
        if (chance(w, 8)) /* the header */
            (void)!pwrite(fd, bytes, 1 + draw(w, 64), draw(w, 4096));
        break;
    case 4:
        (void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, draw(w, 65536), 1 + draw(w, 65536));
        break;
    case 5:
        if (chance(w, 4))
            file_make(file);
        break;
    case 6:
        window_move(fd);
        break;
    default:
        scribble(w);
    }
}

/* ---- Children ---- */

/* A process of its own in the memory of this one: quick to make, and a kill ends it alone. */
static char *child_stack;

/* Asks on until it is killed; uses nothing that a lock of its parent's other threads could hold. */
static int child_main(void *arg)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!is_stopped()) {
        hostile_step(arg);
        atomic_fetch_add(&shared->child_asked, 1);
    }
    _exit(0);
}

static inline pid_t child_make(struct fuzz_worker *w)
{
    if (chance(w, FORK_ONE_IN)) {
        pid_t child = fork();
        if (child == 0)
            child_main(w);
        return child;
    }
    if (child_stack == NULL) {
        void *stack =
            mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
            return -1;
        child_stack = stack;
    }
    return clone(child_main, child_stack + CHILD_STACK, CLONE_VM | SIGCHLD, w);
}

/* A child asks some requests and is killed, be it in the middle of a long one. */
static inline void child_life(struct fuzz_worker *w)
{
    struct fuzz_worker own = *w;
    own.state = draw64(w);
    uint64_t life = draw(w, CHILD_ASKS), end = now_ns() + UINT64_C(1000000000);
    atomic_store(&shared->child_asked, 0);
    pid_t child = child_make(&own);
    if (child < 0)
        return;
    while (atomic_load(&shared->child_asked) < life && now_ns() < end && !is_stopped())
        nap((long)draw(w, 2000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    atomic_fetch_add(&shared->children, 1);
}

#endif
