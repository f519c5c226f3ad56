import { Failure } from '../failure/failure.ts';
import { inTime, wireMs } from '../wait/deadline.ts';
import { type Batch, Lanes, type Waiting } from './batches.ts';
import { type Fence, FencedOff, type OutboundMessage, type QueueSender, readBody } from './destination.ts';
import { type RetryLimits, waitForRetry } from './endpointRetry.ts';
import type { Namespace, QueueLink, ReadMessage } from './namespace.ts';
import { type DeliveryProblem, type QueueName, TryTimedOut, toDeliveryProblem } from './serviceBusFailure.ts';
import { firedToo } from './serviceBusInside.ts';

/** Past this a batch gains nothing on the wire, and one lost batch costs more to repeat. */
const maxBatchBytes = 512 * 1_024;
const maxBatchMessages = 200;
/** Past this a message gains nothing from a batch, where its bytes are encoded twice. */
const maxSharingBytes = 64 * 1_024;
const maxSharedBatchesOut = 4;
const maxSendsInFlight = 32;
/** The SDK holds an encoded copy of what is in flight; one message that is larger goes alone. */
export const maxBytesInFlight = 8 * 1_024 * 1_024;

type Ready = Waiting & { readonly message: ReadMessage };

/** A link that is open, or being opened. */
type Linking = Promise<QueueLink>;

/**
 * One queue's sender, shared by all runs and the retry. It keeps its link from send to send; a link that was lost,
 * or on which a send failed for the queue's sake, is replaced once for all who wait for it.
 */
export class LinkedSender implements QueueSender {
  readonly #namespace: Namespace;
  readonly #queue: QueueName;
  readonly #retry: RetryLimits;
  readonly #maxMessageBytes: number;
  readonly #lanes: Lanes;
  readonly #closing = new AbortController();
  readonly #sends = new Set<Promise<void>>();
  #opening: Linking | undefined;
  #link: Linking | undefined;
  #linkBytes = Number.POSITIVE_INFINITY;
  #bytesInFlight = 0;
  #takesBatches = true;
  #lastAcceptedAtMs = 0;
  /** Messages since then that were refused for no known reason until their time was over. */
  #unexplained = 0;
  #lastUsedAtMs = performance.now();
  #pumpScheduled = false;

  constructor(namespace: Namespace, queueName: string, retry: RetryLimits, maxMessageBytes: number) {
    this.#namespace = namespace;
    this.#queue = { queueName, namespace: namespace.host };
    this.#retry = retry;
    this.#maxMessageBytes = maxMessageBytes;
    this.#lanes = new Lanes({
      maxBytes: () => Math.min(maxBatchBytes, this.#linkBytes),
      maxMessages: () => (this.#takesBatches ? maxBatchMessages : 1),
      maxSharingBytes,
      maxSharedOut: maxSharedBatchesOut,
    });
  }

