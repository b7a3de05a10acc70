/* Messages as JSON, and the Qdrant dialect around them: parameters into messages, answers into envelopes. */
#include "api_kit.h"

#include "engine/point/value_json.h"
#include "rest/message_to_json.h"
#include "rest/qdrant.h"

static struct vex_arena arena;

static void check_text(struct vex_str got, const char *want, int line)
{
    if (vex_str_eq_c(got, want))
        return;
    printf("\nline %d\n got:  " VEX_STR_FMT "\n want: %s\n", line, VEX_STR_ARG(got), want);
    CU_FAIL("texts differ");
}

static void check_json(const void *message, const char *want, int line)
{
    struct vex_buf out;
    struct vex_jw w = vex_jw(&out);

    vex_buf_init(&out, &arena);
    vex_message_to_json(&w, message);
    check_text(vex_buf_str(&out), want, line);
    CU_PASS("compared");
}

#define JSON_IS(message, want)    check_json(message, want, __LINE__)
#define MESSAGE(Type, descriptor) ((Type *)(void *)vex_rpc_message(&arena, &(descriptor)))

static Qdrant__PointId *num_id(uint64_t num)
{
    Qdrant__PointId *id = MESSAGE(Qdrant__PointId, qdrant__point_id__descriptor);

    id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
    id->num = num;
    return id;
}

static Qdrant__Value *raw_value(const char *json)
{
    struct vex_json_parser *parser = vex_json_parser_new();
    struct vex_json value;
    struct vex_err err;
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    CU_ASSERT_FATAL(vex_json_parse(parser, json, strlen(json), &value, &err) == 0);
    CU_ASSERT_FATAL(vex_value_from_json(&out, value, &err) == 0);
    vex_json_parser_free(parser);
    return vex_raw_value_new(&arena, (struct vex_value){(const uint8_t *)out.ptr});
}

/* ---- points ---- */

static void ids(void)
{
    Qdrant__PointId *id = num_id(UINT64_MAX);

    JSON_IS(id, "18446744073709551615");
    id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID;
    id->uuid = "550e8400-e29b-41d4-a716-446655440000";
    JSON_IS(id, "\"550e8400-e29b-41d4-a716-446655440000\"");
    id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS__NOT_SET;
    JSON_IS(id, "null");
}

static void scored(void)
{
    Qdrant__ScoredPoint *point = MESSAGE(Qdrant__ScoredPoint, qdrant__scored_point__descriptor);
    Qdrant__ScoredPoint__PayloadEntry *entry =
        MESSAGE(Qdrant__ScoredPoint__PayloadEntry, qdrant__scored_point__payload_entry__descriptor);
    Qdrant__OrderValue *order = MESSAGE(Qdrant__OrderValue, qdrant__order_value__descriptor);

    point->id = num_id(3);
    point->has_score = point->has_version = true;
    point->score = 0.9449111f;
    point->version = 1;
    JSON_IS(point, "{\"id\":3,\"version\":1,\"score\":0.9449111}");
    entry->key = vex_raw_key;
    entry->value = raw_value("{\"n\":3,\"f\":1.0,\"l\":[null,true]}");
    point->payload = &entry;
    point->n_payload = 1;
    order->variant_case = QDRANT__ORDER_VALUE__VARIANT_FLOAT;
    order->float_ = 2;
    point->order_value = order;
    JSON_IS(point,
            "{\"id\":3,\"version\":1,\"score\":0.9449111,\"payload\":{\"n\":3,\"f\":1.0,\"l\":[null,true]},"
            "\"order_value\":2.0}");
}

