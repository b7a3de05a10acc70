// Every main operation through the gRPC client for JavaScript. Argument: the gRPC port. Exit code 0 when all answers are right.
import assert from 'node:assert/strict';
import {QdrantClient} from '@qdrant/js-client-grpc';

const client = new QdrantClient({host: '127.0.0.1', port: Number(process.argv[2]), checkCompatibility: false});
const collections = client.api('collections');
const points = client.api('points');
const collectionName = `js-grpc-${process.pid}`;
const num = (value) => ({pointIdOptions: {case: 'num', value: BigInt(value)}});
const text = (value) => ({kind: {case: 'stringValue', value}});
const integer = (value) => ({kind: {case: 'integerValue', value: BigInt(value)}});
const dense = (data) => ({vector: {case: 'dense', value: {data}}});
const unnamed = (data) => ({vectorsOptions: {case: 'vector', value: dense(data)}});
const byIds = (...ids) => ({pointsSelectorOneOf: {case: 'points', value: {ids: ids.map(num)}}});
const condition = (value) => ({conditionOneOf: {case: 'field', value}});
const nearest = (data) => ({variant: {case: 'nearest', value: {variant: {case: 'dense', value: {data}}}}});
const ids = (list) => list.map((point) => Number(point.id.pointIdOptions.value));

assert.match((await client.api('service').healthCheck({})).version, /^1\.20\.\d+$/);
assert.equal((await collections.collectionExists({collectionName})).result.exists, false);
const created = await collections.create({
    collectionName,
    vectorsConfig: {config: {case: 'params', value: {size: 4n, distance: 3}}},
    hnswConfig: {m: 20n},
});
assert.equal(created.result, true);
assert.ok((await collections.list({})).collections.some((found) => found.name === collectionName));
const info = (await collections.get({collectionName})).result;
assert.equal(info.config.hnswConfig.m, 20n);
assert.equal(info.config.hnswConfig.efConstruct, 100n);
assert.equal(info.config.params.vectorsConfig.config.value.size, 4n);

const upserted = await points.upsert({
    collectionName, wait: true,
    points: Array.from({length: 10}, (_, i) => ({
        id: num(i + 1), vectors: unnamed([i, 1, 0, 0]), payload: {n: integer(i), city: text(i % 2 ? 'Oslo' : 'Rome')},
    })),
});
assert.equal(upserted.result.status, 2);
assert.equal((await points.count({collectionName, exact: true})).result.count, 10n);
const oslo = {must: [condition({key: 'city', match: {matchValue: {case: 'keyword', value: 'Oslo'}}})]};
assert.equal((await points.count({collectionName, exact: true, filter: oslo})).result.count, 5n);

const got = await points.get({
    collectionName, ids: [num(3), num(777)],
    withPayload: {selectorOptions: {case: 'enable', value: true}}, withVectors: {selectorOptions: {case: 'enable', value: true}},
});
assert.deepEqual(ids(got.result), [3]);
assert.equal(got.result[0].payload.n.kind.value, 2n);
const vector = got.result[0].vectors.vectorsOptions.value;
assert.deepEqual(vector.data.length ? vector.data : vector.vector.value.data, [2, 1, 0, 0]);
const page = await points.scroll({collectionName, limit: 4, offset: num(2)});
assert.deepEqual(ids(page.result), [2, 3, 4, 5]);
assert.equal(page.nextPageOffset.pointIdOptions.value, 6n);

const hits = (await points.query({collectionName, query: nearest([1, 0, 0, 0]), limit: 3n, filter: oslo})).result;
assert.deepEqual(hits.map((hit) => [Number(hit.id.pointIdOptions.value), hit.score]), [[10, 9], [8, 7], [6, 5]]);
const lists = (await points.queryBatch({collectionName, queryPoints: [
    {collectionName, query: nearest([1, 0, 0, 0]), limit: 1n}, {collectionName, limit: 2n},
]})).result;
assert.deepEqual(lists.map((list) => ids(list.result)), [[10], [1, 2]]);
const found = await points.search({collectionName, vector: [1, 0, 0, 0], limit: 2n, scoreThreshold: 8.5});
assert.deepEqual(ids(found.result), [10]);
const several = await points.searchBatch({collectionName, searchPoints: [{collectionName, vector: [1, 0, 0, 0], limit: 1n}]});
assert.deepEqual(ids(several.result[0].result), [10]);

