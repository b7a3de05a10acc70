/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* VexFS requests: the interface between vector programs and /dev/vexfs_v2_phase3.
 *
 * Role      Numbers and layouts of every request; the same bytes whether the kernel module or a program in
 *           its own process serves them. Compiles in the kernel and in user space.
 * Format    Frozen: sizes and offsets are asserted below for 64-bit targets. No floating point types: a float
 *           travels as its IEEE 754 bit pattern in a u32. Padding is explicit and must be zero. The numbers 1
 *           to 4 are the public VexFS requests, which carry pointers; from 16 on a pointer is a u64 and the
 *           first field is the version.
 * Owner     An open descriptor of the device serves one vector file, named once by VEXFS_IOC_ATTACH, or an
 *           anonymous store, made once by VEXFS_IOC_SET_VECTOR_META; it is let go when the descriptor is closed.
 *           ENOTCONN: neither was done yet; EBUSY: one of them was.
 * Errors    EINVAL for sizes, flags, padding and versions that cannot be, before anything is done; EFAULT for
 *           addresses; EBADF for a file that is not open for writing; ENOTTY for what is no request. The kernel
 *           module's are listed in docs/kernel.md. */
#ifndef VEX_UAPI_VEXFS_H
#define VEX_UAPI_VEXFS_H

#include <linux/ioctl.h>
#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/stddef.h>
#define VEXFS_USER __user
#else
#include <stddef.h>
#define VEXFS_USER
#endif

#define VEXFS_DEVICE    "/dev/vexfs_v2_phase3"
#define VEXFS_IOC_MAGIC 'V'

/* Element types. The public numbers, and one of ours. */
#define VEXFS_VECTOR_FLOAT32 0x01
#define VEXFS_VECTOR_FLOAT16 0x02
#define VEXFS_VECTOR_INT8    0x03
#define VEXFS_VECTOR_BINARY  0x04
#define VEXFS_VECTOR_UINT8   0x10

/* Distances; smaller is nearer. 0 to 2 are the public search types. L2 is squared, DOT and COSINE are negated
 * products (cosine over vectors of unit length), L1 is the sum of absolute differences. */
#define VEXFS_SEARCH_EUCLIDEAN   0x00
#define VEXFS_SEARCH_COSINE      0x01
#define VEXFS_SEARCH_DOT_PRODUCT 0x02
#define VEXFS_SEARCH_MANHATTAN   0x03

#define VEXFS_STORAGE_DENSE      0x00
#define VEXFS_STORAGE_SPARSE     0x01
#define VEXFS_STORAGE_COMPRESSED 0x02

#define VEXFS_COMPRESS_NONE 0x00

#define VEXFS_INSERT_OVERWRITE 0x01
#define VEXFS_INSERT_APPEND    0x02
#define VEXFS_INSERT_VALIDATE  0x04

/* ---- The public requests ----
 *
 * Usable alone. On a fresh descriptor SET_VECTOR_META makes an anonymous store: vectors in memory, each with an id of
 * 64 bits, gone when the descriptor is closed. On an attached file (below) the other three work too, and a vector's id
 * is the number of its slot. */

/* SET: dimensions and element_type; storage_format DENSE and compression_type NONE (others: EOPNOTSUPP); data_offset 0
 * or 4096, index_offset 0, alignment_bytes 0 or 32; vector_count is a hint that nobody needs. GET: what is there. */
struct vexfs_vector_file_info {
    __u32 dimensions;
    __u32 element_type;
    __u32 vector_count;
    __u32 storage_format;
    __u64 data_offset;
    __u64 index_offset;
    __u32 compression_type;
    __u32 alignment_bytes;
};

/* The exact k nearest, nearest first, equal distances in the order of insertion. Of the results only the first
 * result_count are written. Values and distances are the bit patterns of floats, whatever the element type. */
struct vexfs_vector_search_request {
    __u32 VEXFS_USER *query_vector_bits; /* in: dimensions values */
    __u32 dimensions;
    __u32 k;
    __u32 search_type;
    __u32 reserved0;
    __u32 VEXFS_USER *results_bits; /* out: k distances, nearest first */
    __u64 VEXFS_USER *result_ids;   /* out: k ids */
    __u32 result_count;             /* out */
    __u32 reserved1;
};

