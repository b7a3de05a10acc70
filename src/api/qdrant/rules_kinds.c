/* Kinds of rules: each looks at one field of a message and words what is wrong with it, as the peer does. */
#include <inttypes.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>

#include "api/qdrant/qdrant.h"
#include "api/qdrant/rules_private.h"
#include "base/json_write.h"
#include "base/text.h"

#define KIND(name)                                                                                           \
    static bool name(const struct vex_rule *rule, const ProtobufCFieldDescriptor *field,                     \
                     const ProtobufCMessage *message, bool rest, struct vex_rule_finding *ret)

static void say(struct vex_rule_finding *ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct vex_rule_finding *ret, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(ret->text, sizeof ret->text, fmt, ap);
    va_end(ap);
}

static const void *member(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    return (const char *)message + field->offset;
}

static const void *quantifier(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    return (const char *)message + field->quantifier_offset;
}

/* Whether a scalar or message is there; strings and messages by pointer, oneof members by case. */
static bool present(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)quantifier(field, message) != 0;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)quantifier(field, message) == field->id;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)member(field, message) != NULL;
    return *(const protobuf_c_boolean *)quantifier(field, message);
}

static uint64_t whole(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    const void *at = member(field, message);

    if (!present(field, message))
        return 0;
    return field->type == PROTOBUF_C_TYPE_UINT64 ? *(const uint64_t *)at : *(const uint32_t *)at;
}

static double real_of(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    const void *at = member(field, message);

    return field->type == PROTOBUF_C_TYPE_FLOAT ? (double)*(const float *)at : *(const double *)at;
}

static struct vex_str text_of(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    const char *text = *(const char *const *)member(field, message);

    return text != NULL ? vex_str_c(text) : VEX_STR("");
}

KIND(at_least)
{
    uint64_t v = whole(field, message);

    (void)rest;
    if ((!rule->needed && !present(field, message)) || (double)v >= rule->low)
        return false;
    say(ret, "value %" PRIu64 " invalid, must be %.0f or larger", v, rule->low);
    return true;
}

KIND(range)
{
    uint64_t v = whole(field, message);

    (void)rest;
    if (!rule->needed && !present(field, message))
        return false;
    if ((double)v >= rule->low && (double)v <= rule->high)
        return false;
    say(ret, "value %" PRIu64 " invalid, must be from %.0f to %.0f", v, rule->low, rule->high);
    return true;
}

/* A number as the peer prints its doubles: shortest, with a fraction. */
static const char *number(char *buf, double v)
{
    if (isfinite(v))
        buf[vex_f64_text(buf, v)] = '\0';
    else
        strcpy(buf, isnan(v) ? "NaN" : v < 0 ? "-inf" : "inf");
    return buf;
}

KIND(real)
{
    char v[40], low[40], high[40];
    double x;

    (void)rest;
    if (!present(field, message))
        return false;
    x = real_of(field, message);
    if (x >= rule->low && x <= rule->high)
        return false;
    say(ret, "value %s invalid, must be from %s to %s", number(v, x), number(low, rule->low),
        number(high, rule->high));
    return true;
}

KIND(real_least)
{
    char v[40], low[40];
    double x;

    (void)rest;
    if (!present(field, message))
        return false;
    x = real_of(field, message);
    if (x >= rule->low)
        return false;
    say(ret, "value %s invalid, must be %s or larger", number(v, x), number(low, rule->low));
    return true;
}

KIND(length)
{
    struct vex_str text = text_of(field, message);
    size_t n = vex_utf8_count(text);

    (void)rest;
    if (!rule->needed && !present(field, message))
        return false;
    if ((double)n >= rule->low && (rule->high == 0 || (double)n <= rule->high))
        return false;
    if (rule->high == 0)
        say(ret, "value \"%.*s\" invalid, must be %.0f characters or longer", VEX_STR_ARG(text), rule->low);
    else
        say(ret, "value \"%.*s\" invalid, must be from %.0f to %.0f characters", VEX_STR_ARG(text), rule->low,
            rule->high);
    return true;
}

static bool barred(struct vex_str text, const char *chars, const char *what, struct vex_rule_finding *ret)
{
    for (const char *c = chars; *c != '\0'; c++) {
        if (memchr(text.ptr, *c, text.len) == NULL)
            continue;
        if (*c == 0x1f)
            say(ret, "%s cannot contain \"\\u{1f}\" char", what);
        else
            say(ret, "%s cannot contain \"%s%c\" char", what, *c == '"' || *c == '\\' ? "\\" : "", *c);
        return true;
    }
    return false;
}

