/* Operations of the Qdrant REST dialect that no rpc has: version, health, and the face of a node that is
 * alone. */
#include "rest/qdrant.h"

#include "rest/message_to_json.h"

struct vex_buf *vex_qdrant_local_text(struct vex_call *call)
{
    struct vex_buf *out = VEX_ARENA_NEW(&call->arena, struct vex_buf);

    vex_buf_init(out, &call->arena);
    call->response = out;
    return out;
}

static int answer(struct vex_call *call, struct vex_str text)
{
    vex_buf_add_str(vex_qdrant_local_text(call), text);
    return 0;
}

static void put_pair(struct vex_jw *w, const char *name, const char *text)
{
    vex_jw_name(w, name);
    vex_jw_text(w, text);
}

static int run_version(struct vex_service *service, struct vex_call *call)
{
    struct vex_jw w = vex_jw(vex_qdrant_local_text(call));

    vex_jw_object(&w);
    put_pair(&w, "title", "qdrant - vector search engine");
    put_pair(&w, "version", VEX_QDRANT_VERSION);
    put_pair(&w, "commit", service->commit);
    vex_jw_object_end(&w); /* exactly these keys: the public suite compares the set */
    return 0;
}

static int run_alive(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return answer(call, VEX_STR("healthz check passed"));
}

static int run_ready(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return answer(call, VEX_STR("all shards are ready"));
}

static int run_cluster(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return answer(call, VEX_STR("{\"status\":\"disabled\"}"));
}

static int run_standalone(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_ESTANDALONE, "Qdrant is running in standalone mode");
}

static int run_issues(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return answer(call, VEX_STR("{\"issues\":[]}"));
}

static int run_forget_issues(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return answer(call, VEX_STR("true"));
}

static int run_no_snapshots(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_EUNIMPLEMENTED,
                       "snapshots: not supported by this version of the server");
}

#define OPERATION(id, text, access_needed)                                                                   \
    const struct vex_operation vex_qdrant_local_##id = {.name = "qdrant/" text,                              \
                                                        .mode = VEX_RUN_INLINE,                              \
                                                        .access = VEX_ACCESS_##access_needed,                \
                                                        .run = run_##id}

OPERATION(version, "version", OPEN);
OPERATION(alive, "healthz", OPEN);
OPERATION(ready, "readyz", OPEN);
OPERATION(cluster, "cluster", READ);
OPERATION(standalone, "cluster-change", MANAGE);
OPERATION(issues, "issues", READ);
OPERATION(forget_issues, "forget-issues", MANAGE);
OPERATION(no_snapshots, "snapshots", MANAGE);
