"""The peer in process: Qdrant's engine as the package qdrant-edge-py, asked in the shape of REST filters."""
import time

import qdrant_edge as edge

SCHEMAS = {
    "keyword": edge.PayloadSchemaType.Keyword, "integer": edge.PayloadSchemaType.Integer, "float": edge.PayloadSchemaType.Float,
    "geo": edge.PayloadSchemaType.Geo, "text": edge.PayloadSchemaType.Text, "bool": edge.PayloadSchemaType.Bool,
    "datetime": edge.PayloadSchemaType.Datetime, "uuid": edge.PayloadSchemaType.Uuid,
}


def match(spec):
    (kind, value), = spec.items()
    return {"value": edge.MatchValue, "any": edge.MatchAny, "except": edge.MatchExcept, "text": edge.MatchText}[kind](value)


def condition(spec):
    if "match" in spec:
        return edge.FieldCondition(spec["key"], match=match(spec["match"]))
    if "range" in spec:
        bounds = spec["range"]
        kind = edge.RangeDateTime if isinstance(next(iter(bounds.values())), str) else edge.RangeFloat
        return edge.FieldCondition(spec["key"], range=kind(**bounds))
    circle = spec["geo_radius"]
    center = edge.GeoPoint(circle["center"]["lon"], circle["center"]["lat"])
    return edge.FieldCondition(spec["key"], geo_radius=edge.GeoRadius(center, circle["radius"]))


def lower(spec):
    return None if spec is None else edge.Filter(must=[condition(c) for c in spec["must"]])


class Edge:
    """A shard in a folder. CPU is that of this process: nothing else may run in it."""

    name = "qdrant-edge"

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Payload indexes are what is compared: no graph (with payload indexes it would get links for each of their values), no log.
        vectors = edge.EdgeVectorParams(size=4, distance=edge.Distance.Dot)
        no_graph = edge.HnswIndexConfig(m=0, ef_construct=16, full_scan_threshold=10**9, payload_m=0)
        config = edge.EdgeConfig(vectors=vectors, on_disk_payload=False, hnsw_config=no_graph, wal_enabled=False)
        self.shard = edge.EdgeShard.create(str(folder), config)

    def upsert(self, first, payloads):
        points = [edge.Point(first + i, [1.0, 0.0, 0.0, 0.0], payload) for i, payload in enumerate(payloads)]
        self.shard.update(edge.UpdateOperation.upsert_points(points))

    def index(self, field, kind):
        self.shard.update(edge.UpdateOperation.create_field_index(field, SCHEMAS[kind]))

    def optimize(self):
        self.shard.optimize()

    def prepare(self, what, spec, **options):
        """A request ready to be sent; call it."""
        if what == "count":
            request = edge.CountRequest(exact=True, filter=lower(spec))
            return lambda: self.shard.count(request)
        if what == "scroll":
            request = edge.ScrollRequest(limit=100, filter=lower(spec), with_payload=options["payload"])
            return lambda: len(self.shard.scroll(request)[0])
        request = edge.FacetRequest(options["key"], limit=10, exact=True, filter=lower(spec))
        return lambda: [hit.count for hit in self.shard.facet(request).hits]

    def cpu(self):
        return time.process_time()

    def close(self):
        self.shard.close()
