/* Inside of the inverted file, for ivf*.c and the graph that it belongs to. */
#ifndef VEX_ENGINE_INDEX_IVF_PRIVATE_H
#define VEX_ENGINE_INDEX_IVF_PRIVATE_H

#include "engine/index/graph_private.h"
#include "engine/index/ivf.h"

#define IVF_LISTS_MAX   8192u
#define IVF_GROUPS_MAX  128u
#define IVF_BEHIND      3u /* centroids that may be read behind the last one */
#define IVF_CHUNK_SLOTS 62u
#define IVF_NO_CHUNK    0u /* chunk 0 is no list's */

/* A piece of a posting list: 256 bytes. */
struct ivf_chunk {
    _Atomic uint32_t next; /* IVF_NO_CHUNK: the last one */
    _Atomic uint32_t used;
    _Atomic uint32_t slots[IVF_CHUNK_SLOTS]; /* NO_SLOT: taken out */
};
_Static_assert(sizeof(struct ivf_chunk) == 256, "four cache lines");

struct ivf_list {
    _Atomic uint32_t first, last;
    _Atomic uint32_t holes;
    _Atomic uint32_t lock; /* of who changes it; readers take none */
};

#define IVF_PROBES  64u /* sampled slots that tell how far searches have to look */
#define IVF_NEAREST 10u

/* What is known of that between two pieces. */
struct ivf_measuring {
    uint32_t sample[IVF_PROBES], samples, done;
    uint32_t ranks[IVF_PROBES * IVF_NEAREST], count;
};

/* What k-means has between two pieces. */
struct ivf_training {
    uint32_t *sample, count, at; /* slots */
    uint32_t round;
    uint32_t *sums, *sizes; /* of the elements in each list; of the lists */
    enum { IVF_LEARN_ASSIGN, IVF_LEARN_MEANS, IVF_LEARN_GROUPS, IVF_LEARN_GROUPS_AGAIN } step;
    uint32_t list; /* those below are done with the step */
    uint8_t group[IVF_LISTS_MAX];
};

struct vex_ivf {
    struct vex_ivf *_Atomic older; /* of those that nobody asks for any more */
    uint64_t id;
    uint32_t stride;
    uint32_t lists, groups;
    uint32_t slots;              /* that can be in it */
    uint32_t learnt_of;          /* linked slots when it was begun */
    vex_code_dist4_fn *four;     /* squared differences */
    uint8_t *centroids, *pivots; /* codes; centroids in the order of groups */
    uint32_t *begins;            /* groups + 1: a group's first list */
    struct ivf_list *heads;
    _Atomic uint16_t *list_of;       /* a slot: its list + 1, 0: none */
    struct vex_huge filling, packed; /* chunks below `split`, gone when all are packed; and from there on */
    uint32_t split, chunk_count;
    _Atomic uint32_t chunks_used; /* the next one */
    _Atomic uint32_t adds;
    _Atomic bool learnt; /* centroids are what they will be: slots may be added */
    _Atomic bool spent;  /* a slot had no room: it isn't complete */

    uint32_t reach; /* how many lists searches look through, see vex_ivf_reach */

    struct ivf_training *training;   /* NULL: over; the builder's */
    uint32_t packing;                /* lists below it are packed; the builder's */
    uint32_t filled;                 /* slots below it have been added; the builder's */
    struct ivf_measuring *measuring; /* NULL: not begun; the builder's */
};

/* NULL: no memory. */
struct vex_ivf *ivf_new(const struct vex_graph *graph, uint32_t count);
void ivf_free(struct vex_ivf *ivf);                    /* and older ones */
void ivf_training_free(struct ivf_training *training); /* NULL is fine */
uint64_t ivf_bytes(const struct vex_ivf *ivf);
/* The list of a code. */
uint32_t ivf_nearest(const struct vex_ivf *ivf, const uint8_t *code);
/* Nothing when it stands in a list already. Not for one slot by two threads at once. */
void ivf_add(const struct vex_graph *graph, struct vex_ivf *ivf, uint32_t slot);
void ivf_remove(struct vex_ivf *ivf, uint32_t slot);
/* Brings the chunks of the next lists together, so that each list is one stretch of memory; before anybody reads them. True: of all. */
bool ivf_pack_piece(struct vex_ivf *ivf);

/* A query's form, or a code, against four codes in a row. */
static inline void ivf_compare_row(const struct vex_ivf *ivf, vex_code_dist4_fn *kernel, const uint8_t *query,
                                   const uint8_t *first, uint32_t ret[4])
{
    const uint8_t *four[4] = {first, first + ivf->stride, first + 2 * (size_t)ivf->stride,
                              first + 3 * (size_t)ivf->stride};

    kernel(query, four, ivf->stride, ret);
}

static inline struct ivf_chunk *ivf_chunk(const struct vex_ivf *ivf, uint32_t at)
{
    return at < ivf->split ? (struct ivf_chunk *)(void *)ivf->filling.base + at
                           : (struct ivf_chunk *)(void *)ivf->packed.base + (at - ivf->split);
}

static inline uint8_t *ivf_pivot(const struct vex_ivf *ivf, uint32_t group)
{
    return ivf->pivots + (size_t)group * ivf->stride;
}

static inline uint8_t *ivf_centroid(const struct vex_ivf *ivf, uint32_t list)
{
    return ivf->centroids + (size_t)list * ivf->stride;
}

#endif
