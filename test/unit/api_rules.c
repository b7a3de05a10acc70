/* Rules of request fields: every row means a field that exists, and the texts are the peer's. */
#include "api_kit.h"
#include "api/qdrant/rules_private.h"

static void rows_resolve(void)
{
    for (size_t i = 0; i < vex_rule_count; i++)
        CU_ASSERT_PTR_NOT_NULL(
            protobuf_c_message_descriptor_get_field_by_name(vex_rules[i].type, vex_rules[i].field));
    for (size_t i = 0; i < vex_rule_name_count; i++)
        CU_ASSERT_PTR_NOT_NULL(
            protobuf_c_message_descriptor_get_field_by_name(vex_rule_names[i].type, vex_rule_names[i].field));
}

/* The text after the rules; "" when all is well. */
static const char *broken(const char *method, void *request, bool rest)
{
    static char text[VEX_ERR_TEXT_MAX];
    static const char *const services[] = {"qdrant.Collections", "qdrant.Points"};
    struct vex_err err = {0};
    const struct vex_rpc *rpc = NULL;
    const ProtobufCMessage *message = request;

    for (int i = 0; i < 2 && rpc == NULL; i++) {
        rpc = vex_rpc_find(services[i], method);
        if (rpc != NULL && rpc->request != message->descriptor)
            rpc = NULL;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(rpc);
    if (vex_rules_check(rpc, message, rest, &err) == 0)
        return "";
    CU_ASSERT_EQUAL(err.code, VEX_EVALIDATION);
    strcpy(text, err.text);
    return text;
}

#define CHECK(method, request, rest, want) CU_ASSERT_STRING_EQUAL(broken(method, &(request), rest), want)

static void names(void)
{
    Qdrant__CreateCollection create = QDRANT__CREATE_COLLECTION__INIT;
    Qdrant__CountPoints count = QDRANT__COUNT_POINTS__INIT;
    char name[300], want[600];

    CHECK("Create", create, false,
          "body: [collection_name: value \"\" invalid, must be from 1 to 255 characters]");
    create.collection_name = "x/y";
    CHECK("Create", create, false, "body: [collection_name: collection name cannot contain \"/\" char]");
    CHECK("Create", create, true,
          "path parameters: [collection_name: collection name cannot contain \"/\" char]");
    create.collection_name = "a:b";
    CHECK("Create", create, true,
          "path parameters: [collection_name: collection name cannot contain \":\" char]");
    create.collection_name = "..";
    CHECK("Create", create, false, "");
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    create.collection_name = name;
    CHECK("Create", create, true, "");
    name[255] = 'n';
    name[256] = '\0';
    snprintf(want, sizeof want,
             "path parameters: [collection_name: value \"%s\" invalid, must be from 1 to 255 characters]",
             name);
    CHECK("Create", create, true, want);
    count.collection_name = "a:b"; /* older collections stay reachable */
    CHECK("Count", count, false, "");
}

static void ranges(void)
{
    Qdrant__CreateCollection create = QDRANT__CREATE_COLLECTION__INIT;
    Qdrant__VectorsConfig vectors = QDRANT__VECTORS_CONFIG__INIT;
    Qdrant__VectorParams params = QDRANT__VECTOR_PARAMS__INIT;
    Qdrant__HnswConfigDiff hnsw = QDRANT__HNSW_CONFIG_DIFF__INIT;
    Qdrant__OptimizersConfigDiff optimizers = QDRANT__OPTIMIZERS_CONFIG_DIFF__INIT;
    Qdrant__QuantizationConfig quantization = QDRANT__QUANTIZATION_CONFIG__INIT;
    Qdrant__ScalarQuantization scalar = QDRANT__SCALAR_QUANTIZATION__INIT;

    create.collection_name = "c";
    create.vectors_config = &vectors;
    vectors.config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS;
    vectors.params = &params;
    CHECK("Create", create, false,
          "body: [vectors_config.config.size: value 0 invalid, must be from 1 to 65536]");
    params.has_size = true;
    params.size = 65537;
    CHECK("Create", create, true, "JSON body: [vectors.size: value 65537 invalid, must be from 1 to 65536]");
    params.size = 65536;
    CHECK("Create", create, true, "");
    create.hnsw_config = &hnsw;
    CHECK("Create", create, true, "");
    hnsw.has_ef_construct = true;
    hnsw.ef_construct = 2;
    CHECK("Create", create, true,
          "JSON body: [hnsw_config.ef_construct: value 2 invalid, must be 4 or larger]");
    hnsw.ef_construct = 4;
    create.optimizers_config = &optimizers;
    optimizers.has_vacuum_min_vector_number = true;
    optimizers.vacuum_min_vector_number = 10;
    CHECK("Create", create, true,
          "JSON body: [optimizers_config.vacuum_min_vector_number: value 10 invalid, must be 100 or larger]");
    optimizers.vacuum_min_vector_number = 100;
    create.quantization_config = &quantization;
    quantization.quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_SCALAR;
    quantization.scalar = &scalar;
    scalar.has_quantile = true;
    scalar.quantile = 0.2f;
    CHECK("Create", create, true,
          "JSON body: [quantization_config.scalar.quantile: value 0.20000000298023224 invalid, must be from "
          "0.5 to 1.0]");
    scalar.quantile = 0.5f;
    create.has_shard_number = true;
    CHECK("Create", create, true, "JSON body: [shard_number: value 0 invalid, must be 1 or larger]");
}

static void limits(void)
{
    Qdrant__ScrollPoints scroll = QDRANT__SCROLL_POINTS__INIT;
    Qdrant__SearchPoints search = QDRANT__SEARCH_POINTS__INIT;
    Qdrant__QueryPoints query = QDRANT__QUERY_POINTS__INIT;
    Qdrant__SearchParams params = QDRANT__SEARCH_PARAMS__INIT;
    Qdrant__SearchMatrixPoints matrix = QDRANT__SEARCH_MATRIX_POINTS__INIT;

    scroll.collection_name = search.collection_name = query.collection_name = matrix.collection_name = "c";
    CHECK("Scroll", scroll, false, "");
    scroll.has_limit = true;
    CHECK("Scroll", scroll, false, "body: [limit: value 0 invalid, must be 1 or larger]");
    CHECK("Scroll", scroll, true, "JSON body: [scroll_request.limit: value 0 invalid, must be 1 or larger]");
    CHECK("Search", search, false,
          "body: [limit: value 0 invalid, must be 1 or larger]"); /* has no presence */
    CHECK("Search", search, true, "JSON body: [search_request.limit: value 0 invalid, must be 1 or larger]");
    search.has_limit = true;
    search.limit = 1;
    search.params = &params;
    params.has_hnsw_ef = true;
    CHECK("Search", search, true,
          "JSON body: [search_request.params.hnsw_ef: value 0 invalid, must be 1 or larger]");
    query.has_limit = true;
    CHECK("Query", query, true, "JSON body: [internal.limit: value 0 invalid, must be 1 or larger]");
    matrix.has_sample = true;
    matrix.sample = 1;
    CHECK("SearchMatrixPairs", matrix, false, "body: [sample: value 1 invalid, must be 2 or larger]");
    CHECK("SearchMatrixPairs", matrix, true,
          "JSON body: [search_request.sample: value 1 invalid, must be 2 or larger]");
}

static void filters(void)
{
    Qdrant__CountPoints count = QDRANT__COUNT_POINTS__INIT;
    Qdrant__ScrollPoints scroll = QDRANT__SCROLL_POINTS__INIT;
    Qdrant__Filter filter = QDRANT__FILTER__INIT;
    Qdrant__Condition cond = QDRANT__CONDITION__INIT, *conds = &cond;
    Qdrant__FieldCondition field = QDRANT__FIELD_CONDITION__INIT;
    Qdrant__MinShould min_should = QDRANT__MIN_SHOULD__INIT;

    count.collection_name = scroll.collection_name = "c";
    count.filter = scroll.filter = &filter;
    filter.n_must = 1;
    filter.must = &conds;
    CHECK("Count", count, false, "");
    cond.condition_one_of_case = QDRANT__CONDITION__CONDITION_ONE_OF_FIELD;
    cond.field = &field;
    field.key = "n";
    CHECK("Count", count, false,
          "body: [filter.must[0].condition_one_of.match: Validation error: At least one field condition must "
          "be "
          "specified [{}]]");
    CHECK("Scroll", scroll, true,
          "JSON body: [scroll_request.filter.must[0].__all__: Validation error: At least one field condition "
          "must be "
          "specified [{}]]");
    filter.n_must = 0;
    filter.min_should = &min_should;
    CHECK("Scroll", scroll, true,
          "JSON body: [scroll_request.filter.min_should.min_count: min_count must be greater than 0]");
}

static void vectors(void)
{
    Qdrant__UpsertPoints upsert = QDRANT__UPSERT_POINTS__INIT;
    Qdrant__PointStruct point = QDRANT__POINT_STRUCT__INIT, *points = &point;
    Qdrant__Vectors vectors = QDRANT__VECTORS__INIT;
    Qdrant__Vector vector = QDRANT__VECTOR__INIT;
    Qdrant__NamedVectors named = QDRANT__NAMED_VECTORS__INIT;
    Qdrant__NamedVectors__VectorsEntry entry = QDRANT__NAMED_VECTORS__VECTORS_ENTRY__INIT, *entries = &entry;
    Qdrant__SparseVector sparse = QDRANT__SPARSE_VECTOR__INIT;
    uint32_t indices[] = {1, 1};
    float values[] = {1, 2};

    upsert.collection_name = "c";
    upsert.n_points = 1;
    upsert.points = &points;
    point.vectors = &vectors;
    vectors.vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTOR;
    vectors.vector = &vector;
    CHECK("Upsert", upsert, true, "JSON body: [points[0].vector.vector: dense vector must not be empty]");
    vector.n_data = 2;
    vector.data = values;
    CHECK("Upsert", upsert, true, "");
    vector = (Qdrant__Vector)QDRANT__VECTOR__INIT;
    vector.vector_case = QDRANT__VECTOR__VECTOR_SPARSE;
    vector.sparse = &sparse;
    sparse.n_indices = sparse.n_values = 2;
    sparse.indices = indices;
    sparse.values = values;
    vectors.vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS;
    vectors.vectors = &named;
    named.n_vectors = 1;
    named.vectors = &entries;
    entry.key = "s";
    entry.value = &vector;
    CHECK("Upsert", upsert, true,
          "JSON body: [points[0].vector.?.indices: Validation error: must be unique [{}]]");
    indices[1] = 0;
    CHECK("Upsert", upsert, true, "");
    sparse.n_indices = 1;
    CHECK(
        "Upsert", upsert, true,
        "JSON body: [points[0].vector.?.values: Validation error: must be the same length as indices [{}]]");
}

static void several_at_once(void)
{
    Qdrant__SearchPoints search = QDRANT__SEARCH_POINTS__INIT;

    CHECK("Search", search, false,
          "body: [collection_name: value \"\" invalid, must be from 1 to 255 characters; limit: value 0 "
          "invalid, must "
          "be 1 or larger]");
}

int main(void)
{
    CU_TestInfo tests[] = {{"rows name real fields", rows_resolve},
                           {"names", names},
                           {"ranges of configurations", ranges},
                           {"limits", limits},
                           {"filters", filters},
                           {"vectors", vectors},
                           {"several broken rules", several_at_once},
                           CU_TEST_INFO_NULL};

    return run_suite("api rules", tests);
}
