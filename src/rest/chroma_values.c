/* Bodies of the Chroma dialect: metadata, clauses and vectors. */
#include "rest/chroma.h"

#include <math.h>

#include "base/text.h"
#include "engine/point/value_json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "base64 vectors are little-endian floats");

static int no_memory(struct vex_chroma_reader *reader)
{
    return vex_err_set(reader->err, VEX_ENO_MEMORY, "not enough memory for the request");
}

static int to_value(struct vex_chroma_reader *reader, struct vex_json v, struct vex_value *ret)
{
    struct vex_buf out;
    struct vex_err err = {0};

    vex_buf_init(&out, reader->arena);
    int rc = vex_value_from_json(&out, v, &err);
    *ret = (struct vex_value){(const uint8_t *)out.ptr};
    return rc;
}

int vex_chroma_read_value(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return to_value(reader, v, ret) < 0
               ? vex_chroma_misfit(reader, "value is nested too deeply or out of range")
               : 0;
}

int vex_chroma_read_where(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return to_value(reader, v, ret) < 0 ? vex_err_set(reader->err, VEX_EBAD_INPUT, "Invalid where clause")
                                        : 0;
}

int vex_chroma_read_where_document(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return to_value(reader, v, ret) < 0
               ? vex_err_set(reader->err, VEX_EBAD_INPUT, "Invalid where document clause")
               : 0;
}

/* ---- metadata ---- */

enum nulls { NULLS_REFUSED, NULLS_KEPT };

#define NO_LIST SIZE_MAX /* for an index: the map stands alone */

/* Text, bool, integer or double of one kind; mixed integers and doubles are doubles. */
static bool one_kind(struct vex_value list, bool *ret_doubles)
{
    unsigned seen = 0;

    for (struct vex_value_iter it = vex_value_iter(list); vex_value_next(&it);)
        seen |= 1u << vex_value_kind(it.value);
    const unsigned whole = 1u << VEX_VALUE_INT, fraction = 1u << VEX_VALUE_DOUBLE | 1u << VEX_VALUE_UINT;
    *ret_doubles = (seen & fraction) != 0;
    return seen == 1u << VEX_VALUE_TEXT || seen == 1u << VEX_VALUE_BOOL || (seen & ~(whole | fraction)) == 0;
}

static void put_list(struct vex_buf *out, struct vex_value list, bool doubles)
{
    vex_value_put_array(out, vex_value_count(list));
    for (struct vex_value_iter it = vex_value_iter(list); vex_value_next(&it);)
        if (doubles)
            vex_value_put_double(out, vex_value_double(it.value));
        else
            vex_value_put(out, it.value);
}

static bool is_number_list(struct vex_value v, bool indices)
{
    int64_t last = -1;

    if (v.at == NULL || vex_value_kind(v) != VEX_VALUE_ARRAY)
        return false;
    for (struct vex_value_iter it = vex_value_iter(v); vex_value_next(&it);) {
        if (!vex_value_is_number(it.value))
            return false;
        if (!indices)
            continue;
        if (vex_value_kind(it.value) != VEX_VALUE_INT || vex_value_int(it.value) <= last ||
            vex_value_int(it.value) > UINT32_MAX)
            return false;
        last = vex_value_int(it.value);
    }
    return true;
}

/* {"#type": "sparse_vector", indices, values, tokens}; the type may be left out, and is told back. */
static bool put_sparse(struct vex_buf *out, struct vex_value v)
{
    struct vex_value indices = vex_value_get(v, VEX_STR("indices")),
                     values = vex_value_get(v, VEX_STR("values"));
    struct vex_value type = vex_value_get(v, VEX_STR("#type")), tokens = vex_value_get(v, VEX_STR("tokens"));
    bool tokened = tokens.at != NULL && vex_value_kind(tokens) == VEX_VALUE_ARRAY;

    if (type.at != NULL &&
        (vex_value_kind(type) != VEX_VALUE_TEXT || !vex_str_eq_c(vex_value_text(type), "sparse_vector")))
        return false;
    if (!is_number_list(indices, true) || !is_number_list(values, false) ||
        vex_value_count(indices) != vex_value_count(values))
        return false;
    vex_value_put_map(out, 3u + tokened);
    vex_value_put_text(out, VEX_STR("#type"));
    vex_value_put_text(out, VEX_STR("sparse_vector"));
    vex_value_put_text(out, VEX_STR("indices"));
    vex_value_put(out, indices);
    vex_value_put_text(out, VEX_STR("values"));
    put_list(out, values, true);
    if (tokened) {
        vex_value_put_text(out, VEX_STR("tokens"));
        vex_value_put(out, tokens);
    }
    return true;
}

