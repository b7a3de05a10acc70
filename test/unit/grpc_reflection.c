/* Reflection: the embedded schema, and the stream that answers questions about it. */
#include "grpc_kit.h"

#include "grpc/reflection.h"
#include "reflection.pb-c.h"

#define V1      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define V1ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

typedef Grpc__Reflection__V1__ServerReflectionResponse answer_message;

/* ---- schema ---- */

static const char *file_of(const char *symbol)
{
    const struct vex_schema_file *file = vex_schema_by_symbol(vex_str_c(symbol));
    static char name[128];
    snprintf(name, sizeof name, VEX_STR_FMT, VEX_STR_ARG(file != NULL ? file->name : VEX_STR("none")));
    return name;
}

static void symbols(void)
{
    static const char *const known[][2] = {
        {"qdrant.Points", "qdrant_points.proto"},
        {"qdrant.Points.Query", "qdrant_points.proto"},
        {"qdrant.Collections", "qdrant_collections.proto"},
        {"qdrant.Distance", "qdrant_common.proto"},
        {"qdrant.Cosine", "qdrant_common.proto"}, /* a value of an enum is named beside it */
        {"qdrant.PointId", "qdrant_common.proto"},
        {"qdrant.PointId.num", "qdrant_common.proto"},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto"},
        {"grpc.health.v1.HealthCheckResponse.SERVING", "health.proto"},
        {"grpc.reflection.v1.ServerReflection", "reflection.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "reflection_v1alpha.proto"},
        {"google.protobuf.Timestamp", "google/protobuf/timestamp.proto"},
    };
    static const char *const unknown[] = {"",
                                          "qdrant",
                                          "qdrant.",
                                          "qdrant.Point",
                                          "qdrant.Points.",
                                          "qdrant.Points.Quer",
                                          "Points",
                                          ".qdrant.Points",
                                          "qdrant.Distance.Cosine.x",
                                          "qdrant.PointId.num.x",
                                          "grpc.reflection.v1."};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        CU_ASSERT_STRING_EQUAL(file_of(known[i][0]), known[i][1]);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        CU_ASSERT_STRING_EQUAL(file_of(unknown[i]), "none");
    for (uint32_t i = 0; i < vex_rpc_count; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s.%s", vex_rpcs[i].service, vex_rpcs[i].method);
        CU_ASSERT_STRING_NOT_EQUAL(file_of(name), "none");
    }
}

static void files(void)
{
    uint32_t count;
    const struct vex_schema_file *all = vex_schema_files(&count);
    CU_ASSERT(count >= 9 && count <= 20);
    for (uint32_t i = 0; i < count; i++) {
        CU_ASSERT_PTR_EQUAL(vex_schema_by_name(all[i].name), &all[i]);
        CU_ASSERT(all[i].closure >> i & 1);
        CU_ASSERT_EQUAL(all[i].closure >> i >> 1, 0); /* what is imported comes first */
    }
    CU_ASSERT_PTR_NULL(vex_schema_by_name(VEX_STR("none.proto")));
    const struct vex_schema_file *points = vex_schema_by_name(VEX_STR("qdrant_points.proto"));
    const struct vex_schema_file *timestamp = vex_schema_by_name(VEX_STR("google/protobuf/timestamp.proto"));
    CU_ASSERT_FATAL(points != NULL && timestamp != NULL);
    CU_ASSERT(points->closure >> (timestamp - all) & 1);
}

/* ---- stream ---- */

struct talk {
    struct client client;
    grpc_call *core;
    grpc_metadata_array headers, trailers;
    grpc_metadata key;
    grpc_slice text;
    grpc_status_code status;
};

static void talk_wait(struct talk *talk)
{
    grpc_event event = grpc_completion_queue_next(talk->client.cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    CU_ASSERT_EQUAL_FATAL(event.type, GRPC_OP_COMPLETE);
}

static void talk_open(struct talk *talk, unsigned port, const char *method, const char *key)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    struct ask ask = {0};
    memset(talk, 0, sizeof *talk);
    client_open(&talk->client, port);
    talk->core =
        grpc_channel_create_call(talk->client.channel, NULL, GRPC_PROPAGATE_DEFAULTS, talk->client.cq,
                                 grpc_slice_from_static_string(method), NULL, ask_deadline(&ask), NULL);
    grpc_metadata_array_init(&talk->headers);
    grpc_metadata_array_init(&talk->trailers);
    ops[0].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY;
    if (key != NULL) {
        talk->key.key = grpc_slice_from_static_string("api-key");
        talk->key.value = grpc_slice_from_static_string(key);
        ops[0].data.send_initial_metadata.count = 1;
        ops[0].data.send_initial_metadata.metadata = &talk->key;
    }
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &talk->headers;
    CU_ASSERT_EQUAL_FATAL(grpc_call_start_batch(talk->core, ops, 2, talk, NULL), GRPC_CALL_OK);
    talk_wait(talk);
}

static answer_message *talk_ask(struct talk *talk, const void *bytes, size_t len)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes, len);
    grpc_byte_buffer *question = grpc_raw_byte_buffer_create(&slice, 1), *answer = NULL;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE}, {.op = GRPC_OP_RECV_MESSAGE}};
    answer_message *ret = NULL;
    struct message message;
    struct vex_err err;
    ops[0].data.send_message.send_message = question;
    ops[1].data.recv_message.recv_message = &answer;
    CU_ASSERT_EQUAL_FATAL(grpc_call_start_batch(talk->core, ops, 2, talk, NULL), GRPC_CALL_OK);
    talk_wait(talk);
    if (answer != NULL && vex_grpc_message_open(answer, 1 << 24, &message, &err) == 0) {
        ret = grpc__reflection__v1__server_reflection_response__unpack(NULL, message.len, message.bytes);
        vex_grpc_message_close(&message);
    }
    if (answer != NULL)
        grpc_byte_buffer_destroy(answer);
    grpc_byte_buffer_destroy(question);
    grpc_slice_unref(slice);
    return ret;
}

