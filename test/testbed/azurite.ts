import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { exited, onExit, outputOf } from './child.ts';

interface AzuritePorts {
  readonly blob: number;
  readonly queue: number;
  readonly table: number;
}

export interface Azurite {
  /** With explicit BlobEndpoint, QueueEndpoint and TableEndpoint. */
  readonly connectionString: string;
  readonly blobPort: number;
  readonly queuePort: number;
  readonly tablePort: number;
  /** Storage goes silent: connections are accepted by the kernel, nothing answers. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

const accountName = 'devstoreaccount1';
/** Azurite's well-known key, the same for everyone. */
const accountKey = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const startTimeoutMs = 30_000;

/**
 * Starts Azurite as a child process on this process's own Node; resolves when all three services listen. The
 * child ends with `stop`, and by itself when this process ends in any way. Data is kept in `folder`, or in memory.
 */
export async function startAzurite({ folder }: { readonly folder?: string } = {}): Promise<Azurite> {
  const child = spawnAzurite(folder);
  const offExit = onExit(() => child.kill('SIGKILL'));
  const ports = await listening(child);

  const endpoint = (port: number) => `http://127.0.0.1:${port}/${accountName}`;
  return {
    connectionString: [
      'DefaultEndpointsProtocol=http',
      `AccountName=${accountName}`,
      `AccountKey=${accountKey}`,
      `BlobEndpoint=${endpoint(ports.blob)}`,
      `QueueEndpoint=${endpoint(ports.queue)}`,
      `TableEndpoint=${endpoint(ports.table)}`,
    ].join(';'),
    blobPort: ports.blob,
    queuePort: ports.queue,
    tablePort: ports.table,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop: async () => {
      const ended = exited(child);
      child.kill('SIGKILL');
      await ended;
      offExit();
    },
  };
}

function spawnAzurite(folder: string | undefined): ChildProcess {
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/azurite.js');
  return spawn(
    process.execPath,
    [
      '--import',
      fileURLToPath(new URL('./exitWithParent.ts', import.meta.url)),
      main,
      '--silent',
      '--disableTelemetry',
      '--skipApiVersionCheck',
      ...(folder === undefined ? ['--inMemoryPersistence'] : ['--location', folder]),
      // Free ones.
      ...['--blobPort', '0', '--queuePort', '0', '--tablePort', '0'],
    ],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(tmpdir(), 'testbed-compile-cache') },
    },
  );
}

/** The ports it listens on, read from its output: with port 0 only Azurite knows them. */
async function listening(child: ChildProcess): Promise<AzuritePorts> {
  const output = outputOf(child);
  const portOf = (service: string) => {
    const said = new RegExp(`Azurite ${service} service is successfully listening at \\S+:(\\d+)`);
    return Number(said.exec(output())?.[1] ?? 0);
  };
  const giveUpAtMs = Date.now() + startTimeoutMs;
  for (;;) {
    const ports = { blob: portOf('Blob'), queue: portOf('Queue'), table: portOf('Table') };
    if (ports.blob > 0 && ports.queue > 0 && ports.table > 0) return ports;
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    if (hasEnded || Date.now() > giveUpAtMs) {
      child.kill('SIGKILL');
      throw new Error(`Azurite ${hasEnded ? 'ended' : 'was silent'} at its start: ${output().slice(-1_000)}`);
    }
    await delay(5);
  }
}
