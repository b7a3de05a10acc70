/* Browsing at random: a uniform sample of the matches without replacement, in random order. Ranks are drawn by R. W. Floyd's method
 * ("A sample of brilliance", 1987), so the effort goes with the sample and the bitmap, not with the number of matches. */
#include "engine/query/browse.h"
#include "engine/query/candidates.h"

#include "base/io.h"
#include "base/mem.h"

/* xoshiro256** (Blackman and Vigna, 2018) from a seed of the system. */
struct draws {
    uint64_t s[4];
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static uint64_t draw(struct draws *draws, uint64_t below)
{
    uint64_t *s = draws->s, x = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return (uint64_t)((unsigned __int128)x * below >> 64); /* off by 2^-32 at most: there are fewer slots */
}

/* Sets `take` of the first `count` bits. */
static void draw_ranks(struct draws *draws, uint64_t *ranks, uint64_t count, uint64_t take)
{
    for (uint64_t last = count - take; last < count; last++) {
        uint64_t at = draw(draws, last + 1);
        if ((ranks[at / 64] >> at % 64 & 1) != 0)
            at = last;
        ranks[at / 64] |= UINT64_C(1) << at % 64;
    }
}

static int take_ranks(struct vex_read *read, const struct vex_candidates *matches, const uint64_t *ranks,
                      struct vex_browse *browse)
{
    uint64_t rank = 0;
    int code = 0;
    for (size_t w = 0; w < vex_plan_words(matches->slots) && code == 0; w++)
        for (uint64_t left = matches->allow[w]; left != 0 && code == 0; left &= left - 1, rank++)
            if ((ranks[rank / 64] >> rank % 64 & 1) != 0)
                code =
                    vex_browse_take(read, browse, (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left), NULL);
    return code < 0 ? code : vex_read_check(read);
}

static void shuffle(struct draws *draws, uint32_t *slots, uint64_t count)
{
    for (uint64_t i = count; i > 1; i--) {
        uint64_t other = draw(draws, i);
        uint32_t slot = slots[i - 1];
        slots[i - 1] = slots[other];
        slots[other] = slot;
    }
}

static int sample(struct vex_read *read, const struct vex_candidates *matches, struct vex_browse *browse)
{
    struct vex_io *io = vex_io_posix();
    struct draws draws;
    uint64_t take = browse->limit < matches->count ? browse->limit : matches->count;
    size_t size = (size_t)(matches->count / 64 + 1) * sizeof(uint64_t);
    uint64_t *ranks = vex_mem_try(size);
    if (ranks == NULL)
        return vex_read_no_memory(read);
    memset(ranks, 0, size);
    io->ops->random(io, draws.s, sizeof draws.s);
    draws.s[0] |= 1; /* never all zeros */
    draw_ranks(&draws, ranks, matches->count, take);
    int code = take_ranks(read, matches, ranks, browse);
    shuffle(&draws, browse->slots, browse->count);
    vex_mem_free(ranks);
    return code;
}

int vex_browse_sample(struct vex_read *read, const struct vex_scroll *request, struct vex_browse *browse)
{
    struct vex_id_list ids = {request->ids, request->id_count, request->has_ids};
    struct vex_candidates matches = {0};
    struct vex_read_filter filter;
    int code = vex_read_filter_bind(read, request->filter, &filter);
    if (code != 0)
        return code;
    code = vex_candidates_find(read, &filter, ids, VEX_NO_ORDINAL, &matches);
    vex_read_filter_unbind(&filter);
    browse->skip = 0; /* as good as any others */
    if (code == 0 && matches.count > 0)
        code = sample(read, &matches, browse);
    browse->next = VEX_SLOT_NONE;
    vex_candidates_done(&matches);
    return code;
}