static void payload_of_tree(void)
{
    Qdrant__RetrievedPoint *point = MESSAGE(Qdrant__RetrievedPoint, qdrant__retrieved_point__descriptor);
    Qdrant__RetrievedPoint__PayloadEntry *entries[2];
    Qdrant__Value *text = MESSAGE(Qdrant__Value, qdrant__value__descriptor);
    Qdrant__Value *list = MESSAGE(Qdrant__Value, qdrant__value__descriptor),
                  *null = MESSAGE(Qdrant__Value, qdrant__value__descriptor);
    Qdrant__Value *items[2] = {null, text};

    text->kind_case = QDRANT__VALUE__KIND_STRING_VALUE;
    text->string_value = "a\"b";
    null->kind_case = QDRANT__VALUE__KIND_NULL_VALUE;
    list->kind_case = QDRANT__VALUE__KIND_LIST_VALUE;
    list->list_value = MESSAGE(Qdrant__ListValue, qdrant__list_value__descriptor);
    list->list_value->values = items;
    list->list_value->n_values = 2;
    for (int i = 0; i < 2; i++)
        entries[i] =
            MESSAGE(Qdrant__RetrievedPoint__PayloadEntry, qdrant__retrieved_point__payload_entry__descriptor);
    entries[0]->key = "k";
    entries[0]->value = list;
    entries[1]->key = "none";
    point->id = num_id(1);
    point->payload = entries;
    point->n_payload = 2;
    JSON_IS(point, "{\"id\":1,\"payload\":{\"k\":[null,\"a\\\"b\"],\"none\":null}}");
}

static void vectors(void)
{
    Qdrant__VectorsOutput *out = MESSAGE(Qdrant__VectorsOutput, qdrant__vectors_output__descriptor);
    Qdrant__VectorOutput *vector = MESSAGE(Qdrant__VectorOutput, qdrant__vector_output__descriptor);
    Qdrant__DenseVector *row = MESSAGE(Qdrant__DenseVector, qdrant__dense_vector__descriptor);
    Qdrant__SparseVector *sparse = MESSAGE(Qdrant__SparseVector, qdrant__sparse_vector__descriptor);
    Qdrant__NamedVectorsOutput *named =
        MESSAGE(Qdrant__NamedVectorsOutput, qdrant__named_vectors_output__descriptor);
    Qdrant__NamedVectorsOutput__VectorsEntry *entry = MESSAGE(
        Qdrant__NamedVectorsOutput__VectorsEntry, qdrant__named_vectors_output__vectors_entry__descriptor);
    float values[] = {0.5f, 1, 0.1f};
    uint32_t indices[] = {2, 5, UINT32_MAX};

    row->data = values;
    row->n_data = 3;
    vector->vector_case = QDRANT__VECTOR_OUTPUT__VECTOR_DENSE;
    vector->dense = row;
    out->vectors_options_case = QDRANT__VECTORS_OUTPUT__VECTORS_OPTIONS_VECTOR;
    out->vector = vector;
    JSON_IS(out, "[0.5,1.0,0.1]");
    vector->vector_case = QDRANT__VECTOR_OUTPUT__VECTOR_MULTI_DENSE;
    vector->multi_dense = MESSAGE(Qdrant__MultiDenseVector, qdrant__multi_dense_vector__descriptor);
    vector->multi_dense->vectors = (Qdrant__DenseVector *[]){row, row};
    vector->multi_dense->n_vectors = 2;
    JSON_IS(out, "[[0.5,1.0,0.1],[0.5,1.0,0.1]]");
    sparse->values = values;
    sparse->indices = indices;
    sparse->n_values = sparse->n_indices = 3;
    vector->vector_case = QDRANT__VECTOR_OUTPUT__VECTOR_SPARSE;
    vector->sparse = sparse;
    out->vectors_options_case = QDRANT__VECTORS_OUTPUT__VECTORS_OPTIONS_VECTORS;
    out->vectors = named;
    JSON_IS(out, "{}");
    entry->key = "s";
    entry->value = vector;
    named->vectors = &entry;
    named->n_vectors = 1;
    JSON_IS(out, "{\"s\":{\"indices\":[2,5,4294967295],\"values\":[0.5,1.0,0.1]}}");
}

/* ---- collections ---- */

