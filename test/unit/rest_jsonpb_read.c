/* JSON of the Qdrant dialect into messages: the shapes that differ from the messages, and what is refused. */
#include "api_kit.h"

#include "engine/point/value_json.h"
#include "rest/jsonpb.h"

#define UUID "550e8400-e29b-41d4-a716-446655440000"

static struct vex_arena arena;
static struct vex_json_parser *parser;
static struct vex_err err;

static int read_into(ProtobufCMessage *message, const char *json)
{
    struct vex_json value;

    memset(&err, 0, sizeof err);
    CU_ASSERT_FATAL(vex_json_parse(parser, json, strlen(json), &value, &err) == 0);
    return vex_jsonpb_read(&arena, value, message, &err);
}

static void *read_good(const ProtobufCMessageDescriptor *type, const char *json, int line)
{
    ProtobufCMessage *message = vex_rpc_message(&arena, type);

    if (read_into(message, json) == 0)
        return message;
    printf("\nline %d: %s\n", line, err.text);
    CU_FAIL_FATAL("refused");
    return NULL;
}

static void check_refused(const ProtobufCMessageDescriptor *type, const char *json, const char *want,
                          int line)
{
    int code = read_into(vex_rpc_message(&arena, type), json);

    CU_ASSERT_EQUAL(code, VEX_EFORMAT);
    if (code == VEX_EFORMAT && strcmp(err.text, want) == 0)
        return;
    printf("\nline %d\n got:  %d %s\n want: %s\n", line, code, err.text, want);
    CU_FAIL("another error");
}

#define READ(Type, descriptor, json)    ((Type *)read_good(&(descriptor), json, __LINE__))
#define REFUSED(descriptor, json, want) check_refused(&(descriptor), json, want, __LINE__)

#define POINT_ID(json)        READ(Qdrant__PointId, qdrant__point_id__descriptor, json)
#define POINT(json)           READ(Qdrant__PointStruct, qdrant__point_struct__descriptor, json)
#define QUERY(json)           READ(Qdrant__QueryPoints, qdrant__query_points__descriptor, json)
#define FILTER(json)          READ(Qdrant__Filter, qdrant__filter__descriptor, json)
#define NO_FILTER(json, want) REFUSED(qdrant__filter__descriptor, json, want)

/* ---- ids ---- */

static void ids(void)
{
    static const char *const bad[][2] = {
        {"-1", "-1"},        {"1.5", "1.5"},
        {"\"abc\"", "abc"},  {"18446744073709551616", "1.8446744073709552e19"},
        {"true", "boolean"}, {"[]", "sequence"},
    };
    Qdrant__PointId *id = POINT_ID("18446744073709551615");
    char want[200];

    CU_ASSERT_EQUAL(id->point_id_options_case, QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM);
    CU_ASSERT(id->num == UINT64_MAX);
    CU_ASSERT(POINT_ID("0")->num == 0);
    id = POINT_ID("\"" UUID "\"");
    CU_ASSERT_EQUAL(id->point_id_options_case, QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID);
    CU_ASSERT_STRING_EQUAL(id->uuid, UUID);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(want, sizeof want,
                 "value %s is not a valid point ID, valid values are either an unsigned integer or a UUID",
                 bad[i][1]);
        REFUSED(qdrant__point_id__descriptor, bad[i][0], want);
    }
}

/* ---- vectors ---- */

static Qdrant__Vector *vector_of(const char *json)
{
    Qdrant__PointStruct *point = POINT(vex_arena_printf(&arena, "{\"id\":1,\"vector\":%s}", json));

    CU_ASSERT_FATAL(point->vectors->vectors_options_case == QDRANT__VECTORS__VECTORS_OPTIONS_VECTOR);
    return point->vectors->vector;
}

