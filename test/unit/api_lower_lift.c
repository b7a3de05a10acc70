/* Lowering and lifting: what goes in comes out, and what can't be is refused with the peer's words. */
#include "api_kit.h"

/* ---- payloads ---- */

static void add_text(struct vex_buf *out, const char *text)
{
    vex_value_put_text(out, vex_str_c(text));
}

/* Every kind of value, nested, with lists long enough to need two-byte lengths. */
static struct vex_value sample(struct vex_buf *out)
{
    vex_value_put_map(out, 7);
    add_text(out, "null");
    vex_value_put_null(out);
    add_text(out, "true");
    vex_value_put_bool(out, true);
    add_text(out, "int");
    vex_value_put_int(out, INT64_MIN);
    add_text(out, "double");
    vex_value_put_double(out, 1.5);
    add_text(out, "text");
    add_text(out, "gr\xc3\xbc\xc3\x9f");
    add_text(out, "list");
    vex_value_put_array(out, 200);
    for (int i = 0; i < 200; i++)
        vex_value_put_int(out, i * 1000);
    add_text(out, "map");
    vex_value_put_map(out, 2);
    add_text(out, "empty");
    vex_value_put_map(out, 0);
    add_text(out, "inner");
    vex_value_put_array(out, 1);
    vex_value_put_map(out, 1);
    add_text(out, "");
    vex_value_put_array(out, 0);
    return (struct vex_value){(const uint8_t *)out->ptr};
}

static void payload_round_trip(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__RetrievedPoint point = QDRANT__RETRIEVED_POINT__INIT, *back;
    struct vex_buf cbor;
    struct vex_str again;
    uint8_t *bytes;
    size_t len;

    vex_buf_init(&cbor, NULL);
    vex_lift_payload(call, sample(&cbor), &point.base, 2, &qdrant__retrieved_point__payload_entry__descriptor,
                     &point.n_payload, (void ***)(void *)&point.payload);
    len = protobuf_c_message_get_packed_size(&point.base);
    bytes = malloc(len);
    CU_ASSERT_EQUAL(protobuf_c_message_pack(&point.base, bytes), len);
    CU_ASSERT_EQUAL(vex_rpc_guard(&qdrant__retrieved_point__descriptor, bytes, len, &call->err), 0);
    back = qdrant__retrieved_point__unpack(NULL, len, bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_EQUAL(back->n_payload, 7);
    CU_ASSERT_EQUAL(back->n_payload != 0 ? back->payload[5]->value->list_value->n_values : 0, 200);
    CU_ASSERT_EQUAL(vex_lower_payload(call, (void *const *)back->payload, back->n_payload, &again), 0);
    CU_ASSERT(vex_value_check(again.ptr, again.len, true));
    CU_ASSERT_EQUAL(again.len, cbor.len);
    CU_ASSERT(again.len == cbor.len && memcmp(again.ptr, cbor.ptr, cbor.len) == 0);
    qdrant__retrieved_point__free_unpacked(back, NULL);
    free(bytes);
    vex_buf_done(&cbor);
    kit_close(&kit);
}

static void payload_raw(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_REST);
    Qdrant__RetrievedPoint point = QDRANT__RETRIEVED_POINT__INIT;
    struct vex_buf cbor;
    struct vex_str again;

    vex_buf_init(&cbor, NULL);
    vex_lift_payload(call, sample(&cbor), &point.base, 2, &qdrant__retrieved_point__payload_entry__descriptor,
                     &point.n_payload, (void ***)(void *)&point.payload);
    CU_ASSERT_EQUAL_FATAL(point.n_payload, 1);
    CU_ASSERT_PTR_EQUAL(point.payload[0]->key, vex_raw_key);
    CU_ASSERT_EQUAL(vex_lower_payload(call, (void *const *)point.payload, 1, &again), 0);
    CU_ASSERT(again.len == cbor.len && memcmp(again.ptr, cbor.ptr, cbor.len) == 0);
    vex_buf_done(&cbor);
    kit_close(&kit);
}

