/* Rules: walks a request along a plan made once from rules.def, and words what it finds.
 *
 * Role      A plan holds, for one message type, only the fields that have a rule or lead to one; types
 *           without any have no plan. So payloads and dense vectors, the bulk of a write, are never
 *           walked. A path is spelled out only for a field that breaks a rule.
 * Lock      Plans are made once (pthread_once) and read-only afterwards.
 * Invariant Fields are looked at in the order of the schema, whatever the order of rules.def. */
#include "api/qdrant/rules.h"

#include <pthread.h>
#include <stdio.h>

#include "api/qdrant/rules_private.h"
#include "base/mem.h"

#define ERRORS_MAX     16
#define PATH_MAX_BYTES 512

struct field_plan {
    const ProtobufCFieldDescriptor *field;
    const struct vex_rule *rules[3]; /* NULL-terminated unless full */
    const struct plan *child;
    const char *grpc, *rest; /* names in paths */
};

struct plan {
    const ProtobufCMessageDescriptor *type;
    bool useful, visited;
    size_t count;
    struct field_plan *fields;
};

static struct plan *plans[512];
static size_t plan_count;

/* One part of the path to where a walk is; lies on the stack of its level. */
struct step {
    const struct step *above; /* NULL: the first */
    const char *name;
    bool list;
    size_t index;
};

struct walk {
    bool rest;
    struct vex_buf errors;
    unsigned count;
    bool path_parameter; /* the first broken rule is one of collection_name */
};

static struct plan *make_plan(const ProtobufCMessageDescriptor *type);

static void name_field(struct field_plan *plan, const ProtobufCMessageDescriptor *type)
{
    plan->grpc = plan->rest = plan->field->name;
    for (size_t i = 0; i < vex_rule_name_count; i++) {
        const struct vex_rule_name *name = &vex_rule_names[i];

        if (name->type == type && strcmp(name->field, plan->field->name) == 0) {
            plan->grpc = name->grpc;
            plan->rest = name->rest;
        }
    }
}

static void add_rules(struct field_plan *plan, const ProtobufCMessageDescriptor *type)
{
    size_t n = 0;

    for (size_t i = 0; i < vex_rule_count && n < sizeof plan->rules / sizeof *plan->rules; i++)
        if (vex_rules[i].type == type && strcmp(vex_rules[i].field, plan->field->name) == 0)
            plan->rules[n++] = &vex_rules[i];
}

/* Fields with rules, and fields of messages. */
static void fill_plan(struct plan *plan)
{
    const ProtobufCMessageDescriptor *type = plan->type;

    plan->fields = vex_mem_zalloc((type->n_fields + 1) * sizeof *plan->fields);
    for (unsigned i = 0; i < type->n_fields; i++) {
        struct field_plan *field = &plan->fields[plan->count];

        *field = (struct field_plan){.field = &type->fields[i]};
        add_rules(field, type);
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            field->child = make_plan(type->fields[i].descriptor);
        if (field->rules[0] == NULL && field->child == NULL)
            continue;
        name_field(field, type);
        plan->count++;
    }
}

static struct plan *make_plan(const ProtobufCMessageDescriptor *type)
{
    struct plan *plan;

    for (size_t i = 0; i < plan_count; i++)
        if (plans[i]->type == type)
            return plans[i];
    plan = VEX_NEW(struct plan);
    plan->type = type;
    plans[plan_count++] = plan; /* before its fields: types contain themselves */
    fill_plan(plan);
    return plan;
}

/* Types contain themselves, so which plans lead to a rule is found by repetition. */
static bool mark_useful(void)
{
    bool changed = false;

    for (size_t i = 0; i < plan_count; i++)
        for (size_t j = 0; j < plans[i]->count && !plans[i]->useful; j++) {
            const struct field_plan *field = &plans[i]->fields[j];

            plans[i]->useful = field->rules[0] != NULL || (field->child != NULL && field->child->useful);
            changed |= plans[i]->useful;
        }
    return changed;
}

static void drop_useless(struct plan *plan)
{
    size_t kept = 0;

    for (size_t i = 0; i < plan->count; i++) {
        struct field_plan field = plan->fields[i];

        if (field.child != NULL && !field.child->useful)
            field.child = NULL;
        if (field.rules[0] != NULL || field.child != NULL)
            plan->fields[kept++] = field;
    }
    plan->count = kept;
}

static void make_plans(void)
{
    for (uint32_t i = 0; i < vex_rpc_count; i++)
        make_plan(vex_rpcs[i].request);
    while (mark_useful())
        ;
    for (size_t i = 0; i < plan_count; i++)
        drop_useless(plans[i]);
}

struct path {
    size_t len;
    char text[PATH_MAX_BYTES];
};

