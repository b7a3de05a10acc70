/* Qdrant's REST dialect, requests: path and query parameters and the body become the request message of an
 * rpc. */
#include <ctype.h>

#include "rest/qdrant.h"

#include "api/qdrant/qdrant.h"
#include "base/text.h"
#include "rest/jsonpb.h"

static char bad_query_mark;

bool vex_qdrant_bad_query(const struct vex_rest_request *request)
{
    return request->call.state == &bad_query_mark;
}

static int bad_query(struct vex_rest_request *request, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static int bad_query(struct vex_rest_request *request, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vex_err_setv(&request->call.err, VEX_EFORMAT, fmt, ap);
    va_end(ap);
    request->call.state = &bad_query_mark;
    return VEX_EFORMAT;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessage *message, const char *name)
{
    return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
}

static void *field_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->offset;
}

/* Marks a scalar as given and returns its place. */
static void *give(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    *(protobuf_c_boolean *)(void *)((char *)message + field->quantifier_offset) = 1;
    return field_at(message, field);
}

/* ---- path parameters ---- */

static int read_point_id(struct vex_rest_request *request, struct vex_str text, Qdrant__GetPoints *ret)
{
    struct vex_arena *arena = &request->call.arena;
    Qdrant__PointId *id = (Qdrant__PointId *)(void *)vex_rpc_message(arena, &qdrant__point_id__descriptor);
    uint8_t uuid[16];
    char hyphenated[VEX_UUID_TEXT];

    if (vex_str_to_u64(text, &id->num)) {
        id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
    } else if (vex_uuid_parse(text, uuid)) {
        vex_uuid_text(uuid, hyphenated);
        id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID;
        id->uuid = vex_arena_strndup(arena, hyphenated, sizeof hyphenated);
    } else {
        return vex_err_set(&request->call.err, VEX_EBAD_INPUT,
                           "Can not recognize \"" VEX_STR_FMT "\" as point id", VEX_STR_ARG(text));
    }
    ret->ids = VEX_ARENA_ARRAY(arena, Qdrant__PointId *, 1);
    ret->ids[0] = id;
    ret->n_ids = 1;
    /* One point alone is shown with all it has. */
    ret->with_payload =
        VEX_MESSAGE(&request->call, Qdrant__WithPayloadSelector, qdrant__with_payload_selector__descriptor);
    ret->with_payload->selector_options_case = QDRANT__WITH_PAYLOAD_SELECTOR__SELECTOR_OPTIONS_ENABLE;
    ret->with_payload->enable = true;
    ret->with_vectors =
        VEX_MESSAGE(&request->call, Qdrant__WithVectorsSelector, qdrant__with_vectors_selector__descriptor);
    ret->with_vectors->selector_options_case = QDRANT__WITH_VECTORS_SELECTOR__SELECTOR_OPTIONS_ENABLE;
    ret->with_vectors->enable = true;
    return 0;
}

static int read_path_parameter(struct vex_rest_request *request, ProtobufCMessage *message,
                               struct vex_str name, struct vex_str value)
{
    char *field_name = vex_arena_strndup(&request->call.arena, name.ptr, name.len);
    const ProtobufCFieldDescriptor *field = find_field(message, field_name);

    if (message->descriptor == &qdrant__get_points__descriptor && vex_str_eq_c(name, "id"))
        return read_point_id(request, value, (Qdrant__GetPoints *)(void *)message);
    if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL)
        return vex_err_set(&request->call.err, VEX_EVALIDATION,
                           "path parameters: [%s: name cannot contain \"\\0\" char]", field_name);
    if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING)
        *(char **)field_at(message, field) = vex_arena_strndup(&request->call.arena, value.ptr, value.len);
    return 0;
}

/* Parameters fill the fields of their names. */
static int read_path(struct vex_rest_request *request, ProtobufCMessage *message)
{
    const char *at = request->route->template;
    int code = 0;

    for (unsigned i = 0; code == 0 && i < VEX_ROUTE_PARAMS_MAX && (at = strchr(at, '{')) != NULL; i++) {
        size_t len = strcspn(++at, "}");

        code = read_path_parameter(request, message, vex_str(at, len), request->params[i]);
    }
    return code;
}

