// Every main operation through the REST client for JavaScript. Argument: the server's URL. Exit code 0 when all answers are right.
import assert from 'node:assert/strict';
import {QdrantClient} from '@qdrant/js-client-rest';

const client = new QdrantClient({url: process.argv[2], checkCompatibility: true});
const name = `js-rest-${process.pid}`;
const big = 9007199254740993n;
const ids = (points) => points.map((point) => point.id);

const version = await client.versionInfo();
assert.match(version.version, /^1\.20\.\d+$/);
assert.equal((await client.collectionExists(name)).exists, false);
assert.equal(await client.createCollection(name, {
    vectors: {a: {size: 4, distance: 'Dot'}, m: {size: 2, distance: 'Cosine', multivector_config: {comparator: 'max_sim'}}},
    sparse_vectors: {s: {modifier: 'idf'}},
    hnsw_config: {m: 20},
}), true);
assert.equal((await client.collectionExists(name)).exists, true);
assert.ok((await client.getCollections()).collections.some((found) => found.name === name));
const info = await client.getCollection(name);
assert.equal(info.status, 'green');
assert.deepEqual(info.config.params.vectors.a, {size: 4, distance: 'Dot'});
assert.equal(info.config.hnsw_config.m, 20);
assert.equal(info.config.hnsw_config.ef_construct, 100);

await client.createPayloadIndex(name, {wait: true, field_name: 'city', field_schema: 'keyword'});
const points = Array.from({length: 10}, (_, i) => ({
    id: i + 1,
    vector: {a: [i, 1, 0, 0], m: [[1, i], [i, 1]], s: {indices: [i, 100], values: [1, 0.5]}},
    payload: {n: i, city: i % 2 ? 'Oslo' : 'Rome', deep: {list: [i, null, 'x']}},
}));
assert.equal((await client.upsert(name, {points})).status, 'completed');
await client.upsert(name, {batch: {ids: [50, 'a6b1f1a0-0000-4000-8000-000000000001'], vectors: {a: [[0, 0, 1, 0], [0, 0, 2, 0]]}, payloads: [{n: 50}, null]}});
await client.upsert(name, {points: [{id: big, vector: {a: [0, 0, 0, 9]}, payload: {}}]});
assert.equal((await client.count(name)).count, 13);
assert.equal((await client.count(name, {filter: {must: [{key: 'city', match: {value: 'Oslo'}}]}, exact: true})).count, 5);

const [first] = await client.retrieve(name, {ids: [3], with_payload: true, with_vector: ['a']});
assert.deepEqual(first.payload, {n: 2, city: 'Rome', deep: {list: [2, null, 'x']}});
assert.deepEqual(first.vector, {a: [2, 1, 0, 0]});
assert.deepEqual(await client.retrieve(name, {ids: [12345]}), []);
const page = await client.scroll(name, {limit: 4, filter: {must_not: [{has_id: [2]}]}, with_payload: ['n']});
assert.deepEqual(ids(page.points), [1, 3, 4, 5]);
assert.equal(page.next_page_offset, 6);
assert.deepEqual(page.points[0].payload, {n: 0});
const rest = await client.scroll(name, {limit: 100, offset: 10});
assert.deepEqual(ids(rest.points).map(String), ['10', '50', String(big), 'a6b1f1a0-0000-4000-8000-000000000001']);
assert.equal(rest.next_page_offset ?? null, null);

const hits = await client.query(name, {query: [1, 0, 0, 0], using: 'a', limit: 3, with_payload: true});
assert.deepEqual(hits.points.map((hit) => [hit.id, hit.score]), [[10, 9], [9, 8], [8, 7]]);
assert.equal(hits.points[0].payload.n, 9);
assert.deepEqual(ids((await client.query(name, {query: 10, using: 'a', limit: 2})).points), [9, 8]);
const sparse = await client.query(name, {query: {indices: [3], values: [1]}, using: 's'});
assert.deepEqual(ids(sparse.points), [4]);
assert.ok((await client.query(name, {query: [[1, 0]], using: 'm', limit: 5})).points.length === 5);
assert.deepEqual(ids((await client.query(name, {limit: 2})).points), [1, 2]);
const batch = await client.queryBatch(name, {searches: [{query: [1, 0, 0, 0], using: 'a', limit: 1}, {query: [0, 0, 0, 1], using: 'a', limit: 1}]});
assert.deepEqual(batch.map((one) => String(one.points[0].id)), ['10', String(big)]);
const found = await client.search(name, {vector: {name: 'a', vector: [1, 0, 0, 0]}, limit: 2, score_threshold: 8.5, with_vector: true});
assert.deepEqual(found.map((hit) => hit.id), [10]);
assert.deepEqual(found[0].vector.a, [9, 1, 0, 0]);
const searches = await client.searchBatch(name, {searches: [{vector: {name: 'a', vector: [1, 0, 0, 0]}, limit: 1}]});
assert.equal(searches[0][0].id, 10);

