/* Rate limits of strict mode: token buckets, one for reads and one for writes of each limited collection.
 *
 * Owner     The process: a table by the collection's UUID. A full bucket says no more than no bucket, so those that had time to
 *           fill are dropped when the table grows; there is nothing to free when a collection goes.
 * Lock      One mutex; held for a lookup. Only requests to collections with a rate limit come here. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>

#include "api/qdrant/strict.h"
#include "base/mem.h"

#define NS_PER_MINUTE 60e9
#define SWEEP_FIRST   64

struct bucket {
    uint8_t uuid[16];
    enum vex_strict_rate kind;
    uint64_t per_minute, at_ns;
    double tokens;
};

static struct {
    pthread_mutex_t lock;
    struct bucket *list;
    size_t count, room;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct bucket *find(const uint8_t uuid[16], enum vex_strict_rate kind)
{
    for (size_t i = 0; i < table.count; i++)
        if (table.list[i].kind == kind && memcmp(table.list[i].uuid, uuid, 16) == 0)
            return &table.list[i];
    return NULL;
}

static void sweep(uint64_t now)
{
    size_t kept = 0;

    for (size_t i = 0; i < table.count; i++)
        if ((double)(now - table.list[i].at_ns) < NS_PER_MINUTE)
            table.list[kept++] = table.list[i];
    table.count = kept;
}

static struct bucket *add(const uint8_t uuid[16], enum vex_strict_rate kind, uint64_t now)
{
    struct bucket *bucket;

    if (table.count == table.room) {
        sweep(now);
        if (table.count * 2 >= table.room) {
            table.room = table.room == 0 ? SWEEP_FIRST : table.room * 2;
            table.list = vex_mem_realloc(table.list, table.room * sizeof *table.list);
        }
    }
    bucket = &table.list[table.count++];
    *bucket = (struct bucket){.kind = kind};
    memcpy(bucket->uuid, uuid, 16);
    return bucket;
}

/* 0, or the seconds after which so many tokens are there. */
static double take(const uint8_t uuid[16], enum vex_strict_rate kind, uint64_t per_minute, uint64_t tokens,
                   uint64_t now, double *ret_left)
{
    double wait = 0;
    struct bucket *bucket;

    pthread_mutex_lock(&table.lock);
    bucket = find(uuid, kind);
    if (bucket == NULL)
        bucket = add(uuid, kind, now);
    if (bucket->per_minute != per_minute) {
        bucket->per_minute = per_minute;
        bucket->tokens = (double)per_minute;
        bucket->at_ns = now;
    }
    if (now > bucket->at_ns) {
        bucket->tokens = fmin((double)per_minute, bucket->tokens + (double)(now - bucket->at_ns) *
                                                                       (double)per_minute / NS_PER_MINUTE);
        bucket->at_ns = now;
    }
    *ret_left = bucket->tokens;
    if (bucket->tokens >= (double)tokens)
        bucket->tokens -= (double)tokens;
    else
        wait = ((double)tokens - bucket->tokens) * 60 / (double)per_minute;
    pthread_mutex_unlock(&table.lock);
    return wait;
}

static int refuse(struct vex_call *call, const char *name, uint64_t tokens, double left, double wait)
{
    struct vex_qdrant_state *state = call->state;
    uint32_t seconds = (uint32_t)ceil(wait);

    if (state == NULL)
        call->state = state = VEX_ARENA_NEW(&call->arena, struct vex_qdrant_state);
    state->retry_after = seconds;
    return vex_err_set(&call->err, VEX_ERATE_LIMIT,
                       "%s rate limit exceeded: Operation requires %" PRIu64
                       " tokens but only %.1f were available. Retry after %us",
                       name, tokens, left, seconds);
}

int vex_strict_consume(struct vex_call *call, const struct vex_strict *strict, enum vex_strict_rate kind,
                       uint64_t tokens)
{
    static const char *const names[VEX_RATE_KINDS] = {"Read", "Write"};
    const Qdrant__StrictModeConfig *limits = strict->limits;
    struct vex_collection_info info;
    uint64_t per_minute;
    double left, wait;

    if (limits == NULL ||
        !(kind == VEX_RATE_READ ? limits->has_read_rate_limit : limits->has_write_rate_limit))
        return 0;
    per_minute = kind == VEX_RATE_READ ? limits->read_rate_limit : limits->write_rate_limit;
    if (tokens > per_minute)
        return vex_err_set(&call->err, VEX_ERATE_LIMIT,
                           "%s rate limit exceeded, request larger than rate limiter capacity, please try to "
                           "split your request",
                           names[kind]);
    vex_collection_info(strict->collection, &call->arena, &info);
    vex_config_unref(info.config);
    wait = take(info.uuid, kind, per_minute, tokens, vex_io_monotonic_ns(call->service->options.io), &left);
    return wait > 0 ? refuse(call, names[kind], tokens, left, wait) : 0;
}

void vex_strict_forget(struct vex_collection *collection)
{
    struct vex_arena arena;
    struct vex_collection_info info;
    size_t kept = 0;

    vex_arena_init(&arena, 0);
    vex_collection_info(collection, &arena, &info);
    vex_config_unref(info.config);
    pthread_mutex_lock(&table.lock);
    for (size_t i = 0; i < table.count; i++)
        if (memcmp(table.list[i].uuid, info.uuid, 16) != 0)
            table.list[kept++] = table.list[i];
    table.count = kept;
    pthread_mutex_unlock(&table.lock);
    vex_arena_done(&arena);
}
