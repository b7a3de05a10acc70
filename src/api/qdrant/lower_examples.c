/* Lowering examples: ids that stand for vectors, and the queries that compare with several of them. See lower_stage.h. */
#include "api/qdrant/lower_stage.h"

/* ---- ids that stand for vectors ---- */

int vex_lower_find_lookup(struct vex_call *call, const Qdrant__LookupLocation *in,
                          struct vex_collection **ret)
{
    const char *name = in->collection_name != NULL ? in->collection_name : "";
    int code = vex_qdrant_find(call, name, ret);

    if (code != VEX_ENOT_FOUND)
        return code;
    return vex_err_set(&call->err, VEX_ENOT_FOUND, "Collection %.1000s not found", name);
}

int vex_lower_check_lookup(struct vex_call *call, const Qdrant__LookupLocation *in)
{
    struct vex_collection *collection;
    int code = in != NULL ? vex_lower_find_lookup(call, in, &collection) : 0;

    if (in != NULL && code == 0)
        vex_collection_unref(collection);
    return code;
}

int vex_lower_lookup(struct vex_call *call, const Qdrant__LookupLocation *in, const struct vex_id *id,
                     struct vex_str using, struct vex_vector_value *ret)
{
    struct vex_str name = in->vector_name != NULL ? vex_str_c(in->vector_name) : using;
    struct vex_retrieve request = {
        .ids = id, .count = 1, .vectors = {.kind = VEX_VECTORS_NAMED, .names = &name, .count = 1}};
    struct vex_read_context context = {.arena = &call->arena, .cancelled = &call->cancelled};
    struct vex_collection *collection;
    struct vex_str text;
    struct vex_hits hits;
    int code;

    code = vex_lower_find_lookup(call, in, &collection);
    if (code < 0)
        return code;
    code = vex_read_retrieve(collection, &request, &context, &hits, &call->err);
    if (code == VEX_EBAD_INPUT) { /* an unknown name; that there is no such point is said first */
        struct vex_err err;

        request.vectors.kind = VEX_VECTORS_NONE;
        if (vex_read_retrieve(collection, &request, &context, &hits, &err) == 0 && hits.count == 0)
            code = 0;
    }
    vex_collection_unref(collection);
    if (code < 0)
        return code;
    text = vex_id_text(&call->arena, id);
    if (hits.count == 0)
        return vex_err_set(&call->err, VEX_ENOT_FOUND, "No point with id " VEX_STR_FMT " found",
                           VEX_STR_ARG(text));
    if (hits.hits[0].vector_count == 0)
        return vex_err_set(&call->err, VEX_ENOT_FOUND,
                           "Vector with name \"" VEX_STR_FMT "\" for point not found", VEX_STR_ARG(name));
    *ret = hits.hits[0].vectors[0];
    return 0;
}

/* Name of the collection that the request searches; NULL: none. Every query message has that field. */
static const char *searched(const struct vex_call *call)
{
    const ProtobufCMessage *request = (const void *)call->request;
    const ProtobufCFieldDescriptor *field =
        request != NULL
            ? protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "collection_name")
            : NULL;

    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING || field->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    return *(char *const *)(const void *)((const char *)request + field->offset);
}

bool vex_lower_is_elsewhere(const struct vex_call *call, const Qdrant__LookupLocation *lookup)
{
    const char *here = searched(call);

    return lookup != NULL &&
           (here == NULL || lookup->collection_name == NULL || strcmp(here, lookup->collection_name) != 0);
}

