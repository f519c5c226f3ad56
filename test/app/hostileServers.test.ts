import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, type TestContext, test } from 'node:test';
import { type Script, startScriptedImapServer, stepOf } from '../mailbox/imap/scriptedImapServer.ts';
import { type ReliabilityBed, startReliabilityBed } from '../reliability/bed.ts';
import type { HostProcess } from '../testbed/host/hostProcess.ts';
import { queueName, serverColumns } from './testbed.ts';

const mebibyte = 1_048_576;
let bed: ReliabilityBed;
/** The app in a process of its own, so that the servers take none of its time and memory. */
let app: HostProcess;
before(async () => {
  bed = await startReliabilityBed({});
  app = await bed.startChild();
});
after(async () => {
  await app.stop();
  await bed.stop();
});

const small = Buffer.from('Subject: small\r\n\r\nsmall\r\n');

async function addServer(t: TestContext, name: string, script: Script): Promise<void> {
  const server = await startScriptedImapServer(script);
  t.after(() => server.stop());
  await bed.addConnection(name, serverColumns('IMAP', server.port));
}

/** Orders these polls at once; gives how long they took together. */
async function poll(names: readonly string[]): Promise<number> {
  for (const name of names) await bed.order(name);
  const startedAt = performance.now();
  await app.drainQueue();
  return performance.now() - startedAt;
}

const durationMs = ({ lastRunStartedAt, lastRunEndedAt }: Record<string, unknown>): number =>
  Date.parse(String(lastRunEndedAt)) - Date.parse(String(lastRunStartedAt));

/** About 1 MB/s of `* 5 EXISTS`, from the first SEARCH on, until the client is gone. */
function flooding(): Script {
  const piece = Buffer.from('* 5 EXISTS\r\n'.repeat(8_738));
  return {
    mails: [small],
    onCommand: ({ name }, wire) => {
      if (name !== 'UID SEARCH') return false;
      const timer = setInterval(() => wire.send(piece), 100);
      setTimeout(() => clearInterval(timer), 30_000).unref();
      timer.unref();
      return true;
    },
  };
}

test('four servers that flood are cut off within seconds, with a sentence, and a good poll beside them is not held up', async (t) => {
  const goodMails = Array.from({ length: 300 }, (_, index) =>
    Buffer.from(`Subject: ${index}\r\n\r\n${'a line of text\r\n'.repeat(100)}`),
  );
  const besideMs: number[] = [];
  const aloneMs: number[] = [];
  for (const round of [1, 2, 3]) {
    const [alone, beside] = [`alone-${round}`, `beside-${round}`];
    for (const name of [alone, beside]) await addServer(t, name, { mails: goodMails });
    const floods = [1, 2, 3, 4].map((number) => `flood-${round}-${number}`);
    for (const name of floods) await addServer(t, name, flooding());
    await poll([alone]);
    aloneMs.push(durationMs(await bed.state(alone)));
    await poll([...floods, beside]);
    const good = await bed.state(beside);
    assert.deepEqual([good.lastStatus, good.lastMailCount], ['ok', 300]);
    besideMs.push(durationMs(good));
    for (const name of floods) {
      const state = await bed.state(name);
      assert.equal(state.lastStatus, 'failed');
      assert.match(String(state.lastError), /goes on sending what nobody asked for/);
      assert.ok(durationMs(state) < 15_000, `${durationMs(state)} ms`);
    }
  }
  // The best of each: whatever else the machine does only adds to them.
  const [beside, alone] = [Math.min(...besideMs), Math.min(...aloneMs)];
  t.diagnostic(`${besideMs} ms beside the floods, ${aloneMs} ms alone`);
  assert.ok(beside <= 3 * alone + 300, `${besideMs} ms beside the floods, ${aloneMs} ms alone`);
});

test('twenty servers that announce 1,000 bytes and send 31 MiB take turns in memory', async (t) => {
  const large = Buffer.concat([
    Buffer.from('Subject: large\r\n\r\n'),
    Buffer.alloc(31 * mebibyte, `${'x'.repeat(70)}\r\n`),
  ]);
  const script: Script = {
    mails: [large],
    onCommand: (command, wire) => {
      if (stepOf(command) !== 'MEASURE') return false;
      wire.send(`* 1 FETCH (UID 1 RFC822.SIZE 1000)\r\n${command.tag} OK done\r\n`);
      return true;
    },
  };
  const names = Array.from({ length: 20 }, (_, index) => `lying-${index}`);
  for (const name of names) await addServer(t, name, script);
  // The kernel's high-water mark starts again from what is resident now.
  await writeFile(`/proc/${app.pid}/clear_refs`, '5');
  await poll(names);
  const [, peakKibibytes] =
    /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${app.pid}/status`, 'utf8')) ?? [];
  const peakMebibytes = Number(peakKibibytes) / 1_024;
  // About 260, of which 170 were there before; 300 where mails hold what they have read while they wait for a turn.
  assert.ok(peakMebibytes < 320, `${peakMebibytes} MiB`);
  for (const name of names) {
    const { lastStatus, lastError, lastMailCount } = await bed.state(name);
    assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', 1], name);
  }
  assert.ok(bed.broker.queue(queueName).messages.length >= names.length);
  t.diagnostic(`${peakMebibytes.toFixed(0)} MiB`);
});
