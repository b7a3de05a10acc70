/* The I/O seam: one suite of cases, run on POSIX files and on the simulated disk, so that the second cannot
 * drift from the first; then what only the simulated disk does. */
#include "base/io.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/sim_io.h"

#define PAGE 4096u

static struct vex_io *io;
static struct vex_sim *sim; /* NULL: POSIX */
static char root[64];

static void begin_posix(void)
{
    sim = NULL;
    io = vex_io_posix();
    strcpy(root, "/tmp/vex-io-XXXXXX");
    if (mkdtemp(root) == NULL)
        abort();
}

static void begin_sim(void)
{
    sim = vex_sim_new(1);
    io = vex_sim_io(sim);
    strcpy(root, "/t");
    CU_ASSERT_EQUAL_FATAL(io->ops->mkdir(io, root), 0);
}

static void end(void)
{
    struct vex_err err;
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, root, &err), 0);
    CU_ASSERT_EQUAL(io->ops->list(io, root, NULL, NULL), -ENOENT);
    vex_sim_free(sim);
}

static const char *at(const char *name)
{
    static char buf[4][VEX_PATH_MAX];
    static unsigned turn;
    return vex_file_join(buf[turn++ % 4], root, name);
}

static struct vex_file *make(const char *name, const char *text)
{
    struct vex_file *f = NULL;
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, at(name), VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_EXCL, &f), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, text, strlen(text), 0), 0);
    return f;
}

static void read_and_write(void)
{
    struct vex_file *f = make("a", "hello"), *g = NULL;
    char buf[32] = "";
    CU_ASSERT_EQUAL(vex_io_open(io, at("a"), VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_EXCL, &g), -EEXIST);
    CU_ASSERT_EQUAL(vex_io_open(io, at("absent"), VEX_IO_READ, &g), -ENOENT);
    CU_ASSERT_EQUAL(vex_io_open(io, at("no/a"), VEX_IO_WRITE | VEX_IO_CREATE, &g), -ENOENT);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "world", 5, 8), 0);
    CU_ASSERT_EQUAL(vex_io_size(io, f), 13);
    CU_ASSERT_EQUAL(vex_io_pread(io, f, buf, sizeof buf, 0), 13);
    CU_ASSERT_EQUAL(memcmp(buf, "hello\0\0\0world", 13), 0);
    CU_ASSERT_EQUAL(vex_io_pread(io, f, buf, sizeof buf, 13), 0);
    CU_ASSERT_EQUAL(vex_io_pread(io, f, buf, 3, 11), 2);
    CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    CU_ASSERT_EQUAL(vex_io_truncate(io, f, 3), 0);
    CU_ASSERT_EQUAL(vex_io_truncate(io, f, 6), 0);
    CU_ASSERT_EQUAL(vex_io_pread(io, f, buf, sizeof buf, 0), 6);
    CU_ASSERT_EQUAL(memcmp(buf, "hel\0\0\0", 6), 0);
    CU_ASSERT_EQUAL(vex_io_open(io, at("a"), VEX_IO_READ, &g), 0);
    CU_ASSERT(vex_io_pwrite(io, g, "x", 1, 0) < 0);
    CU_ASSERT_EQUAL(vex_io_pread(io, g, buf, 3, 0), 3);
    vex_io_close(io, g);
    CU_ASSERT_EQUAL(vex_io_open(io, at("a"), VEX_IO_WRITE | VEX_IO_TRUNC, &g), 0);
    CU_ASSERT_EQUAL(vex_io_size(io, f), 0);
    vex_io_close(io, g);
    vex_io_close(io, f);
    vex_io_close(io, NULL);
}

static void allocation(void)
{
    struct vex_file *f = make("a", "abc");
    char buf[8];
    CU_ASSERT_EQUAL(vex_io_allocate(io, f, 0, 3 * PAGE), 0);
    CU_ASSERT_EQUAL(vex_io_size(io, f), 3 * PAGE);
    CU_ASSERT_EQUAL(vex_io_pread(io, f, buf, 4, 0), 4);
    CU_ASSERT_EQUAL(memcmp(buf, "abc\0", 4), 0);
    CU_ASSERT_EQUAL(vex_io_allocate(io, f, PAGE, 1), 0);
    CU_ASSERT_EQUAL(vex_io_size(io, f), 3 * PAGE);
    CU_ASSERT_EQUAL(vex_io_allocate(io, f, 0, 0), 0);
    CU_ASSERT(io->ops->free_space(io, root) > 0);
    vex_io_close(io, f);
}

