/* Bodies of the Chroma dialect: the walk over a field table, and readers of simple values. */
#include "rest/chroma.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const char misfit[] = "Failed to deserialize the JSON body into the target type: ";

int vex_chroma_misfit(struct vex_chroma_reader *reader, const char *fmt, ...)
{
    char why[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return vex_err_set(reader->err, VEX_EVALIDATION, "%s%s%s%s", misfit, reader->at,
                       *reader->at != '\0' ? ": " : "", why);
}

static int wrong_kind(struct vex_chroma_reader *reader, struct vex_json v, const char *wanted)
{
    char number[40];

    switch (vex_json_kind(v)) {
    case VEX_JSON_STRING:
        return vex_chroma_misfit(reader, "invalid type: string \"" VEX_STR_FMT "\", expected %s",
                                 VEX_STR_ARG(vex_json_str(v)), wanted);
    case VEX_JSON_INT:
        return vex_chroma_misfit(reader, "invalid type: integer `%lld`, expected %s",
                                 (long long)vex_json_int(v), wanted);
    case VEX_JSON_DOUBLE:
        number[vex_f64_text(number, vex_json_double(v))] = '\0';
        return vex_chroma_misfit(reader, "invalid type: floating point `%s`, expected %s", number, wanted);
    default:
        return vex_chroma_misfit(reader, "invalid type: %s, expected %s", vex_json_kind_name(v), wanted);
    }
}

static const struct vex_chroma_field *field_of(const struct vex_chroma_field *fields, size_t count,
                                               struct vex_str name)
{
    for (size_t i = 0; i < count; i++)
        if (vex_str_eq_c(name, fields[i].name))
            return &fields[i];
    return NULL;
}

int vex_chroma_read_fields(struct vex_chroma_reader *reader, struct vex_json object,
                           const struct vex_chroma_field *fields, size_t count, void *ret)
{
    const char *outer = reader->at;
    uint64_t seen = 0;
    int rc;

    if (vex_json_kind(object) != VEX_JSON_OBJECT)
        return wrong_kind(reader, object, "a map");
    for (struct vex_json_iter it = vex_json_iter(object); vex_json_next(&it);) {
        const struct vex_chroma_field *field = field_of(fields, count, it.key);
        if (field == NULL)
            continue;
        uint64_t bit = UINT64_C(1) << (field - fields);
        if ((seen & bit) != 0)
            return vex_chroma_misfit(reader, "duplicate field `%s`", field->name);
        seen |= bit;
        if (vex_json_kind(it.value) == VEX_JSON_NULL && !field->required && !field->null)
            continue;
        reader->at =
            *outer == '\0' ? field->name : vex_arena_printf(reader->arena, "%s.%s", outer, field->name);
        if ((rc = field->read(reader, it.value, (char *)ret + field->offset)) < 0)
            return rc;
        reader->at = outer;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && (seen >> i & 1) == 0)
            return vex_chroma_misfit(reader, "missing field `%s`", fields[i].name);
    return 0;
}

/* application/json or application/<x>+json, parameters aside; none at all is fine. */
static bool is_json(struct vex_str type)
{
    const char *semicolon;

    if (type.ptr == NULL)
        return true;
    semicolon = memchr(type.ptr, ';', type.len);
    size_t len = semicolon != NULL ? (size_t)(semicolon - type.ptr) : type.len;
    while (len > 0 && type.ptr[len - 1] == ' ')
        len--;
    if (len < 16 || strncasecmp(type.ptr, "application/", 12) != 0)
        return false;
    return (len == 16 && strncasecmp(type.ptr + 12, "json", 4) == 0) ||
           strncasecmp(type.ptr + len - 5, "+json", 5) == 0;
}

int vex_chroma_read_body(struct vex_rest_request *request, const struct vex_chroma_field *fields,
                         size_t count, void *ret)
{
    struct vex_err *err = &request->call.err;
    struct vex_chroma_reader reader = {request, &request->call.arena, err, ""};
    struct vex_json body;

    if (!is_json(request->content_type))
        return vex_err_set(err, VEX_EMEDIA_TYPE, "Expected request with `Content-Type: application/json`");
    int rc = vex_json_parse(request->parser, request->body.ptr, request->body.len, &body, err);
    if (rc < 0) {
        vex_err_wrap(err, "Failed to parse the request body as JSON");
        return rc;
    }
    return vex_chroma_read_fields(&reader, body, fields, count, ret);
}

/* ---- scalars ---- */

int vex_chroma_read_text(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    if (vex_json_kind(v) != VEX_JSON_STRING)
        return wrong_kind(reader, v, "a string");
    struct vex_str text = vex_json_str(v);
    *(struct vex_str *)ret = text.ptr != NULL ? text : VEX_STR("");
    return 0;
}

int vex_chroma_read_bool(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    if (vex_json_kind(v) != VEX_JSON_BOOL)
        return wrong_kind(reader, v, "a boolean");
    *(bool *)ret = vex_json_bool(v);
    return 0;
}

int vex_chroma_read_u32(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    enum vex_json_kind kind = vex_json_kind(v);

    if (kind != VEX_JSON_INT && kind != VEX_JSON_UINT)
        return wrong_kind(reader, v, "u32");
    if (kind == VEX_JSON_UINT || vex_json_int(v) < 0 || vex_json_int(v) > UINT32_MAX)
        return vex_chroma_misfit(reader, "invalid value: integer `%lld`, expected u32",
                                 kind == VEX_JSON_UINT ? (long long)INT64_MAX : (long long)vex_json_int(v));
    *(uint64_t *)ret = (uint64_t)vex_json_int(v);
    return 0;
}

/* ---- lists ---- */

static int read_strings(struct vex_chroma_reader *reader, struct vex_json v, bool nulls,
                        struct vex_chroma_texts *ret)
{
    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return wrong_kind(reader, v, "a sequence");
    size_t count = vex_json_count(v), i = 0;
    if (count > UINT32_MAX)
        return vex_chroma_misfit(reader, "too many values");
    ret->items = vex_arena_try(reader->arena, (count + 1) * sizeof *ret->items);
    if (ret->items == NULL)
        return vex_err_set(reader->err, VEX_ENO_MEMORY, "not enough memory for the request");
    ret->given = true;
    ret->count = (uint32_t)count;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); i++) {
        ret->items[i] = vex_str(NULL, 0);
        if (nulls && vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        if (vex_json_kind(it.value) != VEX_JSON_STRING) {
            reader->at = vex_arena_printf(reader->arena, "%s[%zu]", reader->at, i);
            return wrong_kind(reader, it.value, "a string");
        }
        struct vex_str text = vex_json_str(it.value);
        ret->items[i] = text.ptr != NULL ? text : VEX_STR("");
    }
    return 0;
}

