/* Strict mode: limits that a collection's owner has set on requests. Off unless the document says otherwise,
 * which is found out without unpacking it: this stands on the way of every request. */
#include "api/qdrant/qdrant.h"

#include <inttypes.h>

#define STRICT_FIELD 6 /* of CollectionConfig */

/* Bytes of the document's strict mode; empty: none. The document is our own packing: known wire types only.
 */
static struct vex_str find_strict(struct vex_str doc)
{
    const uint8_t *at = (const uint8_t *)doc.ptr, *end = at + doc.len;

    while (at < end) {
        uint64_t len = 0;
        unsigned shift = 0;
        uint8_t key = *at++;

        if ((key & 7) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || key >= 0x80)
            break;
        while (at < end && shift < 63) {
            len |= (uint64_t)(*at & 0x7f) << shift;
            shift += 7;
            if (*at++ < 0x80)
                break;
        }
        if (len > (uint64_t)(end - at))
            break;
        if (key >> 3 == STRICT_FIELD)
            return vex_str((const char *)at, (size_t)len);
        at += len;
    }
    return vex_str(NULL, 0);
}

static int exceeded(struct vex_call *call, uint64_t value, uint64_t most, const char *name)
{
    return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                       "Limit exceeded %" PRIu64 " > %" PRIu64
                       " for \"%s\". Help: Reduce the \"%s\" parameter to or "
                       "below %" PRIu64 ".",
                       value, most, name, name, most);
}

static int check(struct vex_call *call, const Qdrant__StrictModeConfig *strict,
                 const struct vex_strict_question *q)
{
    if (!strict->enabled)
        return 0;
    if (q->has_limit && strict->has_max_query_limit && q->limit > strict->max_query_limit)
        return exceeded(call, q->limit, strict->max_query_limit, "limit");
    if (q->has_timeout && strict->has_max_timeout && q->timeout > strict->max_timeout)
        return exceeded(call, q->timeout, strict->max_timeout, "timeout");
    if (q->has_ef && strict->has_search_max_hnsw_ef && q->ef > strict->search_max_hnsw_ef)
        return exceeded(call, q->ef, strict->search_max_hnsw_ef, "hnsw_ef");
    if (q->has_upsert && strict->has_upsert_max_batchsize && q->upsert > strict->upsert_max_batchsize)
        return exceeded(call, q->upsert, strict->upsert_max_batchsize, "upsert limit");
    if (q->has_batch && strict->has_search_max_batchsize && q->batch > strict->search_max_batchsize)
        return exceeded(call, q->batch, strict->search_max_batchsize, "search batch limit");
    if (q->has_exact && q->exact && strict->has_search_allow_exact && !strict->search_allow_exact)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Exact search is disabled!. Help: Set \"exact\" to false to be able to search.");
    return 0;
}

int vex_strict_check(struct vex_call *call, struct vex_collection *collection,
                     const struct vex_strict_question *question)
{
    struct vex_config *config = vex_collection_config(collection);
    struct vex_str bytes = find_strict(config->docs[VEX_DOC_QDRANT]);
    Qdrant__StrictModeConfig *strict;
    int code = 0;

    if (bytes.len != 0) {
        strict = (Qdrant__StrictModeConfig *)(void *)vex_rpc_unpack(
            &call->arena, &qdrant__strict_mode_config__descriptor, bytes);
        code = strict != NULL ? check(call, strict, question)
                              : vex_err_set(&call->err, VEX_ECORRUPT, "the stored strict mode can't be read");
    }
    vex_config_unref(config);
    return code;
}
