/* Payload index of one field: which slots hold which values.
 *
 * Role      Answers conditions with bitmaps over slots, counts facets, walks values in order. All eight types; index.c takes
 *           values out of payloads and keeps what is common to them, the files beside it keep the values: keyword.c (also uuid),
 *           boolean.c, number.c (integer, float, datetime), geo.c, text.c.
 * Owner     The collection's index set. Lock: readers hold the collection's lock shared; every function that changes
 *           something needs it exclusive, except _prepare.
 * Invariant An index holds a slot under exactly the values that its path led to in the payload it was added with, whatever their
 *           kind: a condition is answered as by reading the payload. Where an index can't tell, it says so (`unsure`).
 *           Arrays are taken apart one level, as conditions do. Slots are below 2^32 - 1; dead slots are the caller's affair.
 * Memory    Aborts when out of it, except _load. */
#ifndef VEX_ENGINE_INDEX_INDEX_H
#define VEX_ENGINE_INDEX_INDEX_H

#include "engine/filter/tree.h"
#include "engine/text/analyzer.h"

/* Numbers as in records and in the catalog; equal to those of qdrant.PayloadSchemaType. */
enum vex_index_type {
    VEX_INDEX_KEYWORD = 1,
    VEX_INDEX_INTEGER,
    VEX_INDEX_FLOAT,
    VEX_INDEX_GEO,
    VEX_INDEX_TEXT,
    VEX_INDEX_BOOL,
    VEX_INDEX_DATETIME,
    VEX_INDEX_UUID,
};

/* A declared payload index: the field and what a dialect said of it. */
struct vex_index_params {
    struct vex_str field;
    uint8_t type;                 /* enum vex_index_type */
    bool prefix;                  /* KEYWORD: keeps its keys in order */
    bool tenant;                  /* points of one value are to lie together */
    bool range, lookup;           /* INTEGER: what it may be asked for; true when nothing was said */
    struct vex_text_params *text; /* TEXT; NULL: the defaults */
    struct vex_str nested;        /* the array whose elements are separate entries, as a path; empty: none */
    struct vex_str doc;           /* its parameters, packed qdrant.PayloadIndexParams; empty: none given */
};

const char *vex_index_type_name(enum vex_index_type type); /* "Keyword" and so on; "Unknown" */

struct vex_index;

/* Parses the field as a path. VEX_EBAD_INPUT: not a path, or an unknown language. params are copied. */
int vex_index_new(const struct vex_index_params *params, struct vex_index **ret, struct vex_err *err);
void vex_index_free(struct vex_index *index); /* NULL is fine */

const struct vex_path *vex_index_path(const struct vex_index *index);
enum vex_index_type vex_index_type(const struct vex_index *index);
/* Steps of the path that lead to the elements which are separate entries; 0: none are. What such an index changes: a text query
 * scores elements, and a field is empty (IS_EMPTY) where any element lacks it: vex_filter_bind sees to that. */
uint32_t vex_index_elements(const struct vex_index *index);
/* Steps that lead to the elements of `nested` on the way of `path`. VEX_EBAD_INPUT, with the peer's words: it is not on the way, or
 * leads through more than one array. */
int vex_index_nested(struct vex_arena *arena, const struct vex_path *path, struct vex_str nested,
                     uint32_t *ret_elements, struct vex_err *err);
const struct vex_analyzer *vex_index_analyzer(const struct vex_index *index); /* TEXT; else NULL */
/* Another whenever anything in the index has changed; no two indexes ever have the same. Not 0. */
uint64_t vex_index_stamp(const struct vex_index *index);
uint64_t vex_index_points(const struct vex_index *index); /* slots with a value of the index's own type */
uint64_t vex_index_bytes(const struct vex_index *index);  /* memory, about */

/* ---- changing ---- */

/* The slot is not in the index. payload may be absent. */
void vex_index_add(struct vex_index *index, uint32_t slot, struct vex_value payload);
/* payload: the one it was added with. */
void vex_index_remove(struct vex_index *index, uint32_t slot, struct vex_value payload);
/* Takes out all slots of a bitmap without knowing their values: a sweep over the whole index. */
void vex_index_forget(struct vex_index *index, const uint64_t *bits, uint32_t slots);
/* Long work outside of the exclusive lock (merging sorted runs): _prepare is called by the only thread that changes the index,
 * readers go on meanwhile; true: _publish is due, before anything else changes. */
