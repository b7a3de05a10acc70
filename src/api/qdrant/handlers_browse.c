/* Handlers of reads without vectors: get, scroll, count, facet; and the distance matrix, which begins with a sample. */
#include "api/qdrant/facet_uuid.h"
#include "api/qdrant/read.h"

#define LIMIT_DEFAULT        10
#define SAMPLE_DEFAULT       10
#define MATRIX_LIMIT_DEFAULT 3

/* ---- get ---- */

struct get_read {
    struct vex_qread base;
    struct vex_retrieve retrieve;
};

static int lower_get(struct vex_call *call, void *state)
{
    const Qdrant__GetPoints *in = call->request;
    static const struct vex_strict_read question;
    struct get_read *read = state;
    struct vex_id *ids;
    int code;

    if ((code = vex_lower_ids(call, in->ids, in->n_ids, &ids)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, true, &read->retrieve.payload)) < 0 ||
        (code = vex_lower_with_vectors(call, in->with_vectors, &read->retrieve.vectors)) < 0)
        return code;
    read->retrieve.ids = ids;
    read->retrieve.count = (uint32_t)in->n_ids;
    code = vex_qread_begin(call, &read->base, in->collection_name, in->has_timeout, in->timeout);
    return code < 0 ? code
                    : vex_qread_strict(call, &read->base, in->has_timeout, in->timeout, &question, in->n_ids);
}

uint64_t vex_qdrant_cost_get_points(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__GetPoints *in = call->request;

    (void)service;
    return in->n_ids * VEX_POINT_NS;
}

int vex_qdrant_get_points(struct vex_service *service, struct vex_call *call)
{
    struct get_read *read = vex_qread_lowered(call, sizeof *read, lower_get);
    struct vex_read_context context = vex_qread_context(call, &read->base);
    struct vex_hits hits = {0};
    int code = read->base.code;

    (void)service;
    if (code == 0)
        code = vex_read_retrieve(read->base.collection, &read->retrieve, &context, &hits, &call->err);
    if (code < 0)
        return code;
    vex_lift_retrieved(call, &hits, read->retrieve.vectors.kind != VEX_VECTORS_NONE, call->response, 1);
    return 0;
}

/* ---- scroll ---- */

struct scroll_read {
    struct vex_qread base;
    struct vex_scroll scroll;
    struct vex_order_by order_by;
    struct vex_id offset;
};

/* An offset may be an id of another dialect: it came from the page before. */
static int lower_offset(struct vex_call *call, const Qdrant__PointId *in, struct vex_id *ret)
{
    struct vex_str text;

    if (in->point_id_options_case != QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID)
        return vex_lower_id(call, in, ret);
    text = vex_str_c(in->uuid);
    *ret = vex_id_from_text(text);
    if (ret->kind != VEX_ID_UUID)
        vex_id_from_uuid_text(text, ret);
    return 0;
}

static int lower_place(struct vex_call *call, const Qdrant__ScrollPoints *in, struct scroll_read *read)
{
    int code;

    if (in->offset != NULL && in->order_by != NULL)
        return vex_err_set(
            &call->err, VEX_EBAD_INPUT,
            "Cannot use an `offset` when using `order_by`. The alternative for paging is to use "
            "`order_by.start_from` and a filter to exclude the IDs that you've already seen for the "
            "`order_by.start_from` value");
    if (in->order_by != NULL) {
        code = vex_lower_order_by(call, in->order_by, &read->order_by);
        read->scroll.order_by = &read->order_by;
        return code;
    }
    if (in->offset == NULL)
        return 0;
    read->scroll.offset = &read->offset;
    return lower_offset(call, in->offset, &read->offset);
}

