import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { HostProcess } from '../testbed/host/hostProcess.ts';
import { listMaildir } from '../testbed/seed.ts';
import { type Protocol, queueName, type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, eachOnce, messagesOf, twoPartMails, until } from './mails.ts';

const protocols: readonly Protocol[] = ['IMAP', 'POP3'];
const mailCount = 300;

let bed: ReliabilityBed;
let children: HostProcess[];
before(async () => {
  bed = await startReliabilityBed({ users: ['overlap-imap', 'overlap-pop3', 'budget', 'locked'] });
  children = await Promise.all([bed.startChild(), bed.startChild({ POLL_TIME_BUDGET_SECONDS: '3' })]);
});
afterEach(() => bed.restore());
after(async () => {
  await Promise.all(children.map((child) => child.stop()));
  await bed.stop();
});

for (const protocol of protocols) {
  test(`${protocol}: two runs at work on one mailbox push every mail once between them`, async () => {
    const name = `overlap-${protocol.toLowerCase()}`;
    await bed.addMailbox(name, protocol, twoPartMails(name, mailCount, 3_000));
    const [child] = children;
    assert.ok(child);
    const { duplicates } = bed.broker.queue(queueName);
    bed.broker.faults.acceptDelayMs = 50;
    await bed.order(name);
    const first = child.drainQueue();
    await until('the first run is at work', () => messagesOf(bed, name).length > 0);
    // The interval is over: the first run works on without its lease, and the next one begins.
    await bed.breakLease(name);
    const { runId } = await bed.state(name);
    await bed.order(name);
    const second = bed.host.drainQueue();
    await until('the second run has begun', async () => (await bed.state(name)).runId !== runId);
    const more = twoPartMails(name, mailCount + 20, 3_000).slice(mailCount);
    await bed.addMailbox(name, protocol, more);
    await Promise.all([first, second]);
    bed.broker.faults.acceptDelayMs = 0;
    const state = await bed.poll(name);
    assert.equal(state.lastError, '');
    assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount + 20));
    assert.equal(bed.broker.queue(queueName).duplicates, duplicates, 'nothing was pushed twice');
    const left = await listMaildir(bed.dovecot.maildir(name));
    assert.ok(left.every(({ seen }) => seen) && (protocol === 'IMAP' || left.length === 0));
    // What the two have left as tombstones goes with the next run that has mail.
    await bed.addMailbox(name, protocol, twoPartMails(name, mailCount + 21).slice(mailCount + 20));
    await bed.poll(name);
    assert.deepEqual(await bed.claims(name), []);
  });
}

test('a run whose time is up ends well, is due at the next minute whatever its interval, and goes on', async () => {
  const [, child] = children;
  assert.ok(child);
  await bed.addMailbox('budget', 'IMAP', twoPartMails('budget', 900, 20_000), {
    pollingIntervalSeconds: 3_600,
  });
  bed.broker.faults.acceptDelayMs = 1_000;
  await bed.order('budget');
  await child.drainQueue();
  const state = await bed.state('budget');
  assert.equal(state.lastStatus, 'ok');
  assert.equal(state.lastError, '');
  const mails = Number(state.lastMailCount);
  assert.ok(mails > 0 && mails < 900, `${mails} mails`);
  assert.ok(new Date(String(state.nextRunAt)).getTime() - Date.now() <= 60_000);
  assert.deepEqual(await bed.claims('budget'), []);

  await bed.restore();
  const next = await bed.poll('budget');
  assert.equal(next.lastMailCount, 900 - mails);
  assert.ok(new Date(String(next.nextRunAt)).getTime() - Date.now() > 60_000);
  assert.deepEqual(arrived(bed, 'budget'), eachOnce('budget', 900));
});

test('with the process lock, a run keeps its lease past its interval', async () => {
  await bed.addMailbox('locked', 'IMAP', twoPartMails('locked', 10), { useProcessLock: true });
  const [child] = children;
  assert.ok(child);
  bed.broker.faults.acceptDelayMs = 1_000;
  await bed.order('locked');
  const first = child.drainQueue();
  await until('the first run is at work', () => messagesOf(bed, 'locked').length > 0);
  const { runId } = await bed.state('locked');
  const other = await bed.poll('locked');
  assert.equal(other.runId, runId, 'the other was skipped');
  await first;
  assert.deepEqual(arrived(bed, 'locked'), eachOnce('locked', 10));
});
