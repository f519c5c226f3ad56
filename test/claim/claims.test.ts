import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { mailsOf, openClaimedMailbox, take } from './mailbox.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

const [one, two, three] = mailsOf(3);
assert.ok(one && two && three);
const openMailbox = () => openClaimedMailbox(azurite);

describe('two runs at once', () => {
  test('of 300 mails each goes to just one of two runs that claim all of them in the same moment', async () => {
    const mailbox = await openMailbox();
    const mails = mailsOf(300);
    const runs = [mailbox.run('a'), mailbox.run('b', { held: false })];
    await Promise.all(runs.map((run) => run.begin(undefined)));
    const verdicts = await Promise.all(runs.map((run) => take(run, mails)));
    for (const index of mails.keys()) {
      const of = verdicts.map((each) => each[index]).sort();
      assert.deepEqual(of, ['mine', 'taken'], `mail ${index}`);
    }
  });

  test('of three runs that take overlapping ranges in steps none gets what another has', async () => {
    const mailbox = await openMailbox();
    const mails = mailsOf(120);
    const takers = new Map<number, Set<string>>();
    const drain = async (runId: string, order: readonly number[]) => {
      const run = mailbox.run(runId, { held: false });
      await run.begin(undefined);
      for (const from of order) {
        const step = mails.slice(from, from + 40);
        const verdicts = await run.take(step);
        for (const mail of step) {
          if (verdicts.get(mail) !== 'mine') continue;
          takers.set(mail.id, (takers.get(mail.id) ?? new Set()).add(runId));
        }
      }
    };
    await Promise.all([drain('a', [0, 40, 80]), drain('b', [80, 20, 0]), drain('c', [60, 40, 0, 80])]);
    assert.equal(takers.size, mails.length);
    assert.ok([...takers.values()].every(({ size }) => size === 1));
  });

  test('a mail that another live run has delivered and not settled yet is only settled', async () => {
    const mailbox = await openMailbox();
    const [a, b] = [mailbox.run('a'), mailbox.run('b', { held: false })];
    await a.begin(undefined);
    await a.take([one, two]);
    await a.markDelivered([one]);
    await b.begin(undefined);
    assert.deepEqual(await take(b, [one, two, three]), ['delivered', 'taken', 'mine']);
  });

  test('a mail that its run gave up can be taken', async () => {
    const mailbox = await openMailbox();
    const [a, b] = [mailbox.run('a'), mailbox.run('b', { held: false })];
    await a.begin(undefined);
    await a.take([one]);
    await b.begin(undefined);
    await a.free([one]);
    assert.deepEqual(await take(b, [one]), ['taken'], 'as read when b began');
    const c = mailbox.run('c', { held: false });
    await c.begin(undefined);
    assert.deepEqual(await take(c, [one]), ['mine']);
  });
});

