import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Certificate, testCertificate } from './certificates.ts';
import { exited, onExit, portsRefuse, serverAnswers, signalGroup, startOnFreePorts } from './child.ts';
import { type DovecotVersion, dovecotConfig } from './dovecotConfig.ts';
import { hasCommand, serverPath } from './programs.ts';

export interface DovecotUser {
  readonly user: string;
  readonly password: string;
}

export interface DovecotOptions {
  readonly users: readonly DovecotUser[];
  /** The usual testbed certificate when absent. */
  readonly certificate?: Certificate;
  /** `mail_max_userip_connections`; a login beyond it is refused. 1,000 when absent. */
  readonly maxConnectionsPerUser?: number;
  /** Whether the server has TLS: STARTTLS and STLS on the plain ports, and the two TLS ports. True when absent. */
  readonly tls?: boolean;
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
  /** Adds a user, or gives one another password; resolves when it holds. */
  setPassword(user: string, password: string): Promise<void>;
  /** What the server logged. */
  log(): string;
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
  const certificate = options.certificate ?? (await testCertificate());
  const home = mkdtempSync(join(tmpdir(), 'testbed-dovecot-'));
  const mailRoot = join(home, 'mail');
  const passwords = new Map<string, string>();
  const owner = mailOwner();
  let rewrites = 0;
  let child: ChildProcess | undefined;

  const maildir = (user: string, folder?: string) =>
    folder === undefined ? join(mailRoot, user) : join(mailRoot, user, `.${folder}`);
  const writeUser = (user: string, password: string) => {
    for (const dir of ['', 'cur', 'new', 'tmp']) {
      mkdirSync(join(maildir(user), dir), { recursive: true });
      chownSync(join(maildir(user), dir), owner.uid, owner.gid);
    }
    passwords.set(user, password);
    const path = join(home, 'passwd');
    writeFileSync(path, passwdFile(passwords));
    // Dovecot reads the file again when its time has changed, in whole seconds.
    rewrites += 1;
    utimesSync(path, new Date(), new Date(Date.now() + rewrites * 1_000));
  };

  mkdirSync(mailRoot);
  chownSync(mailRoot, owner.uid, owner.gid);
  // mkdtemp lets only its owner in, and the mail belongs to another user.
  chmodSync(home, 0o755);
  for (const { user, password } of options.users) writeUser(user, password);

  const version = await installedVersion();
  const tls = options.tls ?? true;
  const configPath = join(home, 'dovecot.conf');
  const logPath = join(home, 'dovecot.log');
  let ports = { imap: 0, imaps: 0, pop3: 0, pop3s: 0 };
  const log = () => (existsSync(logPath) ? readFileSync(logPath, 'utf8') : '');
  const signal = (name: NodeJS.Signals) => signalGroup(child, name);
  const start = async (): Promise<void> => {
    const started = spawnDovecot(configPath);
    child = started;
    const answering = tls ? Object.values(ports) : [ports.imap, ports.pop3];
    await serverAnswers('Dovecot', started, answering, log);
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
    const config = { ...options, home, mailRoot, logPath, owner, certificate, tls, ports };
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
    setPassword: async (user, password) => {
      writeUser(user, password);
      await passwordHolds(configPath, user, password);
    },
    log,
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

/** Dovecot looks at its password file once a second at most. */
async function passwordHolds(configPath: string, user: string, password: string): Promise<void> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    const tried = spawn('doveadm', ['-c', configPath, 'auth', 'test', user, password], {
      stdio: 'ignore',
      env: { PATH: serverPath },
    });
    await exited(tried);
    if (tried.exitCode === 0) return;
    if (Date.now() > deadline) throw new Error(`Dovecot did not take the new password of ${user} in 5 s.`);
    await delay(50);
  }
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

function passwdFile(passwords: ReadonlyMap<string, string>): string {
  return [...passwords]
    .map(([user, password]) => `${user}:{PLAIN.b64}${Buffer.from(password).toString('base64')}\n`)
    .join('');
}