static void vectors_without_name(void)
{
    Qdrant__Vector *vector = vector_of("[1,2.5,-3]");

    CU_ASSERT_FATAL(vector->vector_case == QDRANT__VECTOR__VECTOR_DENSE && vector->dense->n_data == 3);
    CU_ASSERT(vector->dense->data[0] == 1 && vector->dense->data[1] == 2.5f && vector->dense->data[2] == -3);
    vector = vector_of("[]");
    CU_ASSERT(vector->vector_case == QDRANT__VECTOR__VECTOR_DENSE && vector->dense->n_data == 0);
    vector = vector_of("[[1,2],[3,4],[5,6]]");
    CU_ASSERT_FATAL(vector->vector_case == QDRANT__VECTOR__VECTOR_MULTI_DENSE &&
                    vector->multi_dense->n_vectors == 3);
    CU_ASSERT(vector->multi_dense->vectors[2]->n_data == 2 && vector->multi_dense->vectors[2]->data[1] == 6);
    vector = vector_of("{\"text\":\"hi\",\"model\":\"m\"}");
    CU_ASSERT_FATAL(vector->vector_case == QDRANT__VECTOR__VECTOR_DOCUMENT);
    CU_ASSERT_STRING_EQUAL(vector->document->text, "hi");
    CU_ASSERT_EQUAL(vector_of("{\"image\":\"hi\",\"model\":\"m\"}")->vector_case,
                    QDRANT__VECTOR__VECTOR_IMAGE);
    CU_ASSERT_EQUAL(vector_of("{\"object\":{},\"model\":\"m\"}")->vector_case, QDRANT__VECTOR__VECTOR_OBJECT);
    REFUSED(qdrant__point_struct__descriptor, "{\"id\":1,\"vector\":7}",
            "data did not match any variant of untagged enum VectorStruct");
    REFUSED(qdrant__point_struct__descriptor, "{\"id\":1,\"vector\":[1,\"a\"]}",
            "invalid type: expected a sequence of f32");
    REFUSED(qdrant__point_struct__descriptor, "{\"id\":1,\"vector\":[[1],2]}",
            "invalid type: integer `2`, expected a sequence");
}

static void vectors_with_names(void)
{
    Qdrant__PointStruct *point = POINT("{\"id\":1,\"vectors\":{\"a\":[1],\"\":[[2],[3]],"
                                       "\"s\":{\"indices\":[4,4294967295],\"values\":[0.5,1]}}}");
    Qdrant__NamedVectors *named;
    Qdrant__Vector *sparse;

    CU_ASSERT_FATAL(point->vectors->vectors_options_case == QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS);
    named = point->vectors->vectors;
    CU_ASSERT_FATAL(named->n_vectors == 3);
    CU_ASSERT_STRING_EQUAL(named->vectors[0]->key, "a");
    CU_ASSERT_STRING_EQUAL(named->vectors[1]->key, "");
    CU_ASSERT_EQUAL(named->vectors[0]->value->vector_case, QDRANT__VECTOR__VECTOR_DENSE);
    CU_ASSERT_EQUAL(named->vectors[1]->value->vector_case, QDRANT__VECTOR__VECTOR_MULTI_DENSE);
    sparse = named->vectors[2]->value;
    CU_ASSERT_FATAL(sparse->vector_case == QDRANT__VECTOR__VECTOR_SPARSE);
    CU_ASSERT_FATAL(sparse->sparse->n_indices == 2 && sparse->sparse->n_values == 2);
    CU_ASSERT(sparse->sparse->indices[1] == UINT32_MAX && sparse->sparse->values[0] == 0.5f);
    REFUSED(qdrant__point_struct__descriptor,
            "{\"id\":1,\"vector\":{\"s\":{\"indices\":[4294967296],\"values\":[1]}}}",
            "invalid value: integer `4294967296`, expected u32");
    REFUSED(qdrant__point_struct__descriptor, "{\"id\":1,\"vector\":{\"a\\u0000\":[1]}}",
            "a key holds a NUL character, which is not supported");
}

