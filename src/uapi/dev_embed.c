/* Embedded vector device: the requests served in this process.
 *
 * Role      Reads go through a shared read-only map of the file, writes through the I/O seam, so it runs on
 *           a simulated disk too.
 * Lock      `grow` orders writes that make the file longer. Readers take no lock: a slot is read only below
 *           `slots`, which rises after the bytes are in the file and the map covers them.
 * Invariant slots x stride + 4096 never exceeds the file's length: the map is never touched past its end.
 * Format    dev_format.h. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "uapi/dev_format.h"
#include "uapi/dev_map.h"
#include "uapi/exact.h"

struct vex_dev_file {
    struct vex_io *io;
    struct vex_file *file;
    uint32_t dimensions, stride;
    enum vex_element element;
    struct vex_dev_map map;
    _Atomic uint64_t slots;
    pthread_mutex_t grow;
    _Atomic uint64_t requests, bytes_read, bytes_written;
};

static uint64_t offset_of(const struct vex_dev_file *df, uint64_t slot)
{
    return VEXFS_HEADER_SIZE + slot * df->stride;
}

static uint64_t slots_of(struct vex_dev_file *df)
{
    return atomic_load_explicit(&df->slots, memory_order_acquire);
}

static void count_request(struct vex_dev_file *df, uint64_t bytes_read, uint64_t bytes_written)
{
    atomic_fetch_add_explicit(&df->requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&df->bytes_read, bytes_read, memory_order_relaxed);
    atomic_fetch_add_explicit(&df->bytes_written, bytes_written, memory_order_relaxed);
}

/* ---- Attach ---- */

static int create(struct vex_io *io, struct vex_file *file, const struct vex_dev_layout *layout,
                  struct vex_err *err)
{
    struct vex_dev_header header;
    vex_dev_header_make(layout, &header);
    int rc = vex_io_truncate(io, file, 0);
    if (rc == 0)
        rc = vex_io_pwrite(io, file, &header, sizeof header, 0);
    if (rc < 0)
        return vex_err_set(err, vex_err_errno(-rc), "cannot write a vector file's header: %s", strerror(-rc));
    return 0;
}

static int open_header(struct vex_io *io, struct vex_file *file, struct vex_dev_layout *layout,
                       struct vex_err *err)
{
    struct vex_dev_header header;
    int64_t got = vex_io_pread(io, file, &header, sizeof header, 0);
    int64_t size = got < 0 ? got : vex_io_size(io, file);
    if (size < 0)
        return vex_err_set(err, vex_err_errno((int)-size), "cannot read a vector file: %s",
                           strerror((int)-size));
    int rc = vex_dev_header_check(&header, (uint64_t)got, layout, err);
    if (rc < 0)
        return rc;
    uint64_t bytes = size > VEXFS_HEADER_SIZE ? (uint64_t)size - VEXFS_HEADER_SIZE : 0;
    layout->slots = bytes / layout->stride;
    if (layout->slots > UINT32_MAX)
        return vex_err_set(err, VEX_ECORRUPT, "vector file is too long: %llu slots",
                           (unsigned long long)layout->slots);
    return 0;
}

static int attach(struct vex_dev *dev, struct vex_io *io, struct vex_file *file,
                  struct vex_dev_layout *layout, bool fresh, struct vex_dev_file **ret, struct vex_err *err)
{
    (void)dev;
    layout->slots = 0;
    int rc = vex_dev_layout_check(layout, err);
    if (rc == 0)
        rc = fresh ? create(io, file, layout, err) : open_header(io, file, layout, err);
    if (rc < 0)
        return rc;
    struct vex_dev_file *df = VEX_NEW(struct vex_dev_file);
    df->io = io;
    df->file = file;
    df->dimensions = layout->dimensions;
    df->stride = layout->stride;
    df->element = layout->element;
    atomic_init(&df->slots, layout->slots);
    pthread_mutex_init(&df->grow, NULL);
    vex_dev_map_init(&df->map, io, file);
    rc = vex_dev_map_ensure(&df->map, offset_of(df, layout->slots));
    if (rc < 0) {
        pthread_mutex_destroy(&df->grow);
        vex_mem_free(df);
        return vex_err_set(err, rc, "cannot map a vector file of %llu slots",
                           (unsigned long long)layout->slots);
    }
    *ret = df;
    return 0;
}

