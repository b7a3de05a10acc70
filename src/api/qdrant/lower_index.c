/* Lowering payload indexes: the type, what the engine needs of the parameters, and the parameters themselves as a document. */
#include "api/qdrant/qdrant.h"

#define TOKEN_LEN_MAX 65535

/* Schema type of each kind of parameters. */
static uint8_t type_of_params(const Qdrant__PayloadIndexParams *params)
{
    static const uint8_t types[] = {
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_KEYWORD_INDEX_PARAMS] = VEX_INDEX_KEYWORD,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_INTEGER_INDEX_PARAMS] = VEX_INDEX_INTEGER,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_FLOAT_INDEX_PARAMS] = VEX_INDEX_FLOAT,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_GEO_INDEX_PARAMS] = VEX_INDEX_GEO,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_TEXT_INDEX_PARAMS] = VEX_INDEX_TEXT,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_BOOL_INDEX_PARAMS] = VEX_INDEX_BOOL,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_DATETIME_INDEX_PARAMS] = VEX_INDEX_DATETIME,
        [QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_UUID_INDEX_PARAMS] = VEX_INDEX_UUID,
    };
    unsigned kind = (unsigned)params->index_params_case;

    return kind < sizeof types / sizeof *types ? types[kind] : 0;
}

static int lower_type(struct vex_call *call, const Qdrant__CreateFieldIndexCollection *in, uint8_t *ret)
{
    *ret = in->field_index_params != NULL ? type_of_params(in->field_index_params) : 0;
    if (*ret == 0 && in->has_field_type && (unsigned)in->field_type <= QDRANT__FIELD_TYPE__FieldTypeUuid)
        *ret = (uint8_t)(in->field_type + 1); /* the two enumerations are one apart */
    if (*ret != 0)
        return 0;
    if (call->dialect == VEX_DIALECT_QDRANT_REST)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Can't auto-detect field type, please specify `field_schema` in the request");
    return vex_qdrant_malformed(call, "cannot convert field_type");
}

/* ---- text ---- */

static int lower_tokenizer(struct vex_call *call, const Qdrant__TextIndexParams *in, enum vex_tokenizer *ret)
{
    switch (in->has_tokenizer ? (int)in->tokenizer : QDRANT__TOKENIZER_TYPE__Word) {
    case QDRANT__TOKENIZER_TYPE__Word:
        *ret = VEX_TOKENIZER_WORD;
        return 0;
    case QDRANT__TOKENIZER_TYPE__Whitespace:
        *ret = VEX_TOKENIZER_WHITESPACE;
        return 0;
    case QDRANT__TOKENIZER_TYPE__Prefix:
        *ret = VEX_TOKENIZER_PREFIX;
        return 0;
    case QDRANT__TOKENIZER_TYPE__Multilingual:
        *ret = VEX_TOKENIZER_MULTILINGUAL;
        return 0;
    case QDRANT__TOKENIZER_TYPE__Code:
        *ret = VEX_TOKENIZER_CODE;
        return 0;
    default:
        return vex_qdrant_malformed(call, "unknown tokenizer type");
    }
}

static int lower_stopwords(struct vex_call *call, const Qdrant__StopwordsSet *in, struct vex_text_params *ret)
{
    if (in == NULL)
        return 0;
    ret->stopword_languages = VEX_ARENA_ARRAY(&call->arena, struct vex_str, in->n_languages + 1);
    ret->stopwords = VEX_ARENA_ARRAY(&call->arena, struct vex_str, in->n_custom + 1);
    for (size_t i = 0; i < in->n_languages; i++) {
        struct vex_str name = vex_str_c(in->languages[i]);

        if (!vex_stopword_language(name))
            return vex_qdrant_malformed(call, "unknown language: \"" VEX_STR_FMT "\"", VEX_STR_ARG(name));
        ret->stopword_languages[ret->stopword_language_count++] = name;
    }
    for (size_t i = 0; i < in->n_custom; i++)
        ret->stopwords[ret->stopword_count++] = vex_str_c(in->custom[i]);
    return 0;
}

