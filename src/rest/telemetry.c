/* /telemetry of the Qdrant dialect: what the peer tells at each level of detail, as far as this server has it.
 *
 * Levels    0: counts. 1: and the collections' parameters. 2: names and configurations instead. 3: and the shard, of which there is one a
 *           collection. 4 and above: and its segment, of which there is one too.
 * Anonymous  Names are never told: without them only level 0 is left.
 * Unknown   What is not measured is null or left out, never invented. */
#include "rest/qdrant.h"

#include <stdio.h>
#include <time.h>

#include "api/qdrant/qdrant.h"
#include "base/text.h"
#include "engine/graph_set.h"
#include "rest/message_to_json.h"

#define LEVEL_COLLECTIONS 1
#define LEVEL_CONFIGS     2
#define LEVEL_SHARDS      3
#define LEVEL_SEGMENTS    4

static time_t process_start;

__attribute__((constructor)) static void note_start(void)
{
    process_start = time(NULL);
}

static void put_u64(struct vex_jw *w, const char *name, uint64_t value)
{
    vex_jw_name(w, name);
    vex_jw_u64(w, value);
}

static void put_bool(struct vex_jw *w, const char *name, bool value)
{
    vex_jw_name(w, name);
    vex_jw_bool(w, value);
}

static void put_text(struct vex_jw *w, const char *name, const char *text)
{
    vex_jw_name(w, name);
    vex_jw_text(w, text);
}

static void put_raw(struct vex_jw *w, const char *name, const char *json)
{
    vex_jw_name(w, name);
    vex_jw_raw(w, vex_str_c(json));
}

/* ---- one collection ---- */

struct subject {
    struct vex_collection_info info;
    struct vex_str name;
    struct vex_collection_stats stats;
    struct vex_graph_info *graphs;
    struct vex_index_info *indexes;
    struct vex_qdrant_build *builds;
    uint32_t graph_count, index_count, build_count;
    Qdrant__CollectionConfig *config; /* as Get shows it */
    uint64_t vectors, indexed, vector_bytes, memory;
};

static void sum_up(struct subject *s)
{
    const struct vex_config *config = s->info.config;

    for (uint32_t i = 0; i < config->vector_count; i++) {
        const struct vex_vector_params *v = &config->vectors[i];

        s->vectors += s->stats.vectors[v->ordinal];
        if (v->kind == VEX_VECTOR_DENSE)
            s->vector_bytes += s->stats.vectors[v->ordinal] * v->size * vex_element_size(v->element);
    }
    for (uint32_t i = 0; i < s->graph_count; i++) {
        s->indexed += s->graphs[i].linked;
        s->memory += s->graphs[i].bytes;
    }
    for (uint32_t i = 0; i < s->index_count; i++)
        s->memory += s->indexes[i].bytes;
}

/* False: the collection can't be read (damaged, or dropped meanwhile). */
static bool look_at(struct vex_service *service, struct vex_call *call, struct subject *s)
{
    struct vex_collection *collection;
    Qdrant__CollectionConfig *doc;
    struct vex_err err;
    bool ok;

    if (vex_engine_find_uuid(service->engine, s->info.uuid, &collection, &err) < 0)
        return false;
    ok = vex_collection_stats(collection, &s->stats, &err) == 0 &&
         vex_collection_graphs(collection, &call->arena, &s->graphs, &s->graph_count, &err) == 0 &&
         vex_collection_indexes(collection, &call->arena, &s->indexes, &s->index_count, &err) == 0 &&
         vex_qdrant_builds(call, collection, &s->builds, &s->build_count) == 0 &&
         vex_qdrant_doc(call, s->info.config, &doc) == 0;
    vex_collection_unref(collection);
    if (!ok)
        return false;
    s->name = vex_qualified_name(&call->arena, &s->info);
    s->config = vex_lift_config(call, s->info.config, doc);
    sum_up(s);
    return true;
}

static uint64_t linked_of(const struct subject *s, uint8_t ordinal)
{
    for (uint32_t i = 0; i < s->graph_count; i++)
        if (s->graphs[i].ordinal == ordinal)
            return s->graphs[i].linked;
    return 0;
}

/* ---- its segment ---- */

static void put_segment_vectors(struct vex_jw *w, const struct subject *s)
{
    const struct vex_config *config = s->info.config;

    vex_jw_name(w, "vector_data");
    vex_jw_object(w);
    for (uint32_t i = 0; i < config->vector_count; i++) {
        uint64_t count = s->stats.vectors[config->vectors[i].ordinal];

        vex_jw_key(w, config->vectors[i].name);
        vex_jw_object(w);
        put_u64(w, "num_vectors", count);
        put_u64(w, "num_indexed_vectors", linked_of(s, config->vectors[i].ordinal));
        put_u64(w, "num_deleted_vectors", 0);
        vex_jw_object_end(w);
    }
    vex_jw_object_end(w);
}

