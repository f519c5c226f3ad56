import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TableClient } from '@azure/data-tables';
import { type AppTestbed, startAppTestbed } from '../app/testbed.ts';
import { caPem } from '../mailbox/caPem.ts';
import { type Api, list, type Operation, object, openApi, sentences } from './api.ts';

let bed: AppTestbed;
let api: Api;

before(async () => {
  bed = await startAppTestbed({ users: ['anna'], settings: { MAILBOX_PW: 'from a setting' } });
  api = await openApi(bed.host);
});
after(() => bed.stop());

const base = { host: 'mail.example.com', hostType: 'imap', username: 'anna', password: 'hunter2 horse' };
const { password: _, ...withoutPassword } = base;

const put = (name: string, body: object, headers: Record<string, string> = {}) =>
  api.call(`PUT /api/connections/acme/${name}`, { body, headers });
const get = (name: string) => api.call(`GET /api/connections/acme/${name}`);
const entity = (name: string) => bed.connections.getEntity<Record<string, unknown>>('acme', name);

test('a connection is made, read, replaced and removed', async () => {
  assert.equal((await get('life')).status, 404);
  const made = await put('life', base);
  assert.equal(made.status, 201);
  const shown = {
    customer: 'acme',
    connection: 'life',
    host: 'mail.example.com',
    hostType: 'IMAP',
    username: 'anna',
    passwordSet: true,
    oauth2ClientSecretSet: false,
    oauth2RefreshTokenSet: false,
    state: {},
  };
  assert.deepEqual(made.json(), shown);
  assert.deepEqual((await get('life')).json(), shown);
  const replaced = await put('life', { ...base, port: '1993', useSsl: 'true', folder: '' });
  assert.equal(replaced.status, 200);
  assert.deepEqual((await get('life')).json(), { ...shown, port: 1993, useSsl: true });
  assert.equal((await entity('life')).port, 1993);
  assert.equal((await api.call('DELETE /api/connections/acme/life')).status, 204);
  assert.equal((await get('life')).status, 404);
  assert.equal((await api.call('DELETE /api/connections/acme/life')).status, 404);
});

test('what the API has stored is what polls read', async () => {
  const { imapPort } = bed.dovecot;
  const columns = { host: '127.0.0.1', port: imapPort, useSsl: false, passwordSetting: 'MAILBOX_PW' };
  await put('polled', { ...withoutPassword, ...columns });
  const { lastStatus, lastError } = await bed.poll('polled');
  assert.equal(lastStatus, 'failed');
  assert.match(String(lastError), /login to 127\.0\.0\.1:\d+ as anna was refused/);
  assert.equal(object(object((await get('polled')).json()).state).lastStatus, 'failed');
});

test('a replaced config leaves state and the notes of the operator alone', async () => {
  const state = {
    nextRunAt: '2030-01-01T00:00:00.000Z',
    lastStatus: 'failed',
    lastError: 'No.',
    consecutiveFailures: 3,
    scheduleAnchor: '2026-01-01T00:00:00.000Z',
  };
  const notes = {
    notes: 'ask Ann',
    since: new Date('2026-01-02T03:04:05.678Z'),
    big: 12_345_678_901_234n,
    share: 0.5,
    unfetchable: 'x',
  };
  await bed.addConnection('noted', { ...base, folder: 'Old', cron: '5 4 * * *', ...state, ...notes });
  const answer = await put('noted', { ...base, pollingIntervalSeconds: 120 });
  assert.equal(answer.status, 200);
  const { folder, cron, ...stored } = await entity('noted');
  assert.deepEqual([folder, cron], [undefined, undefined]);
  for (const [name, value] of Object.entries({ ...state, ...notes, pollingIntervalSeconds: 120 })) {
    assert.deepEqual(stored[name], value, name);
  }
  assert.deepEqual(object(answer.json()).state, state);
  assert.doesNotMatch(answer.text(), /ask Ann/);
});

