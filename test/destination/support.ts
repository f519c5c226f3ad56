import assert from 'node:assert/strict';
import { hash, randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { ContainerClient } from '@azure/storage-blob';
import type { Destinations, Fence } from '../../shared/destination/destination.ts';
import { createDestinations, type DestinationOptions } from '../../shared/destination/destinations.ts';
import type { RetryLimits } from '../../shared/destination/endpointRetry.ts';
import type { ReadMessage } from '../../shared/destination/namespace.ts';
import type { Content } from '../../shared/mail/mail.ts';
import { identifyMail } from '../../shared/message/identity.ts';
import type { MailOrigin, MessageHead } from '../../shared/message/message.ts';
import type { StorageSettings } from '../../shared/settings/account.ts';
import { parseStorageConnectionString } from '../../shared/settings/connectionString.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import type { Azurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import type { BrokerQueue, QueueOptions } from '../testbed/broker/queue.ts';

export { failureOf } from '../mailbox/outcomes.ts';

/** As in production, but all within seconds. */
export const quickRetry: RetryLimits = {
  sendTotalMs: 4_000,
  openTotalMs: 2_000,
  tryMs: 800,
  firstDelayMs: 20,
  maxDelayMs: 100,
};

type QueueSettings = Omit<QueueOptions, 'name'>;

/** The process's destinations on this namespace; whoever makes them closes them. */
export function destinationsFor(
  connectionString: string,
  options: Partial<Omit<DestinationOptions, 'getCredential'>> = {},
): Destinations {
  return createDestinations(
    { kind: 'connectionString', connectionString, transport: 'tcp' },
    { getCredential: noCredential, retry: quickRetry, maxMessageBytes: 4_194_304, ...options },
  );
}

/** A queue of its own, and its sender with destinations of its own, until the test ends. */
export async function openQueue(
  t: TestContext,
  broker: Broker,
  {
    maxMessageBytes = 4_194_304,
    retry = quickRetry,
    ...options
  }: QueueSettings & Partial<Pick<DestinationOptions, 'maxMessageBytes' | 'retry'>> = {},
) {
  const queue = broker.createQueue({ name: randomUUID(), ...options });
  const destinations = destinationsFor(broker.connectionString, { maxMessageBytes, retry });
  t.after(() => destinations.close());
  return { queue, destinations, sender: await destinations.open(queue.name) };
}

/** A broker of its own with one queue, and its sender. */
export async function startSending(options: QueueSettings = {}) {
  const broker = await startBroker();
  const queue = broker.createQueue({ name: 'orders', ...options });
  const destinations = destinationsFor(broker.connectionString);
  const sender = await destinations.open(queue.name);
  const stop = async () => {
    Object.assign(broker.faults, noFaults());
    await destinations.close();
    await broker.stop();
  };
  return { broker, queue, sender, stop };
}

export const noCredential = () => Promise.reject(new Error('A connection string needs no credential.'));

/** The fence of a run that may go on. */
export const mayWrite: Fence = { mayWrite: () => true };

export const mail: MailOrigin = {
  customer: 'acme',
  connection: 'inbox',
  identity: identifyMail('imap|mail.example.com|box|INBOX|1', 'imap:1:2:INBOX', 'its own fields'),
  endpoint: 'imaps://mail.example.com:993/INBOX',
};

export function messageOf(body: Buffer, head: Partial<MessageHead> = {}): ReadMessage {
  return {
    messageId: randomUUID(),
    correlationId: randomUUID(),
    subject: 'attachment',
    contentType: 'application/octet-stream',
    applicationProperties: { customer: 'acme', partNumber: 1 },
    ...head,
    body,
  };
}

/** Bytes that differ from one position to the next, and from one seed to another. */
export function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + (i >> 8) * 7 + seed * 101) & 0xff;
  return bytes;
}

/** A part's content in memory. */
export function contentOf(bytes: Buffer): Content {
  return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256: hash('sha256', bytes, 'hex') };
}

/** AMQP 1.0, 1.6.9 and 1.6.10: smallint and int, smalllong and long. */
const amqpTypeCodes = { int: [0x54, 0x71], long: [0x55, 0x81] };

/** Asserts that an encoded message's numbers have the AMQP types that consumers in typed languages cast to. */
export function assertAmqpNumberTypes(raw: Buffer): void {
  for (const [name, type] of [
    ['partNumber', 'int'],
    ['partCount', 'int'],
    ['size', 'long'],
  ] as const) {
    const key = Buffer.concat([Buffer.from([0xa1, name.length]), Buffer.from(name)]);
    const at = raw.indexOf(key);
    assert.ok(at >= 0, `${name} is there`);
    const code = raw.readUInt8(at + key.length);
    assert.ok(amqpTypeCodes[type].includes(code), `${name} has the type code 0x${code.toString(16)}`);
  }
}

/** What has arrived in a queue, in order. */
export const idsIn = ({ messages }: { readonly messages: readonly { messageId?: unknown }[] }) =>
  messages.map(({ messageId }) => messageId);

export const partNumbersIn = ({ messages }: Pick<BrokerQueue, 'messages'>) =>
  messages.map(({ applicationProperties }) => applicationProperties?.partNumber);

/** Waits for a condition, for ten seconds at most. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await holds())) {
    assert.ok(performance.now() < deadlineMs, `Not within ten seconds: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A container for payloads of its own, which is not there yet. */
export async function freshContainer(
  azurite: Pick<Azurite, 'connectionString'>,
  prefix = 'email-payloads',
): Promise<ContainerClient> {
  return await openContainer(
    accessTo(azurite.connectionString),
    `${prefix}-${randomUUID().slice(0, 8)}`,
    noCredential,
  );
}

/** The account that a connection string is for. */
export function accessTo(connectionString: string): StorageSettings {
  const account = parseStorageConnectionString(connectionString);
  assert.ok(account.ok, 'a storage connection string');
  return account.value;
}

/** The blobs of a container by name, empty where it was never made. */
export async function blobNames(container: ContainerClient): Promise<string[]> {
  const names: string[] = [];
  if (!(await container.exists())) return names;
  for await (const { name } of container.listBlobsFlat()) names.push(name);
  return names;
}

/** What lies behind a claim check. */
export async function payloadOf(container: ContainerClient, claimCheck: unknown): Promise<Buffer> {
  const prefix = `${container.containerName}/`;
  assert.ok(typeof claimCheck === 'string' && claimCheck.startsWith(prefix), String(claimCheck));
  return await container.getBlobClient(claimCheck.slice(prefix.length)).downloadToBuffer();
}
