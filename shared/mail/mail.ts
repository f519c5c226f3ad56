/** The headers that go along as application properties; each absent where the mail has none. */
export interface MailEnvelope {
  readonly messageId?: string;
  readonly subject?: string;
  readonly from?: string;
  readonly to?: string;
  /** ISO 8601, UTC; absent when the mail's date can't be read. */
  readonly date?: string;
}

export type PartKind = 'body' | 'attachment' | 'raw';

/** A part's decoded bytes, wherever they were put. */
export type Content = {
  readonly sizeBytes: number;
  /** Hex SHA-256 of the decoded bytes. */
  readonly sha256: string;
} & (
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  /** Already uploaded for the claim check: `container/blob`. */
  | { readonly kind: 'blob'; readonly claimCheck: string }
  /** Set aside in a local temporary file while the rest of a large mail is read. */
  | { readonly kind: 'file'; readonly path: string }
);

export interface Part {
  readonly kind: PartKind;
  /** As the mail declares it; text bodies `text/…; charset=utf-8`. */
  readonly contentType: string;
  /** Safe: no folder, no control character, at most 255 characters. */
  readonly fileName: string;
  readonly content: Content;
}

/**
 * The rules by which something that a mail holds is in none of its parts; of several that leave out all of a mail,
 * the first is named, which was set for the least of it.
 */
export const omissionReasons = [
  'attachmentFilter',
  'inlineAttachments',
  'sendAttachments',
  'sendMessageBody',
  'bodyFormat',
] as const;
export type OmissionReason = (typeof omissionReasons)[number];

/** A leaf of a mail that a rule leaves out, by its place among the leaves. */
export interface Omission {
  readonly order: number;
  readonly reason: OmissionReason;
}

/** A mail taken apart, its parts in sending order: body, then attachments as they stand in the mail. */
export interface SplitMail {
  readonly envelope: MailEnvelope;
  readonly parts: readonly Part[];
  /** Set when the mail went `raw` or a part needed a fallback: sentences without mail content. */
  readonly warning?: string;
  /** Why there are no parts: a rule leaves out, on purpose, all that the mail holds. Set if and only if so. */
  readonly leftOut?: OmissionReason;
  /** Every leaf that is in no part; what is in neither list made the mail go `raw`. */
  readonly omissions?: readonly Omission[];
  /** Parts were taken out of a signature (S/MIME) that nobody has verified. */
  readonly unverifiedSignature?: true;
}

export type BodyFormat = 'text' | 'html' | 'eml';

/** What of a mail is sent. */
export interface SplitRules {
  readonly sendBody: boolean;
  readonly sendAttachments: boolean;
  readonly inlineAttachments: boolean;
  readonly bodyFormat: BodyFormat;
  /** A larger mail goes `raw`, unparsed. */
  readonly maxMailBytes: number;
  /** Which attachments are sent, by the names that they go under; all of them without it. */
  readonly attachmentFilter?: (fileName: string) => boolean;
  /** Whether the contents of a `winmail.dat` are sent in its place; true by default. */
  readonly unpackWinmail?: boolean;
}

/** How a mail is taken apart; nothing of it changes what is found. */
export interface SplitOptions {
  /** Awaited once before what may take much memory: to count a mail as tried that could bring the process down. */
  readonly beforeRisk?: () => Promise<void>;
  /** How much is scanned at a time. */
  readonly blockBytes?: number;
}

/** The mail's bytes. `open` may be called again: a mail that proves unparsable is read anew as `raw`. */
export interface MailSource {
  /** What the server said; errs by a little. */
  readonly sizeBytes: number;
  open(): Promise<AsyncIterable<Buffer>>;
}

/** Where decoded bytes go as they are decoded: memory while they are few, a blob when they are many. */
export interface ContentStore {
  /** Keeps bytes that are whole in memory already. */
  put(bytes: Buffer): Promise<Content>;
  /** Begins content of unknown length. */
  begin(): ContentWriter;
}

export interface ContentWriter {
  /** Takes a piece; a returned promise is backpressure. The piece is not changed or kept by the caller after. */
  write(piece: Buffer): Promise<void> | void;
  /** No more pieces. */
  end(): Promise<Content>;
  /** Forgets what was written; no half blob stays. */
  abort(): Promise<void>;
}