/* ---- query parameters ---- */

typedef int query_fn(struct vex_rest_request *request, ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field, struct vex_str value);

static int read_bool(struct vex_rest_request *request, ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field, struct vex_str value)
{
    bool yes = vex_str_eq_c(value, "true");

    if (!yes && !vex_str_eq_c(value, "false"))
        return bad_query(request, "provided string was not `true` or `false`");
    *(protobuf_c_boolean *)give(message, field) = yes;
    return 0;
}

static int read_number(struct vex_rest_request *request, struct vex_str value, uint64_t *ret)
{
    if (value.len == 0)
        return bad_query(request, "cannot parse integer from empty string");
    for (size_t i = 0; i < value.len; i++)
        if (!isdigit((unsigned char)value.ptr[i]))
            return bad_query(request, "invalid digit found in string");
    while (value.len > 1 && *value.ptr == '0')
        value = vex_str(value.ptr + 1, value.len - 1);
    return vex_str_to_u64(value, ret) ? 0 : bad_query(request, "number too large to fit in target type");
}

static int read_timeout(struct vex_rest_request *request, ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, struct vex_str value)
{
    uint64_t seconds;
    int code = read_number(request, value, &seconds);

    if (code < 0)
        return code;
    if (seconds == 0)
        return vex_err_set(&request->call.err, VEX_EVALIDATION,
                           "query parameters: [timeout: value 0 invalid, must be 1 or larger]");
    *(uint64_t *)give(message, field) = seconds;
    return 0;
}

static int read_ordering(struct vex_rest_request *request, ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field, struct vex_str value)
{
    static const char *const names[] = {"weak", "medium", "strong"};
    Qdrant__WriteOrdering *ordering;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (!vex_str_eq_c(value, names[i]))
            continue;
        ordering = VEX_MESSAGE(&request->call, Qdrant__WriteOrdering, qdrant__write_ordering__descriptor);
        ordering->has_type = true;
        ordering->type = (Qdrant__WriteOrderingType)i;
        *(Qdrant__WriteOrdering **)field_at(message, field) = ordering;
        return 0;
    }
    return bad_query(request, "unknown variant `" VEX_STR_FMT "`, expected one of `weak`, `medium`, `strong`",
                     VEX_STR_ARG(value));
}

static int read_consistency(struct vex_rest_request *request, ProtobufCMessage *message,
                            const ProtobufCFieldDescriptor *field, struct vex_str value)
{
    static const char *const names[] = {"all", "majority", "quorum"};
    Qdrant__ReadConsistency *out =
        VEX_MESSAGE(&request->call, Qdrant__ReadConsistency, qdrant__read_consistency__descriptor);

    *(Qdrant__ReadConsistency **)field_at(message, field) = out;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (vex_str_eq_c(value, names[i])) {
            out->value_case = QDRANT__READ_CONSISTENCY__VALUE_TYPE;
            out->type = (Qdrant__ReadConsistencyType)i;
            return 0;
        }
    if (!vex_str_to_u64(value, &out->factor))
        return bad_query(request,
                         "failed to parse read consistency `" VEX_STR_FMT
                         "`: expected one of `all`, `majority`, `quorum`, or a number",
                         VEX_STR_ARG(value));
    if (out->factor == 0)
        return bad_query(request, "read consistency factor can't be zero");
    out->value_case = QDRANT__READ_CONSISTENCY__VALUE_FACTOR;
    return 0;
}

static const struct {
    const char *name, *field;
    query_fn *read;
} query_parameters[] = {
    {"wait", "wait", read_bool},
    {"timeout", "timeout", read_timeout},
    {"ordering", "ordering", read_ordering},
    {"consistency", "read_consistency", read_consistency},
};

static int read_query(struct vex_rest_request *request, ProtobufCMessage *message)
{
    int code = 0;

    if (request->query_bad)
        return bad_query(request, "invalid percent-encoding");
    for (size_t i = 0; code == 0 && i < sizeof query_parameters / sizeof *query_parameters; i++) {
        const ProtobufCFieldDescriptor *field = find_field(message, query_parameters[i].field);
        struct vex_str value = vex_rest_query_get(request, query_parameters[i].name);

        if (field != NULL && value.ptr != NULL)
            code = query_parameters[i].read(request, message, field, value);
    }
    return code;
}

