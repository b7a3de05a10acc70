/* Kernel vector device: each request is one ioctl of vexfs.h on /dev/vexfs_v2_phase3.
 *
 * Role      Thin typed wrappers that fill one struct and go through submit(). The module checks what it is
 *           given; only what a struct cannot carry is checked here.
 * Owner     A file has a descriptor of the device of its own; closing it detaches. The module keeps its own
 *           reference to the backing file; the map here is of that same file, so both see the same pages.
 * Lock      `grow` orders writes, because they may replace the map's range; readers take none. */
#include "uapi/dev_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "uapi/dev_format.h"
#include "uapi/dev_map.h"
#include "uapi/exact.h"
#include "uapi/vexfs.h"

_Static_assert(sizeof(struct vex_dev_hit) == sizeof(struct vexfs_hit),
               "a hit is the same bytes on both sides");
_Static_assert(offsetof(struct vex_dev_hit, slot) == offsetof(struct vexfs_hit, slot),
               "a hit is the same bytes");

struct kernel {
    struct vex_dev dev;
    struct vex_dev_kernel_sys sys;
};

struct vex_dev_file {
    int fd; /* of the device */
    uint32_t stride;
    pthread_mutex_t grow;
    struct vex_dev_map map;
};

static const uint32_t distances[VEX_DISTANCE_COUNT] = {
    [VEX_DISTANCE_L2] = VEXFS_SEARCH_EUCLIDEAN,
    [VEX_DISTANCE_COSINE] = VEXFS_SEARCH_COSINE,
    [VEX_DISTANCE_DOT] = VEXFS_SEARCH_DOT_PRODUCT,
    [VEX_DISTANCE_L1] = VEXFS_SEARCH_MANHATTAN,
};

static struct kernel *kernel_of(struct vex_dev *dev)
{
    return VEX_CONTAINER_OF(dev, struct kernel, dev);
}

static uint64_t address(const void *ptr)
{
    return (uint64_t)(uintptr_t)ptr;
}

static int code_of(int rc)
{
    switch (-rc) {
    case EINVAL:
    case ERANGE:
    case EFAULT:
        return VEX_EBAD_INPUT;
    case EUCLEAN:
    case EBADMSG:
        return VEX_ECORRUPT;
    case ECANCELED:
        return VEX_ECANCELLED;
    case ENOTTY:
    case EOPNOTSUPP:
        return VEX_EUNAVAILABLE;
    default:
        return vex_err_errno(-rc);
    }
}

/* One request. A signal that cuts it short starts it again: no request leaves half of itself behind that a
 * repetition would not overwrite. */
static int submit(struct vex_dev *dev, int fd, unsigned long request, void *param)
{
    const struct vex_dev_kernel_sys *sys = &kernel_of(dev)->sys;
    int rc;
    do {
        rc = sys->ioctl(sys->arg, fd, request, param);
    } while (rc == -EINTR);
    return rc < 0 ? code_of(rc) : 0;
}

/* ---- Attach ---- */

static int attach_fd(struct vex_dev *dev, int fd, int backing, struct vex_dev_layout *layout, bool create,
                     struct vex_err *err)
{
    struct vexfs_attach param = {
        .version = VEXFS_ABI_VERSION,
        .fd = backing,
        .dimensions = layout->dimensions,
        .element_type = vex_dev_element_number(layout->element),
        .flags = create ? VEXFS_ATTACH_CREATE : 0,
    };
    int rc = submit(dev, fd, VEXFS_IOC_ATTACH, &param);
    if (rc == VEX_EBAD_INPUT)
        return vex_err_set(err, rc,
                           "the kernel device refused the file: it does not hold %u-dimensional vectors of "
                           "this element type, or is not open for it",
                           layout->dimensions);
    if (rc == VEX_ECORRUPT)
        return vex_err_set(err, rc, "the kernel device refused the file: not a sound vector file");
    if (rc < 0)
        return vex_err_set(err, rc, "the kernel device could not attach the file");
    if (param.stride != layout->stride || param.slots > UINT32_MAX)
        return vex_err_set(err, VEX_EIO, "the kernel device answered with stride %u and %llu slots",
                           param.stride, (unsigned long long)param.slots);
    layout->slots = param.slots;
    return 0;
}

static uint64_t bytes_of(const struct vex_dev_file *df, uint64_t slots)
{
    return VEXFS_HEADER_SIZE + slots * df->stride;
}

