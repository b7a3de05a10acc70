/* Vector files of one collection, over the device.
 *
 * Owner     The collection. Lock: its reader-writer lock. The writer's side of a file (`writing`, `end`) is the writer's alone;
 *           readers see `df` and `slots`, which change only in reserve and configure (exclusive).
 * Invariant A file is visible to readers no further than its writer has written and reserved it, so no map is touched beyond
 *           the end of its file.
 * Format    v<ordinal>.vex: docs/disk-format.md, "vector file". */
#include "engine/point/vectors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "uapi/dist.h"

#define PREFETCH_BYTES 1024u      /* of a vector: the processor follows by itself */
#define FETCH_BYTES    (1u << 20) /* of one answer of the device, unless a single vector is longer */

struct vector_file {
    uint8_t ordinal;
    uint32_t dimensions, stride;
    enum vex_element element;
    struct vex_file *file;
    struct vex_dev_file *writing; /* NULL: no file yet */
    uint64_t end;                 /* slots the file holds */
    bool grown;                   /* end is above slots */
    bool told;                    /* the log says why there is no file */
    struct vex_dev_file *df;      /* readers' view */
    uint64_t slots;
};

struct vex_vectors {
    struct vex_io *io;
    struct vex_dev *dev;
    char *dir;
    struct vector_file **files; /* dense names, by ordinal rising */
    uint32_t count;
    bool created; /* a file has been made since the folder was synced */
};

/* Requests are counted here and not asked of the device: its own counts end with the file that is closed. */
static void count_request(enum vex_metric kind, enum vex_metric bytes_kind, uint64_t bytes)
{
    vex_metric_add(kind, 1);
    vex_metric_add(bytes_kind, bytes);
}

static void file_path(const struct vex_vectors *vectors, uint8_t ordinal, char path[VEX_PATH_MAX])
{
    char name[16];

    snprintf(name, sizeof name, "v%u.vex", ordinal);
    vex_file_join(path, vectors->dir, name);
}

static struct vector_file *find(const struct vex_vectors *vectors, uint8_t ordinal)
{
    for (uint32_t i = 0; i < vectors->count; i++)
        if (vectors->files[i]->ordinal == ordinal)
            return vectors->files[i];
    return NULL;
}

static int attach(struct vex_vectors *vectors, struct vector_file *vf, bool create, struct vex_err *err)
{
    struct vex_dev_layout layout = {.dimensions = vf->dimensions, .element = vf->element};
    char path[VEX_PATH_MAX];
    int rc;

    file_path(vectors, vf->ordinal, path);
    rc = vex_io_open(vectors->io, path, create ? VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC : VEX_IO_WRITE,
                     &vf->file);
    if (rc == -ENOENT)
        return vex_err_set(err, VEX_ECORRUPT, "vector file %s is missing", path);
    if (rc < 0)
        return vex_err_set(err, vex_err_errno(rc), "cannot open %s: %s", path, strerror(-rc));
    rc = vectors->dev->ops->attach(vectors->dev, vectors->io, vf->file, &layout, create, &vf->writing, err);
    count_request(VEX_METRIC_DEVICE_ATTACHES, VEX_METRIC_DEVICE_READ_BYTES, 0);
    if (rc != 0) {
        vex_io_close(vectors->io, vf->file);
        vf->file = NULL;
        return rc;
    }
    vf->end = layout.slots;
    vf->grown = true;
    vectors->created = vectors->created || create;
    return 0;
}

static void close_file(struct vex_vectors *vectors, struct vector_file *vf)
{
    if (vf->writing != NULL)
        vectors->dev->ops->detach(vectors->dev, vf->writing);
    vex_io_close(vectors->io, vf->file);
    vex_mem_free(vf);
}

static void add_name(struct vex_vectors *vectors, const struct vex_vector_params *params)
{
    struct vector_file *vf = VEX_NEW(struct vector_file);

    vf->ordinal = params->ordinal;
    vf->dimensions = params->size;
    vf->element = params->element;
    vf->stride = vex_vectors_stride(params);
    vectors->files = vex_mem_realloc(vectors->files, (vectors->count + 1) * sizeof *vectors->files);
    vectors->files[vectors->count++] = vf;
}