static int lower_stemmer(struct vex_call *call, const Qdrant__StemmingAlgorithm *in, struct vex_str *ret)
{
    struct vex_str name;

    if (in == NULL || in->stemming_params_case == QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_DISABLED)
        return 0;
    if (in->stemming_params_case != QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_SNOWBALL)
        return vex_qdrant_malformed(call, "StemmingAlgorithm is empty");
    name = vex_str_c(in->snowball->language != NULL ? in->snowball->language : "");
    if (!vex_stemmer_language(name))
        return vex_qdrant_malformed(call, "Language \"" VEX_STR_FMT "\" is not supported by the stemmer",
                                    VEX_STR_ARG(name));
    *ret = name;
    return 0;
}

static uint32_t token_len(bool has, uint64_t len)
{
    return !has ? 0 : len < TOKEN_LEN_MAX ? (uint32_t)len : TOKEN_LEN_MAX;
}

static int lower_text(struct vex_call *call, const Qdrant__TextIndexParams *in, struct vex_text_params *ret)
{
    int code;

    ret->lowercase = !in->has_lowercase || in->lowercase;
    ret->ascii_folding = in->has_ascii_folding && in->ascii_folding;
    ret->phrase_matching = in->has_phrase_matching && in->phrase_matching;
    ret->scoring = in->scoring != NULL;
    ret->min_token_len = token_len(in->has_min_token_len, in->min_token_len);
    ret->max_token_len = token_len(in->has_max_token_len, in->max_token_len);
    if ((code = lower_tokenizer(call, in, &ret->tokenizer)) < 0 ||
        (code = lower_stopwords(call, in->stopwords, ret)) < 0)
        return code;
    return lower_stemmer(call, in->stemmer, &ret->stemmer);
}

/* ---- all types ---- */

static int lower_params(struct vex_call *call, const Qdrant__PayloadIndexParams *in,
                        struct vex_index_params *ret)
{
    switch (in->index_params_case) {
    case QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_KEYWORD_INDEX_PARAMS:
        ret->prefix = in->keyword_index_params->prefix != NULL;
        ret->tenant = in->keyword_index_params->has_is_tenant && in->keyword_index_params->is_tenant;
        return 0;
    case QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_UUID_INDEX_PARAMS:
        ret->tenant = in->uuid_index_params->has_is_tenant && in->uuid_index_params->is_tenant;
        return 0;
    case QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_INTEGER_INDEX_PARAMS:
        ret->lookup = !in->integer_index_params->has_lookup || in->integer_index_params->lookup;
        ret->range = !in->integer_index_params->has_range || in->integer_index_params->range;
        return 0;
    case QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_TEXT_INDEX_PARAMS:
        ret->text = VEX_ARENA_NEW(&call->arena, struct vex_text_params);
        return lower_text(call, in->text_index_params, ret->text);
    default:
        return 0;
    }
}

/* All eight kinds have the option. */
static int lower_nested(struct vex_call *call, const Qdrant__PayloadIndexParams *in,
                        const struct vex_path *path, struct vex_index_params *ret)
{
    /* The members of the oneof share one place. */
    const ProtobufCMessage *params = &in->keyword_index_params->base;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(params->descriptor, "nested");
    const char *nested =
        field != NULL ? *(const char *const *)(const void *)((const char *)params + field->offset) : NULL;
    struct vex_path array;
    uint32_t elements;
    int code;

    if (nested == NULL)
        return 0;
    if ((code = vex_lower_path(call, nested, &array)) < 0)
        return code;
    ret->nested = vex_str_c(nested);
    return vex_index_nested(&call->arena, path, ret->nested, &elements, &call->err);
}

int vex_lower_index(struct vex_call *call, const Qdrant__CreateFieldIndexCollection *in,
                    struct vex_index_params *ret)
{
    struct vex_path path;
    size_t len;
    uint8_t *bytes;
    int code;

    *ret = (struct vex_index_params){
        .field = vex_str_c(in->field_name != NULL ? in->field_name : ""), .range = true, .lookup = true};
    if ((code = vex_lower_path(call, in->field_name, &path)) < 0 ||
        (code = lower_type(call, in, &ret->type)) < 0)
        return code;
    if (in->field_index_params == NULL || type_of_params(in->field_index_params) == 0)
        return 0;
    len = protobuf_c_message_get_packed_size(&in->field_index_params->base);
    bytes = vex_arena_alloc(&call->arena, len + 1);
    protobuf_c_message_pack(&in->field_index_params->base, bytes);
    ret->doc = vex_str((const char *)bytes, len);
    if ((code = lower_nested(call, in->field_index_params, &path, ret)) < 0)
        return code;
    return lower_params(call, in->field_index_params, ret);
}
