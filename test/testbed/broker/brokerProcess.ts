import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endChild, onExit } from '../child.ts';
import type { BodyForm, ListedMessage, QueueState } from './control.ts';
import type { BrokerFaults } from './faults.ts';
import type { QueueOptions } from './queue.ts';

/** A broker in a process of its own, and what its control interface offers. */
export interface BrokerProcess {
  readonly connectionString: string;
  readonly port: number;
  readonly controlUrl: string;
  readonly pid: number;
  createQueue(options: QueueOptions): Promise<QueueState>;
  state(queue: string): Promise<QueueState>;
  messages(queue: string, body: BodyForm): Promise<ListedMessage[]>;
  deadLetters(queue: string, body: BodyForm): Promise<ListedMessage[]>;
  clear(queue: string): Promise<QueueState>;
  setDisabled(queue: string, disabled: boolean): Promise<QueueState>;
  /** Sets the faults named and leaves the others; answers all. */
  setFaults(faults: Partial<BrokerFaults>): Promise<BrokerFaults>;
  connections(): Promise<{ open: number; total: number }>;
  dropConnections(): Promise<void>;
  /** Stops listening and cuts every connection; `resume` listens again with the same queues. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the process. */
  stop(): Promise<void>;
}

/** Starts `main.ts` in a child, which ends with this process however that ends. */
export async function startBrokerProcess(
  options: { readonly port?: number; readonly queues?: readonly QueueOptions[] } = {},
): Promise<BrokerProcess> {
  const args = ['--queues', JSON.stringify(options.queues ?? [])];
  if (options.port !== undefined) args.push('--port', String(options.port));
  const watcher = new URL('../exitWithParent.ts', import.meta.url).href;
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', watcher, main, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const { connectionString, port, controlUrl } = JSON.parse(await firstLine(child));

  async function call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body, nullForUndefined) };
    const response = await fetch(controlUrl + path, init);
    const answer = (await response.json()) as Answer & { error?: string };
    if (!response.ok) throw new Error(`The broker's control interface says: ${answer.error}`);
    return answer;
  }
  const at = (queue: string) => `/queues/${encodeURIComponent(queue)}`;
  const listAt = async (path: string) => (await call<{ messages: ListedMessage[] }>('GET', path)).messages;

  return {
    connectionString,
    port,
    controlUrl,
    pid: child.pid ?? 0,
    createQueue: (queue) => call('POST', '/queues', queue),
    state: (queue) => call('GET', at(queue)),
    messages: (queue, body) => listAt(`${at(queue)}/messages?body=${body}`),
    deadLetters: (queue, body) => listAt(`${at(queue)}/deadletters?body=${body}`),
    clear: (queue) => call('POST', `${at(queue)}/clear`),
    setDisabled: (queue, disabled) => call('PATCH', at(queue), { disabled }),
    setFaults: (faults) => call('PATCH', '/faults', faults),
    connections: () => call('GET', '/connections'),
    dropConnections: () => call('POST', '/drop'),
    pause: () => call('POST', '/stop'),
    resume: () => call('POST', '/restart'),
    async stop() {
      await endChild(child);
      forget();
    },
  };
}

function nullForUndefined(_key: string, value: unknown): unknown {
  return value === undefined ? null : value;
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The broker has no output.');
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    lines.close();
    child.stdout.resume();
    return line;
  }
  throw new Error('The broker ended before it was ready.');
}
