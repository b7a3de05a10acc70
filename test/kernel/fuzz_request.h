/* Hostile requests: a right one for a descriptor that all threads share, mostly bent in a place or two. */
#ifndef VEX_TEST_KERNEL_FUZZ_REQUEST_H
#define VEX_TEST_KERNEL_FUZZ_REQUEST_H

#include "fuzz.h"

#define TARGETS     24u
#define FIRST_STORE 16u /* targets from here on have anonymous stores */
#define FIRST_FRESH 22u /* and from here on nothing */
#define FILES       8u
#define STRANGE_MAX 16u
#define WINDOW_BASE (ARENA_BASE + (THREADS_MAX + 1) * ARENA_STEP) /* a shared file, mapped */
#define READ_ONLY   (WINDOW_BASE + ARENA_STEP)
#define PARAM_MAX   128u
#define COUNT_USUAL 24u

static const struct fuzz_shape {
    uint32_t dimensions, element, stride;
} shapes[FILES] = {
    {8, VEXFS_VECTOR_FLOAT32, 32},    {128, VEXFS_VECTOR_FLOAT32, 512},   {3, VEXFS_VECTOR_UINT8, 32},
    {100, VEXFS_VECTOR_FLOAT16, 224}, {1500, VEXFS_VECTOR_FLOAT32, 6016}, {33, VEXFS_VECTOR_FLOAT16, 96},
    {768, VEXFS_VECTOR_UINT8, 768},   {1, VEXFS_VECTOR_FLOAT32, 32},
};

/* FD_TARGET + n is the nth target: any thread may use, close or replace it at any time. */
static int strange[STRANGE_MAX];
static unsigned strange_count;
static pthread_mutex_t calm_lock = PTHREAD_MUTEX_INITIALIZER;

/* Several targets share a file, but not over a double, which cannot bear it. */
static inline uint32_t file_of(uint32_t target)
{
    return options.calm ? target : target % FILES;
}

static inline const struct fuzz_shape *shape_of(uint32_t target)
{
    return &shapes[target % FILES];
}

/* ---- Addresses ---- */

/* A buffer in the arena: anywhere, or ending where the arena ends. */
static inline char *room(struct fuzz_worker *w, size_t size)
{
    if (size >= ARENA_BYTES)
        return w->arena;
    size_t at = chance(w, 4) ? ARENA_BYTES - size : draw(w, (uint32_t)(ARENA_BYTES - size));
    return w->arena + (options.calm ? at / 8 * 8 : at); /* the double reads words in place */
}

static inline uint64_t bad_address(struct fuzz_worker *w)
{
    const uint64_t end = address(w->arena) + ARENA_BYTES;
    const uint64_t list[] = {0,
                             1,
                             end,
                             end - 1 - draw(w, 64),
                             end - 4096 - draw(w, 4096),
                             READ_ONLY + draw(w, 4096),
                             UINT64_C(0x7ffffffff000) - draw(w, 2) * 4096,
                             UINT64_C(0x800000000000),
                             UINT64_C(0x8000000000000000),
                             UINT64_C(0xffff888000000000) + draw(w, 1u << 30),
                             UINT64_C(0xffffffff81000000) + draw(w, 1u << 24),
                             UINT64_C(0xffffffffff600000),
                             UINT64_MAX - draw(w, 16),
                             options.calm ? 0 : WINDOW_BASE + draw(w, FILE_BYTES)};
    return list[draw(w, sizeof list / sizeof *list)];
}

static inline uint32_t odd_number(struct fuzz_worker *w)
{
    static const uint32_t list[] = {0,          1,          2,          63,         64,         65,
                                    255,        256,        1023,       1024,       1025,       4096,
                                    65535,      65536,      65537,      0x7fffffff, 0x80000000, 0xfffffffe,
                                    0xffffffff, 0x20000000, 0x08000000, 0x01000000, 0x00100000};
    return chance(w, 3) ? (uint32_t)draw64(w) : list[draw(w, sizeof list / sizeof *list)];
}

/* ---- Right requests ---- */