static void detach(struct vex_dev *dev, struct vex_dev_file *df)
{
    (void)dev;
    if (df == NULL)
        return;
    vex_dev_map_done(&df->map);
    pthread_mutex_destroy(&df->grow);
    vex_mem_free(df);
}

/* ---- Writing ---- */

/* Writes past the last slot. What fails leaves length, map and slot count as they were. */
static int write_growing(struct vex_dev_file *df, uint32_t first, uint32_t count, const void *data)
{
    uint64_t end = (uint64_t)first + count;
    int64_t size = vex_io_size(df->io, df->file);
    if (size < 0)
        return vex_err_errno((int)-size);
    int rc = vex_dev_map_ensure(&df->map, offset_of(df, end));
    if (rc < 0)
        return rc;
    rc = vex_io_pwrite(df->io, df->file, data, (size_t)count * df->stride, offset_of(df, first));
    if (rc < 0) {
        /* Should this fail too, the rest lies beyond every slot that is known to anybody. */
        vex_io_truncate(df->io, df->file, (uint64_t)size);
        return vex_err_errno(-rc);
    }
    atomic_store_explicit(&df->slots, end, memory_order_release);
    return 0;
}

static int write_slots(struct vex_dev *dev, struct vex_dev_file *df, uint32_t first, uint32_t count,
                       const void *data)
{
    (void)dev;
    if (count == 0)
        return 0;
    if (data == NULL || count > UINT32_MAX - first)
        return VEX_EBAD_INPUT;
    int rc;
    pthread_mutex_lock(&df->grow);
    if ((uint64_t)first + count > slots_of(df)) {
        rc = write_growing(df, first, count, data);
        pthread_mutex_unlock(&df->grow);
    } else {
        pthread_mutex_unlock(&df->grow);
        rc = vex_io_pwrite(df->io, df->file, data, (size_t)count * df->stride, offset_of(df, first));
        rc = rc < 0 ? vex_err_errno(-rc) : 0;
    }
    if (rc == 0)
        count_request(df, 0, (uint64_t)count * df->stride);
    return rc;
}

static int check_slots(struct vex_dev_file *df, const uint32_t *slots, uint32_t count)
{
    if (count > 0 && slots == NULL)
        return VEX_EBAD_INPUT;
    uint64_t end = slots_of(df);
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] >= end)
            return VEX_EBAD_INPUT;
    return 0;
}

static int write_zeros(struct vex_dev_file *df, uint32_t first, uint32_t count)
{
    static const char zeros[65536];
    uint64_t at = offset_of(df, first), end = offset_of(df, (uint64_t)first + count);
    while (at < end) {
        size_t len = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;
        int rc = vex_io_pwrite(df->io, df->file, zeros, len, at);
        if (rc < 0)
            return vex_err_errno(-rc);
        at += len;
    }
    return 0;
}

static int clear(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count)
{
    (void)dev;
    int rc = check_slots(df, slots, count);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && slots[i + run] == slots[i] + run; run++)
            ;
        rc = write_zeros(df, slots[i], run);
        if (rc < 0)
            return rc;
    }
    count_request(df, 0, (uint64_t)count * df->stride);
    return 0;
}

static int sync_file(struct vex_dev *dev, struct vex_dev_file *df)
{
    (void)dev;
    int rc = vex_io_datasync(df->io, df->file);
    if (rc < 0)
        return vex_err_errno(-rc);
    count_request(df, 0, 0);
    return 0;
}

