import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { message, types } from 'rhea-promise';
import { encodeLeanly } from '../../shared/delivery/amqpWriter.ts';

const body = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  // Around the places where a length takes more bytes and where the writer's memory grows.
  fc.constantFrom(255, 256, 1_023, 1_024, 4_096, 65_536, 200_000).map((size) => new Uint8Array(size).fill(7)),
);
const property = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.double({ min: -1e6, max: 1e6 }),
  fc.integer(),
  fc.boolean(),
);
const anyMessage = fc.record({
  message_id: fc.string(),
  correlation_id: fc.string(),
  subject: fc.string({ unit: 'grapheme' }),
  group_id: fc.string({ maxLength: 300 }),
  application_properties: fc.dictionary(fc.string(), property),
  bodies: fc.array(body, { minLength: 1, maxLength: 5 }),
});

type Sample = typeof anyMessage extends fc.Arbitrary<infer Value> ? Value : never;

function encode({ bodies, ...head }: Sample): Buffer {
  const sections = bodies.map((bytes) => Buffer.from(bytes));
  return message.encode({ ...head, body: message.data_sections(sections) });
}

test('rhea encodes the same bytes as before', () => {
  const samples = fc.sample(anyMessage, { numRuns: 300, seed: 7 });
  const before = samples.map(encode);
  const original = Reflect.get(types, 'Writer');
  encodeLeanly();
  encodeLeanly();
  const lean = Reflect.get(types, 'Writer');
  assert.notEqual(lean, original);
  assert.equal(Object.getPrototypeOf(lean), original);
  samples.forEach((sample, index) => {
    assert.ok(encode(sample).equals(before[index] ?? Buffer.alloc(0)), JSON.stringify(sample));
  });
});
