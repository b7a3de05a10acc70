/* The image of a graph, piece by piece: for owners that save and verify beside their other work. See graph.h for the whole at once.
 *
 * Mark      A number of the owner's that the head carries: what the image is complete to.
 * Threads   A saver's take beside whatever may go on beside a save; its put touches the file only. */
#ifndef VEX_ENGINE_INDEX_GRAPH_FILE_H
#define VEX_ENGINE_INDEX_GRAPH_FILE_H

#include "engine/index/graph.h"

/* What an image's head says, without loading it. VEX_ECORRUPT, VEX_EIO. */
struct vex_graph_label {
    struct vex_graph_params params;
    uint64_t mark;
    uint32_t slots;
};
int vex_graph_peek(struct vex_io *io, struct vex_file *file, struct vex_graph_label *ret,
                   struct vex_err *err);

/* An image into an empty file: slots that are linked when the saver is made are in it. The graph must outlive the saver; it may grow
 * between two calls of take, not during one. */
struct vex_graph_saver;
struct vex_graph_saver *vex_graph_saver_new(const struct vex_graph *graph, uint64_t mark, struct vex_io *io,
                                            struct vex_file *file);
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

/* 64 slots: a bit each that is linked. */
uint64_t vex_graph_linked_word(const struct vex_graph *graph, uint32_t word);
/* Whether a slot's code is the one that this vector would get. */
bool vex_graph_holds(const struct vex_graph *graph, uint32_t slot, const float *vector);

#endif