/* One member; false when its value is none of metadata. Empty lists are dropped. */
static bool put_member(struct vex_buf *out, struct vex_str key, struct vex_value v, enum nulls nulls,
                       size_t *count)
{
    enum vex_value_kind kind = vex_value_kind(v);
    bool doubles;

    if (kind == VEX_VALUE_ARRAY && vex_value_count(v) == 0)
        return true;
    ++*count;
    vex_value_put_text(out, key);
    switch (kind) {
    case VEX_VALUE_NULL:
        vex_value_put_null(out);
        return nulls == NULLS_KEPT;
    case VEX_VALUE_UINT:
        vex_value_put_double(out, vex_value_double(v));
        return true;
    case VEX_VALUE_ARRAY:
        if (!one_kind(v, &doubles))
            return false;
        put_list(out, v, doubles);
        return true;
    case VEX_VALUE_MAP:
        return put_sparse(out, v);
    default:
        vex_value_put(out, v);
        return true;
    }
}

/* True when put_member would write every member as it stands. */
static bool is_plain(struct vex_value map)
{
    const unsigned plain =
        1u << VEX_VALUE_TEXT | 1u << VEX_VALUE_BOOL | 1u << VEX_VALUE_INT | 1u << VEX_VALUE_DOUBLE;

    for (struct vex_value_iter it = vex_value_iter(map); vex_value_next(&it);)
        if ((plain >> vex_value_kind(it.value) & 1) == 0)
            return false;
    return true;
}

/* Why a map, entry `index` of the list that is read, is none of metadata. Only then its path is written. */
static int misfit_map(struct vex_chroma_reader *reader, size_t index, struct vex_str key, const char *why)
{
    if (index != NO_LIST)
        reader->at = vex_arena_printf(reader->arena, "%s[%zu]", reader->at, index);
    if (key.ptr != NULL)
        reader->at = vex_arena_printf(reader->arena, "%s." VEX_STR_FMT, reader->at, VEX_STR_ARG(key));
    return vex_chroma_misfit(reader, "%s", why);
}

static int read_map(struct vex_chroma_reader *reader, struct vex_json v, size_t index, enum nulls nulls,
                    struct vex_value *ret)
{
    static const char no_variant_of[] = "data did not match any variant of untagged enum MetadataValue";
    struct vex_buf members, out;
    size_t count = 0;

    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return misfit_map(
            reader, index, vex_str(NULL, 0),
            vex_arena_printf(reader->arena, "invalid type: %s, expected a map", vex_json_kind_name(v)));
    if (to_value(reader, v, ret) < 0)
        return misfit_map(reader, index, vex_str(NULL, 0), no_variant_of);
    if (is_plain(*ret))
        return 0;
    vex_buf_init(&members, reader->arena);
    vex_buf_init(&out, reader->arena);
    for (struct vex_value_iter it = vex_value_iter(*ret); vex_value_next(&it);)
        if (!put_member(&members, it.key, it.value, nulls, &count))
            return misfit_map(reader, index, it.key, no_variant_of);
    vex_value_put_map(&out, count);
    vex_buf_add_str(&out, vex_buf_str(&members));
    *ret = (struct vex_value){(const uint8_t *)out.ptr};
    return 0;
}

int vex_chroma_read_metadata(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_map(reader, v, NO_LIST, NULLS_REFUSED, ret);
}

static int read_maps(struct vex_chroma_reader *reader, struct vex_json v, enum nulls nulls,
                     struct vex_chroma_values *ret)
{
    size_t count = vex_json_count(v), i = 0;
    int rc;

    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a sequence", vex_json_kind_name(v));
    if (count > UINT32_MAX ||
        (ret->items = vex_arena_try(reader->arena, (count + 1) * sizeof *ret->items)) == NULL)
        return no_memory(reader);
    ret->given = true;
    ret->count = (uint32_t)count;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); i++) {
        ret->items[i] = (struct vex_value){NULL};
        if (vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        if ((rc = read_map(reader, it.value, i, nulls, &ret->items[i])) < 0)
            return rc;
    }
    return 0;
}

int vex_chroma_read_metadatas(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_maps(reader, v, NULLS_REFUSED, ret);
}

