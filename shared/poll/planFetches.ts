import type { MeasuredMail } from '../mailbox/mailbox.ts';

/** What is fetched in one go: mails whole in one command, or one large mail as a stream. */
export type FetchStep =
  | { readonly kind: 'batch'; readonly mails: readonly MeasuredMail[] }
  | { readonly kind: 'stream'; readonly mail: MeasuredMail };

export interface FetchLimits {
  readonly batchMails: number;
  readonly batchBytes: number;
  /** A larger mail is streamed. */
  readonly wholeMailBytes: number;
}

/** Plans the fetches for mails in the order given, which is kept. */
export function planFetches(mails: readonly MeasuredMail[], limits: FetchLimits): readonly FetchStep[] {
  const steps: FetchStep[] = [];
  let batch: MeasuredMail[] = [];
  let batchBytes = 0;
  const closeBatch = (): void => {
    if (batch.length > 0) steps.push({ kind: 'batch', mails: batch });
    batch = [];
    batchBytes = 0;
  };
  for (const mail of mails) {
    if (mail.sizeBytes > limits.wholeMailBytes) {
      closeBatch();
      steps.push({ kind: 'stream', mail });
      continue;
    }
    if (batch.length >= limits.batchMails || batchBytes + mail.sizeBytes > limits.batchBytes) closeBatch();
    batch.push(mail);
    batchBytes += mail.sizeBytes;
  }
  closeBatch();
  return steps;
}
