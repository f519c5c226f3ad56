import { Failure } from '../failure/failure.ts';
import type { GetCredential } from '../storage/access.ts';
import { encodedBytes } from './amqpSize.ts';
import { type Batch, Lanes, type Waiting } from './batches.ts';
import type { Destination, MessageHead, OpenDestination, OutboundMessage } from './destination.ts';
import { defaultRetryLimits, inTime, type RetryLimits, waitForRetry } from './endpointRetry.ts';
import { type DeliveryProblem, type QueueName, toDeliveryProblem } from './serviceBusFailure.ts';
import { namespaceOf, openQueueLink, type QueueLink, type ServiceBusAccess } from './serviceBusLink.ts';

export interface DestinationOptions {
  readonly getCredential: GetCredential;
  /** EMAIL_MAX_MESSAGE_BYTES: lowers what the link allows, never raises it. */
  readonly maxMessageBytes?: number;
  readonly retry?: RetryLimits;
}

/** Past this a batch gains nothing on the wire, and one lost batch costs more to repeat. */
const maxBatchBytes = 512 * 1_024;
const maxBatchMessages = 200;
/** Past this a message gains nothing from a batch, where its bytes are encoded twice. */
const maxSharingBytes = 64 * 1_024;
const maxSharedBatchesOut = 4;
const maxSendsInFlight = 32;
/** The SDK holds an encoded copy of what is in flight. */
const maxBytesInFlight = 8 * 1_024 * 1_024;
const closeTimeoutMs = 5_000;

/** Makes the function that opens queues of one namespace, on the Service Bus SDK. Nothing is opened before. */
export function createOpenDestination(
  access: ServiceBusAccess,
  options: DestinationOptions,
): OpenDestination {
  const retry = options.retry ?? defaultRetryLimits;
  return async (queueName) => {
    const queue = { queueName, namespace: namespaceOf(access) };
    const open = (tryMs: number) => openQueueLink(access, options.getCredential, queueName, tryMs);
    const link = await openWithRetry(open, queue, retry);
    return new ServiceBusDestination(link, open, queue, retry, options.maxMessageBytes);
  };
}

type OpenLink = (tryMs: number) => Promise<QueueLink>;

async function openWithRetry(open: OpenLink, queue: QueueName, retry: RetryLimits): Promise<QueueLink> {
  const deadline = Date.now() + retry.openTotalMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await open(Math.min(retry.tryMs, deadline - Date.now()));
    } catch (error) {
      const { retry: advice, failure } = toDeliveryProblem(error, queue);
      if (advice === 'no') throw failure;
      if (!(await waitForRetry(attempt, retry, deadline, never))) throw failure;
    }
  }
}

const never = new AbortController().signal;

class ServiceBusDestination implements Destination {
  readonly maxMessageBytes: number;
  readonly #open: OpenLink;
  readonly #queue: QueueName;
  readonly #retry: RetryLimits;
  readonly #lanes: Lanes;
  readonly #closing = new AbortController();
  readonly #sends = new Set<Promise<void>>();
  #link: Promise<QueueLink> | undefined;
  #bytesInFlight = 0;
  #lastAcceptedAt = 0;
  #pumpScheduled = false;

