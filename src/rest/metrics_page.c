/* /metrics of the Qdrant dialect: the names that its dashboards know, then our own. */
#include "rest/qdrant.h"

#include "api/request_metrics.h"
#include "base/metrics.h"
#include "engine/engine.h"

/* One collection as the page shows it. */
struct row {
    char *name; /* escaped for a label */
    struct vex_config *config;
    struct vex_collection_stats stats;
};

struct page {
    struct row *rows;
    uint32_t count;
    uint64_t vectors;
};

char *vex_qdrant_label(struct vex_arena *arena, struct vex_str text)
{
    struct vex_buf out;

    vex_buf_init(&out, arena);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\\' || c == '"' || c == '\n')
            vex_buf_add_char(&out, '\\');
        vex_buf_add_char(&out, c == '\n' ? 'n' : c);
    }
    vex_buf_add_char(&out, '\0');
    return out.ptr;
}

/* Collections that can't be read (damaged, or dropped meanwhile) are left out. */
static void gather(struct vex_service *service, struct vex_call *call, struct page *page)
{
    struct vex_collection_info *infos;
    uint32_t count =
        vex_engine_list(service->engine, vex_str(NULL, 0), vex_str(NULL, 0), &call->arena, &infos);

    *page = (struct page){.rows = VEX_ARENA_ARRAY(&call->arena, struct row, count + 1)};
    for (uint32_t i = 0; i < count; i++) {
        struct row *row = &page->rows[page->count];
        struct vex_str name = vex_qualified_name(&call->arena, &infos[i]);
        struct vex_collection *collection;
        struct vex_err err;
        int code = vex_engine_find_uuid(service->engine, infos[i].uuid, &collection, &err);

        if (code == 0) {
            code = vex_collection_stats(collection, &row->stats, &err);
            vex_collection_unref(collection);
        }
        if (code < 0) {
            vex_config_unref(infos[i].config);
            continue;
        }
        row->name = vex_qdrant_label(&call->arena, name);
        row->config = infos[i].config;
        for (uint32_t v = 0; v < row->config->vector_count; v++)
            page->vectors += row->stats.vectors[v];
        page->count++;
    }
}

static void release(struct page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        vex_config_unref(page->rows[i].config);
}

/* ---- metrics ---- */

static void put_head(struct vex_buf *out, const char *name, const char *help, const char *type)
{
    vex_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_gauge(struct vex_buf *out, const char *name, const char *help, uint64_t value)
{
    put_head(out, name, help, "gauge");
    vex_buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void put_collections(struct vex_buf *out, const struct page *page)
{
    put_head(out, "collection_points", "approximate amount of points per collection", "gauge");
    for (uint32_t i = 0; i < page->count; i++)
        vex_buf_printf(out, "collection_points{id=\"%s\"} %llu\n", page->rows[i].name,
                       (unsigned long long)page->rows[i].stats.points);
    put_head(out, "collection_running_optimizations",
             "number of currently running optimization tasks per collection", "gauge");
    for (uint32_t i = 0; i < page->count; i++)
        vex_buf_printf(out, "collection_running_optimizations{id=\"%s\"} 0\n", page->rows[i].name);
}

static void put_vectors(struct vex_buf *out, struct vex_arena *arena, const struct page *page,
                        const char *name, const char *key, const char *help, bool counted)
{
    put_head(out, name, help, "gauge");
    for (uint32_t i = 0; i < page->count; i++)
        for (uint32_t v = 0; v < page->rows[i].config->vector_count; v++)
            vex_buf_printf(out, "%s{%s=\"%s\",vector=\"%s\"} %llu\n", name, key, page->rows[i].name,
                           vex_qdrant_label(arena, page->rows[i].config->vectors[v].name),
                           counted ? (unsigned long long)page->rows[i].stats.vectors[v] : 0ull);
}

static int run_metrics(struct vex_service *service, struct vex_call *call)
{
    struct vex_buf *out = vex_qdrant_local_text(call);
    struct vex_str per_collection;
    struct page page;

    gather(service, call, &page);
    put_head(out, "app_info", "information about qdrant server", "gauge");
    vex_buf_printf(out, "app_info{name=\"qdrant\",version=\"%s\"} 1\n", VEX_QDRANT_VERSION);
    put_gauge(out, "app_status_recovery_mode", "is qdrant running in recovery mode", 0);
    put_gauge(out, "collections_total", "number of collections", page.count);
    put_gauge(out, "collections_vector_total", "total number of vectors in all collections", page.vectors);
    put_gauge(out, "collection_active_replicas_min", "minimum number of active replicas across all shards",
              page.count != 0);
    put_gauge(out, "collection_active_replicas_max", "maximum number of active replicas across all shards",
              page.count != 0);
    put_collections(out, &page);
    put_vectors(out, &call->arena, &page, "collection_vectors", "collection",
                "amount of vectors grouped by vector name", true);
    put_vectors(out, &call->arena, &page, "collection_indexed_only_excluded_points", "id",
                "amount of points excluded in indexed_only requests", false);
    release(&page);
    per_collection =
        vex_rest_query_get((const struct vex_rest_request *)(const void *)call, "per_collection");
    vex_qdrant_stats_metrics(out, &call->arena, vex_str_eq_c(per_collection, "true"));
    vex_request_metrics_print(out, service->metrics, "");
    put_head(out, "vexfs_info", "this server", "gauge");
    vex_buf_printf(out, "vexfs_info{version=\"%s\",device=\"%s\"} 1\n", VEX_SERVER_VERSION,
                   vex_engine_device(service->engine));
    put_gauge(out, "vexfs_read_only", "1 after a failed sync", vex_engine_read_only(service->engine));
    vex_metrics_print(out, "");
    return 0;
}

const struct vex_operation vex_qdrant_local_metrics = {
    .name = "qdrant/metrics", .mode = VEX_RUN_BLOCKING, .access = VEX_ACCESS_READ, .run = run_metrics};
