import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import type { ServiceBusClient, ServiceBusMessage } from '@azure/service-bus';
import { types } from 'rhea-promise';
import { amqpNumberTypes, type MessageHead } from '../message/message.ts';
import { field } from '../storage/storageFailure.ts';
import { LinkLost } from './serviceBusFailure.ts';

/*
 * All that leans on how the Service Bus SDK and its AMQP library, rhea, work inside: what they do not promise, and
 * a test holds them to.
 */

const checkEveryMs = 250;
const openNothing = AbortSignal.abort();

/**
 * Notices that a link was lost while sends on it wait for their answers. The SDK leaves those waiting until
 * their time-out, and reopens the link silently for the next send. But of an open link it makes a batch
 * without asking anyone, so within one turn of the event loop and whatever its signal says.
 */
export class LinkWatch {
  readonly #makeBatch: (signal: AbortSignal) => Promise<unknown>;
  readonly #waiting = new Set<(error: unknown) => void>();
  #timer: NodeJS.Timeout | undefined;
  #isLost = false;

  /** `makeBatch` is the sender's own; it gets a signal that keeps it from opening a link. */
  constructor(makeBatch: (signal: AbortSignal) => Promise<unknown>) {
    this.#makeBatch = makeBatch;
  }

  /** Runs `send` if the link is open; rejects with `LinkLost` as soon as it is seen not to be. */
  async guard(send: () => Promise<void>): Promise<void> {
    // Before each send too: the SDK would reopen the link for it, and the loss be hidden from the others.
    if (!(await this.isOpen())) throw new LinkLost();
    this.#timer ??= setInterval(() => void this.isOpen(), checkEveryMs);
    const { promise: lostMeanwhile, reject: lose } = Promise.withResolvers<never>();
    this.#waiting.add(lose);
    try {
      await Promise.race([send(), lostMeanwhile]);
    } finally {
      this.#waiting.delete(lose);
      if (this.#waiting.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    }
  }

  /** False once the link is lost, for good; whoever waits on it is told. */
  async isOpen(): Promise<boolean> {
    if (!this.#isLost && !(await this.#makesBatch())) this.stop();
    return !this.#isLost;
  }

  /** The link is lost or being closed: whoever still waits on it is told why. */
  stop(because: unknown = new LinkLost()): void {
    this.#isLost = true;
    for (const lose of this.#waiting) lose(because);
  }

  async #makesBatch(): Promise<boolean> {
    const made = this.#makeBatch(openNothing).then(
      () => true,
      () => false,
    );
    return await Promise.race([made, endOfTurn(false)]);
  }
}

/**
 * The signal, which looks as if it had fired while `isOver`, too: the SDK may wait a second for a link's credit, and
 * looks at its signal once more as it writes.
 */
export function firedToo(signal: AbortSignal, isOver: () => boolean): AbortSignal {
  return Object.defineProperty(AbortSignal.any([signal]), 'aborted', {
    get: () => signal.aborted || isOver(),
  });
}

/**
 * Gives each number its AMQP type; the SDK's encoder, rhea, would choose one by the value. Numbers that the table
 * doesn't name are long.
 */
export function withAmqpTypes(
  properties: MessageHead['applicationProperties'],
): NonNullable<ServiceBusMessage['applicationProperties']> {
  const typed = Object.entries(properties).map(([name, value]) => {
    if (typeof value === 'string') return [name, value] as const;
    const wrapped = amqpNumberTypes[name] === 'int' ? types.wrap_int(value) : types.wrap_long(value);
    // The SDK hands the properties to rhea as they are, but its typings know none of rhea's types.
    return [name, wrapped as unknown as number] as const;
  });
  return Object.fromEntries(typed);
}

/**
 * To be called once a client is closed, or was not in time: to the other side that says nothing the SDK would leave the
 * socket open for minutes, and for ever where it never said anything, and its timer for what the other side may say.
 */
export function endSocket(client: ServiceBusClient): void {
  const connection = ['_connectionContext', 'connection', '_connection'].reduce<unknown>(field, client);
  clearTimeout(field(connection, 'heartbeat_in') as NodeJS.Timeout | undefined);
  const socket = field(connection, 'socket');
  // That of a WebSocket can only be ended, and destroys its own.
  const end = field(socket, 'destroy') ?? field(socket, 'end');
  if (typeof end === 'function') Reflect.apply(end, socket, []);
}

/**
 * As `signal`, for opening a link: asked whether it has fired it always denies it. The SDK asks once the link is open,
 * closes it then, and leaves the rejection of that to nobody, which ends the process.
 */
export function heardAndNotAsked(signal: AbortSignal): AbortSignal {
  return Object.defineProperty(AbortSignal.any([signal]), 'aborted', { value: false });
}

let isWithoutDelay = false;

/**
 * Sends small packets at once from sockets made from now on: Nagle's algorithm and delayed acknowledgements
 * together cost tens of milliseconds for each step of AMQP's handshake. The Service Bus SDK has no option for
 * it and hands out no socket; Node announces each one that is made.
 */
export function sendWithoutDelay(): void {
  if (isWithoutDelay) return;
  isWithoutDelay = true;
  subscribe('net.client.socket', (made) => {
    const socket = typeof made === 'object' && made !== null && 'socket' in made ? made.socket : undefined;
    if (socket instanceof Socket) socket.setNoDelay(true);
  });
}
