/* The guard in front of protobuf-c: what it must stop, and that it stops nothing else. */
#include "api_kit.h"

static const struct vex_rpc *count_rpc(void)
{
    return vex_rpc_find("qdrant.Points", "Count");
}

static int guard(const struct vex_rpc *rpc, struct vex_str bytes, struct vex_err *err)
{
    char *exact = malloc(bytes.len != 0 ? bytes.len : 1); /* so that the sanitizer sees a byte too far */
    int code;

    if (bytes.len != 0)
        memcpy(exact, bytes.ptr, bytes.len);
    err->code = 0;
    code = vex_rpc_guard(rpc->request, exact, bytes.len, err);
    free(exact);
    return code;
}

/* CountPoints { collection_name, filter { must { filter { must { ... } } } } }: `levels` filters. */
static void nest(struct vex_buf *out, unsigned levels)
{
    struct vex_buf inner, outer;

    vex_buf_init(&inner, NULL);
    for (unsigned i = 1; i < levels; i++) {
        vex_buf_init(&outer, NULL);
        kit_field(&outer, 4, vex_buf_str(&inner)); /* Condition.filter */
        vex_buf_done(&inner);
        vex_buf_init(&inner, NULL);
        kit_field(&inner, 2, vex_buf_str(&outer)); /* Filter.must */
        vex_buf_done(&outer);
    }
    kit_field(out, 1, VEX_STR("c"));
    kit_field(out, 2, vex_buf_str(&inner));
    vex_buf_done(&inner);
}

static void deep_filters(void)
{
    static const struct {
        unsigned levels;
        int code;
    } cases[] = {{1, 0}, {50, 0}, {51, VEX_EFORMAT}, {10000, VEX_EFORMAT}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_err err;
        struct vex_buf bytes;

        vex_buf_init(&bytes, NULL);
        nest(&bytes, cases[i].levels);
        CU_ASSERT_EQUAL(guard(count_rpc(), vex_buf_str(&bytes), &err), cases[i].code);
        if (cases[i].code != 0)
            CU_ASSERT_STRING_EQUAL(err.text, "failed to decode Protobuf message: recursion limit reached");
        vex_buf_done(&bytes);
    }
}

static void every_cut(void)
{
    Qdrant__ScrollPoints request = QDRANT__SCROLL_POINTS__INIT;
    Qdrant__Filter filter = QDRANT__FILTER__INIT;
    Qdrant__Condition cond = QDRANT__CONDITION__INIT, *conds = &cond;
    Qdrant__IsNullCondition is_null = QDRANT__IS_NULL_CONDITION__INIT;
    struct vex_err err;
    uint8_t bytes[256];
    size_t len, refused = 0;

    request.collection_name = "collection";
    request.filter = &filter;
    filter.n_must = 1;
    filter.must = &conds;
    cond.condition_one_of_case = QDRANT__CONDITION__CONDITION_ONE_OF_IS_NULL;
    cond.is_null = &is_null;
    is_null.key = "some.key";
    request.has_limit = true;
    request.limit = 300;
    len = protobuf_c_message_pack(&request.base, bytes);
    CU_ASSERT_EQUAL(vex_rpc_guard(&qdrant__scroll_points__descriptor, bytes, len, &err), 0);
    for (size_t cut = 1; cut < len; cut++)
        refused +=
            guard(vex_rpc_find("qdrant.Points", "Scroll"), vex_str((char *)bytes, cut), &err) == VEX_EFORMAT;
    /* Only the cuts between two fields leave a message: after the name and after the filter. */
    CU_ASSERT_EQUAL(refused, len - 1 - 2);
}

static void huge_lengths(void)
{
    static const struct vex_str cases[] = {
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a string of 2^64-1 bytes */
        {"\x0a\xff\xff\xff\xff\x0f", 6},
        {"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 11},     /* 2^64 */
        {"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* a varint of eleven bytes */
        {"\x0a", 1},
        {"\x0a\x05\x61", 3},
        {"\x00\x00", 2},         /* field 0 */
        {"\x0b\x0c", 2},         /* groups */
        {"\x0d\x01", 2},         /* a string as fixed32, and short */
        {"\x08\x01", 2},         /* a string as a varint */
        {"\x12\x02\x08\x01", 4}, /* a message where none of its fields is a varint */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_err err;

        CU_ASSERT_EQUAL(guard(count_rpc(), cases[i], &err), VEX_EFORMAT);
    }
}

static void texts(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(guard(count_rpc(), VEX_STR("\x0a\x02\xc3\xa9"), &err), 0);
    CU_ASSERT_EQUAL(guard(count_rpc(), VEX_STR("\x0a\x01\xc3"), &err), VEX_EFORMAT);
    CU_ASSERT_EQUAL(guard(count_rpc(), VEX_STR("\x0a\x02\xc0\x80"), &err), VEX_EFORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "UTF-8"));
    CU_ASSERT_EQUAL(guard(count_rpc(),
                          VEX_STR("\x0a\x03"
                                  "a\0b"),
                          &err),
                    VEX_EFORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "NUL"));
}

