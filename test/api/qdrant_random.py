"""Random collections, points and filters for the comparison with the client's in-memory mode.

Values are drawn so that rounding is no matter: what goes into float16 and uint8 vectors can be stored in them exactly.
"""
import random
import uuid
from dataclasses import dataclass, field

from qdrant_client import models

CITIES = ["Berlin", "Paris", "Rome", "Oslo", "São Paulo"]
TAGS = ["red", "green", "blue", "black"]
WORDS = ["small", "world", "wide", "database", "vector", "search", "of", "points"]
IDS = list(range(40)) + [2**53 + 1, 2**63 + 5] + [str(uuid.UUID(int=n * 0x1234567890ABCDEF1234567)) for n in range(1, 13)]
DISTANCES = [models.Distance.COSINE, models.Distance.DOT, models.Distance.EUCLID, models.Distance.MANHATTAN]


@dataclass
class Vector:
    """One vector of a collection. `kind`: dense, multi or sparse."""

    kind: str
    size: int = 0
    distance: models.Distance | None = None
    datatype: models.Datatype | None = None
    idf: bool = False

    def draw(self, rng):
        if self.kind == "sparse":
            indices = rng.sample(range(12), rng.randint(1, 5))
            return models.SparseVector(indices=indices, values=[rng.choice([0.25, 0.5, 1.0, 2.0, -1.0]) for _ in indices])
        if self.kind == "multi":
            return [self.draw_dense(rng) for _ in range(rng.randint(1, 3))]
        return self.draw_dense(rng)

    def draw_dense(self, rng):
        if self.datatype == models.Datatype.UINT8:
            return [float(rng.randint(0, 255)) for _ in range(self.size)]
        if self.datatype == models.Datatype.FLOAT16:
            return [rng.randint(-64, 64) / 16 for _ in range(self.size)]
        return [round(rng.uniform(-1, 1), 4) for _ in range(self.size)]


@dataclass
class Shape:
    """What a collection looks like. The vector named "" is the unnamed one."""

    vectors: dict = field(default_factory=dict)

    @property
    def tolerance(self):
        """A normalised vector doesn't fit float16 exactly."""
        rounded = any(v.datatype == models.Datatype.FLOAT16 and v.distance == models.Distance.COSINE for v in self.vectors.values())
        return 4e-3 if rounded else 1e-4

    def create(self, client, name):
        dense = {
            n: models.VectorParams(
                size=v.size,
                distance=v.distance,
                datatype=v.datatype,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM) if v.kind == "multi" else None,
            )
            for n, v in self.vectors.items()
            if v.kind != "sparse"
        }
        sparse = {
            n: models.SparseVectorParams(modifier=models.Modifier.IDF if v.idf else None)
            for n, v in self.vectors.items()
            if v.kind == "sparse"
        }
        client.create_collection(name, vectors_config=dense[""] if "" in dense else dense, sparse_vectors_config=sparse or None)

    def draw_vectors(self, rng):
        """A vector in the client's shape; named vectors may be missing."""
        if "" in self.vectors and len(self.vectors) == 1:
            return self.vectors[""].draw(rng)
        chosen = [n for n in self.vectors if rng.random() < 0.8]
        return {n: self.vectors[n].draw(rng) for n in chosen}


def single(distance, datatype=None, size=6):
    return Shape({"": Vector("dense", size, distance, datatype)})


SHAPES = {
    "cosine": single(models.Distance.COSINE),
    "dot": single(models.Distance.DOT),
    "euclid": single(models.Distance.EUCLID),
    "manhattan": single(models.Distance.MANHATTAN),
    "float16": Shape({
        "c": Vector("dense", 5, models.Distance.COSINE, models.Datatype.FLOAT16),
        "d": Vector("dense", 5, models.Distance.DOT, models.Datatype.FLOAT16),
        "e": Vector("dense", 3, models.Distance.EUCLID, models.Datatype.FLOAT16),
    }),
    "uint8": Shape({
        "d": Vector("dense", 4, models.Distance.DOT, models.Datatype.UINT8),
        "e": Vector("dense", 7, models.Distance.EUCLID, models.Datatype.UINT8),
        "m": Vector("dense", 4, models.Distance.MANHATTAN, models.Datatype.UINT8),
    }),
    "mixed": Shape({
        "a": Vector("dense", 8, models.Distance.COSINE),
        "b": Vector("dense", 3, models.Distance.EUCLID),
        "s": Vector("sparse"),
        "i": Vector("sparse", idf=True),
        "m": Vector("multi", 4, models.Distance.DOT),
    }),
    "multi": Shape({
        "c": Vector("multi", 3, models.Distance.COSINE),
        "d": Vector("multi", 3, models.Distance.DOT),
        "e": Vector("multi", 3, models.Distance.EUCLID),
        "m": Vector("multi", 3, models.Distance.MANHATTAN),
    }),
    "sparse": Shape({"s": Vector("sparse"), "i": Vector("sparse", idf=True)}),
    "none": Shape({}),
}


