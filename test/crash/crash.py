"""kill -9 at random moments under mixed load, then a full comparison with the client's journal.

Workers own disjoint ids and send one operation after the other, over gRPC or REST, waiting or not. When the server is killed, each has
at most one operation whose fate is unknown. After the restart the points of a worker must be exactly those of its acknowledged
operations, with the unknown one wholly applied or not at all. A share of the kills falls into recovery itself.

Meanwhile payload indexes come and go. After the restart there is an index or there is none, as was acknowledged; while it is loaded,
caught up or built, and after that, filters are answered as the payloads say.

The collection is small, but has a graph: after the restart searches by it find what the exact search finds, and every answer is one of
the points with its true score, while the graph is loaded and caught up or built anew, and after that.
"""
import argparse
import pathlib
import random
import sys
import threading
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from qdrant_client import QdrantClient, models  # noqa: E402

from test.lib.server import Server  # noqa: E402

# Without it channels of one process share connections, and with them the back-off after a crash.
OWN_CONNECTION = {"grpc.use_local_subchannel_pool": 1}
warnings.filterwarnings("ignore", message=".*primary_user_agent")
COLLECTION, DIM, IDS_PER_WORKER, BATCH_MAX, NEAREST = "crash", 8, 400, 40, 10


INDEXES = {
    "tag": models.PayloadSchemaType.INTEGER,
    "worker": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "set": models.PayloadSchemaType.FLOAT,
    "batch": models.PayloadSchemaType.BOOL,
    "text": models.TextIndexParams(type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD, stemmer=models.SnowballParams(type=models.Snowball.SNOWBALL, language=models.SnowballLanguage.ENGLISH)),
}


def vector_of(point_id, tag):
    value = random.Random(point_id * 1_000_003 + tag)
    return [round(value.uniform(-1, 1), 3) for _ in range(DIM)]


class Worker:
    """Sends operations and keeps the journal: `state` after everything acknowledged, `unknown` beside it."""

    def __init__(self, number, seed):
        self.number, self.random = number, random.Random(seed)
        self.ids = range(number * 10_000, number * 10_000 + IDS_PER_WORKER)
        self.state = {}  # id -> (tag of the vector, payload)
        self.unknown = None  # state if the operation in flight was applied
        self.tag = 0
        self.acknowledged = 0
        self.stop = threading.Event()

    def connect(self, server):
        grpc = self.number % 2 == 0
        return QdrantClient(
            host="127.0.0.1", port=server.http_port, grpc_port=server.grpc_port, prefer_grpc=grpc, timeout=30, check_compatibility=False,
            grpc_options=OWN_CONNECTION
        )

    def plan(self):
        """Next operation: (state if applied, function that sends it)."""
        self.tag += 1
        tag, kind = self.tag, self.random.choices(["upsert", "delete", "payload", "batch"], [6, 2, 2, 2])[0]
        chosen = self.random.sample(self.ids, self.random.randint(1, BATCH_MAX))
        wait = self.random.random() < 0.7
        after = dict(self.state)
        if kind == "upsert":
            for i in chosen:
                after[i] = (tag, payload_of(self.number, tag))
            points = [models.PointStruct(id=i, vector=vector_of(i, tag), payload=after[i][1]) for i in chosen]
            return after, lambda c: c.upsert(COLLECTION, points, wait=wait)
        if kind == "delete":
            for i in chosen:
                after.pop(i, None)
            return after, lambda c: c.delete(COLLECTION, models.PointIdsList(points=chosen), wait=wait)
        if kind == "payload":
            known = [i for i in chosen if i in after]
            if not known:
                return self.plan()
            for i in known:
                after[i] = (after[i][0], {**after[i][1], "set": tag})
            return after, lambda c: c.set_payload(COLLECTION, {"set": tag}, points=known, wait=wait)
        half = len(chosen) // 2
        for i in chosen:
            after[i] = (tag, {**payload_of(self.number, tag), "batch": True})
        after_put = dict(after)
        for i in chosen[:half]:
            after.pop(i, None)
        points = [models.PointStruct(id=i, vector=vector_of(i, tag), payload=after_put[i][1]) for i in chosen]
        operations = [models.UpsertOperation(upsert=models.PointsList(points=points))]
        if half:
            operations.append(models.DeleteOperation(delete=models.PointIdsList(points=chosen[:half])))
        return after, lambda c: c.batch_update_points(COLLECTION, operations, wait=wait)

    def run(self, server):
        try:
            client = self.connect(server)
            while not self.stop.is_set():
                self.unknown, send = self.plan()
                send(client)
                self.state, self.unknown = self.unknown, None
                self.acknowledged += 1
        except Exception as error:  # noqa: BLE001: any transport error means: fate unknown
            self.error = error

    def check(self, stored):
        """stored: id -> (vector, payload) of this worker's ids. Returns a fault as text, or None; adopts what is there."""
        for candidate in [self.state] + ([self.unknown] if self.unknown is not None else []):
            if matches(candidate, stored):
                self.state, self.unknown = candidate, None
                return None
        return describe(self.state, self.unknown, stored)


