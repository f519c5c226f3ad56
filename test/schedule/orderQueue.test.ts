import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readOrder } from '../../shared/schedule/orderQueue.ts';

const order = { customer: 'acme', connection: 'orders' };
const json = JSON.stringify(order);
const base64 = (text: string) => Buffer.from(text).toString('base64');

const taken: readonly (readonly [string, unknown])[] = [
  ['parsed by the host', order],
  ['as text', json],
  ['with a byte order mark', `\uFEFF${json}`],
  ['still in base64', base64(json)],
  ['still in base64, with a byte order mark', base64(`\uFEFF${json}`)],
  ['with more in it', { ...order, more: 1 }],
];

for (const [how, given] of taken) {
  test(`an order ${how} is read`, () => assert.deepEqual(readOrder(given), order));
}

const dropped: readonly unknown[] = [
  undefined,
  null,
  '',
  'hello',
  '[]',
  '"acme"',
  base64('hello'),
  {},
  { customer: 'acme' },
  { customer: 'acme', connection: 7 },
  { customer: '', connection: 'orders' },
  { customer: 'acme', connection: 'a/b' },
  { customer: 'acme', connection: '\ud800' },
];

for (const given of dropped) {
  test(`${JSON.stringify(given)} is no order`, () => assert.equal(readOrder(given), undefined));
}

test('whatever the host hands over gives an answer', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.string(), fc.base64String()), (given) => {
      const read = readOrder(given);
      if (read !== undefined) assert.ok(read.customer !== '' && read.connection !== '');
    }),
  );
});
