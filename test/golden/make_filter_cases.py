#!/usr/bin/env python3
"""Writes filter_cases.jsonl: random payloads and filters, judged by the in-memory mode of the public Python client.

    pip install qdrant-client==1.20.0 && test/golden/make_filter_cases.py > test/golden/filter_cases.jsonl

One JSON object a line, in order:
  {"points": [{"id", "payload", "vectors"}]}  the points that the filters after it are tried on
  {"filter", "hits"}                          a filter in the REST shape, positions of the points it matches
  {"path", "steps"}                           a payload path: its steps (text: key, number: index, null: []), or null when bad
  {"set", "key", "patch", "new"}              payload operations: the old payload, then what came out
  {"delete", "keys", "new"}
  {"include", "keys", "new"}, {"exclude", "keys", "new"}
"""
import copy
import json
import random
import sys

from qdrant_client.http import models
from qdrant_client.local.json_path_parser import JsonPathItemType, parse_json_path
from qdrant_client.local.payload_filters import check_filter, validate_filter
from qdrant_client.local.payload_value_extractor import exclude_payload, include_payload
from qdrant_client.local.payload_value_setter import delete_value_by_key, set_value_by_key

rng = random.Random(20261121)

GROUPS, POINTS, FILTERS = 40, 30, 80
TEXTS = ["a", "b", "red", "Red", "green apple", "", "ab", "été", "a.b", "x_y"]
WORDS = ["The", "quick", "brown", "fox", "FOX", "jumps", "Été", "naïve", "straße", "Привет", "мир", "東京", "a1", "2024"]
GLUE = [" ", ", ", "-", "_", "... ", "  ", "\n", "'", "."]
INTS = [0, 1, 2, 3, -1, 7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]
FLOATS = [0.0, 1.0, 1.5, -1.0, 2.0, 3.25, 9007199254740992.0, 1e300, -2.5]
DATES = [
    "2024-01-03T00:00:00Z", "2024-01-03", "2024-01-03 12:30", "2024-01-03T12:30:15", "2024-01-03T12:30:15.5+02:00",
    "2024-01-03T12:30:15.123456Z", "2024-01-03T12:30:15.123456789Z", "2023-12-31T23:59:59-01:00", "2024-01-04 00:00:00+01",
    "2024-13-01", "bogus", "2024-02-30", "2024", "1969-12-31T23:59:59.999999Z", "2024-01-03T00:00:00+0000",
]
BOUNDS = ["2024-01-03T00:00:00Z", "2024-01-03T12:30:15Z", "2024-01-03T12:30:15.123456Z", "2024-01-01T00:59:59Z", "1970-01-01T00:00:00Z"]
UUIDS = ["550e8400-e29b-41d4-a716-4466554400%02d" % i for i in range(6)]
PATHS = [
    "n", "f", "s", "b", "t", "arr", "arr[]", "arr[0]", "arr[1]", "arr[][]", "nest", "nest[]", "nest[].k", "nest[0].k", "nest.k",
    "nest[].v[]", "nest[].v", "o", "o.a", "o.a.b", "o.a[]", "null", "empty", '"q k"', '"q k".z', "geo", "dt", "missing", "o.missing",
    "nest[].o.x", "mixed", "mixed[]", "u",
]
NESTED = ["nest", "nest[]", "o.list", "arr", "nest[].sub", "nest[].sub[]", "o", "missing", "mixed"]


def sentence():
    return "".join(rng.choice(WORDS) + rng.choice(GLUE) for _ in range(rng.randint(0, 6)))


def scalar():
    return rng.choice([
        lambda: rng.choice(INTS), lambda: rng.choice(FLOATS), lambda: rng.choice(TEXTS), lambda: rng.random() < 0.5, lambda: None,
    ])()


def geo():
    kind = rng.random()
    if kind < 0.12:
        return rng.choice([{"lat": 1}, {"lat": "1", "lon": 2}, {"lat": True, "lon": 1}, [], {"lat": None, "lon": 1.0}, 5])
    point = {"lat": rng.choice([50, 50.0, 0, 49.5, -60.25, 10, 89.0]), "lon": rng.choice([12, 12.5, 13.0, 0, 179.5, -179.5, -60.5])}
    if kind < 0.3:
        return [point, {"lat": rng.randint(-80, 80), "lon": rng.randint(-179, 179)}]
    return point


def element():
    return {k: v for k, v in {
        "k": rng.choice([1, 2, 3, 1.0, None, "a", [1, 2]]),
        "v": rng.choice(["x", "y", ["x", "z"], None, []]),
        "o": rng.choice([{"x": 1}, {"x": [1, "a"]}, 3]),
        "sub": rng.choice([[{"k": 1, "v": "x"}, {"k": 2}], [], {"k": 1}, [1, None]]),
    }.items() if rng.random() < 0.6}