static void vectors_of_queries(void)
{
    Qdrant__VectorInput *input = QUERY("{\"query\":[1,2]}")->query->nearest;

    CU_ASSERT(input->variant_case == QDRANT__VECTOR_INPUT__VARIANT_DENSE && input->dense->n_data == 2);
    input = QUERY("{\"query\":{\"nearest\":[[1],[2]]}}")->query->nearest;
    CU_ASSERT_EQUAL(input->variant_case, QDRANT__VECTOR_INPUT__VARIANT_MULTI_DENSE);
    input = QUERY("{\"query\":{\"indices\":[1],\"values\":[2]}}")->query->nearest;
    CU_ASSERT_EQUAL(input->variant_case, QDRANT__VECTOR_INPUT__VARIANT_SPARSE);
    input = QUERY("{\"query\":\"" UUID "\"}")->query->nearest;
    CU_ASSERT_FATAL(input->variant_case == QDRANT__VECTOR_INPUT__VARIANT_ID);
    CU_ASSERT_STRING_EQUAL(input->id->uuid, UUID);
    CU_ASSERT(QUERY("{\"query\":7}")->query->nearest->id->num == 7);
    REFUSED(qdrant__query_points__descriptor, "{\"query\":true}",
            "Expected some form of vector, id, or a type of query");
}

static void vectors_by_columns(void)
{
    Qdrant__UpsertPoints *in = READ(Qdrant__UpsertPoints, qdrant__upsert_points__descriptor,
                                    "{\"batch\":{\"ids\":[1,2],\"vectors\":{\"a\":[[1],[2]],\"b\":[[3],[4]]},"
                                    "\"payloads\":[null,{\"k\":1}]}}");
    ProtobufCMessage *message = vex_rpc_message(&arena, &qdrant__upsert_points__descriptor);

    CU_ASSERT_FATAL(in->n_points == 2);
    CU_ASSERT(in->points[1]->id->num == 2);
    CU_ASSERT(in->points[0]->n_payload == 0 && in->points[1]->n_payload == 1);
    CU_ASSERT_FATAL(in->points[1]->vectors->vectors->n_vectors == 2);
    CU_ASSERT_STRING_EQUAL(in->points[1]->vectors->vectors->vectors[1]->key, "b");
    CU_ASSERT(in->points[1]->vectors->vectors->vectors[1]->value->dense->data[0] == 4);
    CU_ASSERT_EQUAL(read_into(message, "{\"batch\":{\"ids\":[1,2],\"vectors\":[[1]]}}"), VEX_EVALIDATION);
}

/* ---- filters ---- */

