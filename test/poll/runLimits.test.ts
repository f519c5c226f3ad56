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

function limitsOf(t: TestContext, options: Partial<RunLimitsOptions> = {}) {
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
  return { limits, lose, tell: () => telling.abort() };
}

/** Whether and why it ends within so long. */
async function endOf(limits: RunLimits, timeoutMs = 10_000): Promise<unknown> {
  const { signal } = limits;
  if (signal.aborted) return signal.reason;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return signal.reason;
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
  const { limits, lose } = limitsOf(t);
  await limits.beginFetching();
  lose();
  assert.deepEqual([limits.mayTakeMore(), limits.mayWrite(), limits.signal.aborted], [false, false, false]);
  assert.equal(limits.failure?.reason, 'storage');
  const because = await endOf(limits);
  assert.ok(because instanceof Failure && /lease/.test(because.message));
});

test('told to go, it takes no more, lets what is under way end, and cuts it in time', async (t) => {
  const { limits, tell } = limitsOf(t);
  await limits.beginFetching();
  const startedMs = performance.now();
  tell();
  assert.deepEqual([limits.mayTakeMore(), limits.mayWrite(), limits.isTold], [false, true, true]);
  assert.equal(limits.failure === undefined, true);
  assert.ok((await endOf(limits)) instanceof ToldToGo);
  assert.ok(performance.now() - startedMs < 4_500, 'the host gives about five seconds');
  assert.equal(limits.mayWrite(), false);
  assert.ok(limits.failure instanceof ToldToGo);
});

test('told before it began, it ends as well', async (t) => {
  const { limits } = limitsOf(t, { told: AbortSignal.abort() });
  assert.equal(limits.mayTakeMore(), false);
  assert.ok((await endOf(limits)) instanceof ToldToGo);
});

test('its time counts from the first fetch, and ends no run before a mail was tried', async (t) => {
  const { limits } = limitsOf(t, { budgetMs: 400 });
  await new Promise((resolve) => setTimeout(resolve, 450));
  assert.equal(limits.signal.aborted, false, 'the budget counts from the first fetch');
  await limits.beginFetching();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual([limits.isTimeOver, limits.mayTakeMore()], [false, true]);
  limits.noteMail();
  assert.deepEqual([limits.isTimeOver, limits.mayTakeMore(), limits.mayWrite()], [true, false, true]);
});

test('a run that never gets to a mail ends too, after twice the budget', async (t) => {
  const { limits } = limitsOf(t, { budgetMs: 40 });
  const reason = await endOf(limits);
  assert.ok(reason instanceof Failure && reason.reason === 'timeout');
  assert.match(reason.message, /It got to no mail by then/);
});

test('leasing: the run’s own time ends it before the budget does', async (t) => {
  let asked: Date | undefined;
  const { limits } = limitsOf(t, {
    ownTimeEndsAt: async (firstFetchAt) => {
      asked = firstFetchAt;
      return new Date(firstFetchAt.getTime() + 40);
    },
  });
  await limits.beginFetching();
  assert.ok(asked !== undefined && Math.abs(Date.now() - asked.getTime()) < 5_000);
  limits.noteMail();
  assert.equal(limits.isTimeOver, false);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(limits.isTimeOver, true);
});

test('after twice the budget it is cut, whatever is under way; a second session begins no second budget', async (t) => {
  const { limits } = limitsOf(t, { budgetMs: 60 });
  const startedMs = performance.now();
  await limits.beginFetching();
  await new Promise((resolve) => setTimeout(resolve, 70));
  await limits.beginFetching();
  const because = await endOf(limits);
  assert.ok(performance.now() - startedMs >= 119);
  assert.ok(performance.now() - startedMs < 1_000);
  assert.ok(because instanceof Failure && because.reason === 'timeout');
  assert.match(because.message, /twice POLL_TIME_BUDGET_SECONDS/);
  assert.deepEqual([limits.failure, limits.mayWrite()], [because, false]);
});

test('a run that has ended is cut no more', async (t) => {
  const { limits, lose, tell } = limitsOf(t, { budgetMs: 20 });
  await limits.beginFetching();
  limits.end();
  tell();
  lose();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(limits.signal.aborted, false);
});
