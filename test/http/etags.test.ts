import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mayChange } from '../../shared/http/preconditions.ts';
import { type AppTestbed, startAppTestbed } from '../app/testbed.ts';
import { type Api, object, openApi } from './api.ts';

let bed: AppTestbed;
let api: Api;

before(async () => {
  bed = await startAppTestbed({ users: ['anna'] });
  api = await openApi(bed.host);
});
after(() => bed.stop());

const base = { host: 'mail.example.com', hostType: 'IMAP', username: 'anna', password: 'hunter2' };

const put = (name: string, body: object, headers: Record<string, string> = {}) =>
  api.call(`PUT /api/connections/acme/${name}`, { body, headers });
const remove = (name: string, headers: Record<string, string> = {}) =>
  api.call(`DELETE /api/connections/acme/${name}`, { headers });
const tagOf = async (name: string) =>
  String((await api.call(`GET /api/connections/acme/${name}`)).headers.etag);

test('of two editors who have read the same, the second is told and overwrites nothing', async () => {
  await put('two', base);
  const etag = await tagOf('two');
  const first = await put('two', { ...base, folder: 'first' }, { 'if-match': etag });
  assert.equal(first.status, 200);
  const second = await put('two', { ...base, folder: 'second' }, { 'if-match': etag });
  assert.equal(second.status, 412);
  assert.match(second.text(), /Read it again/);
  assert.equal((await remove('two', { 'if-match': etag })).status, 412);
  assert.equal((await bed.state('two')).folder, 'first');
  assert.equal(await tagOf('two'), first.headers.etag);
  assert.equal((await remove('two', { 'if-match': `"x", ${first.headers.etag}` })).status, 204);
});

test('a change of nothing but a secret is a change, and the tag gives no hint of the secret', async () => {
  const made = await put('secret', base);
  const changed = await put('secret', { ...base, password: 'other' });
  assert.notEqual(changed.headers.etag, made.headers.etag);
  await bed.addConnection('twin1', base);
  await bed.addConnection('twin2', { ...base, password: 'other' });
  assert.equal(await tagOf('twin1'), await tagOf('twin2'));
});

test('the tag is of the content: the same content has the same, and any other column another', async () => {
  const made = await put('content', base);
  for (const body of [base, { ...base, hostType: 'imap' }, { ...base, password: undefined }]) {
    assert.equal((await put('content', body)).headers.etag, made.headers.etag);
  }
  const changed = await put('content', { ...base, folder: 'Other' });
  assert.notEqual(changed.headers.etag, made.headers.etag);
  assert.equal((await put('content', base)).headers.etag, made.headers.etag);
});

test('a Guid that another tool has written is shown, and another one has another tag', async () => {
  const ids = ['0f8fad5b-d9cb-469f-a165-70867728950e', '7c9e6679-7425-40de-944b-e07fc1f90ae7'];
  const tags = new Set<string>();
  for (const value of ids) {
    await bed.addConnection('guid', { ...base, oauth2TenantId: { type: 'Guid', value } });
    const answer = await api.call('GET /api/connections/acme/guid');
    assert.equal(object(answer.json()).oauth2TenantId, value);
    tags.add(String(answer.headers.etag));
  }
  assert.equal(tags.size, 2);
});

test('what runs write, and a rotated refresh token, are no change to an editor', async () => {
  await put('run', { ...base, host: '127.0.0.1', port: 1 });
  const etag = await tagOf('run');
  await bed.poll('run');
  await bed.connections.updateEntity(
    { partitionKey: 'acme', rowKey: 'run', password: 'rotated', notes: 'x' },
    'Merge',
  );
  assert.equal(await tagOf('run'), etag);
  const target = { ...base, host: '127.0.0.1', port: 1 };
  const answer = await put('run', { ...target, password: undefined, folder: 'New' }, { 'if-match': etag });
  assert.equal(answer.status, 200);
  assert.equal(object(object(answer.json()).state).lastStatus, 'failed');
  assert.equal((await bed.state('run')).password, 'rotated');
});

