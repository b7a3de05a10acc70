/* The double of the kernel module: see dev_double.h. */
#include "lib/dev_double.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../src/uapi/dev.h"

#define OPENED_MAX 1024
#define ANY_MAX    400 /* those above are opened by number */
#define PAGE       4096u
#define LOWEST     UINT64_C(0x100080000000) /* below lies what the address sanitizer keeps */
#define REACH_MAX  ((uint64_t)64 << 20)     /* no test has a buffer as long as this */

struct vex_dev_double vex_dev_double;
static _Atomic uint64_t requests[VEXFS_NR_CAPS + 1], malformed;

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

/* ---- Descriptors ---- */

static struct opened {
    bool used;
    struct vex_file backing;
    struct vex_dev_layout layout;
    struct vex_dev_file *df;
} opened[OPENED_MAX];
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

int vex_dev_double_open_at(int at)
{
    if (vex_dev_double.open_rc < 0)
        return vex_dev_double.open_rc;
    int fd = -EMFILE;
    pthread_rwlock_wrlock(&lock);
    for (int i = at < 0 ? 0 : at; i < (at < 0 ? ANY_MAX : at + 1) && fd < 0; i++)
        if (!opened[i].used) {
            opened[i] = (struct opened){.used = true, .backing = {-1}};
            fd = i;
        }
    pthread_rwlock_unlock(&lock);
    return fd;
}

int vex_dev_double_open(void *arg)
{
    (void)arg;
    return vex_dev_double_open_at(-1);
}

void vex_dev_double_close(void *arg, int fd)
{
    (void)arg;
    struct vex_dev *embed = vex_dev_embed_new();
    if (fd < 0 || fd >= OPENED_MAX)
        return;
    pthread_rwlock_wrlock(&lock);
    if (opened[fd].used) {
        embed->ops->detach(embed, opened[fd].df);
        if (opened[fd].backing.fd >= 0)
            close(opened[fd].backing.fd);
        opened[fd].used = false;
    }
    pthread_rwlock_unlock(&lock);
}

int vex_dev_double_open_count(void)
{
    int count = 0;
    pthread_rwlock_rdlock(&lock);
    for (int i = 0; i < OPENED_MAX; i++)
        count += opened[i].used;
    pthread_rwlock_unlock(&lock);
    return count;
}

/* ---- Addresses of the caller ---- */

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* Whether the caller may read (or also write) all of these bytes: a byte of each page is tried. */
static bool reaches(uint64_t address, uint64_t len, bool writes)
{
    if (len == 0)
        return true;
    if (len > REACH_MAX || address < LOWEST || address > UINT64_MAX - len)
        return false;
    for (uint64_t at = address; at < address + len; at = (at / PAGE + 1) * PAGE) {
        char byte;
        struct iovec here = {&byte, 1}, there = {pointer(at), 1};
        if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != 1)
            return false;
        if (writes && process_vm_writev(getpid(), &here, 1, &there, 1, 0) != 1)
            return false;
    }
    return true;
}

/* As reaches, of words. What lies across words is refused: the module copies such memory, the embedded device
 * reads it in place. */
static bool reaches_words(uint64_t address, uint64_t count, uint32_t word, bool writes)
{
    return count == 0 || (address % word == 0 && reaches(address, count * word, writes));
}

/* ---- Requests ---- */

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
    struct stat st;
    if (o->df != NULL)
        return -EBUSY;
    if (fstat(p->fd, &st) != 0)
        return -EBADF;
    if (!S_ISREG(st.st_mode) || (p->flags & ~VEXFS_ATTACH_CREATE) != 0)
        return -EINVAL;
    o->backing.fd = dup(p->fd);
    o->layout = (struct vex_dev_layout){.dimensions = p->dimensions, .element = element_of(p->element_type)};
    struct vex_err err;
    int rc = embed->ops->attach(embed, &fd_io, &o->backing, &o->layout, (p->flags & VEXFS_ATTACH_CREATE) != 0,
                                &o->df, &err);
    p->stride = o->layout.stride;
    p->slots = o->layout.slots;
    if (rc != 0) {
        close(o->backing.fd);
        o->backing.fd = -1;
    }
    return errno_of(rc);
}

static int serve_write(struct vex_dev *embed, struct opened *o, const struct vexfs_write *p)
{
    if (!reaches(p->data, (uint64_t)p->count * o->layout.stride, false))
        return p->count > UINT32_MAX - p->first ? -EINVAL : -EFAULT;
    return errno_of(embed->ops->write(embed, o->df, p->first, p->count, pointer(p->data)));
}

