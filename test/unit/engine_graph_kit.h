/* What must hold of the graphs of a collection at any time, looked at from inside. */
#ifndef VEX_TEST_ENGINE_GRAPH_KIT_H
#define VEX_TEST_ENGINE_GRAPH_KIT_H

#include "unit/engine_kit.h"

#include "engine/graph_set_private.h"

static inline bool kit_graph_fault(char *why, size_t size, const char *what, uint8_t ordinal, uint64_t number)
{
    snprintf(why, size, "graph of vector %u: %s %llu", ordinal, what, (unsigned long long)number);
    return false;
}

/* A live slot is linked with the code of its vector, or in the tail. `idle`: nothing works on it, so that counts are right too. */
static inline bool kit_graph_part_right(const struct vex_collection_data *data, uint8_t ordinal,
                                        const struct vex_graph_part *part, uint32_t dimensions, bool idle,
                                        char *why, size_t size)
{
    const uint64_t *present = vex_rows_present(data->rows, ordinal);
    uint64_t tail = 0, dead = 0, doubtful = 0;
    float *vector = vex_mem_alloc(dimensions * sizeof *vector);
    bool right = true;

    for (uint32_t slot = 0; slot < vex_graph_slots(part->graph) && right; slot++) {
        bool live = present != NULL && slot < vex_rows_slots(data->rows) &&
                    (present[slot / 64] >> (slot % 64) & 1) != 0;
        bool waits = (__atomic_load_n(&part->tail[slot / 64], __ATOMIC_ACQUIRE) >> (slot % 64) & 1) != 0;
        bool linked = vex_graph_has(part->graph, slot);

        tail += waits;
        dead += linked && !live;
        doubtful += linked && live && waits;
        if (live && !linked && !waits)
            right = kit_graph_fault(why, size, "nobody finds slot", ordinal, slot);
        if (!right || !live || waits)
            continue;
        right = vex_vectors_read(data->vectors, ordinal, slot, vector) == 0 &&
                vex_graph_holds(part->graph, slot, vector);
        if (!right)
            kit_graph_fault(why, size, "another vector's code in slot", ordinal, slot);
    }
    vex_mem_free(vector);
    if (right && idle && tail != part->tail_count)
        right = kit_graph_fault(why, size, "a wrong count of the tail, which is", ordinal, tail);
    if (right && idle && dead != part->dead)
        right = kit_graph_fault(why, size, "a wrong count of the dead, who are", ordinal, dead);
    if (right && idle && doubtful != part->doubtful)
        right = kit_graph_fault(why, size, "a wrong count of doubts, which are", ordinal, doubtful);
    return right;
}

static inline bool kit_graphs_right(struct vex_collection *collection, bool idle, char *why, size_t size)
{
    struct vex_collection_data data;
    struct vex_err err;
    bool right = true;

    if (vex_collection_read_begin(collection, &data, &err) != 0) {
        snprintf(why, size, "%.80s", err.text);
        return false;
    }
    for (uint32_t i = 0; i < data.graphs->count && right; i++) {
        const struct vex_graph_entry *entry = data.graphs->entries[i];

        if (entry->now.graph != NULL)
            right = kit_graph_part_right(&data, entry->ordinal, &entry->now, entry->size, idle, why, size);
        if (entry->next.graph != NULL && right)
            right = kit_graph_part_right(&data, entry->ordinal, &entry->next, entry->size, idle, why, size);
    }
    vex_collection_read_end(collection);
    return right;
}

#endif
