"""Operations for the comparison with the in-memory mode that browse by payload: facets, orders, groups, matrices, samples, indexes.

The in-memory mode needs no payload index; a server needs one for facets and orders. The collections of one client carry indexes all
the time, some of which come and go; those of the others have them only around a read that can't do without.
"""
import contextlib

from qdrant_client import models

from test.api.qdrant_random import CITIES, TAGS

# Fields of draw_payload with the index that browsing them needs.
FACETS = {"city": "keyword", "tags": "keyword", "n": "integer", "flag": "bool", "nest[].b": "keyword", "deep.a.b": "integer", 'deep."c d"': "keyword"}
ORDERS = {"n": "integer", "x": "float", "when": "datetime", "big": "integer", "deep.a.b": "integer", "nest[].a": "integer"}
GROUPS = ["city", "tags", "n", "nest[].b", "deep.a.b", "never"]
# Any index may stand on any field: answers must not change.
TEXT = models.TextIndexParams(type="text", tokenizer=models.TokenizerType.WORD, lowercase=True)
PHRASE = models.TextIndexParams(type="text", tokenizer=models.TokenizerType.WORD, lowercase=True, phrase_matching=True)
PREFIX = models.KeywordIndexParams(type="keyword", prefix=True)
SCHEMAS = [
    ("city", ["keyword", PREFIX, "integer", "bool"]), ("tags", ["keyword", PREFIX]), ("n", ["integer", "float", "keyword"]), ("big", ["integer", "float"]),
    ("x", ["float", "integer"]), ("flag", ["bool", "keyword"]), ("when", ["datetime", "keyword"]), ("loc", ["geo", "keyword"]),
    ("text", [TEXT, PHRASE, PREFIX]), ("deep.a.b", ["integer", "float"]), ('deep."c d"', ["keyword"]), ("nest[].a", ["integer"]), ("nest[].b", ["keyword"]),
    ("odd", ["keyword", "integer", "bool"]), ("tags[]", ["keyword"]), ("n[]", ["integer"]),
]


class Ordered:
    """A listing in the order of a field: equal values may come in any order."""

    def __init__(self, found, everything, limit):
        self.found, self.everything, self.limit = found, everything, limit

    @staticmethod
    def key(point):
        return point.id, float(point.order_value)

    def same(self, judge, tolerance, where):
        wanted, got = judge.found, self.found
        values = [p.order_value for p in wanted], [p.order_value for p in got]
        assert values[0] == values[1], f"{where}: order values {values[0]} expected, got {values[1]}"
        full = {self.key(p): p.payload for p in judge.everything()}
        keys = [self.key(p) for p in got]
        assert len(set(keys)) == len(keys), f"{where}: unique points expected, got {keys}"
        for point in got:
            assert self.key(point) in full, f"{where}: {self.key(point)} is no match as expected"
            assert (full[self.key(point)] or {}) == (point.payload or {}), f"{where}: another payload of {point.id} than expected"


class Groups:
    """Groups of hits. Groups and hits of equal score may come in any order."""

    def __init__(self, found, everything):
        self.found, self.everything = found, everything

    @staticmethod
    def scores(group):
        return [float(h.score) for h in group.hits]

    def same(self, judge, tolerance, where):
        wanted, got = judge.found, self.found
        assert len(wanted) == len(got), f"{where}: {len(wanted)} groups expected, got {len(got)}: {[g.id for g in wanted]} {[g.id for g in got]}"
        full = {(type(g.id), g.id): g for g in judge.everything()}
        for place, (a, b) in enumerate(zip(wanted, got)):
            self.close(self.scores(a)[:1], self.scores(b)[:1], tolerance, f"{where}[{place}] best")
            whole = full.get((type(b.id), b.id))
            assert whole is not None, f"{where}[{place}]: group {b.id!r} is none as expected"
            self.close(self.scores(whole)[: len(b.hits)], self.scores(b), tolerance, f"{where}[{place}] {b.id!r}")
            assert {h.id for h in b.hits} <= {h.id for h in whole.hits}, f"{where}[{place}]: hits of {b.id!r} other than expected"
        if {(type(g.id), g.id) for g in wanted} == {(type(g.id), g.id) for g in got}:  # else other groups of equal score at the cut
            sizes = [sorted(len(g.hits) for g in side) for side in (wanted, got)]
            assert sizes[0] == sizes[1], f"{where}: group sizes {sizes[0]} expected, got {sizes[1]}"

    @staticmethod
    def close(expected, got, tolerance, where):
        assert len(expected) == len(got) and all(
            abs(a - b) <= tolerance * max(1.0, abs(a)) for a, b in zip(expected, got)
        ), f"{where}: scores {expected} expected, got {got}"


