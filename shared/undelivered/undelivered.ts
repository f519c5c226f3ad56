import type { MessageHead } from '../delivery/destination.ts';
import type { PartMessage } from '../delivery/message.ts';
import type { Failure } from '../failure/failure.ts';
import type { MailEnvelope } from '../mail/mail.ts';

/** A mail that was fetched and whose parts Service Bus did not all accept within the endpoint retry. */
export interface UndeliveredMail {
  readonly customer: string;
  readonly connection: string;
  readonly queueName: string;
  /** `MailRef.key`. */
  readonly mailKey: string;
  /** The UUID that all of its messages carry; the same on every repeat. */
  readonly interchangeId: string;
  readonly envelope: MailEnvelope;
  /** What kept it from being sent. */
  readonly failure: Failure;
  /** How many parts the whole mail has. */
  readonly partCount: number;
  /** Those that were not accepted, in sending order. */
  readonly parts: readonly PartMessage[];
}

/** `waiting` for its next try; `abandoned` after the age limit, kept for a person to resend. */
export type UndeliveredStatus = 'waiting' | 'abandoned';

/** What an operator sees of one undelivered mail. */
export interface UndeliveredRecord {
  /** The mail's interchangeId. */
  readonly id: string;
  readonly customer: string;
  readonly connection: string;
  readonly queueName: string;
  readonly status: UndeliveredStatus;
  readonly storedAt: Date;
  /** On a whole minute; undefined when abandoned. */
  readonly nextTryAt: Date | undefined;
  readonly lastTryAt: Date | undefined;
  /** Tries by the catastrophic retry that failed. */
  readonly tries: number;
  /** One sentence, at most 1,024 characters. */
  readonly lastError: string;
  /** How many parts are still to be sent. */
  readonly partsLeft: number;
  readonly partCount: number;
  /** Cut at 256 characters, as is `emailMessageId`; they help a person to know the mail. */
  readonly emailSubject: string | undefined;
  readonly emailMessageId: string | undefined;
}

/**
 * What was picked up and could not be pushed: table `EmailUndelivered` and container `email-undelivered`.
 * Rejections are `Failure`s of reason `storage`.
 */
export interface UndeliveredStore {
  /**
   * Keeps the mail's parts; when it resolves they are safe and the mail may be settled. The same mail stored
   * again changes nothing, save that parts accepted meanwhile are no longer to be sent.
   */
  store(mail: UndeliveredMail): Promise<void>;
  /**
   * Whether the mail is kept here, or was and has been delivered a moment ago: then it is not to be pushed
   * again. For a mail whose claim is taken over from a run that died.
   */
  isStored(interchangeId: string): Promise<boolean>;
  /** The newest `limit` records, newest first. */
  list(limit: number): Promise<readonly UndeliveredRecord[]>;
  /** Undefined where there is none of that id, whatever the text. */
  get(id: string): Promise<UndeliveredRecord | undefined>;
  /** Makes the record due now, also an abandoned one; false where there is none of that id. */
  resend(id: string): Promise<boolean>;
}

/** A part as it is kept: its bytes in the store, or in a payload blob (`claimCheck` in its properties). */
export interface StoredPart {
  readonly partNumber: number;
  readonly head: MessageHead;
  readonly sizeBytes: number;
  /** Hex SHA-256 of the decoded bytes. */
  readonly sha256: string;
}

/** A record that this instance alone works on, until `takenUntil` at the latest. */
export interface TakenRecord {
  readonly record: UndeliveredRecord;
  /** Those still to be sent, in sending order. */
  readParts(): Promise<readonly StoredPart[]>;
  /** The bytes that its message carries: none with a claim check. */
  readBody(part: StoredPart): Promise<Buffer>;
  /** Moves a part that no message can hold to container `email-payloads`, and gives it with its claim check. */
  toClaimCheck(part: StoredPart): Promise<StoredPart>;
  /** Every part was accepted: removes record and blobs. What a crash leaves of them is never sent. */
  remove(): Promise<void>;
  /** Some parts were not sent: keeps those, with `change`, and gives the record free. */
  keep(accepted: ReadonlySet<number>, change: RecordChange): Promise<void>;
}

export interface RecordChange {
  readonly status: UndeliveredStatus;
  readonly nextTryAt: Date | undefined;
  readonly tries: number;
  /** Both stay as they were where absent. */
  readonly lastTryAt?: Date;
  readonly lastError?: string;
}

/** The side of the store that `retryDeliveries` works on. */
export interface RetryQueue {
  /** Records whose time has come and that nobody has taken, at most `limit`; one table query. */
  findDue(limit: number): Promise<DueRecords>;
  /** Takes the record; undefined when another instance was quicker. */
  take(due: DueRecord): Promise<TakenRecord | undefined>;
  /** Writes `change` without taking the record; nothing happens when another instance has it. */
  putOff(due: DueRecord, change: RecordChange): Promise<void>;
  /** Removes what an interrupted `store` or `remove` has left. */
  clear(leftover: Leftover): Promise<void>;
}

export interface DueRecords {
  readonly records: readonly DueRecord[];
  readonly leftovers: readonly Leftover[];
}

export interface DueRecord {
  readonly record: UndeliveredRecord;
  readonly etag: string;
}

/** The row of a mail that was never stored whole, or has been delivered whole, with blobs beside it. */
export interface Leftover {
  readonly id: string;
  readonly etag: string;
  readonly folder: string;
}
