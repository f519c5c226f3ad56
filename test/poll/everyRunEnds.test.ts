import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { protocols, queueName, serverColumns } from '../app/testbed.ts';
import { startScriptedImapServer } from '../mailbox/imap/scriptedImapServer.ts';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';
import { arrived, eachOnce, twoPartMails } from '../reliability/mails.ts';
import { startDrippingServer } from '../reliability/slowServers.ts';
import { type PollingBed, startPollingBed } from './pollingBed.ts';

const budgetSeconds = 2;
/** What the end of a run may cost beside: its last writes, on a busy machine. */
const graceMs = 6_000;

let bed: PollingBed;
before(async () => {
  bed = await startPollingBed([], { POLL_TIME_BUDGET_SECONDS: String(budgetSeconds) });
});
after(() => bed.stop());

async function pollTimed(name: string) {
  const startedAtMs = performance.now();
  const state = await bed.poll(name);
  const { lastStatus, lastError, unfetchable } = state;
  return { lastStatus, lastError: String(lastError), unfetchable, tookMs: performance.now() - startedAtMs };
}

function assertCut({ lastStatus, lastError, tookMs }: Awaited<ReturnType<typeof pollTimed>>): void {
  assert.equal(lastStatus, 'failed');
  assert.match(lastError, /more than twice POLL_TIME_BUDGET_SECONDS/);
  assert.ok(tookMs > 2_000 * budgetSeconds && tookMs < 2_000 * budgetSeconds + graceMs, `${tookMs} ms`);
}

describe('a mail that drips is cut, counted, left, and tried again by itself', { concurrency: true }, () => {
  const cases = protocols.flatMap((protocol) => [
    { protocol, how: 'streamed', bytes: 2_300_000 },
    { protocol, how: 'whole', bytes: 700_000 },
  ]);
  for (const { protocol, how, bytes } of cases) {
    test(`${protocol}, ${how}`, async () => {
      const name = `drip-${protocol}-${how}`;
      const mails = [...twoPartMails('drip', 1, bytes), ...twoPartMails(name, 2, 10)];
      const server = await startDrippingServer(protocol, mails, () => 32_768);
      try {
        await bed.addConnection(name, server.columns);
        for (const left of ['next run', 'next run', 'left on the server']) {
          const cut = await pollTimed(name);
          assertCut(cut);
          assert.match(String(cut.unfetchable), /"tries":/, left);
        }
        const fourth = await pollTimed(name);
        assert.match(fourth.lastError, /^Mail 1 could not be fetched in 3 runs in a row/);
        assert.ok(fourth.tookMs < 2_000 * budgetSeconds + graceMs);
        assert.deepEqual(arrived(bed, name), eachOnce(name, 2));

        const anHourAgo = String(fourth.unfetchable).replace(/"lastTriedAt":\d+/, '"lastTriedAt":1');
        await bed.setColumns(name, { unfetchable: anHourAgo });
        const before = server.connections();
        const fifth = await pollTimed(name);
        assertCut(fifth);
        assert.equal(server.connections() - before, 2, 'it had a session of its own');
        assert.match(String(fifth.unfetchable), /"tries":4/);
      } finally {
        await server.stop();
      }
    });
  }
});

test('a mailbox that takes too long to list ends too', async () => {
  const mails = twoPartMails('nameless', 40, 100_000);
  const delivery = { bytesPerSecond: () => 65_536 };
  // Without UIDL every mail is read to be known again.
  const server = await startScriptedServer({ mails, uidls: false, capa: ['USER'], delivery });
  try {
    await bed.addConnection('nameless', serverColumns('POP3', server.port));
    assertCut(await pollTimed('nameless'));
  } finally {
    await server.stop();
  }
});

test('a queue that answers nothing keeps a run no longer', async () => {
  const server = await startScriptedServer({ mails: twoPartMails('unsent', 1, 10) });
  bed.broker.createQueue({ name: 'silent', maxMessageSizeBytes: 1_048_576 });
  await bed.addConnection('unsent', { ...serverColumns('POP3', server.port), queueName: 'silent' });
  bed.broker.faults.silentAttach = true;
  try {
    assertCut(await pollTimed('unsent'));
  } finally {
    bed.broker.faults.silentAttach = false;
    await server.stop();
  }
});

test('of a server that keeps what it was told to delete a run sends each mail once, also those behind the first page', async () => {
  const count = 2_010;
  const server = await startScriptedServer({ mails: twoPartMails('keeping', count, 10) });
  try {
    await bed.addConnection('keeping', serverColumns('POP3', server.port));
    const poll = await bed.openInstance(undefined, { POLL_TIME_BUDGET_SECONDS: '60' });
    const { duplicates } = bed.broker.queue(queueName);
    const { lastError, lastMailCount } = await poll('keeping');
    assert.deepEqual([lastError, lastMailCount], ['', count]);
    assert.equal(bed.broker.queue(queueName).duplicates, duplicates);
    assert.deepEqual(arrived(bed, 'keeping'), eachOnce('keeping', count));
  } finally {
    await server.stop();
  }
});

test('a mail that ends its session is left after three runs, also where another could not connect', async () => {
  const server = await startScriptedImapServer({
    mails: twoPartMails('ending', 2, 10),
    onCommand: ({ name, args }, wire) => {
      const isEnding = name === 'UID FETCH' && args.includes('BODY.PEEK[]') && /^1\b/.test(args);
      if (isEnding) wire.reset();
      return isEnding;
    },
  });
  try {
    await bed.addConnection('ending', serverColumns('IMAP', server.port));
    await pollTimed('ending');
    const second = await pollTimed('ending');
    assert.match(second.lastError, /try 2 of 3/);
    await bed.setColumns('ending', { port: 1 });
    assert.match((await pollTimed('ending')).lastError, /refused/);
    await bed.setColumns('ending', { port: server.port });
    assert.match((await pollTimed('ending')).lastError, /try 3 of 3; it was left on the server/);
    await pollTimed('ending');
    assert.deepEqual(arrived(bed, 'ending'), eachOnce('ending', 2).slice(1));
  } finally {
    await server.stop();
  }
});
