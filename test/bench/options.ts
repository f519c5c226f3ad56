import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const scenarioNames = [
  'imap',
  'pop3',
  'latency',
  'memory',
  'growth',
  'schedule',
  'idle',
  'one',
  'extras',
  'cold',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

/** How much of everything a run takes. */
export interface Sizes {
  /** Mails on loopback, and of the mixed ones in the memory scenario. */
  readonly mails: number;
  /** Mails in a mailbox that is 40 ms away. */
  readonly distantMails: number;
  /** The attachment of the one large mail, in MiB. */
  readonly hugeMiB: number;
  /** Mails with 5 MiB each. */
  readonly largeMails: number;
  readonly growth: readonly [number, number, number];
  readonly connections: number;
  readonly dueConnections: number;
  /** Warm polls of a single mail. */
  readonly singlePolls: number;
  /** Fresh processes of each kind. */
  readonly coldStarts: number;
}

export interface BenchOptions {
  readonly only: readonly ScenarioName[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly write: boolean;
  readonly profile: boolean;
  /** What one message may have on the queue, where speed is measured. */
  readonly messageLimitBytes: number;
  /** Whether connecting through a proxy takes the round trip of a TCP handshake. */
  readonly handshake: boolean;
  /** The app's entry file; built first, unless it was named. */
  readonly main: string | undefined;
  /** Whether mbsync and fetchmail are installed where they are missing, or skipped. */
  readonly install: boolean;
  readonly sizes: Sizes;
}

const fullSizes: Sizes = {
  mails: 2_000,
  distantMails: 300,
  hugeMiB: 100,
  largeMails: 200,
  growth: [500, 2_000, 8_000],
  connections: 10_000,
  dueConnections: 2_000,
  singlePolls: 20,
  coldStarts: 15,
};

export const usage = `Usage: npm run bench -- [--only ${scenarioNames.join(',')}] [--rounds 3] [--quick] [--mails n]
  [--write] [--profile] [--message-limit bytes] [--handshake] [--main dist/main.cjs] [--no-install]
test/bench/README.md says what each does and what is measured.`;

/** Reads the command line. Throws with the usage on what it doesn't know. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      mails: { type: 'string' },
      write: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      'message-limit': { type: 'string', default: '104857600' },
      handshake: { type: 'boolean', default: false },
      main: { type: 'string' },
      'no-install': { type: 'boolean', default: false },
    },
  });
  const { quick } = values;
  const asked = values.only?.split(',') ?? scenarioNames;
  const only = scenarioNames.filter((name) => asked.includes(name));
  const unknown = asked.find((name) => !scenarioNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`There is no scenario ${unknown}.\n${usage}`);
  const sizes = quick ? quickSizes(wholeNumber('mails', values.mails ?? '100')) : fullSizes;
  if (values.write && quick) throw new Error('--write is for whole runs: --quick measures nothing to show.');
  return {
    only,
    quick,
    rounds: wholeNumber('rounds', values.rounds ?? (quick ? '1' : '3')),
    write: values.write,
    profile: values.profile,
    messageLimitBytes: wholeNumber('message-limit', values['message-limit']),
    handshake: values.handshake,
    install: !values['no-install'],
    main: values.main === undefined ? undefined : resolve(values.main),
    sizes:
      values.mails === undefined || quick ? sizes : { ...sizes, mails: wholeNumber('mails', values.mails) },
  };
}

/** Enough of everything to see that it works, and nothing that is worth comparing. */
function quickSizes(mails: number): Sizes {
  return {
    mails,
    distantMails: Math.min(mails, 40),
    hugeMiB: 8,
    largeMails: 4,
    growth: [Math.ceil(mails / 4), mails, mails * 4],
    connections: mails * 10,
    dueConnections: mails * 2,
    singlePolls: 2,
    coldStarts: 2,
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new Error(`--${name} is ${text}; it must be a whole number.\n${usage}`);
  return Number(text);
}