static void maps(void)
{
    struct vex_file *f = make("a", "");
    char page[PAGE];
    memset(page, 'a', sizeof page);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, page, PAGE, 0), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, page, PAGE, PAGE), 0);
    char *area = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_EQUAL_FATAL(io->ops->map(io, f, 0, 2 * PAGE, area, true), 0);
    CU_ASSERT_EQUAL_FATAL(io->ops->map(io, f, PAGE, PAGE, area + 4 * PAGE, false), 0);
    char *shared = area, *private = area + 4 * PAGE;
    CU_ASSERT_EQUAL(shared[PAGE], 'a');
    CU_ASSERT_EQUAL(private[7], 'a');
    private[7] = 'p';
    CU_ASSERT_EQUAL(shared[PAGE + 7], 'a');
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "ZZ", 2, PAGE + 7), 0);
    CU_ASSERT_EQUAL(shared[PAGE + 7], 'Z');
    CU_ASSERT_EQUAL(private[7], 'p');
    CU_ASSERT_EQUAL(io->ops->map_revert(io, f, PAGE, PAGE, private), 0);
    CU_ASSERT_EQUAL(private[7], 'Z');
    /* a file grows under a map that was made anew */
    CU_ASSERT_EQUAL(vex_io_allocate(io, f, 2 * PAGE, PAGE), 0);
    CU_ASSERT_EQUAL(io->ops->map(io, f, 0, 3 * PAGE, area, true), 0);
    CU_ASSERT_EQUAL(shared[2 * PAGE], 0);
    vex_io_close(io, f);
    CU_ASSERT_EQUAL(shared[PAGE + 8], 'Z');
    munmap(area, 8 * PAGE);
}

static int count(void *arg, const char *name)
{
    (void)name;
    return ++*(int *)arg == 3 ? 77 : 0;
}

static int entries(const char *path)
{
    int n = 0;
    int r = io->ops->list(io, path, count, &n);
    return r != 0 ? r : n;
}

static void folders(void)
{
    char buf[8];
    CU_ASSERT_EQUAL(io->ops->mkdir(io, at("d")), 0);
    CU_ASSERT_EQUAL(io->ops->mkdir(io, at("d")), -EEXIST);
    vex_io_close(io, make("d/x", "xx"));
    vex_io_close(io, make("y", "yyy"));
    CU_ASSERT_EQUAL(io->ops->rmdir(io, at("d")), -ENOTEMPTY);
    CU_ASSERT_EQUAL(io->ops->unlink(io, at("d")), -EISDIR);
    CU_ASSERT_EQUAL(io->ops->rmdir(io, at("y")), -ENOTDIR);
    CU_ASSERT_EQUAL(io->ops->rename(io, at("y"), at("d/x")), 0);
    CU_ASSERT_EQUAL(io->ops->rename(io, at("y"), at("d/x")), -ENOENT);
    CU_ASSERT_EQUAL(entries(root), 1);
    CU_ASSERT_EQUAL(entries(at("d")), 1);
    CU_ASSERT_EQUAL(entries(at("none")), -ENOENT);
    struct vex_file *f = NULL;
    CU_ASSERT_EQUAL(vex_io_open(io, at("d/x"), VEX_IO_READ, &f), 0);
    CU_ASSERT_EQUAL(io->ops->unlink(io, at("d/x")), 0);
    CU_ASSERT_EQUAL(io->ops->unlink(io, at("d/x")), -ENOENT);
    /* an open file outlives its name */
    CU_ASSERT_EQUAL(vex_io_pread(io, f, buf, sizeof buf, 0), 3);
    vex_io_close(io, f);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, at("d")), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, at("none")), -ENOENT);
    CU_ASSERT_EQUAL(io->ops->rmdir(io, at("d")), 0);
    for (int i = 0; i < 4; i++) {
        char name[] = {(char)('a' + i), 0};
        vex_io_close(io, make(name, ""));
    }
    CU_ASSERT_EQUAL(entries(root), 77);
}

