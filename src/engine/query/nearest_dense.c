/* Dense vectors: exact search by the device, ties put in the order of ids. See nearest.h.
 *
 * Ties      The device orders equal distances by slot. Answers order equal scores by id, so a run of equal scores is sorted again; the
 *           device is asked for a few hits more than wanted, and for more again while the run at the cut goes beyond them.
 * Ranges    Where there is much to read, ranges of slots are asked for apart from each other, at once if cores are idle, and what they
 *           give is merged into what one request would have given. */
#include "engine/query/nearest.h"

#include "base/mem.h"
#include "engine/query/pieces.h"

#define MARGIN       8u         /* hits asked for beyond those wanted */
#define MARGIN_MAX   65536u     /* most of them for a run of equal scores: beyond that the lowest slots win */
#define HITS_MAX     (1u << 20) /* hits of one request to the device, unless a single query wants more */
#define QUERIES_MAX  1024u      /* queries of one request, as the device has it */
#define PASS_QUERIES 8u         /* queries that share a pass over the vectors */
#define WORK_MAX     (UINT64_C(4) << 30) /* bytes of vectors read by one request, unless one pass is more */
#define RANGE_WORK   (UINT64_C(4) << 20) /* bytes read in a range, at least */
#define RANGES_MAX   64u

/* One request to the device. */
struct batch {
    const struct vex_query_group *group;
    struct vex_query *queries;
    uint32_t count;
    uint64_t k;
    float *vectors;
    struct vex_dev_hit *hits;
    uint32_t *found;
};

static void batch_done(struct batch *batch)
{
    vex_mem_free(batch->vectors);
    vex_mem_free(batch->hits);
    vex_mem_free(batch->found);
}

/* ---- one request, or one a range ---- */

struct ranges {
    const struct batch *batch;
    uint32_t count, slots; /* of a range, but the last */
    struct vex_dev_hit *hits;
    uint32_t *found; /* a query of a range */
};

/* The slots [first, first + slots) for all queries of the batch. */
static int ask(struct vex_read *read, const struct batch *batch, uint32_t first, uint32_t slots,
               struct vex_dev_hit *hits, uint32_t *found)
{
    const struct vex_vector_params *params = batch->group->params;
    struct vex_dev_search request = {
        .queries = batch->vectors,
        .count = batch->count,
        .k = (uint32_t)batch->k,
        .distance = params->distance,
        .first = first,
        .slots = slots,
        .allow = batch->group->candidates->allow,
        .hits = hits,
        .found = found,
        .cancelled = read->context->cancelled,
    };
    int code = vex_vectors_search(read->data.vectors, params->ordinal, &request);

    if (code == VEX_ECANCELLED)
        return vex_err_set(read->err, code, "%s was cancelled", read->what);
    if (code != 0)
        return vex_err_set(read->err, code, "%s: the vectors can't be read", read->what);
    return vex_read_check(read);
}

static int ask_range(struct vex_read *read, void *arg, uint32_t nth)
{
    const struct ranges *ranges = arg;
    const struct batch *batch = ranges->batch;
    uint32_t first = nth * ranges->slots, left = batch->group->candidates->slots - first;
    size_t place = (size_t)nth * batch->count;

    return ask(read, batch, first, left < ranges->slots ? left : ranges->slots,
               ranges->hits + place * batch->k, ranges->found + place);
}

/* The order of the device. */
static bool is_nearer(const struct vex_dev_hit *a, const struct vex_dev_hit *b)
{
    return a->distance < b->distance || (a->distance == b->distance && a->slot < b->slot);
}

static void merge(const struct ranges *ranges, uint32_t query)
{
    const struct batch *batch = ranges->batch;
    struct vex_dev_hit *to = batch->hits + query * batch->k;
    uint32_t at[RANGES_MAX] = {0}, count = 0;

    while (count < batch->k) {
        const struct vex_dev_hit *nearest = NULL;
        uint32_t best = 0;

        for (uint32_t r = 0; r < ranges->count; r++) {
            size_t place = (size_t)r * batch->count + query;
            const struct vex_dev_hit *hit = ranges->hits + place * batch->k + at[r];

            if (at[r] < ranges->found[place] && (nearest == NULL || is_nearer(hit, nearest))) {
                nearest = hit;
                best = r;
            }
        }
        if (nearest == NULL)
            break;
        to[count++] = *nearest;
        at[best]++;
    }
    batch->found[query] = count;
}

/* As many as there is work for, while their hits fit into the memory of a request. */
static uint32_t range_count(const struct batch *batch)
{
    const struct vex_candidates *candidates = batch->group->candidates;
    double passes = (batch->count + PASS_QUERIES - 1) / PASS_QUERIES;
    double work = (double)candidates->count * vex_vectors_stride(batch->group->params) * passes;
    uint64_t most = HITS_MAX / (batch->k * batch->count), slots = candidates->slots / 64;

    if (most > RANGES_MAX)
        most = RANGES_MAX;
    if (most > slots)
        most = slots;
    return work < (double)most * RANGE_WORK ? (uint32_t)(work / RANGE_WORK) : (uint32_t)most;
}

static int ask_ranges(struct vex_read *read, const struct batch *batch, uint32_t count)
{
    uint32_t slots = batch->group->candidates->slots, each = (slots / count / 64 + 1) * 64;
    struct ranges ranges = {.batch = batch, .count = (slots + each - 1) / each, .slots = each};
    size_t places = (size_t)ranges.count * batch->count;
    int code;

    ranges.hits = vex_mem_try(places * batch->k * sizeof *ranges.hits);
    ranges.found = vex_mem_try(places * sizeof *ranges.found);
    code = ranges.hits == NULL || ranges.found == NULL
               ? vex_read_no_memory(read)
               : vex_read_pieces(read, ranges.count, ask_range, &ranges);
    for (uint32_t i = 0; i < batch->count && code == 0; i++)
        merge(&ranges, i);
    vex_mem_free(ranges.hits);
    vex_mem_free(ranges.found);
    return code;
}

