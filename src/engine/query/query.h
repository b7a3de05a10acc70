/* Reads: retrieve, scroll, count, nearest-neighbour search. Each call sees one version of the collection.
 *
 * Requests and results live in the caller's arena; everything in a result is a copy. All return 0 or a
 * negative VEX_E*. `filter` is bound by the call itself. A limit never sizes an allocation. cancelled: looked
 * at in long loops; may be NULL. */
#ifndef VEX_ENGINE_QUERY_QUERY_H
#define VEX_ENGINE_QUERY_QUERY_H

#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/index/index.h"

struct vex_read_context {
    struct vex_arena *arena;
    const _Atomic int *cancelled;
    uint64_t deadline_ns; /* io clock, 0: none; beyond it VEX_ETIMEOUT */
};

/* Which vectors an answer carries. */
struct vex_vector_selector {
    enum { VEX_VECTORS_NONE, VEX_VECTORS_ALL, VEX_VECTORS_NAMED } kind;
    struct vex_str *names; /* unknown name: VEX_EBAD_INPUT "Not existing vector name error: x" */
    uint32_t count;
};

/* A point in an answer. */
struct vex_hit {
    struct vex_id id;
    uint64_t version;
    float score;              /* searches */
    bool has_payload;         /* the payload was asked for */
    struct vex_value payload; /* selected; a map */
    struct vex_vector_value
        *vectors; /* asked for and present, in ordinal order; cosine ones as stored (normalised) */
    uint32_t vector_count;
    float norm;           /* of the default vector, see struct vex_row */
    bool has_order_value; /* reads in the order of a field */
    struct vex_order_value order_value;
};

struct vex_hits {
    struct vex_hit *hits;
    size_t count;
};

struct vex_retrieve {
    const struct vex_id
        *ids; /* unknown ones are skipped; repeats are answered once, in order of first mention */
    uint32_t count;
    struct vex_payload_selector payload;
    struct vex_vector_selector vectors;
};
int vex_read_retrieve(struct vex_collection *collection, const struct vex_retrieve *request,
                      struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err);

/* Order by a field's values. Needs a complete index on it that can be walked: else VEX_EBAD_INPUT, naming the key. */
struct vex_order_by {
    struct vex_path key;
    bool descending;
    bool has_from;
    struct vex_order_value from; /* begins with values from here on */
};

struct vex_scroll {
    struct vex_filter *filter; /* NULL: all */
    const struct vex_id *ids;  /* restricts to these when has_ids (Chroma get) */
    uint32_t id_count;
    bool has_ids;
    enum vex_rows_order order;
    const struct vex_order_by
        *order_by; /* instead of `order`: a point comes once for each of its values; no next page */
    bool sample;   /* instead of both: points drawn at random, in random order */
    const struct vex_id *offset; /* first id wanted (order by id); NULL: from the start */
    uint64_t skip;               /* matches passed over (Chroma offset) */
    uint64_t limit;
    struct vex_payload_selector payload;
    struct vex_vector_selector vectors;
};
/* *ret_next: the id at which the next page begins; has_next false at the end. */
int vex_read_scroll(struct vex_collection *collection, const struct vex_scroll *request,
                    struct vex_read_context *context, struct vex_hits *ret, bool *ret_has_next,
                    struct vex_id *ret_next, struct vex_err *err);

int vex_read_count(struct vex_collection *collection, struct vex_filter *filter,
                   struct vex_read_context *context, uint64_t *ret, struct vex_err *err);

/* ---- facets ---- */

struct vex_facet {
    struct vex_path key; /* needs a complete index with facets: else VEX_EBAD_INPUT, naming the key */
    struct vex_filter *filter;
    uint64_t limit;
};
struct vex_facet_hit {
    struct vex_facet_value value; /* a copy */
    uint64_t count;
};
/* Most frequent first; of equal counts the smaller value first. */
int vex_read_facet(struct vex_collection *collection, const struct vex_facet *request,
                   struct vex_read_context *context, struct vex_facet_hit **ret, size_t *ret_count,
                   struct vex_err *err);

/* ---- search ---- */

/* Nearest neighbours of one query vector. */
struct vex_example {         /* a stored point, or a vector */
    const struct vex_id *id; /* NULL: `vector` counts */
    struct vex_vector_value vector;
};

