import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { type Protocol, protocols, userOf, usersOf } from '../app/testbed.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, eachOnce, twoPartMails, until } from './mails.ts';
import { type DrippingServer, startDrippingServer } from './slowServers.ts';

const troubledQueue = 'troubled';
const mebibyte = 1_048_576;
/** What a poll beside bad neighbours may take, in times of what it takes alone, and beside what chance may cost. */
const mostTimes = 3;

let bed: ReliabilityBed;
before(async () => {
  const usual = usersOf('alone', 'warm', 'beside-drips', 'beside-many-drips', 'beside-hang', 'beside-busy');
  bed = await startReliabilityBed({ users: [...usual, 'hanging-1', 'hanging-2', 'throttled'] });
  bed.broker.createQueue({
    ...{ name: troubledQueue, maxMessageSizeBytes: mebibyte, duplicateDetectionWindowMs: 600_000 },
  });
  bed.host.startQueueListener();
});
afterEach(() => bed.restore());
after(() => bed.stop());

/** A mailbox with a large mail, which is streamed, and many small ones. */
const goodMails = (name: string) => [
  ...twoPartMails(name, 20, 5_000),
  ...twoPartMails(`${name} large`, 1, 2 * mebibyte),
];

/** Polls a new mailbox of good mails; gives how long that took. */
async function pollGood(kind: string, protocol: Protocol): Promise<number> {
  const name = userOf(kind, protocol);
  await bed.addMailbox(name, protocol, goodMails(name));
  const startedAtMs = performance.now();
  const state = await poll(name);
  assert.equal(state.lastError, '');
  assert.deepEqual(arrived(bed, name), [...eachOnce(name, 20), ...eachOnce(`${name} large`, 1)].sort());
  return performance.now() - startedAtMs;
}

/** Beside other runs: whatever else is ordered may go on. */
async function poll(name: string): Promise<Record<string, unknown>> {
  await bed.order(name);
  return await untilEnded(name);
}

async function untilEnded(name: string): Promise<Record<string, unknown>> {
  let state: Record<string, unknown> = {};
  await until(
    `the poll of ${name} ends`,
    async () => {
      state = await bed.state(name);
      return state.lastRunEndedAt !== undefined;
    },
    60_000,
  );
  return state;
}

async function isAtWork(name: string): Promise<boolean> {
  return (await bed.state(name)).lastStatus === 'running';
}

const usualMs: Partial<Record<Protocol, number>> = {};

function assertUsual(protocol: Protocol, tookMs: number): void {
  const mostMs = mostTimes * (usualMs[protocol] ?? 0) + 5_000;
  assert.ok(tookMs < mostMs, `${Math.round(tookMs)} ms; alone it took ${Math.round(usualMs[protocol] ?? 0)}`);
}

/** Mailboxes of the troubled queue, with mails of this size; the first has 40. */
async function fillTroubled(names: readonly string[], attachmentBytes: number): Promise<void> {
  for (const [index, name] of names.entries()) {
    const mails = twoPartMails(name, index === 0 ? 40 : 5, attachmentBytes);
    await bed.addMailbox(name, 'IMAP', mails, { queueName: troubledQueue });
    await bed.order(name);
  }
  await until('the troubled queue is sent to', () => bed.broker.queue(troubledQueue).transfers > 0, 30_000);
}

describe('a good mailbox ends in its usual time', () => {
  for (const protocol of protocols) {
    test(`alone, ${protocol}`, async () => {
      await pollGood('warm', protocol);
      usualMs[protocol] = await pollGood('alone', protocol);
    });
  }

  for (const count of [2, 8]) {
    test(`beside ${count} mailboxes whose large mails drip`, async (t) => {
      const drips: DrippingServer[] = [];
      for (let index = 0; index < count; index += 1) {
        const protocol = protocols[index % 2] ?? 'POP3';
        const server = await startDrippingServer(
          protocol,
          twoPartMails('drip', 2, 2.2 * mebibyte),
          () => 8_192,
        );
        t.after(() => server.stop());
        drips.push(server);
        const name = `drip-${count}-${index}`;
        await bed.addConnection(name, server.columns);
        await bed.order(name);
      }
      await until('all drip', () => drips.every(({ sentBytes }) => sentBytes() > 16_384), 30_000);
      for (const protocol of protocols) {
        assertUsual(protocol, await pollGood(count === 2 ? 'beside-drips' : 'beside-many-drips', protocol));
      }
      for (const [index] of drips.entries()) assert.ok(await isAtWork(`drip-${count}-${index}`));
    });
  }

  test('beside mailboxes of a queue that hangs', async () => {
    const names = ['hanging-1', 'hanging-2'];
    Object.assign(bed.broker.faults, { silentTransfers: true, onlyQueue: troubledQueue });
    // More than the instance may hold of one queue.
    await fillTroubled(names, 700_000);
    for (const protocol of protocols) assertUsual(protocol, await pollGood('beside-hang', protocol));
    for (const name of names) assert.ok(await isAtWork(name));
    Object.assign(bed.broker.faults, noFaults());
    // Nobody waits for what was never answered.
    bed.broker.dropConnections();
    for (const name of names) await untilEnded(name);
  });

  test('beside a mailbox of a queue that throttles', async () => {
    Object.assign(bed.broker.faults, { serverBusyTransfers: 1_000_000, onlyQueue: troubledQueue });
    await fillTroubled(['throttled'], 100_000);
    for (const protocol of protocols) assertUsual(protocol, await pollGood('beside-busy', protocol));
    assert.ok(await isAtWork('throttled'));
    Object.assign(bed.broker.faults, noFaults());
    assert.equal((await untilEnded('throttled')).lastError, '');
    assert.equal(bed.broker.queue(troubledQueue).duplicates, 0);
  });
});
