import type { Failure } from '../../failure/failure.ts';
import type { Holding, MailRef } from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import type { FetchItems, LiteralMemory } from './fetchCommand.ts';
import type { FetchData } from './fetchResponse.ts';
import type { Folder } from './folder.ts';
import { literalLimit } from './imapConnection.ts';
import { describeRefusal, isBusy, type Refusal, refusalOf } from './imapFailure.ts';
import { compactUids } from './sequenceSet.ts';
import { whileTrafficFlows } from './traffic.ts';

/** RFC 5530: what a NO says when the mail was expunged by someone else. */
const goneCodes = new Set(['EXPUNGEISSUED', 'NONEXISTENT']);

/** Responses that are looked at for one mail; what comes behind them counts as traffic only. */
const maxResponses = 100;

/** A response without a body takes no more than this on the wire. */
export const dataBytes = 1024 * 1024;

/** What the server said about one mail. */
export type FetchOutcome<M extends MailRef> =
  | { readonly kind: 'data'; readonly mail: M; readonly data: FetchData }
  /** The command that asked for this mail alone got a NO or BAD, cost the connection, or said nothing about it. */
  | { readonly kind: 'refused'; readonly mail: M; readonly refusal: Refusal }
  /** The commands that asked for it went well and said nothing about it, and it is no candidate any more: expunged. */
  | { readonly kind: 'missing'; readonly mail: M };

export interface UidFetch<M extends MailRef> {
  readonly mails: readonly M[];
  readonly items: FetchItems;
  /** The largest mail taken, in bytes, and what may be on the wire before the next response; absent: `dataBytes`. */
  readonly largestBytes?: number;
  /** Absent: no memory is counted for what is not a mail. */
  readonly memory?: LiteralMemory;
  /** Gets the promise of each command's end: a consumer that ends early leaves it on the wire. */
  readonly onAbandoned?: (ended: Promise<void>) => void;
}

/** What a server says that lists a mail and gives no row for it. */
const silence: Refusal = { status: 'OK', text: 'and says nothing about it that can be read' };

const uncounted: LiteralMemory = {
  hold: () => ({ grow: async () => {}, release() {} }),
  giveBack() {},
};

/** A server may also send responses of its own about flags. Of a body NIL counts, as the server's answer. */
function holdsItems({ body, header, names = [] }: FetchItems, data: FetchData): boolean {
  if (body !== undefined) return data.body !== undefined;
  if (header !== undefined) return data.header !== undefined;
  return names.length === 0 || (names.includes('RFC822.SIZE') ? data.sizeBytes : data.flags) !== undefined;
}

/**
 * Fetches mails by UID and answers each once, in the order of arrival. Where the server refuses a range, or drops the
 * connection over it, as Dovecot does for a mail that it can't read, the first unanswered mail is asked for alone and
 * then the rest, so one bad mail stops no other; nor does one of which alone the server says that it is busy. Rejects
 * with a `Failure` when the connection or its time is gone, or the server is busy.
 */
