/* Payload values: the readers and writers of the CBOR subset.
 *
 * Lock       None: values are views, writers append to the caller's buffer.
 * Invariant  Only vex_value_check looks at lengths; all else trusts bytes that have passed it. */
#include "engine/point/value.h"

#include "base/text.h"
#include "engine/point/cbor.h"
#include "engine/point/value_keys.h"

/* Reads one head out of untrusted bytes; false when it is short, indefinite or not in its shortest form. */
static bool checked_head(const uint8_t **at, const uint8_t *end, unsigned *ret_initial, uint64_t *ret_arg)
{
    unsigned info, bytes;
    uint64_t arg;

    if (*at == end)
        return false;
    *ret_initial = **at;
    info = **at & 31;
    (*at)++;
    if (info < 24) {
        *ret_arg = info;
        return true;
    }
    if (info > 27)
        return false;
    bytes = 1u << (info - 24);
    if ((size_t)(end - *at) < bytes)
        return false;
    arg = cbor_be(*at, bytes);
    *at += bytes;
    *ret_arg = arg;
    if (*ret_initial == CBOR_DOUBLE)
        return true;
    return arg >= (bytes == 1 ? 24 : UINT64_C(1) << (4 * bytes));
}

static bool checked_text(const uint8_t **at, const uint8_t *end, uint64_t len)
{
    struct vex_str text;

    if (len > (uint64_t)(end - *at))
        return false;
    text = vex_str((const char *)*at, (size_t)len);
    *at += len;
    return vex_utf8_valid(text);
}

/* One scalar or the head of one container. *ret_items: items inside, in units of values. */
static bool checked_item(const uint8_t **at, const uint8_t *end, bool key, uint64_t *ret_items, bool *ret_map)
{
    unsigned initial;
    uint64_t arg;

    *ret_items = 0;
    *ret_map = false;
    if (!checked_head(at, end, &initial, &arg))
        return false;
    if (key && initial >> 5 != CBOR_TEXT)
        return false;
    switch (initial >> 5) {
    case CBOR_UINT:
        return true;
    case CBOR_NEGATIVE:
        return arg <= INT64_MAX;
    case CBOR_TEXT:
        return checked_text(at, end, arg);
    case CBOR_ARRAY:
        *ret_items = arg;
        return arg <= (uint64_t)(end - *at);
    case CBOR_MAP:
        *ret_map = true;
        if (arg > (uint64_t)(end - *at) / 2)
            return false;
        *ret_items = 2 * arg;
        return true;
    case CBOR_SIMPLE:
        return initial == CBOR_FALSE || initial == CBOR_TRUE || initial == CBOR_NULL ||
               initial == CBOR_DOUBLE;
    default:
        return false;
    }
}

bool vex_value_check(const void *bytes, size_t len, bool payload)
{
    struct {
        uint64_t left;
        bool map;
    } stack[VEX_VALUE_DEPTH_MAX];
    const uint8_t *at = bytes, *end = at + len;
    unsigned depth = 0;

    if (payload && (len == 0 || at[0] >> 5 != CBOR_MAP))
        return false;
    do {
        bool map, container, key = depth > 0 && stack[depth - 1].map && stack[depth - 1].left % 2 == 0;
        const uint8_t *head = at;
        uint64_t items;

        if (!checked_item(&at, end, key, &items, &map))
            return false;
        if (depth > 0)
            stack[depth - 1].left--;
        container = *head >> 5 == CBOR_ARRAY || map;
        if (container) {
            if (depth == VEX_VALUE_DEPTH_MAX)
                return false;
            stack[depth].left = items;
            stack[depth].map = map;
            depth++;
        }
        while (depth > 0 && stack[depth - 1].left == 0)
            depth--;
    } while (depth > 0);
    return at == end;
}

enum vex_value_kind vex_value_kind(struct vex_value v)
{
    switch (v.at[0] >> 5) {
    case CBOR_UINT:
        return v.at[0] == 0x1b && v.at[1] >= 0x80 ? VEX_VALUE_UINT : VEX_VALUE_INT;
    case CBOR_NEGATIVE:
        return VEX_VALUE_INT;
    case CBOR_TEXT:
        return VEX_VALUE_TEXT;
    case CBOR_ARRAY:
        return VEX_VALUE_ARRAY;
    case CBOR_MAP:
        return VEX_VALUE_MAP;
    default:
        break;
    }
    if (v.at[0] == CBOR_DOUBLE)
        return VEX_VALUE_DOUBLE;
    return v.at[0] == CBOR_NULL ? VEX_VALUE_NULL : VEX_VALUE_BOOL;
}

