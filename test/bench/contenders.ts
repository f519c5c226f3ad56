import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { exited, onExit } from '../testbed/child.ts';
import { hasCommand, programs, requirePrograms } from '../testbed/programs.ts';
import type { Job, Outcome } from './contenderMain.ts';
import { password } from './parts.ts';
import { withTemporaryFolder } from './temporaryFolder.ts';

const run = promisify(execFile);
const jobTimeoutMs = 600_000;

/** The process of the raw fetches, the packages alone and the plain script; it stays warm over all rounds. */
export interface Contenders {
  /** One at a time. Rejects when the job fails or takes ten minutes. */
  perform(job: Job): Promise<{ ms: number; amount: number }>;
  stop(): Promise<void>;
}

export async function startContenders(): Promise<Contenders> {
  const child = fork(fileURLToPath(new URL('./contenderMain.ts', import.meta.url)), { execArgv: [] });
  const forget = onExit(() => child.kill('SIGKILL'));
  return {
    async perform(job) {
      const outcome = await answerTo(child, job);
      if ('error' in outcome) throw new Error(`${job.do}: ${outcome.error}`);
      return outcome;
    },
    async stop() {
      child.kill('SIGKILL');
      await exited(child);
      forget();
    },
  };
}

async function answerTo(child: ChildProcess, job: Job): Promise<Outcome> {
  const answer = once(child, 'message', { signal: AbortSignal.timeout(jobTimeoutMs) });
  child.send(job);
  const [outcome] = await answer;
  return outcome as Outcome;
}

/** The program in an array, or none, said in a line, where it isn't there and can't or is not to be installed. */
export function programIfThere<Name extends 'mbsync' | 'fetchmail'>(name: Name, install: boolean): Name[] {
  try {
    if (install) requirePrograms([programs[name]]);
    else if (!hasCommand(name)) throw new Error(`${name} is not installed.`);
    return [name];
  } catch (error) {
    console.log(`Skipped: ${error instanceof Error ? error.message : error}`);
    return [];
  }
}

/** mbsync with its defaults, into a new Maildir. Answers the milliseconds; throws when mails are missing. */
export async function runMbsync(port: number, user: string, mailCount: number): Promise<number> {
  return withTemporaryFolder('bench-mbsync-', async (folder) => {
    const config = join(folder, 'mbsyncrc');
    await writeFile(
      config,
      [
        'IMAPAccount bench',
        'Host 127.0.0.1',
        `Port ${port}`,
        `User ${user}`,
        `Pass "${password}"`,
        'SSLType None',
        '',
        'IMAPStore far',
        'Account bench',
        '',
        'MaildirStore near',
        `Path ${folder}/`,
        `Inbox ${folder}/inbox`,
        '',
        'Channel bench',
        'Far :far:',
        'Near :near:',
        'Create Near',
        'Sync Pull',
        'SyncState *',
        '',
      ].join('\n'),
    );
    const startedMs = performance.now();
    await run('mbsync', ['-q', '-c', config, 'bench'], { timeout: jobTimeoutMs, env: environment(folder) });
    const ms = performance.now() - startedMs;
    const copied = (await readdir(join(folder, 'inbox', 'new'))).length;
    const alsoCopied = (await readdir(join(folder, 'inbox', 'cur'))).length;
    if (copied + alsoCopied !== mailCount) throw new Error(`mbsync copied ${copied + alsoCopied} mails.`);
    return ms;
  });
}

/** fetchmail by POP3 into one file, with no program started for each mail: its fastest way. */
export async function runFetchmail(port: number, user: string, leastBytes: number): Promise<number> {
  return withTemporaryFolder('bench-fetchmail-', async (folder) => {
    const config = join(folder, 'fetchmailrc');
    const target = join(folder, 'mails.bsmtp');
    await mkdir(join(folder, 'home'));
    await writeFile(
      config,
      `poll 127.0.0.1 service ${port} protocol pop3 no dns username "${user}" password "${password}" sslproto "" bsmtp "${target}" fetchall\n`,
    );
    await chmod(config, 0o600);
    const startedMs = performance.now();
    await run('fetchmail', ['--silent', '--pidfile', join(folder, 'pid'), '-f', config], {
      timeout: jobTimeoutMs,
      env: environment(join(folder, 'home')),
    });
    const ms = performance.now() - startedMs;
    const { size } = await stat(target);
    if (size < leastBytes) throw new Error(`fetchmail fetched ${size} of ${leastBytes} bytes.`);
    return ms;
  });
}

function environment(home: string): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: home, FETCHMAILHOME: home, LC_ALL: 'C' };
}
