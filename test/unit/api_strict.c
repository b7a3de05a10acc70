/* Strict mode: what is counted in a filter, which index a condition needs, and the limits' words. */
#include "api_kit.h"

#include "api/qdrant/strict.h"

/* ---- filters made by hand ---- */

static Qdrant__Condition *condition(struct vex_call *call, Qdrant__Condition__ConditionOneOfCase kind)
{
    Qdrant__Condition *out = VEX_MESSAGE(call, Qdrant__Condition, qdrant__condition__descriptor);

    out->condition_one_of_case = kind;
    return out;
}

static Qdrant__Condition *on_field(struct vex_call *call, const char *key, Qdrant__Match *match)
{
    Qdrant__Condition *out = condition(call, QDRANT__CONDITION__CONDITION_ONE_OF_FIELD);

    out->field = VEX_MESSAGE(call, Qdrant__FieldCondition, qdrant__field_condition__descriptor);
    out->field->key = vex_arena_strndup(&call->arena, key, strlen(key));
    out->field->match = match;
    return out;
}

static Qdrant__Match *match(struct vex_call *call, Qdrant__Match__MatchValueCase kind)
{
    Qdrant__Match *out = VEX_MESSAGE(call, Qdrant__Match, qdrant__match__descriptor);

    out->match_value_case = kind;
    return out;
}

static Qdrant__Match *match_text(struct vex_call *call, Qdrant__Match__MatchValueCase kind, const char *text)
{
    Qdrant__Match *out = match(call, kind);

    out->keyword = vex_arena_strndup(&call->arena, text, strlen(text)); /* all texts share the place */
    return out;
}

static Qdrant__Filter *must(struct vex_call *call, Qdrant__Condition *a, Qdrant__Condition *b)
{
    Qdrant__Filter *out = VEX_MESSAGE(call, Qdrant__Filter, qdrant__filter__descriptor);

    out->must = VEX_ARENA_ARRAY(&call->arena, Qdrant__Condition *, 2);
    out->must[out->n_must++] = a;
    if (b != NULL)
        out->must[out->n_must++] = b;
    return out;
}

static Qdrant__Condition *nested(struct vex_call *call, const char *key, Qdrant__Filter *filter)
{
    Qdrant__Condition *out = condition(call, QDRANT__CONDITION__CONDITION_ONE_OF_NESTED);

    out->nested = VEX_MESSAGE(call, Qdrant__NestedCondition, qdrant__nested_condition__descriptor);
    out->nested->key = vex_arena_strndup(&call->arena, key, strlen(key));
    out->nested->filter = filter;
    return out;
}

static void add_index(struct vex_config *config, const char *field, enum vex_index_type type, bool option)
{
    struct vex_text_params text = {.lowercase = true, .phrase_matching = option};
    struct vex_index_params params = {.field = vex_str_c(field),
                                      .type = (uint8_t)type,
                                      .prefix = option,
                                      .range = true,
                                      .lookup = option,
                                      .text = type == VEX_INDEX_TEXT ? &text : NULL};

    vex_config_set_index(config, &params);
}

/* ---- tests ---- */

static void conditions_are_counted(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Condition *leaf = on_field(call, "a", match(call, QDRANT__MATCH__MATCH_VALUE_BOOLEAN));
    Qdrant__Filter *inner = must(call, leaf, leaf), *outer = must(call, nested(call, "n", inner), leaf);
    Qdrant__MinShould least = QDRANT__MIN_SHOULD__INIT;

    CU_ASSERT_EQUAL(vex_strict_conditions(NULL), 0);
    CU_ASSERT_EQUAL(vex_strict_conditions(inner), 2);
    CU_ASSERT_EQUAL(vex_strict_conditions(outer), 3);
    least.n_conditions = 1;
    least.conditions = &leaf;
    outer->min_should = &least;
    outer->n_must_not = outer->n_should = 1;
    outer->must_not = outer->should = &leaf;
    CU_ASSERT_EQUAL(vex_strict_conditions(outer), 6);
    kit_close(&kit);
}

static void limits_of_filters(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__StrictModeConfig limits = QDRANT__STRICT_MODE_CONFIG__INIT;
    struct vex_strict strict = {.limits = &limits, .config = vex_config_new()};
    Qdrant__RepeatedIntegers list = QDRANT__REPEATED_INTEGERS__INIT;
    Qdrant__Match *any = match(call, QDRANT__MATCH__MATCH_VALUE_INTEGERS);
    int64_t numbers[3] = {1, 2, 3};
    Qdrant__Filter *filter;

    list.n_integers = 3;
    list.integers = numbers;
    any->integers = &list;
    filter = must(call, nested(call, "n", must(call, on_field(call, "a", any), NULL)),
                  on_field(call, "b", match(call, QDRANT__MATCH__MATCH_VALUE_BOOLEAN)));
    limits.has_filter_max_conditions = limits.has_condition_max_size = true;
    limits.filter_max_conditions = 2;
    limits.condition_max_size = 3;
    CU_ASSERT_EQUAL(vex_strict_filter(call, &strict, filter, true), 0);
    limits.filter_max_conditions = 1;
    CU_ASSERT_EQUAL(vex_strict_filter(call, &strict, filter, true), VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text,
                           "Filter condition limit reached (2 > 1). Help: Reduce the amount of "
                           "conditions of your filter.");
    limits.filter_max_conditions = 2;
    limits.condition_max_size = 2;
    CU_ASSERT_EQUAL(vex_strict_filter(call, &strict, filter, true), VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text,
                           "Condition size limit reached (3 > 2). Help: Reduce the size of your condition.");
    vex_config_unref(strict.config);
    kit_close(&kit);
}

