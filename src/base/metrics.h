/* Metrics: counters, gauges and histograms from one table (metrics.def), and Prometheus text.
 *
 * Counters are relaxed atomics; request metrics are kept per (operation, status) by the api layer with
 * struct vex_metric_hist. */
#ifndef VEX_BASE_METRICS_H
#define VEX_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"

enum vex_metric {
#define VEX_METRIC(id, kind, name, help) VEX_METRIC_##id,
#include "base/metrics.def"
#undef VEX_METRIC
    VEX_METRIC_COUNT
};

extern _Atomic uint64_t vex_metric_values[VEX_METRIC_COUNT];

static inline void vex_metric_add(enum vex_metric m, uint64_t n)
{
    atomic_fetch_add_explicit(&vex_metric_values[m], n, memory_order_relaxed);
}
static inline void vex_metric_set(enum vex_metric m, uint64_t n)
{
    atomic_store_explicit(&vex_metric_values[m], n, memory_order_relaxed);
}

/* Latency histogram: buckets of Qdrant's request metrics, seconds. */
#define VEX_METRIC_BUCKETS 16
struct vex_metric_hist {
    _Atomic uint64_t bucket[VEX_METRIC_BUCKETS + 1];
    _Atomic uint64_t count, sum_ns, min_ns, max_ns;
};
void vex_metric_hist_add(struct vex_metric_hist *hist, uint64_t ns);
/* Appends the exposition of one histogram; labels without braces, may be empty. */
void vex_metric_hist_print(struct vex_buf *out, const char *name, const char *labels,
                           struct vex_metric_hist *hist);
/* Appends all of the table, with # HELP and # TYPE, names after `prefix`. */
void vex_metrics_print(struct vex_buf *out, const char *prefix);

#endif