def draw_geo(rng):
    return {"lon": round(rng.uniform(-180, 180), 3), "lat": round(rng.uniform(-85, 85), 3)}


def draw_time(rng):
    day = f"20{rng.randint(10, 29)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return rng.choice([day, f"{day}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:07Z", f"{day}T05:06:07.25+02:00"])


def draw_text(rng):
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 5)))


def draw_payload(rng):
    """Each field is often missing, sometimes null or empty."""
    makers = {
        "city": lambda: rng.choice(CITIES),
        "tags": lambda: rng.sample(TAGS, rng.randint(0, 3)),
        "n": lambda: rng.choice([rng.randint(-5, 20), [rng.randint(-5, 20) for _ in range(rng.randint(0, 3))]]),
        "big": lambda: rng.choice([2**53 + 1, 2**53 + 3, -(2**62)]),
        "x": lambda: rng.randint(-80, 80) / 8,
        "flag": lambda: rng.random() < 0.5,
        "when": lambda: draw_time(rng),
        "loc": lambda: draw_geo(rng),
        "text": lambda: draw_text(rng),
        "deep": lambda: {"a": {"b": rng.randint(0, 5)}, "c d": rng.choice(TAGS)},
        "nest": lambda: [{"a": rng.randint(0, 3), "b": rng.choice(TAGS)} for _ in range(rng.randint(0, 3))],
        "odd": lambda: rng.choice([None, [], [None], {}, [None, 3], "", 0]),
    }
    return {key: (None if rng.random() < 0.04 else make()) for key, make in makers.items() if rng.random() < 0.7}


