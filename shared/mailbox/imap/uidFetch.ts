import type { Failure } from '../../failure/failure.ts';
import type { Holding, MailRef } from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import type { FetchItems, LiteralIntake } from './fetchCommand.ts';
import type { FetchData } from './fetchResponse.ts';
import { type ImapConnection, literalLimit } from './imapConnection.ts';
import { describeRefusal, isBusy, type Refusal, refusalOf } from './imapFailure.ts';
import { compactUids } from './sequenceSet.ts';
import { whileTrafficFlows } from './traffic.ts';

/** RFC 5530: what a NO says when the mail was expunged by someone else. */
const goneCodes = new Set(['EXPUNGEISSUED', 'NONEXISTENT']);

/** Sequence numbers of which something is kept for one mail. */
const maxSequences = 100;

/** A response without a body takes no more than this on the wire. */
export const dataBytes = 1024 * 1024;

/** No memory is counted for what is not a mail. */
export const uncounted: LiteralIntake = {
  largestBytes: dataBytes,
  hold: () => ({ grow: async () => {}, release() {} }),
  giveBack() {},
};

/** A response that holds the mail, whole or as the piece asked for; NIL counts, as the server's answer. */
export function holdsBody(data: FetchData): boolean {
  return data.body !== undefined;
}

/** What the server said about one mail. */
export type FetchOutcome<M extends MailRef> =
  | { readonly kind: 'data'; readonly mail: M; readonly data: FetchData }
  /** The command that asked for this mail alone got a NO or BAD, or cost the connection. */
  | { readonly kind: 'refused'; readonly mail: M; readonly refusal: Refusal }
  /** The commands that asked for it went well and said nothing about it: expunged. */
  | { readonly kind: 'missing'; readonly mail: M };

/** The connection to fetch over, which the server may drop because of one mail. */
export interface Line {
  readonly connection: ImapConnection;
  /** For each silence on the wire. */
  readonly commandMs: number;
  /** Connects anew, or rejects: with `lost` when that has happened too often. */
  reconnect(lost: Failure): Promise<void>;
}

export interface UidFetch<M extends MailRef> {
  readonly mails: readonly M[];
  readonly items: FetchItems;
  /** Whether a response holds what was asked for; a server may also send responses of its own about flags. */
  readonly answers: (data: FetchData) => boolean;
  /** The largest mail asked for, in bytes: what may be on the wire before the next response. */
  readonly largestBytes: number;
  readonly intake: LiteralIntake;
}

/**
 * Fetches mails by UID, ranges compacted, and answers each exactly once, in the order of arrival. When the
 * server refuses a whole range, or drops the connection over it (as Dovecot does for a mail that it can't
 * read), the first unanswered mail is asked for alone and then the rest again, so one bad mail does not
 * stop the others; nor does one of which alone the server says that it is busy. Rejects with a `Failure` when the
 * connection or its time is gone, or the server is busy.
 *
 * A consumer that ends early leaves a command on the wire; `onAbandoned` gets the promise of its end.
 */
export async function* fetchByUid<M extends MailRef>(
  line: Line,
  request: UidFetch<M>,
  onAbandoned: (ended: Promise<void>) => void,
): AsyncGenerator<FetchOutcome<M>, void, undefined> {
  // In the order in which a server goes through them.
  const ascending = [...request.mails].sort((one, other) => one.id - other.id);
  const waiting = new Map(ascending.map((mail) => [mail.id, mail]));
  const missing: M[] = [];
  let refusal: Refusal | undefined;
  let busy: { readonly mail: M; readonly refusal: Refusal } | undefined;
  while (waiting.size > 0) {
    // After a refusal the first one in line is the suspect and is asked for alone.
    const alone = refusal !== undefined;
    const [first] = waiting.values();
    const asked: readonly M[] = alone && first !== undefined ? [first] : [...waiting.values()];
    refusal = undefined;
    const joined = first !== undefined && asked.length === 1 ? new JoinedResponses(first.id) : undefined;
    for (const uids of compactUids(asked.map((mail) => mail.id))) {
      const isAnswer = (data: FetchData): boolean =>
        joined?.concerns(data) ?? (waiting.has(data.uid) && request.answers(data));
      const bursts = burstsOf(line, uids, request, isAnswer, onAbandoned);
      for (let next = await bursts.next(); ; next = await bursts.next()) {
        if (next.done === true) {
          refusal ??= next.value;
          break;
        }
        let taken = false;
        try {
          for (const data of next.value) {
            const mail = joined === undefined && request.answers(data) ? waiting.get(data.uid) : undefined;
            if (mail === undefined) {
              const unused = joined === undefined ? data.holding : joined.add(data);
              if (unused !== undefined) request.intake.giveBack(unused);
              continue;
            }
            waiting.delete(data.uid);
            yield { kind: 'data', mail, data };
          }
          taken = true;
        } finally {
          if (!taken) await bursts.return(undefined);
        }
      }
      if (refusal !== undefined) break;
    }
    const { data } = joined ?? {};
    if (first !== undefined && data !== undefined && request.answers(data)) {
      waiting.delete(first.id);
      refusal = undefined;
      yield { kind: 'data', mail: first, data };
    } else if (data?.holding !== undefined) request.intake.giveBack(data.holding);
    if (refusal === undefined) {
      for (const mail of asked) if (waiting.delete(mail.id)) missing.push(mail);
    } else if (alone && first !== undefined && waiting.delete(first.id)) {
      const { connection } = line;
      if (isBusy(refusal) || (busy !== undefined && refusal.status === 'BYE')) {
        // Whether that is the server or this mail is told by what it says of the next one.
        if (busy !== undefined || waiting.size === 0)
          throw connection.fail(describeRefusal(refusal, 'a fetch', connection.state), 'a fetch');
        busy = { mail: first, refusal };
        continue;
      }
      if (goneCodes.has(refusal.code ?? '')) missing.push(first);
      else yield { kind: 'refused', mail: first, refusal };
      refusal = undefined;
    }
    if (busy !== undefined) yield { kind: 'refused', ...busy };
    busy = undefined;
  }
  for (const mail of missing) yield { kind: 'missing', mail };
}

