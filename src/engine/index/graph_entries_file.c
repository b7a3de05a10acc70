/* The table of entries in the head of a graph's image: walks begin after a restart where they began before it.
 *
 * Format    Counts of linked slots that call for another table, below and from (u32 each); groups u32, 0: there is no table; entries of
 *           each group u32; slots u32, group by group, the pivot first. Entries that are gone are left out, but of a group that has
 *           lost all, one stays: VEX_SLOT_NONE's value.
 * Codes     are taken from the image: an entry's slot has the code that it had when the table was drawn. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/graph_private.h"

/* The living entries of a group. */
static uint32_t add_group(const struct graph_entries *entries, uint32_t g, struct vex_buf *out)
{
    uint32_t count = 0;

    for (uint32_t i = entries->begins[g]; i < entries->begins[g + 1]; i++) {
        uint32_t slot = atomic_load_explicit(&entries->slots[i], memory_order_relaxed);
        if (slot == NO_SLOT)
            continue;
        vex_buf_add_u32(out, slot);
        count++;
    }
    if (count > 0)
        return count;
    vex_buf_add_u32(out, NO_SLOT);
    return 1;
}

void graph_entries_save(const struct vex_graph *graph, struct vex_buf *out)
{
    const struct graph_entries *entries = atomic_load_explicit(&graph->entries, memory_order_acquire);
    uint32_t groups = entries != NULL ? entries->groups : 0, counts[GRAPH_GROUPS_MAX] = {0};
    size_t at;

    vex_buf_add_u32(out, atomic_load_explicit(&graph->entries_low, memory_order_relaxed));
    vex_buf_add_u32(out, atomic_load_explicit(&graph->entries_high, memory_order_relaxed));
    vex_buf_add_u32(out, groups);
    at = out->len;
    vex_buf_add(out, counts, groups * sizeof *counts);
    for (uint32_t g = 0; g < groups; g++)
        counts[g] = add_group(entries, g, out);
    memcpy(out->ptr + at, counts, groups * sizeof *counts);
}

/* Where the groups begin; 0: it can't be so. */
static uint32_t read_groups(struct vex_cursor *c, uint32_t groups, uint32_t *begins)
{
    bool right = true;

    for (uint32_t g = 0; g < groups; g++) {
        uint32_t count = vex_cursor_u32(c);

        right = right && count > 0 && count <= GRAPH_ENTRIES_MAX - begins[g];
        begins[g + 1] = begins[g] + (right ? count : 0);
    }
    return right && !c->bad ? begins[groups] : 0;
}

static int in_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* By rising slots: nothing of the image was touched yet, and what follows is read with what is. */
static void take_codes(const struct vex_graph *graph, struct graph_entries *entries)
{
    uint64_t places[GRAPH_ENTRIES_MAX];
    size_t stride = graph->codes.stride;
    uint32_t count = 0;

    for (uint32_t i = 0; i < entries->count; i++) {
        uint32_t slot = atomic_load_explicit(&entries->slots[i], memory_order_relaxed);
        if (slot != NO_SLOT)
            places[count++] = (uint64_t)slot << 32 | i;
        else
            memset(entries->codes + i * stride, 0, stride);
    }
    qsort(places, count, sizeof *places, in_order);
    for (uint32_t i = 0; i < count; i++)
        memcpy(entries->codes + (size_t)(uint32_t)places[i] * stride,
               graph_code(graph, (uint32_t)(places[i] >> 32)), stride);
}

static void read_slots(const struct vex_graph *graph, struct vex_cursor *c, struct graph_entries *entries)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        uint32_t slot = vex_cursor_u32(c);

        if (slot >= graph->slots || !graph_is_linked(graph, slot))
            slot = NO_SLOT; /* the table was a moment older than the bitmap */
        atomic_init(&entries->slots[i], slot);
    }
}

bool graph_entries_load(struct vex_graph *graph, struct vex_cursor *c)
{
    uint32_t low = vex_cursor_u32(c), high = vex_cursor_u32(c), groups = vex_cursor_u32(c), count;
    uint32_t begins[GRAPH_GROUPS_MAX + 1] = {0};
    struct graph_entries *entries;

    if (groups == 0)
        return !c->bad;
    if (groups > GRAPH_GROUPS_MAX || (groups & (groups - 1)) != 0 || groups == 2)
        return false;
    count = read_groups(c, groups, begins);
    if (count == 0 || vex_cursor_left(c) < count * sizeof(uint32_t))
        return false;
    entries = graph_entries_new(count, groups, graph->codes.stride);
    memcpy(entries->begins, begins, (groups + 1) * sizeof *begins);
    read_slots(graph, c, entries);
    take_codes(graph, entries);
    atomic_store_explicit(&graph->entries_low, low, memory_order_relaxed);
    atomic_store_explicit(&graph->entries_high, high, memory_order_relaxed);
    atomic_store_explicit(&graph->entries, entries, memory_order_release);
    return true;
}
