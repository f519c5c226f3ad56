import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({ users: ['locked', 'stuck'] });
});
after(() => bed.stop());

const mails = Array.from({ length: 20 }, (_, index) =>
  Buffer.from(`Subject: ${index}\r\n\r\nMail ${index}\r\n`),
);

test('of two runs at once on one mailbox one works and one is skipped, consuming nothing', async () => {
  await bed.addMailbox('locked', 'IMAP', mails, { useProcessLock: true });
  bed.broker.faults.acceptDelayMs = 300;
  try {
    await bed.pollTogether(['locked', 'locked']);
  } finally {
    bed.broker.faults.acceptDelayMs = 0;
  }
  const state = await bed.state('locked');
  assert.equal(state.lastStatus, 'ok');
  assert.equal(state.lastMailCount, mails.length);
  assert.equal(bed.broker.queue('email-inbound').messages.length, mails.length);
  assert.equal(bed.host.logs.filter(({ message }) => /acme\/locked skipped/.test(message)).length, 1);
});

test('a skipped run leaves the columns of a live run alone', async () => {
  const live = {
    lastStatus: 'running',
    runId: 'another',
    heartbeatAt: new Date().toISOString(),
    nextRunAt: '2030-01-01T00:00:00.000Z',
  };
  await bed.addConnection('live', { ...mailboxColumns(bed.dovecot, 'IMAP', 'locked'), ...live });
  await bed.poll('live');
  const lease = bed.lease('live');
  await bed.setColumns('live', { ...live, heartbeatAt: new Date().toISOString() });
  await lease.acquireLease(60);
  const state = await bed.poll('live');
  await lease.releaseLease();
  assert.equal(state.lastStatus, 'running');
  assert.equal(state.runId, 'another');
  assert.equal(state.nextRunAt, live.nextRunAt);
});

test('a run that finds the lease taken is skipped and due the next minute; one that nobody gives back is named after ten minutes, with how to break it, and counts as failing', async () => {
  await bed.addMailbox('stuck', 'IMAP', [], { pollingIntervalSeconds: 3600 });
  await bed.poll('stuck');
  await seedMaildir(bed.dovecot.maildir('stuck'), mails);
  const sent = bed.broker.queue('email-inbound').accepted;
  // Infinite, as taken by hand; it can be taken, since a finished run has released it.
  const lease = bed.lease('stuck');
  await lease.acquireLease(-1);
  const early = await bed.poll('stuck');
  assert.equal(early.lastStatus, 'skipped');
  assert.ok(new Date(String(early.nextRunAt)).getTime() - Date.now() <= 60_000);
  assert.equal(early.lastError, '');
  assert.match(String(early.skippedSince), /^\d{4}-/);
  const elevenMinutesAgo = new Date(Date.now() - 660_000).toISOString();
  await bed.setColumns('stuck', { skippedSince: elevenMinutesAgo });
  const late = await bed.poll('stuck');
  assert.equal(late.lastStatus, 'skipped');
  assert.match(String(late.lastError), /email-leases\/acme\/stuck .*az storage blob lease break/);
  assert.equal(late.consecutiveFailures, 1);
  assert.equal(bed.broker.queue('email-inbound').accepted, sent);
  await lease.releaseLease();
  const after = await bed.poll('stuck');
  assert.equal(after.lastStatus, 'ok');
  assert.equal(after.skippedSince, '');
  assert.equal(after.lastError, '');
  assert.equal(after.consecutiveFailures, 0);
});
