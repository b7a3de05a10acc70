/* Distance kernels of 7-bit codes, one set a machine. Private to the codes. */
#ifndef VEX_ENGINE_INDEX_CODES_KERNELS_H
#define VEX_ENGINE_INDEX_CODES_KERNELS_H

#include "engine/index/codes.h"

/* A product of 65536 dimensions stays below this in size, and twice this below 2^31. */
#define VEX_CODE_CENTRE   64
#define VEX_CODE_DOT_ZERO (UINT32_C(1) << 30)

/* Codes may be rewritten while they are read: any result will do then (codes.h, Threads). */
#define VEX_CODE_RACY __attribute__((no_sanitize("thread")))

/* Whether this CPU has set `index` (0: the narrowest). */
bool vex_code_kernels_x86(uint32_t index, enum vex_distance distance, struct vex_code_kernels *ret);

#endif