static void filter_keys(void)
{
    NO_FILTER("{\"musst\":[]}",
              "unknown field `musst`, expected one of `should`, `must`, `must_not`, `min_should`");
    NO_FILTER("{\"must\":[{\"nested\":{\"key\":\"a\",\"filter\":{\"x\":1}}}]}",
              "unknown field `x`, expected one of `should`, `must`, `must_not`, `min_should`");
    CU_ASSERT_EQUAL(FILTER("{\"must\":null}")->n_must, 0);
    NO_FILTER("[]", "invalid type: sequence, expected Filter");
    CU_ASSERT(read_into(vex_rpc_message(&arena, &qdrant__filter__descriptor), "{\"must\":[{\"who\":1}]}") ==
              VEX_EFORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Expected some form of condition"));
}

static void conditions(void)
{
    static const struct {
        const char *json;
        Qdrant__Condition__ConditionOneOfCase want;
    } cases[] = {
        {"{\"key\":\"a\"}", QDRANT__CONDITION__CONDITION_ONE_OF_FIELD},
        {"{\"is_empty\":{\"key\":\"a\"}}", QDRANT__CONDITION__CONDITION_ONE_OF_IS_EMPTY},
        {"{\"is_null\":{\"key\":\"a\"}}", QDRANT__CONDITION__CONDITION_ONE_OF_IS_NULL},
        {"{\"has_id\":[1,\"" UUID "\"]}", QDRANT__CONDITION__CONDITION_ONE_OF_HAS_ID},
        {"{\"has_vector\":\"v\"}", QDRANT__CONDITION__CONDITION_ONE_OF_HAS_VECTOR},
        {"{\"nested\":{\"key\":\"a\",\"filter\":{}}}", QDRANT__CONDITION__CONDITION_ONE_OF_NESTED},
        {"{\"must\":[]}", QDRANT__CONDITION__CONDITION_ONE_OF_FILTER},
        {"{}", QDRANT__CONDITION__CONDITION_ONE_OF_FILTER},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Qdrant__Filter *filter = FILTER(vex_arena_printf(&arena, "{\"must\":[%s]}", cases[i].json));

        CU_ASSERT_FATAL(filter->n_must == 1);
        CU_ASSERT_EQUAL(filter->must[0]->condition_one_of_case, cases[i].want);
    }
}

static Qdrant__FieldCondition *field_of(const char *name, const char *json)
{
    Qdrant__Filter *filter =
        FILTER(vex_arena_printf(&arena, "{\"must\":[{\"key\":\"k\",\"%s\":%s}]}", name, json));

    return filter->must[0]->field;
}

static void matches(void)
{
    static const struct {
        const char *json;
        Qdrant__Match__MatchValueCase want;
    } cases[] = {
        {"{\"value\":\"a\"}", QDRANT__MATCH__MATCH_VALUE_KEYWORD},
        {"{\"value\":-3}", QDRANT__MATCH__MATCH_VALUE_INTEGER},
        {"{\"value\":false}", QDRANT__MATCH__MATCH_VALUE_BOOLEAN},
        {"{\"text\":\"a\"}", QDRANT__MATCH__MATCH_VALUE_TEXT},
        {"{\"text_any\":\"a\"}", QDRANT__MATCH__MATCH_VALUE_TEXT_ANY},
        {"{\"phrase\":\"a\"}", QDRANT__MATCH__MATCH_VALUE_PHRASE},
        {"{\"any\":[\"a\",\"b\"]}", QDRANT__MATCH__MATCH_VALUE_KEYWORDS},
        {"{\"any\":[]}", QDRANT__MATCH__MATCH_VALUE_KEYWORDS},
        {"{\"any\":[1,2]}", QDRANT__MATCH__MATCH_VALUE_INTEGERS},
        {"{\"except\":[\"a\"]}", QDRANT__MATCH__MATCH_VALUE_EXCEPT_KEYWORDS},
        {"{\"except\":[1]}", QDRANT__MATCH__MATCH_VALUE_EXCEPT_INTEGERS},
    };
    static const char *const bad[] = {"{}",
                                      "7",
                                      "{\"value\":1.5}",
                                      "{\"value\":9223372036854775808}",
                                      "{\"any\":\"a\"}",
                                      "{\"any\":[\"a\",1]}",
                                      "{\"except\":[1,\"a\"]}"};
    Qdrant__Match *match;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(field_of("match", cases[i].json)->match->match_value_case, cases[i].want);
    match = field_of("match", "{\"any\":[-9223372036854775808,9223372036854775807]}")->match;
    CU_ASSERT_FATAL(match->integers->n_integers == 2);
    CU_ASSERT(match->integers->integers[0] == INT64_MIN && match->integers->integers[1] == INT64_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        NO_FILTER(vex_arena_printf(&arena, "{\"must\":[{\"key\":\"k\",\"match\":%s}]}", bad[i]),
                  "data did not match any variant of untagged enum MatchInterface");
}

static void ranges(void)
{
    Qdrant__FieldCondition *field = field_of("range", "{\"gte\":1,\"lt\":2.5,\"gt\":null}");

    CU_ASSERT_FATAL(field->range != NULL && field->datetime_range == NULL);
    CU_ASSERT(field->range->has_gte && field->range->gte == 1 && field->range->lt == 2.5);
    CU_ASSERT(!field->range->has_gt && !field->range->has_lte);
    field = field_of("range", "{\"gt\":\"1969-12-31T23:59:59.5Z\",\"lte\":null}");
    CU_ASSERT_FATAL(field->range == NULL && field->datetime_range != NULL);
    CU_ASSERT_PTR_NULL(field->datetime_range->lte);
    CU_ASSERT(field->datetime_range->gt->seconds == -1 && field->datetime_range->gt->nanos == 500000000);
    NO_FILTER("{\"must\":[{\"key\":\"k\",\"range\":{\"gt\":\"bogus\"}}]}",
              "'bogus' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z");
    NO_FILTER("{\"must\":[{\"key\":\"k\",\"range\":{\"gt\":\"2020-01-01\",\"lt\":3}}]}",
              "invalid type: integer `3`, expected a datetime");
    NO_FILTER("{\"must\":[{\"key\":\"k\",\"range\":5}]}",
              "data did not match any variant of untagged enum RangeInterface");
}

static void one_or_many(void)
{
    Qdrant__QueryPoints *query = QUERY("{\"prefetch\":{\"query\":[1],\"prefetch\":[{\"limit\":5},{\"limit\":"
                                       "6}]},\"query\":{\"fusion\":\"rrf\"}}");

    CU_ASSERT_FATAL(query->n_prefetch == 1 && query->prefetch[0]->n_prefetch == 2);
    CU_ASSERT(query->prefetch[0]->prefetch[1]->limit == 6);
    CU_ASSERT(query->query->variant_case == QDRANT__QUERY__VARIANT_FUSION &&
              query->query->fusion == QDRANT__FUSION__RRF);
    CU_ASSERT_EQUAL(FILTER("{\"should\":{\"key\":\"a\"}}")->n_should, 1);
    CU_ASSERT_EQUAL(FILTER("{\"should\":[{\"key\":\"a\"},{\"key\":\"b\"}]}")->n_should, 2);
    CU_ASSERT_EQUAL(FILTER("{\"must_not\":[]}")->n_must_not, 0);
    /* Other lists want their brackets. */
    REFUSED(qdrant__get_points__descriptor, "{\"ids\":1}", "invalid type: integer `1`, expected a sequence");
}

/* ---- payloads ---- */

static void payload_is(const char *json)
{
    Qdrant__PointStruct *point =
        POINT(vex_arena_printf(&arena, "{\"id\":1,\"vector\":{},\"payload\":%s}", json));
    struct vex_buf out;
    struct vex_jw w = vex_jw(&out);

    vex_buf_init(&out, &arena);
    CU_ASSERT_FATAL(point->n_payload == 1 && point->payload[0]->key == vex_raw_key);
    CU_ASSERT_FATAL(vex_is_raw(point->payload[0]->value));
    vex_value_to_json(&w, vex_raw_of(point->payload[0]->value));
    if (!vex_str_eq_c(vex_buf_str(&out), json))
        printf("\n got:  " VEX_STR_FMT "\n want: %s\n", VEX_STR_ARG(vex_buf_str(&out)), json);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&out), json));
}

