/* Invariants of the random requests: files that one thread alone changes, compared with a model in memory after
 * every step; a file that nobody changes, asked by all; an anonymous store with ids. Values are small integers,
 * so distances are exact and computed plainly. */
#ifndef VEX_TEST_KERNEL_FUZZ_MODEL_H
#define VEX_TEST_KERNEL_FUZZ_MODEL_H

#include "fuzz.h"

#define MODEL_DIMS   8u
#define MODEL_STRIDE 32u
#define MODEL_SLOTS  300u
#define MODEL_RUN    24u
#define MODEL_K      40u

struct fuzz_model {
    int backing, fd;
    uint32_t slots;
    float vectors[MODEL_SLOTS][MODEL_DIMS];
    uint64_t ids[MODEL_SLOTS]; /* of an anonymous store */
};

static struct fuzz_model steady; /* nobody changes it */

struct fuzz_hit {
    float distance;
    uint32_t slot;
};

static inline float model_distance(const float *query, const float *vector, uint32_t distance)
{
    int l2 = 0, dot = 0, l1 = 0;
    for (uint32_t i = 0; i < MODEL_DIMS; i++) {
        int q = (int)query[i], v = (int)vector[i];
        l2 += (q - v) * (q - v);
        dot += q * v;
        l1 += abs(q - v);
    }
    return (float)(distance == VEXFS_SEARCH_EUCLIDEAN ? l2 : distance == VEXFS_SEARCH_MANHATTAN ? l1 : -dot);
}

/* The k nearest of the allowed slots of a range, by insertion; returns how many. */
static inline uint32_t model_search(const struct fuzz_model *m, const float *query, uint32_t distance,
                                    uint32_t k, uint32_t first, uint32_t end, const uint64_t *allow,
                                    struct fuzz_hit *ret)
{
    uint32_t count = 0;
    for (uint32_t slot = first; slot < end && slot < m->slots; slot++) {
        if (allow != NULL && (allow[slot / 64] >> (slot % 64) & 1) == 0)
            continue;
        float d = model_distance(query, m->vectors[slot], distance);
        uint32_t at = count < k ? count++ : k;
        while (at > 0 && ret[at - 1].distance > d) {
            if (at < k)
                ret[at] = ret[at - 1];
            at--;
        }
        if (at < k)
            ret[at] = (struct fuzz_hit){d, slot};
    }
    return count;
}

static inline void model_values(struct fuzz_worker *w, float *ret, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ret[i] = (float)((int)draw(w, 9) - 4);
}

/* ---- Steps; each asks the device and holds the answer against the model ---- */

static inline void model_check_search(struct fuzz_worker *w, const struct fuzz_model *m, int fd)
{
    float queries[3 * MODEL_DIMS];
    struct fuzz_hit expected[MODEL_K];
    struct vexfs_hit hits[3 * MODEL_K];
    uint32_t found[3] = {0};
    uint64_t allow[MODEL_SLOTS / 64 + 1];
    bool filtered = chance(w, 2);
    model_values(w, queries, 3 * MODEL_DIMS);
    for (uint32_t i = 0; i <= MODEL_SLOTS / 64; i++)
        allow[i] = draw64(w);
    struct vexfs_search p = {.version = VEXFS_ABI_VERSION,
                             .count = 1 + draw(w, 3),
                             .k = 1 + draw(w, MODEL_K),
                             .distance = draw(w, 4),
                             .first = draw(w, MODEL_SLOTS / 4),
                             .slots = draw(w, MODEL_SLOTS + 20),
                             .queries = address(queries),
                             .allow = filtered ? address(allow) : 0,
                             .hits = address(hits),
                             .found = address(found)};
    int rc = ask(w, fd, KIND_SEARCH, &p);
    expect(rc == 0, w, "search of a sound file", rc, 0);
    for (uint32_t q = 0; rc == 0 && q < p.count; q++) {
        uint32_t count = model_search(m, queries + q * MODEL_DIMS, p.distance, p.k, p.first,
                                      p.first + p.slots, filtered ? allow : NULL, expected);
        bool same = found[q] == count;
        for (uint32_t i = 0; same && i < count; i++)
            same = hits[q * p.k + i].slot == expected[i].slot &&
                   memcmp(&hits[q * p.k + i].distance_bits, &expected[i].distance, 4) == 0;
        expect(same, w, "hits of a search (their number)", found[q], count);
    }
}

