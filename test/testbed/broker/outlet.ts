import type { Delivery, EventContext, Sender } from 'rhea';
import { entriesOf, int, long, type TypedEntries, timestamp } from './amqpValues.ts';
import { conditions } from './faults.ts';
import type { BrokerQueue, StoredMessage } from './queue.ts';
import {
  annotationsOf,
  creditOf,
  echoSettleMode,
  errorInfoOf,
  isAlive,
  isAttached,
  isUndeliverableHere,
  roomOf,
  settleAccepted,
  settleRejected,
} from './rheaInternals.ts';
import { encodeForDelivery } from './wireMessage.ts';

/**
 * Lets a receiver's link take messages off the queue, of one session when `sessionId` is given: peek-lock,
 * or receive-and-delete when the link asks for settled messages. Answers the way to stop.
 */
export function openOutlet(
  sender: Sender,
  queue: BrokerQueue,
  sessionId: string | undefined,
  used: () => void,
): () => void {
  const deletes = sender.snd_settle_mode === 1;
  echoSettleMode(sender);
  /** Given to rhea, which takes them off the credit only when it writes them, at the end of this tick. */
  let unwritten = 0;

  function pump(): void {
    if (!sender.is_open() || !isAlive(sender.connection)) return;
    if (unwritten > 0) return;
    if (!isAttached(sender)) {
      setImmediate(pump);
      return;
    }
    const room = Math.min(creditOf(sender), roomOf(sender));
    while (unwritten < room && sendOne()) unwritten++;
    if (unwritten === 0) return;
    used();
    setImmediate(() => {
      unwritten = 0;
      pump();
    });
  }

  function sendOne(): boolean {
    const nowMs = Date.now();
    if (deletes) {
      const message = queue.takeAndDelete(sessionId);
      if (message === undefined) return false;
      sender.send(encodeForDelivery(message.raw, message.deliveryCount, stamps(message)), undefined, 0);
      return true;
    }
    const lock = queue.takeAndLock(sessionId, nowMs);
    if (lock === undefined) return false;
    const { message, tag, untilMs } = lock;
    sender.send(encodeForDelivery(message.raw, message.deliveryCount, stamps(message, untilMs)), tag, 0);
    return true;
  }

  const settle = (context: EventContext, action: (tag: Buffer, delivery: Delivery) => boolean) => {
    const { delivery } = context;
    if (delivery === undefined || !Buffer.isBuffer(delivery.tag)) return;
    if (action(delivery.tag, delivery)) settleAccepted(delivery);
    else settleRejected(delivery, conditions.lockLost());
  };
  sender.on('accepted', (context) => settle(context, (tag) => queue.complete(tag)));
  sender.on('released', (context) => settle(context, (tag) => queue.release(tag)));
  sender.on('modified', (context) => settle(context, (tag, delivery) => modify(queue, tag, delivery)));
  sender.on('rejected', (context) => settle(context, (tag, delivery) => bury(queue, tag, delivery)));
  sender.on('sendable', pump);
  sender.on('sender_draining', () => {
    pump();
    sender.set_drained(true);
  });
  return queue.whenAvailable(pump);
}

function modify(queue: BrokerQueue, tag: Buffer, delivery: Delivery): boolean {
  const properties = entriesOf(annotationsOf(delivery));
  return isUndeliverableHere(delivery) ? queue.defer(tag, properties) : queue.abandon(tag, properties);
}

/** The SDKs put the reason, its description and the properties to modify into the error's info. */
function bury(queue: BrokerQueue, tag: Buffer, delivery: Delivery): boolean {
  return queue.deadLetter(tag, entriesOf(errorInfoOf(delivery)));
}

/** The annotations that Service Bus adds; with the lock's end where there is a lock. */
export function stamps(message: StoredMessage, lockedUntilMs?: number): TypedEntries {
  const stamped: TypedEntries = [
    ['x-opt-sequence-number', long(message.sequenceNumber)],
    ['x-opt-enqueued-time', timestamp(message.enqueuedTime)],
    ['x-opt-message-state', int(stateNumbers[message.state])],
  ];
  if (lockedUntilMs === undefined) return stamped;
  return [...stamped, ['x-opt-locked-until', timestamp(new Date(lockedUntilMs))]];
}

const stateNumbers = { active: 0, deferred: 1, scheduled: 2 } as const;
