import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type DemoProcess, makeWorkFolder, startDemo } from '../demo/demoProcess.ts';

const run = promisify(execFile);
const guide = join(import.meta.dirname, '..', '..', 'docs', 'operations.md');

let demo: DemoProcess;
let workFolder: string;
/** Where the operator stands. */
let folder: string;
let environment: Record<string, string | undefined>;
/** The commands of each step, as they stand in the guide. */
let steps: ReadonlyMap<number, string>;
let sendThreeMails: string;

before(async () => {
  const text = await readFile(guide, 'utf8');
  const walk = text.slice(text.indexOf('## A walk with curl'), text.indexOf('## What is measured'));
  steps = new Map(
    [...walk.matchAll(/^### (\d+)\. [^#]*?^```sh\n(.*?)^```/gms)].map((match) => [
      Number(match[1]),
      match[2] ?? '',
    ]),
  );
  sendThreeMails = /^Or of the demo:.*?^```sh\n(.*?)^```/ms.exec(walk)?.[1] ?? '';
  folder = await mkdtemp(join(tmpdir(), 'walkthrough-'));
  workFolder = makeWorkFolder();
  demo = startDemo(workFolder, ['--watch'], { RETRY_SCHEDULE: '* * * * * *' });
  await demo.says('Keys ');
  const [, APP, KEY] = /APP=(\S+) KEY=(\S+)/.exec(demo.output()) ?? [];
  environment = { PATH: process.env.PATH, APP, KEY };
  await copyFile(said(/cp (\S*connection\.json)/), join(folder, 'connection.json'));
});
after(async () => {
  demo.child.kill('SIGINT');
  assert.equal(await demo.ended, 0);
  await Promise.all([folder, workFolder].map((path) => rm(path, { recursive: true, force: true })));
});

function said(pattern: RegExp): string {
  const found = pattern.exec(demo.output())?.[1];
  assert.ok(found, `The demo did not say ${pattern}:\n${demo.output()}`);
  return found;
}

/** Types commands in, and gives what they answer. */
async function type(commands: string): Promise<string> {
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', commands], {
    cwd: folder,
    env: environment,
  });
  return stdout;
}

/** Follows a step word by word, and gives the answer of its last command. */
async function follow(step: number): Promise<string> {
  const commands = steps.get(step);
  assert.ok(commands, `The guide has no step ${step}.`);
  const stdout = await type(commands);
  // Each answer is one JSON document; those of a step stand one behind the other.
  return stdout.slice(stdout.lastIndexOf('}{') + 1);
}

/** The guide has the usual port; where that was taken, the demo says another. */
function send(commands: string): Promise<string> {
  return type(commands.replaceAll('127.0.0.1:2525', said(/^SMTP +(127\.0\.0\.1:\d+)/m)));
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
  const giveUpAtMs = performance.now() + 60_000;
  for (;;) {
    const answer = await answerOf(step);
    if (isDone(answer)) return answer;
    assert.ok(performance.now() < giveUpAtMs, `Step ${step} still answers ${JSON.stringify(answer)}`);
    await delay(100);
  }
}

test('a person who follows the guide word by word, with the demo, adds a mailbox, sees it fail and recover, and resends a mail', async () => {
  assert.equal(await send(sendThreeMails), '');
  const added = await answerOf(1);
  assert.equal(added.passwordSet, true);
  assert.equal(added.password, undefined);
  assert.deepEqual(await answerOf(2), { ok: true, mails: 3 });
  await follow(3);
  // The poll has been waited for, so the state can be read at once.
  const polled = await answerOf(4);
  assert.deepEqual([polled.state?.lastStatus, polled.state?.lastMailCount], ['ok', 3]);
  for (const number of [1, 2, 3]) await demo.says(`Order ${number}`);

  await follow(5);
  const failed = await answerOf(6);
  assert.equal(failed.state?.lastStatus, 'failed');
  assert.match(failed.state?.lastError ?? '', /password|login/i);
  assert.equal(failed.state?.consecutiveFailures, 1);
  await follow(7);
  const recovered = await answerOf(8);
  assert.equal(recovered.state?.lastStatus, 'ok');
  assert.equal(recovered.state?.consecutiveFailures, 0);
  assert.ok(!recovered.state?.lastError);

  demo.press('f');
  await demo.says('The queue is full');
  await send(sendThreeMails.replace('1 2 3', '4').replace('Order', 'Full'));
  await follow(3);
  const found = await until(9, ({ undelivered }) => undelivered?.length === 1);
  assert.equal(found.undelivered?.[0]?.emailSubject, 'Full 4');
  demo.press('f');
  await demo.says('The queue is open again');
  assert.match(await follow(10), new RegExp(found.undelivered?.[0]?.id ?? 'no id'));
  await until(11, ({ undelivered }) => undelivered?.length === 0);
  await demo.says(' Full 4');

  await until(4, ({ state }) => state?.lastStatus !== 'running');
  assert.equal(await follow(12), '');
  assert.equal(steps.size, 12);
});
