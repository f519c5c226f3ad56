import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startAzurite } from '../testbed/azurite.ts';
import { startHost } from '../testbed/host/host.ts';
import { listening } from '../testbed/listening.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { pollOrder } from '../testbed/storage.ts';
import { hostOptions, mainFile, queueName, schedules, startMailParts } from './testbed.ts';

const coldStart = join(import.meta.dirname, '..', 'bench', 'coldStart.cjs');
const serviceBus = 'Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key';
const offline = { main: mainFile, storageConnectionString: 'UseDevelopmentStorage=true' };

test('the bundle registers exactly the functions of the contract, with their bindings', async () => {
  const host = await startHost({ ...offline, env: schedules });
  try {
    const registered = Object.entries(host.functions).map(([name, bindings]) => [
      name,
      bindings.map(({ name: _, properties: __, ...binding }) => binding),
    ]);
    const http = (route: string, authLevel = 'function', methods = ['GET']) => [
      { type: 'httpTrigger', direction: 'in', authLevel, methods, route },
      { type: 'http', direction: 'out' },
    ];
    const api = (route: string) => http(route, 'function', ['GET', 'PUT', 'POST', 'DELETE']);
    const timer = (schedule: string) => [{ type: 'timerTrigger', direction: 'in', schedule }];
    const queue = { queueName: 'email-polls', connection: 'AzureWebJobsStorage' };
    assert.deepEqual(Object.fromEntries(registered), {
      connections: api('connections/{customer?}/{connection?}/{action?}'),
      mails: api('mails'),
      openapi: http('openapi.json'),
      pollMailbox: [{ type: 'queueTrigger', direction: 'in', ...queue }],
      retryDeliveries: timer('%RETRY_SCHEDULE%'),
      runs: api('runs'),
      schedulePolls: timer('%POLL_SCHEDULE%'),
      ui: http('ui', 'anonymous'),
      undelivered: api('undelivered/{id?}/{action?}'),
    });
  } finally {
    await host.stop();
  }
});

test('the bundle needs no node_modules', async () => {
  const known = new Set([
    ...builtinModules,
    ...builtinModules.map((name) => `node:${name}`),
    '@azure/functions-core',
  ]);
  const folder = dirname(mainFile);
  const files = await readdir(folder);
  const unknown: string[] = [];
  for (const file of files) {
    const code = await readFile(join(folder, file), 'utf8');
    for (const [, name = ''] of code.matchAll(/\brequire\("([^"]+)"\)/g)) {
      const isChunk = name.startsWith('./') && files.includes(name.slice(2));
      if (!known.has(name) && !isChunk) unknown.push(`${file}: ${name}`);
    }
  }
  assert.deepEqual(unknown, []);
});

interface Loaded {
  /** What it hardly ever needs: undici, and the bundle's `seldom-` files. */
  readonly seldom: readonly string[];
  readonly fileCount: number;
}

