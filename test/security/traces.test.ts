import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tracesOf } from './traces.ts';

const secret = 'pass"word+/é~7';

test('a secret is found in each form in which it could slip out, and nothing else is', () => {
  const base64 = (before: string) => Buffer.from(`${before}${secret}, and more`).toString('base64');
  const forms = [
    `LOGIN anna ${secret}`,
    JSON.stringify({ secret }),
    encodeURIComponent(secret),
    Buffer.from(secret).toString('hex'),
    ...['', 'a', 'ab', 'abc'].map(base64),
    base64('ab').replaceAll('+', '-').replaceAll('/', '_'),
  ];
  for (const text of forms) assert.equal(tracesOf(secret, [{ where: 'here', text }]).length, 1, text);
  const others = ['password', base64('').slice(12), secret.slice(1)];
  for (const text of others) assert.deepEqual(tracesOf(secret, [{ where: 'here', text }]), [], text);
});
