/* Whole-file helpers: on POSIX files what they do, on the simulated disk what a power cut leaves of it. */
#include "base/file.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sim_io.h"

static struct vex_err err;

static void read_replace(void)
{
    char root[] = "/tmp/vex-file-XXXXXX", path[VEX_PATH_MAX], tmp[VEX_PATH_MAX];
    struct vex_io *io = vex_io_posix();
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
    vex_file_join(path, root, "f");
    vex_file_join(tmp, root, "f.tmp");
    struct vex_buf buf;
    vex_buf_init(&buf, NULL);
    CU_ASSERT_EQUAL(vex_file_read(io, path, 100, &buf, &err), VEX_ENOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, path));
    CU_ASSERT_EQUAL(vex_file_replace(io, path, "first", 5, &err), 0);
    CU_ASSERT_EQUAL(vex_file_replace(io, path, "second", 6, &err), 0);
    CU_ASSERT_EQUAL(access(tmp, F_OK), -1);
    vex_buf_add(&buf, ">", 1);
    CU_ASSERT_EQUAL(vex_file_read(io, path, 6, &buf, &err), 0);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&buf), ">second"));
    CU_ASSERT_EQUAL(vex_file_read(io, path, 5, &buf, &err), VEX_ETOO_LARGE);
    CU_ASSERT_EQUAL(buf.len, 7);
    CU_ASSERT_EQUAL(vex_file_replace(io, path, "", 0, &err), 0);
    CU_ASSERT_EQUAL(vex_file_read(io, path, 5, &buf, &err), 0);
    CU_ASSERT_EQUAL(buf.len, 7);
    CU_ASSERT_EQUAL(vex_file_replace(io, "/nonexistent/f", "x", 1, &err), VEX_EIO);
    vex_buf_done(&buf);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, root, &err), 0);
}

static void trees(void)
{
    char root[] = "/tmp/vex-file-XXXXXX", path[VEX_PATH_MAX], outside[] = "/tmp/vex-file-XXXXXX",
         link[VEX_PATH_MAX];
    struct vex_io *io = vex_io_posix();
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(outside));
    vex_file_join(path, outside, "kept");
    CU_ASSERT_EQUAL(vex_file_replace(io, path, "k", 1, &err), 0);
    char deep[VEX_PATH_MAX];
    vex_file_join(deep, root, "a/b//c/");
    CU_ASSERT_EQUAL(vex_file_mkdirs(io, deep, &err), 0);
    CU_ASSERT_EQUAL(vex_file_mkdirs(io, deep, &err), 0);
    char file[VEX_PATH_MAX];
    vex_file_join(file, root, "a/b/c/f");
    CU_ASSERT_EQUAL(vex_file_replace(io, file, "k", 1, &err), 0);
    vex_file_join(link, root, "a/link");
    CU_ASSERT_EQUAL(symlink(outside, link), 0);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, root, &err), 0);
    CU_ASSERT_EQUAL(access(root, F_OK), -1);
    CU_ASSERT_EQUAL(access(path, F_OK), 0);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, root, &err), 0);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, outside, &err), 0);
}

/* At every operation of a replace, under every policy: wholly the old or wholly the new, and the new once it
 * returned. */
