/* Service calls, tenants and databases of the Chroma dialect. */
#include "api/chroma/internal.h"

#include "base/io.h"

#define TENANT_MIN 3

static int heartbeat(struct vex_service *service, struct vex_call *call)
{
    struct vex_chroma_number *number = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);

    number->value = vex_io_realtime_ns(service->options.io);
    call->response = number;
    return 0;
}

static int reset(struct vex_service *service, struct vex_call *call)
{
    if (!vex_conf_bool(service->options.conf, VEX_CONF_CHROMA_RESET))
        return vex_err_set(&call->err, VEX_ELOCKED, "Reset is disabled by config");
    return vex_engine_reset(service->engine, &call->err);
}

static int create_tenant(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_name *request = call->request;

    if (request->name.len < TENANT_MIN)
        return vex_err_set(
            &call->err, VEX_EBAD_INPUT,
            "Validation error: name: Validation error: length [{\"min\": Number(3), \"value\": "
            "String(\"" VEX_STR_FMT "\")}]",
            VEX_STR_ARG(request->name));
    int rc = vex_engine_create_tenant(service->engine, request->name, &call->err);
    if (rc == VEX_EEXISTS)
        vex_err_set(&call->err, rc, "Tenant [" VEX_STR_FMT "] already exists", VEX_STR_ARG(request->name));
    return rc;
}

static int no_tenant(struct vex_call *call, struct vex_str name)
{
    return vex_err_set(&call->err, VEX_ENOT_FOUND, "Tenant [" VEX_STR_FMT "] not found", VEX_STR_ARG(name));
}

static int get_tenant(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_path *path = call->request;
    struct vex_chroma_tenant *tenant = VEX_ARENA_NEW(&call->arena, struct vex_chroma_tenant);

    tenant->name = path->tenant;
    call->response = tenant;
    int rc = vex_engine_tenant(service->engine, path->tenant, &call->arena, &tenant->resource, &call->err);
    return rc == VEX_ENOT_FOUND ? no_tenant(call, path->tenant) : rc;
}

static int set_tenant(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_name *request = call->request;
    struct vex_str tenant = request->path.tenant, resource;
    int rc = vex_engine_tenant(service->engine, tenant, &call->arena, &resource, &call->err);

    if (rc == 0 && resource.len > 0)
        return vex_err_set(&call->err, VEX_EEXISTS, "Tenant [" VEX_STR_FMT "] already has a resource name",
                           VEX_STR_ARG(tenant));
    if (rc == 0)
        rc = vex_engine_set_tenant_resource(service->engine, tenant, request->name, &call->err);
    return rc == VEX_ENOT_FOUND ? no_tenant(call, tenant) : rc;
}

/* A database may be made in a tenant that is not there yet. */
static int create_database(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_name *request = call->request;
    struct vex_str tenant = request->path.tenant;
    int rc = vex_chroma_check_name(request->name, &call->err);

    if (rc < 0)
        return rc;
    rc = vex_engine_create_database(service->engine, tenant, request->name, &call->err);
    if (rc == VEX_ENOT_FOUND) {
        rc = vex_engine_create_tenant(service->engine, tenant, &call->err);
        if (rc == 0 || rc == VEX_EEXISTS)
            rc = vex_engine_create_database(service->engine, tenant, request->name, &call->err);
    }
    if (rc == VEX_EEXISTS)
        vex_err_set(&call->err, rc, "Database [" VEX_STR_FMT "] already exists", VEX_STR_ARG(request->name));
    return rc;
}

static int list_databases(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_page *request = call->request;
    struct vex_chroma_databases *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_databases);
    struct vex_database_info *all;
    uint64_t count = vex_engine_databases(service->engine, request->path.tenant, &call->arena, &all);
    uint64_t skip = request->offset < count ? request->offset : count;

    count -= skip;
    if (request->has_limit && request->limit < count)
        count = request->limit;
    ret->items = all + skip;
    ret->count = (uint32_t)count;
    call->response = ret;
    return 0;
}

static int get_database(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_path *path = call->request;
    struct vex_chroma_databases *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_databases);

    ret->items = VEX_ARENA_NEW(&call->arena, struct vex_database_info);
    ret->count = 1;
    ret->one = true;
    call->response = ret;
    int rc = vex_engine_database(service->engine, path->tenant, path->database, &call->arena, ret->items,
                                 &call->err);
    if (rc == VEX_ENOT_FOUND)
        vex_err_set(&call->err, rc, "Database [" VEX_STR_FMT "] not found. Are you sure it exists?",
                    VEX_STR_ARG(path->database));
    return rc;
}

static int delete_database(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_path *path = call->request;
    int rc = vex_engine_drop_database(service->engine, path->tenant, path->database, &call->err);

    if (rc == VEX_ENOT_FOUND)
        vex_err_set(&call->err, rc, "Database [" VEX_STR_FMT "] not found", VEX_STR_ARG(path->database));
    return rc;
}

/* What a self-hosted Chroma has not either, in its words. */
static int refuse_search(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(
        &call->err, VEX_EUNIMPLEMENTED,
        "Error executing plan: Not implemented: Search operation is not implemented for local executor");
}

static int refuse_fork(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_EUNIMPLEMENTED, "Collection forking is unsupported for local chroma");
}

static int refuse_fork_count(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_EUNIMPLEMENTED, "Count forks is unsupported for local chroma");
}

static int refuse_functions(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_EUNIMPLEMENTED, "Attached functions are unsupported for local chroma");
}

static int refuse_transactions(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_EUNIMPLEMENTED, "Transactions are not supported for local chroma");
}

#define OPERATION(id, text, mode, access, run)                                                               \
    const struct vex_operation vex_chroma_##id = {"chroma/" text, VEX_RUN_##mode, VEX_ACCESS_##access, run,  \
                                                  NULL}

OPERATION(heartbeat, "heartbeat", INLINE, OPEN, heartbeat);
OPERATION(reset, "reset", BLOCKING, MANAGE, reset);
OPERATION(create_tenant, "create_tenant", BLOCKING, MANAGE, create_tenant);
OPERATION(get_tenant, "get_tenant", BLOCKING, READ, get_tenant);
OPERATION(set_tenant, "update_tenant", BLOCKING, MANAGE, set_tenant);
OPERATION(create_database, "create_database", BLOCKING, MANAGE, create_database);
OPERATION(list_databases, "list_databases", BLOCKING, READ, list_databases);
OPERATION(get_database, "get_database", BLOCKING, READ, get_database);
OPERATION(delete_database, "delete_database", BLOCKING, MANAGE, delete_database);
OPERATION(refuse_search, "search", INLINE, READ, refuse_search);
OPERATION(refuse_fork, "fork", INLINE, READ, refuse_fork);
OPERATION(refuse_fork_count, "fork_count", INLINE, READ, refuse_fork_count);
OPERATION(refuse_functions, "functions", INLINE, READ, refuse_functions);
OPERATION(refuse_transactions, "conditional", INLINE, READ, refuse_transactions);
