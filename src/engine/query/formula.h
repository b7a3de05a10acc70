/* Formulas: scores computed from the scores of prefetches and from the payload. Private to the query folder. */
#ifndef VEX_ENGINE_QUERY_FORMULA_H
#define VEX_ENGINE_QUERY_FORMULA_H

#include "engine/query/read.h"

struct vex_formula_run;

/* Binds the conditions for this read; *ret is NULL on failure. */
int vex_formula_open(struct vex_read *read, const struct vex_formula *formula, struct vex_formula_run **ret);
/* scores[i]: that of prefetch i, NaN when it did not find the point. VEX_EBAD_INPUT as the peer says it: a missing value without a
 * default, a result that is not a finite number. */
int vex_formula_score(struct vex_formula_run *run, uint32_t slot, const float *scores, uint32_t count,
                      float *ret);
void vex_formula_close(struct vex_formula_run *run); /* NULL is fine */

#endif
