/* Lowering payload indexes: defaults, typed parameters, and what is refused. */
#include "api_kit.h"

static int lower(struct vex_call *call, const Qdrant__CreateFieldIndexCollection *in,
                 struct vex_index_params *ret)
{
    memset(&call->err, 0, sizeof call->err);
    return vex_lower_index(call, in, ret);
}

static void types(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__CreateFieldIndexCollection in = QDRANT__CREATE_FIELD_INDEX_COLLECTION__INIT;
    Qdrant__PayloadIndexParams params = QDRANT__PAYLOAD_INDEX_PARAMS__INIT;
    Qdrant__BoolIndexParams boolean = QDRANT__BOOL_INDEX_PARAMS__INIT;
    struct vex_index_params out;

    in.field_name = "a.b";
    CU_ASSERT_EQUAL(lower(call, &in, &out), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "cannot convert field_type");
    in.has_field_type = true;
    for (int i = 0; i <= QDRANT__FIELD_TYPE__FieldTypeUuid; i++) {
        in.field_type = (Qdrant__FieldType)i;
        CU_ASSERT_EQUAL(lower(call, &in, &out), 0);
        CU_ASSERT_EQUAL(out.type, i + 1);
        CU_ASSERT(out.lookup && out.range && !out.prefix && out.text == NULL && out.doc.len == 0);
    }
    in.field_index_params = &params;
    params.index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_BOOL_INDEX_PARAMS;
    params.bool_index_params = &boolean;
    CU_ASSERT_EQUAL(lower(call, &in, &out), 0);
    CU_ASSERT_EQUAL(out.type, VEX_INDEX_BOOL); /* parameters win over the bare type */
    CU_ASSERT(out.doc.len != 0);
    in.field_name = "a[";
    CU_ASSERT_EQUAL(lower(call, &in, &out), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Invalid json path: 'a['");
    kit_close(&kit);
}

static void keyword_and_integer(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__CreateFieldIndexCollection in = QDRANT__CREATE_FIELD_INDEX_COLLECTION__INIT;
    Qdrant__PayloadIndexParams params = QDRANT__PAYLOAD_INDEX_PARAMS__INIT;
    Qdrant__KeywordIndexParams keyword = QDRANT__KEYWORD_INDEX_PARAMS__INIT;
    Qdrant__KeywordPrefixParams prefix = QDRANT__KEYWORD_PREFIX_PARAMS__INIT;
    Qdrant__IntegerIndexParams integer = QDRANT__INTEGER_INDEX_PARAMS__INIT;
    Qdrant__UuidIndexParams uuid = QDRANT__UUID_INDEX_PARAMS__INIT;
    struct vex_index_params out;

    in.field_name = "f";
    in.field_index_params = &params;
    params.index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_KEYWORD_INDEX_PARAMS;
    params.keyword_index_params = &keyword;
    CU_ASSERT(lower(call, &in, &out) == 0 && !out.prefix);
    keyword.prefix = &prefix;
    CU_ASSERT(lower(call, &in, &out) == 0 && out.prefix && !out.tenant);
    keyword.has_is_tenant = true;
    CU_ASSERT(lower(call, &in, &out) == 0 && !out.tenant);
    keyword.is_tenant = true;
    CU_ASSERT(lower(call, &in, &out) == 0 && out.tenant);
    params.index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_UUID_INDEX_PARAMS;
    params.uuid_index_params = &uuid;
    CU_ASSERT(lower(call, &in, &out) == 0 && !out.tenant);
    uuid.has_is_tenant = uuid.is_tenant = true;
    CU_ASSERT(lower(call, &in, &out) == 0 && out.tenant);
    params.index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_INTEGER_INDEX_PARAMS;
    params.integer_index_params = &integer;
    CU_ASSERT(lower(call, &in, &out) == 0 && out.lookup && out.range);
    integer.has_lookup = true;
    CU_ASSERT(lower(call, &in, &out) == 0 && !out.lookup && out.range);
    kit_close(&kit);
}

static void text(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__CreateFieldIndexCollection in = QDRANT__CREATE_FIELD_INDEX_COLLECTION__INIT;
    Qdrant__PayloadIndexParams params = QDRANT__PAYLOAD_INDEX_PARAMS__INIT;
    Qdrant__TextIndexParams t = QDRANT__TEXT_INDEX_PARAMS__INIT;
    Qdrant__StopwordsSet stop = QDRANT__STOPWORDS_SET__INIT;
    Qdrant__StemmingAlgorithm stemmer = QDRANT__STEMMING_ALGORITHM__INIT;
    Qdrant__SnowballParams snowball = QDRANT__SNOWBALL_PARAMS__INIT;
    char *languages[] = {"english"}, *custom[] = {"foo", "bar"};
    struct vex_index_params out;

    in.field_name = "f";
    in.field_index_params = &params;
    params.index_params_case = QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_TEXT_INDEX_PARAMS;
    params.text_index_params = &t;
    CU_ASSERT_EQUAL_FATAL(lower(call, &in, &out), 0);
    CU_ASSERT(out.text->tokenizer == VEX_TOKENIZER_WORD && out.text->lowercase && !out.text->phrase_matching);
    t.has_tokenizer = t.has_lowercase = t.has_min_token_len = t.has_max_token_len = true;
    t.tokenizer = QDRANT__TOKENIZER_TYPE__Prefix;
    t.min_token_len = 2;
    t.max_token_len = UINT64_MAX;
    t.stopwords = &stop;
    stop.n_languages = 1;
    stop.languages = languages;
    stop.n_custom = 2;
    stop.custom = custom;
    t.stemmer = &stemmer;
    stemmer.stemming_params_case = QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_SNOWBALL;
    stemmer.snowball = &snowball;
    snowball.language = "german";
    CU_ASSERT_EQUAL_FATAL(lower(call, &in, &out), 0);
    CU_ASSERT(out.text->tokenizer == VEX_TOKENIZER_PREFIX && !out.text->lowercase);
    CU_ASSERT(out.text->min_token_len == 2 && out.text->max_token_len == 65535);
    CU_ASSERT(out.text->stopword_language_count == 1 && out.text->stopword_count == 2);
    CU_ASSERT(vex_str_eq_c(out.text->stemmer, "german"));
    snowball.language = "klingon";
    CU_ASSERT_EQUAL(lower(call, &in, &out), VEX_EFORMAT);
    snowball.language = "german";
    languages[0] = "klingon";
    CU_ASSERT_EQUAL(lower(call, &in, &out), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "unknown language: \"klingon\"");
    languages[0] = "english";
    t.tokenizer = QDRANT__TOKENIZER_TYPE__Unknown;
    CU_ASSERT_EQUAL(lower(call, &in, &out), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "unknown tokenizer type");
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"types", types}, {"keyword and integer", keyword_and_integer}, {"text", text}, CU_TEST_INFO_NULL};

    return run_suite("api lower index", tests);
}