/** Has a fresh process do it; gives what it loaded. */
async function loadedBy(
  work: readonly ['tick'] | readonly ['poll', string],
  env: Readonly<Record<string, string>>,
): Promise<Loaded> {
  const probe = `import { createRequire } from 'node:module';
    const { log } = console;
    console.log = () => {
      const files = Object.keys(createRequire('/').cache).map((path) => path.split('/').at(-1));
      const seldom = files.filter((name) => /^seldom-/.test(name));
      const undici = process.moduleLoadList.some((name) => /undici/.test(name)) ? ['undici'] : [];
      log(JSON.stringify({ seldom: [...undici, ...seldom.sort()], fileCount: files.length }));
      process.exit();
    };`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(probe)}`, coldStart, mainFile, ...work],
    { env: { ServiceBusConnection: serviceBus, ...schedules, ...env } },
  );
  return JSON.parse(stdout);
}

test('neither a tick nor the poll of a plain mail loads many files, or what it has no use for; another charset is read', async () => {
  const bed = await startMailParts({ users: ['anna'] });
  const env = {
    AzureWebJobsStorage: bed.azurite.connectionString,
    ServiceBusConnection: bed.broker.connectionString,
  };
  const poll = () => loadedBy(['poll', JSON.stringify({ customer: 'acme', connection: 'anna' })], env);
  const head = 'Subject: hello\r\nContent-Type: text/plain; charset=';
  const mail = (charset: string, text: Buffer) =>
    Buffer.concat([Buffer.from(`${head}${charset}\r\n\r\n`), text, Buffer.from('\r\n')]);
  try {
    const tick = await loadedBy(['tick'], env);
    assert.deepEqual(tick.seldom, []);
    assert.ok(tick.fileCount <= 15, `${tick.fileCount} files`);
    await bed.addMailbox('anna', 'IMAP', [mail('utf-8', Buffer.from('first'))]);
    // Makes what is missing in storage, which says so in XML.
    await poll();
    await seedMaildir(bed.dovecot.maildir('anna'), [mail('utf-8', Buffer.from('Grüße'))]);
    const plain = await poll();
    assert.deepEqual(plain.seldom, []);
    assert.ok(plain.fileCount <= 25, `${plain.fileCount} files`);
    await seedMaildir(bed.dovecot.maildir('anna'), [mail('shift_jis', Buffer.from('93fa967b8cea', 'hex'))]);
    assert.deepEqual((await poll()).seldom, ['seldom-charsets.cjs']);
    const bodies = bed.broker.queue(queueName).messages.map(({ body }) => body.toString().trim());
    assert.deepEqual(bodies, ['first', 'Grüße', '日本語']);
  } finally {
    await bed.stop();
  }
});

/** In front of a file of the bundle: its first reading fails, as on a share that is away for a moment. */
const failingOnce = `{const read=globalThis.filesRead??=new Set();
  if(!read.has(__filename)){read.add(__filename);throw new Error("EIO: i/o error, read");}}`;

test('a file of the bundle that can not be read once fails what needs it then, and nothing for good', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bundle-'));
  await cp(dirname(mainFile), folder, { recursive: true });
  const files = (await readdir(folder)).filter((name) => /^(chunk|seldom|together(?!-start))-/.test(name));
  for (const path of files.map((name) => join(folder, name))) {
    await writeFile(path, failingOnce + (await readFile(path, 'utf8')));
  }
  const bed = await startMailParts({ users: ['anna', 'bert'] });
  const host = await startHost({ ...hostOptions(bed), main: join(folder, 'main.cjs') });
  /** Each try gets one file further. */
  const works = async (name: string, isDone: () => Promise<boolean>) => {
    for (const _ of files) if (await isDone()) return;
    assert.fail(`${name} goes on to fail.`);
  };
  const isDone = (work: Promise<unknown>) =>
    work.then(
      () => true,
      () => false,
    );
  try {
    for (const timer of ['schedulePolls', 'retryDeliveries']) {
      await works(timer, () => isDone(host.fireTimer(timer)));
    }
    for (const [name, protocol] of [
      ['anna', 'IMAP'],
      ['bert', 'POP3'],
    ] as const) {
      await bed.addMailbox(name, protocol, [Buffer.from('Subject: hello\r\n\r\nHello\r\n')]);
      await works(`polling by ${protocol}`, async () => {
        await bed.orders.sendMessage(pollOrder('acme', name));
        await host.runQueueOnce();
        return (await bed.state(name)).lastStatus === 'ok';
      });
    }
    for (const path of [
      'connections',
      'connections/acme/anna',
      'undelivered',
      'mails',
      'openapi.json',
      'ui',
    ]) {
      await works(path, async () => (await host.invokeHttp(`GET /api/${path}`)).status === 200);
    }
    assert.equal(bed.broker.queue(queueName).messages.length, 2);
  } finally {
    await host.stop();
    await bed.stop();
    await rm(folder, { recursive: true });
  }
});

test('storage is reached through the proxy that HTTP_PROXY names', async () => {
  const azurite = await startAzurite();
  const asked = new Set<string>();
  const server = createServer((request, response) => {
    const { host, pathname, search } = new URL(request.url ?? '');
    asked.add(host);
    const { method, headers } = request;
    const onward = httpRequest({
      host: '127.0.0.1',
      port: host.split(':')[1],
      path: pathname + search,
      method,
      headers,
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  const proxy = await listening(server);
  try {
    const HTTP_PROXY = `http://127.0.0.1:${proxy.port}`;
    const loaded = await loadedBy(['tick'], { AzureWebJobsStorage: azurite.connectionString, HTTP_PROXY });
    assert.deepEqual(loaded.seldom, ['seldom-proxies.cjs']);
    assert.deepEqual(
      [...asked].sort(),
      [azurite.queuePort, azurite.tablePort].map((port) => `127.0.0.1:${port}`).sort(),
    );
  } finally {
    await Promise.all([proxy.stop(), azurite.stop()]);
  }
});

const sentence =
  /POLL_TIME_BUDGET_SECONDS is .?"abc.*ServiceBusConnection is missing|ServiceBusConnection is missing.*POLL_TIME_BUDGET_SECONDS is .?"abc/s;

test('wrong settings are said at start, in words that the host takes for an error, and each function fails with the sentence that names them', async (t) => {
  const said = t.mock.method(console, 'error', () => undefined);
  const host = await startHost({
    ...offline,
    env: { ...schedules, AzureWebJobsStorage: 'UseDevelopmentStorage=true', POLL_TIME_BUDGET_SECONDS: 'abc' },
  });
  try {
    const [first] = said.mock.calls;
    assert.match(String(first?.arguments[0]), /^Error: App setting .*POLL_TIME_BUDGET_SECONDS is "abc"/);
    assert.equal(Object.keys(host.functions).length, 9);
    for (const timer of ['schedulePolls', 'retryDeliveries']) {
      await assert.rejects(host.fireTimer(timer), sentence);
    }
    for (const call of ['GET /api/connections', 'GET /api/undelivered', 'GET /api/openapi.json']) {
      const answer = await host.invokeHttp(call);
      assert.equal(answer.status, 500);
      assert.match(answer.text(), sentence);
    }
  } finally {
    await host.stop();
  }
});
