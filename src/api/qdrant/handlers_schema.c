/* Handlers of payload indexes and of vectors added by name: changes of the configuration that also are
 * operations on points, because they take operation numbers. With the peer such a change takes two; the
 * second is told. */
#include "api/qdrant/strict.h"
#include "engine/index_set.h"

struct change {
    struct vex_call *call;
    int (*apply)(struct change *change, struct vex_config *config);
    /* Strict mode's own objection; NULL: none. */
    int (*check)(struct change *change, const struct vex_strict *strict);
};

static int change_config(void *arg, struct vex_config *config, struct vex_err *err)
{
    struct change *change = arg;
    int code = change->apply(change, config);

    if (code < 0 && err != &change->call->err)
        *err = change->call->err;
    return code;
}

static int check_strict(struct change *change, struct vex_collection *collection, bool has_timeout,
                        uint64_t timeout)
{
    struct vex_call *call = change->call;
    struct vex_strict strict;
    int code = vex_strict_open(call, collection, &strict);

    if (code == 0)
        code = vex_strict_timeout(call, &strict, has_timeout, timeout);
    if (code == 0 && change->check != NULL)
        code = change->check(change, &strict);
    if (code == 0)
        code = vex_strict_consume(call, &strict, VEX_RATE_WRITE, 1);
    vex_strict_done(&strict);
    return code;
}

/* What was changed is complete when its indexes are. A time that is up is not an error: the answer says so. */
static int wait_built(struct vex_call *call, struct vex_collection *collection, bool has_timeout,
                      uint64_t timeout)
{
    uint64_t deadline = has_timeout && timeout < UINT32_MAX ? call->started_ns + timeout * 1000000000u : 0;
    int code = vex_collection_wait_indexes(collection, deadline, &call->err);

    return code == VEX_ETIMEOUT ? 0 : code;
}

static int alter(struct vex_service *service, struct change *change, const char *collection_name, bool wait,
                 bool has_timeout, uint64_t timeout)
{
    struct vex_call *call = change->call;
    struct vex_collection *collection;
    struct vex_op *ops;
    int code = vex_qdrant_find(call, collection_name, &collection);

    if (code < 0)
        return code;
    code = check_strict(change, collection, has_timeout, timeout);
    if (code == 0)
        code = vex_engine_alter(service->engine, collection, VEX_STR(""), change_config, change, &call->err);
    if (code == 0 && wait)
        code = wait_built(call, collection, has_timeout, timeout);
    if (code == 0) {
        ops = VEX_ARENA_ARRAY(&call->arena, struct vex_op, 2);
        ops[0].kind = ops[1].kind = VEX_OP_NOP;
        code = vex_qdrant_submit(service, call, collection, ops, 2, wait, has_timeout, timeout);
    }
    vex_collection_unref(collection);
    return code;
}

/* ---- payload indexes ---- */

struct create_index {
    struct change change;
    struct vex_index_params params;
};

static int apply_create_index(struct change *change, struct vex_config *config)
{
    vex_config_set_index(config, &VEX_CONTAINER_OF(change, struct create_index, change)->params);
    return 0;
}

static int check_create_index(struct change *change, const struct vex_strict *strict)
{
    return vex_strict_create_index(change->call, strict,
                                   VEX_CONTAINER_OF(change, struct create_index, change)->params.field);
}

int vex_qdrant_create_index(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__CreateFieldIndexCollection *in = call->request;
    struct create_index create = {
        .change = {.call = call, .apply = apply_create_index, .check = check_create_index}};
    int code = vex_lower_index(call, in, &create.params);

    if (code < 0)
        return code;
    return alter(service, &create.change, in->collection_name, in->wait, in->has_timeout, in->timeout);
}

struct named_change {
    struct change change;
    struct vex_str name;
    const Qdrant__CreateVectorNameRequest *create;
};

static int apply_delete_index(struct change *change, struct vex_config *config)
{
    vex_config_remove_index(config, VEX_CONTAINER_OF(change, struct named_change, change)->name);
    return 0;
}

int vex_qdrant_delete_index(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__DeleteFieldIndexCollection *in = call->request;
    struct named_change change = {.change = {.call = call, .apply = apply_delete_index},
                                  .name = vex_str_c(in->field_name)};

    return alter(service, &change.change, in->collection_name, in->wait, in->has_timeout, in->timeout);
}

/* ---- vectors by name ---- */

static int lower_new_dense(struct vex_call *call, const Qdrant__DenseVectorCreationConfig *in,
                           struct vex_vector_params *ret)
{
    int code;