int vex_lower_example(struct vex_call *call, const Qdrant__VectorInput *in,
                      const Qdrant__LookupLocation *lookup, struct vex_str using, struct vex_example *ret)
{
    struct vex_id *id;
    int code;

    *ret = (struct vex_example){0};
    if (in->variant_case != QDRANT__VECTOR_INPUT__VARIANT_ID)
        return vex_lower_vector_input(call, in, &ret->vector);
    id = vex_arena_try(&call->arena, sizeof *id);
    if (id == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many ids in one request");
    code = vex_lower_id(call, in->id, id);
    if (code < 0)
        return code;
    if (lookup != NULL)
        return vex_lower_lookup(call, lookup, id, using, &ret->vector);
    ret->id = id;
    return 0;
}

void vex_lower_leave_out(struct vex_call *call, struct vex_id *ids, uint32_t count,
                         struct vex_filter **filter)
{
    struct vex_filter *wrapped = VEX_ARENA_NEW(&call->arena, struct vex_filter);

    if (*filter != NULL) {
        wrapped->must.conds = VEX_ARENA_NEW(&call->arena, struct vex_cond);
        wrapped->must.count = 1;
        wrapped->must.conds->kind = VEX_COND_FILTER;
        wrapped->must.conds->sub = *filter;
    }
    wrapped->must_not.conds = VEX_ARENA_NEW(&call->arena, struct vex_cond);
    wrapped->must_not.count = 1;
    wrapped->must_not.conds->kind = VEX_COND_HAS_ID;
    wrapped->must_not.conds->ids.ids = ids;
    wrapped->must_not.conds->ids.count = count;
    *filter = wrapped;
}

/* ---- queries ---- */

/* A query on its way, and the points to leave out of its answer. */
struct lowering {
    struct vex_call *call;
    const Qdrant__LookupLocation *lookup;
    struct vex_stage *stage;
    bool elsewhere;
    struct vex_id *ids;
    uint32_t id_count;
};

/* examples: how many there will be. */
static int begin(struct lowering *l, struct vex_call *call, const Qdrant__LookupLocation *lookup,
                 struct vex_stage *stage, size_t examples)
{
    *l = (struct lowering){.call = call, .lookup = lookup, .stage = stage};
    l->elsewhere = vex_lower_is_elsewhere(call, lookup);
    l->ids = examples < UINT32_MAX ? vex_arena_try(&call->arena, (examples + 1) * sizeof *l->ids) : NULL;
    if (l->ids == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many examples in one request");
    stage->kind = VEX_STAGE_EXAMPLES;
    return 0;
}

static int lower(struct lowering *l, const Qdrant__VectorInput *in, const char *missing,
                 struct vex_example *ret)
{
    int code;

    if (in == NULL)
        return vex_qdrant_malformed(l->call, "%s is missing", missing);
    code = vex_lower_example(l->call, in, l->lookup, l->stage->nearest.using, ret);
    if (code == 0 && in->variant_case == QDRANT__VECTOR_INPUT__VARIANT_ID && !l->elsewhere)
        code = vex_lower_id(l->call, in->id, &l->ids[l->id_count++]);
    return code;
}

static struct vex_example *room(struct lowering *l, size_t count)
{
    struct vex_example *examples = vex_arena_try(&l->call->arena, (count + 1) * sizeof *examples);

    if (examples == NULL)
        vex_err_set(&l->call->err, VEX_ETOO_LARGE, "too many examples in one request");
    return examples;
}

static int lower_list(struct lowering *l, Qdrant__VectorInput *const *in, size_t count,
                      const struct vex_example **ret, uint32_t *ret_count)
{
    struct vex_example *examples = room(l, count);
    int code = examples == NULL ? l->call->err.code : 0;

    for (size_t i = 0; i < count && code == 0; i++)
        code = lower(l, in[i], "VectorInput variant", &examples[i]);
    *ret = examples;
    *ret_count = (uint32_t)count;
    return code;
}

static int lower_pairs(struct lowering *l, const Qdrant__ContextInput *in)
{
    struct vex_examples *out = &l->stage->examples;
    struct vex_example *positive = room(l, in->n_pairs), *negative = room(l, in->n_pairs);
    int code = positive == NULL || negative == NULL ? l->call->err.code : 0;

    for (size_t i = 0; i < in->n_pairs && code == 0; i++) {
        code = lower(l, in->pairs[i]->positive, "ContextPair positive", &positive[i]);
        if (code == 0)
            code = lower(l, in->pairs[i]->negative, "ContextPair negative", &negative[i]);
    }
    out->positive = positive;
    out->negative = negative;
    out->positive_count = out->negative_count = (uint32_t)in->n_pairs;
    return code;
}

static int end(struct lowering *l, int code)
{
    if (code == 0 && l->id_count != 0)
        vex_lower_leave_out(l->call, l->ids, l->id_count, &l->stage->nearest.filter);
    return code;
}

int vex_lower_recommend(struct vex_call *call, const Qdrant__RecommendInput *in,
                        const Qdrant__LookupLocation *lookup, struct vex_stage *ret)
{
    struct vex_examples *out = &ret->examples;
    struct lowering l;
    int code = begin(&l, call, lookup, ret, in->n_positive + in->n_negative);

    if (code == 0)
        code = lower_list(&l, in->positive, in->n_positive, &out->positive, &out->positive_count);
    if (code == 0)
        code = lower_list(&l, in->negative, in->n_negative, &out->negative, &out->negative_count);
    if (in->has_strategy && in->strategy == QDRANT__RECOMMEND_STRATEGY__BestScore) {
        out->kind = VEX_EXAMPLES_BEST;
    } else if (in->has_strategy && in->strategy == QDRANT__RECOMMEND_STRATEGY__SumScores) {
        out->kind = VEX_EXAMPLES_SUM;
    } else {
        ret->kind = VEX_STAGE_NEAREST;
        ret->nearest.positive = out->positive;
        ret->nearest.positive_count = out->positive_count;
        ret->nearest.negative = out->negative;
        ret->nearest.negative_count = out->negative_count;
        if (code == 0 && in->n_positive == 0) /* without any example it would not be a recommendation */
            code = vex_err_set(&call->err, VEX_EBAD_INPUT,
                               "Positive vectors should not be empty with `average` strategy");
    }
    return end(&l, code);
}

int vex_lower_discover(struct vex_call *call, const Qdrant__DiscoverInput *in,
                       const Qdrant__LookupLocation *lookup, struct vex_stage *ret)
{
    const Qdrant__ContextInput *context = in->context;
    Qdrant__ContextInput none = QDRANT__CONTEXT_INPUT__INIT;
    struct lowering l;
    int code;

    if (context == NULL && call->dialect == VEX_DIALECT_QDRANT_REST)
        context = &none; /* null */
    if (in->target == NULL || context == NULL)
        return vex_qdrant_malformed(call, "DiscoverInput %s is missing",
                                    in->target == NULL ? "target" : "context");
    code = begin(&l, call, lookup, ret, 1 + 2 * context->n_pairs);
    ret->examples.kind = VEX_EXAMPLES_DISCOVER;
    if (code == 0)
        code = lower(&l, in->target, "DiscoverInput target", &ret->examples.target);
    if (code == 0)
        code = lower_pairs(&l, context);
    return end(&l, code);
}

int vex_lower_context(struct vex_call *call, const Qdrant__ContextInput *in,
                      const Qdrant__LookupLocation *lookup, struct vex_stage *ret)
{
    struct lowering l;
    int code = begin(&l, call, lookup, ret, 2 * in->n_pairs);

    ret->examples.kind = VEX_EXAMPLES_CONTEXT;
    return end(&l, code == 0 ? lower_pairs(&l, in) : code);
}

static int lower_judged(struct lowering *l, const Qdrant__RelevanceFeedbackInput *in)
{
    struct vex_examples *out = &l->stage->examples;
    struct vex_example *examples = room(l, in->n_feedback);
    float *judgements = vex_arena_try(&l->call->arena, (in->n_feedback + 1) * sizeof *judgements);
    int code = examples == NULL || judgements == NULL ? VEX_ETOO_LARGE : 0;

    if (code != 0)
        return vex_err_set(&l->call->err, VEX_ETOO_LARGE, "too many examples in one request");
    for (size_t i = 0; i < in->n_feedback && code == 0; i++) {
        code = lower(l, in->feedback[i]->example, "feedback example", &examples[i]);
        judgements[i] = in->feedback[i]->score;
    }
    out->positive = examples;
    out->positive_count = (uint32_t)in->n_feedback;
    out->judgements = judgements;
    return code;
}

int vex_lower_feedback(struct vex_call *call, const Qdrant__RelevanceFeedbackInput *in,
                       const Qdrant__LookupLocation *lookup, struct vex_stage *ret)
{
    const Qdrant__FeedbackStrategy *strategy = in->strategy;
    struct vex_examples *out = &ret->examples;
    struct lowering l;
    int code = begin(&l, call, lookup, ret, 1 + in->n_feedback);

    out->kind = VEX_EXAMPLES_FEEDBACK;
    if (code == 0 && in->n_feedback == 0)
        code =
            vex_err_set(&call->err, VEX_EBAD_INPUT, "Validation failed: feedback elements must be non-empty");
    if (code == 0)
        code = lower(&l, in->target, "target", &out->target);
    if (code == 0)
        code = lower_judged(&l, in);
    if (code != 0)
        return code;
    if (strategy == NULL || strategy->variant_case != QDRANT__FEEDBACK_STRATEGY__VARIANT_NAIVE)
        return vex_qdrant_malformed(call, "strategy is missing");
    out->a = strategy->naive->a;
    out->b = strategy->naive->b;
    out->c = strategy->naive->c;
    return end(&l, 0);
}
