/* A collection from inside the engine: what queries and the apply path share. Not for the api layer.
 *
 * Lock     `lock` (reader-writer): a query holds it shared for its whole length, so it sees one version; applying holds it
 *          exclusive only to publish prepared work. `state` and the queue have the small mutex `queue_lock`.
 * Opening  is lazy: vex_collection_read_begin opens the files at first use. */
#ifndef VEX_ENGINE_COLLECTION_H
#define VEX_ENGINE_COLLECTION_H

#include <pthread.h>

#include "engine/engine.h"
#include "engine/graph_set.h"
#include "engine/index_set.h"
#include "engine/point/rows.h"
#include "engine/point/vectors.h"
#include "engine/store/heap.h"

/* What an open collection has; stable while the lock is held. */
struct vex_collection_data {
    struct vex_config *config;
    struct vex_heap *heap;
    struct vex_rows *rows;
    struct vex_vectors *vectors;
    struct vex_index_set *indexes;
    struct vex_graph_set *graphs;
};

/* Opens when needed and takes the lock shared. VEX_ENOT_FOUND when dropped, VEX_ECORRUPT when refused. The view is valid until
 * vex_collection_read_end. */
int vex_collection_read_begin(struct vex_collection *collection, struct vex_collection_data *ret,
                              struct vex_err *err);
void vex_collection_read_end(struct vex_collection *collection);

/* Payload of a slot; at NULL when it has none. Points into the heap. */
struct vex_value vex_collection_payload(const struct vex_collection_data *data, uint32_t slot);

#endif
