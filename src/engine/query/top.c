/* The best k of a stream. See top.h. */
#include "engine/query/top.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"

bool vex_scored_before(const struct vex_rows *rows, bool larger, const struct vex_scored *a,
                       const struct vex_scored *b)
{
    if (a->score != b->score)
        return larger ? a->score > b->score : a->score < b->score;
    struct vex_id ia = vex_rows_id(rows, a->slot), ib = vex_rows_id(rows, b->slot);
    return vex_id_cmp(&ia, &ib) < 0;
}

/* Moves entry `at` down until none below it comes later in an answer. */
static void sink(const struct vex_rows *rows, bool larger, struct vex_scored *entries, uint64_t count,
                 uint64_t at)
{
    struct vex_scored entry = entries[at];
    for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && vex_scored_before(rows, larger, &entries[child], &entries[child + 1]))
            child++;
        if (!vex_scored_before(rows, larger, &entry, &entries[child]))
            break;
        entries[at] = entries[child];
    }
    entries[at] = entry;
}

static void rise(struct vex_top *top, uint64_t at)
{
    struct vex_scored entry = top->entries[at];
    while (at > 0) {
        uint64_t parent = (at - 1) / 2;
        if (!vex_scored_before(top->rows, top->larger, &top->entries[parent], &entry))
            break;
        top->entries[at] = top->entries[parent];
        at = parent;
    }
    top->entries[at] = entry;
}

static void unheap(const struct vex_rows *rows, bool larger, struct vex_scored *entries, uint64_t count)
{
    for (uint64_t left = count; left > 1;) {
        struct vex_scored last = entries[--left];
        entries[left] = entries[0];
        entries[0] = last;
        sink(rows, larger, entries, left, 0);
    }
}

void vex_top_init(struct vex_top *top, const struct vex_rows *rows, bool larger, uint64_t limit)
{
    *top = (struct vex_top){.rows = rows, .larger = larger, .limit = limit};
}

void vex_top_done(struct vex_top *top)
{
    vex_mem_free(top->entries);
    top->entries = NULL;
    top->count = top->cap = 0;
}

static int grow(struct vex_top *top)
{
    uint64_t cap = top->cap != 0 ? top->cap * 2 : 32;
    struct vex_scored *entries = vex_mem_try(cap * sizeof *entries);
    if (entries == NULL)
        return VEX_ENO_MEMORY;
    if (top->count > 0)
        memcpy(entries, top->entries, top->count * sizeof *entries);
    vex_mem_free(top->entries);
    top->entries = entries;
    top->cap = cap;
    return 0;
}

int vex_top_offer(struct vex_top *top, float score, uint32_t slot)
{
    struct vex_scored entry = {isnan(score) ? (top->larger ? -INFINITY : INFINITY) : score, slot};
    if (top->limit == 0)
        return 0;
    if (top->count == top->limit) {
        if (vex_scored_before(top->rows, top->larger, &entry, &top->entries[0])) {
            top->entries[0] = entry;
            sink(top->rows, top->larger, top->entries, top->count, 0);
        }
        return 0;
    }
    if (top->count == top->cap) {
        int code = grow(top);
        if (code != 0)
            return code;
    }
    top->entries[top->count] = entry;
    rise(top, top->count++);
    return 0;
}

void vex_top_sort(struct vex_top *top)
{
    unheap(top->rows, top->larger, top->entries, top->count);
}

void vex_scored_sort(const struct vex_rows *rows, bool larger, struct vex_scored *entries, uint64_t count)
{
    for (uint64_t i = count / 2; i-- > 0;)
        sink(rows, larger, entries, count, i);
    unheap(rows, larger, entries, count);
}
