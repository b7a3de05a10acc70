/* Strict mode of reads, and how its settings are found. Off unless the document says otherwise, which is found out without
 * unpacking it: this stands on the way of every request. */
#include "api/qdrant/strict.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_write.h"

#define STRICT_FIELD 6 /* of CollectionConfig */

/* Bytes of the document's strict mode; empty: none. The document is our own packing: known wire types only. */
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

int vex_strict_open(struct vex_call *call, struct vex_collection *collection, struct vex_strict *ret)
{
    struct vex_config *config = vex_collection_config(collection);
    struct vex_str bytes = find_strict(config->docs[VEX_DOC_QDRANT]);
    Qdrant__StrictModeConfig *limits = NULL;
    int code = 0;

    *ret = (struct vex_strict){.collection = collection};
    if (bytes.len != 0) {
        limits = (Qdrant__StrictModeConfig *)(void *)vex_rpc_unpack(
            &call->arena, &qdrant__strict_mode_config__descriptor, bytes);
        if (limits == NULL)
            code = vex_err_set(&call->err, VEX_ECORRUPT, "the stored strict mode can't be read");
    }
    if (limits != NULL && limits->enabled) {
        ret->limits = limits;
        ret->config = config;
    } else {
        vex_config_unref(config);
    }
    return code;
}

void vex_strict_done(struct vex_strict *strict)
{
    if (strict->config != NULL)
        vex_config_unref(strict->config);
    strict->config = NULL;
}

/* ---- limits ---- */

static int exceeded(struct vex_call *call, bool limited, uint64_t value, uint64_t most, const char *name)
{
    if (!limited || value <= most)
        return 0;
    return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                       "Limit exceeded %" PRIu64 " > %" PRIu64
                       " for \"%s\". Help: Reduce the \"%s\" parameter to or "
                       "below %" PRIu64 ".",
                       value, most, name, name, most);
}

int vex_strict_timeout(struct vex_call *call, const struct vex_strict *strict, bool has_timeout,
                       uint64_t timeout)
{
    const Qdrant__StrictModeConfig *l = strict->limits;

    if (l == NULL || !has_timeout)
        return 0;
    return exceeded(call, l->has_max_timeout, timeout, l->max_timeout, "timeout");
}

int vex_strict_batch(struct vex_call *call, const struct vex_strict *strict, size_t count)
{
    const Qdrant__StrictModeConfig *l = strict->limits;

    return l == NULL ? 0
                     : exceeded(call, l->has_search_max_batchsize, count, l->search_max_batchsize,
                                "search batch size");
}

/* ---- searches ---- */

static int forbid_exact(struct vex_call *call)
{
    return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Exact search disabled!. Help: Set exact=false.");
}

static int check_oversampling(struct vex_call *call, const Qdrant__StrictModeConfig *l,
                              const Qdrant__QuantizationSearchParams *in)
{
    char value[40], most[40];
    double x, limit;

    if (!l->has_search_max_oversampling || in == NULL || !in->has_oversampling)
        return 0;
    x = in->oversampling;
    limit = (double)l->search_max_oversampling;
    if (x <= limit)
        return 0;
    value[vex_f64_text(value, x)] = '\0';
    most[vex_f64_text(most, limit)] = '\0';
    return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                       "Limit exceeded %s > %s for \"oversampling\". Help: Reduce the \"oversampling\" "
                       "parameter to or below %s.",
                       value, most, most);
}

static int check_params(struct vex_call *call, const struct vex_strict *strict,
                        const Qdrant__SearchParams *params)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    const Qdrant__Filter *corpus;
    int code;

    if (params == NULL)
        return 0;
    corpus = params->idf != NULL ? params->idf->corpus : NULL;
    if ((code = check_oversampling(call, l, params->quantization)) < 0 ||
        (code = exceeded(call, l->has_search_max_hnsw_ef && params->has_hnsw_ef, params->hnsw_ef,
                         l->search_max_hnsw_ef, "hnsw_ef")) < 0)
        return code;
    if (params->has_exact && params->exact && l->has_search_allow_exact && !l->search_allow_exact)
        return forbid_exact(call);
    return vex_strict_filter(call, strict, corpus,
                             !l->has_unindexed_filtering_retrieve || l->unindexed_filtering_retrieve);
}

/* ---- groups ---- */