static void locks(void)
{
    struct vex_file *f = make("lock", ""), *g = NULL;
    CU_ASSERT_EQUAL(io->ops->lock(io, f), 0);
    CU_ASSERT_EQUAL(vex_io_open(io, at("lock"), VEX_IO_WRITE, &g), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, g), -EWOULDBLOCK);
    vex_io_close(io, f);
    CU_ASSERT_EQUAL(io->ops->lock(io, g), 0);
    vex_io_close(io, g);
}

static void clocks_and_random(void)
{
    uint64_t a = vex_io_monotonic_ns(io), b = vex_io_monotonic_ns(io);
    CU_ASSERT(b >= a);
    CU_ASSERT(vex_io_realtime_ns(io) > 1500000000000000000u);
    unsigned char x[40] = {0}, y[40] = {0};
    io->ops->random(io, x, 37);
    io->ops->random(io, y, 37);
    CU_ASSERT_NOT_EQUAL(memcmp(x, y, 37), 0);
    CU_ASSERT_EQUAL(x[37] | x[38] | x[39], 0);
}

/* ---- the simulated disk alone ---- */

/* Content of a file on a disk; "-" when it is absent. */
static const char *text_on(struct vex_sim *disk, const char *path)
{
    static char buf[64];
    struct vex_io *dio = vex_sim_io(disk);
    struct vex_file *f;
    if (vex_io_open(dio, path, VEX_IO_READ, &f) != 0)
        return "-";
    int64_t n = vex_io_pread(dio, f, buf, sizeof buf - 1, 0);
    vex_io_close(dio, f);
    buf[n] = '\0';
    return buf;
}

static void check_crash(enum vex_sim_policy policy, uint64_t seed, const char *path, const char *want)
{
    struct vex_sim *disk = vex_sim_crash(sim, policy, seed);
    CU_ASSERT_STRING_EQUAL(text_on(disk, path), want);
    vex_sim_free(disk);
}

static void sim_crash_policies(void)
{
    begin_sim();
    CU_ASSERT_EQUAL(io->ops->dirsync(io, "/"), 0);
    struct vex_file *f = make("a", "one");
    check_crash(VEX_SIM_KEEP_ALL, 0, "/t/a", "one");
    check_crash(VEX_SIM_LOSE_ALL, 0, "/t/a", "-");
    CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    check_crash(VEX_SIM_LOSE_ALL, 0, "/t/a", "-");
    check_crash(VEX_SIM_DATA_ONLY, 0, "/t/a", "-");
    check_crash(VEX_SIM_NAMES_ONLY, 0, "/t/a", "one");
    CU_ASSERT_EQUAL(io->ops->dirsync(io, root), 0);
    check_crash(VEX_SIM_LOSE_ALL, 0, "/t/a", "one");
    CU_ASSERT_EQUAL(vex_sim_pending(sim), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "two", 3, 0), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "!", 1, 3), 0);
    CU_ASSERT_EQUAL(vex_sim_pending(sim), 2);
    check_crash(VEX_SIM_PREFIX, 0, "/t/a", "one");
    check_crash(VEX_SIM_PREFIX, 1, "/t/a", "two");
    check_crash(VEX_SIM_PREFIX, 2, "/t/a", "two!");
    CU_ASSERT_EQUAL(io->ops->rename(io, at("a"), at("b")), 0);
    check_crash(VEX_SIM_LOSE_ALL, 0, "/t/a", "one");
    check_crash(VEX_SIM_NAMES_ONLY, 0, "/t/b", "one");
    check_crash(VEX_SIM_DATA_ONLY, 0, "/t/a", "two!");
    int seen = 0;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct vex_sim *disk = vex_sim_crash(sim, VEX_SIM_SUBSET, seed);
        const char *text = text_on(disk, "/t/b");
        seen |= strcmp(text, "one!") == 0 ? 1 : strcmp(text, "two") == 0 ? 2 : strcmp(text, "-") == 0 ? 4 : 0;
        vex_sim_free(disk);
    }
    CU_ASSERT_EQUAL(seen, 7);
    vex_io_close(io, f);
    end();
}