class Indexer:
    """Creates and deletes payload indexes, one after the other; `there` after everything acknowledged, `unknown` in flight."""

    def __init__(self, seed):
        self.random, self.there, self.unknown, self.acknowledged = random.Random(seed), set(), None, 0
        self.stop = threading.Event()

    def run(self, server):
        try:
            client = QdrantClient(host="127.0.0.1", port=server.http_port, prefer_grpc=False, timeout=30, check_compatibility=False)
            while not self.stop.is_set():
                field = self.unknown = self.random.choice(sorted(INDEXES))
                wait = self.random.random() < 0.5
                if field in self.there:
                    client.delete_payload_index(COLLECTION, field, wait=wait)
                else:
                    client.create_payload_index(COLLECTION, field, INDEXES[field], wait=wait)
                self.there ^= {field}
                self.unknown = None
                self.acknowledged += 1
                self.stop.wait(self.random.uniform(0, 0.1))
        except Exception as error:  # noqa: BLE001: any transport error means: fate unknown
            self.error = error

    def check(self, server, stored):
        client = QdrantClient(host="127.0.0.1", port=server.http_port, prefer_grpc=False, timeout=60, check_compatibility=False)
        found = set(client.get_collection(COLLECTION).payload_schema)
        if found != self.there and found != self.there ^ {self.unknown}:
            return [f"indexes {sorted(found)}, expected {sorted(self.there)}, unknown {self.unknown}"]
        self.there, self.unknown = found, None
        faults = self.compare(client, stored, "before the indexes are complete")
        for field in sorted(found):  # there already: answers when it is complete
            client.create_payload_index(COLLECTION, field, INDEXES[field], wait=True)
        return faults + self.compare(client, stored, "by complete indexes")

    def compare(self, client, stored, when):
        payloads, faults = [payload for _, payload in stored.values()], []
        tags = sorted({p["tag"] for p in payloads})
        wanted = self.random.sample(tags, min(3, len(tags)))
        middle = tags[len(tags) // 2] if tags else 0
        questions = [(models.FieldCondition(key="tag", match=models.MatchValue(value=t)), lambda p, t=t: p["tag"] == t) for t in wanted]
        questions += [
            (models.FieldCondition(key="tag", range=models.Range(gte=middle)), lambda p: p["tag"] >= middle),
            (models.FieldCondition(key="set", range=models.Range(lt=middle)), lambda p: "set" in p and p["set"] < middle),
            (models.FieldCondition(key="worker", match=models.MatchAny(any=["worker-0", "worker-3"])), lambda p: p["worker"] in ("worker-0", "worker-3")),
            (models.FieldCondition(key="batch", match=models.MatchValue(value=True)), lambda p: p.get("batch") is True),
            (models.FieldCondition(key="text", match=models.MatchText(text="dogs")), lambda p: self.has_dogs(p)),
            (models.IsEmptyCondition(is_empty=models.PayloadField(key="set")), lambda p: "set" not in p),
        ]
        for condition, rule in questions:
            got = client.count(COLLECTION, count_filter=models.Filter(must=[condition])).count
            expected = sum(rule(p) for p in payloads)
            if got != expected:
                faults.append(f"{when}: {condition!r} counts {got}, the payloads say {expected} (indexes {sorted(self.there)})")
        return faults

    def has_dogs(self, payload):
        """With the stemmer of the index one dog is as good as many."""
        return "dogs" in payload["text"] or ("text" in self.there and "dog" in payload["text"])


class Searcher:
    """Searches by the graph after a kill. Single ones may miss a neighbour, all together hardly any."""

    def __init__(self, seed):
        self.random, self.found, self.wanted, self.by_graph, self.large = random.Random(seed), 0, 0, 0, 0

    def check(self, server, stored):
        client = QdrantClient(host="127.0.0.1", port=server.http_port, prefer_grpc=False, timeout=60, check_compatibility=False)
        faults = self.compare(client, stored, "before the graph is complete")
        end = time.monotonic() + 60
        while client.get_collection(COLLECTION).status != models.CollectionStatus.GREEN:
            if time.monotonic() > end:
                return faults + ["the graph isn't complete after a minute"]
            time.sleep(0.02)
        self.large += len(stored) > 64  # twice what a graph is begun with
        self.by_graph += len(stored) > 64 and (client.get_collection(COLLECTION).indexed_vectors_count or 0) > 0
        return faults + self.compare(client, stored, "by a complete graph")

    def compare(self, client, stored, when):
        faults = []
        for _ in range(10):
            query = [self.random.uniform(-1, 1) for _ in range(DIM)]
            scores = {i: sum(a * b for a, b in zip(query, vector)) for i, (vector, _) in stored.items()}
            best = sorted(scores.values(), reverse=True)[:NEAREST]
            exact = self.ask(client, query, models.SearchParams(exact=True))
            walked = self.ask(client, query, models.SearchParams(hnsw_ef=128))
            if len(exact) != len(best) or any(abs(p.score - s) > 1e-4 for p, s in zip(exact, best)):
                faults.append(f"{when}: the exact search answers {exact}, the best scores are {best}")
            for p in exact + walked:
                if p.id not in scores or abs(p.score - scores[p.id]) > 1e-4:
                    faults.append(f"{when}: point {p.id} is answered with score {p.score}, it has {scores.get(p.id)}")
            if len(walked) != len(best) or len({p.id for p in walked}) != len(walked):
                faults.append(f"{when}: {len(walked)} answers, expected {len(best)} different ones")
            self.wanted += len(best)
            self.found += sum(p.score >= best[-1] - 1e-4 for p in walked) if best else 0
        return faults

    @staticmethod
    def ask(client, query, params):
        return client.query_points(COLLECTION, query=query, limit=NEAREST, search_params=params).points

    def summary(self):
        share = self.found / self.wanted if self.wanted else 0
        print(f"crash: recall of walks {share:.4f}, graphs after {self.by_graph} of {self.large} restarts with points enough")
        faults = []
        if share < 0.98:
            faults.append(f"recall of walks is {share:.4f}")
        if self.by_graph < self.large:
            faults.append(f"only {self.by_graph} of {self.large} restarts had a graph")
        return faults


def payload_of(number, tag):
    return {"tag": tag, "worker": f"worker-{number}", "text": ["many dogs", "one dog", "no cats"][tag % 3]}


def matches(state, stored):
    if state.keys() != stored.keys():
        return False
    for i, (tag, payload) in state.items():
        vector, found = stored[i]
        if found != payload or any(abs(a - b) > 1e-6 for a, b in zip(vector, vector_of(i, tag))):
            return False
    return True


def describe(state, unknown, stored):
    lost = sorted(set(state) - set(stored))
    phantom = sorted(set(stored) - set(state) - set(unknown or {}))
    other = [i for i in state if i in stored and stored[i][1] != state[i][1] and (unknown is None or unknown.get(i, (0, None))[1] != stored[i][1])]
    half = unknown is not None and not lost and not phantom and not other
    return f"lost {lost[:10]}, phantom {phantom[:10]}, wrong {other[:10]}" + (", half an operation" if half else "")


def dump(server):
    client = QdrantClient(
        host="127.0.0.1", port=server.http_port, grpc_port=server.grpc_port, prefer_grpc=True, timeout=60, check_compatibility=False,
        grpc_options=OWN_CONNECTION
    )
    found, offset = {}, None
    while True:
        points, offset = client.scroll(COLLECTION, limit=1000, offset=offset, with_payload=True, with_vectors=True)
        for p in points:
            assert p.id not in found, f"point {p.id} is listed twice"
            found[p.id] = (p.vector, p.payload)
        if offset is None:
            break
    counted = client.count(COLLECTION).count
    assert counted == len(found), f"count says {counted}, scroll lists {len(found)}"
    return found


def cycle(server, workers, indexer, searcher, rng):
    """One kill: load, kill, maybe kills during recovery, restart, compare. Returns faults."""
    threads = []
    for worker in [*workers, indexer]:
        worker.stop.clear()
        threads.append(threading.Thread(target=worker.run, args=(server,)))
        threads[-1].start()
    time.sleep(rng.uniform(0.02, 1.0))
    server.kill()
    for worker in [*workers, indexer]:
        worker.stop.set()
    for thread in threads:
        thread.join()
    recovery_kills = 0
    while rng.random() < 0.2:
        server.spawn()
        time.sleep(rng.uniform(0, 0.06))
        server.kill()
        recovery_kills += 1
    server.start()
    stored = dump(server)
    faults = []
    for worker in workers:
        mine = {i: v for i, v in stored.items() if i in worker.ids}
        fault = worker.check(mine)
        if fault:
            faults.append(f"worker {worker.number}: {fault}")
    strange = [i for i in stored if not any(i in w.ids for w in workers)]
    if strange:
        faults.append(f"points nobody wrote: {strange[:10]}")
    faults += searcher.check(server, stored)
    faults += indexer.check(server, stored)
    return faults, recovery_kills


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    # Small log segments and frequent checkpoints, so that rotation and checkpoints are hit too.
    env = {"QDRANT__STORAGE__WAL__WAL_CAPACITY_MB": "1", "VEXFS__STORAGE__CHECKPOINT_MB": "1", "VEXFS__STORAGE__CHECKPOINT_SEC": "1"}
    print(f"crash: {args.cycles} cycles, seed {args.seed}", flush=True)
    server = Server(env=env)
    faults, kills, recovery_kills = [], 0, 0
    try:
        server.start()
        workers = [Worker(n, args.seed + n) for n in range(args.workers)]
        indexer = Indexer(args.seed)
        searcher = Searcher(args.seed)
        workers[0].connect(server).create_collection(
            COLLECTION, vectors_config=models.VectorParams(size=DIM, distance=models.Distance.DOT),
            hnsw_config=models.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1),
        )
        for number in range(args.cycles):
            found, more = cycle(server, workers, indexer, searcher, rng)
            kills, recovery_kills = kills + 1 + more, recovery_kills + more
            faults += [f"cycle {number}: {f}" for f in found]
            for fault in found:
                print(fault, flush=True)
            if number % 50 == 49:
                print(f"  {number + 1} cycles, {sum(w.acknowledged for w in workers)} operations acknowledged", flush=True)
            if len(faults) > 10:
                break
        total = sum(w.acknowledged for w in workers)
        print(f"crash: {kills} kills ({recovery_kills} during recovery), {total} acknowledged operations, {indexer.acknowledged} changes of indexes, {len(faults)} faults")
        for fault in searcher.summary():
            print(fault)
            faults.append(fault)
        if total < args.cycles * 10:
            faults.append(f"only {total} operations were acknowledged: the test did not test much")
            print(faults[-1])
    except Exception:
        print(server.log())
        raise
    finally:
        server.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
