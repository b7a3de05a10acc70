/* Payload values from and to JSON: one walk each way, no tree between.
 *
 * Lock  None. Recursion is bounded by VEX_VALUE_DEPTH_MAX. */
#include "engine/point/value_json.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/point/cbor.h"

static int put_json(struct vex_buf *out, struct vex_json v, unsigned depth, struct vex_err *err);

struct member {
    struct vex_str key;
    struct vex_json value;
    size_t place; /* in the order given */
    bool dropped;
};

static int by_key_then_place(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = vex_str_cmp(x->key, y->key);

    return order != 0 ? order : x->place < y->place ? -1 : x->place > y->place;
}

static int by_place(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    return x->place < y->place ? -1 : x->place > y->place;
}

/* Drops all but one member of each key: the place of the first with the value of the last. Returns how many
 * stay. */
static size_t drop_duplicates(struct member *members, size_t count)
{
    size_t kept = count, first = 0;

    if (count < 2)
        return count;
    qsort(members, count, sizeof *members, by_key_then_place);
    for (size_t i = 1; i < count; i++) {
        if (!vex_str_eq(members[i].key, members[first].key)) {
            first = i;
            continue;
        }
        members[first].value = members[i].value;
        members[i].dropped = true;
        kept--;
    }
    qsort(members, count, sizeof *members, by_place);
    return kept;
}

static int put_members(struct vex_buf *out, struct member *members, size_t count, unsigned depth,
                       struct vex_err *err)
{
    vex_value_put_map(out, drop_duplicates(members, count));
    for (size_t i = 0; i < count; i++) {
        int rc;
        if (members[i].dropped)
            continue;
        vex_value_put_text(out, members[i].key);
        rc = put_json(out, members[i].value, depth, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

#define FEW 12 /* members that fit on the stack: 128 levels of them still do */

static int put_object(struct vex_buf *out, struct vex_json v, unsigned depth, struct vex_err *err)
{
    size_t count = vex_json_count(v), n = 0;
    struct member few[FEW], *members = few;
    struct vex_json_iter it;
    int rc;

    if (count > FEW) {
        members = vex_mem_try(count * sizeof *members);
        if (members == NULL)
            return vex_err_set(err, VEX_ENO_MEMORY, "out of memory for an object of %zu members", count);
    }
    for (it = vex_json_iter(v); n < count && vex_json_next(&it); n++)
        members[n] = (struct member){it.key, it.value, n, false};
    rc = put_members(out, members, n, depth, err);
    if (members != few)
        vex_mem_free(members);
    return rc;
}

static int put_array(struct vex_buf *out, struct vex_json v, unsigned depth, struct vex_err *err)
{
    struct vex_json_iter it;

    vex_value_put_array(out, vex_json_count(v));
    for (it = vex_json_iter(v); vex_json_next(&it);) {
        int rc = put_json(out, it.value, depth, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* depth: containers already around v. */
static int put_json(struct vex_buf *out, struct vex_json v, unsigned depth, struct vex_err *err)
{
    enum vex_json_kind kind = vex_json_kind(v);
    double d;

    switch (kind) {
    case VEX_JSON_NULL:
        vex_value_put_null(out);
        return 0;
    case VEX_JSON_BOOL:
        vex_value_put_bool(out, vex_json_bool(v));
        return 0;
    case VEX_JSON_INT:
        vex_value_put_int(out, vex_json_int(v));
        return 0;
    case VEX_JSON_UINT:
        vex_value_put_uint(out, vex_json_uint(v));
        return 0;
    case VEX_JSON_DOUBLE:
        d = vex_json_double(v);
        if (!isfinite(d))
            return vex_err_set(err, VEX_EFORMAT, "number out of range");
        vex_value_put_double(out, d);
        return 0;
    case VEX_JSON_STRING:
        vex_value_put_text(out, vex_json_str(v));
        return 0;
    case VEX_JSON_ARRAY:
    case VEX_JSON_OBJECT:
        break;
    }
    if (depth == VEX_VALUE_DEPTH_MAX)
        return vex_err_set(err, VEX_EFORMAT, "recursion limit exceeded");
    return kind == VEX_JSON_ARRAY ? put_array(out, v, depth + 1, err) : put_object(out, v, depth + 1, err);
}

int vex_value_from_json(struct vex_buf *out, struct vex_json v, struct vex_err *err)
{
    size_t before = out->len;
    int rc = put_json(out, v, 0, err);

    if (rc != 0)
        out->len = before;
    return rc;
}

/* Writes the value at `at`; returns the byte after it. */
static const uint8_t *write_at(struct vex_jw *w, const uint8_t *at);

static const uint8_t *write_map(struct vex_jw *w, const uint8_t *at, uint64_t count)
{
    vex_jw_object(w);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *text;
        uint64_t len = cbor_arg(at, &text);

        vex_jw_key(w, vex_str((const char *)text, (size_t)len));
        at = write_at(w, text + len);
    }
    vex_jw_object_end(w);
    return at;
}

static const uint8_t *write_array(struct vex_jw *w, const uint8_t *at, uint64_t count)
{
    vex_jw_array(w);
    for (uint64_t i = 0; i < count; i++)
        at = write_at(w, at);
    vex_jw_array_end(w);
    return at;
}

static void write_simple(struct vex_jw *w, uint8_t initial, uint64_t arg)
{
    double d;

    if (initial == CBOR_DOUBLE) {
        memcpy(&d, &arg, sizeof d);
        vex_jw_f64(w, d);
    } else if (initial == CBOR_NULL) {
        vex_jw_null(w);
    } else {
        vex_jw_bool(w, initial == CBOR_TRUE);
    }
}

static const uint8_t *write_at(struct vex_jw *w, const uint8_t *at)
{
    uint8_t initial = at[0];
    uint64_t arg = cbor_arg(at, &at);

    switch (initial >> 5) {
    case CBOR_UINT:
        vex_jw_u64(w, arg);
        return at;
    case CBOR_NEGATIVE:
        vex_jw_i64(w, -1 - (int64_t)arg);
        return at;
    case CBOR_TEXT:
        vex_jw_str(w, vex_str((const char *)at, (size_t)arg));
        return at + arg;
    case CBOR_ARRAY:
        return write_array(w, at, arg);
    case CBOR_MAP:
        return write_map(w, at, arg);
    default:
        write_simple(w, initial, arg);
        return at;
    }
}

void vex_value_to_json(struct vex_jw *w, struct vex_value v)
{
    write_at(w, v.at);
}
