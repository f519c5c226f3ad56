import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * Makes sure that these Debian packages are installed: installs the missing ones when this is root with
 * apt-get, which it says in one line; else throws one line that says what to install.
 */
export function requireDebianPackages(names: readonly string[]): void {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new Error(`Missing: ${missing.join(', ')}. On Debian or Ubuntu: sudo ${command}`);
  }
  console.log(`Installing with apt-get: ${missing.join(', ')}`);
  aptGet(['-qq', 'update']);
  const installed = aptGet(['install', '-qq', '-y', '--no-install-recommends', ...missing]);
  if (installed.status !== 0) {
    throw new Error(
      `apt-get could not install ${missing.join(', ')}: ${lastLine(installed)} Try: ${command}`,
    );
  }
}

/**
 * Unpacks these Debian packages, and what they need that isn't installed, into a folder that it returns:
 * nothing is installed, so they may be ones that conflict with installed ones. The folder is made once for a
 * user and kept. Throws one line where apt-get can't download them.
 */
export function unpackDebianPackages(names: readonly string[]): string {
  // Not below the checkout: that may lie where the servers' user can't look.
  const folder = join(tmpdir(), `testbed-debian-${userInfo().uid}-${names.join('-')}`);
  if (existsSync(folder)) return ownFolder(folder);
  console.log(`Downloading with apt-get: ${names.join(', ')}`);
  const made = mkdtempSync(`${folder}-`);
  try {
    chmodSync(made, 0o755);
    const archives = join(made, 'archives');
    mkdirSync(archives);
    let downloaded = download(names, archives);
    if (downloaded.status !== 0) {
      aptGet(['-qq', 'update']);
      downloaded = download(names, archives);
    }
    if (downloaded.status !== 0) {
      const reason = lastLine(downloaded);
      throw new Error(`apt-get could not download ${names.join(', ')}: ${reason} Try: sudo apt-get update`);
    }
    for (const archive of readdirSync(archives))
      execFileSync('dpkg-deb', ['-x', join(archives, archive), made]);
    rmSync(archives, { recursive: true });
    renameSync(made, folder);
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    // Another process was first.
    if (!existsSync(folder)) throw error;
  }
  return ownFolder(folder);
}

/** Anyone may make a folder of this name, and what is in it is run. */
function ownFolder(folder: string): string {
  if (lstatSync(folder).isDirectory() && lstatSync(folder).uid === userInfo().uid) return folder;
  throw new Error(`${folder} is not a folder of ${userInfo().username}. Remove it.`);
}

function download(names: readonly string[], cwd: string): Ended {
  const planned = aptGet(['install', '-s', '--no-install-recommends', ...names]);
  if (planned.status !== 0) return planned;
  const needed = [...planned.stdout.matchAll(/^Inst (\S+)/gm)].flatMap(([, name]) => name ?? []);
  // A package may need other programs too, to be installed or to do all it can.
  const wanted = needed.filter(
    (name) => names.includes(name) || name.startsWith('lib') || isPartOf(name, names),
  );
  return aptGet(['download', '-qq', '-o', 'APT::Sandbox::User=root', ...wanted], cwd);
}

/** `cyrus-common` is a part of `cyrus-imapd`. */
function isPartOf(name: string, names: readonly string[]): boolean {
  return name.endsWith('-common') && names.some((other) => other.split('-')[0] === name.split('-')[0]);
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function aptGet(args: readonly string[], cwd?: string): Ended {
  const { status, stdout, stderr } = spawnSync('apt-get', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 300_000,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
    ...(cwd === undefined ? {} : { cwd }),
  });
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' };
}

function lastLine({ stderr }: Ended): string {
  return stderr.trim().split('\n').at(-1) ?? '';
}

function isInstalled(name: string): boolean {
  try {
    const status = execFileSync('dpkg-query', ['-W', '-f', '\x24{db:Status-Status}', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return status === 'installed';
  } catch {
    return false;
  }
}
