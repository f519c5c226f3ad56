import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type AppTestbed, mailboxColumns, password, queueName, startAppTestbed } from '../app/testbed.ts';
import type { RunningHttpServer } from '../testbed/host/httpServer.ts';
import { seedMaildir } from '../testbed/seed.ts';

const run = promisify(execFile);
const guide = join(import.meta.dirname, '..', '..', 'docs', 'operations.md');
const key = 'function key 1';

let bed: AppTestbed;
let server: RunningHttpServer;
let folder: string;
let steps: ReadonlyMap<number, string>;

before(async () => {
  const text = await readFile(guide, 'utf8');
  const walk = text.slice(text.indexOf('## A walk with curl'), text.indexOf('## What is measured'));
  steps = new Map(
    [...walk.matchAll(/^### (\d+)\. [^#]*?^```sh\n(.*?)^```/gms)].map((match) => [
      Number(match[1]),
      match[2] ?? '',
    ]),
  );
  folder = await mkdtemp(join(tmpdir(), 'walkthrough-'));
  bed = await startAppTestbed({ users: ['orders'] });
  server = await bed.host.serveHttp({ functionKey: key });
  bed.host.startQueueListener();
  const connection = mailboxColumns(bed.dovecot, 'IMAP', 'orders');
  await writeFile(join(folder, 'connection.json'), JSON.stringify({ ...connection, password }, null, 2));
  await seedMaildir(bed.dovecot.maildir('orders'), [mail('one'), mail('two'), mail('three')]);
});
after(async () => {
  await server.stop();
  await bed.stop();
  await rm(folder, { recursive: true, force: true });
});

const mail = (subject: string) => Buffer.from(`Subject: ${subject}\r\n\r\nHello\r\n`);

/** Types the commands of a step in, as they stand in the guide, and gives the answer of the last. */
async function follow(step: number): Promise<string> {
  const commands = steps.get(step);
  assert.ok(commands, `The guide has no step ${step}.`);
  const env = { PATH: process.env.PATH, APP: server.url, KEY: key };
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', commands], { cwd: folder, env });
  // Each answer is one JSON document; those of a step stand one behind the other.
  return stdout.slice(stdout.lastIndexOf('}{') + 1);
}

interface Answer {
  readonly passwordSet?: boolean;
  readonly password?: unknown;
  readonly state?: { readonly lastStatus?: string; readonly lastError?: string } & Record<string, unknown>;
  readonly undelivered?: readonly { readonly id: string; readonly emailSubject: string }[];
  readonly ok?: boolean;
  readonly mails?: number;
}

async function answerOf(step: number): Promise<Answer> {
  return JSON.parse(await follow(step)) as Answer;
}

/** Repeats a step, as one does who waits for something to happen. */
async function until(step: number, isDone: (answer: Answer) => boolean): Promise<Answer> {
  const giveUpAtMs = performance.now() + 20_000;
  for (;;) {
    const answer = await answerOf(step);
    if (isDone(answer)) return answer;
    assert.ok(performance.now() < giveUpAtMs, `Step ${step} still answers ${JSON.stringify(answer)}`);
    await delay(100);
  }
}

test('an operator who follows the guide word by word adds a mailbox, sees it fail and recover, and resends a mail', async () => {
  const added = await answerOf(1);
  assert.equal(added.passwordSet, true);
  assert.equal(added.password, undefined);
  assert.deepEqual(await answerOf(2), { ok: true, mails: 3 });
  await follow(3);
  const polled = await until(4, ({ state }) => state?.lastStatus === 'ok');
  assert.equal(polled.state?.lastMailCount, 3);
  assert.equal(bed.broker.queue(queueName).messages.length, 3);

  await follow(5);
  const failed = await until(6, ({ state }) => state?.lastStatus === 'failed');
  assert.match(failed.state?.lastError ?? '', /password|login/i);
  assert.equal(failed.state?.consecutiveFailures, 1);
  await follow(7);
  const recovered = await until(8, ({ state }) => state?.lastStatus === 'ok');
  assert.equal(recovered.state?.consecutiveFailures, 0);
  assert.ok(!recovered.state?.lastError);

  bed.broker.faults.quotaExceeded = true;
  await seedMaildir(bed.dovecot.maildir('orders'), [mail('lost?')]);
  await follow(3);
  const found = await until(9, ({ undelivered }) => undelivered?.length === 1);
  assert.equal(found.undelivered?.[0]?.emailSubject, 'lost?');
  bed.broker.faults.quotaExceeded = false;
  assert.match(await follow(10), new RegExp(found.undelivered?.[0]?.id ?? 'no id'));
  await bed.host.fireTimer('retryDeliveries');
  await until(11, ({ undelivered }) => undelivered?.length === 0);
  assert.equal(bed.broker.queue(queueName).messages.length, 4);

  await until(4, ({ state }) => state?.lastStatus !== 'running');
  assert.equal(await follow(12), '');
  assert.equal(steps.size, 12);
});