class Browsing:
    """To be mixed into a run that has rng, filters, shape, clients, names and shown()."""

    def start_indexes(self):
        """The first client's collection has indexes on everything."""
        self.indexed = next(iter(self.clients), None)
        self.standing = {}
        if self.indexed is not None:
            for key, schemas in SCHEMAS:
                self.stand(key, schemas[0])

    def stand(self, key, schema):
        self.clients[self.indexed].create_payload_index(self.names[self.indexed], key, schema, wait=True)
        self.standing[key] = schema

    def change_index(self):
        """An index of the first client's collection goes, comes or changes its type."""
        if self.indexed is not None:
            key, schemas = self.rng.choice(SCHEMAS)
            if key in self.standing:
                self.clients[self.indexed].delete_payload_index(self.names[self.indexed], key, wait=True)
                del self.standing[key]
            if self.rng.random() < 0.7:
                self.stand(key, self.rng.choice(schemas))
        return lambda client, name: None

    @contextlib.contextmanager
    def index(self, client, name, key, schema):
        """Sees to it that the index a read needs is there."""
        label = next((label for label, own in self.names.items() if own == name and self.clients[label] is client), None)
        if label is None:  # the judge
            yield
        elif label == self.indexed:
            if self.standing.get(key) != schema:
                if key in self.standing:
                    client.delete_payload_index(name, key, wait=True)
                self.stand(key, schema)
            yield
        else:
            client.create_payload_index(name, key, schema, wait=True)
            yield
            client.delete_payload_index(name, key, wait=True)

    def facet(self):
        key, schema = self.rng.choice(list(FACETS.items()))
        filter_, limit, exact = self.filters.maybe(), self.rng.choice([1, 3, 10, 100]), self.rng.random() < 0.7

        def run(client, name):
            with self.index(client, name, key, schema):
                return [(hit.value, hit.count) for hit in client.facet(name, key, facet_filter=filter_, limit=limit, exact=exact).hits]

        return run

    def draw_order(self):
        key, schema = self.rng.choice(list(ORDERS.items()))
        start = None
        if self.rng.random() < 0.4:
            start = f"20{self.rng.randint(11, 28)}-03-04T05:06:07Z" if key == "when" else self.rng.choice([0, 3, -1, 2.5, 2**53 + 2])
            start = int(start) if schema == "integer" and not isinstance(start, str) else start
        direction = self.rng.choice([None, models.Direction.ASC, models.Direction.DESC])
        return key, schema, models.OrderBy(key=key, direction=direction, start_from=start)

    def order(self):
        key, schema, order = self.draw_order()
        filter_, limit = self.filters.maybe(), self.rng.choice([1, 4, 20, 1000])

        def listing(client, name, most):
            return client.scroll(name, scroll_filter=filter_, order_by=order, limit=most, with_payload=True)

        def run(client, name):
            with self.index(client, name, key, schema):
                points, following = listing(client, name, limit)
            assert following is None
            return Ordered(points, lambda: listing(client, name, 10000)[0], limit)

        return run

    def order_query(self):
        key, schema, order = self.draw_order()
        filter_, limit = self.filters.maybe(), self.rng.choice([1, 4, 20])

        def listing(client, name, most):
            query = models.OrderByQuery(order_by=order)
            return client.query_points(name, query=query, query_filter=filter_, limit=most, with_payload=True).points

        def run(client, name):
            with self.index(client, name, key, schema):
                points = listing(client, name, limit)
            return Ordered(points, lambda: listing(client, name, 10000), limit)

        return run

    def groups(self):
        using = self.rng.choice(list(self.shape.vectors))
        vector, key, filter_ = self.shape.vectors[using].draw(self.rng), self.rng.choice(GROUPS), self.filters.maybe()
        limit, size = self.rng.choice([1, 3, 20]), self.rng.choice([1, 2, 20])

        def listing(client, name, most, each):
            return client.query_points_groups(
                name, group_by=key, query=vector, using=using or None, query_filter=filter_, limit=most, group_size=each, with_payload=False
            ).groups

        return lambda client, name: Groups(listing(client, name, limit, size), lambda: listing(client, name, 1000, 1000))

    def matrix(self):
        """Of all points, so that chance has no part in it."""
        using, filter_ = self.rng.choice(self.dense()), self.filters.maybe()

        def run(client, name):
            found = client.search_matrix_offsets(name, query_filter=filter_, limit=3, sample=1000, using=using or None)
            rows = {}
            for row, score in zip(found.offsets_row, found.scores, strict=True):
                rows.setdefault(str(found.ids[row]), []).append(float(score))
            return {"ids": [str(i) for i in found.ids], "rows": {i: sorted(scores) for i, scores in rows.items()}}

        return run

    def dense(self):
        return [n for n, v in self.shape.vectors.items() if v.kind == "dense"]

    def sample(self):
        filter_, limit = self.filters.maybe(), self.rng.choice([1, 5, 1000])

        def run(client, name):
            query = models.SampleQuery(sample=models.Sample.RANDOM)
            points = client.query_points(name, query=query, query_filter=filter_, limit=limit, with_payload=False).points
            ids = [p.id for p in points]
            matching = {p.id for p in client.scroll(name, scroll_filter=filter_, limit=1000, with_payload=False)[0]}
            assert len(set(ids)) == len(ids) and set(ids) <= matching, f"{ids} are not among {matching} as expected"
            return len(ids)

        return run

    def narrow(self):
        """Counts of single conditions, which indexes answer alone."""
        condition = self.filters.condition(0)
        filter_ = models.Filter(**{self.rng.choice(["must", "must_not", "should"]): [condition]})
        return lambda client, name: client.count(name, count_filter=filter_, exact=True).count

    def wide(self):
        """A long list of values."""
        values = [f"none-{i}" for i in range(300)] + self.rng.sample(CITIES, 2) + self.rng.sample(TAGS, 2)
        key = self.rng.choice(["city", "tags", "nest[].b"])
        match = self.rng.choice([models.MatchAny(any=values), models.MatchExcept(**{"except": values})])
        filter_ = models.Filter(must=[models.FieldCondition(key=key, match=match)])
        return lambda client, name: client.count(name, count_filter=filter_, exact=True).count