int vex_chroma_read_changes(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_maps(reader, v, NULLS_KEPT, ret);
}

/* ---- vectors ---- */

static int no_variant(struct vex_chroma_reader *reader)
{
    return vex_chroma_misfit(reader, "data did not match any variant of untagged enum EmbeddingsPayload");
}

static int read_numbers(struct vex_chroma_reader *reader, struct vex_json v, struct vex_chroma_vector *ret)
{
    size_t count = vex_json_count(v);
    float *values;

    if (count > UINT32_MAX || (values = vex_arena_try(reader->arena, (count + 1) * sizeof *values)) == NULL)
        return no_memory(reader);
    if (vex_json_floats(v, values, count) < 0)
        return no_variant(reader);
    *ret = (struct vex_chroma_vector){values, (uint32_t)count};
    return 0;
}

static int read_base64(struct vex_chroma_reader *reader, struct vex_str text, struct vex_chroma_vector *ret)
{
    size_t bad = 0;
    float *values = vex_arena_try(reader->arena, text.len / 4 * 3 + sizeof *values);

    if (values == NULL)
        return no_memory(reader);
    ptrdiff_t len = vex_base64_decode(text, values, &bad);
    if (len < 0 && bad < text.len)
        return vex_err_set(reader->err, VEX_EBAD_INPUT,
                           "Invalid base64 string: Invalid symbol %d, offset %zu.",
                           (unsigned char)text.ptr[bad], bad);
    if (len < 0)
        return vex_err_set(reader->err, VEX_EBAD_INPUT, "Invalid base64 string: Invalid input length: %zu",
                           text.len);
    if (len % (ptrdiff_t)sizeof *values != 0)
        return vex_err_set(reader->err, VEX_EBAD_INPUT,
                           "Invalid base64 string: %zd bytes are not a whole number of 32-bit floats", len);
    *ret = (struct vex_chroma_vector){values, (uint32_t)(len / (ptrdiff_t)sizeof *values)};
    return 0;
}

enum forms { FORM_NUMBERS = 1, FORM_TEXT = 2, FORM_NULL = 4 };

static int read_list(struct vex_chroma_reader *reader, struct vex_json v, unsigned forms,
                     struct vex_chroma_vectors *ret)
{
    size_t count = vex_json_count(v), i = 0;
    unsigned seen = 0;
    int rc;

    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return no_variant(reader);
    if (count > UINT32_MAX ||
        (ret->items = vex_arena_try(reader->arena, (count + 1) * sizeof *ret->items)) == NULL)
        return no_memory(reader);
    ret->given = true;
    ret->count = (uint32_t)count;
    /* Form first, then contents: a list of mixed forms is misshapen whatever its texts hold. */
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);) {
        enum vex_json_kind kind = vex_json_kind(it.value);
        unsigned form = kind == VEX_JSON_ARRAY    ? FORM_NUMBERS
                        : kind == VEX_JSON_STRING ? FORM_TEXT
                        : kind == VEX_JSON_NULL   ? FORM_NULL
                                                  : 8u;
        if ((form & forms) == 0 || (form != FORM_NULL && (seen & 3u & ~form) != 0))
            return no_variant(reader);
        seen |= form;
    }
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); i++) {
        ret->items[i] = (struct vex_chroma_vector){0};
        if (vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        rc = vex_json_kind(it.value) == VEX_JSON_ARRAY
                 ? read_numbers(reader, it.value, &ret->items[i])
                 : read_base64(reader, vex_json_str(it.value), &ret->items[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int vex_chroma_read_vectors(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_list(reader, v, FORM_NUMBERS | FORM_TEXT, ret);
}

int vex_chroma_read_vectors_or_null(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_list(reader, v, FORM_NUMBERS | FORM_TEXT | FORM_NULL, ret);
}

int vex_chroma_read_queries(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    size_t i = 0;

    if (vex_json_kind(v) == VEX_JSON_ARRAY)
        for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); i++)
            if (vex_json_kind(it.value) == VEX_JSON_STRING) {
                reader->at = vex_arena_printf(reader->arena, "%s[%zu]", reader->at, i);
                return vex_chroma_misfit(reader,
                                         "invalid type: string \"" VEX_STR_FMT "\", expected a sequence",
                                         VEX_STR_ARG(vex_json_str(it.value)));
            }
    return read_list(reader, v, FORM_NUMBERS, ret);
}
