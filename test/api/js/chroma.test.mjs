// The npm client of Chroma against our server; its port is in CHROMA_PORT.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ChromaClient } from "chromadb";

const client = new ChromaClient({ host: "127.0.0.1", port: Number(process.env.CHROMA_PORT), ssl: false });
const options = (name, more) => ({ name, embeddingFunction: null, ...more });

async function filled(name, space = "l2") {
    const collection = await client.createCollection(options(name, { configuration: { hnsw: { space } } }));
    await collection.add({
        ids: ["a", "b", "c"],
        embeddings: [[1, 0], [0, 2], [3, 3]],
        documents: ["alpha one", "beta two", "gamma"],
        metadatas: [{ n: 1, s: "x" }, { n: 2.5 }, { tags: ["p", "q"] }],
    });
    return collection;
}

test("service", async () => {
    assert.ok((await client.heartbeat()) > 1e18);
    assert.match(await client.version(), /^\d+\.\d+\.\d+$/);
});

test("collections", async () => {
    const made = await client.createCollection(options("lifecycle", { metadata: { k: 1 } }));
    await assert.rejects(client.createCollection(options("lifecycle")));
    const same = await client.getOrCreateCollection(options("lifecycle"));
    assert.equal(same.id, made.id);
    await made.modify({ name: "renamed", metadata: { k: 2 } });
    assert.deepEqual((await client.getCollection(options("renamed"))).metadata, { k: 2 });
    assert.ok((await client.listCollections()).some((c) => c.name === "renamed"));
    await client.deleteCollection({ name: "renamed" });
    await assert.rejects(client.getCollection(options("renamed")));
});

test("records", async () => {
    const collection = await filled("records");
    assert.equal(await collection.count(), 3);
    const got = await collection.get({ where: { n: { $gte: 1 } }, include: ["documents", "metadatas", "embeddings"] });
    assert.deepEqual(got.ids, ["a", "b"]);
    assert.deepEqual(got.documents, ["alpha one", "beta two"]);
    assert.deepEqual(got.embeddings, [[1, 0], [0, 2]]);
    assert.deepEqual((await collection.get({ whereDocument: { $contains: "two" } })).ids, ["b"]);
    assert.deepEqual((await collection.get({ where: { tags: { $contains: "p" } } })).ids, ["c"]);
    await collection.update({ ids: ["a"], metadatas: [{ n: 7 }] });
    await collection.upsert({ ids: ["d"], embeddings: [[5, 5]], documents: ["delta"] });
    assert.deepEqual((await collection.get({ ids: ["a"] })).metadatas, [{ n: 7, s: "x" }]);
    await collection.delete({ ids: ["b"] });
    assert.deepEqual((await collection.peek({ limit: 10 })).ids, ["a", "c", "d"]);
});

test("query", async () => {
    const collection = await filled("queries", "cosine");
    const got = await collection.query({ queryEmbeddings: [[1, 0], [0, 1]], nResults: 2 });
    assert.deepEqual(got.ids, [["a", "c"], ["b", "c"]]);
    assert.ok(Math.abs(got.distances[0][0]) < 1e-5 && Math.abs(got.distances[0][1] - (1 - Math.SQRT1_2)) < 1e-5);
    await assert.rejects(collection.query({ queryEmbeddings: [[1, 0, 0]] }), /dimension/);
});
