/* Ranking by BM25 over a field's text index.
 *
 * Frequencies and lengths are counted over a whole corpus, so an index that is not complete, or that has slots pending, can't answer by
 * itself. Pending slots are gone in a moment: the read lets go of the collection and looks again, a few times; after that, and while the
 * index is still being built, an index of all points is made on the spot. */
#include <time.h>

#include "engine/query/candidates.h"
#include "engine/query/result.h"
#include "engine/query/top.h"

#define LOOKS_MAX 20
#define LOOK_NS   1000000 /* between two */

struct ranking {
    struct vex_read read;
    const struct vex_text_query *request;
    const struct vex_index *index;
    struct vex_index *own; /* made on the spot */
    struct vex_top top;
};

/* The declared index of the field; NULL: err is set. */
static const struct vex_index_params *declared(struct vex_read *read, const struct vex_text_query *request)
{
    const struct vex_index_params *params = vex_config_index(read->data.config, request->field.text);

    if (params == NULL)
        vex_err_set(read->err, VEX_EBAD_INPUT,
                    "Validation failed: BM25 requires a text index on field " VEX_STR_FMT ", which has none",
                    VEX_STR_ARG(request->field.text));
    else if (params->type != VEX_INDEX_TEXT)
        vex_err_set(read->err, VEX_EBAD_INPUT,
                    "Validation failed: BM25 requires a text index on field " VEX_STR_FMT
                    ", which is indexed as %s",
                    VEX_STR_ARG(request->field.text), vex_index_type_name((enum vex_index_type)params->type));
    else if (params->text == NULL || !params->text->scoring)
        vex_err_set(read->err, VEX_EBAD_INPUT,
                    "Validation failed: The text index on `" VEX_STR_FMT
                    "` does not score: set `scoring` on it to query it",
                    VEX_STR_ARG(request->field.text));
    else
        return params;
    return NULL;
}

static int fill_own(struct ranking *ranking, const struct vex_index_params *params)
{
    struct vex_read *read = &ranking->read;
    struct vex_candidates all = {
        .allow = vex_rows_live(read->data.rows), .slots = vex_rows_slots(read->data.rows), .count = 1};
    uint32_t at = 0, slot;
    int code = vex_index_new(params, &ranking->own, read->err);

    while (code == 0 && (slot = vex_candidates_next(&all, &at)) != VEX_SLOT_NONE) {
        code = vex_read_step(read);
        if (code == 0)
            vex_index_add(ranking->own, slot, vex_collection_payload(&read->data, slot));
    }
    ranking->index = ranking->own;
    return code;
}

/* Opens the read with an index that knows all points rightly. On failure nothing is held. */
static int open_ranking(struct ranking *ranking, struct vex_collection *collection,
                        const struct vex_read_context *context, struct vex_err *err)
{
    for (unsigned look = 0;; look++) {
        struct vex_read *read = &ranking->read;
        const struct vex_index_params *params;
        uint32_t pending_slots;
        uint64_t pending;
        int code = vex_read_open(read, collection, context, "Query", err);

        if (code != 0)
            return code;
        params = declared(read, ranking->request);
        ranking->index =
            params != NULL ? vex_index_set_find(read->data.indexes, &ranking->request->field) : NULL;
        if (params == NULL)
            code = VEX_EBAD_INPUT;
        else if (ranking->index != NULL &&
                 vex_index_set_pending(read->data.indexes, &pending_slots, &pending) == NULL)
            return 0;
        else if (ranking->index == NULL || look == LOOKS_MAX)
            code = fill_own(ranking, params);
        else
            code = 1;
        if (code == 0)
            return 0;
        vex_read_close(read);
        if (code < 0)
            return code;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
}

static int offer(void *arg, uint32_t slot, float score)
{
    struct ranking *ranking = arg;

    if (ranking->request->has_threshold && !(score > ranking->request->threshold))
        return 0;
    return vex_top_offer(&ranking->top, score, slot);
}

static int matches_of(struct vex_read *read, struct vex_filter *filter, struct vex_candidates *ret)
{
    struct vex_read_filter bound;
    int code = vex_read_filter_bind(read, filter, &bound);

    *ret = (struct vex_candidates){0};
    if (code != 0)
        return code;
    code = vex_candidates_find(read, &bound, (struct vex_id_list){0}, VEX_NO_ORDINAL, ret);
    vex_read_filter_unbind(&bound);
    return code;
}

static int rank(struct ranking *ranking)
{
    const struct vex_text_query *request = ranking->request;
    struct vex_candidates among = {0}, corpus = {0};
    struct vex_bm25 bm25 = {
        .k = request->k, .b = request->b, .slots = vex_rows_slots(ranking->read.data.rows)};
    int code = matches_of(&ranking->read, request->filter, &among);

    if (code == 0 && request->corpus != NULL)
        code = matches_of(&ranking->read, request->corpus, &corpus);
    if (code == 0 && among.count > 0) {
        bm25.among = among.allow;
        bm25.corpus = corpus.allow;
        code = vex_index_score(ranking->index, request->text, &bm25, offer, ranking, ranking->read.err);
        if (code == VEX_ENO_MEMORY)
            code = vex_read_no_memory(&ranking->read);
    }
    vex_candidates_done(&among);
    vex_candidates_done(&corpus);
    return code;
}

static int answer(struct ranking *ranking, struct vex_hits *ret)
{
    const struct vex_text_query *request = ranking->request;
    struct vex_read *read = &ranking->read;
    uint64_t skip = request->offset < ranking->top.count ? request->offset : ranking->top.count;
    struct vex_result_plan plan;
    uint32_t *slots;
    int code;

    vex_top_sort(&ranking->top);
    slots = vex_arena_try(read->arena, (ranking->top.count - skip + 1) * sizeof *slots);
    if (slots == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = skip; i < ranking->top.count; i++)
        slots[i - skip] = ranking->top.entries[i].slot;
    code = vex_result_plan(read, &request->payload, &request->vectors, &plan);
    if (code == 0)
        code = vex_result_slots(read, &plan, slots, ranking->top.count - skip, ret);
    for (uint64_t i = 0; code == 0 && i < ret->count; i++)
        ret->hits[i].score = ranking->top.entries[skip + i].score;
    return code;
}

int vex_read_text(struct vex_collection *collection, const struct vex_text_query *request,
                  struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err)
{
    struct ranking ranking = {.request = request};
    uint64_t want =
        request->limit > UINT64_MAX - request->offset ? UINT64_MAX : request->limit + request->offset;
    int code;

    *ret = (struct vex_hits){0};
    code = open_ranking(&ranking, collection, context, err);
    if (code == 0) {
        vex_top_init(&ranking.top, ranking.read.data.rows, true, want);
        code = want > 0 ? rank(&ranking) : 0;
        if (code == 0)
            code = answer(&ranking, ret);
        vex_top_done(&ranking.top);
        vex_read_close(&ranking.read);
    }
    vex_index_free(ranking.own);
    return code;
}