/* A question with one string field. */
static answer_message *talk_field(struct talk *talk, unsigned field, const char *text)
{
    char bytes[200];
    size_t len = strlen(text);
    bytes[0] = (char)(field << 3 | 2);
    bytes[1] = (char)len;
    memcpy(bytes + 2, text, len);
    return talk_ask(talk, bytes, len + 2);
}

/* Half-closes and waits for the status. */
static grpc_status_code talk_close(struct talk *talk)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    ops[1].data.recv_status_on_client.trailing_metadata = &talk->trailers;
    ops[1].data.recv_status_on_client.status = &talk->status;
    ops[1].data.recv_status_on_client.status_details = &talk->text;
    CU_ASSERT_EQUAL_FATAL(grpc_call_start_batch(talk->core, ops, 2, talk, NULL), GRPC_CALL_OK);
    talk_wait(talk);
    grpc_slice_unref(talk->text);
    grpc_metadata_array_destroy(&talk->headers);
    grpc_metadata_array_destroy(&talk->trailers);
    grpc_call_unref(talk->core);
    client_close(&talk->client);
    return talk->status;
}

static void forget(answer_message *answer)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(answer, NULL);
}

static void questions(void)
{
    static const char *const methods[] = {V1, V1ALPHA};
    struct kit kit;
    struct talk talk;
    kit_open(&kit, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        talk_open(&talk, kit.port, methods[i], NULL);
        answer_message *answer = talk_field(&talk, 7, "*");
        CU_ASSERT_FATAL(answer != NULL && answer->list_services_response != NULL);
        CU_ASSERT_EQUAL(answer->list_services_response->n_service, 7);
        for (size_t s = 0; s < answer->list_services_response->n_service; s++)
            CU_ASSERT_STRING_NOT_EQUAL(file_of(answer->list_services_response->service[s]->name), "none");
        forget(answer);
        answer = talk_field(&talk, 4, "qdrant.Points");
        CU_ASSERT_FATAL(answer != NULL && answer->file_descriptor_response != NULL);
        CU_ASSERT_EQUAL(answer->file_descriptor_response->n_file_descriptor_proto, 4);
        CU_ASSERT_STRING_EQUAL(answer->original_request->file_containing_symbol, "qdrant.Points");
        forget(answer);
        answer = talk_field(&talk, 3, "nothing.proto");
        CU_ASSERT_FATAL(answer != NULL && answer->error_response != NULL);
        CU_ASSERT_EQUAL(answer->error_response->error_code, GRPC_STATUS_NOT_FOUND);
        forget(answer);
        answer = talk_field(&talk, 6, "qdrant.PointId");
        CU_ASSERT(answer != NULL && answer->all_extension_numbers_response != NULL);
        forget(answer);
        answer = talk_ask(&talk, "", 0);
        CU_ASSERT_FATAL(answer != NULL && answer->error_response != NULL);
        CU_ASSERT_EQUAL(answer->error_response->error_code, GRPC_STATUS_INVALID_ARGUMENT);
        forget(answer);
        CU_ASSERT_EQUAL(talk_close(&talk), GRPC_STATUS_OK);
    }
    talk_open(&talk, kit.port, V1, NULL);
    CU_ASSERT_PTR_NULL(talk_ask(&talk, "\x07\xff", 2));
    CU_ASSERT_EQUAL(talk_close(&talk), GRPC_STATUS_INVALID_ARGUMENT);
    kit_close(&kit);
}

static void needs_a_key(void)
{
    struct kit kit;
    struct talk talk;
    kit_open(&kit, "service.read_only_api_key", "secret");
    talk_open(&talk, kit.port, V1, NULL);
    CU_ASSERT_EQUAL(talk_close(&talk), GRPC_STATUS_UNAUTHENTICATED);
    talk_open(&talk, kit.port, V1, "secret");
    answer_message *answer = talk_field(&talk, 7, "*");
    CU_ASSERT(answer != NULL && answer->list_services_response != NULL);
    forget(answer);
    CU_ASSERT_EQUAL(talk_close(&talk), GRPC_STATUS_OK);
    kit_close(&kit);
}

/* A stream nobody closes does not hold up the stop: it is cut, where a call would be waited for. */
static void open_stream_at_the_stop(void)
{
    struct kit kit;
    struct talk talk;
    kit_open(&kit, NULL, NULL);
    talk_open(&talk, kit.port, V1, NULL);
    forget(talk_field(&talk, 7, "*"));
    uint64_t before = vex_io_monotonic_ns(vex_io_posix());
    kit_close(&kit);
    CU_ASSERT(vex_io_monotonic_ns(vex_io_posix()) - before <
              UINT64_C(9500000000)); /* calls are given ten seconds */
    CU_ASSERT_NOT_EQUAL(talk_close(&talk), GRPC_STATUS_OK);
}

int main(void)
{
    CU_TestInfo tests[] = {{"symbols", symbols},
                           {"files", files},
                           {"questions", questions},
                           {"needs a key", needs_a_key},
                           {"open stream at the stop", open_stream_at_the_stop},
                           CU_TEST_INFO_NULL};
    grpc_init();
    int failed = run_suite("gRPC reflection", tests);
    grpc_shutdown_blocking();
    return failed;
}
