/* Fusions: one ranking out of the lists of several prefetches, by their places, their scores, or a formula. See stage.h.
 *
 * RRF       Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009) with weights: place p of a list, from 0, counts
 *           1 / ((p + 1) / weight + k - 1).
 * DBSF      Each list's scores are stretched so that mean - 3 s becomes 0 and mean + 3 s becomes 1, s the sample's deviation; then
 *           they are added up.
 * Order     Points are kept in the order of their first mention, which decides between equal scores. */
#include "engine/query/formula.h"
#include "engine/query/stage.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define SCORES_MAX (UINT64_C(1) << 26) /* of all prefetches for a formula: 256 MiB */
#define TABLE_MIN  64u

struct fused {
    double score;
    uint32_t slot, first; /* first: number in the order of mention */
};

struct vex_fusion {
    struct vex_read *read;
    const struct vex_stage *stage;
    struct fused *points;
    uint64_t count, cap;
    uint32_t *table; /* open addressing: number of a point + 1, or 0 */
    uint64_t table_size;
    float *scores; /* FORMULA: a row for each point, a column for each prefetch */
};

/* ---- points ---- */

static uint64_t place_of(const struct vex_fusion *fusion, uint32_t slot)
{
    uint64_t at = (slot * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (fusion->table_size - 1);

    while (fusion->table[at] != 0 && fusion->points[fusion->table[at] - 1].slot != slot)
        at = (at + 1) & (fusion->table_size - 1);
    return at;
}

static int grow_table(struct vex_fusion *fusion)
{
    uint64_t size = fusion->table_size != 0 ? fusion->table_size * 2 : TABLE_MIN;
    uint32_t *table = vex_mem_try(size * sizeof *table);

    if (table == NULL)
        return vex_read_no_memory(fusion->read);
    memset(table, 0, size * sizeof *table);
    vex_mem_free(fusion->table);
    fusion->table = table;
    fusion->table_size = size;
    for (uint64_t i = 0; i < fusion->count; i++)
        fusion->table[place_of(fusion, fusion->points[i].slot)] = (uint32_t)i + 1;
    return 0;
}

static int grow_scores(struct vex_fusion *fusion, uint64_t cap)
{
    uint32_t columns = fusion->stage->prefetch_count;
    float *scores;

    if (fusion->stage->kind != VEX_STAGE_FORMULA)
        return 0;
    scores = cap <= SCORES_MAX / columns ? vex_mem_try(cap * columns * sizeof *scores) : NULL;
    if (scores == NULL)
        return vex_read_no_memory(fusion->read);
    if (fusion->count > 0)
        memcpy(scores, fusion->scores, fusion->count * columns * sizeof *scores);
    for (uint64_t i = fusion->count * columns; i < cap * columns; i++)
        scores[i] = NAN;
    vex_mem_free(fusion->scores);
    fusion->scores = scores;
    return 0;
}

static int grow_points(struct vex_fusion *fusion)
{
    uint64_t cap = fusion->cap != 0 ? fusion->cap * 2 : TABLE_MIN;
    int code = grow_scores(fusion, cap);
    struct fused *points = code == 0 ? vex_mem_try(cap * sizeof *points) : NULL;

    if (code != 0)
        return code;
    if (points == NULL)
        return vex_read_no_memory(fusion->read);
    if (fusion->count > 0)
        memcpy(points, fusion->points, fusion->count * sizeof *points);
    vex_mem_free(fusion->points);
    fusion->points = points;
    fusion->cap = cap;
    return 0;
}

/* The number of the point, which is made when it is new. */
static int number_of(struct vex_fusion *fusion, uint32_t slot, uint32_t *ret)
{
    uint64_t at;
    int code = 0;

    if (fusion->count >= fusion->table_size / 2)
        code = grow_table(fusion);
    if (code == 0 && fusion->count == fusion->cap)
        code = grow_points(fusion);
    if (code != 0)
        return code;
    at = place_of(fusion, slot);
    if (fusion->table[at] == 0) {
        fusion->points[fusion->count] = (struct fused){.slot = slot, .first = (uint32_t)fusion->count};
        fusion->table[at] = (uint32_t)++fusion->count;
    }
    *ret = fusion->table[at] - 1;
    return 0;
}

/* ---- lists ---- */

static double reciprocal(const struct vex_stage *stage, uint32_t index, uint64_t place)
{
    double weight = stage->weights != NULL ? (double)stage->weights[index] : 1;

    return weight > 0 ? 1 / (((double)place + 1) / weight + stage->rrf_k - 1) : 0;
}

/* How a list's scores are stretched: (score - low) times scale; scale 0: they say nothing. */
struct stretch {
    double low, scale;
};

static struct stretch stretch_of(const struct vex_scored_list *list)
{
    double sum = 0, squares = 0, mean, deviation;

    for (uint64_t i = 0; i < list->count; i++)
        sum += (double)list->entries[i].score;
    mean = sum / (double)list->count;
    for (uint64_t i = 0; i < list->count; i++)
        squares += ((double)list->entries[i].score - mean) * ((double)list->entries[i].score - mean);
    deviation = list->count > 1 ? sqrt(squares / ((double)list->count - 1)) : 0;
    if (!(deviation > 0) || !isfinite(deviation))
        return (struct stretch){0};
    return (struct stretch){mean - 3 * deviation, 1 / (6 * deviation)};
}

int vex_fusion_add(struct vex_fusion *fusion, uint32_t index, const struct vex_scored_list *list)
{
    const struct vex_stage *stage = fusion->stage;
    struct stretch stretch = {0};
    int code = 0;

    if (stage->kind == VEX_STAGE_DBSF && list->count > 0)
        stretch = stretch_of(list);
    for (uint64_t i = 0; i < list->count && code == 0; i++) {
        double score = (double)list->entries[i].score;
        uint32_t number = 0;

        code = vex_read_step(fusion->read);
        if (code == 0)
            code = number_of(fusion, list->entries[i].slot, &number);
        if (code != 0)
            return code;
        if (stage->kind == VEX_STAGE_RRF)
            fusion->points[number].score += reciprocal(stage, index, i);
        else if (stage->kind == VEX_STAGE_DBSF)
            fusion->points[number].score += stretch.scale > 0 ? (score - stretch.low) * stretch.scale : 0.5;
        else
            fusion->scores[(uint64_t)number * stage->prefetch_count + index] = (float)score;
    }
    return code;
}

/* ---- ranking ---- */

static int by_score(const void *pa, const void *pb)
{
    const struct fused *a = pa, *b = pb;

    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int compute(struct vex_fusion *fusion)
{
    const struct vex_stage *stage = fusion->stage;
    struct vex_formula_run *run;
    int code = vex_formula_open(fusion->read, &stage->formula, &run);

    for (uint64_t i = 0; i < fusion->count && code == 0; i++) {
        float score = 0;

        code = vex_read_step(fusion->read);
        if (code == 0)
            code = vex_formula_score(run, fusion->points[i].slot, fusion->scores + i * stage->prefetch_count,
                                     stage->prefetch_count, &score);
        fusion->points[i].score = (double)score;
    }
    vex_formula_close(run);
    return code;
}

int vex_fusion_rank(struct vex_fusion *fusion, struct vex_scored_list *ret)
{
    int code = fusion->stage->kind == VEX_STAGE_FORMULA ? compute(fusion) : 0;

    *ret = (struct vex_scored_list){0};
    if (code != 0)
        return code;
    ret->entries = vex_mem_try((fusion->count + 1) * sizeof *ret->entries);
    if (ret->entries == NULL)
        return vex_read_no_memory(fusion->read);
    if (fusion->count > 1)
        qsort(fusion->points, fusion->count, sizeof *fusion->points, by_score);
    for (; ret->count < fusion->count; ret->count++)
        ret->entries[ret->count] = (struct vex_scored){(float)fusion->points[ret->count].score + 0.0f,
                                                       fusion->points[ret->count].slot};
    return 0;
}

struct vex_fusion *vex_fusion_open(struct vex_read *read, const struct vex_stage *stage)
{
    struct vex_fusion *fusion = VEX_NEW(struct vex_fusion);

    fusion->read = read;
    fusion->stage = stage;
    return fusion;
}

void vex_fusion_close(struct vex_fusion *fusion)
{
    if (fusion == NULL)
        return;
    vex_mem_free(fusion->points);
    vex_mem_free(fusion->table);
    vex_mem_free(fusion->scores);
    vex_mem_free(fusion);
}