static void payloads(void)
{
    payload_is("{}");
    payload_is("{\"a\\u0000b\":\"c\\u0000\\u0000d\"}");
    payload_is("{\"n\":[9223372036854775807,9223372036854775808,18446744073709551615,-9223372036854775808]}");
    payload_is("{\"n\":null,\"f\":1.0,\"i\":1,\"o\":{\"\":[{},[]]}}");
    REFUSED(qdrant__point_struct__descriptor, "{\"id\":1,\"vector\":{},\"payload\":[1]}",
            "invalid type: sequence, expected a map");
    REFUSED(qdrant__point_struct__descriptor, "{\"id\":1,\"vector\":{},\"payload\":\"x\"}",
            "invalid type: string \"x\", expected a map");
    /* Texts of messages end at NUL: there it is refused, not cut off. */
    NO_FILTER("{\"must\":[{\"key\":\"a\\u0000b\"}]}",
              "the text holds a NUL character, which is not supported");
}

/* ---- depth ---- */

static char *formula(unsigned depth)
{
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    vex_buf_add_str(&out, VEX_STR("{\"query\":{\"formula\":"));
    for (unsigned i = 0; i < depth; i++)
        vex_buf_add_str(&out, VEX_STR("{\"neg\":"));
    vex_buf_add_str(&out, VEX_STR("\"$score\""));
    for (unsigned i = 0; i < depth + 2; i++)
        vex_buf_add_char(&out, '}');
    return vex_arena_strndup(&arena, out.ptr, out.len);
}