/* All of the vectors or none; their values are bit patterns of floats, rounded to the element type.
 * Ids that are not there yet are appended in their order, with NULL running ids from one past the greatest so far. An id
 * that is there, or comes twice: EEXIST, or with OVERWRITE it is replaced, the last one counts. APPEND says what is so
 * without it: no overwriting (both: EINVAL). VALIDATE: EINVAL for NaN and infinities.
 * On an attached file an id must be the slot its vector gets: the next one, or with OVERWRITE any up to it (EINVAL). */
struct vexfs_batch_insert_request {
    __u32 VEXFS_USER *vectors_bits; /* in: vector_count x dimensions values */
    __u32 vector_count;
    __u32 dimensions;
    __u64 VEXFS_USER *vector_ids; /* in: vector_count ids, or NULL */
    __u32 flags;
    __u32 reserved0;
};

#define VEXFS_IOC_SET_VECTOR_META _IOW(VEXFS_IOC_MAGIC, 1, struct vexfs_vector_file_info)
#define VEXFS_IOC_GET_VECTOR_META _IOR(VEXFS_IOC_MAGIC, 2, struct vexfs_vector_file_info)
#define VEXFS_IOC_VECTOR_SEARCH   _IOWR(VEXFS_IOC_MAGIC, 3, struct vexfs_vector_search_request)
#define VEXFS_IOC_BATCH_INSERT    _IOW(VEXFS_IOC_MAGIC, 4, struct vexfs_batch_insert_request)

/* ---- The slot requests ---- */

#define VEXFS_ABI_VERSION 1

/* Bounds that every server of the requests keeps. */
#define VEXFS_DIMENSIONS_MAX 65536
#define VEXFS_QUERIES_MAX    1024
#define VEXFS_HEADER_SIZE    4096
#define VEXFS_STRIDE_ALIGN   32

/* Which requests exist: asked for on a fresh descriptor, before anything else. */
struct vexfs_caps {
    __u32 version;        /* in: the caller's; out: the server's */
    __u32 requests;       /* out: bit (number - 16) for each request served */
    __u32 elements;       /* out: bit VEXFS_VECTOR_* for each element type served */
    __u32 distances;      /* out: bit VEXFS_SEARCH_* */
    __u32 dimensions_max; /* out */
    __u32 queries_max;    /* out */
    __u32 reserved[2];
};

#define VEXFS_ATTACH_CREATE (1u << 0) /* write a fresh header; what the file held is dropped */

/* Binds a backing file to this descriptor: a regular one, open for reading, and for writing if slots will be written.
 * What a request may do to it is what its descriptor may. EINVAL: not this geometry; EUCLEAN: not a sound vector file. */
struct vexfs_attach {
    __u32 version;
    __s32 fd; /* of the backing file, open for what will be asked */
    __u32 dimensions;
    __u32 element_type;
    __u32 flags;
    __u32 stride; /* out: bytes a slot */
    __u64 slots;  /* out: slots the file holds */
};

/* WRITE: count x stride bytes to slots [first, first + count). */
struct vexfs_write {
    __u32 version;
    __u32 first;
    __u32 count;
    __u32 reserved0;
    __u64 data; /* in: bytes */
};

/* READ and CLEAR: slots by number. CLEAR writes zeros and takes no data. */
struct vexfs_slots {
    __u32 version;
    __u32 count;
    __u64 slots; /* in: count x u32 */
    __u64 data;  /* out, READ: count x stride bytes */
};

/* SCAN: the next allowed slots from cursor on, with their bytes. */
struct vexfs_scan {
    __u32 version;
    __u32 cursor; /* in and out; 0 at first */
    __u32 end;    /* slots from here on are not wanted */
    __u32 max;    /* slots that fit the results */
    __u64 allow;  /* in: bitmap of u64 words, bit i for slot i; 0: all */
    __u64 slots;  /* out: max x u32 */
    __u64 data;   /* out: max x stride bytes */
    __u32 count;  /* out; 0: done */
    __u32 reserved0;
};

struct vexfs_hit {
    __u32 distance_bits;
    __u32 slot;
};

/* SEARCH: the exact k nearest of each query, nearest first, equal distances by slot. */
struct vexfs_search {
    __u32 version;
    __u32 count; /* queries */
    __u32 k;
    __u32 distance; /* VEXFS_SEARCH_* */
    __u32 first;    /* range [first, first + slots) */
    __u32 slots;
    __u64 queries;   /* in: count x dimensions x u32 */
    __u64 allow;     /* in: bitmap as in SCAN; 0: all of the range */
    __u64 hits;      /* out: count x k x struct vexfs_hit */
    __u64 found;     /* out: count x u32 */
    __u64 cancelled; /* in: an int looked at now and then, non-zero gives ECANCELED; 0: none */
};

