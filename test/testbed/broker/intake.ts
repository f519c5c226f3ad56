import type { Delivery, EventContext, Receiver } from 'rhea';
import { type AmqpCondition, type BrokerFaults, conditions } from './faults.ts';
import type { Entity } from './queue.ts';
import {
  announceMaxMessageSize,
  cut,
  echoSettleMode,
  isAlive,
  rawFormat,
  withholdCredit,
  writeAnswers,
} from './rheaInternals.ts';
import { splitBatch } from './wireMessage.ts';

const batchFormat = 0x8001_3700;

/** Lets a sender's link put messages on a queue or topic. */
export function openIntake(receiver: Receiver, entity: Entity, faults: BrokerFaults): void {
  announceMaxMessageSize(receiver, entity.maxMessageSizeBytes);
  echoSettleMode(receiver);
  receiver.set_source({ address: receiver.source?.address ?? '' });
  receiver.set_target({ address: receiver.target.address });
  if (faults.creditDelayMs > 0) {
    const grantOne = withholdCredit(receiver);
    receiver.on('message', () => setTimeout(grantOne, faults.creditDelayMs).unref());
  }
  receiver.on('message', (context: EventContext) => {
    const { delivery } = context;
    const transfer: unknown = context.message;
    if (delivery === undefined || !Buffer.isBuffer(transfer)) return;
    if (!isAlive(receiver.connection)) return;
    takeTransfer(receiver, delivery, transfer, entity, faults);
  });
}

function takeTransfer(
  receiver: Receiver,
  delivery: Delivery,
  transfer: Buffer,
  entity: Entity,
  faults: BrokerFaults,
): void {
  entity.transfers++;
  if (faults.onlyQueue !== undefined && faults.onlyQueue !== entity.name) {
    answer(receiver, delivery, store(delivery.format, transfer, entity));
    return;
  }
  if (faults.dropOnTransfer !== undefined) {
    faults.dropOnTransfer--;
    if (faults.dropOnTransfer <= 0) {
      faults.dropOnTransfer = undefined;
      cut(receiver.connection);
      return;
    }
  }
  if (faults.silentTransfers) return;
  const refusal = faultRefusal(entity, faults) ?? store(delivery.format, transfer, entity);
  if (refusal === undefined && faults.loseDispositionTransfers > 0) {
    faults.loseDispositionTransfers--;
    cut(receiver.connection);
    return;
  }
  if (faults.acceptDelayMs > 0)
    setTimeout(() => answer(receiver, delivery, refusal), faults.acceptDelayMs).unref();
  else answer(receiver, delivery, refusal);
}

function faultRefusal(entity: Entity, faults: BrokerFaults): AmqpCondition | undefined {
  if (faults.serverBusyTransfers > 0) {
    faults.serverBusyTransfers--;
    return conditions.serverBusy();
  }
  if (faults.internalErrors) return conditions.internalError();
  if (faults.quotaExceeded) return conditions.quotaExceeded(entity.name);
  if (faults.entityDisabled || entity.disabled) return conditions.disabled(entity.name);
  return undefined;
}

function store(format: number, transfer: Buffer, entity: Entity): AmqpCondition | undefined {
  if (transfer.length > entity.maxMessageSizeBytes) {
    return conditions.messageSize(transfer.length, entity.maxMessageSizeBytes);
  }
  if (format !== batchFormat && format !== rawFormat) return conditions.malformed();
  try {
    const taken = entity.offer(format === batchFormat ? splitBatch(transfer) : [transfer], Date.now());
    return 'condition' in taken ? taken : undefined;
  } catch {
    return conditions.malformed();
  }
}

function answer(receiver: Receiver, delivery: Delivery, refusal: AmqpCondition | undefined): void {
  if (!isAlive(receiver.connection)) return;
  if (refusal === undefined) delivery.accept();
  else delivery.reject(refusal);
  writeAnswers(receiver);
}
