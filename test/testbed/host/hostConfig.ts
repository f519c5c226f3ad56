import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What of host.json this host follows; the Functions host's own defaults where it is silent. */
export interface HostConfig {
  /** Messages taken at once from a queue. */
  readonly batchSize: number;
  /** The next batch is taken when no more than this many are still being worked on. */
  readonly newBatchThreshold: number;
  readonly maxDequeueCount: number;
  /** How long a message stays hidden after its function failed. */
  readonly failedVisibilitySeconds: number;
}

/** Reads the host.json nearest above the app's entry file; all defaults when there is none. */
export function readHostConfig(main: string): HostConfig {
  const queues = record(record(record(readHostJson(dirname(main))).extensions).queues);
  const batchSize = numberOr(queues.batchSize, 16);
  return {
    batchSize,
    newBatchThreshold: numberOr(queues.newBatchThreshold, Math.floor(batchSize / 2)),
    maxDequeueCount: numberOr(queues.maxDequeueCount, 5),
    failedVisibilitySeconds: timeSpanSeconds(queues.visibilityTimeout),
  };
}

/** Replaces `%NAME%` by that app setting, as the host does in bindings. Throws for one that is not set. */
export function resolveSettings(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replace(/%([^%]+)%/g, (_whole, name: string) => {
    const value = env[name];
    if (value === undefined) throw new Error(`%${name}% does not resolve: there is no app setting ${name}.`);
    return value;
  });
}

function readHostJson(folder: string): unknown {
  const path = join(folder, 'host.json');
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8'));
  return dirname(folder) === folder ? {} : readHostJson(dirname(folder));
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}

/** `hh:mm:ss` in seconds; nothing is none. */
function timeSpanSeconds(value: unknown): number {
  if (typeof value !== 'string') return 0;
  return value.split(':').reduce((seconds, part) => seconds * 60 + Number(part), 0);
}
