import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addRun, type RunHistory, readHistory } from '../../shared/connection/history.ts';

const at = (hour: string) => new Date(`2026-11-${hour}:00.000Z`);
const ok = (mails: number) => ({ mails, failed: false });
const failed = { mails: 0, failed: true };

function addAll(runs: readonly [{ mails: number; failed: boolean }, string][]): RunHistory | undefined {
  let history: RunHistory | undefined;
  for (const [run, hour] of runs) history = addRun(history, run, at(hour)) ?? history;
  return history;
}

test('runs of one hour add up, and later hours follow with the quiet ones between them', () => {
  const history = addAll([
    [ok(2), '24T08:05'],
    [ok(3), '24T08:59'],
    [failed, '24T10:00'],
    [{ mails: 1, failed: true }, '24T10:01'],
  ]);
  assert.deepEqual(history, { since: '2026-11-24T08:00:00.000Z', mails: [5, 0, 1], failures: [0, 0, 2] });
});

test('an idle run changes nothing', () => {
  assert.equal(addRun(undefined, ok(0), at('24T08:05')), undefined);
});

test('what is older than a day goes, also when nothing ran for long', () => {
  const history = addAll([
    [ok(7), '23T08:05'],
    [ok(8), '23T09:05'],
    [ok(9), '24T08:05'],
  ]);
  assert.equal(history?.since, '2026-11-23T09:00:00.000Z');
  assert.deepEqual(history?.mails, [8, ...Array.from({ length: 22 }, () => 0), 9]);
  const later = addRun(history, ok(1), at('29T08:05'));
  assert.deepEqual(later?.mails, [...Array.from({ length: 23 }, () => 0), 1]);
});

test('a clock that was set back does not lengthen the history', () => {
  const history = addAll([
    [ok(7), '24T08:05'],
    [ok(8), '22T08:05'],
  ]);
  assert.deepEqual(history, { since: '2026-11-22T08:00:00.000Z', mails: [8], failures: [0] });
});

test('a full day of huge counts stays under 2 KiB and is read back', () => {
  let history: RunHistory | undefined;
  for (let hour = 0; hour < 100; hour += 1) {
    const time = new Date(at('20T00:00').getTime() + hour * 3_600_000);
    for (const _ of [1, 2]) history = addRun(history, { mails: 900_000_000, failed: true }, time);
  }
  const column = JSON.stringify(history);
  assert.ok(column.length < 2048, String(column.length));
  assert.deepEqual(readHistory(column), history);
  assert.equal(history?.mails.length, 24);
});

test('a column that is no history is none', () => {
  const good = { since: '2026-11-24T08:00:00.000Z', mails: [1], failures: [0] };
  assert.deepEqual(readHistory(JSON.stringify(good)), good);
  for (const value of [
    undefined,
    7,
    '',
    'null',
    '[]',
    '{',
    JSON.stringify({ ...good, since: '2026-99-99T08:00:00.000Z' }),
    JSON.stringify({ ...good, since: '2026-11-24T08:30:00.000Z' }),
    JSON.stringify({ ...good, mails: [-1] }),
    JSON.stringify({ ...good, mails: ['<b>'] }),
    JSON.stringify({ ...good, mails: [1, 2] }),
    JSON.stringify({ ...good, mails: Array(25).fill(1), failures: Array(25).fill(1) }),
    'x'.repeat(100_000),
  ]) {
    assert.equal(readHistory(value), undefined);
  }
});