static void repeated_keys(void)
{
    enum { MANY = 40 };
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointStruct__PayloadEntry entries[MANY], *list[MANY];
    Qdrant__Value values[MANY];
    static char keys[MANY][8];

    for (size_t count = 2; count <= MANY; count += 38) { /* both ways of finding them */
        struct vex_value map;
        struct vex_str out;

        for (size_t i = 0; i < count; i++) {
            qdrant__value__init(&values[i]);
            values[i].kind_case = QDRANT__VALUE__KIND_INTEGER_VALUE;
            values[i].integer_value = (int64_t)i;
            qdrant__point_struct__payload_entry__init(&entries[i]);
            snprintf(keys[i], sizeof keys[i], "k%zu", i / 2);
            entries[i].key = keys[i];
            entries[i].value = &values[i];
            list[i] = &entries[i];
        }
        CU_ASSERT_EQUAL(vex_lower_payload(call, (void *const *)list, count, &out), 0);
        CU_ASSERT(vex_value_check(out.ptr, out.len, true));
        map = (struct vex_value){(const uint8_t *)out.ptr};
        CU_ASSERT_EQUAL(vex_value_count(map), count / 2);
        CU_ASSERT_EQUAL(vex_value_int(vex_value_get(map, VEX_STR("k0"))), 1);
    }
    kit_close(&kit);
}

static void missing_parts(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointStruct__PayloadEntry entry = QDRANT__POINT_STRUCT__PAYLOAD_ENTRY__INIT, *list = &entry;
    struct vex_str out;

    /* Encoders leave empty keys and values out. */
    CU_ASSERT_EQUAL(vex_lower_payload(call, (void *const *)&list, 1, &out), 0);
    CU_ASSERT_EQUAL(out.len, 3);
    CU_ASSERT_EQUAL(memcmp(out.ptr, "\xa1\x60\xf6", 3), 0);
    kit_close(&kit);
}

/* ---- ids and vectors ---- */

