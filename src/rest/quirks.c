/* Plans of reading, made once from the descriptors of all requests and quirks.def. */
#include "rest/quirks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rest/quirks_hooks.h"

#include "qdrant_collections.pb-c.h"
#include "qdrant_points.pb-c.h"
#include "qdrant_query.pb-c.h"
#include "qdrant_snapshots.pb-c.h"

#define PLANS_MAX 512 /* a power of two, well above the number of message types */

enum quirk_kind {
    Q_EVERYWHERE,
    Q_ENVELOPE,
    Q_RENAME,
    Q_FLAG,
    Q_WRAPPED,
    Q_DENY,
    Q_NEEDS,
    Q_READ,
    Q_FIELD,
    Q_EXTRA,
    Q_ENUM_AS_IS,
    Q_ENUM_NAMELESS
};

struct quirk {
    enum quirk_kind kind;
    const void *type; /* descriptor of a message or of an enumeration; NULL: every message */
    const char *field, *key, *alias;
    vex_jp_read_fn *read;
    unsigned flag;
};

#define EVERYWHERE(field_name, json, other)                                                                  \
    {.kind = Q_EVERYWHERE, .field = #field_name, .key = json, .alias = other},
#define ENVELOPE(field_name) {.kind = Q_ENVELOPE, .field = #field_name},
#define RENAME(message, field_name, json, other)                                                             \
    {.kind = Q_RENAME, .type = &message##__descriptor, .field = #field_name, .key = json, .alias = other},
#define FLAG(message, field_name, name)                                                                      \
    {.kind = Q_FLAG, .type = &message##__descriptor, .field = #field_name, .flag = VEX_JP_##name},
#define WRAPPED(message, field_name)                                                                         \
    {.kind = Q_WRAPPED, .type = &message##__descriptor, .field = #field_name},
#define DENY(message)        {.kind = Q_DENY, .type = &message##__descriptor},
#define NEEDS(message, name) {.kind = Q_NEEDS, .type = &message##__descriptor, .key = name},
#define READ(message, hook)  {.kind = Q_READ, .type = &message##__descriptor, .read = vex_jp_read_##hook},
#define FIELD(message, field_name, hook)                                                                     \
    {.kind = Q_FIELD, .type = &message##__descriptor, .field = #field_name, .read = vex_jp_read_##hook},
#define EXTRA(message, json, other, hook)                                                                    \
    {.kind = Q_EXTRA,                                                                                        \
     .type = &message##__descriptor,                                                                         \
     .key = json,                                                                                            \
     .alias = other,                                                                                         \
     .read = vex_jp_read_##hook},
#define ENUM_AS_IS(enumeration)    {.kind = Q_ENUM_AS_IS, .type = &enumeration##__descriptor},
#define ENUM_NAMELESS(enumeration) {.kind = Q_ENUM_NAMELESS, .type = &enumeration##__descriptor},

static const struct quirk quirks[] = {
#include "rest/quirks.def"
};

#define QUIRK_COUNT (sizeof quirks / sizeof *quirks)

static struct vex_jp_message *plans[PLANS_MAX]; /* open addressing by descriptor */

static size_t slot_of(const ProtobufCMessageDescriptor *type)
{
    size_t at = ((uintptr_t)type >> 4) % PLANS_MAX;
    while (plans[at] != NULL && plans[at]->type != type)
        at = (at + 1) % PLANS_MAX;
    return at;
}

static bool is_envelope(const ProtobufCMessageDescriptor *type)
{
    for (uint32_t i = 0; i < vex_rpc_count; i++)
        if (vex_rpcs[i].request == type)
            return true;
    return false;
}

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    size_t len = field->type == PROTOBUF_C_TYPE_MESSAGE ? strlen(entry->name) : 0;
    return field->label == PROTOBUF_C_LABEL_REPEATED && len > 5 &&
           strcmp(entry->name + len - 5, "Entry") == 0 && entry->n_fields == 2 &&
           strcmp(entry->fields[0].name, "key") == 0 && strcmp(entry->fields[1].name, "value") == 0;
}

static void apply_to_field(const struct quirk *quirk, bool envelope, struct vex_jp_field *ret)
{
    switch (quirk->kind) {
    case Q_ENVELOPE:
        ret->flags |= envelope ? VEX_JP_HIDDEN : 0u;
        break;
    case Q_EVERYWHERE:
    case Q_RENAME:
        ret->key = vex_str_c(quirk->key);
        ret->alias = vex_str_c(quirk->alias);
        break;
    case Q_FLAG:
        ret->flags |= quirk->flag;
        break;
    case Q_FIELD:
        ret->read = quirk->read;
        break;
    default:
        break;
    }
}

static const struct vex_jp_message *plan_of(const ProtobufCMessageDescriptor *type);

static void plan_field(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                       bool envelope, struct vex_jp_field *ret)
{
    *ret = (struct vex_jp_field){.field = field, .key = vex_str_c(field->name)};
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        if ((quirks[i].type == NULL || quirks[i].type == type) && quirks[i].field != NULL &&
            strcmp(quirks[i].field, field->name) == 0)
            apply_to_field(&quirks[i], envelope, ret);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    const ProtobufCMessageDescriptor *child = field->descriptor;
    if (is_map(field)) {
        child = child->fields[1].descriptor;
        ret->flags |= child == &qdrant__value__descriptor ? VEX_JP_PAYLOAD : VEX_JP_MAP;
    }
    ret->child = plan_of(child);
}

static void apply_to_message(const struct quirk *quirk, struct vex_jp_message *plan)
{
    switch (quirk->kind) {
    case Q_WRAPPED:
        plan->wrapped = vex_jp_field_named(plan, quirk->field);
        break;
    case Q_DENY:
        plan->deny = true;
        break;
    case Q_NEEDS:
        plan->needs = quirk->key;
        break;
    case Q_READ:
        plan->read = quirk->read;
        break;
    case Q_EXTRA:
        plan->fields[plan->count++] = (struct vex_jp_field){
            .key = vex_str_c(quirk->key), .alias = vex_str_c(quirk->alias), .read = quirk->read};
        break;
    default: /* of fields and enumerations */
        break;
    }
}

static const struct vex_jp_message *plan_of(const ProtobufCMessageDescriptor *type)
{
    size_t at = slot_of(type);
    if (plans[at] != NULL)
        return plans[at];
    uint32_t extras = 0;
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        extras += quirks[i].kind == Q_EXTRA && quirks[i].type == type;
    struct vex_jp_message *plan = VEX_NEW(struct vex_jp_message);
    plan->type = type;
    plan->fields = vex_mem_zalloc((type->n_fields + extras + 1) * sizeof *plan->fields);
    plans[at] = plan; /* before its fields: types contain themselves */
    bool envelope = is_envelope(type);
    for (unsigned i = 0; i < type->n_fields; i++)
        plan_field(type, &type->fields[i], envelope, &plan->fields[plan->count++]);
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        if (quirks[i].type == type)
            apply_to_message(&quirks[i], plan);
    if (plan->count > VEX_JP_FIELDS_MAX)
        abort();
    return plan;
}

/* A row that names a field which the schema has not is a mistake of ours, seen at the first start. */
static void check_quirks(void)
{
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        if (quirks[i].type != NULL && quirks[i].field != NULL &&
            protobuf_c_message_descriptor_get_field_by_name(quirks[i].type, quirks[i].field) == NULL)
            abort();
}

static void make_plans(void)
{
    check_quirks();
    for (uint32_t i = 0; i < vex_rpc_count; i++)
        plan_of(vex_rpcs[i].request);
}

const struct vex_jp_message *vex_jp_plan(const ProtobufCMessageDescriptor *type)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_plans);
    size_t at = slot_of(type);
    if (plans[at] == NULL)
        abort(); /* no rpc leads to it */
    return plans[at];
}

const struct vex_jp_field *vex_jp_field_named(const struct vex_jp_message *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (plan->fields[i].field != NULL && strcmp(plan->fields[i].field->name, name) == 0)
            return &plan->fields[i];
    abort(); /* a name of ours */
}

/* ---- enumerations ---- */

#define ENUMS_MAX     64
#define ENUM_VALUES   16
#define ENUM_NAME_MAX 40

struct enum_plan {
    const ProtobufCEnumDescriptor *type;
    uint32_t count;
    struct {
        char text[ENUM_NAME_MAX];
        int number;
    } names[ENUM_VALUES];
};

static struct enum_plan enum_plans[ENUMS_MAX];
static uint32_t enum_count;

static bool has_quirk(const void *type, enum quirk_kind kind)
{
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        if (quirks[i].type == type && quirks[i].kind == kind)
            return true;
    return false;
}

/* OneAndHalfBits -> one_and_half_bits, RRF -> rrf, Scalar4Bits -> scalar4bits. */
static void snake(const char *name, char ret[ENUM_NAME_MAX])
{
    size_t n = 0;
    for (size_t i = 0; name[i] != '\0' && n + 2 < ENUM_NAME_MAX; i++) {
        bool upper = name[i] >= 'A' && name[i] <= 'Z';
        if (upper && i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z')
            ret[n++] = '_';
        ret[n++] = (char)(upper ? name[i] + ('a' - 'A') : name[i]);
    }
    ret[n] = '\0';
}

static void make_enum(const ProtobufCEnumDescriptor *type)
{
    struct enum_plan *plan = &enum_plans[enum_count++];
    bool as_is = has_quirk(type, Q_ENUM_AS_IS), nameless = has_quirk(type, Q_ENUM_NAMELESS);
    plan->type = type;
    for (unsigned i = 0; i < type->n_values && plan->count < ENUM_VALUES; i++) {
        const ProtobufCEnumValue *value = &type->values[i];
        if (nameless && value->value == 0)
            continue;
        if (as_is)
            strncpy(plan->names[plan->count].text, value->name, ENUM_NAME_MAX - 1);
        else
            snake(value->name, plan->names[plan->count].text);
        plan->names[plan->count++].number = value->value;
    }
}

static void make_enums(void)
{
    for (size_t p = 0; p < PLANS_MAX; p++)
        for (uint32_t i = 0; plans[p] != NULL && i < plans[p]->count; i++) {
            const ProtobufCFieldDescriptor *field = plans[p]->fields[i].field;
            if (field == NULL || field->type != PROTOBUF_C_TYPE_ENUM)
                continue;
            bool known = false;
            for (uint32_t e = 0; e < enum_count; e++)
                known |= enum_plans[e].type == field->descriptor;
            if (!known && enum_count == ENUMS_MAX)
                abort();
            if (!known)
                make_enum(field->descriptor);
        }
}

static const struct enum_plan *enum_of(const ProtobufCEnumDescriptor *type)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    vex_jp_plan(vex_rpcs[0].request);
    pthread_once(&once, make_enums);
    for (uint32_t i = 0; i < enum_count; i++)
        if (enum_plans[i].type == type)
            return &enum_plans[i];
    abort(); /* no message has it */
}

bool vex_jp_enum(const ProtobufCEnumDescriptor *type, struct vex_str name, int *ret)
{
    const struct enum_plan *plan = enum_of(type);
    for (uint32_t i = 0; i < plan->count; i++)
        if (vex_str_eq_c(name, plan->names[i].text)) {
            *ret = plan->names[i].number;
            return true;
        }
    return false;
}

struct vex_str vex_jp_enum_names(struct vex_arena *arena, const ProtobufCEnumDescriptor *type)
{
    const struct enum_plan *plan = enum_of(type);
    struct vex_buf out;
    vex_buf_init(&out, arena);
    for (uint32_t i = 0; i < plan->count; i++)
        vex_buf_printf(&out, "%s`%s`", i > 0 ? ", " : plan->count > 1 ? "one of " : "", plan->names[i].text);
    return vex_buf_str(&out);
}
