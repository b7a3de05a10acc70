/* The image of a graph, piece by piece: for owners that save and verify beside their other work. See graph.h for the whole at once.
 *
 * Mark      A number of the owner's that the head carries: what the image is complete to.
 * Torn      Another one: slots dropped since links to such were mended last.
 * Threads   A saver's take beside whatever may go on beside a save; its put touches the file only. */
#ifndef VEX_ENGINE_INDEX_GRAPH_FILE_H
#define VEX_ENGINE_INDEX_GRAPH_FILE_H

#include "engine/index/graph.h"

/* What an image's head says, without loading it. VEX_ECORRUPT, VEX_EIO. */
struct vex_graph_label {
    struct vex_graph_params params;
    uint64_t mark;
    uint32_t slots, torn;
};
int vex_graph_peek(struct vex_io *io, struct vex_file *file, struct vex_graph_label *ret,
                   struct vex_err *err);

/* An image into an empty file: slots that are linked when the saver is made are in it. The graph must outlive the saver; it may grow
 * between two calls of take, not during one. */
struct vex_graph_saver;
struct vex_graph_saver *vex_graph_saver_new(const struct vex_graph *graph, uint64_t mark, uint32_t torn,
                                            struct vex_io *io, struct vex_file *file);
void vex_graph_saver_take(struct vex_graph_saver *saver); /* the next piece into memory */
/* Writes what was taken; *ret_done: the image is whole and synced. VEX_EIO, VEX_ENO_SPACE. */
int vex_graph_saver_put(struct vex_graph_saver *saver, bool *ret_done, struct vex_err *err);
void vex_graph_saver_free(struct vex_graph_saver *saver); /* NULL is fine; the file is not closed */

/* Checks the next piece of an image; all zeros: begins. *ret_done: all of it is sound. VEX_ECORRUPT, VEX_EIO. */
struct vex_graph_verifier {
    uint64_t at;
    uint32_t sum;
};
int vex_graph_verify_piece(struct vex_io *io, struct vex_file *file, struct vex_graph_verifier *verifier,
                           bool *ret_done, struct vex_err *err);

/* Pages of a graph go over to an image, a piece at a time: whatever is the same there needs no memory of its own any more, and pages that
 * differ stay as they are. So any image will do; the later, the more. Back: vex_graph_settle. All zeros but `at`: begins there,
 * which is 0 or where an earlier one ended. */
struct vex_graph_remap {
    uint64_t at; /* of the image's body */
    bool links;
    uint64_t from, offset; /* where the piece is in its part of the graph, and in the file */
    uint32_t stride, degree;
    size_t len;
    char *bytes;
};
/* Reads the next piece, beside anything. VEX_ECORRUPT, VEX_EIO. */
int vex_graph_remap_take(struct vex_io *io, struct vex_file *file, struct vex_graph_remap *remap,
                         struct vex_err *err);
/* Puts it in place, beside searches only. False: there was none, it is of another graph, or there is no memory. The file may be closed
 * and unlinked, never written. */
bool vex_graph_remap_put(struct vex_graph *graph, struct vex_io *io, struct vex_file *file,
                         struct vex_graph_remap *remap);
void vex_graph_remap_done(struct vex_graph_remap *remap);

/* 64 slots: a bit each that is linked. */
uint64_t vex_graph_linked_word(const struct vex_graph *graph, uint32_t word);
/* Whether a slot's code is the one that this vector would get. */
bool vex_graph_holds(const struct vex_graph *graph, uint32_t slot, const float *vector);

#endif
