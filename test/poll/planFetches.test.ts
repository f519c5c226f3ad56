import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planFetches } from '../../shared/poll/planFetches.ts';

const limits = { batchMails: 4, batchBytes: 1_000, wholeMailBytes: 500 };
const mailsOf = (sizes: readonly number[]) =>
  sizes.map((sizeBytes, index) => ({ key: `${index}`, id: index, sizeBytes }));

function shape(sizes: readonly number[]): string[] {
  return planFetches(mailsOf(sizes), limits).map((step) =>
    step.kind === 'batch'
      ? step.mails.map(({ sizeBytes }) => sizeBytes).join('+')
      : `stream ${step.mail.sizeBytes}`,
  );
}

test('nothing to fetch is no fetch', () => {
  assert.deepEqual(shape([]), []);
});

test('small mails go together, by number and by bytes; large ones alone, in their place', () => {
  assert.deepEqual(shape([1, 2, 3, 4, 5]), ['1+2+3+4', '5']);
  assert.deepEqual(shape([500, 500, 1]), ['500+500', '1']);
  assert.deepEqual(shape([1, 501, 2, 3]), ['1', 'stream 501', '2+3']);
  assert.deepEqual(shape([501, 600]), ['stream 501', 'stream 600']);
});

test('every mail is in just one step, the order is kept, and no batch is larger than it may be', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(800), { maxLength: 60 }), (sizes) => {
      const mails = mailsOf(sizes);
      const steps = planFetches(mails, limits);
      const planned = steps.flatMap((step) => (step.kind === 'batch' ? step.mails : [step.mail]));
      assert.deepEqual(planned, mails);
      for (const step of steps) {
        if (step.kind === 'stream') assert.ok(step.mail.sizeBytes > limits.wholeMailBytes);
        else {
          assert.ok(step.mails.length > 0 && step.mails.length <= limits.batchMails);
          assert.ok(step.mails.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) <= limits.batchBytes);
        }
      }
    }),
  );
});
