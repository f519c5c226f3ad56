import type { Host, HostOptions } from './host.ts';
import type { LogEntry } from './invoke.ts';

/** What the parent asks of a host in a child process: to be started, how it is, or what a host does. */
export interface Remote
  extends Pick<Host, 'fireTimer' | 'drainQueue' | 'startQueueListener' | 'invokeHttp' | 'stop'> {
  start(options: Omit<HostOptions, 'onLog'>): Promise<Host['functions']>;
  usage(): Usage;
}

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

export interface ToChild {
  readonly id: number;
  readonly does: keyof Remote;
  readonly args: readonly unknown[];
}

export type FromChild =
  | { readonly kind: 'listening' }
  | { readonly kind: 'log'; readonly entry: LogEntry }
  /** An HTTP answer comes without its functions. */
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string };
