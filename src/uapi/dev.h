/* Vector device: vectors of fixed stride in files, reached only through typed requests (vexfs.h).
 *
 * Role      One wrapper per request; the back ends (dev_embed in-process, dev_kernel by ioctl, dev_fault around another) give
 *           the same results, the same order of equal distances and the same file bytes.
 * Owner     One struct vex_dev for the process; one struct vex_dev_file per open vector file, owned by its collection.
 * Threads   Any number of READ, SCAN, SEARCH and map readers; WRITE and CLEAR touch only slots nobody reads yet; attach,
 *           detach, reserve and truncate are exclusive per file (the collection's writer lock).
 * Format    docs/disk-format.md, "vector file": a 4 KiB header, then slots of `stride` bytes.
 * Numbers   Distances are f32, smaller is nearer: L2 squared, minus dot (also for cosine, whose vectors are stored
 *           normalised), L1. Equal distances order by slot. NaN never enters: callers refuse it. */
#ifndef VEX_UAPI_DEV_H
#define VEX_UAPI_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"

enum vex_element { VEX_ELEMENT_F32, VEX_ELEMENT_F16, VEX_ELEMENT_U8, VEX_ELEMENT_COUNT };
enum vex_distance {
    VEX_DISTANCE_L2,
    VEX_DISTANCE_COSINE,
    VEX_DISTANCE_DOT,
    VEX_DISTANCE_L1,
    VEX_DISTANCE_COUNT
};

#define VEX_DIM_MAX 65536

struct vex_dev;
struct vex_dev_file;

struct vex_dev_layout {
    uint32_t dimensions; /* 1 .. VEX_DIM_MAX */
    enum vex_element element;
    uint32_t stride; /* bytes a slot; filled in by attach: elements rounded up to 32 bytes */
    uint64_t slots;  /* slots the file holds; filled in by attach */
};

struct vex_dev_hit {
    float distance;
    uint32_t slot;
};

struct vex_dev_search {
    const float *queries; /* count x dimensions, row-major; normalised by the caller for cosine */
    uint32_t count;       /* queries, 1 .. 1024 */
    uint32_t k;           /* hits a query, at least 1 */
    enum vex_distance distance;
    uint32_t first, slots; /* range [first, first + slots) */
    const uint64_t
        *allow; /* bit i: slot i of the file may match; NULL: all of the range. The words of the range that
                             * the file has slots for are read */
    struct vex_dev_hit
        *hits; /* out: count x k, nearest first; of a row only the first min(k, candidates) are touched */
    uint32_t *found;              /* out: hits of each query, <= k */
    const _Atomic int *cancelled; /* looked at between blocks; NULL: never. Non-zero: VEX_ECANCELLED */
};

struct vex_dev_stats {
    uint64_t requests, bytes_read, bytes_written;
};

struct vex_dev_ops {
    const char *name; /* "embedded", "kernel", "fault" */
    /* Takes a file opened for writing (reading suffices when `create` is false and nothing is written). create: writes a
     * fresh header for *layout. Otherwise the header is checked against the dimensions and element of *layout. The file
     * stays owned by the caller and must outlive the attachment. */
    int (*attach)(struct vex_dev *dev, struct vex_io *io, struct vex_file *file,
                  struct vex_dev_layout *layout, bool create, struct vex_dev_file **ret, struct vex_err *err);
    void (*detach)(struct vex_dev *dev, struct vex_dev_file *df);
    /* Writes count slots from first on, data = count x stride packed elements (padding zero). Extends the file; slots
     * left out before `first` read as zeros. VEX_ENO_SPACE leaves the file's length as it was. */
    int (*write)(struct vex_dev *dev, struct vex_dev_file *df, uint32_t first, uint32_t count,
                 const void *data);
    /* A slot the file does not hold is refused (VEX_EBAD_INPUT) before anything is done, here and by clear. Ranges of
     * scan and search may reach beyond the file: there is nothing. ret: count x stride bytes. */
    int (*read)(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count,
                void *ret);
    /* Streams on from *cursor (0 at first): the next at most `max` allowed slots below `end`, their numbers and elements.
     * *ret_count 0: done. */
    int (*scan)(struct vex_dev *dev, struct vex_dev_file *df, uint32_t *cursor, uint32_t end,
                const uint64_t *allow, uint32_t max, uint32_t *ret_slots, void *ret_data,
                uint32_t *ret_count);
    int (*search)(struct vex_dev *dev, struct vex_dev_file *df, const struct vex_dev_search *search);
    int (*clear)(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots,
                 uint32_t count); /* zeros */
    int (*sync)(struct vex_dev *dev, struct vex_dev_file *df);
    int (*truncate)(struct vex_dev *dev, struct vex_dev_file *df,
                    uint64_t slots); /* keeps so many; never extends */
    /* Makes the read-only map cover `slots` slots; the address may change. */
    int (*reserve)(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots);
    /* Address of slot 0 in the map; valid until the next reserve, truncate or detach. A write that outgrows the map
     * makes a further one: slots from there on need a fresh call. */
    const void *(*map)(struct vex_dev *dev, struct vex_dev_file *df);
    /* The pages of the map leave the process, beside readers; what is read again comes back from the page cache. NULL: the device
     * holds none. */
    void (*evict)(struct vex_dev *dev, struct vex_dev_file *df);
    void (*stats)(struct vex_dev *dev, struct vex_dev_file *df, struct vex_dev_stats *ret);
    void (*free)(struct vex_dev *dev);
};

/* All int results: 0 or a negative VEX_E* (VEX_ENO_SPACE, VEX_EIO, VEX_ECORRUPT, VEX_EBAD_INPUT, VEX_ECANCELLED). */
struct vex_dev {
    const struct vex_dev_ops *ops;
};

struct vex_dev *vex_dev_embed_new(void);
/* Wraps another device: the tests' knobs are in dev_fault.h. Does not own `inner`. */
struct vex_dev *vex_dev_fault_new(struct vex_dev *inner);
/* Probes for the kernel device; VEX_EUNAVAILABLE with the reason when it is missing or too old. */
int vex_dev_kernel_new(struct vex_dev **ret, struct vex_err *err);
/* choice: "auto" (never fails; logs which one runs), "embedded", "kernel". VEX_EBAD_INPUT for anything else. */
int vex_dev_choose(const char *choice, struct vex_dev **ret, struct vex_err *err);
void vex_dev_free(struct vex_dev *dev); /* NULL is fine */

uint32_t vex_element_size(enum vex_element element);
uint32_t vex_dev_stride(uint32_t dimensions, enum vex_element element);

#endif