static int lower_scroll(struct vex_call *call, void *state)
{
    const Qdrant__ScrollPoints *in = call->request;
    struct scroll_read *read = state;
    struct vex_scroll *s = &read->scroll;
    struct vex_strict_read question = {.has_limit = in->has_limit, .limit = in->limit, .filter = in->filter};
    int code;

    s->order = VEX_ORDER_ID;
    s->limit = in->has_limit ? in->limit : LIMIT_DEFAULT;
    if ((code = vex_lower_filter(call, in->filter, &s->filter)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, true, &s->payload)) < 0 ||
        (code = vex_lower_with_vectors(call, in->with_vectors, &s->vectors)) < 0 ||
        (code = lower_place(call, in, read)) < 0)
        return code;
    code = vex_qread_begin(call, &read->base, in->collection_name, in->has_timeout, in->timeout);
    return code < 0 ? code
                    : vex_qread_strict(call, &read->base, in->has_timeout, in->timeout, &question,
                                       1 + vex_strict_conditions(in->filter));
}

uint64_t vex_qdrant_cost_scroll(struct vex_service *service, struct vex_call *call)
{
    struct scroll_read *read = vex_qread_lowered(call, sizeof *read, lower_scroll);
    uint64_t cost;

    (void)service;
    if (read->base.code < 0)
        return 0;
    if (read->scroll.order_by != NULL)
        return vex_read_cost_scan(read->base.collection, true);
    cost = read->scroll.limit < 1000000 ? read->scroll.limit * VEX_POINT_NS : UINT32_MAX;
    if (read->scroll.filter != NULL)
        cost += vex_read_cost_filter(read->base.collection, read->scroll.filter, read->scroll.limit);
    return cost;
}

int vex_qdrant_scroll(struct vex_service *service, struct vex_call *call)
{
    struct scroll_read *read = vex_qread_lowered(call, sizeof *read, lower_scroll);
    struct vex_read_context context = vex_qread_context(call, &read->base);
    Qdrant__ScrollResponse *out = call->response;
    struct vex_hits hits = {0};
    struct vex_id next;
    bool has_next = false;
    int code = read->base.code;

    (void)service;
    if (code == 0)
        code = vex_read_scroll(read->base.collection, &read->scroll, &context, &hits, &has_next, &next,
                               &call->err);
    if (code < 0)
        return code;
    vex_lift_retrieved(call, &hits, read->scroll.vectors.kind != VEX_VECTORS_NONE, &out->base, 2);
    if (has_next)
        out->next_page_offset = vex_lift_id(call, &next);
    return 0;
}

/* ---- count ---- */

struct count_read {
    struct vex_qread base;
    struct vex_filter *filter;
};

static int lower_count(struct vex_call *call, void *state)
{
    const Qdrant__CountPoints *in = call->request;
    struct count_read *read = state;
    struct vex_strict_read question = {.filter = in->filter, .exact = !in->has_exact || in->exact};
    int code = vex_lower_filter(call, in->filter, &read->filter);

    if (code == 0)
        code = vex_qread_begin(call, &read->base, in->collection_name, in->has_timeout, in->timeout);
    return code < 0 ? code
                    : vex_qread_strict(call, &read->base, in->has_timeout, in->timeout, &question,
                                       1 + vex_strict_conditions(in->filter));
}

uint64_t vex_qdrant_cost_count(struct vex_service *service, struct vex_call *call)
{
    struct count_read *read = vex_qread_lowered(call, sizeof *read, lower_count);

    (void)service;
    return read->base.code < 0 || read->filter == NULL
               ? 0
               : vex_read_cost_filter(read->base.collection, read->filter, UINT64_MAX);
}

int vex_qdrant_count(struct vex_service *service, struct vex_call *call)
{
    struct count_read *read = vex_qread_lowered(call, sizeof *read, lower_count);
    struct vex_read_context context = vex_qread_context(call, &read->base);
    Qdrant__CountResponse *out = call->response;
    uint64_t count = 0;
    int code = read->base.code;

    (void)service;
    if (code == 0)
        code = vex_read_count(read->base.collection, read->filter, &context, &count, &call->err);
    if (code < 0)
        return code;
    out->result = VEX_MESSAGE(call, Qdrant__CountResult, qdrant__count_result__descriptor);
    out->result->has_count = true;
    out->result->count = count;
    return 0;
}

/* ---- facet ---- */

struct facet_read {
    struct vex_qread base;
    struct vex_facet facet;
    uint64_t limit;
    bool uuids; /* the index is one of UUIDs */
};

