import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identifyMail } from '../../shared/message/identity.ts';
import { SettledMails } from '../../shared/poll/settledMails.ts';

const mail = (n: number) => identifyMail('box', `key ${n}`, 'fields');

/** The column after a run that settles these mails. */
function settling(column: unknown, mails: readonly number[]): string | undefined {
  const settled = new SettledMails(column);
  for (const n of mails) settled.add(mail(n), String(n));
  return settled.toColumn();
}

test('what was settled is known to the next run, and to it alone', () => {
  const settled = new SettledMails(settling(undefined, [1, 2]));
  assert.deepEqual(
    [1, 2, 3].map((n) => settled.has(mail(n))),
    [true, true, false],
  );
  settled.add(mail(3), '3');
  assert.equal(settled.has(mail(3)), false, 'it is no sign of a bad server within its own run');
});

test('a run that settles nothing leaves the column alone', () => {
  assert.equal(new SettledMails(settling(undefined, [1])).toColumn(), undefined);
});

test('once a mail is listed again may be chance; from the second time in a row it is told', () => {
  let column = settling(undefined, [1]);
  const once = new SettledMails(column);
  once.add(mail(1), '1');
  assert.equal(once.sentence, undefined);
  column = once.toColumn();
  const twice = new SettledMails(column);
  twice.add(mail(2), '2');
  twice.add(mail(1), '1');
  assert.match(twice.sentence ?? '', /^The server lists mail 1 again, which was settled in 2 runs before/);
  const thrice = new SettledMails(twice.toColumn());
  thrice.add(mail(1), '1');
  assert.match(thrice.sentence ?? '', /settled in 3 runs before/);
});

test('the last hundred are remembered, those of this run before those of earlier ones', () => {
  const before = Array.from({ length: 150 }, (_, n) => n);
  const column = settling(settling(undefined, before), [999]) ?? '';
  assert.equal(column.split(',').length, 100);
  assert.ok(column.length < 4_096);
  const settled = new SettledMails(column);
  assert.deepEqual(
    [0, 50, 51, 149, 999].map((n) => settled.has(mail(n))),
    [false, false, true, true, true],
  );
});

test('one that is settled again in every run is not forgotten for those that are new', () => {
  let column = settling(undefined, [0]);
  for (let run = 0; run < 3; run += 1) {
    const others = Array.from({ length: 60 }, (_, n) => 1 + 60 * run + n);
    column = settling(column, [0, ...others]);
    assert.equal(new SettledMails(column).has(mail(0)), true, `run ${run}`);
  }
});

test('a mail settled twice in a run is there once', () => {
  assert.equal(settling(undefined, [1, 1, 2, 1])?.split(',').length, 2);
});

test('a column that someone has edited is nothing settled', () => {
  for (const column of ['x', ',,', '{}', 'abc:def', 42, null, undefined]) {
    assert.equal(new SettledMails(column).toColumn(), undefined);
    assert.equal(new SettledMails(column).has(mail(1)), false);
  }
});
