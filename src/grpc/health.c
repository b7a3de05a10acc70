/* grpc.health.v1.Health/Check: always serving, never needs a key, as the peer answers it. */
#include "grpc/private.h"

#include "health.pb-c.h"

static int check(struct vex_service *service, struct vex_call *call)
{
    Grpc__Health__V1__HealthCheckResponse *response = call->response;
    (void)service;
    response->has_status = 1;
    response->status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    return 0;
}

const struct vex_rpc vex_grpc_health_check = {
    .operation = {.name = "grpc.health.v1.Health/Check",
                  .mode = VEX_RUN_INLINE,
                  .access = VEX_ACCESS_OPEN,
                  .run = check},
    .path = "/grpc.health.v1.Health/Check",
    .service = "grpc.health.v1.Health",
    .method = "Check",
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
    .built = true,
};
