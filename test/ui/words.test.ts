import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastDay, totalsOf } from '../../shared/ui/page/list/lastDay.ts';
import { filterRows, sortRows } from '../../shared/ui/page/list/rows.ts';
import { statusOf } from '../../shared/ui/page/status.ts';
import { ago, ahead, every, schedule } from '../../shared/ui/page/words.ts';

const nowMs = Date.parse('2026-11-24T12:00:20.000Z');
const at = (ms: number) => new Date(nowMs + ms).toISOString();
const connection = (name: string, state: object = {}, columns: object = {}) => ({
  customer: 'acme',
  connection: name,
  host: 'mail.example.com',
  ...columns,
  state,
});
const noFilter = { customer: '', status: '', text: '' } as const;

test('times are told in words', () => {
  assert.equal(ahead(at(40_000), nowMs), 'in 40 s');
  assert.equal(ahead(at(5 * 60_000), nowMs), 'in 5 min');
  assert.equal(ahead(at(-40_000), nowMs), 'now');
  assert.equal(ahead(undefined, nowMs), 'now');
  assert.equal(ago(at(-90_000), nowMs), '1 min ago');
  assert.equal(ago(at(-3 * 3_600_000), nowMs), '3 h ago');
  assert.equal(ago(undefined, nowMs), 'never');
  assert.equal(ago('nonsense', nowMs), 'never');
});

test('schedules are told in words', () => {
  assert.equal(every(60), 'every minute');
  assert.equal(every(90), 'every 90 s');
  assert.equal(every(600), 'every 10 min');
  assert.equal(every(86_400), 'every day');
  assert.equal(every(Number.NaN), '');
  assert.equal(schedule(connection('a')), 'every minute');
  assert.equal(schedule(connection('a', {}, { pollingIntervalSeconds: 'often' })), 'every “often” s');
  assert.equal(schedule(connection('a', {}, { cron: '0 6 * * *' })), 'at 0 6 * * * (UTC)');
});

test('a connection that has failed stays failing while its next try runs, and one whose run died fails', () => {
  const failed = { lastStatus: 'failed', lastError: 'No.', consecutiveFailures: 3 } as const;
  assert.deepEqual(statusOf(connection('a', failed), nowMs), {
    kind: 'failing',
    label: 'Failed',
    note: '3 times in a row',
    isFailing: true,
    error: 'No.',
  });
  const running = { ...failed, lastStatus: 'running', heartbeatAt: at(-10_000) };
  const status = statusOf(connection('a', running), nowMs);
  assert.deepEqual([status.kind, status.isFailing, status.error], ['running', true, 'No.']);
  const dead = statusOf(connection('a', { lastStatus: 'running', heartbeatAt: at(-121_000) }), nowMs);
  assert.deepEqual([dead.kind, dead.isFailing], ['failing', true]);
  assert.match(dead.error, /ended without saying how/);
  assert.equal(statusOf(connection('a', failed, { enabled: 'false' }), nowMs).kind, 'disabled');
});

test('failing connections come first and disabled ones last', () => {
  const rows = sortRows(
    [
      connection('b', { lastStatus: 'ok' }),
      connection('c', {}, { enabled: false }),
      connection('d', { lastStatus: 'failed', lastError: 'refused', consecutiveFailures: 1 }),
      connection('a'),
    ],
    nowMs,
  );
  assert.deepEqual(
    rows.map(({ id }) => id),
    ['acme/d', 'acme/a', 'acme/b', 'acme/c'],
  );
});

test('filters by customer, status and every word of the text, also of the error', () => {
  const rows = sortRows(
    [
      connection('a', { lastStatus: 'ok' }),
      connection('b', { lastStatus: 'failed', lastError: 'Login refused', consecutiveFailures: 1 }),
      { ...connection('c'), customer: 'globex' },
    ],
    nowMs,
  );
  const found = (filter: object) => filterRows(rows, { ...noFilter, ...filter }).map(({ id }) => id);
  assert.deepEqual(found({ customer: 'globex' }), ['globex/c']);
  assert.deepEqual(found({ status: 'failing' }), ['acme/b']);
  assert.deepEqual(found({ status: 'ok' }), ['acme/a']);
  assert.deepEqual(found({ text: 'REFUSED mail.example' }), ['acme/b']);
  assert.deepEqual(found({ text: 'nothing such' }), []);
});

test('the chart has 24 hours up to now, whatever the history covers', () => {
  const history = { since: '2026-11-24T10:00:00.000Z', mails: [3, 0, 5], failures: [0, 2, 0] };
  const hours = lastDay(history, nowMs);
  assert.equal(hours.length, 24);
  assert.deepEqual(
    hours.slice(-3).map(({ mails, failures }) => [mails, failures]),
    [
      [3, 0],
      [0, 2],
      [5, 0],
    ],
  );
  assert.equal(totalsOf(hours).words, '8 mails, at most 5 in an hour; 2 failed runs.');
  const old = { since: '2026-11-20T10:00:00.000Z', mails: [3], failures: [0] };
  assert.equal(totalsOf(lastDay(old, nowMs)).mails, 0);
  assert.equal(totalsOf(lastDay(undefined, nowMs)).words, '0 mails; 0 failed runs.');
});
