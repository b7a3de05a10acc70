/* CRC32C: table of eight bytes a step everywhere, and on x86-64 the crc32 instruction over three streams at
 * once.
 *
 * The instruction takes three cycles but starts one each cycle, so three independent streams keep it busy.
 * Their results are joined by carry-less multiplication: with crc(0, v) = v * x^32 mod P and a carry-less
 * product that stands one bit too low in reflected order, moving a CRC over n bytes is a product with x^(8n -
 * 33) mod P followed by one crc32. (V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32
 * Instruction", Intel 2011.)
 *
 * Lock: none; which implementation runs is settled once and then only read. */
#include "base/crc32c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLY 0x82f63b78u /* reflected */

typedef uint32_t (*crc_fn)(uint32_t crc, const unsigned char *data, size_t len);

static uint32_t table[8][256];

static uint32_t crc_table(uint32_t crc, const unsigned char *data, size_t len)
{
    for (; len > 0 && ((uintptr_t)data & 7) != 0; len--)
        crc = (crc >> 8) ^ table[0][(crc ^ *data++) & 0xff];
    for (; len >= 8; len -= 8, data += 8) {
        uint32_t low, high;
        memcpy(&low, data, 4);
        memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^
              table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][(high >> 8) & 0xff] ^
              table[1][(high >> 16) & 0xff] ^ table[0][high >> 24];
    }
    for (; len > 0; len--)
        crc = (crc >> 8) ^ table[0][(crc ^ *data++) & 0xff];
    return crc;
}

static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLY : 0);
        table[0][i] = crc;
    }
    for (int t = 1; t < 8; t++) {
        for (int i = 0; i < 256; i++)
            table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 0xff];
    }
}

#if defined(__x86_64__)

/* Bytes of one stream in a round of three: long rounds spend little on joining, short ones serve small
 * inputs. */
#define LONG  2048
#define SHORT 256

static uint64_t shift_long[2], shift_short[2]; /* over one and over two stream lengths */

/* x^n mod P, reflected. */
static uint64_t power_of_x(size_t n)
{
    uint32_t v = 0x80000000u;
    while (n-- > 0)
        v = (v >> 1) ^ ((v & 1) != 0 ? POLY : 0);
    return v;
}

static inline uint64_t load64(const unsigned char *data)
{
    uint64_t v;
    memcpy(&v, data, 8);
    return v;
}

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t multiply(uint64_t crc, uint64_t by)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128((long long)by), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* One round: three streams of `stream` bytes each, joined. */
__attribute__((target("sse4.2,pclmul"))) static inline uint64_t
crc_round(uint64_t crc, const unsigned char *data, size_t stream, const uint64_t shift[2])
{
    uint64_t a = crc, b = 0, c = 0;
    for (size_t at = 0; at < stream; at += 8) {
        a = _mm_crc32_u64(a, load64(data + at));
        b = _mm_crc32_u64(b, load64(data + stream + at));
        c = _mm_crc32_u64(c, load64(data + 2 * stream + at));
    }
    return _mm_crc32_u64(0, multiply(a, shift[1]) ^ multiply(b, shift[0])) ^ c;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_hw(uint32_t seed, const unsigned char *data,
                                                                size_t len)
{
    uint64_t crc = seed;
    for (; len >= 3 * LONG; len -= 3 * LONG, data += 3 * LONG)
        crc = crc_round(crc, data, LONG, shift_long);
    for (; len >= 3 * SHORT; len -= 3 * SHORT, data += 3 * SHORT)
        crc = crc_round(crc, data, SHORT, shift_short);
    for (; len >= 8; len -= 8, data += 8)
        crc = _mm_crc32_u64(crc, load64(data));
    for (; len > 0; len--)
        crc = _mm_crc32_u8((uint32_t)crc, *data++);
    return (uint32_t)crc;
}

static crc_fn choose_hw(void)
{
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul"))
        return NULL;
    for (size_t i = 0; i < 2; i++) {
        shift_long[i] = power_of_x(8 * LONG * (i + 1) - 33);
        shift_short[i] = power_of_x(8 * SHORT * (i + 1) - 33);
    }
    return crc_hw;
}

#else

static crc_fn choose_hw(void)
{
    return NULL;
}

#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic(crc_fn) chosen;

static void choose(void)
{
    fill_table();
    crc_fn hw = choose_hw();
    atomic_store_explicit(&chosen, hw != NULL ? hw : crc_table, memory_order_release);
}

uint32_t vex_crc32c(uint32_t seed, const void *data, size_t len)
{
    crc_fn fn = atomic_load_explicit(&chosen, memory_order_acquire);
    if (fn == NULL) {
        pthread_once(&once, choose);
        fn = atomic_load_explicit(&chosen, memory_order_acquire);
    }
    return ~fn(~seed, data, len);
}

uint32_t vex_crc32c_portable(uint32_t seed, const void *data, size_t len)
{
    pthread_once(&once, choose);
    return ~crc_table(~seed, data, len);
}