static void unknown_fields_pass(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(guard(count_rpc(),
                          VEX_STR("\x0a\x01"
                                  "c\x98\x06\x01\x9a\x06\x01\xff"),
                          &err),
                    0);
    CU_ASSERT_EQUAL(guard(count_rpc(), VEX_STR(""), &err), 0);
}

static void packed_numbers(void)
{
    const struct vex_rpc *search = vex_rpc_find("qdrant.Points", "Search");
    struct vex_err err;

    CU_ASSERT_EQUAL(guard(search, VEX_STR("\x12\x04\0\0\x80\x3f"), &err), 0);       /* packed */
    CU_ASSERT_EQUAL(guard(search, VEX_STR("\x15\0\0\x80\x3f"), &err), 0);           /* one by one */
    CU_ASSERT_EQUAL(guard(search, VEX_STR("\x12\x03\0\0\x80"), &err), VEX_EFORMAT); /* not whole */
    CU_ASSERT_EQUAL(guard(search, VEX_STR("\x7a\x04\x0a\x02\x80\x80"), &err),
                    VEX_EFORMAT); /* varint unfinished */
}

/* What the guard lets through, protobuf-c must read: random damage to a real message. */
static void damaged_bytes(void)
{
    Qdrant__UpsertPoints request = QDRANT__UPSERT_POINTS__INIT;
    Qdrant__PointStruct point = QDRANT__POINT_STRUCT__INIT, *points[3] = {&point, &point, &point};
    Qdrant__PointId id = QDRANT__POINT_ID__INIT;
    Qdrant__PointStruct__PayloadEntry entry = QDRANT__POINT_STRUCT__PAYLOAD_ENTRY__INIT, *entries = &entry;
    Qdrant__Value value = QDRANT__VALUE__INIT;
    uint8_t bytes[512];
    size_t len;
    unsigned seed = 7, passed = 0;

    id.point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
    id.num = 5;
    value.kind_case = QDRANT__VALUE__KIND_STRING_VALUE;
    value.string_value = "text";
    entry.key = "key";
    entry.value = &value;
    point.id = &id;
    point.n_payload = 1;
    point.payload = &entries;
    request.collection_name = "c";
    request.n_points = 3;
    request.points = points;
    len = protobuf_c_message_pack(&request.base, bytes);
    for (int i = 0; i < 20000; i++) {
        struct kit kit;
        uint8_t copy[512];

        memcpy(copy, bytes, len);
        for (int j = 0; j < 2; j++)
            copy[(size_t)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
        kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
        passed += vex_rpc_decode(&kit.call, vex_rpc_find("qdrant.Points", "Upsert"), copy, len) == 0;
        CU_ASSERT_NOT_EQUAL_FATAL(kit.call.err.code,
                                  VEX_ETOO_LARGE); /* protobuf-c refused what passed the guard */
        kit_close(&kit);
    }
    CU_ASSERT(passed > 100);
}

/* A short request that asks for a lot of memory. */
static void memory_is_bounded(void)
{
    enum { POINTS = 4 << 20 };
    const struct vex_rpc *upsert = vex_rpc_find("qdrant.Points", "Upsert");
    struct kit kit;
    char *bytes = malloc(2 * POINTS);

    for (size_t i = 0; i < POINTS; i++)
        memcpy(bytes + 2 * i, "\x1a\0", 2); /* an empty point */
    kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    CU_ASSERT_EQUAL(vex_rpc_decode(&kit.call, upsert, bytes, 2 * POINTS), VEX_ETOO_LARGE);
    CU_ASSERT_EQUAL(kit.call.arena.limit, 0);
    CU_ASSERT_EQUAL(vex_rpc_decode(&kit.call, upsert, bytes, 2000), 0);
    CU_ASSERT_EQUAL(((Qdrant__UpsertPoints *)kit.call.request)->n_points, 1000);
    kit_close(&kit);
    free(bytes);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"filters nested deep", deep_filters},
        {"every cut of a message", every_cut},
        {"lengths beyond the end", huge_lengths},
        {"texts are UTF-8 without NUL", texts},
        {"unknown fields pass", unknown_fields_pass},
        {"packed numbers", packed_numbers},
        {"what passes can be unpacked", damaged_bytes},
        {"memory is bounded", memory_is_bounded},
        CU_TEST_INFO_NULL,
    };

    return run_suite("api guard", tests);
}
