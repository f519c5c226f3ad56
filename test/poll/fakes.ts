import { Readable } from 'node:stream';
import type { Claims, ClaimVerdict } from '../../shared/claim/claims.ts';
import type { ConnectionConfig } from '../../shared/connection/config.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { FetchedMail, MailboxSession, MailRef, MeasuredMail } from '../../shared/mailbox/mailbox.ts';
import { type DrainDependencies, drainMailbox } from '../../shared/poll/drainMailbox.ts';
import { MemoryBudget } from '../../shared/poll/memoryBudget.ts';
import type { MailOutcome, Run, RunResult } from '../../shared/poll/run.ts';
import { Troubles } from '../../shared/poll/troubles.ts';
import { noTrace } from '../../shared/telemetry/telemetry.ts';

/** A mailbox in memory that does what a test tells it. POP3: deletes hold when `close` is confirmed. */
export interface FakeMailbox {
  /** Ids of the mails that are there, in order. */
  mails: number[];
  sizeBytes: number;
  /** Mails of which the server says that they are gone though it lists them. */
  readonly ghosts: Set<number>;
  readonly unavailable: Set<number>;
  /** Sessions opened, mails fetched, mails settled: in order. */
  readonly events: string[];
  isConfirmed: boolean;
  onFetched: (id: number) => void;
  settleFailure: Failure | undefined;
}

/** One run over a `FakeMailbox`, with claims and outlet that note what is asked of them. */
export interface DrainBed {
  readonly mailbox: FakeMailbox;
  readonly memory: MemoryBudget;
  readonly pushed: number[];
  readonly claimCalls: string[];
  lease: 'held' | 'ended' | 'lost';
  heartbeatFails: boolean;
  isOverBudget: () => boolean;
  verdict: (id: number) => ClaimVerdict;
  outcome: (id: number) => MailOutcome;
  prepareFailure: (id: number) => Failure | undefined;
  sharesMemory: boolean;
  readonly givenBack: Buffer[];
  onBegin: () => void;
  markFailure: Failure | undefined;
  troubles: Troubles;
  drain(): Promise<RunResult>;
}

export const limits: DrainDependencies['limits'] = {
  imapSessionMails: 50,
  pop3SessionMails: 20,
  measureMails: 20,
  batchMails: 10,
  batchBytes: 1_000_000,
  wholeMailBytes: 100_000,
};

const pushedWhole: MailOutcome = { kind: 'pushed', messages: 1 };

export function connectionConfig(protocol: 'imap' | 'pop3'): ConnectionConfig {
  return {
    customer: 'acme',
    connection: 'orders',
    enabled: true,
    protocol,
    host: 'mail.example.com',
    port: 993,
    security: 'tls',
    username: 'anna',
    folder: 'INBOX',
    deleteMails: false,
    auth: { kind: 'password', password: 'x' },
    rules: {
      sendBody: true,
      sendAttachments: true,
      bodyFormat: 'text',
      inlineAttachments: false,
      unpackWinmail: true,
    },
    unmatchedMails: 'leave',
    schedule: { kind: 'interval', intervalSeconds: 60 },
    useProcessLock: false,
    sessions: 'none',
  };
}