describe('runs that died', () => {
  test('what a dead run had claimed is taken over, by one run only, and told from what is new', async () => {
    const mailbox = await openMailbox();
    const mails = mailsOf(150);
    const dead = mailbox.run('dead');
    await dead.begin(undefined);
    await dead.take(mails.slice(0, 120));
    mailbox.clock.minutes = 2.1;
    const runs = [mailbox.run('a'), mailbox.run('b', { held: false })];
    await Promise.all(runs.map((run) => run.begin(undefined)));
    const verdicts = await Promise.all(runs.map((run) => take(run, mails)));
    for (const index of mails.keys()) {
      const of = verdicts.map((each) => each[index]).sort();
      assert.deepEqual(of, [index < 120 ? 'orphaned' : 'mine', 'taken'].sort(), `mail ${index}`);
    }
  });

  test('what a dead run had delivered is only settled', async () => {
    const mailbox = await openMailbox();
    const dead = mailbox.run('dead');
    await dead.begin(undefined);
    await dead.take([one, two]);
    await dead.markDelivered([one]);
    mailbox.clock.minutes = 3;
    const next = mailbox.run('next');
    await next.begin([one, two]);
    assert.deepEqual(await take(next, [one, two]), ['delivered', 'orphaned']);
  });

  test('a run is not dead while it beats, nor before two minutes without a beat', async () => {
    const mailbox = await openMailbox();
    const alive = mailbox.run('alive');
    await alive.begin(undefined);
    await alive.take([one]);
    mailbox.clock.minutes = 1.9;
    const early = mailbox.run('early', { held: false });
    await early.begin(undefined);
    assert.deepEqual(await take(early, [one]), ['taken']);
    await early.end();
    await alive.beat();
    mailbox.clock.minutes = 3.8;
    const later = mailbox.run('later', { held: false });
    await later.begin(undefined);
    assert.deepEqual(await take(later, [one]), ['taken']);
  });

  test('a run that finds its row removed is told with its next beat', async () => {
    const mailbox = await openMailbox();
    const paused = mailbox.run('paused');
    await paused.begin(undefined);
    mailbox.clock.minutes = 3;
    await mailbox.run('next').begin(undefined);
    await assert.rejects(paused.beat(), { name: 'Failure', reason: 'storage' });
  });

  test('a run that comes back to life leaves alone what another has taken over from it', async () => {
    const mailbox = await openMailbox();
    const paused = mailbox.run('paused', { held: false });
    await paused.begin(undefined);
    await paused.take([one, two, three]);
    mailbox.clock.minutes = 3;
    const next = mailbox.run('next');
    await next.begin(undefined);
    await next.take([one, two, three]);
    await next.markDelivered([two]);
    await paused.free([one, two]);
    await paused.end();
    assert.deepEqual(await mailbox.rows(), [
      'claimed of next',
      'claimed of next',
      'delivered of next',
      'run next',
    ]);
  });
});

describe('tombstones: a list of candidates goes stale while another run settles', () => {
  test('an old run whose lease has ended finds what the new one settled, though it listed it before', async () => {
    const mailbox = await openMailbox();
    const old = mailbox.run('old', { held: false });
    await old.begin([one, two]);
    const next = mailbox.run('next');
    await next.begin([one, two]);
    await next.take([one, two]);
    await next.markDelivered([one, two]);
    await next.drop([one, two]);
    await next.end();
    assert.deepEqual(await take(old, [one, two]), ['delivered', 'delivered']);
  });

  test('a new run finds what the old one settled after the new one had listed it', async () => {
    const mailbox = await openMailbox();
    const old = mailbox.run('old', { held: false });
    await old.begin([one, two]);
    await old.take([one, two]);
    await old.markDelivered([one, two]);
    const next = mailbox.run('next');
    // It has listed both, and its row isn't written yet.
    await old.drop([one, two]);
    await old.end();
    await next.begin([one, two]);
    // With nobody else alive what is settled is forgotten; a list taken under the lease has no such mail.
    assert.deepEqual(await mailbox.rows(), ['run next']);
  });

  test('a run without its lease leaves tombstones, and so does one that sees another', async () => {
    const mailbox = await openMailbox();
    const lease = { held: true };
    const [a, b] = [mailbox.run('a', lease), mailbox.run('b', { held: false })];
    await a.begin(undefined);
    await b.begin(undefined);
    await a.take([one]);
    await a.drop([one]);
    assert.equal(await mailbox.statusOf(one), 'settled');
    await b.end();
    lease.held = false;
    await a.take([two]);
    await a.drop([two]);
    assert.equal(await mailbox.statusOf(two), 'settled');
    lease.held = true;
    await a.take([three]);
    await a.drop([three]);
    assert.equal(await mailbox.statusOf(three), undefined, 'alone and with the lease');
  });

  test('a lease that ends while the other runs are read leads to a tombstone', async () => {
    const mailbox = await openMailbox();
    let asked = 0;
    const lease = {
      get held() {
        asked += 1;
        return asked < 2;
      },
    };
    const run = mailbox.run('a', lease);
    const other = mailbox.run('b', { held: false });
    await other.begin(undefined);
    await run.begin(undefined);
    await other.end();
    asked = 0;
    await run.take([one]);
    await run.drop([one]);
    assert.equal(await mailbox.statusOf(one), 'settled');
  });

  test('tombstones are cleared by the next run that is alone', async () => {
    const mailbox = await openMailbox();
    const old = mailbox.run('old', { held: false });
    await old.begin(undefined);
    await old.take([one, two]);
    await old.drop([one, two]);
    await old.end();
    const next = mailbox.run('next');
    await next.begin([three]);
    await next.end();
    assert.deepEqual(await mailbox.rows(), []);
  });
});