bool vex_value_bool(struct vex_value v)
{
    return v.at[0] == CBOR_TRUE;
}

int64_t vex_value_int(struct vex_value v)
{
    const uint8_t *next;
    uint64_t arg = cbor_arg(v.at, &next);

    return v.at[0] >> 5 == CBOR_NEGATIVE ? -1 - (int64_t)arg : (int64_t)arg;
}

uint64_t vex_value_uint(struct vex_value v)
{
    const uint8_t *next;

    return cbor_arg(v.at, &next);
}

double vex_value_double(struct vex_value v)
{
    const uint8_t *next;
    uint64_t arg = cbor_arg(v.at, &next);
    double d;

    switch (v.at[0] >> 5) {
    case CBOR_UINT:
        return (double)arg;
    case CBOR_NEGATIVE:
        return (double)(-1 - (int64_t)arg);
    default:
        memcpy(&d, &arg, sizeof d);
        return d;
    }
}

bool vex_value_is_number(struct vex_value v)
{
    return v.at[0] >> 5 <= CBOR_NEGATIVE || v.at[0] == CBOR_DOUBLE;
}

struct vex_str vex_value_text(struct vex_value v)
{
    const uint8_t *next;
    uint64_t len = cbor_arg(v.at, &next);

    return vex_str((const char *)next, (size_t)len);
}

size_t vex_value_count(struct vex_value v)
{
    const uint8_t *next;

    return (size_t)cbor_arg(v.at, &next);
}

size_t vex_value_size(struct vex_value v)
{
    return (size_t)(cbor_skip(v.at) - v.at);
}

struct vex_value_iter vex_value_iter(struct vex_value v)
{
    struct vex_value_iter it = {.value = {NULL}};
    unsigned major;

    if (v.at == NULL)
        return it;
    major = v.at[0] >> 5;
    if (major == CBOR_ARRAY || major == CBOR_MAP) {
        it.left = (size_t)cbor_arg(v.at, &it.at);
        it.map = major == CBOR_MAP;
    }
    return it;
}

bool vex_value_next(struct vex_value_iter *it)
{
    if (it->left == 0)
        return false;
    /* The value given last is passed only now: whoever stops early never pays for its length. */
    if (it->value.at != NULL)
        it->at = cbor_skip(it->value.at);
    if (it->map) {
        uint64_t len = cbor_arg(it->at, &it->at);
        it->key = vex_str((const char *)it->at, (size_t)len);
        it->at += len;
    }
    it->value.at = it->at;
    it->left--;
    return true;
}

struct vex_value vex_value_get(struct vex_value v, struct vex_str key)
{
    const uint8_t *at;
    uint64_t left;

    if (v.at == NULL || v.at[0] >> 5 != CBOR_MAP)
        return (struct vex_value){NULL};
    for (left = cbor_arg(v.at, &at); left > 0; left--) {
        uint64_t len = cbor_arg(at, &at);
        if (vex_str_eq(vex_str((const char *)at, (size_t)len), key))
            return (struct vex_value){at + len};
        at = cbor_skip(at + len);
    }
    return (struct vex_value){NULL};
}

static bool maps_eq(struct vex_value a, struct vex_value b)
{
    struct vex_value_keys keys;
    struct vex_value_iter it;
    bool eq = true;

    if (vex_value_count(a) != vex_value_count(b))
        return false;
    vex_value_keys_init(&keys, b);
    for (it = vex_value_iter(a); eq && vex_value_next(&it);) {
        struct vex_value other = vex_value_keys_get(&keys, it.key);
        eq = other.at != NULL && vex_value_eq(it.value, other);
    }
    vex_value_keys_done(&keys);
    return eq;
}