static int truncate_slots(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots)
{
    (void)dev;
    uint64_t before = slots_of(df);
    if (slots > before)
        return VEX_EBAD_INPUT;
    atomic_store_explicit(&df->slots, slots, memory_order_release);
    int rc = vex_io_truncate(df->io, df->file, offset_of(df, slots));
    if (rc < 0) {
        atomic_store_explicit(&df->slots, before, memory_order_release);
        return vex_err_errno(-rc);
    }
    count_request(df, 0, 0);
    return 0;
}

/* ---- Reading ---- */

static const char *slot_at(struct vex_dev_file *df, uint64_t slot)
{
    return vex_dev_map_base(&df->map) + offset_of(df, slot);
}

static void copy_slots(struct vex_dev_file *df, const uint32_t *slots, uint32_t count, char *to)
{
    const char *base = slot_at(df, 0);
    for (uint32_t i = 0; i < count; i++)
        memcpy(to + (size_t)i * df->stride, base + (size_t)slots[i] * df->stride, df->stride);
    count_request(df, (uint64_t)count * df->stride, 0);
}

static int read_slots(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count,
                      void *ret)
{
    (void)dev;
    int rc = check_slots(df, slots, count);
    if (rc < 0 || count == 0)
        return rc;
    if (ret == NULL)
        return VEX_EBAD_INPUT;
    copy_slots(df, slots, count, ret);
    return 0;
}

static int scan(struct vex_dev *dev, struct vex_dev_file *df, uint32_t *cursor, uint32_t end,
                const uint64_t *allow, uint32_t max, uint32_t *ret_slots, void *ret_data, uint32_t *ret_count)
{
    (void)dev;
    if (max == 0 || ret_slots == NULL || ret_data == NULL)
        return VEX_EBAD_INPUT;
    uint64_t slots = slots_of(df);
    struct vex_exact_walk walk = {allow, *cursor, end < slots ? end : slots};
    *ret_count = vex_exact_next(&walk, max, ret_slots);
    copy_slots(df, ret_slots, *ret_count, ret_data);
    if (*ret_count > 0)
        *cursor = ret_slots[*ret_count - 1] + 1;
    return 0;
}

static int search(struct vex_dev *dev, struct vex_dev_file *df, const struct vex_dev_search *wanted)
{
    (void)dev;
    int rc = vex_exact_check(wanted);
    if (rc < 0)
        return rc;
    uint32_t slots = (uint32_t)slots_of(df); /* before the base: see vex_dev_map_ensure */
    struct vex_exact set = {slot_at(df, 0), df->dimensions, df->stride, df->element, slots};
    uint64_t read;
    rc = vex_exact_search(&set, wanted, &read);
    count_request(df, read * df->stride, 0);
    return rc;
}

static int reserve(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots)
{
    (void)dev;
    if (slots > UINT32_MAX)
        return VEX_EBAD_INPUT;
    int rc = vex_dev_map_ensure(&df->map, offset_of(df, slots));
    if (rc == 0)
        vex_dev_map_trim(&df->map);
    return rc;
}

static const void *map(struct vex_dev *dev, struct vex_dev_file *df)
{
    (void)dev;
    return slot_at(df, 0);
}

/* The count first: the base that is read after it covers all of them. */
static void evict(struct vex_dev *dev, struct vex_dev_file *df)
{
    (void)dev;
    uint64_t slots = slots_of(df);
    vex_dev_map_evict(&df->map, offset_of(df, slots));
}

static void stats(struct vex_dev *dev, struct vex_dev_file *df, struct vex_dev_stats *ret)
{
    (void)dev;
    ret->requests = atomic_load_explicit(&df->requests, memory_order_relaxed);
    ret->bytes_read = atomic_load_explicit(&df->bytes_read, memory_order_relaxed);
    ret->bytes_written = atomic_load_explicit(&df->bytes_written, memory_order_relaxed);
}

static void free_dev(struct vex_dev *dev)
{
    (void)dev; /* one static object */
}

struct vex_dev *vex_dev_embed_new(void)
{
    static const struct vex_dev_ops ops = {
        .name = "embedded",
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
        .evict = evict,
        .stats = stats,
        .free = free_dev,
    };
    static struct vex_dev dev = {&ops};
    return &dev;
}
