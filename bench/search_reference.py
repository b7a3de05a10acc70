"""Figures of a peer that can't be had from a package registry, measured once on the reference machine; the one place where they stand.

Reference machine: two quiet AVX-512 cores, where one random read of 512 bytes with its distance costs 127 ns and a hot one 8 ns. Another
machine differs, so ratios to these figures are a hint, those to peers of the same run a measurement.
"""

SOURCE = "Qdrant 1.19.0, gRPC, m 16, ef_construct 100, k 10, clustered 128-d data, reference machine"

# Server CPU microseconds a search of 1M x 128 f32 with 64 requests in flight, by recall.
QDRANT_GRPC_US = {0.95: 290.0, 0.99: 493.0}
# A search of a collection of 10 points, 64 in flight.
QDRANT_TINY_US = 98.0
# Server CPU microseconds a point, batches of 1,000, acknowledged, into an empty collection.
QDRANT_INGEST_US = 12.9
# Until everything is in the graph, points per CPU second.
QDRANT_INDEXED = {100_000: 5000.0, 1_000_000: 2850.0}
# Resident megabytes of 1M x 128, and after a restart.
QDRANT_RESIDENT_MB = (1880.0, 820.0)
# Seconds from start to the first right answer, 1M x 128, pages cached.
QDRANT_COLD_S = 0.16
