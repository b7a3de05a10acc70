/* The table of methods, and the way of a request from bytes to its handler.
 *
 * Invariant Every request passes the rules before its handler or cost function sees it, whatever the
 *           transport: run and cost are the same functions for all rows, and look the row's own up by
 *           its index. Reads always have a cost, and the service asks for it before it runs them. */
#include "api/qdrant/qdrant.h"

#include <stdlib.h>
#include <string.h>

#include "api/qdrant/rules.h"

#define vex_qdrant_cost_none NULL

typedef int handler_fn(struct vex_service *service, struct vex_call *call);
typedef uint64_t cost_fn(struct vex_service *service, struct vex_call *call);

static int run(struct vex_service *service, struct vex_call *call);
static uint64_t cost(struct vex_service *service, struct vex_call *call);

#define COST_OF_INLINE   NULL
#define COST_OF_SUBMIT   NULL
#define COST_OF_BLOCKING NULL
#define COST_OF_READ     cost
#define ROW(service_name, method_name, req, resp, run_mode, access_needed, is_built)                         \
    {.operation = {.name = service_name "/" method_name,                                                     \
                   .mode = VEX_RUN_##run_mode,                                                               \
                   .access = VEX_ACCESS_##access_needed,                                                     \
                   .run = run,                                                                               \
                   .cost = COST_OF_##run_mode},                                                              \
     .path = "/" service_name "/" method_name,                                                               \
     .service = service_name,                                                                                \
     .method = method_name,                                                                                  \
     .request = &req##__descriptor,                                                                          \
     .response = &resp##__descriptor,                                                                        \
     .built = is_built},

const struct vex_rpc vex_rpcs[] = {
#define VEX_RPC(service, method, req, resp, mode, access, handler, cost)                                     \
    ROW(service, method, req, resp, mode, access, true)
#define VEX_RPC_UNBUILT(service, method, req, resp, access)                                                  \
    ROW(service, method, req, resp, INLINE, access, false)
#include "api/qdrant/rpc.def"
#undef VEX_RPC
};

const uint32_t vex_rpc_count = sizeof vex_rpcs / sizeof *vex_rpcs;

static handler_fn *const handlers[] = {
#define VEX_RPC(service_name, method_name, req, resp, mode, access, handler, cost) vex_qdrant_##handler,
#include "api/qdrant/rpc.def"
#undef VEX_RPC
};

static cost_fn *const costs[] = {
#define VEX_RPC(service_name, method_name, req, resp, mode, access, handler, cost_name)                      \
    vex_qdrant_cost_##cost_name,
#include "api/qdrant/rpc.def"
#undef VEX_RPC
};

static const struct vex_rpc *rpc_of(const struct vex_call *call)
{
    return (const struct vex_rpc *)(const void *)call->operation; /* the operation is a row's first member */
}

_Static_assert(offsetof(struct vex_rpc, operation) == 0, "rows begin with their operation");

const struct vex_rpc *vex_rpc_find(const char *service, const char *method)
{
    for (uint32_t i = 0; i < vex_rpc_count; i++)
        if (strcmp(vex_rpcs[i].method, method) == 0 && strcmp(vex_rpcs[i].service, service) == 0)
            return &vex_rpcs[i];
    return NULL;
}

static void set_time(struct vex_call *call)
{
    ProtobufCMessage *response = call->response;
    const ProtobufCFieldDescriptor *field;

    field = protobuf_c_message_descriptor_get_field_by_name(response->descriptor, "time");
    if (field == NULL || field->type != PROTOBUF_C_TYPE_DOUBLE)
        return;
    *(protobuf_c_boolean *)(void *)((char *)response + field->quantifier_offset) = 1;
    *(double *)(void *)((char *)response + field->offset) = vex_call_seconds(call);
}

static int check_rules(struct vex_call *call, const struct vex_rpc *rpc)
{
    return vex_rules_check(rpc, call->request, call->dialect == VEX_DIALECT_QDRANT_REST, &call->err);
}

/* The first step of a read: what it finds wrong is kept in call->code for the second. */
static uint64_t cost(struct vex_service *service, struct vex_call *call)
{
    const struct vex_rpc *rpc = rpc_of(call);

    call->code = check_rules(call, rpc);
    return call->code < 0 ? 0 : costs[rpc - vex_rpcs](service, call);
}

static int run(struct vex_service *service, struct vex_call *call)
{
    const struct vex_rpc *rpc = rpc_of(call);
    int code = rpc->operation.cost != NULL ? call->code : check_rules(call, rpc);

    if (code == 0)
        code = handlers[rpc - vex_rpcs](service, call);
    if (code == 0)
        set_time(call);
    return code;
}

void vex_rpc_finish(struct vex_call *call, int code)
{
    if (code == 0)
        set_time(call);
    vex_call_finish(call, code);
}

ProtobufCMessage *vex_rpc_message(struct vex_arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = vex_arena_alloc(arena, type->sizeof_message);

    protobuf_c_message_init(type, message);
    return message;
}

#define UNPACK_BASE   (16u << 20)
#define UNPACK_FACTOR 24

static void *arena_alloc(void *arena, size_t size)
{
    return vex_arena_try(arena, size);
}

static void arena_free(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

void vex_rpc_prepare(struct vex_call *call, const struct vex_rpc *rpc, ProtobufCMessage *request)
{
    call->operation = &rpc->operation;
    call->request = request;
    call->response = vex_rpc_message(&call->arena, rpc->response);
}

ProtobufCMessage *vex_rpc_unpack(struct vex_arena *arena, const ProtobufCMessageDescriptor *type,
                                 struct vex_str bytes)
{
    ProtobufCAllocator allocator = {arena_alloc, arena_free, arena};

    return protobuf_c_message_unpack(type, &allocator, bytes.len, (const uint8_t *)bytes.ptr);
}

/* Two bytes of a request can become a message of a hundred in memory: unpacking may use so much and no more.
 */
static ProtobufCMessage *unpack_bounded(struct vex_call *call, const ProtobufCMessageDescriptor *type,
                                        struct vex_str bytes)
{
    size_t limit = call->arena.limit;
    ProtobufCMessage *message;

    call->arena.limit = call->arena.held + UNPACK_BASE + UNPACK_FACTOR * bytes.len;
    if (limit != 0 && limit < call->arena.limit)
        call->arena.limit = limit;
    message = vex_rpc_unpack(&call->arena, type, bytes);
    call->arena.limit = limit;
    return message;
}

int vex_rpc_decode(struct vex_call *call, const struct vex_rpc *rpc, const void *bytes, size_t len)
{
    ProtobufCMessage *request;
    int code = vex_rpc_guard(rpc->request, bytes, len, &call->err);

    if (code < 0)
        return code;
    request = unpack_bounded(call, rpc->request, vex_str(bytes, len));
    /* The guard has read every byte: what is left to fail is memory. */
    if (request == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "the request needs more memory than one call may use");
    vex_rpc_prepare(call, rpc, request);
    return 0;
}

uint32_t vex_rpc_retry_after(const struct vex_call *call)
{
    const struct vex_qdrant_state *state = call->state;

    return call->code == VEX_ERATE_LIMIT && state != NULL ? state->retry_after : 0;
}

struct vex_str vex_rpc_error_text(struct vex_call *call)
{
    const char *prefix = vex_err_class(call->err.code)->prefix;
    struct vex_buf out;

    vex_buf_init(&out, &call->arena);
    /* A malformed message has no body to speak of: over gRPC the text stands alone. */
    if (call->err.code != VEX_EFORMAT || call->dialect == VEX_DIALECT_QDRANT_REST)
        vex_buf_add_str(&out, vex_str_c(prefix));
    vex_buf_add_str(&out, vex_str_c(call->err.text));
    return vex_buf_str(&out);
}

int vex_qdrant_malformed(struct vex_call *call, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vex_err_setv(&call->err, VEX_EFORMAT, fmt, ap);
    va_end(ap);
    if (call->dialect == VEX_DIALECT_QDRANT_REST)
        vex_err_wrap(&call->err, "JSON body");
    return VEX_EFORMAT;
}

int vex_qdrant_unbuilt_part(struct vex_call *call, const char *what)
{
    return vex_err_set(&call->err, VEX_EUNIMPLEMENTED, "%s: not supported by this version of the server",
                       what);
}

int vex_qdrant_unbuilt(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_qdrant_unbuilt_part(call, call->operation->name);
}

int vex_qdrant_find(struct vex_call *call, const char *name, struct vex_collection **ret)
{
    return vex_engine_find(call->service->engine, vex_str_c(name), true, ret, &call->err);
}
