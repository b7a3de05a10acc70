/* The older requests as queries, and the lowering of queries by examples: vectors, ids, and ids looked up in another collection of a
 * real engine. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "api_kit.h"
#include "base/file.h"
#include "api/qdrant/legacy.h"
#include "api/qdrant/lower_stage.h"

/* ---- an engine with a collection to look ids up in ---- */

struct rig {
    struct kit kit;
    struct vex_call *call;
    char dir[64];
    struct vex_dev *dev;
    struct vex_pool *pool;
    struct vex_engine *engine;
};

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    int code;
};

static void submitted(struct vex_mutation *mutation, int code, const struct vex_err *err,
                      const struct vex_op_result *results)
{
    struct answer *answer = mutation->arg;

    (void)err;
    (void)results;
    pthread_mutex_lock(&answer->lock);
    answer->done = true;
    answer->code = code;
    pthread_cond_signal(&answer->changed);
    pthread_mutex_unlock(&answer->lock);
}

/* Points 1 and 2 of "other", 2 without its vector "v". */
static void fill(struct vex_collection *collection)
{
    static const float v[] = {3, 4}, w[] = {5, 6, 7};
    struct vex_vector_value vectors[] = {{.name = VEX_STR("w"), .values = w, .count = 3},
                                         {.name = VEX_STR("v"), .values = v, .count = 2}};
    struct vex_point points[] = {{.id = vex_id_num(1), .vectors = vectors, .vector_count = 2},
                                 {.id = vex_id_num(2), .vectors = vectors, .vector_count = 1}};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = 2}};
    struct answer answer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    struct vex_mutation mutation = {.ops = &op, .count = 1, .wait = true, .done = submitted, .arg = &answer};
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_collection_submit(collection, &mutation, &err), 0);
    pthread_mutex_lock(&answer.lock);
    while (!answer.done)
        pthread_cond_wait(&answer.changed, &answer.lock);
    pthread_mutex_unlock(&answer.lock);
    CU_ASSERT_EQUAL_FATAL(answer.code, 0);
}