static void configuration(void)
{
    Qdrant__CollectionConfig *config =
        MESSAGE(Qdrant__CollectionConfig, qdrant__collection_config__descriptor);
    Qdrant__CollectionParams *params =
        MESSAGE(Qdrant__CollectionParams, qdrant__collection_params__descriptor);
    Qdrant__VectorParams *vector = MESSAGE(Qdrant__VectorParams, qdrant__vector_params__descriptor);
    Qdrant__OptimizersConfigDiff *optimizer =
        MESSAGE(Qdrant__OptimizersConfigDiff, qdrant__optimizers_config_diff__descriptor);

    vector->has_size = vector->has_distance = vector->has_datatype = true;
    vector->size = 4;
    vector->distance = QDRANT__DISTANCE__Cosine;
    vector->datatype = QDRANT__DATATYPE__Float16;
    vector->multivector_config = MESSAGE(Qdrant__MultiVectorConfig, qdrant__multi_vector_config__descriptor);
    vector->multivector_config->has_comparator = true;
    params->vectors_config = MESSAGE(Qdrant__VectorsConfig, qdrant__vectors_config__descriptor);
    params->vectors_config->config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS;
    params->vectors_config->params = vector;
    params->has_shard_number = true;
    params->shard_number = 1;
    optimizer->has_deleted_threshold = true;
    optimizer->deleted_threshold = 0.2;
    config->params = params;
    config->optimizer_config = optimizer;
    JSON_IS(config,
            "{\"params\":{\"shard_number\":1,\"vectors\":{\"size\":4,\"distance\":\"Cosine\",\"datatype\":"
            "\"float16\",\"multivector_config\":{\"comparator\":\"max_sim\"}}},\"optimizer_config\":{"
            "\"deleted_threshold\":0.2,\"max_segment_size\":null,\"memmap_threshold\":null,"
            "\"max_optimization_threads\":null,\"prevent_unoptimized\":null},\"quantization_config\":null}");
    params->vectors_config->config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP;
    params->vectors_config->params_map =
        MESSAGE(Qdrant__VectorParamsMap, qdrant__vector_params_map__descriptor);
    JSON_IS(params, "{\"shard_number\":1,\"vectors\":{}}");
}

static void quantization(void)
{
    Qdrant__QuantizationConfig *config =
        MESSAGE(Qdrant__QuantizationConfig, qdrant__quantization_config__descriptor);

    config->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_SCALAR;
    config->scalar = MESSAGE(Qdrant__ScalarQuantization, qdrant__scalar_quantization__descriptor);
    config->scalar->has_type = config->scalar->has_quantile = config->scalar->has_always_ram = true;
    config->scalar->type = QDRANT__QUANTIZATION_TYPE__Int8;
    config->scalar->quantile = 0.99f;
    config->scalar->always_ram = true;
    JSON_IS(config, "{\"scalar\":{\"type\":\"int8\",\"quantile\":0.99,\"always_ram\":true}}");
    config->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_TURBOQUANT;
    config->turboquant = MESSAGE(Qdrant__TurboQuantization, qdrant__turbo_quantization__descriptor);
    config->turboquant->has_bits = true;
    config->turboquant->bits = QDRANT__TURBO_QUANT_BIT_SIZE__Bits1_5;
    JSON_IS(config, "{\"turbo\":{\"bits\":\"bits1_5\"}}");
    config->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_BINARY;
    config->binary = MESSAGE(Qdrant__BinaryQuantization, qdrant__binary_quantization__descriptor);
    config->binary->has_encoding = true;
    config->binary->encoding = QDRANT__BINARY_QUANTIZATION_ENCODING__OneAndHalfBits;
    config->binary->query_encoding = MESSAGE(Qdrant__BinaryQuantizationQueryEncoding,
                                             qdrant__binary_quantization_query_encoding__descriptor);
    config->binary->query_encoding->variant_case =
        QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__VARIANT_SETTING;
    config->binary->query_encoding->setting =
        QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__SETTING__Scalar4Bits;
    JSON_IS(config, "{\"binary\":{\"encoding\":\"one_and_half_bits\",\"query_encoding\":\"scalar4bits\"}}");
    config->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_PRODUCT;
    config->product = MESSAGE(Qdrant__ProductQuantization, qdrant__product_quantization__descriptor);
    config->product->has_compression = true;
    config->product->compression = QDRANT__COMPRESSION_RATIO__x16;
    JSON_IS(config, "{\"product\":{\"compression\":\"x16\"}}");
}

