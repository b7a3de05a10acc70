/* The model "qdrant/bm25": texts as sparse vectors of term weights, made by the server itself. */
#ifndef VEX_API_QDRANT_BM25_H
#define VEX_API_QDRANT_BM25_H

#include "api/qdrant/qdrant.h"

bool vex_bm25_is_model(const char *name);
/* A stored text weighs its terms by how often they occur, 1 each in a query. The vector is in the call's arena. VEX_EBAD_INPUT. */
int vex_bm25_embed(struct vex_call *call, const Qdrant__Document *in, bool query,
                   struct vex_vector_value *ret);
/* Number of a term: MurmurHash3 (Austin Appleby, x86, 32 bits, seed 0), without its sign. Vectors in use all over hold these. */
uint32_t vex_bm25_term(struct vex_str term);

#endif
