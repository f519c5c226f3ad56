import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { leaseEndsAt, nextMinute, nextRunAt } from '../../shared/time/nextTime.ts';
import { minuteMs, type Schedule } from '../../shared/time/time.ts';

const interval = (intervalSeconds: number): Schedule => ({ kind: 'interval', intervalSeconds });
const cron = (text: string, timeZone = 'UTC'): Schedule => ({ kind: 'cron', cron: text, timeZone });
/** A time of UTC, on 1 January 2026 where it names no day; `show` gives it back, whole minutes short. */
const at = (text: string) => new Date(`${text.includes('T') ? '' : '2026-01-01T'}${text}Z`);
const show = (time: Date) => time.toISOString().replace(/^2026-01-01T|(:00\.000)?Z$/g, '');

async function next(schedule: Schedule, now: string, anchor?: string, old?: string): Promise<string> {
  const [anchorAt, oldAt] = [anchor, old].map((text) => (text === undefined ? undefined : at(text)));
  return show((await nextRunAt(schedule, at(now), anchorAt, oldAt)).nextRunAt);
}

test('a poll started by the tick at second 0 is due again at the very next one', async () => {
  assert.equal(await next(interval(60), '12:00:00.400'), '12:01');
  assert.equal(await next(interval(60), '12:00:59.999', '12:00'), '12:01');
});

test('a tick that came 3 ms early: the next time is counted from the due time', async () => {
  const early = '11:59:59.997';
  const old = '12:00';
  const anchor = '11:00';
  assert.equal(await next(interval(60), early, anchor, old), '12:01');
  assert.equal(await next(interval(300), early, anchor, old), '12:05');
  assert.equal(await next(cron('0 */2 * * *'), early, undefined, old), '14:00');
  const first = await nextRunAt(interval(300), at(early), undefined, at(old));
  assert.equal(show(first.anchor), old, 'the grid begins at the due time, not a minute before');
});

test('an old due time further away than a second, or past, changes nothing', async () => {
  const now = '12:00:58.999';
  for (const old of ['12:01', '12:00', '2020-01-01T00:00', undefined]) {
    assert.equal(await next(interval(60), now, '11:00', old), '12:01');
  }
});

test('a late start does not move the grid', async () => {
  assert.equal(await next(interval(300), '12:03:20', '12:00'), '12:05');
});

test('missed times are not caught up one by one', async () => {
  assert.equal(await next(interval(300), '2026-01-03T07:42:11', '12:00'), '2026-01-03T07:45');
});

test('an interval that is no whole number of minutes falls on its grid with the seconds cut off', async () => {
  const anchor = '12:00';
  const times: string[] = [];
  let now = anchor;
  for (let run = 0; run < 4; run++) {
    now = await next(interval(90), now, anchor);
    times.push(now.slice(-5));
  }
  assert.deepEqual(times, ['12:01', '12:03', '12:04', '12:06']);
});

test('an anchor from the future or the far past still gives the next time', async () => {
  assert.equal(await next(interval(600), '12:01', '2099-01-01T00:00'), '12:10');
  assert.equal(await next(interval(600), '12:01', '1990-01-01T00:05'), '12:05');
});

test('the grid begins at the minute of the first run, and a given anchor is handed back', async () => {
  const now = at('12:34:21.7');
  const first = await nextRunAt(interval(300), now, undefined, undefined);
  assert.equal(show(first.anchor), '12:34');
  assert.equal(show(first.nextRunAt), '12:39');
  const anchor = at('00:00');
  assert.equal((await nextRunAt(interval(300), now, anchor, undefined)).anchor, anchor);
});

test('the next minute is later than now, also at second 0', () => {
  assert.equal(show(nextMinute(at('12:00'))), '12:01');
  assert.equal(show(nextMinute(at('12:00:59.999'))), '12:01');
});

test('a lease lasts one interval, or until the next time of a cron expression', async () => {
  const startedAt = at('12:00:07.5');
  assert.equal(show(await leaseEndsAt(interval(90), startedAt)), '12:01:37.500');
  assert.equal(show(await leaseEndsAt(cron('0 6 * * *'), startedAt)), '2026-01-02T06:00');
  const early = at('05:59:59.997');
  assert.equal(show(await leaseEndsAt(cron('0 6 * * *'), early)), '2026-01-02T06:00');
});

test('a cron expression falls in its own time zone', async () => {
  const morning = cron('0 6 * * MON-FRI', 'Europe/Berlin');
  assert.equal(await next(morning, '12:00'), '2026-01-02T05:00');
  assert.equal(await next(morning, '2026-01-02T05:00:00.300'), '2026-01-05T05:00');
  assert.equal(await next(morning, '2026-07-01T00:00'), '2026-07-01T04:00');
});

