import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { protocols, queueName, userOf, usersOf } from '../app/testbed.ts';
import type { Answer, Script } from '../mailbox/imap/scriptedImapServer.ts';
import { arrived, countUnsettled, eachOnce, messagesOf, twoPartMails, until } from '../reliability/mails.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { startProxy } from '../testbed/proxy.ts';
import { addImapServer, addPop3Server, proxyStorage, SettableClock, startPollingBed } from './pollingBed.ts';

const mailCount = 60;
const clocks = ['monotonic', 'wall'] as const;

const bed = await startPollingBed([
  ...usersOf('wall', 'monotonic', 'broken', 'going'),
  ...['late', 'twice', 'ahead', 'ending', 'opening', 'unheard', 'storing'],
]);
afterEach(() => void Object.assign(bed.broker.faults, noFaults()));
after(() => bed.stop());

/** Attachments too large to share a transfer, so that many transfers wait for their turn. */
const mailsOf = (name: string, count = mailCount) => twoPartMails(name, count, 90_000);

for (const protocol of protocols) {
  for (const clock of clocks) {
    test(`${protocol}: once the lease can have lapsed by the ${clock} clock, nothing more goes to the wire`, async () => {
      const name = userOf(clock, protocol);
      await bed.addMailbox(name, protocol, mailsOf(name));
      bed.broker.faults.acceptDelayMs = 200;
      const settable = new SettableClock();
      const queue = bed.broker.queue(queueName);
      const { duplicates } = queue;
      let transfersAtLapse = 0;
      const off = queue.onMessage(() => {
        off();
        settable.aheadMs[clock] = 61_000;
        transfersAtLapse = queue.transfers;
      });
      const state = await bed.poll(name, { leaseSeconds: 60, renewMs: 20_000, clock: settable });
      assert.equal(state.lastStatus, 'failed');
      assert.match(String(state.lastError), /lease of this poll could not be renewed/);
      // What was on the wire at that moment: the sender's 32 at most, of which some had been counted.
      assert.ok(queue.transfers - transfersAtLapse <= 32, `${queue.transfers - transfersAtLapse} transfers`);
      const sent = messagesOf(bed, name).length;
      assert.ok(sent < 2 * mailCount, `${sent} messages`);
      const left = await countUnsettled(bed, name, protocol);
      assert.ok(left > 0 && left < mailCount, `${left} mails are left`);

      bed.broker.faults.acceptDelayMs = 0;
      const next = await bed.poll(name);
      assert.equal(next.lastError, '');
      assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount));
      // Of a mail whose other part was not sent any more, the part that was is sent again.
      assert.ok(queue.duplicates - duplicates <= 32, `${queue.duplicates - duplicates} repeats`);
      assert.equal(await countUnsettled(bed, name, protocol), 0);
    });
  }

  test(`${protocol}: a run whose lease was broken picks up no more mail, and the next one goes on`, async () => {
    const name = userOf('broken', protocol);
    await bed.addMailbox(name, protocol, mailsOf(name));
    bed.broker.faults.acceptDelayMs = 2_000;
    const polling = bed.poll(name, { leaseSeconds: 60, renewMs: 1_000, clock: new SettableClock() });
    await until('the run is at work', () => messagesOf(bed, name).length > 0);
    await bed.lease(name).breakLease(0);
    const state = await polling;
    assert.equal(state.lastStatus, 'failed');
    assert.ok((await countUnsettled(bed, name, protocol)) > 0);
    bed.broker.faults.acceptDelayMs = 0;
    assert.equal((await bed.poll(name)).lastError, '');
    assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount));
  });

  test(`${protocol}: told to go, a run settles what is delivered, ends ok within four seconds, and the next one goes on`, async () => {
    const name = userOf('going', protocol);
    await bed.addMailbox(name, protocol, mailsOf(name), { pollingIntervalSeconds: 3_600 });
    const queue = bed.broker.queue(queueName);
    const { duplicates } = queue;
    bed.broker.faults.acceptDelayMs = 300;
    const polling = bed.poll(name);
    await until('the run is at work', () => messagesOf(bed, name).length > 0);
    const toldAtMs = performance.now();
    bed.tellToGo();
    const state = await polling;
    assert.ok(performance.now() - toldAtMs < 4_000, `${performance.now() - toldAtMs} ms`);
    assert.equal(state.lastStatus, 'ok');
    assert.equal(state.lastError, '');
    assert.ok(new Date(String(state.nextRunAt)).getTime() - Date.now() <= 60_000, 'due at the next minute');
    bed.broker.faults.acceptDelayMs = 0;
    const next = await bed.poll(name);
    assert.equal(next.lastStatus, 'ok', 'it was not skipped');
    assert.deepEqual(arrived(bed, name), eachOnce(name, mailCount));
    assert.ok(queue.duplicates - duplicates <= 32, `${queue.duplicates - duplicates} repeats`);
  });
}