  get maxMessageBytes(): number {
    return Math.min(this.#maxMessageBytes, this.#linkBytes);
  }

  /** How long nothing was asked of this sender. */
  get idleMs(): number {
    return this.#sends.size > 0 || this.#opening ? 0 : performance.now() - this.#lastUsedAtMs;
  }

  /** Resolves when the link is open, as it may be already; all who wait at a time wait for the same try. */
  async open(): Promise<void> {
    this.#lastUsedAtMs = performance.now();
    while (this.#link && !this.#opening) {
      const linking = this.#link;
      const link = await linking.catch(() => undefined);
      if (await link?.isOpen()) return;
      this.#loseLink(linking);
    }
    this.#opening ??= this.#openWithRetry().finally(() => {
      this.#opening = undefined;
      this.#lastUsedAtMs = performance.now();
    });
    await this.#opening;
  }

  send(message: OutboundMessage, fence: Fence): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closedFailure());
    return new Promise((accept, refuse) => {
      this.#lanes.add({ message, fence, accept, refuse });
      this.#schedulePump();
    });
  }

  /** What is not accepted by now is rejected. Ends in seconds and never rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#refuseWaiting(this.#closedFailure());
    await Promise.all(this.#sends);
    await this.closeLink();
  }

  /** Gives up the link; the next send or `open` opens another. Ends in seconds and never rejects. */
  async closeLink(): Promise<void> {
    const linking = this.#link;
    this.#link = undefined;
    const link = await linking?.catch(() => undefined);
    await link?.close();
  }

  async #openWithRetry(): Linking {
    const deadlineMs = performance.now() + this.#retry.openTotalMs;
    for (let attempt = 1; ; attempt += 1) {
      // A send that waited less may have begun to open one.
      const linking =
        this.#link ?? this.#openLink(Math.min(this.#retry.tryMs, deadlineMs - performance.now()));
      try {
        return await linking;
      } catch (error) {
        const { retry: advice, failure } = toDeliveryProblem(error, this.#queue);
        if (advice === 'no') throw failure;
        if (!(await waitForRetry(attempt, this.#retry, deadlineMs, this.#closing.signal))) throw failure;
      }
    }
  }

  #openLink(tryMs: number): Linking {
    const opening = this.#namespace.openLink(this.#queue.queueName, tryMs, this.#closing.signal);
    const linking = opening.then((link) => {
      this.#linkBytes = link.maxMessageBytes;
      return link;
    });
    linking.catch(() => {
      this.#link = undefined;
    });
    this.#link = linking;
    return linking;
  }

  /** At the end of the turn, so that whatever is given in one turn can share a batch. */
  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const mayStart = ({ bytes }: Batch) =>
      this.#sends.size === 0 ||
      (this.#sends.size < maxSendsInFlight && this.#bytesInFlight + bytes <= maxBytesInFlight);
    for (let batch = this.#lanes.next(mayStart); batch; batch = this.#lanes.next(mayStart))
      this.#start(batch);
  }

  #start(batch: Batch): void {
    this.#bytesInFlight += batch.bytes;
    const delivering = readBodies(batch.members).then((members) => this.#deliver(members));
    const send = delivering.then(() => {
      this.#lanes.release(batch);
      this.#bytesInFlight -= batch.bytes;
      this.#lastUsedAtMs = performance.now();
      this.#sends.delete(send);
      this.#pump();
    });
    this.#sends.add(send);
  }

  /** Tells every member its fate; gives why the queue is away, if it is. Never rejects. */
  async #deliver(members: readonly Ready[]): Promise<Failure | undefined> {
    const startedAtMs = performance.now();
    const { left, problem } = await this.#sendInTime(members);
    if (problem === undefined) {
      for (const { accept } of left) accept();
      return undefined;
    }
    const { scope, failure } = problem;
    if (scope === 'queue' || left.length <= 1) {
      for (const { refuse } of left) refuse(failure);
      return this.#noteProblem(problem, startedAtMs) ? failure : undefined;
    }
    // One message of a batch was refused, or the batch itself: its members pass alone, in their order.
    this.#takesBatches &&= scope !== 'batch';
    let outage: Failure | undefined;
    for (const member of left) {
      if (outage) member.refuse(outage);
      else outage = await this.#deliver([member]);
    }
    return outage;
  }

  /**
   * Gives whether the queue is away, which two in a row mean, too, that were refused for no known reason: one alone may
   * itself be at fault. What would meet the same fate does not get a minute of its own, one after the other.
   */
  #noteProblem({ scope, retry, failure }: DeliveryProblem, startedAtMs: number): boolean {
    if (scope !== 'queue' && retry === 'no') return false;
    if (scope === 'message') this.#unexplained += 1;
    const isAway = scope === 'queue' || this.#unexplained > 1;
    if (isAway && this.#lastAcceptedAtMs <= startedAtMs) this.#refuseWaiting(failure);
    return isAway;
  }

  /**
   * The endpoint retry: tries until accepted, refused for good, or out of time. Members whose fence lets them go
   * no further are refused before each try, and are not among those that are left.
   */
  async #sendInTime(
    members: readonly Ready[],
  ): Promise<{ readonly left: readonly Ready[]; readonly problem?: DeliveryProblem }> {
    const { signal } = this.#closing;
    const bytes = members.reduce((sum, { message }) => sum + message.body.length, 0);
    const deadlineMs = performance.now() + this.#retry.sendTotalMs + wireMs(bytes);
    let left = members;
    for (let attempt = 1; ; attempt += 1) {
      left = refuseFencedOff(left);
      if (left.length === 0) return { left };
      // All that is on the wire at a time shares it.
      const tryMs = Math.min(this.#retry.tryMs + wireMs(this.#bytesInFlight), deadlineMs - performance.now());
      const triedAtMs = performance.now();
      let used: Linking | undefined;
      try {
        await inTime(
          tryMs,
          async (trySignal) => {
            const linking = this.#link ?? this.#openLink(this.#retry.tryMs);
            const link = await linking;
            // One that is being opened is left to the others that wait for it.
            used = linking;
            // A link may take as long to open as a lease to lapse.
            left = refuseFencedOff(left);
            const messages = left.map(({ message }) => message);
            const wireSignal = firedToo(trySignal, () => left.some(isFencedOff));
            if (messages.length > 0) await link.send(messages, wireSignal);
          },
          () => new TryTimedOut(),
          signal,
        );
        this.#lastAcceptedAtMs = performance.now();
        this.#unexplained = 0;
        return { left };
      } catch (error) {
        if (signal.aborted) {
          return { left, problem: { retry: 'no', scope: 'queue', failure: this.#closedFailure() } };
        }
        // One was fenced off while the link had no credit: nothing was sent.
        if (error instanceof Error && error.name === 'AbortError' && left.some(isFencedOff)) continue;
        const problem = toDeliveryProblem(error, this.#queue);
        if (problem.retry === 'reconnect') this.#loseLink(used, { because: error, sinceMs: triedAtMs });
        // A batch refused for no known reason may hold one bad message: no minute is spent on the whole.
        const isFinal = problem.retry === 'no' || (problem.scope === 'message' && left.length > 1);
        if (!isFinal && (await waitForRetry(attempt, this.#retry, deadlineMs, signal))) continue;
        // The next run proves the queue anew before it fetches anything.
        if (problem.scope === 'queue' || problem.retry === 'retry') this.#loseLink(used);
        return { left, problem };
      }
    }
  }

  /** Only if it is still the current one: several sends fail together when a connection is lost. */
  #loseLink(linking: Linking | undefined, lost?: Parameters<QueueLink['close']>[0]): void {
    if (linking === undefined || this.#link !== linking) return;
    this.#link = undefined;
    void linking.then((link) => (lost ? link.close(lost) : link.retire()));
  }

  #refuseWaiting(failure: Failure): void {
    for (const { refuse } of this.#lanes.drain()) refuse(failure);
  }

  #closedFailure(): Failure {
    const { queueName, namespace } = this.#queue;
    return new Failure(
      'delivery',
      `Service Bus queue ${queueName} in namespace ${namespace} was closed before it accepted the message.`,
    );
  }
}

/** Refuses those whose body can't be read, each for itself. */
async function readBodies(members: readonly Waiting[]): Promise<readonly Ready[]> {
  const read = members.map(async (member): Promise<readonly Ready[]> => {
    const { message } = member;
    try {
      return [{ ...member, message: { ...message, body: await readBody(message.body) } }];
    } catch (error) {
      member.refuse(error);
      return [];
    }
  });
  return (await Promise.all(read)).flat();
}

function refuseFencedOff(members: readonly Ready[]): readonly Ready[] {
  return members.filter((member) => {
    const isFree = !isFencedOff(member);
    if (!isFree) member.refuse(new FencedOff());
    return isFree;
  });
}

function isFencedOff({ fence }: Waiting): boolean {
  return !fence.mayWrite();
}
