import { type Failure, toFailure } from '../failure/failure.ts';
import type { ClaimChecked, PartMessage, PlacedContent } from '../message/message.ts';
import { encodedBytes } from './amqpSize.ts';
import { type Fence, MessageTooLarge, type OutboundMessage, type QueueSender } from './destination.ts';

/** Where the bytes of one mail's parts are, whether it was just taken apart or stored for the retry. */
export interface PartContents<Place extends PlacedContent> {
  /** The bytes that the part's message carries: none with a claim check. */
  read(content: Place | ClaimChecked): Promise<OutboundMessage['body']>;
  /** Moves the part to a blob, or makes its blob visible; gives it with its claim check. */
  toClaimCheck(part: PartMessage<Place | ClaimChecked>): Promise<PartMessage<ClaimChecked>>;
}

/** What became of a mail's parts. */
export interface PartsSent<Place extends PlacedContent> {
  /** The numbers of the parts that Service Bus has accepted, ascending. */
  readonly accepted: readonly number[];
  /** There exactly when parts were not accepted: the first failure, and those parts in order. */
  readonly failed?: {
    readonly failure: Failure;
    readonly unsent: readonly PartMessage<Place | ClaimChecked>[];
  };
}

/**
 * Sends all parts of a mail, given to the sender in part order, and waits for the fate of each. A part that doesn't
 * fit a message goes by claim check. Never rejects: it says which parts were accepted and which were not. When a part
 * fails, parts not yet given to the sender stay unsent. `takeRoom` is asked before bytes are read, and gives what gives
 * their room back.
 */
export async function sendParts<Place extends PlacedContent>(
  sender: QueueSender,
  fence: Fence,
  parts: readonly PartMessage<Place | ClaimChecked>[],
  contents: PartContents<Place>,
  takeRoom: (bytes: number) => Promise<() => void> = async () => () => undefined,
): Promise<PartsSent<Place>> {
  const fates: Promise<PartFate<Place>>[] = [];
  let failure: Failure | undefined;
  for (const part of parts) {
    const { content, head } = part;
    const fits = content.kind !== 'blob' && encodedBytes(head, content.sizeBytes) <= sender.maxMessageBytes;
    let giveBack: () => void = () => undefined;
    try {
      if (failure !== undefined) throw failure;
      // One after the other, so that the sends begin in part order.
      const fitting = fits ? part : await contents.toClaimCheck(part);
      // With a claim check nothing comes into memory.
      if (fits && content.sizeBytes > 0) giveBack = await takeRoom(content.sizeBytes);
      const body = await contents.read(fitting.content);
      const noted = sendPart(sender, fence, fitting, body, contents).then((fate) => {
        giveBack();
        failure ??= fate[1];
        return fate;
      });
      fates.push(noted);
    } catch (error) {
      giveBack();
      failure ??= toFailure(error, 'preparing a message');
      fates.push(Promise.resolve([part, failure]));
    }
  }
  const done = await Promise.all(fates);
  const accepted = done.flatMap(([part, why]) => (why === undefined ? [part.partNumber] : []));
  const unsent = done.flatMap(([part, why]) => (why === undefined ? [] : [part]));
  return failure === undefined ? { accepted } : { accepted, failed: { failure, unsent } };
}

/** Not accepted for this failure, or accepted. */
type PartFate<Place extends PlacedContent> = readonly [
  PartMessage<Place | ClaimChecked>,
  Failure | undefined,
];

/** Sends one part; never rejects. One that the queue refuses for its size, against its word, goes by claim check. */
async function sendPart<Place extends PlacedContent>(
  sender: QueueSender,
  fence: Fence,
  part: PartMessage<Place | ClaimChecked>,
  body: OutboundMessage['body'],
  contents: PartContents<Place>,
): Promise<PartFate<Place>> {
  try {
    await sender.send({ ...part.head, body }, fence);
    return [part, undefined];
  } catch (error) {
    if (!(error instanceof MessageTooLarge) || part.content.kind === 'blob') {
      return [part, toFailure(error, 'sending a message')];
    }
  }
  try {
    const moved = await contents.toClaimCheck(part);
    return await sendPart(sender, fence, moved, await contents.read(moved.content), contents);
  } catch (error) {
    return [part, toFailure(error, 'storing a payload')];
  }
}