/* Spellings are merged before the limit cuts. */
static void look_at_index(struct facet_read *read)
{
    struct vex_config *config = vex_collection_config(read->base.collection);
    const struct vex_index_params *index = vex_config_index(config, read->facet.key.text);

    read->uuids = index != NULL && index->type == VEX_INDEX_UUID;
    read->facet.limit = read->uuids ? UINT64_MAX : read->limit;
    vex_config_unref(config);
}

static int lower_facet(struct vex_call *call, void *state)
{
    const Qdrant__FacetCounts *in = call->request;
    struct facet_read *read = state;
    uint64_t limit = in->has_limit ? in->limit : LIMIT_DEFAULT;
    struct vex_strict_read question = {
        .has_limit = true, .limit = limit, .filter = in->filter, .exact = in->has_exact && in->exact};
    int code;

    read->limit = limit;
    if ((code = vex_lower_path(call, in->key, &read->facet.key)) < 0 ||
        (code = vex_lower_filter(call, in->filter, &read->facet.filter)) < 0 ||
        (code = vex_qread_begin(call, &read->base, in->collection_name, in->has_timeout, in->timeout)) < 0)
        return code;
    look_at_index(read);
    return vex_qread_strict(call, &read->base, in->has_timeout, in->timeout, &question,
                            1 + vex_strict_conditions(in->filter));
}

uint64_t vex_qdrant_cost_facet(struct vex_service *service, struct vex_call *call)
{
    struct facet_read *read = vex_qread_lowered(call, sizeof *read, lower_facet);

    (void)service;
    return read->base.code < 0 ? 0 : vex_read_cost_scan(read->base.collection, true);
}

static Qdrant__FacetHit *lift_facet(struct vex_call *call, const struct vex_facet_hit *hit)
{
    Qdrant__FacetHit *out = VEX_MESSAGE(call, Qdrant__FacetHit, qdrant__facet_hit__descriptor);
    Qdrant__FacetValue *value = VEX_MESSAGE(call, Qdrant__FacetValue, qdrant__facet_value__descriptor);

    switch (hit->value.kind) {
    case VEX_FACET_TEXT:
        value->variant_case = QDRANT__FACET_VALUE__VARIANT_STRING_VALUE;
        value->string_value = vex_arena_strndup(&call->arena, hit->value.text.ptr, hit->value.text.len);
        break;
    case VEX_FACET_INT:
        value->variant_case = QDRANT__FACET_VALUE__VARIANT_INTEGER_VALUE;
        value->integer_value = hit->value.integer;
        break;
    default:
        value->variant_case = QDRANT__FACET_VALUE__VARIANT_BOOL_VALUE;
        value->bool_value = hit->value.boolean;
    }
    out->value = value;
    out->has_count = true;
    out->count = hit->count;
    return out;
}

