/* Filter tree: every rule of Qdrant's filter DSL and of Chroma's where and where_document lowers to this.
 *
 * A tree is immutable and lives in the arena it was built in; names and texts belong to that arena. Built by
 * the api layer, bound to a collection once (vex_filter_bind), then matched by any number of threads. */
#ifndef VEX_ENGINE_FILTER_TREE_H
#define VEX_ENGINE_FILTER_TREE_H

#include "base/err.h"
#include "engine/point/id.h"
#include "engine/point/path.h"

enum vex_cond_kind {
    VEX_COND_FILTER,    /* sub */
    VEX_COND_NESTED,    /* path, sub: one element of the array of objects matches alone */
    VEX_COND_ANY,       /* path, values: equals one of them (one value: match value; none: matches nothing) */
    VEX_COND_EXCEPT,    /* path, values: has a value that is none of them */
    VEX_COND_NUMBERS,   /* path, values.doubles/ints: equal by value across integers and floats (Chroma) */
    VEX_COND_TEXT,      /* path, text: all words, lowercase (no index) */
    VEX_COND_TEXT_ANY,  /* path, text: any word */
    VEX_COND_PHRASE,    /* path, text: words in sequence */
    VEX_COND_PREFIX,    /* path, text: value starts with it */
    VEX_COND_SUBSTRING, /* path, text: value contains it, bytewise */
    VEX_COND_REGEX,     /* path, text: RE2 pattern, unanchored */
    VEX_COND_RANGE,     /* path, range over numbers */
    VEX_COND_TIME,      /* path, times over RFC 3339 texts */
    VEX_COND_GEO_BOX,   /* path, geo_box */
    VEX_COND_GEO_RADIUS,   /* path, geo_radius */
    VEX_COND_GEO_POLYGON,  /* path, geo_polygon */
    VEX_COND_VALUES_COUNT, /* path, range over the count */
    VEX_COND_IS_EMPTY,     /* path: missing, null or [] */
    VEX_COND_IS_NULL,      /* path: null, or an array that holds one */
    VEX_COND_HAS_ID,       /* ids */
    VEX_COND_HAS_VECTOR,   /* text: vector name ("" is the default vector) */
    VEX_COND_SLICE,        /* slice */
    VEX_COND_KINDS
};

/* How a condition treats an array it finds. */
enum vex_cond_arrays {
    VEX_ARRAYS_ANY,   /* any element (Qdrant) */
    VEX_ARRAYS_NEVER, /* an array never matches (Chroma, scalar operators) */
    VEX_ARRAYS_ONLY,  /* only elements of an array match (Chroma $contains) */
};

/* Values of ANY, EXCEPT, NUMBERS: each list may be empty. Sorted by vex_filter_bind for binary search. */
struct vex_cond_values {
    struct vex_str *texts;
    uint32_t text_count;
    int64_t *ints;
    uint32_t int_count;
    double *doubles;
    uint32_t double_count;
    bool has_true, has_false;
};

struct vex_cond_range {
    bool has_lt, has_lte, has_gt, has_gte;
    double lt, lte, gt, gte;
};

struct vex_cond_times {
    bool has_lt, has_lte, has_gt, has_gte;
    int64_t lt, lte, gt, gte; /* microseconds since 1970 */
};

struct vex_geo {
    double lon, lat;
};

struct vex_geo_ring {
    struct vex_geo *points;
    uint32_t count;
};

struct vex_analyzer;

struct vex_cond {
    enum vex_cond_kind kind;
    enum vex_cond_arrays arrays;
    struct vex_path path;
    union {
        struct vex_filter *sub;
        struct vex_cond_values values;
        struct vex_str text;
        struct vex_cond_range range;
        struct vex_cond_times times;
        struct {
            struct vex_geo top_left, bottom_right;
        } geo_box;
        struct {
            struct vex_geo center;
            double meters;
        } geo_radius;
        struct {
            struct vex_geo_ring exterior;
            struct vex_geo_ring *interiors;
            uint32_t interior_count;
        } geo_polygon;
        struct {
            struct vex_id *ids;
            uint32_t count;
        } ids;
        struct {
            uint64_t total, index;
        } slice;
    };
    /* Filled in by vex_filter_bind. */
    struct {
        const struct vex_regex *regex;
        uint64_t vector_mask;                /* HAS_VECTOR: bit of the name, 0 when unknown */
        const struct vex_analyzer *analyzer; /* TEXT, TEXT_ANY, PHRASE */
        struct vex_str *words;               /* TEXT, TEXT_ANY: tokens, sorted, unique; PHRASE: in sequence */
        uint32_t word_count;
        uint32_t
            elements; /* IS_EMPTY: steps that lead to elements, each of which is asked; 0: the whole is */
        uint32_t *borders; /* PHRASE: failure function over its words */
        struct {
            uint64_t stamp, min, max;
        } estimate; /* what the index of this stamp said; a read that is planned twice asks it once. 0: nothing */
    } bound;
};

struct vex_cond_list {
    struct vex_cond *conds;
    uint32_t count;
};

struct vex_filter {
    struct vex_cond_list must, should, must_not;
    bool has_min_should;
    struct vex_cond_list min_should;
    uint64_t min_count;
};

#define VEX_FILTER_DEPTH_MAX 100

/* Prepares a tree for matching: sorts values, cuts words, compiles patterns (kept in `regexes`, freed by
 * vex_filter_unbind), resolves vector names through `vector_bit` (returns the mask bit or 0; NULL: no vector
 * is known). A filter of NULL is fine. VEX_EBAD_INPUT: a bad pattern, or nested deeper than
 * VEX_FILTER_DEPTH_MAX; then the binding holds nothing. The arena must outlive the matching. */
struct vex_filter_binding {
    struct vex_arena *arena;
    uint64_t (*vector_bit)(void *arg, struct vex_str name);
    /* What texts under a path are cut with; NULL, or a NULL answer: vex_analyzer_default. */
    const struct vex_analyzer *(*analyzer)(void *arg, const struct vex_path *path);
    /* Steps of a path that lead to the elements which are looked at one by one; 0, or NULL: none are. */
    uint32_t (*elements)(void *arg, const struct vex_path *path);
    void *arg;
    struct vex_regex **regexes; /* the binding's */
    uint32_t regex_count;
};
int vex_filter_bind(struct vex_filter *filter, struct vex_filter_binding *binding, struct vex_err *err);
void vex_filter_unbind(struct vex_filter_binding *binding);

/* Bytes in records (a filter that selects points of a mutation); unbound. NULL encodes as "no filter". */
void vex_filter_encode(struct vex_buf *out, const struct vex_filter *filter);
int vex_filter_decode(struct vex_arena *arena, struct vex_cursor *c, struct vex_filter **ret,
                      struct vex_err *err);

#endif
