import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { queueName } from '../app/testbed.ts';
import { twoPartMails, until } from '../reliability/mails.ts';
import { type DrippingServer, startDrippingServer } from '../reliability/slowServers.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { SettableClock, startPollingBed } from './pollingBed.ts';

const budgetSeconds = 8;
const otherQueue = 'other';

const bed = await startPollingBed(['hog-1', 'hog-2'], { POLL_TIME_BUDGET_SECONDS: String(budgetSeconds) });
bed.broker.createQueue({ name: otherQueue, maxMessageSizeBytes: 1_048_576 });
await bed.addMailbox('hog-1', 'IMAP', twoPartMails('hog-1', 40, 700_000));
await bed.addMailbox('hog-2', 'IMAP', twoPartMails('hog-2', 40, 700_000), { queueName: otherQueue });
afterEach(() => {
  Object.assign(bed.broker.faults, noFaults());
  bed.broker.dropConnections();
});
after(() => bed.stop());

/** A mailbox whose second mail finds no memory left. */
const waiterMails = (name: string) => [
  ...twoPartMails(name, 1, 20_000),
  ...twoPartMails(`${name} second`, 1, 700_000),
];

/** Two mailboxes of queues that hang take all the memory there is; gives the end of their polls. */
async function fillMemory(poll: (name: string) => Promise<unknown>): Promise<{ ended: Promise<unknown> }> {
  bed.broker.faults.silentTransfers = true;
  const queues = [queueName, otherQueue].map((name) => bed.broker.queue(name));
  const ended = Promise.all(['hog-1', 'hog-2'].map(poll));
  // Eight MiB of each queue go to the wire; the rest waits behind.
  const hang = () => queues.reduce((sum, { transfers }) => sum + transfers, 0) >= 20;
  await until('both queues hang', hang, 1_500 * budgetSeconds);
  return { ended };
}

test('a run that waits for memory heeds its time and its lease, and no mail is blamed for it', async (t) => {
  let bytesPerSecond = 1_024;
  const servers = new Map<string, DrippingServer>();
  const poll = await bed.openInstance({ leaseSeconds: 60, renewMs: 1_000, clock: new SettableClock() });
  const startedAtMs = performance.now();
  const timed = async (name: string) => {
    const state = await poll(name);
    return { ...state, tookMs: performance.now() - startedAtMs } as Record<string, unknown>;
  };
  const polls = ['late-imap', 'late-pop3', 'leaseless'].map(async (name) => {
    const protocol = name === 'late-imap' ? 'IMAP' : 'POP3';
    const server = await startDrippingServer(protocol, waiterMails(name), () => bytesPerSecond);
    t.after(() => server.stop());
    servers.set(name, server);
    await bed.addConnection(name, server.columns);
    return await timed(name);
  });
  await until(
    'their first mails come',
    () => servers.size === 3 && [...servers.values()].every(({ sentBytes }) => sentBytes() > 2_048),
  );
  const hogs = await fillMemory(poll);
  bytesPerSecond = 131_072;
  await until('the first mails are there', () =>
    [...servers.values()].every(({ sentBytes }) => sentBytes() > 27_000),
  );
  await bed.lease('leaseless').breakLease(0);
  const brokenAtMs = performance.now();
  const [imap, pop3, leaseless] = await Promise.all(polls);
  assert.match(String(leaseless?.lastError), /lease of this poll could not be renewed/);
  assert.ok(Number(leaseless?.tookMs) - (brokenAtMs - startedAtMs) < 8_000, `${leaseless?.tookMs} ms`);
  for (const state of [imap, pop3]) {
    assert.equal(state?.lastStatus, 'failed');
    assert.match(String(state?.lastError), /more than twice POLL_TIME_BUDGET_SECONDS/);
    assert.ok(Number(state?.tookMs) < 2_000 * budgetSeconds + 8_000, `${state?.tookMs} ms`);
    assert.equal(state?.unfetchable ?? '', '', 'it was not the mail that took so long');
  }
  await hogs.ended;
});