class Filters:
    """Random filters over the fields of draw_payload."""

    def __init__(self, rng, shape):
        self.rng = rng
        self.names = list(shape.vectors)
        self.fields = [
            self.match_text, self.match_any, self.match_except, self.match_number, self.match_bool, self.range, self.times,
            self.values_count, self.radius, self.box, self.polygon, self.empty, self.null, self.words, self.deep,
        ]

    def draw(self, depth=2):
        rng, filter_ = self.rng, {}
        for clause in rng.sample(["must", "should", "must_not"], rng.randint(1, 2)):
            filter_[clause] = [self.condition(depth) for _ in range(rng.randint(1, 2))]
        if rng.random() < 0.15:
            conditions = [self.condition(0) for _ in range(3)]
            filter_["min_should"] = models.MinShould(conditions=conditions, min_count=rng.randint(1, 3))
        return models.Filter(**filter_)

    def maybe(self):
        return self.draw() if self.rng.random() < 0.6 else None

    def condition(self, depth):
        rng = self.rng
        draw = rng.random()
        if draw < 0.15 and depth > 0:
            return self.draw(depth - 1)
        if draw < 0.25:
            return models.HasIdCondition(has_id=rng.sample(IDS, rng.randint(1, 20)))
        if draw < 0.31 and self.names:
            return models.HasVectorCondition(has_vector=rng.choice(self.names))
        if draw < 0.36:
            total = rng.randint(1, 5)
            return models.SliceCondition(slice=models.Slice(total=total, index=rng.randrange(total)))
        if draw < 0.46:
            inner = models.Filter(
                must=[models.FieldCondition(key="a", match=models.MatchValue(value=rng.randint(0, 3)))],
                must_not=[models.FieldCondition(key="b", match=models.MatchValue(value=rng.choice(TAGS)))],
            )
            return models.NestedCondition(nested=models.Nested(key=rng.choice(["nest", "nest[]"]), filter=inner))
        return rng.choice(self.fields)()

    def match_text(self):
        key, values = self.rng.choice([("city", CITIES), ("tags", TAGS), ("tags[]", TAGS), ("nest[].b", TAGS), ("tags[0]", TAGS)])
        return models.FieldCondition(key=key, match=models.MatchValue(value=self.rng.choice(values)))

    def match_any(self):
        key, values = self.rng.choice([("city", CITIES), ("tags", TAGS), ("n", list(range(-5, 20)))])
        return models.FieldCondition(key=key, match=models.MatchAny(any=self.rng.sample(values, self.rng.randint(1, 3))))

    def match_except(self):
        key, values = self.rng.choice([("city", CITIES), ("tags", TAGS), ("n", list(range(-5, 20)))])
        return models.FieldCondition(key=key, match=models.MatchExcept(**{"except": self.rng.sample(values, self.rng.randint(1, 3))}))

    def match_number(self):
        key, value = self.rng.choice([("n", self.rng.randint(-5, 20)), ("big", 2**53 + 1), ("n[]", 3), ("x", 2)])
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))

    def match_bool(self):
        return models.FieldCondition(key="flag", match=models.MatchValue(value=self.rng.random() < 0.5))

    def range(self):
        low = self.rng.randint(-10, 10)
        sides = {self.rng.choice(["gt", "gte"]): low, self.rng.choice(["lt", "lte"]): low + self.rng.randint(0, 12)}
        keep = self.rng.sample(sorted(sides), self.rng.randint(1, 2))
        return models.FieldCondition(key=self.rng.choice(["n", "x", "deep.a.b"]), range=models.Range(**{k: sides[k] for k in keep}))

    def times(self):
        side = self.rng.choice(["gt", "gte", "lt", "lte"])
        return models.FieldCondition(key="when", range=models.DatetimeRange(**{side: f"20{self.rng.randint(11, 28)}-06-15T00:00:00Z"}))

    def values_count(self):
        key = self.rng.choice(["tags", "n", "city", "nest", "odd"])
        return models.FieldCondition(key=key, values_count=models.ValuesCount(**{self.rng.choice(["gt", "gte", "lt", "lte"]): self.rng.randint(0, 3)}))

    def radius(self):
        center = models.GeoPoint(**draw_geo(self.rng))
        return models.FieldCondition(key="loc", geo_radius=models.GeoRadius(center=center, radius=self.rng.uniform(1e6, 8e6)))

    def box(self):
        top = self.rng.uniform(0, 80)
        corners = models.GeoPoint(lon=self.rng.uniform(-180, 180), lat=top), models.GeoPoint(lon=self.rng.uniform(-180, 180), lat=top - 70)
        return models.FieldCondition(key="loc", geo_bounding_box=models.GeoBoundingBox(top_left=corners[0], bottom_right=corners[1]))

    def polygon(self):
        lon, lat, half = self.rng.uniform(-90, 90), self.rng.uniform(-40, 40), self.rng.uniform(20, 45)
        ring = [(lon - half, lat - half), (lon + half, lat - half), (lon + half, lat + half), (lon - half, lat + half), (lon - half, lat - half)]
        points = models.GeoLineString(points=[models.GeoPoint(lon=x, lat=y) for x, y in ring])
        return models.FieldCondition(key="loc", geo_polygon=models.GeoPolygon(exterior=points))

    def empty(self):
        key = self.rng.choice(["odd", "tags", "city", "deep.a", "never"])
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))

    def null(self):
        return models.IsNullCondition(is_null=models.PayloadField(key=self.rng.choice(["odd", "city", "n", "never"])))

    def words(self):
        some = " ".join(self.rng.sample(WORDS, self.rng.randint(1, 2)))
        match = self.rng.choice([
            models.MatchText(text=some), models.MatchTextAny(text_any=some.upper()), models.MatchPhrase(phrase=some),
            models.MatchSubstring(substring=some[1:5]),
        ])
        return models.FieldCondition(key="text", match=match)

    def deep(self):
        key, value = self.rng.choice([("deep.a.b", self.rng.randint(0, 5)), ('deep."c d"', self.rng.choice(TAGS)), ("nest[].a", 2)])
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def seeded(*parts):
    return random.Random(":".join(map(str, parts)))