static inline void model_check_read(struct fuzz_worker *w, const struct fuzz_model *m, int fd)
{
    uint32_t slots[MODEL_RUN];
    float got[MODEL_RUN][MODEL_DIMS];
    struct vexfs_slots p = {.version = VEXFS_ABI_VERSION,
                            .count = m->slots == 0 ? 0 : draw(w, MODEL_RUN + 1),
                            .slots = address(slots),
                            .data = address(got)};
    for (uint32_t i = 0; i < p.count; i++)
        slots[i] = draw(w, m->slots);
    int rc = ask(w, fd, KIND_READ, &p);
    expect(rc == 0, w, "read of a sound file", rc, 0);
    for (uint32_t i = 0; rc == 0 && i < p.count; i++)
        expect(memcmp(got[i], m->vectors[slots[i]], MODEL_STRIDE) == 0, w, "bytes of a slot", slots[i],
               slots[i]);
}

static inline void model_check_scan(struct fuzz_worker *w, const struct fuzz_model *m, int fd)
{
    uint32_t slots[MODEL_RUN], next = 0;
    float got[MODEL_RUN][MODEL_DIMS];
    struct vexfs_scan p = {.version = VEXFS_ABI_VERSION,
                           .end = draw(w, MODEL_SLOTS + 20),
                           .max = 1 + draw(w, MODEL_RUN),
                           .slots = address(slots),
                           .data = address(got)};
    uint32_t end = p.end < m->slots ? p.end : m->slots;
    do {
        int rc = ask(w, fd, KIND_SCAN, &p);
        expect(rc == 0 && p.count <= p.max, w, "scan of a sound file", rc != 0 ? rc : (int64_t)p.count, 0);
        if (rc != 0 || p.count > p.max)
            return;
        for (uint32_t i = 0; i < p.count; i++, next++)
            expect(slots[i] == next && memcmp(got[i], m->vectors[next % MODEL_SLOTS], MODEL_STRIDE) == 0, w,
                   "slot of a scan", slots[i], next);
    } while (p.count != 0);
    expect(next == end, w, "slots of a scan", next, end);
}

/* The file itself, by read(2): a header, then the model's bytes, then nothing. */
static inline void model_check_bytes(struct fuzz_worker *w, const struct fuzz_model *m)
{
    static _Thread_local char bytes[VEXFS_HEADER_SIZE + MODEL_SLOTS * MODEL_STRIDE + 1];
    ssize_t size = pread(m->backing, bytes, sizeof bytes, 0);
    expect(size == VEXFS_HEADER_SIZE + (ssize_t)(m->slots * MODEL_STRIDE), w, "length of a file of one's own",
           size, VEXFS_HEADER_SIZE + (ssize_t)(m->slots * MODEL_STRIDE));
    if (size >= VEXFS_HEADER_SIZE)
        expect(memcmp(bytes + VEXFS_HEADER_SIZE, m->vectors, (size_t)size - VEXFS_HEADER_SIZE) == 0, w,
               "bytes of a file of one's own", 1, 0);
}

static inline void model_write(struct fuzz_worker *w, struct fuzz_model *m)
{
    uint32_t first = draw(w, (m->slots + 8 < MODEL_SLOTS ? m->slots + 8 : MODEL_SLOTS));
    uint32_t most = MODEL_SLOTS - first < MODEL_RUN ? MODEL_SLOTS - first : MODEL_RUN;
    float data[MODEL_RUN][MODEL_DIMS];
    struct vexfs_write p = {.version = VEXFS_ABI_VERSION, .first = first, .count = 1 + draw(w, most)};
    p.data = address(data);
    model_values(w, data[0], p.count * MODEL_DIMS);
    int rc = ask(w, m->fd, KIND_WRITE, &p);
    expect(rc == 0, w, "write to a file of one's own", rc, 0);
    for (; m->slots < first; m->slots++)
        memset(m->vectors[m->slots], 0, MODEL_STRIDE);
    memcpy(m->vectors[first], data, p.count * MODEL_STRIDE);
    if (m->slots < first + p.count)
        m->slots = first + p.count;
}

