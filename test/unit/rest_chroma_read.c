/* Bodies of the Chroma dialect: what is taken, what is refused and with which words. */
#include "rest/chroma.h"

#include <math.h>
#include <stdio.h>

#include <CUnit/Basic.h>

#include "engine/point/value_json.h"

struct body {
    struct vex_chroma_texts ids, documents;
    struct vex_chroma_vectors vectors;
    struct vex_chroma_values metadatas;
    struct vex_chroma_includes include;
    struct vex_chroma_settings settings;
    struct vex_value where;
    uint64_t limit;
};

static struct vex_rest_request request;

static int read_body(const char *type, const char *text, struct body *ret)
{
    static const struct vex_chroma_field fields[] = {
        {"ids", offsetof(struct body, ids), vex_chroma_read_ids, true, false},
        {"documents", offsetof(struct body, documents), vex_chroma_read_texts, false, false},
        {"embeddings", offsetof(struct body, vectors), vex_chroma_read_vectors, false, false},
        {"metadatas", offsetof(struct body, metadatas), vex_chroma_read_metadatas, false, false},
        {"changes", offsetof(struct body, metadatas), vex_chroma_read_changes, false, false},
        {"include", offsetof(struct body, include), vex_chroma_read_include, false, false},
        {"configuration", offsetof(struct body, settings), vex_chroma_read_settings, false, false},
        {"where", offsetof(struct body, where), vex_chroma_read_where, false, false},
        {"limit", offsetof(struct body, limit), vex_chroma_read_u32, false, false},
    };

    vex_arena_reset(&request.call.arena);
    memset(ret, 0, sizeof *ret);
    request.call.err.text[0] = '\0';
    request.content_type = vex_str_c(type);
    request.body = vex_str_c(text);
    return vex_chroma_read_body(&request, fields, sizeof fields / sizeof *fields, ret);
}

static void refused(const char *text, int code, const char *words)
{
    struct body body;
    int got = read_body(NULL, text, &body);

    if (got != code || strstr(request.call.err.text, words) == NULL) {
        fprintf(stderr, "%s gives %d: %s\n", text, got, request.call.err.text);
        CU_FAIL("a body is refused wrongly");
    }
}

static void test_refusals(void)
{
    static const char prefix[] = "Failed to deserialize the JSON body into the target type: ";

    refused("{", VEX_EFORMAT, "Failed to parse the request body as JSON: EOF while parsing");
    refused("", VEX_EFORMAT, "Failed to parse the request body as JSON: ");
    refused("[]", VEX_EVALIDATION, prefix);
    refused("{}", VEX_EVALIDATION, "missing field `ids`");
    refused("{\"ids\":[],\"ids\":[]}", VEX_EVALIDATION, "duplicate field `ids`");
    refused("{\"ids\":null}", VEX_EVALIDATION, "ids: invalid type: null");
    refused("{\"ids\":[1]}", VEX_EVALIDATION, "ids[0]: invalid type: integer `1`, expected a string");
    refused("{\"ids\":[],\"limit\":-1}", VEX_EVALIDATION, "limit: invalid value: integer `-1`, expected u32");
    refused("{\"ids\":[],\"limit\":4294967296}", VEX_EVALIDATION, "expected u32");
    refused("{\"ids\":[],\"limit\":18446744073709551615}", VEX_EVALIDATION, "expected u32");
    refused("{\"ids\":[],\"limit\":1.5}", VEX_EVALIDATION, "invalid type: floating point `1.5`");
    refused("{\"ids\":[],\"embeddings\":[[1,\"x\"]]}", VEX_EVALIDATION,
            "embeddings: data did not match any variant");
    refused("{\"ids\":[],\"embeddings\":[[1],\"AACAPw==\"]}", VEX_EVALIDATION, "EmbeddingsPayload");
    refused("{\"ids\":[],\"embeddings\":[null]}", VEX_EVALIDATION, "EmbeddingsPayload");
    refused("{\"ids\":[],\"embeddings\":7}", VEX_EVALIDATION, "EmbeddingsPayload");
    refused("{\"ids\":[],\"embeddings\":[\"AA!APw==\"]}", VEX_EBAD_INPUT, "Invalid symbol 33, offset 2.");
    refused("{\"ids\":[],\"embeddings\":[\"AACA\"]}", VEX_EBAD_INPUT, "Invalid base64 string");
    refused("{\"ids\":[],\"metadatas\":[{\"a\":null}]}", VEX_EVALIDATION,
            "metadatas[0].a: data did not match");
    refused("{\"ids\":[],\"metadatas\":[null,{\"a\":{\"b\":1}}]}", VEX_EVALIDATION, "metadatas[1].a: ");
    refused("{\"ids\":[],\"metadatas\":[{\"a\":[1,\"x\"]}]}", VEX_EVALIDATION, "metadatas[0].a: ");
    refused("{\"ids\":[],\"metadatas\":[{\"a\":[true,1]}]}", VEX_EVALIDATION, "metadatas[0].a: ");
    refused("{\"ids\":[],\"metadatas\":[{\"a\":[[1]]}]}", VEX_EVALIDATION, "metadatas[0].a: ");
    refused("{\"ids\":[],\"metadatas\":[7]}", VEX_EVALIDATION, "metadatas[0]: invalid type");
    refused("{\"ids\":[],\"include\":[\"data\"]}", VEX_EVALIDATION, "include[0]: unknown variant `data`");
    refused("{\"ids\":[],\"configuration\":{\"hnsw\":{\"space\":\"zz\"}}}", VEX_EVALIDATION,
            "configuration.hnsw.space: unknown variant `zz`, expected one of `l2`, `cosine`, `ip`");
    refused("{\"ids\":[],\"configuration\":{\"hnsw\":{\"zz\":1}}}", VEX_EVALIDATION, "unknown field `zz`");
    refused("{\"ids\":[],\"configuration\":{\"embedding_function\":{\"type\":\"known\"}}}", VEX_EVALIDATION,
            "missing field `name`");
}

