import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { withAmqpTypes } from '../../shared/destination/serviceBusInside.ts';
import { addConnections, queueName, startMailboxes } from '../demo/mailboxes.ts';
import { requireMailServer, startStage } from '../demo/stage.ts';
import type { Terminal } from '../demo/terminal.ts';
import { endChild, exited, onExit, outputOf } from '../testbed/child.ts';
import { buildDotnet, type DotnetProgram, withoutDotnet } from '../testbed/dotnet.ts';
import { seedMaildir } from '../testbed/seed.ts';

/* The samples as they stand, against the demo's mail server, storage and broker. */

const samples = join(import.meta.dirname, '../../samples');
const silent: Terminal = { width: 80, paint: (text) => text, line: () => {}, heading: () => {} };
const deadline = { timeout: 120_000 };
const waitLimitMs = 60_000;

/** Texts that a consumer which guesses would take for something else than text. */
const moreMails = ['42', '{"a": 1.0}', '"quoted"'].map((text, index) =>
  Buffer.from(`Subject: JSON ${index}\r\nMessage-ID: <json-${index}@example.com>\r\n\r\n${text}`),
);
const expected = { mails: 12 + moreMails.length, parts: 17 + moreMails.length };

let csharp: DotnetProgram | undefined;
before(async () => {
  requireMailServer();
  if (withoutDotnet === false)
    csharp = await buildDotnet(join(samples, 'csharp/Consumer.csproj'), 'Consumer');
});
after(() => csharp?.remove());

interface Part {
  readonly file: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

async function startBed(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'sample-mails-'));
  const [mail, stage] = await Promise.all([
    startMailboxes(silent),
    startStage({ terminal: silent, queueName, consumes: false }),
  ]);
  t.after(async () => {
    await stage.stop();
    await mail.dovecot.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await seedMaildir(mail.dovecot.maildir('orders'), moreMails);
  await addConnections(stage, mail, silent);
  await stage.tick();
  const environment = {
    ...process.env,
    ServiceBusConnection: stage.connectionStrings.serviceBus,
    PayloadStorageConnection: stage.connectionStrings.storage,
    QUEUE_NAME: queueName,
    MAILS_FOLDER: folder,
  };
  return { stage, folder, environment };
}

function start(t: TestContext, command: string, args: readonly string[], environment: NodeJS.ProcessEnv) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
  const forget = onExit(() => child.kill('SIGKILL'));
  t.after(async () => {
    await endChild(child);
    forget();
  });
  return { child, output: outputOf(child) };
}