int vex_chroma_read_ids(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_strings(reader, v, false, ret);
}

int vex_chroma_read_texts(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_strings(reader, v, true, ret);
}

int vex_chroma_read_include(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    static const char *const names[] = {"distances", "documents", "embeddings", "metadatas", "uris"};
    struct vex_chroma_includes *include = ret;
    size_t i = 0;

    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return wrong_kind(reader, v, "a sequence");
    include->given = true;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); i++) {
        unsigned bit = 0;
        reader->at = vex_arena_printf(reader->arena, "include[%zu]", i);
        if (i == VEX_INCLUDE_MAX)
            return vex_chroma_misfit(reader, "too many values, expected at most %d", VEX_INCLUDE_MAX);
        if (vex_json_kind(it.value) != VEX_JSON_STRING)
            return wrong_kind(reader, it.value, "string or map");
        for (unsigned n = 0; n < sizeof names / sizeof *names; n++)
            if (vex_str_eq_c(vex_json_str(it.value), names[n]))
                bit = 1u << n;
        if (bit == 0)
            return vex_chroma_misfit(reader,
                                     "unknown variant `" VEX_STR_FMT
                                     "`, expected one of `distances`, `documents`, "
                                     "`embeddings`, `metadatas`, `uris`",
                                     VEX_STR_ARG(vex_json_str(it.value)));
        include->mask |= bit;
        include->items[include->count++] = (uint8_t)bit;
    }
    return 0;
}
