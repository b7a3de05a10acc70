/* Scores by several examples: candidates go by in pieces, each compared with one example after another. See examples.h.
 *
 * All but feedback is counted in f32, in the order of the examples, as the peer does: scores that are equal there are equal here. Of
 * n judged examples feedback has up to n(n - 1) / 2 pairs; since the sum over them is linear in the similarities, each example enters
 * once, with what it weighs in all its pairs. */
#include "engine/query/examples.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define PIECE       512u       /* candidates of a piece, at most */
#define PIECE_BYTES (1u << 20) /* of vectors that are fetched */

struct scoring {
    struct vex_read *read;
    const struct vex_vector_params *params;
    const struct vex_examples *request;
    struct vex_vector_value target, *positive, *negative; /* as scored */
    double *weights;                                      /* FEEDBACK: beside positive */
    struct vex_top top;

    /* the piece */
    uint32_t slots[PIECE], count, most;
    struct vex_extra_vector *stored; /* multi and sparse */
    float **rows;                    /* of bytes under cosine */
    float score[PIECE], good[PIECE], bad[PIECE], near[PIECE], far[PIECE];
    double sum[PIECE];
};

/* ---- examples ---- */

static int resolve(struct vex_read *read, const struct vex_vector_params *params,
                   const struct vex_example *example, struct vex_vector_value *ret)
{
    struct vex_nearest request = {.using = params->name, .query = example->vector, .id = example->id};
    struct vex_query query;
    int code = vex_nearest_resolve(read, &request, NULL, &query);
    *ret = query.vector;
    return code;
}

static int resolve_list(struct vex_read *read, const struct vex_vector_params *params,
                        const struct vex_example *examples, uint32_t count, struct vex_vector_value **ret)
{
    int code = 0;
    *ret = vex_arena_try(read->arena, ((size_t)count + 1) * sizeof **ret);
    if (*ret == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < count && code == 0; i++) {
        code = vex_read_step(read);
        if (code == 0)
            code = resolve(read, params, &examples[i], &(*ret)[i]);
    }
    return code;
}

/* What each judged example weighs: a pair's confidence^b c for the better one, less that for the worse one. */
static int weigh(struct scoring *s)
{
    const struct vex_examples *request = s->request;
    uint32_t count = request->positive_count;
    s->weights = vex_arena_try(s->read->arena, ((size_t)count + 1) * sizeof *s->weights);
    if (s->weights == NULL)
        return vex_read_no_memory(s->read);
    memset(s->weights, 0, count * sizeof *s->weights);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++) {
            float confidence = request->judgements[i] - request->judgements[j];
            int code = vex_read_step(s->read);
            if (code != 0)
                return code;
            if (!(confidence > 0))
                continue;
            float weight = powf(confidence, request->b) * request->c;
            s->weights[i] += (double)weight;
            s->weights[j] -= (double)weight;
        }
    return 0;
}

static int resolve_all(struct scoring *s)
{
    const struct vex_examples *request = s->request;
    bool target = request->kind == VEX_EXAMPLES_DISCOVER || request->kind == VEX_EXAMPLES_FEEDBACK;
    int code = target ? resolve(s->read, s->params, &request->target, &s->target) : 0;
    if (code == 0)
        code = resolve_list(s->read, s->params, request->positive, request->positive_count, &s->positive);
    if (code == 0)
        code = resolve_list(s->read, s->params, request->negative, request->negative_count, &s->negative);
    return code == 0 && request->kind == VEX_EXAMPLES_FEEDBACK ? weigh(s) : code;
}

/* ---- similarities of a piece to one example ---- */

static bool by_bytes(const struct vex_vector_params *params)
{
    return params->element == VEX_ELEMENT_U8 && params->distance == VEX_DISTANCE_COSINE;
}

static float multi(const struct vex_vector_params *params, const struct vex_vector_value *example,
                   const struct vex_extra_vector *stored)
{
    float score = vex_score_multi(params, example->values, example->rows, stored);
    if (params->distance == VEX_DISTANCE_L2)
        return -(score * score);
    return vex_score_larger_better(params->distance) ? score : -score;
}

static float sparse(const struct vex_vector_value *example, const struct vex_extra_vector *stored)
{
    float score;
    return vex_score_sparse(example->indices, example->values, example->count, stored, &score) ? score : 0;
}

