/* Metrics: the values of metrics.def and Prometheus text (exposition format 0.0.4).
 *
 * Lock: none, relaxed atomics; a scrape may see one counter before and another after the same event.
 * Histogram bounds are those of Qdrant's request metrics. Buckets are stored apart and summed when printed.
 * In min_ns and max_ns 0 means none yet. */
#include "base/metrics.h"

#include <string.h>
#include <stdbool.h>

_Atomic uint64_t vex_metric_values[VEX_METRIC_COUNT];

static const struct {
    const char *kind, *name, *help;
} metrics[] = {
#define VEX_METRIC(id, kind, name, help) {#kind, name, help},
#include "base/metrics.def"
#undef VEX_METRIC
};

static const struct {
    uint64_t ns;
    const char *text; /* seconds */
} bounds[VEX_METRIC_BUCKETS] = {
    {1000, "0.000001"}, {5000, "0.000005"}, {10000, "0.00001"},  {50000, "0.00005"},
    {100000, "0.0001"}, {500000, "0.0005"}, {1000000, "0.001"},  {5000000, "0.005"},
    {10000000, "0.01"}, {50000000, "0.05"}, {100000000, "0.1"},  {500000000, "0.5"},
    {1000000000, "1"},  {5000000000, "5"},  {10000000000, "10"}, {50000000000, "50"},
};

/* Stores the value when it is less (or more) than what is there. */
static void keep_extreme(_Atomic uint64_t *place, uint64_t value, bool least)
{
    uint64_t old = atomic_load_explicit(place, memory_order_relaxed);

    while (old == 0 || (least ? value < old : value > old))
        if (atomic_compare_exchange_weak_explicit(place, &old, value, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
}

void vex_metric_hist_add(struct vex_metric_hist *hist, uint64_t ns)
{
    size_t i = 0;

    while (i < VEX_METRIC_BUCKETS && ns > bounds[i].ns)
        i++;
    atomic_fetch_add_explicit(&hist->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&hist->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&hist->sum_ns, ns, memory_order_relaxed);
    keep_extreme(&hist->min_ns, ns, true);
    keep_extreme(&hist->max_ns, ns, false);
}

void vex_metric_hist_print(struct vex_buf *out, const char *name, const char *labels,
                           struct vex_metric_hist *hist)
{
    const char *comma = labels[0] != '\0' ? "," : "", *open = labels[0] != '\0' ? "{" : "",
               *close = labels[0] != '\0' ? "}" : "";
    uint64_t total = 0, sum = atomic_load_explicit(&hist->sum_ns, memory_order_relaxed);

    for (size_t i = 0; i <= VEX_METRIC_BUCKETS; i++) {
        total += atomic_load_explicit(&hist->bucket[i], memory_order_relaxed);
        vex_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma,
                       i < VEX_METRIC_BUCKETS ? bounds[i].text : "+Inf", (unsigned long long)total);
    }
    vex_buf_printf(out, "%s_sum%s%s%s %llu.%09llu\n", name, open, labels, close,
                   (unsigned long long)(sum / 1000000000), (unsigned long long)(sum % 1000000000));
    /* The sum of the buckets, not `count`: the two may be one event apart, and a scraper checks that they
     * agree. */
    vex_buf_printf(out, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)total);
}

/* Rows of one metric that differ in their labels stand together in the table and share the head. */
void vex_metrics_print(struct vex_buf *out, const char *prefix)
{
    const char *last = "";
    size_t last_len = 0;

    for (size_t i = 0; i < VEX_METRIC_COUNT; i++) {
        const char *name = metrics[i].name;
        size_t len = strcspn(name, "{");

        if (len != last_len || memcmp(name, last, len) != 0)
            vex_buf_printf(out, "# HELP %s%.*s %s\n# TYPE %s%.*s %s\n", prefix, (int)len, name,
                           metrics[i].help, prefix, (int)len, name, metrics[i].kind);
        last = name;
        last_len = len;
        vex_buf_printf(out, "%s%s %llu\n", prefix, name,
                       (unsigned long long)atomic_load_explicit(&vex_metric_values[i], memory_order_relaxed));
    }
}