static void rig_open(struct rig *rig)
{
    struct vex_engine_options options = {.io = vex_io_posix(),
                                         .segment_bytes = 1 << 20,
                                         .checkpoint_bytes = 64 << 20,
                                         .checkpoint_ns = 3600000000000u,
                                         .queue_bytes = 1 << 20};
    struct vex_config *config = vex_config_new();
    struct vex_vector_params v = {.name = VEX_STR("v"), .size = 2}, w = {.name = VEX_STR("w"), .size = 3};
    struct vex_collection *collection;
    struct vex_err err;
    bool created;

    rig->call = kit_open(&rig->kit, VEX_DIALECT_QDRANT_GRPC);
    strcpy(rig->dir, "/tmp/vex-legacy-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(rig->dir));
    options.dir = rig->dir;
    options.dev = rig->dev = vex_dev_embed_new();
    options.pool = rig->pool = vex_pool_new(1, 64, "test");
    CU_ASSERT_EQUAL_FATAL(vex_engine_open(&options, &rig->engine, &err), 0);
    rig->kit.service.engine = rig->engine;
    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &v, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &w, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(rig->engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("other"), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    fill(collection);
    vex_collection_unref(collection);
}

static void rig_close(struct rig *rig)
{
    struct vex_err err;

    vex_engine_close(rig->engine);
    vex_pool_free(rig->pool);
    vex_dev_free(rig->dev);
    kit_close(&rig->kit);
    CU_ASSERT_EQUAL(vex_file_remove_tree(vex_io_posix(), rig->dir, &err), 0);
}

/* ---- parts of messages ---- */

static float values[] = {1, 2, 3, 4};

static Qdrant__PointId id_of(uint64_t num)
{
    Qdrant__PointId id = QDRANT__POINT_ID__INIT;

    id.point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
    id.num = num;
    return id;
}

static Qdrant__VectorInput input_of_id(Qdrant__PointId *id)
{
    Qdrant__VectorInput input = QDRANT__VECTOR_INPUT__INIT;

    input.variant_case = QDRANT__VECTOR_INPUT__VARIANT_ID;
    input.id = id;
    return input;
}

static Qdrant__VectorInput input_of(Qdrant__DenseVector *dense)
{
    Qdrant__VectorInput input = QDRANT__VECTOR_INPUT__INIT;

    input.variant_case = QDRANT__VECTOR_INPUT__VARIANT_DENSE;
    input.dense = dense;
    return input;
}

static Qdrant__DenseVector dense_of(size_t count)
{
    Qdrant__DenseVector dense = QDRANT__DENSE_VECTOR__INIT;

    dense.n_data = count;
    dense.data = values;
    return dense;
}

/* ---- queries by examples ---- */

static struct vex_stage stage_new(void)
{
    return (struct vex_stage){.nearest = {.using = VEX_STR("v")}};
}

/* Ids in the condition that leaves points out; -1: there is none. */
static int left_out(const struct vex_filter *filter)
{
    if (filter == NULL || filter->must_not.count != 1 || filter->must_not.conds[0].kind != VEX_COND_HAS_ID)
        return -1;
    return (int)filter->must_not.conds[0].ids.count;
}

static void recommend(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointId id = id_of(7);
    Qdrant__DenseVector dense = dense_of(2);
    Qdrant__VectorInput a = input_of_id(&id), b = input_of(&dense), *both[] = {&a, &b}, *one[] = {&b};
    Qdrant__RecommendInput in = QDRANT__RECOMMEND_INPUT__INIT;
    struct vex_filter given = {0};
    struct vex_stage stage = stage_new();

    in.n_positive = 2;
    in.positive = both;
    in.n_negative = 1;
    in.negative = one;
    stage.nearest.filter = &given;
    CU_ASSERT_EQUAL(vex_lower_recommend(call, &in, NULL, &stage), 0);
    CU_ASSERT(stage.kind == VEX_STAGE_NEAREST && stage.nearest.positive_count == 2 &&
              stage.nearest.negative_count == 1);
    CU_ASSERT(stage.nearest.positive[0].id->num == 7 && stage.nearest.positive[1].id == NULL &&
              stage.nearest.positive[1].vector.values == values);
    CU_ASSERT_EQUAL(left_out(stage.nearest.filter), 1);
    CU_ASSERT(stage.nearest.filter->must.count == 1 && stage.nearest.filter->must.conds[0].sub == &given);
    in.has_strategy = true;
    in.strategy = QDRANT__RECOMMEND_STRATEGY__BestScore;
    stage = stage_new();
    CU_ASSERT_EQUAL(vex_lower_recommend(call, &in, NULL, &stage), 0);
    CU_ASSERT(stage.kind == VEX_STAGE_EXAMPLES && stage.examples.kind == VEX_EXAMPLES_BEST &&
              stage.examples.positive_count == 2 && stage.examples.negative_count == 1);
    in.strategy = QDRANT__RECOMMEND_STRATEGY__SumScores;
    in.n_positive = 0;
    stage = stage_new();
    CU_ASSERT_EQUAL(vex_lower_recommend(call, &in, NULL, &stage), 0);
    CU_ASSERT(stage.examples.kind == VEX_EXAMPLES_SUM && stage.examples.positive_count == 0);
    CU_ASSERT_EQUAL(left_out(stage.nearest.filter), -1);
    in.strategy = QDRANT__RECOMMEND_STRATEGY__AverageVector;
    CU_ASSERT_EQUAL(vex_lower_recommend(call, &in, NULL, &stage), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Positive vectors should not be empty with `average` strategy");
    b.variant_case = QDRANT__VECTOR_INPUT__VARIANT__NOT_SET;
    CU_ASSERT_EQUAL(vex_lower_recommend(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "VectorInput variant is missing");
    kit_close(&kit);
}

static void discover_and_context(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointId id = id_of(7);
    Qdrant__DenseVector dense = dense_of(2);
    Qdrant__VectorInput a = input_of_id(&id), b = input_of(&dense);
    Qdrant__ContextInputPair pair = QDRANT__CONTEXT_INPUT_PAIR__INIT, *pairs[] = {&pair};
    Qdrant__ContextInput context = QDRANT__CONTEXT_INPUT__INIT;
    Qdrant__DiscoverInput in = QDRANT__DISCOVER_INPUT__INIT;
    struct vex_stage stage = stage_new();

    CU_ASSERT_EQUAL(vex_lower_discover(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "DiscoverInput target is missing");
    in.target = &a;
    CU_ASSERT_EQUAL(vex_lower_discover(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "DiscoverInput context is missing");
    call->dialect = VEX_DIALECT_QDRANT_REST; /* there null is no context */
    CU_ASSERT_EQUAL(vex_lower_discover(call, &in, NULL, &stage), 0);
    CU_ASSERT(stage.examples.positive_count == 0 && stage.examples.target.id != NULL);
    call->dialect = VEX_DIALECT_QDRANT_GRPC;
    in.context = &context;
    context.n_pairs = 1;
    context.pairs = pairs;
    CU_ASSERT_EQUAL(vex_lower_discover(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "ContextPair positive is missing");
    pair.positive = &a;
    CU_ASSERT_EQUAL(vex_lower_context(call, &context, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "ContextPair negative is missing");
    pair.negative = &b;
    stage = stage_new();
    CU_ASSERT_EQUAL(vex_lower_discover(call, &in, NULL, &stage), 0);
    CU_ASSERT(stage.kind == VEX_STAGE_EXAMPLES && stage.examples.kind == VEX_EXAMPLES_DISCOVER);
    CU_ASSERT(stage.examples.target.id != NULL && stage.examples.positive_count == 1 &&
              stage.examples.negative_count == 1 && stage.examples.positive[0].id != NULL &&
              stage.examples.negative[0].id == NULL);
    CU_ASSERT_EQUAL(left_out(stage.nearest.filter), 2);
    stage = stage_new();
    CU_ASSERT_EQUAL(vex_lower_context(call, &context, NULL, &stage), 0);
    CU_ASSERT(stage.examples.kind == VEX_EXAMPLES_CONTEXT && left_out(stage.nearest.filter) == 1);
    kit_close(&kit);
}

static void feedback(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointId id = id_of(7);
    Qdrant__DenseVector dense = dense_of(2);
    Qdrant__VectorInput a = input_of_id(&id), b = input_of(&dense);
    Qdrant__FeedbackItem item = QDRANT__FEEDBACK_ITEM__INIT, *items[] = {&item};
    Qdrant__NaiveFeedbackStrategy naive = QDRANT__NAIVE_FEEDBACK_STRATEGY__INIT;
    Qdrant__FeedbackStrategy strategy = QDRANT__FEEDBACK_STRATEGY__INIT;
    Qdrant__RelevanceFeedbackInput in = QDRANT__RELEVANCE_FEEDBACK_INPUT__INIT;
    struct vex_stage stage = stage_new();

    in.target = &b;
    CU_ASSERT_EQUAL(vex_lower_feedback(call, &in, NULL, &stage), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Validation failed: feedback elements must be non-empty");
    in.n_feedback = 1;
    in.feedback = items;
    in.target = NULL;
    CU_ASSERT_EQUAL(vex_lower_feedback(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "target is missing");
    in.target = &b;
    CU_ASSERT_EQUAL(vex_lower_feedback(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "feedback example is missing");
    item.example = &a;
    item.score = 0.75f;
    CU_ASSERT_EQUAL(vex_lower_feedback(call, &in, NULL, &stage), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "strategy is missing");
    strategy.variant_case = QDRANT__FEEDBACK_STRATEGY__VARIANT_NAIVE;
    strategy.naive = &naive;
    naive.a = 1;
    naive.b = 2;
    naive.c = 3;
    in.strategy = &strategy;
    stage = stage_new();
    CU_ASSERT_EQUAL(vex_lower_feedback(call, &in, NULL, &stage), 0);
    CU_ASSERT(stage.examples.kind == VEX_EXAMPLES_FEEDBACK && stage.examples.positive_count == 1 &&
              stage.examples.judgements[0] == 0.75f && stage.examples.a == 1 && stage.examples.b == 2 &&
              stage.examples.c == 3 && stage.examples.target.vector.count == 2);
    CU_ASSERT_EQUAL(left_out(stage.nearest.filter), 1);
    kit_close(&kit);
}

static void lookups(void)
{
    struct rig rig;
    rig_open(&rig);
    Qdrant__PointId id = id_of(1);
    Qdrant__VectorInput a = input_of_id(&id), *one[] = {&a};
    Qdrant__RecommendInput in = QDRANT__RECOMMEND_INPUT__INIT;
    Qdrant__LookupLocation lookup = QDRANT__LOOKUP_LOCATION__INIT;
    Qdrant__QueryPoints request = QDRANT__QUERY_POINTS__INIT;
    struct vex_stage stage = stage_new();

    in.n_positive = 1;
    in.positive = one;
    lookup.collection_name = "other";
    request.collection_name = "here";
    rig.call->request = &request;
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), 0);
    CU_ASSERT_FATAL(stage.nearest.positive_count == 1 && stage.nearest.positive[0].id == NULL);
    CU_ASSERT_EQUAL(stage.nearest.positive[0].vector.count, 2); /* `using` names it there too */
    CU_ASSERT_PTR_NULL(stage.nearest.filter);
    lookup.vector_name = "w";
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), 0);
    CU_ASSERT_EQUAL(stage.nearest.positive[0].vector.count, 3);
    CU_ASSERT_EQUAL(stage.nearest.positive[0].vector.values[2], 7);
    request.collection_name = "other"; /* the points looked up are among those searched */
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), 0);
    CU_ASSERT_EQUAL(left_out(stage.nearest.filter), 1);
    id.num = 2;
    lookup.vector_name = NULL;
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), VEX_ENOT_FOUND);
    CU_ASSERT_STRING_EQUAL(rig.call->err.text, "Vector with name \"v\" for point not found");
    id.num = 3;
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), VEX_ENOT_FOUND);
    CU_ASSERT_STRING_EQUAL(rig.call->err.text, "No point with id 3 found");
    lookup.vector_name = "nothing";
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), VEX_ENOT_FOUND);
    CU_ASSERT_STRING_EQUAL(rig.call->err.text, "No point with id 3 found");
    id.num = 1;
    CU_ASSERT_EQUAL(vex_lower_recommend(rig.call, &in, &lookup, &stage), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(rig.call->err.text, "Not existing vector name error: nothing");
    CU_ASSERT_EQUAL(vex_lower_check_lookup(rig.call, &lookup), 0);
    CU_ASSERT_EQUAL(vex_lower_check_lookup(rig.call, NULL), 0);
    lookup.collection_name = "nowhere";
    CU_ASSERT_EQUAL(vex_lower_check_lookup(rig.call, &lookup), VEX_ENOT_FOUND);
    CU_ASSERT_STRING_EQUAL(rig.call->err.text, "Collection nowhere not found");
    rig_close(&rig);
}

