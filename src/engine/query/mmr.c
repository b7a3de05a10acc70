/* Maximal marginal relevance (Carbonell, Goldstein 1998): candidates chosen one by one, each for being like the query and unlike
 * those chosen before. See stage.h.
 *
 * Scores    (1 - diversity) likeness to the query - diversity times the greatest likeness to one that is chosen. Likeness is raw:
 *           distances enter negated, Euclid squared. The answer keeps the scores of the search.
 * Cost      Each choice compares the newly chosen with those that are left, once. */
#include "engine/query/stage.h"

#include <math.h>

#include "base/mem.h"
#include "uapi/dist.h"

struct choice {
    struct vex_read *read;
    const struct vex_vector_params *params;
    vex_dist_fn *dist;
    struct vex_extra_vector *vectors; /* a candidate each; dense ones as one row */
    float *likeness;                  /* to the query */
    float *nearest;                   /* greatest to one that is chosen */
    uint32_t *left;                   /* candidates to choose from */
    uint64_t count;                   /* of them */
};

static int room(struct choice *c, size_t size, void *ret)
{
    void *memory = vex_arena_try(c->read->arena, size);

    memcpy(ret, &memory, sizeof memory);
    return memory != NULL ? 0 : vex_read_no_memory(c->read);
}

/* ---- vectors ---- */

static int fetch_dense(struct choice *c, const struct vex_scored_list *list)
{
    uint32_t size = c->params->size, *slots;
    float *values, **rows;
    int code;

    if ((code = room(c, list->count * sizeof *slots, &slots)) != 0 ||
        (code = room(c, list->count * sizeof *rows, &rows)) != 0 ||
        (code = room(c, list->count * size * sizeof *values, &values)) != 0)
        return code;
    for (uint64_t i = 0; i < list->count; i++) {
        slots[i] = list->entries[i].slot;
        rows[i] = values + i * size;
        c->vectors[i] = (struct vex_extra_vector){.rows = 1, .count = size, .values = rows[i]};
    }
    code = vex_vectors_fetch(c->read->data.vectors, c->params->ordinal, slots, (uint32_t)list->count, rows);
    if (code != 0)
        return vex_err_set(c->read->err, code, "%s: the vectors can't be read", c->read->what);
    /* Bytes are stored as they came. */
    if (c->params->distance == VEX_DISTANCE_COSINE && c->params->element == VEX_ELEMENT_U8)
        for (uint64_t i = 0; i < list->count; i++)
            vex_dist_normalise(rows[i], size);
    return 0;
}

static int find_vectors(struct choice *c, const struct vex_scored_list *list)
{
    if (c->params->kind == VEX_VECTOR_DENSE)
        return fetch_dense(c, list);
    for (uint64_t i = 0; i < list->count; i++) {
        struct vex_str blob;
        int code = vex_read_blob(c->read, list->entries[i].slot, &blob);

        if (code == 0 && !vex_blob_vector(blob, c->params->ordinal, &c->vectors[i]))
            code =
                vex_err_set(c->read->err, VEX_ECORRUPT, "%s: a vector of a point is missing", c->read->what);
        if (code != 0)
            return code;
    }
    return 0;
}

static int query_of(struct choice *c, const struct vex_vector_value *query, struct vex_extra_vector *ret)
{
    float *copy;
    int code;

    *ret = (struct vex_extra_vector){.kind = query->kind,
                                     .rows = query->rows,
                                     .count = query->count,
                                     .indices = query->indices,
                                     .values = query->values};
    if (c->params->kind != VEX_VECTOR_DENSE || c->params->distance != VEX_DISTANCE_COSINE ||
        c->params->element != VEX_ELEMENT_U8)
        return 0;
    code = room(c, query->count * sizeof *copy, &copy);
    if (code != 0)
        return code;
    memcpy(copy, query->values, query->count * sizeof *copy);
    vex_dist_normalise(copy, query->count);
    ret->values = copy;
    return 0;
}