/* What is said to be missing for one condition; "" when an index serves it. */
static const char *missing(struct vex_call *call, const struct vex_strict *strict, Qdrant__Condition *c)
{
    int code = vex_strict_filter(call, strict, must(call, c, NULL), false);

    CU_ASSERT_EQUAL(code, vex_strict_unindexed(call, strict, must(call, c, NULL)) ? VEX_EBAD_REQUEST : 0);
    return code == 0 ? "" : call->err.text;
}

#define NEEDS(key, types)                                                                                    \
    "Index required but not found for \"" key "\" of one of the following types: [" types                    \
    "]. Help: Create an index for this key or use a different filter."

static void indexes_serve_conditions(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__StrictModeConfig limits = QDRANT__STRICT_MODE_CONFIG__INIT;
    struct vex_strict strict = {.limits = &limits, .config = vex_config_new()};
    const char *uuid = "550e8400-e29b-41d4-a716-446655440000";
    Qdrant__Match *word = match_text(call, QDRANT__MATCH__MATCH_VALUE_KEYWORD, "x");
    Qdrant__Match *start = match_text(call, QDRANT__MATCH__MATCH_VALUE_PREFIX, "x");
    Qdrant__Match *phrase = match_text(call, QDRANT__MATCH__MATCH_VALUE_PHRASE, "x y");
    Qdrant__Match *number = match(call, QDRANT__MATCH__MATCH_VALUE_INTEGER);
    Qdrant__Condition *ranged = on_field(call, "i", NULL);
    Qdrant__Range range = QDRANT__RANGE__INIT;

    add_index(strict.config, "k", VEX_INDEX_KEYWORD, false);
    add_index(strict.config, "p", VEX_INDEX_KEYWORD, true);
    add_index(strict.config, "u", VEX_INDEX_UUID, false);
    add_index(strict.config, "i", VEX_INDEX_INTEGER, false);
    add_index(strict.config, "t", VEX_INDEX_TEXT, false);
    add_index(strict.config, "o[].k", VEX_INDEX_KEYWORD, false);
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "k", word)), "");
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "none", word)), NEEDS("none", "keyword"));
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "u", word)), NEEDS("u", "keyword"));
    CU_ASSERT_STRING_EQUAL(
        missing(call, &strict,
                on_field(call, "u", match_text(call, QDRANT__MATCH__MATCH_VALUE_KEYWORD, uuid))),
        "");
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "k", start)),
                           NEEDS("k", "keyword (with prefix: true)"));
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "p", start)), "");
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "t", phrase)),
                           NEEDS("t", "text (with phrase_matching: true)"));
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, on_field(call, "i", number)), NEEDS("i", "integer"));
    ranged->field->range = &range;
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, ranged), "");
    ranged->field->key = vex_arena_strndup(&call->arena, "k", 1);
    CU_ASSERT_STRING_EQUAL(missing(call, &strict, ranged), NEEDS("k", "float, integer"));
    CU_ASSERT_STRING_EQUAL(
        missing(call, &strict, nested(call, "o", must(call, on_field(call, "k", word), NULL))), "");
    CU_ASSERT_STRING_EQUAL(
        missing(call, &strict, nested(call, "o[]", must(call, on_field(call, "z", word), NULL))),
        NEEDS("o[].z", "keyword"));
    vex_config_unref(strict.config);
    kit_close(&kit);
}

static void limits_of_reads(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__StrictModeConfig limits = QDRANT__STRICT_MODE_CONFIG__INIT;
    struct vex_strict strict = {.limits = &limits, .config = vex_config_new()};
    struct vex_strict_read question = {.has_limit = true, .limit = 30};
    Qdrant__SearchParams params = QDRANT__SEARCH_PARAMS__INIT;
    Qdrant__QuantizationSearchParams quantization = QDRANT__QUANTIZATION_SEARCH_PARAMS__INIT;

    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), 0);
    limits.has_max_query_limit = true;
    limits.max_query_limit = 15;
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text,
                           "Limit exceeded 30 > 15 for \"limit\". Help: Reduce the \"limit\" parameter to or "
                           "below 15.");
    question.limit = 15;
    question.params = &params;
    params.quantization = &quantization;
    limits.has_search_max_oversampling = quantization.has_oversampling = true;
    limits.search_max_oversampling = 1.5f;
    quantization.oversampling = 2;
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), VEX_EBAD_REQUEST);
    CU_ASSERT_PTR_NOT_NULL(strstr(call->err.text, "Limit exceeded 2"));
    quantization.oversampling = 1.5;
    limits.has_search_allow_exact = params.has_exact = params.exact = true;
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Exact search disabled!. Help: Set exact=false.");
    limits.search_allow_exact = true;
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), 0);
    limits.has_unindexed_filtering_retrieve = true;
    question.group_by = "doc";
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Index required but not found for \"doc\". Help: Create an index "
                                           "supporting `match` for this key.");
    add_index(strict.config, "doc", VEX_INDEX_GEO, false);
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), VEX_EBAD_REQUEST);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Index of type \"Geo\" found for \"doc\". Help: Create an index "
                                           "supporting `match` for this key.");
    add_index(strict.config, "doc", VEX_INDEX_KEYWORD, false);
    CU_ASSERT_EQUAL(vex_strict_read(call, &strict, &question), 0);
    vex_config_unref(strict.config);
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {{"conditions are counted", conditions_are_counted},
                           {"limits of filters", limits_of_filters},
                           {"indexes serve conditions", indexes_serve_conditions},
                           {"limits of reads", limits_of_reads},
                           CU_TEST_INFO_NULL};

    return run_suite("api strict mode", tests);
}
