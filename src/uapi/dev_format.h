/* Head of a vector file, as bytes. Private to the back ends that write files themselves.
 *
 * Format    4096 bytes, little-endian: "VEXFSVEC"; u32 version (1), dimensions, element (VEXFS_VECTOR_*),
 * stride; u64 0 (kept for a slot count); zeros; at 4092 the CRC32C of all that stands before it. Written
 * once, when the file is made, so no power cut tears it later. Slots follow, as many as the file's length
 * holds wholly. */
#ifndef VEX_UAPI_DEV_FORMAT_H
#define VEX_UAPI_DEV_FORMAT_H

#include "uapi/dev.h"
#include "uapi/vexfs.h"

struct vex_dev_header {
    char magic[8];
    uint32_t version, dimensions, element, stride;
    uint64_t slots;
    uint8_t zero[VEXFS_HEADER_SIZE - 36];
    uint32_t crc;
};
_Static_assert(sizeof(struct vex_dev_header) == VEXFS_HEADER_SIZE, "size of the header");
_Static_assert(offsetof(struct vex_dev_header, crc) == VEXFS_HEADER_SIZE - 4, "place of the checksum");

/* VEXFS_VECTOR_* of an element. */
uint32_t vex_dev_element_number(enum vex_element element);
/* Refuses what cannot be a file's geometry (VEX_EBAD_INPUT) and fills in the stride. */
int vex_dev_layout_check(struct vex_dev_layout *layout, struct vex_err *err);
void vex_dev_header_make(const struct vex_dev_layout *layout, struct vex_dev_header *ret);
/* `got`: bytes that could be read. VEX_ECORRUPT: not a sound vector file; VEX_EBAD_INPUT: sound, but of
 * another geometry. */
int vex_dev_header_check(const struct vex_dev_header *header, uint64_t got,
                         const struct vex_dev_layout *layout, struct vex_err *err);

#endif
