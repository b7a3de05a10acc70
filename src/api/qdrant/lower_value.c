/* Lowering ids, payload values and paths. */
#include "api/qdrant/qdrant.h"

#include <stdlib.h>

#include "base/text.h"

char vex_raw_key[] = "raw";

/* All map entries of string and Value have this shape. */
struct entry {
    ProtobufCMessage base;
    char *key;
    Qdrant__Value *value;
};

_Static_assert(sizeof(struct entry) == sizeof(Qdrant__PointStruct__PayloadEntry),
               "payload entries are alike");
_Static_assert(sizeof(struct entry) == sizeof(Qdrant__Struct__FieldsEntry), "struct entries are alike");

Qdrant__Value *vex_raw_value_new(struct vex_arena *arena, struct vex_value value)
{
    struct vex_raw_value *raw = VEX_ARENA_NEW(arena, struct vex_raw_value);

    qdrant__value__init(&raw->message);
    raw->message.kind_case = (Qdrant__Value__KindCase)VEX_RAW_KIND;
    raw->value = value;
    return &raw->message;
}

int vex_lower_id(struct vex_call *call, const Qdrant__PointId *in, struct vex_id *ret)
{
    if (in == NULL)
        return vex_qdrant_malformed(call, "Empty ID is not allowed");
    switch (in->point_id_options_case) {
    case QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM:
        *ret = vex_id_num(in->num);
        return 0;
    case QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID:
        if (vex_id_from_uuid_text(vex_str_c(in->uuid), ret))
            return 0;
        return vex_qdrant_malformed(call, "Unable to parse UUID: %.200s", in->uuid);
    default:
        return vex_qdrant_malformed(call, "No ID options provided");
    }
}

int vex_lower_ids(struct vex_call *call, Qdrant__PointId *const *in, size_t count, struct vex_id **ret)
{
    struct vex_id *ids = vex_arena_try(&call->arena, (count + 1) * sizeof *ids);

    if (ids == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many ids in one request");
    for (size_t i = 0; i < count; i++) {
        int code = vex_lower_id(call, in[i], &ids[i]);

        if (code < 0)
            return code;
    }
    *ret = ids;
    return 0;
}

int vex_lower_path(struct vex_call *call, const char *text, struct vex_path *ret)
{
    struct vex_str path = vex_str_c(text != NULL ? text : "");

    if (vex_path_parse(&call->arena, path, ret, &call->err) == 0)
        return 0;
    return vex_qdrant_malformed(call, "Invalid json path: '%.*s'", VEX_STR_ARG(path));
}

static int put_map(struct vex_call *call, struct vex_buf *out, void *const *entries, size_t count,
                   unsigned depth);

static int put_value(struct vex_call *call, struct vex_buf *out, const Qdrant__Value *v, unsigned depth)
{
    if (depth >= VEX_VALUE_DEPTH_MAX)
        return vex_qdrant_malformed(call, "payload is nested deeper than %d levels", VEX_VALUE_DEPTH_MAX);
    if (v == NULL) {
        vex_value_put_null(out);
        return 0;
    }
    if (vex_is_raw(v)) {
        vex_value_put(out, vex_raw_of(v));
        return 0;
    }
    switch (v->kind_case) {
    case QDRANT__VALUE__KIND_DOUBLE_VALUE:
        vex_value_put_double(out, v->double_value);
        return 0;
    case QDRANT__VALUE__KIND_INTEGER_VALUE:
        vex_value_put_int(out, v->integer_value);
        return 0;
    case QDRANT__VALUE__KIND_STRING_VALUE:
        vex_value_put_text(out, vex_str_c(v->string_value));
        return 0;
    case QDRANT__VALUE__KIND_BOOL_VALUE:
        vex_value_put_bool(out, v->bool_value);
        return 0;
    case QDRANT__VALUE__KIND_STRUCT_VALUE:
        return put_map(call, out, (void *const *)v->struct_value->fields, v->struct_value->n_fields,
                       depth + 1);
    case QDRANT__VALUE__KIND_LIST_VALUE:
        vex_value_put_array(out, v->list_value->n_values);
        for (size_t i = 0; i < v->list_value->n_values; i++) {
            int code = put_value(call, out, v->list_value->values[i], depth + 1);

            if (code < 0)
                return code;
        }
        return 0;
    default: /* null, and a value of which nothing is set */
        vex_value_put_null(out);
        return 0;
    }
}

static const char *key_of(void *entry)
{
    const struct entry *e = entry;

    return e->key != NULL ? e->key : "";
}

struct order {
    const char *key;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    int c = strcmp(x->key, y->key);

    return c != 0 ? c : x->at < y->at ? -1 : 1;
}

#define QUADRATIC_MAX 16

/* Marks the entries that a later one of the same key replaces; the number that stay. NULL: none is replaced.
 */
static size_t find_replaced(struct vex_call *call, void *const *entries, size_t count, bool **ret)
{
    size_t stay = count;

    *ret = NULL;
    if (count <= QUADRATIC_MAX) {
        for (size_t i = 0; i < count; i++)
            for (size_t j = i + 1; j < count; j++)
                if (strcmp(key_of(entries[i]), key_of(entries[j])) == 0) {
                    if (*ret == NULL)
                        *ret = VEX_ARENA_ARRAY(&call->arena, bool, count);
                    (*ret)[i] = true;
                    stay--;
                    break;
                }
        return stay;
    }
    struct order *order = VEX_ARENA_ARRAY(&call->arena, struct order, count);

    for (size_t i = 0; i < count; i++)
        order[i] = (struct order){key_of(entries[i]), i};
    qsort(order, count, sizeof *order, by_key);
    for (size_t i = 0; i + 1 < count; i++) {
        if (strcmp(order[i].key, order[i + 1].key) != 0)
            continue;
        if (*ret == NULL)
            *ret = VEX_ARENA_ARRAY(&call->arena, bool, count);
        (*ret)[order[i].at] = true;
        stay--;
    }
    return stay;
}

static int put_map(struct vex_call *call, struct vex_buf *out, void *const *entries, size_t count,
                   unsigned depth)
{
    bool *replaced;
    size_t stay;

    if (depth >= VEX_VALUE_DEPTH_MAX)
        return vex_qdrant_malformed(call, "payload is nested deeper than %d levels", VEX_VALUE_DEPTH_MAX);
    stay = find_replaced(call, entries, count, &replaced);
    vex_value_put_map(out, stay);
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = entries[i];
        int code;

        if (replaced != NULL && replaced[i])
            continue;
        vex_value_put_text(out, vex_str_c(key_of(entries[i])));
        code = put_value(call, out, e->value, depth);
        if (code < 0)
            return code;
    }
    return 0;
}

int vex_lower_payload(struct vex_call *call, void *const *entries, size_t count, struct vex_str *ret)
{
    struct vex_buf out;
    int code;

    if (count == 1 && ((const struct entry *)entries[0])->key == vex_raw_key) {
        struct vex_value raw = vex_raw_of(((const struct entry *)entries[0])->value);

        *ret = vex_str((const char *)raw.at, vex_value_size(raw));
        return 0;
    }
    vex_buf_init(&out, &call->arena);
    code = put_map(call, &out, entries, count, 1);
    if (code < 0)
        return code;
    if (out.len > VEX_PAYLOAD_MAX)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "payload of a point is larger than %u bytes",
                           VEX_PAYLOAD_MAX);
    *ret = vex_buf_str(&out);
    return 0;
}
