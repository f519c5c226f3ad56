import { type Failure, toFailure } from '../failure/failure.ts';
import type { Content } from '../mail/mail.ts';
import type { MailContentStore } from './contentStore.ts';
import type { Destination } from './destination.ts';
import { type PartMessage, withContent } from './message.ts';
import { MessageTooLarge } from './messageTooLarge.ts';
import { readWhole } from './spillFolder.ts';

type ClaimChecks = Pick<MailContentStore, 'toClaimCheck'>;

/** What became of a mail's parts. */
export interface MailDelivery {
  /** The numbers of the parts that Service Bus has accepted, ascending. */
  readonly accepted: readonly number[];
  /** There exactly when parts were not accepted: the first failure, and those parts in order. */
  readonly failed?: { readonly failure: Failure; readonly unsent: readonly PartMessage[] };
}

/** Parts set aside in files are read when they are sent, no more at a time than this. */
const maxFileBytesInFlight = 8 * 1_024 * 1_024;

/**
 * Sends all parts of a mail, given to the destination in part order, and waits for the fate of each. A part
 * that doesn't fit a message goes by claim check. Never rejects for a failed delivery: it says which parts
 * were accepted and which were not. When a part fails, parts not yet given to the destination stay unsent.
 */
export async function deliverMail(
  destination: Destination,
  messages: readonly PartMessage[],
  contents: ClaimChecks,
): Promise<MailDelivery> {
  const accepted: number[] = [];
  const unsent: PartMessage[] = [];
  const sends = new Set<Promise<void>>();
  let failure: Failure | undefined;
  let fileBytesInFlight = 0;

  const settle = (message: PartMessage, outcome: Failure | undefined): void => {
    if (outcome === undefined) accepted.push(message.partNumber);
    else unsent.push(message);
    failure ??= outcome;
  };

  for (const part of messages) {
    const fileBytes = part.content.kind === 'file' ? part.content.sizeBytes : 0;
    while (fileBytesInFlight > 0 && fileBytesInFlight + fileBytes > maxFileBytesInFlight) {
      await Promise.race(sends);
    }
    if (failure !== undefined) {
      unsent.push(part);
      continue;
    }
    try {
      // One after the other, so that the sends begin in part order.
      const message = await makeFit(part, destination, contents);
      const body = await readBody(message.content);
      fileBytesInFlight += fileBytes;
      const send = sendPart(destination, message, body, contents).then(([sent, outcome]) => {
        fileBytesInFlight -= fileBytes;
        sends.delete(send);
        settle(sent, outcome);
      });
      sends.add(send);
    } catch (error) {
      settle(part, toFailure(error, 'preparing a message'));
    }
  }
  await Promise.all(sends);

  accepted.sort((a, b) => a - b);
  unsent.sort((a, b) => a.partNumber - b.partNumber);
  return failure === undefined ? { accepted } : { accepted, failed: { failure, unsent } };
}

/** Sends one part; never rejects. One that the queue refuses for its size, against its word, goes by claim check. */
async function sendPart(
  destination: Destination,
  message: PartMessage,
  body: Buffer,
  contents: ClaimChecks,
): Promise<readonly [PartMessage, Failure | undefined]> {
  try {
    await destination.send({ ...message.head, body });
    return [message, undefined];
  } catch (error) {
    if (error instanceof MessageTooLarge && message.content.kind !== 'blob') {
      return await sendByClaimCheck(destination, message, contents);
    }
    return [message, toFailure(error, 'sending a message')];
  }
}

async function sendByClaimCheck(
  destination: Destination,
  message: PartMessage,
  contents: ClaimChecks,
): Promise<readonly [PartMessage, Failure | undefined]> {
  try {
    const moved = withContent(message, await contents.toClaimCheck(message.content));
    return await sendPart(destination, moved, noBytes, contents);
  } catch (error) {
    return [message, toFailure(error, 'storing a payload')];
  }
}

async function makeFit(
  part: PartMessage,
  destination: Destination,
  contents: ClaimChecks,
): Promise<PartMessage> {
  const { content } = part;
  if (content.kind === 'blob' || destination.fits(part.head, content.sizeBytes)) return part;
  return withContent(part, await contents.toClaimCheck(content));
}

async function readBody(content: Content): Promise<Buffer> {
  if (content.kind === 'bytes') return content.bytes;
  if (content.kind === 'blob') return noBytes;
  return await readWhole(content.path);
}

const noBytes = Buffer.alloc(0);