await points.setPayload({collectionName, wait: true, payload: {fresh: {kind: {case: 'boolValue', value: true}}}, pointsSelector: byIds(1)});
await points.overwritePayload({collectionName, wait: true, payload: {only: integer(1)}, pointsSelector: byIds(2)});
await points.deletePayload({collectionName, wait: true, keys: ['n'], pointsSelector: byIds(1)});
await points.clearPayload({collectionName, wait: true, points: byIds(3)});
const edited = await points.get({
    collectionName, ids: [1, 2, 3].map(num), withPayload: {selectorOptions: {case: 'enable', value: true}},
});
assert.deepEqual(edited.result.map((point) => Object.keys(point.payload).sort()), [['city', 'fresh'], ['only'], []]);
await points.updateVectors({collectionName, wait: true, points: [{id: num(1), vectors: unnamed([100, 0, 0, 0])}]});
assert.deepEqual(ids((await points.query({collectionName, query: nearest([1, 0, 0, 0]), limit: 1n})).result), [1]);
await points.deleteVectors({collectionName, wait: true, pointsSelector: byIds(1), vectors: {names: ['']}});
assert.deepEqual(ids((await points.query({collectionName, query: nearest([1, 0, 0, 0]), limit: 1n})).result), [10]);
const batch = await points.updateBatch({collectionName, wait: true, operations: [
    {operation: {case: 'upsert', value: {points: [{id: num(60), vectors: unnamed([1, 1, 1, 1])}]}}},
    {operation: {case: 'deletePoints', value: {points: byIds(4)}}},
]});
assert.deepEqual(batch.result.map((result) => result.status), [2, 2]);
await points.delete({collectionName, wait: true, points: {pointsSelectorOneOf: {case: 'filter', value: oslo}}});
assert.deepEqual(ids((await points.scroll({collectionName, limit: 100})).result), [1, 2, 3, 5, 7, 9, 60]);

await points.createFieldIndex({collectionName, wait: true, fieldName: 'city', fieldType: 0});
assert.deepEqual(Object.keys((await collections.get({collectionName})).result.payloadSchema), ['city']);
await points.deleteFieldIndex({collectionName, wait: true, fieldName: 'city'});
const aliasName = `${collectionName}-alias`;
await collections.updateAliases({actions: [{action: {case: 'createAlias', value: {collectionName, aliasName}}}]});
assert.deepEqual((await collections.listCollectionAliases({collectionName})).aliases.map((alias) => alias.aliasName), [aliasName]);
assert.ok((await collections.listAliases({})).aliases.some((alias) => alias.collectionName === collectionName));
await collections.update({collectionName, hnswConfig: {efConstruct: 55n}});
assert.equal((await collections.get({collectionName: aliasName})).result.config.hnswConfig.efConstruct, 55n);
assert.equal((await collections.collectionClusterInfo({collectionName})).shardCount, 1n);

const refused = async (promise, code, pattern) => {
    const error = await promise.then(() => null, (thrown) => thrown);
    assert.ok(error, 'no error');
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
};
await refused(collections.get({collectionName: 'absent'}), 5, /Collection `absent` doesn't exist!/);
await refused(collections.create({collectionName}), 6, /already exists!/);
await refused(points.upsert({collectionName, wait: true, points: [{id: num(1), vectors: unnamed([1, 2])}]}), 3, /expected dim: 4, got 2/);
await refused(points.scroll({collectionName, limit: 0}), 3, /value 0 invalid, must be 1 or larger/);
assert.equal((await collections.delete({collectionName})).result, true);
assert.equal((await collections.delete({collectionName})).result, false);
console.log('all right');
process.exit(0);