/* By enum vex_index_type, as in the schema of a collection. */
static const char *const index_types[] = {"",     "keyword", "integer",  "float", "geo",
                                          "text", "bool",    "datetime", "uuid"};

static const char *index_type(const struct subject *s, struct vex_str field)
{
    const struct vex_index_params *index = vex_config_index(s->info.config, field);

    return index_types[index != NULL ? index->type : VEX_INDEX_KEYWORD];
}

static void put_segment_indexes(struct vex_jw *w, const struct subject *s)
{
    vex_jw_name(w, "index_schema");
    vex_jw_object(w);
    for (uint32_t i = 0; i < s->index_count; i++) {
        vex_jw_key(w, s->indexes[i].field);
        vex_jw_object(w);
        put_text(w, "data_type", index_type(s, s->indexes[i].field));
        put_u64(w, "points", s->indexes[i].points);
        vex_jw_object_end(w);
    }
    vex_jw_object_end(w);
}

static void put_segment_info(struct vex_jw *w, const struct subject *s)
{
    char uuid[VEX_UUID_TEXT];

    vex_uuid_text(s->info.uuid, uuid);
    vex_jw_object(w);
    vex_jw_name(w, "uuid");
    vex_jw_str(w, vex_str(uuid, sizeof uuid));
    put_text(w, "segment_type", s->indexed != 0 ? "indexed" : "plain");
    put_u64(w, "num_vectors", s->vectors);
    put_u64(w, "num_points", s->stats.points);
    put_u64(w, "num_deferred_points", 0);
    put_u64(w, "num_deleted_deferred_points", 0);
    put_u64(w, "num_indexed_vectors", s->indexed);
    put_u64(w, "num_deleted_vectors", s->stats.slots - s->stats.points);
    put_u64(w, "vectors_size_bytes", s->vector_bytes);
    put_u64(w, "payloads_size_bytes", s->stats.blob_bytes);
    put_u64(w, "ram_usage_bytes", s->memory);
    put_u64(w, "disk_usage_bytes", s->vector_bytes + s->stats.blob_bytes);
    put_bool(w, "is_appendable", true);
    put_segment_indexes(w, s);
    put_segment_vectors(w, s);
    vex_jw_object_end(w);
}

static void put_segment_config(struct vex_jw *w, const struct subject *s)
{
    static const char *const distances[] = {[VEX_DISTANCE_L2] = "Euclid",
                                            [VEX_DISTANCE_COSINE] = "Cosine",
                                            [VEX_DISTANCE_DOT] = "Dot",
                                            [VEX_DISTANCE_L1] = "Manhattan"};
    const struct vex_config *config = s->info.config;

    vex_jw_object(w);
    vex_jw_name(w, "vector_data");
    vex_jw_object(w);
    for (uint32_t i = 0; i < config->vector_count; i++) {
        const struct vex_vector_params *v = &config->vectors[i];

        if (v->kind == VEX_VECTOR_SPARSE)
            continue;
        vex_jw_key(w, v->name);
        vex_jw_object(w);
        put_u64(w, "size", v->size);
        put_text(w, "distance", distances[v->distance]);
        put_text(w, "storage_type", "Mmap");
        vex_jw_name(w, "index");
        vex_jw_object(w);
        put_text(w, "type", linked_of(s, v->ordinal) != 0 ? "hnsw" : "plain");
        vex_jw_name(w, "options");
        if (linked_of(s, v->ordinal) != 0)
            vex_message_to_json(w, &s->config->hnsw_config->base);
        else
            vex_jw_raw(w, VEX_STR("{}"));
        vex_jw_object_end(w);
        vex_jw_object_end(w);
    }
    vex_jw_object_end(w);
    vex_jw_name(w, "sparse_vector_data");
    vex_jw_object(w);
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (config->vectors[i].kind == VEX_VECTOR_SPARSE) {
            vex_jw_key(w, config->vectors[i].name);
            vex_jw_raw(w, VEX_STR("{\"index\":{\"index_type\":\"Mmap\"},\"storage_type\":\"mmap\"}"));
        }
    vex_jw_object_end(w);
    put_raw(w, "payload_storage_type", "{\"type\":\"mmap\"}");
    vex_jw_object_end(w);
}

