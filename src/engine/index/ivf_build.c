/* Building inverted files in pieces: k-means over a sample of codes, then every linked slot goes to its list. See ivf.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/ivf_private.h"

#define SAMPLES_PER_LIST 16u
#define ROUNDS           3u         /* of k-means */
#define PIECE_BYTES      (1u << 15) /* of slots' codes, in a piece */
#define PIECE_SLOTS      8192u      /* looked at */
#define WALK_EF          128u
#define MEASURE_PIECE    4u
#define OUTGROWN         2u /* when so many times as many are linked, or have been added, as it was made for */
#define SHRUNK           4u

/* Before any slot is added. */
static bool learn_begin(const struct vex_graph *graph, struct vex_ivf *ivf)
{
    struct ivf_training *training = VEX_NEW(struct ivf_training);
    uint32_t most = ivf->lists * SAMPLES_PER_LIST;

    ivf->training = training;
    training->sample = vex_mem_try(most * sizeof *training->sample);
    training->sums = vex_mem_try_zeroed((size_t)ivf->lists * ivf->stride * sizeof *training->sums);
    training->sizes = vex_mem_zalloc(ivf->lists * sizeof *training->sizes);
    if (training->sample == NULL || training->sums == NULL)
        return false;
    training->count = graph_draw_sample(graph, ivf->learnt_of, most, training->sample);
    if (training->count < ivf->lists)
        return false;
    for (uint32_t i = 0; i < ivf->lists; i++)
        memcpy(ivf_centroid(ivf, i),
               graph_code(graph, training->sample[(uint64_t)i * training->count / ivf->lists]), ivf->stride);
    training->step = IVF_LEARN_MEANS; /* of nothing: they stay */
    return true;
}

static void add_up(uint32_t *sum, const uint8_t *code, uint32_t stride)
{
    for (uint32_t i = 0; i < stride; i++)
        sum[i] += code[i];
}

static void set_mean(uint8_t *ret, const uint32_t *sum, uint32_t size, uint32_t stride)
{
    for (uint32_t i = 0; size > 0 && i < stride; i++)
        ret[i] = (uint8_t)((sum[i] + size / 2) / size);
}

static void assign_sample(const struct vex_graph *graph, struct vex_ivf *ivf, uint32_t slot)
{
    const uint8_t *code = graph_code(graph, slot);
    uint32_t list = ivf_nearest(ivf, code);

    add_up(ivf->training->sums + (size_t)list * ivf->stride, code, ivf->stride);
    ivf->training->sizes[list]++;
}

/* To the middle of what went to its list. */
static void move_centroid(struct vex_ivf *ivf, uint32_t list)
{
    uint32_t *sum = ivf->training->sums + (size_t)list * ivf->stride;

    set_mean(ivf_centroid(ivf, list), sum, ivf->training->sizes[list], ivf->stride);
    memset(sum, 0, ivf->stride * sizeof *sum);
    ivf->training->sizes[list] = 0;
}

/* The groups of lists in [from, to): the nearest pivot's. */
static void assign_groups(struct vex_ivf *ivf, uint32_t from, uint32_t to)
{
    uint8_t *group = ivf->training->group;

    for (uint32_t i = from; i < to; i++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t g = 0; g + 4 <= ivf->groups; g += 4) { /* a power of two */
            uint32_t distances[4];
            ivf_compare_row(ivf, ivf->four, ivf_centroid(ivf, i), ivf_pivot(ivf, g), distances);
            for (uint32_t j = 0; j < 4; j++)
                if (distances[j] < best) {
                    best = distances[j];
                    group[i] = (uint8_t)(g + j);
                }
        }
    }
}

static void begin_pivots(struct vex_ivf *ivf)
{
    for (uint32_t g = 0; g < ivf->groups; g++)
        memcpy(ivf_pivot(ivf, g), ivf_centroid(ivf, g * (ivf->lists / ivf->groups)), ivf->stride);
}

static void move_pivots(struct vex_ivf *ivf)
{
    uint32_t *sums = vex_mem_zalloc((size_t)ivf->groups * ivf->stride * sizeof *sums);
    uint32_t sizes[IVF_GROUPS_MAX] = {0};

    for (uint32_t i = 0; i < ivf->lists; i++) {
        uint32_t g = ivf->training->group[i];
        add_up(sums + (size_t)g * ivf->stride, ivf_centroid(ivf, i), ivf->stride);
        sizes[g]++;
    }
    for (uint32_t g = 0; g < ivf->groups; g++)
        set_mean(ivf_pivot(ivf, g), sums + (size_t)g * ivf->stride, sizes[g], ivf->stride);
    vex_mem_free(sums);
}

