/* Image of a graph in a file.
 *
 * Format    Head: magic, version u32, CRC-32C u32 of what follows of the head; its length, dimensions, distance, m, ef_construct, degree,
 *           slots, count, stride of a code, CRC-32C of the body (u32 each); mark u64; torn u32; 28 bytes of zeros, for parameters
 *           to come; the codec (vex_codes_save); bitmap of linked slots (u64 each); entries (graph_entries_save). Version 2 has no
 *           entries, and zeros for torn.
 *           Body, on page borders: codes, links, each padded with zeros to a whole page. Little-endian.
 * Order     The head is written last: a file without a right one is no graph.
 * Trust     The head is checked wholly. Codes and links are not: walks tolerate any bytes (vex_graph_verify finds damage). */
#include "engine/index/graph_file.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "engine/index/codes_kernels.h"
#include "engine/index/graph_private.h"

#define MAGIC      "VEXGRAPH"
#define VERSION    3u
#define OLD        2u /* entries are drawn anew */
#define PAGE       ((size_t)4096)
#define PIECE      ((size_t)1 << 20)
#define SYNC_EVERY ((size_t)32 << 20) /* no long sync at the end that all others wait behind */
#define FIELDS     10
#define SPARE      28
#define HEAD_BARE  (16 + FIELDS * sizeof(uint32_t) + sizeof(uint64_t) + sizeof(uint32_t) + SPARE)
#define SUM_FROM   16 /* where the part of the head begins that its sum is of */
#define STRIDE_MAX ((uint32_t)1 << 20)

struct shape {
    uint32_t version, head, degree, slots, count, stride, body_sum;
    size_t codes, links; /* lengths in the file, whole pages */
};