static void test_types(void)
{
    struct body body;

    CU_ASSERT_EQUAL(read_body("text/plain", "{\"ids\":[]}", &body), VEX_EMEDIA_TYPE);
    CU_ASSERT_STRING_EQUAL(request.call.err.text, "Expected request with `Content-Type: application/json`");
    CU_ASSERT_EQUAL(read_body("application/json; charset=utf-8", "{\"ids\":[]}", &body), 0);
    CU_ASSERT_EQUAL(read_body("application/vnd.x+json", "{\"ids\":[]}", &body), 0);
    CU_ASSERT_EQUAL(read_body("application/", "{\"ids\":[]}", &body), VEX_EMEDIA_TYPE);
    CU_ASSERT_EQUAL(read_body(NULL, "{\"ids\":[]}", &body), 0);
}

static void test_vectors(void)
{
    struct body body;

    CU_ASSERT_EQUAL(read_body(NULL, "{\"ids\":[],\"embeddings\":[[1,2.5],[]]}", &body), 0);
    CU_ASSERT(body.vectors.given && body.vectors.count == 2);
    CU_ASSERT(body.vectors.items[0].count == 2 && body.vectors.items[0].values[1] == 2.5f);
    CU_ASSERT(body.vectors.items[1].count == 0 && body.vectors.items[1].values != NULL);
    CU_ASSERT_EQUAL(read_body(NULL, "{\"ids\":[],\"embeddings\":[\"AACAPwAAgD8AAAAA\"]}", &body), 0);
    CU_ASSERT(body.vectors.items[0].count == 3 && body.vectors.items[0].values[0] == 1.0f);
    CU_ASSERT_EQUAL(read_body(NULL, "{\"ids\":[],\"embeddings\":[[1e60]]}", &body), 0);
    CU_ASSERT(isinf(body.vectors.items[0].values[0])); /* refused later, with the peer's words */
    CU_ASSERT_EQUAL(read_body(NULL, "{\"ids\":[]}", &body), 0);
    CU_ASSERT_FALSE(body.vectors.given);
}

static void check_metadata(const char *text, const char *wanted)
{
    struct body body;
    struct vex_buf out;

    if (read_body(NULL, text, &body) != 0 || body.metadatas.count != 1) {
        CU_FAIL("metadata are refused");
        return;
    }
    vex_buf_init(&out, NULL);
    struct vex_jw w = vex_jw(&out);
    vex_chroma_put_metadata(&w, body.metadatas.items[0]);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&out), wanted));
    vex_buf_done(&out);
}