test('what a run was storing when its lease lapsed is no record: the run after it sends the mail, and nothing else does', async (t) => {
  await bed.addMailbox('storing', 'IMAP', mailsOf('storing', 1));
  bed.broker.faults.quotaExceeded = true;
  const [asked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<undefined>()];
  const { proxy, openBehind } = await proxyStorage(bed, t, bed.azurite.blobPort);
  proxy.fault = ({ method, url }) => {
    if (method !== 'PUT' || !url.includes('/email-undelivered/')) return undefined;
    asked.resolve();
    return released.promise;
  };
  const clock = new SettableClock();
  const poll = await openBehind({ leaseSeconds: 60, renewMs: 20_000, clock });
  const polling = poll('storing');
  await asked.promise;
  clock.aheadMs.wall = 61_000;
  await bed.lease('storing').breakLease(0);
  bed.broker.faults.quotaExceeded = false;
  assert.equal((await bed.poll('storing')).lastError, '');
  released.resolve(undefined);
  await polling;
  const filter = "status eq 'waiting'";
  const records = bed.table('EmailUndelivered').listEntities({ queryOptions: { filter } });
  for await (const { rowKey } of records) assert.fail(`${rowKey} would be sent again`);
  assert.deepEqual(arrived(bed, 'storing'), eachOnce('storing', 1));
});

test('a run that was fenced off before it had begun does not take the columns from the one that came after it', async (t) => {
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: bed.dovecot.imapPort });
  t.after(() => proxy.stop());
  proxy.silenceNew(true);
  await bed.addMailbox('late', 'IMAP', [], { port: proxy.port, runId: 'before' });
  const clock = new SettableClock();
  const polling = bed.poll('late', { leaseSeconds: 60, renewMs: 100, clock });
  await until('the run connects', () => proxy.connections.total > 0);
  clock.aheadMs.wall = 61_000;
  const heartbeatAt = new Date().toISOString();
  await bed.setColumns('late', { runId: 'another', lastStatus: 'running', heartbeatAt });
  const state = await polling;
  assert.deepEqual([state.runId, state.lastStatus, state.heartbeatAt], ['another', 'running', heartbeatAt]);
});

test('what a fenced run leaves half settled while another looks is moved by the one after that', async (t) => {
  let run: 'fenced' | 'beside' | 'next' = 'fenced';
  const moving = Promise.withResolvers<void>();
  let isMoved = false;
  const script: Script = {
    capabilities: 'IMAP4rev1 SASL-IR UIDPLUS MOVE AUTH=PLAIN',
    mails: mailsOf('beside', 1),
    answers: {
      // Beside it was looked for read mails before it was marked, and for unread ones after that.
      'UID SEARCH': ({ args }) => {
        if (run === 'fenced') return undefined;
        const isFound = run === 'next' && !isMoved && /^SEEN/.test(args);
        return `* SEARCH${isFound ? ' 1' : ''}\r\nTAG OK done\r\n`;
      },
      'UID MOVE': async () => {
        moving.resolve();
        if (run === 'fenced') return '';
        isMoved = true;
        return 'TAG OK done\r\n';
      },
    },
  };
  await addImapServer(bed, t, 'beside', script, { moveToFolder: 'Done' });
  const fenced = bed.poll('beside', { leaseSeconds: 60, renewMs: 500, clock: new SettableClock() });
  await moving.promise;
  await bed.lease('beside').breakLease(0);
  run = 'beside';
  const { lastError, cleanMailbox } = await bed.poll('beside');
  assert.deepEqual([lastError, cleanMailbox], ['', '']);
  await fenced;
  run = 'next';
  const next = await bed.poll('beside');
  assert.deepEqual([next.lastError, isMoved], ['', true]);
  assert.notEqual(next.cleanMailbox, '');
});

