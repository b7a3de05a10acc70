/* Qdrant's REST dialect: what its files share. */
#ifndef VEX_REST_QDRANT_H
#define VEX_REST_QDRANT_H

#include "api/qdrant/rpc.h"
#include "base/json_write.h"
#include "rest/request.h"

enum vex_qdrant_body {
    VEX_QDRANT_BODY_NONE,    /* not looked at */
    VEX_QDRANT_BODY_WHOLE,   /* is the request message */
    VEX_QDRANT_BODY_REQUEST, /* is the field `request` of the request message */
};

/* How the text of a local operation is answered. */
enum vex_qdrant_answer {
    VEX_QDRANT_ANSWER_RESULT, /* JSON, as `result` of the envelope */
    VEX_QDRANT_ANSWER_JSON,   /* JSON, alone */
    VEX_QDRANT_ANSWER_TEXT,
};

struct vex_qdrant_route {
    /* an rpc */
    const char *service, *rpc;
    enum vex_qdrant_body body;
    /* Writes the value of `result`; negative: there is none, with call.err set. */
    int (*result)(struct vex_rest_request *request, struct vex_jw *w);
    const char *required;
    /* or a local operation; its run leaves a struct vex_buf of the call's arena in call.response */
    const struct vex_operation *local;
    enum vex_qdrant_answer answer;
};

/* qdrant_decode.c */
int vex_qdrant_decode(struct vex_rest_request *request);
/* True when a refused request had a bad query parameter. */
bool vex_qdrant_bad_query(const struct vex_rest_request *request);

/* qdrant_encode.c */
void vex_qdrant_encode(struct vex_rest_request *request);
int vex_qdrant_put_result(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_whole(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_points(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_scroll(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_batches(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_record(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_snapshots(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_snapshot(struct vex_rest_request *request, struct vex_jw *w);
int vex_qdrant_put_true(struct vex_rest_request *request, struct vex_jw *w);

/* probes.c, metrics_page.c, telemetry.c, optimizations.c */
struct vex_buf *vex_qdrant_local_text(struct vex_call *call); /* an empty buffer as the call's response */
extern const struct vex_operation vex_qdrant_local_version, vex_qdrant_local_alive, vex_qdrant_local_ready,
    vex_qdrant_local_cluster, vex_qdrant_local_standalone, vex_qdrant_local_issues,
    vex_qdrant_local_forget_issues, vex_qdrant_local_optimizations, vex_qdrant_local_no_snapshots,
    vex_qdrant_local_metrics, vex_qdrant_local_telemetry;

/* A text as a label of a metric may have it; metrics_page.c. */
char *vex_qdrant_label(struct vex_arena *arena, struct vex_str text);

/* qdrant_stats.c: answers by route and status since the start, and by collection. Any thread. */
void vex_qdrant_stats_add(const struct vex_rest_request *request, uint64_t ns); /* its status is there */
void vex_qdrant_stats_metrics(struct vex_buf *out, struct vex_arena *arena, bool per_collection);
/* { "responses": { "GET /collections": { "200": { "count": 1, ... } } } } */
void vex_qdrant_stats_telemetry(struct vex_jw *w, struct vex_arena *arena, bool per_collection);

/* optimizations.c: what is built in the background for one collection, as { "running": [...] } has it. */
struct vex_qdrant_build {
    struct vex_str name; /* of the vector or the field */
    bool graph;
    uint64_t done, total;
};
int vex_qdrant_builds(struct vex_call *call, struct vex_collection *collection, struct vex_qdrant_build **ret,
                      uint32_t *ret_count);

#endif
