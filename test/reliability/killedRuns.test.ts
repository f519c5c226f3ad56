import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Protocol, protocols, queueName, userOf, usersOf } from '../app/testbed.ts';
import { listMaildir } from '../testbed/seed.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import {
  arrived,
  atFirstMessage,
  countUnsettled,
  cutOff,
  eachOnce,
  messagesOf,
  twoPartMails,
  until,
} from './mails.ts';

const mailCount = 30;

let bed: ReliabilityBed;
before(async () => {
  bed = await startReliabilityBed({ users: usersOf('unsettled', 'unrecorded', 'late', 'stored', 'unsent') });
});
after(() => bed.stop());

/** Polls in a child that is killed once `isTime` holds. */
async function killDuringPoll(name: string, isTime: () => boolean | Promise<boolean>): Promise<void> {
  await bed.order(name);
  try {
    await bed.withChild(async (child) => {
      void child.drainQueue().catch(() => undefined);
      await until(`the moment to kill the run on ${name}`, isTime);
    });
  } finally {
    await bed.restore();
  }
}

/** What a killed run has left is taken over; answers how many messages the next one sent. */
async function takeOver(name: string, protocol: Protocol): Promise<number> {
  await bed.letDie(name);
  const queue = bed.broker.queue(queueName);
  const before = queue.accepted + queue.duplicates;
  const state = await bed.poll(name);
  assert.equal(state.lastError, '');
  assert.equal(state.lastStatus, 'ok');
  assert.equal(await countUnsettled(bed, name, protocol), 0, 'every mail is settled');
  assert.deepEqual(await bed.remembered(name), [], 'nothing is left to settle');
  return queue.accepted + queue.duplicates - before;
}

for (const protocol of protocols) {
  describe(`${protocol}: a run is killed`, () => {
    test('between push and settle: the next one settles and sends nothing', async () => {
      const name = userOf('unsettled', protocol);
      await bed.addMailbox(name, protocol, []);
      // What an earlier run has said of it counts no more.
      const { cleanMailbox } = await bed.poll(name);
      assert.ok(cleanMailbox);
      await bed.addMailbox(name, protocol, twoPartMails(name, mailCount), { cleanMailbox });
      atFirstMessage(bed, name, () => bed.mail[protocol].dropAll('silence'));
      await killDuringPoll(name, async () => {
        if (messagesOf(bed, name).length < 2 * mailCount) return false;
        // What the next run reads is what counts, so that is what is waited for.
        return (await countRecorded(name)) === mailCount;
      });
      assert.ok((await countUnsettled(bed, name, protocol)) > 0);
      assert.equal(await takeOver(name, protocol), 0);
      assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount));
    });

    test('before it could record what it pushed: the repeats are dropped by duplicate detection', async () => {
      const name = userOf('unrecorded', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, mailCount));
      atFirstMessage(bed, name, () => {
        bed.storage.table.dropAll('silence');
        bed.storage.table.silenceNew(true);
        bed.mail[protocol].dropAll('silence');
      });
      await killDuringPoll(name, () => messagesOf(bed, name).length === 2 * mailCount);
      const { duplicates } = bed.broker.queue(queueName);
      assert.equal(await takeOver(name, protocol), 2 * mailCount);
      assert.equal(bed.broker.queue(queueName).duplicates - duplicates, 2 * mailCount);
      assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount));
    });

    test('while it settles what it could record a little later only: the next one settles and sends nothing', async (t) => {
      t.after(() => bed.dovecot.resume());
      const name = userOf('late', protocol);
      const columns = protocol === 'IMAP' ? { moveToFolder: 'Done' } : {};
      await bed.addMailbox(name, protocol, twoPartMails(name, 1), columns);
      const { bytes } = bed.mail[protocol];
      // So late that the fetch is over.
      bed.broker.faults.acceptDelayMs = 500;
      let toServer = Number.POSITIVE_INFINITY;
      atFirstMessage(bed, name, () => {
        bed.dovecot.pause();
        void cutOff(bed.storage.table);
        toServer = bytes.toServer;
      });
      await killDuringPoll(name, async () => {
        // It is told to settle the mail, and so the record has failed.
        if (bytes.toServer <= toServer) return false;
        await bed.storage.table.refuse(false);
        return (await countRecorded(name)) === 1;
      });
      bed.dovecot.resume();
      assert.equal(await takeOver(name, protocol), 0);
      assert.deepEqual(await listMaildir(bed.dovecot.maildir(name)), []);
      assert.deepEqual(arrived(bed, name), eachOnce(name, 1));
    });

    test('after it stored what it could not push: the next one settles, the retry delivers, all of it once', async () => {
      const name = userOf('stored', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 3));
      const { duplicates } = bed.broker.queue(queueName);
      // The refusal comes late enough for the mail server to fall silent before.
      Object.assign(bed.broker.faults, { quotaExceeded: true, acceptDelayMs: 500 });
      const before = bed.broker.queue(queueName).transfers;
      let isSilent = false;
      await killDuringPoll(name, async () => {
        if (bed.broker.queue(queueName).transfers === before) return false;
        if (!isSilent) bed.mail[protocol].dropAll('silence');
        isSilent = true;
        return (await bed.undelivered(name)).length === 3;
      });
      assert.ok((await countUnsettled(bed, name, protocol)) > 0);
      assert.equal(await takeOver(name, protocol), 0);
      await bed.retryDeliveries();
      assert.deepEqual(arrived(bed, name), eachOnce(name, 3));
      assert.deepEqual(await bed.undelivered(name), []);
      assert.equal(bed.broker.queue(queueName).duplicates, duplicates);
    });

    test('before Service Bus took anything: the next one sends all of it', async () => {
      const name = userOf('unsent', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, mailCount));
      bed.broker.faults.silentTransfers = true;
      const transfers = () => bed.broker.queue(queueName).transfers;
      const before = transfers();
      await killDuringPoll(name, () => transfers() > before);
      assert.deepEqual(arrived(bed, name), []);
      assert.equal(await takeOver(name, protocol), 2 * mailCount);
      assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount));
    });
  });
}

/** How many mails the killed run has recorded as delivered: 48 bytes each. */
async function countRecorded(name: string): Promise<number> {
  const rows = await bed.remembered(name);
  return rows.reduce((sum, { mails }) => sum + (mails instanceof Uint8Array ? mails.length / 48 : 0), 0);
}
