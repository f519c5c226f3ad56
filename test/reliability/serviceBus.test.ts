import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { type Protocol, protocols, queueName, userOf, usersOf } from '../app/testbed.ts';
import { listMaildir } from '../testbed/seed.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, countUnsettled, cutOff, eachOnce, messagesOf, twoPartMails } from './mails.ts';

let bed: ReliabilityBed;
before(async () => {
  const perProtocol = usersOf('disabled', 'refused', 'full', 'partly', 'lost', 'left');
  bed = await startReliabilityBed({ users: [...perProtocol, 'busy', 'slow', 'missing', 'gone'] });
});
afterEach(() => bed.restore());
after(() => bed.stop());

/** Dovecot flags a mail as read when POP3 has fetched it. */
async function isThere(name: string, count: number, protocol: Protocol): Promise<boolean> {
  const mails = await listMaildir(bed.dovecot.maildir(name));
  return (
    mails.length === count && mails.every(({ seen, deleted }) => !deleted && (!seen || protocol === 'POP3'))
  );
}

/** Ends with a failure whose sentence matches, and due at the next minute. */
function assertFailed(state: Record<string, unknown>, sentence: RegExp): void {
  assert.equal(state.lastStatus, 'failed');
  assert.match(String(state.lastError), sentence);
  assert.ok(new Date(String(state.nextRunAt)).getTime() - Date.now() <= 60_000, 'due at the next minute');
}

