/* Answers of the Qdrant REST dialect by route and status, for /metrics and /telemetry.
 *
 * Invariant Relaxed counters; a reader may see an answer counted and its time not yet. */
#include <stdatomic.h>
#include <stdio.h>

#include "rest/qdrant.h"

#include "base/metrics.h"

#define ROUTES_MAX 128

static const int statuses[] = {200, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 501, 503, 507};
#define STATUSES (sizeof statuses / sizeof *statuses)

static struct {
    _Atomic uint64_t count[STATUSES];
    struct vex_metric_hist duration;
} answers[ROUTES_MAX];

void vex_qdrant_stats_add(uint32_t route, int status, uint64_t ns)
{
    if (route >= ROUTES_MAX)
        return;
    for (size_t i = 0; i < STATUSES; i++)
        if (statuses[i] == status)
            atomic_fetch_add_explicit(&answers[route].count[i], 1, memory_order_relaxed);
    vex_metric_hist_add(&answers[route].duration, ns);
}

static uint64_t count_of(uint32_t route, size_t status)
{
    return atomic_load_explicit(&answers[route].count[status], memory_order_relaxed);
}

static uint64_t count_all(uint32_t route)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < STATUSES; i++)
        sum += count_of(route, i);
    return sum;
}

static uint32_t route_count(void)
{
    return vex_rest_qdrant.route_count < ROUTES_MAX ? vex_rest_qdrant.route_count : ROUTES_MAX;
}

void vex_qdrant_stats_metrics(struct vex_buf *out)
{
    const struct vex_route *routes = vex_rest_qdrant.routes;
    char labels[160];

    vex_buf_printf(
        out, "# HELP rest_responses_total total number of responses\n# TYPE rest_responses_total counter\n");
    for (uint32_t r = 0; r < route_count(); r++)
        for (size_t i = 0; i < STATUSES; i++)
            if (count_of(r, i) != 0)
                vex_buf_printf(
                    out, "rest_responses_total{method=\"%s\",endpoint=\"%s\",status=\"%d\"} %llu\n",
                    routes[r].method, routes[r].template, statuses[i], (unsigned long long)count_of(r, i));
    vex_buf_printf(out, "# HELP rest_responses_duration_seconds response duration histogram\n"
                        "# TYPE rest_responses_duration_seconds histogram\n");
    for (uint32_t r = 0; r < route_count(); r++) {
        if (count_all(r) == 0)
            continue;
        snprintf(labels, sizeof labels, "method=\"%s\",endpoint=\"%s\"", routes[r].method,
                 routes[r].template);
        vex_metric_hist_print(out, "rest_responses_duration_seconds", labels, &answers[r].duration);
    }
}

void vex_qdrant_stats_telemetry(struct vex_jw *w)
{
    const struct vex_route *routes = vex_rest_qdrant.routes;
    char text[160];

    vex_jw_object(w);
    for (uint32_t r = 0; r < route_count(); r++) {
        if (count_all(r) == 0)
            continue;
        snprintf(text, sizeof text, "%s %s", routes[r].method, routes[r].template);
        vex_jw_key(w, vex_str_c(text));
        vex_jw_object(w);
        for (size_t i = 0; i < STATUSES; i++) {
            if (count_of(r, i) == 0)
                continue;
            snprintf(text, sizeof text, "%d", statuses[i]);
            vex_jw_key(w, vex_str_c(text));
            vex_jw_object(w);
            vex_jw_key(w, VEX_STR("count"));
            vex_jw_u64(w, count_of(r, i));
            vex_jw_object_end(w);
        }
        vex_jw_object_end(w);
    }
    vex_jw_object_end(w);
}