/* Files of names that are gone: what a crash between the change of configuration and their removal left behind. */
static void remove_strays(struct vex_vectors *vectors, const struct vex_config *config)
{
    char path[VEX_PATH_MAX];

    for (uint8_t ordinal = 0; ordinal < config->next_ordinal; ordinal++) {
        bool known = false;
        for (uint32_t i = 0; i < config->vector_count; i++)
            known = known || config->vectors[i].ordinal == ordinal;
        if (known)
            continue;
        file_path(vectors, ordinal, path);
        vectors->io->ops->unlink(vectors->io, path);
    }
}

/* Opens the files of the checkpoint. One whose name is gone from the configuration was removed after it. */
static int attach_files(struct vex_vectors *vectors, struct vex_str state, struct vex_err *err)
{
    struct vex_cursor c = vex_cursor(state.ptr, state.len);

    while (vex_cursor_left(&c) > 0) {
        uint8_t ordinal = vex_cursor_u8(&c);
        uint64_t slots = vex_cursor_u64(&c);
        struct vector_file *vf = find(vectors, ordinal);
        int rc;

        if (c.bad)
            return vex_err_set(err, VEX_ECORRUPT, "list of vector files is damaged");
        if (vf == NULL)
            continue;
        if (vf->writing != NULL)
            return vex_err_set(err, VEX_ECORRUPT, "list of vector files names v%u.vex twice", ordinal);
        rc = attach(vectors, vf, false, err);
        if (rc ==
            VEX_EBAD_INPUT) /* a sound file of another geometry stands where ours should: damage to this collection */
            rc = err->code = VEX_ECORRUPT;
        if (rc != 0)
            return rc;
        if (vf->end < slots)
            return vex_err_set(err, VEX_ECORRUPT, "vector file %s/v%u.vex is too short", vectors->dir,
                               ordinal);
    }
    return 0;
}

int vex_vectors_open(struct vex_io *io, struct vex_dev *dev, const char *dir, const struct vex_config *config,
                     struct vex_str state, struct vex_vectors **ret, struct vex_err *err)
{
    struct vex_vectors *vectors = VEX_NEW(struct vex_vectors);
    int rc;

    vectors->io = io;
    vectors->dev = dev;
    vectors->dir = vex_mem_strndup(dir, strlen(dir));
    remove_strays(vectors, config);
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (config->vectors[i].kind == VEX_VECTOR_DENSE && config->vectors[i].size != 0)
            add_name(vectors, &config->vectors[i]);
    rc = attach_files(vectors, state, err);
    if (rc == 0) {
        rc = vex_vectors_reserve(vectors);
        if (rc != 0)
            vex_err_set(err, rc, "cannot map the vector files of %s", dir);
    }
    if (rc != 0) {
        vex_vectors_close(vectors);
        return rc;
    }
    *ret = vectors;
    return 0;
}

void vex_vectors_close(struct vex_vectors *vectors)
{
    if (vectors == NULL)
        return;
    for (uint32_t i = 0; i < vectors->count; i++)
        close_file(vectors, vectors->files[i]);
    vex_mem_free(vectors->files);
    vex_mem_free(vectors->dir);
    vex_mem_free(vectors);
}

void vex_vectors_state(const struct vex_vectors *vectors, struct vex_buf *ret)
{
    for (uint32_t i = 0; i < vectors->count; i++) {
        if (vectors->files[i]->writing == NULL)
            continue;
        vex_buf_add_u8(ret, vectors->files[i]->ordinal);
        vex_buf_add_u64(ret, vectors->files[i]->end);
    }
}

int vex_vectors_configure(struct vex_vectors *vectors, const struct vex_config *config, struct vex_err *err)
{
    uint32_t kept = 0;

    (void)err;
    for (uint32_t i = 0; i < vectors->count; i++) {
        bool known = false;
        for (uint32_t j = 0; j < config->vector_count; j++)
            known = known || config->vectors[j].ordinal == vectors->files[i]->ordinal;
        if (known)
            vectors->files[kept++] = vectors->files[i];
        else
            close_file(vectors, vectors->files[i]);
    }
    vectors->count = kept;
    remove_strays(vectors, config);
    for (uint32_t j = 0; j < config->vector_count; j++) {
        const struct vex_vector_params *params = &config->vectors[j];
        if (params->kind == VEX_VECTOR_DENSE && params->size != 0 && find(vectors, params->ordinal) == NULL)
            add_name(vectors, params);
    }
    return 0;
}

/* ---- writing ---- */