async function until(holds: () => boolean, { child, output }: { child: ChildProcess; output(): string }) {
  const end = Date.now() + waitLimitMs;
  while (!holds()) {
    if (Date.now() > end || child.exitCode !== null) throw new Error(`The sample says:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function partsIn(folder: string): Part[] {
  return globSync('**/part-*.json', { cwd: folder }).map((file) => ({
    file: join(folder, file.slice(0, -'.json'.length)),
    properties: JSON.parse(readFileSync(join(folder, file), 'utf8')),
  }));
}

/** Every part is what its message says, and every mail is whole. */
function assertWhole(folder: string): void {
  const parts = partsIn(folder);
  assert.equal(parts.length, expected.parts);
  for (const { file, properties } of parts) {
    const bytes = readFileSync(file);
    assert.equal(bytes.length, properties.size);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), properties.sha256);
    assert.ok(existsSync(join(dirname(file), 'mail.json')), file);
  }
  const mails = globSync('**/mail.json', { cwd: folder });
  assert.equal(mails.length, expected.mails);
  for (const mail of mails) {
    const inMail: Part['properties'][] = JSON.parse(readFileSync(join(folder, mail), 'utf8'));
    assert.deepEqual(
      inMail.map(({ partNumber }) => partNumber),
      inMail.map((_, index) => index + 1),
    );
    for (const { partCount } of inMail) assert.equal(partCount, inMail.length);
  }
  const contentOf = (name: string) =>
    parts
      .filter(({ properties }) => properties.inboundFileName === name)
      .map(({ file }) => readFileSync(file));
  assert.equal(contentOf('hall.tif')[0]?.length, 1_500_000);
  assert.equal(contentOf('Preise für Köln.csv')[0]?.toString(), 'SKU;€\r\n1;2\r\n');
  const texts = contentOf('body.txt').map((bytes) => bytes.toString());
  for (const text of ['42', '{"a": 1.0}', '"quoted"']) assert.ok(texts.includes(text), text);
  assert.deepEqual(globSync('**/*.tmp', { cwd: folder }), []);
}

interface Unusable {
  readonly body?: Buffer;
  readonly applicationProperties: Readonly<Record<string, string | number>>;
}

/** Messages that no consumer can use, and why they end as dead letters. */
async function sendUnusable(connectionString: string): Promise<Map<string, string>> {
  const client = new ServiceBusClient(connectionString);
  const sender = client.createSender(queueName);
  const sha256 = createHash('sha256').update('x').digest('hex');
  const properties = {
    customer: 'demo',
    connection: 'orders-imap',
    interchangeId: 'damaged',
    partNumber: 1,
    partCount: 1,
    size: 1,
    sha256,
  };
  const messages: readonly (readonly [reason: string, message: Unusable])[] = [
    ['NotFromTheAdapter', { applicationProperties: {} }],
    ['NotFromTheAdapter', { applicationProperties: { ...properties, interchangeId: '../..' } }],
    ['SizeDiffers', { body: Buffer.from('xy'), applicationProperties: properties }],
    ['Sha256Differs', { body: Buffer.from('y'), applicationProperties: properties }],
    [
      'PayloadMissing',
      { applicationProperties: { ...properties, claimCheck: 'email-payloads/no/such/blob' } },
    ],
    ['PayloadElsewhere', { applicationProperties: { ...properties, claimCheck: 'email-leases/demo/x' } }],
  ];
  const reasons = new Map(messages.map(([reason], index) => [`unusable-${index}`, reason]));
  for (const [index, [, message]] of messages.entries()) {
    // As the adapter types them: a consumer in a typed language would not get that far otherwise.
    const typed = withAmqpTypes(message.applicationProperties);
    await sender.sendMessages({
      body: Buffer.from('x'),
      ...message,
      messageId: `unusable-${index}`,
      applicationProperties: typed,
    });
  }
  await client.close();
  return reasons;
}

async function deadLettersOf(connectionString: string): Promise<Map<string, string>> {
  const client = new ServiceBusClient(connectionString);
  const receiver = client.createReceiver(queueName, { subQueueType: 'deadLetter' });
  const found = await receiver.peekMessages(100);
  await client.close();
  return new Map(found.map((message) => [String(message.messageId), message.deadLetterReason ?? '']));
}

for (const { language, skip, command, args } of [
  {
    language: 'TypeScript',
    skip: false as const,
    command: process.execPath,
    args: () => [join(samples, 'typescript/consumer.ts')],
  },
  {
    language: 'C#',
    skip: withoutDotnet,
    command: 'dotnet',
    args: () => [csharp?.path ?? ''],
  },
]) {
  test(`the sample in ${language} takes everything, and puts every mail together`, {
    ...deadline,
    skip,
  }, async (t) => {
    const { stage, folder, environment } = await startBed(t);
    const consumer = start(t, command, args(), environment);
    await until(() => globSync('**/mail.json', { cwd: folder }).length === expected.mails, consumer);
    assertWhole(folder);
    const reasons = await sendUnusable(stage.connectionStrings.serviceBus);
    await until(() => consumer.output().split('Dead-lettered').length > reasons.size, consumer);
    consumer.child.kill('SIGINT');
    await exited(consumer.child);
    assert.equal(consumer.child.exitCode, 0, consumer.output());
    assert.deepEqual(await deadLettersOf(stage.connectionStrings.serviceBus), reasons);
    const client = new ServiceBusClient(stage.connectionStrings.serviceBus);
    t.after(() => client.close());
    assert.deepEqual(await client.createReceiver(queueName).peekMessages(1), []);
    assertWhole(folder);
  });
}