static void put_segment(struct vex_jw *w, const struct subject *s)
{
    vex_jw_object(w);
    vex_jw_name(w, "info");
    put_segment_info(w, s);
    vex_jw_name(w, "config");
    put_segment_config(w, s);
    put_raw(w, "vector_index_searches", "[]");
    vex_jw_name(w, "payload_field_indices");
    vex_jw_array(w);
    for (uint32_t i = 0; i < s->index_count; i++) {
        vex_jw_object(w);
        vex_jw_name(w, "field_name");
        vex_jw_str(w, s->indexes[i].field);
        put_text(w, "index_type", index_type(s, s->indexes[i].field));
        put_u64(w, "points_values_count", s->indexes[i].points);
        put_u64(w, "points_count", s->indexes[i].points);
        vex_jw_object_end(w);
    }
    vex_jw_array_end(w);
    vex_jw_object_end(w);
}

/* ---- its shard ---- */

static void put_queue(struct vex_jw *w, const struct subject *s)
{
    vex_jw_name(w, "update_queue");
    vex_jw_object(w);
    put_u64(w, "length", s->stats.queued);
    put_u64(w, "op_num", s->stats.last_op > s->stats.queued ? s->stats.last_op - s->stats.queued : 0);
    vex_jw_object_end(w);
}

static void put_local(struct vex_jw *w, const struct subject *s, uint64_t level)
{
    const struct vex_config *config = s->info.config;

    vex_jw_object(w);
    put_text(w, "variant_name", "local shard");
    put_text(w, "status", s->build_count != 0 ? "yellow" : "green");
    put_u64(w, "total_optimized_points", s->indexed);
    put_u64(w, "vectors_size_bytes", s->vector_bytes);
    put_u64(w, "payloads_size_bytes", s->stats.blob_bytes);
    put_u64(w, "num_points", s->stats.points);
    put_u64(w, "num_vectors", s->vectors);
    vex_jw_name(w, "num_vectors_by_name");
    vex_jw_object(w);
    for (uint32_t i = 0; i < config->vector_count; i++) {
        vex_jw_key(w, config->vectors[i].name);
        vex_jw_u64(w, s->stats.vectors[config->vectors[i].ordinal]);
    }
    vex_jw_object_end(w);
    put_raw(w, "optimizations", "{\"status\":\"ok\",\"optimizations\":{\"count\":0},\"log\":[]}");
    put_bool(w, "async_scorer", false);
    put_queue(w, s);
    if (level >= LEVEL_SEGMENTS) {
        put_raw(w, "indexed_only_excluded_vectors", "{}");
        vex_jw_name(w, "segments");
        vex_jw_array(w);
        put_segment(w, s);
        vex_jw_array_end(w);
    }
    vex_jw_object_end(w);
}

static void put_shards(struct vex_jw *w, const struct subject *s, uint64_t level)
{
    vex_jw_name(w, "shards");
    vex_jw_array(w);
    vex_jw_object(w);
    put_u64(w, "id", 0);
    put_raw(w, "key", "null");
    vex_jw_name(w, "local");
    put_local(w, s, level);
    put_raw(w, "remote", "[]");
    put_raw(w, "replicate_states", "{}");
    put_raw(w, "partial_snapshot", "null");
    vex_jw_object_end(w);
    vex_jw_array_end(w);
    put_raw(w, "transfers", "[]");
    put_raw(w, "resharding", "[]");
}

static void put_collection(struct vex_jw *w, const struct subject *s, uint64_t level)
{
    vex_jw_object(w);
    if (level < LEVEL_CONFIGS) {
        put_u64(w, "vectors", s->vectors);
        put_text(w, "optimizers_status", "ok");
        vex_jw_name(w, "params");
        vex_message_to_json(w, &s->config->params->base);
        vex_jw_object_end(w);
        return;
    }
    vex_jw_name(w, "id");
    vex_jw_str(w, s->name);
    put_raw(w, "init_time_ms", "null");
    vex_jw_name(w, "config");
    vex_message_to_json(w, &s->config->base);
    if (level >= LEVEL_SHARDS)
        put_shards(w, s, level);
    vex_jw_object_end(w);
}

static void put_collections(struct vex_service *service, struct vex_call *call, struct vex_jw *w,
                            uint64_t level)
{
    struct vex_collection_info *infos;
    uint32_t count =
        vex_engine_list(service->engine, vex_str(NULL, 0), vex_str(NULL, 0), &call->arena, &infos);

    vex_jw_object(w);
    put_u64(w, "number_of_collections", count);
    if (level >= LEVEL_COLLECTIONS) {
        vex_jw_name(w, "collections");
        vex_jw_array(w);
        for (uint32_t i = 0; i < count; i++) {
            struct subject s = {.info = infos[i]};

            if (look_at(service, call, &s))
                put_collection(w, &s, level);
        }
        vex_jw_array_end(w);
        put_raw(w, "snapshots", "[]");
    }
    for (uint32_t i = 0; i < count; i++)
        vex_config_unref(infos[i].config);
    vex_jw_object_end(w);
}

