import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { startBrokerProcess } from '../testbed/broker/brokerProcess.ts';
import { readEmulatorConfig } from '../testbed/broker/emulatorConfig.ts';
import { exited, freePorts, outputOf } from '../testbed/child.ts';
import { waitFor } from './brokerTest.ts';

const deadline = { timeout: 30_000 };
const command = join(import.meta.dirname, '../testbed/broker/command.ts');
const emulatorConfig = join(import.meta.dirname, '../../samples/emulator/Config.json');

interface Run {
  readonly child: ChildProcess;
  output(): string;
}

function run(t: TestContext, args: readonly string[]): Run {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  return { child, output: outputOf(child) };
}

/** The connection string that it prints, without the quotes of the shell. */
async function connectionStringOf({ output }: Run): Promise<string> {
  await waitFor(() => /ServiceBusConnection='.*'\n/.test(output()));
  return /ServiceBusConnection='(.*)'/.exec(output())?.[1] ?? '';
}

test(
  'it prints a connection string that works, stays, and ends with 0 when it is stopped',
  deadline,
  async (t) => {
    const [port] = await freePorts(1);
    const broker = run(t, [
      ...'--queue a --sessions b --topic t/s --key k'.split(' '),
      '--port',
      String(port),
    ]);
    const connectionString = await connectionStringOf(broker);
    assert.equal(
      connectionString,
      `Endpoint=sb://localhost:${port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=k;UseDevelopmentEmulator=true`,
    );
    const client = new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0 } });
    await client.createSender('a').sendMessages({ body: 1 });
    await client.createSender('b').sendMessages({ body: 2, sessionId: 'x' });
    await client.createSender('t').sendMessages({ body: 3 });
    assert.equal((await client.acceptNextSession('b')).sessionId, 'x');
    assert.equal((await client.createReceiver('t', 's').peekMessages(1))[0]?.body, 3);
    const taken = run(t, ['--port', String(port)]);
    await exited(taken.child);
    assert.equal(taken.child.exitCode, 1);
    assert.match(taken.output(), new RegExp(`^Port ${port} is taken\\. .*--port \\d+\\n$`));
    await client.close();
    broker.child.kill('SIGINT');
    await exited(broker.child);
    assert.equal(broker.child.exitCode, 0);
  },
);

test("the official emulator's configuration does for it too", deadline, async (t) => {
  const [port] = await freePorts(1);
  const broker = run(t, ['--port', String(port), '--config', emulatorConfig]);
  const client = new ServiceBusClient(await connectionStringOf(broker));
  const sender = client.createSender('email-inbound');
  for (const messageId of ['1', '1', '2']) await sender.sendMessages({ body: messageId, messageId });
  const messages = await client.createReceiver('email-inbound').peekMessages(9);
  assert.deepEqual(
    messages.map(({ body }) => body),
    ['1', '2'],
  );
  await client.close();
});

test('it says what it can be told, and what it was told wrong', deadline, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'broker-config-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, 'Config.json');
  writeFileSync(config, '{"UserConfig": {}}');
  for (const [args, code, says] of [
    [['--help'], 0, /--config Config\.json/],
    [['--quue', 'a'], 2, /--quue[\s\S]*npm run broker/],
    [['--port', 'x'], 2, /^x is no port\.\n$/],
    [['--topic', 't'], 2, /as in mails\/all; it was given t\./],
    [['--config', join(folder, 'none.json')], 2, /none\.json can't be used\. ENOENT/],
    [['--config', config], 2, /Config\.json can't be used\. UserConfig\.Namespaces: /],
  ] as const) {
    const { child, output } = run(t, args);
    await exited(child);
    assert.equal(child.exitCode, code, output());
    assert.match(output(), says);
  }
});

test('a process of its own serves the SDK, and tells what it holds', deadline, async (t) => {
  const broker = await startBrokerProcess({ queues: [{ name: 'q', duplicateDetectionWindowMs: 60_000 }] });
  const client = new ServiceBusClient(broker.connectionString, {
    retryOptions: { maxRetries: 5, retryDelayInMs: 50, timeoutInMs: 500 },
  });
  t.after(async () => {
    await client.close();
    await broker.stop();
  });
  await client.createSender('q').sendMessages({ body: Buffer.from('x'), messageId: '1' });
  await broker.setFaults({ loseDispositionTransfers: 1 });
  await client.createSender('q').sendMessages({ body: Buffer.from('y'), messageId: '2', subject: 'body' });
  assert.deepEqual(await broker.state('q'), { active: 2, accepted: 2, duplicates: 1 });
  const [hashed] = await broker.messages('q');
  assert.equal(hashed?.bodySha256, '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881');
  await broker.clear('q');
  assert.equal((await broker.state('q')).active, 0);
  assert.equal((await broker.connections()).open, 1);
  await broker.pause();
  await broker.resume();
  assert.equal((await broker.connections()).open, 0);
  await assert.rejects(broker.state('none'), /no queue 'none'/);
});

test('topics, subscriptions and rules of the configuration are read', () => {
  const read = readEmulatorConfig(
    JSON.stringify({
      UserConfig: {
        Namespaces: [
          {
            Name: 'sbemulatorns',
            Queues: [{ Name: 'plain' }],
            Topics: [
              {
                Name: 'mails',
                Properties: {
                  RequiresDuplicateDetection: true,
                  DuplicateDetectionHistoryTimeWindow: 'P1DT1H30M20.5S',
                },
                Subscriptions: [
                  {
                    Name: 'all',
                    Properties: { LockDuration: 'PT20S', MaxDeliveryCount: 3, RequiresSession: true },
                  },
                  {
                    Name: 'some',
                    Rules: [
                      { Name: 'sql', Properties: { FilterType: 'Sql', SqlFilter: { SqlExpression: '1=1' } } },
                      {
                        Name: 'body',
                        Properties: {
                          FilterType: 'Correlation',
                          CorrelationFilter: { Label: 'body', Properties: { customer: 'acme' } },
                        },
                      },
                    ],
                  },
                ],
              },
            ],
          },
        ],
        Logging: { Type: 'File' },
      },
    }),
  );
  assert.deepEqual(read, {
    queues: [{ name: 'plain' }],
    topics: [
      {
        name: 'mails',
        duplicateDetectionWindowMs: ((25 * 60 + 30) * 60 + 20.5) * 1_000,
        subscriptions: [
          { name: 'all', lockDurationMs: 20_000, maxDeliveryCount: 3, requiresSession: true },
          {
            name: 'some',
            rules: [
              { name: 'sql', filter: { kind: 'sql', expression: '1=1' } },
              {
                name: 'body',
                filter: { kind: 'correlation', subject: 'body', applicationProperties: { customer: 'acme' } },
              },
            ],
          },
        ],
      },
    ],
  });
});