static bool can_match(const struct vex_index_params *index)
{
    return index->type == VEX_INDEX_KEYWORD || index->type == VEX_INDEX_UUID ||
           index->type == VEX_INDEX_BOOL || (index->type == VEX_INDEX_INTEGER && index->lookup);
}

static int check_group(struct vex_call *call, const struct vex_strict *strict, const char *group_by)
{
    static const char *const names[] = {"",     "Keyword", "Integer",  "Float", "Geo",
                                        "Text", "Bool",    "Datetime", "Uuid"};
    const struct vex_index_params *index;

    if (group_by == NULL || !strict->limits->has_unindexed_filtering_retrieve ||
        strict->limits->unindexed_filtering_retrieve)
        return 0;
    index = vex_config_index(strict->config, vex_str_c(group_by));
    if (index == NULL)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Index required but not found for \"%.900s\". Help: Create an index supporting "
                           "`match` for this key.",
                           group_by);
    if (can_match(index))
        return 0;
    return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                       "Index of type \"%s\" found for \"%.900s\". Help: Create an index supporting `match` "
                       "for this key.",
                       names[index->type], group_by);
}

/* ---- walks without a graph ---- */

/* Links of the graph that a vector asks for: its own settings, then the collection's. */
static void graph_links(const Qdrant__CollectionConfig *doc, struct vex_str using, uint64_t *ret_m,
                        uint64_t *ret_payload_m)
{
    const Qdrant__HnswConfigDiff *all = doc->hnsw_config, *own = NULL;
    const Qdrant__VectorParams *params = vex_doc_find_vector(doc, using);

    if (params != NULL)
        own = params->hnsw_config;
    *ret_m = own != NULL && own->has_m ? own->m : all != NULL && all->has_m ? all->m : 16;
    *ret_payload_m = own != NULL && own->has_payload_m   ? own->payload_m
                     : all != NULL && all->has_payload_m ? all->payload_m
                                                         : *ret_m;
}

static int check_full_scan(struct vex_call *call, const struct vex_strict *strict,
                           const struct vex_strict_read *q)
{
    const struct vex_vector_params *vector = vex_config_vector(strict->config, q->using);
    Qdrant__CollectionConfig *doc;
    uint64_t m, payload_m;
    const char *on = "";
    int code;

    if (!q->vectors || !strict->limits->has_search_allow_exact || strict->limits->search_allow_exact ||
        (vector != NULL && vector->kind == VEX_VECTOR_SPARSE))
        return 0;
    code = vex_qdrant_doc(call, strict->config, &doc);
    if (code < 0)
        return code;
    graph_links(doc, q->using, &m, &payload_m);
    if (m > 0)
        return 0;
    if (q->using.len != 0)
        on = vex_arena_printf(&call->arena, " on '" VEX_STR_FMT "'", VEX_STR_ARG(q->using));
    if (!vex_strict_tenant_filter(call, strict, q->filter))
        return vex_err_set(
            &call->err, VEX_EBAD_REQUEST,
            "Request is forbidden%s because global vector indexing is disabled (hnsw_config.m = 0). "
            "Help: Use tenant-specific filter, enable global vector indexing or enable strict mode "
            "`search_allow_exact` option",
            on);
    if (payload_m == 0)
        return vex_err_set(
            &call->err, VEX_EBAD_REQUEST,
            "Request is forbidden%s because vector indexing is disabled (hnsw_config.m = 0 and "
            "hnsw_config.payload_m = 0). Help: Enable vector indexing, use a prefetch query with "
            "indexed vectors or enable strict mode `search_allow_exact` option",
            on);
    return 0;
}

int vex_strict_read(struct vex_call *call, const struct vex_strict *strict,
                    const struct vex_strict_read *question)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    bool unindexed;
    int code;

    if (l == NULL)
        return 0;
    unindexed = !l->has_unindexed_filtering_retrieve || l->unindexed_filtering_retrieve;
    if ((code = check_full_scan(call, strict, question)) < 0 ||
        (question->formula != NULL && !unindexed &&
         (code = vex_strict_formula(call, strict, question->formula)) < 0) ||
        (code = check_group(call, strict, question->group_by)) < 0 ||
        (code = exceeded(call, question->has_limit && l->has_max_query_limit, question->limit,
                         l->max_query_limit, "limit")) < 0 ||
        (code = vex_strict_filter(call, strict, question->filter, unindexed)) < 0)
        return code;
    if (question->exact && l->has_search_allow_exact && !l->search_allow_exact)
        return forbid_exact(call);
    return check_params(call, strict, question->params);
}
