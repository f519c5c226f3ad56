import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exited, firstLine, onExit, outputOf, signalGroup } from '../testbed/child.ts';
import { listening } from '../testbed/listening.ts';
import { libraryPath, unpackDebianPackages } from '../testbed/programs.ts';
import { seedMaildir } from '../testbed/seed.ts';
import type { SessionServer, sessionUsers } from './sessionBehaviours.ts';

/** A server as Debian packages it, which wants its files where it was built for. */
export interface LayeredServer {
  readonly packages: readonly string[];
  /** Shell commands that are run once, as root, in the server's own view of the file system. */
  readonly setUp?: string;
  /** The commands that serve one connection on standard input and output, as under inetd. */
  readonly imap?: string;
  readonly pop3?: string;
  /** Where mails lie: a file or a Maildir for each user, below the folder that is given. */
  readonly store: 'mbox' | 'maildir';
}

const firstUid = 20_000;

/**
 * Starts a mail server from unpacked Debian packages: they are laid over the machine's own folders in a mount
 * namespace, with users of their own, so nothing is installed and nothing of the machine is changed. Linux, root.
 */
export async function startLayered(
  { packages, setUp = '', imap, pop3, store }: LayeredServer,
  { users, password }: typeof sessionUsers,
): Promise<SessionServer> {
  const root = unpackDebianPackages(packages);
  const home = mkdtempSync(join(tmpdir(), 'testbed-layered-'));
  chmodSync(home, 0o755);
  for (const folder of ['mail', 'homes']) mkdirSync(join(home, folder));
  // As Debian has it: servers lock the files there.
  chmodSync(join(home, 'mail'), 0o1777);
  const hash = execFileSync('openssl', ['passwd', '-6', password]).toString().trim();
  const uidOf = (user: string) => firstUid + users.indexOf(user);
  const lines = (line: (user: string) => string) => users.map(line).join('\n');
  writeFileSync(
    join(home, 'passwd'),
    `${lines((user) => `${user}:x:${uidOf(user)}:${uidOf(user)}::${join(home, 'homes', user)}:/bin/sh`)}\n`,
  );
  writeFileSync(join(home, 'shadow'), `${lines((user) => `${user}:${hash}:19000:0:99999:7:::`)}\n`);
  for (const user of users) {
    mkdirSync(join(home, 'homes', user));
    chownSync(join(home, 'homes', user), uidOf(user), uidOf(user));
  }
  const layer = (folder: string) =>
    existsSync(join(root, folder)) ? `${join(root, folder)}:/${folder}` : `/${folder}`;
  const script = `set -e
mount -t tmpfs none /mnt
mkdir /mnt/etc /mnt/etc.work /mnt/var /mnt/var.work /mnt/usr /mnt/usr.work
mount -t overlay usr -o lowerdir=${layer('usr')},upperdir=/mnt/usr,workdir=/mnt/usr.work /usr
mount -t overlay etc -o lowerdir=${layer('etc')},upperdir=/mnt/etc,workdir=/mnt/etc.work /etc
mount -t overlay var -o lowerdir=${layer('var')},upperdir=/mnt/var,workdir=/mnt/var.work /var
mount -t tmpfs none /run
mkdir -p /var/mail
mount --bind ${join(home, 'mail')} /var/mail
cat ${join(home, 'passwd')} >> /etc/passwd
cat ${join(home, 'shadow')} >> /etc/shadow
${setUp}
echo ready
exec sleep infinity`;
  const holder = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const children = new Set<ChildProcess>();
  const clean = () => {
    for (const child of children) child.kill('SIGKILL');
    signalGroup(holder, 'SIGKILL');
    rmSync(home, { recursive: true, force: true });
  };
  const offExit = onExit(clean);
  await ready(holder, packages.join(', '));
  const stops: (() => Promise<void>)[] = [];
  const serve = async (command: string | undefined): Promise<number | undefined> => {
    if (command === undefined) return undefined;
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      children.add(connectTo(holder, command, socket, libraryPath(root)));
    });
    const { port, stop } = await listening(server);
    stops.push(stop);
    return port;
  };
  const [imapPort, pop3Port] = [await serve(imap), await serve(pop3)];
  return {
    ...(imapPort === undefined ? {} : { imapPort }),
    ...(pop3Port === undefined ? {} : { pop3Port }),
    username: (user) => user,
    seed: async (user, mails) => {
      const sources = mails.map((mail) => mail.toString('latin1').replaceAll('\r\n', '\n'));
      if (store === 'mbox') seedMbox(join(home, 'mail', user), sources, uidOf(user));
      else
        await seedMaildir(
          join(home, 'homes', user, 'Maildir'),
          sources.map((source) => Buffer.from(source, 'latin1')),
        );
    },
    stop: async () => {
      for (const stop of stops) await stop();
      const ended = exited(holder);
      clean();
      await ended;
      offExit();
    },
  };
}

/** The child gets the connection itself, as under inetd. */
function connectTo(holder: ChildProcess, command: string, socket: Socket, libraries: string): ChildProcess {
  const child = spawn('nsenter', ['-t', String(holder.pid), '-m', 'sh', '-c', command], {
    stdio: [socket, socket, 'ignore'],
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
  });
  child.once('spawn', () => socket.destroy());
  child.once('error', () => socket.destroy());
  return child;
}

async function ready(child: ChildProcess, name: string): Promise<void> {
  const output = outputOf(child);
  await firstLine(child).catch(() => {
    throw new Error(`${name} could not be laid over this system. ${output().slice(-2_000)}`);
  });
}

function seedMbox(file: string, sources: readonly string[], uid: number): void {
  for (const source of sources)
    appendFileSync(file, `From sender@example.com Thu Nov 26 10:00:00 2026\n${source}\n`, 'latin1');
  chmodSync(file, 0o600);
  chownSync(file, uid, uid);
}
