/* Head of a vector file: making and checking it. See dev_format.h. */
#include "uapi/dev_format.h"

#include <string.h>

#include "base/crc32c.h"

#define VERSION 1

static const char magic[8] = "VEXFSVEC";

static const struct {
    const char *name;
    uint32_t size, number;
} elements[VEX_ELEMENT_COUNT] = {
    [VEX_ELEMENT_F32] = {"float32", 4, VEXFS_VECTOR_FLOAT32},
    [VEX_ELEMENT_F16] = {"float16", 2, VEXFS_VECTOR_FLOAT16},
    [VEX_ELEMENT_U8] = {"uint8", 1, VEXFS_VECTOR_UINT8},
};

uint32_t vex_element_size(enum vex_element element)
{
    return elements[element].size;
}

uint32_t vex_dev_stride(uint32_t dimensions, enum vex_element element)
{
    return (dimensions * elements[element].size + VEXFS_STRIDE_ALIGN - 1) &
           ~(uint32_t)(VEXFS_STRIDE_ALIGN - 1);
}

uint32_t vex_dev_element_number(enum vex_element element)
{
    return elements[element].number;
}

int vex_dev_layout_check(struct vex_dev_layout *layout, struct vex_err *err)
{
    if (layout->dimensions < 1 || layout->dimensions > VEX_DIM_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "vectors have 1 to %u dimensions, not %u", VEX_DIM_MAX,
                           layout->dimensions);
    if ((unsigned)layout->element >= VEX_ELEMENT_COUNT)
        return vex_err_set(err, VEX_EBAD_INPUT, "unknown element type %u", (unsigned)layout->element);
    layout->stride = vex_dev_stride(layout->dimensions, layout->element);
    return 0;
}

static uint32_t checksum(const struct vex_dev_header *header)
{
    return vex_crc32c(0, header, offsetof(struct vex_dev_header, crc));
}

void vex_dev_header_make(const struct vex_dev_layout *layout, struct vex_dev_header *ret)
{
    memset(ret, 0, sizeof *ret);
    memcpy(ret->magic, magic, sizeof magic);
    ret->version = VERSION;
    ret->dimensions = layout->dimensions;
    ret->element = elements[layout->element].number;
    ret->stride = layout->stride;
    ret->crc = checksum(ret);
}

static const char *element_name(uint32_t number)
{
    for (size_t i = 0; i < VEX_ELEMENT_COUNT; i++)
        if (elements[i].number == number)
            return elements[i].name;
    return "unknown";
}

int vex_dev_header_check(const struct vex_dev_header *header, uint64_t got,
                         const struct vex_dev_layout *layout, struct vex_err *err)
{
    if (got < sizeof *header)
        return vex_err_set(err, VEX_ECORRUPT, "vector file ends after %llu bytes, inside its header",
                           (unsigned long long)got);
    if (memcmp(header->magic, magic, sizeof magic) != 0)
        return vex_err_set(err, VEX_ECORRUPT, "not a vector file: the header does not begin with VEXFSVEC");
    if (header->crc != checksum(header))
        return vex_err_set(err, VEX_ECORRUPT, "vector file header is damaged: checksum does not match");
    if (header->version != VERSION)
        return vex_err_set(err, VEX_ECORRUPT, "vector file has format %u, this program knows %u",
                           header->version, VERSION);
    if (header->dimensions != layout->dimensions || header->element != elements[layout->element].number)
        return vex_err_set(err, VEX_EBAD_INPUT, "vector file holds %u x %s, not %u x %s", header->dimensions,
                           element_name(header->element), layout->dimensions, elements[layout->element].name);
    if (header->stride != layout->stride)
        return vex_err_set(err, VEX_ECORRUPT, "vector file has a stride of %u bytes, not %u", header->stride,
                           layout->stride);
    return 0;
}
