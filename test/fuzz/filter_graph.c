/* Fuzz: bytes written over a saved graph are refused when it is loaded, or everything that can be done with it stays inside its memory. */
#include <stdlib.h>
#include <unistd.h>

#include "engine/index/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIMENSIONS 5u
#define COUNT      100u
#define EF         20u

static char path[] = "/tmp/vex-fuzz-graph-XXXXXX";
static float points[COUNT][DIMENSIONS];

static void must(int code)
{
    if (code != 0)
        abort();
}

static struct vex_graph *build(void)
{
    struct vex_graph_params params = {.dimensions = DIMENSIONS, .m = 4, .ef_construct = 16};
    struct vex_graph *graph = vex_graph_new(&params);

    for (uint32_t i = 0; i < COUNT * DIMENSIONS; i++)
        points[i / DIMENSIONS][i % DIMENSIONS] = (float)(i * 7919 % 101);
    must(vex_graph_reserve(graph, COUNT));
    vex_graph_train(graph, points[0], COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        vex_graph_put(graph, i, points[i]);
        vex_graph_link(graph, i);
    }
    vex_graph_drop(graph, 3);
    return graph;
}

static void use(struct vex_graph *graph)
{
    struct vex_graph_search search = {.query = points[1], .ef = EF};
    struct vex_graph_hit hits[EF];
    struct vex_err err;

    if (vex_graph_search(graph, &search, hits, NULL) > EF)
        abort();
    must(vex_graph_reserve(graph, 2 * COUNT));
    vex_graph_mend(graph, 0, COUNT);
    vex_graph_refine(graph, 0, COUNT);
    if (!vex_graph_has(graph, COUNT) && vex_graph_trained(graph)) {
        vex_graph_put(graph, COUNT, points[2]);
        vex_graph_link(graph, COUNT);
    }
    (void)vex_graph_check(graph, 0, &err);
    vex_graph_free(graph);
}

/* Input: records of a place (two bytes), a length (one byte), and as many bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vex_graph *whole;
    struct vex_io *io = vex_io_posix();
    struct vex_graph *graph;
    struct vex_file *file;
    struct vex_err err;

    if (whole == NULL) {
        must(mkstemp(path) < 0);
        whole = build();
    }
    must(vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file));
    unlink(path);
    must(vex_graph_save(whole, io, file, &err));
    while (size >= 3) {
        size_t at = (size_t)data[0] << 8 | data[1], len = data[2] < size - 3 ? data[2] : size - 3;
        if (len > 0)
            must(vex_io_pwrite(io, file, data + 3, len, at % 30000));
        data += 3 + len;
        size -= 3 + len;
    }
    if (vex_graph_load(vex_graph_params(whole), io, file, &graph, &err) == 0)
        use(graph);
    vex_io_close(io, file);
    return 0;
}
