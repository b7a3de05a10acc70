/* Groups of records on their way to the disk. See wal_group.h. */
#include "engine/store/wal_group.h"

#include <stdlib.h>

#include "base/mem.h"

#define KEEP_BYTES (4u << 20)

void wal_group_done(struct wal_group *group)
{
    vex_mem_free(group->data);
    vex_mem_free(group->spans);
    memset(group, 0, sizeof *group);
}

static bool grow(void **ptr, size_t *cap, size_t need, size_t item)
{
    if (need <= *cap)
        return true;
    size_t want = *cap * 2 > need ? *cap * 2 : need;
    void *fresh = vex_mem_try(want * item);
    if (fresh == NULL)
        return false;
    if (*cap > 0)
        memcpy(fresh, *ptr, *cap * item);
    vex_mem_free(*ptr);
    *ptr = fresh;
    *cap = want;
    return true;
}

bool wal_group_reserve(struct wal_group *group, const struct vex_wal_entry *entry)
{
    size_t body = entry->len < WAL_DIRECT_BYTES ? entry->len : 0;
    size_t need = group->len + WAL_HEADER_BLOCK + sizeof(struct wal_record_header) + body + 8;
    void *data = group->data, *spans = group->spans;
    bool ok = grow(&data, &group->cap, need < 65536 ? 65536 : need, 1) &&
              grow(&spans, &group->span_cap, group->span_count + 4 < 16 ? 16 : group->span_count + 4,
                   sizeof *group->spans);
    group->data = data;
    group->spans = spans;
    return ok;
}

/* Appends bytes for a place in a file, joined to the span before when they follow it. */
static void add_bytes(struct wal_group *group, struct wal_segment *seg, uint64_t at, const void *data,
                      size_t len)
{
    if (len == 0)
        return;
    struct wal_span *last = group->span_count > 0 ? &group->spans[group->span_count - 1] : NULL;
    if (last != NULL && last->seg == seg && last->body == NULL && last->at + last->len == at &&
        last->off + last->len == group->len)
        last->len += len;
    else
        group->spans[group->span_count++] = (struct wal_span){seg, at, NULL, group->len, len};
    memcpy(group->data + group->len, data, len);
    group->len += len;
}

void wal_group_add_header(struct wal_group *group, struct wal_segment *seg, uint64_t durable)
{
    char block[WAL_HEADER_BLOCK];
    wal_segment_header_fill(seg, durable, block);
    add_bytes(group, seg, 0, block, sizeof block);
}

void wal_group_add(struct wal_group *group, struct wal_segment *seg, struct vex_wal_entry *entry,
                   uint32_t body_crc, uint64_t durable)
{
    static const char zeros[8];
    struct wal_record_header header = {
        .len = (uint32_t)entry->len,
        .kind = entry->kind,
        .seq = entry->seq,
        .collection = entry->collection,
        .durable = durable,
        .op = entry->op,
        .body_crc = body_crc,
    };
    header.header_crc = wal_record_crc(&header, seg->salt);
    uint64_t body_at = seg->end + sizeof header, bytes = wal_record_bytes(entry->len);
    add_bytes(group, seg, seg->end, &header, sizeof header);
    if (entry->len < WAL_DIRECT_BYTES)
        add_bytes(group, seg, body_at, entry->body, entry->len);
    else
        group->spans[group->span_count++] = (struct wal_span){seg, body_at, entry->body, 0, entry->len};
    add_bytes(group, seg, body_at + entry->len, zeros, (size_t)(bytes - sizeof header - entry->len));
    seg->end += bytes;
    entry->next = NULL;
    if (group->last != NULL)
        group->last->next = entry;
    else
        group->first = entry;
    group->last = entry;
    group->last_seq = entry->seq;
    group->bytes += bytes;
}

int wal_group_write(struct vex_io *io, struct wal_group *group)
{
    for (size_t i = 0; i < group->span_count; i++) {
        struct wal_span *span = &group->spans[i];
        const void *data = span->body != NULL ? span->body : group->data + span->off;
        span->seg->dirty = true;
        int r = vex_io_pwrite(io, span->seg->file, data, span->len, span->at);
        if (r != 0)
            return r;
    }
    return 0;
}

void wal_group_clear(struct wal_group *group)
{
    if (group->cap > KEEP_BYTES) {
        vex_mem_free(group->data);
        group->data = NULL;
        group->cap = 0;
    }
    group->len = group->span_count = 0;
    group->first = group->last = NULL;
    group->last_seq = group->bytes = 0;
}