static inline uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A slot that a file mostly has, and how many are asked for at once: fewer of the long ones. */
static inline uint32_t usual_slot(struct fuzz_worker *w, const struct fuzz_shape *shape)
{
    return draw(w, least(100, reach(w) / shape->stride));
}

static inline uint32_t usual_count(struct fuzz_worker *w, const struct fuzz_shape *shape)
{
    return 1 + draw(w, least(COUNT_USUAL, reach(w) / 2 / shape->stride));
}

static inline uint64_t slot_list(struct fuzz_worker *w, uint32_t count, const struct fuzz_shape *shape)
{
    char *at = room(w, count * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = usual_slot(w, shape);
        memcpy(at + i * sizeof slot, &slot, sizeof slot);
    }
    return address(at);
}

static inline void make_length(struct fuzz_worker *w, const struct fuzz_shape *shape, enum fuzz_kind kind,
                               void *param)
{
    struct vexfs_length p = {.version = VEXFS_ABI_VERSION,
                             .slots = kind == KIND_SYNC ? 0 : usual_slot(w, shape)};
    memcpy(param, &p, sizeof p);
}

static inline void make_search(struct fuzz_worker *w, const struct fuzz_shape *shape, void *param)
{
    uint32_t count = chance(w, 128) ? 1 + draw(w, 64) : 1 + draw(w, 3), k = 1 + draw(w, 50);
    struct vexfs_search p = {.version = VEXFS_ABI_VERSION,
                             .count = count,
                             .k = k,
                             .distance = draw(w, 4),
                             .first = draw(w, 100),
                             .slots = draw(w, 2000),
                             .queries = address(room(w, (size_t)count * shape->dimensions * 4)),
                             .hits = address(room(w, (size_t)count * k * sizeof(struct vexfs_hit))),
                             .found = address(room(w, count * 4))};
    /* The bitmap has the words of all slots that the file can have. */
    if (chance(w, 2))
        p.allow = address(room(w, (p.first + p.slots + 63) / 64 * 8));
    if (chance(w, 8))
        p.cancelled = address(room(w, 4));
    memcpy(param, &p, sizeof p);
}

static inline void make_scan(struct fuzz_worker *w, const struct fuzz_shape *shape, void *param)
{
    uint32_t max = usual_count(w, shape);
    struct vexfs_scan p = {.version = VEXFS_ABI_VERSION,
                           .cursor = draw(w, 100),
                           .end = draw(w, 2000),
                           .max = max,
                           .allow = chance(w, 2) ? address(room(w, 256)) : 0,
                           .slots = address(room(w, max * 4)),
                           .data = address(room(w, (size_t)max * shape->stride))};
    memcpy(param, &p, sizeof p);
}

static inline void make_attach(struct fuzz_worker *w, uint32_t target, void *param)
{
    const struct fuzz_shape *shape = shape_of(target);
    struct vexfs_attach p = {.version = VEXFS_ABI_VERSION,
                             .fd = chance(w, 3) || options.calm ? strange[draw(w, strange_count)]
                                                                : FD_SHARED + (int)file_of(target),
                             .dimensions = shape->dimensions,
                             .element_type = shape->element,
                             .flags = chance(w, 8) ? VEXFS_ATTACH_CREATE : 0};
    memcpy(param, &p, sizeof p);
}

static inline void make_slots(struct fuzz_worker *w, const struct fuzz_shape *shape, enum fuzz_kind kind,
                              void *param)
{
    struct vexfs_slots p = {.version = VEXFS_ABI_VERSION, .count = usual_count(w, shape)};
    p.slots = slot_list(w, p.count, shape);
    if (kind == KIND_READ)
        p.data = address(room(w, (size_t)p.count * shape->stride));
    memcpy(param, &p, sizeof p);
}

static inline void make_write(struct fuzz_worker *w, const struct fuzz_shape *shape, void *param)
{
    struct vexfs_write p = {
        .version = VEXFS_ABI_VERSION, .first = usual_slot(w, shape), .count = usual_count(w, shape)};
    p.data = address(room(w, (size_t)p.count * shape->stride));
    memcpy(param, &p, sizeof p);
}