static void depth(void)
{
    Qdrant__Expression *expression = QUERY(formula(90))->query->formula->expression;
    unsigned levels = 0;

    for (; expression->variant_case == QDRANT__EXPRESSION__VARIANT_NEG; expression = expression->neg)
        levels++;
    CU_ASSERT_EQUAL(levels, 90);
    CU_ASSERT_STRING_EQUAL(expression->variable, "$score");
    REFUSED(qdrant__query_points__descriptor, formula(110), "recursion limit exceeded");
}

/* {"filter":{"must":[{},{}, ...]}} */
static const char *many_conditions(size_t count)
{
    static char text[3 * VEX_CONDITIONS_MAX + 64];
    size_t len = (size_t)sprintf(text, "{\"filter\":{\"must\":[{}");

    for (size_t i = 1; i < count; i++)
        len += (size_t)sprintf(text + len, ",{}");
    sprintf(text + len, "]}}");
    return text;
}

static void number_of_conditions(void)
{
    Qdrant__ScrollPoints *in =
        READ(Qdrant__ScrollPoints, qdrant__scroll_points__descriptor, many_conditions(VEX_CONDITIONS_MAX));

    CU_ASSERT_EQUAL(in->filter->n_must, VEX_CONDITIONS_MAX);
    REFUSED(qdrant__scroll_points__descriptor, many_conditions(VEX_CONDITIONS_MAX + 1),
            "the request has more than 100000 conditions");
}

/* ---- what must and what must not be there ---- */

static void required(void)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *json, *want;
    } cases[] = {
        {&qdrant__point_struct__descriptor, "{\"vector\":[1]}", "missing field `id`"},
        {&qdrant__point_struct__descriptor, "{\"id\":1}", "missing field `vector`"},
        {&qdrant__point_struct__descriptor, "{\"id\":null,\"vector\":[1]}", "missing field `id`"},
        {&qdrant__get_points__descriptor, "{}", "missing field `ids`"},
        {&qdrant__search_points__descriptor, "{\"limit\":1}", "missing field `vector`"},
        {&qdrant__search_points__descriptor, "{\"vector\":[1]}", "missing field `limit`"},
        {&qdrant__upsert_points__descriptor, "{}", "Invalid PointInsertOperations format"},
        {&qdrant__delete_points__descriptor, "{}", "Either list of point ids or filter must be provided"},
        {&qdrant__set_payload_points__descriptor, "{\"points\":[1]}", "missing field `payload`"},
        {&qdrant__vector_params__descriptor, "{\"size\":4}", "missing field `distance`"},
        {&qdrant__vector_params__descriptor, "{\"size\":0,\"distance\":\"Dot\"}",
         "invalid value: integer `0`, expected a nonzero usize"},
        {&qdrant__vector_params__descriptor, "{\"size\":1,\"distance\":\"UnknownDistance\"}",
         "unknown variant `UnknownDistance`, expected one of `Cosine`, `Euclid`, `Dot`, `Manhattan`"},
        {&qdrant__create_alias__descriptor, "{\"alias_name\":\"a\"}", "missing field `collection_name`"},
        {&qdrant__quantization_config__descriptor, "{}",
         "data did not match any variant of untagged enum QuantizationConfig"},
    };
    /* An older name of a key does as well. */
    Qdrant__SearchPoints *search =
        READ(Qdrant__SearchPoints, qdrant__search_points__descriptor, "{\"vector\":[1],\"top\":3}");

    CU_ASSERT(search->limit == 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].type, cases[i].json, cases[i].want, __LINE__);
}