test('an order that was skipped while another one was carried out does not count as a lease that is held', async () => {
  await bed.addMailbox('twice', 'IMAP', []);
  const poll = await bed.openInstance();
  await Promise.all([poll('twice'), poll('twice')]);
  const once = bed.logged.filter((line) => line.includes('Poll of acme/twice skipped'));
  const { lastStatus, skippedSince } = await bed.state('twice');
  assert.deepEqual([once.length, lastStatus, skippedSince], [1, 'ok', '']);
});

test('an order that comes when a run has ended and not yet given back its lease is carried out, and not skipped', async (t) => {
  await bed.addMailbox('ending', 'IMAP', []);
  const [releasing, asked] = [Promise.withResolvers<void>(), Promise.withResolvers<undefined>()];
  const { proxy, openBehind } = await proxyStorage(bed, t, bed.azurite.blobPort);
  const [first, second] = [await openBehind(), await openBehind()];
  await bed.poll('ending');
  let leaseCalls = 0;
  let ended: Promise<unknown> = Promise.resolve();
  proxy.fault = async ({ url }) => {
    if (!url.includes('comp=lease')) return undefined;
    leaseCalls += 1;
    // The first run takes it and releases it, the second asks for it twice.
    if (leaseCalls === 2) {
      releasing.resolve();
      return await asked.promise;
    }
    if (leaseCalls !== 4) return undefined;
    asked.resolve(undefined);
    await ended;
    return undefined;
  };
  ended = first('ending');
  try {
    await releasing.promise;
    const before = await bed.state('ending');
    const after = await second('ending');
    assert.equal(after.lastStatus, 'ok');
    assert.notEqual(after.runId, before.runId);
    assert.ok(!bed.logged.some((line) => line.includes('Poll of acme/ending skipped')));
  } finally {
    asked.resolve(undefined);
    await ended;
  }
});

test('since when a lease is held lies in no future', async () => {
  await bed.addMailbox('ahead', 'IMAP', []);
  await bed.poll('ahead');
  await bed.setColumns('ahead', { skippedSince: '2099-01-01T00:00:00.000Z' });
  const lease = bed.lease('ahead');
  // As a person may take it, for good.
  await lease.acquireLease(-1);
  const { lastStatus, skippedSince } = await bed.poll('ahead');
  await lease.releaseLease();
  assert.equal(lastStatus, 'skipped');
  assert.ok(new Date(String(skippedSince)).getTime() <= Date.now(), String(skippedSince));
});

test('a run that its tick ordered a moment early is due next at the time after, and not twice', async (t) => {
  await bed.addMailbox('ahead', 'IMAP', []);
  const { scheduleAnchor } = await bed.poll('ahead');
  const dueAt = Math.ceil(Date.now() / 60_000) * 60_000;
  await bed.setColumns('ahead', { nextRunAt: new Date(dueAt).toISOString(), scheduleAnchor });
  t.mock.timers.enable({ apis: ['Date'], now: dueAt - 3 });
  const { nextRunAt } = await bed.poll('ahead');
  assert.equal(nextRunAt, new Date(dueAt + 60_000).toISOString());
});

test('told to go while its queue is being opened, a run ends ok within four seconds', async () => {
  bed.broker.createQueue({ name: 'silent', maxMessageSizeBytes: 1_048_576 });
  await bed.addMailbox('opening', 'IMAP', mailsOf('opening', 1), { queueName: 'silent' });
  bed.broker.faults.silentAttach = true;
  const polling = bed.poll('opening');
  await until('the run begins', async () => (await bed.state('opening')).lastStatus === 'running');
  const toldAtMs = performance.now();
  bed.tellToGo();
  const state = await polling;
  assert.ok(performance.now() - toldAtMs < 4_000, `${performance.now() - toldAtMs} ms`);
  assert.deepEqual([state.lastStatus, state.lastError], ['ok', '']);
});

test('told to go before its first fetch, a run picks up no mail', async (t) => {
  const listing = Promise.withResolvers<undefined>();
  const script = { mails: mailsOf('listing', 1), answers: { 'UID SEARCH': () => listing.promise } };
  const { commands } = await addImapServer(bed, t, 'listing', script);
  const polling = bed.poll('listing');
  await until('the run lists', () => commands.some(({ name }) => name === 'UID SEARCH'));
  bed.tellToGo();
  listing.resolve(undefined);
  const state = await polling;
  assert.deepEqual([state.lastStatus, state.lastError, state.lastMailCount], ['ok', '', 0]);
  const bodies = commands.filter(({ args }) => args.includes('BODY.PEEK[]'));
  assert.deepEqual(bodies, []);
});

