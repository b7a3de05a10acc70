/* A read in pieces that go on at once, on the caller's thread and on idle ones of the pool. Private to the query folder.
 *
 * Lock      The caller holds the collection's lock for all pieces: it outlives them.
 * Memory    Each piece has a read of its own, with an arena that goes when it ends: what is to stay goes elsewhere. */
#ifndef VEX_ENGINE_QUERY_PIECES_H
#define VEX_ENGINE_QUERY_PIECES_H

#include "engine/query/read.h"

/* 0 or VEX_E* with read->err set. */
typedef int vex_piece_fn(struct vex_read *read, void *arg, uint32_t nth);
/* Runs the pieces 0 .. count - 1, about in order. A failure is that of the first piece that fails; later ones may not have run then. */
int vex_read_pieces(struct vex_read *read, uint32_t count, vex_piece_fn *run, void *arg);

#endif
