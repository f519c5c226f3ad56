import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { testCertificate } from './certificates.ts';
import { exited, onExit, portsRefuse, serverAnswers, signalGroup, startOnFreePorts } from './child.ts';
import { type DovecotVersion, dovecotConfig } from './dovecotConfig.ts';
import { hasCommand, serverPath } from './programs.ts';

export interface DovecotUser {
  readonly user: string;
  readonly password: string;
}

export interface DovecotOptions {
  readonly users: readonly DovecotUser[];
  /** `mail_max_userip_connections`; a login beyond it is refused. 1,000 when absent. */
  readonly maxConnectionsPerUser?: number;
  /** IMAP capabilities that it does not announce, as `UIDPLUS`. */
  readonly withoutImapCapabilities?: readonly string[];
  /** More of dovecot.conf, put last. */
  readonly extraConfig?: (version: DovecotVersion) => string;
}

export interface Dovecot {
  readonly host: '127.0.0.1';
  readonly imapPort: number;
  readonly imapsPort: number;
  readonly pop3Port: number;
  readonly pop3sPort: number;
  /** PEM, for a connection's `caCertificate`. */
  readonly caCertificate: string;
  /** The user's Maildir; `folder` is a folder below INBOX, absent for INBOX itself. */
  maildir(user: string, folder?: string): string;
  /** The server goes silent, open connections and all. */
  pause(): void;
  resume(): void;
  /** The server goes away: open connections break, new ones are refused. The mails stay. */
  kill(): Promise<void>;
  /** The server comes back on the same ports, after `kill` or in its place. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const killTimeoutMs = 5_000;

/**
 * Starts Dovecot, 2.3 or 2.4, as a child process on free ports of 127.0.0.1, with an empty Maildir for each user;
 * resolves when it accepts connections. It ends, and its folder goes, with `stop` or when this process
 * exits; after a SIGKILL of this process the server ends by itself.
 */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const certificate = await testCertificate();
  const home = mkdtempSync(join(tmpdir(), 'testbed-dovecot-'));
  const mailRoot = join(home, 'mail');
  const owner = mailOwner();
  let child: ChildProcess | undefined;

  const maildir = (user: string, folder?: string) =>
    folder === undefined ? join(mailRoot, user) : join(mailRoot, user, `.${folder}`);
  mkdirSync(mailRoot);
  chownSync(mailRoot, owner.uid, owner.gid);
  // mkdtemp lets only its owner in, and the mail belongs to another user.
  chmodSync(home, 0o755);
  for (const path of options.users.map(({ user }) => maildir(user))) {
    for (const dir of ['', 'cur', 'new', 'tmp']) {
      mkdirSync(join(path, dir), { recursive: true });
      chownSync(join(path, dir), owner.uid, owner.gid);
    }
  }
  writeFileSync(join(home, 'passwd'), passwdFile(options.users));

  const version = await installedVersion();
  const configPath = join(home, 'dovecot.conf');
  const logPath = join(home, 'dovecot.log');
  let ports = { imap: 0, imaps: 0, pop3: 0, pop3s: 0 };
  const log = () => (existsSync(logPath) ? readFileSync(logPath, 'utf8') : '');
  const signal = (name: NodeJS.Signals) => signalGroup(child, name);
  const start = async (): Promise<void> => {
    const started = spawnDovecot(configPath);
    child = started;
    await serverAnswers('Dovecot', started, Object.values(ports), log);
  };
  const kill = async (): Promise<void> => {
    if (child === undefined) return;
    const ended = exited(child);
    signal('SIGKILL');
    await ended;
    await portsRefuse(Object.values(ports), killTimeoutMs);
  };
  const offExit = onExit(() => {
    signal('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  });
  await startOnFreePorts(4, async ([imap = 0, imaps = 0, pop3 = 0, pop3s = 0]) => {
    ports = { imap, imaps, pop3, pop3s };
    const config = { ...options, home, mailRoot, logPath, owner, certificate, ports };
    writeFileSync(configPath, dovecotConfig(version, config));
    await start();
  });

  return {
    host: '127.0.0.1',
    imapPort: ports.imap,
    imapsPort: ports.imaps,
    pop3Port: ports.pop3,
    pop3sPort: ports.pop3s,
    caCertificate: certificate.caCertificate,
    maildir,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    kill,
    restart: async () => {
      await kill();
      await start();
    },
    stop: async () => {
      await kill();
      offExit();
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

async function installedVersion(): Promise<DovecotVersion> {
  const { stdout } = await promisify(execFile)('dovecot', ['--version'], { env: { PATH: serverPath } });
  const version = /^\d+\.\d+/.exec(stdout)?.[0];
  if (version === '2.3' || version === '2.4') return version;
  throw new Error(`Dovecot here is ${stdout.trim()}; the test server knows 2.3 and 2.4.`);
}

/** A group of its own, so that one signal reaches every process of the server. */
function spawnDovecot(configPath: string): ChildProcess {
  const command = ['dovecot', '-F', '-c', configPath];
  // Where there is setpriv, it has the kernel end the server when this process dies by SIGKILL.
  const [program = '', ...args] = hasCommand('setpriv')
    ? ['setpriv', '--pdeathsig', 'TERM', ...command]
    : command;
  return spawn(program, args, {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: serverPath },
  });
}

/** Dovecot won't touch mail as root; as anyone else it can only be who it is. */
function mailOwner(): { uid: number; gid: number } {
  const { uid, gid } = userInfo();
  return uid === 0 ? { uid: 65_534, gid: 65_534 } : { uid, gid };
}

function passwdFile(users: readonly DovecotUser[]): string {
  return users
    .map(({ user, password }) => `${user}:{PLAIN.b64}${Buffer.from(password).toString('base64')}\n`)
    .join('');
}
