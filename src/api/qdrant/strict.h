/* Strict mode: what a collection's owner has forbidden, asked before a request runs.
 *
 * Role      strict.c reads the settings and checks reads, strict_filter.c looks at filters, strict_write.c checks writes,
 *           strict_rate.c keeps the tokens of the rate limits.
 * Errors    VEX_EBAD_REQUEST in the peer's words with their "Help" part; VEX_ERATE_LIMIT when tokens are short. */
#ifndef VEX_API_QDRANT_STRICT_H
#define VEX_API_QDRANT_STRICT_H

#include "api/qdrant/qdrant.h"

/* The settings of one collection, valid for one request. */
struct vex_strict {
    const Qdrant__StrictModeConfig *limits; /* NULL: everything is allowed */
    struct vex_config *config;              /* a reference; NULL without limits */
    struct vex_collection *collection;
};

int vex_strict_open(struct vex_call *call, struct vex_collection *collection, struct vex_strict *ret);
void vex_strict_done(struct vex_strict *strict);
/* What a new collection gets: the configured settings, over which those that were asked for (NULL: none) go. NULL: none at all. */
Qdrant__StrictModeConfig *vex_strict_of_new(struct vex_call *call, Qdrant__StrictModeConfig *asked);

/* ---- reads ---- */

struct vex_strict_read {
    bool has_limit;
    uint64_t limit;
    const Qdrant__Filter *filter;
    bool exact; /* an exact count was asked for */
    const Qdrant__SearchParams *params;
    const char *group_by;           /* NULL: none */
    const Qdrant__Formula *formula; /* NULL: none */
    bool vectors;                   /* walks a vector index, named: */
    struct vex_str using;
};
int vex_strict_read(struct vex_call *call, const struct vex_strict *strict,
                    const struct vex_strict_read *question);
int vex_strict_timeout(struct vex_call *call, const struct vex_strict *strict, bool has_timeout,
                       uint64_t timeout);
int vex_strict_batch(struct vex_call *call, const struct vex_strict *strict, size_t count);

/* ---- writes ---- */

int vex_strict_write(struct vex_call *call, const struct vex_strict *strict,
                     const Qdrant__PointsUpdateOperation *operation, const struct vex_op *op);
int vex_strict_create_index(struct vex_call *call, const struct vex_strict *strict, struct vex_str field);

/* ---- filters ---- */

uint64_t vex_strict_conditions(const Qdrant__Filter *filter); /* NULL: 0 */
/* Most conditions, largest condition, and, unless unindexed ones are allowed, an index for each. */
int vex_strict_filter(struct vex_call *call, const struct vex_strict *strict, const Qdrant__Filter *filter,
                      bool allow_unindexed);
/* An index for each variable and condition of a formula, whatever its defaults. */
int vex_strict_formula(struct vex_call *call, const struct vex_strict *strict,
                       const Qdrant__Formula *formula);
/* True when some condition has no index that serves it. */
bool vex_strict_unindexed(struct vex_call *call, const struct vex_strict *strict,
                          const Qdrant__Filter *filter);
/* True when a condition looks at a field whose index marks tenants. */
bool vex_strict_tenant_filter(struct vex_call *call, const struct vex_strict *strict,
                              const Qdrant__Filter *filter);

/* ---- rates ---- */

/* Tokens of the collection's bucket, which holds `per_minute` and fills as fast. */
enum vex_strict_rate { VEX_RATE_READ, VEX_RATE_WRITE, VEX_RATE_KINDS };
int vex_strict_consume(struct vex_call *call, const struct vex_strict *strict, enum vex_strict_rate kind,
                       uint64_t tokens);
/* New settings start with full buckets. */
void vex_strict_forget(struct vex_collection *collection);

#endif
