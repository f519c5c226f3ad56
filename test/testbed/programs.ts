import { execFileSync, spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';

/** A program that something here needs, wherever it comes from. */
export interface Program {
  readonly name: string;
  /** Commands that it goes by; the first that is there is used. */
  readonly commands: readonly string[];
  /** Debian's packages of it. */
  readonly packages: readonly string[];
  /** Whether all of it is there, where the command alone doesn't say. */
  readonly isWhole?: () => boolean;
}

/** What the demo, the tests and the benchmark need besides Node.js. */
export const programs = {
  dovecot: {
    name: 'Dovecot with IMAP and POP3',
    commands: ['dovecot'],
    packages: ['dovecot-imapd', 'dovecot-pop3d'],
    isWhole: () => {
      const { stdout } = run('doveconf', ['-d', '-h', 'libexec_dir']);
      return ['imap', 'pop3'].every((part) => existsSync(join(stdout.trim(), part)));
    },
  },
  openssl: { name: 'OpenSSL', commands: ['openssl'], packages: ['openssl'] },
  chromium: {
    name: 'Chromium',
    commands: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    packages: ['chromium'],
  },
  mbsync: { name: 'mbsync', commands: ['mbsync'], packages: ['isync'] },
  fetchmail: { name: 'fetchmail', commands: ['fetchmail'], packages: ['fetchmail'] },
} as const satisfies Readonly<Record<string, Program>>;

/** Servers lie in folders that people other than root may not have on their PATH. */
export const serverPath = [
  process.env.PATH ?? '/usr/bin:/bin',
  '/usr/sbin',
  '/sbin',
  '/usr/local/sbin',
  '/opt/homebrew/sbin',
].join(delimiter);

export function hasCommand(command: string): boolean {
  return pathOf(command) !== undefined;
}

/** The path of the program's command; throws where there is none. */
export function commandOf({ name, commands }: Program): string {
  const path = commands.map(pathOf).find((found) => found !== undefined);
  if (path === undefined) throw new Error(`${name} is not here (${commands.join(', ')}).`);
  return path;
}

/**
 * Makes sure that these programs are there, looked for by their commands: installs the missing ones when this is
 * root with apt-get, which it says in one line; else throws one line that says what to install.
 */
export function requirePrograms(programs: readonly Program[]): void {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length === 0) return;
  const packages = missing.flatMap((program) => program.packages);
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !hasCommand('apt-get')) {
    const names = missing.map(({ name, commands }) => `${name} (command ${commands.join(' or ')})`);
    throw new Error(`Missing: ${names.join(', ')}. On Debian or Ubuntu: sudo ${command}`);
  }
  console.log(`Installing with apt-get: ${packages.join(', ')}`);
  aptGet(['-qq', 'update']);
  const installed = aptGet(['install', '-qq', '-y', '--no-install-recommends', ...packages]);
  if (installed.status !== 0) {
    throw new Error(
      `apt-get could not install ${packages.join(', ')}: ${lastLine(installed)} Try: ${command}`,
    );
  }
}

function isThere({ commands, isWhole }: Program): boolean {
  return commands.some(hasCommand) && (isWhole === undefined || isWhole());
}

function pathOf(command: string): string | undefined {
  return serverPath
    .split(delimiter)
    .map((folder) => join(folder, command))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
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

/** Where the libraries of unpacked packages lie, for the dynamic linker. */
export function libraryPath(root: string): string {
  return globSync(['usr/lib/*-linux-gnu', 'lib/*-linux-gnu', 'usr/lib/*-linux-gnu/*'], { cwd: root })
    .map((folder) => join(root, folder))
    .join(':');
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
  return run('apt-get', args, cwd);
}

function run(command: string, args: readonly string[], cwd?: string): Ended {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 300_000,
    env: { ...process.env, PATH: serverPath, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
    ...(cwd === undefined ? {} : { cwd }),
  });
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' };
}

function lastLine({ stderr }: Ended): string {
  return stderr.trim().split('\n').at(-1) ?? '';
}