/* Lists are copied before they are used and after they are made, as the module must: a caller's buffers may lie
 * over each other. */
static int serve_slots(struct vex_dev *embed, struct opened *o, const struct vexfs_slots *p, bool clears)
{
    if (!reaches(p->slots, (uint64_t)p->count * 4, false) ||
        (!clears && !reaches(p->data, (uint64_t)p->count * o->layout.stride, true)))
        return -EFAULT;
    if (clears && p->data != 0)
        return -EINVAL;
    if (p->count == 0)
        return 0;
    uint32_t *slots = malloc((size_t)p->count * sizeof *slots);
    memcpy(slots, pointer(p->slots), (size_t)p->count * sizeof *slots);
    int rc = clears ? embed->ops->clear(embed, o->df, slots, p->count)
                    : embed->ops->read(embed, o->df, slots, p->count, pointer(p->data));
    free(slots);
    return errno_of(rc);
}

/* Words of the bitmap that a range needs, as far as the file has slots for it. */
static uint64_t bitmap_words(struct opened *o, uint64_t end)
{
    int64_t size = fd_size(&fd_io, &o->backing);
    uint64_t held = size > VEXFS_HEADER_SIZE ? ((uint64_t)size - VEXFS_HEADER_SIZE) / o->layout.stride : 0;
    uint64_t slots = end < held ? end : held;
    return (slots + 63) / 64;
}

static int serve_scan(struct vex_dev *embed, struct opened *o, struct vexfs_scan *p)
{
    uint64_t most = p->end > p->cursor ? p->end - p->cursor : 0; /* what can come */
    uint64_t fits = p->max < most ? p->max : most;
    if (p->max == 0)
        return -EINVAL;
    if (!reaches(p->slots, fits * 4, true) || !reaches(p->data, fits * o->layout.stride, true) ||
        (p->allow != 0 && !reaches_words(p->allow, bitmap_words(o, p->end), 8, false)))
        return -EFAULT;
    uint32_t *slots = malloc(fits * sizeof *slots + 1);
    char *data = malloc(fits * o->layout.stride + 1);
    int rc = fits == 0 ? 0
                       : embed->ops->scan(embed, o->df, &p->cursor, p->end, pointer(p->allow), (uint32_t)fits,
                                          slots, data, &p->count);
    if (fits == 0)
        p->count = 0;
    if (rc == 0 && p->count > 0) {
        memcpy(pointer(p->slots), slots, p->count * sizeof *slots);
        memcpy(pointer(p->data), data, (size_t)p->count * o->layout.stride);
    }
    free(slots);
    free(data);
    return errno_of(rc);
}

static int serve_search(struct vex_dev *embed, struct opened *o, const struct vexfs_search *p)
{
    uint64_t end = (uint64_t)p->first + p->slots, row = p->k < p->slots ? p->k : p->slots;
    if (p->count < 1 || p->count > VEXFS_QUERIES_MAX || p->k < 1 || p->distance > VEXFS_SEARCH_MANHATTAN)
        return -EINVAL;
    if (!reaches_words(p->queries, (uint64_t)p->count * o->layout.dimensions, 4, false) ||
        !reaches_words(p->hits, ((uint64_t)(p->count - 1) * p->k + row) * 2, 4, true) ||
        !reaches_words(p->found, p->count, 4, true) ||
        !reaches_words(p->cancelled, p->cancelled != 0, 4, false) ||
        (p->allow != 0 && !reaches_words(p->allow, bitmap_words(o, end), 8, false)))
        return -EFAULT;
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
    return errno_of(embed->ops->search(embed, o->df, &s));
}

static int serve_stats(struct vex_dev *embed, struct opened *o, struct vexfs_stats *p)
{
    struct vex_dev_stats got;
    embed->ops->stats(embed, o->df, &got);
    p->requests = got.requests;
    p->bytes_read = got.bytes_read;
    p->bytes_written = got.bytes_written;
    return 0;
}

static const unsigned long numbers[] = {VEXFS_IOC_ATTACH, VEXFS_IOC_WRITE, VEXFS_IOC_READ, VEXFS_IOC_SCAN,
                                        VEXFS_IOC_SEARCH, VEXFS_IOC_CLEAR, VEXFS_IOC_SYNC, VEXFS_IOC_TRUNCATE,
                                        VEXFS_IOC_STATS,  VEXFS_IOC_CAPS};