/* SYNC and, with slots, TRUNCATE: to no more slots than there are. */
struct vexfs_length {
    __u32 version;
    __u32 reserved0;
    __u64 slots; /* TRUNCATE: slots to keep; SYNC: 0 */
};

struct vexfs_stats {
    __u32 version;
    __u32 reserved0;
    __u64 requests; /* out, of this descriptor */
    __u64 bytes_read;
    __u64 bytes_written;
    __u64 slots;
};

#define VEXFS_NR_ATTACH   16
#define VEXFS_NR_WRITE    17
#define VEXFS_NR_READ     18
#define VEXFS_NR_SCAN     19
#define VEXFS_NR_SEARCH   20
#define VEXFS_NR_CLEAR    21
#define VEXFS_NR_SYNC     22
#define VEXFS_NR_TRUNCATE 23
#define VEXFS_NR_STATS    24
#define VEXFS_NR_CAPS     25

#define VEXFS_IOC_ATTACH   _IOWR(VEXFS_IOC_MAGIC, VEXFS_NR_ATTACH, struct vexfs_attach)
#define VEXFS_IOC_WRITE    _IOW(VEXFS_IOC_MAGIC, VEXFS_NR_WRITE, struct vexfs_write)
#define VEXFS_IOC_READ     _IOW(VEXFS_IOC_MAGIC, VEXFS_NR_READ, struct vexfs_slots)
#define VEXFS_IOC_SCAN     _IOWR(VEXFS_IOC_MAGIC, VEXFS_NR_SCAN, struct vexfs_scan)
#define VEXFS_IOC_SEARCH   _IOW(VEXFS_IOC_MAGIC, VEXFS_NR_SEARCH, struct vexfs_search)
#define VEXFS_IOC_CLEAR    _IOW(VEXFS_IOC_MAGIC, VEXFS_NR_CLEAR, struct vexfs_slots)
#define VEXFS_IOC_SYNC     _IOW(VEXFS_IOC_MAGIC, VEXFS_NR_SYNC, struct vexfs_length)
#define VEXFS_IOC_TRUNCATE _IOW(VEXFS_IOC_MAGIC, VEXFS_NR_TRUNCATE, struct vexfs_length)
#define VEXFS_IOC_STATS    _IOWR(VEXFS_IOC_MAGIC, VEXFS_NR_STATS, struct vexfs_stats)
#define VEXFS_IOC_CAPS     _IOWR(VEXFS_IOC_MAGIC, VEXFS_NR_CAPS, struct vexfs_caps)

#define VEXFS_REQUESTS_ALL ((1u << (VEXFS_NR_CAPS - VEXFS_NR_ATTACH + 1)) - 1)

/* ---- Frozen layout ---- */