  constructor(
    link: QueueLink,
    open: OpenLink,
    queue: QueueName,
    retry: RetryLimits,
    maxMessageBytes = Number.POSITIVE_INFINITY,
  ) {
    this.maxMessageBytes = Math.min(maxMessageBytes, link.maxMessageBytes);
    this.#link = Promise.resolve(link);
    this.#open = open;
    this.#queue = queue;
    this.#retry = retry;
    this.#lanes = new Lanes({
      maxBytes: Math.min(maxBatchBytes, link.maxMessageBytes),
      maxMessages: maxBatchMessages,
      maxSharingBytes,
      maxSharedOut: maxSharedBatchesOut,
    });
  }

  fits(head: MessageHead, bodyBytes: number): boolean {
    return encodedBytes(head, bodyBytes) <= this.maxMessageBytes;
  }

  send(message: OutboundMessage): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closedFailure());
    return new Promise((accept, refuse) => {
      this.#lanes.add({ message, accept, refuse });
      this.#schedulePump();
    });
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#refuseWaiting(this.#closedFailure());
    }
    await Promise.all(this.#sends);
    const link = this.#link;
    this.#link = undefined;
    // The link may be opening still, which has a longer deadline of its own.
    await inTime(closeTimeoutMs, () => closeLink(link)).catch(() => undefined);
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
    for (let batch = this.#lanes.peek(); batch && this.#mayStart(batch); batch = this.#lanes.peek()) {
      this.#start(batch);
    }
  }

  #mayStart(batch: Batch): boolean {
    const inFlight = this.#sends.size;
    if (inFlight === 0) return true;
    return inFlight < maxSendsInFlight && this.#bytesInFlight + batch.bytes <= maxBytesInFlight;
  }

  #start(batch: Batch): void {
    this.#lanes.take(batch);
    this.#bytesInFlight += batch.bytes;
    const send = this.#deliver(batch).finally(() => {
      this.#lanes.release(batch);
      this.#bytesInFlight -= batch.bytes;
      this.#sends.delete(send);
      this.#pump();
    });
    this.#sends.add(send);
  }

  /** Settles every member; never rejects. */
  async #deliver({ members }: Batch): Promise<void> {
    const startedAt = Date.now();
    const problem = await this.#sendInTime(members);
    if (problem === undefined) {
      for (const { accept } of members) accept();
    } else if (problem.scope === 'message' && members.length > 1) {
      await this.#deliverSingly(members);
    } else {
      for (const { refuse } of members) refuse(problem.failure);
      this.#giveUpOnWaiting(problem, startedAt);
    }
  }

  /** One message of a batch was refused, and the batch with it: its neighbours pass alone, in their order. */
  async #deliverSingly(members: readonly Waiting[]): Promise<void> {
    let outage: Failure | undefined;
    for (const member of members) {
      const problem = outage === undefined ? await this.#sendInTime([member]) : undefined;
      if (problem?.scope === 'queue') outage = problem.failure;
      const failure = outage ?? problem?.failure;
      if (failure === undefined) member.accept();
      else member.refuse(failure);
    }
  }

  /** The endpoint retry: tries until accepted, refused for good, or out of time. */
  async #sendInTime(members: readonly Waiting[]): Promise<DeliveryProblem | undefined> {
    const messages = members.map(({ message }) => message);
    const { signal } = this.#closing;
    const deadline = Date.now() + this.#retry.sendTotalMs;
    for (let attempt = 1; ; attempt += 1) {
      const tryMs = Math.min(this.#retry.tryMs, deadline - Date.now());
      let used: Promise<QueueLink> | undefined;
      try {
        await inTime(
          tryMs,
          async (trySignal) => {
            used = this.#currentLink();
            const link = await used;
            await link.send(messages, trySignal);
          },
          signal,
        );
        this.#lastAcceptedAt = Date.now();
        return undefined;
      } catch (error) {
        if (signal.aborted) return { retry: 'no', scope: 'queue', failure: this.#closedFailure() };
        const problem = toDeliveryProblem(error, this.#queue);
        if (problem.retry === 'reconnect') this.#discardLink(used, error);
        // A batch refused for no known reason may hold one bad message: no minute is spent on the whole.
        if (problem.retry === 'no' || (problem.scope === 'message' && messages.length > 1)) return problem;
        if (!(await waitForRetry(attempt, this.#retry, deadline, signal))) return problem;
      }
    }
  }

  /** Those that need a link while it is being opened wait for the same one. */
  #currentLink(): Promise<QueueLink> {
    this.#link ??= this.#open(this.#retry.tryMs);
    return this.#link;
  }

  /** Only if it is still the current one: several sends fail together when a connection is lost. */
  #discardLink(link: Promise<QueueLink> | undefined, because: unknown): void {
    if (link === undefined || this.#link !== link) return;
    this.#link = undefined;
    void closeLink(link, because);
  }

  /** What would meet the same fate does not get a minute of its own, one after the other. */
  #giveUpOnWaiting(problem: DeliveryProblem, startedAt: number): void {
    if (problem.scope === 'queue' && this.#lastAcceptedAt <= startedAt) this.#refuseWaiting(problem.failure);
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

async function closeLink(link: Promise<QueueLink> | undefined, because?: unknown): Promise<void> {
  const opened = await link?.catch(() => undefined);
  await opened?.close(because);
}
