/* A read in pieces. See pieces.h. */
#include "engine/query/pieces.h"

#include "base/mem.h"
#include "engine/internal.h"

struct pieces {
    struct vex_share share;
    const struct vex_read *read;
    vex_piece_fn *run;
    void *arg;
    pthread_mutex_t lock;
    _Atomic uint32_t failed; /* lowest piece that has; UINT32_MAX: none */
    int code;                /* of that one, as `err` of the read; under the lock */
};

static void fail(struct pieces *pieces, uint32_t nth, int code, const struct vex_err *err)
{
    pthread_mutex_lock(&pieces->lock);
    if (nth < atomic_load_explicit(&pieces->failed, memory_order_relaxed)) {
        atomic_store_explicit(&pieces->failed, nth, memory_order_relaxed);
        pieces->code = code;
        *pieces->read->err = *err;
    }
    pthread_mutex_unlock(&pieces->lock);
}

static void run_piece(struct vex_share *share, uint32_t nth)
{
    struct pieces *pieces = VEX_CONTAINER_OF(share, struct pieces, share);
    struct vex_read read = *pieces->read;
    struct vex_arena arena;
    struct vex_err err;
    int code;

    if (atomic_load_explicit(&pieces->failed, memory_order_relaxed) < nth)
        return;
    vex_arena_init(&arena, read.arena->limit);
    read.arena = &arena;
    read.err = &err;
    code = vex_read_check(&read);
    if (code == 0)
        code = pieces->run(&read, pieces->arg, nth);
    if (code != 0)
        fail(pieces, nth, code, &err);
    vex_arena_done(&arena);
}

int vex_read_pieces(struct vex_read *read, uint32_t count, vex_piece_fn *run, void *arg)
{
    struct pieces pieces = {
        .share = {.piece = run_piece, .count = count}, .read = read, .run = run, .arg = arg};

    pthread_mutex_init(&pieces.lock, NULL);
    atomic_init(&pieces.failed, UINT32_MAX);
    vex_pool_share(read->collection->engine->pool, &pieces.share);
    pthread_mutex_destroy(&pieces.lock);
    return pieces.code;
}