static void sim_torn_writes(void)
{
    begin_sim();
    struct vex_file *f = make("a", "");
    char old[2 * PAGE], fresh[2 * PAGE];
    memset(old, 'o', sizeof old);
    memset(fresh, 'n', sizeof fresh);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, old, sizeof old, 0), 0);
    CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, root), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, "/"), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, fresh, 3000, 1000), 0);
    vex_io_close(io, f);
    int torn = 0, bad = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct vex_sim *disk = vex_sim_crash(sim, VEX_SIM_TORN_512, seed);
        struct vex_io *dio = vex_sim_io(disk);
        CU_ASSERT_EQUAL(vex_io_open(dio, "/t/a", VEX_IO_READ, &f), 0);
        CU_ASSERT_EQUAL(vex_io_pread(dio, f, old, sizeof old, 0), sizeof old);
        vex_io_close(dio, f);
        int news = 0;
        for (size_t i = 0; i < sizeof old; i++) {
            bool inside = i >= 1000 && i < 4000;
            news += old[i] == 'n';
            bad += old[i] == 'n' && !inside;
            /* inside a sector all bytes of the write share its fate */
            bad += inside && i % 512 != 0 && i > 1000 && old[i] != old[i - 1];
        }
        torn += news > 0 && news < 3000;
        vex_sim_free(disk);
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT(torn > 20);
    end();
}

static void sim_faults(void)
{
    begin_sim();
    struct vex_file *f = make("a", "old");
    CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, root), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, "/"), 0);
    /* a failed sync: what was pending may be lost although the next sync succeeds */
    int lost = 0;
    for (int i = 0; i < 32; i++) {
        char text[16];
        snprintf(text, sizeof text, "%03d", i);
        vex_sim_fail(sim, VEX_SIM_DATASYNC, 1, -EIO, false);
        CU_ASSERT_EQUAL(vex_io_pwrite(io, f, text, 3, 0), 0);
        CU_ASSERT_EQUAL(vex_io_datasync(io, f), -EIO);
        CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
        CU_ASSERT_STRING_EQUAL(text_on(sim, "/t/a"), text);
        struct vex_sim *disk = vex_sim_crash(sim, VEX_SIM_KEEP_ALL, 0);
        lost += strcmp(text_on(disk, "/t/a"), text) != 0;
        vex_sim_free(disk);
    }
    CU_ASSERT(lost > 0 && lost < 32);
    vex_sim_fail(sim, VEX_SIM_PWRITE, 2, -ENOSPC, true);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "x", 1, 0), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "x", 1, 0), -ENOSPC);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "x", 1, 0), -ENOSPC);
    vex_sim_fail_clear(sim);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "x", 1, 0), 0);
    vex_sim_fail(sim, VEX_SIM_RENAME, 1, -EIO, false);
    CU_ASSERT_EQUAL(io->ops->rename(io, at("a"), at("b")), -EIO);
    CU_ASSERT_EQUAL(io->ops->rename(io, at("a"), at("b")), 0);
    vex_io_close(io, f);
    end();
}

static void sim_capacity(void)
{
    begin_sim();
    vex_sim_capacity(sim, 4 * PAGE);
    struct vex_file *f = make("a", "x"), *g = make("b", "");
    CU_ASSERT_EQUAL(vex_sim_used(sim), PAGE);
    CU_ASSERT_EQUAL(vex_io_allocate(io, g, 0, 3 * PAGE), 0);
    CU_ASSERT_EQUAL(io->ops->free_space(io, "/"), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "y", 1, PAGE), -ENOSPC);
    CU_ASSERT_EQUAL(vex_io_allocate(io, f, 0, 2 * PAGE), -ENOSPC);
    CU_ASSERT_EQUAL(vex_io_size(io, f), 1);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "y", 1, 1), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, g, "z", 1, 2 * PAGE), 0);
    CU_ASSERT_EQUAL(io->ops->unlink(io, at("b")), 0);
    CU_ASSERT_EQUAL(io->ops->free_space(io, "/"), 0);
    vex_io_close(io, g);
    CU_ASSERT_EQUAL(io->ops->free_space(io, "/"), 3 * PAGE);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "y", 1, PAGE), 0);
    vex_io_close(io, f);
    end();
}

