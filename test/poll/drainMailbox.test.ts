import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Failure } from '../../shared/failure/failure.ts';
import { Troubles } from '../../shared/poll/troubles.ts';
import { drainBed, limits, numbers, storageAway } from './fakes.ts';

describe('a run takes no further mail', () => {
  test('when its lease is lost in the middle; what it has fetched is pushed and settled', async () => {
    const bed = drainBed(40);
    bed.mailbox.onFetched = (id) => {
      if (id === 15) bed.lease = 'lost';
    };
    const result = await bed.drain();
    assert.equal(result.failure?.reason, 'storage');
    assert.match(result.failure?.message ?? '', /lease or heartbeat/);
    assert.deepEqual(bed.pushed, numbers(1, 15));
    assert.deepEqual(bed.mailbox.mails, numbers(16, 40));
    assert.equal(bed.mailbox.events.includes('fetch 16'), false);
  });

  test('when its heartbeat has failed for long: others may take it for dead', async () => {
    const bed = drainBed(40);
    bed.mailbox.onFetched = (id) => {
      if (id === 3) bed.heartbeatFails = true;
    };
    const result = await bed.drain();
    assert.equal(result.failure?.reason, 'storage');
    assert.deepEqual(bed.pushed, numbers(1, 3));
  });

  test('when its time is up, which is no failure, and it says that there is more', async () => {
    const bed = drainBed(40);
    let isUp = false;
    bed.isOverBudget = () => isUp;
    bed.mailbox.onFetched = (id) => {
      isUp = id >= 25;
    };
    const result = await bed.drain();
    assert.equal(result.failure, undefined);
    assert.equal(result.unfinished, true);
    assert.equal(result.mails, 25);
    assert.deepEqual(bed.mailbox.mails, numbers(26, 40));
  });

  test('when a mail could not be pushed; the mail is settled if it was stored, and freed if not', async () => {
    for (const kind of ['stored', 'left'] as const) {
      const bed = drainBed(40);
      const failure = new Failure('delivery', 'The queue is full.');
      bed.outcome = (id) => (id === 5 ? { kind, messages: 0, failure } : { kind: 'pushed', messages: 1 });
      const result = await bed.drain();
      assert.equal(result.failure, failure);
      assert.equal(bed.mailbox.mails.includes(5), kind === 'left');
      assert.equal(bed.claimCalls.includes('free 5'), kind === 'left');
      assert.ok(bed.mailbox.mails.length >= 30, 'no mail of another fetch was taken');
    }
  });

  test('when a large part can’t be kept: the mail stays, unclaimed', async () => {
    const bed = drainBed(40);
    bed.prepareFailure = (id) => (id === 2 ? storageAway : undefined);
    const result = await bed.drain();
    assert.equal(result.failure, storageAway);
    assert.ok(bed.mailbox.mails.includes(2));
    assert.ok(bed.claimCalls.includes('free 2'));
  });
});

test('a mail’s memory is given back once it is taken apart, unless its parts lie in it or it can’t be', async () => {
  const apart = drainBed(3);
  await apart.drain();
  assert.equal(apart.givenBack.length, 3);

  const shared = drainBed(3);
  shared.sharesMemory = true;
  await shared.drain();
  assert.deepEqual(shared.givenBack, []);

  const failing = drainBed(1);
  failing.prepareFailure = () => storageAway;
  await failing.drain();
  assert.deepEqual(failing.givenBack, []);
});

test('the outlet is closed while the last session ends, and not before', async () => {
  for (const protocol of ['imap', 'pop3'] as const) {
    const bed = drainBed(45, protocol);
    await bed.drain();
    const ends = bed.mailbox.events.filter((event) => /closed/.test(event));
    const before = ends.slice(0, ends.indexOf('outlet closed'));
    assert.deepEqual(ends, [...before, 'outlet closed', 'closed']);
    assert.equal(before.length, protocol === 'imap' ? 0 : 2);
  }
});

test('a session is asked to end while it settles its last mails, so that both can take one round trip', async () => {
  for (const protocol of ['imap', 'pop3'] as const) {
    const bed = drainBed(3, protocol);
    await bed.drain();
    const end = bed.mailbox.events.filter((event) => !/^(open|fetch|outlet)/.test(event));
    assert.deepEqual(end, ['settle 1', 'settle 2', 'settle 3', 'closing', 'settled', 'closed']);
  }
});

test('a lease that ended by its interval stops nothing', async () => {
  const bed = drainBed(120);
  bed.mailbox.onFetched = () => {
    bed.lease = 'ended';
  };
  const result = await bed.drain();
  assert.equal(result.failure, undefined);
  assert.equal(result.mails, 120);
});

