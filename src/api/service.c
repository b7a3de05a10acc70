/* Service: the one place where calls are started, counted and ended.
 *
 * Threads   run on any thread; a call's `done` comes on the thread that finishes it: the receiving one,
 *           a worker, or the log's.
 * Invariant `running` counts calls between run and the end of `done`, so that a drained service has
 *           answered everything. The transport may reuse the call as soon as `done` was entered:
 *           nothing here touches it afterwards. */
#include "api/service.h"

#include <time.h>

#include "api/request_metrics.h"
#include "api/timer.h"
#include "base/mem.h"
#include "base/metrics.h"

/* Stable name of this build for Qdrant clients, which want 40 hex digits. */
#define COMMIT "76657866732d7365727665722d302e312e302d30"

_Static_assert(sizeof COMMIT == 41, "a commit has 40 hex digits");

#define DRAIN_POLL_NS 1000000
#define LONG_NS       10000000 /* calls from here on leave a worker to the others */

struct vex_service *vex_service_new(const struct vex_service_options *options)
{
    struct vex_service *service = VEX_NEW(struct vex_service);

    service->options = *options;
    if (service->options.inline_ns == 0)
        service->options.inline_ns = 500000;
    service->engine = options->engine;
    service->commit = COMMIT;
    options->io->ops->random(options->io, &service->peer_id, sizeof service->peer_id);
    service->peer_id &= (1ull << 53) - 1; /* survives JSON readers that know only doubles */
    service->timers = vex_timers_new();
    service->metrics = vex_request_metrics_new();
    return service;
}

void vex_service_free(struct vex_service *service)
{
    if (service == NULL)
        return;
    vex_timers_free(service->timers);
    vex_request_metrics_free(service->metrics);
    vex_mem_free(service);
}

double vex_call_seconds(const struct vex_call *call)
{
    return (double)(vex_io_monotonic_ns(call->service->options.io) - call->started_ns) / 1e9;
}

void vex_call_finish(struct vex_call *call, int code)
{
    struct vex_service *service = call->service;

    call->code = code;
    if (code < 0 && call->err.code == 0)
        vex_err_set(&call->err, code, "%s", "the operation failed");
    if (code == VEX_ECANCELLED)
        vex_metric_add(VEX_METRIC_CALLS_CANCELLED, 1);
    vex_request_metrics_add(service->metrics, call,
                            vex_io_monotonic_ns(service->options.io) - call->started_ns);
    if (call->cleanup != NULL)
        call->cleanup(call);
    call->done(call);
    atomic_fetch_sub(&service->running, 1);
}

static void run_here(struct vex_service *service, struct vex_call *call)
{
    int code;

    if (atomic_load_explicit(&call->cancelled, memory_order_relaxed))
        code = vex_err_set(&call->err, VEX_ECANCELLED, "the client is gone");
    else
        code = call->operation->run(service, call);
    if (code != VEX_CALL_PENDING)
        vex_call_finish(call, code);
}

static void run_on_worker(struct vex_task *task)
{
    struct vex_call *call = VEX_CONTAINER_OF(task, struct vex_call, task);

    run_here(call->service, call);
}

/* False: the call runs here. What waits may wait long. */
static bool wants_worker(struct vex_service *service, struct vex_call *call, enum vex_task_kind *ret)
{
    const struct vex_operation *operation = call->operation;
    uint64_t ns = UINT64_MAX;

    if (operation->mode == VEX_RUN_READ)
        ns = operation->cost != NULL ? operation->cost(service, call) : 0;
    else if (operation->mode != VEX_RUN_BLOCKING)
        ns = 0;
    *ret = ns < LONG_NS ? VEX_TASK_SHORT : VEX_TASK_LONG;
    return ns > service->options.inline_ns;
}

void vex_service_run(struct vex_service *service, struct vex_call *call)
{
    enum vex_task_kind kind;

    call->code = 0;
    call->err.code = 0;
    call->service = service;
    call->state = NULL;
    call->cleanup = NULL;
    call->started_ns = vex_io_monotonic_ns(service->options.io);
    atomic_fetch_add(&service->running, 1);
    if (atomic_load_explicit(&service->draining, memory_order_relaxed)) {
        vex_call_finish(call, vex_err_set(&call->err, VEX_EUNAVAILABLE, "the server is shutting down"));
        return;
    }
    if (!wants_worker(service, call, &kind)) {
        run_here(service, call);
        return;
    }
    call->task.run = run_on_worker;
    if (!vex_pool_try(service->options.pool, &call->task, kind))
        vex_call_finish(call,
                        vex_err_set(&call->err, VEX_EUNAVAILABLE, "too many calls are waiting, try again"));
}

bool vex_service_drain(struct vex_service *service, uint64_t ns)
{
    struct vex_io *io = service->options.io;
    uint64_t end = vex_io_monotonic_ns(io) + ns;
    struct timespec pause = {.tv_nsec = DRAIN_POLL_NS};

    atomic_store(&service->draining, 1);
    while (atomic_load(&service->running) != 0) {
        if (vex_io_monotonic_ns(io) >= end)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}