struct vex_nearest {
    struct vex_str using; /* vector name */
    struct vex_vector_value
        query; /* kind must fit the name: dense; multi (a dense query counts as one row); sparse */
    const struct vex_id *id; /* instead of `query`: the vector of this point, which is left out of the answer.
                                VEX_ENOT_FOUND "No point with id 3 found" */
    /* Instead of both, when there are any: searches with avg(positive) + avg(positive) - avg(negative), or avg(positive) when there are
     * no negative ones. Dense names only. The examples are not left out of the answer: the caller's filter does that. */
    const struct vex_example *positive, *negative;
    uint32_t positive_count, negative_count;
    struct vex_filter *filter;
    const struct vex_id *ids; /* restricts candidates when has_ids (Chroma query) */
    uint32_t id_count;
    bool has_ids;
    uint64_t limit, offset;
    bool has_threshold;
    float threshold; /* strict, in the better direction */
    bool exact, indexed_only;
    bool has_idf;              /* only of a sparse name with modifier idf: else VEX_EBAD_INPUT */
    struct vex_filter *corpus; /* points whose terms are counted for it; NULL: all */
    uint64_t ef;               /* 0: default */
    /* Of names whose graph walks on few bits a dimension: not by these; their estimates as scores, instead of the originals; the beam
     * holds so many times the limit, at least (0, 1: no more than it would). */
    bool ignore_codes, score_by_codes;
    double oversampling;
    struct vex_payload_selector payload;
    struct vex_vector_selector vectors;
};
/* Answers `count` queries against one version; results in order. Equal scores come in id order. */
int vex_read_nearest(struct vex_collection *collection, const struct vex_nearest *requests, uint32_t count,
                     struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err);

/* ---- full text ---- */

/* Points that hold a term of the text, by BM25 over the field's text index, which must score: else VEX_EBAD_INPUT. */
struct vex_text_query {
    struct vex_path field;
    struct vex_str text;
    double k, b;               /* saturation of frequencies, at least 0; weight of lengths, 0 to 1 */
    struct vex_filter *corpus; /* what frequencies and lengths are counted over; NULL: all points */
};

/* ---- scores by several examples ---- */

/* What a point is compared with. Similarities are raw: Euclid enters as the negative squared distance, Manhattan as the negative
 * sum. With sig(x) = x / (1 + |x|). */
struct vex_examples {
    enum vex_examples_kind {
        VEX_EXAMPLES_BEST,     /* the better of the best positive and the best negative */
        VEX_EXAMPLES_SUM,      /* sum over positives less sum over negatives */
        VEX_EXAMPLES_DISCOVER, /* pairs won less pairs lost, and 0.5 (sig(similarity to target) + 1) */
        VEX_EXAMPLES_CONTEXT,  /* sum over pairs of sig(min(positive - negative - epsilon, 0)) */
        VEX_EXAMPLES_FEEDBACK, /* a target + sum over pairs of judged examples: confidence^b c difference */
    } kind;
    struct vex_example target; /* DISCOVER, FEEDBACK */
    const struct vex_example *positive,
        *negative; /* DISCOVER, CONTEXT: pairs, as many of each; FEEDBACK: the judged ones are positive */
    uint32_t positive_count, negative_count;
    const float *judgements; /* FEEDBACK: beside positive */
    float a, b, c;           /* FEEDBACK */
};

/* ---- formulas ---- */

/* A node of an expression over a point; trees are in the caller's arena, no deeper than a message may be. */
struct vex_expression {
    enum vex_expression_kind {
        VEX_EXPR_CONSTANT,
        VEX_EXPR_SCORE,        /* of prefetch number `index` */
        VEX_EXPR_VARIABLE,     /* payload, a number */
        VEX_EXPR_CONDITION,    /* 1 or 0 */
        VEX_EXPR_GEO_DISTANCE, /* metres from `geo` to the payload's point */
        VEX_EXPR_DATETIME,     /* `constant`: seconds since 1970 */
        VEX_EXPR_DATETIME_KEY, /* the same out of the payload */
        VEX_EXPR_SUM,
        VEX_EXPR_MULT,
        VEX_EXPR_MAX, /* of at least one, as MIN */
        VEX_EXPR_MIN,
        VEX_EXPR_DIV, /* of two; `constant` when has_constant: instead of dividing by zero */
        VEX_EXPR_POW,
        VEX_EXPR_NEG, /* of one, from here */
        VEX_EXPR_ABS,
        VEX_EXPR_SQRT,
        VEX_EXPR_EXP,
        VEX_EXPR_LOG10,
        VEX_EXPR_LN,
        VEX_EXPR_ACOSH,     /* to here */
        VEX_EXPR_EXP_DECAY, /* of one, or of two: x and the target, which is 0 otherwise */
        VEX_EXPR_GAUSS_DECAY,
        VEX_EXPR_LIN_DECAY,
    } kind;
    double constant;
    bool has_constant;
    uint32_t index;
    struct vex_path path;
    struct vex_filter *condition;
    double geo[2];          /* longitude, latitude */
    double scale, midpoint; /* decays */
    struct vex_expression *operands;
    uint32_t operand_count;
};
struct vex_formula {
    struct vex_expression root;
    struct vex_formula_default { /* later ones win */
        bool is_score;           /* of prefetch number `index`, else of a payload path */
        uint32_t index;
        struct vex_path path;
        struct vex_value value;
    } * defaults;
    uint32_t default_count;
};

