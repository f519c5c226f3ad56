import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startAzurite } from '../testbed/azurite.ts';
import { startHost } from '../testbed/host/host.ts';
import { mainFile } from './testbed.ts';

const coldStart = join(import.meta.dirname, '..', 'bench', 'coldStart.cjs');
const serviceBus = 'Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key';
const offline = { main: mainFile, storageConnectionString: 'UseDevelopmentStorage=true' };
const schedules = { POLL_SCHEDULE: '0 * * * * *', RETRY_SCHEDULE: '30 * * * * *' };

test('the bundle registers exactly the functions of the contract, with their bindings', async () => {
  const host = await startHost({ ...offline, env: schedules });
  try {
    const registered = Object.entries(host.functions).map(([name, { bindings }]) => [
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

test('a tick does not load undici, which it has no use for', async () => {
  const azurite = await startAzurite();
  try {
    const probe = `const { log } = console; console.log = (line) => {
      log(line, process.moduleLoadList.some((name) => /undici/.test(name)));
      process.exit();
    };`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(probe)}`, coldStart, mainFile, 'tick'],
      {
        env: {
          AzureWebJobsStorage: azurite.connectionString,
          ServiceBusConnection: serviceBus,
          ...schedules,
        },
      },
    );
    assert.equal(stdout, 'done false\n');
  } finally {
    await azurite.stop();
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