static inline void make_public(struct fuzz_worker *w, const struct fuzz_shape *shape, enum fuzz_kind kind,
                               void *param)
{
    uint32_t count = usual_count(w, shape);
    size_t bytes = (size_t)count * shape->dimensions * 4;
    struct vexfs_vector_file_info info = {.dimensions = shape->dimensions, .element_type = shape->element};
    struct vexfs_vector_search_request search = {.query_vector_bits =
                                                     (__u32 *)(void *)room(w, shape->dimensions * 4),
                                                 .dimensions = shape->dimensions,
                                                 .k = count,
                                                 .search_type = draw(w, 3),
                                                 .results_bits = (__u32 *)(void *)room(w, count * 4),
                                                 .result_ids = (__u64 *)(void *)room(w, count * 8)};
    struct vexfs_batch_insert_request insert = {.vectors_bits = (__u32 *)(void *)room(w, bytes),
                                                .vector_count = count,
                                                .dimensions = shape->dimensions,
                                                .flags = draw(w, 4)};
    if (chance(w, 2))
        insert.vector_ids = (__u64 *)(void *)room(w, count * 8);
    memcpy(param,
           kind == KIND_VECTOR_SEARCH  ? (void *)&search
           : kind == KIND_BATCH_INSERT ? (void *)&insert
                                       : &info,
           kinds[kind].size);
}

static inline void make_request(struct fuzz_worker *w, uint32_t target, enum fuzz_kind kind, void *param)
{
    const struct fuzz_shape *shape = shape_of(target);
    memset(param, 0, PARAM_MAX);
    switch (kind) {
    case KIND_ATTACH:
        make_attach(w, target, param);
        break;
    case KIND_WRITE:
        make_write(w, shape, param);
        break;
    case KIND_READ:
    case KIND_CLEAR:
        make_slots(w, shape, kind, param);
        break;
    case KIND_SCAN:
        make_scan(w, shape, param);
        break;
    case KIND_SEARCH:
        make_search(w, shape, param);
        break;
    case KIND_SYNC:
    case KIND_TRUNCATE:
    case KIND_STATS:
    case KIND_CAPS:
        make_length(w, shape, kind == KIND_TRUNCATE ? kind : KIND_SYNC, param);
        break;
    case KIND_OTHER:
        break;
    default:
        make_public(w, shape, kind, param);
    }
}

/* ---- Bending ---- */

static inline void put_word(char *param, uint32_t at, uint32_t value)
{
    memcpy(param + at, &value, sizeof value);
}

/* Bends a request; *number may become another's. */
static inline void bend(struct fuzz_worker *w, enum fuzz_kind kind, char *param, unsigned long *number)
{
    uint32_t size = kinds[kind].size;
    uint64_t wrong = bad_address(w);
    switch (draw(w, 8)) {
    case 0:
    case 1:
    case 2:
        put_word(param, draw(w, size / 4) * 4, odd_number(w));
        break;
    case 3:
    case 4:
        memcpy(param + draw(w, size / 8) * 8, &wrong, sizeof wrong);
        break;
    case 5:
        param[draw(w, size)] ^= (char)(1u << draw(w, 8));
        break;
    case 6:
        put_word(param, 0, odd_number(w));
        break;
    default:
        if (chance(w, 4))
            *number ^= 1ul << draw(w, 32);
        else
            put_word(param, draw(w, size / 4) * 4, draw(w, 100));
    }
}

/* Where the request itself lies: mostly in the arena; sometimes at its very end, across it, or nowhere. */
static inline void *place(struct fuzz_worker *w, const char *param, uint32_t size)
{
    if (options.calm || !chance(w, 24)) {
        char *at = room(w, size);
        memcpy(at, param, size);
        return at;
    }
    if (chance(w, 2)) {
        uint32_t inside = draw(w, size);
        memcpy(w->arena + ARENA_BYTES - inside, param, inside);
        return w->arena + ARENA_BYTES - inside;
    }
    return (void *)(uintptr_t)bad_address(w);
}

