/* Base64 (RFC 4648, 4): 32 symbols a step where the processor has AVX2, four everywhere. The hot path of vectors
 * that come as text.
 *
 * Lock: none, nothing is kept. */
#include "base/text.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK      32 /* symbols of a register */
#define BLOCKS_MIN 64 /* less is not worth the question for AVX2 */

#define BAD 0x80 /* set for what is no symbol */

/* The six bits of each symbol. */
static const uint8_t six_bits[256] = {
    /* clang-format off */
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3e, 0xff, 0xff, 0xff, 0x3f,
    0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
    0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    /* clang-format on */
};

static ptrdiff_t bad_symbol(size_t at, size_t *ret_bad)
{
    *ret_bad = at;
    return -1;
}

/* The 24 bits of the n symbols at `in`, four at most; *bad collects what is set in any. */
static inline uint32_t group_at(const char *in, size_t n, uint32_t *bad)
{
    uint32_t group = 0;

    for (size_t i = 0; i < 4; i++) {
        uint32_t bits = i < n ? six_bits[(unsigned char)in[i]] : 0;
        *bad |= bits;
        group = group << 6 | bits;
    }
    return group;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

/* The same by ranges of symbols. */
static const struct {
    char first, count, value;
} ranges[] = {{'A', 26, 0}, {'a', 26, 26}, {'0', 10, 52}, {'+', 1, 62}, {'/', 1, 63}};

/* 0xff for each byte that is one of the `count` from `first` on, else 0. */
AVX2 static inline __m256i within(__m256i in, char first, char count)
{
    /* Moved so that the range is the lowest of all signed bytes. */
    __m256i low = _mm256_add_epi8(in, _mm256_set1_epi8((char)(-128 - first)));

    return _mm256_cmpgt_epi8(_mm256_set1_epi8((char)(-128 + count)), low);
}

/* Decodes blocks of 32 symbols as long as nothing is wrong with them and a whole register more fits behind what
 * they give. Returns how many symbols it took. */
AVX2 static size_t decode_blocks(const char *in, size_t symbols, uint8_t *out)
{
    /* Of four bytes of a lane the three that count, in the order of the text. */
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    const __m256i together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    size_t at = 0;

    for (; symbols - at >= BLOCK + BLOCK / 2; at += BLOCK) {
        __m256i text = _mm256_loadu_si256((const void *)(in + at)), known, move = _mm256_setzero_si256();
        known = move;
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
            __m256i mine = within(text, ranges[i].first, ranges[i].count);
            known = _mm256_or_si256(known, mine);
            move = _mm256_or_si256(
                move, _mm256_and_si256(mine, _mm256_set1_epi8((char)(ranges[i].value - ranges[i].first))));
        }
        if (_mm256_movemask_epi8(known) != -1)
            break;
        /* Pairs of 6 bits to 12, pairs of those to 24. */
        __m256i bits = _mm256_maddubs_epi16(_mm256_add_epi8(text, move), _mm256_set1_epi16(0x0140));
        bits = _mm256_madd_epi16(bits, _mm256_set1_epi32(0x00011000));
        bits = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(bits, order), together);
        _mm256_storeu_si256((void *)(out + at / 4 * 3), bits);
    }
    return at;
}

static bool blocks_usable(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
static size_t decode_blocks(const char *in, size_t symbols, uint8_t *out)
{
    (void)in;
    (void)symbols;
    (void)out;
    return 0;
}

static bool blocks_usable(void)
{
    return false;
}
#endif

ptrdiff_t vex_base64_decode(struct vex_str s, void *ret, size_t *ret_bad)
{
    size_t symbols = s.len, at = 0, left;
    uint8_t *out;
    uint32_t bad = 0, group;

    while (symbols > 0 && s.len - symbols < 2 && s.ptr[symbols - 1] == '=')
        symbols--;
    if (symbols >= BLOCKS_MIN && blocks_usable())
        at = decode_blocks(s.ptr, symbols, ret);
    out = (uint8_t *)ret + at / 4 * 3;
    /* Whether all were symbols is asked once, at the end. */
    for (; symbols - at >= 4; at += 4) {
        group = group_at(s.ptr + at, 4, &bad);
        *out++ = (uint8_t)(group >> 16);
        *out++ = (uint8_t)(group >> 8);
        *out++ = (uint8_t)group;
    }
    left = symbols - at;
    group = group_at(s.ptr + at, left, &bad);
    if ((bad & BAD) != 0) {
        for (at = 0; (six_bits[(unsigned char)s.ptr[at]] & BAD) == 0; at++)
            ;
        return bad_symbol(at, ret_bad);
    }
    if (s.len % 4 != 0)
        return bad_symbol(s.len, ret_bad);
    /* The bits that the padding cuts off must be zero: one text for one value. */
    if (left > 0 && (group & ((1u << 8 * (4 - left)) - 1)) != 0)
        return bad_symbol(symbols - 1, ret_bad);
    for (size_t i = 0; i + 1 < left; i++)
        *out++ = (uint8_t)(group >> (16 - 8 * i));
    return out - (uint8_t *)ret;
}
