import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Failure } from '../../shared/failure/failure.ts';
import type { Lease } from '../../shared/lease/lease.ts';
import { RunLimits, type RunLimitsOptions, ToldToGo } from '../../shared/poll/runLimits.ts';

/** A lease that is lost when the test says so. */
function leaseInHand() {
  const losing = new AbortController();
  const lease: Lease = {
    isHeld: () => !losing.signal.aborted,
    lost: losing.signal,
    release: async () => undefined,
  };
  return { lease, lose: () => losing.abort() };
}

/** Limits in a time that stands still until `pass` moves it: timers, the date and the monotonic clock. */
function limitsOf(t: TestContext, options: Partial<RunLimitsOptions> = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  t.mock.method(performance, 'now', () => Date.now());
  const { lease, lose } = leaseInHand();
  const telling = new AbortController();
  const limits = new RunLimits({
    lease,
    told: telling.signal,
    budgetMs: 60_000,
    ownTimeEndsAt: async () => undefined,
    ...options,
  });
  t.after(() => limits.end());
  return { limits, lose, tell: () => telling.abort(), pass: (ms: number) => t.mock.timers.tick(ms) };
}

/** Why it ends once so much more time has passed, and not a millisecond earlier. */
function endAfter({ limits, pass }: ReturnType<typeof limitsOf>, ms: number): unknown {
  pass(ms - 1);
  assert.equal(limits.signal.aborted, false, `it ended before ${ms} ms`);
  pass(1);
  assert.equal(limits.signal.aborted, true, `it did not end at ${ms} ms`);
  return limits.signal.reason;
}

test('while nothing is wrong it may go on', async (t) => {
  const { limits } = limitsOf(t);
  await limits.beginFetching();
  limits.noteMail();
  assert.deepEqual(
    [limits.mayTakeMore(), limits.mayWrite(), limits.isTimeOver, limits.isTold, limits.failure],
    [true, true, false, false, undefined],
  );
  assert.equal(limits.signal.aborted, false);
});

test('a lost lease stops taking and writing at once, and ends what is under way seconds later', async (t) => {
  const run = limitsOf(t);
  const { limits } = run;
  await limits.beginFetching();
  run.lose();
  assert.deepEqual([limits.mayTakeMore(), limits.mayWrite(), limits.signal.aborted], [false, false, false]);
  assert.equal(limits.failure?.reason, 'storage');
  const because = endAfter(run, 5_000);
  assert.ok(because instanceof Failure && /lease/.test(because.message));
});

test('told to go, it takes no more, lets what is under way end, and cuts it in time', async (t) => {
  const run = limitsOf(t);
  const { limits } = run;
  await limits.beginFetching();
  run.tell();
  assert.deepEqual([limits.mayTakeMore(), limits.mayWrite(), limits.isTold], [false, true, true]);
  assert.equal(limits.failure === undefined, true);
  // The host gives about five seconds.
  assert.ok(endAfter(run, 2_000) instanceof ToldToGo);
  assert.equal(limits.mayWrite(), false);
  assert.ok(limits.failure instanceof ToldToGo);
});

test('told before it began, it ends as well', (t) => {
  const run = limitsOf(t, { told: AbortSignal.abort() });
  assert.deepEqual([run.limits.mayTakeMore(), run.limits.mayLook()], [false, false]);
  assert.ok(endAfter(run, 2_000) instanceof ToldToGo);
});

test('its time counts from the first fetch, and ends no run before a mail was tried', async (t) => {
  const { limits, pass } = limitsOf(t, { budgetMs: 400 });
  pass(450);
  assert.equal(limits.signal.aborted, false, 'the budget counts from the first fetch');
  await limits.beginFetching();
  pass(300);
  assert.deepEqual([limits.isTimeOver, limits.mayTakeMore()], [false, true]);
  limits.noteMail();
  assert.deepEqual([limits.isTimeOver, limits.mayTakeMore(), limits.mayWrite()], [true, false, true]);
});

test('its time to look for mails counts from the first look, and is over before the run is cut', (t) => {
  const { limits, pass } = limitsOf(t, { budgetMs: 400 });
  pass(500);
  assert.equal(limits.mayLook(), true);
  pass(149);
  assert.deepEqual([limits.mayLook(), limits.hasStoppedLooking], [true, false]);
  pass(1);
  assert.deepEqual([limits.mayLook(), limits.hasStoppedLooking, limits.mayTakeMore()], [false, true, true]);
});

test('a run that never gets to a mail ends too, after twice the budget', (t) => {
  const reason = endAfter(limitsOf(t, { budgetMs: 40 }), 80);
  assert.ok(reason instanceof Failure && reason.reason === 'timeout');
  assert.match(reason.message, /It got to no mail by then/);
});

test('leasing: the run’s own time ends it before the budget does', async (t) => {
  let asked: Date | undefined;
  const { limits, pass } = limitsOf(t, {
    ownTimeEndsAt: async (firstFetchAt) => {
      asked = firstFetchAt;
      return new Date(firstFetchAt.getTime() + 40);
    },
  });
  await limits.beginFetching();
  assert.equal(asked?.getTime(), Date.now());
  limits.noteMail();
  pass(39);
  assert.equal(limits.isTimeOver, false);
  pass(1);
  assert.equal(limits.isTimeOver, true);
});

test('after twice the budget it is cut, whatever is under way; a second session begins no second budget', async (t) => {
  const run = limitsOf(t, { budgetMs: 60 });
  const { limits } = run;
  await limits.beginFetching();
  run.pass(70);
  await limits.beginFetching();
  limits.noteMail();
  assert.equal(limits.isTimeOver, true);
  const because = endAfter(run, 50);
  assert.ok(because instanceof Failure && because.reason === 'timeout');
  assert.match(because.message, /twice POLL_TIME_BUDGET_SECONDS/);
  assert.deepEqual([limits.failure, limits.mayWrite()], [because, false]);
});

test('a run that got to its first fetch late is cut all the same once it took 2.4 times the budget', async (t) => {
  const run = limitsOf(t, { budgetMs: 100 });
  run.pass(190);
  await run.limits.beginFetching();
  assert.ok(endAfter(run, 50) instanceof Failure);
});

test('a run that has ended is cut no more', async (t) => {
  const { limits, lose, tell, pass } = limitsOf(t, { budgetMs: 20 });
  await limits.beginFetching();
  limits.end();
  tell();
  lose();
  pass(60_000);
  assert.equal(limits.signal.aborted, false);
});