bool vex_index_prepare(struct vex_index *index);
void vex_index_publish(struct vex_index *index);

/* ---- conditions ---- */

/* What an index knows of a condition on its path (any kind that has a path, but NESTED); cond is bound. */
struct vex_index_estimate {
    bool served;       /* false: the index can't help, nothing else is set */
    uint64_t min, max; /* bounds of the number of slots that match; equal when it is known */
};
struct vex_index_estimate vex_index_estimate(const struct vex_index *index, const struct vex_cond *cond);
/* ORs into `sure` the slots that match, into `unsure` those that may match and have to be read (a slot may be in both: then it
 * matches). A condition that is served only. Bitmaps of `slots` bits; slots from there on are left out. */
void vex_index_match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                     uint64_t *unsure, uint32_t slots);
/* Slots that match, calling fn for each, ascending or not, each once, when they are few: for conditions whose estimate is exact
 * (min == max). Stops when fn returns non-zero and returns that. */
int vex_index_each(const struct vex_index *index, const struct vex_cond *cond,
                   int (*fn)(void *arg, uint32_t slot), void *arg);

/* ---- facets ---- */

struct vex_facet_value {
    enum { VEX_FACET_TEXT, VEX_FACET_INT, VEX_FACET_BOOL } kind;
    struct vex_str text; /* points into the index */
    int64_t integer;
    bool boolean;
};
bool vex_index_facets(const struct vex_index *index); /* keyword, uuid, integer, bool */
/* Calls fn with every value and the number of slots (each slot once a value) of `among` that hold it; among NULL: of all. */
int vex_index_facet(const struct vex_index *index, const uint64_t *among, uint32_t slots,
                    int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg);
/* What those who look for the greatest counts no longer want. fn may raise it as it goes. */
struct vex_facet_floor {
    uint64_t least; /* values that fewer slots hold may be left out; 1 at least */
    struct vex_str
        text; /* not NULL: so may texts that just `least` slots hold and that do not come before this one */
};
int vex_index_facet_above(const struct vex_index *index, const uint64_t *among, uint32_t slots,
                          const struct vex_facet_floor *floor,
                          int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count),
                          void *arg);

/* ---- order ---- */

struct vex_order_value {
    enum { VEX_ORDER_INT, VEX_ORDER_DOUBLE } kind; /* INT also for times: microseconds since 1970 */
    int64_t integer;
    double real;
};
bool vex_index_ordered(const struct vex_index *index); /* number, datetime */
/* Integers and doubles by value across kinds. */
int vex_order_cmp(const struct vex_order_value *a, const struct vex_order_value *b);

/* Walks (value, slot) in order of the value, equal values by slot; a slot comes once for each of its values (an array that holds
 * a value twice gives it twice). Valid while nothing changes. Values of the index's own type: an integer index gives the integers
 * only, a float index all numbers, a datetime index the times. */
struct vex_index_walk {
    const struct vex_index *index;
    bool descending;
    uint64_t at[4]; /* the module's */
};
/* from: begins with values >= *from (descending: <=); NULL: at the end. */
void vex_index_walk(const struct vex_index *index, bool descending, const struct vex_order_value *from,
                    struct vex_index_walk *ret);
bool vex_index_walk_next(struct vex_index_walk *walk, struct vex_order_value *ret_value, uint32_t *ret_slot);

/* ---- full text ---- */

/* BM25 of a query text (cut by the index's analyzer) for the slots of `among` that hold any of its terms; `corpus` are the slots
 * that document frequencies and lengths are counted over (NULL: all in the index). VEX_EBAD_INPUT: scoring is not on. */
struct vex_bm25 {
    double k, b;
    const uint64_t *among, *corpus;
    uint32_t slots;
};
int vex_index_score(const struct vex_index *index, struct vex_str query, const struct vex_bm25 *bm25,
                    int (*fn)(void *arg, uint32_t slot, float score), void *arg, struct vex_err *err);

/* ---- files ---- */

/* Appends everything the index holds; the caller frames and sums it. */
void vex_index_save(const struct vex_index *index, struct vex_buf *out);
/* Fills a fresh index of the same parameters. VEX_ECORRUPT, VEX_ENO_MEMORY: the index is as fresh. Bytes come from a disk: all is
 * checked. */
int vex_index_load(struct vex_index *index, struct vex_cursor *c, struct vex_err *err);

#endif