/* ---- likeness ---- */

static float likeness(const struct choice *c, const struct vex_extra_vector *a,
                      const struct vex_extra_vector *b)
{
    float sum = 0;

    if (c->params->kind == VEX_VECTOR_SPARSE)
        return vex_score_sparse(a->indices, a->values, a->count, b, &sum) ? sum : 0;
    for (uint32_t i = 0; i < a->rows; i++) {
        float best = INFINITY;

        for (uint32_t j = 0; j < b->rows; j++) {
            float d = c->dist(a->values + (size_t)i * a->count, b->values + (size_t)j * b->count, a->count);
            best = d < best ? d : best;
        }
        sum -= best;
    }
    return sum;
}

static int compare_query(struct choice *c, const struct vex_vector_value *query, uint64_t count)
{
    struct vex_extra_vector from;
    int code = query_of(c, query, &from);

    for (uint64_t i = 0; i < count && code == 0; i++) {
        c->likeness[i] = likeness(c, &from, &c->vectors[i]);
        c->nearest[i] = -INFINITY;
        c->left[i] = (uint32_t)i;
        code = vex_read_step(c->read);
    }
    c->count = count;
    return code;
}

/* ---- choosing ---- */

/* The last of the best, as the peer has it. Its place is taken by the last one left. */
static uint32_t take_best(struct choice *c, double diversity, bool first)
{
    double best = -INFINITY;
    uint64_t at = 0;
    uint32_t chosen;

    for (uint64_t i = 0; i < c->count; i++) {
        uint32_t candidate = c->left[i];
        double score = (double)c->likeness[candidate];

        if (!first)
            score = (1 - diversity) * score - diversity * (double)c->nearest[candidate];
        if (score >= best) {
            best = score;
            at = i;
        }
    }
    chosen = c->left[at];
    c->left[at] = c->left[--c->count];
    return chosen;
}

static int compare_chosen(struct choice *c, uint32_t chosen)
{
    int code = 0;

    for (uint64_t i = 0; i < c->count && code == 0; i++) {
        float like = likeness(c, &c->vectors[c->left[i]], &c->vectors[chosen]);

        if (like > c->nearest[c->left[i]])
            c->nearest[c->left[i]] = like;
        code = vex_read_step(c->read);
    }
    return code;
}

static int choose(struct choice *c, double diversity, uint64_t want, struct vex_scored_list *list)
{
    struct vex_scored *chosen;
    uint64_t count = 0;
    int code = room(c, list->count * sizeof *chosen, &chosen);

    while (code == 0 && count < want && c->count > 0) {
        uint32_t best = take_best(c, diversity, count == 0);

        chosen[count++] = list->entries[best];
        if (count < want)
            code = compare_chosen(c, best);
    }
    if (code == 0 && count > 0)
        memcpy(list->entries, chosen, count * sizeof *chosen);
    list->count = count;
    return code;
}

int vex_mmr_choose(struct vex_read *read, const struct vex_vector_params *params,
                   const struct vex_vector_value *query, double diversity, uint64_t want,
                   struct vex_scored_list *list)
{
    struct choice c = {.read = read, .params = params, .dist = vex_dist(params->distance, VEX_ELEMENT_F32)};
    int code;

    if (list->count == 0)
        return 0;
    if ((code = room(&c, list->count * sizeof *c.vectors, &c.vectors)) != 0 ||
        (code = room(&c, list->count * sizeof *c.likeness, &c.likeness)) != 0 ||
        (code = room(&c, list->count * sizeof *c.nearest, &c.nearest)) != 0 ||
        (code = room(&c, list->count * sizeof *c.left, &c.left)) != 0 ||
        (code = find_vectors(&c, list)) != 0 || (code = compare_query(&c, query, list->count)) != 0)
        return code;
    return choose(&c, diversity, want, list);
}