    ret->kind = in->multivector_config != NULL ? VEX_VECTOR_MULTI : VEX_VECTOR_DENSE;
    ret->size = (uint32_t)in->size;
    code = vex_lower_distance(call, in->has_distance ? (int)in->distance : 0, &ret->distance);
    return code < 0 ? code : vex_lower_datatype(call, in->has_datatype, (int)in->datatype, &ret->element);
}

static void remember_dense(struct vex_call *call, const Qdrant__DenseVectorCreationConfig *in,
                           struct vex_str name, Qdrant__CollectionConfig *doc)
{
    Qdrant__VectorParams *params;

    if (doc->params == NULL)
        doc->params = VEX_MESSAGE(call, Qdrant__CollectionParams, qdrant__collection_params__descriptor);
    params = vex_doc_vector(call, doc, name);
    params->has_datatype = in->has_datatype;
    params->datatype = in->datatype;
    params->multivector_config = in->multivector_config;
}

static bool same_vector(const struct vex_vector_params *a, const struct vex_vector_params *b)
{
    return a->kind == b->kind && a->size == b->size && a->distance == b->distance &&
           a->element == b->element && a->idf == b->idf;
}

static int apply_create_vector(struct change *change, struct vex_config *config)
{
    struct named_change *c = VEX_CONTAINER_OF(change, struct named_change, change);
    const Qdrant__CreateVectorNameRequest *in = c->create;
    struct vex_vector_params params = {
        .name = c->name, .kind = VEX_VECTOR_SPARSE, .distance = VEX_DISTANCE_DOT};
    bool dense = in->vector_config_case == QDRANT__CREATE_VECTOR_NAME_REQUEST__VECTOR_CONFIG_DENSE_CONFIG;
    const struct vex_vector_params *old = vex_config_vector(config, c->name);
    Qdrant__CollectionConfig *doc;
    int code = 0;

    if (dense)
        code = lower_new_dense(change->call, in->dense_config, &params);
    else
        params.idf = in->sparse_config->has_modifier && in->sparse_config->modifier == QDRANT__MODIFIER__Idf;
    if (code < 0)
        return code;
    if (old != NULL && same_vector(old, &params))
        return 0;
    if (old != NULL)
        return vex_err_set(&change->call->err, VEX_EBAD_INPUT,
                           "Vector with name " VEX_STR_FMT " already exists with a different configuration",
                           VEX_STR_ARG(c->name));
    if ((code = vex_config_add_vector(config, &params, &change->call->err)) < 0 ||
        (code = vex_qdrant_doc(change->call, config, &doc)) < 0)
        return code;
    if (dense)
        remember_dense(change->call, in->dense_config, c->name, doc);
    vex_qdrant_set_doc(change->call, config, doc);
    return 0;
}

int vex_qdrant_create_vector(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__CreateVectorNameRequest *in = call->request;
    struct named_change change = {.change = {.call = call, .apply = apply_create_vector},
                                  .name = vex_str_c(in->vector_name),
                                  .create = in};

    if (in->vector_config_case != QDRANT__CREATE_VECTOR_NAME_REQUEST__VECTOR_CONFIG_DENSE_CONFIG &&
        in->vector_config_case != QDRANT__CREATE_VECTOR_NAME_REQUEST__VECTOR_CONFIG_SPARSE_CONFIG)
        return vex_qdrant_malformed(call, "vector_config is missing");
    return alter(service, &change.change, in->collection_name, in->wait, in->has_timeout, in->timeout);
}

/* A vector of the same name made later gets another ordinal, so nothing of the old data can be taken for its
 * own. */
static int apply_delete_vector(struct change *change, struct vex_config *config)
{
    struct vex_str name = VEX_CONTAINER_OF(change, struct named_change, change)->name;
    Qdrant__CollectionConfig *doc;
    uint32_t kept = 0;
    int code;

    if (vex_config_vector(config, name) == NULL)
        return vex_err_set(&change->call->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                           VEX_STR_ARG(name));
    code = vex_qdrant_doc(change->call, config, &doc);
    if (code < 0)
        return code;
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (!vex_str_eq(config->vectors[i].name, name))
            config->vectors[kept++] = config->vectors[i];
    config->vector_count = kept;
    vex_doc_remove_vector(doc, name);
    vex_qdrant_set_doc(change->call, config, doc);
    return 0;
}

int vex_qdrant_delete_vector(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__DeleteVectorNameRequest *in = call->request;
    struct named_change change = {.change = {.call = call, .apply = apply_delete_vector},
                                  .name = vex_str_c(in->vector_name)};

    return alter(service, &change.change, in->collection_name, in->wait, in->has_timeout, in->timeout);
}