/* True when the version or a field that must be zero is not as it must be. */
static bool is_malformed(unsigned long request, const void *param)
{
    const struct vexfs_length *length = param;
    if (*(const uint32_t *)param != VEXFS_ABI_VERSION)
        return true;
    switch (request) {
    case VEXFS_IOC_WRITE:
        return ((const struct vexfs_write *)param)->reserved0 != 0;
    case VEXFS_IOC_SCAN:
        return ((const struct vexfs_scan *)param)->reserved0 != 0;
    case VEXFS_IOC_SYNC:
        return length->reserved0 != 0 || length->slots != 0;
    case VEXFS_IOC_TRUNCATE:
        return length->reserved0 != 0;
    case VEXFS_IOC_STATS:
        return ((const struct vexfs_stats *)param)->reserved0 != 0;
    default:
        return false;
    }
}

static int serve(struct opened *o, unsigned long request, void *param)
{
    struct vex_dev *embed = vex_dev_embed_new();
    if (request == VEXFS_IOC_ATTACH)
        return serve_attach(embed, o, param);
    if (o->df == NULL)
        return -ENOTCONN;
    switch (request) {
    case VEXFS_IOC_WRITE:
        return serve_write(embed, o, param);
    case VEXFS_IOC_READ:
        return serve_slots(embed, o, param, false);
    case VEXFS_IOC_CLEAR:
        return serve_slots(embed, o, param, true);
    case VEXFS_IOC_SCAN:
        return serve_scan(embed, o, param);
    case VEXFS_IOC_SEARCH:
        return serve_search(embed, o, param);
    case VEXFS_IOC_SYNC:
        return errno_of(embed->ops->sync(embed, o->df));
    case VEXFS_IOC_TRUNCATE:
        return errno_of(embed->ops->truncate(embed, o->df, ((const struct vexfs_length *)param)->slots));
    case VEXFS_IOC_STATS:
        return serve_stats(embed, o, param);
    default:
        return -ENOTTY;
    }
}

int vex_dev_double_ioctl(void *arg, int fd, unsigned long request, void *param)
{
    (void)arg;
    if (vex_dev_double.interruptions > 0) {
        vex_dev_double.interruptions--;
        return -EINTR;
    }
    unsigned number = _IOC_NR(request);
    if (number < VEXFS_NR_ATTACH || number > VEXFS_NR_CAPS || numbers[number - VEXFS_NR_ATTACH] != request)
        return -ENOTTY;
    requests[number]++;
    if (request == VEXFS_IOC_CAPS) {
        memcpy(param, &vex_dev_double.caps, sizeof vex_dev_double.caps);
        return vex_dev_double.caps_rc;
    }
    if (is_malformed(request, param)) {
        malformed++;
        return -EINVAL;
    }
    bool alone = request == VEXFS_IOC_ATTACH || request == VEXFS_IOC_TRUNCATE;
    if (alone)
        pthread_rwlock_wrlock(&lock);
    else
        pthread_rwlock_rdlock(&lock);
    bool there = fd >= 0 && fd < OPENED_MAX && opened[fd].used;
    _Alignas(8) char copy[sizeof(struct vexfs_search)];
    memcpy(copy, param, _IOC_SIZE(request));
    int rc = there ? serve(&opened[fd], request, copy) : -EBADF;
    if (rc == 0)
        memcpy(param, copy, _IOC_SIZE(request));
    pthread_rwlock_unlock(&lock);
    return rc;
}

void vex_dev_double_reset(void)
{
    vex_dev_double = (struct vex_dev_double){
        .caps =
            {
                .version = VEXFS_ABI_VERSION,
                .requests = VEXFS_REQUESTS_ALL,
                .elements =
                    1u << VEXFS_VECTOR_FLOAT32 | 1u << VEXFS_VECTOR_FLOAT16 | 1u << VEXFS_VECTOR_UINT8,
                .distances = 15,
                .dimensions_max = VEXFS_DIMENSIONS_MAX,
                .queries_max = VEXFS_QUERIES_MAX,
            },
    };
}

uint64_t vex_dev_double_requests(unsigned number)
{
    return requests[number];
}

uint64_t vex_dev_double_malformed(void)
{
    return malformed;
}
