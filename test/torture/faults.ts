import { between, type Random } from '../mail/build.ts';
import type { CutMode, Direction } from '../testbed/proxy.ts';

export type Protocol = 'IMAP' | 'POP3';
export type StorageService = 'table' | 'blob';

/** One thing that goes wrong. What lasts says how long, in milliseconds. */
export type Fault =
  | { readonly kind: 'kill the app'; readonly host: number }
  | { readonly kind: 'drop mail connections'; readonly protocol: Protocol; readonly how: CutMode }
  | {
      readonly kind: 'cut a mail connection';
      readonly protocol: Protocol;
      readonly direction: Direction;
      readonly afterBytes: number;
      readonly how: CutMode;
    }
  | { readonly kind: 'refuse mail connections'; readonly protocol: Protocol; readonly forMs: number }
  | { readonly kind: 'silence mail connections'; readonly protocol: Protocol; readonly forMs: number }
  | { readonly kind: 'stop the mail server'; readonly forMs: number }
  | { readonly kind: 'restart the mail server' }
  | { readonly kind: 'drop queue connections' }
  | { readonly kind: 'take the queue away'; readonly forMs: number }
  | { readonly kind: 'stop the broker'; readonly forMs: number }
  | { readonly kind: 'lose acceptances'; readonly transfers: number }
  | { readonly kind: 'lose a transfer' }
  | { readonly kind: 'throttle'; readonly transfers: number }
  | { readonly kind: 'fill the queue'; readonly forMs: number }
  | { readonly kind: 'slow the queue down'; readonly byMs: number; readonly forMs: number }
  | { readonly kind: 'drop storage connections'; readonly service: StorageService }
  | { readonly kind: 'refuse storage connections'; readonly service: StorageService; readonly forMs: number }
  | { readonly kind: 'stop storage'; readonly forMs: number }
  | { readonly kind: 'break a lease'; readonly mailbox: number };

export interface PlannedFault {
  readonly atMs: number;
  readonly fault: Fault;
}

export interface PlanOptions {
  readonly durationMs: number;
  readonly hosts: number;
  readonly mailboxes: number;
  /** On average; so with the interruptions. */
  readonly killEveryMs: number;
  readonly interruptEveryMs: number;
  /** The longest that anything is away; the endpoint retry gives up after 60,000. */
  readonly longestMs: number;
  /** Only what gives the app no reason to send anything twice. */
  readonly gentle?: boolean;
}

/** After these the app knows what was accepted, and can record it. */
const repeatsNothing: ReadonlySet<Fault['kind']> = new Set<Fault['kind']>([
  'drop mail connections',
  'cut a mail connection',
  'refuse mail connections',
  'silence mail connections',
  'stop the mail server',
  'restart the mail server',
  'throttle',
  'fill the queue',
  'slow the queue down',
  'stop storage',
]);

/** The schedule of what goes wrong, by time: the same one for the same random numbers. */
export function planFaults(random: Random, options: PlanOptions): readonly PlannedFault[] {
  const kills = times(random, options.durationMs, options.killEveryMs).map((atMs) => ({
    atMs,
    fault: { kind: 'kill the app', host: between(random, 0, options.hosts - 1) } as const,
  }));
  const interruptions = times(random, options.durationMs, options.interruptEveryMs).map((atMs) => ({
    atMs,
    fault: interruption(random, options),
  }));
  const all: readonly PlannedFault[] = [...kills, ...interruptions];
  const planned = options.gentle === true ? all.filter(({ fault }) => repeatsNothing.has(fault.kind)) : all;
  return planned.toSorted((a, b) => a.atMs - b.atMs);
}

function times(random: Random, durationMs: number, everyMs: number): number[] {
  const all: number[] = [];
  for (let atMs = 0; ; ) {
    atMs += everyMs * (0.3 + 1.4 * random());
    if (atMs >= durationMs) return all;
    all.push(Math.round(atMs));
  }
}

function interruption(random: Random, options: PlanOptions): Fault {
  const pick = <T>(all: readonly T[]): T => all[between(random, 0, all.length - 1)] as T;
  const protocol = pick<Protocol>(['IMAP', 'POP3']);
  const service = pick<StorageService>(['table', 'blob']);
  const how = pick<CutMode>(['fin', 'rst']);
  const forMs = between(random, 300, Math.min(8_000, options.longestMs));
  // Now and then longer than the endpoint retry lasts.
  const longMs = random() < 0.15 ? options.longestMs : forMs;
  const direction = random() < 0.8 ? 'toClient' : 'toServer';
  const afterBytes =
    direction === 'toClient' ? Math.round(10 ** (2 + 3.5 * random())) : between(random, 10, 2_000);
  return pick<Fault>([
    { kind: 'drop mail connections', protocol, how },
    { kind: 'cut a mail connection', protocol, direction, afterBytes, how },
    { kind: 'cut a mail connection', protocol, direction, afterBytes, how },
    { kind: 'refuse mail connections', protocol, forMs },
    { kind: 'silence mail connections', protocol, forMs },
    { kind: 'stop the mail server', forMs },
    { kind: 'restart the mail server' },
    { kind: 'drop queue connections' },
    { kind: 'take the queue away', forMs: longMs },
    { kind: 'stop the broker', forMs },
    { kind: 'lose acceptances', transfers: between(random, 1, 3) },
    { kind: 'lose a transfer' },
    { kind: 'throttle', transfers: between(random, 1, 6) },
    { kind: 'fill the queue', forMs },
    { kind: 'slow the queue down', byMs: between(random, 100, 1_500), forMs: 2 * forMs },
    { kind: 'drop storage connections', service },
    { kind: 'refuse storage connections', service, forMs },
    { kind: 'stop storage', forMs },
    { kind: 'break a lease', mailbox: between(random, 0, options.mailboxes - 1) },
  ]);
}
