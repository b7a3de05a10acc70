/* Handlers of writes: lower, submit, and answer when the log or the apply path says so.
 *
 * Lifetime A mutation must outlive its call when the client bounds the wait: then the answer
 *          "WaitTimeout" goes out first. Such a mutation lives in a heap block of its own with three
 *          owners: the engine, the timer, and the thread that submits, until it has returned. The first
 *          to win `over` answers, the last to leave frees. Without a bound it lives in the call's
 *          arena.
 * Order    The timer starts only after submit has returned, because submit reads operations that lie in
 *          the call's arena. The engine may be done by then, so the starter looks at `over` again after
 *          starting, and the engine cancels after winning: one of the two always sees the other. */
#include "api/qdrant/strict.h"

#include "api/timer.h"
#include "base/mem.h"

struct write {
    struct vex_mutation mutation;
    struct vex_call *call; /* valid for the winner of `over` only */
    struct vex_timers *timers;
    struct vex_timer timer;
    _Atomic int over, owners;
    bool bounded;
};

static void answer(struct vex_call *call, int status, const struct vex_op_result *results, uint32_t count)
{
    ProtobufCMessage *response = call->response;
    Qdrant__UpdateResult **list = VEX_ARENA_ARRAY(&call->arena, Qdrant__UpdateResult *, count + 1);

    for (uint32_t i = 0; i < count; i++) {
        list[i] = VEX_MESSAGE(call, Qdrant__UpdateResult, qdrant__update_result__descriptor);
        list[i]->has_status = true;
        list[i]->status = (Qdrant__UpdateStatus)status;
        if (results != NULL) {
            list[i]->has_operation_id = true;
            list[i]->operation_id = results[i].op;
        }
    }
    if (response->descriptor == &qdrant__update_batch_response__descriptor) {
        Qdrant__UpdateBatchResponse *batch = call->response;

        batch->n_result = count;
        batch->result = list;
        return;
    }
    Qdrant__PointsOperationResponse *one = call->response;

    one->result = list[count - 1]; /* index operations take two numbers: the last one is told */
    if (call->dialect == VEX_DIALECT_QDRANT_GRPC)
        one->usage = VEX_MESSAGE(call, Qdrant__Usage, qdrant__usage__descriptor);
}

static void leave(struct write *write)
{
    if (write->bounded && atomic_fetch_sub(&write->owners, 1) == 1)
        vex_mem_free(write);
}

/* A cancelled timer will not leave by itself. */
static void cancel_timer(struct write *write)
{
    if (write->bounded && vex_timer_cancel(write->timers, &write->timer))
        leave(write);
}

static void written(struct vex_mutation *mutation, int code, const struct vex_err *err,
                    const struct vex_op_result *results)
{
    struct write *write = VEX_CONTAINER_OF(mutation, struct write, mutation);
    struct vex_call *call = write->call;
    bool mine = atomic_exchange(&write->over, 1) == 0;

    cancel_timer(write);
    if (!mine) {
        leave(write);
        return;
    }
    if (code < 0)
        call->err = *err;
    else
        answer(call, mutation->wait ? QDRANT__UPDATE_STATUS__Completed : QDRANT__UPDATE_STATUS__Acknowledged,
               results, mutation->count);
    leave(write);
    vex_rpc_finish(call, code);
}

static void timed_out(struct vex_timer *timer)
{
    struct write *write = VEX_CONTAINER_OF(timer, struct write, timer);

    if (atomic_exchange(&write->over, 1) == 0) {
        answer(write->call, QDRANT__UPDATE_STATUS__WaitTimeout, NULL, write->mutation.count);
        vex_rpc_finish(write->call, 0);
    }
    leave(write);
}

#define TIMEOUT_SEC_MAX (365u * 86400)

int vex_qdrant_submit(struct vex_service *service, struct vex_call *call, struct vex_collection *collection,
                      struct vex_op *ops, uint32_t count, bool wait, bool has_timeout, uint64_t timeout_sec)
{
    bool bounded = wait && has_timeout && timeout_sec <= TIMEOUT_SEC_MAX;
    struct write *write = bounded ? VEX_NEW(struct write) : VEX_ARENA_NEW(&call->arena, struct write);
    int code;