static inline void model_clear(struct fuzz_worker *w, struct fuzz_model *m)
{
    uint32_t slots[MODEL_RUN];
    struct vexfs_slots p = {.version = VEXFS_ABI_VERSION,
                            .count = m->slots == 0 ? 0 : draw(w, MODEL_RUN),
                            .slots = address(slots)};
    for (uint32_t i = 0; i < p.count; i++)
        slots[i] = i > 0 && chance(w, 2) ? (slots[i - 1] + 1) % m->slots : draw(w, m->slots);
    int rc = ask(w, m->fd, KIND_CLEAR, &p);
    expect(rc == 0, w, "clear in a file of one's own", rc, 0);
    for (uint32_t i = 0; i < p.count; i++)
        memset(m->vectors[slots[i]], 0, MODEL_STRIDE);
}

/* A list with one slot that the file does not hold: nothing of it is done. */
static inline void model_check_bound(struct fuzz_worker *w, const struct fuzz_model *m)
{
    uint32_t slots[MODEL_RUN];
    float got[MODEL_RUN][MODEL_DIMS];
    bool clear = chance(w, 2);
    struct vexfs_slots p = {.version = VEXFS_ABI_VERSION,
                            .count = 1 + draw(w, MODEL_RUN),
                            .slots = address(slots),
                            .data = clear ? 0 : address(got)};
    for (uint32_t i = 0; i < p.count; i++)
        slots[i] = m->slots == 0 ? 0 : draw(w, m->slots);
    slots[draw(w, p.count)] = m->slots + (chance(w, 2) ? 0 : draw(w, 1u << 31));
    int rc = ask(w, m->fd, clear ? KIND_CLEAR : KIND_READ, &p);
    expect(rc == -EINVAL, w, clear ? "clear of a slot beyond the end" : "read of a slot beyond the end", rc,
           -EINVAL);
    model_check_bytes(w, m);
}

static inline void model_cut(struct fuzz_worker *w, struct fuzz_model *m)
{
    struct vexfs_length p = {.version = VEXFS_ABI_VERSION, .slots = draw(w, m->slots + 1)};
    int rc = ask(w, m->fd, KIND_TRUNCATE, &p);
    expect(rc == 0, w, "truncate of a file of one's own", rc, 0);
    m->slots = (uint32_t)p.slots;
}

/* ---- Files ---- */

static inline int model_attach(struct fuzz_worker *w, struct fuzz_model *m, bool create)
{
    struct vexfs_attach p = {.version = VEXFS_ABI_VERSION,
                             .fd = m->backing,
                             .dimensions = MODEL_DIMS,
                             .element_type = VEXFS_VECTOR_FLOAT32,
                             .flags = create ? VEXFS_ATTACH_CREATE : 0};
    m->fd = sys->open(-1);
    if (m->fd < 0)
        return m->fd;
    int rc = ask(w, m->fd, KIND_ATTACH, &p);
    if (rc == 0 && (p.stride != MODEL_STRIDE || p.slots != m->slots))
        expect(false, w, "slots of a file attached again", (int64_t)p.slots, m->slots);
    return rc;
}

static inline int model_open(struct fuzz_worker *w, struct fuzz_model *m, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%u", options.folders[w->number % options.folder_count], name,
             w->number);
    m->slots = 0;
    m->backing = guarded(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (m->backing < 0)
        return -errno;
    unlink(path);
    return model_attach(w, m, true);
}

static inline void model_close(struct fuzz_model *m)
{
    if (m->fd >= 0)
        sys->close(m->fd);
    if (m->backing >= 0)
        close(m->backing);
    m->fd = m->backing = -1;
}

static inline void model_step(struct fuzz_worker *w, struct fuzz_model *m)
{
    struct vexfs_length sync_all = {.version = VEXFS_ABI_VERSION};
    switch (draw(w, 12)) {
    case 0:
    case 1:
    case 2:
        model_write(w, m);
        break;
    case 3:
        model_clear(w, m);
        break;
    case 4:
        if (chance(w, 4))
            model_cut(w, m);
        else
            model_check_bound(w, m);
        break;
    case 5:
    case 6:
        model_check_read(w, m, m->fd);
        break;
    case 7:
        model_check_scan(w, m, m->fd);
        break;
    case 8:
        if (chance(w, 32))
            expect(ask(w, m->fd, KIND_SYNC, &sync_all) == 0, w, "sync of a file of one's own", 1, 0);
        model_check_bytes(w, m);
        break;
    case 9:
        if (chance(w, 8)) {
            sys->close(m->fd);
            expect(model_attach(w, m, false) == 0, w, "attaching a file of one's own again", 1, 0);
        }
        break;
    default:
        model_check_search(w, m, m->fd);
    }
}