static void test_metadata(void)
{
    check_metadata("{\"ids\":[],\"metadatas\":[null]}", "null");
    check_metadata("{\"ids\":[],\"metadatas\":[{\"i\":1,\"f\":1.0,\"b\":true,\"s\":\"x\"}]}",
                   "{\"i\":1,\"f\":1.0,\"b\":true,\"s\":\"x\"}");
    check_metadata("{\"ids\":[],\"metadatas\":[{\"a\":[1,2.5],\"b\":[],\"c\":[1,2]}]}",
                   "{\"a\":[1.0,2.5],\"c\":[1,2]}");
    check_metadata("{\"ids\":[],\"metadatas\":[{\"u\":18446744073709551615}]}",
                   "{\"u\":1.8446744073709552e19}");
    check_metadata("{\"ids\":[],\"metadatas\":[{\"a\":1,\"a\":2}]}", "{\"a\":2}");
    check_metadata("{\"ids\":[],\"metadatas\":[{\"v\":{\"indices\":[1],\"values\":[2]}}]}",
                   "{\"v\":{\"#type\":\"sparse_vector\",\"indices\":[1],\"values\":[2.0]}}");
    refused("{\"ids\":[],\"metadatas\":[{\"v\":{\"indices\":[2,1],\"values\":[2,3]}}]}", VEX_EVALIDATION,
            "metadatas[0].v");
    refused("{\"ids\":[],\"metadatas\":[{\"v\":{\"indices\":[2],\"values\":[2,3]}}]}", VEX_EVALIDATION,
            "metadatas[0].v");
    /* hidden members, and what Chroma has no form for */
    check_metadata("{\"ids\":[],\"changes\":[{\"a\":null,\"chroma:x\":1,\"b\":2}]}", "{\"b\":2}");
}

static void test_settings(void)
{
    struct body body;

    CU_ASSERT_EQUAL(read_body(NULL,
                              "{\"ids\":[],\"configuration\":{\"hnsw\":{\"space\":\"ip\",\"max_neighbors\":8,"
                              "\"resize_factor\":2,\"ef_search\":null},\"spann\":null,\"zz\":1}}",
                              &body),
                    0);
    CU_ASSERT(body.settings.has_hnsw && !body.settings.has_spann && body.settings.space == VEX_SPACE_IP);
    CU_ASSERT(body.settings.has[VEX_HNSW_MAX_NEIGHBORS] && body.settings.hnsw[VEX_HNSW_MAX_NEIGHBORS] == 8);
    CU_ASSERT(body.settings.hnsw[VEX_HNSW_RESIZE_FACTOR] == 2 && !body.settings.has[VEX_HNSW_EF_SEARCH]);
}

static void test_include(void)
{
    struct body body;
    char text[400] = "{\"ids\":[],\"include\":[\"uris\"";

    CU_ASSERT_EQUAL(read_body(NULL, "{\"ids\":[],\"include\":[\"uris\",\"documents\",\"uris\"]}", &body), 0);
    CU_ASSERT(body.include.mask == (VEX_INCLUDE_URIS | VEX_INCLUDE_DOCUMENTS) && body.include.count == 3);
    CU_ASSERT(body.include.items[0] == VEX_INCLUDE_URIS && body.include.items[1] == VEX_INCLUDE_DOCUMENTS);
    for (int i = 0; i < VEX_INCLUDE_MAX; i++)
        strcat(text, ",\"uris\"");
    strcat(text, "]}");
    refused(text, VEX_EVALIDATION, "too many values");
}

int main(void)
{
    vex_arena_init(&request.call.arena, 0);
    request.parser = vex_json_parser_new();
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("rest/chroma_read", NULL, NULL);
    CU_add_test(suite, "refusals", test_refusals);
    CU_add_test(suite, "content types", test_types);
    CU_add_test(suite, "vectors", test_vectors);
    CU_add_test(suite, "metadata", test_metadata);
    CU_add_test(suite, "configurations", test_settings);
    CU_add_test(suite, "include", test_include);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_json_parser_free(request.parser);
    vex_arena_done(&request.call.arena);
    return failed != 0;
}
