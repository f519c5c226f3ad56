import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { SampleMail } from '../mail/mails.ts';
import type { QueueMessage } from '../testbed/broker/queue.ts';

interface SentPart {
  readonly kind: unknown;
  readonly sha256: string;
}

/** What must arrive of a mail: the hashes of its parts in order. */
export function expectedParts({ expected }: SampleMail): SentPart[] {
  const body = expected.body === undefined ? [] : [{ kind: 'body', sha256: hash('sha256', expected.body) }];
  return [
    ...body,
    ...expected.attachments.map(({ bytes }) => ({ kind: 'attachment', sha256: hash('sha256', bytes) })),
  ];
}

/** The parts of each mail that arrived, by mail, in part order; every property of theirs is checked on the way. */
export function arrivedParts(messages: readonly QueueMessage[], connection: string): SentPart[][] {
  const byMail = new Map<unknown, QueueMessage[]>();
  for (const message of messages) {
    const properties = message.applicationProperties ?? {};
    if (properties.connection !== connection) continue;
    assert.equal(properties.customer, 'acme');
    assert.equal(properties.inboundAdapter, 'Email');
    assert.equal(properties.partKind, message.subject);
    assert.equal(properties.size, message.body.length);
    assert.equal(properties.sha256, hash('sha256', message.body));
    assert.match(String(message.messageId), /^[0-9a-f]{64}$/);
    byMail.set(message.correlationId, [...(byMail.get(message.correlationId) ?? []), message]);
  }
  return [...byMail.values()].map((parts) => {
    const ordered = parts.toSorted((a, b) => partNumber(a) - partNumber(b));
    assert.deepEqual(
      ordered.map(partNumber),
      ordered.map((_, index) => index + 1),
    );
    assert.ok(
      ordered.every(({ applicationProperties }) => applicationProperties?.partCount === parts.length),
    );
    return ordered.map((part) => ({ kind: part.subject, sha256: hash('sha256', part.body) }));
  });
}

function partNumber({ applicationProperties }: QueueMessage): number {
  return Number(applicationProperties?.partNumber);
}

export function inAnyOrder(mailParts: SentPart[][]): string[] {
  return mailParts.map((parts) => JSON.stringify(parts)).toSorted();
}

/** The text of each body that arrived from a connection, in order of arrival, without blanks around it. */
export function bodiesOf(messages: readonly QueueMessage[], connection: string): string[] {
  return messages
    .filter(
      ({ subject, applicationProperties }) =>
        subject === 'body' && applicationProperties?.connection === connection,
    )
    .map(({ body }) => body.toString().trim());
}
