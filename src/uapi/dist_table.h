/* Private to the distance kernels: one table per instruction set, and what all of them share (dist.h). */
#ifndef VEX_UAPI_DIST_TABLE_H
#define VEX_UAPI_DIST_TABLE_H

#include <math.h>
#include <stdbool.h>

#include "uapi/dist.h"
#include "uapi/dist_each.h"

struct vex_dist_table {
    const char *name;
    bool (*usable)(void); /* this CPU, and this system, can run it */
    vex_dist_fn *fn[VEX_DISTANCE_COUNT][VEX_ELEMENT_COUNT];
    vex_dist4_fn *fn4[VEX_DISTANCE_COUNT][VEX_ELEMENT_COUNT];
    void (*to_f16)(const float *from, uint16_t *to, size_t count);
    void (*from_f16)(const uint16_t *from, float *to, size_t count);
};

/* Compiled-in variants, best first, NULL at the end; the scalar one is always there and always usable. */
extern const struct vex_dist_table *const vex_dist_tables[];

extern const struct vex_dist_table vex_dist_table_scalar;
#if defined(__x86_64__)
extern const struct vex_dist_table vex_dist_table_avx2, vex_dist_table_avx512;
#elif defined(__aarch64__)
extern const struct vex_dist_table vex_dist_table_neon;
#endif

#endif