/* Lists in the order of their groups: before any slot is in one. */
static void order_lists(struct vex_ivf *ivf)
{
    const uint8_t *group = ivf->training->group;
    uint32_t at[IVF_GROUPS_MAX + 1] = {0};
    uint8_t *ordered = vex_mem_zalloc((size_t)(ivf->lists + IVF_BEHIND) * ivf->stride);

    for (uint32_t i = 0; i < ivf->lists; i++)
        at[group[i] + 1]++;
    for (uint32_t g = 0; g < ivf->groups; g++)
        at[g + 1] += at[g];
    memcpy(ivf->begins, at, (ivf->groups + 1) * sizeof *at);
    for (uint32_t i = 0; i < ivf->lists; i++)
        memcpy(ordered + (size_t)at[group[i]]++ * ivf->stride, ivf_centroid(ivf, i), ivf->stride);
    vex_mem_free(ivf->centroids);
    ivf->centroids = ordered;
}

/* The step is done with all samples or lists. True: centroids are what they will be. */
static bool next_step(struct vex_ivf *ivf)
{
    struct ivf_training *training = ivf->training;

    training->list = training->at = 0;
    switch (training->step) {
    case IVF_LEARN_ASSIGN:
        training->step = IVF_LEARN_MEANS;
        return false;
    case IVF_LEARN_MEANS:
        training->round++;
        if (ivf->groups > 1) {
            begin_pivots(ivf);
            training->step = IVF_LEARN_GROUPS;
            return false;
        }
        break;
    case IVF_LEARN_GROUPS:
        move_pivots(ivf);
        training->step = IVF_LEARN_GROUPS_AGAIN;
        return false;
    case IVF_LEARN_GROUPS_AGAIN:
        order_lists(ivf);
        break;
    }
    training->step = IVF_LEARN_ASSIGN;
    return training->round > ROUNDS;
}

static void learn_piece(const struct vex_graph *graph, struct vex_ivf *ivf)
{
    struct ivf_training *training = ivf->training;
    uint32_t some = PIECE_BYTES / ivf->stride + 1, count = ivf->lists, *at = &training->list, end;

    if (training->step == IVF_LEARN_ASSIGN) {
        count = training->count;
        at = &training->at;
    }
    end = *at + some < count ? *at + some : count;
    if (training->step >= IVF_LEARN_GROUPS)
        assign_groups(ivf, *at, end);
    for (; *at < end; ++*at)
        if (training->step == IVF_LEARN_ASSIGN)
            assign_sample(graph, ivf, training->sample[*at]);
        else if (training->step == IVF_LEARN_MEANS)
            move_centroid(ivf, *at);
    if (end < count || !next_step(ivf))
        return;
    ivf_training_free(training);
    ivf->training = NULL;
    atomic_store_explicit(&ivf->learnt, true, memory_order_release);
}

/* ---- measuring ---- */

/* How many centroids are nearer to a code than that of the slot's list. */
static uint32_t rank_of(const struct vex_ivf *ivf, const uint32_t *distances, uint32_t slot)
{
    uint32_t list = slot < ivf->slots ? atomic_load_explicit(&ivf->list_of[slot], memory_order_relaxed) : 0;
    uint32_t rank = 0, own;

    if (list == 0)
        return ivf->lists;
    own = distances[list - 1];
    for (uint32_t i = 0; i < ivf->lists; i++)
        rank += distances[i] < own;
    return rank;
}

