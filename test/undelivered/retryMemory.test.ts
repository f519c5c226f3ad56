import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Destinations } from '../../shared/destination/destination.ts';
import { toStored } from '../../shared/undelivered/manifest.ts';
import type { RetryOptions } from '../../shared/undelivered/retryDeliveries.ts';
import { until } from '../destination/support.ts';
import { startRetryBed, storeRows, storeWith } from './retryBed.ts';
import { passMinutes, type Storage, undeliveredMail } from './storage.ts';

const bed = await startRetryBed();
const mebibyte = 1_024 * 1_024;

/** By queue: how many records, and what the parts of each weigh, in MiB. */
type Queues = Readonly<Record<string, { readonly records: number; readonly weights: readonly number[] }>>;

/** Storage with records for these queues whose parts weigh so much in the retry's eyes, and how much of them it holds. */
async function heavy(queues: Queues) {
  const storage = await bed.openStorage();
  const stored = Object.entries(queues).map(([name, { records }]) => storeRows(storage, name, records));
  await Promise.all(stored);
  passMinutes(storage, 1);
  const counts = { taken: 0, kept: 0, delivered: new Set<string>(), heldMiB: 0, mostMiB: 0 };
  const weightOf = new Map<string, number>();
  const parts: Pick<Storage['parts'], 'read' | 'contentsOf'> = {
    async read(id) {
      const { queueName = '' } = (await storage.store.get(id)) ?? {};
      const weights = queues[queueName]?.weights ?? [];
      const { parts } = undeliveredMail(weights.map((_, n) => `${queueName} ${id} ${n}`));
      return parts.map((part, n) => {
        const { content, ...stored } = toStored(id, part);
        weightOf.set(stored.head.messageId, weights[n] ?? 0);
        return { ...stored, content: { ...content, sizeBytes: (weights[n] ?? 0) * mebibyte } };
      });
    },
    contentsOf: () => ({
      async read({ sizeBytes }) {
        counts.heldMiB += sizeBytes / mebibyte;
        counts.mostMiB = Math.max(counts.mostMiB, counts.heldMiB);
        return Buffer.alloc(0);
      },
      toClaimCheck: () => Promise.reject(new Error('All fits.')),
    }),
  };
  const store = storeWith(storage, {
    parts: parts as Storage['parts'],
    take: (due) => {
      counts.taken += 1;
      return storage.store.take(due);
    },
    keep: (...outcome) => {
      counts.kept += 1;
      return storage.store.keep(...outcome);
    },
  });
  /** Queues that take a message once `mayTake` resolves. */
  const taking = (mayTake: (queueName: string) => Promise<unknown>): Destinations => ({
    open: async (queueName) => ({
      maxMessageBytes: 200 * mebibyte,
      async send({ messageId }) {
        await mayTake(queueName);
        counts.delivered.add(queueName);
        counts.heldMiB -= weightOf.get(messageId) ?? 0;
      },
    }),
    close: async () => undefined,
  });
  const tick = (options: Partial<RetryOptions>) => bed.tick(storage, { store, ...options });
  return { storage, counts, taking, tick };
}

/** A queue takes its first message at once, and the others when it is let go. */
function hanging() {
  const { promise, resolve: letGo } = Promise.withResolvers<void>();
  const begun = new Set<string>();
  const wait = async (queueName: string) => {
    if (begun.has(queueName)) await promise;
    begun.add(queueName);
  };
  return { wait, letGo };
}

test('however many queues hang, a tick holds no more than 64 MiB of bodies', async () => {
  const names = Array.from({ length: 10 }, (_, n) => `queue-${n}`);
  const each = { records: 2, weights: [8] };
  const { counts, taking, tick } = await heavy(Object.fromEntries(names.map((name) => [name, each])));
  const { wait, letGo } = hanging();
  const ticking = tick({ destinations: taking(wait) });
  await until('all are taken', () => counts.taken === 20 && counts.heldMiB >= 64);
  letGo();
  assert.equal((await ticking).delivered, 20);
  assert.deepEqual([counts.mostMiB, counts.heldMiB], [64, 0]);
});

test('a queue that hangs holds no more than 8 MiB of bodies, and the others pass', async () => {
  const { counts, taking, tick } = await heavy({
    hanging: { records: 9, weights: [8] },
    healthy: { records: 2, weights: [4, 4] },
  });
  const { wait, letGo } = hanging();
  const hung = until('it hangs', () => counts.taken === 10 && counts.heldMiB >= 16);
  const ticking = tick({
    destinations: taking(async (name) => await (name === 'hanging' ? wait(name) : hung)),
  });
  await until('the healthy queue has its own', () => counts.taken === 11 && counts.heldMiB === 8);
  letGo();
  assert.equal((await ticking).delivered, 11);
  assert.ok(counts.mostMiB <= 16, `${counts.mostMiB} MiB`);
});

test('a queue that hangs with a larger body does not keep those of others from theirs', async () => {
  const { counts, taking, tick } = await heavy({
    hanging: { records: 1, weights: [16] },
    healthy: { records: 2, weights: [16] },
    another: { records: 2, weights: [32] },
  });
  const { promise, resolve: letGo } = Promise.withResolvers<void>();
  const ticking = tick({
    destinations: taking(async (name) => await (name === 'hanging' ? promise : undefined)),
  });
  await until('the others passed', () => counts.delivered.size === 2 && counts.heldMiB === 16);
  letGo();
  assert.equal((await ticking).delivered, 5);
  assert.ok(counts.mostMiB <= 64, `${counts.mostMiB} MiB`);
});

test('of bodies of more than 64 MiB one is held at a time; small ones pass it, and one that waits too long stays due', async () => {
  const { storage, counts, taking, tick } = await heavy({
    large: { records: 1, weights: [100] },
    another: { records: 1, weights: [100] },
    small: { records: 3, weights: [1] },
  });
  const { promise, resolve: letGo } = Promise.withResolvers<void>();
  const ticking = tick({
    destinations: taking(async (name) => await (name === 'small' ? undefined : promise)),
    budgetMs: 1_000,
  });
  await until('one was given back', () => counts.kept === 1 && counts.delivered.has('small'));
  letGo();
  const { delivered, failed } = await ticking;
  assert.deepEqual([delivered, failed, counts.heldMiB], [4, 0, 0]);
  assert.ok(counts.mostMiB < 110, `${counts.mostMiB} MiB`);
  assert.equal((await storage.due()).length, 1);
});