    write->call = call;
    write->bounded = bounded;
    write->timers = service->timers;
    atomic_store(&write->owners, 3);
    write->mutation = (struct vex_mutation){.ops = ops, .count = count, .wait = wait, .done = written};
    write->timer =
        (struct vex_timer){.at_ns = call->started_ns + timeout_sec * 1000000000u, .fire = timed_out};
    code = vex_collection_submit(collection, &write->mutation, &call->err);
    if (code < 0) {
        if (bounded)
            vex_mem_free(write);
        return code;
    }
    if (!bounded)
        return VEX_CALL_PENDING;
    vex_timer_start(service->timers, &write->timer);
    if (atomic_load(&write->over) != 0)
        cancel_timer(write);
    leave(write);
    return VEX_CALL_PENDING;
}

/* What strict mode says of operations that are lowered. */
static int check_strict(struct vex_call *call, struct vex_collection *collection,
                        Qdrant__PointsUpdateOperation *const *operations, const struct vex_op *ops,
                        size_t count, bool has_timeout, uint64_t timeout)
{
    struct vex_strict strict;
    int code = vex_strict_open(call, collection, &strict);

    if (code == 0)
        code = vex_strict_timeout(call, &strict, has_timeout, timeout);
    for (size_t i = 0; code == 0 && strict.limits != NULL && i < count; i++)
        code = vex_strict_write(call, &strict, operations[i], &ops[i]);
    vex_strict_done(&strict);
    return code;
}

/* How an answer is waited for, and for how long. */
struct waiting {
    bool wait, has_timeout;
    uint64_t timeout;
};

#define WAITING(in) ((struct waiting){(in)->wait, (in)->has_timeout, (in)->timeout})

/* A single vector for a name that holds several counts as one row. */
static void widen_points(const struct vex_config *config, struct vex_point *points, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < points[i].vector_count; j++) {
            struct vex_vector_value *v = &points[i].vectors[j];
            const struct vex_vector_params *params =
                v->kind == VEX_VECTOR_DENSE ? vex_config_vector(config, v->name) : NULL;

            if (params != NULL && params->kind == VEX_VECTOR_MULTI) {
                v->kind = VEX_VECTOR_MULTI;
                v->rows = 1;
            }
        }
}

static void widen_vectors(struct vex_collection *collection, struct vex_op *ops, size_t count)
{
    struct vex_config *config = vex_collection_config(collection);
    bool several = false;

    for (uint32_t i = 0; i < config->vector_count; i++)
        several = several || config->vectors[i].kind == VEX_VECTOR_MULTI;
    for (size_t i = 0; several && i < count; i++) {
        if (ops[i].kind == VEX_OP_UPSERT)
            widen_points(config, ops[i].upsert.points, ops[i].upsert.count);
        else if (ops[i].kind == VEX_OP_UPDATE_VECTORS)
            widen_points(config, ops[i].vectors.points, ops[i].vectors.count);
    }
    vex_config_unref(config);
}

static int submit_all(struct vex_service *service, struct vex_call *call, const char *collection_name,
                      Qdrant__PointsUpdateOperation *const *operations, size_t count, struct waiting w)
{
    struct vex_collection *collection;
    struct vex_op *ops = vex_arena_try(&call->arena, (count + 1) * sizeof *ops);
    int code = 0;

    if (ops == NULL || count > UINT32_MAX)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many operations in one request");
    for (size_t i = 0; code == 0 && i < count; i++)
        code = vex_lower_operation(call, operations[i], &ops[i]);
    if (code < 0)
        return code;
    code = vex_qdrant_find(call, collection_name, &collection);
    if (code < 0)
        return code;
    widen_vectors(collection, ops, count);
    code = check_strict(call, collection, operations, ops, count, w.has_timeout, w.timeout);
    if (code == 0 && count != 0) /* an empty batch is fine and does nothing */
        code = vex_qdrant_submit(service, call, collection, ops, (uint32_t)count, w.wait, w.has_timeout,
                                 w.timeout);
    vex_collection_unref(collection);
    return code;
}