static size_t pages(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static void measure(struct shape *shape)
{
    shape->codes = pages((size_t)shape->slots * shape->stride);
    shape->links = pages((size_t)shape->slots * shape->degree * sizeof(uint32_t));
}

static int failed(struct vex_err *err, int64_t code, const char *what)
{
    return vex_err_set(err, vex_err_errno((int)-code), "graph file: %s failed", what);
}

/* Of the head; that of one version is none of another. */
static uint32_t head_sum(uint32_t version, const char *head, size_t len)
{
    return vex_crc32c(version == OLD ? 0 : version, head + SUM_FROM, len - SUM_FROM);
}

/* ---- saving ---- */

struct vex_graph_saver {
    const struct vex_graph *graph;
    struct vex_io *io;
    struct vex_file *file;
    struct vex_buf head; /* but for the sums, which are known at the end */
    struct shape shape;
    size_t at, len; /* of the body: where the next piece goes, and its length */
    uint64_t *piece;
};

/* The bits of now: whatever is linked has its code and links. */
static void add_linked(const struct vex_graph *graph, struct shape *shape, struct vex_buf *out)
{
    shape->slots = graph->slots; /* all: links may lead to any */
    for (uint32_t w = 0; w < graph->slots / 64; w++) {
        uint64_t bits = atomic_load_explicit(&graph->linked[w], memory_order_acquire);
        vex_buf_add_u64(out, bits);
        shape->count += (uint32_t)__builtin_popcountll(bits);
    }
}

static void write_fields(const struct vex_graph *graph, const struct shape *shape, uint64_t mark,
                         uint32_t torn, char *head)
{
    const uint32_t version = VERSION, fields[FIELDS] = {shape->head,
                                                        graph->params.dimensions,
                                                        graph->params.distance,
                                                        graph->params.m,
                                                        graph->params.ef_construct,
                                                        shape->degree,
                                                        shape->slots,
                                                        shape->count,
                                                        shape->stride,
                                                        0};

    memcpy(head, MAGIC, 8);
    memcpy(head + 8, &version, sizeof version);
    memcpy(head + SUM_FROM, fields, sizeof fields);
    memcpy(head + SUM_FROM + sizeof fields, &mark, sizeof mark);
    memcpy(head + SUM_FROM + sizeof fields + sizeof mark, &torn, sizeof torn);
}

struct vex_graph_saver *vex_graph_saver_new(const struct vex_graph *graph, uint64_t mark, uint32_t torn,
                                            struct vex_io *io, struct vex_file *file)
{
    struct vex_graph_saver *saver = VEX_NEW(struct vex_graph_saver);
    struct vex_buf *head = &saver->head;
    size_t len;

    saver->graph = graph;
    saver->io = io;
    saver->file = file;
    saver->shape = (struct shape){.degree = graph->degree, .stride = (uint32_t)graph->codes.stride};
    saver->piece = vex_mem_zalloc(PIECE);
    vex_buf_init(head, NULL);
    vex_buf_reserve(head, HEAD_BARE);
    memset(head->ptr, 0, HEAD_BARE);
    head->len = HEAD_BARE;
    vex_codes_save(&graph->codes, head);
    add_linked(graph, &saver->shape, head);
    graph_entries_save(graph, head);
    len = pages(head->len);
    vex_buf_reserve(head, len - head->len);
    memset(head->ptr + head->len, 0, len - head->len);
    head->len = len;
    saver->shape.head = (uint32_t)len;
    measure(&saver->shape);
    write_fields(graph, &saver->shape, mark, torn, head->ptr);
    return saver;
}

void vex_graph_saver_free(struct vex_graph_saver *saver)
{
    if (saver == NULL)
        return;
    vex_buf_done(&saver->head);
    vex_mem_free(saver->piece);
    vex_mem_free(saver);
}

/* By way of a copy, so that the sum is that of the bytes written, whatever happens to them meanwhile. */
VEX_CODE_RACY static void copy_racy(uint64_t *to, const char *from, size_t size)
{
    const uint64_t *words = (const void *)from;

    for (size_t i = 0; i < size / sizeof *to; i++)
        to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
}

void vex_graph_saver_take(struct vex_graph_saver *saver)
{
    const struct shape *shape = &saver->shape;
    bool codes = saver->at < shape->codes;
    const char *from = codes ? saver->graph->code_memory.base : saver->graph->link_memory.base;
    size_t at = codes ? saver->at : saver->at - shape->codes;
    size_t size = codes ? (size_t)shape->slots * shape->stride
                        : (size_t)shape->slots * shape->degree * sizeof(uint32_t);
    size_t len = size - at < PIECE ? size - at : PIECE;

    saver->len = 0;
    if (saver->at >= shape->codes + shape->links)
        return;
    copy_racy(saver->piece, from + at, len);
    saver->len = pages(len);
    memset((char *)saver->piece + len, 0, saver->len - len);
}

static int put_head(struct vex_graph_saver *saver)
{
    char *head = saver->head.ptr;
    uint32_t sum;
    int code;

    memcpy(head + SUM_FROM + (FIELDS - 1) * sizeof(uint32_t), &saver->shape.body_sum, sizeof(uint32_t));
    sum = head_sum(VERSION, head, saver->head.len);
    memcpy(head + 12, &sum, sizeof sum);
    code = saver->io->ops->datasync(saver->io, saver->file);
    if (code == 0)
        code = vex_io_pwrite(saver->io, saver->file, head, saver->head.len, 0);
    return code == 0 ? saver->io->ops->datasync(saver->io, saver->file) : code;
}

int vex_graph_saver_put(struct vex_graph_saver *saver, bool *ret_done, struct vex_err *err)
{
    struct shape *shape = &saver->shape;
    int code = 0;

    *ret_done = false;
    if (saver->len > 0) {
        shape->body_sum = vex_crc32c(shape->body_sum, saver->piece, saver->len);
        code = vex_io_pwrite(saver->io, saver->file, saver->piece, saver->len, shape->head + saver->at);
        saver->at += saver->len;
        saver->len = 0;
        if (code == 0 && saver->at % SYNC_EVERY == 0)
            code = saver->io->ops->datasync(saver->io, saver->file);
    }
    if (code == 0 && saver->at >= shape->codes + shape->links) {
        code = put_head(saver);
        *ret_done = code == 0;
    }
    return code == 0 ? 0 : failed(err, code, "writing");
}

int vex_graph_save(const struct vex_graph *graph, struct vex_io *io, struct vex_file *file,
                   struct vex_err *err)
{
    struct vex_graph_saver *saver = vex_graph_saver_new(graph, 0, 0, io, file);
    bool done = false;
    int ret = 0;

    while (ret == 0 && !done) {
        vex_graph_saver_take(saver);
        ret = vex_graph_saver_put(saver, &done, err);
    }
    vex_graph_saver_free(saver);
    return ret;
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
static int read_bare(struct vex_io *io, struct vex_file *file, struct shape *shape,
                     struct vex_graph_label *label, struct vex_err *err)
{
    char bare[HEAD_BARE] = {0};
    struct vex_cursor c = vex_cursor(bare, sizeof bare);
    int64_t size = vex_io_size(io, file);
    int ret = read_whole(io, file, bare, sizeof bare, 0, err);
    uint32_t distance;

    if (ret != 0)
        return ret;
    if (memcmp(vex_cursor_bytes(&c, 8), MAGIC, 8) != 0)
        return damaged(err, "it is none");
    shape->version = vex_cursor_u32(&c);
    if (shape->version != VERSION && shape->version != OLD)
        return damaged(err, "it is of another version");
    (void)vex_cursor_u32(&c);
    shape->head = vex_cursor_u32(&c);
    label->params.dimensions = vex_cursor_u32(&c);
    distance = vex_cursor_u32(&c);
    label->params.m = vex_cursor_u32(&c);
    label->params.ef_construct = vex_cursor_u32(&c);
    shape->degree = vex_cursor_u32(&c);
    shape->slots = label->slots = vex_cursor_u32(&c);
    shape->count = vex_cursor_u32(&c);
    shape->stride = vex_cursor_u32(&c);
    shape->body_sum = vex_cursor_u32(&c);
    label->mark = vex_cursor_u64(&c);
    label->torn = vex_cursor_u32(&c);
    if (label->params.dimensions == 0 || label->params.dimensions > VEX_DIM_MAX ||
        distance >= VEX_DISTANCE_COUNT || shape->degree == 0 || shape->degree > 2 * VEX_GRAPH_M_MAX ||
        shape->slots % 64 != 0 || shape->slots > UINT32_MAX / 2 || shape->count > shape->slots ||
        shape->stride == 0 || shape->stride > STRIDE_MAX)
        return damaged(err, "its figures are out of range");
    label->params.distance = (enum vex_distance)distance;
    measure(shape);
    if (shape->head % PAGE != 0 || shape->head < HEAD_BARE + shape->slots / 8 || size < 0 ||
        (uint64_t)size < (uint64_t)shape->head + shape->codes + shape->links)
        return damaged(err, "its length is not that of its figures");
    return 0;
}

/* The head wholly, right by its sum; to be freed. */
static int read_head(struct vex_io *io, struct vex_file *file, struct shape *shape,
                     struct vex_graph_label *label, char **ret, struct vex_err *err)
{
    int code = read_bare(io, file, shape, label, err);
    uint32_t sum;
    char *head = NULL;

    if (code != 0)
        return code;
    head = vex_mem_try(shape->head);
    if (head == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "graph file: no memory for its head");
    code = read_whole(io, file, head, shape->head, 0, err);
    if (code == 0) {
        memcpy(&sum, head + 12, sizeof sum);
        if (head_sum(shape->version, head, shape->head) != sum)
            code = damaged(err, "the sum of its head is wrong");
    }
    if (code == 0) {
        *ret = head;
        return 0;
    }
    vex_mem_free(head);
    return code;
}

int vex_graph_peek(struct vex_io *io, struct vex_file *file, struct vex_graph_label *ret, struct vex_err *err)
{
    struct shape shape;
    char *head = NULL;
    int code;

    *ret = (struct vex_graph_label){0};
    code = read_head(io, file, &shape, ret, &head, err);
    if (code == 0 && !vex_codes_peek(&ret->params.codes, head + HEAD_BARE, shape.head - HEAD_BARE))
        code = damaged(err, "its codes are of no known kind");
    vex_mem_free(head);
    return code;
}

/* Codec and bits out of the head. */
static int take_head(struct vex_graph *graph, const struct shape *shape, struct vex_cursor *c,
                     struct vex_err *err)
{
    uint32_t count = 0;

    (void)vex_cursor_bytes(c, HEAD_BARE);
    if (!vex_codes_load(&graph->codes, c) && shape->count > 0)
        return damaged(err, "its codes have no scale");
    for (uint32_t w = 0; w < shape->slots / 64; w++) {
        uint64_t bits = vex_cursor_u64(c);
        atomic_init(&graph->linked[w], bits);
        count += (uint32_t)__builtin_popcountll(bits);
    }
    if (c->bad)
        return damaged(err, "its head is of another codec");
    return count == shape->count ? 0 : damaged(err, "its count is wrong");
}

/* Entries, which ask for the codes; then nothing is left of the head. */
static int take_entries(struct vex_graph *graph, const struct shape *shape, struct vex_cursor *c,
                        struct vex_err *err)
{
    if (shape->version != OLD && !graph_entries_load(graph, c))
        return damaged(err, "its entries can't be");
    if (vex_cursor_left(c) >= PAGE)
        return damaged(err, "its head is of another codec");
    graph_entries_follow(graph, shape->count);
    return 0;
}

static int fill(struct vex_graph *graph, const struct shape *shape, const char *head, struct vex_io *io,
                struct vex_file *file, struct vex_err *err)
{
    struct vex_cursor c = vex_cursor(head, shape->head);
    int ret;

    graph->slots = shape->slots;
    graph->locks = shape->slots > 0 ? vex_mem_zalloc(shape->slots) : NULL;
    graph->linked = shape->slots > 0 ? vex_mem_zalloc(shape->slots / 8) : NULL;
    ret = take_head(graph, shape, &c, err);
    if (ret != 0)
        return ret;
    if (!vex_huge_map(&graph->code_memory, io, file, shape->head, (size_t)shape->slots * shape->stride) ||
        !vex_huge_map(&graph->link_memory, io, file, shape->head + shape->codes,
                      (size_t)shape->slots * shape->degree * sizeof(uint32_t)))
        return vex_err_set(err, VEX_ENO_MEMORY, "graph file: it can't be mapped");
    atomic_store_explicit(&graph->count, shape->count, memory_order_relaxed);
    return take_entries(graph, shape, &c, err);
}

int vex_graph_load(const struct vex_graph_params *params, struct vex_io *io, struct vex_file *file,
                   struct vex_graph **ret, struct vex_err *err)
{
    struct vex_graph_label label = {0};
    struct vex_graph *graph;
    struct shape shape;
    char *head = NULL;
    int code = read_head(io, file, &shape, &label, &head, err);

    if (code != 0)
        return code;
    graph = vex_graph_new(params);
    if (label.params.dimensions != params->dimensions || label.params.distance != params->distance ||
        shape.degree != graph->degree || shape.stride != graph->codes.stride)
        code = damaged(err, "it is of other parameters");
    else
        code = fill(graph, &shape, head, io, file, err);
    vex_mem_free(head);
    if (code != 0) {
        vex_graph_free(graph);
        return code;
    }
    *ret = graph;
    return 0;
}

/* ---- checking ---- */

int vex_graph_verify_piece(struct vex_io *io, struct vex_file *file, struct vex_graph_verifier *verifier,
                           bool *ret_done, struct vex_err *err)
{
    struct vex_graph_label label = {0};
    struct shape shape;
    int ret = read_bare(io, file, &shape, &label, err);
    uint64_t end;
    char *piece;

    *ret_done = false;
    if (ret != 0)
        return ret;
    end = (uint64_t)shape.codes + shape.links;
    if (verifier->at < end) {
        size_t len = end - verifier->at < PIECE ? (size_t)(end - verifier->at) : PIECE;
        piece = vex_mem_alloc(PIECE);
        ret = read_whole(io, file, piece, len, shape.head + verifier->at, err);
        if (ret == 0)
            verifier->sum = vex_crc32c(verifier->sum, piece, len);
        verifier->at += len;
        vex_mem_free(piece);
    }
    *ret_done = ret == 0 && verifier->at >= end;
    if (*ret_done && verifier->sum != shape.body_sum) {
        *ret_done = false;
        return damaged(err, "the sum of its body is wrong");
    }
    return ret;
}

int vex_graph_verify(struct vex_io *io, struct vex_file *file, struct vex_err *err)
{
    struct vex_graph_verifier verifier = {0};
    bool done = false;
    int ret = 0;

    while (ret == 0 && !done)
        ret = vex_graph_verify_piece(io, file, &verifier, &done, err);
    return ret;
}

/* ---- pages ---- */

int vex_graph_remap_take(struct vex_io *io, struct vex_file *file, struct vex_graph_remap *remap,
                         struct vex_err *err)
{
    struct vex_graph_label label = {0};
    struct shape shape;
    int ret = read_bare(io, file, &shape, &label, err);
    uint64_t end;

    remap->len = 0;
    if (ret != 0)
        return ret;
    remap->stride = shape.stride;
    remap->degree = shape.degree;
    remap->links = remap->at >= shape.codes;
    remap->from = remap->links ? remap->at - shape.codes : remap->at;
    remap->offset = shape.head + remap->at;
    end = remap->links ? shape.links : shape.codes;
    if (remap->from >= end)
        return 0;
    if (remap->bytes == NULL)
        remap->bytes = vex_mem_alloc(VEX_HUGE_PIECE);
    remap->len = end - remap->from < VEX_HUGE_PIECE ? (size_t)(end - remap->from) : VEX_HUGE_PIECE;
    return read_whole(io, file, remap->bytes, remap->len, remap->offset, err);
}

bool vex_graph_remap_put(struct vex_graph *graph, struct vex_io *io, struct vex_file *file,
                         struct vex_graph_remap *remap)
{
    struct vex_huge *memory = remap->links ? &graph->link_memory : &graph->code_memory;

    if (remap->len == 0 || remap->stride != graph->codes.stride || remap->degree != graph->degree)
        return false;
    remap->at += remap->len;
    return vex_huge_remap(memory, remap->from, remap->bytes, remap->len, io, file, remap->offset);
}

void vex_graph_remap_done(struct vex_graph_remap *remap)
{
    vex_mem_free(remap->bytes);
    remap->bytes = NULL;
}

uint64_t vex_graph_linked_word(const struct vex_graph *graph, uint32_t word)
{
    return atomic_load_explicit(&graph->linked[word], memory_order_acquire);
}

bool vex_graph_holds(const struct vex_graph *graph, uint32_t slot, const float *vector)
{
    uint8_t *code = vex_mem_zalloc(graph->codes.stride);
    bool same;

    vex_codes_encode(&graph->codes, graph_scratch_unit(graph, graph_scratch(graph, 1), vector), code);
    same = memcmp(code, graph_code(graph, slot), graph->codes.stride) == 0;
    vex_mem_free(code);
    return same;
}
