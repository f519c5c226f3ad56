import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import rhea from 'rhea';
import { batchEnvelopeBytes, bytesInBatch, encodedBytes } from '../../shared/destination/amqpSize.ts';
import { toSdkHead } from '../../shared/destination/namespace.ts';
import type { MessageHead } from '../../shared/message/message.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 1_024 }),
  fc.integer({ min: 250, max: 260 }).map((length) => 'x'.repeat(length)),
  fc.integer({ min: 60, max: 90 }).map((length) => '好'.repeat(length)),
);
const int = fc.oneof(fc.constantFrom(0, 1, 127, 128, 255, 256, 2 ** 31 - 1), fc.nat());
const long = fc.oneof(int, fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, -1, -128, -129, 2 ** 40));
const heads: fc.Arbitrary<MessageHead> = fc
  .record(
    {
      messageId: fc.stringMatching(/^[0-9a-f]{64}$/),
      correlationId: fc.uuid(),
      subject: fc.constantFrom('body', 'attachment', 'raw'),
      contentType: fc.integer({ min: 1, max: 300 }).map((length) => 'a'.repeat(length)),
      sessionId: fc.string({ minLength: 1, maxLength: 128 }),
      applicationProperties: fc
        .tuple(
          fc.dictionary(
            text.filter((name) => name !== '__proto__'),
            fc.oneof(text, long),
          ),
          fc.record({ partNumber: int, partCount: int, size: long }, { requiredKeys: [] }),
        )
        .map(([any, numbered]) => ({ ...any, ...numbered })),
    },
    { requiredKeys: ['messageId', 'correlationId', 'subject', 'contentType', 'applicationProperties'] },
  )
  .map((head) => head as MessageHead);

test('the computed size is what the encoder makes, to the byte, for any head and body', () => {
  fc.assert(
    fc.property(
      heads,
      fc.oneof(fc.nat({ max: 600 }), fc.constantFrom(255, 256, 70_000)),
      (head, bodyBytes) => {
        assert.equal(encodedBytes(head, bodyBytes), encode(head, bodyBytes).length);
      },
    ),
    { numRuns: 300 },
  );
});

test('a batch weighs its envelope and what each message adds to it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(heads, fc.nat({ max: 600 })), { minLength: 1, maxLength: 4 }),
      (messages) => {
        const [first] = messages;
        assert.ok(first);
        const encoded = messages.map(([head, bodyBytes]) => encode(head, bodyBytes));
        const body = rhea.message.data_sections(encoded);
        const batch = rhea.message.encode({ ...asRhea(first[0]), body });
        const computed = messages.reduce(
          (bytes, [head, bodyBytes]) => bytes + bytesInBatch(head, bodyBytes),
          batchEnvelopeBytes(first[0]),
        );
        assert.equal(computed, batch.length);
      },
    ),
    { numRuns: 100 },
  );
});

/** As the SDK's toRheaMessage makes it. */
function asRhea(head: MessageHead) {
  return {
    message_annotations: {},
    application_properties: toSdkHead(head).applicationProperties,
    content_type: head.contentType,
    ...(head.sessionId === undefined ? {} : { group_id: head.sessionId }),
    subject: head.subject,
    message_id: head.messageId,
    correlation_id: head.correlationId,
  };
}

function encode(head: MessageHead, bodyBytes: number): Buffer {
  return rhea.message.encode({ ...asRhea(head), body: rhea.message.data_section(Buffer.alloc(bodyBytes)) });
}
