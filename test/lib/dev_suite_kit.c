/* Files with known content for the vector device's tests, and a disk that gets full. */
#include "lib/dev_suite_kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char folder[256];
static unsigned made;

static bool quick(void)
{
    const char *asked = getenv("VEXFS_TEST_QUICK");
    return asked != NULL && *asked != '\0';
}

unsigned suite_rounds(unsigned full)
{
    return quick() && full > 10 ? full / 10 : quick() ? 1 : full;
}

bool suite_takes(unsigned nth)
{
    return !quick() || nth % 10 == 0;
}

int suite_folder_make(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/vex-dev-XXXXXX", parent != NULL && *parent != '\0' ? parent : "/tmp");
    return mkdtemp(folder) == NULL;
}

int suite_folder_remove(void)
{
    struct vex_io *io = vex_io_posix();
    return io->ops->rmdir(io, folder) != 0;
}

void suite_path(char path[SUITE_PATH_MAX])
{
    snprintf(path, SUITE_PATH_MAX, "%s/%u.vex", folder, made++);
}

static int disk_pwrite(struct vex_io *io, struct vex_file *file, const void *buf, size_t len, uint64_t offset)
{
    struct suite_disk *disk = VEX_CONTAINER_OF(io, struct suite_disk, io);
    struct vex_io *real = vex_io_posix();
    if (offset + len <= disk->limit)
        return vex_io_pwrite(real, file, buf, len, offset);
    uint64_t fits = offset < disk->limit ? disk->limit - offset : 0;
    disk->cut += fits;
    if (fits > 0)
        vex_io_pwrite(real, file, buf, fits, offset);
    return -ENOSPC;
}

static int disk_allocate(struct vex_io *io, struct vex_file *file, uint64_t offset, uint64_t len)
{
    struct suite_disk *disk = VEX_CONTAINER_OF(io, struct suite_disk, io);
    return offset + len <= disk->limit ? vex_io_allocate(vex_io_posix(), file, offset, len) : -ENOSPC;
}

void suite_disk_init(struct suite_disk *disk)
{
    *disk = (struct suite_disk){.limit = UINT64_MAX};
    disk->ops = *vex_io_posix()->ops;
    disk->ops.pwrite = disk_pwrite;
    disk->ops.allocate = disk_allocate;
    disk->io.ops = &disk->ops;
}

int suite_attach(struct suite_file *f, bool create)
{
    struct vex_err err = {0};
    f->df = NULL;
    return vex_suite_dev->ops->attach(vex_suite_dev, f->io, f->file, &f->layout, create, &f->df, &err);
}

struct suite_file suite_create(uint32_t dimensions, enum vex_element element, struct vex_io *io)
{
    struct suite_file f = {.io = io != NULL ? io : vex_io_posix(),
                           .layout = {.dimensions = dimensions, .element = element}};
    char path[SUITE_PATH_MAX];
    suite_path(path);
    CU_ASSERT_EQUAL_FATAL(vex_io_open(f.io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_EXCL, &f.file), 0);
    CU_ASSERT_EQUAL_FATAL(f.io->ops->unlink(f.io, path), 0); /* lives as long as it is open */
    CU_ASSERT_EQUAL_FATAL(suite_attach(&f, true), 0);
    return f;
}

void suite_reopen(struct suite_file *f)
{
    vex_suite_dev->ops->detach(vex_suite_dev, f->df);
    CU_ASSERT_EQUAL_FATAL(suite_attach(f, false), 0);
}

void suite_close(struct suite_file *f)
{
    if (f->df != NULL)
        vex_suite_dev->ops->detach(vex_suite_dev, f->df);
    vex_io_close(f->io, f->file);
}

int suite_value(const struct suite_file *f, uint32_t slot, uint32_t dimension, unsigned kind)
{
    uint32_t mix = (slot + 1) * 2654435761u ^ (dimension + 1) * 2246822519u ^ (kind + 1) * 3266489917u;
    mix ^= mix >> 15;
    mix *= 2654435761u;
    int value = (int)((mix >> 20) % 9) - 4;
    return f->layout.element == VEX_ELEMENT_U8 ? value + 4 : value;
}

/* A small integer as binary16. */
static uint16_t half(int value)
{
    unsigned size = (unsigned)abs(value), exponent = 0;
    if (size == 0)
        return 0;
    while (size >> (exponent + 1) != 0)
        exponent++;
    return (uint16_t)((value < 0 ? 0x8000u : 0u) | (exponent + 15) << 10 |
                      ((size << (10 - exponent)) & 0x3ff));
}

void suite_pack(const struct suite_file *f, uint32_t slot, unsigned kind, void *ret)
{
    memset(ret, 0, f->layout.stride);
    for (uint32_t i = 0; i < f->layout.dimensions; i++) {
        int value = suite_value(f, slot, i, kind);
        if (f->layout.element == VEX_ELEMENT_F32)
            ((float *)ret)[i] = (float)value;
        else if (f->layout.element == VEX_ELEMENT_F16)
            ((uint16_t *)ret)[i] = half(value);
        else
            ((uint8_t *)ret)[i] = (uint8_t)value;
    }
}

int suite_fill_raw(struct suite_file *f, uint32_t first, uint32_t count, unsigned kind)
{
    char *data = vex_mem_alloc((size_t)count * f->layout.stride);
    for (uint32_t i = 0; i < count; i++)
        suite_pack(f, first + i, kind, data + (size_t)i * f->layout.stride);
    int rc = vex_suite_dev->ops->write(vex_suite_dev, f->df, first, count, data);
    vex_mem_free(data);
    return rc;
}

void suite_fill(struct suite_file *f, uint32_t first, uint32_t count, unsigned kind)
{
    CU_ASSERT_EQUAL_FATAL(suite_fill_raw(f, first, count, kind), 0);
}

void suite_expect(struct suite_file *f, uint32_t first, uint32_t count, unsigned kind)
{
    size_t stride = f->layout.stride;
    uint32_t *slots = vex_mem_alloc(count * sizeof *slots);
    char *got = vex_mem_alloc(count * stride), *expected = vex_mem_alloc(stride);
    for (uint32_t i = 0; i < count; i++)
        slots[i] = first + count - 1 - i; /* in no particular order */
    CU_ASSERT_EQUAL(vex_suite_dev->ops->read(vex_suite_dev, f->df, slots, count, got), 0);
    for (uint32_t i = 0; i < count; i++) {
        suite_pack(f, slots[i], kind, expected);
        CU_ASSERT_EQUAL(memcmp(got + i * stride, expected, stride), 0);
    }
    vex_mem_free(slots);
    vex_mem_free(got);
    vex_mem_free(expected);
}

bool suite_is_zero(struct suite_file *f, uint32_t slot)
{
    char *got = vex_mem_alloc(f->layout.stride);
    memset(got, 1, f->layout.stride);
    CU_ASSERT_EQUAL(vex_suite_dev->ops->read(vex_suite_dev, f->df, &slot, 1, got), 0);
    bool zero = true;
    for (uint32_t i = 0; i < f->layout.stride; i++)
        zero = zero && got[i] == 0;
    vex_mem_free(got);
    return zero;
}