static void index_params(void)
{
    Qdrant__PayloadIndexParams *params =
        MESSAGE(Qdrant__PayloadIndexParams, qdrant__payload_index_params__descriptor);
    Qdrant__TextIndexParams *text = MESSAGE(Qdrant__TextIndexParams, qdrant__text_index_params__descriptor);
    char *language = "english", *word = "le";

    params->index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_KEYWORD_INDEX_PARAMS;
    params->keyword_index_params =
        MESSAGE(Qdrant__KeywordIndexParams, qdrant__keyword_index_params__descriptor);
    params->keyword_index_params->has_is_tenant = params->keyword_index_params->is_tenant = true;
    params->keyword_index_params->prefix =
        MESSAGE(Qdrant__KeywordPrefixParams, qdrant__keyword_prefix_params__descriptor);
    JSON_IS(params, "{\"type\":\"keyword\",\"is_tenant\":true,\"prefix\":true}");
    params->index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_TEXT_INDEX_PARAMS;
    params->text_index_params = text;
    text->has_tokenizer = true;
    text->tokenizer = QDRANT__TOKENIZER_TYPE__Word;
    text->stopwords = MESSAGE(Qdrant__StopwordsSet, qdrant__stopwords_set__descriptor);
    text->stopwords->languages = &language;
    text->stopwords->n_languages = 1;
    text->stemmer = MESSAGE(Qdrant__StemmingAlgorithm, qdrant__stemming_algorithm__descriptor);
    text->stemmer->stemming_params_case = QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_SNOWBALL;
    text->stemmer->snowball = MESSAGE(Qdrant__SnowballParams, qdrant__snowball_params__descriptor);
    text->stemmer->snowball->language = language;
    JSON_IS(params,
            "{\"type\":\"text\",\"tokenizer\":\"word\",\"stopwords\":\"english\",\"stemmer\":{\"type\":"
            "\"snowball\",\"language\":\"english\"}}");
    text->stopwords->custom = &word;
    text->stopwords->n_custom = 1;
    JSON_IS(text->stopwords, "{\"languages\":[\"english\"],\"custom\":[\"le\"]}");
}

static void collection_info(void)
{
    Qdrant__CollectionInfo *info = MESSAGE(Qdrant__CollectionInfo, qdrant__collection_info__descriptor);

    info->has_status = true;
    info->status = QDRANT__COLLECTION_STATUS__Green;
    info->optimizer_status = MESSAGE(Qdrant__OptimizerStatus, qdrant__optimizer_status__descriptor);
    info->optimizer_status->has_ok = info->optimizer_status->ok = true;
    info->created_at = MESSAGE(Google__Protobuf__Timestamp, google__protobuf__timestamp__descriptor);
    info->created_at->seconds = 1700000000;
    info->created_at->nanos = 5000;
    JSON_IS(info, "{\"status\":\"green\",\"optimizer_status\":\"ok\",\"payload_schema\":{},\"created_at\":"
                  "\"2023-11-14T22:13:20.000005Z\"}");
    info->optimizer_status->error = "disk";
    JSON_IS(info->optimizer_status, "{\"error\":\"disk\"}");
}

static void cluster_and_updates(void)
{
    Qdrant__UpdateResult *update = MESSAGE(Qdrant__UpdateResult, qdrant__update_result__descriptor);
    Qdrant__CollectionClusterInfoResponse *info =
        MESSAGE(Qdrant__CollectionClusterInfoResponse, qdrant__collection_cluster_info_response__descriptor);
    Qdrant__LocalShardInfo *shard = MESSAGE(Qdrant__LocalShardInfo, qdrant__local_shard_info__descriptor);

    update->has_operation_id = update->has_status = true;
    update->operation_id = 7;
    update->status = QDRANT__UPDATE_STATUS__WaitTimeout;
    JSON_IS(update, "{\"operation_id\":7,\"status\":\"wait_timeout\"}");
    shard->has_state = true;
    shard->state = QDRANT__REPLICA_STATE__Active;
    info->local_shards = &shard;
    info->n_local_shards = 1;
    JSON_IS(info, "{\"local_shards\":[{\"state\":\"Active\"}],\"remote_shards\":[],\"shard_transfers\":[]}");
}