/**
 * The responses of one command as they come, an answer among them; returns the refusal when it ended with NO, BAD or
 * a lost connection.
 */
async function* burstsOf<M extends MailRef>(
  line: Line,
  uids: string,
  { items, largestBytes, intake }: UidFetch<M>,
  isAnswer: (data: FetchData) => boolean,
  onAbandoned: (ended: Promise<void>) => void,
): AsyncGenerator<readonly FetchData[], Refusal | undefined, undefined> {
  const { connection, commandMs: silenceMs } = line;
  const command = connection.fetch(uids, items, largestBytes, intake);
  const traffic = {
    receivedBytes: () => connection.receivedBytes,
    floodBytes: literalLimit(largestBytes),
    isHeldBack: () => command.isHeldBack,
  };
  const onExpiry = (what: 'silence' | 'flood'): Failure => {
    if (what === 'silence') return connection.fail(describeTimeout(connection.state, silenceMs), 'a fetch');
    return connection.fail(Object.assign(new Error('flood'), { code: 'ResponseTooLarge' }), 'a fetch');
  };
  const takeAnswers = async (): Promise<readonly FetchData[]> => {
    for (;;) {
      const burst = await command.take();
      if (burst.length === 0 || burst.some(isAnswer)) return burst;
      for (const { holding } of burst) if (holding !== undefined) intake.giveBack(holding);
    }
  };
  const take = () => whileTrafficFlows(takeAnswers(), silenceMs, traffic, onExpiry);
  let ended = false;
  try {
    for (;;) {
      const burst = await take().catch((error: unknown) => {
        ended = true;
        throw error;
      });
      if (burst.length === 0) {
        ended = true;
        return undefined;
      }
      yield burst;
    }
  } catch (error) {
    const refusal = ended ? refusalOf(error) : undefined;
    if (refusal !== undefined) return refusal;
    const failure = connection.fail(error, 'a fetch');
    if (failure.reason !== 'connection-lost') throw failure;
    await line.reconnect(failure);
    return { status: 'BYE', text: connection.state.byeReason ?? 'the connection was dropped' };
  } finally {
    if (!ended) {
      command.abandon();
      onAbandoned(drain(() => whileTrafficFlows(command.take(), silenceMs, traffic, onExpiry)));
    }
  }
}

/**
 * What was said about one mail that was asked for alone. Some servers say it in several responses, the UID in one and
 * the mail in another: those of the same sequence number are one. Where more mails are asked for at once that is not
 * done: by a sequence number alone a mail could be taken for another one.
 */
class JoinedResponses {
  readonly #uid: number;
  readonly #bySequence = new Map<number, FetchData>();

  constructor(uid: number) {
    this.#uid = uid;
  }

  /** What is known by now; undefined when nothing was said. */
  get data(): FetchData | undefined {
    const all = [...this.#bySequence.values()];
    // Without any UID it is the one body that was sent.
    const found = all.find(({ uid }) => uid === this.#uid) ?? all.find(({ body }) => body !== undefined);
    return found && { ...found, uid: this.#uid };
  }

  concerns({ uid }: FetchData): boolean {
    return uid === 0 || uid === this.#uid;
  }

  /** Gives what the response holds of memory and is not kept. */
  add(response: FetchData): Holding | undefined {
    const before = this.#bySequence.get(response.sequence);
    const isKept = this.concerns(response) && (before !== undefined || this.#bySequence.size < maxSequences);
    if (!isKept) return response.holding;
    const flags = before?.flags && response.flags ? new Set([...before.flags, ...response.flags]) : undefined;
    const uid = before?.uid || response.uid;
    this.#bySequence.set(response.sequence, { ...response, ...before, uid, ...(flags ? { flags } : {}) });
    return before?.body === undefined ? undefined : response.holding;
  }
}

/** Reads away what is still on the wire: no other command gets its turn before. */
async function drain(take: () => Promise<readonly FetchData[]>): Promise<void> {
  try {
    while ((await take()).length > 0);
  } catch {
    // The connection is gone, or the rest was refused: either way the command has ended.
  }
}