static void aliases(void)
{
    Qdrant__ChangeAliases *in =
        READ(Qdrant__ChangeAliases, qdrant__change_aliases__descriptor,
             "{\"actions\":[{\"create_alias\":{\"collection_name\":\"c\",\"alias_name\":\"a\"}},"
             "{\"delete_alias\":{\"alias_name\":\"b\"}}]}");

    CU_ASSERT_FATAL(in->n_actions == 2);
    CU_ASSERT_FATAL(in->actions[0]->action_case == QDRANT__ALIAS_OPERATIONS__ACTION_CREATE_ALIAS);
    CU_ASSERT_STRING_EQUAL(in->actions[0]->create_alias->collection_name, "c");
    CU_ASSERT_EQUAL(in->actions[1]->action_case, QDRANT__ALIAS_OPERATIONS__ACTION_DELETE_ALIAS);
    REFUSED(qdrant__change_aliases__descriptor,
            "{\"actions\":[{\"rename_alias\":{\"old_alias_name\":\"a\"}}]}",
            "missing field `new_alias_name`");
    REFUSED(qdrant__change_aliases__descriptor,
            "{\"actions\":[{\"create_alias\":{\"collection_name\":\"c\"}}]}", "missing field `alias_name`");
    REFUSED(qdrant__change_aliases__descriptor, "{\"actions\":[{}]}",
            "data did not match any variant of untagged enum AliasOperations");
    REFUSED(qdrant__change_aliases__descriptor, "{}", "missing field `actions`");
}

/* Path and query parameters were read before: a body with their names is a body with unknown keys. */
static void envelope(void)
{
    Qdrant__UpsertPoints *upsert = vex_arena_alloc(&arena, sizeof *upsert);
    Qdrant__QueryBatchPoints *batch;

    qdrant__upsert_points__init(upsert);
    upsert->collection_name = "path";
    upsert->has_wait = true;
    upsert->wait = false;
    CU_ASSERT_FATAL(read_into(&upsert->base, "{\"points\":[],\"collection_name\":\"body\",\"wait\":true,"
                                             "\"ordering\":{\"type\":\"strong\"},\"timeout\":9}") == 0);
    CU_ASSERT_STRING_EQUAL(upsert->collection_name, "path");
    CU_ASSERT(upsert->has_wait && !upsert->wait);
    CU_ASSERT(upsert->ordering == NULL && !upsert->has_timeout);
    batch = READ(Qdrant__QueryBatchPoints, qdrant__query_batch_points__descriptor,
                 "{\"searches\":[{\"collection_name\":\"body\",\"timeout\":9}],\"timeout\":9}");
    CU_ASSERT(!batch->has_timeout && !batch->query_points[0]->has_timeout);
    CU_ASSERT(batch->query_points[0]->collection_name == NULL ||
              *batch->query_points[0]->collection_name == '\0');
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"ids", ids},
        {"vectors without a name", vectors_without_name},
        {"vectors with names", vectors_with_names},
        {"vectors of queries", vectors_of_queries},
        {"vectors by columns", vectors_by_columns},
        {"keys of a filter", filter_keys},
        {"conditions", conditions},
        {"matches", matches},
        {"ranges", ranges},
        {"one or many", one_or_many},
        {"payloads", payloads},
        {"depth", depth},
        {"number of conditions", number_of_conditions},
        {"number of conditions", number_of_conditions},
        {"required fields", required},
        {"aliases", aliases},
        {"the body does not override the path", envelope},
        CU_TEST_INFO_NULL,
    };
    int failed;

    vex_arena_init(&arena, 0);
    parser = vex_json_parser_new();
    failed = run_suite("rest_jsonpb_read", tests);
    vex_json_parser_free(parser);
    vex_arena_done(&arena);
    return failed;
}