await client.setPayload(name, {payload: {new: true}, points: [1, 2]});
await client.setPayload(name, {payload: {list: 7}, key: 'deep', filter: {must: [{has_id: [1]}]}});
assert.deepEqual((await client.retrieve(name, {ids: [1]}))[0].payload, {n: 0, city: 'Rome', deep: {list: 7}, new: true});
await client.overwritePayload(name, {payload: {only: 1}, points: [2]});
await client.deletePayload(name, {keys: ['deep.list', 'n'], points: [1]});
await client.clearPayload(name, {points: [3]});
const edited = await client.retrieve(name, {ids: [1, 2, 3]});
assert.deepEqual(edited.map((point) => point.payload ?? {}), [{city: 'Rome', deep: {}, new: true}, {only: 1}, {}]);
await client.updateVectors(name, {points: [{id: 1, vector: {a: [5, 5, 5, 5]}}]});
await client.deleteVectors(name, {points: [1], vector: ['m', 's']});
assert.deepEqual((await client.retrieve(name, {ids: [1], with_vector: true}))[0].vector, {a: [5, 5, 5, 5]});
const results = await client.batchUpdate(name, {operations: [
    {upsert: {points: [{id: 60, vector: {a: [1, 1, 1, 1]}}]}}, {set_payload: {payload: {x: 1}, points: [60]}}, {delete: {points: [4]}},
]});
assert.deepEqual(results.map((result) => result.status), ['completed', 'completed', 'completed']);
await client.delete(name, {wait: true, filter: {must: [{key: 'n', range: {gte: 8}}]}});
await client.delete(name, {wait: true, points: [5, 6]});
assert.deepEqual(ids((await client.scroll(name, {limit: 100})).points).map(String),
    ['1', '2', '3', '7', '8', '60', String(big), 'a6b1f1a0-0000-4000-8000-000000000001']);

await client.updateCollectionAliases({actions: [{create_alias: {collection_name: name, alias_name: `${name}-alias`}}]});
assert.deepEqual((await client.getCollectionAliases(name)).aliases, [{alias_name: `${name}-alias`, collection_name: name}]);
assert.ok((await client.getAliases()).aliases.some((alias) => alias.collection_name === name));
assert.equal((await client.count(`${name}-alias`)).count, 8);
await client.updateCollection(name, {hnsw_config: {ef_construct: 55}});
assert.deepEqual([20, 55], await client.getCollection(name).then(({config: {hnsw_config: h}}) => [h.m, h.ef_construct]));
await client.deletePayloadIndex(name, 'city');
assert.equal((await client.collectionClusterInfo(name)).shard_count, 1);

const refused = async (promise, status, text) => {
    const error = await promise.then(() => null, (thrown) => thrown);
    assert.ok(error, 'no error');
    assert.equal(error.status, status);
    assert.match(JSON.stringify(error.data), text);
};
await refused(client.getCollection('absent'), 404, /Collection `absent` doesn't exist!/);
await refused(client.createCollection(name, {vectors: {size: 1, distance: 'Dot'}}), 409, /already exists!/);
await refused(client.upsert(name, {points: [{id: 1, vector: {a: [1, 2]}}]}), 400, /expected dim: 4, got 2/);
await refused(client.query(name, {query: [1, 0, 0, 0], using: 'a', limit: 0}), 422, /value 0 invalid, must be 1 or larger/);
assert.equal(await client.deleteCollection(name), true);
assert.equal(await client.deleteCollection(name), false);
console.log('all right');
