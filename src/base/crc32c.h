/* CRC32C (Castagnoli, RFC 3720 B.4), hardware-assisted on x86-64 with three interleaved streams, table-driven
 * elsewhere. vex_crc32c(0, ...) starts; feed the result back in to go on. */
#ifndef VEX_BASE_CRC32C_H
#define VEX_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t vex_crc32c(uint32_t seed, const void *data, size_t len);
/* The table-driven one whatever the machine offers: the tests compare them. */
uint32_t vex_crc32c_portable(uint32_t seed, const void *data, size_t len);

#endif
