/* Slices of the id space: SipHash-2-4 of the id's bytes, modulo the number of slices, as Qdrant 1.19 does.
 *
 * Lock  None: pure functions. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. */
#include "engine/filter/match_parts.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t le_bytes(const uint8_t *at, size_t count)
{
    uint64_t word = 0;

    for (size_t i = 0; i < count; i++)
        word |= (uint64_t)at[i] << 8 * i;
    return word;
}

uint64_t vex_siphash24(const void *data, size_t len)
{
    struct sip s = {
        UINT64_C(0x736f6d6570736575),
        UINT64_C(0x646f72616e646f6d),
        UINT64_C(0x6c7967656e657261),
        UINT64_C(0x7465646279746573),
    };
    const uint8_t *at = data;
    size_t left = len;

    for (; left >= 8; at += 8, left -= 8)
        sip_word(&s, le_bytes(at, 8));
    sip_word(&s, le_bytes(at, left) | (uint64_t)len << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

bool vex_match_slice(uint64_t total, uint64_t index, const struct vex_id *id)
{
    uint8_t bytes[8];
    uint64_t hash;

    if (total == 0)
        return false;
    switch (id->kind) {
    case VEX_ID_NUM:
        for (unsigned i = 0; i < 8; i++)
            bytes[i] = (uint8_t)(id->num >> 8 * i);
        hash = vex_siphash24(bytes, sizeof bytes);
        break;
    case VEX_ID_UUID:
        hash = vex_siphash24(id->uuid, sizeof id->uuid);
        break;
    default:
        hash = vex_siphash24(id->text.ptr, id->text.len);
        break;
    }
    return hash % total == index;
}