static int compare_dense(struct scoring *s, const struct vex_vector_value *example, float *ret)
{
    const struct vex_vector_params *params = s->params;
    int code = 0;
    if (by_bytes(params)) {
        for (uint32_t i = 0; i < s->count; i++)
            ret[i] = vex_score_cosine(example->values, s->rows[i], params->size);
        return 0;
    }
    code = vex_vectors_score(s->read->data.vectors, params->ordinal, params->distance, example->values,
                             s->slots, s->count, ret);
    if (code != 0)
        return vex_err_set(s->read->err, code, "%s: the vectors can't be read", s->read->what);
    for (uint32_t i = 0; i < s->count; i++)
        ret[i] = 0.0f - ret[i];
    return 0;
}

static int compare(struct scoring *s, const struct vex_vector_value *example, float *ret)
{
    int code = vex_read_check(s->read);
    if (code != 0)
        return code;
    if (s->params->kind == VEX_VECTOR_DENSE)
        return compare_dense(s, example, ret);
    for (uint32_t i = 0; i < s->count; i++)
        ret[i] = s->params->kind == VEX_VECTOR_MULTI ? multi(s->params, example, &s->stored[i])
                                                     : sparse(example, &s->stored[i]);
    return 0;
}

/* ---- scores of a piece ---- */

static float sigmoid(float x)
{
    return isfinite(x) ? x / (1.0f + fabsf(x)) : x;
}

static float scaled_sigmoid(float x)
{
    return 0.5f * (sigmoid(x) + 1.0f);
}

/* The best similarity to any of the examples. */
static int best_of(struct scoring *s, const struct vex_vector_value *examples, uint32_t count, float *ret)
{
    int code = 0;
    for (uint32_t i = 0; i < s->count; i++)
        ret[i] = -INFINITY;
    for (uint32_t e = 0; e < count && code == 0; e++) {
        code = compare(s, &examples[e], s->near);
        for (uint32_t i = 0; i < s->count && code == 0; i++)
            if (s->near[i] > ret[i])
                ret[i] = s->near[i];
    }
    return code;
}

static int score_best(struct scoring *s)
{
    int code = best_of(s, s->positive, s->request->positive_count, s->good);
    if (code == 0)
        code = best_of(s, s->negative, s->request->negative_count, s->bad);
    for (uint32_t i = 0; i < s->count && code == 0; i++)
        s->score[i] = s->good[i] > s->bad[i] ? scaled_sigmoid(s->good[i]) : -scaled_sigmoid(s->bad[i]);
    return code;
}

static int sum_of(struct scoring *s, const struct vex_vector_value *examples, uint32_t count, float *ret)
{
    int code = 0;
    memset(ret, 0, s->count * sizeof *ret);
    for (uint32_t e = 0; e < count && code == 0; e++) {
        code = compare(s, &examples[e], s->near);
        for (uint32_t i = 0; i < s->count && code == 0; i++)
            ret[i] += s->near[i];
    }
    return code;
}

static int score_sum(struct scoring *s)
{
    int code = sum_of(s, s->positive, s->request->positive_count, s->good);
    if (code == 0)
        code = sum_of(s, s->negative, s->request->negative_count, s->bad);
    for (uint32_t i = 0; i < s->count && code == 0; i++)
        s->score[i] = s->good[i] - s->bad[i];
    return code;
}

/* Both sides of a pair. */
static int compare_pair(struct scoring *s, uint32_t pair)
{
    int code = compare(s, &s->positive[pair], s->near);
    return code == 0 ? compare(s, &s->negative[pair], s->far) : code;
}

static int score_discover(struct scoring *s)
{
    int code = 0;
    memset(s->sum, 0, s->count * sizeof *s->sum);
    for (uint32_t pair = 0; pair < s->request->positive_count && code == 0; pair++) {
        code = compare_pair(s, pair);
        for (uint32_t i = 0; i < s->count && code == 0; i++)
            s->sum[i] += s->near[i] > s->far[i] ? 1 : s->near[i] == s->far[i] ? 0 : -1;
    }
    if (code == 0)
        code = compare(s, &s->target, s->near);
    for (uint32_t i = 0; i < s->count && code == 0; i++)
        s->score[i] = (float)s->sum[i] + scaled_sigmoid(s->near[i]);
    return code;
}

static int score_context(struct scoring *s)
{
    int code = 0;
    memset(s->score, 0, s->count * sizeof *s->score);
    for (uint32_t pair = 0; pair < s->request->positive_count && code == 0; pair++) {
        code = compare_pair(s, pair);
        for (uint32_t i = 0; i < s->count && code == 0; i++) {
            float difference = s->near[i] - s->far[i] - FLT_EPSILON;
            s->score[i] += sigmoid(difference < 0 ? difference : 0);
        }
    }
    return code;
}

