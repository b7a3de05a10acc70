/* The parts of matching that have files of their own; for match.c, tree.c and the payload indexes only. All are thread-safe;
 * nothing is allocated but by analyzers of text indexes. */
#ifndef VEX_ENGINE_FILTER_MATCH_PARTS_H
#define VEX_ENGINE_FILTER_MATCH_PARTS_H

#include "engine/filter/tree.h"

/* match_text.c: the words of a text against a bound condition of kind TEXT, TEXT_ANY or PHRASE. */
bool vex_match_words(const struct vex_cond *cond, struct vex_str text);
/* Fills in bound.words (sorted and unique but for PHRASE) and bound.borders, by bound.analyzer. */
void vex_bind_words(struct vex_arena *arena, struct vex_cond *cond);

/* match_geo.c: v is {"lon": number, "lat": number} and lies within the condition's shape. */
bool vex_match_geo(const struct vex_cond *cond, struct vex_value v);
bool vex_match_geo_point(const struct vex_cond *cond, struct vex_geo p);
/* Metres between two points; what vex_match_geo compares with the radius. */
double vex_geo_distance(struct vex_geo a, struct vex_geo b);

/* match_values.c: a single value (not one of its elements) against ANY, EXCEPT, NUMBERS, RANGE; sorting for
 * binary search. */
bool vex_match_any(const struct vex_cond_values *values, struct vex_value v);
bool vex_match_numbers(const struct vex_cond_values *values, struct vex_value v);
bool vex_match_range(const struct vex_cond_range *range, struct vex_value v);
void vex_bind_values(struct vex_cond_values *values);

/* slice.c: SipHash-2-4 (Aumasson and Bernstein, 2012), 64 bits, under the zero key. */
uint64_t vex_siphash24(const void *data, size_t len);
bool vex_match_slice(uint64_t total, uint64_t index, const struct vex_id *id);

#endif
