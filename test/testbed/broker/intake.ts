import type { Delivery, EventContext, Receiver } from 'rhea';
import { type AmqpCondition, type BrokerFaults, conditions } from './faults.ts';
import type { BrokerQueue } from './queue.ts';
import { announceMaxMessageSize, cut, isAlive, rawFormat } from './rheaInternals.ts';
import { splitBatch } from './wireMessage.ts';

const batchFormat = 0x8001_3700;

/** Lets a sender's link put messages on the queue. */
export function openIntake(receiver: Receiver, queue: BrokerQueue, faults: BrokerFaults): void {
  announceMaxMessageSize(receiver, queue.maxMessageSizeBytes);
  receiver.set_source({ address: receiver.source?.address ?? '' });
  receiver.set_target({ address: receiver.target.address });
  receiver.on('message', (context: EventContext) => {
    const { delivery } = context;
    const transfer: unknown = context.message;
    if (delivery === undefined || !Buffer.isBuffer(transfer)) return;
    if (!isAlive(receiver.connection)) return;
    takeTransfer(receiver, delivery, transfer, queue, faults);
  });
}

function takeTransfer(
  receiver: Receiver,
  delivery: Delivery,
  transfer: Buffer,
  queue: BrokerQueue,
  faults: BrokerFaults,
): void {
  queue.transfers++;
  if (faults.dropOnTransfer !== undefined) {
    faults.dropOnTransfer--;
    if (faults.dropOnTransfer <= 0) {
      faults.dropOnTransfer = undefined;
      cut(receiver.connection);
      return;
    }
  }
  if (faults.silentTransfers) return;
  const refusal = faultRefusal(queue, faults) ?? store(delivery.format, transfer, queue);
  if (refusal === undefined && faults.loseDispositionTransfers > 0) {
    faults.loseDispositionTransfers--;
    cut(receiver.connection);
    return;
  }
  if (faults.acceptDelayMs > 0)
    setTimeout(() => answer(receiver, delivery, refusal), faults.acceptDelayMs).unref();
  else answer(receiver, delivery, refusal);
}

function faultRefusal(queue: BrokerQueue, faults: BrokerFaults): AmqpCondition | undefined {
  if (faults.serverBusyTransfers > 0) {
    faults.serverBusyTransfers--;
    return conditions.serverBusy();
  }
  if (faults.quotaExceeded) return conditions.quotaExceeded(queue.name);
  if (faults.entityDisabled || queue.disabled) return conditions.disabled(queue.name);
  return undefined;
}

function store(format: number, transfer: Buffer, queue: BrokerQueue): AmqpCondition | undefined {
  if (transfer.length > queue.maxMessageSizeBytes) {
    return conditions.messageSize(transfer.length, queue.maxMessageSizeBytes);
  }
  if (format !== batchFormat && format !== rawFormat) return conditions.malformed();
  try {
    return queue.offer(format === batchFormat ? splitBatch(transfer) : [transfer], Date.now());
  } catch {
    return conditions.malformed();
  }
}

function answer(receiver: Receiver, delivery: Delivery, refusal: AmqpCondition | undefined): void {
  if (!isAlive(receiver.connection)) return;
  if (refusal === undefined) delivery.accept();
  else delivery.reject(refusal);
}
