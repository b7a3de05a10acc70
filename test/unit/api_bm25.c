/* The model "qdrant/bm25": numbers of terms, weights of stored texts, queries, and options that are wrong. */
#include <math.h>

#include "api_kit.h"
#include "api/qdrant/bm25.h"

static void test_terms(void)
{
    /* MurmurHash3's published values; those above 2^31 lose their sign. */
    CU_ASSERT_EQUAL(vex_bm25_term(VEX_STR("")), 0u);
    CU_ASSERT_EQUAL(vex_bm25_term(VEX_STR("hello")), 0x248bfa47u);
    CU_ASSERT_EQUAL(vex_bm25_term(VEX_STR("test")), 0u - 0xba6bd213u);
    CU_ASSERT_EQUAL(vex_bm25_term(VEX_STR("Hello, world!")), 0u - 0xc0363e43u);
    CU_ASSERT_EQUAL(vex_bm25_term(VEX_STR("The quick brown fox jumps over the lazy dog")), 0x2e4ff723u);
}

static float weight_of(const struct vex_vector_value *v, const char *term)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (v->indices[i] == vex_bm25_term(vex_str_c(term)))
            return v->values[i];
    return 0;
}

static void test_weights(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Document in = QDRANT__DOCUMENT__INIT;
    struct vex_vector_value v = {.name = VEX_STR("s")};

    CU_ASSERT(vex_bm25_is_model("Qdrant/BM25") && vex_bm25_is_model("bm25") &&
              !vex_bm25_is_model("qdrant/bm42") && !vex_bm25_is_model(NULL));
    in.text = (char *)(uintptr_t) "The cat's cats chase a Cat and a mouse";
    CU_ASSERT_EQUAL_FATAL(vex_bm25_embed(call, &in, false, &v), 0);
    CU_ASSERT(v.kind == VEX_VECTOR_SPARSE && vex_str_eq_c(v.name, "s"));
    for (uint32_t i = 1; i < v.count; i++)
        CU_ASSERT(v.indices[i - 1] < v.indices[i]);
    double length = 0, f = 3, k = 1.2, b = 0.75;
    for (uint32_t i = 0; i < v.count; i++) /* cat, cats and Cat are one; the others occur once */
        length += v.indices[i] == vex_bm25_term(VEX_STR("cat")) ? 3 : 1;
    CU_ASSERT_DOUBLE_EQUAL(weight_of(&v, "cat"), f * (k + 1) / (f + k * (1 - b + b * length / 256)), 1e-6);
    CU_ASSERT(weight_of(&v, "mous") > 0 && weight_of(&v, "the") == 0 && weight_of(&v, "and") == 0);
    CU_ASSERT_EQUAL_FATAL(vex_bm25_embed(call, &in, true, &v), 0);
    CU_ASSERT_EQUAL(weight_of(&v, "cat"), 1.0f);
    in.text = (char *)(uintptr_t) "the and of";
    CU_ASSERT_EQUAL_FATAL(vex_bm25_embed(call, &in, false, &v), 0);
    CU_ASSERT_EQUAL(v.count, 0);
    kit_close(&kit);
}

/* One option of a number or a text. */
static int embed_with(struct vex_call *call, const char *name, const double *number, const char *text,
                      struct vex_vector_value *ret)
{
    Qdrant__Document in = QDRANT__DOCUMENT__INIT;
    Qdrant__Document__OptionsEntry entry = QDRANT__DOCUMENT__OPTIONS_ENTRY__INIT, *entries[] = {&entry};
    Qdrant__Value value = QDRANT__VALUE__INIT;

    value.kind_case = number != NULL ? QDRANT__VALUE__KIND_DOUBLE_VALUE : QDRANT__VALUE__KIND_STRING_VALUE;
    if (number != NULL)
        value.double_value = *number;
    else
        value.string_value = (char *)(uintptr_t)text;
    entry.key = (char *)(uintptr_t)name;
    entry.value = &value;
    in.text = (char *)(uintptr_t) "Cats cats mouse";
    in.n_options = 1;
    in.options = entries;
    return vex_bm25_embed(call, &in, false, ret);
}

static void test_options(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    struct vex_vector_value v = {0};
    double zero = 0, three = 3, minus = -1, nan = NAN;

    CU_ASSERT_EQUAL(embed_with(call, "k", &zero, NULL, &v), 0);
    CU_ASSERT(weight_of(&v, "cat") == 1.0f && weight_of(&v, "mous") == 1.0f);
    CU_ASSERT_EQUAL(embed_with(call, "avg_len", &three, NULL, &v), 0);
    CU_ASSERT_DOUBLE_EQUAL(weight_of(&v, "cat"), 2 * 2.2 / (2 + 1.2), 1e-6);
    CU_ASSERT_EQUAL(embed_with(call, "language", NULL, "none", &v), 0);
    CU_ASSERT(weight_of(&v, "cats") > 0 && weight_of(&v, "cat") == 0);
    CU_ASSERT_EQUAL(embed_with(call, "language", NULL, "german", &v), 0);
    CU_ASSERT_EQUAL(embed_with(call, "tokenizer", NULL, "whitespace", &v), 0);
    CU_ASSERT_EQUAL(embed_with(call, "k", &minus, NULL, &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "b", &three, NULL, &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "b", &nan, NULL, &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "avg_len", &zero, NULL, &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "k", NULL, "much", &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "tokenizer", NULL, "axe", &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "stemmer", NULL, "snowball", &v), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(embed_with(call, "stopwords", NULL, "klingon", &v), VEX_EBAD_INPUT);
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {{"numbers of terms", test_terms},
                           {"weights", test_weights},
                           {"options", test_options},
                           CU_TEST_INFO_NULL};

    return run_suite("api bm25", tests);
}