/* ---- queries ---- */

/* One ranking. Without prefetches it ranks the points of the collection, else those that its prefetches found, filtered again;
 * fusions and formulas need prefetches, take all that these found, and put what came first before its equals. */
struct vex_stage {
    enum vex_stage_kind {
        VEX_STAGE_LIST, /* by id; score 1 */
        VEX_STAGE_NEAREST,
        VEX_STAGE_MMR,
        VEX_STAGE_EXAMPLES,
        VEX_STAGE_TEXT,
        VEX_STAGE_ORDER,
        VEX_STAGE_SAMPLE,
        VEX_STAGE_RRF,
        VEX_STAGE_DBSF,
        VEX_STAGE_FORMULA,
    } kind;
    /* Of all kinds: using, filter, limit, offset, threshold, parameters of the search, and for the root what the answer carries; of
     * NEAREST and MMR: the query too. The threshold is strict, but for fusions and formulas; lists have none. */
    struct vex_nearest nearest;
    struct vex_text_query text;
    struct vex_order_by order_by;
    struct vex_examples examples;
    struct vex_formula formula;
    double rrf_k;         /* RRF */
    const float *weights; /* RRF: one a prefetch; NULL: all 1 */
    float diversity;      /* MMR */
    uint64_t candidates;  /* MMR */
    struct vex_stage *prefetch;
    uint32_t prefetch_count;
};
/* Answers `count` queries against one version; results in order. Runs of plain nearest queries share passes. */
int vex_read_query(struct vex_collection *collection, const struct vex_stage *stages, uint32_t count,
                   struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err);

/* ---- groups ---- */

/* Groups hits by the values (texts and integers) that a path leads to; a point with several values is in several groups. */
struct vex_groups {
    const struct vex_stage
        *stage; /* what its answer carries goes for the hits; limit and offset are not used */
    struct vex_path by;
    uint64_t limit, size;          /* groups; hits a group */
    struct vex_collection *lookup; /* NULL: none. A record of that collection whose id is the group's value */
    struct vex_payload_selector lookup_payload;
    struct vex_vector_selector lookup_vectors;
};
struct vex_group {
    struct vex_value id; /* text or integer */
    struct vex_hits hits;
    bool has_lookup;
    struct vex_hit lookup;
};
/* Groups in order of their best hit. Prefetches are as long as they say. */
int vex_read_groups(struct vex_collection *collection, const struct vex_groups *request,
                    struct vex_read_context *context, struct vex_group **ret, size_t *ret_count,
                    struct vex_err *err);

/* ---- matrix ---- */

struct vex_matrix {
    struct vex_filter *filter;
    struct vex_str using;
    uint64_t sample; /* points drawn at random among those that have the vector and match */
    uint64_t limit;  /* nearest others of each */
};
struct vex_matrix_result {
    struct vex_id *ids; /* the sample, ascending */
    uint32_t count;
    struct vex_matrix_pair {
        uint32_t a, b; /* places in ids */
        float score;
    } * pairs; /* by a, then better score first */
    size_t pair_count;
};
int vex_read_matrix(struct vex_collection *collection, const struct vex_matrix *request,
                    struct vex_read_context *context, struct vex_matrix_result *ret, struct vex_err *err);

/* Estimated cost in nanoseconds, without opening or waiting for anything: decides between this thread and the pool. */
uint64_t vex_read_cost_scan(struct vex_collection *collection, bool filtered);
/* By the plan: of a count (want UINT64_MAX), or of a page of `want` points. Binds the filter, which may be bound again. */
uint64_t vex_read_cost_filter(struct vex_collection *collection, struct vex_filter *filter, uint64_t want);
uint64_t vex_read_cost_nearest(struct vex_collection *collection, const struct vex_nearest *requests,
                               uint32_t count);

#endif