static void ids(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointId in = QDRANT__POINT_ID__INIT;
    struct vex_id id;

    CU_ASSERT_EQUAL(vex_lower_id(call, NULL, &id), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Empty ID is not allowed");
    CU_ASSERT_EQUAL(vex_lower_id(call, &in, &id), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "No ID options provided");
    in.point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID;
    in.uuid = "nope";
    CU_ASSERT_EQUAL(vex_lower_id(call, &in, &id), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Unable to parse UUID: nope");
    in.uuid = "550E8400e29b41d4a716446655440000";
    CU_ASSERT_EQUAL(vex_lower_id(call, &in, &id), 0);
    CU_ASSERT_STRING_EQUAL(vex_lift_id(call, &id)->uuid, "550e8400-e29b-41d4-a716-446655440000");
    in.point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
    in.num = UINT64_MAX;
    CU_ASSERT_EQUAL(vex_lower_id(call, &in, &id), 0);
    CU_ASSERT_EQUAL(vex_lift_id(call, &id)->num, UINT64_MAX);
    kit_close(&kit);
}

static void vector_kinds(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Vector in = QDRANT__VECTOR__INIT;
    Qdrant__DenseVector rows[2] = {QDRANT__DENSE_VECTOR__INIT, QDRANT__DENSE_VECTOR__INIT},
                        *row_list[2] = {rows, rows + 1};
    Qdrant__MultiDenseVector multi = QDRANT__MULTI_DENSE_VECTOR__INIT;
    float values[] = {1, 2, 3, 4};
    struct vex_vector_value out = {0};

    in.n_data = 4;
    in.data = values;
    CU_ASSERT_EQUAL(vex_lower_vector(call, &in, &out), 0);
    CU_ASSERT(out.kind == VEX_VECTOR_DENSE && out.count == 4 && out.values == values);
    in.has_vectors_count = true;
    in.vectors_count = 2; /* as older clients send multivectors */
    CU_ASSERT_EQUAL(vex_lower_vector(call, &in, &out), 0);
    CU_ASSERT(out.kind == VEX_VECTOR_MULTI && out.count == 2 && out.rows == 2);
    in.vectors_count = 3;
    CU_ASSERT_EQUAL(vex_lower_vector(call, &in, &out), VEX_EFORMAT);
    in.vector_case = QDRANT__VECTOR__VECTOR_MULTI_DENSE;
    in.multi_dense = &multi;
    multi.n_vectors = 2;
    multi.vectors = row_list;
    rows[0].n_data = rows[1].n_data = 2;
    rows[0].data = values;
    rows[1].data = values + 2;
    CU_ASSERT_EQUAL(vex_lower_vector(call, &in, &out), 0);
    CU_ASSERT(out.kind == VEX_VECTOR_MULTI && out.count == 2 && out.rows == 2 && out.values[3] == 4);
    kit_close(&kit);
}

/* ---- filters ---- */

static void several_in_one_field(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Filter filter = QDRANT__FILTER__INIT;
    Qdrant__Condition conds[2] = {QDRANT__CONDITION__INIT, QDRANT__CONDITION__INIT},
                      *list[2] = {conds, conds + 1};
    Qdrant__FieldCondition field = QDRANT__FIELD_CONDITION__INIT;
    Qdrant__Match match = QDRANT__MATCH__INIT;
    Qdrant__Range range = QDRANT__RANGE__INIT;
    struct vex_filter *out;

    filter.n_must = 2;
    filter.must = list;
    conds[1].condition_one_of_case = QDRANT__CONDITION__CONDITION_ONE_OF_FIELD;
    conds[1].field = &field;
    field.key = "a.b[]";
    field.match = &match;
    CU_ASSERT_EQUAL(vex_lower_filter(call, &filter, &out), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Malformed Match condition");
    match.match_value_case = QDRANT__MATCH__MATCH_VALUE_INTEGER;
    match.integer = 7;
    CU_ASSERT_EQUAL(vex_lower_filter(call, &filter, &out), 0);
    CU_ASSERT_EQUAL_FATAL(out->must.count, 1); /* a condition that says nothing is left out */
    CU_ASSERT(out->must.conds[0].kind == VEX_COND_ANY && out->must.conds[0].values.ints[0] == 7);
    field.range = &range;
    range.has_gt = true;
    field.has_is_null = true;
    CU_ASSERT_EQUAL(vex_lower_filter(call, &filter, &out), 0);
    CU_ASSERT_EQUAL_FATAL(out->must.conds[0].kind, VEX_COND_FILTER);
    CU_ASSERT_EQUAL(out->must.conds[0].sub->should.count, 3);
    CU_ASSERT_EQUAL(out->must.conds[0].sub->should.conds[2].kind, VEX_COND_FILTER); /* not null */
    field.key = "a[";
    CU_ASSERT_EQUAL(vex_lower_filter(call, &filter, &out), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Invalid json path: 'a['");
    kit_close(&kit);
}

static void deep_filter_message(void)
{
    enum { LEVELS = 150 };
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_REST);
    static Qdrant__Filter filters[LEVELS];
    static Qdrant__Condition conds[LEVELS], *lists[LEVELS];
    struct vex_filter *out;

    for (int i = 0; i < LEVELS; i++) {
        qdrant__filter__init(&filters[i]);
        qdrant__condition__init(&conds[i]);
        lists[i] = &conds[i];
        filters[i].n_must = 1;
        filters[i].must = &lists[i];
        if (i + 1 < LEVELS) {
            conds[i].condition_one_of_case = QDRANT__CONDITION__CONDITION_ONE_OF_FILTER;
            conds[i].filter = &filters[i + 1];
        }
    }
    CU_ASSERT_EQUAL(vex_lower_filter(call, &filters[0], &out), VEX_EFORMAT);
    CU_ASSERT_EQUAL(strncmp(call->err.text, "JSON body: filter is nested", 27), 0);
    CU_ASSERT_EQUAL(vex_lower_filter(call, &filters[LEVELS - VEX_FILTER_DEPTH_MAX], &out), 0);
    kit_close(&kit);
}

/* ---- configurations ---- */

static Qdrant__CollectionConfig *shown(struct vex_call *call, struct vex_config *config)
{
    Qdrant__CollectionConfig *doc;

    CU_ASSERT_EQUAL_FATAL(vex_qdrant_doc(call, config, &doc), 0);
    return vex_lift_config(call, config, doc);
}

static void config_defaults(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    struct vex_config *config = vex_config_new();
    Qdrant__CreateCollection create = QDRANT__CREATE_COLLECTION__INIT;
    Qdrant__VectorsConfig vectors = QDRANT__VECTORS_CONFIG__INIT;
    Qdrant__VectorParams params = QDRANT__VECTOR_PARAMS__INIT;
    Qdrant__CollectionConfig *out;

    create.vectors_config = &vectors;
    vectors.config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS;
    vectors.params = &params;
    params.has_size = true;
    params.size = 4;
    CU_ASSERT_EQUAL(vex_lower_create(call, &create, config), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Malformed distance parameter: UnknownDistance");
    params.has_distance = true;
    params.distance = QDRANT__DISTANCE__Cosine;
    CU_ASSERT_EQUAL(vex_lower_create(call, &create, config), 0);
    out = shown(call, config);
    CU_ASSERT_EQUAL(out->params->vectors_config->config_case, QDRANT__VECTORS_CONFIG__CONFIG_PARAMS);
    CU_ASSERT_EQUAL(out->params->vectors_config->params->size, 4);
    CU_ASSERT_PTR_NULL(out->params->vectors_config->params->hnsw_config);
    CU_ASSERT(out->params->on_disk_payload && out->params->shard_number == 1);
    CU_ASSERT(out->hnsw_config->m == 16 && out->hnsw_config->ef_construct == 100);
    CU_ASSERT(!out->hnsw_config->has_payload_m && !out->hnsw_config->has_inline_storage);
    CU_ASSERT(out->optimizer_config->indexing_threshold == 10000 &&
              !out->optimizer_config->has_max_segment_size);
    CU_ASSERT_PTR_NULL(out->quantization_config);
    CU_ASSERT_PTR_NULL(out->strict_mode_config);
    vex_config_unref(config);
    kit_close(&kit);
}

static void config_update(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    struct vex_config *config = vex_config_new();
    Qdrant__CreateCollection create = QDRANT__CREATE_COLLECTION__INIT;
    Qdrant__HnswConfigDiff hnsw = QDRANT__HNSW_CONFIG_DIFF__INIT, change = QDRANT__HNSW_CONFIG_DIFF__INIT;
    Qdrant__UpdateCollection update = QDRANT__UPDATE_COLLECTION__INIT;
    Qdrant__VectorsConfigDiff vectors = QDRANT__VECTORS_CONFIG_DIFF__INIT;
    Qdrant__VectorParamsDiff params = QDRANT__VECTOR_PARAMS_DIFF__INIT;
    Qdrant__CollectionConfig *doc, *out;

    hnsw.has_m = hnsw.has_payload_m = true;
    hnsw.m = 32;
    hnsw.payload_m = 16;
    create.hnsw_config = &hnsw;
    CU_ASSERT_EQUAL(vex_lower_create(call, &create, config), 0);
    change.has_m = true;
    change.m = 8;
    change.has_ef_construct = true;
    change.ef_construct = 200;
    update.hnsw_config = &change;
    CU_ASSERT_EQUAL(vex_qdrant_doc(call, config, &doc), 0);
    CU_ASSERT_EQUAL(vex_merge_update(call, &update, config, doc), 0);
    vex_qdrant_set_doc(call, config, doc);
    out = shown(call, config);
    CU_ASSERT(out->hnsw_config->m == 8 && out->hnsw_config->payload_m == 16 &&
              out->hnsw_config->ef_construct == 200);
    update.vectors_config = &vectors;
    vectors.config_case = QDRANT__VECTORS_CONFIG_DIFF__CONFIG_PARAMS;
    vectors.params = &params;
    CU_ASSERT_EQUAL(vex_merge_update(call, &update, config, doc), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Not existing vector name error: ");
    vex_config_unref(config);
    kit_close(&kit);
}

/* A collection of another dialect has no document, and perhaps no size yet. */
static void config_foreign(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {
        .name = VEX_STR(""), .kind = VEX_VECTOR_DENSE, .distance = VEX_DISTANCE_L2};
    Qdrant__CollectionConfig *out;

    CU_ASSERT_EQUAL(vex_config_add_vector(config, &params, &call->err), 0);
    out = shown(call, config);
    CU_ASSERT_EQUAL(out->params->vectors_config->config_case, QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP);
    CU_ASSERT_EQUAL(out->params->vectors_config->params_map->n_map, 0);
    config->vectors[0].size = 3;
    out = shown(call, config);
    CU_ASSERT_EQUAL(out->params->vectors_config->params->distance, QDRANT__DISTANCE__Euclid);
    vex_config_unref(config);
    kit_close(&kit);
}

/* ---- errors ---- */

static void error_texts(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);

    vex_err_set(&call->err, VEX_ENOT_FOUND, "Collection `x` doesn't exist!");
    CU_ASSERT(vex_str_eq_c(vex_rpc_error_text(call), "Not found: Collection `x` doesn't exist!"));
    vex_qdrant_malformed(call, "PointSelector is missing");
    CU_ASSERT(vex_str_eq_c(vex_rpc_error_text(call), "PointSelector is missing"));
    call->dialect = VEX_DIALECT_QDRANT_REST;
    vex_qdrant_malformed(call, "Invalid json path: ''");
    CU_ASSERT(vex_str_eq_c(vex_rpc_error_text(call), "Format error in JSON body: Invalid json path: ''"));
    kit_close(&kit);
}

/* ---- lists of points ---- */

/* Packs an answer as a transport would and reads it as a client would; free what is returned. */
static void *sent(struct vex_call *call, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(len + 1);
    void *back;

    CU_ASSERT_EQUAL(protobuf_c_message_pack(message, bytes), len);
    CU_ASSERT_EQUAL(vex_rpc_guard(message->descriptor, bytes, len, &call->err), 0);
    back = protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
    free(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    return back;
}

#define POINTS 3

/* A number with everything, a UUID with long parts, a text with nothing. */
static struct vex_hits points(struct vex_buf *cbor)
{
    static struct vex_hit hits[POINTS];
    static float values[200];
    static struct vex_vector_value dense = {.kind = VEX_VECTOR_DENSE, .values = values, .count = 200};

    for (int i = 0; i < 200; i++)
        values[i] = (float)i / 8;
    memset(hits, 0, sizeof hits);
    hits[0] = (struct vex_hit){.id = vex_id_num(UINT64_MAX), .version = 300, .score = -1.5f};
    hits[0].has_payload = hits[0].has_order_value = true;
    hits[0].payload = sample(cbor);
    hits[0].order_value = (struct vex_order_value){.kind = VEX_ORDER_INT, .integer = -7};
    CU_ASSERT(vex_id_from_uuid_text(VEX_STR("550e8400-e29b-41d4-a716-446655440000"), &hits[1].id));
    hits[1].vectors = &dense;
    hits[1].vector_count = 1;
    hits[2].id = (struct vex_id){.kind = VEX_ID_TEXT, .text = VEX_STR("a text")};
    return (struct vex_hits){.hits = hits, .count = POINTS};
}

static void check_scored(Qdrant__ScoredPoint *const *list)
{
    CU_ASSERT_EQUAL(list[0]->id->num, UINT64_MAX);
    CU_ASSERT_EQUAL(list[0]->version, 300);
    CU_ASSERT_EQUAL(list[0]->score, -1.5f);
    CU_ASSERT_EQUAL(list[0]->n_payload, 7);
    CU_ASSERT_EQUAL(list[0]->order_value->int_, -7);
    CU_ASSERT_STRING_EQUAL(list[1]->id->uuid, "550e8400-e29b-41d4-a716-446655440000");
    CU_ASSERT_TRUE(list[1]->has_score && list[1]->has_version);
    CU_ASSERT_EQUAL(list[1]->vectors->vector->dense->n_data, 200);
    CU_ASSERT_EQUAL(list[1]->vectors->vector->dense->data[199], 199.0f / 8);
    CU_ASSERT_PTR_NULL(list[1]->order_value);
    CU_ASSERT_STRING_EQUAL(list[2]->id->uuid, "a text");
    CU_ASSERT_EQUAL(list[2]->n_payload, 0);
}

static void scored_points(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__QueryResponse answer = QDRANT__QUERY_RESPONSE__INIT, *back;
    struct vex_buf cbor;
    struct vex_hits hits;

    vex_buf_init(&cbor, NULL);
    hits = points(&cbor);
    vex_lift_scored(call, &hits, true, &answer.base, 1);
    back = sent(call, &answer.base);
    CU_ASSERT_EQUAL_FATAL(back->n_result, POINTS);
    check_scored(back->result);
    protobuf_c_message_free_unpacked(&back->base, NULL);

    kit.call.dialect = VEX_DIALECT_QDRANT_REST; /* the same as messages */
    qdrant__query_response__init(&answer);
    vex_lift_scored(call, &hits, true, &answer.base, 1);
    CU_ASSERT_EQUAL_FATAL(answer.n_result, POINTS);
    CU_ASSERT_PTR_EQUAL(answer.result[0]->payload[0]->key, vex_raw_key);
    CU_ASSERT_STRING_EQUAL(answer.result[1]->id->uuid, "550e8400-e29b-41d4-a716-446655440000");
    vex_buf_done(&cbor);
    kit_close(&kit);
}

/* Two fields of points in one message, one of them no list. */
static void group_with_record(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__PointGroup group = QDRANT__POINT_GROUP__INIT, *back;
    struct vex_buf cbor;
    struct vex_hits hits, one;

    vex_buf_init(&cbor, NULL);
    hits = points(&cbor);
    one = (struct vex_hits){.hits = &hits.hits[1], .count = 1};
    vex_lift_scored(call, &hits, true, &group.base, 2);
    vex_lift_retrieved(call, &one, true, &group.base, 3);
    back = sent(call, &group.base);
    CU_ASSERT_EQUAL_FATAL(back->n_hits, POINTS);
    check_scored(back->hits);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back->lookup);
    CU_ASSERT_STRING_EQUAL(back->lookup->id->uuid, "550e8400-e29b-41d4-a716-446655440000");
    CU_ASSERT_EQUAL(back->lookup->vectors->vector->dense->n_data, 200);
    protobuf_c_message_free_unpacked(&back->base, NULL);

    kit.call.dialect = VEX_DIALECT_QDRANT_REST;
    qdrant__point_group__init(&group);
    vex_lift_retrieved(call, &one, true, &group.base, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(group.lookup);
    CU_ASSERT_STRING_EQUAL(group.lookup->id->uuid, "550e8400-e29b-41d4-a716-446655440000");
    vex_buf_done(&cbor);
    kit_close(&kit);
}

/* More than one piece of bytes, and none at all. */
static void many_points(void)
{
    enum { MANY = 20000 };
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__ScrollResponse answer = QDRANT__SCROLL_RESPONSE__INIT, *back;
    struct vex_hit *list = calloc(MANY, sizeof *list);
    struct vex_hits hits = {.hits = list, .count = MANY};
    size_t right = 0;

    for (size_t i = 0; i < MANY; i++)
        list[i].id = vex_id_num(i * i * i);
    vex_lift_retrieved(call, &hits, false, &answer.base, 2);
    CU_ASSERT(answer.base.n_unknown_fields > 2);
    back = sent(call, &answer.base);
    CU_ASSERT_EQUAL_FATAL(back->n_result, MANY);
    for (size_t i = 0; i < MANY; i++)
        right += back->result[i]->id->num == i * i * i;
    CU_ASSERT_EQUAL(right, MANY);
    protobuf_c_message_free_unpacked(&back->base, NULL);

    qdrant__scroll_response__init(&answer);
    hits.count = 0;
    vex_lift_retrieved(call, &hits, false, &answer.base, 2);
    CU_ASSERT_EQUAL(protobuf_c_message_get_packed_size(&answer.base), 0);
    free(list);
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {{"payload there and back", payload_round_trip},
                           {"payload raw", payload_raw},
                           {"of repeated keys the last", repeated_keys},
                           {"entries without key or value", missing_parts},
                           {"ids", ids},
                           {"kinds of vectors", vector_kinds},
                           {"several conditions in one field", several_in_one_field},
                           {"filter messages nested deep", deep_filter_message},
                           {"configuration: defaults", config_defaults},
                           {"configuration: update", config_update},
                           {"configuration of another dialect", config_foreign},
                           {"error texts", error_texts},
                           {"points with scores", scored_points},
                           {"a group and its record", group_with_record},
                           {"many points and none", many_points},
                           CU_TEST_INFO_NULL};

    return run_suite("api lower and lift", tests);
}