int vex_qdrant_facet(struct vex_service *service, struct vex_call *call)
{
    struct facet_read *read = vex_qread_lowered(call, sizeof *read, lower_facet);
    struct vex_read_context context = vex_qread_context(call, &read->base);
    Qdrant__FacetResponse *out = call->response;
    struct vex_facet_hit *hits = NULL;
    size_t count = 0;
    int code = read->base.code;

    (void)service;
    if (code == 0)
        code = vex_read_facet(read->base.collection, &read->facet, &context, &hits, &count, &call->err);
    if (code < 0)
        return code;
    if (read->uuids)
        count = vex_facet_uuids(&call->arena, hits, count, read->limit);
    out->n_hits = count;
    out->hits = VEX_ARENA_ARRAY(&call->arena, Qdrant__FacetHit *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->hits[i] = lift_facet(call, &hits[i]);
    return 0;
}

/* ---- matrix ---- */

struct matrix_read {
    struct vex_qread base;
    struct vex_matrix matrix;
};

static int lower_matrix(struct vex_call *call, void *state)
{
    const Qdrant__SearchMatrixPoints *in = call->request;
    struct matrix_read *read = state;
    struct vex_matrix *m = &read->matrix;
    struct vex_strict_read question = {.has_limit = true, .filter = in->filter};
    int code;

    m->using = vex_str_c(in->using_ != NULL ? in->using_ : "");
    m->sample = in->has_sample ? in->sample : SAMPLE_DEFAULT;
    m->limit = in->has_limit ? in->limit : MATRIX_LIMIT_DEFAULT;
    if (__builtin_mul_overflow(m->sample, m->limit, &question.limit))
        question.limit = UINT64_MAX;
    if ((code = vex_lower_filter(call, in->filter, &m->filter)) < 0 ||
        (code = vex_qread_begin(call, &read->base, in->collection_name, in->has_timeout, in->timeout)) < 0)
        return code;
    return vex_qread_strict(call, &read->base, in->has_timeout, in->timeout, &question,
                            1 + vex_strict_conditions(in->filter));
}

uint64_t vex_qdrant_cost_matrix(struct vex_service *service, struct vex_call *call)
{
    struct matrix_read *read = vex_qread_lowered(call, sizeof *read, lower_matrix);

    (void)service;
    return read->base.code < 0 ? 0 : UINT32_MAX;
}

static int run_matrix(struct vex_call *call, struct vex_matrix_result *ret)
{
    struct matrix_read *read = vex_qread_lowered(call, sizeof *read, lower_matrix);
    struct vex_read_context context = vex_qread_context(call, &read->base);

    if (read->base.code < 0)
        return read->base.code;
    return vex_read_matrix(read->base.collection, &read->matrix, &context, ret, &call->err);
}

int vex_qdrant_matrix_pairs(struct vex_service *service, struct vex_call *call)
{
    Qdrant__SearchMatrixPairsResponse *out = call->response;
    struct vex_matrix_result result = {0};
    Qdrant__SearchMatrixPairs *pairs;
    int code = run_matrix(call, &result);

    (void)service;
    if (code < 0)
        return code;
    out->result = pairs =
        VEX_MESSAGE(call, Qdrant__SearchMatrixPairs, qdrant__search_matrix_pairs__descriptor);
    pairs->n_pairs = result.pair_count;
    pairs->pairs = VEX_ARENA_ARRAY(&call->arena, Qdrant__SearchMatrixPair *, result.pair_count + 1);
    for (size_t i = 0; i < result.pair_count; i++) {
        Qdrant__SearchMatrixPair *pair =
            VEX_MESSAGE(call, Qdrant__SearchMatrixPair, qdrant__search_matrix_pair__descriptor);

        pair->a = vex_lift_id(call, &result.ids[result.pairs[i].a]);
        pair->b = vex_lift_id(call, &result.ids[result.pairs[i].b]);
        pair->has_score = true;
        pair->score = result.pairs[i].score;
        pairs->pairs[i] = pair;
    }
    return 0;
}

int vex_qdrant_matrix_offsets(struct vex_service *service, struct vex_call *call)
{
    Qdrant__SearchMatrixOffsetsResponse *out = call->response;
    struct vex_matrix_result result = {0};
    Qdrant__SearchMatrixOffsets *o;
    int code = run_matrix(call, &result);
    size_t n;

    (void)service;
    if (code < 0)
        return code;
    n = result.pair_count;
    out->result = o =
        VEX_MESSAGE(call, Qdrant__SearchMatrixOffsets, qdrant__search_matrix_offsets__descriptor);
    o->n_offsets_row = o->n_offsets_col = o->n_scores = n;
    o->offsets_row = VEX_ARENA_ARRAY(&call->arena, uint64_t, n + 1);
    o->offsets_col = VEX_ARENA_ARRAY(&call->arena, uint64_t, n + 1);
    o->scores = VEX_ARENA_ARRAY(&call->arena, float, n + 1);
    for (size_t i = 0; i < n; i++) {
        o->offsets_row[i] = result.pairs[i].a;
        o->offsets_col[i] = result.pairs[i].b;
        o->scores[i] = result.pairs[i].score;
    }
    o->n_ids = result.count;
    o->ids = VEX_ARENA_ARRAY(&call->arena, Qdrant__PointId *, result.count + 1);
    for (uint32_t i = 0; i < result.count; i++)
        o->ids[i] = vex_lift_id(call, &result.ids[i]);
    return 0;
}