static int score_feedback(struct scoring *s)
{
    int code = compare(s, &s->target, s->near);
    for (uint32_t i = 0; i < s->count && code == 0; i++)
        s->sum[i] = (double)s->request->a * (double)s->near[i];
    for (uint32_t e = 0; e < s->request->positive_count && code == 0; e++) {
        if (s->weights[e] == 0) /* in no pair */
            continue;
        code = compare(s, &s->positive[e], s->near);
        for (uint32_t i = 0; i < s->count && code == 0; i++)
            s->sum[i] += s->weights[e] * (double)s->near[i];
    }
    for (uint32_t i = 0; i < s->count && code == 0; i++)
        s->score[i] = (float)s->sum[i];
    return code;
}

static int score(struct scoring *s)
{
    switch (s->request->kind) {
    case VEX_EXAMPLES_BEST:
        return score_best(s);
    case VEX_EXAMPLES_SUM:
        return score_sum(s);
    case VEX_EXAMPLES_DISCOVER:
        return score_discover(s);
    case VEX_EXAMPLES_CONTEXT:
        return score_context(s);
    default:
        return score_feedback(s);
    }
}

/* ---- pieces ---- */

/* Room for what of a piece's vectors is fetched beforehand. */
static int make_room(struct scoring *s)
{
    const struct vex_vector_params *params = s->params;
    struct vex_arena *arena = s->read->arena;
    s->most = PIECE;
    if (params->kind != VEX_VECTOR_DENSE) {
        s->stored = vex_arena_try(arena, PIECE * sizeof *s->stored);
        return s->stored != NULL ? 0 : vex_read_no_memory(s->read);
    }
    if (!by_bytes(params))
        return 0;
    size_t size = (size_t)params->size * sizeof(float);
    if (size > PIECE_BYTES / PIECE)
        s->most = size < PIECE_BYTES ? (uint32_t)(PIECE_BYTES / size) : 1;
    s->rows = vex_arena_try(arena, s->most * sizeof *s->rows);
    float *values = vex_arena_try(arena, s->most * size);
    if (s->rows == NULL || values == NULL)
        return vex_read_no_memory(s->read);
    for (uint32_t i = 0; i < s->most; i++)
        s->rows[i] = values + (size_t)i * params->size;
    return 0;
}

static int fetch(struct scoring *s)
{
    struct vex_read *read = s->read;
    uint8_t ordinal = s->params->ordinal;
    int code = 0;
    if (s->rows != NULL && vex_vectors_fetch(read->data.vectors, ordinal, s->slots, s->count, s->rows) != 0)
        return vex_err_set(read->err, VEX_ECORRUPT, "%s: the vectors can't be read", read->what);
    for (uint32_t i = 0; i < s->count && s->stored != NULL && code == 0; i++) {
        struct vex_str blob;
        code = vex_read_blob(read, s->slots[i], &blob);
        if (code == 0 && !vex_blob_vector(blob, ordinal, &s->stored[i]))
            code = vex_err_set(read->err, VEX_ECORRUPT, "%s: a vector of a point is missing", read->what);
    }
    return code;
}

/* The next candidates that have the vector. */
static void gather(struct scoring *s, const struct vex_candidates *candidates, uint32_t *at)
{
    uint32_t slot;
    s->count = 0;
    while (s->count < s->most && (slot = vex_candidates_next(candidates, at)) != VEX_SLOT_NONE)
        if ((vex_rows_at(s->read->data.rows, slot)->vectors >> s->params->ordinal & 1) != 0)
            s->slots[s->count++] = slot;
}

static int run(struct scoring *s, const struct vex_candidates *candidates)
{
    uint32_t at = 0;
    int code = make_room(s);
    while (code == 0) {
        gather(s, candidates, &at);
        if (s->count == 0)
            break;
        code = fetch(s);
        if (code == 0)
            code = score(s);
        for (uint32_t i = 0; i < s->count && code == 0; i++)
            if (vex_top_offer(&s->top, s->score[i] + 0.0f, s->slots[i]) != 0)
                code = vex_read_no_memory(s->read);
    }
    return code;
}

int vex_examples_find(struct vex_read *read, const struct vex_vector_params *params,
                      const struct vex_examples *examples, const struct vex_candidates *candidates,
                      uint64_t want, struct vex_scored_list *ret)
{
    struct scoring *s = vex_arena_try(read->arena, sizeof *s);
    *ret = (struct vex_scored_list){0};
    if (s == NULL)
        return vex_read_no_memory(read);
    memset(s, 0, sizeof *s);
    s->read = read;
    s->params = params;
    s->request = examples;
    int code = resolve_all(s);
    if (code != 0 || want == 0)
        return code;
    vex_top_init(&s->top, read->data.rows, true, want);
    code = run(s, candidates);
    vex_top_sort(&s->top);
    ret->entries = s->top.entries;
    ret->count = code == 0 ? s->top.count : 0;
    return code;
}