test('a run whose lease ended before its row was written takes its list anew', async () => {
  const bed = drainBed(5);
  bed.onBegin = () => {
    bed.lease = 'ended';
    // What the next holder of the lease has settled meanwhile, claims and all.
    bed.mailbox.mails = [4, 5];
  };
  const result = await bed.drain();
  assert.deepEqual(bed.pushed, [4, 5]);
  assert.equal(result.mails, 2);
  assert.equal(bed.claimCalls.filter((call) => call.startsWith('begin')).length, 1);
});

test('mails that another live run has claimed are left; those it has delivered are settled and not counted', async () => {
  const bed = drainBed(6);
  bed.verdict = (id) => (id % 3 === 0 ? 'taken' : id % 3 === 1 ? 'delivered' : 'mine');
  const result = await bed.drain();
  assert.deepEqual(bed.pushed, [2, 5]);
  assert.deepEqual(bed.mailbox.mails, [3, 6]);
  assert.equal(result.mails, 2);
  assert.equal(result.failure, undefined);
});

test('POP3: a session whose end is not confirmed keeps its claims, and the run says so', async () => {
  const bed = drainBed(5, 'pop3');
  bed.mailbox.isConfirmed = false;
  const result = await bed.drain();
  assert.equal(result.failure?.reason, 'connection-lost');
  assert.equal(result.mails, 5, 'they are on the queue');
  assert.ok(bed.claimCalls.some((call) => call.startsWith('delivered')));
  assert.equal(
    bed.claimCalls.some((call) => call.startsWith('drop')),
    false,
  );
});

test('POP3: a long mailbox is drained in several sessions, so that not all deletes are at risk', async () => {
  const bed = drainBed(3 * limits.pop3SessionMails, 'pop3');
  const result = await bed.drain();
  assert.equal(result.mails, 60);
  assert.equal(bed.mailbox.events.filter((event) => event === 'open').length, 3);
  assert.deepEqual(bed.mailbox.mails, []);
});

test('a mail whose delivery can’t be recorded is settled all the same, which keeps it from going twice', async () => {
  const bed = drainBed(5);
  bed.markFailure = storageAway;
  const result = await bed.drain();
  assert.equal(result.failure, storageAway);
  assert.ok(bed.pushed.length > 0);
  assert.ok(bed.pushed.every((id) => !bed.mailbox.mails.includes(id)));
});

test('a mail that can’t be settled keeps its claim as delivered', async () => {
  const bed = drainBed(3);
  bed.mailbox.settleFailure = new Failure('connection-lost', 'The server is gone.');
  const result = await bed.drain();
  assert.equal(result.failure?.reason, 'connection-lost');
  assert.ok(bed.claimCalls.includes('delivered 1 2 3') || bed.claimCalls.includes('delivered 1'));
  assert.equal(
    bed.claimCalls.some((call) => /^(drop|free) \d/.test(call)),
    false,
  );
});

describe('large mails', () => {
  test('that are gone, or not to be had, give their memory back', { timeout: 5_000 }, async () => {
    const bed = drainBed(8);
    bed.mailbox.sizeBytes = limits.wholeMailBytes + 1;
    for (const id of [1, 2, 3]) bed.mailbox.ghosts.add(id);
    for (const id of [5, 6, 7]) bed.mailbox.unavailable.add(id);
    const result = await bed.drain();
    assert.deepEqual(bed.pushed, [4, 8]);
    assert.equal(result.mails, 2);
    // All of it can be had at once, so nobody holds any.
    (await bed.memory.acquire(24 * 1_048_576))();
  });
});

describe('mails that the server lists and says are gone', () => {
  test('end the run when nothing else is left, however many there are', async () => {
    const bed = drainBed(3 * limits.pop3SessionMails, 'pop3');
    for (const id of numbers(1, 60)) bed.mailbox.ghosts.add(id);
    const result = await bed.drain();
    assert.equal(result.failure, undefined);
    assert.equal(result.mails, 0);
    assert.equal(bed.mailbox.events.filter((event) => event.startsWith('fetch')).length, 60);
  });

  test('are no trouble once, and are left and reported when they are listed again and again', async () => {
    let column: string | undefined;
    const sentences: (string | undefined)[] = [];
    for (let run = 1; run <= 4; run += 1) {
      const bed = drainBed(3, 'pop3');
      bed.mailbox.ghosts.add(2);
      bed.troubles = new Troubles(column, new Date());
      const result = await bed.drain();
      sentences.push(result.failure?.message);
      column = bed.troubles.toColumn();
    }
    assert.equal(sentences[0], undefined);
    assert.match(sentences[1] ?? '', /Mail 2 could not be fetched \(try 2 of 3/);
    assert.match(sentences[2] ?? '', /try 3 of 3; it was left/);
    assert.match(sentences[3] ?? '', /in 3 runs in a row and was left/);
  });
});