test('a fixed time inside the hour that clocks skip falls right after it, once', async () => {
  const night = cron('30 2 * * *', 'Europe/Berlin');
  assert.equal(await next(night, '2026-03-28T12:00'), '2026-03-29T01:00');
  assert.equal(await next(night, '2026-03-29T01:00'), '2026-03-30T00:30');
});

test('a fixed time inside a skipped hour that ends the day comes on the next day', async () => {
  const late = cron('30 23 * * *', 'America/Nuuk');
  assert.equal(await next(late, '2026-03-28T12:00'), '2026-03-30T00:30');
  assert.equal(await next(cron('30 0 * * *', 'Africa/Cairo'), '2026-04-23T12:00'), '2026-04-23T22:00');
});

test('a fixed time in the hour that clocks repeat falls once', async () => {
  const night = cron('30 2 * * *', 'Europe/Berlin');
  assert.equal(await next(night, '2026-10-24T12:00'), '2026-10-25T00:30');
  assert.equal(await next(night, '2026-10-25T00:30'), '2026-10-26T01:30');
});

test('a repeating expression goes on through both of the repeated hours', async () => {
  const times: string[] = [];
  let now = '2026-10-24T23:45';
  for (let run = 0; run < 5; run++) {
    now = await next(cron('*/30 * * * *', 'Europe/Berlin'), now);
    times.push(now.slice(-5));
  }
  assert.deepEqual(times, ['00:00', '00:30', '01:00', '01:30', '02:00']);
});

test('a cron expression that never comes is a config failure', async () => {
  await assert.rejects(nextRunAt(cron('0 0 30 2 *'), new Date(), undefined, undefined), {
    reason: 'config',
    message: 'cron is "0 0 30 2 *"; it must name a time that comes.',
  });
});

const instant = fc.date({
  min: at('2000-01-01T00:00'),
  max: at('2100-01-01T00:00'),
  noInvalidDate: true,
});
const anySchedule = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 60, max: 2_147_483_647 }).map(interval) },
  { weight: 4, arbitrary: fc.integer({ min: 60, max: 7200 }).map(interval) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      cron('*/15 6-20 * * MON-FRI', 'America/New_York'),
      cron('30 2 * * *', 'Australia/Lord_Howe'),
      cron('0 0 29 2 *', 'Asia/Kathmandu'),
    ),
  },
);

test('whatever the schedule, now and anchor: a whole minute after now', async () => {
  await fc.assert(
    fc.asyncProperty(
      anySchedule,
      instant,
      fc.option(instant, { nil: undefined }),
      fc.integer({ min: -2_000, max: 2_000 }),
      async (schedule, now, anchor, oldAheadMs) => {
        const old = new Date(now.getTime() + oldAheadMs);
        const { nextRunAt: time } = await nextRunAt(schedule, now, anchor, old);
        assert.ok(time.getTime() > now.getTime());
        if (oldAheadMs <= 1_000) assert.ok(time.getTime() > old.getTime());
        assert.equal(time.getTime() % minuteMs, 0);
      },
    ),
  );
});

test('an interval stays within a minute of its grid over many late runs, and skips none that is due', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 60, max: 7200 }),
      instant,
      // A tick may come some milliseconds early.
      fc.array(fc.integer({ min: -3, max: 59_999 }), { minLength: 50, maxLength: 50 }),
      async (seconds, start, delaysMs) => {
        let now = start;
        let anchor: Date | undefined;
        let old: Date | undefined;
        let count = 0;
        let previous: Date | undefined;
        for (const delayMs of delaysMs) {
          const result = await nextRunAt(interval(seconds), now, anchor, old);
          old = result.nextRunAt;
          anchor ??= result.anchor;
          assert.deepEqual(result.anchor, anchor);
          count = Math.ceil((result.nextRunAt.getTime() - anchor.getTime()) / (seconds * 1000));
          const gridMs = anchor.getTime() + count * seconds * 1000;
          assert.ok(gridMs - result.nextRunAt.getTime() < minuteMs);
          // The delay is shorter than the shortest interval, so no time of the grid may be left out.
          if (previous !== undefined) {
            assert.ok(result.nextRunAt.getTime() - previous.getTime() <= seconds * 1000 + minuteMs);
          }
          previous = result.nextRunAt;
          now = new Date(result.nextRunAt.getTime() + delayMs);
        }
      },
    ),
    { numRuns: 50 },
  );
});
