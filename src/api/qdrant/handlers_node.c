/* Handlers that concern the node: version, and the lists of snapshots. */
#include "api/qdrant/qdrant.h"

int vex_qdrant_version(struct vex_service *service, struct vex_call *call)
{
    Qdrant__HealthCheckReply *out = call->response;

    out->title = "qdrant - vector search engine";
    out->version = VEX_QDRANT_VERSION;
    out->commit = vex_arena_strndup(&call->arena, service->commit, strlen(service->commit));
    return 0;
}

/* No call makes a snapshot, so there is none to list. */
int vex_qdrant_list_snapshots(struct vex_service *service, struct vex_call *call)
{
    struct vex_collection *collection;
    int code = vex_qdrant_find(call, ((const Qdrant__ListSnapshotsRequest *)call->request)->collection_name,
                               &collection);

    (void)service;
    if (code == 0)
        vex_collection_unref(collection);
    return code;
}

int vex_qdrant_list_full_snapshots(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    (void)call;
    return 0;
}
