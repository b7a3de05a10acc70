/* Quantization, of a configuration and of a search, into the engine's terms. */
#ifndef VEX_API_QDRANT_LOWER_PARAMS_H
#define VEX_API_QDRANT_LOWER_PARAMS_H

#include "api/qdrant/qdrant.h"
#include "engine/query/query.h"

/* The codes that a graph walks on. `own`: of the vector name, goes before `all`, of the collection; either may be NULL. */
struct vex_code_params vex_lower_codes(const Qdrant__QuantizationConfig *own,
                                       const Qdrant__QuantizationConfig *all);
/* NULL leaves everything as it is. */
void vex_lower_code_use(const Qdrant__QuantizationSearchParams *in, struct vex_nearest *ret);

#endif
