/* A random rotation in d log d: rounds of sign flips and Hadamard transforms (Ailon, Chazelle 2006). Private to the codes.
 *
 * The same for the same count on every machine and for ever: codes that were kept depend on it. */
#ifndef VEX_ENGINE_INDEX_CODES_ROTATE_H
#define VEX_ENGINE_INDEX_CODES_ROTATE_H

#include <stdint.h>

/* In place; count is a multiple of 64. Lengths are kept. */
void vex_codes_rotate(float *vector, uint32_t count);

#endif
