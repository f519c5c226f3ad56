import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { MessageHead, OutboundMessage } from '../../shared/delivery/destination.ts';
import type { RetryLimits } from '../../shared/delivery/endpointRetry.ts';
import type { MailIdentity } from '../../shared/delivery/message.ts';
import type { PayloadStore } from '../../shared/delivery/payloadStore.ts';
import { createOpenDestination } from '../../shared/delivery/serviceBusDestination.ts';
import { Failure } from '../../shared/failure/failure.ts';

/** As in production, but all within seconds. */
export const quickRetry: RetryLimits = {
  sendTotalMs: 4_000,
  openTotalMs: 2_000,
  tryMs: 800,
  firstDelayMs: 20,
  maxDelayMs: 100,
};

export function openerFor(connectionString: string, retry = quickRetry, maxMessageBytes?: number) {
  return createOpenDestination(
    { kind: 'connectionString', connectionString, transport: 'tcp' },
    {
      getCredential: () => Promise.reject(new Error('A connection string needs no credential.')),
      retry,
      ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
    },
  );
}

export const mail: MailIdentity = {
  customer: 'acme',
  connection: 'inbox',
  mailKey: 'imap:1:2:INBOX',
  endpoint: 'imaps://mail.example.com:993/INBOX',
};

export function messageOf(body: Buffer, head: Partial<MessageHead> = {}): OutboundMessage {
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

/** The `Failure` that the promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('It did not fail.');
}

/** A payload store in memory; `failWith` is thrown by every write. */
export function memoryPayloads() {
  const blobs = new Map<string, Buffer>();
  const state = { begun: 0, aborted: 0, largestPiece: 0, failWith: undefined as Failure | undefined };
  const payloads: PayloadStore = {
    beginUpload: () => {
      state.begun += 1;
      const name = `email-payloads/acme/inbox/${state.begun}`;
      const pieces: Buffer[] = [];
      return {
        write: async (piece) => {
          if (state.failWith !== undefined) throw state.failWith;
          state.largestPiece = Math.max(state.largestPiece, piece.length);
          pieces.push(Buffer.from(piece));
        },
        commit: async () => {
          blobs.set(name, Buffer.concat(pieces));
          return name;
        },
        abort: async () => {
          state.aborted += 1;
        },
      };
    },
  };
  return { payloads, blobs, state };
}