static void sim_recording(void)
{
    begin_sim();
    vex_sim_record(sim);
    struct vex_file *f = make("a", "1");
    CU_ASSERT_EQUAL(io->ops->dirsync(io, "/"), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, root), 0);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(vex_io_pwrite(io, f, "abcde" + i, 1, 0), 0);
        CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    }
    vex_io_close(io, f);
    CU_ASSERT_EQUAL(io->ops->unlink(io, at("a")), 0);
    CU_ASSERT_EQUAL(vex_sim_op_count(sim), 15);
    struct vex_sim *replica = vex_sim_replica(sim);
    char seen[64] = "";
    for (size_t i = 0; i <= 15; i++) {
        struct vex_sim *one = vex_sim_crash(replica, VEX_SIM_LOSE_ALL, 0);
        struct vex_sim *two = vex_sim_clone_at(sim, i, VEX_SIM_LOSE_ALL, 0);
        char text[64];
        strcpy(text, text_on(one, "/t/a"));
        CU_ASSERT_STRING_EQUAL(text, text_on(two, "/t/a"));
        seen[strlen(seen)] = text[0] != '\0' ? text[0] : '0';
        vex_sim_free(one);
        vex_sim_free(two);
        CU_ASSERT_EQUAL(vex_sim_step(replica, sim), i < 15);
    }
    CU_ASSERT_STRING_EQUAL(seen, "----00aabbccddee");
    vex_sim_free(replica);
    end();
}

static void sim_lies(void)
{
    begin_sim();
    vex_sim_lie(sim, VEX_SIM_IGNORE_DATASYNC);
    struct vex_file *f = make("a", "one");
    CU_ASSERT_EQUAL(io->ops->dirsync(io, "/"), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, root), 0);
    CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    check_crash(VEX_SIM_LOSE_ALL, 0, "/t/a", "");
    vex_sim_lie(sim, VEX_SIM_IGNORE_DIRSYNC);
    CU_ASSERT_EQUAL(vex_io_datasync(io, f), 0);
    CU_ASSERT_EQUAL(io->ops->rename(io, at("a"), at("b")), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, root), 0);
    check_crash(VEX_SIM_LOSE_ALL, 0, "/t/a", "one");
    vex_io_close(io, f);
    end();
}

#define SHARED_CASES(X)                                                                                      \
    X(read_and_write)                                                                                        \
    X(allocation)                                                                                            \
    X(maps)                                                                                                  \
    X(folders)                                                                                               \
    X(locks)                                                                                                 \
    X(clocks_and_random)

#define BOTH(name)                                                                                           \
    static void name##_posix(void)                                                                           \
    {                                                                                                        \
        begin_posix();                                                                                       \
        name();                                                                                              \
        end();                                                                                               \
    }                                                                                                        \
    static void name##_sim(void)                                                                             \
    {                                                                                                        \
        begin_sim();                                                                                         \
        name();                                                                                              \
        end();                                                                                               \
    }
SHARED_CASES(BOTH)

int main(void)
{
    CU_initialize_registry();
    CU_pSuite posix = CU_add_suite("base_io on POSIX", NULL, NULL);
    CU_pSuite simulated = CU_add_suite("base_io on the simulated disk", NULL, NULL);
#define ADD(name)                                                                                            \
    CU_add_test(posix, #name, name##_posix);                                                                 \
    CU_add_test(simulated, #name, name##_sim);
    SHARED_CASES(ADD)
    CU_add_test(simulated, "power cuts by policy", sim_crash_policies);
    CU_add_test(simulated, "torn writes", sim_torn_writes);
    CU_add_test(simulated, "faults", sim_faults);
    CU_add_test(simulated, "capacity", sim_capacity);
    CU_add_test(simulated, "recording and replicas", sim_recording);
    CU_add_test(simulated, "lies", sim_lies);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