test('notes that are called as the library calls keys and version stop neither list, poll nor change', async () => {
  // The library itself can't write such names.
  const table = TableClient.fromConnectionString(bed.azurite.connectionString, 'EmailConnections', {
    allowInsecureConnection: true,
    additionalPolicies: [
      {
        position: 'perCall',
        policy: {
          name: 'rename',
          async sendRequest(request, next) {
            if (typeof request.body === 'string') request.body = request.body.replaceAll('note_', '');
            return await next(request);
          },
        },
      },
    ],
  });
  const mailbox = { ...base, host: '127.0.0.1', port: 1 };
  const notes: Record<string, object> = {
    etag: { note_etag: 'ask Ann' },
    number: { note_partitionKey: 5, note_rowKey: true },
    foreign: { note_partitionKey: 'acme', note_rowKey: 'another' },
  };
  await bed.addConnection('another', { ...mailbox, enabled: false });
  const another = await entity('another');
  for (const [rowKey, note] of Object.entries(notes)) {
    await table.upsertEntity({ partitionKey: 'acme', rowKey, ...mailbox, ...note }, 'Replace');
    await bed.poll(rowKey);
    const read = object((await get(rowKey)).json());
    assert.equal(read.connection, rowKey);
    assert.equal(object(read.state).lastStatus, 'failed', rowKey);
  }
  const listed = list(object((await api.call('GET /api/connections')).json()).connections);
  const names = listed.map(({ connection }) => connection);
  for (const rowKey of Object.keys(notes)) {
    assert.ok(names.includes(rowKey), rowKey);
    assert.equal((await put(rowKey, mailbox)).status, 200, rowKey);
    assert.equal((await api.call(`DELETE /api/connections/acme/${rowKey}`)).status, 204, rowKey);
  }
  assert.deepEqual(await entity('another'), another);
});

test('no answer has a secret in it, wherever a table editor has put it', async () => {
  const secrets = {
    password: 'secret horse',
    oauth2ClientSecret: 'secret horse',
    oauth2RefreshToken: 'secret horse',
    passwordSetting: 'secret horse',
    oauth2TokenEndpoint: 'https://me:secret@horse.example/',
    caCertificate: '-----BEGIN PRIVATE KEY----- secret horse',
  };
  await bed.addConnection('hidden', { ...base, ...secrets });
  const answers = [
    await get('hidden'),
    await api.call('GET /api/connections'),
    await put('hidden', { ...base, ...secrets }),
    await put('hidden', { ...withoutPassword }),
    await api.call('POST /api/connections/acme/hidden/test'),
    await get('hidden'),
  ];
  for (const answer of answers) assert.doesNotMatch(answer.text(), /horse|hunter2/);
  const { passwordSet, oauth2ClientSecretSet, oauth2RefreshTokenSet } = object(answers[0]?.json());
  assert.deepEqual([passwordSet, oauth2ClientSecretSet, oauth2RefreshTokenSet], [true, true, true]);
});

test('a stored secret is kept when it is left out or empty, replaced when given, dropped for a setting or null', async () => {
  const stored = async () => (await entity('kept')).password;
  await put('kept', base);
  await put('kept', { ...withoutPassword, folder: 'A' });
  assert.equal(await stored(), base.password);
  await put('kept', { ...withoutPassword, password: '' });
  assert.equal(await stored(), base.password);
  await put('kept', { ...withoutPassword, password: ' other ' });
  assert.equal(await stored(), ' other ');

  const both = sentences(await put('kept', { ...base, passwordSetting: 'MAILBOX_PW' }));
  assert.match(String(both.passwordSetting), /together with password; only one/);
  const none = sentences(await put('kept', { ...withoutPassword, password: null }));
  assert.match(String(none.password), /password is missing/);
  assert.equal(await stored(), ' other ');

  const switched = object((await put('kept', { ...withoutPassword, passwordSetting: 'MAILBOX_PW' })).json());
  assert.deepEqual([switched.passwordSetting, switched.passwordSet], ['MAILBOX_PW', false]);
  assert.equal(await stored(), undefined);
  assert.match(String(sentences(await put('kept', withoutPassword)).password), /password is missing/);
});

test('a wrong column gets the sentence of the poll, and nothing is stored', async () => {
  const body = {
    ...base,
    host: 'https://x',
    port: 'abc',
    cron: '* *',
    startTls: true,
    passwordSetting: 'a b',
  };
  const errors = sentences(await put('wrong', body));
  assert.deepEqual(Object.keys(errors).sort(), ['cron', 'host', 'passwordSetting', 'port', 'startTls']);
  assert.match(String(errors.host), /^host is "https:\/\/x"; it must be a host name/);
  assert.equal((await get('wrong')).status, 404);
  await bed.addConnection('wrong', { ...base, host: 'https://x' });
  assert.equal((await bed.poll('wrong')).lastError, errors.host);
});