static int submit_one(struct vex_service *service, struct vex_call *call, const char *collection_name,
                      Qdrant__PointsUpdateOperation *operation, struct waiting w)
{
    return submit_all(service, call, collection_name, &operation, 1, w);
}

int vex_qdrant_upsert(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__UpsertPoints *in = call->request;
    Qdrant__PointsUpdateOperation__PointStructList list =
        QDRANT__POINTS_UPDATE_OPERATION__POINT_STRUCT_LIST__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    list.n_points = in->n_points;
    list.points = in->points;
    list.update_filter = in->update_filter;
    list.has_update_mode = in->has_update_mode;
    list.update_mode = in->update_mode;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_UPSERT;
    operation.upsert = &list;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_delete_points(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__DeletePoints *in = call->request;
    Qdrant__PointsUpdateOperation__DeletePoints points = QDRANT__POINTS_UPDATE_OPERATION__DELETE_POINTS__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    points.points = in->points;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_POINTS;
    operation.delete_points = &points;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_update_vectors(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__UpdatePointVectors *in = call->request;
    Qdrant__PointsUpdateOperation__UpdateVectors vectors =
        QDRANT__POINTS_UPDATE_OPERATION__UPDATE_VECTORS__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    vectors.n_points = in->n_points;
    vectors.points = in->points;
    vectors.update_filter = in->update_filter;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_UPDATE_VECTORS;
    operation.update_vectors = &vectors;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_delete_vectors(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__DeletePointVectors *in = call->request;
    Qdrant__PointsUpdateOperation__DeleteVectors vectors =
        QDRANT__POINTS_UPDATE_OPERATION__DELETE_VECTORS__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    vectors.points_selector = in->points_selector;
    vectors.vectors = in->vectors;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_VECTORS;
    operation.delete_vectors = &vectors;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_set_payload(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__SetPayloadPoints *in = call->request;
    Qdrant__PointsUpdateOperation__SetPayload set = QDRANT__POINTS_UPDATE_OPERATION__SET_PAYLOAD__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    set.n_payload = in->n_payload;
    set.payload = (Qdrant__PointsUpdateOperation__SetPayload__PayloadEntry **)(void *)in->payload;
    set.points_selector = in->points_selector;
    set.key = in->key;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_SET_PAYLOAD;
    operation.set_payload = &set;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_overwrite_payload(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__SetPayloadPoints *in = call->request;
    Qdrant__PointsUpdateOperation__OverwritePayload set =
        QDRANT__POINTS_UPDATE_OPERATION__OVERWRITE_PAYLOAD__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    set.n_payload = in->n_payload;
    set.payload = (Qdrant__PointsUpdateOperation__OverwritePayload__PayloadEntry **)(void *)in->payload;
    set.points_selector = in->points_selector;
    set.key = in->key;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_OVERWRITE_PAYLOAD;
    operation.overwrite_payload = &set;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_delete_payload(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__DeletePayloadPoints *in = call->request;
    Qdrant__PointsUpdateOperation__DeletePayload keys = QDRANT__POINTS_UPDATE_OPERATION__DELETE_PAYLOAD__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    keys.n_keys = in->n_keys;
    keys.keys = in->keys;
    keys.points_selector = in->points_selector;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_PAYLOAD;
    operation.delete_payload = &keys;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_clear_payload(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__ClearPayloadPoints *in = call->request;
    Qdrant__PointsUpdateOperation__ClearPayload points = QDRANT__POINTS_UPDATE_OPERATION__CLEAR_PAYLOAD__INIT;
    Qdrant__PointsUpdateOperation operation = QDRANT__POINTS_UPDATE_OPERATION__INIT;

    points.points = in->points;
    operation.operation_case = QDRANT__POINTS_UPDATE_OPERATION__OPERATION_CLEAR_PAYLOAD;
    operation.clear_payload = &points;
    return submit_one(service, call, in->collection_name, &operation, WAITING(in));
}

int vex_qdrant_update_batch(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__UpdateBatchPoints *in = call->request;

    return submit_all(service, call, in->collection_name, in->operations, in->n_operations, WAITING(in));
}