for (const queue of ['there', 'away'] as const) {
  test(`a run whose lease came late, after another run that settled nothing, sends none of its mails again, its queue ${queue}`, async (t) => {
    const name = `late-lease-${queue}`;
    let isEmpty = true;
    const answers: Readonly<Record<string, Answer>> = {
      'UID SEARCH': () => (isEmpty ? '* SEARCH\r\nTAG OK done\r\n' : undefined),
      'UID STORE': ({ earlier }, wire) => {
        if (earlier === 0) wire.reset();
        return undefined;
      },
    };
    await addImapServer(bed, t, name, { mails: mailsOf(name, 3), answers });
    const { proxy, openBehind } = await proxyStorage(bed, t, bed.azurite.blobPort);
    const clean = await bed.poll(name);
    assert.notEqual(clean.cleanMailbox, '');
    isEmpty = false;
    let isRefused = false;
    const asked = Promise.withResolvers<void>();
    proxy.fault = ({ method, url }) => {
      if (isRefused || method !== 'PUT' || !url.includes('comp=lease')) return undefined;
      isRefused = true;
      asked.resolve();
      return { kind: 'answer', status: 503, afterMs: 4_000 };
    };
    const late = await openBehind();
    const polling = late(name);
    await asked.promise;
    const first = await bed.poll(name);
    assert.deepEqual([first.lastStatus, first.lastMailCount], ['failed', 3]);
    const { duplicates } = bed.broker.queue(queueName);
    if (queue === 'away') bed.broker.faults.refuseCredentials = true;
    const second = await polling;
    assert.notEqual(second.runId, first.runId);
    if (queue === 'away') {
      assert.deepEqual([second.lastStatus, second.cleanMailbox], ['failed', '']);
      bed.broker.faults.refuseCredentials = false;
    }
    const last = queue === 'away' ? await bed.poll(name) : second;
    assert.equal(last.lastStatus, 'ok');
    assert.equal(bed.broker.queue(queueName).duplicates, duplicates, 'nothing was sent again');
    assert.deepEqual(arrived(bed, name), eachOnce(name, 3));
  });
}

test('told to go while its server takes time to delete, a run ends ok, and the next one deletes without sending', async (t) => {
  // More than the row remembers as settled.
  const count = 120;
  let isSlow = true;
  const server = await addPop3Server(bed, t, 'quitting', {
    mails: twoPartMails('quitting', count),
    answer: (command) => (isSlow && command === 'QUIT' ? 'silence' : undefined),
  });
  const polling = bed.poll('quitting');
  await until('the run ends its session', () => server.commands.includes('QUIT'));
  bed.tellToGo();
  const state = await polling;
  assert.deepEqual([state.lastStatus, state.lastError, state.lastMailCount], ['ok', '', count]);
  isSlow = false;
  const { duplicates } = bed.broker.queue(queueName);
  const next = await bed.poll('quitting');
  assert.deepEqual([next.lastStatus, next.lastMailCount], ['ok', 0]);
  assert.equal(server.deleted(), count);
  assert.equal(bed.broker.queue(queueName).duplicates, duplicates, 'nothing was sent again');
});

test('a run whose first word that it is at work could not be written says so with its next heartbeat', async (t) => {
  const mail = await startProxy({ targetHost: '127.0.0.1', targetPort: bed.dovecot.imapPort });
  t.after(() => mail.stop());
  mail.silenceNew(true);
  await bed.addMailbox('unheard', 'IMAP', [], { port: mail.port });
  const { proxy, openBehind } = await proxyStorage(bed, t, bed.azurite.tablePort);
  let refused = 0;
  proxy.fault = ({ method }) => {
    if (method !== 'PATCH' || refused > 0) return undefined;
    refused += 1;
    return { kind: 'answer', status: 403 };
  };
  const poll = await openBehind();
  const polling = poll('unheard');
  await until('it was refused', () => refused > 0);
  assert.equal((await bed.state('unheard')).lastStatus, undefined);
  await until('it says so', async () => (await bed.state('unheard')).lastStatus === 'running', 30_000);
  const { heartbeatAt } = await bed.state('unheard');
  assert.ok(Date.now() - new Date(String(heartbeatAt)).getTime() < 10_000, String(heartbeatAt));
  mail.dropAll('rst');
  await polling;
});
