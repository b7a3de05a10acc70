/* Request metrics: a fixed table of slots, one a pair of operation and status, found by open addressing.
 *
 * Lock      None: a slot's key is claimed once with a compare-and-swap and never changes; the numbers
 *           are relaxed atomics.
 * Invariant Operations are rows of tables, so their number is bounded; should the table ever be full,
 *           what is beyond is not counted. Only gRPC calls are counted here: REST names its endpoints
 *           by route, which its server knows. */
#include "api/request_metrics.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/metrics.h"

#define SLOTS 1024

struct slot {
    _Atomic(uintptr_t) key; /* made of the operation's address and the status; 0: free */
    const struct vex_operation *operation;
    int status;
    struct vex_metric_hist hist;
};

struct vex_request_metrics {
    struct slot slots[SLOTS];
};

struct vex_request_metrics *vex_request_metrics_new(void)
{
    return VEX_NEW(struct vex_request_metrics);
}

void vex_request_metrics_free(struct vex_request_metrics *metrics)
{
    vex_mem_free(metrics);
}

static struct slot *find(struct vex_request_metrics *metrics, const struct vex_operation *operation,
                         int status)
{
    uintptr_t key = (uintptr_t)operation * 32 + (unsigned)status + 1;

    for (size_t i = 0, at = (key >> 5) % SLOTS; i < SLOTS; i++, at = (at + 1) % SLOTS) {
        struct slot *slot = &metrics->slots[at];
        uintptr_t seen = atomic_load_explicit(&slot->key, memory_order_acquire);

        if (seen == 0 && atomic_compare_exchange_strong(&slot->key, &seen, key)) {
            slot->status = status;
            __atomic_store_n(&slot->operation, operation, __ATOMIC_RELEASE);
            return slot;
        }
        if (seen == key)
            return slot;
    }
    return NULL;
}

void vex_request_metrics_add(struct vex_request_metrics *metrics, const struct vex_call *call, uint64_t ns)
{
    struct slot *slot;

    if (call->dialect != VEX_DIALECT_QDRANT_GRPC)
        return;
    slot = find(metrics, call->operation, call->code == 0 ? 0 : vex_err_class(call->code)->grpc_status);
    if (slot != NULL)
        vex_metric_hist_add(&slot->hist, ns);
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* One line of one figure for every slot. */
static void print_figure(struct vex_buf *out, struct vex_request_metrics *metrics, const char *prefix,
                         const char *name, const char *type, double (*figure)(struct vex_metric_hist *hist))
{
    vex_buf_printf(out, "# TYPE %s%s %s\n", prefix, name, type);
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &metrics->slots[i];
        const struct vex_operation *operation = __atomic_load_n(&slot->operation, __ATOMIC_ACQUIRE);

        if (operation != NULL)
            vex_buf_printf(out, "%s%s{endpoint=\"/%s\",status=\"%d\"} %.9g\n", prefix, name, operation->name,
                           slot->status, figure(&slot->hist));
    }
}

static double figure_total(struct vex_metric_hist *hist)
{
    return (double)atomic_load(&hist->count);
}

static double figure_avg(struct vex_metric_hist *hist)
{
    uint64_t count = atomic_load(&hist->count);

    return count != 0 ? seconds(atomic_load(&hist->sum_ns)) / (double)count : 0;
}

static double figure_min(struct vex_metric_hist *hist)
{
    return seconds(atomic_load(&hist->min_ns));
}

static double figure_max(struct vex_metric_hist *hist)
{
    return seconds(atomic_load(&hist->max_ns));
}

void vex_request_metrics_print(struct vex_buf *out, struct vex_request_metrics *metrics, const char *prefix)
{
    struct vex_buf name;

    print_figure(out, metrics, prefix, "grpc_responses_total", "counter", figure_total);
    print_figure(out, metrics, prefix, "grpc_responses_avg_duration_seconds", "gauge", figure_avg);
    print_figure(out, metrics, prefix, "grpc_responses_min_duration_seconds", "gauge", figure_min);
    print_figure(out, metrics, prefix, "grpc_responses_max_duration_seconds", "gauge", figure_max);
    vex_buf_init(&name, NULL);
    vex_buf_printf(&name, "%sgrpc_responses_duration_seconds", prefix);
    vex_buf_add_char(&name, '\0');
    vex_buf_printf(out, "# TYPE %s histogram\n", name.ptr);
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &metrics->slots[i];
        const struct vex_operation *operation = __atomic_load_n(&slot->operation, __ATOMIC_ACQUIRE);
        char labels[160];

        if (operation == NULL)
            continue;
        snprintf(labels, sizeof labels, "endpoint=\"/%s\",status=\"%d\"", operation->name, slot->status);
        vex_metric_hist_print(out, name.ptr, labels, &slot->hist);
    }
    vex_buf_done(&name);
}
