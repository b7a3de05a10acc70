/* Qdrant's REST dialect: its routes. */
#include "rest/qdrant.h"

#define C "/collections/{collection_name}"

#define RPC(http_method, path, rpc_service, rpc_method, body_kind, result_kind, keys)                        \
    {.method = #http_method,                                                                                 \
     .template = path,                                                                                       \
     .detail = &(const struct vex_qdrant_route){.service = "qdrant." rpc_service,                            \
                                                .rpc = rpc_method,                                           \
                                                .body = VEX_QDRANT_BODY_##body_kind,                         \
                                                .result = vex_qdrant_put_##result_kind,                      \
                                                .required = keys}},
#define LOCAL(http_method, path, is_open, operation, answer_kind)                                            \
    {.method = #http_method,                                                                                 \
     .template = path,                                                                                       \
     .open = is_open,                                                                                        \
     .detail = &(const struct vex_qdrant_route){.local = &vex_qdrant_local_##operation,                      \
                                                .answer = VEX_QDRANT_ANSWER_##answer_kind}},

static const struct vex_route routes[] = {
#include "rest/routes.def"
};

#undef RPC
#undef LOCAL

const struct vex_rest_dialect vex_rest_qdrant = {
    .name = "qdrant",
    .dialect = VEX_DIALECT_QDRANT_REST,
    .routes = routes,
    .route_count = sizeof routes / sizeof *routes,
    .decode = vex_qdrant_decode,
    .encode = vex_qdrant_encode,
};