#define BARRED "<>:\"/\\|?*\x1f"

KIND(new_name)
{
    return length(rule, field, message, rest, ret) ||
           barred(text_of(field, message), BARRED, "collection name", ret);
}

/* Collections from before the longer list of barred characters stay reachable. */
KIND(old_name)
{
    return length(rule, field, message, rest, ret) ||
           barred(text_of(field, message), "/", "collection name", ret);
}

KIND(vector_name)
{
    struct vex_str text = text_of(field, message);

    (void)rest;
    if ((double)text.len > rule->high) {
        say(ret, "vector name is too long: %zu bytes, at most %.0f", text.len, rule->high);
        return true;
    }
    return barred(text, BARRED, "vector name", ret);
}

KIND(not_pinned)
{
    (void)rule;
    (void)rest;
    if (!present(field, message) || *(const int *)member(field, message) != QDRANT__MEMORY__Pinned)
        return false;
    say(ret, "memory placement \"pinned\" is not supported here");
    return true;
}

KIND(not_empty)
{
    (void)rule;
    (void)rest;
    if (present(field, message))
        return false;
    say(ret, "Validation error: length [{\"min\": Number(1), \"value\": Array []}]");
    return true;
}

/* JSON may have an empty list there. */
KIND(not_empty_grpc)
{
    return !rest && not_empty(rule, field, message, rest, ret);
}

KIND(lookup_or_range)
{
    const Qdrant__IntegerIndexParams *params;

    (void)rule;
    (void)rest;
    if (!present(field, message))
        return false;
    params = *(const Qdrant__IntegerIndexParams *const *)member(field, message);
    if (!params->has_lookup || !params->has_range || params->lookup || params->range)
        return false;
    ret->below = ".lookup";
    say(ret, "Validation error: the 'lookup' and 'range' capabilities can't be both disabled [{}]");
    return true;
}

KIND(dense_not_empty)
{
    const Qdrant__Vector *vector;

    (void)rule;
    (void)rest;
    if (!present(field, message))
        return false;
    vector = *(const Qdrant__Vector *const *)member(field, message);
    if (vector == NULL)
        return false;
    if (vector->vector_case == QDRANT__VECTOR__VECTOR_DENSE
            ? vector->dense->n_data != 0
            : vector->vector_case != QDRANT__VECTOR__VECTOR__NOT_SET || vector->n_data != 0 ||
                  vector->indices != NULL)
        return false;
    ret->below = ".vector";
    say(ret, "dense vector must not be empty");
    return true;
}

