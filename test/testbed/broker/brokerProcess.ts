import { startScript } from '../child.ts';
import type { ListedMessage, QueueState } from './control.ts';
import type { BrokerFaults } from './faults.ts';
import type { QueueOptions } from './queue.ts';

/** A broker in a process of its own, and what its control interface offers. */
export interface BrokerProcess {
  readonly connectionString: string;
  readonly port: number;
  readonly pid: number;
  state(queue: string): Promise<QueueState>;
  messages(queue: string): Promise<ListedMessage[]>;
  clear(queue: string): Promise<void>;
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
export async function startBrokerProcess(options: {
  readonly queues: readonly QueueOptions[];
}): Promise<BrokerProcess> {
  const { said, pid, stop } = await startScript<{
    connectionString: string;
    port: number;
    controlUrl: string;
  }>(new URL('./main.ts', import.meta.url), [JSON.stringify(options.queues)]);
  const { connectionString, port, controlUrl } = said;

  async function call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body, nullForUndefined) };
    const response = await fetch(controlUrl + path, init);
    const answer = (await response.json()) as Answer & { error?: string };
    if (!response.ok) throw new Error(`The broker's control interface says: ${answer.error}`);
    return answer;
  }
  const at = (queue: string) => `/queues/${encodeURIComponent(queue)}`;

  return {
    connectionString,
    port,
    pid,
    state: (queue) => call('GET', at(queue)),
    messages: (queue) => call('GET', `${at(queue)}/messages`),
    clear: (queue) => call('POST', `${at(queue)}/clear`),
    setFaults: (faults) => call('PATCH', '/faults', faults),
    connections: () => call('GET', '/connections'),
    dropConnections: () => call('POST', '/drop'),
    pause: () => call('POST', '/stop'),
    resume: () => call('POST', '/restart'),
    stop,
  };
}

function nullForUndefined(_key: string, value: unknown): unknown {
  return value === undefined ? null : value;
}