export async function* fetchByUid<M extends MailRef>(
  folder: Folder,
  request: UidFetch<M>,
): AsyncGenerator<FetchOutcome<M>, void, undefined> {
  const { items, memory = uncounted } = request;
  const answers = (data: FetchData): boolean => holdsItems(items, data);
  // In the order in which a server goes through them.
  const ascending = [...request.mails].sort((one, other) => one.id - other.id);
  const waiting = new Map(ascending.map((mail) => [mail.id, mail]));
  const missing: M[] = [];
  let refusal: Refusal | undefined;
  let busy: { readonly mail: M; readonly refusal: Refusal } | undefined;
  let lastGiven = 0;
  for (let [first] = waiting.values(); first !== undefined; [first] = waiting.values()) {
    // After a refusal the first one in line is the suspect and is asked for alone.
    const alone = refusal !== undefined;
    const asked: readonly M[] = alone ? [first] : [...waiting.values()];
    refusal = undefined;
    const joined = asked.length === 1 ? new JoinedResponses(first.id) : undefined;
    const isAnswer = (data: FetchData): boolean =>
      joined?.concerns(data) ?? (waiting.has(data.uid) && answers(data));
    for (const uids of compactUids(asked.map((mail) => mail.id))) {
      for await (const burst of burstsOf(folder, uids, request, memory, isAnswer)) {
        if ('status' in burst) {
          refusal = burst;
          break;
        }
        for (const data of burst) {
          const mail = joined === undefined && answers(data) ? waiting.get(data.uid) : undefined;
          if (mail === undefined) {
            const unused = joined === undefined ? data.holding : joined.add(data);
            if (unused !== undefined) memory.giveBack(unused);
            continue;
          }
          waiting.delete(data.uid);
          lastGiven = Math.max(lastGiven, data.uid);
          yield { kind: 'data', mail, data };
        }
      }
      if (refusal !== undefined) break;
    }
    const { data } = joined ?? {};
    if (data !== undefined && answers(data)) {
      waiting.delete(first.id);
      refusal = undefined;
      yield { kind: 'data', mail: first, data };
    }
    if (refusal === undefined) {
      for (const mail of asked) if (waiting.delete(mail.id)) missing.push(mail);
    } else if (alone && waiting.delete(first.id)) {
      const { connection } = folder;
      const doing = `a fetch of UID ${first.id}`;
      // Whether that is the server or this mail is told by what it says, or has said, of one behind it.
      const isInDoubt = isBusy(refusal) && first.id > lastGiven;
      if (isInDoubt || (busy !== undefined && refusal.status === 'BYE')) {
        if (busy !== undefined || waiting.size === 0) throw describeRefusal(refusal, doing, connection.state);
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
  const listed = await folder.stillListed(missing);
  for (const mail of missing) {
    if (!listed.has(mail.id)) yield { kind: 'missing', mail };
    else if (request.mails.length === 1) yield { kind: 'refused', mail, refusal: silence };
    // What comes without a UID is known to be its only where nothing else is asked for.
    else yield* fetchByUid(folder, { ...request, mails: [mail] });
  }
}

/** The responses of one command in bursts, with an answer in each, and the refusal or lost connection that ends it. */
async function* burstsOf<M extends MailRef>(
  folder: Folder,
  uids: string,
  { items, largestBytes = dataBytes, onAbandoned }: UidFetch<M>,
  memory: LiteralMemory,
  isAnswer: (data: FetchData) => boolean,
): AsyncGenerator<readonly FetchData[] | Refusal, void, undefined> {
  const { connection, commandMs: silenceMs } = folder;
  const command = connection.fetch(uids, items, memory, largestBytes);
  const traffic = {
    receivedBytes: () => connection.client.stats().received,
    floodBytes: literalLimit(largestBytes),
    isHeldBack: () => command.isHeldBack,
  };
  const onExpiry = (what: 'silence' | 'flood'): Failure => {
    if (what === 'silence') return connection.fail(describeTimeout(connection.state, silenceMs), 'a fetch');
    return connection.fail(Object.assign(new Error('flood'), { code: 'ResponseTooLarge' }), 'a fetch');
  };
  const inTime = <T>(work: Promise<T>) => whileTrafficFlows(work, silenceMs, traffic, onExpiry);
  const takeAnswers = async (): Promise<readonly FetchData[]> => {
    for (;;) {
      const burst = await command.take();
      if (burst.length === 0 || burst.some(isAnswer)) return burst;
      for (const { holding } of burst) if (holding !== undefined) memory.giveBack(holding);
    }
  };
  try {
    for (;;) {
      const burst = await inTime(takeAnswers());
      if (burst.length === 0) return;
      yield burst;
    }
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal !== undefined) {
      yield refusal;
      return;
    }
    const failure = connection.fail(error, 'a fetch');
    if (failure.reason !== 'connection-lost') throw failure;
    await folder.reconnect(failure);
    yield { status: 'BYE', text: connection.state.byeReason ?? 'the connection was dropped' };
  } finally {
    command.abandon();
    onAbandoned?.(drain(() => inTime(command.take())));
  }
}

/**
 * What was said about one mail that was asked for alone, perhaps in several responses of one sequence number. Where
 * more are asked for, a mail could by its sequence number be taken for another one.
 */
class JoinedResponses {
  readonly #uid: number;
  readonly #bySequence = new Map<number, FetchData>();
  #responses = 0;

  constructor(uid: number) {
    this.#uid = uid;
  }

  /** What is known by now; undefined when nothing was said. */
  get data(): FetchData | undefined {
    const all = [...this.#bySequence.values()];
    // Without any UID it is the one body or header that was sent.
    return all.find(({ uid }) => uid === this.#uid) ?? all.find(({ body, header }) => body ?? header);
  }

  concerns({ uid }: FetchData): boolean {
    return this.#responses < maxResponses && (uid === 0 || uid === this.#uid);
  }

  /** Gives what the response holds of memory and is not kept. */
  add(response: FetchData): Holding | undefined {
    if (!this.concerns(response)) return response.holding;
    this.#responses += 1;
    const before = this.#bySequence.get(response.sequence);
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
