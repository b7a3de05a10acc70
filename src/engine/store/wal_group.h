/* A group: records on their way to the disk in one go. Private to the log.
 *
 * Small records are copied into one buffer, so that a group is one write; the body of a large one is written
 * from the caller's memory. The log has two groups: appends fill one under the log mutex while the log thread
 * writes the other. */
#ifndef VEX_ENGINE_STORE_WAL_GROUP_H
#define VEX_ENGINE_STORE_WAL_GROUP_H

#include "engine/store/wal.h"
#include "engine/store/wal_segment.h"

/* Bodies from here on are not copied. */
#define WAL_DIRECT_BYTES (128u << 10)

/* One contiguous piece of a file. */
struct wal_span {
    struct wal_segment *seg;
    uint64_t at;      /* in the file */
    const void *body; /* NULL: in the group's buffer */
    size_t off, len;  /* in the buffer */
};

struct wal_group {
    char *data;
    size_t len, cap;
    struct wal_span *spans;
    size_t span_count, span_cap;
    struct vex_wal_entry *first, *last;
    uint64_t last_seq, bytes;
};

void wal_group_done(struct wal_group *group);
/* Makes room for one record and a segment's header; false when out of memory. */
bool wal_group_reserve(struct wal_group *group, const struct vex_wal_entry *entry);
/* These need room reserved. The segment's header block, when the log moves on to it: */
void wal_group_add_header(struct wal_group *group, struct wal_segment *seg, uint64_t durable);
/* The record; advances the end of the segment. */
void wal_group_add(struct wal_group *group, struct wal_segment *seg, struct vex_wal_entry *entry,
                   uint32_t body_crc, uint64_t durable);
/* Writes all and marks the segments dirty; 0 or a negative errno. */
int wal_group_write(struct vex_io *io, struct wal_group *group);
void wal_group_clear(struct wal_group *group); /* keeps up to 4 MB of memory */

#endif