/* ---- older requests ---- */

static void old_recommend(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__RecommendPoints in = QDRANT__RECOMMEND_POINTS__INIT;
    Qdrant__PointId id = id_of(7), *ids[] = {&id};
    Qdrant__Vector flat = QDRANT__VECTOR__INIT, sparse = flat, multi = flat,
                   *vectors[] = {&flat, &sparse, &multi};
    Qdrant__SparseIndices indices = QDRANT__SPARSE_INDICES__INIT;
    Qdrant__Filter filter = QDRANT__FILTER__INIT;
    uint32_t at[] = {5, 6, 7, 8};
    const Qdrant__QueryPoints *out;

    CU_ASSERT_PTR_NULL(vex_legacy_recommend(call, &in));
    CU_ASSERT_EQUAL(call->err.code, VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text, "At least one positive vector ID required with this strategy");
    in.has_strategy = true;
    in.strategy = QDRANT__RECOMMEND_STRATEGY__BestScore;
    CU_ASSERT_PTR_NULL(vex_legacy_recommend(call, &in));
    CU_ASSERT_STRING_EQUAL(call->err.text,
                           "At least one positive or negative vector ID required with this strategy");
    flat.n_data = sparse.n_data = multi.n_data = 4;
    flat.data = sparse.data = multi.data = values;
    indices.n_data = 4;
    indices.data = at;
    sparse.indices = &indices;
    multi.has_vectors_count = true;
    multi.vectors_count = 2;
    in.n_positive = 1;
    in.positive = ids;
    in.n_positive_vectors = 3;
    in.positive_vectors = vectors;
    in.n_negative = 1;
    in.negative = ids;
    in.collection_name = "c";
    in.using_ = "v";
    in.limit = 4;
    in.has_offset = true;
    in.offset = 3;
    in.has_score_threshold = true;
    in.score_threshold = 0.5f;
    in.filter = &filter;
    out = vex_legacy_recommend(call, &in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT(out->limit == 4 && out->has_limit && out->offset == 3 && out->has_offset &&
              out->score_threshold == 0.5f && out->filter == &filter && strcmp(out->using_, "v") == 0 &&
              strcmp(out->collection_name, "c") == 0);
    CU_ASSERT_FATAL(out->query->variant_case == QDRANT__QUERY__VARIANT_RECOMMEND);
    const Qdrant__RecommendInput *r = out->query->recommend;

    CU_ASSERT(r->n_positive == 4 && r->n_negative == 1 && r->has_strategy && r->strategy == in.strategy);
    CU_ASSERT(r->positive[0]->id == &id && r->positive[1]->dense->n_data == 4 &&
              r->positive[2]->sparse->indices == at && r->positive[3]->multi_dense->n_vectors == 2 &&
              r->positive[3]->multi_dense->vectors[1]->data[0] == 3 && r->negative[0]->id == &id);
    multi.vectors_count = 3;
    CU_ASSERT_PTR_NULL(vex_legacy_recommend(call, &in));
    CU_ASSERT_EQUAL(call->err.code, VEX_EFORMAT);
    kit_close(&kit);
}

static void old_groups(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__RecommendPointGroups in = QDRANT__RECOMMEND_POINT_GROUPS__INIT;
    Qdrant__PointId id = id_of(7), *ids[] = {&id};
    Qdrant__WithLookup lookup = QDRANT__WITH_LOOKUP__INIT;
    const Qdrant__QueryPointGroups *out;

    CU_ASSERT_PTR_NULL(vex_legacy_recommend_groups(call, &in));
    in.n_positive = 1;
    in.positive = ids;
    in.limit = 5;
    in.group_size = 2;
    in.group_by = "k";
    in.with_lookup = &lookup;
    in.has_timeout = true;
    in.timeout = 9;
    out = vex_legacy_recommend_groups(call, &in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT(out->has_limit && out->limit == 5 && out->has_group_size && out->group_size == 2 &&
              out->with_lookup == &lookup && out->timeout == 9 && strcmp(out->group_by, "k") == 0 &&
              !out->query->recommend->has_strategy && out->query->recommend->n_positive == 1);
    kit_close(&kit);
}

static void old_discover(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__DiscoverPoints in = QDRANT__DISCOVER_POINTS__INIT;
    Qdrant__TargetVector target = QDRANT__TARGET_VECTOR__INIT;
    Qdrant__VectorExample a = QDRANT__VECTOR_EXAMPLE__INIT, b = a;
    Qdrant__ContextExamplePair pair = QDRANT__CONTEXT_EXAMPLE_PAIR__INIT, *pairs[] = {&pair};
    Qdrant__PointId id = id_of(7);
    Qdrant__Vector flat = QDRANT__VECTOR__INIT;
    const Qdrant__QueryPoints *out;

    CU_ASSERT_PTR_NULL(vex_legacy_discover(call, &in));
    CU_ASSERT_EQUAL(call->err.code, VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text, "target and/or context_pairs must be specified");
    a.example_case = QDRANT__VECTOR_EXAMPLE__EXAMPLE_ID;
    a.id = &id;
    b.example_case = QDRANT__VECTOR_EXAMPLE__EXAMPLE_VECTOR;
    b.vector = &flat;
    flat.n_data = 2;
    flat.data = values;
    pair.positive = &a;
    in.n_context = 1;
    in.context = pairs;
    in.limit = 6;
    CU_ASSERT_PTR_NULL(vex_legacy_discover(call, &in)); /* half a pair */
    CU_ASSERT_EQUAL(call->err.code, VEX_EFORMAT);
    pair.negative = &b;
    out = vex_legacy_discover(call, &in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_FATAL(out->query->variant_case == QDRANT__QUERY__VARIANT_CONTEXT);
    CU_ASSERT(out->limit == 6 && out->query->context->n_pairs == 1 &&
              out->query->context->pairs[0]->positive->id == &id &&
              out->query->context->pairs[0]->negative->dense->data == values);
    in.target = &target;
    CU_ASSERT_PTR_NULL(vex_legacy_discover(call, &in)); /* a target of nothing */
    target.target_case = QDRANT__TARGET_VECTOR__TARGET_SINGLE;
    target.single = &b;
    in.n_context = 0;
    out = vex_legacy_discover(call, &in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_FATAL(out->query->variant_case == QDRANT__QUERY__VARIANT_DISCOVER);
    CU_ASSERT(out->query->discover->target->dense->n_data == 2 &&
              out->query->discover->context->n_pairs == 0);
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"recommend", recommend},
        {"discover and context", discover_and_context},
        {"feedback", feedback},
        {"ids looked up elsewhere", lookups},
        {"older recommendations", old_recommend},
        {"older groups", old_groups},
        {"older discovery", old_discover},
        CU_TEST_INFO_NULL,
    };

    return run_suite("queries by examples", tests);
}