int vex_vectors_write(struct vex_vectors *vectors, uint8_t ordinal, const uint32_t *slots, uint32_t count,
                      const void *data)
{
    struct vector_file *vf = find(vectors, ordinal);
    struct vex_err err;
    int rc = 0;

    if (vf == NULL)
        return VEX_EBAD_INPUT;
    if (vf->writing == NULL) {
        rc = attach(vectors, vf, true, &err);
        /* The writer tries again and again and knows the code alone: why is said here, once. */
        if (rc != 0 && !vf->told)
            vex_error("vectors", "%s", err.text);
        vf->told = rc != 0;
    }
    for (uint32_t i = 0, run; i < count && rc == 0; i += run) {
        for (run = 1; i + run < count && slots[i + run] == slots[i] + run;)
            run++;
        rc = vectors->dev->ops->write(vectors->dev, vf->writing, slots[i], run,
                                      (const char *)data + (size_t)i * vf->stride);
        count_request(VEX_METRIC_DEVICE_WRITES, VEX_METRIC_DEVICE_WRITTEN_BYTES, (uint64_t)run * vf->stride);
        if (rc == 0 && (uint64_t)slots[i] + run > vf->end) {
            vf->end = (uint64_t)slots[i] + run;
            vf->grown = true;
        }
    }
    return rc;
}

int vex_vectors_reserve(struct vex_vectors *vectors)
{
    for (uint32_t i = 0; i < vectors->count; i++) {
        struct vector_file *vf = vectors->files[i];
        int rc;

        if (!vf->grown)
            continue;
        rc = vectors->dev->ops->reserve(vectors->dev, vf->writing, vf->end);
        if (rc != 0)
            return rc;
        vf->df = vf->writing;
        vf->slots = vf->end;
        vf->grown = false;
    }
    return 0;
}

int vex_vectors_sync(struct vex_vectors *vectors)
{
    for (uint32_t i = 0; i < vectors->count; i++) {
        struct vector_file *vf = vectors->files[i];
        int rc = vf->writing != NULL ? vectors->dev->ops->sync(vectors->dev, vf->writing) : 0;

        if (vf->writing != NULL)
            count_request(VEX_METRIC_DEVICE_SYNCS, VEX_METRIC_DEVICE_WRITTEN_BYTES, 0);
        if (rc != 0)
            return rc;
    }
    if (vectors->created) {
        int rc = vectors->io->ops->dirsync(vectors->io, vectors->dir);
        if (rc < 0)
            return vex_err_errno(rc);
        vectors->created = false;
    }
    return 0;
}

void vex_vectors_evict(struct vex_vectors *vectors)
{
    for (uint32_t i = 0; i < vectors->count; i++)
        if (vectors->files[i]->df != NULL && vectors->dev->ops->evict != NULL)
            vectors->dev->ops->evict(vectors->dev, vectors->files[i]->df);
}

uint32_t vex_vectors_stride(const struct vex_vector_params *params)
{
    return params->kind == VEX_VECTOR_DENSE && params->size != 0
               ? vex_dev_stride(params->size, params->element)
               : 0;
}

float vex_vectors_encode(const struct vex_vector_params *params, const float *values, void *ret)
{
    size_t size = (size_t)params->size * vex_element_size(params->element);
    /* Unit-length bytes would all be 0 or 1: those vectors stay as they are. */
    bool normalise = params->distance == VEX_DISTANCE_COSINE && params->element != VEX_ELEMENT_U8;
    float norm = 1;

    memset((char *)ret + size, 0, vex_vectors_stride(params) - size);
    if (!normalise) {
        vex_dist_encode(params->element, values, ret, params->size);
    } else if (params->element == VEX_ELEMENT_F32) {
        memcpy(ret, values, size);
        norm = vex_dist_normalise(ret, params->size);
    } else {
        float *copy = vex_mem_alloc((size_t)params->size * sizeof *copy);
        memcpy(copy, values, (size_t)params->size * sizeof *copy);
        norm = vex_dist_normalise(copy, params->size);
        vex_dist_encode(params->element, copy, ret, params->size);
        vex_mem_free(copy);
    }
    return norm;
}

/* ---- reading ---- */

int vex_vectors_read_stored(struct vex_vectors *vectors, uint8_t ordinal, const uint32_t *slots,
                            uint32_t count, void *ret)
{
    struct vector_file *vf = find(vectors, ordinal);

    if (vf == NULL || vf->writing == NULL)
        return VEX_ECORRUPT;
    count_request(VEX_METRIC_DEVICE_READS, VEX_METRIC_DEVICE_READ_BYTES, (uint64_t)count * vf->stride);
    return vectors->dev->ops->read(vectors->dev, vf->writing, slots, count, ret);
}