static void replace_survives_power_loss(void)
{
    struct vex_sim *sim = vex_sim_new(3);
    struct vex_io *io = vex_sim_io(sim);
    static char old[5000], fresh[9000];
    memset(old, 'o', sizeof old);
    memset(fresh, 'n', sizeof fresh);
    CU_ASSERT_EQUAL(vex_file_mkdirs(io, "/d", &err), 0);
    CU_ASSERT_EQUAL(vex_file_replace(io, "/d/f", old, sizeof old, &err), 0);
    vex_sim_record(sim);
    CU_ASSERT_EQUAL(vex_file_replace(io, "/d/f", fresh, sizeof fresh, &err), 0);
    size_t ops = vex_sim_op_count(sim);
    int olds = 0, news = 0, bad = 0;
    for (size_t i = 0; i <= ops; i++) {
        for (unsigned policy = 0; policy < VEX_SIM_POLICY_COUNT; policy++) {
            for (uint64_t seed = 0; seed < 20; seed++) {
                struct vex_sim *disk = vex_sim_clone_at(sim, i, policy, seed);
                struct vex_buf buf;
                vex_buf_init(&buf, NULL);
                bad += vex_file_read(vex_sim_io(disk), "/d/f", 100000, &buf, &err) != 0;
                bool is_old = buf.len == sizeof old && memcmp(buf.ptr, old, sizeof old) == 0;
                bool is_new = buf.len == sizeof fresh && memcmp(buf.ptr, fresh, sizeof fresh) == 0;
                olds += is_old;
                news += is_new;
                bad += (!is_old && !is_new) || (i == ops && !is_new);
                vex_buf_done(&buf);
                vex_sim_free(disk);
            }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT(olds > 100 && news > 100);
    vex_sim_free(sim);
}

static void mkdirs_survive_power_loss(void)
{
    struct vex_sim *sim = vex_sim_new(4);
    struct vex_io *io = vex_sim_io(sim);
    CU_ASSERT_EQUAL(vex_file_mkdirs(io, "/a/b/c", &err), 0);
    struct vex_sim *disk = vex_sim_crash(sim, VEX_SIM_LOSE_ALL, 0);
    struct vex_io *dio = vex_sim_io(disk);
    CU_ASSERT_EQUAL(dio->ops->mkdir(dio, "/a/b/c"), -EEXIST);
    vex_sim_free(disk);
    /* left behind unsynced by a process that died: the next one makes it durable */
    CU_ASSERT_EQUAL(io->ops->mkdir(io, "/x"), 0);
    CU_ASSERT_EQUAL(vex_file_mkdirs(io, "/x", &err), 0);
    CU_ASSERT_EQUAL(io->ops->mkdir(io, "/y"), 0);
    CU_ASSERT_EQUAL(vex_file_mkdirs(io, "/y/z", &err), 0);
    disk = vex_sim_crash(sim, VEX_SIM_LOSE_ALL, 0);
    dio = vex_sim_io(disk);
    CU_ASSERT_EQUAL(dio->ops->mkdir(dio, "/x"), -EEXIST);
    CU_ASSERT_EQUAL(dio->ops->mkdir(dio, "/y/z"), -EEXIST);
    vex_sim_free(disk);
    vex_sim_free(sim);
}

/* Every call of a replace fails once: an error with a text, the old content, and no leftover. */
static void replace_fails_cleanly(void)
{
    static const struct {
        enum vex_sim_call call;
        int err, code;
    } faults[] = {{VEX_SIM_OPEN, -EACCES, VEX_EIO},
                  {VEX_SIM_PWRITE, -ENOSPC, VEX_ENO_SPACE},
                  {VEX_SIM_DATASYNC, -EIO, VEX_EIO},
                  {VEX_SIM_RENAME, -EIO, VEX_EIO}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct vex_sim *sim = vex_sim_new(5);
        struct vex_io *io = vex_sim_io(sim);
        CU_ASSERT_EQUAL(vex_file_replace(io, "/f", "old", 3, &err), 0);
        vex_sim_fail(sim, faults[i].call, 1, faults[i].err, false);
        CU_ASSERT_EQUAL(vex_file_replace(io, "/f", "new", 3, &err), faults[i].code);
        CU_ASSERT_EQUAL(err.code, faults[i].code);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/f"));
        struct vex_file *f;
        CU_ASSERT_EQUAL(vex_io_open(io, "/f.tmp", VEX_IO_READ, &f), -ENOENT);
        struct vex_buf buf;
        vex_buf_init(&buf, NULL);
        CU_ASSERT_EQUAL(vex_file_read(io, "/f", 10, &buf, &err), 0);
        CU_ASSERT(vex_str_eq_c(vex_buf_str(&buf), "old"));
        vex_buf_done(&buf);
        vex_sim_free(sim);
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("base_file", NULL, NULL);
    CU_add_test(suite, "read and replace", read_replace);
    CU_add_test(suite, "make and remove trees", trees);
    CU_add_test(suite, "replace survives power loss", replace_survives_power_loss);
    CU_add_test(suite, "mkdirs survives power loss", mkdirs_survive_power_loss);
    CU_add_test(suite, "replace fails cleanly", replace_fails_cleanly);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