export function drainBed(mailCount: number, protocol: 'imap' | 'pop3' = 'imap'): DrainBed {
  const mailbox: FakeMailbox = {
    mails: Array.from({ length: mailCount }, (_, index) => index + 1),
    sizeBytes: 100,
    ghosts: new Set(),
    unavailable: new Set(),
    events: [],
    isConfirmed: true,
    onFetched: () => {},
    settleFailure: undefined,
  };
  const memory = new MemoryBudget(24 * 1_048_576);
  const pushed: number[] = [];
  const claimCalls: string[] = [];
  const bed: DrainBed = {
    mailbox,
    memory,
    pushed,
    claimCalls,
    lease: 'held',
    heartbeatFails: false,
    isOverBudget: () => false,
    verdict: () => 'mine',
    outcome: () => pushedWhole,
    prepareFailure: () => undefined,
    sharesMemory: false,
    givenBack: [],
    onBegin: () => {},
    markFailure: undefined,
    troubles: new Troubles(undefined, new Date()),
    drain: () =>
      drainMailbox(runOf(), {
        openSession: async () => openSession(mailbox, protocol),
        openOutlet: async () => ({
          prepare: async (mail, source) => {
            for await (const _ of await source.open());
            const failure = bed.prepareFailure(mail.id);
            if (failure) throw failure;
            return {
              sharesMemory: () => bed.sharesMemory,
              push: async () => {
                const outcome = bed.outcome(mail.id);
                if (outcome.kind === 'pushed') pushed.push(mail.id);
                return outcome;
              },
            };
          },
          isStored: async () => false,
          close: async () => {
            mailbox.events.push('outlet closed');
          },
        }),
        openClaims: () => claims,
        memory,
        buffers: { giveBack: (buffer) => void bed.givenBack.push(buffer) },
        limits,
        warn: () => {},
      }),
  };
  const claims: Claims = {
    begin: async (listed) => {
      claimCalls.push(listed ? 'begin' : 'begin, list cut');
      bed.onBegin();
    },
    take: async (mails) => new Map(mails.map((mail) => [mail, bed.verdict(mail.id)])),
    markDelivered: async (mails) => {
      if (bed.markFailure) throw bed.markFailure;
      note('delivered', mails);
    },
    drop: async (mails) => note('drop', mails),
    free: async (mails) => note('free', mails),
    beat: async () => {},
    end: async () => note('end', []),
  };
  const note = (call: string, mails: readonly MailRef[]) => {
    claimCalls.push([call, ...mails.map(({ id }) => id)].join(' '));
  };
  const runOf = (): Run => ({
    runId: 'run',
    config: connectionConfig(protocol),
    startedAt: new Date(),
    lease: {
      get state() {
        return bed.lease;
      },
      keepUntil() {},
      release: async () => {},
    },
    heartbeat: {
      add() {},
      get isFailing() {
        return bed.heartbeatFails;
      },
      stop: async () => {},
    },
    troubles: bed.troubles,
    trace: noTrace,
    isOverBudget: () => bed.isOverBudget(),
  });
  return bed;
}

function openSession(mailbox: FakeMailbox, protocol: 'imap' | 'pop3'): MailboxSession {
  mailbox.events.push('open');
  const deleted = new Set<number>();
  let closed: Promise<boolean> | undefined;
  const answer = (mail: MeasuredMail): Exclude<FetchedMail, { kind: 'mail' }> | undefined => {
    if (mailbox.ghosts.has(mail.id) || !mailbox.mails.includes(mail.id)) return { kind: 'gone', mail };
    if (!mailbox.unavailable.has(mail.id)) return undefined;
    return { kind: 'unavailable', mail, sentence: 'the server will not.' };
  };
  const remove = (ids: Iterable<number>) => {
    const gone = new Set(ids);
    mailbox.mails = mailbox.mails.filter((id) => !gone.has(id));
  };
  return {
    endpoint: 'imaps://mail.example.com:993/INBOX',
    list: async (limit) => mailbox.mails.slice(0, limit).map((id) => ({ key: `mail ${id}`, id })),
    measure: async (mails) => mails.map((mail) => ({ ...mail, sizeBytes: mailbox.sizeBytes })),
    async *fetch(mails) {
      for (const mail of mails) {
        mailbox.events.push(`fetch ${mail.id}`);
        mailbox.onFetched(mail.id);
        yield answer(mail) ?? { kind: 'mail', mail, source: Buffer.alloc(mail.sizeBytes) };
        // As over a network, what was fetched before is pushed and settled meanwhile.
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async openStream(mail) {
      mailbox.events.push(`stream ${mail.id}`);
      mailbox.onFetched(mail.id);
      const stream = Readable.from([Buffer.alloc(1_000)]);
      return answer(mail) ?? { kind: 'mail', mail, stream };
    },
    async settle(mails) {
      if (mailbox.settleFailure) throw mailbox.settleFailure;
      const ids = mails.map(({ id }) => id);
      mailbox.events.push(...ids.map((id) => `settle ${id}`));
      if (protocol === 'imap') remove(ids);
      else for (const id of ids) deleted.add(id);
      await new Promise((resolve) => setImmediate(resolve));
      mailbox.events.push('settled');
    },
    close() {
      closed ??= (async () => {
        mailbox.events.push('closing');
        await new Promise((resolve) => setImmediate(resolve));
        mailbox.events.push('closed');
        if (mailbox.isConfirmed) remove(deleted);
        return mailbox.isConfirmed || deleted.size === 0;
      })();
      return closed;
    },
  };
}

export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

export const storageAway = new Failure('storage', 'Storage is away.');
