/** Where a part goes that no message can carry. */
export interface PayloadStore {
  /** Begins a new blob. Nothing of it is there for anyone until `commit`. */
  beginUpload(): PayloadUpload;
}

/** One blob on its way. All methods reject with a `Failure('storage')`. */
export interface PayloadUpload {
  /** Takes a piece, which the caller must not change later; a wait is backpressure. */
  write(piece: Buffer): Promise<void>;
  /** Makes the blob visible, whole, and gives its claim check, `container/blob`. */
  commit(): Promise<string>;
  /** Leaves nothing behind that anyone can see. Never rejects. */
  abort(): Promise<void>;
}