test('an edit in the table itself is a change', async () => {
  await put('edited', base);
  const etag = await tagOf('edited');
  await bed.connections.updateEntity({ partitionKey: 'acme', rowKey: 'edited', folder: 'X' }, 'Merge');
  assert.equal((await put('edited', base, { 'if-match': etag })).status, 412);
});

test('If-None-Match: * makes, and replaces nothing; If-Match never makes', async () => {
  assert.equal((await put('new', base, { 'if-match': '*' })).status, 412);
  assert.equal((await put('new', base, { 'if-none-match': '*' })).status, 201);
  assert.equal((await put('new', { ...base, folder: 'X' }, { 'if-none-match': '*' })).status, 412);
  assert.equal((await put('new', base, { 'if-match': '*' })).status, 200);
  assert.equal((await bed.state('new')).folder, undefined);
  assert.equal((await remove('gone', { 'if-match': '"x"' })).status, 404);
});

test('of many who make the same at once, one does', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      put('race', { ...base, folder: `F${index}` }, { 'if-none-match': '*' }),
    ),
  );
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 1);
  assert.equal(answers.filter(({ status }) => status === 412).length, 7);
  assert.equal(object(made[0]?.json()).folder, (await bed.state('race')).folder);
});

test('changes and state written at the same moment are both there in the end', async () => {
  await put('busy', base);
  const states = Array.from({ length: 30 }, (_, index) => index);
  await Promise.all([
    (async () => {
      for (const index of states) {
        await bed.connections.updateEntity(
          { partitionKey: 'acme', rowKey: 'busy', [`note${index}`]: index, consecutiveFailures: index },
          'Merge',
        );
      }
    })(),
    (async () => {
      for (const index of states.slice(0, 10)) {
        assert.equal((await put('busy', { ...base, folder: `F${index}` })).status, 200);
      }
    })(),
  ]);
  const entity = await bed.state('busy');
  assert.deepEqual(
    states.map((index) => entity[`note${index}`]),
    states,
  );
  assert.deepEqual([entity.folder, entity.consecutiveFailures], ['F9', 29]);
});

test('every 412 that is described was seen', () => {
  assert.deepEqual(
    api.unmet((_operation, status) => status === '412'),
    [],
  );
});

test('conditions are compared as RFC 9110 says, and tags as proxies leave them', () => {
  const may = (headers: Record<string, string>, current?: string) =>
    mayChange({ headers: new Headers(headers) }, current);
  assert.equal(may({}, '"a"'), true);
  assert.equal(may({}), true);
  assert.equal(may({ 'if-match': '"b", "a"' }, '"a"'), true);
  assert.equal(may({ 'if-match': 'W/"a"' }, '"a"'), true);
  for (const tag of ['"a-gzip"', 'W/"a-gzip"', '"a--gzip"', '"a;gzip"', '"a-br"', '"b", W/"a-zstd"']) {
    assert.equal(may({ 'if-match': tag }, '"a"'), true, tag);
    assert.equal(may({ 'if-none-match': tag }, '"a"'), false, tag);
  }
  assert.equal(may({ 'if-match': '"b-gzip"' }, '"a"'), false);
  assert.equal(may({ 'if-match': '"a--gzip"' }, '"a-"'), true, 'a tag that ends with a dash itself');
  assert.equal(may({ 'if-match': '"a-x"' }, '"a"'), false);
  assert.equal(may({ 'if-match': '"a-br"' }, '"a-br"'), true);
  assert.equal(may({ 'if-match': 'a' }, '"a"'), false);
  assert.equal(may({ 'if-match': '' }, '"a"'), false);
  assert.equal(may({ 'if-match': '*' }), false);
  assert.equal(may({ 'if-none-match': 'W/"a"' }, '"a"'), false);
  assert.equal(may({ 'if-none-match': '"b"' }, '"a"'), true);
  assert.equal(may({ 'if-none-match': '*' }, '"a"'), false);
  assert.equal(may({ 'if-none-match': '*' }), true);
});
