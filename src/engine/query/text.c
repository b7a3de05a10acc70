/* Ranking by BM25 over a field's text index.
 *
 * Frequencies and lengths are counted over a whole corpus, so an index that is not complete, or that has slots pending, can't answer by
 * itself. Pending slots are gone in a moment, so a read looks a few times before it begins (stage.c); after that, and while the index is still
 * being built, an index of all points is made on the spot. */
#include "engine/query/stage.h"

struct ranking {
    struct vex_read *read;
    const struct vex_stage *stage;
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

static int make_own(struct vex_read *read, const struct vex_index_params *params, struct vex_index **ret)
{
    struct vex_candidates all = {
        .allow = vex_rows_live(read->data.rows), .slots = vex_rows_slots(read->data.rows), .count = 1};
    uint32_t at = 0, slot;
    int code = vex_index_new(params, ret, read->err);

    while (code == 0 && (slot = vex_candidates_next(&all, &at)) != VEX_SLOT_NONE) {
        code = vex_read_step(read);
        if (code == 0)
            vex_index_add(*ret, slot, vex_collection_payload(&read->data, slot));
    }
    return code;
}

static bool has_pending(struct vex_read *read)
{
    uint32_t slots;
    uint64_t pending;

    return vex_index_set_pending(read->data.indexes, &slots, &pending) != NULL;
}

bool vex_text_is_settled(struct vex_read *read, const struct vex_path *field)
{
    return vex_index_set_find(read->data.indexes, field) == NULL || !has_pending(read);
}

static int offer(void *arg, uint32_t slot, float score)
{
    struct ranking *ranking = arg;

    if (ranking->stage->nearest.has_threshold && !(score > ranking->stage->nearest.threshold))
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

static int rank(struct ranking *ranking, const struct vex_index *index,
                const struct vex_candidates *candidates)
{
    const struct vex_text_query *text = &ranking->stage->text;
    struct vex_read *read = ranking->read;
    struct vex_candidates corpus = {0};
    struct vex_bm25 bm25 = {.k = text->k, .b = text->b, .slots = vex_rows_slots(read->data.rows)};
    int code = text->corpus != NULL ? matches_of(read, text->corpus, &corpus) : 0;

    if (code == 0) {
        bm25.among = candidates->allow;
        bm25.corpus = corpus.allow;
        code = vex_index_score(index, text->text, &bm25, offer, ranking, read->err);
        if (code == VEX_ENO_MEMORY)
            code = vex_read_no_memory(read);
    }
    vex_candidates_done(&corpus);
    return code;
}

int vex_text_find(struct vex_read *read, const struct vex_stage *stage,
                  const struct vex_candidates *candidates, uint64_t want, struct vex_scored_list *ret)
{
    struct ranking ranking = {.read = read, .stage = stage};
    const struct vex_index_params *params = declared(read, &stage->text);
    const struct vex_index *index =
        params != NULL ? vex_index_set_find(read->data.indexes, &stage->text.field) : NULL;
    struct vex_index *own = NULL;
    int code = params != NULL ? 0 : VEX_EBAD_INPUT;

    if (code == 0 && want > 0 && candidates->count > 0) {
        if (index == NULL || has_pending(read)) {
            code = make_own(read, params, &own);
            index = own;
        }
        vex_top_init(&ranking.top, read->data.rows, true, want);
        if (code == 0)
            code = rank(&ranking, index, candidates);
        vex_top_sort(&ranking.top);
        *ret = (struct vex_scored_list){.entries = ranking.top.entries, .count = ranking.top.count};
        vex_index_free(own);
    }
    return code;
}
