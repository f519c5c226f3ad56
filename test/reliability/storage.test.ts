import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { protocols, queueName, userOf, usersOf } from '../app/testbed.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, atFirstMessage, countUnsettled, cutOff, eachOnce, twoPartMails, until } from './mails.ts';

let bed: ReliabilityBed;
before(async () => {
  const users = usersOf('before', 'records', 'pause', 'end', 'both');
  bed = await startReliabilityBed({ users: [...users, 'lease'] });
});
afterEach(() => bed.restore());
after(() => bed.stop());

function sent(): number {
  const { accepted, duplicates } = bed.broker.queue(queueName);
  return accepted + duplicates;
}

for (const protocol of protocols) {
  describe(protocol, () => {
    test('away before: the run fails, no mail is touched, and the next one brings all', async () => {
      const name = userOf('before', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 5));
      const connections = bed.mail[protocol].connections.total;
      await cutOff(bed.storage.table);
      await bed.order(name);
      // What can't be written is thrown: the host tries the order again, and puts it aside after five times.
      const { failed } = await bed.host.drainQueue();
      assert.ok(failed > 0);
      assert.equal(bed.mail[protocol].connections.total, connections, 'the mail server was not asked');
      await bed.restore();
      assert.equal((await bed.poll(name)).lastStatus, 'ok');
      assert.deepEqual(arrived(bed, name), eachOnce(name, 5));
    });

    test('the tables away from the first push on: what was pushed is settled and never sent again', async () => {
      const name = userOf('records', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 20));
      const before = sent();
      atFirstMessage(bed, name, () => cutOff(bed.storage.table));
      await bed.order(name);
      await bed.host.drainQueue();
      const pushed = (sent() - before) / 2;
      assert.ok(pushed > 0);
      assert.equal(await countUnsettled(bed, name, protocol), 20 - pushed, 'what was pushed is settled');
      await bed.restore();
      await bed.letDie(name);
      // What the dead run has left goes with the next one that has mail.
      await bed.addMailbox(name, protocol, twoPartMails(name, 21).slice(20));
      await bed.poll(name);
      assert.deepEqual(arrived(bed, name), eachOnce(name, 21));
      assert.equal(sent() - before, 42);
      assert.deepEqual(await bed.remembered(name), []);
    });

    test('silent for a while in the middle: it is waited for', async () => {
      const name = userOf('pause', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 20));
      const before = sent();
      atFirstMessage(bed, name, () => bed.azurite.pause());
      const waker = setTimeout(() => bed.azurite.resume(), 1_500);
      const state = await bed.poll(name);
      clearTimeout(waker);
      assert.equal(state.lastStatus, 'ok');
      assert.deepEqual(arrived(bed, name), eachOnce(name, 20));
      assert.equal(sent() - before, 40);
      assert.deepEqual(await bed.remembered(name), []);
    });

    test('the tables away and the mail server too, just after the push: at most a dropped repeat', async () => {
      const name = userOf('both', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 10));
      const before = sent();
      atFirstMessage(bed, name, () => {
        void cutOff(bed.storage.table);
        bed.mail[protocol].dropAll('rst');
      });
      await bed.order(name);
      await bed.host.drainQueue();
      assert.ok(sent() > before);
      await bed.restore();
      await bed.letDie(name);
      await bed.addMailbox(name, protocol, twoPartMails(name, 11).slice(10));
      await bed.poll(name);
      assert.deepEqual(arrived(bed, name), eachOnce(name, 11));
      assert.equal(await countUnsettled(bed, name, protocol), 0);
      assert.deepEqual(await bed.remembered(name), []);
    });

    test('blobs away at the end: the outcome is written and the lease lapses by itself', async () => {
      const name = userOf('end', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 5));
      atFirstMessage(bed, name, () => cutOff(bed.storage.blob));
      const state = await bed.poll(name);
      assert.equal(state.lastStatus, 'ok');
      assert.deepEqual(arrived(bed, name), eachOnce(name, 5));
      assert.equal(await countUnsettled(bed, name, protocol), 0);
    });
  });
}

test('an order whose lease can’t be asked for leaves the columns to the run that is at work', async () => {
  const name = 'lease';
  await bed.addMailbox(name, 'IMAP', twoPartMails(name, 5));
  bed.broker.faults.acceptDelayMs = 6_000;
  await bed.order(name);
  const drained = bed.host.drainQueue();
  await until('the run is at work', async () => (await bed.state(name)).lastStatus === 'running');
  const { runId } = await bed.state(name);
  await cutOff(bed.storage.blob);
  await bed.order(name);
  const alsoDrained = bed.host.drainQueue();
  await until('the second order has failed', () =>
    bed.host.logs.some(({ message }) => message.includes(`Poll of acme/${name} failed: Storage at`)),
  );
  await bed.storage.blob.refuse(false);
  await Promise.all([drained, alsoDrained]);
  const state = await bed.state(name);
  assert.deepEqual([state.runId, state.lastStatus, state.lastMailCount], [runId, 'ok', 5]);
});