static void groups_and_facets(void)
{
    Qdrant__PointGroup *group = MESSAGE(Qdrant__PointGroup, qdrant__point_group__descriptor);
    Qdrant__FacetHit *hit = MESSAGE(Qdrant__FacetHit, qdrant__facet_hit__descriptor);

    group->id = MESSAGE(Qdrant__GroupId, qdrant__group_id__descriptor);
    group->id->kind_case = QDRANT__GROUP_ID__KIND_INTEGER_VALUE;
    group->id->integer_value = -5;
    JSON_IS(group, "{\"id\":-5,\"hits\":[]}");
    hit->value = MESSAGE(Qdrant__FacetValue, qdrant__facet_value__descriptor);
    hit->value->variant_case = QDRANT__FACET_VALUE__VARIANT_BOOL_VALUE;
    hit->has_count = true;
    hit->count = 3;
    JSON_IS(hit, "{\"value\":false,\"count\":3}");
}

/* ---- the dialect ---- */

static const struct vex_route *route_of(const char *method, const char *template)
{
    for (uint32_t i = 0; i < vex_rest_qdrant.route_count; i++)
        if (strcmp(vex_rest_qdrant.routes[i].method, method) == 0 &&
            strcmp(vex_rest_qdrant.routes[i].template, template) == 0)
            return &vex_rest_qdrant.routes[i];
    return NULL;
}

static struct vex_rest_request *request_of(const char *method, const char *template, const char *body)
{
    struct vex_rest_request *request = VEX_ARENA_NEW(&arena, struct vex_rest_request);

    vex_arena_init(&request->call.arena, 0);
    request->call.dialect = VEX_DIALECT_QDRANT_REST;
    request->dialect = &vex_rest_qdrant;
    request->route = route_of(method, template);
    CU_ASSERT_PTR_NOT_NULL_FATAL(request->route);
    request->params[0] = VEX_STR("c");
    request->body = vex_str_c(body);
    request->parser = vex_json_parser_new();
    vex_buf_init(&request->reply, &request->call.arena);
    return request;
}

static void request_done(struct vex_rest_request *request)
{
    vex_json_parser_free(request->parser);
    vex_arena_done(&request->call.arena);
}

static void set_query(struct vex_rest_request *request, const char *name, const char *value)
{
    request->query = VEX_ARENA_NEW(&request->call.arena, struct vex_rest_pair);
    request->query[0] = (struct vex_rest_pair){vex_str_c(name), vex_str_c(value)};
    request->query_count = 1;
}

/* Decodes; the error answer when it is refused. */
static int decode(struct vex_rest_request *request)
{
    int code = vex_rest_qdrant.decode(request);

    request->call.code = code;
    if (code < 0)
        vex_rest_qdrant.encode(request);
    return code;
}

static void every_route_has_its_rpc(void)
{
    for (uint32_t i = 0; i < vex_rest_qdrant.route_count; i++) {
        const struct vex_qdrant_route *route = vex_rest_qdrant.routes[i].detail;
        const struct vex_rpc *rpc = route->local == NULL ? vex_rpc_find(route->service, route->rpc) : NULL;

        CU_ASSERT((rpc != NULL) != (route->local != NULL));
        if (rpc != NULL && route->body == VEX_QDRANT_BODY_REQUEST)
            CU_ASSERT_PTR_NOT_NULL(protobuf_c_message_descriptor_get_field_by_name(rpc->request, "request"));
    }
}

static void path_and_query(void)
{
    struct vex_rest_request *request =
        request_of("DELETE", "/collections/{collection_name}/index/{field_name}", "");
    const Qdrant__DeleteFieldIndexCollection *in;

    request->params[1] = VEX_STR("a.b");
    set_query(request, "ordering", "strong");
    CU_ASSERT_FATAL(decode(request) == 0);
    in = request->call.request;
    CU_ASSERT_STRING_EQUAL(in->collection_name, "c");
    CU_ASSERT_STRING_EQUAL(in->field_name, "a.b");
    CU_ASSERT(in->ordering->type == QDRANT__WRITE_ORDERING_TYPE__Strong);
    CU_ASSERT(!in->has_wait);
    CU_ASSERT_STRING_EQUAL(request->call.operation->name, "qdrant.Points/DeleteFieldIndex");
    request_done(request);
}