describe('what is cleared', () => {
  test('claims on mails that are gone are removed when the list was complete', async () => {
    const mailbox = await openMailbox();
    const dead = mailbox.run('dead');
    await dead.begin(undefined);
    await dead.take([one, two, three]);
    await dead.markDelivered([one]);
    mailbox.clock.minutes = 3;
    await mailbox.run('cut').begin(undefined);
    assert.notEqual(await mailbox.statusOf(one), undefined, 'the list was cut');
    mailbox.clock.minutes = 6;
    const next = mailbox.run('next');
    await next.begin([three]);
    assert.deepEqual(await mailbox.rows(), ['claimed of dead', 'run next']);
  });

  test('no claim is removed while another run is alive, or without the lease', async () => {
    const mailbox = await openMailbox();
    const dead = mailbox.run('dead');
    await dead.begin(undefined);
    await dead.take([one]);
    mailbox.clock.minutes = 3;
    await mailbox.run('other').begin(undefined);
    await mailbox.run('next').begin([two]);
    assert.equal(await mailbox.statusOf(one), 'claimed');
    mailbox.clock.minutes = 6;
    await mailbox.run('late', { held: false }).begin([two]);
    assert.equal(await mailbox.statusOf(one), 'claimed');
  });

  test('a run leaves nothing when it ends, whatever became of its mails', async () => {
    const mailbox = await openMailbox();
    const run = mailbox.run('a');
    await run.begin([one, two, three]);
    await run.take([one, two, three]);
    await run.markDelivered([one]);
    await run.drop([one]);
    await run.free([two]);
    await run.end();
    assert.deepEqual(await mailbox.rows(), []);
  });

  test('what was delivered and not settled stays for the next run', async () => {
    const mailbox = await openMailbox();
    const run = mailbox.run('a');
    await run.begin([one, two]);
    await run.take([one, two]);
    await run.markDelivered([one]);
    await run.end();
    assert.deepEqual(await mailbox.rows(), ['delivered of a']);
    const next = mailbox.run('b');
    await next.begin([one, two]);
    assert.deepEqual(await take(next, [one, two]), ['delivered', 'mine']);
  });

  test('what was pushed while the table was away is recorded at the end, if it is back by then', async () => {
    const mailbox = await openMailbox();
    const run = mailbox.run('a');
    await run.begin([one, two, three]);
    for (const mail of [one, two, three]) await run.take([mail]);
    mailbox.table.isAway = true;
    await assert.rejects(run.markDelivered([one]), { reason: 'storage' });
    await assert.rejects(run.free([two]), { reason: 'storage' });
    mailbox.table.isAway = false;
    await run.end();
    assert.deepEqual(await mailbox.rows(), ['delivered of a']);
    assert.equal(await mailbox.statusOf(one), 'delivered');
  });

  test('a run that never began writes nothing', async () => {
    const mailbox = await openMailbox();
    const run = mailbox.run('a');
    await run.beat();
    await run.end();
    assert.equal(mailbox.requests.count, 1, 'the table');
  });
});

test('a thousand mails are claimed, delivered and dropped in transactions, not one write each', async () => {
  const mailbox = await openMailbox();
  const mails = mailsOf(1_000);
  const run = mailbox.run('a');
  await run.begin(mails);
  const before = mailbox.requests.count;
  await run.take(mails);
  assert.equal(mailbox.requests.count - before, 1);
  await run.markDelivered(mails);
  assert.equal(mailbox.requests.count - before, 2);
  await run.drop(mails);
  assert.equal(mailbox.requests.count - before, 4, 'and one look for other runs');
  await run.end();
  assert.deepEqual(await mailbox.rows(), []);
});
