/* Handlers of aliases. */
#include "api/qdrant/qdrant.h"

static int lower_action(struct vex_call *call, const Qdrant__AliasOperations *in,
                        struct vex_alias_action *ret)
{
    switch (in->action_case) {
    case QDRANT__ALIAS_OPERATIONS__ACTION_CREATE_ALIAS:
        ret->kind = VEX_ALIAS_CREATE;
        ret->alias = vex_str_c(in->create_alias->alias_name);
        ret->collection = vex_str_c(in->create_alias->collection_name);
        return 0;
    case QDRANT__ALIAS_OPERATIONS__ACTION_DELETE_ALIAS:
        ret->kind = VEX_ALIAS_DELETE;
        ret->alias = vex_str_c(in->delete_alias->alias_name);
        return 0;
    case QDRANT__ALIAS_OPERATIONS__ACTION_RENAME_ALIAS:
        ret->kind = VEX_ALIAS_RENAME;
        ret->alias = vex_str_c(in->rename_alias->old_alias_name);
        ret->to = vex_str_c(in->rename_alias->new_alias_name);
        return 0;
    default:
        return vex_qdrant_malformed(call, "Malformed AliasOperation type");
    }
}

int vex_qdrant_update_aliases(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__ChangeAliases *in = call->request;
    Qdrant__CollectionOperationResponse *out = call->response;
    struct vex_alias_action *actions =
        VEX_ARENA_ARRAY(&call->arena, struct vex_alias_action, in->n_actions + 1);
    int code = 0;

    for (size_t i = 0; code == 0 && i < in->n_actions; i++)
        code = lower_action(call, in->actions[i], &actions[i]);
    if (code == 0)
        code = vex_engine_change_aliases(service->engine, actions, (uint32_t)in->n_actions, &call->err);
    if (code < 0)
        return code;
    out->has_result = out->result = true;
    return 0;
}

static int lift_aliases(struct vex_service *service, struct vex_call *call, struct vex_collection *collection)
{
    Qdrant__ListAliasesResponse *out = call->response;
    struct vex_alias *aliases;
    uint32_t count = vex_engine_aliases(service->engine, collection, &call->arena, &aliases);

    out->aliases = VEX_ARENA_ARRAY(&call->arena, Qdrant__AliasDescription *, count + 1);
    out->n_aliases = count;
    for (uint32_t i = 0; i < count; i++) {
        struct vex_alias *a = &aliases[i];

        out->aliases[i] = VEX_MESSAGE(call, Qdrant__AliasDescription, qdrant__alias_description__descriptor);
        out->aliases[i]->alias_name = vex_arena_strndup(&call->arena, a->alias.ptr, a->alias.len);
        out->aliases[i]->collection_name =
            vex_arena_strndup(&call->arena, a->collection.ptr, a->collection.len);
    }
    return 0;
}

int vex_qdrant_list_aliases(struct vex_service *service, struct vex_call *call)
{
    return lift_aliases(service, call, NULL);
}

int vex_qdrant_collection_aliases(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__ListCollectionAliasesRequest *in = call->request;
    struct vex_collection *collection;
    int code = vex_qdrant_find(call, in->collection_name, &collection);

    if (code < 0)
        return code;
    code = lift_aliases(service, call, collection);
    vex_collection_unref(collection);
    return code;
}
