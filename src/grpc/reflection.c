/* Server reflection: a stream that answers one question after the other.
 *
 * Role      Reads a message, sends its answer, reads the next; ends when the client half-closes. v1 and
 * v1alpha have equal bytes. Owner     The stream owns its call and is freed when its last batch came back; of
 * the queue's thread alone. */
#include "grpc/reflection.h"

#include "base/mem.h"
#include "reflection.pb-c.h"

#define QUESTION_MAX 65536 /* bytes of a question */

struct stream {
    struct tag read, sent, ended, closed;
    struct queue *queue;
    grpc_call *core;
    grpc_byte_buffer *question, *answer;
    struct vex_arena arena; /* of one question */
    struct vex_err err;
    grpc_slice text;
    unsigned batches;
    int cancelled;
};

static const char *const services[] = {"qdrant.Collections",
                                       "qdrant.Points",
                                       "qdrant.Snapshots",
                                       "qdrant.Qdrant",
                                       "grpc.health.v1.Health",
                                       "grpc.reflection.v1.ServerReflection",
                                       "grpc.reflection.v1alpha.ServerReflection"};
#define SERVICES (sizeof services / sizeof *services)

bool vex_grpc_reflection_takes(struct vex_str path)
{
    return vex_str_eq_c(path, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo") ||
           vex_str_eq_c(path, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
}

/* ---- answers ---- */

typedef Grpc__Reflection__V1__ServerReflectionRequest question_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse answer_message;

static void *message_new(struct vex_arena *arena, const ProtobufCMessageDescriptor *type)
{
    return vex_rpc_message(arena, type);
}

static void refuse_question(struct vex_arena *arena, answer_message *answer, grpc_status_code code,
                            char *text)
{
    Grpc__Reflection__V1__ErrorResponse *error =
        message_new(arena, &grpc__reflection__v1__error_response__descriptor);
    error->has_error_code = 1;
    error->error_code = (int32_t)code;
    error->error_message = text;
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    answer->error_response = error;
}

static void list_services(struct vex_arena *arena, answer_message *answer)
{
    Grpc__Reflection__V1__ListServiceResponse *list =
        message_new(arena, &grpc__reflection__v1__list_service_response__descriptor);
    list->service = VEX_ARENA_ARRAY(arena, Grpc__Reflection__V1__ServiceResponse *, SERVICES);
    for (list->n_service = 0; list->n_service < SERVICES; list->n_service++) {
        list->service[list->n_service] =
            message_new(arena, &grpc__reflection__v1__service_response__descriptor);
        list->service[list->n_service]->name = (char *)services[list->n_service];
    }
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    answer->list_services_response = list;
}

/* The file and everything it imports, imports last: clients want the file they asked for first. */
static void give_file(struct vex_arena *arena, answer_message *answer, const struct vex_schema_file *file)
{
    uint32_t count;
    const struct vex_schema_file *files = vex_schema_files(&count);
    Grpc__Reflection__V1__FileDescriptorResponse *list =
        message_new(arena, &grpc__reflection__v1__file_descriptor_response__descriptor);
    list->file_descriptor_proto = VEX_ARENA_ARRAY(arena, ProtobufCBinaryData, count);
    for (uint32_t i = count; i-- > 0;)
        if (file->closure >> i & 1)
            list->file_descriptor_proto[list->n_file_descriptor_proto++] =
                (ProtobufCBinaryData){.len = files[i].bytes.len, .data = (uint8_t *)files[i].bytes.ptr};
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    answer->file_descriptor_response = list;
}

static void give_found(struct vex_arena *arena, answer_message *answer, const struct vex_schema_file *file,
                       const char *what, const char *name)
{
    if (file != NULL)
        give_file(arena, answer, file);
    else
        refuse_question(arena, answer, GRPC_STATUS_NOT_FOUND,
                        vex_arena_printf(arena, "no %s named %.1000s", what, name));
}

/* The schema has no extensions: a known type has an empty list of them. */
static void give_extensions(struct vex_arena *arena, answer_message *answer, char *type)
{
    if (vex_schema_by_symbol(vex_str_c(type)) == NULL) {
        give_found(arena, answer, NULL, "type", type);
        return;
    }
    Grpc__Reflection__V1__ExtensionNumberResponse *list =
        message_new(arena, &grpc__reflection__v1__extension_number_response__descriptor);
    list->base_type_name = type;
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    answer->all_extension_numbers_response = list;
}

static answer_message *answer_to(struct vex_arena *arena, question_message *question)
{
    answer_message *answer =
        message_new(arena, &grpc__reflection__v1__server_reflection_response__descriptor);
    answer->valid_host = question->host;
    answer->original_request = question;
    switch (question->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        list_services(arena, answer);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        give_found(arena, answer, vex_schema_by_name(vex_str_c(question->file_by_filename)), "file",
                   question->file_by_filename);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        give_found(arena, answer, vex_schema_by_symbol(vex_str_c(question->file_containing_symbol)), "symbol",
                   question->file_containing_symbol);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        give_extensions(arena, answer, question->all_extension_numbers_of_type);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        refuse_question(arena, answer, GRPC_STATUS_NOT_FOUND, "the schema has no extensions");
        break;
    default:
        refuse_question(arena, answer, GRPC_STATUS_INVALID_ARGUMENT, "the request asks nothing");
        break;
    }
    return answer;
}

/* ---- the stream ---- */

static void stream_unref(struct stream *stream)
{
    if (--stream->batches != 0)
        return;
    counter_add(&stream->queue->streams, -1u);
    counter_add(&stream->queue->open, -1u);
    grpc_call_unref(stream->core);
    grpc_slice_unref(stream->text);
    vex_arena_done(&stream->arena);
    vex_mem_free(stream);
}

static void stream_read(struct stream *stream)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &stream->question;
    stream->batches++;
    vex_grpc_batch(stream->core, &op, 1, &stream->read);
}

/* Code 0: OK. */
static void stream_end(struct stream *stream, int code)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    if (code != 0) {
        stream->text = grpc_slice_from_copied_string(stream->err.text);
        op.data.send_status_from_server.status = (grpc_status_code)vex_err_class(code)->grpc_status;
        op.data.send_status_from_server.status_details = &stream->text;
    }
    stream->batches++;
    vex_grpc_batch(stream->core, &op, 1, &stream->ended);
}

