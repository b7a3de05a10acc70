/* The older requests as queries: recommend, discover, and groups of both, in terms of QueryPoints and QueryPointGroups. */
#ifndef VEX_API_QDRANT_LEGACY_H
#define VEX_API_QDRANT_LEGACY_H

#include "api/qdrant/qdrant.h"

/* Messages in the call's arena that share the parts of the request. NULL: call->err says what is wrong. */
const Qdrant__QueryPoints *vex_legacy_recommend(struct vex_call *call, const Qdrant__RecommendPoints *in);
const Qdrant__QueryPoints *vex_legacy_discover(struct vex_call *call, const Qdrant__DiscoverPoints *in);
const Qdrant__QueryPointGroups *vex_legacy_recommend_groups(struct vex_call *call,
                                                            const Qdrant__RecommendPointGroups *in);

#endif