/* ---- Descriptors ---- */

/* Closes a shared descriptor, perhaps under running requests, and opens it anew. */
static inline void renew(struct fuzz_worker *w, uint32_t target)
{
    const struct fuzz_shape *shape = shape_of(target);
    struct vexfs_attach attach = {.version = VEXFS_ABI_VERSION,
                                  .fd = FD_SHARED + (int)file_of(target),
                                  .dimensions = shape->dimensions,
                                  .element_type = shape->element,
                                  .flags = chance(w, 4) ? VEXFS_ATTACH_CREATE : 0};
    struct vexfs_vector_file_info info = {.dimensions = shape->dimensions, .element_type = shape->element};
    if (options.calm)
        pthread_mutex_lock(&calm_lock);
    /* The one who asks through it just now is cut off; where another opens it too, one of the two wins. */
    sys->close(FD_TARGET + (int)target);
    int fd = sys->open(FD_TARGET + (int)target);
    if (fd >= 0 && target < FIRST_STORE) {
        if (submit(w, fd, KIND_ATTACH, VEXFS_IOC_ATTACH, &attach) == -EUCLEAN) {
            attach.flags = VEXFS_ATTACH_CREATE;
            submit(w, fd, KIND_ATTACH, VEXFS_IOC_ATTACH, &attach);
        }
    } else if (fd >= 0 && target < FIRST_FRESH) {
        submit(w, fd, KIND_SET_META, VEXFS_IOC_SET_VECTOR_META, &info);
    }
    if (options.calm)
        pthread_mutex_unlock(&calm_lock);
}

/* False: the file it names is not one to play with, as standard output or, over a double, any. */
static inline bool may_attach(const char *param)
{
    struct vexfs_attach p;
    bool is_strange = false;
    memcpy(&p, param, sizeof p);
    for (unsigned i = 0; i < strange_count; i++)
        is_strange = is_strange || p.fd == strange[i];
    return is_strange || p.fd < 0 || p.fd >= 100000 ||
           (!options.calm && p.fd >= FD_SHARED && p.fd < FD_TARGET);
}

/* Any kind; the public ones mostly where they are served. Those that take long are asked less often. */
static inline enum fuzz_kind usual_kind(struct fuzz_worker *w, uint32_t target)
{
    bool store = target >= FIRST_STORE && target < FIRST_FRESH;
    enum fuzz_kind kind =
        (enum fuzz_kind)(store && chance(w, 2) ? draw(w, KIND_ATTACH) : draw(w, KIND_COUNT));
    if (kind == KIND_SYNC && !chance(w, 16))
        return KIND_SEARCH;
    if (kind == KIND_BATCH_INSERT && !chance(w, 3))
        return store ? KIND_SCAN : KIND_WRITE;
    if (kind == KIND_TRUNCATE && !chance(w, 2))
        return KIND_READ;
    return kind;
}

/* One request on a shared descriptor. */
static inline void hostile_step(struct fuzz_worker *w)
{
    uint32_t target = draw(w, TARGETS);
    enum fuzz_kind kind = usual_kind(w, target);
    char param[PARAM_MAX];
    if (chance(w, target < FIRST_STORE ? 200 : 64)) /* stores only grow */
        renew(w, target);
    int fd = FD_TARGET + (int)target;
    unsigned long number = kind == KIND_OTHER ? (unsigned long)(draw64(w) & 0xffffffff) : kinds[kind].number;
    if (kind == KIND_OTHER && chance(w, 2))
        number = kinds[draw(w, KIND_OTHER)].number ^ 1ul << draw(w, 32);
    make_request(w, target, kind, param);
    for (uint32_t times = draw(w, 4); times > 1; times--) /* half of them stay right */
        bend(w, kind, param, &number);
    if (kind == KIND_ATTACH && !may_attach(param))
        return;
    submit(w, fd, number == kinds[kind].number ? kind : KIND_OTHER, number,
           place(w, param, kinds[kind].size));
}

#endif