/* ---- the node ---- */

static void put_app(struct vex_jw *w, uint64_t level)
{
    struct tm tm = {0};
    char text[64];

    gmtime_r(&process_start, &tm);
    vex_jw_object(w);
    put_text(w, "name", "qdrant");
    put_text(w, "version", VEX_QDRANT_VERSION);
    if (level >= LEVEL_COLLECTIONS)
        put_raw(w, "features",
                "{\"debug\":false,\"service_debug_feature\":false,\"recovery_mode\":false,\"gpu\":false,"
                "\"rocksdb\":false,\"staging\":false}");
    vex_jw_name(w, "startup");
    vex_jw_str(w, vex_str(text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm)));
    vex_jw_object_end(w);
}

static void put_requests(struct vex_jw *w, struct vex_arena *arena, bool per_collection)
{
    vex_jw_object(w);
    vex_jw_name(w, "rest");
    vex_qdrant_stats_telemetry(w, arena, per_collection);
    put_raw(w, "grpc", "{\"responses\":{}}");
    vex_jw_object_end(w);
}

/* jemalloc's; other allocators (a build with sanitizers) don't tell. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

static void put_memory(struct vex_jw *w)
{
    static const char *const names[] = {"active", "allocated", "metadata", "resident", "retained"};
    uint64_t epoch = 1;
    size_t size = sizeof epoch;
    char name[32];

    if (mallctl == NULL) {
        vex_jw_null(w);
        return;
    }
    mallctl("epoch", &epoch, &size, &epoch, sizeof epoch); /* makes the numbers new */
    vex_jw_object(w);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t value = 0;

        size = sizeof value;
        snprintf(name, sizeof name, "stats.%s", names[i]);
        mallctl(name, &value, &size, NULL, 0);
        snprintf(name, sizeof name, "%s_bytes", names[i]);
        put_u64(w, name, value);
    }
    vex_jw_object_end(w);
}

static void put_node(struct vex_service *service, struct vex_jw *w)
{
    vex_jw_name(w, "memory");
    put_memory(w);
    put_raw(w, "hardware", "{\"collection_data\":{}}");
    vex_jw_name(w, "search_pool");
    vex_jw_object(w);
    put_text(w, "mode", "shared");
    put_u64(w, "high_cpu_threads", vex_pool_threads(service->options.pool));
    put_u64(w, "high_io_threads", 0);
    vex_jw_object_end(w);
}

static int level_of(struct vex_call *call, struct vex_str text, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                               "Query deserialize error: details_level: invalid digit found in string");
        if (*ret < UINT32_MAX)
            *ret = *ret * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return 0;
}

static int run_telemetry(struct vex_service *service, struct vex_call *call)
{
    const struct vex_rest_request *request = (const struct vex_rest_request *)(const void *)call;
    bool anonymous = vex_str_eq_c(vex_rest_query_get(request, "anonymize"), "true");
    bool per_collection = vex_str_eq_c(vex_rest_query_get(request, "per_collection"), "true");
    struct vex_jw w = vex_jw(vex_qdrant_local_text(call));
    uint8_t uuid[16] = {0};
    char id[VEX_UUID_TEXT];
    uint64_t level;
    int code = level_of(call, vex_rest_query_get(request, "details_level"), &level);

    if (code < 0)
        return code;
    if (anonymous) {
        level = 0;
        per_collection = false;
    }
    memcpy(uuid, &service->peer_id, sizeof service->peer_id);
    vex_uuid_text(uuid, id);
    vex_jw_object(&w);
    vex_jw_name(&w, "id");
    vex_jw_str(&w, vex_str(id, sizeof id));
    vex_jw_name(&w, "app");
    put_app(&w, level);
    vex_jw_name(&w, "collections");
    put_collections(service, call, &w, level);
    put_raw(&w, "cluster", "{\"enabled\":false}");
    vex_jw_name(&w, "requests");
    put_requests(&w, &call->arena, per_collection);
    if (level >= LEVEL_COLLECTIONS)
        put_node(service, &w);
    put_raw(&w, "quota", "{\"config\":{},\"exceeded\":{}}");
    vex_jw_object_end(&w);
    return 0;
}

const struct vex_operation vex_qdrant_local_telemetry = {
    .name = "qdrant/telemetry", .mode = VEX_RUN_BLOCKING, .access = VEX_ACCESS_READ, .run = run_telemetry};