/* ---- the body ---- */

static bool has_any(struct vex_json body, struct vex_str alternatives)
{
    while (alternatives.len > 0) {
        const char *bar = memchr(alternatives.ptr, '|', alternatives.len);
        size_t len = bar != NULL ? (size_t)(bar - alternatives.ptr) : alternatives.len,
               used = len + (bar != NULL);
        char key[32];
        struct vex_json value;

        if (len < sizeof key) {
            memcpy(key, alternatives.ptr, len);
            key[len] = '\0';
            if (vex_json_get(body, key, &value))
                return true;
        }
        alternatives = vex_str(alternatives.ptr + used, alternatives.len - used);
    }
    return false;
}

static int check_required(struct vex_rest_request *request, struct vex_json body, const char *keys)
{
    while (*keys != '\0') {
        size_t len = strcspn(keys, " ");

        if (!has_any(body, vex_str(keys, len)))
            return vex_err_set(&request->call.err, VEX_EFORMAT, "missing field `%.*s`",
                               (int)strcspn(keys, "| "), keys);
        keys += len + (keys[len] == ' ');
    }
    return 0;
}

/* Requests inside a batch are on the collection of the batch. */
static void name_inner(ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *name = find_field(message, "collection_name"), *inner;

    if (name == NULL)
        return;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *list = &message->descriptor->fields[i];

        if (list->label != PROTOBUF_C_LABEL_REPEATED || list->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        inner = protobuf_c_message_descriptor_get_field_by_name(list->descriptor, "collection_name");
        if (inner == NULL)
            continue;
        size_t count = *(size_t *)(void *)((char *)message + list->quantifier_offset);
        ProtobufCMessage **items = *(ProtobufCMessage ***)field_at(message, list);
        for (size_t k = 0; k < count; k++)
            *(char **)field_at(items[k], inner) = *(char **)field_at(message, name);
    }
}

static int read_json(struct vex_rest_request *request, const struct vex_qdrant_route *route,
                     ProtobufCMessage *message)
{
    struct vex_call *call = &request->call;
    ProtobufCMessage *target = message;
    struct vex_json body;
    int code = vex_json_parse(request->parser, request->body.ptr != NULL ? request->body.ptr : "",
                              request->body.len, &body, &call->err);

    if (code < 0)
        return code;
    if (route->body == VEX_QDRANT_BODY_REQUEST) {
        const ProtobufCFieldDescriptor *field = find_field(message, "request");

        target = vex_rpc_message(&call->arena, field->descriptor);
        *(ProtobufCMessage **)field_at(message, field) = target;
    }
    code = vex_jsonpb_read(&call->arena, body, target, &call->err);
    if (code == 0)
        code = check_required(request, body, route->required);
    return code;
}

static int read_body(struct vex_rest_request *request, const struct vex_qdrant_route *route,
                     ProtobufCMessage *message)
{
    int code = read_json(request, route, message);

    if (code == VEX_EFORMAT)
        return vex_err_wrap(&request->call.err, "JSON body");
    if (code == 0)
        name_inner(message);
    return code;
}

int vex_qdrant_decode(struct vex_rest_request *request)
{
    const struct vex_qdrant_route *route = request->route->detail;
    const struct vex_rpc *rpc;
    ProtobufCMessage *message;
    int code;

    if (route->local != NULL) {
        request->call.operation = route->local;
        return 0;
    }
    rpc = vex_rpc_find(route->service, route->rpc);
    if (rpc == NULL)
        return vex_err_set(&request->call.err, VEX_EINTERNAL, "no method %s/%s", route->service, route->rpc);
    message = vex_rpc_message(&request->call.arena, rpc->request);
    if ((code = read_path(request, message)) < 0 || (code = read_query(request, message)) < 0)
        return code;
    if (route->body != VEX_QDRANT_BODY_NONE && (code = read_body(request, route, message)) < 0)
        return code;
    vex_rpc_prepare(&request->call, rpc, message);
    return 0;
}
