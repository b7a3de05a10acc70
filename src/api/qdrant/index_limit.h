/* How many payload indexes a collection's strict mode allows; the engine asks before it makes one by itself. */
#ifndef VEX_API_QDRANT_INDEX_LIMIT_H
#define VEX_API_QDRANT_INDEX_LIMIT_H

#include "engine/config.h"

/* UINT32_MAX: any number. A configuration that can't be read allows none. */
uint32_t vex_qdrant_index_limit(const struct vex_config *config);

#endif
