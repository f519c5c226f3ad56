import type { Host, HostOptions } from './host.ts';
import type { HttpRequestOptions } from './http.ts';
import type { LogEntry } from './invoke.ts';
import type { QueueTally } from './queue.ts';

/** What the parent asks of a host in a child process. */
export type Order =
  | { readonly do: 'start'; readonly options: Omit<HostOptions, 'onLog'> }
  | { readonly do: 'fireTimer'; readonly name: string }
  | { readonly do: 'runQueueOnce' | 'drainQueue' | 'startQueueListener' | 'stopQueueListener' | 'usage' }
  | { readonly do: 'invokeHttp'; readonly target: string; readonly request: HttpRequestOptions }
  | { readonly do: 'stop'; readonly graceMs: number };

export interface Usage {
  readonly rssBytes: number;
  /** The most it ever was. */
  readonly maxRssBytes: number;
  /** After a collection, where the process was started with `--expose-gc`. */
  readonly heapUsedBytes: number;
  /** Descriptors that the process holds: sockets, and all others. Zero where `/proc` has no word of them. */
  readonly sockets: number;
  readonly openFiles: number;
  readonly cpuMs: number;
}

export interface PlainHttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type Result =
  | { readonly of: 'start'; readonly functions: Host['functions'] }
  | { readonly of: 'fireTimer'; readonly outcome: 'ran' | 'skipped' }
  | { readonly of: 'runQueueOnce'; readonly taken: number }
  | { readonly of: 'drainQueue'; readonly tally: QueueTally }
  | { readonly of: 'invokeHttp'; readonly answer: PlainHttpAnswer }
  | { readonly of: 'usage'; readonly usage: Usage }
  | { readonly of: 'done' };

export interface ToChild {
  readonly id: number;
  readonly order: Order;
}

export type FromChild =
  | { readonly kind: 'listening' }
  | { readonly kind: 'log'; readonly entry: LogEntry }
  | { readonly kind: 'result'; readonly id: number; readonly result: Result }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string };