FIELDS = {
    "n": lambda: rng.choice(INTS),
    "f": lambda: rng.choice(FLOATS),
    "s": lambda: rng.choice(TEXTS),
    "b": lambda: rng.random() < 0.5,
    "t": sentence,
    "arr": lambda: [scalar() if rng.random() < 0.85 else [scalar(), scalar()] for _ in range(rng.randint(0, 4))],
    "nest": lambda: [element() if rng.random() < 0.9 else scalar() for _ in range(rng.randint(0, 3))] if rng.random() < 0.9 else element(),
    "o": lambda: rng.choice([{"a": scalar()}, {"a": {"b": scalar()}}, {"a": [scalar(), scalar()]}, {"list": [element(), element()]}, {}, 4]),
    "null": lambda: None,
    "empty": lambda: [],
    "q k": lambda: rng.choice([1, {"z": scalar()}]),
    "geo": geo,
    "dt": lambda: rng.choice(DATES) if rng.random() < 0.8 else [rng.choice(DATES), rng.choice(DATES)],
    "mixed": lambda: rng.choice([scalar(), [scalar(), None], [[], {}], {}, [{"k": 1}]]),
    "u": lambda: rng.choice([2**63, 2**64 - 1, 2**53 + 1]),
}


def payload():
    return {k: make() for k, make in FIELDS.items() if rng.random() < 0.45}


def some(values, least=0, most=3):
    return [rng.choice(values) for _ in range(rng.randint(least, most))]


def bounds(values):
    return {op: rng.choice(values) for op in rng.sample(["lt", "lte", "gt", "gte"], rng.randint(1, 2))}


def match():
    return rng.choice([
        lambda: {"value": rng.choice([rng.choice(INTS[:10]), rng.choice(TEXTS), True, False])},
        lambda: {"any": rng.choice([some(TEXTS), some(INTS[:10])])},
        lambda: {"except": rng.choice([some(TEXTS), some(INTS[:10])])},
        lambda: {"text": rng.choice(GLUE).join(w if rng.random() < 0.7 else w.upper() for w in some(WORDS, 0, 3) if w != "straße")},
        lambda: {"text_any": " ".join(some(WORDS, 0, 3))},
        lambda: {"phrase": " ".join(some(WORDS, 0, 2))},
        lambda: {"prefix": rng.choice(["", "a", "r", "Re", "é", "zz"])},
        lambda: {"substring": rng.choice(["", "a", "e", "qu", "ét", "zz", " "])},
    ])()


def ring():
    lat, lon, d = rng.choice([49.5, 50, 0]), rng.choice([12, 12.5, 0]), rng.choice([0.5, 1, 3])
    points = [(lat - d, lon - d), (lat - d, lon + d), (lat + d, lon + rng.choice([0, d])), (lat + d, lon - d)]
    points.append(points[0])
    return {"points": [{"lat": a, "lon": o} for a, o in points]}


def field():
    path = rng.choice(PATHS)
    kind = rng.random()
    if kind < 0.45:
        m = match()
        if {"text", "text_any", "phrase"} & set(m) and rng.random() < 0.7:
            path = "t"
        return {"key": path, "match": m}
    if kind < 0.65:
        return {"key": rng.choice([path, "n", "f", "u", "arr"]), "range": bounds(FLOATS + [2.0**63, 9007199254740994.0])}
    if kind < 0.72:
        return {"key": rng.choice([path, "dt", "dt[]"]), "range": bounds(BOUNDS)}
    if kind < 0.80:
        return {"key": path, "values_count": bounds([0, 1, 2, 3])}
    if kind < 0.84:
        return {"key": path, rng.choice(["is_empty", "is_null"]): rng.random() < 0.5}
    path = rng.choice(["geo", "geo", "geo[]", path])
    if kind < 0.89:
        return {"key": path, "geo_radius": {"center": {"lat": 50, "lon": 12.25}, "radius": rng.choice([1, 30000, 80000, 1e7, 0])}}
    if kind < 0.94:
        box = rng.choice([((51, 11.5), (49, 14.5)), ((90, 170), (-90, -170)), ((50, 12), (49, 13)), ((90, -180), (-90, 180))])
        return {"key": path, "geo_bounding_box": {"top_left": dict(zip(("lat", "lon"), box[0])),
                                                  "bottom_right": dict(zip(("lat", "lon"), box[1]))}}
    polygon = {"exterior": ring()}
    if rng.random() < 0.5:
        polygon["interiors"] = [ring()]
    return {"key": path, "geo_polygon": polygon}


