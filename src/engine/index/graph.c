/* Life and memory of a graph. See graph.h. */
#include "engine/index/graph.h"

#include "base/mem.h"
#include "engine/index/ivf_private.h"
#include "uapi/dist.h"

static uint32_t within(uint32_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

struct vex_graph *vex_graph_new(const struct vex_graph_params *params)
{
    struct vex_graph *graph = VEX_NEW(struct vex_graph);

    graph->params = *params;
    graph->params.m = within(params->m, 2, VEX_GRAPH_M_MAX);
    graph->params.ef_construct = within(params->ef_construct, 4, VEX_GRAPH_EF_MAX);
    graph->degree = (2 * graph->params.m + 15) / 16 * 16; /* whole cache lines */
    vex_codes_init(&graph->codes, params->dimensions, params->distance, &params->codes);
    pthread_mutex_init(&graph->entry_lock, NULL);
    return graph;
}

void vex_graph_free(struct vex_graph *graph)
{
    if (graph == NULL)
        return;
    vex_huge_free(&graph->code_memory);
    vex_huge_free(&graph->link_memory);
    vex_mem_free((void *)graph->locks);
    vex_mem_free((void *)graph->linked);
    graph_entries_free(atomic_load_explicit(&graph->entries, memory_order_acquire));
    vex_graph_lists_drop(graph);
    vex_codes_done(&graph->codes);
    pthread_mutex_destroy(&graph->entry_lock);
    vex_mem_free(graph);
}

const struct vex_graph_params *vex_graph_params(const struct vex_graph *graph)
{
    return &graph->params;
}

uint32_t vex_graph_count(const struct vex_graph *graph)
{
    return atomic_load_explicit(&graph->count, memory_order_relaxed);
}

uint32_t vex_graph_slots(const struct vex_graph *graph)
{
    return graph->slots;
}

bool vex_graph_has(const struct vex_graph *graph, uint32_t slot)
{
    return slot < graph->slots && graph_is_linked(graph, slot);
}

uint64_t vex_graph_bytes(const struct vex_graph *graph)
{
    const struct graph_entries *entries = atomic_load_explicit(&graph->entries, memory_order_acquire);
    uint64_t bytes =
        sizeof *graph + graph->code_memory.size + graph->link_memory.size + graph->slots + graph->slots / 8;

    for (; entries != NULL; entries = entries->older)
        bytes += sizeof *entries + (uint64_t)entries->count * (graph->codes.stride + sizeof *entries->slots);
    return bytes + ivf_bytes(atomic_load_explicit(&graph->ivf, memory_order_acquire)) +
           ivf_bytes(atomic_load_explicit(&graph->ivf_next, memory_order_acquire)) +
           ivf_bytes(atomic_load_explicit(&graph->ivf_old, memory_order_acquire));
}

void vex_graph_train(struct vex_graph *graph, const float *sample, size_t count)
{
    size_t size = graph->params.dimensions;
    float *units;

    if (!graph->params.normalise) {
        vex_codes_train(&graph->codes, sample, count);
        return;
    }
    units = vex_mem_alloc((count * size + 1) * sizeof *units);
    memcpy(units, sample, count * size * sizeof *units);
    for (size_t i = 0; i < count; i++)
        vex_dist_normalise(units + i * size, size);
    vex_codes_train(&graph->codes, units, count);
    vex_mem_free(units);
}

bool vex_graph_trained(const struct vex_graph *graph)
{
    return graph->codes.scale > 0;
}

bool vex_graph_fits(const struct vex_graph *graph, const float *vector)
{
    return vex_codes_fit(&graph->codes, graph_scratch_unit(graph, graph_scratch(graph, 1), vector));
}

/* Locks and bits for `cap` slots; those there are move. */
static bool grow_maps(struct vex_graph *graph, uint32_t cap)
{
    _Atomic uint8_t *locks = vex_mem_try(cap);
    _Atomic uint64_t *linked = vex_mem_try(cap / 8);

    if (locks == NULL || linked == NULL) {
        vex_mem_free((void *)locks);
        vex_mem_free((void *)linked);
        return false;
    }
    memset((void *)locks, 0, cap); /* nobody holds one: growing is exclusive */
    memset((void *)linked, 0, cap / 8);
    if (graph->slots > 0)
        memcpy((void *)linked, (const void *)graph->linked, graph->slots / 8);
    vex_mem_free((void *)graph->locks);
    vex_mem_free((void *)graph->linked);
    graph->locks = locks;
    graph->linked = linked;
    return true;
}

int vex_graph_reserve(struct vex_graph *graph, uint32_t slots)
{
    struct graph_entries *entries = atomic_load_explicit(&graph->entries, memory_order_acquire);
    uint32_t cap;

    if (entries != NULL) { /* nobody reads now */
        graph_entries_free(entries->older);
        entries->older = NULL;
    }
    ivf_free(atomic_exchange(&graph->ivf_old, NULL));
    if (slots <= graph->slots)
        return 0;
    if (slots > UINT32_MAX - UINT32_MAX / 8)
        return VEX_ENO_MEMORY;
    cap = (slots + slots / 8 + 63) & ~63u;
    if (!vex_huge_grow(&graph->code_memory, (size_t)cap * graph->codes.stride) ||
        !vex_huge_grow(&graph->link_memory, (size_t)cap * graph->degree * sizeof(uint32_t)) ||
        !grow_maps(graph, cap))
        return VEX_ENO_MEMORY;
    memset((void *)graph_links(graph, graph->slots), 0xff,
           (size_t)(cap - graph->slots) * graph->degree * sizeof(uint32_t));
    graph->slots = cap;
    return 0;
}

void vex_graph_put(struct vex_graph *graph, uint32_t slot, const float *vector)
{
    if (graph->params.normalise || graph->params.codes.kind != VEX_CODES_7_BITS) {
        struct graph_scratch *s = graph_scratch(graph, 1);
        vector = graph_scratch_unit(graph, s, vector);
        if (graph->params.codes.kind != VEX_CODES_7_BITS)
            graph_scratch_note_put(graph, s, slot, vector);
    }
    vex_codes_encode(&graph->codes, vector, graph_code(graph, slot));
}

void vex_graph_drop(struct vex_graph *graph, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << (slot % 64);
    uint32_t count;

    if ((atomic_fetch_and_explicit(&graph->linked[slot / 64], ~bit, memory_order_acq_rel) & bit) == 0)
        return;
    count = atomic_fetch_sub_explicit(&graph->count, 1, memory_order_relaxed) - 1;
    graph_entries_remove(graph, slot);
    graph_lists_remove(graph, slot);
    graph_entries_follow(graph, count);
}

bool vex_graph_settle(struct vex_graph *graph, char **spare)
{
    return vex_huge_settle(&graph->code_memory, spare) || vex_huge_settle(&graph->link_memory, spare);
}