int vex_vectors_read(struct vex_vectors *vectors, uint8_t ordinal, uint32_t slot, float *ret)
{
    struct vector_file *vf = find(vectors, ordinal);
    const char *map;

    if (vf == NULL || vf->df == NULL || slot >= vf->slots)
        return VEX_ECORRUPT;
    map = vectors->dev->ops->map(vectors->dev, vf->df);
    if (map != NULL) {
        vex_dist_decode(vf->element, map + (size_t)slot * vf->stride, ret, vf->dimensions);
        return 0;
    }
    void *stored = vex_mem_alloc(vf->stride);
    int rc = vectors->dev->ops->read(vectors->dev, vf->df, &slot, 1, stored);
    count_request(VEX_METRIC_DEVICE_READS, VEX_METRIC_DEVICE_READ_BYTES, vf->stride);
    if (rc == 0)
        vex_dist_decode(vf->element, stored, ret, vf->dimensions);
    vex_mem_free(stored);
    return rc;
}

/* Slots that a buffer of the device's answers holds. */
static uint32_t fetch_capacity(const struct vector_file *vf)
{
    return vf->stride < FETCH_BYTES ? FETCH_BYTES / vf->stride : 1;
}

/* One request for slots that lie in [low, low + range): the range itself when it is hardly longer than the list. */
static int fetch_piece(struct vex_vectors *vectors, struct vector_file *vf, const uint32_t *slots,
                       uint32_t count, uint32_t low, uint64_t range, float *const *ret)
{
    bool dense = range <= 2 * (uint64_t)count && range <= fetch_capacity(vf);
    uint64_t rows = dense ? range : count;
    char *stored = vex_mem_try(rows * vf->stride);
    uint32_t *found = dense ? vex_mem_try(rows * sizeof *found) : NULL, got = 0, cursor = low;
    int rc = VEX_ENO_MEMORY;

    if (stored != NULL && dense && found != NULL) {
        rc = vex_vectors_scan(vectors, vf->ordinal, &cursor, low + (uint32_t)range, NULL, (uint32_t)range,
                              found, stored, &got);
        if (rc == 0 && got != range)
            rc = VEX_ECORRUPT;
    } else if (stored != NULL && !dense) {
        rc = vectors->dev->ops->read(vectors->dev, vf->df, slots, count, stored);
        count_request(VEX_METRIC_DEVICE_READS, VEX_METRIC_DEVICE_READ_BYTES, (uint64_t)count * vf->stride);
    }
    for (uint32_t i = 0; i < count && rc == 0; i++)
        vex_dist_decode(vf->element, stored + (size_t)(dense ? slots[i] - low : i) * vf->stride, ret[i],
                        vf->dimensions);
    vex_mem_free(stored);
    vex_mem_free(found);
    return rc;
}

int vex_vectors_fetch(struct vex_vectors *vectors, uint8_t ordinal, const uint32_t *slots, uint32_t count,
                      float *const *ret)
{
    struct vector_file *vf = find(vectors, ordinal);
    int rc = 0;

    if (count == 0)
        return 0;
    if (vf == NULL || vf->df == NULL)
        return VEX_ECORRUPT;
    for (uint32_t at = 0, piece; at < count && rc == 0; at += piece) {
        uint32_t low = slots[at], high = slots[at];

        piece = count - at < fetch_capacity(vf) ? count - at : fetch_capacity(vf);
        for (uint32_t i = at; i < at + piece; i++) {
            low = slots[i] < low ? slots[i] : low;
            high = slots[i] > high ? slots[i] : high;
        }
        if (high >= vf->slots)
            return VEX_ECORRUPT;
        rc = fetch_piece(vectors, vf, slots + at, piece, low, (uint64_t)high - low + 1, ret + at);
    }
    return rc;
}

/* The vectors that the next step compares are on their way meanwhile: random reads of a map far larger than the caches. */
static void prefetch(const char *map, const struct vector_file *vf, const uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t at = 0; at < vf->stride && at < PREFETCH_BYTES; at += 64)
            __builtin_prefetch(map + (size_t)slots[i] * vf->stride + at);
}

