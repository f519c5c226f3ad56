import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionKey, type ConnectionStore, nameOf } from '../connection/connectionStore.ts';
import { readState } from '../connection/state.ts';
import { isEnabled } from '../schedule/due.ts';
import { startOfMinute } from '../time/nextTime.ts';
import { type Answer, problem } from './answer.ts';
import { findExisting, keyOf, refuseMissing } from './connections.ts';
import type { HttpDependencies } from './dependencies.ts';
import { readWhole } from './query.ts';
import { stateJson } from './representation.ts';
import type { ApiRequest } from './request.ts';

const maxWaitSeconds = 60;
/** Calls that wait at a time in one process; any more are answered at once, as if their time were up. */
const maxWaiting = 64;
let waiting = 0;

/**
 * `POST …/poll`: orders a poll at once, and makes it due in case the order is lost. With `?wait=` it answers
 * with the state once a run has ended that started no earlier than the order.
 */
export async function orderPoll(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const waitMs = 1_000 * readWhole(request, 'wait', 0, 0, maxWaitSeconds);
  const key = keyOf(request);
  const store = await dependencies.connections();
  const entity = await findExisting(key, store);
  if (!isEnabled(entity.columns)) {
    return problem(409, `Connection ${nameOf(key)} is disabled. Set enabled to true first.`);
  }
  const orders = await dependencies.orderQueue();
  const requestedAt = dependencies.now();
  // Before the order: a run that has begun has written when it is due next, and that must stand.
  const nextRunAt = startOfMinute(requestedAt).toISOString();
  const runRequestedAt = requestedAt.toISOString();
  if ((await store.merge(key, { nextRunAt, runRequestedAt })).kind === 'missing') refuseMissing(key);
  await orders.put(key);
  const order = { ...key, runRequestedAt };
  if (waitMs > 0 && waiting < maxWaiting) {
    waiting += 1;
    try {
      const state = await endOfRun(key, requestedAt, waitMs, store);
      if (state !== undefined) return { status: 200, json: { ...order, state } };
    } finally {
      waiting -= 1;
    }
  }
  return { status: 202, json: order };
}

/** The state after a run that started at `requestedAt` or later; undefined when the time is up or it is gone. */
async function endOfRun(
  key: ConnectionKey,
  requestedAt: Date,
  waitMs: number,
  store: ConnectionStore,
): Promise<Record<string, unknown> | undefined> {
  const deadlineMs = performance.now() + waitMs;
  for (let look = 0; ; look += 1) {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) return undefined;
    // The first looks are most likely to find a quick run's end.
    await delay(Math.min(250 * 2 ** look, 1_000, leftMs));
    const entity = await store.read(key);
    if (entity === undefined) return undefined;
    const { lastStatus, lastRunStartedAt } = readState(entity.columns);
    const hasStarted = lastRunStartedAt !== undefined && lastRunStartedAt >= requestedAt;
    if (hasStarted && lastStatus !== undefined && lastStatus !== 'running') return stateJson(entity.columns);
  }
}