static void bad_query_parameters(void)
{
    static const struct {
        const char *name, *value, *want;
        int status;
    } cases[] = {
        {"wait", "maybe", "Deserialize error in query parameters: provided string was not `true` or `false`",
         400},
        {"ordering", "bogus",
         "Deserialize error in query parameters: unknown variant `bogus`, expected one of `weak`, `medium`, "
         "`strong`",
         400},
        {"timeout", "x", "Deserialize error in query parameters: invalid digit found in string", 400},
        {"timeout", "0",
         "Validation error in query parameters: [timeout: value 0 invalid, must be 1 or larger]", 422},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_rest_request *request =
            request_of("PUT", "/collections/{collection_name}/points", "{\"points\":[]}");

        set_query(request, cases[i].name, cases[i].value);
        CU_ASSERT(decode(request) < 0);
        CU_ASSERT_EQUAL(request->status, cases[i].status);
        check_text(vex_buf_str(&request->reply),
                   vex_arena_printf(&arena, "{\"status\":{\"error\":\"%s\"},\"time\":0.0}", cases[i].want),
                   __LINE__);
        request_done(request);
    }
}

static void point_ids_of_paths(void)
{
    static const struct {
        const char *text, *uuid, *error;
        uint64_t num;
    } cases[] = {
        {"7", NULL, NULL, 7},
        {"18446744073709551615", NULL, NULL, UINT64_MAX},
        {"550E8400E29B41D4A716446655440000", "550e8400-e29b-41d4-a716-446655440000", NULL, 0},
        {"abc", NULL,
         "{\"status\":{\"error\":\"Wrong input: Can not recognize \\\"abc\\\" as point id\"},\"time\":0.0}",
         0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_rest_request *request =
            request_of("GET", "/collections/{collection_name}/points/{id}", "");
        int code;

        request->params[1] = vex_str_c(cases[i].text);
        code = decode(request);
        CU_ASSERT_EQUAL(code < 0, cases[i].error != NULL);
        if (cases[i].error != NULL) {
            check_text(vex_buf_str(&request->reply), cases[i].error, __LINE__);
        } else {
            const Qdrant__GetPoints *in = request->call.request;

            CU_ASSERT_FATAL(in->n_ids == 1);
            if (cases[i].uuid != NULL)
                CU_ASSERT_STRING_EQUAL(in->ids[0]->uuid, cases[i].uuid)
            else
                CU_ASSERT(in->ids[0]->num == cases[i].num);
            CU_ASSERT(in->with_payload->enable && in->with_vectors->enable);
        }
        request_done(request);
    }
}

static void bad_bodies(void)
{
    static const struct {
        const char *template, *body, *want;
    } cases[] = {
        {"/collections/{collection_name}/points/scroll", "", "EOF while parsing a value at line 1 column 0"},
        {"/collections/{collection_name}/points/search", "{\"limit\":3}", "missing field `vector`"},
        {"/collections/{collection_name}/points/search", "{\"vector\":[1]}", "missing field `limit`"},
        {"/collections/{collection_name}/points", "{}", "missing field `ids`"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_rest_request *request = request_of("POST", cases[i].template, cases[i].body);

        CU_ASSERT(decode(request) == VEX_EFORMAT);
        CU_ASSERT_EQUAL(request->status, 400);
        check_text(vex_buf_str(&request->reply),
                   vex_arena_printf(&arena,
                                    "{\"status\":{\"error\":\"Format error in JSON body: %s\"},\"time\":0.0}",
                                    cases[i].want),
                   __LINE__);
        request_done(request);
    }
}

static void batches_are_named(void)
{
    struct vex_rest_request *request = request_of("POST", "/collections/{collection_name}/points/query/batch",
                                                  "{\"searches\":[{\"query\":1},{\"query\":2,\"limit\":3}]}");
    const Qdrant__QueryBatchPoints *in;

    CU_ASSERT_FATAL(decode(request) == 0);
    in = request->call.request;
    CU_ASSERT_FATAL(in->n_query_points == 2);
    CU_ASSERT_STRING_EQUAL(in->query_points[0]->collection_name, "c");
    CU_ASSERT_STRING_EQUAL(in->query_points[1]->collection_name, "c");
    CU_ASSERT(in->query_points[1]->limit == 3);
    request_done(request);
}

/* An answer as the service leaves it: the empty response of the route's rpc. */
static void empty_answers(void)
{
    static const struct {
        const char *method, *template, *want;
        int status;
    } cases[] = {
        {"GET", "/collections", "{\"result\":{\"collections\":[]},\"status\":\"ok\",\"time\":0.0}", 200},
        {"POST", "/collections/{collection_name}/points/search",
         "{\"result\":[],\"status\":\"ok\",\"time\":0.0}", 200},
        {"POST", "/collections/{collection_name}/points/query",
         "{\"result\":{\"points\":[]},\"status\":\"ok\",\"time\":0.0}", 200},
        {"POST", "/collections/{collection_name}/points/scroll",
         "{\"result\":{\"points\":[],\"next_page_offset\":null},\"status\":\"ok\",\"time\":0.0}", 200},
        {"GET", "/collections/{collection_name}/shards", "{\"result\":{},\"status\":\"ok\",\"time\":0.0}",
         200},
        {"GET", "/snapshots", "{\"result\":[],\"status\":\"ok\",\"time\":0.0}", 200},
        {"GET", "/collections/{collection_name}/points/{id}",
         "{\"status\":{\"error\":\"Not found: Point with id 777 does not exists!\"},\"time\":0.0}", 404},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_rest_request *request = request_of(cases[i].method, cases[i].template, "");
        const struct vex_qdrant_route *route = request->route->detail;

        request->params[1] = VEX_STR("777");
        request->call.response =
            vex_rpc_message(&request->call.arena, vex_rpc_find(route->service, route->rpc)->response);
        vex_rest_qdrant.encode(request);
        CU_ASSERT_EQUAL(request->status, cases[i].status);
        CU_ASSERT_STRING_EQUAL(request->content_type_reply, "application/json");
        check_text(vex_buf_str(&request->reply), cases[i].want, __LINE__);
        request_done(request);
    }
}

static void refusals(void)
{
    struct vex_rest_request *request = request_of("GET", "/collections", "");

    request->call.code = vex_err_set(&request->call.err, VEX_EUNAUTHENTIC, "Invalid API key or JWT");
    vex_rest_qdrant.encode(request);
    CU_ASSERT_EQUAL(request->status, 401);
    CU_ASSERT_STRING_EQUAL(request->content_type_reply, "text/plain; charset=utf-8");
    check_text(vex_buf_str(&request->reply), "Invalid API key or JWT", __LINE__);
    request->reply.len = 0;
    request->route = NULL;
    vex_rest_qdrant.encode(request);
    CU_ASSERT_EQUAL(request->status, 404);
    CU_ASSERT_PTR_NULL(request->content_type_reply);
    CU_ASSERT_EQUAL(request->reply.len, 0);
    request->route = route_of("GET", "/collections/{collection_name}");
    request->found = VEX_ROUTE_BAD_ESCAPE;
    request->call.err.code = 0;
    vex_rest_qdrant.encode(request);
    CU_ASSERT_EQUAL(request->status, 404);
    CU_ASSERT_EQUAL(request->reply.len, 0);
    request_done(request);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"ids", ids},
        {"scored points", scored},
        {"payload of a tree", payload_of_tree},
        {"vectors", vectors},
        {"configuration", configuration},
        {"quantization", quantization},
        {"index parameters", index_params},
        {"collection info", collection_info},
        {"cluster and updates", cluster_and_updates},
        {"groups and facets", groups_and_facets},
        {"every route has its rpc", every_route_has_its_rpc},
        {"path and query parameters", path_and_query},
        {"bad query parameters", bad_query_parameters},
        {"point ids of paths", point_ids_of_paths},
        {"bad bodies", bad_bodies},
        {"requests of a batch are named", batches_are_named},
        {"empty answers", empty_answers},
        {"refusals", refusals},
        CU_TEST_INFO_NULL,
    };
    int failed;

    vex_arena_init(&arena, 0);
    failed = run_suite("rest_message_to_json", tests);
    vex_arena_done(&arena);
    return failed;
}
