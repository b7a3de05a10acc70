/* Request metrics: how often each operation ended how, and how long it took. */
#ifndef VEX_API_REQUEST_METRICS_H
#define VEX_API_REQUEST_METRICS_H

#include "api/call.h"

struct vex_request_metrics;

struct vex_request_metrics *vex_request_metrics_new(void);
void vex_request_metrics_free(struct vex_request_metrics *metrics); /* NULL is fine */
/* Any thread, without a lock. */
void vex_request_metrics_add(struct vex_request_metrics *metrics, const struct vex_call *call, uint64_t ns);
/* Exposition of the gRPC operations: grpc_responses_total, _avg_, _min_, _max_duration_seconds and the
 * histogram. */
void vex_request_metrics_print(struct vex_buf *out, struct vex_request_metrics *metrics, const char *prefix);

#endif
