// Imports nothing, so that the page has these types too. Times are ISO 8601.

export const outcomes = ['delivered', 'undelivered', 'left-out', 'given-up'] as const;

/** A mail as the journal tells it, with its latest outcome. */
export interface FoundMail {
  readonly at: string;
  readonly runId: string;
  readonly customer: string;
  readonly connection: string;
  readonly interchangeId: string;
  readonly outcome: (typeof outcomes)[number];
  readonly reason?: string | undefined;
  readonly emailMessageId?: string | undefined;
  readonly emailSubject?: string | undefined;
  readonly emailFrom?: string | undefined;
  readonly emailTo?: string | undefined;
  readonly emailDate?: string | undefined;
  readonly receivedAt?: string;
  readonly sizeBytes: number;
  readonly queueName: string;
  readonly parts: readonly FoundPart[];
  /** A sentence without mail content. */
  readonly warning?: string | undefined;
}

/** One part of a mail, as its message says. */
export interface FoundPart {
  readonly partNumber: number;
  readonly messageId: string;
  readonly partKind: string;
  /** Absent in a journal of ids. */
  readonly inboundFileName?: string;
  readonly contentType: string;
  /** Bytes of the decoded part. */
  readonly size: number;
  readonly sha256: string;
  /** `container/blob`, where the bytes are not in the message. */
  readonly claimCheck?: string;
}

/** A run that moved mail or failed, as the journal tells it. */
export interface FoundRun {
  readonly at: string;
  readonly runId: string;
  readonly customer: string;
  readonly connection: string;
  readonly status: string;
  readonly mails: number;
  readonly messages: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly error?: string | undefined;
}

export interface JournalPage<T> {
  /** Newest first. */
  readonly found: readonly T[];
  /** There may be more: `after` for the next page. */
  readonly next?: string;
  /** A sentence where the window is too much for one answer: go on with `next`, or ask for less. */
  readonly incomplete?: string;
}