def condition(depth):
    kind = rng.random()
    if kind < 0.66:
        return field()
    if kind < 0.70:
        return {rng.choice(["is_empty", "is_null"]): {"key": rng.choice(PATHS)}}
    if kind < 0.75:
        return {"has_id": some([1, 2, 3, 5, 8, 2**63 + 5, 13] + UUIDS, 0, 5)}
    if kind < 0.78:
        return {"has_vector": rng.choice(["", "a", "b", "zz"])}
    if kind < 0.81:
        total = rng.choice([1, 2, 3, 7])
        return {"slice": {"total": total, "index": rng.randrange(total)}}
    if depth == 0:
        return field()
    if kind < 0.91:
        return {"nested": {"key": rng.choice(NESTED), "filter": filter_of(depth - 1, rng.choice(["k", "v", "o.x", "sub"]))}}
    return filter_of(depth - 1)


def filter_of(depth, inner=None):
    def conds(least, most):
        out = [condition(depth) for _ in range(rng.randint(least, most))]
        if inner:  # conditions on the fields of an element
            for c in out:
                if "key" in c and rng.random() < 0.8:
                    c["key"] = rng.choice([inner, "k", "v[]"])
        return out

    f = {}
    for clause, chance, most in (("must", 0.6, 2), ("should", 0.35, 3), ("must_not", 0.3, 2)):
        if rng.random() < chance:
            f[clause] = conds(0 if rng.random() < 0.1 else 1, most)
            if len(f[clause]) == 1 and rng.random() < 0.1:
                f[clause] = f[clause][0]
    if rng.random() < 0.15:
        f["min_should"] = {"conditions": conds(0, 4), "min_count": rng.randint(1, 3)}
    return f


def emit(row):
    sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def filter_cases():
    for _ in range(GROUPS):
        ids = rng.sample([1, 2, 3, 5, 8, 13, 2**63 + 5, 21, 34, 55, 89] + list(range(100, 140)) + UUIDS, POINTS)
        points = [{"id": i, "payload": payload(), "vectors": [v for v in ("", "a", "b") if rng.random() < 0.6]} for i in ids]
        emit({"points": points})
        left = FILTERS
        while left > 0:
            raw = filter_of(2)
            model = models.Filter.model_validate(raw)
            validate_filter(model)
            hits = [i for i, p in enumerate(points)
                    if check_filter(model, p["payload"], p["id"], {v: True for v in p["vectors"]})]
            if len(hits) in (0, POINTS) and rng.random() < 0.7:
                continue  # says little
            left -= 1
            emit({"filter": raw, "hits": hits})


def steps_of(path):
    try:
        items = parse_json_path(path)
    except ValueError:
        return None
    return [i.key if i.item_type == JsonPathItemType.KEY else i.index for i in items]


def path_cases():
    fixed = ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[0]", "a[00]", "a[-1]", "a[+1]", "a[1]b", "a[].b", "a[].[0]", "[0]", "[]", '"a',
             '""', '"a.b".c', 'a."b c"[1][]', "a b", "é", "a-b_c", "東京.ü", "a[18446744073709551615]", "a[18446744073709551616]", "½",
             '"a"b', "a\"b\"", "a!", "¡a", "a[1", "a]", "a[[0]]", "a[ 0]", '"a"."b"', "a.b.c.d.e.f[0][1][2]", "a[]]", '"[]"', "٣"]
    alphabet = ["a", "b", ".", "[", "]", "[]", "[1]", '"', "é", " ", "-", "_", "0"]
    for path in fixed + ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 7))) for _ in range(400)]:
        emit({"path": path, "steps": steps_of(path)})


def edit_cases():
    keys = [p for p in PATHS] + ["new", "new.x.y", "o.new[]", "o.a[0].b", "arr[9]", "nest[].new", "n.x", "n[]", "n[0]", "s.t[].u"]
    for _ in range(350):
        old, key = payload(), rng.choice(keys)
        patch = {k: rng.choice([scalar(), element(), [scalar()]]) for k in some(["a", "b", "k", "z"], 0, 3)}
        new = copy.deepcopy(old)
        set_value_by_key(new, parse_json_path(key), copy.deepcopy(patch))
        emit({"set": old, "key": key, "patch": patch, "new": new})
    for _ in range(250):
        old, names = payload(), some(keys, 0, 4)
        new = copy.deepcopy(old)
        for key in names:
            delete_value_by_key(new, parse_json_path(key))
        emit({"delete": old, "keys": names, "new": new})
    for _ in range(400):
        old, names, what = payload(), some(keys, 0, 4), rng.choice(["include", "exclude"])
        pick = include_payload if what == "include" else exclude_payload
        emit({what: old, "keys": names, "new": pick(old, names)})


filter_cases()
path_cases()
edit_cases()