test('unknown columns and the columns of the app are refused, by whatever name', async () => {
  const ofTheApp = ['nextRunAt', 'secretsVersion', 'configWriteId'];
  const names = ['nonsense', 'PartitionKey', 'RowKey', 'etag', 'odata.etag', ...ofTheApp];
  const body = `{"__proto__":{"host":"x"},"constructor":1,${JSON.stringify({
    ...base,
    ...Object.fromEntries(names.map((name) => [name, 'x'])),
  }).slice(1)}`;
  const headers = { 'content-type': 'application/json' };
  const answer = await api.call('PUT /api/connections/acme/unknown', { body, headers });
  assert.deepEqual(Object.keys(sentences(answer)).sort(), ['__proto__', 'constructor', ...names].sort());
});

test('keys come from the address alone, and must be such as polls take', async () => {
  const body = { ...base, customer: 'other', connection: 'keys' };
  assert.match(String(sentences(await put('keys', body)).customer), /not the one in the address, "acme"/);
  assert.deepEqual(Object.keys(sentences(await put('a%20b', base))), ['connection']);
  assert.equal((await api.call('GET /api/connections/acme/a%2Fb')).status, 404);
  assert.equal((await api.call("GET /api/connections/a'b/c")).status, 404);
});

test('half a character is refused where it stands: no storage can hold it', async () => {
  const moveToFolder = { type: 'Guid', value: '\ud800' };
  const half = { ...base, folder: 'a\ud800', password: '\udc00', moveToFolder };
  const errors = sentences(await put('half', half));
  for (const column of ['folder', 'password', 'moveToFolder']) {
    assert.equal(errors[column], `${column} holds half a character (a lone surrogate); correct the text.`);
  }
  assert.equal((await put('half', { ...base, folder: 'whole \ud83d\ude00' })).status, 201);
});

test('a certificate in one line is stored as the PEM that it is, and shown without what stood around it', async () => {
  const caCertificate = `"note: horse ${caPem.replaceAll('\n', '\\n')}"`;
  const made = await put('pem', { ...base, caCertificate });
  assert.equal(object(made.json()).caCertificate, caPem);
  assert.equal((await entity('pem')).caCertificate, caPem);
  await bed.addConnection('pem', { ...base, caCertificate });
  const shown = await get('pem');
  assert.equal(object(shown.json()).caCertificate, caPem);
  assert.doesNotMatch(shown.text(), /horse/);
  const wrong = sentences(await put('pem', { ...base, caCertificate: 'horse' }));
  await bed.addConnection('wrong-pem', { ...base, caCertificate: 'horse' });
  assert.equal((await bed.poll('wrong-pem')).lastError, wrong.caCertificate);
});

test('a stored password does not follow to another server; it must come along, or the change is refused', async () => {
  await put('moved', base);
  assert.deepEqual(sentences(await put('moved', { ...withoutPassword, host: 'thief.example' })), {
    password:
      'password is stored for where the saved connection points (host, port, encryption, CA, user) and is not kept for another target; enter it again.',
  });
  assert.equal((await entity('moved')).host, base.host);
  assert.equal((await put('moved', { ...base, host: 'other.example' })).status, 200);
  assert.equal((await put('moved', { ...withoutPassword, host: 'OTHER.example', folder: 'X' })).status, 200);
  assert.equal((await entity('moved')).password, base.password);
});

test('what was read may be sent back, with changes', async () => {
  await put('back', base);
  const read = object((await get('back')).json());
  assert.equal((await put('back', { ...read, folder: 'New' })).status, 200);
  assert.deepEqual((await get('back')).json(), { ...read, folder: 'New' });
  assert.equal((await entity('back')).passwordSet, undefined);
});

