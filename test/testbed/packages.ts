import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

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
  const aptGet = (...args: string[]) =>
    spawnSync('apt-get', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 300_000,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  aptGet('-qq', 'update');
  const installed = aptGet('install', '-qq', '-y', '--no-install-recommends', ...missing);
  if (installed.status !== 0) {
    const reason = (installed.stderr ?? '').trim().split('\n').at(-1) ?? '';
    throw new Error(`apt-get could not install ${missing.join(', ')}: ${reason} Try: ${command}`);
  }
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
