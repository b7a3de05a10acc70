/* Reads between lowering and answering. */
#include "api/qdrant/read.h"

static void release(struct vex_call *call)
{
    struct vex_qread *read = call->state;

    vex_collection_unref(read->collection);
    vex_collection_unref(read->lookup);
}

void *vex_qread_lowered(struct vex_call *call, size_t size, vex_qread_lower_fn *lower)
{
    struct vex_qread *read = call->state;

    if (read != NULL)
        return read;
    call->state = read = vex_arena_zalloc(&call->arena, size);
    call->cleanup = release;
    read->code = lower(call, read);
    return read;
}

/* The earlier of the client's deadline and the request's own bound. */
static uint64_t deadline_of(const struct vex_call *call, bool has_timeout, uint64_t seconds)
{
    uint64_t own = has_timeout && seconds < UINT32_MAX ? call->started_ns + seconds * 1000000000u : 0;

    if (own == 0 || (call->deadline_ns != 0 && call->deadline_ns < own))
        return call->deadline_ns;
    return own;
}

int vex_qread_begin(struct vex_call *call, struct vex_qread *read, const char *collection_name,
                    bool has_timeout, uint64_t timeout)
{
    int code = vex_qdrant_find(call, collection_name, &read->collection);

    if (code < 0)
        read->collection = NULL;
    read->deadline_ns = deadline_of(call, has_timeout, timeout);
    return code;
}

int vex_qread_strict(struct vex_call *call, const struct vex_qread *read, bool has_timeout, uint64_t timeout,
                     const struct vex_strict_read *question, uint64_t tokens)
{
    struct vex_strict strict;
    int code = vex_strict_open(call, read->collection, &strict);

    if (code == 0)
        code = vex_strict_timeout(call, &strict, has_timeout, timeout);
    if (code == 0)
        code = vex_strict_read(call, &strict, question);
    if (code == 0)
        code = vex_strict_consume(call, &strict, VEX_RATE_READ, tokens);
    vex_strict_done(&strict);
    return code;
}

struct vex_read_context vex_qread_context(struct vex_call *call, const struct vex_qread *read)
{
    return (struct vex_read_context){
        .arena = &call->arena, .cancelled = &call->cancelled, .deadline_ns = read->deadline_ns};
}
