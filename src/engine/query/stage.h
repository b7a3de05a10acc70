/* Stages of a query: rankings of slots, each over the collection or over what its prefetches found. Private to the query folder.
 *
 * stage.c runs a stage and those below it; fusion.c combines the lists of prefetches, mmr.c chooses among candidates. */
#ifndef VEX_ENGINE_QUERY_STAGE_H
#define VEX_ENGINE_QUERY_STAGE_H

#include "engine/query/nearest.h"

/* Opens the read; text indexes that its stages ask for have no slots pending then, but for a while only. On failure nothing is held. */
int vex_stage_open(struct vex_read *read, struct vex_collection *collection,
                   const struct vex_read_context *context, const struct vex_stage *stages, uint32_t count,
                   struct vex_err *err);
/* Best first, with the threshold kept; skip and limit stand for the stage's own. vex_scored_list_done(ret) in any case. */
int vex_stage_run(struct vex_read *read, const struct vex_stage *stage, uint64_t skip, uint64_t limit,
                  struct vex_scored_list *ret);
/* Points of such a stage are listed, not scored: they count as 1, and have no version in an answer. */
bool vex_stage_lists(const struct vex_stage *stage);

/* ---- fusion.c ---- */

struct vex_fusion;

/* What the prefetches of a stage of kind RRF, DBSF or FORMULA found, as it comes in. */
struct vex_fusion *vex_fusion_open(struct vex_read *read, const struct vex_stage *stage);
/* The list of prefetch number `index`; each comes once, in order. */
int vex_fusion_add(struct vex_fusion *fusion, uint32_t index, const struct vex_scored_list *list);
/* All points, best first; of equal ones that which came first. */
int vex_fusion_rank(struct vex_fusion *fusion, struct vex_scored_list *ret);
void vex_fusion_close(struct vex_fusion *fusion); /* NULL is fine */

/* ---- mmr.c ---- */

/* Moves `want` candidates to the front of the list, in the order in which they are chosen, and drops the others. */
int vex_mmr_choose(struct vex_read *read, const struct vex_vector_params *params,
                   const struct vex_vector_value *query, double diversity, uint64_t want,
                   struct vex_scored_list *list);

/* ---- text.c ---- */

/* False when an index on the field has slots pending: they are gone in a moment. */
bool vex_text_is_settled(struct vex_read *read, const struct vex_path *field);
/* The best `want` points among the candidates. Needs a text index that scores; one that is not complete is made on the spot. */
int vex_text_find(struct vex_read *read, const struct vex_stage *stage,
                  const struct vex_candidates *candidates, uint64_t want, struct vex_scored_list *ret);

#endif
