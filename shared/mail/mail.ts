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

/** A mail taken apart, its parts in sending order: body, then attachments as they stand in the mail. */
export interface SplitMail {
  readonly envelope: MailEnvelope;
  readonly parts: readonly Part[];
  /** Set when the mail went `raw` or a part needed a fallback: a sentence without mail content. */
  readonly warning?: string;
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