test('a body that is no JSON object, too large, or of another type is refused', async () => {
  const asJson = { 'content-type': 'application/json' };
  const sent = async (body: unknown, headers: Record<string, string> = asJson) =>
    (await api.call('PUT /api/connections/acme/body', { body, headers })).status;
  for (const body of ['{', '[]', '"x"', 'null', Buffer.from([0xff, 0xfe])])
    assert.equal(await sent(body), 400);
  assert.equal(await sent(undefined), 400);
  assert.equal(await sent({ ...base, folder: 'x'.repeat(70_000) }), 413);
  assert.equal(await sent('{}', { 'content-length': '70000' }), 413);
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/jsonp', '']) {
    assert.equal(await sent(JSON.stringify(base), { 'content-type': type }), 415, type);
  }
  assert.equal(await sent(JSON.stringify(base), {}), 415);
  assert.equal(await sent(JSON.stringify(base), { 'content-type': 'application/json; charset=utf-8' }), 201);
  const long = sentences(await put('body', { ...base, caCertificate: 'x'.repeat(40_000) }));
  assert.match(String(long.caCertificate), /caCertificate/);
  for (const [port, shown] of [
    ['1e400', 'Infinity'],
    ['3000000000.5', '3000000000.5'],
  ]) {
    const answer = await api.call('PUT /api/connections/acme/body', {
      body: JSON.stringify(base).replace('{', `{"port":${port},`),
      headers: asJson,
    });
    assert.match(String(sentences(answer).port), new RegExp(`^port is ${shown}; it must be a whole number`));
  }
});

const addRow = (partitionKey: string, rowKey: string, columns: object = {}) =>
  bed.connections.upsertEntity({ partitionKey, rowKey, ...base, ...columns }, 'Replace');

async function listed(query: Record<string, string>) {
  const { connections, next, asOf } = object((await api.call('GET /api/connections', { query })).json());
  const names = list(connections).map(({ customer, connection }) => `${customer}/${connection}`);
  return { names, next, asOf: String(asOf) };
}

async function isRefused(query: Record<string, string>, sentence: RegExp): Promise<void> {
  const answer = await api.call('GET /api/connections', { query });
  assert.equal(answer.status, 400, JSON.stringify(query));
  assert.match(answer.text(), sentence);
}

test('connections are listed by customer, a page at a time', async () => {
  for (const customer of ['list1', 'list2']) for (const name of ['a', 'b', 'c']) await addRow(customer, name);
  const page = async (query: Record<string, string>) => {
    const { names, next } = await listed(query);
    return { names, next };
  };
  assert.deepEqual(await page({ customer: 'list1' }), {
    names: ['list1/a', 'list1/b', 'list1/c'],
    next: undefined,
  });
  assert.deepEqual(await page({ customer: "no' or PartitionKey ne '" }), { names: [], next: undefined });
  assert.deepEqual(await page({ after: 'list1/a', limit: '3' }), {
    names: ['list1/b', 'list1/c', 'list2/a'],
    next: 'list2/a',
  });
  assert.deepEqual((await page({ after: 'list2/a', customer: 'list2' })).names, ['list2/b', 'list2/c']);
  assert.equal((await page({})).names.filter((name) => name.startsWith('list')).length, 6);
  for (const limit of ['0', '-1', 'x', '1001']) await isRefused({ limit }, /limit must be a whole number/);
});

test('connections are listed by the status of their last run', async () => {
  const states = { good: 'ok', bad: 'failed', new: undefined };
  for (const [name, lastStatus] of Object.entries(states)) await addRow('states', name, { lastStatus });
  const ofStatus = async (status: string) => (await listed({ customer: 'states', status })).names;
  assert.deepEqual(await ofStatus('failed'), ['states/bad']);
  assert.deepEqual(await ofStatus('ok'), ['states/good']);
  assert.deepEqual(await ofStatus('running'), []);
  assert.deepEqual(await ofStatus(''), ['states/bad', 'states/good', 'states/new']);
  await isRefused({ status: 'x' }, /status must be one of running, ok, failed, skipped\./);
});

test('what has changed since an answer is told alone', async () => {
  await addRow('since', 'a');
  const customer = 'since';
  const { asOf } = await listed({ customer });
  // Far enough for the overlap.
  const later = new Date(Date.parse(asOf) + 60_000).toISOString();
  assert.deepEqual((await listed({ customer, since: later })).names, []);
  assert.deepEqual((await listed({ customer, since: asOf })).names, ['since/a']);
  await isRefused({ since: 'now' }, /since must be a time/);
});

test('a query parameter that a call does not have is refused, on every call; the key may stand there', async () => {
  for (const { method, path } of api.operations) {
    const address = path.replace(/\{\w+\}/g, 'x');
    const answer = await api.call(`${method} ${address}`, { query: { custommer: 'acme' } });
    assert.equal(answer.status, 400, `${method} ${path}`);
    assert.match(
      answer.text(),
      /There is no query parameter \\"custommer\\"; (possible are|there is none here)/,
    );
  }
  assert.equal((await api.call('GET /api/connections', { query: { code: 'k', limit: '1' } })).status, 200);
});

