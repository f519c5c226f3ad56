import assert from 'node:assert/strict';
import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { asPerson, type Protocol, protocols, queueName, userOf, usersOf } from '../app/testbed.ts';
import { listMaildir } from '../testbed/seed.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, countUnsettled, eachOnce, twoPartMails, until } from './mails.ts';

/** Of the bytes that 20 mails come with: in the login, the list, the fetch, the settle. */
const serverCuts = [600, 3_000, 25_000, 60_000, 68_000, 69_500];
const appCuts = Array.from({ length: 13 }, (_, index) => 20 + 30 * index);
const ends = [
  {
    user: 'cuts',
    whose: 'server',
    direction: 'toClient',
    mailsEach: 20,
    hows: ['rst', 'fin'],
    cuts: serverCuts,
  },
  { user: 'sent', whose: 'app', direction: 'toServer', mailsEach: 10, hows: ['rst'], cuts: appCuts },
] as const;

let bed: ReliabilityBed;
before(async () => {
  const users = usersOf('cuts', 'sent', 'unreadable', 'others');
  bed = await startReliabilityBed({ users: [...users, 'renumbered'] });
});
afterEach(() => bed.restore());
after(() => bed.stop());

/**
 * Does `change` once the run on `name` has listed its mails and before it fetches any: it says then that it is at
 * work, for which the way to the tables is slow.
 */
async function pollWithChange(
  name: string,
  protocol: Protocol,
  change: () => Promise<unknown>,
): Promise<Record<string, unknown>> {
  let sentBefore = Number.POSITIVE_INFINITY;
  const off = bed.mail[protocol].onConnection(() => {
    bed.storage.table.setDelay(1_500);
    sentBefore = bed.storage.table.bytes.toServer;
  });
  await bed.order(name);
  const polling = bed.host.drainQueue();
  try {
    await until('the run says that it is at work', () => bed.storage.table.bytes.toServer > sentBefore);
    assert.notEqual((await bed.state(name)).lastStatus, 'running', 'nothing was fetched yet');
    await change();
  } finally {
    off();
    bed.storage.table.setDelay(0);
  }
  await polling;
  return await bed.state(name);
}

for (const protocol of protocols) {
  describe(protocol, () => {
    for (const { user, whose, direction, mailsEach, hows, cuts } of ends) {
      test(`a connection that ends anywhere in what the ${whose} sends loses and repeats nothing`, async () => {
        const name = userOf(user, protocol);
        const { duplicates } = bed.broker.queue(queueName);
        let mails = 0;
        for (const how of hows) {
          for (const cut of cuts) {
            await bed.addMailbox(name, protocol, twoPartMails(name, mails + mailsEach).slice(mails));
            mails += mailsEach;
            bed.mail[protocol].cutAfterBytes(direction, cut, how);
            await bed.poll(name);
            await bed.mail[protocol].restore();
          }
        }
        assert.equal((await bed.poll(name)).lastStatus, 'ok');
        assert.deepEqual(arrived(bed, name), eachOnce(name, mails));
        assert.equal(await countUnsettled(bed, name, protocol), 0);
        assert.deepEqual(await bed.remembered(name), []);
        assert.equal(bed.broker.queue(queueName).duplicates, duplicates);
      });
    }

    test('a mail that can’t be fetched is left and reported after three runs; the rest goes on', async () => {
      const name = userOf('unreadable', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 5));
      const [, , bad] = await listMaildir(bed.dovecot.maildir(name));
      assert.ok(bad);
      await chmod(bad.file, 0o000);
      const errors: string[] = [];
      for (let run = 1; run <= 4; run += 1) errors.push(String((await bed.poll(name)).lastError));
      // Dovecot's POP3 says of such a mail that it is gone, as of one that someone removed: that is no error yet.
      assert.match(errors[0] ?? '', protocol === 'IMAP' ? /try 1 of 3/ : /^$/);
      assert.match(errors[1] ?? '', /try 2 of 3/);
      assert.match(errors[2] ?? '', /try 3 of 3; it was left/);
      assert.match(errors[3] ?? '', /could not be fetched in 3 runs in a row and was left/);
      const others = eachOnce(name, 5).filter((line) => !line.startsWith(`${name} 2:`));
      assert.deepEqual(arrived(bed, name), others);

      await bed.addMailbox(name, protocol, twoPartMails(name, 7).slice(5));
      await bed.poll(name);
      assert.equal(arrived(bed, name).length, 6, 'new mails arrive');
      const left = await listMaildir(bed.dovecot.maildir(name));
      assert.equal(left.filter(({ seen }) => !seen).length, 1, 'it lies where it was');
      assert.deepEqual(await bed.remembered(name), []);
    });

    test('mails that someone else removed after they were listed are no trouble', async () => {
      const name = userOf('others', protocol);
      await bed.addMailbox(name, protocol, twoPartMails(name, 10));
      const state = await pollWithChange(name, protocol, () =>
        asPerson(bed.dovecot, name, (client) => client.messageDelete('2:4', { uid: true })),
      );
      assert.equal(state.lastError, '');
      const gone = new RegExp(`^${name} [123]:`);
      assert.deepEqual(
        arrived(bed, name),
        eachOnce(name, 10).filter((line) => !gone.test(line)),
      );
      assert.equal(await countUnsettled(bed, name, protocol), 0);
      assert.deepEqual(await bed.remembered(name), []);
    });
  });
}

test('IMAP: a UIDVALIDITY that changes between runs repeats nothing that was settled', async () => {
  const name = 'renumbered';
  await bed.addMailbox(name, 'IMAP', twoPartMails(name, 5));
  await bed.poll(name);
  const maildir = bed.dovecot.maildir(name);
  for (const file of await readdir(maildir)) {
    if (file.startsWith('dovecot')) await rm(join(maildir, file), { recursive: true });
  }
  await bed.addMailbox(name, 'IMAP', twoPartMails(name, 8).slice(5));
  const state = await bed.poll(name);
  assert.equal(state.lastMailCount, 3);
  assert.deepEqual(arrived(bed, name), eachOnce(name, 8));
});
