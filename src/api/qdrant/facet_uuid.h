/* Facets of a UUID index show UUIDs, however the payloads spell them. */
#ifndef VEX_API_QDRANT_FACET_UUID_H
#define VEX_API_QDRANT_FACET_UUID_H

#include "api/qdrant/qdrant.h"

/* Hits of all values, in place: values in canonical spelling, merged, others dropped, most frequent first, of equal counts the
 * smaller first, at most `limit`. Returns how many there are. */
size_t vex_facet_uuids(struct vex_arena *arena, struct vex_facet_hit *hits, size_t count, uint64_t limit);

#endif
