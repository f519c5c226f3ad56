import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DueColumns, hasLiveRun, isDue } from '../../shared/schedule/due.ts';
import { readTime } from '../../shared/time/time.ts';

const now = new Date('2026-01-01T12:00:00.000Z');
const due = (columns: DueColumns) => isDue(columns, now);

const past = '2026-01-01T12:00:00.000Z';
const future = '2026-01-01T12:01:00.000Z';
const minutesAhead = (minutes: number) => new Date(now.getTime() + minutes * 60_000).toISOString();
const fresh = '2026-01-01T11:58:00.000Z';
const stale = '2026-01-01T11:57:59.999Z';
const live = { lastStatus: 'running', heartbeatAt: fresh } as const;
const dead = { lastStatus: 'running', heartbeatAt: stale } as const;
const locked = { useProcessLock: true };

const cases: readonly (readonly [string, DueColumns, boolean])[] = [
  ['a connection that never ran', {}, true],
  ['a due time that is now', { nextRunAt: past }, true],
  ['a due time in the future', { nextRunAt: future }, false],
  ['a due time as the table editor stored it', { nextRunAt: new Date(future) }, false],
  ['a due time within the next second', { nextRunAt: '2026-01-01T12:00:01.000Z' }, true],
  ['a due time in more than a second', { nextRunAt: '2026-01-01T12:00:01.001Z' }, false],
  [
    'a due time further ahead than the default interval and five minutes',
    { nextRunAt: minutesAhead(6.1) },
    true,
  ],
  ['a due time as far ahead as that', { nextRunAt: minutesAhead(6) }, false],
  [
    'a due time further ahead than its interval and five minutes',
    { nextRunAt: minutesAhead(65.1), pollingIntervalSeconds: 3_600 },
    true,
  ],
  [
    'a due time as far ahead as its interval, written as a string',
    { nextRunAt: minutesAhead(65), pollingIntervalSeconds: '3600' },
    false,
  ],
  [
    'a due time as far ahead as its interval, which an editor stored as a long',
    { nextRunAt: minutesAhead(65), pollingIntervalSeconds: 3_600n },
    false,
  ],
  ['a due time far ahead with cron', { nextRunAt: minutesAhead(9_999), cron: '0 6 1 * *' }, false],
  ['a due time far ahead with an empty cron', { nextRunAt: minutesAhead(9_999), cron: ' ' }, true],
  ['an interval that can not be read', { nextRunAt: minutesAhead(9), pollingIntervalSeconds: 'often' }, true],
  ['a due time that can not be read', { nextRunAt: 'soon' }, true],
  ['a disabled connection', { enabled: false }, false],
  ['a connection disabled by a string', { enabled: 'False' }, false],
  ['enabled as a string', { enabled: 'true', nextRunAt: past }, true],
  ['enabled as junk, whose run will say so', { enabled: 'maybe' }, true],
  ['a disabled connection whose run died', { enabled: false, ...dead }, false],
  ['a live run before its next time', { ...live, nextRunAt: future }, false],
  ['a live run past its next time', { ...live, nextRunAt: past }, true],
  ['a live run past its next time with the process lock', { ...live, nextRunAt: past, ...locked }, false],
  [
    'a live run with the process lock as a string',
    { ...live, nextRunAt: past, useProcessLock: 'TRUE' },
    false,
  ],
  ['a dead run before its next time', { ...dead, nextRunAt: future }, true],
  ['a dead run with the process lock', { ...dead, nextRunAt: future, ...locked }, true],
  [
    'a run whose heartbeat lies more than five minutes in the future',
    { ...live, heartbeatAt: minutesAhead(5.1), nextRunAt: future, ...locked },
    true,
  ],
  [
    'a run whose heartbeat lies five minutes in the future, as clocks may differ,',
    { ...live, heartbeatAt: minutesAhead(5), nextRunAt: future, ...locked },
    false,
  ],
  ['a run without a heartbeat', { lastStatus: 'running', nextRunAt: future, ...locked }, true],
  [
    'an old heartbeat of a run that ended',
    { lastStatus: 'ok', heartbeatAt: stale, nextRunAt: future },
    false,
  ],
  [
    'the process lock of a run that ended',
    { lastStatus: 'failed', heartbeatAt: fresh, nextRunAt: past, ...locked },
    true,
  ],
];

for (const [name, columns, expected] of cases) {
  test(`${name} is ${expected ? 'due' : 'not due'}`, () => assert.equal(due(columns), expected));
}

test('a run is at work only while the row says so, however fresh its heartbeat is', () => {
  const statuses = ['running', 'ok', 'failed', 'skipped'];
  assert.deepEqual(
    statuses.filter((lastStatus) => hasLiveRun({ lastStatus, heartbeatAt: fresh }, now)),
    ['running'],
  );
  assert.equal(hasLiveRun(dead, now), false);
});

test('any junk in the columns gives an answer', () => {
  const value = fc.anything();
  const columns = fc.record({
    enabled: value,
    useProcessLock: value,
    nextRunAt: value,
    lastStatus: fc.oneof(value, fc.constant('running')),
    heartbeatAt: value,
    pollingIntervalSeconds: value,
    cron: value,
  });
  fc.assert(fc.property(columns, (junk) => typeof due(junk) === 'boolean'));
});

test('only a full ISO 8601 time with its zone is a time', () => {
  assert.deepEqual(readTime('2026-01-01T12:00:00+02:00'), new Date('2026-01-01T10:00:00Z'));
  for (const junk of [
    '1',
    '2026-01-01',
    '2026-01-01T12:00:00',
    '2026-13-01T12:00:00Z',
    5,
    null,
    new Date(Number.NaN),
  ]) {
    assert.equal(readTime(junk), undefined);
  }
});
