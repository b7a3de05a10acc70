/* What is built in the background for a collection, in the peer's words: a graph or a payload index under way is a running
 * optimization of the collection's one segment. Nothing waits in a queue, and what is done is not kept. */
#include "rest/qdrant.h"

#include <inttypes.h>

#include "base/text.h"
#include "engine/graph_set.h"
#include "rest/message_to_json.h"

static struct vex_str vector_name(const struct vex_config *config, uint8_t ordinal)
{
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (config->vectors[i].ordinal == ordinal)
            return config->vectors[i].name;
    return VEX_STR("");
}

int vex_qdrant_builds(struct vex_call *call, struct vex_collection *collection, struct vex_qdrant_build **ret,
                      uint32_t *ret_count)
{
    struct vex_graph_info *graphs;
    struct vex_index_info *indexes;
    struct vex_config *config;
    uint32_t graph_count, index_count, count = 0;
    int code;

    if ((code = vex_collection_graphs(collection, &call->arena, &graphs, &graph_count, &call->err)) < 0 ||
        (code = vex_collection_indexes(collection, &call->arena, &indexes, &index_count, &call->err)) < 0)
        return code;
    *ret = VEX_ARENA_ARRAY(&call->arena, struct vex_qdrant_build, graph_count + index_count + 1);
    config = vex_collection_config(collection);
    for (uint32_t i = 0; i < graph_count; i++)
        if (graphs[i].building) {
            struct vex_str name = vector_name(config, graphs[i].ordinal);

            name.ptr = vex_arena_strndup(&call->arena, name.ptr, name.len);
            (*ret)[count++] =
                (struct vex_qdrant_build){name, true, graphs[i].linked, graphs[i].linked + graphs[i].waiting};
        }
    vex_config_unref(config);
    for (uint32_t i = 0; i < index_count; i++)
        if (!indexes[i].ready)
            (*ret)[count++] =
                (struct vex_qdrant_build){indexes[i].field, false, indexes[i].done, indexes[i].total};
    *ret_count = count;
    return 0;
}

/* `part` tells the uuids of a collection's builds from its segment's, which is its own. */
static void put_uuid(struct vex_jw *w, const uint8_t uuid[16], uint32_t part)
{
    uint8_t bytes[16];
    char text[VEX_UUID_TEXT];

    memcpy(bytes, uuid, sizeof bytes);
    for (int i = 0; i < 4; i++)
        bytes[15 - i] ^= (uint8_t)(part >> 8 * i);
    vex_uuid_text(bytes, text);
    vex_jw_name(w, "uuid");
    vex_jw_str(w, vex_str(text, sizeof text));
}

static void put_segments(struct vex_jw *w, const uint8_t uuid[16], uint64_t points)
{
    vex_jw_array(w);
    vex_jw_object(w);
    put_uuid(w, uuid, 0);
    vex_jw_name(w, "points_count");
    vex_jw_u64(w, points);
    vex_jw_object_end(w);
    vex_jw_array_end(w);
}

static void put_build(struct vex_jw *w, struct vex_arena *arena, const struct vex_qdrant_build *build,
                      const struct vex_collection_info *info, uint32_t part, uint64_t points)
{
    vex_jw_object(w);
    put_uuid(w, info->uuid, part);
    vex_jw_name(w, "optimizer");
    vex_jw_text(w, "indexing");
    vex_jw_name(w, "status");
    vex_jw_text(w, "optimizing");
    vex_jw_name(w, "segments");
    put_segments(w, info->uuid, points);
    vex_jw_name(w, "progress");
    vex_jw_object(w);
    vex_jw_name(w, "name");
    vex_jw_text(w, vex_arena_printf(arena, "%s:" VEX_STR_FMT, build->graph ? "vector_index" : "payload_index",
                                    VEX_STR_ARG(build->name)));
    vex_jw_name(w, "done");
    vex_jw_u64(w, build->done);
    vex_jw_name(w, "total");
    vex_jw_u64(w, build->total);
    vex_jw_object_end(w);
    vex_jw_object_end(w);
}

static void put_all(struct vex_jw *w, struct vex_arena *arena, const struct vex_collection_info *info,
                    const struct vex_qdrant_build *builds, uint32_t count, uint64_t points,
                    struct vex_str with)
{
    static const char *const empty[] = {"queued", "completed"};

    vex_jw_object(w);
    vex_jw_name(w, "summary");
    vex_jw_raw(w, vex_str_c(vex_arena_printf(arena,
                                             "{\"queued_optimizations\":0,\"queued_segments\":0,"
                                             "\"queued_points\":0,\"idle_segments\":%d}",
                                             count == 0)));
    vex_jw_name(w, "running");
    vex_jw_array(w);
    for (uint32_t i = 0; i < count; i++)
        put_build(w, arena, &builds[i], info, i + 1, points);
    vex_jw_array_end(w);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (vex_str_contains(with, vex_str_c(empty[i]))) {
            vex_jw_name(w, empty[i]);
            vex_jw_raw(w, VEX_STR("[]"));
        }
    if (vex_str_contains(with, VEX_STR("idle_segments"))) {
        vex_jw_name(w, "idle_segments");
        if (count == 0)
            put_segments(w, info->uuid, points);
        else
            vex_jw_raw(w, VEX_STR("[]"));
    }
    vex_jw_object_end(w);
}

static int run_optimizations(struct vex_service *service, struct vex_call *call)
{
    const struct vex_rest_request *request = (const struct vex_rest_request *)(const void *)call;
    struct vex_str with = vex_rest_query_get(request, "with");
    struct vex_collection *collection;
    struct vex_collection_info info;
    struct vex_collection_stats stats;
    struct vex_qdrant_build *builds;
    uint32_t count;
    struct vex_jw w;
    int code = vex_engine_find(service->engine, request->params[0], true, &collection, &call->err);

    if (code < 0)
        return code;
    vex_collection_info(collection, &call->arena, &info);
    vex_config_unref(info.config);
    if ((code = vex_collection_stats(collection, &stats, &call->err)) == 0)
        code = vex_qdrant_builds(call, collection, &builds, &count);
    vex_collection_unref(collection);
    if (code < 0)
        return code;
    w = vex_jw(vex_qdrant_local_text(call));
    put_all(&w, &call->arena, &info, builds, count, stats.points, with);
    return 0;
}

const struct vex_operation vex_qdrant_local_optimizations = {.name = "qdrant/optimizations",
                                                             .mode = VEX_RUN_BLOCKING,
                                                             .access = VEX_ACCESS_READ,
                                                             .run = run_optimizations};