test('a query parameter that stands there twice is refused: the host joins its values to one, which finds nothing', async () => {
  for (const address of ['connections?customer=acme&customer=b', 'mails?q=a&limit=1&q=a']) {
    const answer = await api.call(`GET /api/${address}`);
    assert.equal(answer.status, 400);
    assert.match(answer.text(), /The query parameter (customer|q) is given twice; give it once\./);
  }
});

test('a body that came in chunks, which the host does not hand over, is refused and not taken for none', async () => {
  await put('chunks', base);
  const server = await bed.host.serveHttp();
  try {
    const send = async (method: string, action: string) => {
      const body = new Blob([JSON.stringify({ ...base, password: 'wrong' })]).stream();
      const headers = { 'content-type': 'application/json' };
      const options: RequestInit & { duplex: 'half' } = { method, headers, body, duplex: 'half' };
      return await fetch(`${server.url}/api/connections/acme/chunks${action}`, options);
    };
    for (const answer of [await send('PUT', ''), await send('POST', '/test')]) {
      assert.equal(answer.status, 411);
      assert.match(await answer.text(), /did not arrive: send it with the header Content-Length/);
    }
  } finally {
    await server.stop();
  }
  const headers = { 'transfer-encoding': 'chunked' };
  assert.equal((await api.call('PUT /api/connections/acme/chunks', { headers })).status, 411);
});

test('a poll is ordered at once, whatever the schedule, unless the connection is disabled or gone', async () => {
  const later = '2030-01-01T00:00:00.000Z';
  const poll = (name: string) => api.call(`POST /api/connections/acme/${name}/poll`);
  await bed.host.drainQueue();
  await bed.addConnection('now', { ...base, host: '127.0.0.1', port: 1, nextRunAt: later });
  const ordered = await poll('now');
  assert.equal(ordered.status, 202);
  const { runRequestedAt, ...key } = object(ordered.json());
  assert.deepEqual(key, { customer: 'acme', connection: 'now' });
  assert.ok(Math.abs(new Date(String(runRequestedAt)).getTime() - Date.now()) < 5_000);
  const asked = await entity('now');
  assert.ok(new Date(String(asked.nextRunAt)).getTime() <= Date.now());
  assert.equal(asked.runRequestedAt, runRequestedAt, 'so that a run that is under way knows');
  assert.equal((await bed.host.drainQueue()).succeeded, 1);
  assert.match(String((await entity('now')).lastError), /refused/);
  assert.ok(new Date(String((await entity('now')).nextRunAt)).getTime() > Date.now());

  await bed.addConnection('off', { ...base, enabled: false, nextRunAt: later });
  const refused = await poll('off');
  assert.equal(refused.status, 409);
  assert.match(refused.text(), /acme\/off is disabled/);
  assert.equal((await entity('off')).nextRunAt, later);
  assert.equal((await poll('gone')).status, 404);
});

test('a poll that is waited for answers with the state after a run that began no earlier', async () => {
  await bed.addConnection('wait', {
    ...base,
    host: '127.0.0.1',
    port: 1,
    lastStatus: 'ok',
    lastRunStartedAt: '2026-01-01T00:00:00.000Z',
  });
  const poll = (wait: string) => api.call('POST /api/connections/acme/wait/poll', { query: { wait } });
  const late = await poll('1');
  assert.equal(late.status, 202);
  // Of two orders at once one may find the lease taken by the other.
  await bed.orders.clearMessages();
  bed.host.startQueueListener();
  try {
    const answer = await poll('30');
    assert.equal(answer.status, 200);
    const { state, runRequestedAt } = object(answer.json());
    const { lastStatus, lastError, lastRunStartedAt } = object(state);
    assert.equal(lastStatus, 'failed');
    assert.match(String(lastError), /refused/);
    assert.ok(new Date(String(lastRunStartedAt)) >= new Date(String(runRequestedAt)));
  } finally {
    await bed.host.stopQueueListener();
  }
  for (const wait of ['x', '61', '-1', '1.5']) assert.equal((await poll(wait)).status, 400);
});

test('all that is described of these calls was seen', () => {
  const elsewhere = ['401', '405', '412', '500', '503'];
  const isMeant = ({ id, path }: Operation, status: string) =>
    path.startsWith('/api/connections') && id !== 'testConnection' && !elsewhere.includes(status);
  assert.deepEqual(api.unmet(isMeant), []);
});