static int attach(struct vex_dev *dev, struct vex_io *io, struct vex_file *file,
                  struct vex_dev_layout *layout, bool create, struct vex_dev_file **ret, struct vex_err *err)
{
    const struct vex_dev_kernel_sys *sys = &kernel_of(dev)->sys;
    layout->slots = 0;
    int rc = vex_dev_layout_check(layout, err);
    if (rc < 0)
        return rc;
    int backing = io->ops->fd(io, file);
    if (backing < 0)
        return vex_err_set(err, VEX_EUNAVAILABLE, "the kernel device needs a file with a descriptor");
    int fd = sys->open(sys->arg);
    if (fd < 0)
        return vex_err_set(err, code_of(fd), "cannot open " VEXFS_DEVICE ": %s", strerror(-fd));
    rc = attach_fd(dev, fd, backing, layout, create, err);
    if (rc < 0) {
        sys->close(sys->arg, fd);
        return rc;
    }
    struct vex_dev_file *df = VEX_NEW(struct vex_dev_file);
    df->fd = fd;
    df->stride = layout->stride;
    pthread_mutex_init(&df->grow, NULL);
    vex_dev_map_init(&df->map, io, file);
    rc = vex_dev_map_ensure(&df->map, bytes_of(df, layout->slots));
    if (rc < 0) {
        dev->ops->detach(dev, df);
        return vex_err_set(err, rc, "cannot map a vector file of %llu slots",
                           (unsigned long long)layout->slots);
    }
    *ret = df;
    return 0;
}

static void detach(struct vex_dev *dev, struct vex_dev_file *df)
{
    if (df == NULL)
        return;
    const struct vex_dev_kernel_sys *sys = &kernel_of(dev)->sys;
    vex_dev_map_done(&df->map);
    sys->close(sys->arg, df->fd);
    pthread_mutex_destroy(&df->grow);
    vex_mem_free(df);
}

/* ---- Requests ---- */

static int write_slots(struct vex_dev *dev, struct vex_dev_file *df, uint32_t first, uint32_t count,
                       const void *data)
{
    if (count == 0)
        return 0;
    if (data == NULL || count > UINT32_MAX - first)
        return VEX_EBAD_INPUT;
    struct vexfs_write param = {
        .version = VEXFS_ABI_VERSION, .first = first, .count = count, .data = address(data)};
    pthread_mutex_lock(&df->grow);
    /* The map comes first: a slot that exists can always be read. */
    int rc = vex_dev_map_ensure(&df->map, bytes_of(df, (uint64_t)first + count));
    if (rc == 0)
        rc = submit(dev, df->fd, VEXFS_IOC_WRITE, &param);
    pthread_mutex_unlock(&df->grow);
    return rc;
}

static int read_slots(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count,
                      void *ret)
{
    if (count == 0)
        return 0;
    struct vexfs_slots param = {
        .version = VEXFS_ABI_VERSION, .count = count, .slots = address(slots), .data = address(ret)};
    return submit(dev, df->fd, VEXFS_IOC_READ, &param);
}

static int scan(struct vex_dev *dev, struct vex_dev_file *df, uint32_t *cursor, uint32_t end,
                const uint64_t *allow, uint32_t max, uint32_t *ret_slots, void *ret_data, uint32_t *ret_count)
{
    struct vexfs_scan param = {
        .version = VEXFS_ABI_VERSION,
        .cursor = *cursor,
        .end = end,
        .max = max,
        .allow = address(allow),
        .slots = address(ret_slots),
        .data = address(ret_data),
    };
    int rc = submit(dev, df->fd, VEXFS_IOC_SCAN, &param);
    if (rc < 0)
        return rc;
    *cursor = param.cursor;
    *ret_count = param.count;
    return 0;
}

static int search(struct vex_dev *dev, struct vex_dev_file *df, const struct vex_dev_search *wanted)
{
    int rc = vex_exact_check(wanted);
    if (rc < 0)
        return rc;
    struct vexfs_search param = {
        .version = VEXFS_ABI_VERSION,
        .count = wanted->count,
        .k = wanted->k,
        .distance = distances[wanted->distance],
        .first = wanted->first,
        .slots = wanted->slots,
        .queries = address(wanted->queries),
        .allow = address(wanted->allow),
        .hits = address(wanted->hits),
        .found = address(wanted->found),
        .cancelled = (uint64_t)(uintptr_t)wanted->cancelled,
    };
    return submit(dev, df->fd, VEXFS_IOC_SEARCH, &param);
}

static int clear(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count)
{
    if (count == 0)
        return 0;
    struct vexfs_slots param = {.version = VEXFS_ABI_VERSION, .count = count, .slots = address(slots)};
    return submit(dev, df->fd, VEXFS_IOC_CLEAR, &param);
}

static int sync_file(struct vex_dev *dev, struct vex_dev_file *df)
{
    struct vexfs_length param = {.version = VEXFS_ABI_VERSION};
    return submit(dev, df->fd, VEXFS_IOC_SYNC, &param);
}

static int truncate_slots(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots)
{
    struct vexfs_length param = {.version = VEXFS_ABI_VERSION, .slots = slots};
    return submit(dev, df->fd, VEXFS_IOC_TRUNCATE, &param);
}

static int reserve(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots)
{
    (void)dev;
    if (slots > UINT32_MAX)
        return VEX_EBAD_INPUT;
    int rc = vex_dev_map_ensure(&df->map, bytes_of(df, slots));
    if (rc == 0)
        vex_dev_map_trim(&df->map);
    return rc;
}

