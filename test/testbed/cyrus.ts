import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { testCertificate } from './certificates.ts';
import { exited, freePorts, onExit, portsRefuse, serverAnswers, signalGroup } from './child.ts';
import { serveLogins } from './cyrusLogins.ts';
import type { Dovecot, DovecotUser } from './dovecot.ts';
import { libraryPath, unpackDebianPackages } from './programs.ts';

/** A second mail server that shares no code with Dovecot. Its mails lie in a format of its own: seed by IMAP. */
export type Cyrus = Omit<Dovecot, 'maildir' | 'kill' | 'restart'>;

/** Both say that there can be one IMAP server on a machine, so these are unpacked and not installed. */
export const cyrusPackages: readonly string[] = ['cyrus-imapd', 'cyrus-pop3d'];

const programs = 'usr/lib/cyrus/bin';
const killTimeoutMs = 5_000;

/**
 * Starts Cyrus IMAP, 3.6 or 3.10, as a child process on free ports of 127.0.0.1; resolves when it accepts
 * connections. A mailbox is made at its user's first login. Nothing of the machine's own Cyrus is read or
 * written. It ends, and its folder goes, with `stop` or when this process exits; after a SIGKILL of this process
 * the server ends by itself.
 */
export async function startCyrus(users: readonly DovecotUser[]): Promise<Cyrus> {
  const root = unpackDebianPackages(cyrusPackages);
  const certificate = await testCertificate();
  const home = mkdtempSync(join(tmpdir(), 'testbed-cyrus-'));
  const passwords = new Map(users.map(({ user, password }) => [user, password]));
  const [imap = 0, imaps = 0, pop3 = 0, pop3s = 0] = await freePorts(4);
  const ports = { imap, imaps, pop3, pop3s };
  const configPath = join(home, 'imapd.conf');
  for (const folder of ['conf', 'spool', 'proc', 'lock', 'run']) mkdirSync(join(home, folder));
  // The server's user may not read the key where it lies.
  copyFileSync(certificate.keyPath, join(home, 'server.key'));
  copyFileSync(certificate.certificatePath, join(home, 'server.pem'));
  writeFileSync(configPath, imapdConfig(home));
  writeFileSync(join(home, 'cyrus.conf'), servicesConfig(root, configPath, ports));
  const logins = await serveLogins(join(home, 'logins'), passwords);
  if (isRoot()) execFileSync('chown', ['-R', 'nobody:nogroup', home]);
  chmodSync(home, 0o755);

  const child = spawnCyrus(root, home, configPath);
  const signal = (name: NodeJS.Signals) => signalGroup(child, name);
  const offExit = onExit(() => {
    signal('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  });
  await serverAnswers('Cyrus', child, [imap, imaps, pop3, pop3s]);

  return {
    host: '127.0.0.1',
    imapPort: imap,
    imapsPort: imaps,
    pop3Port: pop3,
    pop3sPort: pop3s,
    caCertificate: certificate.caCertificate,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    stop: async () => {
      const ended = exited(child);
      signal('SIGKILL');
      await ended;
      logins.close();
      await portsRefuse([imap, imaps, pop3, pop3s], killTimeoutMs);
      offExit();
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

function imapdConfig(home: string): string {
  const user = isRoot() ? 'nobody' : userInfo().username;
  return `configdirectory: ${join(home, 'conf')}
defaultpartition: default
partition-default: ${join(home, 'spool')}
proc_path: ${join(home, 'proc')}
mboxname_lockpath: ${join(home, 'lock')}
servername: mail.test
cyrus_user: ${user}
allowplaintext: yes
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: ${join(home, 'logins')}
sasl_mech_list: PLAIN LOGIN
failedloginpause: 0s
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
skiplist_unsafe: yes
tls_server_cert: ${join(home, 'server.pem')}
tls_server_key: ${join(home, 'server.key')}
tls_versions: tls1_2 tls1_3
allowstarttls: yes
`;
}

function servicesConfig(root: string, configPath: string, ports: Readonly<Record<string, number>>): string {
  const service = (name: string, program: string) =>
    `  ${name} cmd="${join(root, programs, program)} -C ${configPath}" listen="127.0.0.1:${ports[name]}" prefork=0`;
  return `START {
}
SERVICES {
${service('imap', 'imapd')}
${service('imaps', 'imapd -s')}
${service('pop3', 'pop3d')}
${service('pop3s', 'pop3d -s')}
}
EVENTS {
}
`;
}

/** A group of its own, so that one signal reaches every process of the server. */
function spawnCyrus(root: string, home: string, configPath: string): ChildProcess {
  // Cyrus won't serve as root; a change of user by itself would undo the death signal.
  const user = isRoot() ? ['--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups'] : [];
  const master = [
    join(root, programs, 'master'),
    ...['-D', '-C', configPath, '-M', join(home, 'cyrus.conf'), '-p', join(home, 'run', 'master.pid')],
  ];
  return spawn('setpriv', [...user, '--pdeathsig', 'TERM', ...master], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
      LD_LIBRARY_PATH: libraryPath(root),
    },
  });
}

function isRoot(): boolean {
  return userInfo().uid === 0;
}
