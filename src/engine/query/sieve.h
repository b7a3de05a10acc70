/* Sieve: does a slot match, for reads that walk an order and stop when they have enough. Private to the query folder.
 *
 * While matches are expected to be dense, payloads are read on the way: that is cheaper than finding all matches. A bound on that
 * effort, from the same estimates, keeps a wrong guess cheap: beyond it the matches are found as a bitmap and the walk goes on
 * testing bits. Where a filter has conditions whose bitmaps are soon made and others, the first screen what is read. */
#ifndef VEX_ENGINE_QUERY_SIEVE_H
#define VEX_ENGINE_QUERY_SIEVE_H

#include "engine/query/candidates.h"

struct vex_sieve {
    struct vex_read *read;
    struct vex_read_filter filter;
    struct vex_plan plan;
    struct vex_candidates found; /* when is_found */
    bool is_found;
    bool screens;     /* payloads are read only where `screen` lets them, which is made when first needed */
    uint64_t *screen; /* bit a slot of the plan */
    uint64_t reads_left; /* payloads that may be read before the matches are found; UINT64_MAX: any number */
    uint64_t walk;       /* slots the walk is expected to pass */
    uint64_t find_ns;    /* finding the matches and then what is wanted among them */
};

/* want: matches after which the walk ends. On failure nothing is held. */
int vex_sieve_open(struct vex_sieve *sieve, struct vex_read *read, struct vex_filter *filter,
                   struct vex_id_list ids, uint64_t want);
void vex_sieve_close(struct vex_sieve *sieve);
/* Finds the matches now, if they are not. */
int vex_sieve_find(struct vex_sieve *sieve);
/* Slots that are worth being asked about while the matches are not found; made when first needed. *ret NULL: any live one. */
int vex_sieve_screen(struct vex_sieve *sieve, const uint64_t **ret);
/* 1: matches, 0: not, negative: error. */
int vex_sieve_passes(struct vex_sieve *sieve, uint32_t slot);

#endif
