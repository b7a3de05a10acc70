/* Metadata of a collection: a map of values inside a packed document. REST carries it raw; here it becomes
 * messages and back. */
#include "api/qdrant/qdrant.h"

int vex_qdrant_plain_metadata(struct vex_call *call, size_t *count, void ***entries)
{
    Qdrant__CollectionConfig__MetadataEntry **in =
        (Qdrant__CollectionConfig__MetadataEntry **)(void *)*entries;
    Qdrant__CollectionConfig *parsed;
    struct vex_buf out;

    if (*count != 1 || in[0]->key != vex_raw_key)
        return 0;
    vex_buf_init(&out, &call->arena);
    vex_lift_payload_bytes(&out, vex_raw_of(in[0]->value), 7);
    parsed = (Qdrant__CollectionConfig *)(void *)vex_rpc_unpack(
        &call->arena, &qdrant__collection_config__descriptor, vex_buf_str(&out));
    if (parsed == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "metadata is too large");
    *count = parsed->n_metadata;
    *entries = (void **)(void *)parsed->metadata;
    return 0;
}