describe('away before the run: no mail is fetched, none is touched', () => {
  for (const protocol of protocols) {
    const cases = [
      ['disabled', { entityDisabled: true }, /disabled/],
      ['refused', { refuseCredentials: true }, /refused access/],
    ] as const;
    for (const [kind, faults, sentence] of cases) {
      test(`${kind}, ${protocol}`, async () => {
        const name = userOf(kind, protocol);
        const mails = twoPartMails(name, 5, 100_000);
        await bed.addMailbox(name, protocol, mails, { pollingIntervalSeconds: 3_600 });
        const before = bed.mail[protocol].bytes.toClient;
        Object.assign(bed.broker.faults, faults);
        // The service detaches the links of a queue that is disabled, or whose senders it no longer admits.
        bed.broker.dropConnections();
        assertFailed(await bed.poll(name), sentence);
        assert.ok(bed.mail[protocol].bytes.toClient - before < 20_000, 'nothing was fetched');
        assert.ok(await isThere(name, 5, protocol));
        assert.deepEqual(await bed.remembered(name), []);

        await bed.restore();
        assert.equal((await bed.poll(name)).lastStatus, 'ok');
        assert.deepEqual(arrived(bed, name), eachOnce(name, 5));
      });
    }
  }

  test('a queue that does not exist', async () => {
    await bed.addMailbox('missing', 'IMAP', twoPartMails('missing', 2), { queueName: 'no-such-queue' });
    assertFailed(await bed.poll('missing'), /no-such-queue doesn't exist/);
    assert.ok(await isThere('missing', 2, 'IMAP'));
  });

  test('nothing listens: the run fails within the limit of opening', async () => {
    await bed.addMailbox('gone', 'IMAP', twoPartMails('gone', 2));
    await bed.broker.stop();
    try {
      const startedMs = performance.now();
      assertFailed(await bed.poll('gone'), /refused the connection/);
      assert.ok(performance.now() - startedMs < 30_000);
      assert.ok(await isThere('gone', 2, 'IMAP'));
    } finally {
      await bed.broker.restart();
    }
    assert.equal((await bed.poll('gone')).lastStatus, 'ok');
    assert.deepEqual(arrived(bed, 'gone'), eachOnce('gone', 2));
  });
});

describe('away in the middle: what was fetched is stored and settled, and delivered later', () => {
  for (const protocol of protocols) {
    test(`nothing of it was accepted, ${protocol}`, async () => {
      const name = userOf('full', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 20));
      const { duplicates } = bed.broker.queue(queueName);
      bed.broker.faults.quotaExceeded = true;
      const state = await bed.poll(name);
      assertFailed(state, /is full/);
      assert.equal(state.lastMailAt, undefined, 'none was delivered');
      assert.deepEqual(arrived(bed, name), []);
      const stored = await bed.undelivered(name);
      assert.ok(stored.length > 0);
      const left = await countUnsettled(bed, name, protocol);
      assert.equal(left, 20 - stored.length, 'what was not stored is as it was');
      assert.deepEqual(await bed.remembered(name), []);

      await bed.restore();
      await bed.retryDeliveries();
      await bed.poll(name);
      assert.deepEqual(arrived(bed, name), eachOnce(name, 20));
      assert.equal(bed.broker.queue(queueName).duplicates, duplicates);
      assert.equal(await countUnsettled(bed, name, protocol), 0);
      assert.deepEqual(await bed.undelivered(name), []);
    });

    test(`a part of a mail was accepted: only the rest is stored, ${protocol}`, async () => {
      const name = userOf('partly', protocol);
      // Its parts are too large to share a transfer, so that the first is accepted by itself.
      await bed.addMailbox(name, protocol, twoPartMails(name, 1, 700_000));
      const { duplicates } = bed.broker.queue(queueName);
      const off = bed.broker.queue(queueName).onMessage(() => {
        bed.broker.faults.quotaExceeded = true;
      });
      const state = await bed.poll(name);
      assertFailed(state, /is full/);
      assert.ok(state.lastMailAt);
      off();
      const sent = messagesOf(bed, name);
      assert.equal(sent.length, 1);
      const [record] = await bed.undelivered(name);
      assert.equal(record?.partsLeft, 1);
      assert.equal(record?.partCount, 2);
      assert.equal(await countUnsettled(bed, name, protocol), 0);

      await bed.restore();
      await bed.retryDeliveries();
      assert.deepEqual(arrived(bed, name), eachOnce(name, 1));
      assert.equal(bed.broker.queue(queueName).duplicates, duplicates, 'nothing was sent twice');
    });

    test(`the undelivered store is away too: the mail stays, unclaimed, ${protocol}`, async () => {
      const name = userOf('left', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 3));
      bed.broker.faults.quotaExceeded = true;
      const { transfers } = bed.broker.queue(queueName);
      const off = bed.mail[protocol].onConnection(() => cutOff(bed.storage.blob));
      const state = await bed.poll(name);
      assertFailed(state, /./);
      // What could not be stored may have been: then it is the retry's, and the next run's to settle.
      assert.equal(state.cleanMailbox, '');
      off();
      assert.ok(bed.broker.queue(queueName).transfers > transfers, 'it was tried');
      assert.ok(await isThere(name, 3, protocol));
      assert.deepEqual(await bed.remembered(name), []);

      await bed.restore();
      // The run could not give its lease back, which lapses by itself.
      await bed.breakLease(name);
      assert.equal((await bed.poll(name)).lastStatus, 'ok');
      assert.deepEqual(arrived(bed, name), eachOnce(name, 3));
    });

    test(`accepted, and the connection lost before it said so: the repeat is dropped, ${protocol}`, async () => {
      const name = userOf('lost', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 10));
      const { duplicates } = bed.broker.queue(queueName);
      bed.broker.faults.loseDispositionTransfers = 1;
      assert.equal((await bed.poll(name)).lastStatus, 'ok');
      assert.deepEqual(arrived(bed, name), eachOnce(name, 10));
      assert.ok(bed.broker.queue(queueName).duplicates > duplicates, 'it was sent twice and dropped once');
      assert.deepEqual(await bed.undelivered(name), []);
    });
  }
});

describe('in trouble, but there', () => {
  test('throttling is waited out', async () => {
    await bed.addMailbox('busy', 'IMAP', twoPartMails('busy', 10));
    bed.broker.faults.serverBusyTransfers = 3;
    assert.equal((await bed.poll('busy')).lastStatus, 'ok');
    assert.deepEqual(arrived(bed, 'busy'), eachOnce('busy', 10));
  });

  test('a slow queue is waited for, with one transfer after the other', async () => {
    await bed.addMailbox('slow', 'POP3', twoPartMails('slow', 10));
    bed.broker.faults.acceptDelayMs = 400;
    assert.equal((await bed.poll('slow')).lastStatus, 'ok');
    assert.deepEqual(arrived(bed, 'slow'), eachOnce('slow', 10));
  });
});
