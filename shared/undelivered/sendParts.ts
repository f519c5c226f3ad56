import type { Destination } from '../delivery/destination.ts';
import { MessageTooLarge } from '../delivery/messageTooLarge.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import type { ByteGate } from './byteGate.ts';
import type { StoredPart, TakenRecord } from './undelivered.ts';

export interface PartsSent {
  /** Numbers of the parts that Service Bus has accepted. */
  readonly accepted: ReadonlySet<number>;
  /** The first failure; undefined when all were accepted, or time was up. */
  readonly failure: Failure | undefined;
  readonly complete: boolean;
}

/**
 * Sends a record's parts with the heads that were stored, in order; after a failure it begins no more. A part
 * that does not fit one message goes by claim check. Resolves, whatever fails, when nothing is on its way any more.
 */
export async function sendParts(
  taken: TakenRecord,
  destination: Destination,
  gate: ByteGate,
  isTimeUp: () => boolean,
): Promise<PartsSent> {
  const accepted = new Set<number>();
  const sends: Promise<void>[] = [];
  let failure: Failure | undefined;
  const fail = (error: unknown): void => {
    failure ??= toFailure(error, `sending undelivered mail ${taken.record.id}`);
  };

  let parts: readonly StoredPart[] = [];
  let complete = true;
  try {
    parts = await taken.readParts();
    for (const part of parts) {
      const weight = messageWeight(part, destination);
      await gate.enter(weight);
      complete = !isTimeUp();
      if (failure || !complete) {
        gate.leave(weight);
        break;
      }
      try {
        const message = await loadMessage(taken, part, destination);
        const send = sendOne(taken, message, destination)
          .then(() => void accepted.add(part.partNumber), fail)
          .finally(() => gate.leave(weight));
        sends.push(send);
      } catch (error) {
        gate.leave(weight);
        throw error;
      }
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(sends);
  return { accepted, failure, complete: complete && failure === undefined };
}

interface LoadedPart {
  readonly part: StoredPart;
  readonly body: Buffer;
}

/** What the part holds in memory: its properties, and its body where the message carries it. */
function messageWeight(part: StoredPart, destination: Destination): number {
  return 4_096 + (destination.fits(part.head, part.sizeBytes) ? part.sizeBytes : 0);
}

async function loadMessage(
  taken: TakenRecord,
  part: StoredPart,
  destination: Destination,
): Promise<LoadedPart> {
  const fitting = destination.fits(part.head, part.sizeBytes) ? part : await taken.toClaimCheck(part);
  return { part: fitting, body: await taken.readBody(fitting) };
}

/** The queue may take less than it said, or than it took when the mail was fetched. */
async function sendOne(
  taken: TakenRecord,
  { part, body }: LoadedPart,
  destination: Destination,
): Promise<void> {
  try {
    await destination.send({ ...part.head, body });
  } catch (error) {
    if (!(error instanceof MessageTooLarge) || body.length === 0) throw error;
    const checked = await taken.toClaimCheck(part);
    await destination.send({ ...checked.head, body: Buffer.alloc(0) });
  }
}