#define VEXFS_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "size of " #type)
#define VEXFS_AT(type, field, offset)                                                                        \
    _Static_assert(offsetof(struct type, field) == (offset), "offset of " #type "." #field)

VEXFS_SIZE(vexfs_vector_file_info, 40);
VEXFS_AT(vexfs_vector_file_info, dimensions, 0);
VEXFS_AT(vexfs_vector_file_info, element_type, 4);
VEXFS_AT(vexfs_vector_file_info, vector_count, 8);
VEXFS_AT(vexfs_vector_file_info, storage_format, 12);
VEXFS_AT(vexfs_vector_file_info, data_offset, 16);
VEXFS_AT(vexfs_vector_file_info, index_offset, 24);
VEXFS_AT(vexfs_vector_file_info, compression_type, 32);
VEXFS_AT(vexfs_vector_file_info, alignment_bytes, 36);

VEXFS_SIZE(vexfs_vector_search_request, 48);
VEXFS_AT(vexfs_vector_search_request, query_vector_bits, 0);
VEXFS_AT(vexfs_vector_search_request, dimensions, 8);
VEXFS_AT(vexfs_vector_search_request, k, 12);
VEXFS_AT(vexfs_vector_search_request, search_type, 16);
VEXFS_AT(vexfs_vector_search_request, reserved0, 20);
VEXFS_AT(vexfs_vector_search_request, results_bits, 24);
VEXFS_AT(vexfs_vector_search_request, result_ids, 32);
VEXFS_AT(vexfs_vector_search_request, result_count, 40);
VEXFS_AT(vexfs_vector_search_request, reserved1, 44);

VEXFS_SIZE(vexfs_batch_insert_request, 32);
VEXFS_AT(vexfs_batch_insert_request, vectors_bits, 0);
VEXFS_AT(vexfs_batch_insert_request, vector_count, 8);
VEXFS_AT(vexfs_batch_insert_request, dimensions, 12);
VEXFS_AT(vexfs_batch_insert_request, vector_ids, 16);
VEXFS_AT(vexfs_batch_insert_request, flags, 24);
VEXFS_AT(vexfs_batch_insert_request, reserved0, 28);

VEXFS_SIZE(vexfs_caps, 32);
VEXFS_AT(vexfs_caps, version, 0);
VEXFS_AT(vexfs_caps, requests, 4);
VEXFS_AT(vexfs_caps, elements, 8);
VEXFS_AT(vexfs_caps, distances, 12);
VEXFS_AT(vexfs_caps, dimensions_max, 16);
VEXFS_AT(vexfs_caps, queries_max, 20);
VEXFS_AT(vexfs_caps, reserved, 24);

VEXFS_SIZE(vexfs_attach, 32);
VEXFS_AT(vexfs_attach, version, 0);
VEXFS_AT(vexfs_attach, fd, 4);
VEXFS_AT(vexfs_attach, dimensions, 8);
VEXFS_AT(vexfs_attach, element_type, 12);
VEXFS_AT(vexfs_attach, flags, 16);
VEXFS_AT(vexfs_attach, stride, 20);
VEXFS_AT(vexfs_attach, slots, 24);

VEXFS_SIZE(vexfs_write, 24);
VEXFS_AT(vexfs_write, version, 0);
VEXFS_AT(vexfs_write, first, 4);
VEXFS_AT(vexfs_write, count, 8);
VEXFS_AT(vexfs_write, reserved0, 12);
VEXFS_AT(vexfs_write, data, 16);

VEXFS_SIZE(vexfs_slots, 24);
VEXFS_AT(vexfs_slots, version, 0);
VEXFS_AT(vexfs_slots, count, 4);
VEXFS_AT(vexfs_slots, slots, 8);
VEXFS_AT(vexfs_slots, data, 16);

VEXFS_SIZE(vexfs_scan, 48);
VEXFS_AT(vexfs_scan, version, 0);
VEXFS_AT(vexfs_scan, cursor, 4);
VEXFS_AT(vexfs_scan, end, 8);
VEXFS_AT(vexfs_scan, max, 12);
VEXFS_AT(vexfs_scan, allow, 16);
VEXFS_AT(vexfs_scan, slots, 24);
VEXFS_AT(vexfs_scan, data, 32);
VEXFS_AT(vexfs_scan, count, 40);
VEXFS_AT(vexfs_scan, reserved0, 44);

VEXFS_SIZE(vexfs_hit, 8);
VEXFS_AT(vexfs_hit, distance_bits, 0);
VEXFS_AT(vexfs_hit, slot, 4);

VEXFS_SIZE(vexfs_search, 64);
VEXFS_AT(vexfs_search, version, 0);
VEXFS_AT(vexfs_search, count, 4);
VEXFS_AT(vexfs_search, k, 8);
VEXFS_AT(vexfs_search, distance, 12);
VEXFS_AT(vexfs_search, first, 16);
VEXFS_AT(vexfs_search, slots, 20);
VEXFS_AT(vexfs_search, queries, 24);
VEXFS_AT(vexfs_search, allow, 32);
VEXFS_AT(vexfs_search, hits, 40);
VEXFS_AT(vexfs_search, found, 48);
VEXFS_AT(vexfs_search, cancelled, 56);

VEXFS_SIZE(vexfs_length, 16);
VEXFS_AT(vexfs_length, version, 0);
VEXFS_AT(vexfs_length, reserved0, 4);
VEXFS_AT(vexfs_length, slots, 8);

VEXFS_SIZE(vexfs_stats, 40);
VEXFS_AT(vexfs_stats, version, 0);
VEXFS_AT(vexfs_stats, reserved0, 4);
VEXFS_AT(vexfs_stats, requests, 8);
VEXFS_AT(vexfs_stats, bytes_read, 16);
VEXFS_AT(vexfs_stats, bytes_written, 24);
VEXFS_AT(vexfs_stats, slots, 32);

#endif
