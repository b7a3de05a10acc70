/* The kernel back end's ioctls, answered by a double of the module: it decodes vexfs.h and serves the
 * requests with the embedded device, so the whole list of device tests runs through the structs; and what the
 * probe makes of odd answers. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/dev_suite.h"
#include "lib/dev_suite_kit.h"
#include "uapi/dev_kernel.h"
#include "uapi/vexfs.h"

/* ---- Files by descriptor, as the module has them ---- */

struct vex_file {
    int fd;
};

static int64_t fd_pread(struct vex_io *io, struct vex_file *file, void *buf, size_t len, uint64_t offset)
{
    (void)io;
    ssize_t n = pread(file->fd, buf, len, (off_t)offset);
    return n < 0 ? -errno : n;
}

static int fd_pwrite(struct vex_io *io, struct vex_file *file, const void *buf, size_t len, uint64_t offset)
{
    (void)io;
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(file->fd, (const char *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

static int fd_datasync(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    return fdatasync(file->fd) < 0 ? -errno : 0;
}

static int fd_truncate(struct vex_io *io, struct vex_file *file, uint64_t size)
{
    (void)io;
    return ftruncate(file->fd, (off_t)size) < 0 ? -errno : 0;
}

static int64_t fd_size(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    struct stat st;
    return fstat(file->fd, &st) < 0 ? -errno : st.st_size;
}

static int fd_map(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at,
                  bool shared)
{
    (void)io;
    (void)shared;
    void *got = mmap(at, len, PROT_READ, MAP_SHARED | MAP_FIXED, file->fd, (off_t)offset);
    return got == MAP_FAILED ? -errno : 0;
}

static const struct vex_io_ops fd_ops = {
    .pread = fd_pread,
    .pwrite = fd_pwrite,
    .datasync = fd_datasync,
    .truncate = fd_truncate,
    .size = fd_size,
    .map = fd_map,
};
static struct vex_io fd_io = {&fd_ops};

/* ---- The double ---- */

#define OPENED_MAX 64

static struct opened {
    bool used;
    struct vex_file backing;
    struct vex_dev_file *df;
} opened[OPENED_MAX];
static pthread_mutex_t opened_lock = PTHREAD_MUTEX_INITIALIZER;

static struct vexfs_caps caps; /* what the probe gets */
static int caps_rc, open_rc;
static _Atomic int interruptions; /* requests still to be cut short by a signal */
static unsigned malformed;        /* structs with a wrong version or padding */

static int double_open(void *arg)
{
    (void)arg;
    if (open_rc < 0)
        return open_rc;
    int fd = -EMFILE;
    pthread_mutex_lock(&opened_lock);
    for (int i = 0; i < OPENED_MAX && fd < 0; i++)
        if (!opened[i].used) {
            opened[i] = (struct opened){.used = true, .backing = {-1}};
            fd = i;
        }
    pthread_mutex_unlock(&opened_lock);
    return fd;
}

static void double_close(void *arg, int fd)
{
    (void)arg;
    struct vex_dev *embed = vex_dev_embed_new();
    embed->ops->detach(embed, opened[fd].df);
    if (opened[fd].backing.fd >= 0)
        close(opened[fd].backing.fd);
    pthread_mutex_lock(&opened_lock);
    opened[fd].used = false;
    pthread_mutex_unlock(&opened_lock);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int i = 0; i < OPENED_MAX; i++)
        count += opened[i].used;
    return count;
}

static int errno_of(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case VEX_EBAD_INPUT:
        return -EINVAL;
    case VEX_ECORRUPT:
        return -EUCLEAN;
    case VEX_ECANCELLED:
        return -ECANCELED;
    case VEX_ENO_SPACE:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

static enum vex_element element_of(uint32_t number)
{
    return number == VEXFS_VECTOR_FLOAT32   ? VEX_ELEMENT_F32
           : number == VEXFS_VECTOR_FLOAT16 ? VEX_ELEMENT_F16
           : number == VEXFS_VECTOR_UINT8   ? VEX_ELEMENT_U8
                                            : VEX_ELEMENT_COUNT;
}

static int serve_attach(struct vex_dev *embed, struct opened *o, struct vexfs_attach *p)
{
    o->backing.fd = dup(p->fd);
    struct vex_dev_layout layout = {.dimensions = p->dimensions, .element = element_of(p->element_type)};
    struct vex_err err;
    int rc = embed->ops->attach(embed, &fd_io, &o->backing, &layout, (p->flags & VEXFS_ATTACH_CREATE) != 0,
                                &o->df, &err);
    p->stride = layout.stride;
    p->slots = layout.slots;
    return rc;
}

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static int serve_search(struct vex_dev *embed, struct opened *o, const struct vexfs_search *p)
{
    struct vex_dev_search s = {
        .queries = pointer(p->queries),
        .count = p->count,
        .k = p->k,
        .distance = (enum vex_distance)
                        p->distance, /* both number them alike: dev_kernel's table is tested by results */
        .first = p->first,
        .slots = p->slots,
        .allow = pointer(p->allow),
        .hits = pointer(p->hits),
        .found = pointer(p->found),
        .cancelled = pointer(p->cancelled),
    };
    return embed->ops->search(embed, o->df, &s);
}

static int serve(struct opened *o, unsigned long request, void *param)
{
    struct vex_dev *embed = vex_dev_embed_new();
    const struct vexfs_write *write_slots = param;
    const struct vexfs_slots *slots = param;
    const struct vexfs_length *length = param;
    struct vexfs_scan *scan = param;
    struct vexfs_stats *stats = param;
    switch (request) {
    case VEXFS_IOC_ATTACH:
        return serve_attach(embed, o, param);
    case VEXFS_IOC_WRITE:
        malformed += write_slots->reserved0 != 0;
        return embed->ops->write(embed, o->df, write_slots->first, write_slots->count,
                                 pointer(write_slots->data));
    case VEXFS_IOC_READ:
        return embed->ops->read(embed, o->df, pointer(slots->slots), slots->count, pointer(slots->data));
    case VEXFS_IOC_CLEAR:
        malformed += slots->data != 0;
        return embed->ops->clear(embed, o->df, pointer(slots->slots), slots->count);
    case VEXFS_IOC_SCAN:
        return embed->ops->scan(embed, o->df, &scan->cursor, scan->end, pointer(scan->allow), scan->max,
                                pointer(scan->slots), pointer(scan->data), &scan->count);
    case VEXFS_IOC_SEARCH:
        return serve_search(embed, o, param);
    case VEXFS_IOC_SYNC:
        return embed->ops->sync(embed, o->df);
    case VEXFS_IOC_TRUNCATE:
        return embed->ops->truncate(embed, o->df, length->slots);
    case VEXFS_IOC_STATS: {
        struct vex_dev_stats got;
        embed->ops->stats(embed, o->df, &got);
        stats->requests = got.requests;
        stats->bytes_read = got.bytes_read;
        stats->bytes_written = got.bytes_written;
        return 0;
    }
    default:
        return VEX_EUNIMPLEMENTED;
    }
}

static int double_ioctl(void *arg, int fd, unsigned long request, void *param)
{
    (void)arg;
    if (interruptions > 0) {
        interruptions--;
        return -EINTR;
    }
    malformed += *(const uint32_t *)param != VEXFS_ABI_VERSION;
    if (request != VEXFS_IOC_CAPS)
        return errno_of(serve(&opened[fd], request, param));
    memcpy(param, &caps, sizeof caps);
    return caps_rc;
}

static const struct vex_dev_kernel_sys sys = {double_open, double_close, double_ioctl, NULL};

static void good_caps(void)
{
    caps = (struct vexfs_caps){
        .version = VEXFS_ABI_VERSION,
        .requests = VEXFS_REQUESTS_ALL,
        .elements = 1u << VEXFS_VECTOR_FLOAT32 | 1u << VEXFS_VECTOR_FLOAT16 | 1u << VEXFS_VECTOR_UINT8,
        .distances = 15,
        .dimensions_max = VEXFS_DIMENSIONS_MAX,
        .queries_max = VEXFS_QUERIES_MAX,
    };
    caps_rc = open_rc = 0;
}

/* ---- Tests of the probe ---- */

static void expect_unavailable(const char *part)
{
    struct vex_dev *dev = NULL;
    struct vex_err err = {0};
    CU_ASSERT_EQUAL(vex_dev_kernel_new_on(&sys, &dev, &err), VEX_EUNAVAILABLE);
    CU_ASSERT_PTR_NULL(dev);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, VEXFS_DEVICE));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    good_caps();
}

static void test_probe(void)
{
    open_rc = -ENOENT;
    expect_unavailable("No such file");
    open_rc = -EACCES;
    expect_unavailable("Permission denied");
    caps_rc = -ENOTTY;
    expect_unavailable("too old");
    caps.version = VEXFS_ABI_VERSION + 1;
    expect_unavailable("version 2");
    caps.requests &= ~(1u << (VEXFS_NR_SEARCH - 16));
    expect_unavailable("lacks");
    caps.elements &= ~(1u << VEXFS_VECTOR_UINT8);
    expect_unavailable("lacks");
    caps.distances = 7;
    expect_unavailable("lacks");
    caps.dimensions_max = 4096;
    expect_unavailable("lacks");
    caps.queries_max = 1;
    expect_unavailable("lacks");
    caps.requests |= 1u << 20; /* a later module that can more is welcome */
    struct vex_dev *dev = NULL;
    struct vex_err err;
    CU_ASSERT_EQUAL(vex_dev_kernel_new_on(&sys, &dev, &err), 0);
    vex_dev_free(dev);
    good_caps();
    CU_ASSERT_EQUAL(open_descriptors(), 0);
}

static void test_interrupted(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    interruptions = 3;
    suite_fill(&f, 0, 5, 0);
    CU_ASSERT_EQUAL(interruptions, 0);
    suite_expect(&f, 0, 5, 0);
    suite_close(&f);
}

static int no_fd(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    (void)file;
    return -ENOTSUP;
}

/* A disk without descriptors cannot be served; nothing stays open. */
static void test_no_descriptor(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    int before = open_descriptors();
    struct vex_io_ops ops = *f.io->ops;
    ops.fd = no_fd;
    struct vex_io io = {&ops};
    struct suite_file other = f;
    other.io = &io;
    CU_ASSERT_EQUAL(suite_attach(&other, false), VEX_EUNAVAILABLE);
    open_rc = -EMFILE;
    other.io = f.io;
    CU_ASSERT_EQUAL(suite_attach(&other, false), VEX_EIO);
    open_rc = 0;
    CU_ASSERT_EQUAL(open_descriptors(), before);
    suite_close(&f);
    CU_ASSERT_EQUAL(open_descriptors(), 0);
    CU_ASSERT_EQUAL(malformed, 0);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    struct vex_dev *dev;
    struct vex_err err;
    good_caps();
    if (vex_dev_kernel_new_on(&sys, &dev, &err) < 0)
        return 2;
    vex_dev_suite_register("kernel device over a double", dev, false);
    CU_pSuite suite = CU_get_suite("kernel device over a double");
    CU_ADD_TEST(suite, test_probe);
    CU_ADD_TEST(suite, test_interrupted);
    CU_ADD_TEST(suite, test_no_descriptor);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_dev_free(dev);
    return failed != 0;
}