KIND(some_vectors)
{
    const Qdrant__Vectors *vectors;

    (void)rule;
    (void)rest;
    if (!present(field, message))
        return false;
    vectors = *(const Qdrant__Vectors *const *)member(field, message);
    if (vectors->vectors_options_case != QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS ||
        vectors->vectors->n_vectors != 0)
        return false;
    say(ret, "must specify vectors to update for point");
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

KIND(unique)
{
    const Qdrant__SparseVector *sparse = (const void *)message;
    size_t n = sparse->n_indices;
    uint32_t *sorted;
    bool rising = true, repeated = false;

    (void)rule;
    (void)field;
    (void)rest;
    for (size_t i = 1; i < n && rising; i++)
        rising = sparse->indices[i - 1] < sparse->indices[i];
    if (rising)
        return false;
    sorted = malloc(n * sizeof *sorted);
    if (sorted == NULL) {
        say(ret, "not enough memory to check the indices");
        return true;
    }
    memcpy(sorted, sparse->indices, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_number);
    for (size_t i = 1; i < n && !repeated; i++)
        repeated = sorted[i - 1] == sorted[i];
    free(sorted);
    if (repeated)
        say(ret, "Validation error: must be unique [{}]");
    return repeated;
}

KIND(as_many_values)
{
    const Qdrant__SparseVector *sparse = (const void *)message;

    (void)rule;
    (void)field;
    (void)rest;
    if (sparse->n_values == sparse->n_indices)
        return false;
    say(ret, "Validation error: must be the same length as indices [{}]");
    return true;
}

KIND(sparse_datatype)
{
    (void)rest;
    (void)rule;
    if (!present(field, message) || whole(field, message) != QDRANT__DATATYPE__Turbo4)
        return false;
    say(ret, "Validation error: sparse vectors do not support the `turbo4` datatype [{}]");
    return true;
}

KIND(equal_rows)
{
    const Qdrant__MultiDenseVector *multi = (const void *)message;
    size_t rows = multi->n_vectors, size = rows != 0 ? multi->vectors[0]->n_data : 0;

    (void)rule;
    (void)field;
    (void)rest;
    if (rows == 0) {
        say(ret, "multi vector must not be empty");
        return true;
    }
    for (size_t i = 0; i < rows; i++)
        if (multi->vectors[i]->n_data == 0) {
            say(ret, "all vectors must be non-empty");
            return true;
        }
    for (size_t i = 1; i < rows; i++)
        if (multi->vectors[i]->n_data != size) {
            say(ret,
                "all vectors must have the same dimension, found vector with dimension %zu, expected %zu",
                multi->vectors[i]->n_data, size);
            return true;
        }
    if (rows > (1u << 20) / size) {
        say(ret, "total multi vector size must be less than 1048576");
        return true;
    }
    return false;
}

KIND(any_example)
{
    const Qdrant__RecommendInput *input;

    (void)rule;
    (void)rest;
    if (!present(field, message))
        return false;
    input = *(const Qdrant__RecommendInput *const *)member(field, message);
    if (input->n_positive != 0 || input->n_negative != 0)
        return false;
    ret->below = ".positives, negatives";
    say(ret, "Validation error: At least one positive or negative vector/id must be provided [{}]");
    return true;
}

KIND(any_condition)
{
    const Qdrant__FieldCondition *c;

    (void)rule;
    if (!present(field, message))
        return false;
    c = *(const Qdrant__FieldCondition *const *)member(field, message);
    if (c->match || c->range || c->geo_bounding_box || c->geo_radius || c->values_count || c->geo_polygon ||
        c->datetime_range || c->has_is_empty || c->has_is_null)
        return false;
    ret->below = rest ? ".__all__" : ".match";
    say(ret, "Validation error: At least one field condition must be specified [{}]");
    return true;
}

KIND(positive_count)
{
    (void)rule;
    (void)rest;
    if (whole(field, message) != 0)
        return false;
    say(ret, "min_count must be greater than 0");
    return true;
}

KIND(slice_index)
{
    const Qdrant__SliceCondition *slice;

    (void)rule;
    (void)rest;
    if (!present(field, message))
        return false;
    slice = *(const Qdrant__SliceCondition *const *)member(field, message);
    if (slice->total == 0 || slice->index < slice->total)
        return false;
    ret->below = ".index";
    say(ret, "index must be less than total");
    return true;
}

#define ROOT(message, rest)
#define NAME(message, field, grpc, rest)
#define RULE(message, field_name, kind, least, most)                                                         \
    {.type = &message##__descriptor, .field = #field_name, .low = least, .high = most, .breaks = kind},
#define NEEDED(message, field_name, kind, least, most)                                                       \
    {.type = &message##__descriptor,                                                                         \
     .field = #field_name,                                                                                   \
     .needed = true,                                                                                         \
     .low = least,                                                                                           \
     .high = most,                                                                                           \
     .breaks = kind},
const struct vex_rule vex_rules[] = {
#include "api/qdrant/rules.def"
};
#undef RULE
#undef NEEDED
#undef NAME
#define RULE(message, field, kind, low, high)
#define NEEDED(message, field, kind, low, high)
#define NAME(message, field_name, in_grpc, in_rest)                                                          \
    {.type = &message##__descriptor, .field = #field_name, .grpc = in_grpc, .rest = in_rest},
const struct vex_rule_name vex_rule_names[] = {
#include "api/qdrant/rules.def"
};
#undef NAME
#undef ROOT
#define NAME(message, field, grpc, rest)
#define ROOT(message, in_rest) {.type = &message##__descriptor, .rest = in_rest},
const struct vex_rule_root vex_rule_roots[] = {
#include "api/qdrant/rules.def"
};

const size_t vex_rule_count = sizeof vex_rules / sizeof *vex_rules;
const size_t vex_rule_name_count = sizeof vex_rule_names / sizeof *vex_rule_names;
const size_t vex_rule_root_count = sizeof vex_rule_roots / sizeof *vex_rule_roots;