/* ---- Anonymous stores ---- */

static inline bool store_open(struct fuzz_worker *w, struct fuzz_model *m)
{
    struct vexfs_vector_file_info info = {.dimensions = MODEL_DIMS, .element_type = VEXFS_VECTOR_FLOAT32};
    m->slots = 0;
    m->backing = -1;
    m->fd = sys->open(-1);
    if (m->fd < 0)
        return false;
    int rc = ask(w, m->fd, KIND_SET_META, &info);
    if (rc == 0)
        return true;
    if (rc != -ENOTTY) /* a double serves the slot requests alone */
        expect(rc == -ENOSPC || rc == -ENOMEM, w, "an anonymous store", rc, 0);
    model_close(m);
    return false;
}

static inline void store_insert(struct fuzz_worker *w, struct fuzz_model *m)
{
    float data[MODEL_RUN][MODEL_DIMS];
    uint64_t ids[MODEL_RUN];
    uint32_t room = MODEL_SLOTS - m->slots, count = 1 + draw(w, room < MODEL_RUN ? room : MODEL_RUN);
    model_values(w, data[0], count * MODEL_DIMS);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = draw64(w) >> 1;
    struct vexfs_batch_insert_request p = {.vectors_bits = (__u32 *)(void *)data,
                                           .vector_count = count,
                                           .dimensions = MODEL_DIMS,
                                           .vector_ids = (__u64 *)(void *)ids};
    int rc = ask(w, m->fd, KIND_BATCH_INSERT, &p);
    expect(rc == 0, w, "insert into an anonymous store", rc, 0);
    if (rc != 0)
        return;
    memcpy(m->vectors[m->slots], data, count * MODEL_STRIDE);
    memcpy(m->ids + m->slots, ids, count * sizeof *ids);
    m->slots += count;
}

static inline void store_check_search(struct fuzz_worker *w, const struct fuzz_model *m)
{
    float query[MODEL_DIMS], distances[MODEL_K];
    uint64_t ids[MODEL_K];
    struct fuzz_hit expected[MODEL_K];
    model_values(w, query, MODEL_DIMS);
    struct vexfs_vector_search_request p = {.query_vector_bits = (__u32 *)(void *)query,
                                            .dimensions = MODEL_DIMS,
                                            .k = 1 + draw(w, MODEL_K),
                                            .search_type = draw(w, 3),
                                            .results_bits = (__u32 *)(void *)distances,
                                            .result_ids = (__u64 *)(void *)ids};
    int rc = ask(w, m->fd, KIND_VECTOR_SEARCH, &p);
    expect(rc == 0, w, "search of an anonymous store", rc, 0);
    uint32_t count = model_search(m, query, p.search_type, p.k, 0, m->slots, NULL, expected);
    bool same = rc == 0 && p.result_count == count;
    for (uint32_t i = 0; same && i < count; i++)
        same = ids[i] == m->ids[expected[i].slot] && memcmp(&distances[i], &expected[i].distance, 4) == 0;
    expect(same, w, "hits of an anonymous store (their number)", p.result_count, count);
}

/* One store's life. */
static inline void store_life(struct fuzz_worker *w, struct fuzz_model *m)
{
    struct vexfs_vector_file_info info = {0};
    if (!store_open(w, m))
        return;
    for (unsigned i = 0; i < 12 && m->slots < MODEL_SLOTS && !is_stopped(); i++) {
        store_insert(w, m);
        store_check_search(w, m);
    }
    int rc = ask(w, m->fd, KIND_GET_META, &info);
    expect(rc == 0 && info.dimensions == MODEL_DIMS && info.vector_count == m->slots, w,
           "count of an anonymous store", rc != 0 ? rc : (int64_t)info.vector_count, m->slots);
    model_close(m);
}

#endif
