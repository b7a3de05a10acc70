/* The limit of payload indexes, out of a collection's stored configuration. See index_limit.h. */
#include "api/qdrant/index_limit.h"

#include "api/qdrant/qdrant.h"

uint32_t vex_qdrant_index_limit(const struct vex_config *config)
{
    struct vex_str bytes = config->docs[VEX_DOC_QDRANT];
    const Qdrant__StrictModeConfig *strict;
    Qdrant__CollectionConfig *doc;
    struct vex_arena arena;
    uint32_t limit = UINT32_MAX;

    if (bytes.len == 0)
        return limit;
    vex_arena_init(&arena, 0);
    doc = (Qdrant__CollectionConfig *)(void *)vex_rpc_unpack(&arena, &qdrant__collection_config__descriptor,
                                                             bytes);
    strict = doc != NULL ? doc->strict_mode_config : NULL;
    if (doc == NULL)
        limit = 0;
    else if (strict != NULL && strict->enabled && strict->has_max_payload_index_count &&
             strict->max_payload_index_count < limit)
        limit = (uint32_t)strict->max_payload_index_count;
    vex_arena_done(&arena);
    return limit;
}