static void add_step(struct path *path, const struct step *step)
{
    size_t room = sizeof path->text - path->len;
    const char *dot = path->len != 0 ? "." : "";
    char *at = path->text + path->len;
    int n;

    if (*step->name == '\0')
        n = step->list ? snprintf(at, room, "[%zu]", step->index) : 0;
    else if (step->list && strcmp(step->name, "?") != 0)
        n = snprintf(at, room, "%s%s[%zu]", dot, step->name, step->index);
    else
        n = snprintf(at, room, "%s%s", dot, step->name);
    if (n > 0)
        path->len = (size_t)n < room ? path->len + (size_t)n : sizeof path->text - 1;
}

static void spell(struct path *path, const struct step *step)
{
    if (step == NULL)
        return;
    spell(path, step->above);
    add_step(path, step);
}

static void add_error(struct walk *w, const struct step *step, const struct vex_rule_finding *finding)
{
    struct path path = {0};

    spell(&path, step);
    if (w->count++ == 0)
        w->path_parameter = w->rest && strcmp(path.text, "collection_name") == 0;
    vex_buf_printf(&w->errors, "%s%s%s: %s", w->count > 1 ? "; " : "", path.text, finding->below,
                   finding->text);
}

static void apply_rules(struct walk *w, const struct field_plan *plan, const ProtobufCMessage *message,
                        const struct step *step)
{
    for (size_t i = 0; i < sizeof plan->rules / sizeof *plan->rules && plan->rules[i] != NULL; i++) {
        const struct vex_rule *rule = plan->rules[i];
        struct vex_rule_finding finding;

        finding.below = "";
        if (w->count < ERRORS_MAX && rule->breaks(rule, plan->field, message, w->rest, &finding))
            add_error(w, step, &finding);
    }
}

static void walk_message(struct walk *w, const struct plan *plan, const ProtobufCMessage *message,
                         const struct step *above);

/* A list, a message, or the member of a oneof that is set. */
static void walk_children(struct walk *w, const struct field_plan *plan, const ProtobufCMessage *message,
                          struct step *step)
{
    const char *at = (const char *)message + plan->field->offset;

    if (plan->field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)(const void *)((const char *)message + plan->field->quantifier_offset);
        ProtobufCMessage *const *list = *(ProtobufCMessage *const *const *)(const void *)at;

        step->list = true;
        for (size_t i = 0; i < n && w->count < ERRORS_MAX; i++) {
            step->index = i;
            walk_message(w, plan->child, list[i], step);
        }
        return;
    }
    if ((plan->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)((const char *)message + plan->field->quantifier_offset) !=
            plan->field->id)
        return;
    if (*(ProtobufCMessage *const *)(const void *)at != NULL)
        walk_message(w, plan->child, *(ProtobufCMessage *const *)(const void *)at, step);
}

static void walk_field(struct walk *w, const struct field_plan *field, const ProtobufCMessage *message,
                       const struct step *above)
{
    struct step step = {.above = above, .name = w->rest ? field->rest : field->grpc};

    apply_rules(w, field, message, &step);
    if (field->child != NULL)
        walk_children(w, field, message, &step);
}

static void walk_message(struct walk *w, const struct plan *plan, const ProtobufCMessage *message,
                         const struct step *above)
{
    for (size_t i = 0; i < plan->count; i++)
        walk_field(w, &plan->fields[i], message, above);
}

/* REST bodies of some requests are named in paths; the collection's name is in none of them. */
static const char *rest_root(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < vex_rule_root_count; i++)
        if (vex_rule_roots[i].type == type)
            return vex_rule_roots[i].rest;
    return "";
}

static void walk_request(struct walk *w, const struct plan *plan, const ProtobufCMessage *request)
{
    struct step root = {.name = w->rest ? rest_root(plan->type) : ""};

    for (size_t i = 0; i < plan->count; i++) {
        bool in_path = strcmp(plan->fields[i].field->name, "collection_name") == 0;

        walk_field(w, &plan->fields[i], request, in_path ? NULL : &root);
    }
}

static const struct plan *plan_of(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < plan_count; i++)
        if (plans[i]->type == type)
            return plans[i];
    return NULL;
}

int vex_rules_check(const struct vex_rpc *rpc, const ProtobufCMessage *request, bool rest,
                    struct vex_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const struct plan *by_rpc[64];
    struct walk w = {.rest = rest};
    const struct plan *plan;
    int code;

    pthread_once(&once, make_plans);
    plan = __atomic_load_n(&by_rpc[rpc - vex_rpcs], __ATOMIC_RELAXED);
    if (plan == NULL) {
        plan = plan_of(rpc->request);
        __atomic_store_n(&by_rpc[rpc - vex_rpcs], plan, __ATOMIC_RELAXED);
    }
    vex_buf_init(&w.errors, NULL);
    walk_request(&w, plan, request);
    if (w.count == 0) {
        vex_buf_done(&w.errors);
        return 0;
    }
    code = vex_err_set(err, VEX_EVALIDATION, "%s: [%.*s]",
                       w.path_parameter ? "path parameters"
                       : rest           ? "JSON body"
                                        : "body",
                       (int)w.errors.len, w.errors.ptr);
    vex_buf_done(&w.errors);
    return code;
}
