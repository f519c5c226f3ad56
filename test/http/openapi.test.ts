import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { configColumnNames, isSecretColumn } from '../../shared/connection/columns.ts';
import { mainFile, schedules } from '../app/testbed.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import { type Api, object, openApi } from './api.ts';

let host: Host;
let api: Api;

before(async () => {
  const nowhere =
    'DefaultEndpointsProtocol=http;AccountName=away;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:1/away;QueueEndpoint=http://127.0.0.1:1/away;TableEndpoint=http://127.0.0.1:1/away;';
  host = await startHost({
    main: mainFile,
    storageConnectionString: nowhere,
    env: {
      AzureWebJobsStorage: nowhere,
      ...schedules,
      ServiceBusConnection:
        'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=YQ==;UseDevelopmentEmulator=true;',
    },
  });
  api = await openApi(host);
});
after(() => host.stop());

const columns = { host: 'mail.example.com', hostType: 'IMAP', username: 'anna', password: 'hunter2' };
const addressOf = (path: string) =>
  path.replace('{id}', '8234567890123-2d5b9b1a-7c0e-4d59-9f4e-0d1f6f1f3c11').replace(/\{\w+\}/g, 'x');

test('storage that is away is 503 with a sentence, on every call that needs it', async () => {
  const calls = api.operations.filter(({ id }) => id !== 'readDescription');
  const answers = await Promise.all(
    calls.map(({ method, path }) =>
      api.call(`${method} ${addressOf(path)}`, method === 'PUT' ? { body: columns } : {}),
    ),
  );
  for (const answer of answers) {
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '10');
    assert.match(answer.text(), /could not be reached \(ECONNREFUSED\).*Check AzureWebJobsStorage/);
  }
  assert.equal(host.logs.filter(({ level }) => level === 'error').length, answers.length);
});

test('other methods are 405 and name those that are possible; other addresses 404', async () => {
  const addresses = new Set(api.operations.map(({ path }) => addressOf(path)));
  addresses.delete('/api/openapi.json');
  for (const address of addresses) {
    const possible = api.operations.filter(({ path }) => addressOf(path) === address);
    for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
      if (possible.some((operation) => operation.method === method)) continue;
      assert.equal((await api.call(`${method} ${address}`)).status, 405);
    }
  }
  for (const address of [
    'connections/acme',
    'connections/acme/x/y',
    'undelivered/x/y',
    'connections/a/b/constructor',
  ]) {
    const answer = await host.invokeHttp(`POST /api/${address}`);
    assert.equal(answer.status, 404);
    assert.match(answer.text(), /openapi\.json/);
  }
});

test('every 405 and 503 that is described was seen', () => {
  assert.deepEqual(
    api.unmet((_operation, status) => status === '405' || status === '503'),
    [],
  );
});

test('the description has every column, with its meaning, and gives no secret', () => {
  const { schemas } = object(object(api.document).components) as { schemas: Record<string, unknown> };
  const input = object(object(schemas.ConnectionInput).properties);
  const shown = object(object(schemas.Connection).properties);
  for (const name of configColumnNames) {
    assert.ok(object(input[name]).description, name);
    const isSecret = isSecretColumn(name);
    assert.equal(shown[name] === undefined, isSecret, name);
    assert.equal(object(input[name]).writeOnly, isSecret ? true : undefined, name);
  }
});

test('the described body takes what the API takes', () => {
  const ajv = new Ajv2020({ strict: false });
  ajv.addFormat('date-time', true);
  const { components } = api.document;
  const validate = ajv.compile({ components, $ref: '#/components/schemas/ConnectionInput' });
  assert.ok(validate(columns));
  assert.ok(validate({ ...columns, customer: 'acme', passwordSet: true, state: { lastStatus: 'ok' } }));
  assert.ok(validate({ ...columns, password: null, passwordSetting: 'MAILBOX_PW' }));
  const { host: _, ...hostless } = columns;
  for (const body of [
    hostless,
    { ...columns, nonsense: 1 },
    { ...columns, port: 0 },
    { ...columns, hostType: 'X' },
  ]) {
    assert.ok(!validate(body), JSON.stringify(body));
  }
});

test('every reference leads somewhere, and operations have names of their own', () => {
  const text = JSON.stringify(api.document);
  const { schemas } = object(api.document.components) as { schemas: Record<string, unknown> };
  for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    assert.ok(schemas[name], name);
  const ids = api.operations.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const { path, node, id } of api.operations) {
    const item = object(object(api.document.paths)[path]);
    const parameters = JSON.stringify([item.parameters ?? [], node.parameters ?? []]);
    for (const [, name] of path.matchAll(/\{(\w+)\}/g)) {
      assert.match(parameters, new RegExp(`"name":"${name}","in":"path","required":true`), id);
    }
  }
});
