import type { Delivery, EventContext, Sender } from 'rhea';
import { conditions } from './faults.ts';
import type { BrokerQueue } from './queue.ts';
import { creditOf, isAlive, roomOf, sendSettled, settleAccepted, settleRejected } from './rheaInternals.ts';
import { encodeForDelivery, isRecord } from './wireMessage.ts';

/**
 * Lets a receiver's link take messages off the queue, of one session when `sessionId` is given: peek-lock,
 * or receive-and-delete when the link asks for settled messages. Answers the way to stop.
 */
export function openOutlet(sender: Sender, queue: BrokerQueue, sessionId: string | undefined): () => void {
  const deletes = sender.snd_settle_mode === 1;
  if (deletes) sendSettled(sender);
  /** Given to rhea, which takes them off the credit only when it writes them, at the end of this tick. */
  let unwritten = 0;

  function pump(): void {
    if (!sender.is_open() || !isAlive(sender.connection)) return;
    if (unwritten > 0) return;
    const room = Math.min(creditOf(sender), roomOf(sender));
    while (unwritten < room && sendOne()) unwritten++;
    if (unwritten === 0) return;
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
    const annotations = { ...stamps(lock.message), 'x-opt-locked-until': new Date(lock.untilMs) };
    sender.send(encodeForDelivery(lock.message.raw, lock.message.deliveryCount, annotations), lock.tag, 0);
    return true;
  }

  const settle = (context: EventContext, action: (tag: Buffer, delivery: Delivery) => boolean) => {
    const { delivery } = context;
    if (delivery === undefined || !Buffer.isBuffer(delivery.tag)) return;
    if (action(delivery.tag, delivery)) settleAccepted(delivery);
    else settleRejected(delivery, conditions.lockLost());
  };
  sender.on('accepted', (context) => settle(context, (tag) => queue.complete(tag)));
  sender.on('released', (context) => settle(context, (tag) => queue.abandon(tag, {})));
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
  const annotations: unknown = delivery.remote_state?.message_annotations;
  return queue.abandon(tag, isRecord(annotations) ? annotations : {});
}

function bury(queue: BrokerQueue, tag: Buffer, delivery: Delivery): boolean {
  const error: unknown = delivery.remote_state?.error;
  const info: unknown = isRecord(error) ? error.info : undefined;
  const reason = isRecord(info) ? info.DeadLetterReason : undefined;
  const description = isRecord(info) ? info.DeadLetterErrorDescription : undefined;
  return queue.deadLetter(tag, String(reason ?? ''), String(description ?? ''));
}

function stamps(message: { sequenceNumber: number; enqueuedTime: Date }): Record<string, unknown> {
  return {
    'x-opt-sequence-number': message.sequenceNumber,
    'x-opt-enqueued-time': message.enqueuedTime,
  };
}