static int search(struct vex_read *read, struct batch *batch)
{
    const struct vex_vector_params *params = batch->group->params;
    uint32_t ranges;
    size_t floats;
    if (__builtin_mul_overflow((size_t)batch->count * sizeof(float), params->size, &floats))
        return vex_read_no_memory(read);
    batch->vectors = vex_mem_try(floats);
    batch->hits = vex_mem_try((size_t)batch->count * batch->k * sizeof *batch->hits);
    batch->found = vex_mem_try(batch->count * sizeof *batch->found);
    if (batch->vectors == NULL || batch->hits == NULL || batch->found == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < batch->count; i++)
        memcpy(batch->vectors + (size_t)i * params->size, batch->queries[i].vector.values,
               (size_t)params->size * sizeof(float));
    ranges = range_count(batch);
    if (ranges > 1)
        return ask_ranges(read, batch, ranges);
    return ask(read, batch, 0, batch->group->candidates->slots, batch->hits, batch->found);
}

/* ---- answers ---- */

/* Device hits -> scores, runs of equal ones sorted by id. */
static void to_scores(const struct vex_rows *rows, const struct vex_vector_params *params,
                      const struct vex_dev_hit *hits, uint64_t count, struct vex_scored *ret)
{
    bool larger = vex_score_larger_better(params->distance);
    for (uint64_t i = 0; i < count; i++)
        ret[i] = (struct vex_scored){vex_score_of(params->distance, hits[i].distance), hits[i].slot};
    for (uint64_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && ret[end].score == ret[i].score;)
            end++;
        if (end - i > 1)
            vex_scored_sort(rows, larger, ret + i, end - i);
    }
}

/* The run of equal scores at the cut may go on beyond what the device gave. */
static bool cut_is_open(const struct batch *batch, uint32_t query)
{
    const struct vex_query_group *group = batch->group;
    const struct vex_dev_hit *hits = batch->hits + query * batch->k;
    enum vex_distance distance = group->params->distance;
    if (batch->found[query] < batch->k || batch->k >= group->candidates->count)
        return false;
    return vex_score_of(distance, hits[group->want - 1].distance) ==
           vex_score_of(distance, hits[batch->k - 1].distance);
}

static int answer(struct vex_read *read, const struct batch *batch, uint32_t query)
{
    uint64_t count = batch->found[query];
    struct vex_scored *scored = vex_mem_try((count + 1) * sizeof *scored);
    if (scored == NULL)
        return vex_read_no_memory(read);
    to_scores(read->data.rows, batch->group->params, batch->hits + query * batch->k, count, scored);
    if (count > batch->group->want)
        count = batch->group->want;
    int code = vex_nearest_answer(read, &batch->queries[query], scored, count);
    vex_mem_free(scored);
    return code;
}

static uint64_t hits_wanted(const struct vex_query_group *group, uint64_t margin)
{
    uint64_t most = group->candidates->count;
    return group->want >= most || margin >= most - group->want ? most : group->want + margin;
}

/* One query again, with a wider margin each time, until the cut is clear. */
static int widen(struct vex_read *read, const struct vex_query_group *group, struct vex_query *query)
{
    for (uint64_t margin = MARGIN * 32;; margin *= 16) {
        struct batch batch = {.group = group, .queries = query, .count = 1};
        batch.k = hits_wanted(group, margin < MARGIN_MAX ? margin : MARGIN_MAX);
        int code = search(read, &batch);
        bool settled = code != 0 || !cut_is_open(&batch, 0) || margin >= MARGIN_MAX;
        if (code == 0 && settled)
            code = answer(read, &batch, 0);
        batch_done(&batch);
        if (settled)
            return code;
    }
}

/* Queries of one request to the device: hits fit into a bounded piece of memory, and the clock is looked at
 * now and then. */
static uint32_t queries_at_once(const struct vex_query_group *group, uint64_t k)
{
    uint64_t pass = group->candidates->count * vex_vectors_stride(group->params);
    uint64_t passes = pass < WORK_MAX ? WORK_MAX / pass : 1, most = k < HITS_MAX ? HITS_MAX / k : 1;
    if (most > passes * PASS_QUERIES)
        most = passes * PASS_QUERIES;
    return most < QUERIES_MAX ? (uint32_t)most : QUERIES_MAX;
}

bool vex_nearest_by_device(const struct vex_vector_params *params)
{
    return params->kind == VEX_VECTOR_DENSE &&
           (params->element != VEX_ELEMENT_U8 || params->distance != VEX_DISTANCE_COSINE);
}

int vex_nearest_dense(struct vex_read *read, const struct vex_query_group *group)
{
    if (!vex_nearest_by_device(group->params))
        return vex_nearest_scan(read, group);
    uint64_t k = hits_wanted(group, MARGIN);
    uint32_t at_once = queries_at_once(group, k);
    int code = 0;
    for (uint32_t at = 0; at < group->count && code == 0; at += at_once) {
        struct batch batch = {.group = group, .queries = group->queries + at, .k = k};
        batch.count = group->count - at < at_once ? group->count - at : at_once;
        code = search(read, &batch);
        for (uint32_t i = 0; i < batch.count && code == 0; i++)
            code = cut_is_open(&batch, i) ? widen(read, group, &batch.queries[i]) : answer(read, &batch, i);
        batch_done(&batch);
    }
    return code;
}
