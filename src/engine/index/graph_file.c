/* Image of a graph in a file.
 *
 * Format    Head: magic, version u32, CRC-32C u32 of what follows of the head; dimensions, distance, degree, slots, count,
 *           CRC-32C of the body, length of the head (each u32); scale and offsets (f32); bitmap of linked slots (u64 each).
 *           Body, on page borders: codes, links, each padded with zeros to a whole page. Little-endian.
 * Order     The head is written last: a file without a right one is no graph.
 * Trust     The head is checked wholly. Codes and links are not: walks tolerate any bytes (vex_graph_verify finds damage). */
#include "base/crc32c.h"
#include "base/mem.h"
#include "engine/index/codes_kernels.h"
#include "engine/index/graph_private.h"

#define MAGIC     "VEXGRAPH"
#define VERSION   1u
#define PAGE      ((size_t)4096)
#define PIECE     ((size_t)1 << 20)
#define HEAD_BARE (16 + 7 * sizeof(uint32_t))
#define SUM_FROM  16 /* where the part of the head begins that its sum is of */

struct shape {
    uint32_t degree, slots, count, body_sum;
    size_t stride, head, codes, links; /* lengths in the file, whole pages */
};

static size_t pages(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static void measure(struct shape *shape, uint32_t dimensions)
{
    shape->stride = ((size_t)dimensions + 63) / 64 * 64;
    shape->head = pages(HEAD_BARE + sizeof(float) * (1 + (size_t)dimensions) + shape->slots / 8);
    shape->codes = pages(shape->slots * shape->stride);
    shape->links = pages((size_t)shape->slots * shape->degree * sizeof(uint32_t));
}

static int failed(struct vex_err *err, int64_t code, const char *what)
{
    return vex_err_set(err, vex_err_errno((int)-code), "graph file: %s failed", what);
}

/* ---- saving ---- */

/* A region by way of a copy, so that the sum is that of the bytes written, whatever happens to the region meanwhile. */
VEX_CODE_RACY static void copy_racy(uint64_t *to, const char *from, size_t size)
{
    const uint64_t *words = (const void *)from;

    for (size_t i = 0; i < size / sizeof *to; i++)
        to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
}

static int write_region(struct vex_io *io, struct vex_file *file, const char *from, size_t size,
                        uint64_t offset, uint32_t *sum)
{
    uint64_t *piece = vex_mem_zalloc(PIECE);
    int code = 0;

    for (size_t at = 0; at < size && code == 0; at += PIECE) {
        size_t len = size - at < PIECE ? size - at : PIECE;
        copy_racy(piece, from + at, len);
        memset((char *)piece + len, 0, pages(len) - len);
        *sum = vex_crc32c(*sum, piece, pages(len));
        code = vex_io_pwrite(io, file, piece, pages(len), offset + at);
    }
    vex_mem_free(piece);
    return code;
}

static void write_head(const struct vex_graph *graph, const struct shape *shape, const uint64_t *linked,
                       struct vex_buf *out)
{
    const uint32_t fields[7] = {
        graph->params.dimensions, graph->params.distance, shape->degree, shape->slots, shape->count,
        shape->body_sum,          (uint32_t)shape->head};
    uint32_t sum;

    vex_buf_add(out, MAGIC, 8);
    vex_buf_add_u32(out, VERSION);
    vex_buf_add_u32(out, 0);
    vex_buf_add(out, fields, sizeof fields);
    vex_codes_save(&graph->codes, out);
    vex_buf_add(out, linked, shape->slots / 8);
    vex_buf_reserve(out, shape->head - out->len);
    memset(out->ptr + out->len, 0, shape->head - out->len);
    out->len = shape->head;
    sum = vex_crc32c(0, out->ptr + SUM_FROM, out->len - SUM_FROM);
    memcpy(out->ptr + 12, &sum, sizeof sum);
}

/* The bits of now: whatever is linked has its code and links. */
static uint64_t *take_linked(const struct vex_graph *graph, struct shape *shape)
{
    uint64_t *linked = vex_mem_alloc(graph->slots / 8);

    shape->slots = graph->slots; /* all: links may lead to any */
    for (uint32_t w = 0; w < graph->slots / 64; w++) {
        linked[w] = atomic_load_explicit(&graph->linked[w], memory_order_acquire);
        shape->count += (uint32_t)__builtin_popcountll(linked[w]);
    }
    return linked;
}

int vex_graph_save(const struct vex_graph *graph, struct vex_io *io, struct vex_file *file,
                   struct vex_err *err)
{
    struct shape shape = {.degree = graph->degree};
    uint64_t *linked = take_linked(graph, &shape);
    struct vex_buf head;
    int code;

    measure(&shape, graph->params.dimensions);
    code = write_region(io, file, graph->code_memory.base, shape.slots * shape.stride, shape.head,
                        &shape.body_sum);
    if (code == 0)
        code = write_region(io, file, graph->link_memory.base,
                            (size_t)shape.slots * shape.degree * sizeof(uint32_t), shape.head + shape.codes,
                            &shape.body_sum);
    if (code == 0)
        code = io->ops->datasync(io, file);
    if (code == 0) {
        vex_buf_init(&head, NULL);
        write_head(graph, &shape, linked, &head);
        code = vex_io_pwrite(io, file, head.ptr, head.len, 0);
        vex_buf_done(&head);
    }
    if (code == 0)
        code = io->ops->datasync(io, file);
    vex_mem_free(linked);
    return code == 0 ? 0 : failed(err, code, "writing");
}

/* ---- loading ---- */

static int damaged(struct vex_err *err, const char *what)
{
    return vex_err_set(err, VEX_ECORRUPT, "graph file: %s", what);
}

static int read_whole(struct vex_io *io, struct vex_file *file, void *to, size_t size, uint64_t offset,
                      struct vex_err *err)
{
    int64_t got = vex_io_pread(io, file, to, size, offset);

    if (got < 0)
        return failed(err, got, "reading");
    return (size_t)got == size ? 0 : damaged(err, "it ends too early");
}

/* The fixed part: only its lengths are checked here, against the length of the file. */
static int read_bare(struct vex_io *io, struct vex_file *file, struct shape *shape, uint32_t *ret_dimensions,
                     uint32_t *ret_distance, struct vex_err *err)
{
    char bare[HEAD_BARE] = {0};
    struct vex_cursor c = vex_cursor(bare, sizeof bare);
    int64_t size = vex_io_size(io, file);
    int ret = read_whole(io, file, bare, sizeof bare, 0, err);
    uint32_t head;

    if (ret != 0)
        return ret;
    if (memcmp(vex_cursor_bytes(&c, 8), MAGIC, 8) != 0 || vex_cursor_u32(&c) != VERSION)
        return damaged(err, "it is none, or of another version");
    (void)vex_cursor_u32(&c);
    *ret_dimensions = vex_cursor_u32(&c);
    *ret_distance = vex_cursor_u32(&c);
    shape->degree = vex_cursor_u32(&c);
    shape->slots = vex_cursor_u32(&c);
    shape->count = vex_cursor_u32(&c);
    shape->body_sum = vex_cursor_u32(&c);
    head = vex_cursor_u32(&c);
    if (*ret_dimensions == 0 || *ret_dimensions > VEX_DIM_MAX || *ret_distance >= VEX_DISTANCE_COUNT ||
        shape->degree == 0 || shape->degree > 2 * VEX_GRAPH_M_MAX || shape->slots % 64 != 0 ||
        shape->slots > UINT32_MAX / 2 || shape->count > shape->slots)
        return damaged(err, "its figures are out of range");
    measure(shape, *ret_dimensions);
    if (head != shape->head || size < 0 ||
        (uint64_t)size < (uint64_t)shape->head + shape->codes + shape->links)
        return damaged(err, "its length is not that of its figures");
    return 0;
}

/* Codec and bits out of the head. */
static int take_head(struct vex_graph *graph, const struct shape *shape, const char *head,
                     struct vex_err *err)
{
    struct vex_cursor c = vex_cursor(head, shape->head);
    uint32_t sum, count = 0;

    memcpy(&sum, head + 12, sizeof sum);
    if (vex_crc32c(0, head + SUM_FROM, shape->head - SUM_FROM) != sum)
        return damaged(err, "the sum of its head is wrong");
    (void)vex_cursor_bytes(&c, HEAD_BARE);
    if (!vex_codes_load(&graph->codes, &c) && shape->count > 0)
        return damaged(err, "its codes have no scale");
    for (uint32_t w = 0; w < shape->slots / 64; w++) {
        uint64_t bits = vex_cursor_u64(&c);
        atomic_init(&graph->linked[w], bits);
        count += (uint32_t)__builtin_popcountll(bits);
    }
    return count == shape->count ? 0 : damaged(err, "its count is wrong");
}

static int fill(struct vex_graph *graph, const struct shape *shape, struct vex_io *io, struct vex_file *file,
                struct vex_err *err)
{
    char *head = vex_mem_try(shape->head);
    int ret;

    if (head == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "graph file: no memory for its head");
    ret = read_whole(io, file, head, shape->head, 0, err);
    if (ret == 0) {
        graph->slots = shape->slots;
        graph->locks = shape->slots > 0 ? vex_mem_zalloc(shape->slots) : NULL;
        graph->linked = shape->slots > 0 ? vex_mem_zalloc(shape->slots / 8) : NULL;
        ret = take_head(graph, shape, head, err);
    }
    vex_mem_free(head);
    if (ret != 0)
        return ret;
    if (!vex_huge_map(&graph->code_memory, io, file, shape->head, shape->slots * shape->stride) ||
        !vex_huge_map(&graph->link_memory, io, file, shape->head + shape->codes,
                      (size_t)shape->slots * shape->degree * sizeof(uint32_t)))
        return vex_err_set(err, VEX_ENO_MEMORY, "graph file: it can't be mapped");
    atomic_store_explicit(&graph->count, shape->count, memory_order_relaxed);
    graph_entries_follow(graph, shape->count);
    return 0;
}

int vex_graph_load(const struct vex_graph_params *params, struct vex_io *io, struct vex_file *file,
                   struct vex_graph **ret, struct vex_err *err)
{
    uint32_t dimensions, distance;
    struct vex_graph *graph;
    struct shape shape = {0};
    int code = read_bare(io, file, &shape, &dimensions, &distance, err);

    if (code != 0)
        return code;
    graph = vex_graph_new(params);
    if (dimensions != params->dimensions || distance != (uint32_t)params->distance ||
        shape.degree != graph->degree)
        code = damaged(err, "it is of other parameters");
    else
        code = fill(graph, &shape, io, file, err);
    if (code != 0) {
        vex_graph_free(graph);
        return code;
    }
    *ret = graph;
    return 0;
}

int vex_graph_verify(struct vex_io *io, struct vex_file *file, struct vex_err *err)
{
    struct shape shape = {0};
    uint32_t dimensions, distance, sum = 0;
    int ret = read_bare(io, file, &shape, &dimensions, &distance, err);
    char *piece;

    if (ret != 0)
        return ret;
    piece = vex_mem_alloc(PIECE);
    for (uint64_t at = shape.head, end = at + shape.codes + shape.links; at < end && ret == 0; at += PIECE) {
        size_t len = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ret = read_whole(io, file, piece, len, at, err);
        if (ret == 0)
            sum = vex_crc32c(sum, piece, len);
    }
    vex_mem_free(piece);
    if (ret == 0 && sum != shape.body_sum)
        return damaged(err, "the sum of its body is wrong");
    return ret;
}