/* Where the nearest of a sampled slot stand. */
static void measure_one(const struct vex_graph *graph, struct vex_ivf *ivf, uint32_t slot)
{
    struct graph_scratch *s = graph_scratch(graph, WALK_EF);
    struct ivf_measuring *measuring = ivf->measuring;
    const uint8_t *code = graph_code(graph, slot);
    uint32_t distances[IVF_LISTS_MAX + IVF_BEHIND], found = 0;

    for (uint32_t i = 0; i < ivf->lists; i += 4)
        ivf_compare_row(ivf, graph->codes.kernels.four, code, ivf_centroid(ivf, i), distances + i);
    graph_walk(graph, s, code, WALK_EF, NULL);
    for (uint32_t i = 0; i < s->beam_count && found < IVF_NEAREST; i++) {
        uint32_t near = graph_beam_slot(s->beam[i]);
        if (near == slot || !graph_is_linked(graph, near))
            continue;
        measuring->ranks[measuring->count++] = rank_of(ivf, distances, near);
        found++;
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* True: it is known. */
static bool measure_piece(const struct vex_graph *graph, struct vex_ivf *ivf)
{
    struct ivf_measuring *measuring = ivf->measuring;

    if (measuring == NULL) {
        measuring = ivf->measuring = VEX_NEW(struct ivf_measuring);
        measuring->samples = graph_draw_sample(graph, vex_graph_count(graph), IVF_PROBES, measuring->sample);
        return false;
    }
    for (uint32_t i = 0; i < MEASURE_PIECE && measuring->done < measuring->samples; i++)
        measure_one(graph, ivf, measuring->sample[measuring->done++]);
    if (measuring->done < measuring->samples)
        return false;
    qsort(measuring->ranks, measuring->count, sizeof *measuring->ranks, by_size);
    ivf->reach = measuring->count > 0 ? measuring->ranks[measuring->count * 19 / 20] + 1 : 1;
    return true;
}

/* ---- turns ---- */

static bool is_outgrown(const struct vex_graph *graph, const struct vex_ivf *ivf)
{
    uint64_t count = vex_graph_count(graph), had = ivf->learnt_of;

    return atomic_load_explicit(&ivf->spent, memory_order_relaxed) || count > OUTGROWN * had ||
           count < had / SHRUNK ||
           atomic_load_explicit(&ivf->adds, memory_order_relaxed) > (uint64_t)OUTGROWN * had;
}

bool vex_graph_lists_due(const struct vex_graph *graph)
{
    const struct vex_ivf *ivf = atomic_load_explicit(&graph->ivf, memory_order_acquire);

    return graph->codes.params.kind == VEX_CODES_7_BITS && vex_graph_count(graph) >= VEX_IVF_LEAST &&
           (ivf == NULL || is_outgrown(graph, ivf));
}

/* Readers may be in it: vex_graph_reserve frees it. */
static void retire(struct vex_graph *graph, struct vex_ivf *ivf)
{
    if (ivf == NULL)
        return;
    atomic_store_explicit(&ivf->older, atomic_load_explicit(&graph->ivf_old, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(&graph->ivf_old, ivf, memory_order_release);
}

static void put_in_place(struct vex_graph *graph, struct vex_ivf *ivf)
{
    struct vex_ivf *old = atomic_load_explicit(&graph->ivf, memory_order_relaxed);

    atomic_store_explicit(&graph->ivf, ivf, memory_order_release);
    atomic_store_explicit(&graph->ivf_next, NULL, memory_order_release);
    retire(graph, old);
}

static void fill_piece(struct vex_graph *graph, struct vex_ivf *ivf)
{
    uint32_t rest = PIECE_BYTES / ivf->stride + 1, end = ivf->filled + PIECE_SLOTS;

    for (; rest > 0 && ivf->filled < end && ivf->filled < graph->slots; ivf->filled++)
        if (graph_is_linked(graph, ivf->filled)) {
            ivf_add(graph, ivf, ivf->filled);
            rest--;
        }
}

static void give_up(struct vex_graph *graph, struct vex_ivf *ivf)
{
    atomic_store_explicit(&graph->ivf_next, NULL, memory_order_release);
    retire(graph, ivf);
}

bool vex_graph_lists_piece(struct vex_graph *graph)
{
    struct vex_ivf *ivf = atomic_load_explicit(&graph->ivf_next, memory_order_acquire);

    if (ivf == NULL) {
        ivf = vex_graph_lists_due(graph) ? ivf_new(graph, vex_graph_count(graph)) : NULL;
        if (ivf == NULL)
            return false;
        if (!learn_begin(graph, ivf)) {
            ivf_free(ivf);
            return false;
        }
        atomic_store_explicit(&graph->ivf_next, ivf, memory_order_release);
        return true;
    }
    if (is_outgrown(graph, ivf))
        give_up(graph, ivf);
    else if (ivf->training != NULL)
        learn_piece(graph, ivf);
    else if (ivf->filled < graph->slots)
        fill_piece(graph, ivf);
    else if (ivf_pack_piece(ivf) && measure_piece(graph, ivf))
        put_in_place(graph, ivf);
    return true;
}

void vex_graph_lists_drop(struct vex_graph *graph)
{
    ivf_free(atomic_exchange(&graph->ivf, NULL));
    ivf_free(atomic_exchange(&graph->ivf_next, NULL));
    ivf_free(atomic_exchange(&graph->ivf_old, NULL));
}