static void score_mapped(const struct vector_file *vf, const char *map, enum vex_distance distance,
                         const float *query, const uint32_t *slots, uint32_t count, float *ret)
{
    vex_dist4_fn *four = vex_dist4(distance, vf->element);
    vex_dist_fn *one = vex_dist(distance, vf->element);
    uint32_t i = 0;

    prefetch(map, vf, slots, count < 4 ? count : 4);
    for (; i + 4 <= count; i += 4) {
        const void *at[4];

        for (uint32_t j = 0; j < 4; j++)
            at[j] = map + (size_t)slots[i + j] * vf->stride;
        prefetch(map, vf, slots + i + 4, count - i - 4 < 4 ? count - i - 4 : 4);
        four(query, at, vf->dimensions, ret + i);
    }
    for (; i < count; i++)
        ret[i] = one(query, map + (size_t)slots[i] * vf->stride, vf->dimensions);
}

/* A device without a map. */
static int score_read(struct vex_vectors *vectors, const struct vector_file *vf, enum vex_distance distance,
                      const float *query, const uint32_t *slots, uint32_t count, float *ret)
{
    vex_dist_fn *dist = vex_dist(distance, vf->element);
    uint32_t most = fetch_capacity(vf);
    char *stored = vex_mem_try((size_t)(count < most ? count : most) * vf->stride);
    int rc = stored != NULL ? 0 : VEX_ENO_MEMORY;

    for (uint32_t at = 0, piece; at < count && rc == 0; at += piece) {
        piece = count - at < most ? count - at : most;
        rc = vectors->dev->ops->read(vectors->dev, vf->df, slots + at, piece, stored);
        count_request(VEX_METRIC_DEVICE_READS, VEX_METRIC_DEVICE_READ_BYTES, (uint64_t)piece * vf->stride);
        for (uint32_t i = 0; i < piece && rc == 0; i++)
            ret[at + i] = dist(query, stored + (size_t)i * vf->stride, vf->dimensions);
    }
    vex_mem_free(stored);
    return rc;
}

int vex_vectors_score(struct vex_vectors *vectors, uint8_t ordinal, enum vex_distance distance,
                      const float *query, const uint32_t *slots, uint32_t count, float *ret)
{
    struct vector_file *vf = find(vectors, ordinal);
    const char *map;

    if (count == 0)
        return 0;
    if (vf == NULL || vf->df == NULL)
        return VEX_ECORRUPT;
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] >= vf->slots)
            return VEX_ECORRUPT;
    map = vectors->dev->ops->map(vectors->dev, vf->df);
    if (map == NULL)
        return score_read(vectors, vf, distance, query, slots, count, ret);
    score_mapped(vf, map, distance, query, slots, count, ret);
    return 0;
}

int vex_vectors_search(struct vex_vectors *vectors, uint8_t ordinal, struct vex_dev_search *search)
{
    struct vector_file *vf = find(vectors, ordinal);
    struct vex_dev_search clamped = *search;

    if (vf == NULL)
        return VEX_EBAD_INPUT;
    if (vf->df == NULL || search->first >= vf->slots || search->slots == 0) {
        memset(search->found, 0, search->count * sizeof *search->found);
        return 0;
    }
    if (clamped.slots > vf->slots - clamped.first)
        clamped.slots = (uint32_t)(vf->slots - clamped.first);
    count_request(VEX_METRIC_DEVICE_SEARCHES, VEX_METRIC_DEVICE_READ_BYTES, 0);
    return vectors->dev->ops->search(vectors->dev, vf->df, &clamped);
}

int vex_vectors_scan(struct vex_vectors *vectors, uint8_t ordinal, uint32_t *cursor, uint32_t end,
                     const uint64_t *allow, uint32_t max, uint32_t *ret_slots, void *ret_data,
                     uint32_t *ret_count)
{
    struct vector_file *vf = find(vectors, ordinal);

    if (vf == NULL)
        return VEX_EBAD_INPUT;
    if (vf->df == NULL) {
        *ret_count = 0;
        return 0;
    }
    if (end > vf->slots)
        end = (uint32_t)vf->slots;
    int rc = vectors->dev->ops->scan(vectors->dev, vf->df, cursor, end, allow, max, ret_slots, ret_data,
                                     ret_count);
    count_request(VEX_METRIC_DEVICE_SCANS, VEX_METRIC_DEVICE_READ_BYTES,
                  rc == 0 ? (uint64_t)*ret_count * vf->stride : 0);
    return rc;
}
