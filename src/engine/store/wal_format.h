/* Bytes of the log on disk; see docs/disk-format.md, "log". Private to the log.
 *
 * All numbers are little-endian. A segment is a header block of 4 KiB, then records at multiples of 8. The
 * header stands in the block twice, in different sectors, so that neither a torn rewrite nor one bad sector
 * loses it. */
#ifndef VEX_ENGINE_STORE_WAL_FORMAT_H
#define VEX_ENGINE_STORE_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/crc32c.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log is written by copying structs");

#define WAL_MAGIC        "VEXFSWAL"
#define WAL_VERSION      1u
#define WAL_HEADER_BLOCK 4096u
#define WAL_HEADER_COPY  2048u /* where the second header stands */

/* Made by recovery: it has its name only since all in it was durable. */
#define WAL_SEGMENT_COPY 1u

struct wal_segment_header {
    char magic[8];
    uint32_t version;
    uint32_t flags; /* WAL_SEGMENT_COPY */
    uint64_t number;
    uint64_t salt;      /* random, new with every use of the file */
    uint64_t first_seq; /* first sequence in it; 0: prepared, not yet used. Earlier segments end below it */
    uint64_t durable;   /* everything up to here was durable when this was written */
    uint64_t bytes;     /* size of the file */
    uint32_t reserved;
    uint32_t crc; /* of all before */
};
_Static_assert(sizeof(struct wal_segment_header) == 64, "segment header");

struct wal_record_header {
    uint32_t len;
    uint16_t kind;
    uint16_t flags; /* 0 */
    uint64_t seq;
    uint64_t collection;
    uint64_t durable; /* highest sequence known durable when this was written */
    uint64_t op;
    uint32_t body_crc;
    uint32_t header_crc; /* of all before, seeded with the segment's salt and the sequence */
};
_Static_assert(sizeof(struct wal_record_header) == 48, "record header");

/* Bytes a record takes, padding included. */
static inline uint64_t wal_record_bytes(uint64_t len)
{
    return (sizeof(struct wal_record_header) + len + 7) & ~(uint64_t)7;
}

static inline uint32_t wal_record_crc(const struct wal_record_header *header, uint64_t salt)
{
    uint64_t seed[2] = {salt, header->seq};
    return vex_crc32c(vex_crc32c(0, seed, sizeof seed), header,
                      offsetof(struct wal_record_header, header_crc));
}

/* Is this a header of the segment, with a body that ends before the file does? */
static inline bool wal_record_valid(const struct wal_record_header *header, uint64_t salt, uint64_t room)
{
    return header->flags == 0 && header->seq != 0 && header->durable < header->seq &&
           wal_record_bytes(header->len) <= room && header->header_crc == wal_record_crc(header, salt);
}

static inline void wal_segment_seal(struct wal_segment_header *header)
{
    memcpy(header->magic, WAL_MAGIC, sizeof header->magic);
    header->version = WAL_VERSION;
    header->crc = vex_crc32c(0, header, offsetof(struct wal_segment_header, crc));
}

static inline bool wal_segment_sealed(const struct wal_segment_header *header)
{
    return memcmp(header->magic, WAL_MAGIC, sizeof header->magic) == 0 &&
           header->crc == vex_crc32c(0, header, offsetof(struct wal_segment_header, crc));
}

#endif