bool vex_value_eq(struct vex_value a, struct vex_value b)
{
    enum vex_value_kind kind;
    struct vex_value_iter in_a, in_b;

    if (a.at == NULL || b.at == NULL)
        return a.at == b.at;
    kind = vex_value_kind(a);
    if (kind != vex_value_kind(b))
        return false;
    switch (kind) {
    case VEX_VALUE_DOUBLE: /* -0.0 equals 0.0; a NaN equals its own bits */
        return vex_value_double(a) == vex_value_double(b) || memcmp(a.at, b.at, CBOR_HEAD_MAX) == 0;
    case VEX_VALUE_TEXT:
        return vex_str_eq(vex_value_text(a), vex_value_text(b));
    case VEX_VALUE_MAP:
        return maps_eq(a, b);
    case VEX_VALUE_ARRAY:
        if (vex_value_count(a) != vex_value_count(b))
            return false;
        in_a = vex_value_iter(a);
        in_b = vex_value_iter(b);
        while (vex_value_next(&in_a) && vex_value_next(&in_b))
            if (!vex_value_eq(in_a.value, in_b.value))
                return false;
        return true;
    case VEX_VALUE_BOOL:
    case VEX_VALUE_NULL:
        return a.at[0] == b.at[0];
    default:
        return vex_value_uint(a) == vex_value_uint(b) && a.at[0] >> 5 == b.at[0] >> 5;
    }
}

size_t vex_value_depth(struct vex_value v)
{
    struct vex_value_iter it;
    size_t deepest = 0;

    if (v.at == NULL || (v.at[0] >> 5 != CBOR_ARRAY && v.at[0] >> 5 != CBOR_MAP))
        return 0;
    for (it = vex_value_iter(v); vex_value_next(&it);) {
        size_t depth = vex_value_depth(it.value);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

void vex_value_put_null(struct vex_buf *out)
{
    vex_buf_add_u8(out, CBOR_NULL);
}

void vex_value_put_bool(struct vex_buf *out, bool v)
{
    vex_buf_add_u8(out, v ? CBOR_TRUE : CBOR_FALSE);
}

void vex_value_put_int(struct vex_buf *out, int64_t v)
{
    if (v < 0)
        cbor_put_head(out, CBOR_NEGATIVE, (uint64_t)(-1 - v));
    else
        cbor_put_head(out, CBOR_UINT, (uint64_t)v);
}

void vex_value_put_uint(struct vex_buf *out, uint64_t v)
{
    cbor_put_head(out, CBOR_UINT, v);
}

void vex_value_put_double(struct vex_buf *out, double v)
{
    uint8_t bytes[CBOR_HEAD_MAX] = {CBOR_DOUBLE};
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    for (unsigned i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    vex_buf_add(out, bytes, sizeof bytes);
}

void vex_value_put_text(struct vex_buf *out, struct vex_str v)
{
    cbor_put_head(out, CBOR_TEXT, v.len);
    vex_buf_add_str(out, v);
}

void vex_value_put_array(struct vex_buf *out, size_t count)
{
    cbor_put_head(out, CBOR_ARRAY, count);
}

void vex_value_put_map(struct vex_buf *out, size_t count)
{
    cbor_put_head(out, CBOR_MAP, count);
}

void vex_value_put(struct vex_buf *out, struct vex_value v)
{
    vex_buf_add(out, v.at, vex_value_size(v));
}

static bool removes(struct vex_value v, bool nulls_delete)
{
    return nulls_delete && v.at[0] == CBOR_NULL;
}

void vex_payload_merge(struct vex_buf *out, struct vex_value old, struct vex_value patch, bool nulls_delete)
{
    struct vex_value_keys old_keys, patch_keys;
    struct vex_value_iter it;
    struct cbor_open map;
    size_t count = 0;

    if (old.at != NULL && vex_value_kind(old) != VEX_VALUE_MAP)
        old.at = NULL;
    vex_value_keys_init(&old_keys, old);
    vex_value_keys_init(&patch_keys, patch);
    map = cbor_begin(out, CBOR_MAP,
                     (old.at ? vex_value_count(old) : 0) + (patch.at ? vex_value_count(patch) : 0));
    /* Keys keep the place they had, new ones follow. */
    for (it = vex_value_iter(old); vex_value_next(&it);) {
        struct vex_value value = vex_value_keys_get(&patch_keys, it.key);
        if (value.at != NULL && removes(value, nulls_delete))
            continue;
        vex_value_put_text(out, it.key);
        vex_value_put(out, value.at != NULL ? value : it.value);
        count++;
    }
    for (it = vex_value_iter(patch); vex_value_next(&it);) {
        if (removes(it.value, nulls_delete) || vex_value_keys_get(&old_keys, it.key).at != NULL)
            continue;
        vex_value_put_text(out, it.key);
        vex_value_put(out, it.value);
        count++;
    }
    cbor_end(out, map, count);
    vex_value_keys_done(&old_keys);
    vex_value_keys_done(&patch_keys);
}