static const void *map(struct vex_dev *dev, struct vex_dev_file *df)
{
    (void)dev;
    return vex_dev_map_base(&df->map) + VEXFS_HEADER_SIZE;
}

static void stats(struct vex_dev *dev, struct vex_dev_file *df, struct vex_dev_stats *ret)
{
    struct vexfs_stats param = {.version = VEXFS_ABI_VERSION};
    *ret = (struct vex_dev_stats){0};
    if (submit(dev, df->fd, VEXFS_IOC_STATS, &param) == 0)
        *ret = (struct vex_dev_stats){param.requests, param.bytes_read, param.bytes_written};
}

static void free_dev(struct vex_dev *dev)
{
    vex_mem_free(kernel_of(dev));
}

static const struct vex_dev_ops ops = {
    .name = "kernel",
    .attach = attach,
    .detach = detach,
    .write = write_slots,
    .read = read_slots,
    .scan = scan,
    .search = search,
    .clear = clear,
    .sync = sync_file,
    .truncate = truncate_slots,
    .reserve = reserve,
    .map = map,
    .stats = stats,
    .free = free_dev,
};

/* ---- Probe ---- */

static int lacks_requests(uint32_t missing, struct vex_err *err)
{
    static const char *const names[] = {"ATTACH", "WRITE", "READ",     "SCAN",  "SEARCH",
                                        "CLEAR",  "SYNC",  "TRUNCATE", "STATS", "CAPS"};
    char list[128] = "";
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if ((missing >> i & 1) != 0)
            snprintf(list + strlen(list), sizeof list - strlen(list), " %s", names[i]);
    return vex_err_set(err, VEX_EUNAVAILABLE, VEXFS_DEVICE " is too old, it lacks requests:%s", list);
}

static int check_caps(const struct vexfs_caps *caps, struct vex_err *err)
{
    const uint32_t elements =
        1u << VEXFS_VECTOR_FLOAT32 | 1u << VEXFS_VECTOR_FLOAT16 | 1u << VEXFS_VECTOR_UINT8;
    const uint32_t all_distances = (1u << VEX_DISTANCE_COUNT) - 1;
    if (caps->version != VEXFS_ABI_VERSION)
        return vex_err_set(err, VEX_EUNAVAILABLE, VEXFS_DEVICE " speaks version %u, this program version %u",
                           caps->version, VEXFS_ABI_VERSION);
    if ((caps->requests & VEXFS_REQUESTS_ALL) != VEXFS_REQUESTS_ALL)
        return lacks_requests(~caps->requests & VEXFS_REQUESTS_ALL, err);
    if ((caps->elements & elements) != elements || (caps->distances & all_distances) != all_distances ||
        caps->dimensions_max < VEX_DIM_MAX || caps->queries_max < VEXFS_QUERIES_MAX)
        return vex_err_set(err, VEX_EUNAVAILABLE,
                           VEXFS_DEVICE " lacks something, it is too old: elements %#x, distances %#x, "
                                        "%u dimensions, %u queries",
                           caps->elements, caps->distances, caps->dimensions_max, caps->queries_max);
    return 0;
}

static int probe(struct vex_dev *dev, struct vex_err *err)
{
    const struct vex_dev_kernel_sys *sys = &kernel_of(dev)->sys;
    int fd = sys->open(sys->arg);
    if (fd < 0)
        return vex_err_set(err, VEX_EUNAVAILABLE, "cannot open " VEXFS_DEVICE ": %s%s", strerror(-fd),
                           -fd == ENOENT || -fd == ENXIO || -fd == ENODEV ? " (is the module loaded?)" : "");
    struct vexfs_caps caps = {.version = VEXFS_ABI_VERSION};
    int rc = submit(dev, fd, VEXFS_IOC_CAPS, &caps);
    sys->close(sys->arg, fd);
    if (rc < 0)
        return vex_err_set(err, VEX_EUNAVAILABLE,
                           VEXFS_DEVICE " does not answer the capability request: too old");
    return check_caps(&caps, err);
}

int vex_dev_kernel_new_on(const struct vex_dev_kernel_sys *sys, struct vex_dev **ret, struct vex_err *err)
{
    struct kernel *kernel = VEX_NEW(struct kernel);
    kernel->dev.ops = &ops;
    kernel->sys = *sys;
    int rc = probe(&kernel->dev, err);
    if (rc < 0) {
        vex_mem_free(kernel);
        return rc;
    }
    *ret = &kernel->dev;
    return 0;
}

static int real_open(void *arg)
{
    (void)arg;
    int fd = open(VEXFS_DEVICE, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void real_close(void *arg, int fd)
{
    (void)arg;
    close(fd);
}

static int real_ioctl(void *arg, int fd, unsigned long request, void *param)
{
    (void)arg;
    return ioctl(fd, request, param) < 0 ? -errno : 0;
}

int vex_dev_kernel_new(struct vex_dev **ret, struct vex_err *err)
{
    const struct vex_dev_kernel_sys sys = {real_open, real_close, real_ioctl, NULL};
    return vex_dev_kernel_new_on(&sys, ret, err);
}