static void on_ended(struct tag *tag, bool ok)
{
    (void)ok;
    stream_unref(VEX_CONTAINER_OF(tag, struct stream, ended));
}

static void on_closed(struct tag *tag, bool ok)
{
    (void)ok;
    stream_unref(VEX_CONTAINER_OF(tag, struct stream, closed));
}

static void on_sent(struct tag *tag, bool ok)
{
    struct stream *stream = VEX_CONTAINER_OF(tag, struct stream, sent);
    if (stream->answer != NULL)
        grpc_byte_buffer_destroy(stream->answer);
    stream->answer = NULL;
    vex_arena_reset(&stream->arena);
    if (ok)
        stream_read(stream);
    else
        stream_end(stream, 0); /* the client is gone: nobody sees it */
    stream_unref(stream);
}

/* Decodes the question and makes the answer. */
static int stream_answer(struct stream *stream)
{
    const ProtobufCMessageDescriptor *type = &grpc__reflection__v1__server_reflection_request__descriptor;
    struct vex_rpc rpc = {.request = type,
                          .response = &grpc__reflection__v1__server_reflection_response__descriptor};
    struct vex_call call = {.arena = stream->arena};
    struct message message;
    int code = vex_grpc_message_open(stream->question, QUESTION_MAX, &message, &stream->err);
    if (code != 0)
        return code;
    code = vex_rpc_decode(&call, &rpc, message.bytes, message.len);
    vex_grpc_message_close(&message);
    stream->arena = call.arena;
    if (code != 0)
        return vex_err_set(&stream->err, code, "%s", call.err.text);
    stream->answer = vex_grpc_message_pack(&answer_to(&stream->arena, call.request)->base);
    return stream->answer != NULL ? 0 : vex_err_set(&stream->err, VEX_ENO_MEMORY, "no memory for the answer");
}

static void on_read(struct tag *tag, bool ok)
{
    struct stream *stream = VEX_CONTAINER_OF(tag, struct stream, read);
    int code = 0;
    bool answered = false;
    if (ok && stream->question != NULL) {
        code = stream_answer(stream);
        answered = code == 0;
    }
    if (stream->question != NULL)
        grpc_byte_buffer_destroy(stream->question);
    stream->question = NULL;
    if (answered) {
        grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
        op.data.send_message.send_message = stream->answer;
        stream->batches++;
        vex_grpc_batch(stream->core, &op, 1, &stream->sent);
    } else {
        stream_end(stream, code);
    }
    stream_unref(stream);
}

void vex_grpc_reflection_start(struct queue *queue, grpc_call *core, const grpc_metadata_array *metadata)
{
    struct stream *stream = VEX_NEW(struct stream);
    struct vex_identity identity;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    stream->read.run = on_read;
    stream->sent.run = on_sent;
    stream->ended.run = on_ended;
    stream->closed.run = on_closed;
    stream->queue = queue;
    stream->core = core;
    stream->text = grpc_empty_slice();
    vex_arena_init(&stream->arena, 0);
    counter_add(&queue->open, 1);
    counter_add(&queue->streams, 1);
    int code = vex_service_authorise(queue->grpc->options.service, VEX_ACCESS_READ, vex_grpc_key(metadata),
                                     &identity, &stream->err);
    ops[1].data.recv_close_on_server.cancelled = &stream->cancelled;
    stream->batches = 1;
    vex_grpc_batch(core, ops, 2, &stream->closed);
    if (code != 0)
        stream_end(stream, code);
    else
        stream_read(stream);
}
