/* Lookups of the Chroma dialect: a collection by its path, the vector that holds its embeddings. */
#include "api/chroma/internal.h"

#include "base/text.h"

int vex_chroma_find(struct vex_service *service, const struct vex_chroma_path *path,
                    struct vex_collection **ret, struct vex_err *err)
{
    struct vex_collection_info info;
    struct vex_arena arena;
    uint8_t uuid[16];
    int rc;

    if (!vex_uuid_parse(path->collection, uuid))
        return vex_err_set(err, VEX_EBAD_INPUT, "Collection ID is not a valid UUIDv4");
    rc = vex_engine_find_uuid(service->engine, uuid, ret, err);
    if (rc == 0) {
        vex_arena_init(&arena, 0);
        vex_collection_info(*ret, &arena, &info);
        if (!vex_str_eq(info.tenant, path->tenant) || !vex_str_eq(info.database, path->database))
            rc = VEX_ENOT_FOUND;
        vex_config_unref(info.config);
        vex_arena_done(&arena);
        if (rc < 0)
            vex_collection_unref(*ret);
    }
    if (rc == VEX_ENOT_FOUND)
        return vex_err_set(err, rc, "Collection [" VEX_STR_FMT "] does not exist.",
                           VEX_STR_ARG(path->collection));
    return rc;
}

int vex_chroma_find_name(struct vex_service *service, const struct vex_chroma_path *path,
                         struct vex_collection **ret, struct vex_err *err)
{
    int rc = vex_engine_find_in(service->engine, path->tenant, path->database, path->collection, ret, err);

    if (rc == VEX_ENOT_FOUND)
        return vex_err_set(err, rc, "Collection [" VEX_STR_FMT "] does not exist",
                           VEX_STR_ARG(path->collection));
    return rc;
}

int vex_chroma_embedding(const struct vex_config *config, const struct vex_vector_params **ret,
                         struct vex_err *err)
{
    *ret = vex_config_vector(config, VEX_STR(""));
    if (*ret == NULL)
        return vex_err_set(
            err, VEX_EBAD_INPUT,
            "The collection has only named vectors; embeddings need the default (unnamed) vector");
    if ((*ret)->kind != VEX_VECTOR_DENSE)
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "The collection's default vector is not a single dense vector");
    return 0;
}
